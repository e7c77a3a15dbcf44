"""Learning-rate schedulers: each of ``torch.optim.lr_scheduler``, equal to it bit for bit.

A scheduler writes ``group["lr"]`` of an optimiser, torch's or ours: once when it is made, for epoch
t = 0, and once at each ``step()``, for t = 1, 2, ... What an epoch is, the caller decides.

Notation: α_t is the rate of a group at epoch t (``last_epoch``), α_0 its first one (``base_lr``).
Most schedules can be computed in two ways:

    closed      α_t = c(t) · α_0        from the first rate and t alone
    recursive   α_t = r(t) · α_{t−1}    from the rate that stands in the group now

Like torch, ``step()`` takes the recursive one wherever there is one, because it is *chainable*:
factors multiply, so what another scheduler or the user did to the rate meanwhile is kept. The
closed one serves to jump: in ``step(epoch)``, and where `SequentialLR` starts its next scheduler.
"""

import math
import warnings
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from types import FunctionType
from typing import Any, ClassVar, Literal, SupportsFloat

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler as TorchLRScheduler
from torch.optim.lr_scheduler import ReduceLROnPlateau as TorchReduceLROnPlateau

from nndl.optim._options import NON_NEGATIVE, POSITIVE, Check, check_options

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
    "preview",
]

Rate = float | Tensor


def _whole(least: int) -> Check:
    def holds(value: Any) -> bool:
        whole = isinstance(value, Integral) and not isinstance(value, bool)
        return whole and int(value) >= least

    return Check(holds, f"a whole number >= {least}")


def _or_none(check: Check) -> Check:
    return Check(lambda value: value is None or check.holds(value), f"{check.words}, or None")


def _one_of(*words: str) -> Check:
    return Check(lambda value: value in words, f"one of {', '.join(map(repr, words))}")


_UP_TO_ONE = Check(lambda value: 0 <= value <= 1, "in [0, 1]")
_POSITIVE_UP_TO_ONE = Check(lambda value: 0 < value <= 1, "in (0, 1]")

# What each argument may be; where one is a list, each of its items.
_OPTIONS = {
    **dict.fromkeys(["step_size", "total_iters", "T_0", "T_mult"], _whole(1)),
    **dict.fromkeys(["total_steps", "epochs", "steps_per_epoch"], _or_none(_whole(1))),
    **dict.fromkeys(["each of milestones", "patience", "cooldown", "epoch"], _whole(0)),
    **dict.fromkeys(["T_max", "step_size_up", "div_factor", "final_div_factor"], POSITIVE),
    **dict.fromkeys(["gamma", "power", "eta_min", "threshold", "eps"], NON_NEGATIVE),
    **dict.fromkeys(["base_lr", "max_lr", "min_lr"], NON_NEGATIVE),
    **dict.fromkeys(["base_momentum", "max_momentum", "end_factor", "pct_start"], _UP_TO_ONE),
    **dict.fromkeys(["start_factor", "factor"], _POSITIVE_UP_TO_ONE),
    "last_epoch": _whole(-1),
    "step_size_down": _or_none(NON_NEGATIVE),
    "scale_mode": _one_of("cycle", "iterations"),
    "anneal_strategy": _one_of("cos", "linear"),
    "threshold_mode": _one_of("rel", "abs"),
}


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def _get(optimizer: Optimizer, key: str) -> list[Any]:
    # Copies, since a Tensor in a group is overwritten in place.
    return [_copy(group[key]) for group in optimizer.param_groups]


def _set_lr(group: dict[str, Any], lr: Rate) -> None:
    # In place where the rate is a Tensor: a compiled step() holds on to that Tensor.
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(lr.squeeze() if isinstance(lr, Tensor) else lr)
    else:
        group["lr"] = lr


