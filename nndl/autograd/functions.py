"""The operations: each with its value and, directly below, its derivative.

For a result y, ``grad`` is ∂L/∂y, the gradient G of the final result L. ``backward`` returns ∂L/∂x
for each argument x: the vector-Jacobian product. It is written in operations of this very file, so
where they are recorded the derivative has a graph of its own, and derivatives of any order follow.

Linear operations come in pairs, since the derivative of one is the other: expand and sum, index
and scatter, unfold and fold.
"""

from math import prod
from typing import Any

import torch
import torch.nn.functional as tf

from nndl.autograd.function import Function
from nndl.autograd.tensor import Operand, Tensor, look_along

__all__ = ["conv2d", "log_softmax", "matmul", "max_pool2d", "where"]

# ---- arithmetic, on two tensors of one shape


class Add(Function):
    """y = a + b."""

    def forward(self, a: Tensor, b: Tensor) -> Any:
        return a.data + b.data

    def backward(self, grad: Tensor) -> Any:
        return grad, grad


class Sub(Function):
    """y = a - b."""

    def forward(self, a: Tensor, b: Tensor) -> Any:
        return a.data - b.data

    def backward(self, grad: Tensor) -> Any:
        return grad, -grad


class Mul(Function):
    """y = a b;  ∂y/∂a = b,  ∂y/∂b = a."""

    def forward(self, a: Tensor, b: Tensor) -> Any:
        needs_a, needs_b = self.needs_input_grad
        self.save_for_backward(a if needs_b else None, b if needs_a else None)
        return a.data * b.data

    def backward(self, grad: Tensor) -> Any:
        a, b = self.saved_tensors
        return None if b is None else grad * b, None if a is None else grad * a


class Div(Function):
    """y = a / b;  ∂y/∂a = 1/b,  ∂y/∂b = -a/b²."""

    def forward(self, a: Tensor, b: Tensor) -> Any:
        self.save_for_backward(a if self.needs_input_grad[1] else None, b)
        return a.data / b.data

    def backward(self, grad: Tensor) -> Any:
        a, b = self.saved_tensors
        needs_a = self.needs_input_grad[0]
        return grad / b if needs_a else None, None if a is None else -grad * (a / b) / b


class Pow(Function):
    """y = aᵇ;  ∂y/∂a = b aᵇ⁻¹,  ∂y/∂b = aᵇ log a."""

    def forward(self, a: Tensor, b: Tensor) -> Any:
        result = Tensor(a.data**b.data)
        self.save_for_backward(a, b, result if self.needs_input_grad[1] else None)
        return result

    def backward(self, grad: Tensor) -> Any:
        a, b, y = self.saved_tensors
        needs_a, needs_b = self.needs_input_grad
        # At b = 0 the slope is 0, also where aᵇ⁻¹ is infinite; at a = 0 ≤ b likewise for log a.
        by_a = _one_where(b.data == 0, a) ** (b - 1) * b * grad if needs_a else None
        by_b = y * _one_where((a.data == 0) & (b.data >= 0), a).log() * grad if needs_b else None
        return by_a, by_b


def _one_where(mask: torch.Tensor, x: Tensor) -> Tensor:
    """Return x, with 1 in some places; without them x itself, and the graph stays simple."""
    return where(mask, 1.0, x) if mask.any() else x


class Neg(Function):
    """y = -x."""

    def forward(self, x: Tensor) -> Any:
        return -x.data

    def backward(self, grad: Tensor) -> Any:
        return -grad


class Matmul(Function):
    """Y = A B;  ∂L/∂A = G Bᵀ,  ∂L/∂B = Aᵀ G, for each pair of matrices in a batch."""

    def forward(self, a: Tensor, b: Tensor) -> Any:
        needs_a, needs_b = self.needs_input_grad
        self.save_for_backward(a if needs_b else None, b if needs_a else None)
        return a.data @ b.data

    def backward(self, grad: Tensor) -> Any:
        a, b = self.saved_tensors
        by_a = None if b is None else grad @ b.transpose(-1, -2)
        by_b = None if a is None else a.transpose(-1, -2) @ grad
        return by_a, by_b


# ---- functions of each number


class Exp(Function):
    """y = exp x;  dy/dx = y."""

    def forward(self, x: Tensor) -> Any:
        y = Tensor(x.data.exp())
        self.save_for_backward(y)
        return y

    def backward(self, grad: Tensor) -> Any:
        (y,) = self.saved_tensors
        return grad * y


