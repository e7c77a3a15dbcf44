"""Deliberately wrong derivatives and orders: the comparison with torch must notice each."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from typing import Any
from unittest.mock import patch

import torch

from nndl.autograd import engine, function, no_grad, where
from nndl.autograd import functions as f
from nndl.autograd.tensor import Tensor, look_along

Mistake = Callable[[], Any]


def derivative(operation: type[f.Function], wrong: Callable[..., Any]) -> Mistake:
    """The operation with another ``backward``."""
    return lambda: patch.object(operation, "backward", wrong)


def value(operation: type[f.Function], wrong: Callable[..., Any]) -> Mistake:
    """The operation with another ``forward``."""
    return lambda: patch.object(operation, "forward", wrong)


def raw(operation: type[f.Function]) -> Mistake:
    """The derivative computed with arrays: right at first order, and without a graph."""
    right = operation.backward

    def backward(self: Any, grad: Tensor) -> Any:
        with no_grad():
            return right(self, grad)

    return derivative(operation, backward)


def saved(self: Any) -> Tensor:
    return self.saved_tensors[0]


def mul_swapped(self: Any, grad: Tensor) -> Any:
    a, b = self.saved_tensors
    return None if b is None else grad * (b if a is None else a), None if a is None else grad * a


def div_without_square(self: Any, grad: Tensor) -> Any:
    a, b = self.saved_tensors
    return grad / b, None if a is None else -grad * (a / b)


def pow_exponent_kept(self: Any, grad: Tensor) -> Any:
    a, b, y = self.saved_tensors
    return a**b * b * grad, None if y is None else y * a.log() * grad


def pow_wrong_log(self: Any, grad: Tensor) -> Any:
    a, b, y = self.saved_tensors
    return a ** (b - 1) * b * grad, None if y is None else y * y.log() * grad


def matmul_right_grad(self: Any, grad: Tensor) -> Any:
    a, b = self.saved_tensors
    by_a = None if b is None else grad @ b.transpose(-1, -2)
    return by_a, None if a is None else (grad.transpose(-1, -2) @ a).transpose(-1, -2) * 2


def sum_averaged(self: Any, grad: Tensor) -> Any:
    return (grad.reshape(*self.kept) / prod(self.shape)).expand(*self.shape)


def expand_averaged(self: Any, grad: Tensor) -> Any:
    new = grad.ndim - len(self.shape)
    repeated = [d for d in range(grad.ndim) if d < new or self.shape[d - new] != grad.shape[d]]
    total = grad.mean(tuple(repeated), keepdim=True) if repeated else grad
    return total.reshape(*self.shape)


def permute_again(self: Any, grad: Tensor) -> Any:
    moved = grad.permute(*self.dims)
    return (
        moved if moved.shape == self_shape(self, grad) else moved.reshape(*self_shape(self, grad))
    )


def self_shape(self: Any, grad: Tensor) -> tuple[int, ...]:
    back = sorted(range(grad.ndim), key=lambda d: self.dims[d] % grad.ndim)
    return tuple(grad.shape[d] for d in back)


def scatter_overwrites(self: Any, x: Tensor, *, index: Any, shape: tuple[int, ...]) -> Any:
    self.index = index
    zeros = torch.zeros(shape, dtype=x.dtype)
    zeros[index] = x.data
    return zeros


def fold_averages(
    self: Any, x: Tensor, *, picture: Any, size: Any, stride: Any, padding: Any
) -> Any:
    self.settings = {"size": size, "stride": stride, "padding": padding}
    fold = torch.nn.functional.fold
    total = fold(x.data, picture, size, stride=stride, padding=padding)
    count = fold(torch.ones_like(x.data), picture, size, stride=stride, padding=padding)
    return total / count.clamp(min=1)


def assign_keeps_old(self: Any, grad: Tensor) -> Any:
    needs_base, needs_value = self.needs_input_grad
    return grad if needs_base else None, look_along(self.path, grad) if needs_value else None


def assign_drops_new(self: Any, grad: Tensor) -> Any:
    rest = grad.clone()
    look_along(self.path, rest).zero_()
    return rest, None


def where_both(self: Any, grad: Tensor) -> Any:
    needs_a, needs_b = self.needs_input_grad
    return grad if needs_a else None, where(self.mask, 0.0, grad) if needs_b else None


def accumulate_overwrites(self: Any, grad: Tensor) -> Any:
    self.variable.grad = grad
    return ()


@contextmanager
def other_order(push: Callable[..., None], pop: Callable[..., Any]) -> Iterator[None]:
    """The backward pass takes the waiting nodes in another order."""
    with patch.object(engine, "heappush", push), patch.object(engine, "heappop", pop):
        yield


#: Wrong at first order: name and mistake.
WRONG: dict[str, Mistake] = {
    "add forgets its second operand": derivative(f.Add, lambda self, grad: (grad, None)),
    "sub without the sign": derivative(f.Sub, lambda self, grad: (grad, grad)),
    "neg without the sign": derivative(f.Neg, lambda self, grad: grad),
    "mul gives an operand its own value": derivative(f.Mul, mul_swapped),
    "div forgets the square": derivative(f.Div, div_without_square),
    "pow keeps the exponent": derivative(f.Pow, pow_exponent_kept),
    "pow takes the logarithm of the result": derivative(f.Pow, pow_wrong_log),
    "matmul counts the right factor twice": derivative(f.Matmul, matmul_right_grad),
    "exp passes the gradient on": derivative(f.Exp, lambda self, grad: grad),
    "log multiplies by x": derivative(f.Log, lambda self, grad: grad * saved(self)),
    "tanh forgets the square": derivative(f.Tanh, lambda self, grad: grad * (1 - saved(self))),
    "sigmoid like tanh": derivative(
        f.Sigmoid, lambda self, grad: grad * (1 - saved(self) * saved(self))
    ),
    "relu passes everything": derivative(f.Relu, lambda self, grad: grad),
    "log_softmax forgets the sum": derivative(
        f.LogSoftmax, lambda self, grad: grad - saved(self).exp() * grad
    ),
    "where gives one side everything": derivative(f.Where, where_both),
    "sum divides like mean": derivative(f.Sum, sum_averaged),
    "expand averages": derivative(f.Expand, expand_averaged),
    "permute applies itself again": derivative(f.Permute, permute_again),
    "scatter overwrites where places are the same": value(f.Scatter, scatter_overwrites),
    "fold averages where windows overlap": value(f.Fold, fold_averages),
    "clone cuts the history": derivative(f.Clone, lambda self, grad: None),
    "a leaf keeps the last gradient": lambda: patch.object(
        function.AccumulateGrad, "run", accumulate_overwrites
    ),
    "depth first: a node runs before its gradient is complete": lambda: other_order(
        list.append, list.pop
    ),
    "first come, first served": lambda: other_order(list.append, lambda waiting: waiting.pop(0)),
    "oldest node first": lambda: other_order(
        list.append, lambda waiting: waiting.pop(waiting.index(max(waiting)))
    ),
}

#: Right at first order, wrong at the second.
WRONG_HIGHER: dict[str, Mistake] = {
    f"{operation.__name__} derived without a graph": raw(operation)
    for operation in (f.Mul, f.Div, f.Pow, f.Matmul, f.Exp, f.Log, f.Tanh, f.Sigmoid, f.LogSoftmax)
}

#: Wrong where values are changed in place.
WRONG_WRITES: dict[str, Mistake] = {
    "assign keeps the old gradient": derivative(f.Assign, assign_keeps_old),
    "assign forgets the new value": derivative(f.Assign, assign_drops_new),
    "changed values go unnoticed": lambda: patch.object(
        function.SavedTensor, "unpack", unpack_unchecked
    ),
    "views keep their old history": lambda: patch.object(
        Tensor, "grad_fn", property(lambda self: self._grad_fn)
    ),
}


def unpack_unchecked(self: Any, node: Any) -> Tensor:
    self.version = self._tensor._version
    return right_unpack(self, node)


right_unpack = function.SavedTensor.unpack
