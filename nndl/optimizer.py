"""The NNDL shell: optimisers for models that keep dictionaries ``params`` and ``grads``.

A shell checks its arguments, holds the state, counts the steps, and applies one rule of
``nndl.rules`` to every parameter of its model. The names ``init_lr``, ``G``, ``M``, ``delta_x``
and ``t`` are those of the NNDL course; the values are those of ``torch.optim``.
"""

from abc import ABC, abstractmethod
from typing import Any, Protocol

import torch
from torch import Tensor

from nndl import rules
from nndl._checks import fraction, non_negative

__all__ = [
    "Adagrad",
    "Adam",
    "Model",
    "Momentum",
    "Nesterov",
    "Optimizer",
    "RMSprop",
    "SimpleBatchGD",
]


class Model(Protocol):
    """What an optimiser needs of a model: parameters, and gradients under the same names.

    Examples
    --------
    Any object with these two dictionaries will do.

    >>> from types import SimpleNamespace
    >>> model = SimpleNamespace(
    ...     params={"w": torch.tensor([1.0, 2.0])}, grads={"w": torch.tensor([4.0, 8.0])}
    ... )
    >>> SimpleBatchGD(init_lr=0.25, model=model).step()
    >>> model.params["w"]
    tensor([0., 0.])
    """

    params: dict[str, Tensor]
    grads: dict[str, Tensor]


