"""L-BFGS: Newton's direction out of the last few steps (Liu & Nocedal, 1989).

All parameters are one long vector x, with gradient g. An iteration moves x ← x + t d and remembers
the pair s = t d (``old_stps``), y = change of g (``old_dirs``), and with it ρ (``ro``), α (``al``)
and γ (``H_diag``). These names are torch's; numbers in brackets are those of Nocedal & Wright,
*Numerical Optimization*, 2nd edition, 2006.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from nndl.optim._options import NON_NEGATIVE, OPTIONS, Check, check_options
from nndl.optim.algorithms import arguments
from nndl.optim.optimizer import Closure, Group, Optimizer, ParamsT, State, as_real

__all__ = ["LBFGS"]

Number = float | Tensor
COUNT = Check(lambda value: isinstance(value, int) and value >= 1, "a whole number >= 1")

# Constants of the line search, options neither here nor in torch: those of the Wolfe conditions,
# and how little every xᵢ changes in a bracket that is not searched further.
C1, C2 = 1e-4, 0.9
NARROW = 1e-9


def remember(state: State, s: Tensor, y: Tensor, history_size: int) -> None:
    """Add the newest pair to the history and drop the oldest, if f curves upwards along s."""
    # yᵀs > 0 (6.7) keeps H positive definite, and so −H g a way down.
    curvature = y.dot(s)
    if curvature > 1e-10:
        # ρ = 1 / yᵀs    (7.17)
        for name, value in {"old_dirs": y, "old_stps": s, "ro": 1.0 / curvature}.items():
            state[name] = [*state[name], value][-history_size:]
        # γ = yᵀs / yᵀy    (7.20)
        state["H_diag"] = curvature / y.dot(y)


def two_loop_recursion(state: State, grad: Tensor, history_size: int) -> Tensor:
    """Return −H g, H being what the pairs tell of the inverse Hessian, without forming H (7.4)."""
    s, y, rho = state["old_stps"], state["old_dirs"], state["ro"]
    alpha = state["al"] = [None] * history_size
    # q ← −g
    q = grad.neg()
    # αᵢ ← ρᵢ sᵢᵀq,    q ← q − αᵢ yᵢ,    from the newest pair to the oldest
    for i in reversed(range(len(rho))):
        alpha[i] = s[i].dot(q) * rho[i]
        q.add_(y[i], alpha=-alpha[i])
    # r ← γ q
    r = q.mul_(state["H_diag"])
    # β ← ρᵢ yᵢᵀr,    r ← r + (αᵢ − β) sᵢ,    from the oldest pair to the newest
    for i in range(len(rho)):
        beta = y[i].dot(r) * rho[i]
        r.add_(s[i], alpha=alpha[i] - beta)
    return r


class Point(NamedTuple):
    """A trial of the line search: φ(t) = f(x + t d), the gradient there, the slope φ'(t) = gᵀd."""

    t: Number
    loss: float
    grad: Tensor
    slope: Tensor


Phi = Callable[[Number], Point]


def too_high(new: Point, start: Point) -> bool | Tensor:
    """Whether `new` misses sufficient decrease (3.7a); a NaN does not, as in torch."""
    # φ(t) > φ(0) + c₁ t φ'(0)
    return new.loss > start.loss + C1 * new.t * start.slope


def flat_enough(new: Point, start: Point) -> bool | Tensor:
    """Whether `new` satisfies the strong curvature condition (3.7b)."""
    # |φ'(t)| ≤ c₂ |φ'(0)|, and φ'(0) < 0
    return abs(new.slope) <= -C2 * start.slope


def cubic_minimiser(a: Point, b: Point, bounds: tuple[Number, Number] | None = None) -> Number:
    """Minimiser of the cubic through two points with their slopes (3.59), within `bounds`."""
    a, b = (a, b) if a.t <= b.t else (b, a)
    least, most = bounds or (a.t, b.t)
    # d₁ = φ'(a) + φ'(b) − 3 (φ(a) − φ(b)) / (a − b)
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    # d₂² = d₁² − φ'(a) φ'(b)
    d2_squared = d1**2 - a.slope * b.slope
    if not d2_squared >= 0:
        return (least + most) / 2.0
    d2 = d2_squared.sqrt()
    # t = b − (b − a) (φ'(b) + d₂ − d₁) / (φ'(b) − φ'(a) + 2 d₂)
    t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
    return min(max(t, least), most)


