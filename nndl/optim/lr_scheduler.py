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

All take `optimizer`, torch's or ours, and `last_epoch`: -1 starts at t = 0, a later one resumes
after it (each group must have "initial_lr" then). "One or a list": a list has one for each group.
What isn't an optimiser or a number is refused with a TypeError, what is out of range with a
ValueError.
"""

import math
import warnings
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from types import FunctionType
from typing import Any, ClassVar, Literal, SupportsFloat

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler as TorchLRScheduler
from torch.optim.lr_scheduler import ReduceLROnPlateau as TorchReduceLROnPlateau

from nndl.optim._options import NON_NEGATIVE, POSITIVE, Check, check_options

__all__ = [
    "ChainedScheduler", "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts",
    "CyclicLR", "ExponentialLR", "LRScheduler", "LambdaLR", "LinearLR", "MultiStepLR",
    "MultiplicativeLR", "OneCycleLR", "PolynomialLR", "ReduceLROnPlateau", "SequentialLR", "StepLR",
    "preview",
]  # fmt: skip

Rate = float | Tensor
Factor = Callable[[int], float]


def _whole(least: int) -> Check:
    return Check(lambda value: value >= least and value % 1 == 0, f"a whole number >= {least}")


def _one_of(*words: str) -> Check:
    return Check(lambda value: value in words, f"one of {', '.join(map(repr, words))}")


_SHARE = Check(lambda value: 0 <= value <= 1, "in [0, 1]")

# What each argument may be; where one is a list, each of its items.
_OPTIONS = {
    **dict.fromkeys(["step_size", "total_iters", "total_steps", "T_0", "T_mult"], _whole(1)),
    **dict.fromkeys(["milestones", "patience", "cooldown"], _whole(0)),
    **dict.fromkeys(["T_max", "step_size_up", "div_factor", "final_div_factor"], POSITIVE),
    **dict.fromkeys(["gamma", "power", "eta_min", "threshold", "eps", "epoch"], NON_NEGATIVE),
    **dict.fromkeys(["base_lr", "max_lr", "min_lr", "step_size_down"], NON_NEGATIVE),
    **dict.fromkeys(["base_momentum", "max_momentum", "end_factor", "pct_start"], _SHARE),
    **dict.fromkeys(["start_factor", "factor"], Check(lambda value: 0 < value <= 1, "in (0, 1]")),
    "last_epoch": _whole(-1),
    "scale_mode": _one_of("cycle", "iterations"),
    "anneal_strategy": _one_of("cos", "linear"),
    "threshold_mode": _one_of("rel", "abs"),
}


def _copies(values: Iterable[Any]) -> list[Any]:
    # Of Tensors alone: in a group they are overwritten in place.
    return [value.clone() if isinstance(value, Tensor) else value for value in values]


def _get(optimizer: Optimizer, key: str) -> list[Any]:
    return _copies(group[key] for group in optimizer.param_groups)


def _set_lr(group: dict[str, Any], lr: Rate) -> None:
    # In place where the rate is a Tensor: a compiled step() holds on to that Tensor.
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(float(lr))
    else:
        group["lr"] = lr


def _note_step(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
    optimizer._opt_called = True  # type: ignore[attr-defined]


def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=3)


# The parent is there for isinstance alone, so that torch's SequentialLR and others accept ours:
# every method is replaced. Attributes have torch's names, as they are what state_dict() saves.
class LRScheduler(TorchLRScheduler):
    """What all schedulers share. A subclass says in `get_lr` what the groups' next rates are.

    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    >>> scheduler = StepLR(optimizer, step_size=2)
    >>> for epoch in range(3):
    ...     optimizer.step()  # after zero_grad() and backward(), for each batch of the epoch
    ...     scheduler.step()  # last, once
    >>> scheduler.last_epoch, scheduler.get_last_lr()
    (3, [0.05])
    """

    options: ClassVar[dict[str, Check]] = _OPTIONS
    _is_initial = False
    _get_lr_called_within_step = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self._attach(optimizer)
        self._check({"last_epoch": last_epoch})
        self.last_epoch = last_epoch
        for group, lr in self._with_groups(_get(optimizer, "lr")):
            if last_epoch == -1:
                group.setdefault("initial_lr", lr)
            elif "initial_lr" not in group:
                raise KeyError("last_epoch >= 0 needs 'initial_lr' in each of the param_groups")
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
            count = f"got {len(values)}"
            raise ValueError(f"{name} must be one, or one for each of {groups} groups, {count}")
        return _copies(values)

    def _with_groups(self, *lists: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        """Pair each group with its entry of each list."""
        groups = self.optimizer.param_groups
        if any(len(values) != len(groups) for values in lists):
            known = f"{type(self).__name__} knows {len(lists[0])} param_groups"
            raise ValueError(f"{known}, the optimizer has {len(groups)}: make a new scheduler")
        return zip(groups, *lists, strict=True)

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        self.step()
        self._is_initial = False

    def step(self, epoch: int | None = None) -> None:
        """Write the next epoch's rates, after ``optimizer.step()``; `epoch` jumps (deprecated)."""
        if epoch is not None:
            _warn("step(epoch) is deprecated, as it undoes what others did to the rate")
        # A copied or unpickled optimiser has no _opt_called: nothing is known, nothing is said.
        second = self._step_count == 1 and self.last_epoch >= 0
        if second and not getattr(self.optimizer, "_opt_called", True):
            _warn("scheduler.step() came before optimizer.step(), so the first rate is skipped")
        self._step_count += 1
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        closed = None if epoch is None else getattr(self, "_get_closed_form_lr", None)
        self._get_lr_called_within_step = True
        lrs = closed() if closed else self.get_lr()
        self._get_lr_called_within_step = False
        for group, lr in self._with_groups(lrs):
            _set_lr(group, lr)
        self._last_lr = _get(self.optimizer, "lr")

    def get_lr(self) -> list[Rate]:
        """Compute the rates that `step` writes. To ask for those in use, call `get_last_lr`."""
        if not self._get_lr_called_within_step:
            _warn("get_lr() computes a step; for the rates in use call get_last_lr()")
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
        """Take over a state of this class or torch's namesake, after the optimiser has loaded."""
        name, mine = type(self).__name__, vars(self)
        if missing := mine.keys() - state_dict.keys() - {"optimizer", "_is_initial"}:
            raise ValueError(f"state_dict isn't that of a {name}: it lacks {min(missing)}")
        for key in {"lr_lambdas", "_schedulers"} & mine.keys():
            if len(state_dict[key]) != len(mine[key]):
                raise ValueError(f"state_dict has another number of {key} than this {name}")
        for key, saved in state_dict.items():
            mine[key] = _from_saved(mine.get(key), saved)


