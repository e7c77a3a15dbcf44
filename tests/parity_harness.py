"""Drive an NNDL optimiser and one of torch.optim with the same gradients, and compare.

One step proves little: a frozen step counter passes it. The harness takes 200 steps on several
parameters of different shapes, with gradients of very different sizes, and changes the learning
rate midway.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nndl.optimizer import Model, Optimizer

STEPS = 200
LR_CHANGES_AT = 100
SHAPES = {"scalar": (), "bias": (3,), "weight": (4, 3), "kernel": (2, 3, 2, 2)}


@dataclass
class Parameters:
    """A bare model: named parameters and gradients, nothing else."""

    params: dict[str, Tensor]
    grads: dict[str, Tensor] = field(default_factory=dict)


MakeOurs = Callable[[float, Model], Optimizer]
MakeTheirs = Callable[[list[Tensor], float], torch.optim.Optimizer]


def largest_difference(
    make_ours: MakeOurs,
    make_theirs: MakeTheirs,
    *,
    dtype: torch.dtype,
    lr: float = 0.02,
    steps: int = STEPS,
    shapes: dict[str, tuple[int, ...]] = SHAPES,
) -> float:
    """Largest absolute difference of any parameter after any step; inf if only one is finite."""
    generator = torch.Generator().manual_seed(7)
    start = {
        name: torch.randn(shape, generator=generator, dtype=dtype) for name, shape in shapes.items()
    }
    scale = {
        name: 10 ** torch.empty_like(value).uniform_(-6, 1, generator=generator)
        for name, value in start.items()
    }
    model = Parameters({name: value.clone() for name, value in start.items()})
    ours = make_ours(lr, model)
    theirs_params = {name: value.clone() for name, value in start.items()}
    theirs = make_theirs(list(theirs_params.values()), lr)

    worst = 0.0
    for step in range(steps):
        if step == LR_CHANGES_AT:
            ours.init_lr = lr / 10
            theirs.param_groups[0]["lr"] = lr / 10
        for name, size in scale.items():
            # A slope that stays and noise around it, so that averages differ from last values.
            noise = torch.randn(size.shape, generator=generator, dtype=dtype)
            model.grads[name] = size * (1 + noise)
            theirs_params[name].grad = model.grads[name].clone()
        ours.step()
        theirs.step()
        for name in shapes:
            gap = (model.params[name] - theirs_params[name]).abs().max().item()
            worst = max(worst, gap if gap == gap else float("inf"))
    return worst
