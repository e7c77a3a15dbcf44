"""Marks that a person gives: a table to fill in, which the next run reads.

``written.csv`` has a row for each written answer. On the first run its points are empty; whatever
a person fills in is kept, and counts from the next run on.
"""

import csv
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TypeAlias

from nndl._labs import LANGUAGES
from nndl.checking.question import Text
from nndl.checking.release import ANSWER_HERE
from nndl.checking.source import Lab
from nndl.grading.table import harmless, number, write_table

__all__ = [
    "Given",
    "WrittenMark",
    "WrittenQuestion",
    "read_written",
    "write_written",
    "written_marks",
    "written_questions",
]

COLUMNS = ("student", "question", "of", "points", "comment", "answer")
_HEADING = re.compile(r"^#+\s*\d*\s*(?P<title>.*?)\s*(?:[（(]\d+ ?(?:分|points?)[)）])?\s*$")

#: Points (or None) and comment that a person gave, by student and question.
Given: TypeAlias = Mapping[tuple[str, str], tuple[float | None, str]]


@dataclass(frozen=True)
class WrittenQuestion:
    """A question that a person marks.

    Attributes
    ----------
    name
        Unique in the lab.
    of
        What it is worth.
    title, rubric
        A few words, and what earns the points (Markdown).
    """

    name: str
    of: int
    title: Text
    rubric: Text


@dataclass(frozen=True)
class WrittenMark:
    """What a person gave for a written answer.

    Attributes
    ----------
    question
        The question's name.
    of
        What it is worth.
    points
        What it earned, or None if nobody has marked it yet.
    comment
        What the person says.
    answer
        The answer, or an empty text if there is none.
    """

    question: str
    of: int
    points: float | None = None
    comment: str = ""
    answer: str = ""

    @property
    def waiting(self) -> bool:
        """Whether there is an answer that nobody has marked yet."""
        return self.points is None and bool(self.answer)


def written_questions(lab: Lab) -> tuple[WrittenQuestion, ...]:
    """List the questions of a lab that a person marks.

    Examples
    --------
    >>> from nndl.checking import read_lab
    >>> [(q.name, q.of, q.title["en"]) for q in written_questions(read_lab(3))]
    [('why-correct', 10, 'Why correct the bias?')]
    """
    titles: dict[str, dict[str, str]] = {}
    rubrics: dict[str, dict[str, str]] = {}
    points: dict[str, int] = {}
    for cell in lab.cells:
        lang = cell.metadata.get("lang", "")
        if "written" in cell.metadata:
            name = cell.metadata["written"]
            titles.setdefault(name, {})[lang] = _title(cell.source)
            points[name] = int(cell.metadata["points"])
        elif "rubric" in cell.metadata:
            rubrics.setdefault(cell.metadata["rubric"], {})[lang] = cell.source
    return tuple(
        WrittenQuestion(name, points[name], title, rubrics.get(name, dict.fromkeys(LANGUAGES, "")))
        for name, title in titles.items()
    )


def _title(source: str) -> str:
    match = _HEADING.match(source.lstrip().split("\n")[0])
    title = match["title"] if match else ""
    return title.replace(r"$\lambda$", "λ")  # the only formula in a heading


def written_marks(
    lab: Lab, student: str, answers: Mapping[str, str], given: Given
) -> tuple[WrittenMark, ...]:
    """Put together a student's answers and what a person gave for them.

    Parameters
    ----------
    lab
        The lab.
    student
        The student.
    answers
        The answers by question; what the lab doesn't ask for is left out.
    given
        What ``read_written`` found.
    """
    marks = []
    for question in written_questions(lab):
        answer = answers.get(question.name, "").strip()
        if answer in ANSWER_HERE.values():
            answer = ""
        points, comment = given.get((student, question.name), (None, ""))
        marks.append(WrittenMark(question.name, question.of, points, comment, answer))
    return tuple(marks)


def write_written(path: Path, marks: Iterable[tuple[str, WrittenMark]]) -> None:
    """Write the table for a person to fill in, with what was filled in before.

    Parameters
    ----------
    path
        The file.
    marks
        The student and the mark of each row.
    """
    rows = (
        (
            harmless(student),
            mark.question,
            mark.of,
            mark.points,
            harmless(mark.comment),
            harmless(mark.answer),
        )
        for student, mark in marks
    )
    write_table(path, [COLUMNS, *rows], excel=True)


def read_written(path: Path, lab: Lab, students: Iterable[str]) -> Given:
    """Read what a person filled in; nothing if there is no such file yet.

    Parameters
    ----------
    path
        The file.
    lab
        The lab.
    students
        Everybody who handed something in.

    Raises
    ------
    ValueError
        If it is no such table, or a row of it makes no sense: who, which question, how many points.
    """
    if not path.exists():
        return {}
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(
            f"{path.name} is not in UTF-8; save it in the spreadsheet as 'CSV UTF-8'"
        ) from None
    head = text.split("\n", 1)[0]
    # In some countries a spreadsheet saves its tables with semicolons.
    lines = csv.reader(StringIO(text, newline=""), delimiter=max(",;\t", key=head.count))
    names = {harmless(student).strip(): student for student in students}
    worth = {question.name: question.of for question in written_questions(lab)}
    given: dict[tuple[str, str], tuple[float | None, str]] = {}
    columns: list[str] = []
    line = 1
    try:
        for row_number, cells in enumerate(lines, start=1):
            where = f"{path.name}, line {line} (row {row_number} of the spreadsheet)"
            line = lines.line_num + 1
            if row_number == 1:
                columns = [cell.strip().lower() for cell in cells]
                missing = [name for name in COLUMNS[:-1] if name not in columns]
                if missing:
                    raise ValueError(f"{where}: there is no column {', '.join(missing)}")
                continue
            if not any(cell.strip() for cell in cells):
                continue
            row = dict(zip(columns, cells, strict=False))
            key = _key(row, names, worth, where)
            if key in given:
                raise ValueError(f"{where}: a second row for {key[0]!r} and {key[1]!r}")
            given[key] = _points(row, worth[key[1]], where), _comment(row)
    except csv.Error as error:
        raise ValueError(f"{path.name}, line {line}: {error}") from None
    return given


def _key(
    row: Mapping[str, str], names: Mapping[str, str], worth: Mapping[str, int], where: str
) -> tuple[str, str]:
    student, question = row.get("student", "").strip(), row.get("question", "").strip()
    if student not in names:
        raise ValueError(f"{where}: {student!r} has handed nothing in")
    if question not in worth:
        raise ValueError(
            f"{where}: there is no written question {question!r}; there is {', '.join(worth)}"
        )
    return names[student], question


def _points(row: Mapping[str, str], of: int, where: str) -> float | None:
    text = row.get("points", "").strip()
    if not text:
        return None
    try:
        points = float(text.replace(",", "."))
    except ValueError:
        points = math.nan
    if not 0 <= points <= of:
        raise ValueError(f"{where}: points must be a number from 0 to {number(of)}, got {text!r}")
    return points


def _comment(row: Mapping[str, str]) -> str:
    comment = row.get("comment", "").strip()
    # Undo what ``harmless`` did when the table was written.
    return comment[1:].strip() if comment == harmless(comment[1:]) else comment
