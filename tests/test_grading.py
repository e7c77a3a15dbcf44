"""The grader: honest with the honest, and with everybody else."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile import BROKEN, DISHONEST, HARMLESS
from hypothesis import given, settings
from hypothesis import strategies as st

from nndl._labs import labs_folder
from nndl.checking import Key, read_lab, release
from nndl.grading.grade import grade_content
from nndl.grading.result import Result
from nndl.grading.sandbox import LEVELS, Sandbox, best_level
from nndl.grading.task import Task
from nndl.grading.wire import WireError, pack, receive, send, unpack

pytestmark = pytest.mark.usefixtures("one_thread")

LAB = read_lab(3)
SECRET = 20_261_121
FULL = sum(question.points for question in LAB.questions)
ADAM = LAB.question("adam").points

Report = Callable[[str, object], None]


def solved() -> dict[str, Any]:
    """The released notebook, filled in with the solutions."""
    notebook = release(LAB, "en")
    answers = {cell.question: cell.source for cell in LAB.cells if cell.question}
    for cell in notebook["cells"]:
        question = cell["metadata"].get("nndl", {}).get("question")
        if question:
            cell["source"] = answers[question]
    return notebook


@pytest.fixture(scope="module")
def key() -> Key:
    return Key(LAB, SECRET)


@pytest.fixture(scope="module")
def sandbox(walls: None) -> Iterator[Sandbox]:
    with Sandbox(labs_folder() / "lab3" / "questions.py", "bubblewrap") as sandbox:
        yield sandbox


def graded(content: bytes, key: Key, sandbox: Sandbox) -> Result:
    return grade_content(Task(3, SECRET, "bubblewrap"), content, key, sandbox)


def test_a_solved_lab_has_all_points(key: Key, sandbox: Sandbox) -> None:
    result = graded(json.dumps(solved()).encode(), key, sandbox)
    assert result.points == FULL
    assert result.level == "bubblewrap"
    assert not result.flags


def test_an_empty_lab_has_none(key: Key, sandbox: Sandbox) -> None:
    result = graded(json.dumps(release(LAB, "zh")).encode(), key, sandbox)
    assert result.points == 0
    assert {mark.kind for mark in result.marks} == {"empty"}


@pytest.mark.parametrize("name", HARMLESS)
def test_misbehaviour_costs_no_other_answer(name: str, key: Key, sandbox: Sandbox) -> None:
    result = graded(HARMLESS[name](solved()), key, sandbox)
    assert result.points == FULL, (name, result.marks, result.cells)


@pytest.mark.parametrize("name", DISHONEST)
def test_dishonesty_gains_nothing(name: str, key: Key, sandbox: Sandbox) -> None:
    result = graded(DISHONEST[name](solved()), key, sandbox)
    points = {mark.question: mark.points for mark in result.marks}
    assert points["adam"] == 0, name
    # What it breaks besides is its own: other answers may lose, and none gains.
    assert result.points <= FULL - ADAM, (name, result.marks)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_has_a_reason(name: str, key: Key, sandbox: Sandbox) -> None:
    result = graded(BROKEN[name], key, sandbox)
    assert result.points == 0
    assert result.of == FULL
    assert (result.problem == "not a notebook") == (name != "cells that are no cells")


@pytest.mark.parametrize("name", ["torch's optimiser by import", "the question patched"])
def test_what_looks_wrong_is_flagged(name: str, key: Key, sandbox: Sandbox) -> None:
    assert graded(DISHONEST[name](solved()), key, sandbox).flags


def test_no_process_is_left(key: Key, sandbox: Sandbox) -> None:
    graded(HARMLESS["a daemon"](solved()), key, sandbox)
    # The worker is bubblewrap's child; a hand-in's processes would be the worker's.
    worker = sandbox._process
    assert worker is not None
    time.sleep(0.2)
    assert len(descendants(worker.pid)) <= 2


def descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(folder.name))
    found, stack = [], [pid]
    while stack:
        below = children.get(stack.pop(), [])
        found += below
        stack += below
    return found


@pytest.mark.usefixtures("walls")
def test_the_hostile_are_counted(record_property: Report) -> None:
    number = len(HARMLESS) + len(DISHONEST) + len(BROKEN)
    assert number >= 40
    record_property("grading", f"{number} hostile hand-ins tried")


def test_a_level_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="level must be one of"):
        Sandbox(Path("questions.py"), "prayer")
    assert best_level() in LEVELS


# ---- the wire

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_frame_or_an_error(content: bytes) -> None:
    here, there = socket.socketpair()
    with here, there:
        here.sendall(content)
        here.shutdown(socket.SHUT_WR)
        with pytest.raises(WireError):
            receive(there, time.monotonic() + 5)


@given(VALUES, st.binary(max_size=50))
@settings(max_examples=300, deadline=None)
def test_any_header_is_a_frame_or_an_error(value: Any, rest: bytes) -> None:
    header = json.dumps({"message": {"kind": ""}, "arrays": value}).encode()
    here, there = socket.socketpair()
    with here, there:
        here.sendall(len(header).to_bytes(4, "big") + header + rest)
        here.shutdown(socket.SHUT_WR)
        try:
            message, arrays = receive(there, time.monotonic() + 5)
        except WireError:
            return
        assert message == {"kind": ""}
        assert isinstance(arrays, dict)


def test_a_frame_goes_there_and_back() -> None:
    case = {"x": np.arange(6.0).reshape(2, 3), "n": [1, 2.5, "a"], "s": np.float64(2), "e": {}}
    arrays: dict[str, Any] = {}
    packed = pack(case, arrays)
    here, there = socket.socketpair()
    with here, there:
        send(here, {"case": packed}, arrays)
        message, came = receive(there, time.monotonic() + 5)
    back = unpack(message["case"], came)
    assert np.array_equal(back.pop("x"), case["x"])
    assert back == {"n": [1, 2.5, "a"], "s": 2.0, "e": {}}


def test_a_side_that_reads_nothing_does_not_stop_the_other() -> None:
    here, there = socket.socketpair()
    with here, there:
        start = time.monotonic()
        with pytest.raises(WireError, match="time is up"):
            send(here, {}, {"x": np.zeros(10**6)}, start + 0.2)
        assert time.monotonic() - start < 2
        there.close()
        with pytest.raises(WireError, match="broke"):
            send(here, {}, {}, start + 5)


def test_time_is_up() -> None:
    here, there = socket.socketpair()
    with here, there:
        start = time.monotonic()
        with pytest.raises(WireError, match="time is up"):
            receive(there, start + 0.1)
        assert time.monotonic() - start < 2
