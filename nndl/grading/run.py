"""A whole run: the hand-ins that are still to do, their grading, and the reports."""

import hashlib
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from nndl._labs import require_lab
from nndl.grading.handins import HandIn, lab_of, read_bytes
from nndl.grading.journal import Entry, Journal, fingerprint
from nndl.grading.late import LatePolicy
from nndl.grading.result import Result
from nndl.grading.task import Task

if TYPE_CHECKING:
    from nndl.grading.gradebook import Row

__all__ = ["Run", "check_written", "find_lab", "grade_all", "write_reports"]

WRITTEN = "written.csv"


@dataclass(frozen=True)
class Run:
    """What is to be graded, and where.

    Attributes
    ----------
    task
        What is asked of each hand-in.
    handins
        The hand-ins.
    workers
        How many at a time on this machine, or None for one a processor.
    scheduler
        The address of a Dask scheduler, or None for this machine.
    """

    task: Task
    handins: Sequence[HandIn]
    workers: int | None = None
    scheduler: str | None = None


def find_lab(handins: Sequence[HandIn]) -> int:
    """Return the lab that most hand-ins say they are.

    Raises
    ------
    ValueError
        If none says so, or two labs have as many.
    """
    counts = Counter(lab for lab in map(lab_of, handins) if lab is not None)
    most = [lab for lab, count in counts.items() if count == max(counts.values())]
    if len(most) != 1:
        said = ", ".join(f"lab {lab}" for lab in sorted(most)) or "no lab"
        raise ValueError(f"the hand-ins say {said}: name the lab with --lab")
    return most[0]


def grade_all(work: Run, out: Path | None = None, *, again: bool = False) -> dict[str, Result]:
    """Grade the hand-ins, and return the results by student.

    Parameters
    ----------
    work
        What is to be graded.
    out
        The folder with the journal: what stands there is not graded again. Each result is written
        down as soon as it is there.
    again
        Grade everything again all the same.

    Raises
    ------
    ValueError
        If there is no such lab or question.
    """
    require_lab(work.task.lab)
    journal = Journal(out / "journal.jsonl" if out else None)
    asked = fingerprint(work.task)
    results: dict[str, Result] = {}
    whole: dict[str, Path] = {}  # to be graded as a whole
    partly: dict[str, Path] = {}  # one question of which is to be graded again
    hashes: dict[str, str] = {}
    unreadable: dict[str, str] = {}
    for handin in work.handins:
        student = handin.student
        content, problem = read_bytes(handin)
        if problem or handin.path is None:
            unreadable[student] = problem
            continue
        hashes[student] = hashlib.sha256(content).hexdigest()
        old = journal.entries.get(student)
        if old is None or old.content != hashes[student] or again:
            whole[student] = handin.path
        elif work.task.only is not None:
            partly[student] = handin.path
        elif old.task != asked:
            whole[student] = handin.path
        else:
            results[student] = old.result
    with (
        journal.writing(),
        tqdm(
            total=len(work.handins),
            initial=len(results) + len(unreadable),
            desc=f"lab {work.task.lab}",
            unit="hand-in",
        ) as bar,
    ):
        for paths, only in ((whole, None), (partly, work.task.only)):
            task = replace(work.task, only=only)
            with closing(_graded(work, task, paths)) as graded:
                for student, result in graded:
                    if only is not None:
                        result = journal.entries[student].result.with_marks_of(result)
                    results[student] = result
                    if result.problem != "grader":
                        journal.add(Entry(student, hashes[student], asked, result))
                    bar.update()
    if unreadable:
        from nndl.checking.source import read_lab
        from nndl.grading.grade import no_result

        lab = read_lab(work.task.lab)
        for student, problem in unreadable.items():
            results[student] = no_result(work.task, lab, problem)
    return {handin.student: results[handin.student] for handin in work.handins}


def _graded(
    work: Run, task: Task, paths: Mapping[str, Path]
) -> Generator[tuple[str, Result], None, None]:
    if not paths:
        return
    if work.scheduler:
        from nndl.grading.cluster import grade_there

        yield from grade_there(task, paths, work.scheduler)
    else:
        from nndl.grading.pool import grade_here, processors

        yield from grade_here(task, paths, work.workers or processors())


def check_written(out: Path, work: Run) -> None:
    """Refuse a table of a person's marks that makes no sense, before anything is graded.

    Raises
    ------
    ValueError
        If it doesn't.
    """
    if not (out / WRITTEN).exists():
        return
    from nndl.checking.source import read_lab
    from nndl.grading.written import read_written

    students = [handin.student for handin in work.handins]
    read_written(out / WRITTEN, read_lab(work.task.lab), students)


def write_reports(
    out: Path, work: Run, results: Mapping[str, Result], policy: LatePolicy
) -> "list[Row]":
    """Write the gradebooks, the feedback pages and the summary.

    Parameters
    ----------
    out
        Where to.
    work
        What was graded.
    results
        What came out.
    policy
        What is late, and what it costs.

    Returns
    -------
    list of Row
        All that is known of each hand-in.

    Raises
    ------
    ValueError
        If ``written.csv``, which a person has filled in, makes no sense.
    """
    from nndl.checking.source import read_lab
    from nndl.grading.feedback import feedback_name, feedback_page
    from nndl.grading.gradebook import make_row, write_gradebooks
    from nndl.grading.summary import summary_page
    from nndl.grading.table import write_text
    from nndl.grading.written import read_written, write_written

    lab = read_lab(work.task.lab)
    written = out / WRITTEN
    given = read_written(written, lab, results)
    rows = [make_row(h, results[h.student], lab, policy, given) for h in work.handins]
    write_written(written, ((row.handin.student, mark) for row in rows for mark in row.written))
    write_gradebooks(out, rows, lab, work.task.lang)
    feedback = out / "feedback"
    feedback.mkdir(exist_ok=True)
    for row in tqdm(rows, desc="feedback", unit="page"):
        write_text(feedback / feedback_name(row.handin), feedback_page(row, lab))
    now = datetime.now().astimezone()
    write_text(out / "summary.html", summary_page(rows, lab, work.task.lang, now))
    return rows
