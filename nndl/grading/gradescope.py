"""Gradescope: the autograder that it runs, and the results that it shows.

Gradescope starts a container for each hand-in and trusts what ``run_autograder`` leaves in
``results.json``. The zip that is made here brings this package along, with the one lab and the
course's secret, and grades with ``nndl grade`` as on any other machine. One thing is weaker: most
containers allow no bubblewrap, so a lower level has to be named. There the grader is root and a
hand-in becomes nobody, to whom the zip's files are closed, the secret and the solutions among them.

References
----------
https://gradescope-autograders.readthedocs.io/en/latest/specs/ has the fields of ``results.json``.
"""

import io
import json
import shlex
import zipfile
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path
from typing import Any
from unicodedata import category

from packaging.requirements import Requirement

from nndl._labs import labs_folder
from nndl.checking.question import Text
from nndl.checking.report import lined_up
from nndl.checking.source import Lab, read_lab
from nndl.grading.course import FILE, Course
from nndl.grading.result import Mark, Result
from nndl.grading.words import CELLS, FLAGS, LEVELS, PROBLEMS
from nndl.grading.written import written_questions

__all__ = ["autograder_zip", "requirements", "results_json"]

PACKAGE = Path(__file__).resolve().parents[1]
LAB_FILES = ("lab.md", "questions.py", "mistakes.py")
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date of a zip: the same content makes the same file
LONGEST = 10_000  # characters of one text

WORDS: dict[str, Text] = {
    "level": {"zh": "隔离级别：{level}", "en": "Graded behind these walls: {level}"},
    "passed": {"zh": "通过", "en": "Passed"},
    "unmarked": {"zh": "没有评这一题。", "en": "This question was not marked."},
    "problem": {"zh": "无法评分", "en": "This hand-in could not be graded"},
    "written": {
        "zh": "书面题，{points} 分：由老师在 Gradescope 上评分。",
        "en": "A written question of {points} points: a person marks it on Gradescope.",
    },
}

SETUP = """\
#!/usr/bin/env bash
# Gradescope runs this once, as root, when it builds the image.
set -euo pipefail
root="${NNDL_AUTOGRADER:-/autograder}"
export DEBIAN_FRONTEND=noninteractive
new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; }

apt-get update
apt-get install -y --no-install-recommends bubblewrap python3 python3-venv
python=python3
if ! new_enough python3; then
  # Ubuntu 22.04 has Python 3.11 beside its own 3.10.
  apt-get install -y --no-install-recommends python3.11 python3.11-venv || true
  python=python3.11
  if ! command -v python3.11 >/dev/null || ! new_enough python3.11; then
    echo "nndl needs Python 3.11 or later, and this image has $(python3 --version)." >&2
    echo "Choose a newer base image in the autograder's settings: Ubuntu 22.04 or later." >&2
    exit 1
  fi
fi
"$python" -m venv "$root/venv"
# On Linux, pip's default build of PyTorch brings several gigabytes of GPU libraries, which grading
# never needs. For a smaller image, install PyTorch's CPU build here first, by the command that its
# install page shows (with "$root/venv/bin/python" -m pip in place of pip).
"$root/venv/bin/python" -m pip install --no-cache-dir --requirement "$root/source/requirements.txt"
# Hand-ins run as nobody where there is no bubblewrap: what lies here is not theirs to read.
chmod -R go= "$root/source"
"""

RUN = """\
#!/usr/bin/env bash
# Gradescope runs this for each hand-in. What it prints is shown to instructors only.
root="${NNDL_AUTOGRADER:-/autograder}"
results="$root/results/results.json"
python="$root/venv/bin/python"
mkdir -p "$root/results"
# Whatever happens next, there are results with a reason.
cp "$root/source/failed.json" "$results"
cd "$root/source" || exit 0
"$python" -m nndl.cli grade "$root/submission" --lab {lab} --level {level} \\
  --course "$root/source/{secret}" --gradescope "$results"
"$python" - "$results" <<'END'
import json, sys
with open(sys.argv[1], encoding="utf-8") as file:
    flags = json.load(file)["extra_data"]["flags"]
print("For a person to look at:" if flags else "Nothing to be looked at.", *flags, sep="\\n")
END
exit 0
"""


