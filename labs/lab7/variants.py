"""Lab 7: right answers that are written quite differently from the solution."""

import heapq
from collections import Counter, deque
from typing import Any

import numpy as np
import torch
from torch import Tensor

# 1: requires_grad


def switches_by_loops(leaves: Any, operations: Any) -> Any:
    known = [int(switch) for switch in leaves]
    for inputs, passes, grad_mode in operations:
        needed = 0
        if grad_mode:
            for i, d in zip(inputs, passes, strict=True):
                if known[i] == 1 and d:
                    needed = 1
                    break
        known.append(needed)
    return known


def switches_of_torch(leaves: Any, operations: Any) -> Any:
    tensors = [torch.zeros(1, requires_grad=bool(switch)) for switch in leaves]
    for inputs, passes, grad_mode in operations:
        with torch.set_grad_enabled(grad_mode):
            result = torch.zeros(1)
            for i, d in zip(inputs, passes, strict=True):
                result = result + (tensors[i] if d else tensors[i].detach())
        tensors.append(result)
    return [t.requires_grad for t in tensors]


# 2: freezing


def freeze_one_by_one(model: Any, part: Any) -> Any:
    frozen = {id(p) for p in part.parameters()}
    for module in part.modules():
        if "BatchNorm" in type(module).__name__:
            module.training = False
    trained = []
    for p in model.parameters():
        if id(p) in frozen:
            p.requires_grad = False
        if p.requires_grad:
            trained.append(p)
    return tuple(trained)


def freeze_lazily(model: Any, part: Any) -> Any:
    part.train(False)
    for p in part.parameters():
        p.requires_grad_(False)
    return filter(lambda p: p.requires_grad, model.parameters())


# 3: a Function


class SoftplusOfOutput(torch.autograd.Function):
    """Saves the output: σ(βx) = 1 - exp(-βy)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, beta: float) -> Tensor:
        """y, which is saved."""
        y = (1 + (beta * x).exp()).log().div(beta)
        ctx.save_for_backward(y)
        ctx.sharpness = beta
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """The gradient, from y."""
        (y,) = ctx.saved_tensors
        return grads[0] - grads[0] * torch.exp(-ctx.sharpness * y), None


class SoftplusOfTorch(torch.autograd.Function):
    """Saves beta as a tensor, and writes the sigmoid with tanh."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, beta: float) -> Tensor:
        """y, from the sum of two exponentials."""
        ctx.save_for_backward(x, torch.tensor(beta, dtype=x.dtype))
        return torch.logaddexp(torch.zeros_like(x), beta * x) / beta

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """The gradient, from x."""
        x, beta = ctx.saved_tensors
        return (1 + torch.tanh(beta * x / 2)) / 2 * grads[0], None


# 4: differences


def differences_in_numpy(f: Any, x: Tensor, h: float) -> Any:
    gradient = np.zeros(tuple(x.shape))
    for place in np.ndindex(*x.shape):
        ends = []
        for sign in (1, -1):
            moved = x.numpy().copy()
            moved[place] += sign * h
            ends.append(f(torch.from_numpy(moved)).item())
        gradient[place] = (ends[0] - ends[1]) / (2 * h)
    return torch.from_numpy(gradient)


def differences_by_unit_vectors(f: Any, x: Tensor, h: float) -> Tensor:
    units = torch.eye(x.numel(), dtype=x.dtype).reshape(-1, *x.shape)
    return torch.stack([(f(x + h * e) - f(x - h * e)) / (h + h) for e in units]).reshape(x.shape)


def differences_in_place(f: Any, x: Tensor, h: float) -> Tensor:
    flat, parts = x.view(-1), []
    for i in range(len(flat)):
        here = flat[i].item()
        flat[i] = here + h
        above = f(x)
        flat[i] = here - h
        below = f(x)
        flat[i] = here
        parts.append(float(above - below) / 2 / h)
    return torch.tensor(parts, dtype=torch.float64).reshape(x.shape)


# 5: an order


def order_by_return(parents: Any, result: int) -> Any:
    done: list[int] = []

    def visit(node: int) -> None:
        for parent in parents[node]:
            if parent not in done:
                visit(parent)
        done.append(node)

    visit(result)
    return done[::-1]


def order_by_longest_path(parents: Any, result: int) -> Any:
    depth = {result: 0}
    for _ in parents:  # as often as there are nodes is enough
        for node, far in list(depth.items()):
            for parent in parents[node]:
                depth[parent] = max(depth.get(parent, 0), far + 1, depth[node] + 1)
    return sorted(depth, key=lambda node: depth[node])


