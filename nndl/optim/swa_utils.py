"""Averages of the weights along the way: often a better model than the last one.

With equal weights it is the average of Polyak & Juditsky (1992), SWA in deep learning (Izmailov et
al., 2018); with weights that decay it is EMA. Names and results are those of
``torch.optim.swa_utils``.

Notation: θ̄ average, θ what is trained now, n number of models in the average, ρ ``decay``.
"""

import math
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from nndl.optim._options import NON_NEGATIVE
from nndl.optim.lr_scheduler import LRScheduler, Rate, _whole

__all__ = [
    "SWALR", "AveragedModel", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn",
    "get_swa_multi_avg_fn", "update_bn",
]  # fmt: skip

Count = Tensor | int
Tensors = list[Tensor] | tuple[Tensor, ...]
AvgFn = Callable[[Tensor, Tensor, Count], Tensor]
MultiAvgFn = Callable[[Tensors, Tensors, Count], None]


def get_swa_avg_fn() -> AvgFn:
    """Return (θ̄, θ, n) → the mean of all n + 1 models.

    >>> get_swa_avg_fn()(torch.tensor(2.0), torch.tensor(5.0), 2)  # 2 is the mean of two models
    tensor(3.)
    """

    @torch.no_grad()
    def swa(averaged: Tensor, current: Tensor, num_averaged: Count) -> Tensor:
        # θ̄ + (θ − θ̄) / (n + 1)
        return averaged + (current - averaged) / (num_averaged + 1)

    return swa


def get_ema_avg_fn(decay: float = 0.999) -> AvgFn:
    """Return (θ̄, θ, n) → a moving average, the same for every n; ValueError unless 0 ≤ ρ ≤ 1.

    >>> get_ema_avg_fn(0.75)(torch.tensor(2.0), torch.tensor(6.0), 1)
    tensor(3.)
    """
    if not 0 <= decay <= 1:
        raise ValueError(f"decay must lie in [0, 1], got {decay!r}")

    @torch.no_grad()
    def ema(averaged: Tensor, current: Tensor, num_averaged: Count) -> Tensor:
        # ρ θ̄ + (1 − ρ) θ
        return decay * averaged + (1 - decay) * current

    return ema


def get_swa_multi_avg_fn() -> MultiAvgFn:
    """Return `get_swa_avg_fn` for lists, in place; its rounding is another.

    >>> mean = torch.tensor(2.0)
    >>> get_swa_multi_avg_fn()([mean], [torch.tensor(5.0)], 2)
    >>> mean
    tensor(3.)
    """
    # A tensor n, as AveragedModel's, makes this a number of single precision, as in torch.
    return _multi(get_swa_avg_fn(), lambda num_averaged: float(1 / (num_averaged + 1)))


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAvgFn:
    """Return `get_ema_avg_fn` for lists, in place; its rounding is another.

    >>> mean = torch.tensor(2.0)
    >>> get_ema_multi_avg_fn(0.75)([mean], [torch.tensor(6.0)], 1)
    >>> mean
    tensor(3.)
    """
    return _multi(get_ema_avg_fn(decay), lambda num_averaged: 1 - decay)


def _multi(avg_fn: AvgFn, weight: Callable[[Count], float]) -> MultiAvgFn:
    @torch.no_grad()
    def update(averaged: Tensors, current: Tensors, num_averaged: Count) -> None:
        for mean, new in zip(averaged, current, strict=True):
            if mean.is_floating_point() or mean.is_complex():
                # θ̄ ← θ̄ + w (θ − θ̄)
                mean.lerp_(new, weight(num_averaged))
            else:
                # A whole number, such as BatchNorm's counter, stays one: the rest is cut off.
                mean.copy_(avg_fn(mean, new, num_averaged))

    return update


