"""Where the labs lie, and in which languages: known without importing torch."""

from pathlib import Path

__all__ = ["LANGUAGES", "lab_numbers", "labs_folder", "require_lab"]

LANGUAGES = ("zh", "en")
# Installed, the labs lie inside the package; in a checkout beside it.
_PACKAGE = Path(__file__).resolve().parent


def labs_folder() -> Path:
    """Return the folder with the sources of the labs."""
    inside = _PACKAGE / "labs"
    return inside if inside.exists() else _PACKAGE.parent / "labs"


def lab_numbers() -> list[int]:
    """List the labs that there are."""
    folders = labs_folder().glob("lab*/lab.md")
    return sorted(int(path.parent.name.removeprefix("lab")) for path in folders)


def require_lab(number: object) -> None:
    """Refuse a number that is no lab's.

    Raises
    ------
    ValueError
        If there is no such lab.
    """
    if number not in lab_numbers():
        there = ", ".join(map(str, lab_numbers())) or "none"
        raise ValueError(f"there is no lab {number!r}; the labs are: {there}")
