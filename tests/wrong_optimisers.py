"""Optimisers with one mistake each, as they are made in practice. None may pass the parity test.

``WRONG`` maps the mistake to the optimiser that it was meant to be and a function that makes it.
"""

import torch
from parity_harness import MakeOurs

from nndl import rules
from nndl.optimizer import Adagrad, Adam, Momentum, Nesterov, RMSprop, SimpleBatchGD


class UphillGD(SimpleBatchGD):
    """Adds the gradient."""

    def step(self) -> None:
        for _, param, grad in self._params_and_grads():
            param.add_(grad, alpha=self.init_lr)


class HalfGradientGD(SimpleBatchGD):
    """Takes the gradient of half the loss for that of the loss."""

    def step(self) -> None:
        for _, param, grad in self._params_and_grads():
            param.add_(grad, alpha=-self.init_lr / 2)


class FirstParameterOnlyGD(SimpleBatchGD):
    """Returns inside the loop."""

    def step(self) -> None:
        for _, param, grad in self._params_and_grads()[:1]:
            param.add_(grad, alpha=-self.init_lr)


class FrozenRateGD(SimpleBatchGD):
    """Copies the learning rate at construction and never looks again."""

    def __init__(self, init_lr, model):
        super().__init__(init_lr, model)
        self.frozen = init_lr

    def step(self) -> None:
        for _, param, grad in self._params_and_grads():
            param.add_(grad, alpha=-self.frozen)


class RateInsideVelocity(Momentum):
    """v ← ρ v − α g: the same for a constant rate only."""

    def momentum(self, x, gradient_x, delta_x, init_lr):
        delta_x.mul_(self.rho).add_(gradient_x, alpha=-init_lr)
        return x.add_(delta_x), delta_x


class AveragedVelocity(Momentum):
    """v ← ρ v + (1 − ρ) g: an average instead of a sum."""

    def momentum(self, x, gradient_x, delta_x, init_lr):
        delta_x.mul_(self.rho).add_(gradient_x, alpha=1 - self.rho)
        return x.add_(delta_x, alpha=-init_lr), delta_x


class ForgetfulMomentum(Momentum):
    """Starts each step with a new velocity."""

    def step(self) -> None:
        self.delta_x.clear()
        super().step()


class SharedVelocity(Momentum):
    """Keeps one velocity for all parameters of a size, as state shared between parameters does."""

    def momentum(self, x, gradient_x, delta_x, init_lr):
        first = next(iter(self.delta_x.values()))
        rules.momentum(x, gradient_x, delta_x, lr=init_lr, rho=self.rho)
        if delta_x is not first:
            first.add_(delta_x.mean())
        return x, delta_x


class NesterovWithoutLookAhead(Nesterov):
    """Is plain momentum."""

    def nesterov(self, x, gradient_x, delta_x, init_lr):
        rules.momentum(x, gradient_x, delta_x, lr=init_lr, rho=self.rho)
        return x, delta_x


class NesterovWithOldVelocity(Nesterov):
    """Looks ahead with the velocity before its update."""

    def nesterov(self, x, gradient_x, delta_x, init_lr):
        x.add_(gradient_x + self.rho * delta_x, alpha=-init_lr)
        delta_x.mul_(self.rho).add_(gradient_x)
        return x, delta_x


class EpsilonInRootAdagrad(Adagrad):
    """√(s + ε) for √s + ε."""

    def adagrad(self, x, gradient_x, G, init_lr):
        G.addcmul_(gradient_x, gradient_x)
        x.addcdiv_(gradient_x, (G + self.epsilon).sqrt(), value=-init_lr)
        return x, G


class LateAdagrad(Adagrad):
    """Divides by the sum before the new gradient is in it."""

    def adagrad(self, x, gradient_x, G, init_lr):
        x.addcdiv_(gradient_x, G.sqrt() + self.epsilon, value=-init_lr)
        G.addcmul_(gradient_x, gradient_x)
        return x, G


class AbsoluteAdagrad(Adagrad):
    """Sums |g| for g²."""

    def adagrad(self, x, gradient_x, G, init_lr):
        G.add_(gradient_x.abs())
        x.addcdiv_(gradient_x, G.sqrt() + self.epsilon, value=-init_lr)
        return x, G


class RootlessAdagrad(Adagrad):
    """Forgets the root."""

    def adagrad(self, x, gradient_x, G, init_lr):
        G.addcmul_(gradient_x, gradient_x)
        x.addcdiv_(gradient_x, G + self.epsilon, value=-init_lr)
        return x, G


class EpsilonInRootRMSprop(RMSprop):
    """√(s + ε) for √s + ε."""

    def rmsprop(self, x, gradient_x, G, init_lr):
        G.mul_(self.beta).addcmul_(gradient_x, gradient_x, value=1 - self.beta)
        x.addcdiv_(gradient_x, (G + self.epsilon).sqrt(), value=-init_lr)
        return x, G


class SwappedWeightsRMSprop(RMSprop):
    """β and 1 − β swapped."""

    def rmsprop(self, x, gradient_x, G, init_lr):
        rules.rmsprop(x, gradient_x, G, lr=init_lr, beta=1 - self.beta, eps=self.epsilon)
        return x, G


