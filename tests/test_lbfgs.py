"""L-BFGS equals torch's bit for bit; the same comparison catches every wrong copy."""

import inspect
import io
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from itertools import count
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import torch
from optim_harness import same
from torch import Tensor
from torch.testing._internal.common_optimizers import (
    optim_error_inputs_func_lbfgs,
    optim_inputs_func_lbfgs,
)

from nndl.optim import lbfgs
from nndl.optim.lbfgs import LBFGS, Point, cubic_minimiser, strong_wolfe, two_loop_recursion

STEPS = 60
Make = Callable[..., torch.optim.Optimizer]


pytestmark = pytest.mark.usefixtures("one_thread")


# ---- what is minimised: each problem makes its parameters and a loss that depends on the step


class Problem(NamedTuple):
    params: list[Tensor]
    loss: Callable[[int], Tensor]


def numbers(seed: int, *shape: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def valley(dtype: torch.dtype) -> Problem:
    """Rosenbrock's valley in four dimensions, whose minimum drifts."""
    x = torch.tensor([-1.2, 1.0, -0.5, 0.8], dtype=dtype, requires_grad=True)

    def loss(step: int) -> Tensor:
        return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 + 0.05 * step - x[:-1]) ** 2).sum()

    return Problem([x], loss)


def network(dtype: torch.dtype) -> Problem:
    """A network on batches that change every other step; one parameter is never used."""
    shapes = (6, 8), (8,), (8, 2), (), (3,)
    params = [numbers(seed, *shape, dtype=dtype) for seed, shape in enumerate(shapes)]
    inputs, targets = numbers(7, 30, 20, 6, dtype=dtype), numbers(8, 30, 20, 2, dtype=dtype)
    w1, b1, w2, b2, _ = [param.requires_grad_() for param in params]

    def loss(step: int) -> Tensor:
        batch = step // 2 % len(inputs)
        outputs = torch.tanh(inputs[batch] @ w1 + b1) @ w2 + b2
        return (outputs - targets[batch]).square().mean()

    return Problem(params, loss)


def convolution(dtype: torch.dtype) -> Problem:
    """A 4-D kernel, and a bias that has a gradient in some steps only."""
    kernel = numbers(1, 2, 1, 3, 3, dtype=dtype).requires_grad_()
    bias = numbers(2, 2, dtype=dtype).requires_grad_()
    images = numbers(3, 8, 1, 6, 6, dtype=dtype)

    def loss(step: int) -> Tensor:
        out = torch.conv2d(images, kernel, bias if step % 3 else None)
        return (out.tanh() - images[:, :, 1:-1, 1:-1]).square().mean()

    return Problem([kernel, bias], loss)


def embedding(dtype: torch.dtype) -> Problem:
    """Sparse gradients with repeated rows, beside a dense one."""
    table = numbers(4, 6, 3, dtype=dtype).requires_grad_()
    weight = numbers(5, 3, dtype=dtype).requires_grad_()

    def loss(step: int) -> Tensor:
        rows = torch.tensor([0, step % 6, 2, 2])
        found = torch.nn.functional.embedding(rows, table, sparse=True)
        return ((found @ weight).cosh() - 2).square().sum()

    return Problem([table, weight], loss)


def complex_roots(dtype: torch.dtype) -> Problem:
    """Complex parameters, beside a real one."""
    kind = torch.complex64 if dtype == torch.float32 else torch.complex128
    z = numbers(6, 3, dtype=kind).requires_grad_()
    w = numbers(9, dtype=kind).requires_grad_()
    r = numbers(10, 2, dtype=dtype).requires_grad_()

    def loss(step: int) -> Tensor:
        return ((z**3 - (1 + step % 4) * w).abs() ** 2).sum() + (w - r.sum()).abs() ** 2 + r[0] ** 4

    return Problem([z, w, r], loss)


def cliff(dtype: torch.dtype) -> Problem:
    """Kinks, plateaus and a jump: what a line search does not expect."""
    x = numbers(11, 5, dtype=dtype).requires_grad_()

    def loss(step: int) -> Tensor:
        shifted = x - 0.3 * (step % 5)
        return shifted.abs().sqrt().sum() + (4 * shifted).sin().sum() + (shifted > 1).sum()

    return Problem([x], loss)


