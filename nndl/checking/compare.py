"""Where two traces part, and which recorded mistake has the same numbers."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nndl.checking.question import Mistake, Question, Trace

__all__ = ["Difference", "first_difference", "name_the_mistake"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Difference:
    """The first place where a trace leaves the right one.

    Attributes
    ----------
    quantity
        The name of the array.
    kind
        ``"missing"``, ``"shape"``, ``"not finite"`` or ``"value"``.
    step
        The step (the index of the first dimension), or None where there is none.
    got, expected
        The arrays.
    """

    quantity: str
    kind: str
    step: int | None
    got: Array | None
    expected: Array


def first_difference(got: Trace, expected: Trace, tolerance: float) -> Difference | None:
    """Find where `got` leaves `expected`, at the earliest step; None if it nowhere does.

    Parameters
    ----------
    got, expected
        Traces of the same question on the same case.
    tolerance
        By how much numbers may differ, relative to the largest number of the array, at least 1.

    Examples
    --------
    >>> right = {"x": np.array([4.0, 2.0, 1.0])}
    >>> found = first_difference({"x": np.array([4.0, 2.0, 1.5])}, right, 1e-6)
    >>> found.quantity, found.kind, found.step
    ('x', 'value', 2)
    >>> first_difference(right, right, 1e-6) is None
    True
    """
    found = [
        difference
        for quantity, right in expected.items()
        if (difference := _difference(quantity, got.get(quantity), right, tolerance)) is not None
    ]
    # What is missing or has the wrong shape comes first: its values cannot be compared.
    return min(found, key=lambda d: -1 if d.step is None else d.step, default=None)


def _difference(
    quantity: str, got: Array | None, expected: Array, tolerance: float
) -> Difference | None:
    if got is None:
        return Difference(quantity, "missing", None, None, expected)
    if got.shape != expected.shape:
        return Difference(quantity, "shape", None, got, expected)
    got, expected = got.astype(np.float64), expected.astype(np.float64)
    finite = np.isfinite(expected)
    scale = max(1.0, float(np.abs(expected[finite]).max(initial=0.0)))
    with np.errstate(invalid="ignore", over="ignore"):
        near = np.abs(got - expected) <= tolerance * scale
    # Where the right number is infinite or not a number, the same is wanted.
    same = np.where(finite, near, np.isclose(got, expected, equal_nan=True))
    if same.all():
        return None
    step = int(np.argwhere(~same)[0][0]) if expected.ndim else None
    here = ... if step is None else step
    lost = not np.isfinite(got[here]).all() and np.isfinite(expected[here]).all()
    kind = "not finite" if lost else "value"
    return Difference(quantity, kind, step, got, expected)


def name_the_mistake(
    question: Question,
    solution: Mapping[str, Any],
    traces: Sequence[Trace],
    cases: Sequence[Mapping[str, Any]],
) -> Mistake | None:
    """Return the recorded mistake whose numbers are those of the traces, in every case.

    A mistake that does no harm in these cases has the right numbers and is never named.
    """
    # An answer may change its case in place: each gets a copy.
    right = [question.trace(solution, copy.deepcopy(case)) for case in cases]
    for mistake in question.mistakes:
        try:
            answer = {**solution, **mistake.answer}
            wrong = [question.trace(answer, copy.deepcopy(case)) for case in cases]
        except Exception:  # a mistake may raise: then it has no numbers to be known by
            continue
        differs = any(
            first_difference(w, r, question.tolerance) for w, r in zip(wrong, right, strict=True)
        )
        if differs and not any(
            first_difference(t, w, question.tolerance) for t, w in zip(traces, wrong, strict=True)
        ):
            return mistake
    return None
