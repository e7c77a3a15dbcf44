"""What a check says: passed, or where the answer left the right way, and why perhaps."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any
from unicodedata import east_asian_width

import numpy as np

from nndl.checking.compare import Difference
from nndl.checking.question import Mistake, Question, Text

__all__ = ["Failure", "Report", "lined_up"]

ROWS = 3  # steps shown side by side
NUMBERS = 4  # numbers shown of each
_CODE = re.compile(r"`([^`\n]+)`")

WORDS = {
    "zh": {
        "passed": "通过：{title}（{points} 分，{cases} 个算例）",
        "failed": "还没有通过：{title}（{points} 分）",
        "undefined": "没有找到 `{name}`。请先运行定义它的单元格。",
        "empty": "`{name}` 还没有写：把 `raise NotImplementedError` 换成你的代码。",
        "raised": "第 {case} 个算例里，你的代码{where}出错了：{error}",
        "unusable": "第 {case} 个算例：{error}",
        "time": "第 {case} 个算例没有在 {seconds:g} 秒内算完。是不是有一个停不下来的循环？",
        "used up": "到第 {case} 个算例时，这份作业的 {seconds:g} 秒已经用完。",
        "ended": "第 {case} 个算例使运行它的程序中断了（退出、崩溃，或者内存不够）。",
        "damaged": "第 {case} 个算例送回的不是一个结果。",
        "missing": "第 {case} 个算例：缺少 `{quantity}`。",
        "shape": "第 {case} 个算例：`{quantity}` 的形状是 {got}，应为 {expected}。",
        "not finite": "第 {case} 个算例：`{quantity}` {at}出现了无穷或 NaN。",
        "value": "第 {case} 个算例：`{quantity}` {at}与正确的值不同。",
        "at step": "从第 {step} 步起",
        "at index": "从下标 {step} 起",
        "hint": "像是这个常见错误：{hint}",
        "step": "步",
        "index": "下标",
        "yours": "你的",
        "right": "正确的",
        "line": "第 {line} 行",
    },
    "en": {
        "passed": "Passed: {title} ({points} points, {cases} cases)",
        "failed": "Not yet: {title} ({points} points)",
        "undefined": "`{name}` is not defined. Run the cell that defines it first.",
        "empty": "`{name}` isn't written yet: your code goes where `raise NotImplementedError` is.",
        "raised": "In case {case} your code raises an error{where}: {error}",
        "unusable": "Case {case}: {error}",
        "time": "Case {case} was not done within {seconds:g} s. Is there a loop that never ends?",
        "used up": "By case {case} the hand-in had used up its {seconds:g} s.",
        "ended": "Case {case} ended the program that ran it (an exit, a crash, or no memory left).",
        "damaged": "Case {case} sent back something that is no result.",
        "missing": "Case {case}: `{quantity}` is missing.",
        "shape": "Case {case}: `{quantity}` has shape {got}, and should have {expected}.",
        "not finite": "Case {case}: `{quantity}` is infinite or NaN{at}.",
        "value": "Case {case}: `{quantity}` differs from the right values{at}.",
        "at step": " from step {step} on",
        "at index": " from index {step} on",
        "hint": "This looks like a common mistake: {hint}",
        "step": "step",
        "index": "index",
        "yours": "yours",
        "right": "right",
        "line": " in line {line}",
    },
}


@dataclass(frozen=True)
class Failure:
    """Why an answer fails.

    Attributes
    ----------
    kind
        What went wrong: a key of ``WORDS``.
    case
        The case in which it was found, counted from 1.
    name
        The function that is missing or not written.
    error
        The error that the answer raised.
    said
        What a question says of a result that cannot be compared, in both languages.
    line
        The line of the student's cell in which the error arose, if it did there.
    seconds
        The time that was allowed, where it is up.
    difference
        Where the numbers leave the right ones.
    mistake
        The known mistake that has the same numbers.

    Examples
    --------
    >>> Failure("empty", case=1, name="adam_step").difference is None
    True
    """

    kind: str
    case: int = 0
    name: str = ""
    error: str = ""
    said: Text | None = None
    line: int | None = None
    seconds: float = 0.0
    difference: Difference | None = None
    mistake: Mistake | None = None


@dataclass(frozen=True)
class Report:
    """What a check found. It shows itself as text, and in a notebook with a small table.

    Attributes
    ----------
    question
        The question that was checked.
    cases
        On how many cases.
    failure
        None if the answer passed.
    lang
        ``"zh"`` or ``"en"``.

    Examples
    --------
    >>> question = Question("half", 10, {"zh": "一半", "en": "A half"}, ("half",), list, dict)
    >>> Report(question, 4, None, "zh")
    ✓ 通过：一半（10 分，4 个算例）
    >>> Report(question, 4, Failure("time", case=2, seconds=5), "en")
    ✗ Not yet: A half (10 points)
      Case 2 was not done within 5 s. Is there a loop that never ends?
    """

    question: Question
    cases: int
    failure: Failure | None
    lang: str

    @property
    def passed(self) -> bool:
        """Whether every case came out right."""
        return self.failure is None

    @property
    def points(self) -> int:
        """All the points of the question, or none."""
        return self.question.points if self.passed else 0

    def headline(self) -> str:
        """Return one line that says whether it passed."""
        words = WORDS[self.lang]["passed" if self.passed else "failed"]
        return words.format(
            title=self.question.title[self.lang], points=self.question.points, cases=self.cases
        )

    def reasons(self) -> list[str]:
        """Return what failed and, where it is known, the mistake behind it."""
        failure, words = self.failure, WORDS[self.lang]
        if failure is None:
            return []
        found, at = failure.difference, ""
        if found is not None and found.step is not None:
            at = words[f"at {self.question.counts}"].format(step=found.step)
        reasons = [
            words[failure.kind].format(
                case=failure.case,
                name=failure.name,
                error=failure.said[self.lang] if failure.said else failure.error,
                where=words["line"].format(line=failure.line) if failure.line else "",
                seconds=failure.seconds,
                quantity=found.quantity if found else "",
                got=found.got.shape if found and found.got is not None else "",
                expected=found.expected.shape if found else "",
                at=at,
            )
        ]
        if failure.mistake is not None:
            reasons.append(words["hint"].format(hint=failure.mistake.hint[self.lang]))
        return reasons

    def head(self) -> tuple[str, str, str]:
        """Return the titles of the columns of ``rows``."""
        words = WORDS[self.lang]
        return words[self.question.counts], words["yours"], words["right"]

    def rows(self) -> list[tuple[str, str, str]]:
        """Return step, given and right numbers around the first difference."""
        found = self.failure.difference if self.failure else None
        if found is None or found.got is None or found.got.shape != found.expected.shape:
            return []
        if found.step is None:
            return [("", _shown(found.got), _shown(found.expected))]
        first = max(0, found.step - 1)
        steps = range(first, min(first + ROWS, len(found.got)))
        return [(str(t), _shown(found.got[t]), _shown(found.expected[t])) for t in steps]

    def __repr__(self) -> str:
        lines = [f"{self._mark} {self.headline()}"]
        lines += [f"  {reason}" for reason in self.reasons()]
        rows = self.rows()
        if rows:
            lines += [f"    {line}" for line in lined_up([self.head(), *rows])]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        # The words take the notebook's own colour; this one is seen on light and on dark.
        color = "#1f8a63" if self.passed else "#c75a1a"
        mark = f'<span style="color:{color}">{self._mark}</span>'
        lines = [f"<strong>{mark} {escape(self.headline())}</strong>"]
        lines += [_CODE.sub(r"<code>\1</code>", escape(reason)) for reason in self.reasons()]
        parts = [f'<p style="margin:0 0 .3em">{line}</p>' for line in lines]
        rows = self.rows()
        if rows:
            head = "".join(f'<th scope="col">{title}</th>' for title in self.head())
            body = "".join(
                "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
                for row in rows
            )
            table = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
            parts.append(f'<table style="margin:.3em 0">{table}</table>')
        box = f"border-left:3px solid {color};padding:.2em .8em"
        return f'<div style="{box}">{"".join(parts)}</div>'

    @property
    def _mark(self) -> str:
        return "✓" if self.passed else "✗"


def lined_up(rows: Sequence[Sequence[str]]) -> list[str]:
    r"""Return the lines of a table, its columns one below the other in a terminal.

    Examples
    --------
    >>> print("\n".join(lined_up([("步", "你的"), ("10", "1.5")])))
    步  你的
    10  1.5
    """
    widths = [max(map(_columns, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell + " " * (width - _columns(cell)) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def _columns(text: str) -> int:
    """Return how wide a terminal shows a text: a Chinese character takes two columns."""
    return sum(2 if east_asian_width(sign) in "WF" else 1 for sign in text)


def _shown(values: np.ndarray[Any, Any]) -> str:
    flat = np.asarray(values).reshape(-1)
    shown = ", ".join(f"{number:.6g}" for number in flat[:NUMBERS])
    more = ", …" if flat.size > NUMBERS else ""
    return shown if values.ndim == 0 else f"[{shown}{more}]"