class AveragedModel(Module):
    """A copy of `model`, on `device`, whose weights are the mean of those at each update.

    `avg_fn` or `multi_avg_fn` says how: one of the functions above or one of yours, SWA if neither
    is given, AssertionError if both are. They are not saved in the ``state_dict``.

    With `use_buffers` the buffers are averaged too. By default they are copied, and so BatchNorm's
    statistics belong to other weights than the averaged ones: call `update_bn` at the end.

    >>> model = torch.nn.Linear(1, 1)
    >>> average = AveragedModel(model)
    >>> for value in (1.0, 2.0, 6.0):  # stands for three epochs
    ...     _ = torch.nn.init.constant_(model.weight, value)
    ...     average.update_parameters(model)
    >>> average.module.weight.item()
    3.0
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: int | torch.device | None = None,
        avg_fn: AvgFn | None = None,
        multi_avg_fn: MultiAvgFn | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("give avg_fn or multi_avg_fn, not both")
        self.module = deepcopy(model).to(device)
        self.register_buffer("n_averaged", torch.tensor(0, device=device))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Apply the averaged model."""
        return self.module(*args, **kwargs)

    @torch.no_grad()
    def update_parameters(self, model: Module) -> None:
        """Take the weights of `model`, one of the same shapes, into the mean; copy the first."""
        pairs = _pairs(self.module.parameters(), model.parameters())
        buffers = _pairs(self.module.buffers(), model.buffers())
        averaged, copied = (pairs + buffers, []) if self.use_buffers else (pairs, buffers)
        if self.n_averaged == 0:
            averaged, copied = [], pairs + buffers
        if self.multi_avg_fn is not None:
            # A function for lists gets tensors of one device and dtype at a time.
            for kind in dict.fromkeys((mean.device, mean.dtype) for mean, _ in averaged):
                alike = [pair for pair in averaged if (pair[0].device, pair[0].dtype) == kind]
                means, news = zip(*alike, strict=True)
                self.multi_avg_fn(means, news, self.n_averaged.to(kind[0]))
        else:
            # On a GPU torch would take get_swa_multi_avg_fn for SWA, which rounds differently.
            avg_fn = self.avg_fn or get_swa_avg_fn()
            for mean, new in averaged:
                mean.copy_(avg_fn(mean, new, self.n_averaged.to(mean.device)))
        for mean, new in copied:
            mean.copy_(new)
        self.n_averaged += 1


def _pairs(averaged: Iterable[Tensor], current: Iterable[Tensor]) -> list[tuple[Tensor, Tensor]]:
    means, news = list(averaged), list(current)
    if [mean.shape for mean in means] != [new.shape for new in news]:
        raise ValueError("update_parameters needs the model that was copied, or one of its shapes")
    return [(mean.detach(), new.to(mean.device)) for mean, new in zip(means, news, strict=True)]


@torch.no_grad()
def update_bn(
    loader: Iterable[Any], model: Module, device: int | torch.device | None = None
) -> None:
    """Compute the statistics of the BatchNorm layers of `model` anew, in one pass over `loader`.

    A batch is the model's input, or a list or tuple that begins with it; `device` is where to move
    it. Every batch has the same weight. ValueError if there is no batch: a generator used before.

    >>> model = torch.nn.BatchNorm1d(1)
    >>> update_bn([torch.tensor([[1.0], [3.0]]), torch.tensor([[4.0], [6.0]])], model)
    >>> model.running_mean
    tensor([3.5000])
    """
    layers = [layer for layer in model.modules() if isinstance(layer, _BatchNorm)]
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    was_training = model.training
    model.train()
    for layer in layers:
        layer.reset_running_stats()
        # To BatchNorm, None means the mean of all batches.
        layer.momentum = None
    batch = None
    try:
        for batch in loader:
            inputs = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(inputs if device is None else inputs.to(device))
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        model.train(was_training)
    if batch is None:
        raise ValueError("loader has no batch, so there are no statistics; was it used up before?")


class SWALR(LRScheduler):
    """Move each rate to `swa_lr` (one, or one a group) within `anneal_epochs`, and keep it there.

    The way is ``"linear"`` or, along a cosine, slow at both ends (``"cos"``).

    >>> from nndl.optim.lr_scheduler import preview
    >>> preview(lambda optimizer: SWALR(optimizer, 0.5, 2, "linear"), steps=4)
    [1.0, 0.75, 0.5, 0.5]
    """

    options = LRScheduler.options | {"swa_lr": NON_NEGATIVE, "anneal_epochs": _whole(0)}

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: Rate | list[Rate],
        anneal_epochs: int = 10,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        last_epoch: int = -1,
    ) -> None:
        self._attach(optimizer)
        self._check(locals())
        self._anneal_strategy, self.anneal_epochs = anneal_strategy, anneal_epochs
        for group, rate in self._with_groups(self._per_group("swa_lr", swa_lr)):
            group["swa_lr"] = rate
        super().__init__(optimizer, last_epoch)

    def _share(self, epoch: int) -> float:
        """How much of the way is gone: w_t, from 0 to 1."""
        done = max(0, min(1, epoch / max(1, self.anneal_epochs)))
        # w = t / T,  or  (1 − cos(π t / T)) / 2
        return done if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * done)) / 2

    def _next_lr(self) -> list[Rate]:
        epoch = self._step_count - 1
        if self.anneal_epochs == 0:
            epoch = max(1, epoch)
        before, now = self._share(epoch - 1), self._share(epoch)
        lrs = []
        for group in self.optimizer.param_groups:
            lr, swa_lr = group["lr"], group["swa_lr"]
            # recursive   α = (α_{t−1} − w_{t−1} swa_lr) / (1 − w_{t−1}), the rate without SWA
            lr = swa_lr if before == 1 else (lr - before * swa_lr) / (1 - before)
            # α_t = w_t swa_lr + (1 − w_t) α
            lrs.append(swa_lr * now + lr * (1 - now))
        return lrs
