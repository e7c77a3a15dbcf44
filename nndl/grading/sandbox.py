"""The walls around strangers' code, from the grader's side.

``Sandbox`` starts a worker (``worker.py``) behind bubblewrap and hands it the hand-ins in turn; a
``Session`` is the conversation about one of them. Levels: ``"bubblewrap"`` (both walls),
``"rlimits"`` (limits on memory and time, no network and no processes; files can be read),
``"none"``.
"""

import ast
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from nndl.grading.wire import pack, receive, send, text_of

__all__ = [
    "LEVELS",
    "Sandbox",
    "SandboxClosed",
    "Session",
    "WorkerFailed",
    "best_level",
    "require_level",
]

LEVELS = ("bubblewrap", "rlimits", "none")
PACKAGE = Path(__file__).resolve().parents[1]
# What a worker may see of the package. Its __init__ files are empty but for the stub of ``check``;
# of ``nndl.op`` there is the base class alone, since its operators are answers.
FILES = (
    "grading/wire.py",
    "grading/isolate.py",
    "grading/worker.py",
    "checking/question.py",
    "checking/returned.py",
    "_checks.py",
)
OPERATOR = """\
from typing import Any

from torch import Tensor

from nndl._checks import floating_tensor


"""
STUB = "def check(*args, **kwargs):\n    return lambda *args, **kwargs: None\n"
START = 120.0  # seconds until the worker must be ready

Array = np.ndarray[Any, Any]


def best_level() -> str:
    """Return the highest level that this machine offers.

    Examples
    --------
    >>> best_level() in LEVELS
    True
    """
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return "rlimits"
    # The inner wall needs namespaces within those of the outer one.
    inner = ["unshare", "--user", "--map-current-user", "--pid", "--net"]
    inner += ["--mount", "--fork", "true"]
    tried = subprocess.run([*_wall(bwrap), *inner], capture_output=True, check=False)
    return "bubblewrap" if tried.returncode == 0 else "rlimits"


def require_level(level: str) -> None:
    """Refuse a level that this machine doesn't offer.

    Raises
    ------
    ValueError
        If it doesn't.
    """
    if sys.platform != "linux":
        raise ValueError(
            f"grading needs Linux, and this is {sys.platform}: a virtual machine will do, or WSL. "
            "Labs and their check run here as well"
        )
    best = best_level()
    if LEVELS.index(level) < LEVELS.index(best):
        raise ValueError(
            f"the level {level!r} is not to be had here: install bubblewrap, and let users have "
            f"namespaces of their own. To grade all the same, name the level: --level {best}. "
            "Hand-ins can then read your files"
        )


def assemble(folder: Path, questions: Path) -> None:
    """Lay out the few files that a worker may see."""
    for name in FILES:
        target = folder / "nndl" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PACKAGE / name, target)
    for name, text in (("", ""), ("grading", ""), ("checking", STUB)):
        (folder / "nndl" / name / "__init__.py").write_text(text)
    (folder / "nndl" / "op.py").write_text(OPERATOR + _source_of_class(PACKAGE / "op.py", "Op"))
    shutil.copy(questions, folder / "questions.py")
    # Without the list of fonts, matplotlib would look for them anew at every start.
    import matplotlib as mpl

    for cached in Path(mpl.get_cachedir()).glob("fontlist-*.json"):
        shutil.copy(cached, folder)


def _source_of_class(path: Path, name: str) -> str:
    """Return the text of a class, without importing its module (which would import torch)."""
    text = path.read_text("utf-8")
    classes = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
    (found,) = [node for node in classes if node.name == name]
    return ast.get_source_segment(text, found) or ""


def _wall(bwrap: str) -> list[str]:
    """Return the outer wall: read-only programs, nothing of the user's, no network."""
    command = [bwrap, "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session"]
    command += ["--clearenv", "--setenv", "PATH", "/usr/bin:/bin", "--setenv", "LANG", "C.UTF-8"]
    command += ["--ro-bind", "/usr", "/usr"]
    for name in ("lib", "lib64", "bin", "sbin"):
        path = Path("/", name)
        if path.is_symlink():
            command += ["--symlink", os.readlink(path), str(path)]
        elif path.exists():
            command += ["--ro-bind", str(path), str(path)]
    return [*command, "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--chdir", "/tmp"]


def _python() -> tuple[list[str], str]:
    """Return the options that show the interpreter and its libraries, and the libraries' path."""
    libraries = Path(sysconfig.get_path("purelib")).resolve()
    shown: list[str] = []
    for path in dict.fromkeys([Path(sys.base_prefix).resolve(), libraries]):
        if not path.is_relative_to("/usr"):
            shown += ["--ro-bind", str(path), str(path)]
    # Neither torch's optimisers nor this package are there to be read.
    for name in ("torch/optim", "torch/distributed/optim", "nndl"):
        if (libraries / name).is_dir():
            shown += ["--tmpfs", str(libraries / name)]
    return shown, str(libraries)