def strong_wolfe(phi: Phi, start: Point, t: Number, trials: int, d_max: Tensor) -> Point:
    """Step outwards until a trial is good or a good t is bracketed, then zoom (algorithm 3.5)."""
    previous, new = start, phi(t)
    for trial in range(trials):
        # trial > 1: one later than in the book, as in torch.
        if too_high(new, start) or (trial > 1 and new.loss >= previous.loss):
            break
        if flat_enough(new, start):
            return new
        if new.slope >= 0:
            break
        bounds = new.t + 0.01 * (new.t - previous.t), new.t * 10
        previous, new = new, phi(cubic_minimiser(previous, new, bounds))
    else:
        previous, trial = start, trials
    return zoom(phi, start, [previous, new], trials - trial, d_max)


def zoom(phi: Phi, start: Point, bracket: list[Point], trials: int, d_max: Tensor) -> Point:
    """Narrow the bracket until a trial in it is good; else return its lower end (algorithm 3.6)."""
    low, at_edge = lower(bracket), False
    for _ in range(trials):
        a, b = bracket
        left, right = min(a.t, b.t), max(a.t, b.t)
        if (right - left) * d_max < NARROW:
            break
        t = cubic_minimiser(a, b)
        # A trial on an end, or close to one twice running, moves inwards by a tenth of the width.
        tenth = 0.1 * (right - left)
        was_at_edge, at_edge = at_edge, bool(min(right - t, t - left) < tenth)
        if at_edge and (was_at_edge or t >= right or t <= left):
            t = right - tenth if right - t < t - left else left + tenth
            at_edge = False
        new = phi(t)
        if too_high(new, start) or new.loss >= bracket[low].loss:
            bracket[1 - low] = new
            low = lower(bracket)
            continue
        if flat_enough(new, start):
            return new
        if new.slope * (bracket[1 - low].t - bracket[low].t) >= 0:
            bracket[1 - low] = bracket[low]
        bracket[low] = new
    return bracket[low]


def lower(bracket: list[Point]) -> int:
    """Return which of the two ends is lower."""
    return 0 if bracket[0].loss <= bracket[1].loss else 1


