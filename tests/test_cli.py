"""The command line, from a new course to the marks."""

import csv
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hostile import BROKEN, DISHONEST, HARMLESS, first
from test_grading import FULL, LAB, descendants, solved

import nndl.grading.sandbox
from nndl.checking import lab_numbers, read_lab, release
from nndl.cli import main
from nndl.grading.course import FILE, read_course
from nndl.grading.handins import find_handins
from nndl.grading.journal import Journal
from nndl.grading.submission import read_submission

pytestmark = pytest.mark.usefixtures("one_thread")

ADAM = LAB.question("adam").points
Report = Callable[[str, object], None]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new course's folder, and the present one."""
    monkeypatch.chdir(tmp_path)
    assert main(["course", "init", "--lang", "zh"]) == 0
    return tmp_path


def handed_in(folder: Path, contents: dict[str, bytes]) -> Path:
    """Put hand-ins into a folder."""
    target = folder / "handins"
    target.mkdir()
    for student, content in contents.items():
        (target / f"{student}.ipynb").write_bytes(content)
    return target


def right() -> bytes:
    return json.dumps(solved()).encode()


def with_adam(source: str) -> bytes:
    """All right but for the answer to one question."""
    notebook = solved()
    for cell in notebook["cells"]:
        if cell["metadata"].get("nndl", {}).get("question") == "adam":
            cell["source"] = source
    return json.dumps(notebook).encode()


def marks(folder: Path) -> dict[str, dict[str, str]]:
    """The rows of the gradebook by student."""
    with (folder / "handins-graded" / "grades.csv").open(encoding="utf-8-sig", newline="") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


# ---- the course


