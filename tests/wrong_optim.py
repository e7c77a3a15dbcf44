"""Algorithms of nndl.optim with one mistake each. None may pass for torch's.

``WRONG`` maps the mistake to the algorithm that it was meant to be, the options to try it with, and
the wrong class. Most mistakes are in a rule; they are made by wrapping or replacing it.
"""

import math
from collections.abc import Callable
from typing import Any, ClassVar

import torch

from nndl import optim, rules
from nndl.optim import algorithms

# The rules as they are, for the mistakes that call them with other arguments.
ADAMAX, AMSGRAD, MUON = rules.adamax, rules.amsgrad, rules.muon
WRONG: dict[str, tuple[str, dict[str, Any], type[optim.Optimizer]]] = {}


def mistake(of: type[optim.Optimizer], **options: Any) -> Callable[[type], type]:
    """Register a wrong copy of a class, to be tried with these options."""

    def register(wrong: type) -> type:
        WRONG[wrong.__name__] = (of.__name__, options, wrong)
        return wrong

    return register


def with_rule(name: str, rule: Callable[..., None]) -> Callable[..., None]:
    """An ``update`` that runs with one rule replaced."""

    def update(self, *arguments):
        right = getattr(rules, name)
        setattr(algorithms.rules, name, rule)
        try:
            super(type(self), self).update(*arguments)
        finally:
            setattr(algorithms.rules, name, right)

    return update


# ---- SGD


@mistake(optim.SGD, momentum=0.9, dampening=0.5)
class DampenedFirstStep(optim.SGD):
    """Dampens the first gradient too."""

    def init_state(self, param, grad, group):
        return {"momentum_buffer": torch.zeros_like(grad)}


@mistake(optim.SGD, momentum=0.9, nesterov=True)
class NesterovWithOldVelocity(optim.SGD):
    """Looks ahead with the velocity before its update."""

    @staticmethod
    def _wrong(param, grad, velocity, *, lr, rho):
        param.add_(grad + rho * velocity, alpha=-lr)
        velocity.mul_(rho).add_(grad)

    update = with_rule("nesterov", _wrong)


@mistake(optim.SGD, momentum=0.9, weight_decay=0.1)
class DecayOutsideVelocity(optim.SGD):
    """Decouples a decay that should enter the velocity."""

    def update(self, param, grad, state, group):
        param.mul_(1 - group["lr"] * group["weight_decay"])
        super().update(param, grad, state, {**group, "weight_decay": 0})


@mistake(optim.SGD, weight_decay=0.1)
class DecayUphill(optim.SGD):
    """Subtracts the penalty's gradient."""

    def update(self, param, grad, state, group):
        super().update(param, grad, state, {**group, "weight_decay": -group["weight_decay"]})


@mistake(optim.SGD, momentum=0.9)
class OneBufferForAll(optim.SGD):
    """Shares the velocity between parameters of one shape through a common default."""

    buffers: ClassVar[dict] = {}

    def init_state(self, param, grad, group):
        key = (grad.numel() > 3, id(self))
        shared = self.buffers.setdefault(key, torch.zeros(100, dtype=grad.dtype))
        return {"momentum_buffer": shared[: grad.numel()].view(grad.shape)}


@mistake(optim.SGD, lr=0.01)
class FirstGroupsRate(optim.SGD):
    """Takes the learning rate of the first group for all."""

    def update(self, param, grad, state, group):
        super().update(param, grad, state, {**group, "lr": self.param_groups[0]["lr"]})


@mistake(optim.SGD, momentum=0.9)
class NoneIsZero(optim.SGD):
    """Takes a step for a parameter that has no gradient."""

    def _step(self, closure=None):
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is None:
                    param.grad = torch.zeros_like(param)
        return super()._step(closure)


@mistake(optim.SGD, weight_decay=0.1, maximize=True)
class MaximizeAfterDecay(optim.SGD):
    """Negates the gradient with the penalty in it."""

    def update(self, param, grad, state, group):
        penalised = -(-grad).add(param, alpha=group["weight_decay"])
        super().update(param, penalised, state, {**group, "weight_decay": 0})


# ---- Adagrad, RMSprop, Adadelta


@mistake(optim.Adagrad, lr_decay=0.5)
class DecayFromTheFirstStep(optim.Adagrad):
    """Uses t for t − 1 in the decaying rate."""

    def update(self, param, grad, state, group):
        super().update(param, grad, {**state, "step": state["step"] + 1}, group)


@mistake(optim.Adagrad, initial_accumulator_value=0.1)
class EmptyAccumulator(optim.Adagrad):
    """Forgets the start value."""

    def init_state(self, param, grad, group):
        return {"step": 0, "sum": torch.zeros_like(param)}


@mistake(optim.RMSprop, centered=True)
class CentredOnTheGradient(optim.RMSprop):
    """Subtracts g² instead of the squared average."""

    @staticmethod
    def _wrong(param, grad, mean_sq, mean, velocity, *, lr, beta, eps, rho):
        mean_sq.mul_(beta).addcmul_(grad, grad, value=1 - beta)
        mean.lerp_(grad, 1 - beta)
        variance = mean_sq.addcmul(grad, grad, value=-(1 - beta))
        param.addcdiv_(grad, variance.clamp_(min=0).sqrt_().add_(eps), value=-lr)

    update = with_rule("rmsprop_graves", _wrong)


@mistake(optim.RMSprop, momentum=0.9)
class RateInsideVelocity(optim.RMSprop):
    """Puts the learning rate into the velocity: the same until it changes."""

    @staticmethod
    def _wrong(param, grad, mean_sq, mean, velocity, *, lr, beta, eps, rho):
        mean_sq.mul_(beta).addcmul_(grad, grad, value=1 - beta)
        velocity.mul_(rho).addcdiv_(grad, mean_sq.sqrt().add_(eps), value=lr)
        param.sub_(velocity)

    update = with_rule("rmsprop_graves", _wrong)


@mistake(optim.Adadelta, rho=0.95)
class DeltaAfterUpdate(optim.Adadelta):
    """Averages the gradient, not the step."""

    @staticmethod
    def _wrong(param, grad, mean_sq, mean_sq_delta, *, lr, rho, eps):
        mean_sq.mul_(rho).addcmul_(grad, grad, value=1 - rho)
        delta = (mean_sq_delta + eps).sqrt() / (mean_sq + eps).sqrt() * grad
        mean_sq_delta.mul_(rho).addcmul_(grad, grad, value=1 - rho)
        param.add_(delta, alpha=-lr)

    update = with_rule("adadelta", _wrong)


@mistake(optim.Adadelta, lr=0.1)
class EpsilonOutsideTheRoots(optim.Adadelta):
    """√s + ε for √(s + ε)."""

    @staticmethod
    def _wrong(param, grad, mean_sq, mean_sq_delta, *, lr, rho, eps):
        mean_sq.mul_(rho).addcmul_(grad, grad, value=1 - rho)
        delta = (mean_sq_delta.sqrt() + eps) / (mean_sq.sqrt() + eps) * grad
        mean_sq_delta.mul_(rho).addcmul_(delta, delta, value=1 - rho)
        param.add_(delta, alpha=-lr)

    update = with_rule("adadelta", _wrong)


# ---- Adam and its family


@mistake(optim.AdamW, weight_decay=0.1)
class CoupledAdamW(optim.Adam):
    """Adds the decay to the gradient: plain Adam."""


@mistake(optim.AdamW, weight_decay=0.1)
class DecayWithoutRate(optim.AdamW):
    """θ ← (1 − λ) θ: forgets the learning rate."""

    @staticmethod
    def _wrong(param, *, lr, weight_decay):
        param.mul_(1 - 0.01 * weight_decay)

    update = with_rule("decay_weights", _wrong)


@mistake(optim.AdamW, weight_decay=0.1)
class DecayAfterTheStep(optim.AdamW):
    """Decays the weights after the step instead of before."""

    def update(self, param, grad, state, group):
        super().update(param, grad, state, {**group, "weight_decay": 0})
        rules.decay_weights(param, lr=group["lr"], weight_decay=group["weight_decay"])


@mistake(optim.Adam, amsgrad=True, weight_decay=0.1)
class ForgetfulAMSGrad(optim.Adam):
    """Takes the maximum of now and the last step only."""

    @staticmethod
    def _wrong(param, grad, m, v, largest, step, **rates):
        AMSGRAD(param, grad, m, v, largest.copy_(v), step, **rates)

    update = with_rule("amsgrad", _wrong)


@mistake(optim.Adam, eps=1e-3)
class SmallerEpsilon(optim.Adam):
    """√v̂ + ε √(1 − β₂ᵗ): the epsilon is corrected away."""

    @staticmethod
    def _wrong(param, grad, m, v, step, *, lr, beta1, beta2, eps, scratch=None):
        m.lerp_(grad, 1 - beta1)
        v.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        size = lr * math.sqrt(1 - beta2**step) / (1 - beta1**step)
        param.addcdiv_(m, v.sqrt().add_(eps), value=-size)

    update = with_rule("adam", _wrong)


@mistake(optim.Adam, lr=0.01)
class OneCounterForAll(optim.Adam):
    """Counts one step for each parameter, in a counter that all share."""

    def update(self, param, grad, state, group):
        self.count = getattr(self, "count", 0) + 1
        super().update(param, grad, {**state, "step": self.count}, group)


@mistake(optim.Adam, lr=0.01)
class StepCountsCalls(optim.Adam):
    """Advances the counter of a parameter that had no gradient."""

    def _step(self, closure=None):
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is None and param in self.state:
                    self.state[param]["step"] += 1
        return super()._step(closure)


@mistake(optim.Adamax, lr=0.01)
class AverageForMaximum(optim.Adamax):
    """Averages |g| instead of keeping its decaying maximum."""

    @staticmethod
    def _wrong(param, grad, m, u, step, *, lr, beta1, beta2, eps):
        m.lerp_(grad, 1 - beta1)
        u.mul_(beta2).add_(grad.abs() + eps, alpha=1 - beta2)
        param.addcdiv_(m, u, value=-lr / (1 - beta1**step))

    update = with_rule("adamax", _wrong)


@mistake(optim.Adamax, lr=0.01)
class CorrectedMaximum(optim.Adamax):
    """Corrects a bias that a maximum does not have."""

    @staticmethod
    def _wrong(param, grad, m, u, step, *, lr, beta2, **rates):
        ADAMAX(param, grad, m, u, step, lr=lr * (1 - beta2**step), beta2=beta2, **rates)

    update = with_rule("adamax", _wrong)


@mistake(optim.NAdam, lr=0.01)
class ConstantMomentum(optim.NAdam):
    """Leaves out the warm-up of μ."""

    def update(self, param, grad, state, group):
        super().update(param, grad, state, {**group, "momentum_decay": 1e9})


@mistake(optim.NAdam, lr=0.01)
class ForgottenProduct(optim.NAdam):
    """Corrects with μ_t instead of the product of all."""

    def update(self, param, grad, state, group):
        state["mu_product"].fill_(1)
        super().update(param, grad, state, group)


@mistake(optim.RAdam, lr=0.01)
class NeverRectified(optim.RAdam):
    """Stays with plain momentum."""

    @staticmethod
    def _wrong(param, grad, m, v, step, *, lr, beta1, beta2, eps):
        m.lerp_(grad, 1 - beta1)
        v.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        param.sub_(m / (1 - beta1**step) * lr)

    update = with_rule("radam", _wrong)


