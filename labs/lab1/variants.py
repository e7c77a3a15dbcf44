"""Lab 1: right answers that are written quite differently from the solution."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from nndl.op import Op


class Einstein(Op):
    """A bowl in Einstein's notation, with the gradient from autograd."""

    def __init__(self, w: Tensor) -> None:
        super().__init__()
        self.w = w

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x)."""
        self.params["x"] = x
        return torch.einsum("i,i...->...", self.w, x * x)

    def backward(self) -> None:
        """Fill ``grads``."""
        x = self.params["x"].detach().clone().requires_grad_()
        self.grads["x"] = torch.autograd.grad(torch.einsum("i,i...->...", self.w, x * x).sum(), x)[
            0
        ]


class Copying(Op):
    """A bowl that copies its point, and fills the gradient in place."""

    def __init__(self, w: Tensor) -> None:
        super().__init__()
        self.w = w

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x)."""
        self.params = {"x": x.clone()}
        total = torch.zeros_like(x[0])
        for weight, coordinate in zip(self.w.tolist(), x, strict=True):
            total += weight * coordinate.pow(2)
        return total

    def backward(self) -> None:
        """Fill ``grads``."""
        grad = self.params["x"].clone()
        for i in range(2):
            grad[i].mul_(self.w[i]).mul_(2)
        self.grads = {"x": grad}


def put_back(f: Any, x: Tensor, h: float) -> Tensor:
    grad = torch.empty_like(x)
    flat, out = x.view(-1), grad.view(-1)
    for i in range(x.numel()):
        kept = flat[i].item()
        flat[i] = kept + h
        above = f(x)
        flat[i] = kept - h
        below = f(x)
        flat[i] = kept
        out[i] = (above - below) / (2 * h)
    return grad


def rows_of_unity(f: Any, x: Tensor, h: float) -> Tensor:
    directions = torch.eye(x.numel(), dtype=x.dtype).reshape(-1, *x.shape)
    slopes = [(f(x + h * e) / h - f(x - h * e) / h) / 2 for e in directions]
    return torch.stack(slopes).reshape(x.shape)


def in_numpy(f: Any, x: Tensor, h: float) -> np.ndarray:
    grad = np.zeros(x.shape)
    for i, _ in np.ndenumerate(x.numpy()):
        up, down = x.numpy().copy(), x.numpy().copy()
        up[i] += h
        down[i] -= h
        grad[i] = (f(torch.from_numpy(up)) - f(torch.from_numpy(down))).item() / h / 2
    return grad


class NewDictionary:
    """A step that makes a new dictionary."""

    def __init__(self, init_lr: float, model: Any) -> None:
        self.init_lr, self.model = init_lr, model

    def step(self) -> None:
        """Move."""
        grads = self.model.grads
        self.model.params = {
            name: torch.add(param, grads[name], alpha=-self.init_lr)
            for name, param in self.model.params.items()
        }


class CloneFirst:
    """A step in place on clones."""

    def __init__(self, init_lr: float, model: Any) -> None:
        self.init_lr, self.model = init_lr, model

    def step(self) -> None:
        """Move."""
        for name in list(self.model.params):
            moved = self.model.params[name].clone()
            moved -= self.init_lr * self.model.grads[name]
            self.model.params[name] = moved


def rows_in_numpy(model: Any, optimizer: Any, x_init: Tensor, epoch: int) -> Any:
    x, rows, losses = x_init.clone(), [], []
    for t in range(epoch + 1):
        rows.append(x.numpy().copy())
        losses.append(model(x))
        if t < epoch:
            model.backward()
            optimizer.step()
            x = model.params["x"].clone()
    return torch.from_numpy(np.array(rows)), losses


def filled_in(model: Any, optimizer: Any, x_init: Tensor, epoch: int) -> Any:
    points = torch.empty(epoch + 1, len(x_init), dtype=x_init.dtype)
    points[0] = x_init
    for t in range(epoch):
        model.forward(points[t].clone())
        model.backward()
        optimizer.step()
        points[t + 1] = model.params["x"]
    return points, [model.forward(point).item() for point in points]


def by_singular_values(hessian: Tensor) -> Any:
    values = torch.linalg.svdvals(hessian)
    return [2 / values[0].item(), 2 / (values[0] + values[-1]).item()]


def by_general_eigenvalues(hessian: Tensor) -> Any:
    values = sorted(np.linalg.eigvals(hessian.numpy()).real)
    return 2 / values[-1], 2 / (values[0] + values[-1])


class ByAutograd(Op):
    """A linear operator that leaves its gradients to autograd."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.params = {"W": weight, "b": bias}

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs."""
        self.leaves = [p.detach().clone().requires_grad_() for p in self.params.values()]
        self.outputs = torch.addmm(self.leaves[1], inputs, self.leaves[0])
        return self.outputs.detach()

    def backward(self, labels: Tensor) -> None:
        """Fill ``grads``."""
        loss = torch.nn.functional.mse_loss(self.outputs.squeeze(1), labels.flatten()) / 2
        self.grads = dict(zip("Wb", torch.autograd.grad(loss, self.leaves), strict=True))


class SampleBySample(Op):
    """A linear operator that adds up its gradients sample by sample."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.params = {"W": weight, "b": bias}

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs."""
        self.inputs = inputs
        rows = [(row * self.params["W"][:, 0]).sum() + self.params["b"] for row in inputs]
        self.outputs = torch.stack(rows)
        return self.outputs

    def backward(self, labels: Tensor) -> None:
        """Fill ``grads``."""
        self.grads = {name: torch.zeros_like(value) for name, value in self.params.items()}
        for row, output, label in zip(self.inputs, self.outputs, labels, strict=True):
            error = (output - label).item() / len(labels)
            self.grads["W"] += error * row[:, None]
            self.grads["b"] += error


def by_slices(
    data: Tensor, num_epochs: int, batch_size: int, model: Any, calculate_loss: Any, optimizer: Any
) -> Any:
    iter_loss, epoch_loss = [], []
    for _ in range(num_epochs):
        first = len(iter_loss)
        for start in range(0, len(data), batch_size):
            batch = data[start : start + batch_size]
            outputs, labels = model.forward(batch[:, :-1]), batch[:, [-1]]
            iter_loss.append(calculate_loss(outputs, labels))
            model.backward(labels)
            optimizer.step()
        epoch_loss.append(np.mean(iter_loss[first:]))
    return torch.stack(iter_loss), np.array(epoch_loss)


def by_loader(
    data: Tensor, num_epochs: int, batch_size: int, model: Any, calculate_loss: Any, optimizer: Any
) -> Any:
    loader = DataLoader(TensorDataset(data[:, :-1], data[:, -1].unsqueeze(1)), batch_size)
    losses = torch.zeros(num_epochs, len(loader), dtype=torch.float64)
    for epoch in range(num_epochs):
        for i, (inputs, labels) in enumerate(loader):
            losses[epoch, i] = calculate_loss(model(inputs), labels)
            model.backward(labels.flatten())
            optimizer.step()
    return losses.flatten().tolist(), losses.mean(dim=1).tolist()


VARIANTS = {
    "bowl": [Einstein, Copying],
    "difference": [put_back, rows_of_unity, in_numpy],
    "step": [NewDictionary, CloneFirst],
    "path": [rows_in_numpy, filled_in],
    "rates": [by_singular_values, by_general_eigenvalues],
    "linear": [ByAutograd, SampleBySample],
    "train": [by_slices, by_loader],
}
