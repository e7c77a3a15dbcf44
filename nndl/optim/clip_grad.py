"""Gradient clipping (Pascanu, Mikolov & Bengio, 2013), between ``backward()`` and ``step()``.

By norm, all gradients shrink by one factor and keep their direction; by value, each number is cut
off alone, and the direction may turn. Names and results are those of ``torch.nn.utils``, whose
``foreach`` switch is left out: on a CPU it changes no bit. Only where the dtypes are mixed may the
last bit of a total norm differ, since torch then adds up in another order.
"""

import math
import warnings
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

__all__ = ["clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]

Tensors = Tensor | Iterable[Tensor]


@torch.no_grad()
def get_total_norm(
    tensors: Tensors, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Norm of all tensors (any shapes) as one long vector, 0-dim; 0 if there are none.

    `norm_type` is p: ``inf`` for the largest size, 0 for how many tensors are not all 0.

    Raises
    ------
    RuntimeError
        If the norm is NaN or infinite and `error_if_nonfinite` is set.
    NotImplementedError
        If a tensor is sparse.

    Examples
    --------
    >>> get_total_norm([torch.tensor([3.0, 0.0]), torch.tensor(4.0)])
    tensor(5.)
    """
    p = _number("norm_type", norm_type)
    # An empty tensor counts for nothing, but torch has no norm of it where p is infinite or < 0.
    usual = 0 <= p < math.inf
    tensors = [tensor for tensor in _dense(_listed(tensors)) if usual or tensor.numel()]
    if not tensors:
        return torch.tensor(0.0)
    # ‖g‖ₚ = ‖(‖g₁‖ₚ, ‖g₂‖ₚ, ...)‖ₚ
    norms = [torch.linalg.vector_norm(tensor, p).to(tensors[0].device) for tensor in tensors]
    total_norm: Tensor = torch.linalg.vector_norm(torch.stack(norms), p)
    if error_if_nonfinite and not total_norm.isfinite():
        raise RuntimeError(
            f"the total norm of order {p} is {total_norm.item()}, so nothing can be scaled by it; "
            "error_if_nonfinite=False scales all the same"
        )
    return total_norm


@torch.no_grad()
def clip_grads_with_norm_(parameters: Tensors, max_norm: float, total_norm: Tensor) -> None:
    """Scale the gradients in place from `total_norm`, which they have, to `max_norm` at most.

    Raises
    ------
    ValueError
        If `max_norm` is not a number >= 0: a negative one would turn every gradient round.

    Examples
    --------
    >>> weight = torch.zeros(2)
    >>> weight.grad = torch.tensor([6.0, 8.0])
    >>> clip_grads_with_norm_(weight, 5.0, torch.tensor(10.0))
    >>> weight.grad
    tensor([3.0000, 4.0000])
    """
    max_norm = _number("max_norm", max_norm, least=0.0)
    # g ← g · min(1, max_norm / (‖g‖ + 10⁻⁶))
    scale = torch.as_tensor(max_norm / (total_norm + 1e-6)).clamp(max=1.0)
    for grad in _grads(_listed(parameters)):
        # Also where it is 1: to look would make a GPU wait.
        grad.mul_(scale.to(grad.device))


def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale the gradients in place so that their total norm is at most `max_norm`.

    Returns the total norm before. Parameters without a gradient are passed over. Errors are those
    of `get_total_norm` and `clip_grads_with_norm_`.

    Examples
    --------
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
    """Cut each number of the gradients off at ±`clip_value`, in place.

    Raises
    ------
    ValueError
        If `clip_value` is not a number >= 0.
    NotImplementedError
        If a gradient is sparse or complex.

    Examples
    --------
    >>> weight = torch.zeros(3)
    >>> weight.grad = torch.tensor([-7.0, 0.5, 2.0])
    >>> clip_grad_value_(weight, 1.0)
    >>> weight.grad
    tensor([-1.0000,  0.5000,  1.0000])
    """
    clip_value = _number("clip_value", clip_value, least=0.0)
    for grad in _dense(_grads(_listed(parameters))):
        # g ← min(max(g, −c), c)
        grad.clamp_(-clip_value, clip_value)


def _number(name: str, value: float, least: float = -math.inf) -> float:
    """`value`, or the string "inf", as a float that is at least `least` and so not NaN."""
    try:
        number = float(value)
    except (TypeError, ValueError, RuntimeError):
        number = math.nan
    if not number >= least:
        raise ValueError(f"{name} must be a number >= {least}, got {value!r}")
    return number


def _listed(tensors: Tensors) -> list[Tensor]:
    listed = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    if isinstance(tensors, Iterator) and not listed:
        warnings.warn("an iterator with nothing left: nothing to clip", stacklevel=4)
    for tensor in listed:
        if not isinstance(tensor, Tensor):
            raise TypeError(f"expected tensors, got {tensor!r} ({type(tensor).__name__})")
    return listed


def _grads(parameters: list[Tensor]) -> list[Tensor]:
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def _dense(tensors: list[Tensor]) -> list[Tensor]:
    for tensor in tensors:
        if tensor.layout is not torch.strided:
            raise NotImplementedError(f"only dense tensors can be clipped, got {tensor.layout}")
    return tensors
