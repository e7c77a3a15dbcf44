"""Gradient clipping (Pascanu, Mikolov & Bengio, 2013), between ``backward()`` and ``step()``.

By norm, all gradients shrink by one factor and keep their direction; by value, each number is cut
off alone, and the direction may turn. Names and results are those of ``torch.nn.utils``, whose
``foreach`` switch is left out: on a CPU it changes no bit. Only where the dtypes are mixed may the
last bit of a total norm differ, since torch then adds up in another order.

What isn't a number is refused with a TypeError, what is out of range with a ValueError.
"""

import math
import warnings
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from nndl.optim._options import Check, check_options

__all__ = ["clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]

Tensors = Tensor | Iterable[Tensor]

# A negative limit would turn every gradient round.
LIMIT = Check(lambda value: value >= 0, "a number >= 0")
ORDER = Check(lambda value: value == "inf" or value <= math.inf, 'a number or "inf"')
OPTIONS = {"max_norm": LIMIT, "clip_value": LIMIT, "norm_type": ORDER}


@torch.no_grad()
def get_total_norm(
    tensors: Tensors, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Norm of all tensors (dense, any shapes) as one long vector, 0-dim; 0 if there are none.

    `norm_type` is p: ``inf`` for the largest size, 0 for how many tensors are not all 0. With
    `error_if_nonfinite`, a norm that is NaN or infinite raises a RuntimeError.

    >>> get_total_norm([torch.tensor([3.0, 0.0]), torch.tensor(4.0)])
    tensor(5.)
    """
    check_options("get_total_norm", OPTIONS, {"norm_type": norm_type})
    tensors, p = _dense(_listed(tensors)), float(norm_type)
    if not tensors:
        return torch.tensor(0.0)
    # ‖g‖ₚ = ‖(‖g₁‖ₚ, ‖g₂‖ₚ, ...)‖ₚ
    norms = [torch.linalg.vector_norm(tensor, p).to(tensors[0].device) for tensor in tensors]
    total_norm: Tensor = torch.linalg.vector_norm(torch.stack(norms), p)
    if error_if_nonfinite and not total_norm.isfinite():
        message = f"the total norm of order {p} is {total_norm.item()}, nothing can be scaled by it"
        raise RuntimeError(f"{message}; error_if_nonfinite=False scales all the same")
    return total_norm


@torch.no_grad()
def clip_grads_with_norm_(parameters: Tensors, max_norm: float, total_norm: Tensor) -> None:
    """Scale the gradients in place from `total_norm`, which they have, to `max_norm` at most.

    >>> weight = torch.zeros(2)
    >>> weight.grad = torch.tensor([6.0, 8.0])
    >>> clip_grads_with_norm_(weight, 5.0, torch.tensor(10.0))
    >>> weight.grad
    tensor([3.0000, 4.0000])
    """
    check_options("clip_grads_with_norm_", OPTIONS, {"max_norm": max_norm})
    # g ← g · min(1, max_norm / (‖g‖ + 10⁻⁶))
    scale = torch.as_tensor(float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
    for grad in _grads(parameters):
        # Also where it is 1: to look would make a GPU wait.
        grad.mul_(scale.to(grad.device))


def clip_grad_norm_(
    parameters: Tensors, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Scale the gradients in place to a total norm of `max_norm` at most; return what it was.

    Parameters without a gradient are passed over.

    >>> weight, bias = torch.zeros(2), torch.zeros(())
    >>> weight.grad, bias.grad = torch.tensor([0.0, 30.0]), torch.tensor(40.0)
    >>> clip_grad_norm_([weight, bias], max_norm=1.0)
    tensor(50.)
    >>> weight.grad, bias.grad
    (tensor([0.0000, 0.6000]), tensor(0.8000))
    """
    parameters = _listed(parameters)
    total_norm = get_total_norm(_grads(parameters), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(parameters, max_norm, total_norm)
    return total_norm


@torch.no_grad()
def clip_grad_value_(parameters: Tensors, clip_value: float) -> None:
    """Cut each number of the gradients (dense, real) off at ±`clip_value`, in place.

    >>> weight = torch.zeros(3)
    >>> weight.grad = torch.tensor([-7.0, 0.5, 2.0])
    >>> clip_grad_value_(weight, 1.0)
    >>> weight.grad
    tensor([-1.0000,  0.5000,  1.0000])
    """
    check_options("clip_grad_value_", OPTIONS, {"clip_value": clip_value})
    c = float(clip_value)
    for grad in _dense(_grads(parameters)):
        # g ← min(max(g, −c), c)
        grad.clamp_(-c, c)


def _listed(tensors: Tensors) -> list[Tensor]:
    listed = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    if isinstance(tensors, Iterator) and not listed:
        warnings.warn("an iterator with nothing left: nothing to clip", stacklevel=4)
    for tensor in listed:
        if not isinstance(tensor, Tensor):
            raise TypeError(f"expected tensors, got {tensor!r} ({type(tensor).__name__})")
    return listed


def _grads(parameters: Tensors) -> list[Tensor]:
    return [parameter.grad for parameter in _listed(parameters) if parameter.grad is not None]


def _dense(tensors: list[Tensor]) -> list[Tensor]:
    for tensor in tensors:
        if tensor.layout is not torch.strided:
            raise NotImplementedError(f"only dense tensors can be clipped, got {tensor.layout}")
    return tensors
