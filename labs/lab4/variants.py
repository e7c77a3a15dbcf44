"""Lab 4: right answers written quite differently from the solution. None may fail."""

import heapq
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor


def newton_by_inverse(gradient: Any, hessian: Any, start: Tensor, steps: int) -> Tensor:
    """One tensor for the whole path, filled row by row; the inverse instead of a solver."""
    path = torch.empty(steps + 1, len(start), dtype=start.dtype)
    path[0] = start
    for t in range(steps):
        path[t + 1] = path[t] - torch.linalg.inv(hessian(path[t])) @ gradient(path[t])
    return path


def newton_in_numpy(gradient: Any, hessian: Any, start: Tensor, steps: int) -> Any:
    """In place on a copy, solved by NumPy, copies on record."""
    x, points = start.clone(), [start.clone()]
    for _ in range(steps):
        x -= torch.from_numpy(np.linalg.solve(hessian(x).numpy(), gradient(x).numpy()))
        points.append(x.clone())
    return points


def classify_by_counting(hessian: Tensor, tolerance: float) -> str:
    """The signs are counted one by one."""
    signs = {0 if abs(e) <= tolerance else math.copysign(1, e) for e in np.linalg.eigvalsh(hessian)}
    if {-1.0, 1.0} <= signs:
        return "saddle"
    return {frozenset([1.0]): "minimum", frozenset([-1.0]): "maximum"}.get(
        frozenset(signs), "undecided"
    )


def classify_by_extremes(hessian: Tensor, tolerance: float) -> str:
    """Only the smallest and the largest eigenvalue decide."""
    eigenvalues = torch.linalg.eigvals(hessian).real.sort().values
    low, high = eigenvalues[0], eigenvalues[-1]
    if low < -tolerance and high > tolerance:
        return "saddle"
    if low > tolerance:
        return "minimum"
    return "maximum" if high < -tolerance else "undecided"


def rate_by_norm(hessian: Tensor, rho: float) -> Tensor:
    """Positive definite by Cholesky; then the spectral norm is the largest eigenvalue."""
    if torch.linalg.cholesky_ex(hessian).info > 0:
        return torch.zeros((), dtype=hessian.dtype)
    return (2 + 2 * rho) / torch.linalg.matrix_norm(hessian, ord=2)


def rate_of_the_worst(hessian: Tensor, rho: float) -> float:
    """The smallest of the limits of all directions."""
    limits = [2 * (1 + rho) / e if e > 0 else 0.0 for e in np.linalg.eigvalsh(hessian.numpy())]
    return float(min(limits))


def escape_by_matrix(offset: float, curvature: float, lr: float, rho: float, limit: int) -> Any:
    """The state (u, v) is multiplied by a matrix; its spectral radius is the growth."""
    step = np.array([[1 - lr * curvature, -lr * rho], [curvature, rho]])
    growth = np.abs(np.linalg.eigvals(step)).max()
    state = np.array([offset, 0.0])
    for t in range(limit + 1):
        if abs(state[0]) > 1:
            return growth, t
        state = step @ state
    return growth, None


def escape_with_velocity(offset: float, curvature: float, lr: float, rho: float, limit: int) -> Any:
    """A run of momentum with gradient λ u; the growth from NumPy's roots."""
    growth = max(np.roots([1, -(1 + rho - lr * curvature), rho]).real)
    u, velocity, t = offset, 0.0, 0
    while abs(u) <= 1:
        if t == limit:
            return growth, None
        velocity = rho * velocity + curvature * u
        u, t = u - lr * velocity, t + 1
    return growth, t


def leaves_by_loops(points: Tensor, low: Tensor, high: Tensor) -> int | None:
    """Number by number, in Python."""
    for t, point in enumerate(points.tolist()):
        bounds = zip(low.tolist(), point, high.tolist(), strict=True)
        if not all(math.isfinite(x) and a <= x <= b for a, x, b in bounds):
            return t
    return None


def leaves_by_clamp(points: Tensor, low: Tensor, high: Tensor) -> Any:
    """A point inside is not moved by clamping; NaN differs even from itself."""
    moved = (points != torch.clamp(points, low, high)).any(dim=1).nonzero()
    return moved[0, 0] if len(moved) else None


def race_with_a_heap(gradient: Any, rules: Any, start: Tensor, steps: int, goal: Tensor) -> Any:
    """All runners in step; a heap puts them in order."""
    runners = [(name, make(), torch.clone(start)) for name, make in rules.items()]
    for _ in range(steps):
        for _, update, x in runners:
            update(x, gradient(x))
    ends = {name: float((x - goal).norm()) for name, _, x in runners}
    heap = [(math.inf if math.isnan(end) else end, name) for name, end in ends.items()]
    return [(name, distance) for distance, name in heapq.nsmallest(len(heap), heap)]


def race_in_rows(gradient: Any, rules: Any, start: Tensor, steps: int, goal: Tensor) -> Any:
    """One row for each runner; argsort puts NaN last."""
    rows = start.repeat(len(rules), 1)
    for x, make in zip(rows, rules.values(), strict=True):
        rule = make()
        for _ in range(steps):
            rule(x, gradient(x.clone()))
    distances = ((rows - goal) ** 2).sum(dim=1).sqrt().numpy()
    distances[~np.isfinite(distances)] = np.inf
    names = list(rules)
    return tuple([names[k], float(distances[k])] for k in np.argsort(distances))


def frames_by_interp(paths: Any, between: int) -> Any:
    """NumPy's interp holds the last value by itself."""
    last = max(len(path) for path in paths) - 1
    times = np.arange(last * between + 1) / between
    return np.stack(
        [
            np.stack([np.interp(times, np.arange(len(p)), p[:, k].numpy()) for k in (0, 1)], axis=1)
            for p in paths
        ],
        axis=1,
    )


def frames_by_padding(paths: Any, between: int) -> Tensor:
    """Every path is padded to the longest; then whole steps are mixed at once."""
    longest = max(len(path) for path in paths)
    padded = torch.stack([torch.cat([p, p[-1:].expand(longest - len(p), 2)]) for p in paths], dim=1)
    frames = padded.new_empty((longest - 1) * between + 1, len(paths), 2)
    for part in range(between):
        mixed = torch.lerp(padded[:-1], padded[1:], part / between)
        frames[:-1][part::between] = mixed
    frames[-1] = padded[-1]
    return frames


VARIANTS = {
    "newton": [newton_by_inverse, newton_in_numpy],
    "classify": [classify_by_counting, classify_by_extremes],
    "rate": [rate_by_norm, rate_of_the_worst],
    "escape": [escape_by_matrix, escape_with_velocity],
    "leaves": [leaves_by_loops, leaves_by_clamp],
    "race": [race_with_a_heap, race_in_rows],
    "frames": [frames_by_interp, frames_by_padding],
}