def overflow(dtype: torch.dtype) -> Problem:
    """Leaves the range of numbers: infinite and NaN losses."""
    x = numbers(12, 3, dtype=dtype).requires_grad_()
    return Problem([x], lambda step: (x.exp().exp() - 50 * x.abs() ** 3).sum())


def stranger(dtype: torch.dtype) -> Problem:
    """A loss that has nothing to do with its gradient: brackets shrink to nothing."""
    x = numbers(13, 3, dtype=dtype).requires_grad_()
    calls = count(1)

    def loss(step: int) -> Tensor:
        bowl = ((x - step % 7) ** 2).sum()
        return bowl + (1 / next(calls) - bowl).detach()

    return Problem([x], loss)


PROBLEMS = [valley, network, convolution, embedding, complex_roots, cliff, overflow]
# Short histories: with the default of 100 pairs the two loops take most of the time.
SHORT = {"history_size": 6}
WOLFE = {"line_search_fn": "strong_wolfe", **SHORT}
OURS: dict[str, dict[str, Any]] = {
    "default": {"max_iter": 3},
    "small-history": {"max_iter": 4, "history_size": 3, "lr": 0.3},
    "wolfe": {"max_iter": 4, **WOLFE},
    "wolfe-small-history": {**WOLFE, "max_iter": 3, "history_size": 2, "max_eval": 60, "lr": 0.1},
    "wolfe-long-steps": {"max_iter": 3, "lr": 30.0, "max_eval": 40, **WOLFE},
    "wolfe-tensor-rate": {"max_iter": 3, "lr": torch.tensor([0.5]), **WOLFE},
    "tolerances": {"tolerance_grad": 1e-2, "tolerance_change": 1e-3, "lr": 0.2, **SHORT},
    "flat": {"max_iter": 5, "tolerance_grad": 0.5, "lr": 0.2, **SHORT},
    "wolfe-no-tolerances": {"tolerance_grad": 0, "tolerance_change": 0, "max_iter": 9, **WOLFE},
    "wolfe-tolerances": {"tolerance_grad": 1e-2, "tolerance_change": 1e-2, **WOLFE},
    "one-pair": {"max_iter": 6, "history_size": 1, "lr": 0.5},
    "one-iteration": {"max_iter": 1, "lr": 0.1},
    "few-calls": {"max_iter": 7, "max_eval": 3, "lr": 0.2, **SHORT},
    "no-tolerances": {
        "max_iter": 3,
        "tolerance_grad": 0,
        "tolerance_change": 0,
        "lr": 0.1,
        **SHORT,
    },
    "zero-rate": {"max_iter": 3, "lr": 0, **SHORT},
    "tensor-rate": {"max_iter": 3, "lr": torch.tensor(0.1), **SHORT},
    "wolfe-short-steps": {"max_iter": 2, "lr": 1e-4, "max_eval": 40, **WOLFE},
    "wolfe-few-calls": {"max_iter": 3, "max_eval": 5, "lr": 3.0, **WOLFE},
    "wolfe-one-call": {"max_iter": 1, **WOLFE},
}
TORCHS = {f"torch: {given.desc}": given.kwargs for given in optim_inputs_func_lbfgs(device="cpu")}
OPTIONS = OURS | TORCHS


# ---- the comparison


