"""A small reverse-mode automatic differentiation engine, made to be read.

Five files, in this order: ``tensor`` (a value and its place in the graph), ``function`` (a node),
``functions`` (the operations and their derivatives), ``engine`` (the pass through the graph) and
``grad_mode``. Names and behaviour are those of ``torch.autograd``, and so are the errors.
``nndl.autograd.graph`` looks at the graphs of both.

Examples
--------
>>> from nndl.autograd import grad, tensor
>>> x = tensor(2.0, requires_grad=True)
>>> (slope,) = grad(x**3, x, create_graph=True)
>>> slope
tensor(12., grad_fn=<Mul>)
"""

# isort: off
from nndl.autograd.grad_mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from nndl.autograd.tensor import Tensor, tensor
from nndl.autograd.function import Function
from nndl.autograd.functions import conv2d, log_softmax, matmul, max_pool2d, where
from nndl.autograd.engine import backward, grad

# isort: on

__all__ = [
    "Function",
    "Tensor",
    "backward",
    "conv2d",
    "enable_grad",
    "grad",
    "is_grad_enabled",
    "log_softmax",
    "matmul",
    "max_pool2d",
    "no_grad",
    "set_grad_enabled",
    "tensor",
    "where",
]