class Optimizer(ABC):
    """Base class: a learning rate, a model, and a ``step`` that a subclass supplies.

    Parameters
    ----------
    init_lr
        Learning rate α, a finite number >= 0. Assign to ``init_lr`` to change it between steps.
    model
        An object whose ``params`` and ``grads`` are dictionaries of tensors with the same names.

    Raises
    ------
    TypeError
        If `init_lr` is not a number, or `model` has no dictionaries ``params`` and ``grads``.
    ValueError
        If `init_lr` is negative, NaN or infinite, or the model has no parameter.

    Examples
    --------
    A subclass says how one step goes; here every coordinate moves by the learning rate.

    >>> from nndl.op import OptimizedFunction
    >>> class SignDescent(Optimizer):
    ...     @torch.no_grad()
    ...     def step(self):
    ...         for name, param in self.model.params.items():
    ...             param -= self.init_lr * self.model.grads[name].sign()
    >>> model = OptimizedFunction([0.5, 2.0])
    >>> optimizer = SignDescent(init_lr=0.5, model=model)
    >>> _ = model(torch.tensor([3.0, -4.0]))
    >>> model.backward()
    >>> optimizer.step()
    >>> model.params["x"]
    tensor([ 2.5000, -3.5000])
    """

    def __init__(self, init_lr: float, model: Model) -> None:
        for attribute in ("params", "grads"):
            if not isinstance(getattr(model, attribute, None), dict):
                raise TypeError(
                    f"model must have a dictionary {attribute!r} of tensors, "
                    f"got {type(model).__name__}; models with parameters() are for torch.optim"
                )
        if not model.params:
            raise ValueError(
                f"model must have at least one parameter, got {type(model).__name__} with none"
            )
        self.init_lr = init_lr
        self.model = model

    @property
    def init_lr(self) -> float:
        """The learning rate that the next step uses."""
        return self._lr

    @init_lr.setter
    def init_lr(self, value: float) -> None:
        self._lr = non_negative("init_lr", value)

    @abstractmethod
    def step(self) -> None:
        """Update every parameter of the model once, in place, from its gradient."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(init_lr={self.init_lr}, model={type(self.model).__name__})"

    def _params_and_grads(self) -> list[tuple[str, Tensor, Tensor]]:
        """Pair each parameter with its gradient; all are checked before the first one moves."""
        return [
            (name, param, self._checked_grad(name, param))
            for name, param in self.model.params.items()
        ]

    def _checked_grad(self, name: str, param: Any) -> Tensor:
        if not isinstance(param, Tensor) or not param.is_floating_point():
            kind = param.dtype if isinstance(param, Tensor) else type(param).__name__
            raise TypeError(f"params[{name!r}] must be a floating-point tensor, got {kind}")
        grad = self.model.grads.get(name)
        if not isinstance(grad, Tensor):
            raise ValueError(
                f"grads[{name!r}] must be a tensor, got {grad!r}: call backward() before step()"
            )
        if grad.shape != param.shape or grad.dtype != param.dtype:
            raise ValueError(
                f"grads[{name!r}] must have shape {tuple(param.shape)} and dtype {param.dtype} "
                f"like its parameter, got {tuple(grad.shape)} and {grad.dtype}"
            )
        return grad

    @staticmethod
    def _state(store: dict[str, Tensor], name: str, param: Tensor) -> Tensor:
        """State tensor of one parameter: zeros at its first step."""
        if name not in store:
            store[name] = torch.zeros_like(param)
        if store[name].shape != param.shape:
            raise ValueError(
                f"params[{name!r}] changed its shape from {tuple(store[name].shape)} to "
                f"{tuple(param.shape)} between two steps: make a new optimiser"
            )
        return store[name]


class SimpleBatchGD(Optimizer):
    """Gradient descent on whatever batch the gradient was taken of; ``torch.optim.SGD``.

    Parameters
    ----------
    init_lr
        Learning rate α >= 0.
    model
        The model to train.

    Examples
    --------
    >>> import torch
    >>> from nndl.op import OptimizedFunction
    >>> model = OptimizedFunction([0.5, 2.0])
    >>> optimizer = SimpleBatchGD(init_lr=0.25, model=model)
    >>> _ = model(torch.tensor([3.0, 4.0]))
    >>> model.backward()
    >>> optimizer.step()
    >>> model.params["x"]
    tensor([2.2500, 0.0000])
    """

    @torch.no_grad()
    def step(self) -> None:
        """Apply ``rules.sgd`` to every parameter."""
        for _, param, grad in self._params_and_grads():
            rules.sgd(param, grad, lr=self.init_lr)


class Momentum(Optimizer):
    """Momentum; ``torch.optim.SGD(momentum=rho)``.

    Parameters
    ----------
    init_lr
        Learning rate α >= 0.
    model
        The model to train.
    rho
        Decay ρ of the velocity, in [0, 1).

    Attributes
    ----------
    delta_x
        The velocity of each parameter by name: a decaying sum of gradients. The learning rate is
        not inside, so that a change of it acts at once.

    Examples
    --------
    The gradient is the same in both steps, so the velocity is 1.5 times the gradient.

    >>> from nndl.op import OptimizedFunction
    >>> model = OptimizedFunction([0.5, 2.0])
    >>> optimizer = Momentum(init_lr=0.25, model=model, rho=0.5)
    >>> for _ in range(2):
    ...     _ = model(torch.tensor([3.0, 4.0]))
    ...     model.backward()
    ...     optimizer.step()
    >>> model.grads["x"], optimizer.delta_x["x"]
    (tensor([ 3., 16.]), tensor([ 4.5000, 24.0000]))
    """

    def __init__(self, init_lr: float, model: Model, rho: float) -> None:
        super().__init__(init_lr, model)
        self.rho = fraction("rho", rho)
        self.delta_x: dict[str, Tensor] = {}

    def momentum(
        self, x: Tensor, gradient_x: Tensor, delta_x: Tensor, init_lr: float
    ) -> tuple[Tensor, Tensor]:
        """Update parameter `x` and velocity `delta_x` in place, and return both."""
        rules.momentum(x, gradient_x, delta_x, lr=init_lr, rho=self.rho)
        return x, delta_x

    @torch.no_grad()
    def step(self) -> None:
        """Apply ``rules.momentum`` to every parameter."""
        for name, param, grad in self._params_and_grads():
            self.momentum(param, grad, self._state(self.delta_x, name, param), self.init_lr)


class Nesterov(Momentum):
    """Nesterov momentum; ``torch.optim.SGD(momentum=rho, nesterov=True)``.

    It has the parameters and the state of ``Momentum``, and another rule.

    Examples
    --------
    The first step is 1 + ρ times that of gradient descent.

    >>> from nndl.op import OptimizedFunction
    >>> model = OptimizedFunction([0.5, 2.0])
    >>> optimizer = Nesterov(init_lr=0.25, model=model, rho=0.5)
    >>> _ = model(torch.tensor([3.0, 4.0]))
    >>> model.backward()
    >>> optimizer.step()
    >>> model.params["x"]
    tensor([ 1.8750, -2.0000])
    """

    def nesterov(
        self, x: Tensor, gradient_x: Tensor, delta_x: Tensor, init_lr: float
    ) -> tuple[Tensor, Tensor]:
        """Update parameter `x` and velocity `delta_x` in place, and return both."""
        rules.nesterov(x, gradient_x, delta_x, lr=init_lr, rho=self.rho)
        return x, delta_x

    @torch.no_grad()
    def step(self) -> None:
        """Apply ``rules.nesterov`` to every parameter."""
        for name, param, grad in self._params_and_grads():
            self.nesterov(param, grad, self._state(self.delta_x, name, param), self.init_lr)


class Adagrad(Optimizer):
    """AdaGrad; ``torch.optim.Adagrad``.

    Parameters
    ----------
    init_lr
        Learning rate α >= 0.
    model
        The model to train.
    epsilon
        ε >= 0, added to the root, not under it.

    Attributes
    ----------
    G
        The sum of squared gradients of each parameter, by name.

    Examples
    --------
    In each coordinate the first step has length α, however large the gradient.

    >>> from nndl.op import OptimizedFunction
    >>> model = OptimizedFunction([0.5, 2.0])
    >>> optimizer = Adagrad(init_lr=0.5, model=model, epsilon=0.0)
    >>> _ = model(torch.tensor([3.0, 4.0]))
    >>> model.backward()
    >>> optimizer.step()
    >>> model.params["x"], optimizer.G["x"]
    (tensor([2.5000, 3.5000]), tensor([  9., 256.]))
    """

    def __init__(self, init_lr: float, model: Model, epsilon: float) -> None:
        super().__init__(init_lr, model)
        self.epsilon = non_negative("epsilon", epsilon)
        self.G: dict[str, Tensor] = {}

    def adagrad(
        self, x: Tensor, gradient_x: Tensor, G: Tensor, init_lr: float
    ) -> tuple[Tensor, Tensor]:
        """Update parameter `x` and sum of squares `G` in place, and return both."""
        rules.adagrad(x, gradient_x, G, lr=init_lr, eps=self.epsilon)
        return x, G

    @torch.no_grad()
    def step(self) -> None:
        """Apply ``rules.adagrad`` to every parameter."""
        for name, param, grad in self._params_and_grads():
            self.adagrad(param, grad, self._state(self.G, name, param), self.init_lr)


class RMSprop(Optimizer):
    """RMSprop; ``torch.optim.RMSprop(alpha=beta)``.

    Parameters
    ----------
    init_lr
        Learning rate α >= 0.
    model
        The model to train.
    beta
        Decay β of the average, in [0, 1).
    epsilon
        ε >= 0, added to the root, not under it.

    Attributes
    ----------
    G
        The moving average of squared gradients of each parameter, by name.

    Examples
    --------
    There is no bias correction: in each coordinate the first step is α / √(1 - β), here 2 α.

    >>> from nndl.op import OptimizedFunction
    >>> model = OptimizedFunction([0.5, 2.0])
    >>> optimizer = RMSprop(init_lr=0.5, model=model, beta=0.75, epsilon=0.0)
    >>> _ = model(torch.tensor([3.0, 4.0]))
    >>> model.backward()
    >>> optimizer.step()
    >>> model.params["x"]
    tensor([2., 3.])
    """

    def __init__(self, init_lr: float, model: Model, beta: float, epsilon: float) -> None:
        super().__init__(init_lr, model)
        self.beta = fraction("beta", beta)
        self.epsilon = non_negative("epsilon", epsilon)
        self.G: dict[str, Tensor] = {}

    def rmsprop(
        self, x: Tensor, gradient_x: Tensor, G: Tensor, init_lr: float
    ) -> tuple[Tensor, Tensor]:
        """Update parameter `x` and average of squares `G` in place, and return both."""
        rules.rmsprop(x, gradient_x, G, lr=init_lr, beta=self.beta, eps=self.epsilon)
        return x, G

    @torch.no_grad()
    def step(self) -> None:
        """Apply ``rules.rmsprop`` to every parameter."""
        for name, param, grad in self._params_and_grads():
            self.rmsprop(param, grad, self._state(self.G, name, param), self.init_lr)


class Adam(Optimizer):
    """Adam; ``torch.optim.Adam(betas=(beta1, beta2))``.

    Parameters
    ----------
    init_lr
        Learning rate α >= 0.
    model
        The model to train.
    beta1, beta2
        Decays of the first and the second moment, each in [0, 1).
    epsilon
        ε >= 0, added to the root, not under it.

    Attributes
    ----------
    M, G
        First and second moment of each parameter, by name.
    t
        Number of steps taken: one for a whole step, however many parameters the model has.

    Examples
    --------
    With the bias corrected, the first step has length α in each coordinate.

    >>> from nndl.op import OptimizedFunction
    >>> model = OptimizedFunction([0.5, 2.0])
    >>> optimizer = Adam(0.5, model, beta1=0.5, beta2=0.75, epsilon=0.0)
    >>> _ = model(torch.tensor([3.0, 4.0]))
    >>> model.backward()
    >>> optimizer.step()
    >>> model.params["x"], optimizer.t
    (tensor([2.5000, 3.5000]), 1)
    >>> optimizer.M["x"], optimizer.G["x"]
    (tensor([1.5000, 8.0000]), tensor([ 2.2500, 64.0000]))
    """

    def __init__(
        self, init_lr: float, model: Model, beta1: float, beta2: float, epsilon: float
    ) -> None:
        super().__init__(init_lr, model)
        self.beta1 = fraction("beta1", beta1)
        self.beta2 = fraction("beta2", beta2)
        self.epsilon = non_negative("epsilon", epsilon)
        self.M: dict[str, Tensor] = {}
        self.G: dict[str, Tensor] = {}
        self.t = 0

    def adam(
        self, x: Tensor, gradient_x: Tensor, G: Tensor, M: Tensor, t: int, init_lr: float
    ) -> tuple[Tensor, Tensor, Tensor, int]:
        """Update `x` and its moments `G`, `M` in place at step `t` (1, 2, ...), and return all."""
        rules.adam(
            x,
            gradient_x,
            M,
            G,
            t,
            lr=init_lr,
            beta1=self.beta1,
            beta2=self.beta2,
            eps=self.epsilon,
        )
        return x, G, M, t

    @torch.no_grad()
    def step(self) -> None:
        """Count one step, and apply ``rules.adam`` to every parameter with that count."""
        params_and_grads = self._params_and_grads()
        self.t += 1
        for name, param, grad in params_and_grads:
            second_moment = self._state(self.G, name, param)
            first_moment = self._state(self.M, name, param)
            self.adam(param, grad, second_moment, first_moment, self.t, self.init_lr)
