"""Make the student's notebook of a lab: one language, no solutions, no outputs."""

import re
from typing import Any

from nndl.checking.source import LANGUAGES, Cell, Lab

__all__ = ["release"]

ANSWER_HERE = {"zh": "*把你的回答写在这里。*", "en": "*Write your answer here.*"}
# What a cell is for, by its tag; the grader runs none of these from a hand-in.
ROLES = ("setup", "check", "play")


def release(lab: Lab, lang: str) -> dict[str, Any]:
    """Return a lab as the notebook that students get, in nbformat's form.

    Each cell says in its metadata what it is for, so that a hand-in can be read even when cells
    were moved.

    Parameters
    ----------
    lab
        The lab.
    lang
        ``"zh"`` or ``"en"``.

    Raises
    ------
    ValueError
        If there is no such language.

    Examples
    --------
    >>> from nndl.checking import read_lab
    >>> notebook = release(read_lab(3), "en")
    >>> any("BEGIN SOLUTION" in cell["source"] for cell in notebook["cells"])
    False
    """
    if lang not in LANGUAGES:
        raise ValueError(f"lang must be one of {LANGUAGES}, got {lang!r}")
    cells: list[dict[str, Any]] = []
    for cell in lab.cells:
        if cell.kind == "code":
            cells.append(_code(cell, lang))
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


def _code(cell: Cell, lang: str) -> dict[str, Any]:
    about: dict[str, Any] = {}
    if cell.question is not None:
        about = {"question": cell.question}
    for role in ROLES:
        if role in cell.metadata.get("tags", ()):
            about = {"role": role}
    source = re.sub(r'lang="\w+"', f'lang="{lang}"', cell.stub())
    return {
        "cell_type": "code",
        "metadata": {"nndl": about} if about else {},
        "source": source,
        "outputs": [],
        "execution_count": None,
    }


def _prose(source: str, about: dict[str, Any]) -> dict[str, Any]:
    metadata = {"nndl": about} if about else {}
    return {"cell_type": "markdown", "metadata": metadata, "source": source}
