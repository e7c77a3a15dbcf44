"""What a lab's questions are made of, and the check that answers like a teacher.

Examples
--------
>>> from nndl.checking import check
>>> report = check(3, "en")("momentum", lambda x, grad, velocity, lr, rho: (x, velocity))
>>> report.passed
False
"""

from nndl._labs import lab_numbers
from nndl.checking.check import check, check_answer, lab_key
from nndl.checking.compare import Difference, first_difference
from nndl.checking.key import Key
from nndl.checking.question import Case, Mistake, Question, Text, Trace, Unusable, as_trace
from nndl.checking.release import release
from nndl.checking.report import Failure, Report
from nndl.checking.source import Cell, Lab, read_lab

__all__ = [
    "Case",
    "Cell",
    "Difference",
    "Failure",
    "Key",
    "Lab",
    "Mistake",
    "Question",
    "Report",
    "Text",
    "Trace",
    "Unusable",
    "as_trace",
    "check",
    "check_answer",
    "first_difference",
    "lab_key",
    "lab_numbers",
    "read_lab",
    "release",
]
