"""Grading on a Dask cluster: nothing is lost, nothing is graded twice, and no machine is odd."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from distributed import Client
from hostile import HARMLESS
from test_grading import SECRET, descendants, solved

from nndl._labs import labs_folder
from nndl.checking import read_lab, release
from nndl.grading import cluster
from nndl.grading.cluster import grade_there
from nndl.grading.handins import find_handins
from nndl.grading.pool import grade_here
from nndl.grading.run import Run, grade_all
from nndl.grading.sandbox import PACKAGE
from nndl.grading.task import Task

pytestmark = pytest.mark.usefixtures("walls", "one_thread")

TASK = Task(3, SECRET, "bubblewrap")
LOCAL = ["--host", "127.0.0.1", "--no-dashboard"]
SOON = 60.0  # seconds for what takes one or two where nobody else works

Report = Callable[[str, object], None]


@dataclass
class Cluster:
    """A scheduler, and workers that are started as they are needed."""

    folder: Path
    address: str
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def have(self, number: int) -> list[subprocess.Popen[bytes]]:
        """Have so many workers: start what is missing, end what is too much."""
        running = [worker for worker in self.workers if worker.poll() is None]
        for worker in running[number:]:
            end(worker)
        self.start(number - len(running))
        with self.client() as client:
            until(lambda: len(client.nthreads()) == number)
        return [worker for worker in self.workers if worker.poll() is None]

    def start(self, number: int, **environment: str) -> None:
        """Start workers of one thread."""
        command = [self.address, "--no-nanny", "--nthreads", "1", *LOCAL]
        command += ["--local-directory", str(self.folder)]
        for _ in range(number):
            self.workers.append(self._start("dask_worker", command, environment))

    def _start(
        self, program: str, options: list[str], environment: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{program}", *options],
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def addresses(self) -> dict[int, str]:
        """The workers that the scheduler knows, by process."""
        with self.client() as client:
            return {pid: address for address, pid in client.run(os.getpid).items()}

    def held_by(self, address: str) -> int:
        """How many hand-ins the scheduler has given to a worker and not got back."""
        with self.client() as client:
            return len(client.processing()[address])

    @contextmanager
    def client(self) -> Iterator[Client]:
        with Client(self.address, set_as_default=False) as client:
            yield client


@contextmanager
def a_cluster(folder: Path) -> Iterator[Cluster]:
    said = folder / "scheduler.json"
    whole = Cluster(folder, "")
    options = ["--port", "0", "--scheduler-file", str(said), *LOCAL]
    scheduler = whole._start("dask_scheduler", options, {})
    try:
        until(said.exists)
        whole.address = json.loads(said.read_text())["address"]
        yield whole
    finally:
        for process in (*whole.workers, scheduler):
            end(process)


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with a_cluster(tmp_path_factory.mktemp("cluster")) as whole:
        yield whole


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + SOON
    while not true():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


def runs(pid: int) -> bool:
    """Whether a process does anything still: one that has ended may wait for its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.fixture(scope="module")
def handins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("handins")
    right, empty, wrong = solved(), release(read_lab(3), "zh"), solved()
    for cell in wrong["cells"]:
        if cell["metadata"].get("nndl", {}).get("question") == "adam":
            cell["source"] = "def " + cell["source"].partition("def ")[2].partition("\n")[0]
            cell["source"] += "\n    return params"
    kinds = {
        **{f"right{i}": json.dumps(right).encode() for i in range(6)},
        **{f"wrong{i}": json.dumps(wrong).encode() for i in range(4)},
        **{f"empty{i}": json.dumps(empty).encode() for i in range(3)},
        "exits": HARMLESS["os._exit"](solved()),
        "crashes": HARMLESS["a crash"](solved()),
        "damaged": b"{",
    }
    for name, content in kinds.items():
        (folder / f"{name}.ipynb").write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def paths(handins: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(handins.iterdir())}


def test_a_worker_that_dies_costs_nothing(
    dask: Cluster,
    handins: Path,
    paths: dict[str, Path],
    tmp_path: Path,
    record_property: Report,
) -> None:
    victim, survivor = dask.have(2)
    addresses = dask.addresses()
    journal = tmp_path / "journal.jsonl"
    seen: dict[str, object] = {}

    def kill() -> None:
        until(lambda: journal.exists() and journal.read_bytes().count(b"\n") >= 3)
        # Stopped first, so that it holds its hand-ins for as long as we look.
        victim.send_signal(signal.SIGSTOP)
        seen["held"] = dask.held_by(addresses[victim.pid])
        seen["sandbox"] = descendants(victim.pid)
        seen["done"] = journal.read_bytes().count(b"\n")
        end(victim)

    killer = threading.Thread(target=kill)
    killer.start()
    work = Run(TASK, find_handins(handins), scheduler=dask.address)
    results = grade_all(work, tmp_path)
    killer.join()

    assert seen["held"], "the killed worker had nothing to do: nothing was tried"
    assert seen["sandbox"]
    lines = [json.loads(line)["student"] for line in journal.read_text().splitlines()]
    assert sorted(lines) == sorted(paths) == sorted(results)
    assert results == dict(grade_here(TASK, paths, 1))
    assert {results[f"right{i}"].points for i in range(6)} == {results["exits"].points}
    assert results["wrong0"].points < results["right0"].points
    for pid in seen["sandbox"]:
        until(lambda pid=pid: not runs(pid))
    # The run has ended: nor does the other worker keep anything, and it is there for the next.
    assert not descendants(survivor.pid)
    assert dask.addresses() == {survivor.pid: addresses[survivor.pid]}
    record_property(
        "grading",
        f"{len(results)} hand-ins on a cluster, one of two workers killed after {seen['done']} "
        f"with {seen['held']} in its hands: each graded once, none lost",
    )


