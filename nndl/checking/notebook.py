"""Check a whole notebook from the command line, in the language that it was released in."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import matplotlib as mpl

from nndl.checking.check import check_answer, in_words, lab_key
from nndl.checking.source import Lab, read_lab
from nndl.grading.handins import HandIn, read_bytes
from nndl.grading.submission import Submission, SubmissionError, read_submission
from nndl.grading.words import CELLS, FLAGS, PROBLEMS

__all__ = ["check_notebook"]

WORDS = {
    "zh": {
        "sum": "{passed} / {of} 题通过，{points} / {all} 分。",
        "written": "书面题 {points} 分，由老师评。",
        "hidden": "评分时用另一组输入，规则相同。",
        "flags": "老师会看一眼：{flags}。",
        "stopped": "停在这一题：{title}",
    },
    "en": {
        "sum": "{passed} of {of} questions passed: {points} of {all} points.",
        "written": "A person marks the written answers, for {points} more.",
        "hidden": "The grader has other inputs, and the same rules.",
        "flags": "A person will have a look: this {flags}.",
        "stopped": "Stopped in this question: {title}",
    },
}


def check_notebook(path: Path, only: str | None = None) -> bool:
    """Run a lab's notebook, check its answers and print what is found; return whether all passed.

    Parameters
    ----------
    path
        The notebook.
    only
        The one question to be checked, or None for all.

    Raises
    ------
    ValueError
        If it is no notebook of a lab, or the lab has no such question.
    """
    submission = _read(path)
    lang = submission.lang or "en"
    words = WORDS[lang]
    lab = read_lab(submission.lab or 0)
    questions = [lab.question(only)] if only is not None else list(lab.questions)
    answers = _run(lab, submission, lang)
    reports = []
    for question in questions:
        try:
            with _quiet():
                report = check_answer(lab_key(lab.number), question.name, answers, lang)
        except KeyboardInterrupt:
            print(words["stopped"].format(title=question.title[lang]))
            raise
        print(report)
        reports.append(report)
    print()
    print(
        words["sum"].format(
            passed=sum(report.passed for report in reports),
            of=len(reports),
            points=sum(report.points for report in reports),
            all=sum(question.points for question in questions),
        )
    )
    if only is None:
        left = 100 - sum(question.points for question in questions)
        print(words["written"].format(points=left))
        print(words["hidden"])
    if submission.flags:
        separator = "、" if lang == "zh" else ", "
        flags = separator.join(FLAGS[flag][lang] for flag in submission.flags)
        print(words["flags"].format(flags=flags))
    return all(report.passed for report in reports)


def _read(path: Path) -> Submission:
    content, problem = read_bytes(HandIn(path.stem, path))
    try:
        submission = read_submission(content) if not problem else None
    except SubmissionError as error:
        problem = str(error)
    if problem or submission is None:
        raise ValueError(f"{path}: {PROBLEMS[problem]['en']}")
    if submission.lab is None:
        raise ValueError(
            f"{path} does not say which lab it belongs to. `nndl lab start N` makes a notebook "
            "that does"
        )
    return submission


def _run(lab: Lab, submission: Submission, lang: str) -> Mapping[str, Any]:
    """Run the setup and the student's cells; a cell that raises costs no other."""
    mpl.use("Agg")
    namespace: dict[str, Any] = {"__name__": "__main__", "get_ipython": lambda: _Shell()}
    for cell in lab.cells:
        if "setup" in cell.metadata.get("tags", ()):
            exec(cell.source, namespace)
    for code in submission.code:
        try:
            with _quiet():
                exec(compile(code.source, f"<cell {code.number}>", "exec"), namespace)
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt)
            said = CELLS["stopped" if stopped else "raised"][lang]
            print(said.format(cell=code.number, begins=code.begins, error=in_words(error)))
            if stopped:
                raise
    return namespace


class _Shell:
    """What is left of IPython: its magics do nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the student's code prints out of the report."""
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield
