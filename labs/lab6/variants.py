"""Lab 6: right answers written quite differently from the solution. None may fail."""

import copy
import math
from bisect import bisect_right
from typing import Any

import numpy as np
import torch
from torch import Tensor


def multistep_by_bisection(lr: float, epoch: int, milestones: list[int], gamma: float) -> float:
    return lr * gamma ** bisect_right(milestones, epoch)


def multistep_by_loop(lr: float, epoch: int, milestones: list[int], gamma: float) -> float:
    for milestone in milestones:
        if epoch >= milestone:
            lr *= gamma
    return lr


def warmup_by_squared_cosine(lr: float, t: int, warm: int, total: int, start: float) -> Any:
    # (1 + cos 2x) / 2 = cos² x
    if t > total:
        return 0
    rise = np.interp(t, [0, warm], [start * lr, lr]) if warm else lr
    angle = math.pi / 2 * max(t - warm, 0) / (total - warm)
    return rise * np.cos(angle) ** 2


def cosine_back_to_the_peak(rate: float, t: int, total: int, lowest: float) -> Any:
    # What the peak must have been, then the closed form.
    step = torch.tensor([t, t + 1], dtype=torch.float64)
    now, later = 0.5 + 0.5 * torch.cos(torch.pi * step / total)
    peak = lowest + (rate - lowest) / now
    return torch.lerp(torch.tensor(lowest, dtype=torch.float64), peak, later)


def plateau_by_history(
    metric: float,
    rate: float,
    state: dict[str, Any],
    factor: float,
    patience: int,
    threshold: float,
    lowest: float,
) -> float:
    bests = state.setdefault("bests", [])
    patience_left = state.get("left", patience)
    if not bests or (bests[-1] - metric) / bests[-1] > threshold:
        bests.append(metric)
        patience_left = patience
    elif patience_left == 0:
        patience_left = patience
        rate = factor * rate if factor * rate > lowest else lowest
    else:
        patience_left -= 1
    state["left"] = patience_left
    return rate


def clip_one_long_vector(grads: list[Tensor], limit: float) -> Any:
    long = torch.cat([grad.flatten() for grad in grads])
    norm = torch.linalg.vector_norm(long)
    if norm > limit:
        long = long / (norm + 1e-6) * limit
    parts = long.split([grad.numel() for grad in grads])
    return norm, [part.view_as(grad) for part, grad in zip(parts, grads, strict=True)]


def clip_in_place_on_clones(grads: list[Tensor], limit: float) -> Any:
    clipped = tuple(grad.clone() for grad in grads)
    norm = np.sqrt(sum(float(np.square(grad.numpy()).sum()) for grad in clipped))
    for grad in clipped:
        grad *= min(1, limit / (norm + 1e-6))
    return norm, clipped


def adam_in_place(
    w: Tensor,
    grad: Tensor,
    state: dict[str, Any],
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    decay: float,
    decoupled: bool,
) -> Tensor:
    if not state:
        state.update(m=torch.zeros_like(w), v=torch.zeros_like(w), left1=1.0, left2=1.0)
    state["left1"] *= beta1  # β₁ᵗ and β₂ᵗ instead of t
    state["left2"] *= beta2
    new = w.clone()
    if decoupled:
        new.sub_(w, alpha=lr * decay)
    else:
        grad = grad.add(w, alpha=decay)
    state["m"].lerp_(grad, 1 - beta1)
    state["v"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
    root = state["v"].sqrt().div_(math.sqrt(1 - state["left2"])).add_(eps)
    return new.addcdiv_(state["m"], root, value=-lr / (1 - state["left1"]))


def adam_from_all_gradients(
    w: Tensor,
    grad: Tensor,
    state: dict[str, Any],
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    decay: float,
    decoupled: bool,
) -> Tensor:
    """Nothing but the gradients is kept; the moments are weighted means of them."""
    seen = state.setdefault("gradients", [])
    seen.append(grad if decoupled else grad + decay * w)
    gradients = torch.stack(seen)
    age = torch.arange(len(seen) - 1, -1, -1, dtype=torch.float64)
    first, second = (b**age / (b**age).sum() for b in (beta1, beta2))
    m = torch.tensordot(first, gradients, dims=1)
    v = torch.tensordot(second, gradients**2, dims=1)
    shrunk = w - lr * decay * w if decoupled else w
    return shrunk - lr * m / (v**0.5 + eps)


def line_search_by_powers(closure: Any, x: Tensor, lr: float, shrink: float, c: float) -> Any:
    loss, grad = closure(x)
    wanted = c * torch.dot(grad.reshape(-1), grad.reshape(-1))
    for power in range(100):
        rate = lr * shrink**power
        trial = x.clone().sub_(grad, alpha=rate)
        new, _ = closure(trial)
        if loss.item() - new.item() >= rate * wanted.item():
            break
    return trial, loss.item(), rate


def save_everything(run: Any) -> Any:
    kept = copy.copy(run.__dict__)
    generator = kept.pop("generator")
    return copy.deepcopy(kept), generator.get_state()


def load_everything(run: Any, saved: Any) -> None:
    kept, generator = copy.deepcopy(saved)
    run.__dict__.update(kept)
    run.generator = torch.Generator()
    run.generator.set_state(generator)


VARIANTS = {
    "multistep": [multistep_by_bisection, multistep_by_loop],
    "warm-up": [warmup_by_squared_cosine],
    "cosine": [cosine_back_to_the_peak],
    "plateau": [plateau_by_history],
    "clip": [clip_one_long_vector, clip_in_place_on_clones],
    "decay": [adam_in_place, adam_from_all_gradients],
    "line-search": [line_search_by_powers],
    "resume": [{"save_run": save_everything, "load_run": load_everything}],
}
