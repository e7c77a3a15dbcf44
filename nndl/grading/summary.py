"""The instructor's page about a lab: how it went, where it was hard, whom to look at."""

from collections.abc import Sequence
from datetime import datetime

from nndl.checking.source import Lab
from nndl.grading.gradebook import Row

__all__ = ["summary_page"]


def summary_page(rows: Sequence[Row], lab: Lab, lang: str, when: datetime) -> str:
    """Return the instructor's page, which lies beside the folder ``feedback``."""
    raise NotImplementedError
