"""``nndl lab``: list the labs, begin with one, write one for students."""

import argparse
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nndl.cli.common import Commands, add_lang

__all__ = ["add_to"]

FORMATS = ("jupyter", "nbgrader", "gradescope")


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    lab = commands.add_parser(
        "lab",
        help="list the labs, begin with one, release one",
        description="List the labs, begin with one, or release one to students.",
    )
    ways = lab.add_subparsers(title="commands", metavar="COMMAND", required=True)

    listing = ways.add_parser("list", help="list the labs", description="List the labs by number.")
    add_lang(listing)
    listing.set_defaults(run=list_labs, extra="labs")

    start = ways.add_parser(
        "start",
        help="put a lab into this folder and open it",
        description="Put a lab's notebook into a folder and open it in JupyterLab. A notebook "
        "that is there already is opened as it is.",
    )
    start.add_argument("number", type=int, help="the lab's number")
    add_lang(start)
    start.add_argument(
        "--out", type=Path, default=Path(), metavar="DIR", help="the folder (default: this one)"
    )
    start.add_argument("--no-open", action="store_true", help="don't open JupyterLab")
    start.set_defaults(run=start_lab, extra="labs")

    release = ways.add_parser(
        "release",
        help="write a lab without its solutions (instructors)",
        description="Write a lab's notebook without solutions, for students; or a source for "
        "nbgrader (with solutions); or the autograder for Gradescope.",
    )
    release.add_argument("number", type=int, help="the lab's number")
    add_lang(release)
    release.add_argument("--out", type=Path, required=True, metavar="DIR", help="where it goes")
    release.add_argument(
        "--format",
        choices=FORMATS,
        default="jupyter",
        help="jupyter: labN.ipynb for students (default); nbgrader: labN.ipynb for nbgrader's "
        "source folder; gradescope: labN-gradescope.zip to upload as autograder",
    )
    release.add_argument(
        "--course",
        type=Path,
        metavar="FILE",
        help="nndl-course.toml; nbgrader and gradescope try hand-ins on inputs drawn from it "
        "(default: in this folder or above)",
    )
    release.add_argument(
        "--level",
        choices=("bubblewrap", "rlimits", "none"),
        help="gradescope: the walls there; most of its containers allow no more than rlimits",
    )
    release.add_argument("--force", action="store_true", help="overwrite what is there")
    release.set_defaults(run=release_lab, extra="grading")


def list_labs(options: argparse.Namespace) -> int:
    """Print a line for each lab."""
    from nndl.checking import lab_numbers, read_lab

    for number in lab_numbers():
        print(f"{number}  {read_lab(number).title(options.lang)}")
    return 0


def start_lab(options: argparse.Namespace) -> int:
    """Write the notebook if there is none, and open it."""
    from nndl.checking import read_lab, release

    lab = read_lab(options.number)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"lab{lab.number}.ipynb"
    if path.exists():
        print(f"{path} is there already, and stays as it is.")
    else:
        write(path, as_json(release(lab, options.lang)))
        print(f"{path} is ready. To check your work: nndl check {path}")
    if options.no_open:
        return 0
    if find_spec("jupyterlab") is None:
        raise ModuleNotFoundError("JupyterLab is missing", name="jupyterlab")
    return subprocess.run([sys.executable, "-m", "jupyterlab", str(path)], check=False).returncode


def release_lab(options: argparse.Namespace) -> int:
    """Write a lab in the format that was asked for."""
    from nndl.checking import read_lab, release

    lab = read_lab(options.number)
    name = f"lab{lab.number}" + ("-gradescope.zip" if options.format == "gradescope" else ".ipynb")
    path = options.out / name
    if options.format == "jupyter":
        content = as_json(release(lab, options.lang))
    else:
        from nndl.grading.course import find_course, read_course
        from nndl.grading.gradescope import autograder_zip
        from nndl.grading.nbgrader import nbgrader_source

        course = read_course(options.course) if options.course else find_course(Path())
        if options.format == "nbgrader":
            content = as_json(nbgrader_source(lab, options.lang, course.seed(lab.number)))
        elif options.level is None:
            raise ValueError(
                "name the walls to be used on Gradescope, which are weaker than here: --level "
                "rlimits for most of its containers, --level bubblewrap if you know that it works"
            )
        else:
            content = autograder_zip(lab, course, options.level)
    if path.exists() and path.read_bytes() != content and not options.force:
        raise ValueError(f"{path} is there already, and differs; --force overwrites it")
    options.out.mkdir(parents=True, exist_ok=True)
    write(path, content, secret=options.format != "jupyter")
    print(path)
    return 0


def as_json(notebook: dict[str, Any]) -> bytes:
    """Return the notebook as Jupyter writes it."""
    return (json.dumps(notebook, ensure_ascii=False, indent=1) + "\n").encode()


def write(path: Path, content: bytes, *, secret: bool = False) -> None:
    """Write a file in one go: it is whole, or it isn't there. A secret one is its owner's alone."""
    part = path.with_name(path.name + ".part")
    part.touch(mode=0o600 if secret else 0o666)
    part.write_bytes(content)
    part.replace(path)
