"""The hand-ins in a folder, as Canvas, Moodle, nbgrader or a person left them there."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from nndl.grading.submission import SubmissionError, read_submission

__all__ = ["HandIn", "find_handins", "lab_of", "read_bytes", "the_handin"]

MAX_BYTES = 20 << 20
MAX_NOTE = 100
# Canvas: zhangwei_LATE_12345_67890_lab3-1.ipynb; the first number is the student's.
_CANVAS = re.compile(r"^(?P<student>.+?)_(?P<late>LATE_)?(?P<id>\d+)_\d+_.+$")
# Moodle: "Zhang Wei_12345_assignsubmission_file_", a folder with the notebook or, without folders,
# the beginning of the notebook's own name.
_MOODLE = re.compile(r"^(?P<student>.+)_(?P<id>\d+)_assignsubmission_.*$")
# nbgrader writes this file beside a notebook when it collects it.
_TIMESTAMP = "timestamp.txt"


@dataclass(frozen=True)
class HandIn:
    """One student's hand-in.

    Attributes
    ----------
    student
        The name that the file or the folder carries.
    path
        The notebook, or None if there is none.
    problem
        Why it cannot be read: a key of ``nndl.grading.words.PROBLEMS``, or an empty text.
    flags
        Keys of ``nndl.grading.words.FLAGS``.
    handed_in
        When, in UTC.
    marked_late
        Whether Canvas has marked it as late.
    canvas_id, moodle_id
        The student's number there, or an empty text.

    Examples
    --------
    >>> HandIn("nobody", None, "missing").flags
    ()
    """

    student: str
    path: Path | None
    problem: str = ""
    flags: tuple[str, ...] = ()
    handed_in: datetime | None = None
    marked_late: bool = False
    canvas_id: str = ""
    moodle_id: str = ""


def find_handins(folder: Path, lab: int | None = None) -> list[HandIn]:
    """List the hand-ins in a folder, one for each student, by name.

    A notebook in the folder itself belongs to the student whose name it carries; a folder in it to
    the student whose name the folder carries. Hidden files are left out. Namesakes, who have
    numbers of their own in Canvas or Moodle, carry their numbers behind their names.

    Parameters
    ----------
    folder
        The folder.
    lab
        Where a student has several notebooks, those of this lab are taken.

    Raises
    ------
    ValueError
        If it is no folder, or nothing was handed in there.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(folder, "zhangwei_LATE_12345_67890_lab3.ipynb").write_bytes(b"{}")
    ...     [handin] = find_handins(Path(folder))
    >>> handin.student, handin.canvas_id, handin.marked_late
    ('zhangwei', '12345', True)
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder")
    found: dict[tuple[str, str, str], list[HandIn]] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            handin = the_handin(path, lab)
        elif path.suffix == ".ipynb":
            handin = _in_file(path)
        else:
            continue
        who = handin.student, handin.canvas_id, handin.moodle_id
        found.setdefault(who, []).append(handin)
    if not found:
        raise ValueError(
            f"{folder} has no hand-ins: neither notebooks (.ipynb) nor folders of them"
        )
    names = Counter(student for student, _, _ in found)
    chosen = []
    for (student, *numbers), handins in sorted(found.items()):
        handin = _last(handins, lab)
        number = "".join(numbers)
        if names[student] > 1 and number:
            handin = replace(handin, student=f"{student} ({number})")
        chosen.append(handin)
    return chosen


def _in_file(path: Path) -> HandIn:
    if match := _MOODLE.match(path.stem):
        return _described(match["student"], path, moodle_id=match["id"])
    if match := _CANVAS.match(path.stem):
        late = match["late"] is not None
        return _described(match["student"], path, canvas_id=match["id"], marked_late=late)
    return _described(path.stem, path)


def the_handin(folder: Path, lab: int | None = None) -> HandIn:
    """Return the hand-in of the one student to whom a folder belongs.

    Parameters
    ----------
    folder
        The folder.
    lab
        Where it has several notebooks, those of this lab are taken.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory(suffix="Li Hua_12345_assignsubmission_file_") as folder:
    ...     handin = the_handin(Path(folder))
    >>> handin.moodle_id, handin.problem
    ('12345', 'missing')
    """
    match = _MOODLE.match(folder.name)
    student, number = (match["student"], match["id"]) if match else (folder.name, "")
    notebooks = list(_notebooks(folder))
    if not notebooks:
        return HandIn(student, None, "missing", moodle_id=number)
    return _last([_described(student, path, moodle_id=number) for path in notebooks], lab)


def _notebooks(folder: Path) -> Iterator[Path]:
    """List notebooks, without following links out of the folder."""
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.endswith(".ipynb") and not name.startswith("."):
                yield Path(where, name)


def _described(
    student: str, path: Path, canvas_id: str = "", moodle_id: str = "", marked_late: bool = False
) -> HandIn:
    problem, when = "", None
    if path.is_symlink():
        problem = "link"
    elif not path.is_file():
        problem = "unreadable"
    else:
        when = _when(path)
    return HandIn(student, path, problem, (), when, marked_late, canvas_id, moodle_id)


def _when(path: Path) -> datetime:
    """Return what nbgrader noted, or else when the file was last changed."""
    note = path.with_name(_TIMESTAMP)
    if note.is_file() and not note.is_symlink() and note.stat().st_size < MAX_NOTE:
        try:
            noted = datetime.fromisoformat(note.read_text("utf-8").strip().removesuffix(" UTC"))
        except ValueError:
            pass
        else:
            return noted if noted.tzinfo else noted.replace(tzinfo=UTC)
    return datetime.fromtimestamp(path.lstat().st_mtime, UTC)


def _last(handins: Sequence[HandIn], lab: int | None) -> HandIn:
    """Return the latest of a student's hand-ins of the lab, flagged if there are others."""
    several = [h for h in handins if lab_of(h) == lab] if len(handins) > 1 and lab else []
    several = several or list(handins)
    early = datetime.min.replace(tzinfo=UTC)
    chosen = max(several, key=lambda handin: handin.handed_in or early)
    return replace(chosen, flags=(*chosen.flags, "several")) if len(several) > 1 else chosen


def lab_of(handin: HandIn) -> int | None:
    """Return the lab that a hand-in says it is, or None.

    Examples
    --------
    >>> lab_of(HandIn("nobody", None)) is None
    True
    """
    content, problem = read_bytes(handin)
    try:
        return None if problem else read_submission(content).lab
    except SubmissionError:
        return None


def read_bytes(handin: HandIn) -> tuple[bytes, str]:
    """Return what was handed in, and why it cannot be read (or an empty text).

    Examples
    --------
    >>> read_bytes(HandIn("nobody", None))
    (b'', 'missing')
    """
    if handin.problem or handin.path is None:
        return b"", handin.problem or "missing"
    try:
        if handin.path.lstat().st_size > MAX_BYTES:
            return b"", "too large"
        return handin.path.read_bytes(), ""
    except OSError:
        return b"", "unreadable"
