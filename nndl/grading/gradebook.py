"""Gradebooks: a table of all marks, and what Canvas and Moodle take."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from nndl.checking.question import Text
from nndl.checking.source import Lab
from nndl.grading.handins import HandIn
from nndl.grading.late import ON_TIME, Lateness, LatePolicy
from nndl.grading.result import Mark, Result
from nndl.grading.table import harmless, number, plain_text, write_table
from nndl.grading.words import FLAGS, PROBLEMS
from nndl.grading.written import Given, WrittenMark, written_marks, written_questions

__all__ = ["Item", "Row", "lab_items", "make_row", "write_gradebooks"]


@dataclass(frozen=True)
class Item:
    """A question of a lab, marked by the grader or by a person.

    Attributes
    ----------
    number
        Its number in the lab, from 1.
    name
        Its name.
    title
        A few words.
    of
        What it is worth.
    written
        Whether a person marks it.
    """

    number: int
    name: str
    title: Text
    of: int
    written: bool = False


@dataclass(frozen=True)
class Row:
    """A hand-in and everything that became of it.

    Attributes
    ----------
    handin
        The hand-in.
    result
        What the grader found, with a mark for each question.
    written
        What a person gave.
    late
        How late it is.
    """

    handin: HandIn
    result: Result
    written: tuple[WrittenMark, ...] = ()
    late: Lateness = ON_TIME

    @property
    def student(self) -> str:
        """The student."""
        return self.handin.student

    @property
    def problem(self) -> str:
        """Why it could not be graded: a key of ``PROBLEMS``, or an empty text."""
        return self.result.problem or self.handin.problem

    @property
    def graded(self) -> bool:
        """Whether its points are the student's: not so if the grader itself failed."""
        return self.problem != "grader"

    @property
    def flags(self) -> tuple[str, ...]:
        """What a person should look at: keys of ``FLAGS``."""
        return tuple(dict.fromkeys((*self.handin.flags, *self.result.flags)))

    @property
    def written_points(self) -> float:
        """The points that a person gave."""
        return sum(mark.points or 0 for mark in self.written)

    @property
    def waiting(self) -> bool:
        """Whether a written answer waits for a person."""
        return any(mark.waiting for mark in self.written)

    @property
    def earned(self) -> float:
        """All points, before anything is taken off."""
        return self.result.points + self.written_points

    @property
    def off(self) -> float:
        """What is taken off because it came late."""
        return self.late.off(self.earned)

    @property
    def total(self) -> float:
        """The points that count."""
        return round(self.earned - self.off, 2)

    @property
    def of(self) -> int:
        """All that could be had."""
        return self.result.of + sum(mark.of for mark in self.written)


def lab_items(lab: Lab) -> tuple[Item, ...]:
    """List all questions of a lab in its order; the written ones come last.

    Examples
    --------
    >>> from nndl.checking import read_lab
    >>> items = lab_items(read_lab(3))
    >>> sum(item.of for item in items), items[-1].number, items[-1].written
    (100, 9, True)
    """
    machine = [(q.name, q.title, q.points, False) for q in lab.questions]
    person = [(q.name, q.title, q.of, True) for q in written_questions(lab)]
    return tuple(Item(n, *about) for n, about in enumerate((*machine, *person), start=1))


def make_row(handin: HandIn, result: Result, lab: Lab, policy: LatePolicy, given: Given) -> Row:
    """Put together all that is known of a hand-in.

    Parameters
    ----------
    handin
        The hand-in.
    result
        What the grader found.
    lab
        The lab.
    policy
        What is late, and what it costs.
    given
        What a person gave for written answers (``read_written``).
    """
    marks = {mark.question: mark for mark in result.marks}
    # A hand-in that could not be read has no marks; its row has zeros.
    every = tuple(marks.get(q.name, Mark(q.name, 0, q.points)) for q in lab.questions)
    result = Result(**{**vars(result), "marks": every})
    written = written_marks(lab, handin.student, result.written, given)
    return Row(handin, result, written, policy.lateness(handin))


