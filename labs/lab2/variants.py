"""Lab 2: right answers written quite differently from the solution. None may be accused."""

import itertools
import math
from collections import defaultdict
from typing import Any

import numpy as np
import torch
from torch import Tensor


def adagrad_by_coordinate(x: Tensor, grad: Tensor, sum_sq: Tensor, lr: float, eps: float) -> Any:
    new_x, new_s = [], []
    for xi, gi, si in zip(x.flatten(), grad.flatten(), sum_sq.flatten(), strict=True):
        si = float(si) + float(gi) ** 2
        new_x.append(float(xi) - lr / (math.sqrt(si) + eps) * float(gi))
        new_s.append(si)
    return (
        torch.tensor(new_x, dtype=torch.float64).reshape(x.shape),
        torch.tensor(new_s, dtype=torch.float64).reshape(x.shape),
    )


def adagrad_on_clones(x: Tensor, grad: Tensor, sum_sq: Tensor, lr: float, eps: float) -> Any:
    x, sum_sq = x.clone(), sum_sq.clone()
    sum_sq.addcmul_(grad, grad)
    x.addcdiv_(grad, sum_sq.sqrt().add_(eps), value=-lr)
    return x, sum_sq


def adagrad_in_numpy(x: Tensor, grad: Tensor, sum_sq: Tensor, lr: float, eps: float) -> Any:
    g = grad.numpy()
    s = sum_sq.numpy() + np.square(g)
    return torch.from_numpy(x.numpy() - g * (lr / (np.sqrt(s) + eps))), torch.from_numpy(s)


def adagrad_with_where(x: Tensor, grad: Tensor, sum_sq: Tensor, lr: float, eps: float) -> Any:
    total = torch.hypot(sum_sq.sqrt(), grad) ** 2
    step = torch.where(grad == 0, torch.zeros_like(grad), grad / (total.sqrt() + eps))
    return x - lr * step, total


def rmsprop_by_lerp(
    x: Tensor, grad: Tensor, mean_sq: Tensor, lr: float, beta: float, eps: float
) -> Any:
    mean_sq = mean_sq.clone().lerp_(grad.square(), 1 - beta)
    return torch.addcdiv(x, grad, mean_sq.sqrt() + eps, value=-lr), mean_sq


def rmsprop_by_difference(
    x: Tensor, grad: Tensor, mean_sq: Tensor, lr: float, beta: float, eps: float
) -> Any:
    mean_sq = mean_sq - (1 - beta) * (mean_sq - grad * grad)
    return x + (-lr) * torch.div(grad, torch.pow(mean_sq, 0.5).add(eps)), mean_sq


def rmsprop_without_gradient_mode(
    x: Tensor, grad: Tensor, mean_sq: Tensor, lr: float, beta: float, eps: float
) -> Any:
    with torch.no_grad():
        average = torch.empty_like(mean_sq)
        for i in np.ndindex(*x.shape):
            average[i] = beta * mean_sq[i] + (1 - beta) * grad[i] ** 2
        return x.sub(average.sqrt().add(eps).reciprocal().mul(grad).mul(lr)), average


def rates_by_matrix(gradients: Tensor, lr: float, beta: float, eps: float) -> Any:
    steps = len(gradients)
    age = torch.arange(steps)[:, None] - torch.arange(steps)[None, :]
    past = (age >= 0).double()
    weights = past * (1 - beta) * beta ** age.clamp(min=0).double()
    return tuple(lr / ((w @ gradients**2).sqrt() + eps) for w in (past, weights))


def rates_row_by_row(gradients: Tensor, lr: float, beta: float, eps: float) -> Any:
    adagrad, rmsprop = torch.empty_like(gradients), torch.empty_like(gradients)
    total, average = 0, 0
    for t, g in enumerate(gradients):
        total = total + g * g
        average = average + (1 - beta) * (g * g - average)
        adagrad[t] = lr / (total**0.5 + eps)
        rmsprop[t] = lr / (average**0.5 + eps)
    return adagrad, rmsprop


def rates_by_accumulate(gradients: Tensor, lr: float, beta: float, eps: float) -> Any:
    squares = gradients.numpy() ** 2
    means = itertools.accumulate(
        squares, lambda s, new: beta * s + (1 - beta) * new, initial=0 * squares[0]
    )
    both = np.cumsum(squares, axis=0), np.array(list(means)[1:])
    return [torch.from_numpy(lr / (np.sqrt(s) + eps)) for s in both]


def weights_step_by_step(beta: float, t: int) -> Tensor:
    weights: list[float] = []
    for _ in range(t):
        weights = [beta * w for w in weights] + [1 - beta]
    return torch.tensor(weights, dtype=torch.float64)


def weights_by_logspace(beta: float, t: int) -> Tensor:
    return torch.from_numpy((1 - beta) * np.exp(math.log(beta) * np.arange(t)[::-1]))


def half_life_by_log_of_base(beta: float) -> float:
    return math.log(0.5, beta)


def half_life_in_torch(beta: float) -> Tensor:
    return -1 / torch.log2(torch.tensor(beta, dtype=torch.float64))


class StateWhenNeeded:
    """The state is made at the first gradient; parameters are changed in place."""

    def __init__(self, params: dict[str, Tensor], *settings: float) -> None:
        self.params = params
        self.settings = settings
        self.state: dict[str, dict[str, Tensor]] = defaultdict(dict)

    @torch.no_grad()
    def step(self, grads: dict[str, Tensor | None]) -> None:
        """Move each parameter once."""
        lr, beta, eps = self.settings
        for name, param in self.params.items():
            grad, state = grads.get(name), self.state[name]
            if grad is not None:
                s = state.setdefault("s", torch.zeros_like(param))
                s.mul_(beta).addcmul_(grad, grad, value=1 - beta)
                param.addcdiv_(grad, s.sqrt().add_(eps), value=-lr)


class StateInAList:
    """The states lie in a list beside the names."""

    def __init__(self, params: dict[str, Tensor], lr: float, beta: float, eps: float) -> None:
        self.params, self.lr, self.beta, self.eps = params, lr, beta, eps
        self.names = list(params)
        self.average = [np.zeros(tuple(params[name].shape)) for name in self.names]

    def step(self, grads: dict[str, Tensor | None]) -> None:
        """Move each parameter once."""
        for i, name in enumerate(self.names):
            if grads[name] is None:
                continue
            g = grads[name].numpy()
            self.average[i] = self.beta * self.average[i] + (1 - self.beta) * g * g
            rate = self.lr / (np.sqrt(self.average[i]) + self.eps)
            self.params.update({name: self.params[name] - torch.from_numpy(rate * g)})


class AnObjectForEach:
    """A small generator for each parameter keeps its state."""

    def __init__(self, params: dict[str, Tensor], lr: float, beta: float, eps: float) -> None:
        def moves(s: Tensor) -> Any:
            move = torch.zeros_like(s)
            while True:
                g = yield move
                s = beta * s + (1 - beta) * g.square()
                move = -lr * g / (s.sqrt() + eps)

        self.params = params
        self.moves = {name: moves(x * 0) for name, x in params.items()}
        for each in self.moves.values():
            next(each)

    def step(self, grads: dict[str, Tensor | None]) -> None:
        """Move each parameter once."""
        for name in [name for name, grad in grads.items() if grad is not None]:
            self.params[name] = self.params[name] + self.moves[name].send(grads[name])


def arrival_while(step: Any, start: Tensor, radius: float, max_steps: int) -> int:
    steps = 0
    while math.dist(start.tolist(), [0.0] * len(start)) > radius:
        if steps == max_steps:
            return -1
        start = step(start)
        steps += 1
    return steps


def arrival_afterwards(step: Any, start: Tensor, radius: float, max_steps: int) -> int:
    points = [start]
    for _ in range(max_steps):
        points.append(step(points[-1]))
    inside = (torch.stack(points) ** 2).sum(dim=1) <= radius**2
    return int(inside.nonzero()[0]) if inside.any() else -1


def arrival_recursive(step: Any, start: Tensor, radius: float, max_steps: int) -> int:
    if np.linalg.norm(start.numpy()) <= radius:
        return 0
    if max_steps == 0:
        return -1
    rest = arrival_recursive(step, step(start), radius, max_steps - 1)
    return -1 if rest < 0 else rest + 1


def settled_in_numpy(curvature: Tensor, lr: float) -> Any:
    steepness = curvature.numpy()
    a = np.full(steepness.shape, 0.5 * lr)
    return a, lr / (steepness * a), float(0.5 * np.dot(steepness, a**2))


def settled_in_lists(curvature: Tensor, lr: float) -> Any:
    a = torch.tensor([lr / 2 for _ in curvature], dtype=torch.float64)
    return a, torch.stack([lr / (each * lr / 2) for each in curvature]), lr**2 / 8 * sum(curvature)


VARIANTS = {
    "adagrad": [adagrad_by_coordinate, adagrad_on_clones, adagrad_in_numpy, adagrad_with_where],
    "rmsprop": [rmsprop_by_lerp, rmsprop_by_difference, rmsprop_without_gradient_mode],
    "effective-rates": [rates_by_matrix, rates_row_by_row, rates_by_accumulate],
    "memory": [
        {"rmsprop_weights": weights_step_by_step, "half_life": half_life_by_log_of_base},
        {"rmsprop_weights": weights_by_logspace, "half_life": half_life_in_torch},
    ],
    "own-state": [StateWhenNeeded, StateInAList, AnObjectForEach],
    "arrival": [arrival_while, arrival_afterwards, arrival_recursive],
    "settled": [settled_in_numpy, settled_in_lists],
}