class Log(Function):
    """y = log x;  dy/dx = 1/x."""

    def forward(self, x: Tensor) -> Any:
        self.save_for_backward(x)
        return x.data.log()

    def backward(self, grad: Tensor) -> Any:
        (x,) = self.saved_tensors
        return grad / x


class Tanh(Function):
    """y = tanh x;  dy/dx = 1 - y²."""

    def forward(self, x: Tensor) -> Any:
        y = Tensor(x.data.tanh())
        self.save_for_backward(y)
        return y

    def backward(self, grad: Tensor) -> Any:
        (y,) = self.saved_tensors
        return grad * (1 - y * y)


class Sigmoid(Function):
    """y = 1 / (1 + exp(-x));  dy/dx = y (1 - y)."""

    def forward(self, x: Tensor) -> Any:
        y = Tensor(x.data.sigmoid())
        self.save_for_backward(y)
        return y

    def backward(self, grad: Tensor) -> Any:
        (y,) = self.saved_tensors
        return grad * y * (1 - y)


class Relu(Function):
    """y = max(x, 0);  dy/dx = 1 where x > 0, else 0."""

    def forward(self, x: Tensor) -> Any:
        y = Tensor(x.data.relu())
        self.save_for_backward(y)
        return y

    def backward(self, grad: Tensor) -> Any:
        (y,) = self.saved_tensors
        return where(y.data > 0, grad, 0.0)


class LogSoftmax(Function):
    """yᵢ = xᵢ - log Σⱼ exp xⱼ along a dimension;  ∂L/∂x = G - exp(y) Σⱼ Gⱼ."""

    def forward(self, x: Tensor, *, dim: int) -> Any:
        y = Tensor(torch.log_softmax(x.data, dim))
        self.save_for_backward(y)
        self.dim = dim
        return y

    def backward(self, grad: Tensor) -> Any:
        (y,) = self.saved_tensors
        return grad - y.exp() * grad.sum(self.dim, keepdim=True)


class Where(Function):
    """y = a where the mask holds, elsewhere b. The mask is an array: it has no derivative."""

    def forward(self, a: Tensor, b: Tensor, *, mask: torch.Tensor) -> Any:
        self.mask = mask
        return torch.where(mask, a.data, b.data)

    def backward(self, grad: Tensor) -> Any:
        needs_a, needs_b = self.needs_input_grad
        by_a = where(self.mask, grad, 0.0) if needs_a else None
        return by_a, where(self.mask, 0.0, grad) if needs_b else None


# ---- linear operations that move, repeat or add up numbers


class Expand(Function):
    """Repeat along dimensions of size 1; the gradient is summed over the repetitions."""

    is_view = True

    def forward(self, x: Tensor, *, shape: tuple[int, ...]) -> Any:
        self.shape = x.shape
        return x.data.expand(shape)

    def backward(self, grad: Tensor) -> Any:
        new = grad.ndim - len(self.shape)
        repeated = [d for d in range(grad.ndim) if d < new or self.shape[d - new] != grad.shape[d]]
        total = grad.sum(tuple(repeated), keepdim=True) if repeated else grad
        return total.reshape(*self.shape)


class Sum(Function):
    """Add up along dimensions; each summand has the gradient of the sum."""

    def forward(self, x: Tensor, *, dims: tuple[int, ...], keepdim: bool) -> Any:
        self.shape = x.shape
        self.kept = [1 if d in dims else size for d, size in enumerate(x.shape)]
        return x.data.sum(dims, keepdim)

    def backward(self, grad: Tensor) -> Any:
        return grad.reshape(*self.kept).expand(*self.shape)


class Reshape(Function):
    """The same numbers in another shape."""

    is_view = True

    def forward(self, x: Tensor, *, shape: tuple[int, ...]) -> Any:
        self.shape = x.shape
        return x.data.reshape(shape)

    def backward(self, grad: Tensor) -> Any:
        return grad.reshape(*self.shape)


class Permute(Function):
    """The dimensions in another order."""

    is_view = True

    def forward(self, x: Tensor, *, dims: tuple[int, ...]) -> Any:
        self.dims = dims
        return x.data.permute(dims)

    def backward(self, grad: Tensor) -> Any:
        back = sorted(range(grad.ndim), key=lambda d: self.dims[d] % grad.ndim)
        return grad.permute(*back)