class Run:
    """A problem, an optimiser for it, and the number of times that it asked for the loss."""

    def __init__(self, make: Make, problem: Callable[..., Problem], options: str, dtype: Any):
        self.params, self.loss = problem(dtype)
        given = OPTIONS[options].items()
        copies = {key: v.clone() if isinstance(v, Tensor) else v for key, v in given}
        self.optimizer = make(self.params, **copies)
        self.calls = 0

    def step(self, step: int) -> dict[str, Any]:
        """Take a step and return all that may be compared."""

        def closure() -> Tensor:
            self.calls += 1
            self.optimizer.zero_grad()
            loss = self.loss(step)
            loss.backward()
            return loss

        if step == STEPS // 2:
            self.optimizer.param_groups[0]["lr"] *= 0.5
        loss = self.optimizer.step(closure).item()
        params = [param.detach().clone() for param in self.params]
        record = {"loss": loss, "calls of the closure": self.calls, "parameters": params}
        # The states are long: they are compared now and then.
        if step % 20 in (0, 3, 19):
            record |= deepcopy(self.optimizer.state_dict()["state"][0])
        return record

    def save(self) -> bytes:
        buffer = io.BytesIO()
        torch.save([self.params, self.optimizer.state_dict(), self.calls], buffer)
        return buffer.getvalue()

    def load(self, saved: bytes) -> None:
        params, state, self.calls = torch.load(io.BytesIO(saved))
        with torch.no_grad():
            for param, value in zip(self.params, params, strict=True):
                param.copy_(value)
        self.optimizer.load_state_dict(state)


@cache
def torchs(problem: Any, options: str, dtype: torch.dtype) -> list[dict[str, Any]]:
    """All that torch's optimiser does."""
    run = Run(torch.optim.LBFGS, problem, options, dtype)
    return [run.step(step) for step in range(STEPS)]