# Functions and schedulers can't be in a saved state; of a function that is an object with
# attributes these are saved, of a scheduler its own state. Loading fills them in where they are.
def _to_saved(value: Any) -> Any:
    if isinstance(value, list):
        return [_to_saved(item) for item in value]
    if isinstance(value, TorchLRScheduler):
        return value.state_dict()
    if callable(value):
        return None if isinstance(value, FunctionType) else copy(getattr(value, "__dict__", None))
    return value


def _from_saved(mine: Any, saved: Any) -> Any:
    if isinstance(mine, list) and len(mine) == len(saved):
        return [_from_saved(item, entry) for item, entry in zip(mine, saved, strict=True)]
    if isinstance(mine, TorchLRScheduler):
        mine.load_state_dict(saved)
    elif not callable(mine):
        return saved
    elif saved:
        vars(mine).update(saved)
    return mine


class LambdaLR(LRScheduler):
    """α_t = λ(t) · α_0 for a function λ of yours, or one for each group in a list.

    >>> preview(lambda optimizer: LambdaLR(optimizer, lambda t: 1 / (1 + t)), steps=4)
    [1.0, 0.5, 0.3333333333333333, 0.25]
    """

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Factor | list[Factor], last_epoch: int = -1
    ) -> None:
        self._attach(optimizer)
        self.lr_lambdas = self._per_group("lr_lambda", lr_lambda)
        for factor in self.lr_lambdas:
            if not callable(factor):
                raise TypeError(f"lr_lambda must be a function of the epoch, got {factor!r}")
        super().__init__(optimizer, last_epoch)

    def _next_lr(self) -> list[Rate]:
        # closed   α_t = λ(t) · α_0
        pairs = zip(self.base_lrs, self.lr_lambdas, strict=True)
        return [base_lr * factor(self.last_epoch) for base_lr, factor in pairs]


