"""Compare nndl grade with nbgrader autograde and otter run, in hand-ins a minute.

All three mark the same hand-ins of lab 3 on the same machine in one run: half of them right, most
of the others with one mistake or two, every tenth empty. Hidden inputs and points are the same, and
whether the scores agree is asserted. Each command is timed from its start to its end, so starting
Python and importing torch count. What each does in that time differs, as it does for a course:
nndl grade keeps hand-ins behind walls and writes feedback pages; the others run the notebook as a
whole, its plots included, and nbgrader's feedback would be a command more. nbgrader autograde marks
all hand-ins in one process, one after the other. otter run starts anew for each hand-in, so a few
are enough to know how long one takes. nndl grade is run three times, and its median counts.
"""

import argparse
import csv
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from nndl.checking import read_lab
from nndl.grading.course import init_course
from nndl.grading.nbgrader import nbgrader_source
from nndl.grading.sandbox import best_level

LAB = read_lab(3)
LANG = "en"
POINTS = {question.name: question.points for question in LAB.questions}
SOLUTION = {cell.question: cell.source for cell in LAB.cells if cell.question}
# A mistake in each question: what is written in place of what.
MISTAKES = {
    "momentum": ("rho * velocity + grad", "rho * velocity + (1 - rho) * grad"),
    "unrolled": ("rho**ages", "rho ** (ages + 1)"),
    "memory": ("(1 - rho), n", "(1 - rho), n - 1"),
    "nesterov": ("grad + rho * velocity)", "velocity)"),
    "moments": ("m / (1 - beta1**t)", "m / (1 - beta1)"),
    "adam": ("v_hat.sqrt() + eps", "(v_hat + eps).sqrt()"),
    "parameters": ("m_hat, v_hat = m /", "t += 1; m_hat, v_hat = m /"),
    "amsgrad": ('torch.maximum(state.get("largest", v), v)', "v"),
}
HANDINS, WITH_OTTER, ROUNDS = 60, 6, 3
TARGETS = {"nbgrader autograde": 20, "otter run": 50}
GRADERS = Path(sys.prefix, "graders", "bin")

Notebook = dict[str, Any]
Scores = dict[str, float]


