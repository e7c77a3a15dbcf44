"""Make the student's notebook of a lab: one language, no solutions, no outputs."""

import re
from typing import Any

from nndl._labs import LANGUAGES
from nndl.checking.source import Cell, Lab

__all__ = ["release"]

ANSWER_HERE = {"zh": "*把你的回答写在这里。*", "en": "*Write your answer here.*"}
# What a cell is for, by its tag; of a hand-in, the grader runs no checks and no plays.
ROLES = ("setup", "check", "play")
_MARK = re.compile(r"^[ \t]*# (?:BEGIN|END) SOLUTION[^\n]*\n?", re.MULTILINE)


def release(lab: Lab, lang: str, *, solved: bool = False) -> dict[str, Any]:
    """Return a lab as the notebook that students get, in nbformat's form.

    Each cell says in its metadata what it is for, so that a hand-in can be read even when cells
    were moved.

    Parameters
    ----------
    lab
        The lab.
    lang
        ``"zh"`` or ``"en"``.
    solved
        Leave the solutions in: not for students, but to try the notebook.

    Raises
    ------
    ValueError
        If there is no such language.

    Examples
    --------
    >>> from nndl.checking import read_lab
    >>> notebook = release(read_lab(3), "en")
    >>> any("raise NotImplementedError" in cell["source"] for cell in notebook["cells"])
    True
    >>> notebook = release(read_lab(3), "en", solved=True)
    >>> any("raise NotImplementedError" in cell["source"] for cell in notebook["cells"])
    False
    """
    if lang not in LANGUAGES:
        raise ValueError(f"lang must be one of {LANGUAGES}, got {lang!r}")
    cells: list[dict[str, Any]] = []
    for cell in lab.cells:
        if cell.kind == "code":
            source = _MARK.sub("", cell.source).rstrip() if solved else cell.stub()
            cells.append(_code(cell, source, lang))
        elif cell.metadata.get("lang") == lang and "rubric" not in cell.metadata:
            cells.append(_prose(cell.source, {}))
            if "written" in cell.metadata:
                name = cell.metadata["written"]
                cells.append(_prose(ANSWER_HERE[lang], {"written": name}))
    for number, made in enumerate(cells):
        made["id"] = f"cell-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    about = {"lab": lab.number, "lang": lang}
    return {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "nndl": about},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _code(cell: Cell, source: str, lang: str) -> dict[str, Any]:
    about: dict[str, Any] = {}
    if cell.question is not None:
        about = {"question": cell.question}
    for role in ROLES:
        if role in cell.metadata.get("tags", ()):
            about = {"role": role}
    return {
        "cell_type": "code",
        "metadata": {"nndl": about} if about else {},
        "source": re.sub(r'lang="\w+"', f'lang="{lang}"', source),
        "outputs": [],
        "execution_count": None,
    }


def _prose(source: str, about: dict[str, Any]) -> dict[str, Any]:
    metadata = {"nndl": about} if about else {}
    return {"cell_type": "markdown", "metadata": metadata, "source": source}
