"""What an answer returned: taken if it can be compared, or else said in words.

The questions' drivers use these on whatever a student's function gives back.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from nndl.checking.question import Unusable, as_trace

__all__ = ["a_tensor", "described", "like", "numbers", "several", "unusable"]


def described(value: Any) -> tuple[str, str]:
    """Say what a value is, in Chinese and in English.

    Examples
    --------
    >>> described(3.0), described(np.zeros((2, 3)))[1]
    (('一个数', 'a number'), 'a tensor of shape (2, 3)')
    """
    if value is None:
        return " None（是不是忘了 return？）", "None (is a return missing?)"
    if "complex" in str(getattr(value, "dtype", "")):
        return "复数", "complex numbers"
    if isinstance(value, (Tensor, np.ndarray)) and value.ndim:
        return f"形状为 {tuple(value.shape)} 的张量", f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, (bool, int, float, np.number, Tensor, np.ndarray)):
        return "一个数", "a number"
    kind = type(value).__name__
    if isinstance(value, (tuple, list, dict)):
        return f"长度为 {len(value)} 的 {kind}", f"a {kind} of length {len(value)}"
    return f" {kind} 类型的值", f"a value of type {kind}"


def unusable(function: str, value: Any, zh: str, en: str, part: str = "") -> Unusable:
    """Return the error that says what a function returned, and what it should.

    Parameters
    ----------
    function
        The student's function.
    value
        What it returned.
    zh, en
        What it should return.
    part
        The name of the part of what it should return, if this is one.

    Examples
    --------
    >>> print(unusable("step", None, "一个张量", "a tensor"))
    step must return a tensor, got None (is a return missing?).
    """
    returned, as_part = (f"返回的 {part} 应是", f" as {part}") if part else ("应返回", "")
    got_zh, got_en = described(value)
    return Unusable(
        f"{function} {returned}{zh}，得到的是{got_zh}。",
        f"{function} must return {en}{as_part}, got {got_en}.",
    )


def several(function: str, value: Any, count: int, zh: str, en: str) -> Sequence[Any]:
    """Return what a function returned if it is that many values.

    Raises
    ------
    Unusable
        If it isn't.

    Examples
    --------
    >>> several("step", (1.0, 2.0), 2, "两个数", "two numbers")
    (1.0, 2.0)
    """
    if not isinstance(value, (tuple, list)) or len(value) != count:
        raise unusable(function, value, zh, en)
    return value


def a_tensor(shape: Sequence[int]) -> tuple[str, str]:
    """Name what has this shape.

    Examples
    --------
    >>> a_tensor((2, 3))
    ('形状为 (2, 3) 的张量', 'a tensor of shape (2, 3)')
    """
    if not len(shape):
        return "一个数", "a number"
    return f"形状为 {tuple(shape)} 的张量", f"a tensor of shape {tuple(shape)}"


def numbers(function: str, value: Any, shape: Sequence[int] | None = None, part: str = "") -> Any:
    """Return what a function returned, or a part of it, if it is numbers (of that shape).

    Raises
    ------
    Unusable
        If it isn't.

    Examples
    --------
    >>> numbers("step", [1.0, 2.0], (2,))
    [1.0, 2.0]
    """
    try:
        found = as_trace({"": value})[""].shape
    except (TypeError, ValueError):  # no numbers, or lists of different lengths
        found = None
    if found is not None and (shape is None or tuple(shape) == found):
        return value
    anything = "一个张量或一列数", "a tensor or a list of numbers"
    raise unusable(function, value, *(anything if shape is None else a_tensor(shape)), part)


def like(function: str, value: Any, x: Tensor, part: str = "") -> Tensor:
    """Return what a function returned, or a part of it, if it is a tensor of the shape of x.

    Raises
    ------
    Unusable
        If it isn't.

    Examples
    --------
    >>> x = Tensor([1.0, 2.0])
    >>> like("step", 2 * x, x)
    tensor([2., 4.])
    """
    if not isinstance(value, Tensor) or value.shape != x.shape:
        raise unusable(function, value, *a_tensor(x.shape), part)
    return value
