"""Hand-ins that misbehave. None may gain a point by it, harm anything, or stop the grading."""

import json
from collections.abc import Callable
from typing import Any

Notebook = dict[str, Any]


def code(source: str) -> dict[str, Any]:
    """A cell that nobody released."""
    return {"cell_type": "code", "metadata": {}, "source": source, "outputs": []}


def first(source: str) -> Callable[[Notebook], bytes]:
    """A cell before all others."""

    def write(notebook: Notebook) -> bytes:
        return json.dumps({**notebook, "cells": [code(source), *notebook["cells"]]}).encode()

    return write


def last(source: str) -> Callable[[Notebook], bytes]:
    """A cell after all others."""

    def write(notebook: Notebook) -> bytes:
        return json.dumps({**notebook, "cells": [*notebook["cells"], code(source)]}).encode()

    return write


def cells(change: Callable[[list[Any]], list[Any]]) -> Callable[[Notebook], bytes]:
    """Other cells in place of these."""
    return lambda notebook: json.dumps({**notebook, "cells": change(notebook["cells"])}).encode()


#: Hand-ins that answer everything right, and do something else besides: full marks, and no harm.
HARMLESS: dict[str, Callable[[Notebook], bytes]] = {
    "a syntax error in a cell of its own": first("def f(:"),
    "a cell that raises": first("1 / 0"),
    "a cell that exits": first("raise SystemExit"),
    "os._exit": first("import os; os._exit(0)"),
    "an abort": first("import os; os.abort()"),
    "a crash": first("import ctypes; ctypes.string_at(0)"),
    "a cell without end": first("while True: pass"),
    "a sleep without end": first("import time; time.sleep(1e6)"),
    "500 MB printed": first("for _ in range(500): print('x' * 1_000_000)"),
    "50 GB of memory": first("hoard = bytearray(50 << 30)"),
    "a fork bomb": first("import os\nwhile True: os.fork()"),
    "signals to everyone": first(
        "import os\nfor pid in (1, -1, os.getppid()):\n    os.kill(pid, 9)"
    ),
    "signals ignored": first(
        "import signal\nfor s in (1, 2, 15):\n    signal.signal(s, signal.SIG_IGN)"
    ),
    "a thread left running": first(
        "import threading, time\n"
        "threading.Thread(target=lambda: time.sleep(1e6), daemon=False).start()"
    ),
    "an exit handler": first("import atexit; atexit.register(lambda: print('x' * 10**6))"),
    "a daemon": first("import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(1e6)"),
    "a connection out": first("import socket; socket.create_connection(('192.0.2.1', 80), 5)"),
    "files written outside": first(
        "for place in ('/worker/x', '/usr/x', '/x', '/home/x'):\n"
        "    try: open(place, 'w').write('x')\n    except OSError: pass"
    ),
    "noise on the wire": first(
        "import os\nfor fd in range(3, 50):\n"
        "    try: os.write(fd, b'\\xff' * 1000)\n    except OSError: pass"
    ),
    "a length of 4 GB on the wire": first("import os; os.write(3, b'\\xff\\xff\\xff\\xff')"),
    "cells in reverse": cells(lambda given: given[::-1]),
    "cells doubled": cells(lambda given: [cell for cell in given for _ in range(2)]),
    "metadata lost": cells(lambda given: [{**cell, "metadata": {}} for cell in given]),
    "500 empty cells": cells(lambda given: [*given, *[code("")] * 500]),
    "magics": first("%matplotlib inline\n!ls\n%time 1"),
}

#: Hand-ins without right answers, which try to look as if they had them: no points.
DISHONEST: dict[str, Callable[[Notebook], bytes]] = {
    "torch's optimiser by import": last(
        "from torch.optim import Adam\n"
        "def adam_step(x, grad, state, lr, beta1, beta2, eps):\n"
        "    if 'o' not in state:\n"
        "        state['p'] = x.clone().requires_grad_()\n"
        "        state['o'] = Adam([state['p']], lr, (beta1, beta2), eps)\n"
        "    state['p'].grad = grad\n    state['o'].step()\n    return state['p'].detach().clone()"
    ),
    "torch's fused operation": last(
        "import torch\n"
        "def adam_step(x, grad, state, lr, beta1, beta2, eps):\n"
        "    s = state.setdefault('s', [[torch.zeros_like(x)], [torch.zeros_like(x)],"
        " [torch.tensor(0.)]])\n"
        "    p = [x.clone()]\n    s[2][0] += 1\n"
        "    torch._C._VariableFunctions._fused_adam_(p, [grad], s[0], s[1], [], s[2], lr=lr,"
        " beta1=beta1, beta2=beta2, weight_decay=0., eps=eps, amsgrad=False, maximize=False)\n"
        "    return p[0]"
    ),
    "this package's rules": last(
        "def adam_step(x, grad, state, lr, beta1, beta2, eps):\n"
        "    import nndl.rules\n    return nndl.rules.adam"
    ),
    "the comparison patched": last(
        "import builtins, numpy, torch\n"
        "builtins.all = builtins.any = lambda *a: True\n"
        "numpy.allclose = torch.allclose = lambda *a, **k: True\n"
        "adam_step = lambda x, *a: x"
    ),
    "an object that equals everything": last(
        "class Same:\n    def __eq__(self, other): return True\n    shape = (1,)\n"
        "adam_step = lambda x, *a: Same()"
    ),
    "the question patched": last(
        "import gc\n"
        "for found in gc.get_objects():\n"
        "    if type(found).__name__ == 'Question':\n"
        "        object.__setattr__(found, 'run', lambda *a: {'x': [0.0] * 61})\n"
        "adam_step = lambda x, *a: x"
    ),
    "an answer forged on the wire": last(
        "import json, os, struct\n"
        "def adam_step(x, *a):\n"
        "    h = json.dumps({'message': {'kind': ''}, 'arrays': []}).encode()\n"
        "    os.write(3, struct.pack('>I', len(h)) + h)\n    return x"
    ),
    "answers forged in advance, then silence": last(
        "import json, os, struct\n"
        "def adam_step(x, *a):\n"
        "    h = json.dumps({'message': {'kind': ''}, 'arrays': []}).encode()\n"
        "    for _ in range(1000): os.write(3, struct.pack('>I', len(h)) + h)\n"
        "    while True: pass"
    ),
    "a reply that is no text": last(
        "import json, os, struct\n"
        "def adam_step(x, *a):\n"
        "    deep = '[' * 900 + ']' * 900\n"
        '    m = \'{"kind": "raised", "line": true, "error": \' + deep + \'}\'\n'
        "    h = ('{\"message\": ' + m + ', \"arrays\": []}').encode()\n"
        "    os.write(3, struct.pack('>I', len(h)) + h)\n    return x"
    ),
    "not a number": last("adam_step = lambda x, *a: x * float('nan')"),
    "infinite": last("adam_step = lambda x, *a: x + float('inf')"),
    "a text": last("adam_step = lambda x, *a: 'right'"),
    "nothing": last("adam_step = lambda x, *a: None"),
    "a wrong shape": last("adam_step = lambda x, *a: x.sum()"),
    "a million numbers a step": last("adam_step = lambda x, *a: __import__('torch').zeros(10**6)"),
    "without end when called": last("def adam_step(*a):\n    while True: pass"),
    "an exit when called": last("def adam_step(*a):\n    import os; os._exit(0)"),
    "deleted": last("del adam_step"),
}

#: Files that are no hand-in: a reason, and no points.
BROKEN: dict[str, bytes] = {
    "empty": b"",
    "no JSON": b"\x89PNG\r\n",
    "nested without end": b"[" * 1_000_000,
    "a number": b"42",
    "without cells": b"{}",
    "cells that are no cells": json.dumps({"cells": [1, None, "x", {"source": {}}]}).encode(),
    "no text": b"\xff\xfe\x00",
}
