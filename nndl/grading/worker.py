"""The process that runs strangers' code: it imports torch once, then forks for each hand-in.

Runs in the sandbox, from a folder with the few files that it may see (``sandbox.assemble``). It
knows the questions' drivers, and neither solutions nor mistakes, nor the course's secret, nor what
is expected. It has no optimisers: ``torch.optim`` is never imported, and torch's fused ones raise.
"""

import gc
import importlib.abc
import importlib.machinery
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import traceback
import types
import warnings
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

SHOWN = 10_000  # characters of output that are reported
_KEPT: list[Any] = []  # what must not be freed: a library's overrides end with it
FUSED = ("_fused_adam_", "_fused_adamw_", "_fused_sgd_", "_fused_adagrad_")


class _NoOptimisers(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Stands in for ``torch.optim``: what torch asks for at its own import is there, and empty."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name == "torch.optim" or name.startswith("torch.optim."):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: Any) -> types.ModuleType:
        return _Nothing(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing to run."""


class _Nothing(types.ModuleType):
    importing = True

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not _Nothing.importing:
            raise AttributeError(f"{self.__name__}.{name} is not available in the grader")
        return type(name, (), {}) if name[0].isupper() else lambda *args, **kwargs: None


def prepare() -> None:
    """Import what every hand-in needs, without the optimisers."""
    warnings.simplefilter("ignore")
    sys.meta_path.insert(0, _NoOptimisers())
    # Matplotlib wants a folder that it can write to, with the list of fonts in it.
    fonts = tempfile.mkdtemp(prefix="matplotlib-")
    for cached in Path(sys.argv[0]).parents[2].glob("fontlist-*.json"):
        shutil.copy(cached, fonts)
    os.environ["MPLCONFIGDIR"] = fonts
    import matplotlib as mpl

    mpl.use("Agg")
    import_module("matplotlib.pyplot")
    import torch

    _Nothing.importing = False
    torch.set_num_threads(1)
    # The first products look at the processor, which they cannot any more behind the inner wall.
    (torch.ones(2, 2) @ torch.ones(2, 2)).exp()
    library = torch.library.Library("aten", "IMPL")  # type: ignore[no-untyped-call]
    _KEPT.append(library)
    for name in FUSED:
        for overload in getattr(torch.ops.aten, name).overloads():
            suffix = "" if overload == "default" else f".{overload}"
            library.impl(f"{name}{suffix}", _refuse, "CPU")  # type: ignore[no-untyped-call]


def _refuse(*args: Any, **kwargs: Any) -> None:
    raise RuntimeError("the fused optimisers are not available in the grader")


def load_questions(path: str) -> dict[str, Any]:
    """Import a lab's questions, without its mistakes."""
    spec = spec_from_file_location("questions", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return {question.name: question for question in module.QUESTIONS}


def serve(connection: socket.socket, questions: dict[str, Any]) -> None:
    """Run cells and cases as the grader asks for them."""
    from nndl.grading.wire import FOREVER, receive, send, unpack

    namespace: dict[str, Any] = {"__name__": "__main__", "get_ipython": _Shell}
    while True:
        message, arrays = receive(connection, FOREVER)
        reply: dict[str, Any]
        results: dict[str, Any]
        if message["do"] == "cell":
            reply, results = {"error": _run_cell(message["code"], namespace)}, {}
        elif message["do"] == "case":
            case = unpack(message["case"], arrays)
            reply, results = _run_case(questions[message["question"]], namespace, case)
        else:
            reply, results = {"output": _output()}, {}
        send(connection, reply, results)


class _Shell:
    """What is left of IPython: its magics do nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: None


def _run_cell(code: str, namespace: dict[str, Any]) -> str:
    try:
        exec(compile(code, "<cell>", "exec"), namespace)
    except BaseException as error:
        return _in_words(error)
    return ""


def _run_case(question: Any, namespace: dict[str, Any], case: Any) -> tuple[Any, Any]:
    missing = [name for name in question.defines if namespace.get(name) is None]
    if missing:
        return {"kind": "undefined", "name": missing[0]}, {}
    try:
        return {"kind": ""}, question.trace(namespace, case)
    except NotImplementedError:
        return {"kind": "empty"}, {}
    except BaseException as error:
        if hasattr(error, "text"):  # a result that the question cannot compare
            return {"kind": "unusable", "said": error.text}, {}
        return {"kind": "raised", "error": _in_words(error), "line": _line(error)}, {}


def _line(error: BaseException) -> int | None:
    """Return the line of the cell in which the error arose."""
    frames = traceback.extract_tb(error.__traceback__)
    return next((f.lineno for f in reversed(frames) if f.filename == "<cell>"), None)


def _in_words(error: BaseException) -> str:
    try:
        words = f"{type(error).__name__}: {error}"
    except BaseException:
        words = "an error that cannot be shown"
    return words[:500]


def _output() -> str:
    sys.stdout.flush()
    sys.stderr.flush()
    return os.pread(1, 4 * SHOWN, 0).decode("utf-8", "replace")[:SHOWN]


def begin(descriptor: int, questions: dict[str, Any], level: str) -> None:
    """In the fork: put up the inner walls, then serve until the grader hangs up."""
    from nndl.grading.isolate import (
        Limits,
        become_nobody,
        drop_privileges,
        limit,
        own_namespaces,
    )

    os.setsid()
    if level == "bubblewrap":
        own_namespaces()
    output, name = tempfile.mkstemp(prefix="output-")
    os.unlink(name)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if descriptor != 3:
        os.dup2(descriptor, 3)
    connection = socket.socket(fileno=3)
    os.closerange(4, 256)
    if level != "none":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        limit(Limits())
        if level == "rlimits" and os.getuid() == 0:
            become_nobody()
        drop_privileges(apart=level == "bubblewrap")
    serve(connection, questions)


def main() -> None:
    """Wait for hand-ins: each comes as a connection, and goes to a fork of its own."""
    control = socket.socket(fileno=int(sys.argv[1]))
    questions_file, level = sys.argv[2], sys.argv[3]
    prepare()
    questions = load_questions(questions_file)
    gc.freeze()  # the collector of a fork leaves what is shared alone, so it needn't be copied
    control.sendall(b"r")
    while True:
        sign, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not sign:
            return  # the grader is gone
        if not descriptors:
            continue  # the word to kill a fork that had already ended
        child = os.fork()
        if child == 0:
            try:
                begin(descriptors[0], questions, level)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        os.close(descriptors[0])
        _wait(child, control)
        control.sendall(b"d")


def _wait(child: int, control: socket.socket) -> None:
    """Wait until the fork has ended; kill it when the grader says so, or is gone."""
    process = os.pidfd_open(child)
    ready, _, _ = select.select([process, control.fileno()], [], [])
    if process not in ready:
        control.recv(1)
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(process)


if __name__ == "__main__":
    main()
