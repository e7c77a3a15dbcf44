"""A lab as nbgrader wants it, for courses that stay with nbgrader.

nbgrader runs a whole hand-in, and the tests in it, in one process with the student's code. So what
``nndl grade`` keeps apart lies together there: expected values are worked out in the process that
the student's code may search or change, nothing walls it off from files, network and other
hand-ins, one endless cell costs every question, and a test can only pass or fail. The questions,
their inputs and their points are the same.
"""

import re
from typing import Any

from nndl.checking.release import release
from nndl.checking.source import Lab
from nndl.grading.written import written_questions

__all__ = ["nbgrader_source"]

SCHEMA = 3  # of nbgrader's metadata, since its release 0.6
# check("adam", adam_step)
_CHECK = re.compile(r'check\((?P<answer>"(?P<name>[\w-]+)", .+)\)')


def nbgrader_source(lab: Lab, lang: str, seed: int | None = None) -> dict[str, Any]:
    """Return a lab as the source notebook of an nbgrader assignment, in nbformat's form.

    nbgrader's own ``generate_assignment`` makes the students' notebook from it and ``autograde``
    marks what comes back. A question's code is a solution cell, its check a locked test with the
    question's points. Written questions are marked by a person in nbgrader, with the rubric in
    place of an answer. The cells keep this package's metadata too, so that ``nndl grade`` marks the
    same hand-ins.

    Parameters
    ----------
    lab
        The lab.
    lang
        ``"zh"`` or ``"en"``.
    seed
        What hidden inputs are drawn from; None for none. It stands in the source and in what
        ``autograde`` runs, but not in what students get.

    Raises
    ------
    ValueError
        If there is no such language.

    Examples
    --------
    >>> from nndl.checking import read_lab
    >>> notebook = nbgrader_source(read_lab(3), "en", seed=7)
    >>> about = [cell["metadata"].get("nbgrader", {}) for cell in notebook["cells"]]
    >>> sum(cell.get("points", 0) for cell in about)
    100
    """
    notebook = release(lab, lang)
    answers = {cell.question: cell for cell in lab.cells if cell.question is not None}
    written = {question.name: question for question in written_questions(lab)}
    for cell in notebook["cells"]:
        ours = cell["metadata"].get("nndl", {})
        if "question" in ours:
            cell["source"] = answers[ours["question"]].source
            cell["metadata"]["nbgrader"] = _about(f"answer-{ours['question']}", solution=True)
        elif called := _CHECK.fullmatch(cell["source"]):
            points = lab.question(called["name"]).points
            cell["source"] = _test(called["answer"], lab.number, lang, seed)
            cell["metadata"]["nbgrader"] = _about(
                f"test-{called['name']}", locked=True, grade=True, points=points
            )
        elif "written" in ours:
            question = written[ours["written"]]
            rubric = question.rubric[lang]
            cell["source"] += f"\n\n### BEGIN SOLUTION\n{rubric}\n### END SOLUTION"
            cell["metadata"]["nbgrader"] = _about(
                f"written-{question.name}", solution=True, grade=True, points=question.of
            )
    return notebook


def _about(name: str, **others: Any) -> dict[str, Any]:
    roles = {"grade": False, "locked": False, "solution": False, "task": False}
    return {"schema_version": SCHEMA, "grade_id": name, **roles, **others}


def _test(answer: str, number: int, lang: str, seed: int | None) -> str:
    """Return a cell that raises what the check has found, first with the published inputs."""
    lines = [f"report = check({answer})", "assert report.passed, report"]
    if seed is not None:
        lines += [
            "### BEGIN HIDDEN TESTS",
            "from nndl.checking import check as check_of",
            f'report = check_of({number}, "{lang}", seed={seed})({answer})',
            "assert report.passed, report",
            "### END HIDDEN TESTS",
        ]
    return "\n".join([*lines, "report"])
