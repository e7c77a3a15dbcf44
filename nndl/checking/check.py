"""Check an answer as a teacher would: what failed, where it left the right way, and why perhaps.

A lab's notebook begins with ``check(3, "en")``. That returns a function which takes the name of a
question and what the student wrote for it, and answers with a ``Report``.
"""

import copy
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from nndl.checking.compare import Difference, first_difference, name_the_mistake
from nndl.checking.question import Case, Mistake, Question, Trace
from nndl.checking.source import LANGUAGES, Lab, read_lab

__all__ = ["Failure", "Report", "check", "check_answer"]

PUBLISHED = 0  # the seed of the cases that students see
ROWS = 3  # steps shown side by side
NUMBERS = 4  # numbers shown of each

WORDS = {
    "zh": {
        "passed": "通过：{title}（{points} 分，{cases} 个算例）",
        "failed": "还没有通过：{title}（{points} 分）",
        "undefined": "没有找到 `{name}`。请先运行定义它的单元格。",
        "empty": "`{name}` 还没有写：把 `raise NotImplementedError` 换成你的代码。",
        "raised": "第 {case} 个算例里，你的代码出错了，{where}：{error}",
        "stopped": "第 {case} 个算例没有结果：{error}",
        "missing": "第 {case} 个算例：缺少 `{quantity}`。",
        "shape": "第 {case} 个算例：`{quantity}` 的形状是 {got}，应为 {expected}。",
        "not finite": "第 {case} 个算例：`{quantity}`{at}出现了无穷或 NaN。",
        "value": "第 {case} 个算例：`{quantity}`{at}与正确的值不同。",
        "at": "从第 {step} 步起",
        "hint": "像是这个常见错误：{hint}",
        "step": "步",
        "yours": "你的",
        "right": "正确的",
        "line": "第 {line} 行",
        "nowhere": "不在你写的行里",
    },
    "en": {
        "passed": "Passed: {title} ({points} points, {cases} cases)",
        "failed": "Not yet: {title} ({points} points)",
        "undefined": "`{name}` is not defined. Run the cell that defines it first.",
        "empty": "`{name}` isn't written yet: your code goes where `raise NotImplementedError` is.",
        "raised": "In case {case} your code raises an error, {where}: {error}",
        "stopped": "Case {case} gave no result: {error}",
        "missing": "Case {case}: `{quantity}` is missing.",
        "shape": "Case {case}: `{quantity}` has shape {got}, and should have {expected}.",
        "not finite": "Case {case}: `{quantity}` is infinite or NaN{at}.",
        "value": "Case {case}: `{quantity}` differs from the right values{at}.",
        "at": " from step {step} on",
        "hint": "This looks like a common mistake: {hint}",
        "step": "step",
        "yours": "yours",
        "right": "right",
        "line": "line {line}",
        "nowhere": "in none of your lines",
    },
}


@dataclass(frozen=True)
class Failure:
    """Why an answer fails, and the case in which it was found, counted from 1."""

    kind: str
    case: int = 0
    name: str = ""
    error: str = ""
    line: int | None = None
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
            at = words["at"].format(step=found.step)
        reasons = [
            words[failure.kind].format(
                case=failure.case,
                name=failure.name,
                error=failure.error,
                where=words["line"].format(line=failure.line) if failure.line else words["nowhere"],
                quantity=found.quantity if found else "",
                got=found.got.shape if found and found.got is not None else "",
                expected=found.expected.shape if found else "",
                at=at,
            )
        ]
        if failure.mistake is not None:
            reasons.append(words["hint"].format(hint=failure.mistake.hint[self.lang]))
        return reasons

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
        words, rows = WORDS[self.lang], self.rows()
        if rows:
            rows = [(words["step"], words["yours"], words["right"]), *rows]
            widths = [max(len(row[column]) for row in rows) for column in range(3)]
            lines += [
                "    "
                + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
                for row in rows
            ]
        return "\n".join(line.rstrip() for line in lines)

    def _repr_html_(self) -> str:
        color = "#0a6b4f" if self.passed else "#a33b00"
        lines = [f'<strong style="color:{color}">{self._mark} {escape(self.headline())}</strong>']
        lines += map(escape, self.reasons())
        parts = [f'<p style="margin:0 0 .3em">{line}</p>' for line in lines]
        rows = self.rows()
        if rows:
            titles = [WORDS[self.lang][name] for name in ("step", "yours", "right")]
            head = "".join(f'<th scope="col">{title}</th>' for title in titles)
            body = "".join(
                "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
                for row in rows
            )
            parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
        box = f"border-left:3px solid {color};padding:.2em .8em"
        return f'<div style="{box}">{"".join(parts)}</div>'

    @property
    def _mark(self) -> str:
        return "✓" if self.passed else "✗"


def _shown(values: np.ndarray[Any, Any]) -> str:
    flat = np.asarray(values).reshape(-1)
    shown = ", ".join(f"{number:.6g}" for number in flat[:NUMBERS])
    more = ", …" if flat.size > NUMBERS else ""
    return shown if values.ndim == 0 else f"[{shown}{more}]"


def check(lab: int, lang: str) -> Callable[..., Report]:
    """Return the function that checks the answers of a lab.

    Parameters
    ----------
    lab
        The lab's number.
    lang
        The language of what it says: ``"zh"`` or ``"en"``.

    Raises
    ------
    ValueError
        If there is no such lab or language.
    """
    if lang not in LANGUAGES:
        raise ValueError(f"lang must be one of {LANGUAGES}, got {lang!r}")
    source = read_lab(lab)

    def check_question(name: str, *answer: Any) -> Report:
        question = source.question(name)
        if len(answer) != len(question.defines):
            wanted = ", ".join(question.defines)
            raise TypeError(f"check({name!r}, ...) takes {wanted}; got {len(answer)} answers")
        return check_answer(
            source, question, dict(zip(question.defines, answer, strict=True)), lang
        )

    return check_question


def check_answer(
    lab: Lab, question: Question, answer: Mapping[str, Any], lang: str, seed: int = PUBLISHED
) -> Report:
    """Check one answer on the cases that belong to a seed."""
    cases = question.draw(seed)
    return Report(question, len(cases), _failure(lab, question, answer, cases), lang)


def _failure(
    lab: Lab, question: Question, answer: Mapping[str, Any], cases: Sequence[Case]
) -> Failure | None:
    for name in question.defines:
        if answer.get(name) is None:
            return Failure("undefined", name=name)
    names: Mapping[str, Any] = {**lab.solution, **answer}
    traces: list[Trace] = []
    first: Failure | None = None
    for number, case in enumerate(cases, start=1):
        try:
            # A case is handed out as a copy: an answer that changes it must not change the next.
            trace = question.trace(names, copy.deepcopy(case))
        except NotImplementedError:
            return Failure("empty", number, name=question.defines[0])
        except Exception as error:
            return Failure("raised", number, error=_in_words(error), line=_line(error))
        traces.append(trace)
        expected = question.trace(lab.solution, copy.deepcopy(case))
        difference = first_difference(trace, expected, question.tolerance)
        if difference is not None and first is None:
            first = Failure(difference.kind, number, difference=difference)
    if first is None:
        return None
    mistake = name_the_mistake(question, lab.solution, traces, cases)
    return Failure(first.kind, first.case, difference=first.difference, mistake=mistake)


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _line(error: Exception) -> int | None:
    """Return the line of the student's cell in which the error arose."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f.lineno for f in frames if "ipykernel" in f.filename or f.filename.startswith("<")]
    return lines[-1] if lines else None