def difference(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    """Say what differs, or return nothing."""
    for name in [*theirs, *ours]:
        a, b = ours.get(name), theirs.get(name)
        both_nan = isinstance(a, float) and isinstance(b, float) and a != a and b != b
        if not both_nan and not same(a, b):
            return f"{name}: {a}, not {b}"
    return ""


def first_difference(make: Make, problem: Any, options: str, dtype: torch.dtype) -> str:
    """Run `make` and compare it with torch's after each step; say where they part."""
    theirs = torchs(problem, options, dtype)
    ours = Run(make, problem, options, dtype)
    for step in range(STEPS):
        found = difference(ours.step(step), theirs[step])
        if found:
            return f"step {step + 1}: {found}"
    return ""


# Between them these two catch every mistake below, so they come first.
SHARPEST = [
    (cliff, "wolfe-no-tolerances", torch.float64),
    (stranger, "tolerances", torch.float64),
]
# Then every option of ours on three problems, torch's on one of them, the others in both types.
CASES = [
    *SHARPEST,
    *[
        (problem, options, torch.float64)
        for options in OURS
        for problem in (valley, cliff, stranger)
        if (problem, options, torch.float64) not in SHARPEST
    ],
    *[(cliff, options, torch.float32) for options in TORCHS],
    *[
        (problem, options, dtype)
        for problem in PROBLEMS
        for options in ("small-history", "wolfe-small-history")
        for dtype in (torch.float32, torch.float64)
        if problem not in (valley, cliff) or dtype == torch.float32
    ],
]


@pytest.mark.parametrize(("problem", "options", "dtype"), CASES)
def test_equals_torch_bit_for_bit(problem: Any, options: str, dtype: torch.dtype) -> None:
    assert not first_difference(LBFGS, problem, options, dtype)


@pytest.mark.parametrize("problem", [network, embedding, complex_roots])
@pytest.mark.parametrize("options", ["small-history", "wolfe", "wolfe-tensor-rate"])
@pytest.mark.parametrize("makes", [(LBFGS, torch.optim.LBFGS), (torch.optim.LBFGS, LBFGS)])
def test_resumes_in_the_other_library(makes: Any, options: str, problem: Any) -> None:
    """Saved in the middle, loaded into the other, and equal to the run that was not stopped."""
    begun, resumed = (Run(make, problem, options, torch.float32) for make in makes)
    stop = STEPS // 2 - 7
    for step in range(stop):
        begun.step(step)
    resumed.load(begun.save())
    whole = torchs(problem, options, torch.float32)
    for step in range(stop, STEPS):
        assert not difference(resumed.step(step), whole[step]), step


# ---- wrong copies: one replacement in the source each

MISTAKES: dict[str, tuple[str, str]] = {
    "first loop from the oldest pair": (
        "for i in reversed(range(len(rho))):",
        "for i in range(len(rho)):",
    ),
    "second loop with the other sign": ("alpha[i] - beta)", "beta - alpha[i])"),
    "direction uphill": ("q = grad.neg()", "q = grad.clone()"),
    "pairs kept where f curves downwards": ("if curvature > 1e-10:", "if curvature != 0:"),
    "H never rescaled": ('state["H_diag"] = curvature / y.dot(y)', "pass"),
    "H scaled by the inverse": ("curvature / y.dot(y)", "y.dot(y) / curvature"),
    "one pair too few": ("[-history_size:]", "[-history_size + 1 :]"),
    "oldest pairs kept, not the newest": ("[-history_size:]", "[:history_size]"),
    "rho not inverted": ('"ro": 1.0 / curvature', '"ro": curvature'),
    "s without its length": ('state["d"] * state["t"]', 'state["d"]'),
    "old gradient in a buffer that is overwritten": (
        "torch.cat([grad.reshape(-1) for grad in dense])",
        "torch.cat([grad.reshape(-1) for grad in dense], "
        "out=self.__dict__.setdefault('buffer', dense[0].new_empty(0)).resize_(0))",
    ),
    "first step not shortened": ("min(1.0, 1.0 / grad.abs().sum())", "1.0"),
    "first step by the other norm": ("1.0 / grad.abs().sum()", "1.0 / grad.norm()"),
    "every step shortened": (
        "d, t = two_loop_recursion(state, grad, history_size), lr",
        "d, t = two_loop_recursion(state, grad, history_size), lr * min(1.0, 1.0 / grad.norm())",
    ),
    "c1 and c2 swapped": ("C1, C2 =", "C2, C1 ="),
    "sufficient decrease not asked for": ("return new.loss > start.loss +", "return 0 > 1e300 +"),
    "weak Wolfe condition": ("abs(new.slope) <=", "-new.slope <="),
    "d1 with a plus": ("- 3 * (a.loss - b.loss)", "+ 3 * (a.loss - b.loss)"),
    "minimiser not kept in its bounds": ("return min(max(t, least), most)", "return t"),
    "looks at the last trial too early": ("(trial > 1", "(trial > 0"),
    "steps out by 2 at most": ("new.t * 10", "new.t * 2"),
    "search stops by the tolerance of the step": (
        "strong_wolfe(phi, start, t, trials, d.abs().max())",
        "strong_wolfe(phi, start, t, trials, d.abs().max() * 1e-9 / (tolerance_change or 1e-300))",
    ),
    "zoom tries its ends": ("if at_edge and (", "if False and ("),
    "zoom keeps the wrong end": (
        "(bracket[1 - low].t - bracket[low].t) >= 0",
        "(bracket[1 - low].t - bracket[low].t) < 0",
    ),
    "trial not taken back": ("            param.copy_(value)", "            pass"),
    "length of the search not kept": ('                state["t"] = t\n', ""),
    "history forgotten at each step": (
        'if state["n_iter"] == 1:',
        'if state["n_iter"] == 1 or iteration == 1:',
    ),
    "one more evaluation in the end": ("if iteration == max_iter:", "if False:"),
    "loss after the step returned": (
        "break\n        return returned",
        "break\n        return torch.tensor(loss)",
    ),
    "never too many calls": ('state["func_evals"] >= calls_allowed', "False"),
    "stops where one number is flat": (
        "grad.abs().max() <= tolerance_grad\n                or",
        "grad.abs().min() <= tolerance_grad\n                or",
    ),
    "no stop without progress": ("(d * t).abs().max() <= tolerance_change", "False"),
    "climbs on": ("if slope > -tolerance_change:", "if False:"),
}


def wrong(mistake: str) -> Make:
    """Compile the module with one mistake in it."""
    right, changed = MISTAKES[mistake]
    source = inspect.getsource(lbfgs)
    assert source.count(right) == 1, f"{right!r} must be there once to be replaced"
    module = ModuleType("wrong_lbfgs")
    exec(source.replace(right, changed), vars(module))
    return module.LBFGS


@pytest.mark.parametrize("mistake", MISTAKES)
def test_wrong_copy_is_caught(mistake: str) -> None:
    make = wrong(mistake)
    assert any(first_difference(make, *case) for case in CASES)


def test_enough_mistakes_are_tried() -> None:
    assert len(MISTAKES) >= 30


# ---- what torch cannot do, refuses, or leaves alone


def quadratic(**options: Any) -> tuple[Tensor, LBFGS, Callable[[], Tensor]]:
    x = torch.tensor([3.0, -4.0], requires_grad=True)
    optimizer = LBFGS([x], **options)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (x * x * torch.tensor([1.0, 5.0])).sum()
        loss.backward()
        return loss

    return x, optimizer, closure


ERRORS = optim_error_inputs_func_lbfgs("cpu", torch.float32)


@pytest.mark.parametrize("given", ERRORS, ids=lambda given: given.optimizer_error_input.desc)
def test_refuses_what_torch_refuses(given: Any) -> None:
    """With the same type of error."""
    params = given.optimizer_error_input.params or [torch.zeros(1, 1, requires_grad=True)]
    expected = given.error_type
    catch = pytest.warns if issubclass(expected, Warning) else pytest.raises
    for make in (torch.optim.LBFGS, LBFGS):
        with catch(expected):
            make(params, **given.optimizer_error_input.kwargs)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"lr": -1.0}, ValueError, "lr must be a finite number >= 0, got -1.0"),
        ({"lr": float("nan")}, ValueError, "lr must be"),
        ({"lr": "fast"}, TypeError, "lr must be .* got 'fast'"),
        ({"max_iter": 0}, ValueError, "max_iter must be a whole number >= 1, got 0"),
        ({"max_iter": 2.5}, ValueError, "max_iter must be a whole number >= 1, got 2.5"),
        ({"max_iter": "many"}, ValueError, "max_iter must be a whole number >= 1, got 'many'"),
        ({"max_eval": 0}, ValueError, "max_eval must be a whole number >= 1, got 0"),
        ({"history_size": 0}, ValueError, "history_size must be a whole number >= 1, got 0"),
        ({"tolerance_grad": -1}, ValueError, "tolerance_grad must be .* got -1"),
        ({"tolerance_change": float("nan")}, ValueError, "tolerance_change must be"),
    ],
)
def test_refuses_bad_options(options: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        quadratic(**options)


def test_refuses_a_second_group() -> None:
    x, y = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    with pytest.raises(ValueError, match="LBFGS takes one group"):
        LBFGS([{"params": [x]}, {"params": [y]}])
    optimizer = LBFGS([x])
    with pytest.raises(ValueError, match="LBFGS takes one group"):
        optimizer.add_param_group({"params": [y]})
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize("closure", [None, torch.tensor(1.0)])
def test_refuses_a_step_without_closure(closure: Any) -> None:
    x, optimizer, _ = quadratic()
    with pytest.raises(TypeError, match="LBFGS needs a closure"):
        optimizer.step(closure)
    assert x.tolist() == [3.0, -4.0]


@pytest.mark.parametrize("loss", [None, "low", torch.zeros(2), torch.tensor(1j)])
def test_refuses_a_closure_without_loss(loss: Any) -> None:
    x, optimizer, _ = quadratic()
    with pytest.raises(TypeError, match="the closure must return the loss"):
        optimizer.step(lambda: loss)
    assert x.tolist() == [3.0, -4.0]


def test_refuses_another_line_search() -> None:
    x, optimizer, closure = quadratic(line_search_fn="armijo")
    with pytest.raises(RuntimeError, match="None or 'strong_wolfe', got 'armijo'"):
        optimizer.step(closure)
    assert x.tolist() == [3.0, -4.0]


def test_takes_gradients_that_are_not_contiguous() -> None:
    """Torch's raises; a contiguous copy of the same numbers gives the same steps."""
    values = numbers(1, 3, 4, dtype=torch.float64)
    results = []
    for layout in (values.clone(), values.t().contiguous().t()):
        layout.requires_grad_()
        optimizer = LBFGS([layout], lr=0.1)

        def closure(x: Tensor = layout, optimizer: LBFGS = optimizer) -> Tensor:
            optimizer.zero_grad()
            loss = (x**4 - x).sum() / 10
            loss.backward()
            return loss.detach()

        for _ in range(3):
            optimizer.step(closure)
        results.append(layout.detach())
    assert not results[1].is_contiguous()
    assert same(*results)
    assert not same(results[0], values)


@pytest.mark.parametrize("shape", [(2,), (0,)])
def test_leaves_parameters_without_gradient_alone(shape: tuple[int]) -> None:
    x = torch.ones(shape, requires_grad=True)
    assert LBFGS([x]).step(lambda: 1.5) == 1.5
    assert same(x.detach(), torch.ones(shape))


def test_hooks_run_once_a_step() -> None:
    _, optimizer, closure = quadratic()
    seen = []
    optimizer.register_step_pre_hook(lambda *_: seen.append("before"))
    optimizer.register_step_post_hook(lambda *_: seen.append("after"))
    optimizer.step(closure)
    assert seen == ["before", "after"]


# ---- the pieces, against what the book says of them


def test_two_loops_are_the_bfgs_matrix() -> None:
    """H ← (I − ρ s yᵀ) H (I − ρ y sᵀ) + ρ s sᵀ, begun at γ I (7.16), as a matrix."""
    n, pairs = 6, 4
    eye = torch.eye(n, dtype=torch.float64)
    hessian = numbers(1, n, n, dtype=torch.float64)
    hessian = hessian @ hessian.t() + eye
    state: dict[str, Any] = {"old_stps": [], "old_dirs": [], "ro": [], "H_diag": 1}
    for k in range(pairs + 2):
        s = numbers(10 + k, n, dtype=torch.float64)
        lbfgs.remember(state, s, hessian @ s, pairs)
    assert len(state["ro"]) == pairs

    inverse = state["H_diag"] * eye
    for s, y in zip(state["old_stps"], state["old_dirs"], strict=True):
        rho = 1 / y.dot(s)
        left = eye - rho * s.outer(y)
        inverse = left @ inverse @ left.t() + rho * s.outer(s)
    # The newest pair is satisfied exactly (secant equation, 6.6): H y = s.
    assert torch.allclose(inverse @ y, s)
    grad = numbers(99, n, dtype=torch.float64)
    assert torch.allclose(two_loop_recursion(state, grad, pairs), -inverse @ grad)


def cubic(t: float) -> Point:
    """t³ − 3 t, lowest at 1 on the right of −1."""
    value, slope = torch.tensor([t**3 - 3 * t, 3 * t**2 - 3], dtype=torch.float64)
    return Point(t, float(value), torch.zeros(1), slope)


def test_cubic_is_minimised_exactly() -> None:
    assert float(cubic_minimiser(cubic(0.0), cubic(3.0))) == pytest.approx(1.0)
    assert float(cubic_minimiser(cubic(3.0), cubic(0.0))) == pytest.approx(1.0)
    assert cubic_minimiser(cubic(0.0), cubic(3.0), bounds=(1.5, 2.0)) == 1.5


@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 20.0])
@pytest.mark.parametrize("seed", range(5))
def test_line_search_finds_a_wolfe_point(seed: int, first: float) -> None:
    """φ(t) ≤ φ(0) + c₁ t φ'(0) and |φ'(t)| ≤ c₂ |φ'(0)|, wherever it begins."""
    a, b, c = numbers(seed, 3, dtype=torch.float64).abs().tolist()

    def phi(t: Any) -> Point:
        x = torch.tensor(float(t), dtype=torch.float64, requires_grad=True)
        value = (x - 1 - a) ** 2 + b * torch.sin(3 * x) + c * x**4 / 20 - 3 * x
        value.backward()
        return Point(t, value.item(), x.grad[None], x.grad)

    start = phi(0)
    assert start.slope < 0
    found = strong_wolfe(phi, start, first, 25, torch.tensor(1.0))
    assert found.loss <= start.loss + 1e-4 * found.t * start.slope
    assert abs(found.slope) <= 0.9 * abs(start.slope)


def test_minimises_a_quadratic_in_a_few_iterations() -> None:
    """Two dimensions, so two pairs know the whole Hessian."""
    _, optimizer, closure = quadratic(line_search_fn="strong_wolfe", max_iter=6)
    assert optimizer.step(closure).item() == 89.0
    assert closure().item() < 1e-9