class MultiplicativeLR(LambdaLR):
    """α_t = λ(t) · α_{t−1} for a function λ of yours, or one for each group in a list.

    >>> preview(lambda optimizer: MultiplicativeLR(optimizer, lambda t: 0.5), steps=4)
    [1.0, 0.5, 0.25, 0.125]
    """

    def _next_lr(self) -> list[Rate]:
        if self._is_initial:
            return _get(self.optimizer, "lr")
        # recursive   α_t = λ(t) · α_{t−1}
        pairs = self._with_groups(self.lr_lambdas)
        return [group["lr"] * factor(self.last_epoch) for group, factor in pairs]


class _FactorLR(LRScheduler):
    """A schedule that is one factor for all groups, c(t) or r(t): see the head of this file."""

    def _factor(self, t: int, closed: bool) -> float:
        raise NotImplementedError

    def _next_lr(self) -> list[Rate]:
        # recursive   α_t = r(t) · α_{t−1}
        r = self._factor(self.last_epoch, closed=False)
        return [group["lr"] * r for group in self.optimizer.param_groups]

    def _get_closed_form_lr(self) -> list[Rate]:
        # closed   α_t = c(t) · α_0
        c = self._factor(self.last_epoch, closed=True)
        return [base_lr * c for base_lr in self.base_lrs]


@dataclass(eq=False, repr=False)
class StepLR(_FactorLR):
    """Multiply the rate by `gamma` every `step_size` epochs.

    >>> preview(lambda optimizer: StepLR(optimizer, step_size=2, gamma=0.5), steps=5)
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    optimizer: Optimizer
    step_size: int
    gamma: float = 0.1
    last_epoch: int = -1

    def _factor(self, t: int, closed: bool) -> float:
        if closed:  # c(t) = γ^⌊t / step_size⌋
            return self.gamma ** (t // self.step_size)
        # r(t) = γ where step_size divides t > 0, else 1
        return self.gamma if t and t % self.step_size == 0 else 1


class MultiStepLR(_FactorLR):
    """Multiply the rate by `gamma` at each of `milestones`, twice where one is listed twice.

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
        milestones = list(milestones)
        self._check(locals())
        self.milestones, self.gamma = Counter(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self, t: int, closed: bool) -> float:
        # c(t) = γ^(how many milestones are ≤ t),   r(t) = γ^(how many are t)
        passed = sum(at <= t for at in self.milestones.elements()) if closed else self.milestones[t]
        return self.gamma**passed


@dataclass(eq=False, repr=False)
class ConstantLR(_FactorLR):
    """Hold the rate at `factor` of the first one for `total_iters` epochs, then restore it.

    >>> preview(lambda optimizer: ConstantLR(optimizer, factor=0.25, total_iters=2), steps=4)
    [0.25, 0.25, 1.0, 1.0]
    """

    optimizer: Optimizer
    factor: float = 1 / 3
    total_iters: int = 5
    last_epoch: int = -1

    def _factor(self, t: int, closed: bool) -> float:
        if closed:  # c(t) = factor before total_iters, then 1
            return self.factor + (t >= self.total_iters) * (1 - self.factor)
        # r(0) = factor,   r(total_iters) = 1 / factor,   else 1
        return {0: self.factor, self.total_iters: 1.0 / self.factor}.get(t, 1)


