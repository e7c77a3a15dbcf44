"""What a lab's questions are made of, and the check that answers like a teacher.

Examples
--------
>>> from nndl.checking import check
>>> report = check(3, "en")("momentum", lambda x, grad, velocity, lr, rho: (x, velocity))
>>> report.passed
False
"""

from nndl.checking.check import Report, check, check_answer
from nndl.checking.compare import Difference, first_difference, name_the_mistake
from nndl.checking.question import Case, Mistake, Question, Text, Trace, as_trace
from nndl.checking.release import release
from nndl.checking.source import Cell, Lab, lab_numbers, read_lab

__all__ = [
    "Case",
    "Cell",
    "Difference",
    "Lab",
    "Mistake",
    "Question",
    "Report",
    "Text",
    "Trace",
    "as_trace",
    "check",
    "check_answer",
    "first_difference",
    "lab_numbers",
    "name_the_mistake",
    "read_lab",
    "release",
]
