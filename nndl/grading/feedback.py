"""The feedback page of a student: one file that needs nothing else."""

from nndl.checking.source import Lab
from nndl.grading.gradebook import Row
from nndl.grading.handins import HandIn

__all__ = ["feedback_name", "feedback_page"]


def feedback_name(handin: HandIn) -> str:
    """Return the name of a student's feedback page: safe as a file name, and the student's own."""
    raise NotImplementedError


def feedback_page(row: Row, lab: Lab) -> str:
    """Return a student's feedback page, in the language of the hand-in."""
    raise NotImplementedError
