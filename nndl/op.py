"""The NNDL building blocks: operators with a forward and a backward pass, and test functions.

An ``Op`` keeps its parameters in ``params`` and, after ``backward``, their gradients in ``grads``
under the same names. An ``Objective`` is an ``Op`` with one parameter: a point ``x`` of the plane.
"""

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor

from nndl._checks import floating_tensor, whole_number
from nndl.optimizer import Optimizer, SimpleBatchGD

__all__ = [
    "Beale",
    "Himmelblau",
    "Linear",
    "Objective",
    "Op",
    "OptimizedFunction",
    "OptimizedFunction3D",
    "Optimizer",
    "Rastrigin",
    "Rosenbrock",
    "Saddle",
    "SimpleBatchGD",
    "Valley",
]

Point = tuple[float, float]
Domain = tuple[tuple[float, float], tuple[float, float]]


class Op:
    """An operator: calling it runs ``forward``; ``backward`` computes the gradients.

    Attributes
    ----------
    params, grads
        The parameters, and their gradients under the same names.

    Examples
    --------
    >>> class Square(Op):
    ...     def forward(self, inputs):
    ...         self.params["x"] = inputs
    ...         return inputs**2
    ...
    ...     def backward(self):
    ...         self.grads["x"] = 2 * self.params["x"]
    >>> square = Square()
    >>> square([1.0, 3.0])
    tensor([1., 9.])
    >>> square.backward()
    >>> square.grads["x"]
    tensor([2., 6.])
    """

    def __init__(self) -> None:
        self.params: dict[str, Tensor] = {}
        self.grads: dict[str, Tensor] = {}

    def __call__(self, inputs: Any) -> Tensor:
        """Run the forward pass; lists and arrays of numbers become tensors."""
        return self.forward(floating_tensor("inputs", inputs))

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the output from `inputs`. A subclass must define it."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward(inputs)")

    def backward(self, *args: Any, **kwargs: Any) -> None:
        """Fill ``grads`` for the last forward pass. A subclass must define it."""
        raise NotImplementedError(f"{type(self).__name__} does not define backward()")


class Linear(Op):
    """A linear layer with one output, y = X W + b, for the loss ½ · mean squared error.

    Parameters
    ----------
    input_size
        Number of features d >= 1.
    weight_init, bias_init
        Functions from a shape to a tensor or an array: the first values of W, shape (d, 1), and
        of b, shape (1,). With the default ``torch.randn``, ``torch.manual_seed`` fixes W;
        ``numpy.random.standard_normal`` obeys NumPy's own seed.

    Examples
    --------
    >>> model = Linear(2, weight_init=torch.ones)
    >>> model(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[3.],
            [7.]])
    >>> model.backward(torch.tensor([[3.0], [5.0]]))
    >>> model.grads["W"], model.grads["b"]
    (tensor([[3.],
            [4.]]), tensor([1.]))
    """

    def __init__(
        self,
        input_size: int,
        weight_init: Callable[..., Any] = torch.randn,
        bias_init: Callable[..., Any] = torch.zeros,
    ) -> None:
        super().__init__()
        self.input_size = whole_number("input_size", input_size, least=1)
        self.params = {
            "W": _initial("weight_init", weight_init, (input_size, 1)),
            "b": _initial("bias_init", bias_init, (1,)),
        }
        self.inputs: Tensor | None = None
        self.outputs: Tensor | None = None

    def forward(self, inputs: Tensor) -> Tensor:
        """Return X W + b, shape (K, 1), for `inputs` X of shape (K, d) with K >= 1.

        Raises
        ------
        ValueError
            If `inputs` has another shape, or no row.
        """
        if inputs.ndim != 2 or inputs.shape[1] != self.input_size or len(inputs) == 0:
            raise ValueError(
                f"inputs must have shape (K, {self.input_size}) with K >= 1, "
                f"got {tuple(inputs.shape)}"
            )
        # y = X W + b
        self.inputs, self.outputs = inputs, inputs @ self.params["W"] + self.params["b"]
        return self.outputs

    def backward(self, labels: Tensor) -> None:
        """Fill ``grads`` with the gradients of ½ · mean (y − labels)²; labels: (K, 1) or (K,).

        ``torch.nn.MSELoss`` has no factor ½: its gradient is twice this one.

        Raises
        ------
        RuntimeError
            If no forward pass came before.
        ValueError
            If the number of labels is not the number of rows.
        """
        if self.inputs is None or self.outputs is None:
            raise RuntimeError("backward() needs a forward pass first: call model(inputs)")
        labels = floating_tensor("labels", labels)
        if labels.shape not in (self.outputs.shape, self.outputs.shape[:1]):
            raise ValueError(
                f"labels must have shape {tuple(self.outputs.shape)} or ({len(self.outputs)},), "
                f"got {tuple(labels.shape)}"
            )
        error = self.outputs - labels.reshape(-1, 1)
        # ∂/∂W = 1/K Xᵀ (y − labels)
        self.grads["W"] = self.inputs.T @ error / len(error)
        # ∂/∂b = 1/K Σ (y − labels)
        self.grads["b"] = error.sum(dim=0) / len(error)


