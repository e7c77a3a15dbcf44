"""A tensor that remembers how it was made.

The numbers lie in a plain ``torch.Tensor``, ``data``, which serves as an array and nothing more: it
never requires a gradient. The history is ours.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import ReferenceType, ref

import numpy as np
import torch
from torch.utils.hooks import RemovableHandle

from nndl.autograd.grad_mode import is_grad_enabled, set_grad_enabled

if TYPE_CHECKING:
    from nndl.autograd.function import Function, Node

__all__ = ["Tensor", "tensor"]

Operand: TypeAlias = "Tensor | float"
Axis: TypeAlias = int | tuple[int, ...] | None
Path: TypeAlias = "tuple[tuple[type[Function], dict[str, Any]], ...]"


class _Version:
    """How often some memory was written to. All tensors that share the memory share one."""

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 0


class Tensor:
    """An array of numbers, and its place in the graph of the operations that made it.

    Parameters
    ----------
    data
        The numbers: a tensor of either library, whose memory is shared, or a list or an array.
        ``tensor()`` makes a copy instead.
    requires_grad
        True for a leaf that gradients are wanted for.

    Attributes
    ----------
    data
        The numbers alone. Writing to them goes unnoticed, as with torch's ``data``.
    grad
        The sum of the gradients that have arrived here, or None.

    Raises
    ------
    RuntimeError
        If `requires_grad` is True and the numbers are not floating point.

    Examples
    --------
    >>> w = tensor([1.0, 2.0], requires_grad=True)
    >>> loss = (w * w).sum()
    >>> loss.backward()
    >>> w.grad
    tensor([2., 4.])
    """

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        self.data = torch.as_tensor(_numbers(data)).detach()
        self.grad: Tensor | None = None
        self._requires_grad = False
        self._grad_fn: Node | None = None
        self._counter = _Version()
        self._hooks: OrderedDict[int, Callable[[Tensor], Tensor | None]] = OrderedDict()
        # For a leaf: the node where its gradients arrive, alive for as long as a graph leads to it.
        self._accumulator: ReferenceType[Node] | None = None
        # For a view: the tensor whose memory it shares, and the operations that lead to it.
        self._base: Tensor | None = None
        self._path: Path = ()
        self._seen = 0
        self._recorded = True
        if requires_grad:
            self.requires_grad_()

    # ---- the place in the graph

    @property
    def requires_grad(self) -> bool:
        """Whether gradients are computed for this tensor, a leaf by wish or a result by history."""
        return self._requires_grad or self.grad_fn is not None

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if not self.is_leaf:
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. "
                "For a result without its history, use detach()"
            )
        if wanted and not self.data.is_floating_point():
            raise RuntimeError(
                "only Tensors of floating point dtype can require gradients, "
                f"this one has {self.dtype}"
            )
        self._requires_grad = wanted

    @property
    def grad_fn(self) -> "Node | None":
        """The node that made this tensor, None for a leaf."""
        if self._base is not None and self._recorded and self._seen != self._version:
            # The memory was written to through the base or another view. What this view shows was
            # made by that: take the same view of the base once more.
            with set_grad_enabled(True):
                self._grad_fn = look_along(self._path, self._base)._grad_fn
            self._seen = self._version
        return self._grad_fn

    @property
    def is_leaf(self) -> bool:
        """True if no operation that was recorded made this tensor."""
        return self.grad_fn is None

    @property
    def _version(self) -> int:
        """How often the memory was written to in place."""
        return self._counter.number

    def _edge(self) -> "Node | None":
        """Where a gradient of this tensor goes to: its node, or for a leaf its accumulator."""
        if self.grad_fn is not None or not self._requires_grad:
            return self._grad_fn
        node = self._accumulator() if self._accumulator else None
        if node is None:
            node = function.AccumulateGrad(self)
            self._accumulator = ref(node)
        return node

    def _alias(self) -> "Tensor":
        """Return another tensor with the same memory and the same place in the graph."""
        twin = Tensor(self.data)
        twin._grad_fn, twin._requires_grad = self.grad_fn, self._requires_grad
        twin._counter = self._counter
        return twin

    def _become_view_of(
        self, source: "Tensor", operation: "type[Function]", settings: dict[str, Any]
    ) -> None:
        """Note that this is a view, if the memory is shared."""
        if self.data.untyped_storage().data_ptr() == source.data.untyped_storage().data_ptr():
            self._base = source if source._base is None else source._base
            self._path = (*source._path, (operation, settings))
            self._counter = source._counter
            self._seen = self._version
            self._recorded = is_grad_enabled() and source._recorded

    def requires_grad_(self, wanted: bool = True) -> "Tensor":
        """Ask for gradients of this leaf, or no longer."""
        self.requires_grad = wanted
        return self

    def detach(self) -> "Tensor":
        """Return the same numbers, in the same memory, without the history."""
        result = Tensor(self.data)
        result._counter = self._counter
        return result

    def retain_grad(self) -> None:
        """Keep the gradient of this result in ``grad``, as if it were a leaf."""
        if not self.requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if self.grad_fn is not None:
            self.grad_fn.retained = ref(self)

    def register_hook(self, hook: Callable[["Tensor"], "Tensor | None"]) -> RemovableHandle:
        """Call `hook` with the gradient of this tensor; what it returns takes the gradient's place.

        Returns
        -------
        RemovableHandle
            Its ``remove()`` takes the hook away.

        Examples
        --------
        >>> x = tensor(3.0, requires_grad=True)
        >>> handle = x.register_hook(lambda grad: 10 * grad)
        >>> (x * x).backward()
        >>> x.grad
        tensor(60.)
        """
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        hooks = self._hooks if self.grad_fn is None else self.grad_fn.hooks
        handle = RemovableHandle(hooks)
        hooks[handle.id] = hook
        return handle

    def backward(
        self,
        gradient: "Tensor | None" = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: "Sequence[Tensor] | Tensor | None" = None,
    ) -> None:
        """Add the gradients of this tensor to ``grad`` of the leaves that it was made from.

        Parameters
        ----------
        gradient
            The gradient of the final result with respect to this tensor; 1 for a scalar.
        retain_graph
            Keep what the graph has saved, for another pass. By default the value of `create_graph`.
        create_graph
            Record the computation of the gradients too, so that they can be differentiated.
        inputs
            Add to these alone.
        """
        engine.backward(self, gradient, retain_graph, create_graph, inputs)

    # ---- writing in place

    def copy_(self, source: Operand) -> "Tensor":
        """Write the numbers of `source` into this tensor, in place.

        The tensor's history becomes that of an assignment to its base, so that a base and all its
        views go on to have right gradients. Every other in-place operation ends here.
        """
        base = self if self._base is None else self._base
        value = functions.as_operand(source, self).expand(*self.shape)
        if is_grad_enabled() and base._requires_grad:
            what = "leaf Variable" if base is self else "view of a leaf Variable"
            raise RuntimeError(
                f"a {what} that requires grad is being used in an in-place operation. "
                "Inside no_grad() its values may be changed"
            )
        if is_grad_enabled() and not self._recorded and (base.requires_grad or value.requires_grad):
            raise RuntimeError(
                "A view was created in no_grad mode and is being modified inplace with grad mode "
                "enabled: it is not clear whether that should be recorded. Make the view outside"
            )
        history = functions.Assign.apply(base, value, place=self)._grad_fn
        self._counter.number += 1
        if history is not None:
            base._grad_fn = history
        return self

    def _rewrite(self, operation: Callable[["Tensor"], "Tensor"]) -> "Tensor":
        """Put the result of an operation on this tensor in the tensor's place."""
        before = self._alias()
        before.data, before._counter = self.data.clone(), _Version()
        return self.copy_(operation(before))

    def add_(self, other: Operand) -> "Tensor":
        """Add in place."""
        return self._rewrite(lambda before: before + other)

    def sub_(self, other: Operand) -> "Tensor":
        """Subtract in place."""
        return self._rewrite(lambda before: before - other)

    def mul_(self, other: Operand) -> "Tensor":
        """Multiply in place."""
        return self._rewrite(lambda before: before * other)

    def div_(self, other: Operand) -> "Tensor":
        """Divide in place."""
        return self._rewrite(lambda before: before / other)

    def exp_(self) -> "Tensor":
        """Take the exponential in place."""
        return self._rewrite(Tensor.exp)

    def relu_(self) -> "Tensor":
        """Set negative numbers to zero in place."""
        return self._rewrite(Tensor.relu)

    def zero_(self) -> "Tensor":
        """Set every number to zero in place."""
        return self.copy_(0.0)

    __iadd__, __isub__, __imul__, __itruediv__ = add_, sub_, mul_, div_

    def __setitem__(self, index: Any, value: Operand) -> None:
        part = self[index]
        if part._base is None:
            raise IndexError(
                "only a part that shares memory can be assigned to: use numbers and slices, "
                f"got {index!r}"
            )
        part.copy_(value)

    # ---- operations

    def __add__(self, other: Operand) -> "Tensor":
        return functions.Add.apply(*functions.broadcast(self, other))

    def __sub__(self, other: Operand) -> "Tensor":
        return functions.Sub.apply(*functions.broadcast(self, other))

    def __rsub__(self, other: Operand) -> "Tensor":
        return functions.Sub.apply(*reversed(functions.broadcast(self, other)))

    def __mul__(self, other: Operand) -> "Tensor":
        return functions.Mul.apply(*functions.broadcast(self, other))

    def __truediv__(self, other: Operand) -> "Tensor":
        return functions.Div.apply(*functions.broadcast(self, other))

    def __rtruediv__(self, other: Operand) -> "Tensor":
        return functions.Div.apply(*reversed(functions.broadcast(self, other)))

    def __pow__(self, other: Operand) -> "Tensor":
        return functions.Pow.apply(*functions.broadcast(self, other))

    def __rpow__(self, other: Operand) -> "Tensor":
        return functions.Pow.apply(*reversed(functions.broadcast(self, other)))

    def __matmul__(self, other: "Tensor") -> "Tensor":
        return functions.matmul(self, other)

    def __neg__(self) -> "Tensor":
        return functions.Neg.apply(self)

    def __getitem__(self, index: Any) -> "Tensor":
        return functions.Index.apply(self, index=functions.plain_index(index))

    __radd__, __rmul__ = __add__, __mul__

    def __gt__(self, other: Operand) -> "Tensor":
        return Tensor(self.data > _numbers(other))

    def __ge__(self, other: Operand) -> "Tensor":
        return Tensor(self.data >= _numbers(other))

    def __lt__(self, other: Operand) -> "Tensor":
        return Tensor(self.data < _numbers(other))

    def __le__(self, other: Operand) -> "Tensor":
        return Tensor(self.data <= _numbers(other))

    def exp(self) -> "Tensor":
        """Return the exponential of each number."""
        return functions.Exp.apply(self)

    def log(self) -> "Tensor":
        """Return the natural logarithm of each number."""
        return functions.Log.apply(self)

    def tanh(self) -> "Tensor":
        """Return the hyperbolic tangent of each number."""
        return functions.Tanh.apply(self)

    def sigmoid(self) -> "Tensor":
        """Return 1 / (1 + exp(-x)) for each number."""
        return functions.Sigmoid.apply(self)

    def relu(self) -> "Tensor":
        """Return each number, or 0 in place of a negative one."""
        return functions.Relu.apply(self)

    def sum(self, dim: Axis = None, keepdim: bool = False) -> "Tensor":
        """Return the sum over the given dimensions, or over all."""
        return functions.Sum.apply(self, dims=self._dimensions(dim), keepdim=keepdim)

    def mean(self, dim: Axis = None, keepdim: bool = False) -> "Tensor":
        """Return the mean over the given dimensions, or over all."""
        count = prod(self.shape[d] for d in self._dimensions(dim))
        return self.sum(dim, keepdim) / count

    def max(self, dim: int | None = None, keepdim: bool = False) -> Any:
        """Return the largest number, or with `dim` a pair: the largest along it, and where.

        Of several that are equal, all share the gradient; with `dim` the first one gets it.
        """
        if dim is None:
            largest = (self.data == self.data.max()).to(self.dtype)
            return (self * Tensor(largest / largest.sum())).sum()
        (d,) = self._dimensions(dim)
        where = self.data.argmax(d, keepdim=True)
        sizes = [1 if axis == d else size for axis, size in enumerate(self.shape)]
        places = torch.meshgrid(*map(torch.arange, sizes), indexing="ij")
        values = self[(*places[:d], where, *places[d + 1 :])]
        if keepdim:
            return values, Tensor(where)
        return values.reshape(*sizes[:d], *sizes[d + 1 :]), Tensor(where.squeeze(d))

    def reshape(self, *shape: int) -> "Tensor":
        """Return the numbers in another shape, a view where memory allows; -1 is worked out."""
        return functions.Reshape.apply(self, shape=shape)

    def permute(self, *dims: int) -> "Tensor":
        """Return a view with the dimensions in another order."""
        return functions.Permute.apply(self, dims=dims)

    def transpose(self, first: int, second: int) -> "Tensor":
        """Return a view with two dimensions exchanged."""
        dims = list(range(self.ndim))
        dims[first], dims[second] = dims[second], dims[first]
        return self.permute(*dims)

    @property
    def T(self) -> "Tensor":  # noqa: N802 (everyone's name for it)
        """The view with all dimensions in reverse order."""
        return self.permute(*reversed(range(self.ndim)))

    def expand(self, *shape: int) -> "Tensor":
        """Return a view in which dimensions of size 1 are repeated."""
        return functions.Expand.apply(self, shape=shape) if shape != self.shape else self

    def clone(self) -> "Tensor":
        """Return a copy that is made from this tensor, in the graph's sense."""
        return functions.Clone.apply(self)

    # ---- as an array

    @property
    def shape(self) -> torch.Size:
        """The sizes of the dimensions."""
        return self.data.shape

    @property
    def ndim(self) -> int:
        """How many dimensions there are."""
        return self.data.ndim

    @property
    def dtype(self) -> torch.dtype:
        """The type of the numbers."""
        return self.data.dtype

    def numel(self) -> int:
        """Return how many numbers there are."""
        return self.data.numel()

    def item(self) -> float:
        """Return the one number as Python's."""
        return self.data.item()

    def tolist(self) -> Any:
        """Return the numbers as nested lists."""
        return self.data.tolist()

    def numpy(self) -> "np.typing.NDArray[Any]":
        """Return a copy of the numbers for NumPy."""
        return self.data.clone().numpy()

    def _dimensions(self, dim: Axis) -> tuple[int, ...]:
        """Return the dimensions that `dim` means, counted from 0; None and () mean all."""
        dims = dim if isinstance(dim, tuple) else (dim,) if dim is not None else ()
        dims = dims or tuple(range(self.ndim))
        for d in dims:
            if not -self.ndim <= d < self.ndim:
                raise IndexError(
                    f"dim must lie between {-self.ndim} and {self.ndim - 1} for a tensor of shape "
                    f"{tuple(self.shape)}, got {d}"
                )
        return tuple(d % self.ndim for d in dims)

    def __len__(self) -> int:
        return len(self.data)

    def __bool__(self) -> bool:
        return bool(self.data)

    def __float__(self) -> float:
        return float(self.data)

    def __repr__(self) -> str:
        if self.grad_fn is not None:
            note = f", grad_fn=<{self.grad_fn.name()}>"
        else:
            note = ", requires_grad=True" if self._requires_grad else ""
        return f"{repr(self.data)[:-1]}{note})"


def look_along(path: Path, base: Tensor) -> Tensor:
    """Return the part of `base` that a view shows; all of it, if the path to it is empty."""
    for operation, settings in path:
        base = operation.apply(base, **settings)
    return base


def _numbers(operand: Any) -> Any:
    return operand.data if isinstance(operand, Tensor) else operand


def tensor(data: Any, requires_grad: bool = False, *, dtype: torch.dtype | None = None) -> Tensor:
    """Make a tensor from a copy of numbers, lists of numbers, or an array.

    Parameters
    ----------
    data
        The numbers.
    requires_grad
        True for a leaf that gradients are wanted for.
    dtype
        The type of the numbers; by default torch's choice.

    Examples
    --------
    >>> tensor([1, 2], dtype=torch.float64, requires_grad=True)
    tensor([1., 2.], dtype=torch.float64, requires_grad=True)
    """
    if isinstance(data, (Tensor, torch.Tensor)):
        data = Tensor(data).data.clone()
    array = torch.as_tensor(data, dtype=dtype)
    return Tensor(array.clone() if isinstance(data, np.ndarray) else array, requires_grad)


# Operations, nodes and the backward pass are made of tensors, so they come after them.
from nndl.autograd import engine, function, functions  # noqa: E402