@mistake(optim.RAdam, lr=0.01)
class RectifiedFromTheStart(optim.RAdam):
    """Takes Adam's step while the average is still too short."""

    update = with_rule("radam", rules.adam)


@mistake(optim.Adafactor, lr=0.01)
class NeverClipped(optim.Adafactor):
    """Forgets to clip large updates."""

    def update(self, param, grad, state, group):
        super().update(param, grad, state, {**group, "d": 1e9})


@mistake(optim.Adafactor, weight_decay=0.1)
class SizeAfterDecay(optim.Adafactor):
    """Measures the size of θ after the decay instead of before."""

    def update(self, param, grad, state, group):
        rules.decay_weights(param, lr=group["lr"], weight_decay=group["weight_decay"])
        super().update(param, grad, state, {**group, "weight_decay": 0})


# ---- the others


@mistake(optim.ASGD, t0=10)
class AverageOfEverything(optim.ASGD):
    """Starts to average at the first step."""

    def update(self, param, grad, state, group):
        super().update(param, grad, state, {**group, "t0": 0})


@mistake(optim.ASGD, lambd=0.1)
class ConstantRate(optim.ASGD):
    """Never lets η decay."""

    def update(self, param, grad, state, group):
        super().update(param, grad, state, {**group, "alpha": 0.0})


@mistake(optim.Rprop, lr=0.01)
class StepsBackAtTurns(optim.Rprop):
    """Moves where it should wait, after a change of sign."""

    @staticmethod
    def _wrong(param, grad, previous, step_size, *, shrink, grow, smallest, largest):
        agreement = grad.mul(previous).sign_()
        factor = torch.ones_like(agreement)
        factor[agreement > 0] = grow
        factor[agreement < 0] = shrink
        step_size.mul_(factor).clamp_(smallest, largest)
        param.addcmul_(grad.sign(), step_size, value=-1)
        previous.copy_(grad)

    update = with_rule("rprop", _wrong)


@mistake(optim.Rprop, lr=0.01, step_sizes=(2e-6, 0.02))
class UnboundedSizes(optim.Rprop):
    """Forgets the bounds of the step size."""

    def update(self, param, grad, state, group):
        super().update(param, grad, state, {**group, "step_sizes": (0.0, math.inf)})


@mistake(optim.Muon, lr=0.01)
class TallMatrixNotTurned(optim.Muon):
    """Scales by columns / rows."""

    @staticmethod
    def _wrong(param, grad, velocity, *, ratio, **rates):
        rows, columns = param.shape
        MUON(param, grad, velocity, ratio=math.sqrt(max(1, columns / rows)), **rates)

    update = with_rule("muon", _wrong)


@mistake(optim.Muon, lr=0.01)
class SummingMuon(optim.Muon):
    """A decaying sum for the average: the direction of plain momentum, the look-ahead's not."""

    @staticmethod
    def _wrong(param, grad, velocity, *, momentum, **rates):
        velocity.mul_(momentum).add_(grad)
        MUON(param, grad, velocity, momentum=0.0, **rates)

    update = with_rule("muon", _wrong)


@mistake(optim.SparseAdam, lr=0.01)
class DenseDecay(optim.SparseAdam):
    """Decays the moments of rows that the gradient does not hold."""

    def update(self, param, grad, state, group):
        dense = grad.to_dense()
        rates = algorithms.moment_rates(group)
        rules.adam(param, dense, state["exp_avg"], state["exp_avg_sq"], state["step"], **rates)


@mistake(optim.SparseAdam, lr=0.01)
class UncoalescedSparseAdam(optim.SparseAdam):
    """Takes the last of repeated rows instead of their sum."""

    def update(self, param, grad, state, group):
        rows, values = grad._indices()[0], grad._values()
        last = {int(row): value for row, value in zip(rows, values, strict=True)}
        index = torch.tensor([list(last)])
        kept = torch.sparse_coo_tensor(
            index, torch.stack(list(last.values())), grad.shape, check_invariants=True
        )
        super().update(param, kept, state, group)
