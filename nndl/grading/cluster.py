"""Many hand-ins on many machines: the job of ``pool.py`` on a Dask cluster.

The hand-in's bytes and the task go out; marks as plain data come back. Each machine works out for
itself, from the seed, what is expected. Dask pickles what it sends, and whoever reaches a scheduler
can run anything on its workers: it is for the trusted side alone, on a network of its own or with
TLS. What strangers wrote runs in the same sandboxes as everywhere.
"""

import asyncio
import atexit
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import dask
from distributed import Client, Future, KilledWorker, Security, get_worker, rpc, wait
from tqdm import tqdm

from nndl._labs import labs_folder
from nndl.grading.journal import fingerprint
from nndl.grading.result import Result
from nndl.grading.sandbox import Sandbox, WorkerFailed, require_level
from nndl.grading.task import Task

if TYPE_CHECKING:
    from nndl.checking.key import Key

__all__ = ["grade_there"]

EACH = 3  # hand-ins on their way for each of the cluster's threads
CONNECT = 10.0  # seconds until the scheduler must have answered
ANSWER = 45.0  # seconds until every worker has said what it is; for a dead one Dask takes 30
LEAVE = 5.0  # seconds for the workers to put everything away
LOOK = 2.0  # seconds after which to look whether there are workers
IDLE = 60.0  # seconds without a hand-in after which a worker takes the client for gone


def grade_there(
    task: Task, paths: Mapping[str, Path], scheduler: str
) -> Iterator[tuple[str, Result]]:
    """Grade hand-ins on a Dask cluster, and yield each as it is done.

    A worker that dies costs nothing: others do its hand-ins. Closing the iterator takes back what
    is on its way; the cluster itself stays up.

    Parameters
    ----------
    task
        What is asked of each.
    paths
        The notebooks, by student.
    scheduler
        The address of the cluster's scheduler, such as ``tcp://host:8786``.

    Raises
    ------
    ValueError
        If no scheduler answers there, or it goes away; if it has no workers, or one of them has
        another version of nndl, other files of the lab, or walls below ``task.level``.
    WorkerFailed
        If a sandbox doesn't start.
    """
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        client = stack.enter_context(_connected(scheduler))
        _require_fit(client, task, scheduler)
        run, expected = uuid4().hex, fingerprint(task)
        left = deque(paths.items())
        flying: dict[Future[Any], str] = {}
        stack.callback(_leave, client, run, flying)
        there = True
        while left or flying:
            threads = _threads(client, scheduler)
            there = _say_whether_any(threads, there, scheduler)
            while left and len(flying) < EACH * threads:
                student, path = left.popleft()
                try:
                    content = path.read_bytes()
                except OSError:
                    yield student, _our_fault(task)
                    continue
                # The key names neither a student nor the seed: the cluster's pages show it.
                key = f"nndl-{run}-{len(left)}"
                future = client.submit(_grade, run, task, expected, content, key=key, pure=False)
                flying[future] = student
            for future in _done(client, flying, scheduler):
                try:
                    reply = future.result(timeout=LOOK)
                except TimeoutError:
                    continue  # the worker died with the result: another works it out again
                except KilledWorker:
                    reply = {"kind": "ours"}  # several workers died with this hand-in
                except CancelledError:
                    raise _lost(scheduler) from None
                except Exception as error:
                    # No error of a hand-in's: a machine that came later has no nndl.
                    _require_fit(client, task, scheduler)
                    raise ValueError(f"the cluster at {scheduler} failed: {error!r}") from None
                student = flying.pop(future)
                if reply["kind"] == "refused":
                    raise _refused(scheduler, {reply["worker"]: reply["said"]})
                if reply["kind"] == "failed":
                    raise WorkerFailed(f"on {reply['worker']}, {reply['said']}")
                # Any other error is ours. It must not cost the other students their marks.
                graded = reply["kind"] == "graded"
                yield (
                    student,
                    Result.from_plain(reply["result"]) if graded else _our_fault(task),
                )


def _our_fault(task: Task) -> Result:
    from nndl.checking.source import read_lab
    from nndl.grading.grade import no_result

    return no_result(task, read_lab(task.lab), "grader")


# ---- here: the cluster as a whole


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's own log off the screen: what an instructor must know is said here."""
    logger = logging.getLogger("distributed")
    handlers, logger.handlers = logger.handlers, [logging.NullHandler()]
    try:
        with dask.config.set(
            {
                "distributed.admin.large-graph-warning-threshold": "64 MiB",  # a large notebook
                "distributed.comm.timeouts.connect": CONNECT,
            }
        ):
            yield
    finally:
        logger.handlers = handlers


