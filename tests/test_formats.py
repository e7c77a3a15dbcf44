"""Labs for other graders: nbgrader's own tools take them, Gradescope finds what it looks for."""

import io
import json
import os
import re
import stat
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from importlib.util import module_from_spec, spec_from_file_location
from inspect import getsource
from pathlib import Path
from typing import Any

import pytest
from absent import not_here
from packaging.requirements import Requirement

from nndl._labs import LANGUAGES
from nndl.checking import check_answer, lab_key, lab_numbers, read_lab, release
from nndl.grading.course import FILE, Course, init_course
from nndl.grading.gradescope import autograder_zip, requirements, results_json
from nndl.grading.nbgrader import nbgrader_source
from nndl.grading.result import CellError, Mark, Result
from nndl.grading.sandbox import best_level
from nndl.grading.words import FLAGS, PROBLEMS

ROOT = Path(__file__).resolve().parents[1]
LAB = read_lab(3)
SEED = 20_261_121
POINTS = {question.name: question.points for question in LAB.questions}
NUMBERS = lab_numbers()
# nbgrader takes a second for each: a lab in one language or the other, and lab 3 in both (it is
# graded in Chinese).
RELEASED = [(number, LANGUAGES[number % 2]) for number in NUMBERS]
Notebook = dict[str, Any]


def points(notebook: Mapping[str, Any]) -> dict[str, int]:
    """The points of each cell that nbgrader marks."""
    about = [cell["metadata"].get("nbgrader", {}) for cell in notebook["cells"]]
    return {each["grade_id"]: each["points"] for each in about if each.get("grade")}


def filled(notebook: Notebook, answers: Mapping[str, str]) -> Notebook:
    """A released notebook with answers to some questions."""
    cells = [dict(cell) for cell in notebook["cells"]]
    for cell in cells:
        question = cell["metadata"].get("nndl", {}).get("question")
        if question in answers:
            cell["source"] = answers[question]
    return {**notebook, "cells": cells}


SOLVED = {cell.question: cell.source for cell in LAB.cells if cell.question}
(MISTAKE,) = [
    m for m in LAB.question("momentum").mistakes if m.name == "gradient scaled by 1 - rho"
]
# As a student would have written it.
MISTAKEN = re.sub(r": (Tensor|float)| -> Any", "", getsource(MISTAKE.answer["momentum_step"]))
MISTAKEN = re.sub(r"def \w+", "def momentum_step", MISTAKEN)
HANDINS = {"solved": SOLVED, "empty": {}, "mistaken": {**SOLVED, "momentum": MISTAKEN}}


# ---- nbgrader


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_source_for_nbgrader_has_100_points(number: int, lang: str) -> None:
    lab = read_lab(number)
    marked = points(nbgrader_source(lab, lang, SEED))
    tests = {name: points for name, points in marked.items() if name.startswith("test-")}
    assert tests == {f"test-{question.name}": question.points for question in lab.questions}
    assert sum(marked.values()) == 100


def test_hidden_inputs_need_a_seed() -> None:
    text = json.dumps(nbgrader_source(LAB, "en"))
    assert "HIDDEN TESTS" not in text
    assert json.dumps(nbgrader_source(LAB, "en", SEED)).count("BEGIN HIDDEN TESTS") == len(POINTS)


@pytest.fixture(scope="module")
def graders() -> Path:
    python = ROOT / ".venv" / "graders" / "bin" / "python"
    if not python.exists():
        not_here("nbgrader is not installed, so it is not tried: `make .venv/graders/.installed`")
    return python


def write_source(folder: Path, number: int, lang: str) -> str:
    """Put a lab among the sources of an nbgrader course; return the assignment's name."""
    name = f"lab{number}-{lang}"
    path = folder / "source" / name / f"lab{number}.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(nbgrader_source(read_lab(number), lang, SEED)))
    return name


# Runs with nbgrader's Python: its tools, in one process, on the course in this folder.
DRIVER = """
import json, os, sys
os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI
from traitlets.config import Config

config = Config()
config.CourseDirectory.root = os.getcwd()
api = NbGraderAPI(config=config)
failed, grades = {}, {}
what, *names = sys.argv[1:]
for name in names:
    assignment, _, student = name.partition(":")
    done = api.autograde(assignment, student) if student else api.generate_assignment(assignment)
    if not done["success"]:
        failed[name] = done["error"] + done["log"]
if what == "autograde":
    with Gradebook("sqlite:///" + os.path.join(os.getcwd(), "gradebook.db")) as book:
        for name in names:
            assignment, _, student = name.partition(":")
            notebook, = book.find_submission(assignment, student).notebooks
            grades[name] = {grade.name: grade.score for grade in notebook.grades}
with open("done.json", "w") as file:
    json.dump({"failed": failed, "grades": grades}, file)
"""


