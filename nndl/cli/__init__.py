"""The command line: ``nndl course``, ``nndl lab``, ``nndl check``, ``nndl grade``.

What a command does is imported when it runs, so that ``nndl --help`` answers at once.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from nndl.cli.check import add_to as add_check
from nndl.cli.course import add_to as add_course
from nndl.cli.grade import add_to as add_grade
from nndl.cli.lab import add_to as add_lab

__all__ = ["main"]

ABOUT = "The lab course on the optimisers that train neural networks."


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    whole = argparse.ArgumentParser(prog="nndl", description=ABOUT)
    commands = whole.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (add_lab, add_check, add_course, add_grade):
        add(commands)
    return whole


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return 0 if all went well.

    Examples
    --------
    >>> main(["lab", "start", "99", "--no-open"])
    2
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that has no Chinese
    options = parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError) as error:
        print(f"nndl: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        extra = options.extra
        print(
            f"nndl: {error.name} is not installed; this command needs pip install 'nndl[{extra}]'",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("\nnndl: interrupted", file=sys.stderr)
        return 130
