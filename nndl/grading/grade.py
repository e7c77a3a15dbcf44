"""Grade one hand-in: run its answers behind the walls, and compare what comes out here."""

import time
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field

from nndl.checking.check import Failure
from nndl.checking.question import Trace
from nndl.grading.key import Key, QuestionKey
from nndl.grading.sandbox import Sandbox, Session
from nndl.grading.submission import Submission
from nndl.grading.wire import WireError

__all__ = ["Mark", "Result", "grade"]

CELL = 10.0  # seconds for a cell
CASE = 5.0  # seconds for a case
TOTAL = 90.0  # seconds for a hand-in


@dataclass(frozen=True)
class Mark:
    """What a question earned, and why not all."""

    question: str
    points: int
    of: int
    failure: Failure | None = None


@dataclass(frozen=True)
class Result:
    """A graded hand-in.

    Attributes
    ----------
    name
        The student.
    marks
        One for each question that a machine marks, in the lab's order.
    level
        The level of the walls behind which it ran.
    flags
        What a person should look at.
    output
        The beginning of what it printed.
    cells
        The errors that its cells raised, in words.
    problem
        Why it could not be graded at all, or an empty text.
    """

    name: str
    marks: tuple[Mark, ...]
    level: str
    flags: tuple[str, ...] = ()
    output: str = ""
    cells: tuple[str, ...] = field(default=())
    problem: str = ""

    @property
    def points(self) -> int:
        """All points together."""
        return sum(mark.points for mark in self.marks)


class _Running:
    """A hand-in in the sandbox, which is begun again whenever it has hung or ended itself."""

    def __init__(self, submission: Submission, key: Key, sandbox: Sandbox) -> None:
        setup = [c.source for c in key.lab.cells if "setup" in c.metadata.get("tags", ())]
        self._cells = [*setup, *(code for _, code in submission.code)]
        self._sandbox = sandbox
        self._until = time.monotonic() + TOTAL
        self._opened: AbstractContextManager[Session] | None = None
        self.session: Session | None = None
        self.errors: list[str] = []
        self.output = ""

    def seconds(self, most: float) -> float:
        return max(0.0, min(most, self._until - time.monotonic()))

    def begin(self) -> Session:
        """Run all cells that have not stopped an earlier attempt."""
        while self.session is None:
            if not self.seconds(CELL):
                raise WireError("the hand-in has used up its time")
            self._opened = self._sandbox.open()
            session = self._opened.__enter__()
            errors = []
            for place, code in enumerate(self._cells):
                try:
                    error = session.run_cell(code, self.seconds(CELL))
                except WireError as problem:
                    # This cell takes the whole process along. The others deserve another try.
                    self.errors.append(f"{problem}")
                    self._cells[place] = ""
                    self.end()
                    break
                errors += [error] * bool(error)
            else:
                self.session = session
                self.errors += errors
        return self.session

    def end(self) -> None:
        if self._opened is not None:
            if self.session is not None:
                with suppress(WireError):
                    self.output = self.output or self.session.output(self.seconds(1.0))
            self._opened.__exit__(None, None, None)
        self._opened = self.session = None


def grade(submission: Submission, key: Key, sandbox: Sandbox) -> Result:
    """Grade a hand-in with the key to its lab. Whatever it does, there is a result."""
    running = _Running(submission, key, sandbox)
    try:
        marks = tuple(_mark(question, running) for question in key.questions.values())
    finally:
        running.end()
    return Result(
        submission.name,
        marks,
        sandbox.level,
        submission.flags,
        running.output,
        tuple(running.errors),
    )


def _mark(key: QuestionKey, running: _Running) -> Mark:
    failure = _failure(key, running)
    points = 0 if failure else key.question.points
    return Mark(key.question.name, points, key.question.points, failure)


def _failure(key: QuestionKey, running: _Running) -> Failure | None:
    traces: list[Trace] = []
    first: Failure | None = None
    for number, case in enumerate(key.cases):
        try:
            session = running.begin()
            reply, trace = session.run_case(key.question.name, case, running.seconds(CASE))
        except WireError as problem:
            running.end()
            return Failure("stopped", number + 1, error=str(problem))
        kind, error = str(reply.get("kind", "")), str(reply.get("error", ""))
        if kind in ("undefined", "empty"):
            return Failure(kind, number + 1, name=error[:100])
        if kind:
            return Failure("raised", number + 1, error=error[:500])
        traces.append(trace)
        difference = key.difference(number, trace)
        if difference is not None and first is None:
            first = Failure(difference.kind, number + 1, difference=difference)
    if first is None:
        return None
    mistake = key.mistake(traces)
    return Failure(first.kind, first.case, difference=first.difference, mistake=mistake)
