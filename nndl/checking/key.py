"""The key to a lab: its inputs, what comes out of them, and what comes out of known mistakes.

The check in a notebook and the grader use the same key, drawn from different seeds. It is worked
out as far as somebody asks: a right answer needs the right traces alone, and most mistakes are told
from a wrong one by the first case.
"""

import copy
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from nndl.checking.compare import Difference, first_difference
from nndl.checking.question import Case, Mistake, Question, Trace
from nndl.checking.report import Failure
from nndl.checking.source import Lab

__all__ = ["Key", "QuestionKey"]

# Solutions draw from torch's one random generator, so two of them must not run at the same time.
_one_at_a_time = threading.RLock()


class QuestionKey:
    """The cases of a question, the right traces, and those of the known mistakes.

    Parameters
    ----------
    question
        The question.
    solution
        The right functions by name.
    seed
        What the cases are drawn from.

    Examples
    --------
    >>> from nndl.checking import read_lab
    >>> lab = read_lab(3)
    >>> key = QuestionKey(lab.question("memory"), lab.solution, seed=7)
    >>> key.failure(lambda case: key.question.trace(lab.solution, case)) is None
    True
    >>> found = key.failure(lambda case: {"total": key.expected(0)["total"]})
    >>> found.kind, found.difference.quantity
    ('missing', 'steps')
    """

    def __init__(self, question: Question, solution: Mapping[str, Any], seed: int) -> None:
        self.question = question
        self._solution = solution
        self._seed = seed
        self._traces: dict[tuple[str, int], Trace | None] = {}

    @cached_property
    def cases(self) -> Sequence[Case]:
        """The inputs."""
        with _one_at_a_time:
            return self.question.draw(self._seed)

    def expected(self, number: int) -> Trace:
        """Return the right trace of a case."""
        trace = self._trace("", self._solution, number)
        if trace is None:
            raise RuntimeError(f"the solution of {self.question.name!r} fails in case {number}")
        return trace

    def difference(self, number: int, trace: Trace) -> Difference | None:
        """Find where a trace leaves the right one of a case."""
        return first_difference(trace, self.expected(number), self.question.tolerance)

    def mistake(self, traces: Sequence[Trace]) -> Mistake | None:
        """Return the known mistake that has the same numbers in every case.

        A mistake that does no harm in these cases has the right numbers and is never named.
        """
        return next((m for m in self.question.mistakes if self._made(m, traces)), None)

    def failure(self, run: Callable[[Case], Trace | Failure]) -> Failure | None:
        """Run an answer on every case; return the first failure, or None if all came out right.

        Parameters
        ----------
        run
            Runs the answer on a case, and returns the trace, or why there is none. It gets a copy
            of the case: an answer that changes it must not change the next.
        """
        traces: list[Trace] = []
        first: Failure | None = None
        for number, case in enumerate(self.cases):
            came = run(copy.deepcopy(case))
            if isinstance(came, Failure):
                return first or replace(came, case=number + 1)
            traces.append(came)
            found = self.difference(number, came)
            if found is not None and first is None:
                first = Failure(found.kind, number + 1, difference=found)
        return first and replace(first, mistake=self.mistake(traces))

    def _made(self, mistake: Mistake, traces: Sequence[Trace]) -> bool:
        harm = False
        answer = {**self._solution, **mistake.answer}
        for number, trace in enumerate(traces):
            wrong = self._trace(mistake.name, answer, number)
            # A mistake that raises has no numbers to be known by.
            if wrong is None or wrong.keys() != trace.keys():
                return False
            if first_difference(trace, wrong, self.question.tolerance):
                return False
            harm = harm or self.difference(number, wrong) is not None
        return harm

    def _trace(self, name: str, answer: Mapping[str, Any], number: int) -> Trace | None:
        with _one_at_a_time:
            if (name, number) not in self._traces:
                try:
                    trace = self.question.trace(answer, copy.deepcopy(self.cases[number]))
                except Exception:
                    trace = None
                self._traces[name, number] = trace
            return self._traces[name, number]


class Key:
    """The key to a lab, drawn from a seed.

    Parameters
    ----------
    lab
        The lab.
    seed
        0 for the published inputs; the grader's follow from the course's secret.

    Examples
    --------
    >>> from nndl.checking import read_lab
    >>> key = Key(read_lab(3), seed=12345)
    >>> key.questions["adam"].difference(0, key.questions["adam"].expected(0)) is None
    True
    """

    def __init__(self, lab: Lab, seed: int) -> None:
        self.lab = lab
        self.seed = seed
        self.questions = {q.name: QuestionKey(q, lab.solution, seed) for q in lab.questions}
