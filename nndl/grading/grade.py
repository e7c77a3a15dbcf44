"""Grade one hand-in: run its answers behind the walls, and compare what comes out here."""

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any

from nndl._labs import LANGUAGES
from nndl.checking.key import Key, QuestionKey
from nndl.checking.question import Case, Trace
from nndl.checking.report import Failure, Report
from nndl.checking.source import Lab
from nndl.grading.result import CellError, Mark, Result
from nndl.grading.sandbox import Sandbox, Session
from nndl.grading.submission import Code, Submission, SubmissionError, read_submission
from nndl.grading.task import Task
from nndl.grading.wire import WireError, text_of

__all__ = ["grade", "grade_content", "no_result"]

CELL = 10.0  # seconds for a cell
CASE = 5.0  # seconds for a case
TOTAL = 90.0  # seconds for a hand-in
SHOWN = 500  # characters of an error
KEPT = 20_000  # characters of an answer
OTHERS_ENDED = "ended", "damaged"  # what a person should look at


class _UsedUp(WireError):
    """The hand-in has used up all its time."""

    kind = "used up"


class _Running:
    """A hand-in in the sandbox, which is begun again whenever it has hung or ended itself."""

    def __init__(self, submission: Submission, key: Key, sandbox: Sandbox) -> None:
        setup = [c.source for c in key.lab.cells if "setup" in c.metadata.get("tags", ())]
        self._cells = [*(Code(0, source) for source in setup), *submission.code]
        self._left_out: set[int] = set()
        self._sandbox = sandbox
        self._until = time.monotonic() + TOTAL
        self._opened: AbstractContextManager[Session] | None = None
        self._session: Session | None = None
        self._errors: dict[int, CellError] = {}
        self.output = ""

    @property
    def errors(self) -> tuple[CellError, ...]:
        """The cells that didn't run to their end."""
        return tuple(error for _, error in sorted(self._errors.items()))

    def seconds(self, most: float) -> float:
        """Return how long the next thing may take."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise _UsedUp
        return min(most, left)

    def session(self) -> Session:
        """Return the session in which all cells have run that stop nothing."""
        while self._session is None:
            self._session = self._begin()
        return self._session

    def _begin(self) -> Session | None:
        """Run the cells; None if one of them takes the process along, which is left out then."""
        opened = self._sandbox.open()
        session = opened.__enter__()
        self._opened = opened
        for place, cell in enumerate(self._cells):
            if place in self._left_out:
                continue
            try:
                error = session.run_cell(cell.source, self.seconds(CELL))
            except WireError as problem:
                self._errors[place] = CellError(cell.number, problem.kind, "", cell.begins)
                self._left_out.add(place)
                self.end()
                if isinstance(problem, _UsedUp):
                    raise
                return None
            if error:
                raised = CellError(cell.number, "raised", error[:SHOWN], cell.begins)
                self._errors[place] = raised
        return session

    def end(self) -> None:
        """Leave the sandbox."""
        if self._session is not None:
            with suppress(WireError):
                self.output = self.output or self._session.output(1.0)
        if self._opened is not None:
            self._opened.__exit__(None, None, None)
        self._opened = self._session = None


def grade_content(task: Task, content: bytes, key: Key, sandbox: Sandbox) -> Result:
    """Grade what somebody handed in. Whatever it is, there is a result.

    Parameters
    ----------
    task
        What is asked.
    content
        The bytes of a notebook, or any others.
    key
        The key to ``task.lab``, drawn from ``task.seed``.
    sandbox
        Where its code runs.

    Examples
    --------
    >>> from nndl._labs import labs_folder
    >>> from nndl.checking import lab_key
    >>> with Sandbox(labs_folder() / "lab3" / "questions.py", "rlimits") as sandbox:
    ...     result = grade_content(Task(3, 7, "rlimits"), b"42", lab_key(3, 7), sandbox)
    >>> result.points, result.problem
    (0, 'not a notebook')
    """
    try:
        submission = read_submission(content)
    except SubmissionError as problem:
        return no_result(task, key.lab, str(problem))
    if submission.lab not in (None, task.lab):
        return no_result(task, key.lab, "another lab", submission.lang)
    return grade(task, submission, key, sandbox)


def no_result(task: Task, lab: Lab, problem: str, lang: str | None = None) -> Result:
    """Return the result of what cannot be graded: no points, and the reason.

    Examples
    --------
    >>> from nndl.checking import read_lab
    >>> no_result(Task(3, 7, "rlimits", "zh"), read_lab(3), "link").of
    90
    """
    questions = [q for q in lab.questions if task.only in (None, q.name)]
    marks = tuple(Mark(question.name, 0, question.points) for question in questions)
    return Result(task.lab, lang or task.lang, task.level, marks, problem=problem)


def grade(task: Task, submission: Submission, key: Key, sandbox: Sandbox) -> Result:
    """Grade a hand-in with the key to its lab.

    Parameters
    ----------
    task
        What is asked.
    submission
        The hand-in.
    key
        The key to ``task.lab``, drawn from ``task.seed``.
    sandbox
        Where its code runs.

    Examples
    --------
    >>> from nndl._labs import labs_folder
    >>> from nndl.checking import lab_key
    >>> handed_in = Submission(3, "en", (Code(1, "memory = lambda rho, share: (0, 0)"),))
    >>> task = Task(3, 7, "rlimits", only="memory")
    >>> with Sandbox(labs_folder() / "lab3" / "questions.py", "rlimits") as sandbox:
    ...     [mark] = grade(task, handed_in, lab_key(3, 7), sandbox).marks
    >>> mark.points, mark.reasons
    (0, ('Case 1: `total` differs from the right values.',))
    """
    lang = submission.lang or task.lang
    running = _Running(submission, key, sandbox)
    try:
        marks = tuple(
            _mark(questioned, running, lang)
            for name, questioned in key.questions.items()
            if task.only in (None, name)
        )
    finally:
        running.end()
    kinds = {*(mark.kind for mark in marks), *(error.kind for error in running.errors)}
    return Result(
        lab=task.lab,
        lang=lang,
        level=sandbox.level,
        marks=marks,
        flags=(*submission.flags, *(kind for kind in OTHERS_ENDED if kind in kinds)),
        answers={
            c.question: c.source[:KEPT] for c in submission.code if c.question in key.questions
        },
        written={name: text[:KEPT] for name, text in submission.written.items()},
        cells=running.errors,
        output=running.output,
    )


def _mark(key: QuestionKey, running: _Running, lang: str) -> Mark:
    def run(case: Case) -> Trace | Failure:
        try:
            session = running.session()
            reply, trace = session.run_case(key.question.name, case, running.seconds(CASE))
        except WireError as problem:
            running.end()
            return Failure(problem.kind, seconds=TOTAL if isinstance(problem, _UsedUp) else CASE)
        return _failure(reply, key.question.defines) or trace

    failure = key.failure(run)
    question = key.question
    if failure is None:
        return Mark(question.name, question.points, question.points)
    report = Report(question, len(key.cases), failure, lang)
    rows = tuple(report.rows())
    return Mark(
        question.name,
        0,
        question.points,
        failure.kind,
        failure.mistake.name if failure.mistake else "",
        tuple(report.reasons()),
        report.head() if rows else (),
        rows,
    )


def _failure(reply: Mapping[str, Any], defines: Sequence[str]) -> Failure | None:
    """Read why there is no trace. The other side may have written anything into the reply."""
    kind, line, said = reply.get("kind"), reply.get("line"), reply.get("said")
    if kind == "":
        return None
    if kind == "undefined":
        missing = [name for name in defines if name == reply.get("name")]
        return Failure("undefined", name=(*missing, defines[0])[0])
    if kind == "empty":
        return Failure("empty", name=defines[0])
    if kind == "unusable" and isinstance(said, dict) and said.keys() == set(LANGUAGES):
        return Failure("unusable", said={lang: text_of(text, SHOWN) for lang, text in said.items()})
    if kind == "raised":
        line = line if type(line) is int else None
        return Failure("raised", error=text_of(reply.get("error"), SHOWN), line=line)
    return Failure("damaged")