def wrong_questions(number: int) -> list[str]:
    """Return the questions that a hand-in has wrong: by its last digit 0 to 4 none, 9 all."""
    names, digit = list(MISTAKES), number % 10
    if digit < 5:
        return []
    if digit == 9:
        return names
    first = (4 * (number // 10) + digit) % len(names)
    return names[first : first + 1 + digit % 2]


def handin(blank: Notebook, number: int) -> Notebook:
    """Return a released notebook, filled in."""
    wrong = wrong_questions(number)
    notebook: Notebook = json.loads(json.dumps(blank))
    if len(wrong) == len(MISTAKES):
        return notebook
    for cell in notebook["cells"]:
        name = cell["metadata"].get("nndl", {}).get("question")
        if name:
            cell["source"] = SOLUTION[name]
        if name in wrong:
            right, mistaken = MISTAKES[name]
            assert right in cell["source"], name
            cell["source"] = cell["source"].replace(right, mistaken)
    return notebook


def expected(number: int) -> int:
    """Return the points that a hand-in deserves."""
    return sum(points for name, points in POINTS.items() if name not in wrong_questions(number))


def student(number: int) -> str:
    """Return a name that sorts by number."""
    return f"student{number:03}"


def run(command: Sequence[str | Path], folder: Path) -> float:
    """Run a command; return the seconds that it took, or stop with what it said."""
    # Both graders call programs that lie beside them.
    environment = {**os.environ, "PATH": f"{GRADERS}{os.pathsep}{os.environ['PATH']}"}
    begin = time.perf_counter()
    ran = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - begin
    if ran.returncode != 0:
        sys.exit(
            f"{' '.join(map(str, command))}\nended with {ran.returncode}:\n{ran.stdout[-3000:]}"
        )
    return seconds


def write(path: Path, notebook: Notebook) -> None:
    """Write a notebook where a grader looks for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook), "utf-8")


# ---- nbgrader


def release_with_nbgrader(folder: Path, source: Notebook) -> Notebook:
    """Let nbgrader make the students' notebook: it wants to know hand-ins again."""
    write(folder / "source" / "lab3" / "lab3.ipynb", source)
    run([GRADERS / "nbgrader", "generate_assignment", "lab3"], folder)
    return json.loads((folder / "release" / "lab3" / "lab3.ipynb").read_text("utf-8"))


def time_nbgrader(folder: Path, handins: Sequence[Notebook]) -> tuple[float, Scores]:
    """Return the seconds that nbgrader took, and its scores."""
    for number, notebook in enumerate(handins):
        write(folder / "submitted" / student(number) / "lab3" / "lab3.ipynb", notebook)
    seconds = run([GRADERS / "nbgrader", "autograde", "lab3"], folder)
    run([GRADERS / "nbgrader", "export", "--to", "grades.csv"], folder)
    with (folder / "grades.csv").open(encoding="utf-8", newline="") as file:
        return seconds, {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}


# ---- Otter


def otter_source(source: Notebook) -> Notebook:
    """Return the lab as otter assign wants it, with the tests that nbgrader has, hidden too."""
    config = "# ASSIGNMENT CONFIG\ninit_cell: false\nexport_cell: false\ngenerate: true"
    cells = [raw_cell(config)]
    for cell in source["cells"]:
        about = cell["metadata"].get("nndl", {})
        if about.get("role") == "setup":
            cells.append(code_cell(cell["source"]))
        elif "question" in about:
            name = about["question"]
            cells += [
                raw_cell(f"# BEGIN QUESTION\nname: {name}\npoints: {POINTS[name]}"),
                raw_cell("# BEGIN SOLUTION"),
                code_cell(cell["source"]),
                raw_cell("# END SOLUTION"),
            ]
        elif about.get("role") == "check":
            test = cell["source"].removesuffix("\nreport")
            cells += [
                raw_cell("# BEGIN TESTS"),
                code_cell("# HIDDEN\n" + test),
                raw_cell("# END TESTS"),
                raw_cell("# END QUESTION"),
            ]
    return {**source, "cells": [{**cell, "id": f"cell-{n}"} for n, cell in enumerate(cells)]}


def raw_cell(source: str) -> dict[str, Any]:
    """Return a cell that says something to Otter."""
    return {"cell_type": "raw", "metadata": {}, "source": source}


def code_cell(source: str) -> dict[str, Any]:
    """Return a cell with code."""
    cell = {"cell_type": "code", "metadata": {}, "source": source}
    return {**cell, "outputs": [], "execution_count": None}


def autograder_of_otter(folder: Path, source: Notebook) -> Path:
    """Let otter assign make the zip that otter run takes."""
    write(folder / "lab3.ipynb", otter_source(source))
    run([GRADERS / "otter", "assign", "lab3.ipynb", "made", "--no-run-tests", "--no-pdfs"], folder)
    (path,) = (folder / "made" / "autograder").glob("*.zip")
    return path


def time_otter(folder: Path, zipped: Path, handins: Mapping[int, Notebook]) -> tuple[float, Scores]:
    """Return the seconds that Otter took, and its scores."""
    seconds = 0.0
    scores: Scores = {}
    for number, notebook in tqdm(handins.items(), unit="hand-in", leave=False):
        path = folder / f"{student(number)}.ipynb"
        write(path, notebook)
        out = folder / student(number)
        out.mkdir()
        command = [GRADERS / "otter", "run", path, "--autograder", zipped, "--output-dir", out]
        seconds += run([*command, "--no-logo"], folder)
        results = json.loads((out / "results.json").read_text("utf-8"))
        scores[student(number)] = sum(test.get("score", 0) for test in results["tests"])
    return seconds, scores


# ---- ours


def time_nndl(folder: Path, handins: Path, course: Path) -> tuple[float, Scores]:
    """Return the seconds that we took, feedback pages written, and our scores."""
    command = [sys.executable, "-m", "nndl.cli", "grade", handins, "--out", folder]
    seconds = run([*command, "--course", course, "--level", best_level()], handins)
    with (folder / "grades.csv").open(encoding="utf-8-sig", newline="") as file:
        scores = {row["student"]: float(row["machine"]) for row in csv.DictReader(file)}
    assert len(list((folder / "feedback").glob("*.html"))) == len(scores)
    return seconds, scores


def line(name: str, count: int, seconds: float, ours: float = 0.0) -> str:
    """Return a row of the table: hand-ins, seconds, hand-ins a minute, and our ratio to that."""
    rate = 60 * count / seconds
    row = f"{name:20}{count:>5}{seconds:>9.1f} s{rate:>9.1f}"
    if not ours:
        return row
    ratio, target = ours / rate, TARGETS[name]
    return f"{row}{ratio:>9.1f}  {target} {'met' if ratio >= target else 'MISSED'}"


def main() -> None:
    """Run all three and print the table."""
    summary, _, explanation = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument(
        "--handins",
        type=int,
        default=HANDINS,
        metavar="N",
        help="how many (default: %(default)s; the first 10 have one of each kind)",
    )
    count = parser.parse_args().handins
    if count < 1:
        parser.error("--handins must be at least 1")
    if not (GRADERS / "nbgrader").exists():
        parser.error("nbgrader and Otter are not installed: `make bench` sets them up")
    print(textwrap.fill(explanation, 98))
    print(f"\ntorch {torch.__version__}, Python {platform.python_version()}, {platform.machine()}")
    print(f"processors: {os.cpu_count()}; our walls: {best_level()}", flush=True)

    scores: dict[str, Scores] = {}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        nbgrader, otter, ours = root / "nbgrader", root / "otter", root / "handins"
        for folder in (nbgrader, otter, ours):
            folder.mkdir()
        course = init_course(root, LANG)
        source = nbgrader_source(LAB, LANG, course.seed(LAB.number))
        # nbgrader's release serves all three: it has what each needs to know.
        blank = release_with_nbgrader(nbgrader, source)
        handins = [handin(blank, number) for number in range(count)]
        zipped = autograder_of_otter(otter, source)
        for number, notebook in enumerate(handins):
            write(ours / f"{student(number)}.ipynb", notebook)

        rounds = []
        for attempt in range(ROUNDS):
            seconds, scores["nndl grade"] = time_nndl(root / str(attempt), ours, course.path)
            rounds.append(seconds)
        seconds = statistics.median(rounds)
        rate = 60 * count / seconds
        print(f"\n{'':20}{'hand-ins':>9}{'time':>7}{'a minute':>9}{'ratio':>9}  target")
        print(line("nndl grade", count, seconds), "  times:", *(f"{s:.1f}" for s in rounds))
        # The last of the first ten: of those are right, wrong and empty ones.
        few = {number: handins[number] for number in range(count)[:10][-WITH_OTTER:]}
        seconds, scores["otter run"] = time_otter(otter, zipped, few)
        print(line("otter run", len(few), seconds, rate), flush=True)
        seconds, scores["nbgrader autograde"] = time_nbgrader(nbgrader, handins)
        print(line("nbgrader autograde", count, seconds, rate))

    for grader, given in scores.items():
        for who, score in given.items():
            deserved = expected(int(who.removeprefix("student")))
            assert score == deserved, f"{grader} gives {who} {score} points instead of {deserved}"
    assert [len(given) for given in scores.values()] == [count, len(few), count]
    print("all scores agree, and are those expected")


if __name__ == "__main__":
    main()