class Session:
    """The conversation about one hand-in. Whatever comes back is plain data."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def ask(
        self, message: Mapping[str, Any], arrays: Mapping[str, Array], seconds: float
    ) -> tuple[dict[str, Any], dict[str, Array]]:
        """Send a request and wait for the answer.

        Raises
        ------
        WireError
            If no answer comes in time, or what comes is none.
        """
        deadline = time.monotonic() + seconds
        send(self._connection, message, arrays, deadline)
        return receive(self._connection, deadline)

    def run_cell(self, code: str, seconds: float) -> str:
        """Run a cell; return the error that it raised, in words, or an empty text."""
        reply, _ = self.ask({"do": "cell", "code": code}, {}, seconds)
        return text_of(reply.get("error"))

    def run_case(
        self, question: str, case: Any, seconds: float
    ) -> tuple[dict[str, Any], dict[str, Array]]:
        """Run a question on a case; return what happened and the trace."""
        arrays: dict[str, Array] = {}
        packed = pack(case, arrays)
        return self.ask({"do": "case", "question": question, "case": packed}, arrays, seconds)

    def output(self, seconds: float = 1.0) -> str:
        """Return the beginning of what was printed."""
        reply, _ = self.ask({"do": "output"}, {}, seconds)
        return text_of(reply.get("output"))


class SandboxClosed(Exception):
    """The grader is stopping, and no hand-in is taken any more."""


class WorkerFailed(OSError):
    """The worker doesn't start; the message has what it said."""


class Sandbox:
    """A worker behind walls, which takes one hand-in after the other.

    Parameters
    ----------
    questions
        The file with the lab's questions.
    level
        One of ``LEVELS``.

    Raises
    ------
    ValueError
        If there is no such level.
    """

    def __init__(self, questions: Path, level: str) -> None:
        if level not in LEVELS:
            raise ValueError(f"level must be one of {LEVELS}, got {level!r}")
        self.questions, self.level = questions, level
        self._folder = Path(tempfile.mkdtemp(prefix="nndl-worker-"))
        assemble(self._folder, questions)
        self._folder.chmod(0o755)  # a hand-in reads it as nobody, where there is no other wall
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = self._closed = False

    def __enter__(self) -> "Sandbox":
        # Nobody waits here: what the worker imports takes seconds.
        self._launch()
        return self

    def close(self) -> None:
        """Stop the worker, from any thread; whoever waits for its hand-in gets an error."""
        self._closed = True
        process = self._process
        if process is not None:
            process.kill()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def wait_until_ready(self) -> None:
        """Wait until the worker takes hand-ins.

        Raises
        ------
        WorkerFailed
            If it doesn't start.
        SandboxClosed
            If the sandbox was closed.
        """
        if self._closed:
            raise SandboxClosed
        if self._process is None:
            self._launch()
        if not self._ready and not self._wait_for(b"r", START):
            process = self._process
            said = process.stderr.read().decode() if process and process.stderr else ""
            self._stop()
            if self._closed:
                raise SandboxClosed
            raise WorkerFailed(f"the grader's worker does not start: {said[-2000:]}")
        self._ready = True

    def _launch(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                self._command(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                cwd="/",
                env=None if self.level == "bubblewrap" else self._environment(self._folder),
            )
        self._control, self._ready = ours, False

    def _environment(self, folder: Path) -> dict[str, str]:
        _, libraries = _python()
        return {
            "PYTHONPATH": f"{folder}:{libraries}",
            "OMP_NUM_THREADS": "1",
            "HOME": "/tmp",
        }

    def _command(self, descriptor: int) -> list[str]:
        folder = Path("/worker") if self.level == "bubblewrap" else self._folder
        worker = [os.path.realpath(sys.executable), "-s", "-B"]
        worker += [str(folder / "nndl/grading/worker.py"), str(descriptor)]
        worker += [str(folder / "questions.py"), self.level]
        if self.level != "bubblewrap":
            return worker
        shown, _ = _python()
        walls = [*_wall(shutil.which("bwrap") or "bwrap"), *shown]
        walls += ["--ro-bind", str(self._folder), "/worker"]
        for name, value in self._environment(folder).items():
            walls += ["--setenv", name, value]
        return [*walls, *worker]

    def _stop(self) -> None:
        if self._process is not None:
            self._control.close()
            self._process.kill()
            self._process.wait()
            if self._process.stderr:
                self._process.stderr.close()
            self._process = None

    def _wait_for(self, sign: bytes, seconds: float) -> bool:
        self._control.settimeout(seconds)
        try:
            return self._control.recv(1) == sign
        except OSError:
            return False

    def open(self) -> "_Opened":
        """Begin with a hand-in, in a fresh fork: ``with sandbox.open() as session``."""
        return _Opened(self)


class _Opened:
    """A session that is ended, and whose process is gone, when the block is left."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def __enter__(self) -> Session:
        sandbox = self._sandbox
        sandbox.wait_until_ready()
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(sandbox._control, [b"j"], [theirs.fileno()])
            except OSError:
                # The worker is gone: a hand-in has found a way to end it. Begin again.
                sandbox._stop()
                sandbox.wait_until_ready()
                socket.send_fds(sandbox._control, [b"j"], [theirs.fileno()])
        self._connection = ours
        return Session(ours)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._connection.close()
        sandbox = self._sandbox
        try:
            sandbox._control.sendall(b"k")
            alive = sandbox._wait_for(b"d", 10.0)
        except OSError:
            alive = False
        if not alive:
            sandbox._stop()
