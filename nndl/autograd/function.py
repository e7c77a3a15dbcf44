"""A node of the graph: what an operation needs to remember in order to be differentiated."""

from collections import OrderedDict
from collections.abc import Callable
from itertools import count
from typing import Any, ClassVar, TypeAlias
from weakref import ReferenceType

import torch

from nndl.autograd.grad_mode import is_grad_enabled, no_grad
from nndl.autograd.tensor import Tensor

__all__ = ["AccumulateGrad", "Function", "Node", "SavedTensor"]

Hook: TypeAlias = Callable[[Tensor], Tensor | None]

# Nodes are numbered as they are made. An edge leads to a node that was there before, so the
# numbers, read backwards, are an order in which every node comes before those that it leads to.
_numbers = count()


class Node:
    """A step of the backward pass: takes the gradient of a result, gives those of the inputs.

    Attributes
    ----------
    number
        When the node was made; larger is later.
    next_functions
        For each input the node that made it and 0, the place among that node's results (each has
        one); None in place of a node where no gradient is wanted.
    saved
        What is kept for the backward pass, a ``SavedTensor`` or None each; empty once it is freed.
    hooks
        Called with the gradient before it goes on; what one returns takes its place.

    Examples
    --------
    >>> from nndl.autograd import tensor
    >>> x = tensor(3.0, requires_grad=True)
    >>> node = (x * 2.0).grad_fn
    >>> node.name(), [edge and edge.name() for edge, _ in node.next_functions]
    ('Mul', ['AccumulateGrad', None])
    >>> node.run(tensor(1.0))
    (tensor(2.), None)
    """

    def __init__(self) -> None:
        self.number = next(_numbers)
        self.next_functions: tuple[tuple[Node | None, int], ...] = ()
        self.saved: tuple[SavedTensor | None, ...] = ()
        self.freed = False
        self.hooks: OrderedDict[int, Hook] = OrderedDict()
        self.retained: ReferenceType[Tensor] | None = None

    def name(self) -> str:
        """Return the name of the operation."""
        return type(self).__name__

    def __repr__(self) -> str:
        return f"<{self.name()} {self.number}>"

    def run(self, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the inputs."""
        raise NotImplementedError

    def free(self) -> None:
        """Let go of what is saved."""
        self.freed = self.freed or bool(self.saved)
        self.saved = ()


class AccumulateGrad(Node):
    """Where a path ends: at a leaf, whose ``grad`` is the sum of all that arrives.

    Examples
    --------
    >>> w = Tensor(5.0, requires_grad=True)
    >>> for grad in (1.0, 2.0):
    ...     _ = AccumulateGrad(w).run(Tensor(grad))
    >>> w.grad
    tensor(3.)
    """

    def __init__(self, variable: Tensor) -> None:
        super().__init__()
        self.variable = variable
        self.hooks = variable._hooks

    def run(self, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Add to the leaf's ``grad``: in place, unless the addition itself is recorded."""
        leaf = self.variable
        if leaf.grad is None:
            # The arriving tensor may be another's gradient too: what is kept must be our own.
            leaf.grad = grad.clone() if is_grad_enabled() else Tensor(grad.data.clone())
        elif is_grad_enabled():
            leaf.grad = leaf.grad + grad
        else:
            leaf.grad.add_(grad)
        return ()


class SavedTensor:
    """A tensor as it was when a node saved it, and the means to notice that it has changed since.

    The result of a node is held without its ``grad_fn``: that is the node itself, and a circle
    would keep the whole graph alive until the garbage collector comes round.

    Examples
    --------
    >>> x = Tensor(3.0, requires_grad=True)
    >>> (saved,) = x.tanh().grad_fn.saved
    >>> saved.shape, saved.nbytes
    (torch.Size([]), 4)
    """

    def __init__(self, tensor: Tensor, *, is_result: bool) -> None:
        # A leaf stays itself, because its gradient is to be found there.
        self._tensor = tensor if tensor.is_leaf and not is_result else tensor._alias()
        self._is_result = is_result
        self.version = tensor._version
        if is_result:
            self._tensor._grad_fn = None

    @property
    def shape(self) -> torch.Size:
        """The shape of the tensor."""
        return self._tensor.shape

    @property
    def dtype(self) -> torch.dtype:
        """The type of its elements."""
        return self._tensor.dtype

    @property
    def nbytes(self) -> int:
        """The bytes of its elements."""
        return self._tensor.data.nbytes

    def unpack(self, node: Node) -> Tensor:
        """Return the tensor for the backward pass of `node`.

        Raises
        ------
        RuntimeError
            If the tensor was changed in place since it was saved.
        """
        if self._tensor._version != self.version:
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an "
                f"inplace operation: {node.name()} saved a tensor of shape {tuple(self.shape)} at "
                f"version {self.version}, and it is at version {self._tensor._version} now. "
                "Change a clone of it instead"
            )
        if not self._is_result:
            return self._tensor
        result = self._tensor._alias()
        result._grad_fn = node
        return result


