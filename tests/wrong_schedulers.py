"""Schedulers with one mistake each, as they are made in practice. None may pass for torch's.

``WRONG`` maps the mistake to a case of ``test_lr_scheduler.CASES`` that it spoils, and the class.
A wrong class bears its mistake; the right one that it stands for is its parent.
"""

from nndl.optim import lr_scheduler as right


class MilestoneLate(right.MultiStepLR):
    def _factor(self, t, closed):
        return super()._factor(t - 1, closed)


class GammaEveryStep(right.StepLR):
    def _factor(self, t, closed):
        return self.gamma**t if closed else 1 if self._is_initial else self.gamma


class FloorAsFactor(right.StepLR):
    """`epoch // 30` for a decay: 0 at first, then growing."""

    def _next_lr(self):
        return [base_lr * (self.last_epoch // self.step_size) for base_lr in self.base_lrs]


class WarmUpFromZero(right.LinearLR):
    """What is multiplied up from 0 stays 0."""

    def _factor(self, t, closed):
        return 0.0 if t == 0 else super()._factor(t, closed)


class WarmUpWithoutEnd(right.LinearLR):
    def _factor(self, t, closed):
        rise = self.end_factor - self.start_factor
        if t == 0:
            return self.start_factor
        return 1 + rise / (self.total_iters * self.start_factor + (t - 1) * rise)


class ConstantNeverRestored(right.ConstantLR):
    def _factor(self, t, closed):
        return self.factor if closed or t == 0 else 1


class CosineTooShort(right.CosineAnnealingLR):
    def __init__(self, optimizer, T_max, eta_min=0.0, last_epoch=-1):
        super().__init__(optimizer, T_max - 1, eta_min, last_epoch)


class CosineForgetsItsFloor(right.CosineAnnealingLR):
    def _next_lr(self):
        return [lr - self.eta_min for lr in super()._next_lr()]


class ClosedForm(right.ExponentialLR):
    """The same on paper; its roundings differ."""

    def _next_lr(self):
        return self._get_closed_form_lr()


class FirstGroupOnly(right.ExponentialLR):
    def _next_lr(self):
        first, *others = (group["lr"] for group in self.optimizer.param_groups)
        return [first * self._factor(self.last_epoch, closed=False), *others]


class BaseAfterFirstStep(right.LinearLR):
    """Reads α_0 when the first factor is already in it."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.base_lrs = list(self._last_lr)


class PolynomialWithoutPower(right.PolynomialLR):
    def _factor(self, t, closed):
        power, self.power = self.power, 1.0
        factor = super()._factor(t, closed)
        self.power = power
        return factor


class LambdaCompounds(right.LambdaLR):
    """Applies λ(t) to the last rate instead of the first."""

    def _next_lr(self):
        pairs = zip(self.optimizer.param_groups, self.lr_lambdas, strict=True)
        return [group["lr"] * factor(self.last_epoch) for group, factor in pairs]


class LambdaForgetsItsMemory(right.LambdaLR):
    """Saves nothing of a callable object."""

    def state_dict(self):
        return super().state_dict() | {"lr_lambdas": [{"every": 1000}, None]}


class MultiplicativeStartsEarly(right.MultiplicativeLR):
    """Multiplies at construction, too."""

    def _next_lr(self):
        self._is_initial = False
        return super()._next_lr()


class RestartsLate(right.CosineAnnealingWarmRestarts):
    def step(self, epoch=None):
        if epoch is None and self.last_epoch >= 0 and self.T_cur + 1 == self.T_i:
            self.T_cur += 1
            self._update_lr()
        else:
            super().step(epoch)


class RestartsEquallyLong(right.CosineAnnealingWarmRestarts):
    def step(self, epoch=None):
        super().step(epoch)
        self.T_i = self.T_0


class CyclesFromZero(right.CyclicLR):
    """Halves the amplitude one cycle too late."""

    def scale_fn(self, x):
        return super().scale_fn(x - 1)


class MomentumStays(right.OneCycleLR):
    def _set_momentum(self, group, momentum):
        pass


class MomentumWithTheRate(right.CyclicLR):
    """Cycles momentum up when the rate goes up."""

    def _set_momentum(self, group, momentum):
        super()._set_momentum(group, 0.8 + 0.9 - momentum)


class OneCycleTooLong(right.OneCycleLR):
    def __init__(self, optimizer, max_lr, total_steps):
        super().__init__(optimizer, max_lr, total_steps + 1)


class AnyImprovementCounts(right.ReduceLROnPlateau):
    """Compares with <= and forgets the threshold."""

    def _improves(self, metric):
        return metric <= self.best if self.mode == "min" else metric >= self.best


class ThresholdForgotten(right.ReduceLROnPlateau):
    def _improves(self, metric):
        return metric < self.best if self.mode == "min" else metric > self.best


class Impatient(right.ReduceLROnPlateau):
    """Reduces after `patience` bad epochs instead of after more."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.patience -= 1


class NoCooldown(right.ReduceLROnPlateau):
    in_cooldown = False


class BelowTheFloor(right.ReduceLROnPlateau):
    def _reduce(self):
        self.min_lrs = [0.0] * len(self.min_lrs)
        super()._reduce()


class PlateauForgetsTheBest(right.ReduceLROnPlateau):
    def load_state_dict(self, state_dict):
        super().load_state_dict(state_dict | {"best": self.mode_worse})


class ResumesAtZero(right.CosineAnnealingLR):
    def load_state_dict(self, state_dict):
        super().load_state_dict(state_dict | {"last_epoch": 0})


class SequenceWithoutReset(right.SequentialLR):
    """The next scheduler goes on from wherever it stands."""

    def step(self):
        self.last_epoch += 1
        passed = sum(milestone <= self.last_epoch for milestone in self._milestones)
        self._schedulers[passed].step()
        self._last_lr = self._schedulers[passed].get_last_lr()


class SequenceWithoutUndo(right.SequentialLR):
    """The schedulers' first steps, taken when they were made, stay."""

    def recursive_undo(self, sched=None):
        pass


class SequenceForgetsItsParts(right.SequentialLR):
    def load_state_dict(self, state_dict):
        super().load_state_dict(state_dict | {"_schedulers": self.state_dict()["_schedulers"]})


class LastOneWins(right.ChainedScheduler):
    """Starts each scheduler from the rate that the first one found."""

    def step(self):
        rates = [group["lr"] for group in self.optimizer.param_groups]
        for scheduler in self._schedulers:
            for group, lr in zip(self.optimizer.param_groups, rates, strict=True):
                group["lr"] = lr
            scheduler.step()
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]


WRONG = {
    "milestone one epoch late": ("MultiStepLR", MilestoneLate),
    "gamma at every step": ("StepLR", GammaEveryStep),
    "epoch // 30 as a factor": ("StepLR", FloorAsFactor),
    "warm-up from zero": ("LinearLR long", WarmUpFromZero),
    "warm-up that never ends": ("LinearLR long", WarmUpWithoutEnd),
    "constant factor never restored": ("ConstantLR", ConstantNeverRestored),
    "cosine with T_max - 1": ("CosineAnnealingLR", CosineTooShort),
    "cosine without eta_min": ("CosineAnnealingLR many", CosineForgetsItsFloor),
    "closed form for the recursive one": ("ExponentialLR", ClosedForm),
    "only the first group": ("ExponentialLR", FirstGroupOnly),
    "base_lr read after the first step": ("LinearLR jumps", BaseAfterFirstStep),
    "power forgotten": ("PolynomialLR power", PolynomialWithoutPower),
    "lambda of the last rate": ("LambdaLR", LambdaCompounds),
    "memory of a lambda not saved": ("LambdaLR object", LambdaForgetsItsMemory),
    "multiplied at construction": ("MultiplicativeLR", MultiplicativeStartsEarly),
    "restart one epoch late": ("WarmRestarts", RestartsLate),
    "T_mult forgotten": ("WarmRestarts doubling", RestartsEquallyLong),
    "cycles counted from 0": ("CyclicLR triangular2", CyclesFromZero),
    "momentum not cycled": ("OneCycleLR", MomentumStays),
    "momentum with the rate": ("CyclicLR", MomentumWithTheRate),
    "one cycle one step longer": ("OneCycleLR", OneCycleTooLong),
    "plateau with <=": ("ReduceLROnPlateau equal metrics", AnyImprovementCounts),
    "plateau without threshold": ("ReduceLROnPlateau abs", ThresholdForgotten),
    "patience off by one": ("ReduceLROnPlateau", Impatient),
    "cooldown ignored": ("ReduceLROnPlateau max", NoCooldown),
    "min_lr ignored": ("ReduceLROnPlateau abs", BelowTheFloor),
    "best forgotten on resuming": ("ReduceLROnPlateau tensor", PlateauForgetsTheBest),
    "last_epoch forgotten on resuming": ("CosineAnnealingLR", ResumesAtZero),
    "next scheduler not reset": ("SequentialLR three", SequenceWithoutReset),
    "first steps not undone": ("SequentialLR cosine", SequenceWithoutUndo),
    "parts forgotten on resuming": ("SequentialLR cosine", SequenceForgetsItsParts),
    "last of the chain wins": ("ChainedScheduler", LastOneWins),
}
