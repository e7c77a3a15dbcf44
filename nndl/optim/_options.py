"""What each option of an optimiser may be: one table, and the check that reads it."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor
from torch.optim.optimizer import required


class Check(NamedTuple):
    """A condition on an option, and the same in words."""

    holds: Callable[[Any], bool]
    words: str


def at_least(low: float) -> Check:
    """Allow finite numbers from `low` on."""
    return Check(lambda value: low <= value < math.inf, f"a finite number >= {low}")


NON_NEGATIVE = at_least(0)
POSITIVE = Check(lambda value: 0 < value < math.inf, "a finite number > 0")
PAIR_OF_DECAYS = Check(
    lambda value: (
        len(value) == 2
        and all(0 <= beta < 1 for beta in value)
        and isinstance(value[0], Tensor) == isinstance(value[1], Tensor)
    ),
    "two numbers (or two tensors), each in [0, 1)",
)

OPTIONS: dict[str, Check] = {
    "lr": NON_NEGATIVE,
    "lr_decay": NON_NEGATIVE,
    "eps": NON_NEGATIVE,
    "weight_decay": NON_NEGATIVE,
    "momentum": NON_NEGATIVE,
    "momentum_decay": NON_NEGATIVE,
    "initial_accumulator_value": NON_NEGATIVE,
    "alpha": NON_NEGATIVE,
    "rho": Check(lambda value: 0 <= value <= 1, "in [0, 1]"),
    "betas": PAIR_OF_DECAYS,
    "etas": Check(
        lambda value: 0 < value[0] < 1 < value[1] < math.inf,
        "two numbers (shrink, grow), 0 < shrink < 1 < grow",
    ),
}


def check_options(owner: str, options: Mapping[str, Check], given: Mapping[str, Any]) -> None:
    """Raise unless every option in `given` that `options` knows is allowed.

    Raises
    ------
    TypeError
        If a value is of a type that can't be compared.
    ValueError
        If it is out of range, or a tensor with more than one element.

    Examples
    --------
    >>> check_options("SGD", OPTIONS, {"lr": -1.0})
    Traceback (most recent call last):
    ...
    ValueError: SGD: lr must be a finite number >= 0, got -1.0
    """
    for name, (holds, words) in options.items():
        value = given.get(name, required)
        if value is required:
            continue
        message = f"{owner}: {name} must be {words}, got {value!r}"
        if isinstance(value, Tensor) and value.numel() != 1:
            raise ValueError(f"{message}: a tensor must have exactly one element")
        try:
            allowed = bool(holds(value))
        except (TypeError, IndexError) as error:
            raise TypeError(message) from error
        if not allowed:
            raise ValueError(message)
