"""Checks of arguments: each says which argument, what was given, and what is allowed."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor


def finite_number(name: str, value: Any) -> float:
    """Return `value` as given if it is a finite real number, or say why it is not."""
    number = value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
    if isinstance(number, bool) or not isinstance(number, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a real number, got {value!r} ({type(value).__name__})")
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {value!r}")
    return float(number)


def non_negative(name: str, value: Any) -> float:
    """Return `value` as a float if it is finite and at least 0 (learning rates, epsilons).

    >>> non_negative("init_lr", -0.1)
    Traceback (most recent call last):
    ...
    ValueError: init_lr must be a finite number >= 0, got -0.1
    """
    number = finite_number(name, value)
    if number < 0:
        raise ValueError(f"{name} must be a finite number >= 0, got {value!r}")
    return number


def fraction(name: str, value: Any) -> float:
    """Return `value` as a float if it lies in [0, 1) (decay rates: beta, beta1, beta2, rho).

    >>> fraction("rho", 1.0)
    Traceback (most recent call last):
    ...
    ValueError: rho must lie in [0, 1), got 1.0
    """
    number = finite_number(name, value)
    if not 0 <= number < 1:
        raise ValueError(f"{name} must lie in [0, 1), got {value!r}")
    return number


def whole_number(name: str, value: Any, *, least: int) -> int:
    """Return `value` as an int if it is a whole number and at least `least`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be a whole number, got {value!r} ({type(value).__name__})")
    if value < least:
        raise ValueError(f"{name} must be a whole number >= {least}, got {value!r}")
    return int(value)


def floating_tensor(name: str, value: Any) -> Tensor:
    """Return `value` as a floating-point tensor.

    A floating-point tensor or array is taken as it is, sharing its memory; Python numbers and lists
    become a new tensor of torch's default type. A tensor or array of whole numbers is refused: a
    step of 0.1 in it would be rounded to nothing.
    """
    if isinstance(value, (Tensor, np.ndarray)):
        tensor = torch.as_tensor(value)
        if not tensor.is_floating_point():
            raise TypeError(
                f"{name} must hold floating-point numbers, got {tensor.dtype}; "
                f"convert it first, for example with {name}.to(torch.float32)"
            )
        return tensor
    try:
        return torch.as_tensor(value, dtype=torch.get_default_dtype())
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"{name} must be a tensor, an array or a list of numbers, got {value!r}"
        ) from error
