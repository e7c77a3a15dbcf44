"""The update rules, each written once.

A rule changes one parameter tensor ``param`` in place, given its gradient ``grad``, the state that
it keeps for this parameter (also changed in place) and its hyper-parameters. All tensors of one
call have the same shape and dtype; any shape will do, since every rule works element by element.
The shells that apply a rule to a whole model (``nndl.optimizer``) hold the state and the step
counter.

Notation: θ parameter, g gradient, α learning rate ``lr``, ε ``eps``, t step (1, 2, ...).
Each rule rounds as ``torch.optim`` does, operation for operation, and so equals it bit for bit.
"""

from torch import Tensor

__all__ = ["adagrad", "adam", "momentum", "nesterov", "rmsprop", "sgd"]


def sgd(param: Tensor, grad: Tensor, *, lr: float) -> None:
    """Gradient descent (Cauchy, 1847); with mini-batch gradients, SGD (Robbins & Monro, 1951).

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([3.0, 4.0])
    >>> sgd(x, torch.tensor([1.0, 16.0]), lr=0.25)
    >>> x
    tensor([2.7500, 0.0000])
    """
    # θ ← θ − α g
    param.add_(grad, alpha=-lr)


def momentum(param: Tensor, grad: Tensor, velocity: Tensor, *, lr: float, rho: float) -> None:
    """Momentum, the heavy ball (Polyak, 1964): `velocity` is a decaying sum of gradients.

    Examples
    --------
    >>> import torch
    >>> x, v = torch.tensor([1.0]), torch.zeros(1)
    >>> for _ in range(2):
    ...     momentum(x, torch.tensor([1.0]), v, lr=0.1, rho=0.5)
    >>> x, v
    (tensor([0.7500]), tensor([1.5000]))
    """
    # v ← ρ v + g
    velocity.mul_(rho).add_(grad)
    # θ ← θ − α v
    param.add_(velocity, alpha=-lr)


def nesterov(param: Tensor, grad: Tensor, velocity: Tensor, *, lr: float, rho: float) -> None:
    """Nesterov momentum (Nesterov, 1983; in the form of Sutskever et al., 2013, and torch).

    Examples
    --------
    >>> import torch
    >>> x, v = torch.tensor([1.0]), torch.zeros(1)
    >>> nesterov(x, torch.tensor([1.0]), v, lr=0.5, rho=0.5)
    >>> x, v
    (tensor([0.2500]), tensor([1.]))
    """
    # v ← ρ v + g
    velocity.mul_(rho).add_(grad)
    # θ ← θ − α (g + ρ v)
    param.add_(grad.add(velocity, alpha=rho), alpha=-lr)


def adagrad(param: Tensor, grad: Tensor, sum_sq: Tensor, *, lr: float, eps: float) -> None:
    """AdaGrad (Duchi, Hazan & Singer, 2011): `sum_sq` sums the squared gradients.

    Examples
    --------
    >>> import torch
    >>> x, s = torch.tensor([1.0, 1.0]), torch.zeros(2)
    >>> adagrad(x, torch.tensor([0.01, 100.0]), s, lr=0.5, eps=0.0)
    >>> x
    tensor([0.5000, 0.5000])
    """
    # s ← s + g²
    sum_sq.addcmul_(grad, grad)
    # θ ← θ − α g / (√s + ε)
    param.addcdiv_(grad, sum_sq.sqrt().add_(eps), value=-lr)


def rmsprop(
    param: Tensor, grad: Tensor, mean_sq: Tensor, *, lr: float, beta: float, eps: float
) -> None:
    """RMSprop (Tieleman & Hinton, 2012): `mean_sq` is a moving average of squared gradients.

    Examples
    --------
    >>> import torch
    >>> x, s = torch.tensor([1.0]), torch.zeros(1)
    >>> rmsprop(x, torch.tensor([4.0]), s, lr=0.1, beta=0.75, eps=0.0)
    >>> x, s
    (tensor([0.8000]), tensor([4.]))
    """
    # s ← β s + (1 − β) g²
    mean_sq.mul_(beta).addcmul_(grad, grad, value=1 - beta)
    # θ ← θ − α g / (√s + ε)
    param.addcdiv_(grad, mean_sq.sqrt().add_(eps), value=-lr)


def adam(
    param: Tensor,
    grad: Tensor,
    first_moment: Tensor,
    second_moment: Tensor,
    step: int,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> None:
    """Adam (Kingma & Ba, 2015, algorithm 1); `step` is t, 1 at the first update.

    Examples
    --------
    >>> import torch
    >>> x, m, v = torch.tensor([3.0, 4.0]), torch.zeros(2), torch.zeros(2)
    >>> adam(x, torch.tensor([1.2, 16.0]), m, v, 1, lr=0.5, beta1=0.9, beta2=0.999, eps=0.0)
    >>> x
    tensor([2.5000, 3.5000])
    """
    # m ← β₁ m + (1 − β₁) g
    first_moment.lerp_(grad, 1 - beta1)
    # v ← β₂ v + (1 − β₂) g²
    second_moment.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
    # m̂ = m / (1 − β₁ᵗ)    v̂ = v / (1 − β₂ᵗ)
    correction1 = 1 - beta1**step
    correction2 = 1 - beta2**step
    # θ ← θ − α m̂ / (√v̂ + ε)
    denominator = (second_moment.sqrt() / correction2**0.5).add_(eps)
    param.addcdiv_(first_moment, denominator, value=-lr / correction1)
