"""What the grader knows and a hand-in must not: the hidden inputs, and what comes out of them.

Worked out once for a lab and a course, and then compared with every hand-in.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nndl.checking.compare import Difference, first_difference
from nndl.checking.question import Case, Mistake, Question, Trace
from nndl.checking.source import Lab

__all__ = ["Key", "QuestionKey"]


@dataclass(frozen=True)
class QuestionKey:
    """The hidden cases of a question, the right traces, and those of the known mistakes."""

    question: Question
    cases: Sequence[Case]
    expected: Sequence[Trace]
    wrong: Mapping[str, Sequence[Trace]]

    def difference(self, number: int, trace: Trace) -> Difference | None:
        """Find where a trace leaves the right one of a case."""
        return first_difference(trace, self.expected[number], self.question.tolerance)

    def mistake(self, traces: Sequence[Trace]) -> Mistake | None:
        """Return the known mistake that has the same numbers in every case."""
        for mistake in self.question.mistakes:
            wrong = self.wrong.get(mistake.name)
            if wrong is not None and not any(
                first_difference(trace, other, self.question.tolerance)
                for trace, other in zip(traces, wrong, strict=True)
            ):
                return mistake
        return None


class Key:
    """The key to a lab, drawn from a seed.

    Parameters
    ----------
    lab
        The lab.
    seed
        The course's secret as a number; other inputs follow from another one.

    Examples
    --------
    >>> from nndl.checking import read_lab
    >>> key = Key(read_lab(3), seed=12345)
    >>> sorted(key.questions) == sorted(q.name for q in read_lab(3).questions)
    True
    """

    def __init__(self, lab: Lab, seed: int) -> None:
        self.lab = lab
        self.questions = {
            question.name: self._work_out(question, seed) for question in lab.questions
        }

    def _work_out(self, question: Question, seed: int) -> QuestionKey:
        cases = question.draw(seed)
        solution = self.lab.solution
        expected = [question.trace(solution, copy.deepcopy(case)) for case in cases]
        wrong = {}
        for mistake in question.mistakes:
            answer = {**solution, **mistake.answer}
            try:
                traces = [question.trace(answer, copy.deepcopy(case)) for case in cases]
            except Exception:  # a mistake may raise: then it has no numbers to be known by
                continue
            if any(map(first_difference, traces, expected, [question.tolerance] * len(cases))):
                wrong[mistake.name] = traces
        return QuestionKey(question, cases, expected, wrong)
