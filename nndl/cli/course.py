"""``nndl course``: the secret from which hidden inputs are drawn."""

import argparse
import sys
from pathlib import Path

from nndl.cli.common import Commands, add_lang

__all__ = ["add_to"]


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    course = commands.add_parser(
        "course",
        help="make a course's secret (instructors)",
        description="Make the file with a course's secret.",
    )
    ways = course.add_subparsers(title="commands", metavar="COMMAND", required=True)
    init = ways.add_parser(
        "init",
        help="write nndl-course.toml, with a new secret",
        description="Write nndl-course.toml, with a new secret. The grader draws its hidden "
        "inputs from it. An existing file is never overwritten.",
    )
    init.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=Path(),
        help="the course's folder (default: this one)",
    )
    add_lang(init)
    init.set_defaults(run=run, extra="grading")


def run(options: argparse.Namespace) -> int:
    """Make the course's file."""
    from nndl.grading.course import init_course, would_be_committed

    course = init_course(options.folder, options.lang)
    print(f"{course.path} holds the course's secret. Keep a copy of it in a safe place.")
    if would_be_committed(course.path):
        print(
            f"WARNING: git would commit it. Add the line\n\n    {course.path.name}\n\n"
            f"to {course.path.parent / '.gitignore'}.",
            file=sys.stderr,
        )
    return 0
