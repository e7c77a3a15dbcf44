"""What is asked of every hand-in of a run."""

from dataclasses import dataclass

__all__ = ["Task"]


@dataclass(frozen=True)
class Task:
    """What is asked of every hand-in of a run.

    Attributes
    ----------
    lab
        The lab's number.
    seed
        What the hidden inputs are drawn from.
    level
        The level of the walls.
    lang
        The language for hand-ins that don't say theirs.
    only
        The one question to be graded, or None for all.

    Examples
    --------
    >>> Task(lab=3, seed=12345, level="bubblewrap").only is None
    True
    """

    lab: int
    seed: int
    level: str
    lang: str = "en"
    only: str | None = None
