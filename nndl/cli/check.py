"""``nndl check``: what the check says of a whole notebook."""

import argparse
from pathlib import Path

from nndl.cli.common import Commands

__all__ = ["add_to"]


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    check = commands.add_parser(
        "check",
        help="check a lab's notebook (students)",
        description="Run a lab's notebook from top to bottom and check each answer, as the check "
        "in the notebook does. 0 is returned if all passed, 1 if not.",
    )
    check.add_argument("notebook", type=Path, help="labN.ipynb")
    check.add_argument("--question", metavar="NAME", help="check this question alone")
    check.set_defaults(run=run, extra="labs")


def run(options: argparse.Namespace) -> int:
    """Check, and print what is found as it is found."""
    from nndl.checking.notebook import check_notebook

    return 0 if check_notebook(options.notebook, options.question) else 1
