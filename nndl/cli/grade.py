"""``nndl grade``: mark a folder of hand-ins behind walls."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nndl.cli.common import Commands

if TYPE_CHECKING:
    from nndl.grading.course import Course
    from nndl.grading.handins import HandIn
    from nndl.grading.run import Run

__all__ = ["add_to"]


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    grade = commands.add_parser(
        "grade",
        help="grade a folder of hand-ins (instructors)",
        description="Grade every hand-in in a folder: notebooks, or folders of them, as Canvas, "
        "Moodle and nbgrader leave them. Each runs behind walls, and none can stop the others. "
        "The marks, a feedback page for each student and a summary go to another folder. "
        "An interrupted run goes on when it is started again.",
    )
    grade.add_argument("folder", type=Path, help="the hand-ins")
    grade.add_argument("--lab", type=int, metavar="N", help="the lab (default: what they say)")
    grade.add_argument(
        "--out", type=Path, metavar="DIR", help="where the marks go (default: FOLDER-graded)"
    )
    grade.add_argument(
        "--course",
        type=Path,
        metavar="FILE",
        help="nndl-course.toml (default: in this folder or above)",
    )
    where = grade.add_argument_group("where it runs")
    where.add_argument(
        "--level",
        choices=("bubblewrap", "rlimits", "none"),
        default="bubblewrap",
        help="the walls around the hand-ins; naming one below bubblewrap accepts its risks",
    )
    where.add_argument(
        "--workers", type=int, metavar="N", help="hand-ins at a time (default: one a processor)"
    )
    where.add_argument(
        "--scheduler", metavar="ADDRESS", help="a Dask cluster: tcp://host:8786, or tls://"
    )
    late = grade.add_argument_group("late hand-ins")
    late.add_argument(
        "--due", metavar="TIME", help="when the lab was due: 2026-11-30 or with T18:00"
    )
    late.add_argument(
        "--late-per-day",
        type=float,
        default=0.0,
        metavar="PERCENT",
        help="what each day begun takes off the points earned (default: nothing)",
    )
    again = grade.add_argument_group("grading again")
    again.add_argument(
        "--only", metavar="QUESTION", help="grade one question again, and keep the other marks"
    )
    again.add_argument("--again", action="store_true", help="grade all hand-ins again")
    grade.add_argument(
        "--gradescope",
        type=Path,
        metavar="FILE",
        help="write Gradescope's results.json instead: FOLDER is one student's hand-in",
    )
    grade.set_defaults(run=run, extra="grading")


def run(options: argparse.Namespace) -> int:
    """Grade, and say where the marks are."""
    if options.workers is not None and options.workers < 1:
        raise ValueError(f"--workers must be at least 1, got {options.workers}")
    from nndl.grading.course import find_course, read_course

    course = read_course(options.course) if options.course else find_course(Path())
    if options.gradescope is not None:
        return _grade_one(options, course)
    return _grade_folder(options, course)


# Nothing below imports torch before the workers, which do so themselves, are started.


def _work(
    options: argparse.Namespace, course: "Course", handins: "Sequence[HandIn]", lab: int
) -> "Run":
    """Put together what is asked for; refuse what cannot be done."""
    from nndl.grading.run import Run
    from nndl.grading.sandbox import require_level
    from nndl.grading.task import Task

    if options.only is not None:
        from nndl.checking import read_lab

        read_lab(lab).question(options.only)
    if not options.scheduler:
        require_level(options.level)
    task = Task(lab, course.seed(lab), options.level, course.lang, options.only)
    return Run(task, handins, options.workers, options.scheduler)


def _grade_one(options: argparse.Namespace, course: "Course") -> int:
    """Grade one student's folder, for Gradescope."""
    from nndl.grading.handins import the_handin
    from nndl.grading.run import find_lab, grade_all

    handin = the_handin(options.folder, options.lab)
    lab = find_lab([handin]) if options.lab is None else options.lab
    result = grade_all(_work(options, course, [handin], lab))[handin.student]

    from nndl.grading.gradescope import results_json

    content = json.dumps(results_json(result), ensure_ascii=False, indent=1)
    options.gradescope.write_text(content, "utf-8")
    return 0


def _grade_folder(options: argparse.Namespace, course: "Course") -> int:
    """Grade everybody's hand-ins, and write all reports."""
    from nndl.grading.handins import find_handins
    from nndl.grading.late import LatePolicy, parse_time
    from nndl.grading.run import WRITTEN, check_written, find_lab, grade_all, write_reports

    policy = LatePolicy(parse_time(options.due) if options.due else None, options.late_per_day)
    lab = options.lab
    if lab is None:
        lab = find_lab(find_handins(options.folder))
    work = _work(options, course, find_handins(options.folder, lab), lab)
    out = _folder_of_marks(options)
    check_written(out, work)
    try:
        results = grade_all(work, out, again=options.again)
    except KeyboardInterrupt:
        print(f"\nInterrupted. What is graded is kept in {out}; the same command goes on.")
        return 130
    rows = write_reports(out, work, results, policy)
    print(f"Hand-ins graded at level {options.level}: {len(rows)}. Marks: {out / 'grades.csv'}")
    print(f"Summary: {out / 'summary.html'}   Feedback: {out / 'feedback'}")
    waiting = sum(row.waiting for row in rows)
    if waiting:
        print(
            f"Hand-ins whose written answers wait for you: {waiting}. Fill in {out / WRITTEN} and "
            "run the same command again; until then they count as 0."
        )
    failed = [row.student for row in rows if not row.graded]
    if failed:
        print(f"The grader failed on {', '.join(failed)}; the same command tries them again.")
    return 1 if failed else 0


def _folder_of_marks(options: argparse.Namespace) -> Path:
    """Make the folder that the marks go to, beside that of the hand-ins."""
    folder = options.folder.resolve()
    out: Path = options.out or folder.with_name(f"{folder.name}-graded")
    if out.resolve().is_relative_to(folder):
        raise ValueError(f"--out must not be inside the folder of the hand-ins, got {out}")
    # What is in there is between the students and their teacher.
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    return out