class Function(Node):
    """An operation: its value (``forward``) and its derivative (``backward``), side by side.

    Subclass it with these two methods, and call the operation by ``apply``; each call makes a new
    node. In ``torch.autograd.Function`` the methods are static and get the node as `ctx`; that
    works here too, so a class can be written for both.

    ``forward(*args)`` gets the arguments of ``apply`` and returns one tensor. Nothing in it is
    recorded. What the derivative needs, it hands to ``save_for_backward``.
    ``backward(grad)`` gets the gradient of the result and returns that of each positional argument,
    None for one that is no tensor. Written in operations of this package, it can itself be
    differentiated.

    Attributes
    ----------
    is_view
        True where the result may share the memory of the first argument.
    needs_input_grad
        For each positional argument, whether a gradient is asked for.

    Examples
    --------
    >>> from nndl.autograd import tensor
    >>> class Cube(Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x * x
    ...
    ...     @staticmethod
    ...     def backward(ctx, grad):
    ...         (x,) = ctx.saved_tensors
    ...         return grad * 3 * x * x
    >>> x = tensor(2.0, requires_grad=True)
    >>> Cube.apply(x).backward()
    >>> x.grad
    tensor(12.)
    """

    is_view: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.needs_input_grad: tuple[bool, ...] = ()
        self._to_save: tuple[Tensor | None, ...] = ()
        self._shapes: tuple[torch.Size | None, ...] = ()

    def forward(self, *args: Any, **settings: Any) -> Any:
        """Compute the value."""
        raise NotImplementedError(f"{self.name()} must define forward")

    def backward(self, grad: Tensor) -> Any:
        """Compute the gradients of the arguments from that of the result."""
        raise NotImplementedError(f"{self.name()} must define backward")

    @classmethod
    def apply(cls, *args: Any, **settings: Any) -> Tensor:
        """Compute the value, and remember how, if an argument requires a gradient."""
        tensors = [arg if isinstance(arg, Tensor) else None for arg in args]
        recorded = is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)
        edges = tuple((t._edge() if recorded and t is not None else None, 0) for t in tensors)
        node = cls()
        node.needs_input_grad = tuple(edge is not None for edge, _ in edges)
        with no_grad():
            value = cls.forward(node, *args, **settings)
        result = value if isinstance(value, Tensor) else Tensor(value)
        if any(result is t for t in tensors):
            result = result.detach()
        if recorded:
            node.next_functions = edges
            node._shapes = tuple(None if t is None else t.shape for t in tensors)
            node.saved = tuple(
                None if t is None else SavedTensor(t, is_result=t is result) for t in node._to_save
            )
            result._grad_fn = node
        node._to_save = ()
        if cls.is_view and tensors[0] is not None:
            result._become_view_of(tensors[0], cls, settings)
        return result

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep arguments or the result of ``forward`` for ``backward``; None keeps a place free."""
        self._to_save = tensors

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What ``forward`` has saved.

        Raises
        ------
        RuntimeError
            If it was freed by an earlier backward pass, or changed in place since.
        """
        if self.freed:
            raise RuntimeError(
                "Trying to backward through the graph a second time: what "
                f"{self.name()} had saved was freed by the first. Call that one with "
                "retain_graph=True, or compute the result anew"
            )
        return tuple(None if saved is None else saved.unpack(self) for saved in self.saved)

    def run(self, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the arguments, and see that each fits its argument."""
        grads = type(self).backward(self, grad)
        grads = grads if isinstance(grads, tuple) else (grads,)
        if len(grads) != len(self.next_functions):
            raise RuntimeError(
                f"{self.name()}.backward returned an incorrect number of gradients "
                f"(expected {len(self.next_functions)}, got {len(grads)})"
            )
        for place, (gradient, shape) in enumerate(zip(grads, self._shapes, strict=True)):
            wanted = gradient is not None and self.needs_input_grad[place]
            if wanted and (not isinstance(gradient, Tensor) or gradient.shape != shape):
                got = gradient.shape if isinstance(gradient, Tensor) else type(gradient).__name__
                raise RuntimeError(
                    f"{self.name()}.backward returned an invalid gradient at index {place} - got "
                    f"{got}, but expected a tensor of shape {shape}"
                )
        return grads