class SummingRMSprop(RMSprop):
    """s ← β s + g²: forgets the factor 1 − β."""

    def rmsprop(self, x, gradient_x, G, init_lr):
        G.mul_(self.beta).addcmul_(gradient_x, gradient_x)
        x.addcdiv_(gradient_x, G.sqrt() + self.epsilon, value=-init_lr)
        return x, G


class CounterPerParameterAdam(Adam):
    """Advances the counter once for each parameter."""

    def step(self) -> None:
        for name, param, grad in self._params_and_grads():
            self.t += 1
            state = self._state(self.G, name, param), self._state(self.M, name, param)
            self.adam(param, grad, *state, self.t, self.init_lr)


class FrozenCounterAdam(Adam):
    """Never advances the counter."""

    def step(self) -> None:
        self.t = 0
        super().step()


class CounterFromZeroAdam(Adam):
    """Corrects at step t as if it were the one before (and not at all at the first)."""

    def adam(self, x, gradient_x, G, M, t, init_lr):
        if t == 1:
            M.lerp_(gradient_x, 1 - self.beta1)
            G.mul_(self.beta2).addcmul_(gradient_x, gradient_x, value=1 - self.beta2)
            x.addcdiv_(M, G.sqrt() + self.epsilon, value=-init_lr)
            return x, G, M, t
        return super().adam(x, gradient_x, G, M, t - 1, init_lr)


class UncorrectedAdam(Adam):
    """No bias correction: as if t were infinite."""

    def adam(self, x, gradient_x, G, M, t, init_lr):
        return super().adam(x, gradient_x, G, M, 10**9, init_lr)


class HalfCorrectedAdam(Adam):
    """Corrects the first moment only."""

    def adam(self, x, gradient_x, G, M, t, init_lr):
        M.lerp_(gradient_x, 1 - self.beta1)
        G.mul_(self.beta2).addcmul_(gradient_x, gradient_x, value=1 - self.beta2)
        x.addcdiv_(M, G.sqrt() + self.epsilon, value=-init_lr / (1 - self.beta1**t))
        return x, G, M, t


class SwappedBetasAdam(Adam):
    """β₁ and β₂ swapped."""

    def __init__(self, init_lr, model, beta1, beta2, epsilon):
        super().__init__(init_lr, model, beta2, beta1, epsilon)


class EpsilonInRootAdam(Adam):
    """√(v̂ + ε) for √v̂ + ε."""

    def adam(self, x, gradient_x, G, M, t, init_lr):
        M.lerp_(gradient_x, 1 - self.beta1)
        G.mul_(self.beta2).addcmul_(gradient_x, gradient_x, value=1 - self.beta2)
        denominator = (G / (1 - self.beta2**t) + self.epsilon).sqrt()
        x.addcdiv_(M, denominator, value=-init_lr / (1 - self.beta1**t))
        return x, G, M, t


class EpsilonBeforeCorrectionAdam(Adam):
    """(√v + ε) / √(1 − β₂ᵗ): the epsilon is corrected along with the root."""

    def adam(self, x, gradient_x, G, M, t, init_lr):
        M.lerp_(gradient_x, 1 - self.beta1)
        G.mul_(self.beta2).addcmul_(gradient_x, gradient_x, value=1 - self.beta2)
        denominator = (G.sqrt() + self.epsilon) / (1 - self.beta2**t) ** 0.5
        x.addcdiv_(M, denominator, value=-init_lr / (1 - self.beta1**t))
        return x, G, M, t


class CopyingAdam(Adam):
    """Updates copies of its state, which are thrown away."""

    @staticmethod
    def _state(store, name, param):
        return torch.zeros_like(param)


WRONG: dict[str, tuple[str, MakeOurs]] = {
    **{wrong.__name__: ("SGD", wrong) for wrong in (UphillGD, HalfGradientGD)},
    **{wrong.__name__: ("SGD", wrong) for wrong in (FirstParameterOnlyGD, FrozenRateGD)},
    **{
        wrong.__name__: ("Momentum", lambda lr, model, wrong=wrong: wrong(lr, model, 0.9))
        for wrong in (RateInsideVelocity, AveragedVelocity, ForgetfulMomentum, SharedVelocity)
    },
    **{
        wrong.__name__: ("Nesterov", lambda lr, model, wrong=wrong: wrong(lr, model, 0.9))
        for wrong in (NesterovWithoutLookAhead, NesterovWithOldVelocity)
    },
    **{
        wrong.__name__: ("Adagrad", lambda lr, model, wrong=wrong: wrong(lr, model, 1e-7))
        for wrong in (EpsilonInRootAdagrad, LateAdagrad, AbsoluteAdagrad, RootlessAdagrad)
    },
    **{
        wrong.__name__: ("RMSprop", lambda lr, model, wrong=wrong: wrong(lr, model, 0.9, 1e-7))
        for wrong in (EpsilonInRootRMSprop, SwappedWeightsRMSprop, SummingRMSprop)
    },
    **{
        wrong.__name__: ("Adam", lambda lr, model, wrong=wrong: wrong(lr, model, 0.9, 0.99, 1e-7))
        for wrong in (
            CounterPerParameterAdam,
            FrozenCounterAdam,
            CounterFromZeroAdam,
            UncorrectedAdam,
            HalfCorrectedAdam,
            SwappedBetasAdam,
            EpsilonInRootAdam,
            EpsilonBeforeCorrectionAdam,
            CopyingAdam,
        )
    },
}
