"""The update rules, each written once.

A rule changes one parameter tensor ``param`` in place, given its gradient ``grad``, the state that
it keeps for this parameter (also changed in place) and its hyper-parameters. All tensors of one
call have the same shape and dtype, and any shape will do, unless the rule says otherwise.
Two shells apply the rules to a whole model, hold the state and count the steps: ``nndl.optimizer``
(dictionaries of parameters, Part I) and ``nndl.optim`` (parameter groups, Part II).

Notation: θ parameter, g gradient, α learning rate ``lr``, λ ``weight_decay``, ε ``eps``, t step
(1, 2, ...). Each rule rounds as ``torch.optim`` does, operation for operation, and so equals it bit
for bit.
"""

import math

import torch
from torch import Tensor

__all__ = [
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adamax",
    "amsgrad",
    "asgd",
    "decay_weights",
    "l2_penalty",
    "momentum",
    "muon",
    "nadam",
    "nesterov",
    "newton_schulz",
    "radam",
    "rmsprop",
    "rmsprop_graves",
    "rprop",
    "sgd",
    "sparse_adagrad",
    "sparse_adam",
]


def sgd(param: Tensor, grad: Tensor, *, lr: float) -> None:
    """Gradient descent (Cauchy, 1847); with mini-batch gradients, SGD (Robbins & Monro, 1951).

    >>> x = torch.tensor([3.0, 4.0])
    >>> sgd(x, torch.tensor([1.0, 16.0]), lr=0.25)
    >>> x
    tensor([2.7500, 0.0000])
    """
    # θ ← θ − α g
    param.add_(grad, alpha=-lr)


def momentum(
    param: Tensor, grad: Tensor, velocity: Tensor, *, lr: float, rho: float, dampening: float = 0.0
) -> None:
    """Momentum, the heavy ball (Polyak, 1964): `velocity` is a decaying sum of gradients.

    Torch's `dampening` τ weakens each new gradient; it is 0 unless stated.

    >>> x, v = torch.tensor([1.0]), torch.zeros(1)
    >>> for _ in range(2):
    ...     momentum(x, torch.tensor([1.0]), v, lr=0.1, rho=0.5)
    >>> x, v
    (tensor([0.7500]), tensor([1.5000]))
    """
    # v ← ρ v + (1 − τ) g
    velocity.mul_(rho).add_(grad, alpha=1 - dampening)
    # θ ← θ − α v
    param.add_(velocity, alpha=-lr)


def nesterov(param: Tensor, grad: Tensor, velocity: Tensor, *, lr: float, rho: float) -> None:
    """Nesterov momentum (Nesterov, 1983; in the form of Sutskever et al., 2013, and torch).

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
    scratch: Tensor | None = None,
) -> None:
    """Adam (Kingma & Ba, 2015, algorithm 1); `step` is t, 1 at the first update.

    `scratch`, if given, is overwritten: it saves the memory of a temporary.

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
    denominator = torch.sqrt(second_moment, out=scratch).div_(correction2**0.5).add_(eps)
    param.addcdiv_(first_moment, denominator, value=-lr / correction1)