@dataclass(eq=False, repr=False)
class LinearLR(_FactorLR):
    """Move in a straight line from `start_factor` to `end_factor` of the rate: the usual warm-up.

    Goyal et al. (2017), "Accurate, Large Minibatch SGD".

    >>> preview(lambda optimizer: LinearLR(optimizer, start_factor=0.25, total_iters=3), steps=5)
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """

    optimizer: Optimizer
    start_factor: float = 1.0 / 3
    end_factor: float = 1.0
    total_iters: int = 5
    last_epoch: int = -1

    def _factor(self, t: int, closed: bool) -> float:
        start, end, total = self.start_factor, self.end_factor, self.total_iters
        if closed:  # c(t) = start + (end − start) · min(t, total) / total
            return start + (end - start) * min(total, t) / total
        if t == 0:
            return start
        if self._is_initial or t > total:
            return 1
        # r(t) = c(t) / c(t − 1) = 1 + (end − start) / (total · start + (t − 1) (end − start))
        return 1.0 + (end - start) / (total * start + (t - 1) * (end - start))


@dataclass(eq=False, repr=False)
class ExponentialLR(_FactorLR):
    """Multiply the rate by `gamma` every epoch.

    >>> preview(lambda optimizer: ExponentialLR(optimizer, gamma=0.5), steps=4)
    [1.0, 0.5, 0.25, 0.125]
    """

    optimizer: Optimizer
    gamma: float
    last_epoch: int = -1

    def _factor(self, t: int, closed: bool) -> float:
        if closed:  # c(t) = γᵗ
            return self.gamma**t
        # r(t) = γ
        return 1 if self._is_initial else self.gamma


@dataclass(eq=False, repr=False)
class PolynomialLR(_FactorLR):
    """Fall to 0 in `total_iters` epochs along a polynomial of degree `power`.

    >>> preview(lambda optimizer: PolynomialLR(optimizer, total_iters=4, power=2), steps=6)
    [1.0, 0.5625, 0.25, 0.0625, 0.0, 0.0]
    """

    optimizer: Optimizer
    total_iters: int = 5
    power: float = 1.0
    last_epoch: int = -1

    def _factor(self, t: int, closed: bool) -> float:
        left = 1.0 - min(self.total_iters, t) / self.total_iters
        if closed:  # c(t) = (1 − min(t, total_iters) / total_iters)^power
            return float(left**self.power)
        if self._is_initial or t > self.total_iters:
            return 1
        # r(t) = c(t) / c(t − 1)
        return float((left / (1.0 - (t - 1) / self.total_iters)) ** self.power)


def _cosine(base_lrs: list[Rate], eta_min: float, t: float, period: float) -> list[Rate]:
    # closed   α_t = η_min + (α_0 − η_min) (1 + cos(π t / period)) / 2
    height = 1 + math.cos(math.pi * t / period)
    return [eta_min + (base_lr - eta_min) * height / 2 for base_lr in base_lrs]