class Index(Function):
    """The numbers at some places; a view if the index has only numbers and slices."""

    is_view = True

    def forward(self, x: Tensor, *, index: Any) -> Any:
        self.index, self.shape = index, x.shape
        return x.data[index]

    def backward(self, grad: Tensor) -> Any:
        return Scatter.apply(grad, index=self.index, shape=self.shape)


class Scatter(Function):
    """Numbers put to some places of a tensor of zeros, added up where places are the same."""

    def forward(self, x: Tensor, *, index: Any, shape: tuple[int, ...]) -> Any:
        self.index = index
        places = torch.arange(prod(shape)).reshape(shape)[index].reshape(-1)
        zeros = torch.zeros(prod(shape), dtype=x.dtype)
        return zeros.index_add_(0, places, x.data.reshape(-1)).reshape(shape)

    def backward(self, grad: Tensor) -> Any:
        return Index.apply(grad, index=self.index)


class Unfold(Function):
    """(N, C, H, W) to (N, C k k, L): the L windows of k by k that a kernel slides over."""

    def forward(self, x: Tensor, *, size: Any, stride: Any, padding: Any) -> Any:
        self.settings = {"size": size, "stride": stride, "padding": padding}
        self.picture = tuple(x.shape[-2:])
        return tf.unfold(x.data, size, stride=stride, padding=padding)

    def backward(self, grad: Tensor) -> Any:
        return Fold.apply(grad, picture=self.picture, **self.settings)


class Fold(Function):
    """The windows put back to their places, added up where they overlap."""

    def forward(self, x: Tensor, *, picture: Any, size: Any, stride: Any, padding: Any) -> Any:
        self.settings = {"size": size, "stride": stride, "padding": padding}
        return tf.fold(x.data, picture, size, stride=stride, padding=padding)

    def backward(self, grad: Tensor) -> Any:
        return Unfold.apply(grad, **self.settings)


class Clone(Function):
    """The same numbers in memory of their own."""

    def forward(self, x: Tensor) -> Any:
        return x.data.clone()

    def backward(self, grad: Tensor) -> Any:
        return grad


class Assign(Function):
    """Write `value` where `place` lies in the memory of `base`: what an in-place operation does.

    What was there before has no influence on the result any more, so its gradient is 0 there.
    """

    def forward(self, base: Tensor, value: Tensor, *, place: Tensor) -> Any:
        self.path = place._path
        place.data.copy_(value.data)
        return base.data

    def backward(self, grad: Tensor) -> Any:
        needs_base, needs_value = self.needs_input_grad
        by_base = None
        if needs_base:
            by_base = grad.clone()
            look_along(self.path, by_base).zero_()
        return by_base, look_along(self.path, grad) if needs_value else None


# ---- what one calls: arguments are checked and brought into shape, then the operation is applied


def as_operand(value: Operand, like: Tensor) -> Tensor:
    """Return `value` as a tensor of the type of `like`."""
    if isinstance(value, Tensor):
        if value.dtype != like.dtype:
            raise TypeError(
                f"operands must have the same dtype, got {like.dtype} and {value.dtype}: "
                "make both with the same one"
            )
        return value
    if isinstance(value, (int, float)):
        return Tensor(torch.tensor(value, dtype=like.dtype))
    raise TypeError(f"an operand must be a Tensor or a number, got {type(value).__name__}")


def broadcast(a: Operand, b: Operand) -> list[Tensor]:
    """Return both operands in the shape that they have together."""
    like = a if isinstance(a, Tensor) else b
    if not isinstance(like, Tensor):
        raise TypeError(f"one operand must be a Tensor, got {a!r} and {b!r}")
    pair = [as_operand(a, like), as_operand(b, like)]
    shape = _common_shape(pair[0].shape, pair[1].shape)
    return [operand.expand(*shape) for operand in pair]


def _common_shape(a: torch.Size, b: torch.Size) -> torch.Size:
    """Return the shape to which both can be expanded."""
    return a if a == b else torch.broadcast_shapes(a, b)  # type: ignore[no-untyped-call]


def plain_index(index: Any) -> Any:
    """Return an index in which every tensor is an array."""
    if isinstance(index, tuple):
        return tuple(plain_index(part) for part in index)
    return index.data if isinstance(index, Tensor) else index