async def _identity(address: str) -> Mapping[str, Any]:
    """Ask whoever listens at an address what it is."""
    security = Security().get_connection_args("client")  # type: ignore[no-untyped-call]
    try:
        async with (
            asyncio.timeout(CONNECT),
            rpc(address, connection_args=security) as there,  # type: ignore[no-untyped-call]
        ):
            answer: Mapping[str, Any] = await there.identity()
            return answer
    except TimeoutError:
        raise ValueError(f"nothing came in {CONNECT:g} seconds") from None


@contextmanager
def _connected(scheduler: str) -> Iterator[Client]:
    try:
        # A client would wait for ever where somebody listens and says nothing. The thread is for
        # callers that have an event loop of their own, such as a notebook.
        with ThreadPoolExecutor(1) as thread:
            kind = thread.submit(asyncio.run, _identity(scheduler)).result()["type"]
        if kind != "Scheduler":
            raise ValueError(f"it is a {kind}")
        client = Client(scheduler, timeout=CONNECT, set_as_default=False, name="nndl-grade")  # type: ignore[no-untyped-call]
    except Exception as error:  # Dask raises what it likes: ValueError, OSError, TypeError, ...
        raise ValueError(
            f"no Dask scheduler answers at {scheduler!r} ({_first_line(error)}). --scheduler takes "
            "the address that `dask scheduler` shows when it starts, such as tcp://host:8786"
        ) from None
    try:
        yield client
    finally:
        with suppress(Exception):  # a scheduler that has gone is left, too
            client.close(LEAVE)  # type: ignore[no-untyped-call]


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _everywhere(
    client: Client, seconds: float, function: Callable[..., Any], *args: Any
) -> dict[str, Any]:
    """Call a function in every worker process; return what came, or the error, by address."""
    # client.run alone would wait for ever for a machine that hangs.
    came: dict[str, Any] = client.sync(  # type: ignore[no-untyped-call]
        client.run, function, *args, on_error="return", callback_timeout=seconds
    )
    # A worker that went away in the meantime has nothing to say.
    return {name: value for name, value in came.items() if not isinstance(value, OSError)}


def _require_fit(client: Client, task: Task, scheduler: str) -> None:
    """Refuse a cluster of which a machine would give other marks, or has lower walls."""
    try:
        # A machine without nndl, or with another, may not know the function below.
        versions = _everywhere(client, ANSWER, version, "nndl")
        if not versions:
            raise ValueError(
                f"the Dask cluster at {scheduler} has no workers: start some with "
                f"`dask worker {scheduler}`, on machines that have nndl and bubblewrap"
            )
        ours = version("nndl")
        misfits = {
            name: f"no nndl ({theirs})"
            if isinstance(theirs, Exception)
            else f"nndl {theirs}, and here it is {ours}"
            for name, theirs in versions.items()
            if theirs != ours
        }
        if not misfits:
            said = _everywhere(client, ANSWER, _misfit, task, fingerprint(task))
            misfits = {name: str(why) for name, why in said.items() if why}
    except TimeoutError:
        raise ValueError(
            f"a worker of the Dask cluster at {scheduler} does not answer: end it, and start again"
        ) from None
    except OSError:
        raise _lost(scheduler) from None
    if misfits:
        raise _refused(scheduler, misfits)


def _refused(scheduler: str, misfits: Mapping[str, str]) -> ValueError:
    listed = "".join(f"\n  {worker}: {why}" for worker, why in sorted(misfits.items()))
    return ValueError(f"the Dask cluster at {scheduler} has workers that do not fit:{listed}")


def _lost(scheduler: str) -> ValueError:
    return ValueError(
        f"the Dask scheduler at {scheduler} has gone, or was started anew. What is graded so far "
        "is kept; the same command goes on"
    )


def _threads(client: Client, scheduler: str) -> int:
    try:
        return sum(client.nthreads().values())  # type: ignore[no-untyped-call]
    except (OSError, TypeError, AttributeError):  # a client that has closed itself has no scheduler
        raise _lost(scheduler) from None


def _say_whether_any(threads: int, there: bool, scheduler: str) -> bool:
    """Say so when all workers have gone, and when there are some again."""
    if there and not threads:
        tqdm.write(
            f"The Dask cluster at {scheduler} has no workers any more. Waiting for new ones; "
            "Ctrl-C stops, and the same command goes on later.",
            file=sys.stderr,
        )
    elif threads and not there:
        tqdm.write("There are workers again.", file=sys.stderr)
    return threads > 0


