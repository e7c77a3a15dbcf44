"""A hand-in as it comes: any bytes at all. What can be read is read, and the rest is named."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nndl.checking.source import LANGUAGES

__all__ = ["Submission", "SubmissionError", "read_submission"]

MAX_BYTES = 20 << 20
MAX_CELLS = 1000
MAX_CODE = 200_000  # characters of one cell

# What no answer needs. It is no proof of anything, so it costs no points: a person has a look.
SUSPICIOUS = {
    "uses an optimiser instead of writing one": (
        r"\boptim\b|\bnndl\.(rules|optimizer)\b|_fused_|_foreach_"
    ),
    "imports in unusual ways": (
        r"\b(importlib|__import__|__loader__|sys\.modules|runpy|pkgutil)\b"
    ),
    "reaches for the system": (
        r"\b(ctypes|cffi|mmap|subprocess|multiprocessing|socket|signal|resource)\b"
        r"|\bos\.(fork|exec\w*|system|popen|kill\w*|_exit|dup2|setsid)\b"
    ),
    "looks at the program that runs it": (
        r"\bgc\.|__subclasses__|\b_getframe\b|__globals__|\binspect\.(stack|currentframe)\b"
    ),
    "opens files": r"\bopen\s*\(|\bPath\s*\(|\bglob\b",
    "replaces what checks it": r"\b(assert_close|unittest|allclose|builtins)\b.*=",
}


class SubmissionError(Exception):
    """Why a hand-in cannot be graded at all, in words for its author."""


@dataclass(frozen=True)
class Submission:
    """What is graded of a hand-in.

    Attributes
    ----------
    name
        The student, by the name of the file or its folder.
    lab
        The number of the lab that it says it is, or None.
    lang
        The language that it was released in.
    code
        The code cells in order, with the question that each says it answers, or None.
    written
        The answers to written questions.
    flags
        What a person should look at.
    """

    name: str
    lab: int | None
    lang: str
    code: tuple[tuple[str | None, str], ...]
    written: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()


def read_submission(path: Path, name: str) -> Submission:
    """Read a notebook that somebody handed in.

    Raises
    ------
    SubmissionError
        If the file is no notebook, or too large.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SubmissionError(f"the file is larger than {MAX_BYTES >> 20} MB")
        notebook = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise SubmissionError("the file is not a notebook: it cannot be read as JSON") from None
    except OSError as error:
        raise SubmissionError(f"the file cannot be opened: {error.strerror}") from None
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        raise SubmissionError("the file is not a notebook: it has no cells")
    flags = [f"only the first {MAX_CELLS} of {len(cells)} cells were read"] * (
        len(cells) > MAX_CELLS
    )
    about = _mapping(_mapping(notebook.get("metadata")).get("nndl"))
    code: list[tuple[str | None, str]] = []
    written: dict[str, str] = {}
    for cell in map(_mapping, cells[:MAX_CELLS]):
        ours = _mapping(_mapping(cell.get("metadata")).get("nndl"))
        source = _text(cell.get("source"))
        if len(source) > MAX_CODE:
            flags.append(f"a cell of {len(source)} characters was not run")
        elif cell.get("cell_type") == "code" and ours.get("role") not in ("setup", "check", "play"):
            question = ours.get("question")
            code.append((question if isinstance(question, str) else None, _plain_python(source)))
        elif cell.get("cell_type") == "markdown" and isinstance(ours.get("written"), str):
            written[ours["written"]] = source
    everything = "\n".join(source for _, source in code)
    flags += [why for why, pattern in SUSPICIOUS.items() if re.search(pattern, everything)]
    lab, lang = about.get("lab"), about.get("lang")
    return Submission(
        name,
        lab if type(lab) is int else None,
        lang if lang in LANGUAGES else "en",
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