def autograder_zip(lab: Lab, course: Course, level: str) -> bytes:
    """Return the zip with the autograder of a lab for Gradescope. It contains the course's secret.

    Parameters
    ----------
    lab
        The lab.
    course
        Whose secret the hidden inputs are drawn from.
    level
        The level of the walls: in most of Gradescope's containers there is no bubblewrap.

    Raises
    ------
    ValueError
        If there is no such level.
    """
    if level not in LEVELS:
        raise ValueError(f"level must be one of {tuple(LEVELS)}, got {level!r}")
    failed = Result(lab.number, course.lang, level, (), problem="grader")
    secret = course.path.read_text("utf-8")
    words = {"lab": str(lab.number), "level": shlex.quote(level), "secret": FILE}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:

        def write(name: str, text: str | bytes, mode: int = 0o644) -> None:
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, or the mode is not looked at
            entry.external_attr = (0o100000 | mode) << 16
            archive.writestr(entry, text)

        write("setup.sh", _filled(SETUP, words), 0o755)
        write("run_autograder", _filled(RUN, words), 0o755)
        write("requirements.txt", "".join(f"{line}\n" for line in requirements()))
        write("failed.json", json.dumps(results_json(failed), indent=1))
        write(FILE, secret, 0o600)
        for name, file in _package(lab):
            write(name, file.read_bytes())
    return content.getvalue()


def requirements() -> list[str]:
    """Return what grading needs, in the ranges of the package's metadata.

    Examples
    --------
    >>> any(line.startswith("torch") for line in requirements())
    True
    """
    needed = [Requirement(line) for line in requires("nndl") or []]
    chosen = {
        f"{each.name}{each.specifier}"
        for each in needed
        if each.marker is None or each.marker.evaluate({"extra": "grading"})
    }
    return sorted(chosen)


def results_json(result: Result) -> dict[str, Any]:
    """Return Gradescope's ``results.json`` for a graded hand-in.

    Written questions have a row without a score: the person who marks them does so by the rubric of
    the same assignment, and Gradescope adds both. No row is ever hidden, since Gradescope would
    then hide the student's total as well; what a person should look at is in ``extra_data``, which
    students don't see.

    Parameters
    ----------
    result
        What the grader found.

    Examples
    --------
    >>> shown = results_json(Result(3, "en", "bubblewrap", (Mark("memory", 5, 5),)))
    >>> shown["score"], shown["tests"][2]["name"], shown["tests"][2]["output"]
    (5, 'How far back a velocity remembers', 'Passed')
    """
    lang, lab = result.lang, read_lab(result.lab)
    problem = PROBLEMS[result.problem][lang] if result.problem else ""
    marks = {mark.question: mark for mark in result.marks}
    tests: list[dict[str, Any]] = []
    if problem:
        tests.append(_row(WORDS["problem"][lang], problem, status="failed"))
    for question in lab.questions:
        mark = marks.get(question.name, Mark(question.name, 0, question.points, "unmarked"))
        output = problem or _reasons(mark, lang)
        tests.append(
            _row(question.title[lang], output, score=mark.points, max_score=question.points)
        )
    for written in written_questions(lab):
        words = WORDS["written"][lang].format(points=written.of)
        tests.append(_row(written.title[lang], words))
    top = [problem] if problem else []
    top.append(WORDS["level"][lang].format(level=LEVELS[result.level][lang]))
    top += [CELLS[error.kind][lang].format(**vars(error)) for error in result.cells]
    return {
        "score": result.points,
        "output": _clean("\n".join(top)),
        "output_format": "text",
        "test_output_format": "text",
        "test_name_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "extra_data": {
            "flags": [FLAGS[flag][lang] for flag in result.flags],
            "mistakes": {mark.question: mark.mistake for mark in result.marks if mark.mistake},
            "level": result.level,
        },
        "tests": tests,
    }


def _row(name: str, output: str, **others: Any) -> dict[str, Any]:
    return {**others, "name": _clean(name), "output": _clean(output), "visibility": "visible"}


def _reasons(mark: Mark, lang: str) -> str:
    """Return what a question's check said, with its table, as plain text."""
    if not mark.kind:
        return WORDS["passed"][lang]
    lines = list(mark.reasons) or [WORDS["unmarked"][lang]]
    if mark.rows:
        lines += ["", *lined_up([mark.head, *mark.rows])]
    return "\n".join(lines)


def _clean(text: str) -> str:
    """Return a text without what a student may have put there to break the page or the database."""
    text = text[:LONGEST].encode("utf-8", "replace").decode()
    return "".join(sign for sign in text if sign in "\n\t" or category(sign) != "Cc")


def _package(lab: Lab) -> Iterator[tuple[str, Path]]:
    """List the files of this package and of one lab, with their names in the zip."""
    for path in sorted(PACKAGE.rglob("*")):
        within = path.relative_to(PACKAGE)
        if path.is_file() and within.parts[0] != "labs" and "__pycache__" not in within.parts:
            yield f"nndl/{within.as_posix()}", path
    for name in LAB_FILES:
        folder = f"lab{lab.number}"
        yield f"nndl/labs/{folder}/{name}", labs_folder() / folder / name


def _filled(script: str, words: dict[str, str]) -> str:
    """Fill in words by name; the shell's own braces stay."""
    for name, word in words.items():
        script = script.replace("{" + name + "}", word)
    return script