def test_closing_takes_back_what_is_on_its_way(dask: Cluster, paths: dict[str, Path]) -> None:
    (worker,) = dask.have(1)
    with closing(grade_there(TASK, paths, dask.address)) as graded:
        first, _ = next(graded)
        assert descendants(worker.pid)
    assert first in paths
    until(lambda: not descendants(worker.pid))
    address = dask.addresses()[worker.pid]
    until(lambda: dask.held_by(address) == 0)


def test_without_workers_the_run_waits(
    dask: Cluster, paths: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (worker,) = dask.have(1)
    few = {name: paths[name] for name in ("right0", "empty0", "empty1", "empty2", "damaged")}
    with ExitStack() as stack:
        graded = stack.enter_context(closing(grade_there(TASK, few, dask.address)))
        students = [next(graded)[0]]
        end(worker)
        starter = threading.Timer(1.5 * cluster.LOOK, dask.start, [1])
        stack.callback(starter.join)
        starter.start()
        students += [student for student, _ in graded]
    said = capsys.readouterr().err
    assert sorted(students) == sorted(few)
    assert "has no workers any more" in said
    assert "There are workers again" in said


def test_odd_machines_are_refused(paths: dict[str, Path], tmp_path: Path) -> None:
    other_lab, other_version = tmp_path / "lab", tmp_path / "version"
    for folder in (other_lab, other_version):
        shutil.copytree(PACKAGE, folder / "nndl", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(labs_folder() / "lab3", folder / "labs" / "lab3")
    with (other_lab / "labs" / "lab3" / "questions.py").open("a") as file:
        file.write("# another tolerance, perhaps\n")
    metadata = other_version / "nndl-99.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: nndl\nVersion: 99.0\n")

    with a_cluster(tmp_path) as dask:

        def refused() -> dict[int, str]:
            with pytest.raises(ValueError, match="has workers that do not fit") as caught:
                next(grade_there(TASK, paths, dask.address))
            lines = str(caught.value).splitlines()[1:]
            said = dict(line.strip().split(": ", 1) for line in lines)
            return {pid: said[address] for pid, address in dask.addresses().items()}

        with pytest.raises(ValueError, match="has no workers: start some with `dask worker tcp:"):
            next(grade_there(TASK, paths, dask.address))
        dask.start(1, PATH="")
        dask.start(1, PYTHONPATH=str(other_lab))
        low, lab = dask.have(2)
        said = refused()
        assert "the level 'bubblewrap' is not to be had here" in said[low.pid]
        assert "files of lab 3 are not those that are here" in said[lab.pid]
        end(low)
        end(lab)
        dask.start(1, PYTHONPATH=str(other_version))
        (version,) = dask.have(1)
        assert "nndl 99.0, and here it is" in refused()[version.pid]


def test_a_station_rests_when_the_client_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "IDLE", 0.2)
    before = set(descendants(os.getpid()))
    expected = cluster.fingerprint(TASK)
    assert cluster._grade("a run", TASK, expected, b"{")["kind"] == "graded"
    assert set(descendants(os.getpid())) - before
    until(lambda: not set(descendants(os.getpid())) - before)
    cluster._end("a run")
    # What the cluster still had in its queue is not begun.
    assert cluster._grade("a run", TASK, expected, b"{") == {"kind": "ours"}
    assert not set(descendants(os.getpid())) - before


@pytest.mark.parametrize("address", ["host", "gopher://host:70", "tcp://host", ""])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    start = time.monotonic()
    with pytest.raises(ValueError, match=r"no Dask scheduler answers at .* tcp://host:8786"):
        next(grade_there(TASK, {}, address))
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("listens", [False, True])
def test_nobody_answers(
    listens: bool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cluster, "CONNECT", 1.0)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if listens:
            silent.listen()
        start = time.monotonic()
        with pytest.raises(ValueError, match="nothing came in 1 seconds"):
            next(grade_there(TASK, {}, f"tcp://127.0.0.1:{silent.getsockname()[1]}"))
        assert time.monotonic() - start < 5
    assert capfd.readouterr() == ("", "")