def where(mask: torch.Tensor, a: Operand, b: Operand) -> Tensor:
    """Return `a` where the mask holds, and `b` elsewhere.

    Parameters
    ----------
    mask
        An array of truth values: ``x.data > 0``.
    a, b
        Tensors or numbers, at least one a tensor.

    Examples
    --------
    >>> x = Tensor([1.0, -2.0], requires_grad=True)
    >>> where(x.data > 0, x, 10 * x).sum().backward()
    >>> x.grad
    tensor([ 1., 10.])
    """
    return Where.apply(*broadcast(a, b), mask=mask)


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """Return the matrix product, as ``a @ b`` does.

    Parameters
    ----------
    a, b
        Matrices, or batches of matrices, whose leading dimensions are broadcast. A vector counts as
        a row on the left and as a column on the right, and its dimension is dropped again.

    Raises
    ------
    RuntimeError
        If an operand has no dimension, or the inner sizes differ.

    Examples
    --------
    >>> matmul(Tensor([[1.0, 2.0], [3.0, 4.0]]), Tensor([1.0, 10.0]))
    tensor([21., 43.])
    """
    b = as_operand(b, a)
    rows = a if a.ndim > 1 else a.reshape(1, -1)
    columns = b if b.ndim > 1 else b.reshape(-1, 1)
    if 0 in (a.ndim, b.ndim) or rows.shape[-1] != columns.shape[-2]:
        raise RuntimeError(
            "both arguments to matmul need at least 1 dimension, and the same inner size, got "
            f"shapes {tuple(a.shape)} and {tuple(b.shape)}"
        )
    batch = _common_shape(rows.shape[:-2], columns.shape[:-2])
    product = Matmul.apply(
        rows.expand(*batch, *rows.shape[-2:]), columns.expand(*batch, *columns.shape[-2:])
    )
    outer = ([] if a.ndim == 1 else [rows.shape[-2]]) + ([] if b.ndim == 1 else [columns.shape[-1]])
    return product if min(a.ndim, b.ndim) > 1 else product.reshape(*batch, *outer)


def log_softmax(x: Tensor, dim: int) -> Tensor:
    """Return the logarithms of the softmax along a dimension.

    Examples
    --------
    >>> log_softmax(Tensor([0.0, 0.0]), dim=0).exp()
    tensor([0.5000, 0.5000])
    """
    return LogSoftmax.apply(x, dim=dim)


def conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1, padding: int = 0
) -> Tensor:
    """Return the cross-correlation of pictures with filters, plus a bias.

    Two operations that have derivatives already: cut out the windows, then multiply matrices.

    Parameters
    ----------
    x
        Pictures, (N, C, H, W).
    weight
        Filters, (O, C, K, K).
    bias
        A number for each filter, (O,).
    stride, padding
        Step of the window; rows and columns of zeros around the picture.

    Returns
    -------
    Tensor
        (N, O, H', W') with H' = (H + 2 padding - K) // stride + 1.

    Examples
    --------
    >>> conv2d(Tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), Tensor([[[[1.0, 0.0], [0.0, 1.0]]]]))
    tensor([[[[5.]]]])
    """
    if x.ndim != 4 or weight.ndim != 4 or x.shape[1] != weight.shape[1]:
        raise RuntimeError(
            "x must have shape (N, C, H, W) and weight (O, C, K, K) with the same C, got "
            f"{tuple(x.shape)} and {tuple(weight.shape)}"
        )
    size = tuple(weight.shape[2:])
    windows = Unfold.apply(x, size=size, stride=stride, padding=padding)
    result = weight.reshape(len(weight), -1) @ windows
    if bias is not None:
        result = result + bias.reshape(-1, 1)
    height, width = (
        (length + 2 * padding - k) // stride + 1
        for length, k in zip(x.shape[2:], size, strict=True)
    )
    return result.reshape(len(x), len(weight), height, width)


def max_pool2d(x: Tensor, size: int) -> Tensor:
    """Return the largest number of each window of `size` by `size`; windows don't overlap.

    Examples
    --------
    >>> max_pool2d(Tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), 2)
    tensor([[[[4.]]]])
    """
    n, channels, height, width = x.shape
    windows = Unfold.apply(x, size=size, stride=size, padding=0)
    largest: Tensor = windows.reshape(n, channels, size * size, -1).max(dim=2)[0]
    return largest.reshape(n, channels, height // size, width // size)