def _initial(name: str, init: Callable[..., Any], shape: tuple[int, ...]) -> Tensor:
    """First value of a parameter: what `init` gives for `shape`, arrays as the default dtype."""
    value = init(shape)
    tensor = floating_tensor(name, value)
    if tensor.shape != shape:
        raise ValueError(
            f"{name} must return shape {shape} when called with it, got {tuple(tensor.shape)}"
        )
    return tensor if isinstance(value, Tensor) else tensor.to(torch.get_default_dtype())


class Objective(Op):
    """A function of two variables to be minimised, with everything that a picture of it needs.

    Attributes
    ----------
    name
        Formula, as mathtext for a title.
    domain
        ((x_min, x_max), (y_min, y_max)): the view that shows what matters.
    minima, saddles
        All local minima and saddle points in the domain, each as (x, y).
    start
        A starting point from which the optimisers differ visibly.
    variables
        Names of the two coordinates, as mathtext.

    Examples
    --------
    One point, or a grid of them; the gradient at a minimum is 0.

    >>> bowl = OptimizedFunction([0.2, 2.0])
    >>> bowl(torch.ones(2, 100, 100)).shape
    torch.Size([100, 100])
    >>> bowl.gradient(torch.tensor(bowl.minima[0]))
    tensor([0., 0.])
    """

    name: str
    variables: tuple[str, str] = ("x_0", "x_1")
    domain: Domain
    minima: tuple[Point, ...] = ()
    saddles: tuple[Point, ...] = ()
    start: Point

    def __init__(self) -> None:
        self.params = {"x": torch.zeros(2)}
        self.grads = {}

    @abstractmethod
    def value(self, x: Tensor) -> Tensor:
        """Return f(x), of shape ``grid``, for `x` of shape ``(2, *grid)``; remember nothing."""

    @abstractmethod
    def gradient(self, x: Tensor) -> Tensor:
        """Return ∇f(x), of the shape of `x`; nothing is remembered."""

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x) and remember `x` itself (no copy) as ``params["x"]``.

        Parameters
        ----------
        x
            Shape (2,) for one point, ``(2, *grid)`` for many.

        Raises
        ------
        ValueError
            If the first dimension of `x` is not 2.
        """
        if x.ndim == 0 or x.shape[0] != 2:
            raise ValueError(f"x must have shape (2,) or (2, *grid), got {tuple(x.shape)}")
        self.params["x"] = x
        return self.value(x)

    def backward(self) -> None:
        """Fill ``grads["x"]`` with the gradient at the remembered point."""
        self.grads["x"] = self.gradient(self.params["x"])


class OptimizedFunction(Objective):
    """f(x) = w₁ x₁² + w₂ x₂²: an elliptic bowl if both weights are positive.

    Parameters
    ----------
    w
        The two weights, finite and not 0.

    Raises
    ------
    ValueError
        If `w` does not hold two finite numbers other than 0.

    Examples
    --------
    >>> model = OptimizedFunction([0.2, 2.0])
    >>> model(torch.tensor([3.0, 4.0]))
    tensor(33.8000)
    >>> model.backward()
    >>> model.grads["x"]
    tensor([ 1.2000, 16.0000])
    """

    variables = ("x_1", "x_2")
    domain = ((-2.0, 5.0), (-2.0, 5.0))
    start = (3.0, 4.0)

    def __init__(self, w: Sequence[float] | Tensor) -> None:
        super().__init__()
        self.w = floating_tensor("w", w)
        if self.w.shape != (2,) or not (self.w.isfinite() & (self.w != 0)).all():
            raise ValueError(f"w must hold two finite numbers other than 0, got {self.w.tolist()}")
        w1, w2 = self.w.tolist()
        self.name = f"${w1:.4g}\\,x_1^2 {w2:+.4g}\\,x_2^2$"
        self.minima = ((0.0, 0.0),) if w1 > 0 and w2 > 0 else ()
        self.saddles = ((0.0, 0.0),) if w1 * w2 < 0 else ()

    def value(self, x: Tensor) -> Tensor:
        """f(x) = w₁ x₁² + w₂ x₂²."""
        return torch.einsum("i,i...->...", self.w.to(x.dtype), x**2)

    def gradient(self, x: Tensor) -> Tensor:
        """∇f = (2 w₁ x₁, 2 w₂ x₂)."""
        return torch.einsum("i,i...->i...", 2 * self.w.to(x.dtype), x)


class OptimizedFunction3D(Objective):
    """f(x) = x₀² + x₁² + x₁³ + x₀ x₁: a local minimum, a saddle, and no lower bound.

    Examples
    --------
    >>> OptimizedFunction3D()(torch.tensor([2.0, 3.0]))
    tensor(46.)
    """

    name = "$x_0^2 + x_1^2 + x_1^3 + x_0 x_1$"
    domain = ((-3.0, 3.0), (-3.0, 3.0))
    minima = ((0.0, 0.0),)
    saddles = ((0.25, -0.5),)
    start = (2.0, 3.0)

    def value(self, x: Tensor) -> Tensor:
        """f(x) = x₀² + x₁² + x₁³ + x₀ x₁."""
        return x[0] ** 2 + x[1] ** 2 + x[1] ** 3 + x[0] * x[1]

    def gradient(self, x: Tensor) -> Tensor:
        """∇f = (2 x₀ + x₁, 2 x₁ + 3 x₁² + x₀)."""
        return torch.stack([2 * x[0] + x[1], 2 * x[1] + 3 * x[1] ** 2 + x[0]])


class Saddle(Objective):
    """f(x) = −x₀²/2 + x₁²: the saddle of the CS231n animation, unbounded below.

    Examples
    --------
    >>> Saddle()(torch.tensor([2.0, 1.0]))
    tensor(-1.)
    """

    name = r"$-\frac{1}{2} x_0^2 + x_1^2$"
    domain = ((-1.0, 2.0), (-1.0, 1.0))
    saddles = ((0.0, 0.0),)
    start = (0.00001, 0.5)

    def value(self, x: Tensor) -> Tensor:
        """f(x) = −x₀²/2 + x₁²."""
        return -(x[0] ** 2) / 2 + x[1] ** 2

    def gradient(self, x: Tensor) -> Tensor:
        """∇f = (−x₀, 2 x₁)."""
        return torch.stack([-x[0], 2 * x[1]])


class Valley(Objective):
    """f(x) = x₀²/20 + x₁²: a long valley, 20 times steeper across than along (Saitō, 2016, ch. 6).

    Examples
    --------
    >>> Valley()(torch.tensor([-10.0, 2.0]))
    tensor(9.)
    """

    name = r"$\frac{1}{20} x_0^2 + x_1^2$"
    domain = ((-10.0, 10.0), (-5.0, 5.0))
    minima = ((0.0, 0.0),)
    start = (-7.0, 2.0)

    def value(self, x: Tensor) -> Tensor:
        """f(x) = x₀²/20 + x₁²."""
        return x[0] ** 2 / 20 + x[1] ** 2

    def gradient(self, x: Tensor) -> Tensor:
        """∇f = (x₀/10, 2 x₁)."""
        return torch.stack([x[0] / 10, 2 * x[1]])


class Beale(Objective):
    """Beale's function (Beale, 1958): a flat valley between steep corners, one minimum.

    Examples
    --------
    >>> Beale()(torch.tensor([3.0, 0.5]))
    tensor(0.)
    """

    name = r"$\sum_{i=1}^{3} \left(c_i - x_0 (1 - x_1^i)\right)^2$"
    domain = ((-4.5, 4.5), (-4.5, 4.5))
    minima = ((3.0, 0.5),)
    saddles = ((0.0, 1.0), (0.1005379373241584, -2.6445135850231245))
    start = (1.0, 1.5)
    constants = (1.5, 2.25, 2.625)

    def value(self, x: Tensor) -> Tensor:
        """f(x) = Σᵢ (cᵢ − x₀ (1 − x₁ⁱ))² with c = (1.5, 2.25, 2.625)."""
        terms = [(c - x[0] * (1 - x[1] ** i)) ** 2 for i, c in enumerate(self.constants, start=1)]
        return torch.stack(terms).sum(dim=0)

    def gradient(self, x: Tensor) -> Tensor:
        """∇f = Σᵢ 2 rᵢ · (x₁ⁱ − 1, i x₀ x₁ⁱ⁻¹) with rᵢ = cᵢ − x₀ (1 − x₁ⁱ)."""
        total = torch.zeros_like(x)
        for i, c in enumerate(self.constants, start=1):
            residual = c - x[0] * (1 - x[1] ** i)
            total += 2 * residual * torch.stack([x[1] ** i - 1, i * x[0] * x[1] ** (i - 1)])
        return total


class Rosenbrock(Objective):
    """f(x) = (1 − x₀)² + 100 (x₁ − x₀²)²: a curved valley (Rosenbrock, 1960).

    Examples
    --------
    >>> Rosenbrock()(torch.tensor([-1.0, 1.0]))
    tensor(4.)
    """

    name = "$(1 - x_0)^2 + 100\\,(x_1 - x_0^2)^2$"
    domain = ((-2.0, 2.0), (-1.0, 3.0))
    minima = ((1.0, 1.0),)
    start = (-1.2, 1.0)

    def value(self, x: Tensor) -> Tensor:
        """f(x) = (1 − x₀)² + 100 (x₁ − x₀²)²."""
        return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2

    def gradient(self, x: Tensor) -> Tensor:
        """∇f = (−2 (1 − x₀) − 400 x₀ (x₁ − x₀²), 200 (x₁ − x₀²))."""
        offset = x[1] - x[0] ** 2
        return torch.stack([-2 * (1 - x[0]) - 400 * x[0] * offset, 200 * offset])


class Himmelblau(Objective):
    """f(x) = (x₀² + x₁ − 11)² + (x₀ + x₁² − 7)²: four minima (Himmelblau, 1972).

    Examples
    --------
    >>> Himmelblau()(torch.tensor([3.0, 2.0]))
    tensor(0.)
    """

    name = "$(x_0^2 + x_1 - 11)^2 + (x_0 + x_1^2 - 7)^2$"
    domain = ((-5.0, 5.0), (-5.0, 5.0))
    minima = (
        (3.0, 2.0),
        (-2.8051180869527450, 3.1313125182505730),
        (-3.7793102533777469, -3.2831859912861695),
        (3.5844283403304917, -1.8481265269644035),
    )
    saddles = (
        (0.0866775045553963, 2.8842547011747759),
        (-3.0730257507643897, -0.0813530442879675),
        (3.3851541836070211, 0.0738518798377493),
        (-0.1279613467306800, -1.9537149802445766),
    )
    start = (0.0, -0.5)

    def value(self, x: Tensor) -> Tensor:
        """f(x) = (x₀² + x₁ − 11)² + (x₀ + x₁² − 7)²."""
        return (x[0] ** 2 + x[1] - 11) ** 2 + (x[0] + x[1] ** 2 - 7) ** 2

    def gradient(self, x: Tensor) -> Tensor:
        """∇f = (4 x₀ p + 2 q, 2 p + 4 x₁ q) with p = x₀² + x₁ − 11 and q = x₀ + x₁² − 7."""
        p, q = x[0] ** 2 + x[1] - 11, x[0] + x[1] ** 2 - 7
        return torch.stack([4 * x[0] * p + 2 * q, 2 * p + 4 * x[1] * q])


def _rastrigin_root(guess: float) -> float:
    """Critical point x + 10 π sin 2πx = 0 nearest to `guess`, by Newton's method."""
    x = guess
    for _ in range(50):
        slope = 1 + 20 * math.pi**2 * math.cos(2 * math.pi * x)
        x -= (x + 10 * math.pi * math.sin(2 * math.pi * x)) / slope
    return x