def _done(client: Client, flying: Mapping[Future[Any], str], scheduler: str) -> list[Future[Any]]:
    """Wait a little, and return the hand-ins that have come back."""
    if not flying:
        time.sleep(LOOK)
        return []
    try:
        with client.as_current():
            came = wait(list(flying), LOOK, "FIRST_COMPLETED")  # type: ignore[no-untyped-call]
            return list(came.done)
    except TimeoutError:
        return []
    except CancelledError:
        raise _lost(scheduler) from None


def _leave(client: Client, run: str, flying: Mapping[Future[Any], str]) -> None:
    """Take back what is on its way, and have the workers put away what they kept."""
    # The cluster may have gone; the workers that are left look themselves.
    with suppress(Exception):
        client.cancel(list(flying), force=True)  # type: ignore[no-untyped-call]
        _everywhere(client, LEAVE, _end, run)


# ---- there: one worker process


class _Misfit(Exception):
    """Why this machine cannot take part."""


class _Station:
    """What a worker process keeps for a run: the key to the lab, and a sandbox for each thread."""

    def __init__(self, task: Task) -> None:
        self.busy = 0
        self.timer: threading.Timer | None = None
        self._task = task
        self._key: Key | None = None
        self._key_lock = threading.Lock()
        # By thread: bubblewrap ends with the thread that has started it.
        self._sandboxes: dict[int, Sandbox] = {}

    def grade(self, content: bytes, expected: str) -> Result:
        """Grade a hand-in, if this machine fits."""
        thread = threading.get_ident()
        if thread not in self._sandboxes:
            why = _misfit(self._task, expected)
            if why:
                raise _Misfit(why)
            questions = labs_folder() / f"lab{self._task.lab}" / "questions.py"
            self._sandboxes[thread] = Sandbox(questions, self._task.level).__enter__()
        # What the sandbox imports takes seconds. Meanwhile the same is imported here.
        from nndl.checking.key import Key
        from nndl.checking.source import read_lab
        from nndl.grading.grade import grade_content

        with self._key_lock:
            if self._key is None:
                self._key = Key(read_lab(self._task.lab), self._task.seed)
        return grade_content(self._task, content, self._key, self._sandboxes[thread])

    def stop(self) -> None:
        """End what is running."""
        for sandbox in list(self._sandboxes.values()):
            sandbox.close()

    def clear(self) -> None:
        """Put everything away, when nothing is running."""
        while self._sandboxes:
            _, sandbox = self._sandboxes.popitem()
            sandbox.__exit__(None, None, None)


_lock = threading.Lock()
_stations: dict[str, _Station] = {}  # by run: two instructors may share a cluster
_ended: set[str] = set()


def _misfit(task: Task, expected: str) -> str:
    """Return why this machine cannot take part, or an empty text."""
    try:
        require_level(task.level)
        found = fingerprint(task)
    except Exception as error:  # whatever it is, it is told on the other side
        return _first_line(error)
    if found != expected:
        return f"its files of lab {task.lab} are not those that are here"
    return ""


def _grade(run: str, task: Task, expected: str, content: bytes) -> dict[str, Any]:
    """Grade a hand-in in this worker process. No error leaves: Dask would log the arguments."""
    try:
        with _station(run, task) as station:
            return {"kind": "graded", "result": station.grade(content, expected).plain()}
    except _Misfit as error:
        return {"kind": "refused", "worker": get_worker().address, "said": str(error)}
    except WorkerFailed as error:
        return {"kind": "failed", "worker": get_worker().address, "said": str(error)}
    except Exception:
        return {"kind": "ours"}


@contextmanager
def _station(run: str, task: Task) -> Iterator[_Station]:
    """Make use of the run's station, which closes when nobody has done so for a while."""
    with _lock:
        if run in _ended:
            raise RuntimeError("the run has ended")
        station = _stations.setdefault(run, _Station(task))
        station.busy += 1
        if station.timer is not None:
            station.timer.cancel()
    try:
        yield station
    finally:
        with _lock:
            station.busy -= 1
            if run in _ended and not station.busy:
                station.clear()
            elif not station.busy:
                station.timer = threading.Timer(IDLE, _rest, [run])
                station.timer.daemon = True
                station.timer.start()


def _rest(run: str) -> None:
    """Put a station away that waits for nothing; a hand-in that comes all the same begins anew."""
    with _lock:
        station = _stations.get(run)
        if station is not None and not station.busy:
            del _stations[run]
            station.clear()


def _end(run: str) -> None:
    """End a run in this process, and what is running for it."""
    with _lock:
        _ended.add(run)
        station = _stations.pop(run, None)
        if station is None:
            return
        if station.timer is not None:
            station.timer.cancel()
        station.stop()
        if not station.busy:
            station.clear()


@atexit.register
def _end_all() -> None:
    for run in list(_stations):
        _end(run)