@dataclass(eq=False, repr=False)
class CosineAnnealingLR(LRScheduler):
    """Fall along half a cosine to `eta_min` at `T_max`; after that the cosine goes up again.

    Loshchilov & Hutter (2017), "SGDR", without its restarts.

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
        r = (1 + math.cos(math.pi * t / t_max)) / (1 + math.cos(math.pi * (t - 1) / t_max))
        return [r * (group["lr"] - eta_min) + eta_min for group in self.optimizer.param_groups]

    def _get_closed_form_lr(self) -> list[Rate]:
        return _cosine(self.base_lrs, self.eta_min, self.last_epoch, self.T_max)


@dataclass(eq=False, repr=False)
class CosineAnnealingWarmRestarts(LRScheduler):
    """Fall along half a cosine in `T_0` epochs, jump up, fall again in `T_mult` times as many, ...

    ``step(epoch)`` is at home here, and may be a fraction: ``step(epoch + i / batches)``.
    Loshchilov & Hutter (2017), "SGDR: Stochastic Gradient Descent with Warm Restarts".

    >>> schedule = preview(lambda opt: CosineAnnealingWarmRestarts(opt, T_0=2, T_mult=2), steps=7)
    >>> [round(lr, 3) for lr in schedule]
    [1.0, 0.5, 1.0, 0.854, 0.5, 0.146, 1.0]
    """

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
                self.T_cur, self.T_i = self.T_cur % self.T_i, self.T_i * self.T_mult
        else:
            epoch = epoch or 0
            self._check({"epoch": epoch})
            if epoch < self.T_0 or self.T_mult == 1:
                self.T_cur, self.T_i = epoch % self.T_0, self.T_0
            else:
                # Cycle n has T_0 · T_multⁿ epochs, begins at T_0 · (T_multⁿ − 1) / (T_mult − 1).
                # As in torch, an epoch where it begins may round down to the end of the one before.
                cycles = epoch / self.T_0 * (self.T_mult - 1) + 1
                growth = self.T_mult ** int(math.log(cycles, self.T_mult))
                self.T_cur = epoch - self.T_0 * (growth - 1) / (self.T_mult - 1)
                self.T_i = self.T_0 * growth
        self._update_lr(math.floor(epoch))


class _CycleLR(LRScheduler):
    """What `CyclicLR` and `OneCycleLR` share: momentum that falls while the rate rises."""

    def _start_momentum(self, base: Any, peak: Any, last_epoch: int) -> tuple[list[Any], list[Any]]:
        defaults = self.optimizer.defaults
        if "momentum" not in defaults and "betas" not in defaults:
            name = type(self.optimizer).__name__
            raise ValueError(f"{name} has no momentum and no betas: pass cycle_momentum=False")
        self.use_beta1 = "betas" in defaults
        bases, peaks = self._per_group("base_momentum", base), self._per_group("max_momentum", peak)
        if last_epoch == -1:
            for group, base, peak in self._with_groups(bases, peaks):
                self._set_momentum(group, peak)
                group["max_momentum"], group["base_momentum"] = peak, base
        return bases, peaks

    def _set_momentum(self, group: dict[str, Any], momentum: float) -> None:
        # Adam's momentum is β₁.
        if self.use_beta1:
            group["betas"] = (momentum, *group["betas"][1:])
        else:
            group["momentum"] = momentum


class CyclicLR(_CycleLR):
    """Go up and down between `base_lr` and `max_lr` (one or a list); call ``step()`` each batch.

    Smith (2017), "Cyclical Learning Rates for Training Neural Networks". The amplitude stays
    ("triangular"), halves each cycle ("triangular2"), is ``gamma ** t`` ("exp_range"), or is
    `scale_fn` of the cycle's number (1, 2, ...) or of t, as `scale_mode` says.

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
        step_size_down = step_size_up if step_size_down is None else step_size_down
        self._check(locals())
        if scale_fn is None:
            if mode not in ("triangular", "triangular2", "exp_range"):
                raise ValueError(f"mode {mode!r} is unknown: name another, or pass a scale_fn")
            scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self.mode, self.gamma = mode, gamma
        self._scale_fn_custom, self.scale_mode = scale_fn, scale_mode
        self.total_size = float(step_size_up + step_size_down)
        self.step_ratio = step_size_up / self.total_size
        base_lrs = self._per_group("base_lr", base_lr)
        self.max_lrs = self._per_group("max_lr", max_lr)
        if last_epoch == -1:
            for group, lr in self._with_groups(base_lrs):
                _set_lr(group, lr)
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            momentums = self._start_momentum(base_momentum, max_momentum, last_epoch)
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

    >>> schedule = preview(lambda opt: OneCycleLR(opt, max_lr=1.0, total_steps=6), steps=6)
    >>> [round(lr, 3) for lr in schedule]
    [0.04, 0.994, 0.812, 0.463, 0.133, 0.0]
    """

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
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("give total_steps, or both epochs and steps_per_epoch")
            total_steps = epochs * steps_per_epoch
        self._check(locals())
        self.total_steps, self._anneal_func_type = total_steps, anneal_strategy
        # Where in a group the rate and the momentum of each corner of the cycle stand.
        start, peak = ("initial_lr", "max_momentum"), ("max_lr", "base_momentum")
        end = ("min_lr", "max_momentum")
        up, last = pct_start * total_steps - 1, total_steps - 1
        phases: list[tuple[float, Any, Any]] = [(up, start, peak), (last, peak, end)]
        if three_phase:
            phases[1:] = [(2 * up, peak, start), (last, start, end)]
        keys = ("end_step", "start_lr", "start_momentum", "end_lr", "end_momentum")
        self._schedule_phases = [dict(zip(keys, (t, *a, *b), strict=True)) for t, a, b in phases]
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._start_momentum(base_momentum, max_momentum, last_epoch)
        max_lrs = self._per_group("max_lr", max_lr)
        if last_epoch == -1:
            for group, lr in self._with_groups(max_lrs):
                group["initial_lr"], group["max_lr"] = lr / div_factor, lr
                group["min_lr"] = group["initial_lr"] / final_div_factor
        super().__init__(optimizer, last_epoch)

    def _next_lr(self) -> list[Rate]:
        t = self.last_epoch
        if t > self.total_steps:
            raise ValueError(f"the cycle has total_steps={self.total_steps}, this is step {t}")
        # The phase that t is in, and p, the share of it that is done (of one with no steps, all).
        ends = [phase["end_step"] for phase in self._schedule_phases]
        i = bisect_left(ends[:-1], t)
        begin, end, phase = [0.0, *ends][i], ends[i], self._schedule_phases[i]
        p = (t - begin) / (end - begin) if end != begin else 1.0
        groups = self.optimizer.param_groups
        if self.cycle_momentum:
            for group in groups:
                corners = group[phase["start_momentum"]], group[phase["end_momentum"]]
                self._set_momentum(group, self._anneal(*corners, p))
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
    For `cooldown` epochs after a reduction nothing is counted. `min_lr` is one or a list.

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
        metric = float(metrics)
        if epoch is not None:
            _warn("step(metrics, epoch) is deprecated: call step(metrics)")
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self.num_bad_epochs += 1
        if self._improves(metric):
            self.best, self.num_bad_epochs = metric, 0
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
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
        if len(self.min_lrs) != len(groups) and self.default_min_lr is not None:
            self.min_lrs = self._per_group("min_lr", self.default_min_lr)
        for group, min_lr in self._with_groups(self.min_lrs):
            # α ← max(factor · α, min_lr), unless that changes it by eps or less
            old = float(group["lr"])
            new = max(old * self.factor, min_lr)
            if old - new > self.eps:
                _set_lr(group, new)


class _Composite(LRScheduler):
    """What `SequentialLR` and `ChainedScheduler` share: schedulers of one optimiser inside."""

    def _adopt(self, optimizer: Any, schedulers: Sequence[Any]) -> None:
        if not schedulers:
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
        self.optimizer, self._schedulers = optimizer, list(schedulers)


class SequentialLR(_Composite):
    """Run one scheduler after another: at each milestone the next takes over, at its epoch 0.

    >>> def warm_up_then_cosine(optimizer):
    ...     parts = [LinearLR(optimizer, 0.5, total_iters=2), CosineAnnealingLR(optimizer, T_max=4)]
    ...     return SequentialLR(optimizer, parts, milestones=[2])
    >>> [round(lr, 3) for lr in preview(warm_up_then_cosine, steps=7)]
    [0.5, 0.75, 1.0, 0.854, 0.5, 0.146, 0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[TorchLRScheduler],
        milestones: list[int],
        last_epoch: int = -1,
    ) -> None:
        self._attach(optimizer)
        self._check(locals())
        self._adopt(optimizer, schedulers)
        self._milestones, self.last_epoch = list(milestones), last_epoch + 1
        needed = len(schedulers) - 1
        if len(milestones) != needed or self._milestones != sorted(milestones):
            raise ValueError(f"{needed} milestones are needed, in rising order, got {milestones}")
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

    >>> preview(lambda o: ChainedScheduler([ConstantLR(o, 0.5, 2), ExponentialLR(o, 0.5)]), steps=4)
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