def nbgrader(python: Path, course: Path, *arguments: str) -> dict[str, Any]:
    command = [str(python), "-c", DRIVER, *arguments]
    ran = subprocess.run(command, cwd=course, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return json.loads((course / "done.json").read_text())


def test_nbgrader_releases_labs_without_their_solutions(graders: Path, tmp_path: Path) -> None:
    names = [write_source(tmp_path, number, lang) for number, lang in RELEASED]
    assert nbgrader(graders, tmp_path, "generate", *names)["failed"] == {}
    for name, (number, _) in zip(names, RELEASED, strict=True):
        lab = read_lab(number)
        path = tmp_path / "release" / name / f"lab{number}.ipynb"
        notebook = json.loads(path.read_text("utf-8"))
        text = "\n".join("".join(cell["source"]) for cell in notebook["cells"])
        for gone in ("BEGIN SOLUTION", "HIDDEN TESTS", str(SEED)):
            assert gone not in text, name
        for cell in lab.cells:
            if "rubric" in cell.metadata:
                assert cell.source not in text, name
        assert text.count("raise NotImplementedError") >= len(lab.questions)
        assert sum(points(notebook).values()) == 100


def test_nbgrader_marks_as_expected(graders: Path, tmp_path: Path) -> None:
    name = write_source(tmp_path, 3, "zh")
    assert nbgrader(graders, tmp_path, "generate", name)["failed"] == {}
    blank = json.loads((tmp_path / "release" / name / "lab3.ipynb").read_text("utf-8"))
    for student, answers in HANDINS.items():
        path = tmp_path / "submitted" / student / name / "lab3.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(filled(blank, answers)))
    asked = [f"{name}:{student}" for student in HANDINS]
    done = nbgrader(graders, tmp_path, "autograde", *asked)
    assert done["failed"] == {}
    full = {f"test-{name}": float(of) for name, of in POINTS.items()}
    none = dict.fromkeys(full, 0.0)
    expected = {"solved": full, "empty": none, "mistaken": {**full, "test-momentum": 0.0}}
    for handin, grades in done["grades"].items():
        assert grades.pop("written-why-correct") == 0  # until a person marks it
        assert grades == expected[handin.partition(":")[2]], handin
    # The reason stands in the notebook that the student gets back.
    graded = (tmp_path / "autograded" / "mistaken" / name / "lab3.ipynb").read_text("utf-8")
    assert MISTAKE.hint["zh"] in json.dumps(json.loads(graded), ensure_ascii=False)


# ---- Gradescope

VISIBILITY = {"hidden", "after_due_date", "after_published", "visible"}
FORMATS = {"text", "html", "simple_format", "md", "ansi"}
# The fields that Gradescope documents, with what they may hold.
TOP: dict[str, Any] = {
    "score": float,
    "execution_time": int,
    "output": str,
    "output_format": FORMATS,
    "test_output_format": FORMATS,
    "test_name_format": FORMATS,
    "visibility": VISIBILITY,
    "stdout_visibility": VISIBILITY,
    "extra_data": dict,
    "tests": list,
    "leaderboard": list,
}
ROW: dict[str, Any] = {
    "score": float,
    "max_score": float,
    "status": {"passed", "failed"},
    "name": str,
    "name_format": FORMATS,
    "number": str,
    "output": str,
    "output_format": FORMATS,
    "tags": list,
    "visibility": VISIBILITY,
    "extra_data": dict,
}


def assert_documented(fields: Mapping[str, Any], documented: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        allowed = documented[name]
        if isinstance(allowed, set):
            assert value in allowed, name
        elif allowed is float:
            assert type(value) in (int, float), name
        else:
            assert isinstance(value, allowed), name
        # PostgreSQL, which Gradescope would have to keep it in, refuses these in JSON.
        assert not re.search(r"\\u0000|\\ud[89a-f]", json.dumps(value))


def assert_for_gradescope(results: Mapping[str, Any]) -> None:
    assert_documented(results, TOP)
    for row in results["tests"]:
        assert_documented(row, ROW)
        # A hidden row would hide the student's total.
        assert row["visibility"] == "visible"
        assert ("score" in row) == ("max_score" in row)
    scores = [row.get("score", 0) for row in results["tests"]]
    assert results["score"] == sum(scores)


def scored(results: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    return {
        row["name"]: (row["score"], row["max_score"]) for row in results["tests"] if "score" in row
    }


@pytest.mark.parametrize("lang", LANGUAGES)
def test_results_have_a_row_for_each_question(lang: str) -> None:
    marks = tuple(Mark(name, of, of) for name, of in POINTS.items() if name != "adam")
    table = ("step", "yours", "right"), (("0", "1", "1"), ("1", "0.5", "0.25"))
    failed = Mark("adam", 0, POINTS["adam"], "value", "x", ("first line", "<b>hint</b>"), *table)
    output = results_json(
        Result(
            3,
            lang,
            "rlimits",
            (*marks, failed),
            flags=("system",),
            cells=(CellError(4, "raised", "E: \0\ud800 <i>", "1 / 0"),),
        )
    )
    assert_for_gradescope(output)
    titles = {question.name: question.title[lang] for question in LAB.questions}
    assert scored(output) == {
        titles[name]: (0 if name == "adam" else of, of) for name, of in POINTS.items()
    }
    (adam,) = [row for row in output["tests"] if row["name"] == titles["adam"]]
    assert adam["output"].splitlines() == [
        "first line",
        "<b>hint</b>",
        "",
        "step  yours  right",
        "0     1      1",
        "1     0.5    0.25",
    ]
    # Students' text is never taken for HTML.
    assert output["test_output_format"] == output["output_format"] == "text"
    assert "rlimits" in output["output"]
    assert "1 / 0" in output["output"]
    written = [row for row in output["tests"] if "score" not in row]
    assert len(written) == 1
    assert "10" in written[0]["output"]
    # Flags are for the instructor.
    assert output["extra_data"]["flags"] == [FLAGS["system"][lang]]
    assert FLAGS["system"][lang] not in json.dumps(output["tests"], ensure_ascii=False)


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_results_say_everywhere_why_there_are_none(problem: str, lang: str) -> None:
    output = results_json(Result(3, lang, "none", (), problem=problem))
    assert_for_gradescope(output)
    assert output["score"] == 0
    rows = [row for row in output["tests"] if "score" in row or row.get("status") == "failed"]
    assert len(rows) == len(POINTS) + 1
    assert all(PROBLEMS[problem][lang] in row["output"] for row in rows)


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Course:
    return init_course(tmp_path_factory.mktemp("course"), "en")


@pytest.fixture
def autograder(tmp_path: Path, secret: Course) -> Path:
    """What Gradescope makes of the zip: its folder, as it is before a hand-in comes."""
    with zipfile.ZipFile(io.BytesIO(autograder_zip(LAB, secret, best_level()))) as archive:
        for entry in archive.infolist():
            path = tmp_path / "source" / entry.filename
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive.read(entry))
            path.chmod(entry.external_attr >> 16 & 0o7777)
    (tmp_path / "submission").mkdir()
    return tmp_path


def test_the_zip_has_what_gradescope_needs(autograder: Path, secret: Course) -> None:
    source = autograder / "source"
    for name in ("setup.sh", "run_autograder"):
        assert os.access(source / name, os.X_OK)
        subprocess.run(["bash", "-n", source / name], check=True)
    assert stat.S_IMODE((source / FILE).stat().st_mode) == 0o600
    assert secret.secret in (source / FILE).read_text()
    # One lab and no other: what isn't there cannot be read.
    assert [path.name for path in (source / "nndl" / "labs").iterdir()] == ["lab3"]
    assert not list(source.rglob("__pycache__"))
    package = {path.relative_to(ROOT) for path in (ROOT / "nndl").rglob("*.py")}
    assert package <= {path.relative_to(source) for path in source.rglob("*.py")}
    needed = (source / "requirements.txt").read_text().splitlines()
    assert needed == requirements()
    names = {Requirement(line).name: Requirement(line).specifier for line in needed}
    assert {"torch", "numpy", "jupytext"} <= set(names)
    assert all(str(ranges) for ranges in names.values())
    assert not {"pytest", "jupyterlab", "jupyter-book"} & set(names)
    assert autograder_zip(LAB, secret, "none") == autograder_zip(LAB, secret, "none")


def test_a_level_that_does_not_exist_is_refused(secret: Course) -> None:
    with pytest.raises(ValueError, match="level must be one of"):
        autograder_zip(LAB, secret, "prayer")


STUB = '#!/bin/sh\necho "{name} $*" >> "$NNDL_AUTOGRADER/log"\n{then}\n'


@pytest.mark.parametrize("version", ["3.12", "3.10 with 3.11 beside it", "3.10"])
def test_setup_looks_for_a_python_that_is_new_enough(autograder: Path, version: str) -> None:
    programs = autograder / "programs"
    programs.mkdir()
    # A python that says how old it is, and whose venv writes down how it is called.
    venv = 'mkdir -p "$3/bin"; cp "$0" "$3/bin/python"'
    new = f"case $2 in venv) {venv};; esac"
    old = 'case $1 in -c) exit 1;; --version) echo "Python 3.10.12";; esac'
    stubs = {"apt-get": "", "python3": new if version == "3.12" else old}
    if "3.11" in version:
        stubs["python3.11"] = new
    for name, then in stubs.items():
        (programs / name).write_text(STUB.format(name=name, then=then))
        (programs / name).chmod(0o755)
    for name in ("bash", "chmod", "mkdir", "cp"):
        (programs / name).symlink_to(f"/bin/{name}")
    ran = subprocess.run(
        ["/bin/bash", autograder / "source" / "setup.sh"],
        env={"PATH": str(programs), "NNDL_AUTOGRADER": str(autograder)},
        capture_output=True,
        text=True,
        check=False,
    )
    log = (autograder / "log").read_text()
    assert "bubblewrap" in log
    if version == "3.10":
        assert ran.returncode == 1
        assert "needs Python 3.11 or later, and this image has Python 3.10.12" in ran.stderr
        assert "venv" not in log.replace("python3-venv", "").replace("python3.11-venv", "")
    else:
        assert ran.returncode == 0, ran.stderr
        assert f"-m pip install --no-cache-dir --requirement {autograder}/source" in log


def run_autograder(folder: Path) -> tuple[dict[str, Any], str]:
    ran = subprocess.run(
        [folder / "source" / "run_autograder"],
        env={**os.environ, "NNDL_AUTOGRADER": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0
    results = json.loads((folder / "results" / "results.json").read_text("utf-8"))
    assert_for_gradescope(results)
    return results, ran.stdout + ran.stderr


def test_there_are_results_when_nothing_works(autograder: Path) -> None:
    results, _ = run_autograder(autograder)
    assert results["score"] == 0
    assert PROBLEMS["grader"]["en"] in results["output"]


@pytest.mark.usefixtures("walls")
@pytest.mark.parametrize("handed_in", ["mistaken", "nothing"])
def test_gradescope_grades_a_hand_in(autograder: Path, handed_in: str) -> None:
    (autograder / "venv").symlink_to(sys.prefix)
    path = autograder / "submission" / "my lab.ipynb"
    if handed_in == "mistaken":
        path.write_text(json.dumps(filled(release(LAB, "zh"), HANDINS["mistaken"])))
    results, said = run_autograder(autograder)
    if handed_in == "mistaken":
        titles = {question.name: question.title["zh"] for question in LAB.questions}
        assert scored(results) == {
            titles[name]: (0 if name == "momentum" else of, of) for name, of in POINTS.items()
        }
        (momentum,) = [row for row in results["tests"] if row["name"] == titles["momentum"]]
        assert MISTAKE.hint["zh"] in momentum["output"]
        assert "Nothing to be looked at." in said
    else:
        assert results["score"] == 0
        assert PROBLEMS["missing"]["en"] in results["output"]


# ---- the benchmark


def test_the_benchmarks_hand_ins_deserve_what_it_expects() -> None:
    spec = spec_from_file_location("bench_grading", ROOT / "benchmarks" / "grading.py")
    assert spec is not None
    assert spec.loader is not None
    bench = module_from_spec(spec)
    spec.loader.exec_module(bench)
    blank = release(LAB, "en")
    tried = set()
    for number in range(30):
        namespace: dict[str, Any] = {}
        for cell in bench.handin(blank, number)["cells"]:
            if cell["metadata"].get("nndl", {}).get("role") == "setup" or (
                "question" in cell["metadata"].get("nndl", {})
            ):
                exec(cell["source"], namespace)
        wrong = bench.wrong_questions(number)
        failed = {
            question.name
            for question in LAB.questions
            if not check_answer(lab_key(3), question.name, namespace, "en").passed
        }
        assert failed == set(wrong), number
        assert bench.expected(number) == sum(POINTS.values()) - sum(map(POINTS.get, wrong))
        tried |= failed if len(wrong) < len(POINTS) else set()
    # Each mistake is among them.
    assert tried == set(POINTS)
