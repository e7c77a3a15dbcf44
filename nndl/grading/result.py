"""What is known of a graded hand-in, as plain data: it goes to a file, and to other machines."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

__all__ = ["CellError", "Mark", "Result"]


@dataclass(frozen=True)
class Mark:
    """What a question earned, and why not all.

    Attributes
    ----------
    question
        Its name.
    points
        What it earned.
    of
        What it is worth.
    kind
        What went wrong (``nndl.checking.report.Failure``), or an empty text.
    mistake
        The name of the known mistake, or an empty text.
    reasons
        What to say to the student, in the hand-in's language: what failed, and the hint.
    head, rows
        A small table of the student's numbers beside the right ones, or nothing.

    Examples
    --------
    >>> Mark("adam", points=0, of=20, kind="empty").mistake
    ''
    """

    question: str
    points: int
    of: int
    kind: str = ""
    mistake: str = ""
    reasons: tuple[str, ...] = ()
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class CellError:
    """A cell that didn't run to its end.

    Attributes
    ----------
    cell
        Its number among the code cells, from 1.
    kind
        ``"raised"``, ``"time"``, ``"used up"``, ``"ended"`` or ``"damaged"``.
    error
        The error that it raised, in words.
    begins
        Its first line.

    Examples
    --------
    >>> CellError(3, "raised", "NameError: name 'x' is not defined", "y = x").cell
    3
    """

    cell: int
    kind: str
    error: str = ""
    begins: str = ""


@dataclass(frozen=True)
class Result:
    """A graded hand-in.

    Attributes
    ----------
    lab
        The number of the lab.
    lang
        The language of the hand-in.
    level
        The level of the walls behind which it ran.
    marks
        One for each question that a machine marks, in the lab's order.
    flags
        What a person should look at: keys of ``nndl.grading.words.FLAGS``.
    problem
        Why it could not be graded at all: a key of ``nndl.grading.words.PROBLEMS``, or an empty
        text.
    answers
        The code of each question.
    written
        The answers to the written questions.
    cells
        The cells that didn't run to their end.
    output
        The beginning of what it printed.

    Examples
    --------
    >>> result = Result(3, "en", "bubblewrap", (Mark("adam", 0, 15, "empty"), Mark("memory", 5, 5)))
    >>> result.points, result.of
    (5, 20)
    >>> Result.from_plain(result.plain()) == result
    True
    """

    lab: int
    lang: str
    level: str
    marks: tuple[Mark, ...]
    flags: tuple[str, ...] = ()
    problem: str = ""
    answers: Mapping[str, str] = field(default_factory=dict)
    written: Mapping[str, str] = field(default_factory=dict)
    cells: tuple[CellError, ...] = ()
    output: str = ""

    @property
    def points(self) -> int:
        """All points together."""
        return sum(mark.points for mark in self.marks)

    @property
    def of(self) -> int:
        """All that could be had."""
        return sum(mark.of for mark in self.marks)

    def with_marks_of(self, other: "Result") -> "Result":
        """Return this result with the marks of questions that were graded again."""
        new = {mark.question: mark for mark in other.marks}
        marks = tuple(new.get(mark.question, mark) for mark in self.marks)
        return replace(self, marks=marks, level=other.level)

    def plain(self) -> dict[str, Any]:
        """Return it as dictionaries, lists, texts and numbers."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Result":
        """Read what ``plain`` wrote, also after it went through JSON.

        Raises
        ------
        TypeError, KeyError
            If it is something else.
        """
        marks = tuple(
            Mark(
                **{
                    **mark,
                    "reasons": tuple(mark["reasons"]),
                    "head": tuple(mark["head"]),
                    "rows": tuple(map(tuple, mark["rows"])),
                }
            )
            for mark in plain["marks"]
        )
        cells = tuple(CellError(**cell) for cell in plain["cells"])
        return cls(**{**plain, "marks": marks, "cells": cells, "flags": tuple(plain["flags"])})