class Rastrigin(Objective):
    """f(x) = 20 + Σᵢ (xᵢ² − 10 cos 2πxᵢ): a grid of minima, one of them global (Rastrigin, 1974).

    Examples
    --------
    >>> Rastrigin()(torch.tensor([0.0, 0.0]))
    tensor(0.)
    """

    name = r"$20 + \sum_i (x_i^2 - 10 \cos 2\pi x_i)$"
    domain = ((-1.4, 1.4), (-1.4, 1.4))
    start = (0.8, 1.2)
    # The sum of two functions of one variable each: a minimum in both is a minimum, a minimum in
    # one and a maximum in the other is a saddle.
    _valleys = tuple(_rastrigin_root(guess) for guess in (-1.0, 0.0, 1.0))
    _crests = tuple(_rastrigin_root(guess) for guess in (-0.5, 0.5))
    minima = tuple(product(_valleys, _valleys))
    saddles = (*product(_valleys, _crests), *product(_crests, _valleys))

    def value(self, x: Tensor) -> Tensor:
        """f(x) = 20 + Σᵢ (xᵢ² − 10 cos 2πxᵢ)."""
        return 20 + (x**2 - 10 * torch.cos(2 * math.pi * x)).sum(dim=0)

    def gradient(self, x: Tensor) -> Tensor:
        """∂f/∂xᵢ = 2 xᵢ + 20 π sin 2πxᵢ."""
        return 2 * x + 20 * math.pi * torch.sin(2 * math.pi * x)