def write_gradebooks(folder: Path, rows: Sequence[Row], lab: Lab, lang: str) -> list[Path]:
    """Write the tables of all marks.

    ``grades.csv`` has every hand-in. ``canvas.csv`` is for Canvas's gradebook import, and
    ``moodle.csv`` is an offline grading worksheet for Moodle (with its pages in English, since
    Moodle knows the columns by their translated titles). The last two are only written if
    something came from there; hand-ins that failed by the grader's own fault have no grade in them.

    Parameters
    ----------
    folder
        Where to.
    rows
        The hand-ins.
    lab
        The lab.
    lang
        The language of flags and problems: ``"zh"`` or ``"en"``.

    Returns
    -------
    list of Path
        The files that were written.
    """
    written = []
    for name, table, excel in (
        ("grades.csv", _grades(rows, lab, lang), True),
        ("canvas.csv", _canvas(rows, lab, lang), False),
        ("moodle.csv", _moodle(rows, lab), False),
    ):
        path = folder / name
        if table:
            write_table(path, table, excel)
            written.append(path)
        else:
            path.unlink(missing_ok=True)  # of an earlier run
    return written


Table = list[list[str | float | None]]


def _grades(rows: Sequence[Row], lab: Lab, lang: str) -> Table:
    head = ["student", *(item.name for item in lab_items(lab))]
    head += ["machine", "written", "late days", "taken off", "total", "of", "level"]
    head += ["flags", "problem", "feedback"]
    table: Table = [[*head]]
    for row in rows:
        table.append(
            [
                harmless(row.student),
                *(mark.points for mark in row.result.marks),
                *(mark.points for mark in row.written),
                row.result.points,
                None if row.waiting else row.written_points,
                row.late.days,
                row.off,
                row.total if row.graded else None,
                row.of,
                row.result.level,
                "; ".join(FLAGS[flag][lang] for flag in row.flags),
                PROBLEMS[row.problem][lang] if row.problem else "",
                harmless("\n".join(_comments(row, lab))),
            ]
        )
    return table


def _canvas(rows: Sequence[Row], lab: Lab, lang: str) -> Table:
    theirs = [row for row in rows if row.handin.canvas_id]
    if not theirs:
        return []
    head = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", lab.title(lang)]
    of = sum(item.of for item in lab_items(lab))
    table: Table = [[*head], ["    Points Possible", None, None, None, None, of]]
    for row in theirs:
        # By these two words Canvas knows the row above, and nobody may be called so.
        name = harmless(row.student).replace("Points Possible", "Points_Possible")
        grade = row.total if row.graded else None
        table.append([name, row.handin.canvas_id, None, None, None, grade])
    return table


def _moodle(rows: Sequence[Row], lab: Lab) -> Table:
    theirs = [row for row in rows if row.handin.moodle_id]
    if not theirs:
        return []
    # Moodle refuses a worksheet without the time of its last grade; "-" is its word for never.
    head = ["Identifier", "Full name", "Grade", "Maximum Grade", "Last modified (grade)"]
    table: Table = [[*head, "Feedback comments"]]
    for row in theirs:
        grade = row.total if row.graded else None
        # Moodle takes comments for HTML.
        comments = "<br>".join(escape(line) for line in _comments(row, lab))
        table.append(
            [
                f"Participant {row.handin.moodle_id}",
                harmless(row.student),
                grade,
                row.of,
                "-",
                harmless(comments),
            ]
        )
    return table


COMMENTS = {
    "zh": {
        "failed": "没有通过：{number} {title}（{of} 分）。{reasons}",
        "passed": "编程题全部通过。",
        "comment": "{number} {title}（{points}/{of} 分）。{comment}",
        "late": "迟交 {days} 天，扣 {off} 分。",
    },
    "en": {
        "failed": "Not yet: {number} {title} ({of} points). {reasons}",
        "passed": "All questions of code passed.",
        "comment": "{number} {title} ({points}/{of} points). {comment}",
        "late": "Days late: {days}, points taken off: {off}.",
    },
}


def _comments(row: Row, lab: Lab) -> list[str]:
    """Say in the hand-in's language what did not pass, and what a person says."""
    lang = row.result.lang
    if row.problem:
        return [PROBLEMS[row.problem][lang]]
    words = COMMENTS[lang]
    items = {item.name: item for item in lab_items(lab)}

    def line(kind: str, mark: Mark | WrittenMark, **more: str) -> str:
        item = items[mark.question]
        return words[kind].format(number=item.number, title=item.title[lang], of=mark.of, **more)

    failed = [mark for mark in row.result.marks if mark.points < mark.of]
    lines = [line("failed", mark, reasons=" ".join(mark.reasons)) for mark in failed]
    lines = lines or [words["passed"]]
    for mark in row.written:
        if mark.points is not None:
            lines.append(line("comment", mark, points=number(mark.points), comment=mark.comment))
    if row.off:
        lines.append(words["late"].format(days=row.late.days, off=number(row.off)))
    return [plain_text(text).strip() for text in lines]
