"""Tables for spreadsheets, made of texts that may come from anybody."""

import csv
import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from io import StringIO
from pathlib import Path

__all__ = ["harmless", "number", "plain_text", "write_table", "write_text"]

MAX_CELL = 30_000  # characters: Excel breaks a row after 32,767
# What can't be seen, is no text at all, or turns the direction of the text around it.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_TERMINAL = re.compile("\x1b\\[[0-?]*[ -/]*[@-~]")
# A spreadsheet reads these as a formula; with ' before it, any text stays what it is.
_FORMULA = re.compile(r"[\t\r\n]|\s*[=+\-@＝＋－＠']")
# It reads these as a number or a date, and writes them back with zeros or digits lost.
_NUMBER = re.compile(r"0\d+|\d{12,}|\d+[-/.:eE]\d.*")


def plain_text(text: str) -> str:
    r"""Return a text in which everything can be seen.

    Colours of a terminal are left out, and other control characters are spelled out.

    Examples
    --------
    >>> plain_text("\x1b[31mred\x1b[0m\r\nthen\x00")
    'red\nthen\\x00'
    """
    text = _TERMINAL.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return _HIDDEN.sub(lambda m: m[0].encode("unicode_escape").decode("ascii"), text)


def harmless(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula, a number or a date.

    Examples
    --------
    >>> harmless("=1+1"), harmless("202300130001"), harmless("Zhang Wei")
    ("'=1+1", "'202300130001", 'Zhang Wei')
    """
    text = plain_text(text)
    if len(text) > MAX_CELL:
        text = text[:MAX_CELL] + " …"
    return f"'{text}" if _FORMULA.match(text) or _NUMBER.fullmatch(text) else text


def number(value: float) -> str:
    """Write points: no decimals where there are none, at most two otherwise.

    Examples
    --------
    >>> number(72.0), number(7.5), number(66.666)
    ('72', '7.5', '66.67')
    """
    return f"{value:.2f}".rstrip("0").rstrip(".")


def write_table(
    path: Path, table: Iterable[Sequence[str | float | None]], excel: bool = False
) -> None:
    """Write a table as CSV. Its texts must be harmless already.

    Parameters
    ----------
    path
        The file.
    table
        Its rows; None leaves a cell empty.
    excel
        Whether to begin with a byte order mark, by which Excel knows that it is UTF-8.
    """
    lines = StringIO()
    writer = csv.writer(lines)
    for row in table:
        writer.writerow(
            "" if cell is None else cell if isinstance(cell, str) else number(cell) for cell in row
        )
    write_text(path, ("\ufeff" if excel else "") + lines.getvalue())


def write_text(path: Path, text: str) -> None:
    """Write a file such that there is always either the old one or the whole new one.

    Raises
    ------
    OSError
        If it cannot be written, for example because a spreadsheet has it open.
    """
    descriptor, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        # mkstemp makes a file for the owner alone; this one is as others are.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