def _note_step(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
    optimizer._opt_called = True  # type: ignore[attr-defined]


# Functions and schedulers can't be in a saved state; of a function that is an object with
# attributes these are saved, of a scheduler its own state. Loading fills them in where they are.
def _to_saved(value: Any) -> Any:
    if isinstance(value, list):
        return [_to_saved(item) for item in value]
    if isinstance(value, TorchLRScheduler):
        return value.state_dict()
    if callable(value):
        plain = isinstance(value, FunctionType) or not hasattr(value, "__dict__")
        return None if plain else dict(vars(value))
    return value


def _from_saved(mine: Any, saved: Any) -> Any:
    if isinstance(mine, list) and isinstance(saved, list) and len(mine) == len(saved):
        return [_from_saved(item, entry) for item, entry in zip(mine, saved, strict=True)]
    if isinstance(mine, TorchLRScheduler):
        mine.load_state_dict(saved)
    elif not callable(mine):
        return saved
    elif saved is not None:
        vars(mine).update(saved)
    return mine


# The parent is there for isinstance alone, so that torch's SequentialLR and others accept ours:
# every method is replaced. Attributes have torch's names, as they are what state_dict() saves.
class LRScheduler(TorchLRScheduler):
    """What all schedulers share. A subclass says in `get_lr` what the groups' next rates are.

    Parameters
    ----------
    optimizer
        Of torch or of nndl. Each of its groups gets an entry "initial_lr", α_0.
    last_epoch
        -1 starts at t = 0. A later epoch resumes after it; "initial_lr" must be there then.

    Raises
    ------
    TypeError
        For what isn't an Optimizer, or an argument of the wrong type.
    ValueError
        For an argument out of its range, or a list that hasn't one entry for each group.
    KeyError
        For a `last_epoch` >= 0 with groups that lack "initial_lr".

    Examples
    --------
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    >>> scheduler = StepLR(optimizer, step_size=2)
    >>> for epoch in range(3):
    ...     optimizer.step()  # after zero_grad() and backward(), for each batch of the epoch
    ...     scheduler.step()  # last, once
    >>> scheduler.last_epoch, scheduler.get_last_lr()
    (3, [0.05])
    """

    options: ClassVar[dict[str, Check]] = _OPTIONS
    _resumes_with: ClassVar[tuple[str, ...]] = ("initial_lr",)
    _is_initial = False
    _get_lr_called_within_step = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self._attach(optimizer)
        self._check({"last_epoch": last_epoch})
        self.last_epoch = last_epoch
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", _copy(group["lr"]))
            elif missing := [key for key in self._resumes_with if key not in group]:
                raise KeyError(
                    f"param_groups[{i}] has no {missing[0]!r}, which last_epoch >= 0 needs: load "
                    "the optimizer's state_dict first, or start anew with last_epoch=-1"
                )
        self.base_lrs: list[Rate] = _get(optimizer, "initial_lr")
        if not hasattr(optimizer, "_opt_called"):
            optimizer._opt_called = False  # type: ignore[attr-defined]
            optimizer.register_step_post_hook(_note_step)
        self._initial_step()

    # What a dataclass calls once its fields, the options, are set.
    def __post_init__(self) -> None:
        self._check(vars(self))
        LRScheduler.__init__(self, self.optimizer, self.last_epoch)

    def _attach(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer must be an Optimizer, got {type(optimizer).__name__}")
        self.optimizer = optimizer

    def _check(self, options: dict[str, Any]) -> None:
        for name, value in options.items():
            for item in value if isinstance(value, (list, tuple)) else [value]:
                check_options(type(self).__name__, self.options, {name: item})

    def _per_group(self, name: str, value: Any) -> list[Any]:
        """Return one value for each group: a list as it is, anything else repeated."""
        groups = len(self.optimizer.param_groups)
        values = list(value) if isinstance(value, (list, tuple)) else [value] * groups
        if len(values) != groups:
            raise ValueError(
                f"{name} must be one value or a list with one for each of the {groups} "
                f"param_groups, got {len(values)} values"
            )
        return [_copy(item) for item in values]

    def _with_groups(self, *lists: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        """Pair each group with its entry of each list."""
        groups = self.optimizer.param_groups
        for values in lists:
            if len(values) != len(groups):
                raise ValueError(
                    f"{type(self).__name__} knows {len(values)} param_groups, the optimizer has "
                    f"{len(groups)}: make a new scheduler after add_param_group()"
                )
        return zip(groups, *lists, strict=True)

    def _in_order(self, milestones: Iterable[int]) -> list[int]:
        values = list(milestones)
        self._check({"each of milestones": values})
        if values != sorted(values):
            raise ValueError(f"milestones must not decrease, got {values}")
        return values

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        self.step()
        self._is_initial = False

    def step(self, epoch: int | None = None) -> None:
        """Write the next epoch's rates; `epoch` jumps to that epoch instead (deprecated by torch).

        Call it after ``optimizer.step()``, or the first rate is never used; that is warned of.
        """
        if epoch is not None:
            self._deprecate(epoch)
        # A copied or unpickled optimiser has no _opt_called: nothing is known, nothing is said.
        second = self._step_count == 1 and self.last_epoch >= 0
        if second and not getattr(self.optimizer, "_opt_called", True):
            message = (
                "scheduler.step() was called before optimizer.step(), so the first learning rate "
                "is skipped; call optimizer.step() first (if you did: was it replaced since?)"
            )
            warnings.warn(message, UserWarning, stacklevel=2)
        self._step_count += 1
        self._update_lr(epoch)

    def _deprecate(self, epoch: int) -> None:
        self._check({"epoch": epoch})
        message = "step(epoch) is deprecated, as it undoes what others did to the rate: call step()"
        warnings.warn(message, UserWarning, stacklevel=3)

    def _update_lr(self, epoch: int | None = None) -> None:
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        closed = None if epoch is None else getattr(self, "_get_closed_form_lr", None)
        self._get_lr_called_within_step = True
        try:
            lrs = closed() if closed else self.get_lr()
        finally:
            self._get_lr_called_within_step = False
        for group, lr in self._with_groups(lrs):
            _set_lr(group, lr)
        self._last_lr = _get(self.optimizer, "lr")

    def get_lr(self) -> list[Rate]:
        """Compute the rates that `step` writes. To ask for those in use, call `get_last_lr`."""
        if not self._get_lr_called_within_step:
            message = "get_lr() computes a step; for the rates in use call get_last_lr()"
            warnings.warn(message, UserWarning, stacklevel=2)
        return self._next_lr()

    def _next_lr(self) -> list[Rate]:
        raise NotImplementedError(f"{type(self).__name__} has no get_lr()")

    def get_last_lr(self) -> list[Rate]:
        """Return the rate that was written last for each group."""
        return self._last_lr

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the optimiser, in a form that torch's namesake can load."""
        return {key: _to_saved(value) for key, value in vars(self).items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a `state_dict` of this class or of torch's; ValueError for that of another.

        Make the scheduler first (that writes rates), then load the optimiser's state, then this.
        """
        name = type(self).__name__
        expected = [key for key in self.state_dict() if key[0] != "_" or key == "_schedulers"]
        missing = [key for key in expected if key not in state_dict]
        if missing:
            raise ValueError(f"state_dict isn't that of a {name}: it lacks {', '.join(missing)}")
        for key in ("base_lrs", "lr_lambdas", "_schedulers"):
            here, given = len(getattr(self, key, ())), len(state_dict.get(key, ()))
            if here != given:
                raise ValueError(f"state_dict has {given} {key}, this {name} has {here}")
        for key, value in state_dict.items():
            setattr(self, key, _from_saved(getattr(self, key, None), value))


class LambdaLR(LRScheduler):
    """α_t = λ(t) · α_0 for a function λ of yours, or one for each group in a list.

    Examples
    --------
    >>> preview(lambda optimizer: LambdaLR(optimizer, lambda t: 1 / (1 + t)), steps=4)
    [1.0, 0.5, 0.3333333333333333, 0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | list[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        self._attach(optimizer)
        self.lr_lambdas = self._per_group("lr_lambda", lr_lambda)
        for function in self.lr_lambdas:
            if not callable(function):
                raise TypeError(f"lr_lambda must be a function of the epoch, got {function!r}")
        super().__init__(optimizer, last_epoch)

    def _factors(self) -> list[float]:
        factors = [function(self.last_epoch) for function in self.lr_lambdas]
        for factor in factors:
            if not isinstance(factor, (Real, Tensor)):
                raise TypeError(f"lr_lambda({self.last_epoch}) must be a number, got {factor!r}")
        return factors

    def _next_lr(self) -> list[Rate]:
        # closed   α_t = λ(t) · α_0
        return [lr * factor for lr, factor in zip(self.base_lrs, self._factors(), strict=True)]


class MultiplicativeLR(LambdaLR):
    """α_t = λ(t) · α_{t−1} for a function λ of yours, or one for each group in a list.

    Examples
    --------
    >>> preview(lambda optimizer: MultiplicativeLR(optimizer, lambda t: 0.5), steps=4)
    [1.0, 0.5, 0.25, 0.125]
    """

    def _next_lr(self) -> list[Rate]:
        if self._is_initial:
            return _get(self.optimizer, "lr")
        # recursive   α_t = λ(t) · α_{t−1}
        return [group["lr"] * factor for group, factor in self._with_groups(self._factors())]


class _FactorLR(LRScheduler):
    """A schedule that is one factor for all groups, in both forms: see the head of this file."""

    def _r(self) -> float:
        raise NotImplementedError

    def _c(self) -> float:
        raise NotImplementedError

    def _next_lr(self) -> list[Rate]:
        # recursive   α_t = r(t) · α_{t−1}
        factor = self._r()
        return [group["lr"] * factor for group in self.optimizer.param_groups]

    def _get_closed_form_lr(self) -> list[Rate]:
        # closed   α_t = c(t) · α_0
        factor = self._c()
        return [base_lr * factor for base_lr in self.base_lrs]


@dataclass(eq=False, repr=False)
class StepLR(_FactorLR):
    """Multiply the rate by `gamma` every `step_size` epochs.

    Examples
    --------
    >>> preview(lambda optimizer: StepLR(optimizer, step_size=2, gamma=0.5), steps=5)
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    optimizer: Optimizer
    step_size: int
    gamma: float = 0.1
    last_epoch: int = -1

    def _r(self) -> float:
        # r(t) = γ where step_size divides t > 0, else 1
        return self.gamma if self.last_epoch and self.last_epoch % self.step_size == 0 else 1

    def _c(self) -> float:
        # c(t) = γ^⌊t / step_size⌋
        return self.gamma ** (self.last_epoch // self.step_size)


class MultiStepLR(_FactorLR):
    """Multiply the rate by `gamma` at each of `milestones`, twice where one is listed twice.

    Examples
    --------
    >>> preview(lambda optimizer: MultiStepLR(optimizer, milestones=[1, 4], gamma=0.5), steps=6)
    [1.0, 0.5, 0.5, 0.5, 0.25, 0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self._check({"gamma": gamma})
        self.gamma = gamma
        self.milestones = Counter(self._in_order(milestones))
        super().__init__(optimizer, last_epoch)

    def _r(self) -> float:
        # r(t) = γ^(how many milestones are t)
        return self.gamma ** self.milestones[self.last_epoch]

    def _c(self) -> float:
        # c(t) = γ^(how many milestones are ≤ t)
        return self.gamma ** bisect_right(sorted(self.milestones.elements()), self.last_epoch)


@dataclass(eq=False, repr=False)
class ConstantLR(_FactorLR):
    """Hold the rate at `factor` of the first one for `total_iters` epochs, then restore it.

    Examples
    --------
    >>> preview(lambda optimizer: ConstantLR(optimizer, factor=0.25, total_iters=2), steps=4)
    [0.25, 0.25, 1.0, 1.0]
    """

    optimizer: Optimizer
    factor: float = 1 / 3
    total_iters: int = 5
    last_epoch: int = -1

    def _r(self) -> float:
        # r(0) = factor,   r(total_iters) = 1 / factor,   else 1
        if self.last_epoch == 0:
            return self.factor
        return 1.0 / self.factor if self.last_epoch == self.total_iters else 1

    def _c(self) -> float:
        # c(t) = factor before total_iters, then 1
        return self.factor + (self.last_epoch >= self.total_iters) * (1 - self.factor)


@dataclass(eq=False, repr=False)
class LinearLR(_FactorLR):
    """Move in a straight line from `start_factor` to `end_factor` of the rate: the usual warm-up.

    Goyal et al. (2017), "Accurate, Large Minibatch SGD".

    Examples
    --------
    >>> preview(lambda optimizer: LinearLR(optimizer, start_factor=0.25, total_iters=3), steps=5)
    [0.25, 0.5, 0.75, 1.0, 1.0]

    Warm-up for 2 epochs, then cosine:

    >>> def warm_up_then_cosine(optimizer):
    ...     warm_up = LinearLR(optimizer, start_factor=0.5, total_iters=2)
    ...     cosine = CosineAnnealingLR(optimizer, T_max=4)
    ...     return SequentialLR(optimizer, [warm_up, cosine], milestones=[2])
    >>> [round(lr, 3) for lr in preview(warm_up_then_cosine, steps=7)]
    [0.5, 0.75, 1.0, 0.854, 0.5, 0.146, 0.0]
    """

    optimizer: Optimizer
    start_factor: float = 1.0 / 3
    end_factor: float = 1.0
    total_iters: int = 5
    last_epoch: int = -1

    def _r(self) -> float:
        if self.last_epoch == 0:
            return self.start_factor
        if self._is_initial or self.last_epoch > self.total_iters:
            return 1
        # r(t) = c(t) / c(t − 1) = 1 + Δ / (total_iters · start + (t − 1) Δ),   Δ = end − start
        delta = self.end_factor - self.start_factor
        return 1.0 + delta / (self.total_iters * self.start_factor + (self.last_epoch - 1) * delta)

    def _c(self) -> float:
        # c(t) = start + (end − start) · min(t, total_iters) / total_iters
        t = min(self.total_iters, self.last_epoch)
        return self.start_factor + (self.end_factor - self.start_factor) * t / self.total_iters


@dataclass(eq=False, repr=False)
class ExponentialLR(_FactorLR):
    """Multiply the rate by `gamma` every epoch.

    Examples
    --------
    >>> preview(lambda optimizer: ExponentialLR(optimizer, gamma=0.5), steps=4)
    [1.0, 0.5, 0.25, 0.125]
    """

    optimizer: Optimizer
    gamma: float
    last_epoch: int = -1

    def _r(self) -> float:
        # r(t) = γ
        return 1 if self._is_initial else self.gamma

    def _c(self) -> float:
        # c(t) = γᵗ
        return self.gamma**self.last_epoch


@dataclass(eq=False, repr=False)
class PolynomialLR(_FactorLR):
    """Fall to 0 in `total_iters` epochs along a polynomial of degree `power`.

    Examples
    --------
    >>> preview(lambda optimizer: PolynomialLR(optimizer, total_iters=4, power=2), steps=6)
    [1.0, 0.5625, 0.25, 0.0625, 0.0, 0.0]
    """

    optimizer: Optimizer
    total_iters: int = 5
    power: float = 1.0
    last_epoch: int = -1

    def _r(self) -> float:
        if self._is_initial or self.last_epoch > self.total_iters:
            return 1
        # r(t) = c(t) / c(t − 1)
        now = 1.0 - self.last_epoch / self.total_iters
        before = 1.0 - (self.last_epoch - 1) / self.total_iters
        return float((now / before) ** self.power)

    def _c(self) -> float:
        # c(t) = (1 − min(t, total_iters) / total_iters)^power
        t = min(self.total_iters, self.last_epoch)
        return float((1.0 - t / self.total_iters) ** self.power)


@dataclass(eq=False, repr=False)
class CosineAnnealingLR(LRScheduler):
    """Fall along half a cosine to `eta_min` at `T_max`; after that the cosine goes up again.

    Loshchilov & Hutter (2017), "SGDR", without its restarts.

    Examples
    --------
    >>> schedule = preview(lambda optimizer: CosineAnnealingLR(optimizer, T_max=4), steps=6)
    >>> [round(lr, 3) for lr in schedule]
    [1.0, 0.854, 0.5, 0.146, 0.0, 0.146]
    """

    optimizer: Optimizer
    T_max: int
    eta_min: float = 0.0
    last_epoch: int = -1

    def _next_lr(self) -> list[Rate]:
        if self._is_initial:
            return _get(self.optimizer, "lr")
        t, t_max, eta_min = self.last_epoch, self.T_max, self.eta_min
        # The first step up from the bottom, where the ratio below is 0 / 0:
        # α_t = α_{t−1} + (α_0 − η_min) (1 − cos(π / T_max)) / 2
        if (t - 1 - t_max) % (2 * t_max) == 0:
            rise = 1 - math.cos(math.pi / t_max)
            pairs = self._with_groups(self.base_lrs)
            return [group["lr"] + (base_lr - eta_min) * rise / 2 for group, base_lr in pairs]
        # recursive   α_t = η_min + r (α_{t−1} − η_min)
        #             r = (1 + cos(π t / T_max)) / (1 + cos(π (t − 1) / T_max))
        ratio = (1 + math.cos(math.pi * t / t_max)) / (1 + math.cos(math.pi * (t - 1) / t_max))
        return [ratio * (group["lr"] - eta_min) + eta_min for group in self.optimizer.param_groups]

    def _get_closed_form_lr(self) -> list[Rate]:
        return _cosine(self.base_lrs, self.eta_min, self.last_epoch, self.T_max)


def _cosine(base_lrs: list[Rate], eta_min: float, t: float, period: float) -> list[Rate]:
    # closed   α_t = η_min + (α_0 − η_min) (1 + cos(π t / period)) / 2
    height = 1 + math.cos(math.pi * t / period)
    return [eta_min + (base_lr - eta_min) * height / 2 for base_lr in base_lrs]


@dataclass(eq=False, repr=False)
class CosineAnnealingWarmRestarts(LRScheduler):
    """Fall along half a cosine in `T_0` epochs, jump up, fall again in `T_mult` times as many, ...

    ``step(epoch)`` is at home here, and may be a fraction: ``step(epoch + i / batches)``.
    Loshchilov & Hutter (2017), "SGDR: Stochastic Gradient Descent with Warm Restarts".

    Examples
    --------
    >>> schedule = preview(lambda opt: CosineAnnealingWarmRestarts(opt, T_0=2, T_mult=2), steps=7)
    >>> [round(lr, 3) for lr in schedule]
    [1.0, 0.5, 1.0, 0.854, 0.5, 0.146, 1.0]
    """

    options = LRScheduler.options | {"epoch": NON_NEGATIVE}

    optimizer: Optimizer
    T_0: int
    T_mult: int = 1
    eta_min: float = 0.0
    last_epoch: int = -1

    def __post_init__(self) -> None:
        self.T_i: int = self.T_0
        self.T_cur: float = self.last_epoch
        super().__post_init__()

    def _next_lr(self) -> list[Rate]:
        return _cosine(self.base_lrs, self.eta_min, self.T_cur, self.T_i)

    def step(self, epoch: float | None = None) -> None:
        """Write the next epoch's rates, or those of `epoch`, which may be a fraction."""
        if epoch is None and self.last_epoch >= 0:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        else:
            epoch = 0 if epoch is None else epoch
            self._check({"epoch": epoch})
            # Cycle n has T_0 · T_multⁿ epochs and begins at T_0 · (T_multⁿ − 1) / (T_mult − 1).
            if epoch < self.T_0:
                self.T_cur, self.T_i = epoch, self.T_0
            elif self.T_mult == 1:
                self.T_cur = epoch % self.T_0
            else:
                # log(243, 3) < 5 in floating point: like torch, such an epoch then ends its cycle
                # instead of beginning the next.
                cycles = epoch / self.T_0 * (self.T_mult - 1) + 1
                growth = self.T_mult ** int(math.log(cycles, self.T_mult))
                self.T_cur = epoch - self.T_0 * (growth - 1) / (self.T_mult - 1)
                self.T_i = self.T_0 * growth
        self._update_lr(math.floor(epoch))


class _CycleLR(LRScheduler):
    """What `CyclicLR` and `OneCycleLR` share: momentum that falls while the rate rises."""

    use_beta1: bool

    def _prepare_momentum(
        self, low: Any, high: Any, last_epoch: int
    ) -> tuple[list[Any], list[Any]]:
        defaults = self.optimizer.defaults
        if "momentum" not in defaults and "betas" not in defaults:
            name = type(self.optimizer).__name__
            raise ValueError(f"{name} has no momentum and no betas: pass cycle_momentum=False")
        self.use_beta1 = "betas" in defaults
        lows = self._per_group("base_momentum", low)
        highs = self._per_group("max_momentum", high)
        if last_epoch == -1:
            for group, base, peak in self._with_groups(lows, highs):
                self._set_momentum(group, peak)
                group["max_momentum"], group["base_momentum"] = peak, base
        return lows, highs

    def _set_momentum(self, group: dict[str, Any], momentum: float) -> None:
        # Adam's momentum is β₁.
        if self.use_beta1:
            group["betas"] = (momentum, *group["betas"][1:])
        else:
            group["momentum"] = momentum


class CyclicLR(_CycleLR):
    """Go up and down between `base_lr` and `max_lr`; call ``step()`` after each batch.

    Smith (2017), "Cyclical Learning Rates for Training Neural Networks". The amplitude stays
    ("triangular"), halves each cycle ("triangular2"), is ``gamma ** t`` ("exp_range"), or is
    `scale_fn` of the cycle's number (1, 2, ...) or of t, as `scale_mode` says.

    Examples
    --------
    >>> preview(lambda opt: CyclicLR(opt, 1.0, 2.0, step_size_up=2, mode="triangular2"), steps=8)
    [1.0, 1.5, 2.0, 1.5, 1.0, 1.25, 1.5, 1.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: Literal["cycle", "iterations"] = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        self._attach(optimizer)
        self._check(locals())
        if scale_fn is None:
            if mode not in ("triangular", "triangular2", "exp_range"):
                raise ValueError(f"mode {mode!r} is unknown: name another, or pass a scale_fn")
            scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self.mode, self.gamma, self.scale_mode = mode, gamma, scale_mode
        self._scale_fn_custom = scale_fn
        up = float(step_size_up)
        self.total_size = up + (up if step_size_down is None else float(step_size_down))
        self.step_ratio = up / self.total_size
        base_lrs = self._per_group("base_lr", base_lr)
        self.max_lrs = self._per_group("max_lr", max_lr)
        if last_epoch == -1:
            for group, lr in self._with_groups(base_lrs):
                _set_lr(group, lr)
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            momentums = self._prepare_momentum(base_momentum, max_momentum, last_epoch)
            self.base_momentums, self.max_momentums = momentums
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """Return the amplitude of cycle `x`, or at epoch `x`, as `scale_mode` says."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "exp_range":
            return float(self.gamma**x)
        return 1 / 2.0 ** (x - 1) if self.mode == "triangular2" else 1.0

    def _next_lr(self) -> list[Rate]:
        # h rises from 0 to 1 in step_size_up epochs and falls back to 0; a is the amplitude:
        # α_t = base + (max − base) h a,   momentum = max − (max − base) h a
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        h = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        a = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            for group, base, peak in self._with_groups(self.base_momentums, self.max_momentums):
                self._set_momentum(group, peak - (peak - base) * h * a)
        pairs = zip(self.base_lrs, self.max_lrs, strict=True)
        return [base + (peak - base) * h * a for base, peak in pairs]


class OneCycleLR(_CycleLR):
    """Warm up to `max_lr`, then anneal to far below the start; call ``step()`` after each batch.

    Smith & Topin (2018), "Super-Convergence". The cycle starts at ``max_lr / div_factor``, ends at
    that over `final_div_factor`, and takes `total_steps`, or `epochs` times `steps_per_epoch`.

    Examples
    --------
    >>> schedule = preview(lambda opt: OneCycleLR(opt, max_lr=1.0, total_steps=6), steps=6)
    >>> [round(lr, 3) for lr in schedule]
    [0.04, 0.994, 0.812, 0.463, 0.133, 0.0]
    """

    _resumes_with = ("initial_lr", "max_lr", "min_lr")

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        self._attach(optimizer)
        self._check(locals())
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("give total_steps, or both epochs and steps_per_epoch")
            total_steps = epochs * steps_per_epoch
        self.total_steps, self._anneal_func_type = total_steps, anneal_strategy
        # Where in a group the rate and the momentum of each corner of the cycle stand.
        start, peak = ("initial_lr", "max_momentum"), ("max_lr", "base_momentum")
        end = ("min_lr", "max_momentum")
        warm_up, last = pct_start * total_steps - 1, total_steps - 1
        phases: list[tuple[Any, ...]] = [(warm_up, *start, *peak), (last, *peak, *end)]
        if three_phase:
            down = 2 * pct_start * total_steps - 2
            phases[1:] = [(down, *peak, *start), (last, *start, *end)]
        keys = ("end_step", "start_lr", "start_momentum", "end_lr", "end_momentum")
        self._schedule_phases = [dict(zip(keys, phase, strict=True)) for phase in phases]
        max_lrs = self._per_group("max_lr", max_lr)
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._prepare_momentum(base_momentum, max_momentum, last_epoch)
        if last_epoch == -1:
            for group, lr in self._with_groups(max_lrs):
                group["initial_lr"], group["max_lr"] = lr / div_factor, lr
                group["min_lr"] = group["initial_lr"] / final_div_factor
        super().__init__(optimizer, last_epoch)

    def _next_lr(self) -> list[Rate]:
        t, begins = self.last_epoch, 0.0
        if t > self.total_steps:
            raise ValueError(f"the cycle has total_steps={self.total_steps}, this is step {t}")
        for phase in self._schedule_phases[:-1]:
            if t <= phase["end_step"]:
                break
            begins = phase["end_step"]
        else:
            phase = self._schedule_phases[-1]
        # p = share of the phase that is done; one of no steps (torch divides by zero) is over
        steps = phase["end_step"] - begins
        p = (t - begins) / steps if steps else 1.0
        groups = self.optimizer.param_groups
        if self.cycle_momentum:
            for group in groups:
                ends = group[phase["start_momentum"]], group[phase["end_momentum"]]
                self._set_momentum(group, self._anneal(*ends, p))
        return [self._anneal(g[phase["start_lr"]], g[phase["end_lr"]], p) for g in groups]

    def _anneal(self, start: Any, end: Any, p: float) -> Any:
        if self._anneal_func_type == "linear":
            # start + (end − start) p
            return (end - start) * p + start
        # end + (start − end) (1 + cos(π p)) / 2
        return end + (start - end) / 2.0 * (math.cos(math.pi * p) + 1)


# Like LRScheduler, a child of torch's class for isinstance alone.
class ReduceLROnPlateau(LRScheduler, TorchReduceLROnPlateau):
    """Multiply the rate by `factor` when a metric hasn't improved for more than `patience` epochs.

    Improved means by more than `threshold`, relative to the best so far ("rel") or not ("abs").
    For `cooldown` epochs after a reduction nothing is counted.

    Examples
    --------
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> for loss in [3.0, 2.0, 2.0, 2.0]:
    ...     scheduler.step(loss)
    >>> scheduler.get_last_lr(), scheduler.best
    ([0.5], 2.0)
    """

    options = LRScheduler.options | {
        "factor": Check(lambda value: 0 <= value < 1, "in [0, 1)"),
        "mode": _one_of("min", "max"),
    }

    def __init__(
        self,
        optimizer: Optimizer,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        self._attach(optimizer)
        self._check(locals())
        self.mode, self.factor, self.patience, self.cooldown = mode, factor, patience, cooldown
        self.threshold, self.threshold_mode, self.eps = threshold, threshold_mode, eps
        self.min_lrs = self._per_group("min_lr", min_lr)
        self.default_min_lr = None if isinstance(min_lr, (list, tuple)) else min_lr
        self.best = self.mode_worse = math.inf if mode == "min" else -math.inf
        self.last_epoch = self.cooldown_counter = self.num_bad_epochs = 0
        self._last_lr = _get(optimizer, "lr")

    def step(self, metrics: SupportsFloat, epoch: int | None = None) -> None:  # type: ignore[override]
        """Take note of this epoch's metric, a number, and reduce the rates if it is time to."""
        try:
            current = float(metrics)
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(f"metrics must be one number, got {metrics!r}") from error
        if epoch is not None:
            self._deprecate(epoch)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self._improves(current):
            self.best = current
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = _get(self.optimizer, "lr")

    @property
    def in_cooldown(self) -> bool:
        """Whether bad epochs aren't counted for now."""
        return self.cooldown_counter > 0

    def _improves(self, metric: float) -> bool:
        # min:  metric < best (1 − threshold)  or  best − threshold
        # max:  metric > best (1 + threshold)  or  best + threshold
        sign = 1 if self.mode == "max" else -1
        margin = sign * self.threshold
        bar = self.best * (1.0 + margin) if self.threshold_mode == "rel" else self.best + margin
        return bool(sign * metric > sign * bar)

    def _reduce(self) -> None:
        groups = self.optimizer.param_groups
        if len(self.min_lrs) != len(groups):
            if self.default_min_lr is None:
                raise RuntimeError(
                    f"min_lr has {len(self.min_lrs)} values, but the optimizer now has "
                    f"{len(groups)} param_groups: extend scheduler.min_lrs"
                )
            self.min_lrs = [self.default_min_lr] * len(groups)
        for group, min_lr in zip(groups, self.min_lrs, strict=True):
            # α ← max(factor · α, min_lr), unless that changes it by eps or less
            old = float(group["lr"])
            new = max(old * self.factor, min_lr)
            if old - new > self.eps:
                _set_lr(group, new)


class _Composite(LRScheduler):
    """What `SequentialLR` and `ChainedScheduler` share: schedulers of one optimiser inside."""

    def _adopt(self, optimizer: Any, schedulers: Sequence[Any]) -> None:
        if len(schedulers) == 0:
            raise ValueError(f"{type(self).__name__} needs at least one scheduler, got none")
        for i, scheduler in enumerate(schedulers):
            given = f"schedulers[{i}] of {type(self).__name__}, a {type(scheduler).__name__},"
            if not hasattr(scheduler, "optimizer"):
                raise TypeError(f"{given} has no optimizer: it is no scheduler")
            if isinstance(scheduler, TorchReduceLROnPlateau):
                raise ValueError(f"{given} needs a metric at each step: step it by itself")
            optimizer = optimizer or scheduler.optimizer
            if scheduler.optimizer is not optimizer:
                raise ValueError(f"{given} belongs to another optimizer")
        self._attach(optimizer)
        self._schedulers = list(schedulers)


class SequentialLR(_Composite):
    """Run one scheduler after another: at each milestone the next takes over, at its epoch 0.

    Examples
    --------
    >>> def hold_then_decay(optimizer):
    ...     parts = [ConstantLR(optimizer, factor=0.5), ExponentialLR(optimizer, gamma=0.5)]
    ...     return SequentialLR(optimizer, parts, milestones=[2])
    >>> preview(hold_then_decay, steps=5)
    [0.5, 0.5, 1.0, 0.5, 0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[TorchLRScheduler],
        milestones: list[int],
        last_epoch: int = -1,
    ) -> None:
        self._attach(optimizer)
        self._check({"last_epoch": last_epoch})
        self._adopt(optimizer, schedulers)
        self._milestones = self._in_order(milestones)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"SequentialLR of {len(schedulers)} schedulers needs {len(schedulers) - 1} "
                f"milestones, got {len(milestones)}"
            )
        for i, scheduler in enumerate(schedulers[1:], start=1):
            if hasattr(scheduler, "_schedulers"):
                raise ValueError(f"schedulers[{i}] holds schedulers itself: only the first one may")
        self.last_epoch = last_epoch + 1
        # Each scheduler took its first step when it was made. Undo them all, redo the right one.
        for group in optimizer.param_groups:
            _set_lr(group, group["initial_lr"])
        self.recursive_undo()
        current = self._schedulers[bisect_right(self._milestones, 0)]
        current._initial_step()
        self._last_lr = current.get_last_lr()

    def recursive_undo(self, sched: Any = None) -> None:
        """Take back the first step of each scheduler inside `sched`."""
        for scheduler in (sched or self)._schedulers:
            if hasattr(scheduler, "_schedulers"):
                self.recursive_undo(scheduler)
            else:
                scheduler.last_epoch -= 1

    def step(self) -> None:  # type: ignore[override]
        """Step the scheduler whose turn it is."""
        self.last_epoch += 1
        current = self._schedulers[bisect_right(self._milestones, self.last_epoch)]
        if self.last_epoch in self._milestones:
            current._update_lr(0)
        else:
            current.step()
        self._last_lr = current.get_last_lr()


class ChainedScheduler(_Composite):
    """Step several schedulers at once: their factors multiply.

    Examples
    --------
    >>> def hold_and_decay(optimizer):
    ...     hold = ConstantLR(optimizer, factor=0.5, total_iters=2)
    ...     return ChainedScheduler([hold, ExponentialLR(optimizer, gamma=0.5)])
    >>> preview(hold_and_decay, steps=4)
    [0.5, 0.25, 0.25, 0.125]
    """

    def __init__(
        self, schedulers: Sequence[TorchLRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        self._adopt(optimizer, schedulers)
        self._last_lr = _get(self.optimizer, "lr")

    def step(self) -> None:  # type: ignore[override]
        """Step each scheduler, in the order given."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = _get(self.optimizer, "lr")


def preview(
    make: Callable[[Optimizer], TorchLRScheduler], steps: int, lr: float = 1.0
) -> list[float]:
    """Return the rates of epochs 0 to ``steps - 1`` that a scheduler gives an optimiser (SGD).

    Examples
    --------
    >>> preview(lambda optimizer: ExponentialLR(optimizer, gamma=0.5), steps=3, lr=4.0)
    [4.0, 2.0, 1.0]
    """
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    scheduler = make(optimizer)
    rates = [optimizer.param_groups[0]["lr"]]
    for _ in range(steps - 1):
        optimizer.step()
        scheduler.step()
        rates.append(optimizer.param_groups[0]["lr"])
    return rates