def test_a_course_is_made_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["course", "init", str(tmp_path)]) == 0
    path = tmp_path / FILE
    before = path.read_bytes()
    assert path.stat().st_mode & 0o077 == 0
    assert main(["course", "init", str(tmp_path)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert read_course(path).secret not in repr(read_course(path))


def test_two_courses_have_two_secrets(tmp_path: Path) -> None:
    seeds = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        assert main(["course", "init", str(tmp_path / name)]) == 0
        course = read_course(tmp_path / name / FILE)
        seeds |= {course.seed(1), course.seed(2)}
    assert len(seeds) == 4


@pytest.mark.parametrize("ignored", [False, True])
def test_a_secret_that_git_would_commit_is_warned_of(
    tmp_path: Path, ignored: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    if ignored:
        (tmp_path / ".gitignore").write_text(f"{FILE}\n")
    assert main(["course", "init", str(tmp_path)]) == 0
    assert ("WARNING" in capsys.readouterr().err) == (not ignored)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("secret = 3", "no `secret`"),
        ('secret = "short"', "no `secret`"),
        ("secret = ", "damaged"),
        (f'secret = "{"0" * 64}"\nlang = "fr"', "lang must be one of"),
    ],
)
def test_a_damaged_course_is_named(
    tmp_path: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / FILE).write_text(text)
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a.ipynb").write_bytes(b"{}")
    assert main(["grade", str(tmp_path / "x"), "--course", str(tmp_path / FILE)]) == 2
    assert said in capsys.readouterr().err


# ---- the student's side


def test_a_student_starts_checks_and_is_never_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = ["lab", "start", "3", "--lang", "zh", "--out", str(tmp_path), "--no-open"]
    path = tmp_path / "lab3.ipynb"
    assert main(start) == 0
    assert main(["check", str(path)]) == 1
    said = capsys.readouterr().out
    assert said.count("还没有写") == len(LAB.questions)

    path.write_bytes(right())
    assert main(start) == 0
    assert path.read_bytes() == right()
    assert main(["check", str(path)]) == 0
    assert f"{FULL} of {FULL} points" in capsys.readouterr().out

    path.write_bytes(with_adam("def adam_step(x, *rest):\n    return 1 / 0"))
    assert main(["check", str(path), "--question", "adam"]) == 1
    said = capsys.readouterr().out
    assert "in line 2" in said
    assert "ZeroDivisionError" in said


def test_a_cell_that_raises_costs_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "lab3.ipynb"
    path.write_bytes(first("print('noi' + 'se')\n1 / 0")(solved()))
    assert main(["check", str(path)]) == 0
    said = capsys.readouterr().out
    assert "ZeroDivisionError" in said
    assert "noise" not in said


@pytest.mark.parametrize("source", ["raise SystemExit", "exit()", "quit(0)"])
def test_an_exit_ends_neither_check_nor_question(
    tmp_path: Path, source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "lab3.ipynb"
    path.write_bytes(first(source)(solved()))
    assert main(["check", str(path)]) == 0
    assert "SystemExit" in capsys.readouterr().out
    path.write_bytes(with_adam(f"def adam_step(*rest):\n    {source}"))
    assert main(["check", str(path)]) == 1
    assert f"{FULL - ADAM} of {FULL} points" in capsys.readouterr().out


def test_what_a_student_adds_to_the_first_cell_counts(tmp_path: Path) -> None:
    notebook = json.loads(with_adam("adam_step = later"))
    (setup,) = (c for c in notebook["cells"] if c["metadata"].get("nndl") == {"role": "setup"})
    answers = [c.source for c in LAB.cells if c.question == "adam"]
    setup["source"] += "\n" + answers[0].replace("adam_step", "later")
    path = tmp_path / "lab3.ipynb"
    path.write_text(json.dumps(notebook))
    assert main(["check", str(path)]) == 0


@pytest.mark.parametrize("number", lab_numbers())
def test_a_solved_lab_has_no_flags(number: int) -> None:
    content = json.dumps(release(read_lab(number), "zh", solved=True)).encode()
    assert read_submission(content).flags == ()


@pytest.mark.parametrize("content", [*BROKEN.values(), b'{"cells": []}'])
def test_what_is_no_lab_is_said(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "lab3.ipynb"
    path.write_bytes(content)
    assert main(["check", str(path)]) == 2
    assert str(path) in capsys.readouterr().err


def test_the_level_on_gradescope_must_be_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["lab", "release", "3", "--out", "out", "--format", "gradescope"]
    assert main(command) == 2
    assert "--level rlimits" in capsys.readouterr().err
    assert not (folder / "out").exists()


@pytest.mark.parametrize("format", ["jupyter", "nbgrader", "gradescope"])
def test_a_release_overwrites_only_when_told_to(
    folder: Path, format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["lab", "release", "3", "--lang", "zh", "--out", "out", "--format", format]
    command += ["--level", "rlimits"]
    assert main(command) == 0
    (path,) = (folder / "out").iterdir()
    content = path.read_bytes()
    assert main(command) == 0
    path.write_bytes(b"changed")
    assert main(command) == 2
    assert "--force" in capsys.readouterr().err
    assert main([*command, "--force"]) == 0
    assert path.read_bytes() == content
    secret = read_course(folder / FILE).secret.encode()
    assert secret not in content
    assert (path.stat().st_mode & 0o077 == 0) == (format != "jupyter")


# ---- grading


@pytest.mark.usefixtures("walls")
def test_a_folder_with_hostile_hand_ins_is_graded(
    folder: Path, record_property: Report, capsys: pytest.CaptureFixture[str]
) -> None:
    honest = {"Right": right(), "李华": json.dumps(release(LAB, "zh")).encode()}
    wrong = with_adam(
        "def adam_step(x, grad, state, lr, beta1, beta2, eps):\n    return x - lr * grad"
    )
    hostile = {
        name: HARMLESS[name](solved())
        for name in ("os._exit", "a fork bomb", "signals to everyone", "50 GB of memory", "magics")
    }
    cheating = {
        name: DISHONEST[name](solved())
        for name in ("torch's optimiser by import", "the question patched", "deleted")
    }
    contents = {**honest, "wrong": wrong, **hostile, **cheating, "broken": BROKEN["no JSON"]}
    handins = handed_in(folder, contents)
    before = {path: hashlib.sha256(path.read_bytes()).digest() for path in handins.iterdir()}
    assert main(["grade", str(handins)]) == 0
    assert f"Hand-ins graded at level bubblewrap: {len(contents)}." in capsys.readouterr().out

    rows = marks(folder)
    assert len(rows) == len(contents)
    points = {student: float(row["machine"]) for student, row in rows.items()}
    for student in ("Right", *hostile):
        assert points[student] == FULL, student
    assert points["李华"] == points["broken"] == 0
    assert points["wrong"] == FULL - ADAM
    assert all(points[student] <= FULL - ADAM for student in cheating)
    assert rows["broken"]["problem"]
    assert all(row["level"] == "bubblewrap" for row in rows.values())
    out = folder / "handins-graded"
    assert len(list((out / "feedback").iterdir())) == len(contents)
    assert "bubblewrap" in (out / "summary.html").read_text("utf-8")
    assert before == {p: hashlib.sha256(p.read_bytes()).digest() for p in handins.iterdir()}
    record_property("command line", f"{len(contents)} hand-ins graded in one run")

    # Again: nothing is graded twice, and the marks are the same.
    journal = (out / "journal.jsonl").read_bytes()
    assert main(["grade", str(handins)]) == 0
    assert marks(folder) == rows
    assert (out / "journal.jsonl").read_bytes() == journal
    # All anew: the same marks.
    assert main(["grade", str(handins), "--again"]) == 0
    assert marks(folder) == rows


@pytest.mark.usefixtures("walls")
def test_nothing_gets_in_or_out(folder: Path) -> None:
    """A hand-in looks for the secret and other hand-ins, writes everywhere and calls home."""
    course, outside = folder / FILE, folder / "outside.txt"
    outside.write_text("as it was")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        spy = f"""
import os, socket
for path in ({str(course)!r}, {str(folder / "handins" / "other.ipynb")!r}):
    try: print(open(path).read())
    except OSError as error: print("refused:", type(error).__name__)
for path in ({str(outside)!r}, {str(folder / "handins" / "other.ipynb")!r}, {str(course)!r}):
    try: open(path, "w").write("mine"); print("written inside")
    except OSError as error: print("refused:", type(error).__name__)
try: socket.create_connection(("127.0.0.1", {port}), 2); print("connected")
except OSError as error: print("refused:", type(error).__name__)
"""
        contents = {"spy": first(spy)(solved()), "other": right()}
        handins = handed_in(folder, contents)
        assert main(["grade", str(handins), "--workers", "1"]) == 0
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.accept()
    results = Journal(folder / "handins-graded" / "journal.jsonl").entries
    output = results["spy"].result.output
    assert output.count("refused:") == 6, output
    assert "system" in results["spy"].result.flags
    assert outside.read_text() == "as it was"
    assert (handins / "other.ipynb").read_bytes() == right()
    secret = read_course(course).secret
    written = [path for path in (folder / "handins-graded").rglob("*") if path.is_file()]
    assert len(written) > 4
    assert not [path for path in written if secret.encode() in path.read_bytes()]


@pytest.mark.usefixtures("walls")
def test_one_question_is_graded_again(folder: Path) -> None:
    handins = handed_in(folder, {"a": right(), "b": with_adam("adam_step = None")})
    assert main(["grade", str(handins)]) == 0
    journal = Journal(folder / "handins-graded" / "journal.jsonl")
    with journal.writing():
        for entry in list(journal.entries.values()):
            # Marks as an earlier state of the lab might have given them.
            old = tuple(replace(mark, points=1) for mark in entry.result.marks)
            result = replace(entry.result, marks=old)
            journal.add(replace(entry, task="an earlier state", result=result))
    assert main(["grade", str(handins), "--only", "adam"]) == 0
    rows = marks(folder)
    assert (rows["a"]["adam"], rows["b"]["adam"]) == (str(ADAM), "0")
    assert rows["a"]["momentum"] == rows["b"]["momentum"] == "1"


@pytest.mark.usefixtures("walls")
def test_an_interrupted_run_goes_on(folder: Path) -> None:
    slow = first("import time; time.sleep(3)")(solved())
    handins = handed_in(folder, {"quick": right(), **{f"slow{n}": slow for n in range(6)}})
    command = [sys.executable, "-m", "nndl.cli", "grade", str(handins), "--workers", "1"]
    process = subprocess.Popen(
        command,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        # Where the tests run in the background, interrupts are switched off, and so for children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    path = folder / "handins-graded" / "journal.jsonl"
    deadline = time.monotonic() + 120
    while not (path.exists() and path.read_bytes().count(b"\n") >= 2):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    below = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "the same command goes on" in out.decode()
    deadline = time.monotonic() + 10
    while [pid for pid in below if Path(f"/proc/{pid}/exe").exists()]:
        assert time.monotonic() < deadline
        time.sleep(0.05)

    done = set(Journal(path).entries)
    assert 1 < len(done) < 7
    # The machine stopped in the middle of a line.
    with path.open("ab") as file:
        file.write(path.read_bytes()[:50])
    lines = path.read_bytes().count(b"\n")
    assert main(["grade", str(handins)]) == 0
    assert len(marks(folder)) == 7
    assert path.read_bytes().count(b"\n") - lines == 7 - len(done) + 1


def test_a_worker_that_does_not_start_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    handins = handed_in(folder, {"a": right()})
    assert main(["grade", str(handins), "--level", "none"]) == 2
    assert "does not start" in capsys.readouterr().err


@pytest.mark.usefixtures("walls")
def test_what_a_person_gives_counts_and_nonsense_stops_the_run_first(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook = solved()
    (answer,) = (c for c in notebook["cells"] if "written" in c["metadata"].get("nndl", {}))
    answer["source"] = "Because both moments begin at 0."
    handins = handed_in(folder, {"a": json.dumps(notebook).encode()})
    assert main(["grade", str(handins)]) == 0
    assert "written answers wait for you: 1." in capsys.readouterr().out
    table = folder / "handins-graded" / "written.csv"
    text = table.read_text("utf-8-sig")
    assert text.count(",10,,,") == 1
    table.write_text(text.replace(",10,,,", ",10,7.5,good,"), "utf-8-sig")
    assert main(["grade", str(handins)]) == 0
    assert "wait for you" not in capsys.readouterr().out
    assert float(marks(folder)["a"]["total"]) == FULL + 7.5
    table.write_text(text.replace(",10,,,", ",10,11,,"), "utf-8-sig")
    before = (folder / "handins-graded" / "grades.csv").read_bytes()
    assert main(["grade", str(handins), "--again"]) == 2
    assert "written.csv, line 2" in capsys.readouterr().err
    assert (folder / "handins-graded" / "grades.csv").read_bytes() == before


def test_below_bubblewrap_the_level_must_be_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(nndl.grading.sandbox, "best_level", lambda: "rlimits")
    handins = handed_in(folder, {"a": right()})
    assert main(["grade", str(handins)]) == 2
    assert "--level rlimits" in capsys.readouterr().err
    assert main(["grade", str(handins), "--level", "rlimits"]) == 0
    assert marks(folder)["a"]["level"] == "rlimits"
    assert float(marks(folder)["a"]["machine"]) == FULL


def test_at_the_level_rlimits_files_of_root_alone_stay_closed(folder: Path) -> None:
    """Anybody else's hand-ins can read what their grader can: the level must be named."""
    peek = f"print(open({str(folder / FILE)!r}).read())"
    folder.chmod(0o755)
    handins = handed_in(folder, {"a": first(peek)(solved())})
    assert main(["grade", str(handins), "--level", "rlimits"]) == 0
    result = Journal(folder / "handins-graded" / "journal.jsonl").entries["a"].result
    secret = read_course(folder / FILE).secret
    assert (secret in result.output) == (os.getuid() != 0)
    assert result.points == FULL


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["handins", "--lab", "9"], "there is no lab 9"),
        (["handins"], "name the lab with --lab"),
        (["nowhere"], "not a folder"),
        (["empty"], "no hand-ins"),
        (["handins", "--lab", "3", "--workers", "0"], "--workers must be at least 1"),
        (["handins", "--lab", "3", "--only", "nothing"], "no question 'nothing'"),
        (["handins", "--lab", "3", "--due", "tomorrow"], "tomorrow"),
        (["handins", "--lab", "3", "--late-per-day", "200"], "between 0 and 100"),
        (["handins", "--lab", "3", "--out", "handins/x"], "must not be inside"),
    ],
)
def test_bad_arguments_are_named(
    folder: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    handed_in(folder, {"a": BROKEN["empty"]})
    (folder / "empty").mkdir()
    assert main(["grade", *arguments, "--level", "none"]) == 2
    assert said in capsys.readouterr().err


# ---- finding the hand-ins


def test_hand_ins_of_canvas_moodle_and_nbgrader_are_found(tmp_path: Path) -> None:
    for name in (
        "zhangwei_12345_67890_lab3.ipynb",
        "lihua_LATE_12346_67891_lab3-1.ipynb",
        "Wang Fang_777_assignsubmission_file_/lab3.ipynb",
        "Wang Fang_778_assignsubmission_file_lab3.ipynb",
        "zhangwei_12399_67899_lab3.ipynb",
        "hitchhiker/lab3.ipynb",
        "nothing/report.pdf",
        ".DS_Store",
        "notes.txt",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"{}")
    (tmp_path / "hitchhiker" / "timestamp.txt").write_text("2026-11-20 12:00:00.5 UTC")
    (tmp_path / "link.ipynb").symlink_to("/etc/passwd")
    found = {handin.student: handin for handin in find_handins(tmp_path)}
    namesakes = {"zhangwei (12345)", "zhangwei (12399)", "Wang Fang (777)", "Wang Fang (778)"}
    assert set(found) == {*namesakes, "lihua", "hitchhiker", "nothing", "link"}
    assert found["zhangwei (12345)"].canvas_id == "12345"
    assert not found["zhangwei (12345)"].marked_late
    assert not any(handin.flags for handin in found.values())
    assert found["lihua"].marked_late
    assert found["Wang Fang (777)"].moodle_id == "777"
    assert found["Wang Fang (778)"].moodle_id == "778"
    when = found["hitchhiker"].handed_in
    assert when is not None
    assert when.isoformat() == "2026-11-20T12:00:00.500000+00:00"
    assert found["nothing"].problem == "missing"
    assert found["link"].problem == "link"


def test_the_last_of_several_is_taken_and_flagged(tmp_path: Path) -> None:
    for number, name in enumerate(("a_1_5_lab3.ipynb", "a_1_6_lab3-1.ipynb")):
        path = tmp_path / name
        path.write_bytes(b"{}")
        os.utime(path, (number, number))
    (found,) = find_handins(tmp_path)
    assert found.path == tmp_path / "a_1_6_lab3-1.ipynb"
    assert found.flags == ("several",)


def test_of_several_labs_the_one_asked_for_is_taken(tmp_path: Path) -> None:
    for when, number in enumerate((3, 3, 4)):
        path = tmp_path / "li" / f"lab{number}-{when}.ipynb"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(release(read_lab(number), "zh")))
        os.utime(path, (when, when))
    (found,) = find_handins(tmp_path, 3)
    assert found.path == tmp_path / "li" / "lab3-1.ipynb"
    assert found.flags == ("several",)
    (found,) = find_handins(tmp_path, 4)
    assert found.path == tmp_path / "li" / "lab4-2.ipynb"
    assert found.flags == ()


@pytest.mark.parametrize(
    "command", ["", "lab", "lab list", "lab start", "lab release", "check", "course init", "grade"]
)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([*command.split(), "--help"])
    assert end.value.code == 0
    usage, about, *_ = capsys.readouterr().out.split("\n\n")
    assert usage.startswith(f"usage: nndl {command}".strip())
    assert about.endswith(".")
