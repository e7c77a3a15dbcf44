"""What the commands share."""

import argparse
import locale
from typing import TYPE_CHECKING, TypeAlias

from nndl._labs import LANGUAGES

if TYPE_CHECKING:
    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Commands = argparse._SubParsersAction

__all__ = ["Commands", "add_lang", "system_language"]


def system_language() -> str:
    """Return the language of this system, if the labs have it, or else English.

    Examples
    --------
    >>> system_language() in LANGUAGES
    True
    """
    code = locale.getlocale()[0] or ""
    return next((lang for lang in LANGUAGES if code.startswith(lang)), "en")


def add_lang(parser: argparse.ArgumentParser) -> None:
    """Add ``--lang``."""
    parser.add_argument(
        "--lang",
        choices=LANGUAGES,
        default=system_language(),
        help="Chinese or English (default: this system's, %(default)s)",
    )
