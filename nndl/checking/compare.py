"""Where two traces part."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nndl.checking.question import Trace

__all__ = ["Difference", "first_difference"]

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

    Examples
    --------
    >>> Difference("x", "missing", None, None, np.zeros(2)).kind
    'missing'
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
