"""Lab 3: right answers that are written quite differently from the solution."""

import math
from collections import defaultdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Momentum


def momentum_in_place_on_clones(
    x: Tensor, grad: Tensor, velocity: Tensor, lr: float, rho: float
) -> Any:
    x, velocity = x.clone(), velocity.clone()
    velocity.mul_(rho).add_(grad)
    x.add_(velocity, alpha=-lr)
    return x, velocity


def momentum_by_element(x: Tensor, grad: Tensor, velocity: Tensor, lr: float, rho: float) -> Any:
    speeds = [rho * v + g for v, g in zip(velocity.flatten(), grad.flatten(), strict=True)]
    points = [p - lr * v for p, v in zip(x.flatten(), speeds, strict=True)]
    return torch.stack(points).reshape(x.shape), torch.stack(speeds).reshape(x.shape)


# The velocity as a sum, and its memory


def unrolled_by_recursion(grads: Tensor, rho: float) -> Tensor:
    velocity = torch.zeros_like(grads[0])
    for grad in grads:
        velocity = velocity * rho + grad
    return velocity


def unrolled_in_numpy(grads: Tensor, rho: float) -> Tensor:
    weights = rho ** np.arange(len(grads))[::-1]
    return torch.from_numpy(np.einsum("t,t...->...", weights, grads.numpy()))


def unrolled_in_place(grads: Tensor, rho: float) -> Tensor:
    for k in range(1, len(grads)):
        grads[k] += rho * grads[k - 1]
    return grads[-1]


def memory_by_logarithm(rho: float, share: float) -> Any:
    if rho == 0:
        return torch.tensor(1.0), torch.tensor(1)
    return 1 / (1 - rho), math.ceil(math.log(1 - share) / math.log(rho))


# Nesterov momentum


def nesterov_through_theta(x: Tensor, grad: Tensor, velocity: Tensor, lr: float, rho: float) -> Any:
    # As first written: step from θ + ρ d, where d = −α v with the rate of this step.
    before = -lr * velocity
    theta = x - rho * before
    move = rho * before - lr * grad
    return theta + move + rho * move, -move / lr


def nesterov_expanded(x: Tensor, grad: Tensor, velocity: Tensor, lr: float, rho: float) -> Any:
    following = torch.add(grad, velocity, alpha=rho)
    return x - lr * (1 + rho) * grad - lr * rho**2 * velocity, following


# Adam and its relatives


def moments_by_lerp(
    grad: Tensor, m: Tensor, v: Tensor, t: int, beta1: float, beta2: float
) -> list[Tensor]:
    m, v = torch.lerp(m, grad, 1 - beta1), torch.lerp(v, grad.square(), 1 - beta2)
    return [m, v, m.div(1 - math.pow(beta1, t)), v.div(1 - math.pow(beta2, t))]


def adam_with_powers_kept(
    x: Tensor, grad: Tensor, state: Any, lr: float, beta1: float, beta2: float, eps: float
) -> Tensor:
    if not state:
        state.update(m=torch.zeros_like(x), v=torch.zeros_like(x), power1=1.0, power2=1.0)
    state["power1"] *= beta1
    state["power2"] *= beta2
    state["m"].lerp_(grad, 1 - beta1)
    state["v"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
    root = torch.sqrt(state["v"]) / math.sqrt(1 - state["power2"])
    return torch.addcdiv(x, state["m"], root + eps, value=-lr / (1 - state["power1"]))


def adam_from_all_gradients(
    x: Tensor, grad: Tensor, state: Any, lr: float, beta1: float, beta2: float, eps: float
) -> Tensor:
    history = state.setdefault("gradients", [])
    history.append(grad)

    def average(values: list[Tensor], beta: float) -> Tensor:
        weights = [beta**age for age in reversed(range(len(values)))]
        total = sum(weight * value for weight, value in zip(weights, values, strict=True))
        return torch.as_tensor(total) / sum(weights)

    v_hat = average([g * g for g in history], beta2)
    return x - lr * average(history, beta1) / (v_hat**0.5 + eps)


def adam_in_numpy(
    x: Tensor, grad: Tensor, state: Any, lr: float, beta1: float, beta2: float, eps: float
) -> Tensor:
    g = grad.numpy()
    t, m, v = state.get("all", (0, np.zeros_like(g), np.zeros_like(g)))
    t, m, v = t + 1, m + (1 - beta1) * (g - m), v + (1 - beta2) * (g * g - v)
    state["all"] = t, m, v
    move = lr * m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps)
    return torch.from_numpy(x.numpy() - move)


class OneParameter:
    """Adam's memory of one parameter, with a counter of its own."""

    def __init__(self) -> None:
        self.t, self.m, self.v = 0, 0.0, 0.0

    def step(self, x: Tensor, g: Tensor, lr: float, betas: tuple[float, float], eps: float) -> Any:
        """Return the next point."""
        self.t += 1
        self.m = betas[0] * self.m + (1 - betas[0]) * g
        self.v = betas[1] * self.v + (1 - betas[1]) * g * g
        bias1, bias2 = (1 - beta**self.t for beta in betas)
        return x - lr / bias1 * self.m / (torch.sqrt(self.v / bias2) + eps)


def parameters_with_objects(
    params: Any, grads: Any, state: Any, lr: float, beta1: float, beta2: float, eps: float
) -> dict[str, Tensor]:
    memories = state.setdefault("memories", defaultdict(OneParameter))
    return {
        name: memories[name].step(x, grads[name], lr, (beta1, beta2), eps)
        for name, x in params.items()
    }


def parameters_flattened(
    params: Any, grads: Any, state: Any, lr: float, beta1: float, beta2: float, eps: float
) -> dict[str, Tensor]:
    x = torch.cat([params[name].reshape(-1) for name in params])
    g = torch.cat([grads[name].reshape(-1) for name in params])
    flat = adam_with_powers_kept(x, g, state, lr, beta1, beta2, eps)
    parts = flat.split([value.numel() for value in params.values()])
    return {
        name: part.reshape(params[name].shape) for name, part in zip(params, parts, strict=True)
    }


def amsgrad_by_where(
    x: Tensor, grad: Tensor, state: Any, lr: float, beta1: float, beta2: float, eps: float
) -> Tensor:
    zero = torch.zeros_like(x)
    t, m, v, largest = state.pop("all", (0, zero, zero, zero))
    t, m, v = t + 1, torch.lerp(m, grad, 1 - beta1), torch.lerp(v, grad**2, 1 - beta2)
    largest = torch.where(v > largest, v, largest)
    state["all"] = t, m, v, largest
    denominator = largest.sqrt() / (1 - beta2**t) ** 0.5 + eps
    return x - lr / (1 - beta1**t) * m / denominator


VARIANTS = {
    "momentum": [momentum_in_place_on_clones, momentum_by_element],
    "unrolled": [unrolled_by_recursion, unrolled_in_numpy, unrolled_in_place],
    "memory": [memory_by_logarithm],
    "nesterov": [nesterov_through_theta, nesterov_expanded],
    "moments": [moments_by_lerp],
    "adam": [adam_with_powers_kept, adam_from_all_gradients, adam_in_numpy],
    "parameters": [parameters_with_objects, parameters_flattened],
    "amsgrad": [amsgrad_by_where],
}
