"""Late hand-ins: how many days, and what they cost."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta

from nndl.grading.handins import HandIn

__all__ = ["ON_TIME", "LatePolicy", "Lateness", "parse_time"]

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Lateness:
    """How late a hand-in is.

    Attributes
    ----------
    days
        Days late; a day that has begun counts.
    percent
        What is taken off, in percent of the points that were earned.
    untimed
        Whether Canvas marked it as late without saying when it came, so that it counts as one day.

    Examples
    --------
    >>> Lateness(days=2, percent=20.0).off(85)
    17.0
    """

    days: int = 0
    percent: float = 0.0
    untimed: bool = False

    def off(self, points: float) -> float:
        """Return what is taken off from these points."""
        return round(points * self.percent / 100, 2)


ON_TIME = Lateness()


@dataclass(frozen=True)
class LatePolicy:
    """What is late, and what it costs.

    Attributes
    ----------
    due
        When the lab is due, with a time zone; None if nothing but Canvas's mark makes it late.
    percent_per_day
        What each day takes off, in percent of the points that were earned; together never more
        than all of them.

    Raises
    ------
    ValueError
        If `due` has no time zone, or `percent_per_day` is not between 0 and 100.

    Examples
    --------
    >>> from datetime import UTC
    >>> policy = LatePolicy(datetime(2026, 11, 20, 18, tzinfo=UTC), percent_per_day=10)
    >>> came = datetime(2026, 11, 21, 18, 0, 1, tzinfo=UTC)
    >>> policy.lateness(HandIn("li", None, handed_in=came))
    Lateness(days=2, percent=20.0, untimed=False)
    """

    due: datetime | None = None
    percent_per_day: float = 0.0

    def __post_init__(self) -> None:
        if self.due is not None and self.due.tzinfo is None:
            raise ValueError(f"due must have a time zone, got {self.due.isoformat()}")
        if not 0 <= self.percent_per_day <= 100:
            raise ValueError(
                f"the percent per day must be between 0 and 100, got {self.percent_per_day}"
            )

    def lateness(self, handin: HandIn) -> Lateness:
        """Return how late a hand-in is.

        What comes from Canvas is late if Canvas says so: the files in its archive carry the time
        of the download, not that of the hand-in. Such a one counts as one day late.
        """
        if handin.canvas_id or handin.marked_late:
            return self._after(1, untimed=True) if handin.marked_late else ON_TIME
        if self.due is None or handin.handed_in is None or handin.handed_in <= self.due:
            return ON_TIME
        # every day begun counts: ⌈(handed in − due) / day⌉
        return self._after(-((self.due - handin.handed_in) // DAY))

    def _after(self, days: int, untimed: bool = False) -> Lateness:
        return Lateness(days, min(100.0, days * float(self.percent_per_day)), untimed)


def parse_time(text: str) -> datetime:
    """Read a date or a time as a person writes it on the command line.

    Parameters
    ----------
    text
        A date (which means its end), or a date and a time, in the form of ISO 8601; of this
        machine's time zone unless it names another.

    Raises
    ------
    ValueError
        If it is something else.

    Examples
    --------
    >>> parse_time("2026-11-20 18:00+08:00").isoformat()
    '2026-11-20T18:00:00+08:00'
    >>> parse_time("2026-11-20") == parse_time("2026-11-21 00:00")
    True
    >>> parse_time("tomorrow")
    Traceback (most recent call last):
    ...
    ValueError: 'tomorrow' is no time; write it like 2026-11-20, 2026-11-20T18:00 or ...+08:00
    """
    try:
        when = datetime.fromisoformat(text.strip())
        if when.time() == time() and len(text.strip()) <= len("2026-11-20"):
            when += DAY
        return when if when.tzinfo else when.astimezone()
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is no time; write it like 2026-11-20, 2026-11-20T18:00 or ...+08:00"
        ) from None