def amsgrad(
    param: Tensor,
    grad: Tensor,
    first_moment: Tensor,
    second_moment: Tensor,
    largest: Tensor,
    step: int,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> None:
    """AMSGrad (Reddi, Kale & Kumar, 2018): Adam that divides by the largest v so far, `largest`.

    As in torch, the maximum is taken before the bias correction, which the paper does without: the
    effective rate can't grow, once that correction has faded.

    >>> x, m, v, largest = torch.ones(1), torch.zeros(1), torch.zeros(1), torch.zeros(1)
    >>> for t, g in enumerate([8.0, 0.0], start=1):
    ...     g = torch.tensor([g])
    ...     amsgrad(x, g, m, v, largest, t, lr=0.1, beta1=0.5, beta2=0.5, eps=0.0)
    >>> v, largest
    (tensor([16.]), tensor([32.]))
    """
    # m ← β₁ m + (1 − β₁) g    v ← β₂ v + (1 − β₂) g²
    first_moment.lerp_(grad, 1 - beta1)
    second_moment.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
    # v⁺ ← max(v⁺, v)
    torch.maximum(largest, second_moment, out=largest)
    # θ ← θ − α m̂ / (√v̂⁺ + ε)    with m̂ = m / (1 − β₁ᵗ), v̂⁺ = v⁺ / (1 − β₂ᵗ)
    correction1 = 1 - beta1**step
    correction2 = 1 - beta2**step
    denominator = largest.sqrt().div_(correction2**0.5).add_(eps)
    param.addcdiv_(first_moment, denominator, value=-lr / correction1)


def adamax(
    param: Tensor,
    grad: Tensor,
    first_moment: Tensor,
    largest: Tensor,
    step: int,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> None:
    """Adamax (Kingma & Ba, 2015, algorithm 2): Adam with the ∞-norm of the gradients so far.

    >>> x, m, u = torch.tensor([3.0]), torch.zeros(1), torch.zeros(1)
    >>> for t, g in enumerate([4.0, 1.0], start=1):
    ...     adamax(x, torch.tensor([g]), m, u, t, lr=0.5, beta1=0.5, beta2=0.75, eps=0.0)
    >>> u
    tensor([3.])
    """
    # m ← β₁ m + (1 − β₁) g
    first_moment.lerp_(grad, 1 - beta1)
    # u ← max(β₂ u, |g| + ε)
    torch.maximum(largest.mul_(beta2), grad.abs().add_(eps), out=largest)
    # θ ← θ − α m̂ / u    with m̂ = m / (1 − β₁ᵗ)
    param.addcdiv_(first_moment, largest, value=-(lr / (1 - beta1**step)))


def nadam(
    param: Tensor,
    grad: Tensor,
    first_moment: Tensor,
    second_moment: Tensor,
    mu_product: Tensor,
    step: int,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    momentum_decay: float,
) -> None:
    """NAdam (Dozat, 2016): Adam with Nesterov's look-ahead, and a momentum μ that warms up.

    `mu_product`, a 0-dim tensor that starts at 1, is the product of all μ so far. Torch keeps it in
    single precision even for a float64 `param`.

    >>> x, m, v, product = torch.zeros(1), torch.zeros(1), torch.zeros(1), torch.ones(())
    >>> g, rates = torch.tensor([4.0]), {"lr": 0.5, "beta1": 0.9, "beta2": 0.999, "eps": 0.0}
    >>> nadam(x, g, m, v, product, 1, **rates, momentum_decay=0.0)
    >>> x, product
    (tensor([-0.5282]), tensor(0.4500))
    """
    # μ_t = β₁ (1 − ½ · 0.96^(t ψ))    with ψ the decay of the momentum
    mu = beta1 * (1 - 0.5 * 0.96 ** (step * momentum_decay))
    mu_next = beta1 * (1 - 0.5 * 0.96 ** ((step + 1) * momentum_decay))
    # Π_t = μ_1 μ_2 ... μ_t
    mu_product.mul_(mu)
    product = mu_product.item()
    # m ← β₁ m + (1 − β₁) g    v ← β₂ v + (1 − β₂) g²
    first_moment.lerp_(grad, 1 - beta1)
    second_moment.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
    # θ ← θ − α [(1 − μ_t) g / (1 − Π_t) + μ_{t+1} m / (1 − Π_{t+1})] / (√v̂ + ε)
    denominator = second_moment.div(1 - beta2**step).sqrt_().add_(eps)
    param.addcdiv_(grad, denominator, value=-lr * (1 - mu) / (1 - product))
    param.addcdiv_(first_moment, denominator, value=-lr * mu_next / (1 - product * mu_next))


def radam(
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
    """RAdam (Liu et al., 2020): Adam that takes plain momentum steps until v̂ can be trusted.

    >>> x, m, v = torch.tensor([3.0]), torch.zeros(1), torch.zeros(1)
    >>> radam(x, torch.tensor([4.0]), m, v, 1, lr=0.5, beta1=0.9, beta2=0.999, eps=0.0)
    >>> x
    tensor([1.])
    """
    # m ← β₁ m + (1 − β₁) g    v ← β₂ v + (1 − β₂) g²
    first_moment.lerp_(grad, 1 - beta1)
    second_moment.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
    # m̂ = m / (1 − β₁ᵗ)
    corrected = first_moment / (1 - beta1**step)
    # ρ_∞ = 2 / (1 − β₂) − 1    ρ_t = ρ_∞ − 2 t β₂ᵗ / (1 − β₂ᵗ): the length of the average v
    correction2 = 1 - beta2**step
    rho_inf = 2 / (1 - beta2) - 1
    rho = rho_inf - 2 * step * beta2**step / correction2
    update = corrected.mul_(lr)
    if rho > 5:
        # r_t = √((ρ_t − 4)(ρ_t − 2) ρ_∞ / ((ρ_∞ − 4)(ρ_∞ − 2) ρ_t))
        rectifier = ((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)) ** 0.5
        # θ ← θ − α m̂ r_t √(1 − β₂ᵗ) / (√v + ε)
        denominator = second_moment.sqrt().add_(eps)
        update.mul_(correction2**0.5 / denominator).mul_(rectifier)
    # θ ← θ − α m̂    while the average is too short
    param.sub_(update)


def rmsprop_graves(
    param: Tensor,
    grad: Tensor,
    mean_sq: Tensor,
    mean: Tensor | None,
    velocity: Tensor | None,
    *,
    lr: float,
    beta: float,
    eps: float,
    rho: float,
) -> None:
    """RMSprop, centred and with momentum (Graves, 2013, equations 38 to 45).

    With ``mean=None`` it is not centred, with ``velocity=None`` it has no momentum.

    >>> x, s, mean, v = torch.zeros(1), torch.zeros(1), torch.zeros(1), torch.zeros(1)
    >>> rates = {"lr": 0.5, "beta": 0.5, "eps": 0.0, "rho": 0.9}
    >>> rmsprop_graves(x, torch.tensor([4.0]), s, mean, v, **rates)
    >>> x, s, mean
    (tensor([-1.]), tensor([8.]), tensor([2.]))
    """
    # s ← β s + (1 − β) g²
    mean_sq.mul_(beta).addcmul_(grad, grad, value=1 - beta)
    variance = mean_sq
    if mean is not None:
        # ḡ ← β ḡ + (1 − β) g    s̃ = s − ḡ²
        mean.lerp_(grad, 1 - beta)
        variance = mean_sq.addcmul(mean, mean, value=-1)
    denominator = variance.sqrt().add_(eps)
    if velocity is None:
        # θ ← θ − α g / (√s̃ + ε)
        param.addcdiv_(grad, denominator, value=-lr)
    else:
        # v ← ρ v + g / (√s̃ + ε)    θ ← θ − α v
        velocity.mul_(rho).addcdiv_(grad, denominator)
        param.add_(velocity, alpha=-lr)


def adadelta(
    param: Tensor,
    grad: Tensor,
    mean_sq: Tensor,
    mean_sq_delta: Tensor,
    *,
    lr: float,
    rho: float,
    eps: float,
) -> None:
    """Adadelta (Zeiler, 2012): the step has the unit of θ, from an average of earlier steps.

    >>> x, s, d = torch.zeros(1), torch.zeros(1), torch.zeros(1)
    >>> adadelta(x, torch.tensor([4.0]), s, d, lr=1.0, rho=0.5, eps=1.0)
    >>> x, s, d
    (tensor([-1.3333]), tensor([8.]), tensor([0.8889]))
    """
    # s ← ρ s + (1 − ρ) g²
    mean_sq.mul_(rho).addcmul_(grad, grad, value=1 - rho)
    # Δ = √(d + ε) / √(s + ε) · g
    root = mean_sq.add(eps).sqrt_()
    delta = mean_sq_delta.add(eps).sqrt_().div_(root).mul_(grad)
    # d ← ρ d + (1 − ρ) Δ²
    mean_sq_delta.mul_(rho).addcmul_(delta, delta, value=1 - rho)
    # θ ← θ − α Δ
    param.add_(delta, alpha=-lr)


def adafactor(
    param: Tensor,
    grad: Tensor,
    row: Tensor | None,
    col: Tensor | None,
    variance: Tensor | None,
    step: int,
    *,
    lr: float,
    beta2_decay: float,
    eps1: float | None,
    eps2: float,
    clip: float,
    weight_decay: float,
) -> None:
    """Adafactor (Shazeer & Stern, 2018): v as the product of its row means and column means.

    A matrix of shape (..., n, m) keeps `row` (..., n, 1) and `col` (..., 1, m), a vector keeps
    `variance`. Torch gives α and ε₁ their meaning here (its documentation says how and why).

    >>> x, g = torch.ones(2, 2), torch.tensor([[1.0, 2.0], [2.0, 4.0]])
    >>> row, col = torch.zeros(2, 1), torch.zeros(1, 2)
    >>> rates = {"lr": 0.5, "beta2_decay": -0.8, "eps1": None, "eps2": 1e-3, "clip": 1.0}
    >>> adafactor(x, g, row, col, None, 1, **rates, weight_decay=0.0)
    >>> x
    tensor([[0.5000, 0.5000],
            [0.5000, 0.5000]])
    """
    eps1 = torch.finfo(param.dtype).eps if eps1 is None else eps1
    # 1 − β̂ = t^τ    ρ = min(α, 1/√t)    size = max(ε₂, RMS(θ)) ρ
    weight = step**beta2_decay
    size = max(eps2, _rms(param)) * min(lr, 1 / step**0.5)
    if weight_decay:
        decay_weights(param, lr=lr, weight_decay=weight_decay)
    if row is not None and col is not None:
        # r ← β̂ r + (1 − β̂) mean over columns of g²    c ← β̂ c + (1 − β̂) mean over rows of g²
        for factor, dim in ((row, -1), (col, -2)):
            mean = torch.norm(grad, dim=dim, keepdim=True).square_().div_(grad.size(dim))
            factor.lerp_(mean, weight)
        # v = r c / mean(r)
        estimate = (row @ col).div_(row.mean(dim=-2, keepdim=True).clamp_(min=eps1))
    else:
        assert variance is not None
        # v ← β̂ v + (1 − β̂) g²
        variance.lerp_(grad * grad, weight)
        estimate = variance.clone()
    # u = g / √max(v, ε₁²)
    update = estimate.clamp_(min=eps1 * eps1).rsqrt_().mul_(grad)
    # θ ← θ − size · u / max(1, RMS(u) / d)
    norm = float(update.norm(2)) / (update.numel() ** 0.5 * clip)
    param.add_(update, alpha=-size / max(1.0, norm))


def _rms(x: Tensor) -> float:
    """Root of the mean square of all elements."""
    root: float = x.numel() ** 0.5
    return float(x.norm(2)) / root


def asgd(
    param: Tensor,
    grad: Tensor,
    average: Tensor,
    eta: Tensor,
    mu: Tensor,
    step: int,
    *,
    lr: float,
    lambd: float,
    power: float,
    start: float,
) -> None:
    """Averaged SGD (Polyak & Juditsky, 1992; with the rates of Bottou, 2012).

    `average`, the result to use, is the mean of θ from step `start` + 2 on, and θ itself before.
    `eta`, the decaying learning rate, begins at `lr`, and `mu`, the weight of the newest θ, at 1.
    Torch keeps these 0-dim tensors in single precision even for a float64 `param`.

    >>> x, mean, eta, mu = torch.zeros(1), torch.zeros(1), torch.tensor(0.5), torch.ones(())
    >>> g, rates = torch.ones(1), {"lr": 0.5, "lambd": 0.0, "power": 0.75, "start": 0.0}
    >>> for t in (1, 2, 3):
    ...     asgd(x, g, mean, eta, mu, t, **rates)
    >>> x, mean
    (tensor([-1.5000]), tensor([-1.2500]))
    """
    rate = eta.item()
    # θ ← (1 − λ η) θ − η g
    param.mul_(1 - lambd * rate).add_(grad, alpha=-rate)
    # a ← a + μ (θ − a)
    if mu.item() == 1:
        average.copy_(param)
    else:
        average.add_(param.sub(average).mul_(mu))
    # η ← α / (1 + λ α t)^p    μ ← 1 / max(1, t − t₀)
    eta.fill_(lr / (1 + lambd * lr * step) ** power)
    mu.fill_(1 / max(1, step - start))


def rprop(
    param: Tensor,
    grad: Tensor,
    previous: Tensor,
    step_size: Tensor,
    *,
    shrink: float,
    grow: float,
    smallest: float,
    largest: float,
) -> None:
    """Rprop (Riedmiller & Braun, 1993): only the signs of the gradient matter.

    Each coordinate has its own `step_size`; `previous` is the last gradient, 0 after a turn.

    >>> x, g, size = torch.zeros(2), torch.tensor([3.0, -0.001]), torch.tensor([1.0, 1.0])
    >>> bounds = {"shrink": 0.5, "grow": 2.0, "smallest": 1e-6, "largest": 50.0}
    >>> rprop(x, g, torch.tensor([5.0, 1.0]), size, **bounds)
    >>> x, size
    (tensor([-2.,  0.]), tensor([2.0000, 0.5000]))
    """
    # η ← η · (grow, shrink, 1)    as the sign of g g₋ is +, − or 0; bounded
    agreement = grad.mul(previous).sign_()
    factor = torch.ones_like(agreement)
    factor[agreement > 0] = grow
    factor[agreement < 0] = shrink
    step_size.mul_(factor).clamp_(smallest, largest)
    # After a change of sign the coordinate waits: g ← 0
    previous.copy_(grad).masked_fill_(agreement < 0, 0)
    # θ ← θ − η sign(g)
    param.addcmul_(previous.sign(), step_size, value=-1)


def muon(
    param: Tensor,
    grad: Tensor,
    velocity: Tensor,
    *,
    lr: float,
    ratio: float,
    weight_decay: float,
    momentum: float,
    nesterov: bool,
    coefficients: tuple[float, float, float],
    iterations: int,
    eps: float,
) -> None:
    """Muon (Jordan et al., 2024): momentum whose update of a matrix is made orthogonal.

    >>> x, g, v = torch.zeros(2, 2), torch.tensor([[0.0, 9.0], [0.1, 0.0]]), torch.zeros(2, 2)
    >>> rates = {"lr": 1.0, "ratio": 1.0, "weight_decay": 0.0, "momentum": 0.5, "eps": 1e-7}
    >>> coefficients = (3.4445, -4.775, 2.0315)
    >>> muon(x, g, v, **rates, nesterov=False, coefficients=coefficients, iterations=5)
    >>> x.round(decimals=1)
    tensor([[ 0.0000, -0.7000],
            [-0.8000,  0.0000]])
    """
    # v ← μ v + (1 − μ) g
    velocity.lerp_(grad, 1 - momentum)
    # Nesterov: u = μ v + (1 − μ) g, else u = v
    update = grad.lerp(velocity, momentum) if nesterov else velocity
    # θ ← (1 − α λ) θ − α r orthogonal(u)    with r a ratio that depends on the shape
    decay_weights(param, lr=lr, weight_decay=weight_decay)
    param.add_(newton_schulz(update, coefficients, iterations, eps), alpha=-(lr * ratio))


def newton_schulz(
    matrix: Tensor, coefficients: tuple[float, float, float], iterations: int, eps: float
) -> Tensor:
    """Push all singular values of `matrix` (n, m) towards 1, in bfloat16, without computing them.

    >>> x = newton_schulz(torch.diag(torch.tensor([8.0, 1.0])), (3.4445, -4.775, 2.0315), 5, 1e-7)
    >>> bool((x.float().diag() - 1).abs().max() < 0.35)
    True
    """
    a, b, c = coefficients
    x = matrix.bfloat16()
    tall = matrix.size(0) > matrix.size(1)
    # The products below are of the shorter side
    x = x.T if tall else x
    # X ← X / ‖X‖, so that no singular value is above 1
    x = x.div(x.norm().clamp(min=eps))
    for _ in range(iterations):
        # X ← a X + (b A + c A²) X    with A = X Xᵀ
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


def l2_penalty(param: Tensor, grad: Tensor, weight_decay: float) -> Tensor:
    """Return the gradient of the loss + λ/2 ‖θ‖² (Krogh & Hertz, 1991), as a new tensor.

    >>> l2_penalty(torch.tensor([3.0]), torch.tensor([6.0]), 0.5)
    tensor([7.5000])
    """
    if grad.is_sparse:
        raise RuntimeError("weight_decay must be 0 for sparse gradients: λ θ would not be sparse")
    # g + λ θ
    return grad.add(param, alpha=weight_decay)


def decay_weights(param: Tensor, *, lr: float, weight_decay: float) -> None:
    """Decoupled weight decay (Loshchilov & Hutter, 2019): shrink θ without touching the gradient.

    >>> x = torch.tensor([3.0])
    >>> decay_weights(x, lr=0.5, weight_decay=0.5)
    >>> x
    tensor([2.2500])
    """
    # θ ← (1 − α λ) θ
    param.mul_(1 - lr * weight_decay)


def sparse_adagrad(param: Tensor, grad: Tensor, sum_sq: Tensor, *, lr: float, eps: float) -> None:
    """AdaGrad for a sparse `grad`: the equations of ``adagrad``, at the rows that it holds.

    >>> x, s = torch.zeros(3), torch.zeros(3)
    >>> sparse_adagrad(x, torch.tensor([0.0, 4.0, 0.0]).to_sparse(), s, lr=0.5, eps=0.0)
    >>> x, s
    (tensor([ 0.0000, -0.5000,  0.0000]), tensor([ 0., 16.,  0.]))
    """
    grad = grad.coalesce()
    g = grad.values()
    # s ← s + g²
    sum_sq.add_(_like(grad, g.pow(2)))
    # θ ← θ − α g / (√s + ε)
    denominator = sum_sq.sparse_mask(grad).values().sqrt_().add_(eps)
    param.add_(_like(grad, g / denominator), alpha=-lr)


def sparse_adam(
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
    """Adam for a sparse `grad`: what the gradient does not hold keeps its moments and its value.

    >>> x, m, v = torch.zeros(3), torch.zeros(3), torch.zeros(3)
    >>> g = torch.tensor([0.0, 4.0, 0.0]).to_sparse()
    >>> sparse_adam(x, g, m, v, 1, lr=0.5, beta1=0.5, beta2=0.5, eps=0.0)
    >>> x, m
    (tensor([ 0.0000, -0.5000,  0.0000]), tensor([0., 2., 0.]))
    """
    grad = grad.coalesce()
    g = grad.values()
    if g.numel() == 0:
        return
    # m ← m + (1 − β₁)(g − m)
    m = first_moment.sparse_mask(grad).values()
    change = g.sub(m).mul_(1 - beta1)
    first_moment.add_(_like(grad, change))
    m = change.add_(m)
    # v ← v + (1 − β₂)(g² − v)
    v = second_moment.sparse_mask(grad).values()
    change = g.pow(2).sub_(v).mul_(1 - beta2)
    second_moment.add_(_like(grad, change))
    v = change.add_(v)
    # θ ← θ − α √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + ε)
    size = lr * math.sqrt(1 - beta2**step) / (1 - beta1**step)
    param.add_(_like(grad, -size * m.div_(v.sqrt_().add_(eps))))


def _like(sparse: Tensor, values: Tensor) -> Tensor:
    """Return a sparse tensor with `values` at the places of the coalesced `sparse`."""
    return torch.sparse_coo_tensor(sparse.indices(), values, sparse.shape, check_invariants=False)
