"""Check an answer as a teacher would: what failed, where it left the right way, and why perhaps.

A lab's notebook begins with ``check(3, "en")``. That returns a function which takes the name of a
question and what the student wrote for it, and answers with a ``Report``.
"""

import traceback
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from nndl._labs import LANGUAGES
from nndl.checking.key import Key, QuestionKey
from nndl.checking.question import Case, Trace, Unusable
from nndl.checking.report import Failure, Report
from nndl.checking.source import read_lab

__all__ = ["PUBLISHED", "check", "check_answer", "lab_key"]

PUBLISHED = 0  # the seed of the cases that students see


@cache
def lab_key(lab: int, seed: int = PUBLISHED) -> Key:
    """Return the key to a lab, made once for each seed.

    Examples
    --------
    >>> lab_key(3) is lab_key(3)
    True
    """
    return Key(read_lab(lab), seed)


def check(lab: int, lang: str, seed: int = PUBLISHED) -> Callable[..., Report]:
    """Return the function that checks the answers of a lab.

    Parameters
    ----------
    lab
        The lab's number.
    lang
        The language of what it says: ``"zh"`` or ``"en"``.
    seed
        What the inputs are drawn from.

    Raises
    ------
    ValueError
        If there is no such lab or language.

    Examples
    --------
    >>> ask = check(3, "en")
    >>> ask("memory", lambda rho, share: (1 / (1 - rho), 3))
    ✗ Not yet: How far back a velocity remembers (5 points)
      Case 1: `steps` differs from the right values.
        step  yours  right
              3      5
    """
    if lang not in LANGUAGES:
        raise ValueError(f"lang must be one of {LANGUAGES}, got {lang!r}")
    source = read_lab(lab)

    def check_question(name: str, *answer: Any) -> Report:
        question = source.question(name)
        if len(answer) != len(question.defines):
            wanted = ", ".join(question.defines)
            raise TypeError(f"check({name!r}, ...) takes {wanted}; got {len(answer)} answers")
        given = dict(zip(question.defines, answer, strict=True))
        return check_answer(lab_key(lab, seed), name, given, lang)

    return check_question


def check_answer(key: Key, name: str, answer: Mapping[str, Any], lang: str) -> Report:
    """Check one answer with the key to its lab.

    Parameters
    ----------
    key
        The key to the lab.
    name
        The question's name.
    answer
        What the student defined, by name; what else the lab defines is taken from its solution.
    lang
        The language of the report.

    Examples
    --------
    >>> check_answer(lab_key(3), "memory", {"memory": lambda rho, share: (1.0, 1)}, "en").passed
    False
    """
    questioned = key.questions[name]
    failure = _failure(questioned, {**key.lab.solution, **answer}, answer)
    return Report(questioned.question, len(questioned.cases), failure, lang)


def _failure(
    key: QuestionKey, names: Mapping[str, Any], answer: Mapping[str, Any]
) -> Failure | None:
    question = key.question
    for name in question.defines:
        if answer.get(name) is None:
            return Failure("undefined", name=name)

    def run(case: Case) -> Trace | Failure:
        try:
            return question.trace(names, case)
        except NotImplementedError:
            return Failure("empty", name=question.defines[0])
        except Unusable as error:
            return Failure("unusable", said=error.text)
        except (Exception, SystemExit) as error:  # an exit must not end the notebook's check
            return Failure("raised", error=in_words(error), line=_line(error))

    return key.failure(run)


def in_words(error: BaseException) -> str:
    """Return an error's type, and its text if it has one."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _line(error: BaseException) -> int | None:
    """Return the line of the student's cell in which the error arose."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f.lineno for f in frames if f.filename.startswith("<cell") or "ipyk" in f.filename]
    return lines[-1] if lines else None
