"""A course's secret, from which the hidden inputs of its labs are drawn."""

import hashlib
import os
import secrets
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

from nndl._labs import LANGUAGES

__all__ = ["FILE", "Course", "find_course", "init_course", "read_course", "would_be_committed"]

FILE = "nndl-course.toml"
BYTES = 32
TEXT = """\
# The course's secret: the inputs on which hand-ins are tried are drawn from it.
# Keep a copy: another secret means other inputs. Tell nobody, and never commit this file.
secret = "{secret}"
# The language of the summary, and of feedback on hand-ins that don't say theirs: zh or en.
lang = "{lang}"
"""


@dataclass(frozen=True)
class Course:
    """A course.

    Attributes
    ----------
    secret
        64 hexadecimal digits.
    lang
        ``"zh"`` or ``"en"``.
    path
        The file that it was read from.

    Examples
    --------
    >>> Course("0" * 64, "en", Path("nndl-course.toml"))
    Course(lang='en', path='nndl-course.toml')
    """

    secret: str
    lang: str
    path: Path

    def __repr__(self) -> str:
        return f"Course(lang={self.lang!r}, path={str(self.path)!r})"  # and not the secret

    def seed(self, lab: int) -> int:
        """Return the seed of a lab's hidden inputs.

        Examples
        --------
        >>> course = Course("0" * 64, "en", Path(FILE))
        >>> course.seed(1) == course.seed(1), course.seed(1) == course.seed(2)
        (True, False)
        """
        digest = hashlib.sha256(f"{self.secret} lab {lab}".encode()).digest()
        return int.from_bytes(digest[:16], "big")


def init_course(folder: Path, lang: str) -> Course:
    """Write a new secret into a folder, for its owner alone to read.

    Parameters
    ----------
    folder
        Where the file goes.
    lang
        The course's language.

    Raises
    ------
    ValueError
        If there is a secret already, no such folder or no such language.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     made = init_course(Path(folder), "en")
    ...     made == find_course(Path(folder)) == read_course(made.path)
    True
    """
    path = folder / FILE
    if lang not in LANGUAGES:
        raise ValueError(f"lang must be one of {LANGUAGES}, got {lang!r}")
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder")
    text = TEXT.format(secret=secrets.token_hex(BYTES), lang=lang)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ValueError(
            f"{path} exists already. With another secret, hand-ins would be tried on other inputs; "
            "to begin a new course all the same, move that file away first"
        ) from None
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    return read_course(path)


def read_course(path: Path) -> Course:
    """Read a course's file.

    Raises
    ------
    ValueError
        If it cannot be read, or has no secret.

    Examples
    --------
    >>> read_course(Path("nowhere.toml"))
    Traceback (most recent call last):
    ...
    ValueError: nowhere.toml cannot be read: No such file or directory
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    secret, lang = content.get("secret"), content.get("lang", "en")
    if not isinstance(secret, str) or len(secret) < BYTES:
        raise ValueError(f"{path} has no `secret` of at least {BYTES} characters")
    if lang not in LANGUAGES:
        raise ValueError(f"{path}: lang must be one of {LANGUAGES}, got {lang!r}")
    return Course(secret, lang, path)


def find_course(start: Path) -> Course:
    """Read the course's file in a folder or in the next folder above that has one.

    Raises
    ------
    ValueError
        If there is none.

    Examples
    --------
    >>> find_course(Path("/"))
    Traceback (most recent call last):
    ...
    ValueError: there is no nndl-course.toml in / or above it: run `nndl course init` in the...
    """
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / FILE).is_file():
            return read_course(folder / FILE)
    raise ValueError(
        f"there is no {FILE} in {start} or above it: run `nndl course init` in the course's "
        "folder once, or name the file with --course"
    )


def would_be_committed(path: Path) -> bool:
    """Whether git would take the file along: it lies in a work tree and is not ignored.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     would_be_committed(init_course(Path(folder), "en").path)
    False
    """

    def git(*arguments: str) -> int:
        command = ["git", "-C", str(path.parent), *arguments]
        try:
            return subprocess.run(command, capture_output=True, check=False).returncode
        except OSError:  # no git, no commit
            return -1

    return git("rev-parse", "--is-inside-work-tree") == 0 and git("check-ignore", path.name) == 1
