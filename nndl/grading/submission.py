"""A hand-in as it comes: any bytes at all. What can be read is read, and the rest is named."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nndl._labs import LANGUAGES

__all__ = ["Code", "Submission", "SubmissionError", "read_submission"]

MAX_CELLS = 1000
MAX_CODE = 200_000  # characters of one cell

# What no answer needs, by the keys of ``words.FLAGS``. It is no proof of anything, so it costs no
# points: a person has a look.
SUSPICIOUS = {
    "optimiser": (
        r"\boptim\b|\bnndl\.(rules|optimizer)\b|_fused_|_foreach_"
        r"|\b(sklearn|tensorflow|keras|jax|optax)\b|\bscipy\.optimize\b"
    ),
    "imports": r"\b(importlib|__import__|__loader__|sys\.modules|runpy|pkgutil)\b",
    "system": (
        r"\b(ctypes|cffi|mmap|subprocess|multiprocessing|socket|signal|resource)\b"
        r"|\bos\.(fork|exec\w*|system|popen|kill\w*|_exit|dup2|setsid)\b"
    ),
    "inspection": (
        r"\bgc\.|__subclasses__|\b_getframe\b|__globals__|\binspect\.(stack|currentframe)\b"
    ),
    "files": r"\bopen\s*\(|\bPath\s*\(|\bglob\b",
    "replacement": r"\b(assert_close|unittest|allclose|builtins)\b.*=",
}


class SubmissionError(Exception):
    """Why a hand-in cannot be graded at all, as a key of ``words.PROBLEMS``.

    Examples
    --------
    >>> str(SubmissionError("not a notebook"))
    'not a notebook'
    """


@dataclass(frozen=True)
class Code:
    """A code cell with its number among them, its text, and the question that it says it answers.

    Examples
    --------
    >>> Code(2, "def f(x): return x", "half").number
    2
    """

    number: int
    source: str
    question: str | None = None

    @property
    def begins(self) -> str:
        """The beginning of its first line, to know it by."""
        lines = self.source.strip().splitlines()
        return lines[0][:60] if lines else ""


@dataclass(frozen=True)
class Submission:
    """What is graded of a hand-in.

    Attributes
    ----------
    lab
        The number of the lab that it says it is, or None.
    lang
        The language that it was released in, or None if it doesn't say.
    code
        The code cells that are run, in order.
    written
        The answers to written questions.
    flags
        What a person should look at: keys of ``words.FLAGS``.

    Examples
    --------
    >>> Submission(3, "zh", (Code(1, "x = 1"),)).flags
    ()
    """

    lab: int | None
    lang: str | None
    code: tuple[Code, ...]
    written: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()


def read_submission(content: bytes) -> Submission:
    """Read a notebook that somebody handed in.

    Raises
    ------
    SubmissionError
        If it is no notebook.

    Examples
    --------
    >>> cell = {"cell_type": "code", "source": ["import os; ", "os.fork()"]}
    >>> read_submission(json.dumps({"cells": [cell]}).encode()).flags
    ('system', 'no lab')
    >>> read_submission(b"42")
    Traceback (most recent call last):
    ...
    nndl.grading.submission.SubmissionError: not a notebook
    """
    try:
        notebook = json.loads(content)
    except (ValueError, RecursionError):
        raise SubmissionError("not a notebook") from None
    cells = _mapping(notebook).get("cells")
    if not isinstance(cells, list):
        raise SubmissionError("not a notebook")
    about = _mapping(_mapping(notebook.get("metadata")).get("nndl"))
    code: list[Code] = []
    written: dict[str, str] = {}
    flags = ["many cells"] * (len(cells) > MAX_CELLS)
    number = 0
    for cell in map(_mapping, cells[:MAX_CELLS]):
        ours = _mapping(_mapping(cell.get("metadata")).get("nndl"))
        source = _text(cell.get("source"))
        number += cell.get("cell_type") == "code"
        if len(source) > MAX_CODE:
            flags.append("long cell")
        elif cell.get("cell_type") == "code" and ours.get("role") not in ("check", "play"):
            question = ours.get("question")
            name = question if isinstance(question, str) else None
            code.append(Code(number, _plain_python(source), name))
        elif cell.get("cell_type") == "markdown" and isinstance(ours.get("written"), str):
            written[ours["written"]] = source
    everything = "\n".join(cell.source for cell in code)
    flags += [flag for flag, pattern in SUSPICIOUS.items() if re.search(pattern, everything)]
    lab, lang = about.get("lab"), about.get("lang")
    if type(lab) is not int:
        lab, flags = None, [*flags, "no lab"]
    return Submission(
        lab,
        lang if lang in LANGUAGES else None,
        tuple(code),
        written,
        tuple(dict.fromkeys(flags)),
    )


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(source: Any) -> str:
    """Return the text of a cell, which a notebook may hold as a list of lines."""
    if isinstance(source, list):
        return "".join(line for line in source if isinstance(line, str))
    return source if isinstance(source, str) else ""


def _plain_python(source: str) -> str:
    """Translate IPython's magics, as it does before it runs a cell."""
    if not re.search(r"^\s*[%!?]|\?\s*$", source, re.MULTILINE):
        return source
    from IPython.core.inputtransformer2 import TransformerManager

    try:
        return TransformerManager().transform_cell(source)
    except SyntaxError:
        return source