def order_by_queue(parents: Any, result: int) -> Any:
    seen, queue, count = {result}, deque([result]), Counter()
    while queue:
        for parent in parents[queue.popleft()]:
            count[parent] += 1
            if parent not in seen:
                seen.add(parent)
                queue.append(parent)
    order = [result]
    for node in order:
        for parent in parents[node]:
            count[parent] -= 1
            if not count[parent]:
                order.append(parent)
    return order


# 6: the backward pass


def backward_with_a_heap(result: Any) -> None:
    arrived, waiting = {result: 1.0}, [(-result.number, result)]
    while waiting:
        _, value = heapq.heappop(waiting)
        value.grad = arrived.pop(value)
        for parent, slope in zip(value.parents, value.slopes, strict=True):
            if parent not in arrived:
                heapq.heappush(waiting, (-parent.number, parent))
            arrived[parent] = arrived.get(parent, 0.0) + slope * value.grad


def backward_as_micrograd(result: Any) -> None:
    order, seen = [], set()

    def visit(value: Any) -> None:
        if value not in seen:
            seen.add(value)
            for parent in value.parents:
                visit(parent)
            order.append(value)

    visit(result)
    result.grad = 1
    while order:
        value = order.pop()
        for k, parent in enumerate(value.parents):
            parent.grad = parent.grad + value.grad * value.slopes[k]


# 7: broadcasting


def sum_to_at_once(G: Tensor, shape: Any) -> Tensor:
    padded = (1,) * (G.dim() - len(shape)) + tuple(shape)
    repeated = tuple(d for d, (a, b) in enumerate(zip(G.shape, padded, strict=True)) if a != b)
    return (G.sum(dim=repeated, keepdim=True) if repeated else G.clone()).view(shape)


def sum_to_from_the_left(G: Tensor, shape: Any) -> Tensor:
    total = G
    while total.ndim > len(shape):
        total = total.sum(dim=0)
    for d, size in enumerate(shape):
        if size == 1 and total.shape[d] != 1:
            total = torch.unsqueeze(total.sum(dim=d), d)
    return total


def sum_to_by_autograd(G: Tensor, shape: Any) -> Tensor:
    x = torch.zeros(shape, dtype=G.dtype, requires_grad=True)
    return torch.autograd.grad(x.expand(G.shape), x, G)[0]


# 8: micro-batches


def accumulate_by_hand(parameters: Any, loss: Any, X: Tensor, y: Tensor, size: int) -> None:
    sums = [torch.zeros_like(p) for p in parameters]
    for start in range(0, X.shape[0], size):
        inputs, targets = X[start : start + size], y[start : start + size]
        gradients = torch.autograd.grad(loss(inputs, targets), parameters)
        for total, gradient in zip(sums, gradients, strict=True):
            total += gradient * inputs.shape[0]
    for p, total in zip(parameters, sums, strict=True):
        p.grad = total / X.shape[0]


def accumulate_then_divide(parameters: Any, loss: Any, X: Tensor, y: Tensor, size: int) -> None:
    for p in parameters:
        if p.grad is not None:
            p.grad.zero_()
    start = 0
    while start < len(y):
        part = slice(start, min(start + size, len(y)))
        (loss(X[part], y[part]) * (part.stop - part.start)).backward()
        start += size
    for p in parameters:
        p.grad /= len(y)


def accumulate_and_watch(parameters: Any, loss: Any, X: Tensor, y: Tensor, size: int) -> Tensor:
    with torch.no_grad():
        watched = [loss(X, y)]
    for p in parameters:
        p.grad = torch.zeros_like(p)
    for rows in torch.arange(len(X)).split(size):
        watched.append(loss(X[rows], y[rows]).detach())  # its graph goes at once
        part = loss(X[rows], y[rows])
        part.backward(torch.tensor(len(rows) / len(X), dtype=part.dtype))
    return torch.stack(watched)


VARIANTS = {
    "switches": [switches_by_loops, switches_of_torch],
    "freeze": [freeze_one_by_one, freeze_lazily],
    "softplus": [SoftplusOfOutput, SoftplusOfTorch],
    "numerical": [differences_in_numpy, differences_by_unit_vectors, differences_in_place],
    "order": [order_by_return, order_by_longest_path, order_by_queue],
    "backward": [backward_with_a_heap, backward_as_micrograd],
    "sum_to": [sum_to_at_once, sum_to_from_the_left, sum_to_by_autograd],
    "accumulate": [accumulate_by_hand, accumulate_then_divide, accumulate_and_watch],
}