class LBFGS(Optimizer):
    """L-BFGS; with ``line_search_fn="strong_wolfe"`` it searches each step's length t.

    All parameters, of any shapes and types, are one group on one device (else ValueError). `step`
    needs a closure that returns the loss (else TypeError) and calls it several times, for up to
    `max_iter` iterations. It stops early after `max_eval` calls (5/4 `max_iter` if None), where no
    gᵢ is above `tolerance_grad`, or where all xᵢ, or the loss, change by less than
    `tolerance_change`. `lr` is t, or the first t that the search tries. The history of
    `history_size` pairs takes 2 `history_size` times the memory of the parameters.

    >>> x = torch.tensor([-1.2, 1.0], requires_grad=True)
    >>> optimizer = LBFGS([x], max_iter=50, line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
    ...     loss.backward()
    ...     return loss.detach()
    >>> optimizer.step(closure)  # the loss before the step
    tensor(24.2000)
    >>> x
    tensor([1.0000, 1.0000], requires_grad=True)
    """

    options: ClassVar[dict[str, Check]] = OPTIONS | {
        **dict.fromkeys(["max_iter", "max_eval", "history_size"], COUNT),
        **dict.fromkeys(["tolerance_grad", "tolerance_change"], NON_NEGATIVE),
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_options("LBFGS", self.options, {"max_iter": max_iter})
        max_eval = max_iter * 5 // 4 if max_eval is None else max_eval
        super().__init__(params, arguments(locals()))

    def add_param_group(self, param_group: Group) -> None:
        """Take the one group that there may be."""
        if self.param_groups:
            raise ValueError("LBFGS takes one group: all parameters share one history and one t")
        super().add_param_group(param_group)

    @torch.no_grad()
    def _step(self, closure: Closure | None = None) -> Any:
        if not callable(closure):
            needed = "LBFGS needs a closure, a function that computes the loss and its gradients"
            raise TypeError(f"{needed}: call step(closure), got {closure!r}")
        group = self.param_groups[0]
        search = group["line_search_fn"]
        if search not in (None, "strong_wolfe"):
            raise RuntimeError(f"line_search_fn must be None or 'strong_wolfe', got {search!r}")
        max_iter, history_size = group["max_iter"], group["history_size"]
        tolerance_grad, tolerance_change = group["tolerance_grad"], group["tolerance_change"]
        # A tensor lr stays one, as in torch: what fills it anew changes the last t as well.
        lr = group["lr"].squeeze() if isinstance(group["lr"], Tensor) else group["lr"]
        # All parameters have one state; it lies with the first.
        state = self.state[group["params"][0]]
        state.setdefault("n_iter", 0)
        calls_allowed = state.setdefault("func_evals", 0) + group["max_eval"]

        returned, loss, grad = self._evaluate(closure)
        if not grad.numel() or grad.abs().max() <= tolerance_grad:
            return returned

        for iteration in range(1, max_iter + 1):
            state["n_iter"] += 1
            if state["n_iter"] == 1:
                # d ← −g,    t ← α min(1, 1 / ‖g‖₁)
                state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
                shrink: Any = min(1.0, 1.0 / grad.abs().sum())
                d, t = grad.neg(), shrink * lr
            else:
                # d ← −H g,    t ← α
                s, y = state["d"] * state["t"], grad - state["prev_flat_grad"]
                remember(state, s, y, history_size)
                d, t = two_loop_recursion(state, grad, history_size), lr
            state.update(d=d, t=t, prev_flat_grad=grad, prev_loss=loss)
            slope = grad.dot(d)
            if slope > -tolerance_change:
                break

            if search:
                phi = partial(self._trial, closure, [x.clone() for x in group["params"]], d)
                start, trials = Point(0, loss, grad, slope), calls_allowed - state["func_evals"]
                t, loss, grad, _ = strong_wolfe(phi, start, t, trials, d.abs().max())
                state["t"] = t
            # x ← x + t d
            self._move(t, d)
            if iteration == max_iter:
                break  # The next step evaluates what came of it, perhaps on another batch.
            if not search:
                _, loss, grad = self._evaluate(closure)
            if (
                state["func_evals"] >= calls_allowed
                or grad.abs().max() <= tolerance_grad
                or (d * t).abs().max() <= tolerance_change
                or abs(loss - state["prev_loss"]) < tolerance_change
            ):
                break
        return returned

    def _evaluate(self, closure: Closure) -> tuple[Any, float, Tensor]:
        """Call the closure: what it returns, that as a number, all gradients as one vector."""
        with torch.enable_grad():
            returned = closure()
        try:
            loss = float(returned.detach() if isinstance(returned, Tensor) else returned)
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(f"the closure must return the loss, got {returned!r}") from error
        params = self.param_groups[0]["params"]
        self.state[params[0]]["func_evals"] += 1
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in params]
        dense = [as_real(grad.to_dense() if grad.is_sparse else grad)[0] for grad in grads]
        return returned, loss, torch.cat([grad.reshape(-1) for grad in dense])

    def _trial(self, closure: Closure, x: list[Tensor], d: Tensor, t: Number) -> Point:
        """Evaluate φ(t) and go back to x."""
        self._move(t, d)
        _, loss, grad = self._evaluate(closure)
        for param, value in zip(self.param_groups[0]["params"], x, strict=True):
            param.copy_(value)
        return Point(t, loss, grad, grad.dot(d))

    def _move(self, t: Number, d: Tensor) -> None:
        params = [as_real(param)[0] for param in self.param_groups[0]["params"]]
        parts = torch.split(d, [param.numel() for param in params])
        for param, part in zip(params, parts, strict=True):
            param.add_(part.view_as(param), alpha=t)
