"""What has been graded so far, a line for each hand-in: a run that was interrupted goes on."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from io import SEEK_END, BytesIO
from pathlib import Path
from typing import IO, Any

from nndl._labs import labs_folder
from nndl.grading.result import Result
from nndl.grading.task import Task

__all__ = ["Entry", "Journal", "fingerprint"]


def fingerprint(task: Task) -> str:
    """Return a text that changes with whatever could change a mark, and gives no secret away.

    Examples
    --------
    >>> one, other = Task(3, 1, "rlimits"), Task(3, 2, "rlimits")
    >>> fingerprint(one) == fingerprint(one), fingerprint(one) == fingerprint(other)
    (True, False)
    """
    digest = hashlib.sha256(f"{version('nndl')} {task.lab} {task.seed} {task.level}".encode())
    for name in ("lab.md", "questions.py", "mistakes.py"):
        digest.update((labs_folder() / f"lab{task.lab}" / name).read_bytes())
    return digest.hexdigest()[:32]


@dataclass(frozen=True)
class Entry:
    """A hand-in that was graded.

    Attributes
    ----------
    student
        Whose it is.
    content
        The hash of what was handed in.
    task
        The fingerprint of what was asked.
    result
        What came out.
    """

    student: str
    content: str
    task: str
    result: Result


class Journal:
    """The entries in a file, the last of each student.

    A line that was cut off when the machine stopped is left out: that hand-in is graded again.

    Parameters
    ----------
    path
        The file, which need not exist; without one, nothing is kept.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.entries: dict[str, Entry] = {}
        lines = path.read_text("utf-8", "replace").splitlines() if path and path.exists() else []
        for line in lines:
            try:
                plain: dict[str, Any] = json.loads(line)
                entry = Entry(**{**plain, "result": Result.from_plain(plain["result"])})
            except (ValueError, TypeError, KeyError):
                continue
            self.entries[entry.student] = entry

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Open the file, to add entries until the block is left."""
        with self.path.open("a+b") if self.path else BytesIO() as file:
            self._file: IO[bytes] = file
            if file.seek(0, SEEK_END):
                file.seek(-1, SEEK_END)
                if file.read() != b"\n":  # the machine stopped in the middle of a line
                    file.write(b"\n")
            yield

    def add(self, entry: Entry) -> None:
        """Write an entry down at once."""
        self.entries[entry.student] = entry
        plain = {**vars(entry), "result": entry.result.plain()}
        self._file.write(json.dumps(plain).encode() + b"\n")
        self._file.flush()
