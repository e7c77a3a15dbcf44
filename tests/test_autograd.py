"""The engine against torch: random programs, higher derivatives, errors, memory, a network."""

import gc
import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as tf
from autograd_programs import (
    Program,
    compare_gradients,
    compare_higher,
    compare_writes,
)
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch import nn
from wrong_derivatives import WRONG, WRONG_HIGHER, WRONG_WRITES, Mistake

import nndl.optim
from nndl import autograd
from nndl.autograd import Function, Tensor, tensor
from nndl.autograd import functions as ours_functions

pytestmark = pytest.mark.usefixtures("one_thread")

Report = Callable[[str, object], None]

PROGRAMS = 1000
HIGHER = 400
WRITES = 600


def try_programs(
    compare: Callable[[Program], Any], number: int, *, shrink: bool = True
) -> Counter[str]:
    """Run so many random programs; return how often each outcome occurred."""
    outcomes: Counter[str] = Counter()
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]

    @settings(
        max_examples=number,
        deadline=None,
        database=None,
        derandomize=True,
        phases=phases,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def run(data: st.DataObject) -> None:
        outcomes[compare(Program(data.draw)) or "agrees"] += 1

    run()
    return outcomes


def test_gradients_of_random_programs(record_property: Report) -> None:
    agreed = try_programs(compare_gradients, PROGRAMS)["agrees"]
    assert agreed >= PROGRAMS
    record_property("autograd", f"{agreed} random programs have torch's gradients, to 1e-12")


def test_higher_derivatives_of_random_programs(record_property: Report) -> None:
    agreed = try_programs(compare_higher, HIGHER)["agrees"]
    assert agreed >= HIGHER
    record_property("autograd", f"{agreed} more have torch's derivatives up to the third order")


def test_random_programs_that_change_values_in_place(record_property: Report) -> None:
    outcomes = try_programs(compare_writes, WRITES)
    record_property("autograd", f"{sum(outcomes.values())} more change values: {dict(outcomes)}")
    assert sum(outcomes.values()) >= WRITES
    assert all(number >= WRITES // 20 for number in outcomes.values()), outcomes
    assert len(outcomes) == 3


def test_the_programs_use_every_operation() -> None:
    defined = {
        name
        for name, item in vars(ours_functions).items()
        if isinstance(item, type) and issubclass(item, Function) and item is not Function
    }
    seen: set[str] = set()

    def collect(program: Program) -> None:
        compare_gradients(program)
        for pair in program.values:
            stack = [pair.ours._edge()] if pair.ours.requires_grad else []
            while stack:
                node = stack.pop()
                seen.add(node.name())
                stack += [into for into, _ in node.next_functions if into is not None]

    try_programs(collect, 300)
    # Only derivatives and changes in place have these.
    assert defined - seen == {"Scatter", "Fold", "Assign"}


def is_caught(
    mistake: Mistake, compare: Callable[[Program], Any], programs: int = PROGRAMS
) -> bool:
    with mistake():
        try:
            try_programs(compare, programs, shrink=False)
        except (AssertionError, RuntimeError):
            return True
    return False


@pytest.mark.parametrize(
    ("name", "mistake", "compare"),
    [
        *((name, mistake, compare_gradients) for name, mistake in WRONG.items()),
        *((name, mistake, compare_higher) for name, mistake in WRONG_HIGHER.items()),
        *((name, mistake, compare_writes) for name, mistake in WRONG_WRITES.items()),
    ],
)
def test_a_mistake_is_caught(
    name: str, mistake: Mistake, compare: Callable[[Program], Any]
) -> None:
    assert is_caught(mistake, compare), name


@pytest.mark.parametrize("name", WRONG_HIGHER)
def test_a_mistake_at_second_order_is_none_at_first(name: str) -> None:
    assert not is_caught(WRONG_HIGHER[name], compare_gradients, programs=100)


def test_there_are_enough_mistakes(record_property: Report) -> None:
    number = len(WRONG) + len(WRONG_HIGHER) + len(WRONG_WRITES)
    assert number >= 15
    record_property(
        "autograd", f"{number} wrong derivatives and orders tried by the same comparison"
    )


def central_difference(
    f: Callable[[Tensor], Tensor], x: Tensor, step: float = 1e-6
) -> torch.Tensor:
    """The derivative of the sum of f, one number of x after the other."""
    slopes = torch.zeros_like(x.data).reshape(-1)
    for place in range(x.numel()):
        ahead, behind = x.data.clone(), x.data.clone()
        ahead.view(-1)[place] += step
        behind.view(-1)[place] -= step
        slopes[place] = (f(Tensor(ahead)).sum().item() - f(Tensor(behind)).sum().item()) / (
            2 * step
        )
    return slopes.reshape(x.shape)


KERNEL = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(2, 1, 2, 3)[..., :2]
FORMULAS: dict[str, Callable[[Tensor], Tensor]] = {
    "arithmetic": lambda x: (x * x - 3 / x + (-x) ** 3) / (x + 5),
    "powers": lambda x: 2.0**x + x**x + x**-1.5,
    "functions": lambda x: x.exp().log() * x.tanh() * x.sigmoid() * x.relu(),
    "reductions": lambda x: x.mean(0) * x.sum() * x.max() + x.max(1)[0].sum(),
    "shapes": lambda x: x.T.reshape(-1)[2:9:3] * x.expand(2, 3, 3)[1, 0],
    "matmul": lambda x: x @ x.transpose(0, 1) @ x[0],
    "softmax": lambda x: autograd.log_softmax(x * x, dim=1) * x,
    "where": lambda x: autograd.where(x.data > 1, x * x, 3 * x),
    "conv2d": lambda x: autograd.conv2d(
        x.reshape(1, 1, 3, 3), Tensor(KERNEL.clone()) * x[0, 0], padding=1, stride=2
    ),
    "max_pool2d": lambda x: autograd.max_pool2d(x.reshape(1, 1, 3, 3), 2) * x.sum(),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_central_differences(name: str) -> None:
    generator = torch.Generator().manual_seed(1)
    array = 0.5 + torch.rand(3, 3, dtype=torch.float64, generator=generator)
    x = Tensor(array, requires_grad=True)
    (slope,) = autograd.grad(FORMULAS[name](x).sum(), x, create_graph=True)
    assert torch.allclose(slope.data, central_difference(FORMULAS[name], x), rtol=1e-6, atol=1e-7)

    def squared_slope(point: Tensor) -> Tensor:
        point = Tensor(point.data, requires_grad=True)
        (at_point,) = autograd.grad(FORMULAS[name](point).sum(), point)
        return at_point * at_point

    if slope.requires_grad:
        (curvature,) = autograd.grad((slope * slope).sum(), x)
        assert torch.allclose(
            curvature.data, central_difference(squared_slope, x), rtol=1e-5, atol=1e-5
        )


def test_third_derivative_of_a_cube() -> None:
    x = tensor(2.0, requires_grad=True)
    value, derivatives = x**3, []
    for _ in range(3):
        (value,) = autograd.grad(value, x, create_graph=True)
        derivatives.append(value.item())
    assert derivatives == [12.0, 12.0, 6.0]


def test_third_derivative_of_a_network() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(4, 5), (5,), (5, 3), (3,)]
    arrays = [torch.randn(s, dtype=torch.float64, generator=generator) for s in shapes]
    x = torch.randn(6, 4, dtype=torch.float64, generator=generator)
    directions = [torch.randn(s, dtype=torch.float64, generator=generator) for s in shapes]

    def third(weights: list[Any], inputs: Any, grad: Any, wrap: Any) -> list[Any]:
        w, b, v, c = weights
        value = (((inputs @ w + b).tanh() @ v + c).sigmoid() ** 2).mean()
        for _ in range(2):
            slopes = grad(value, weights, create_graph=True)
            value = sum((g * wrap(d)).sum() for g, d in zip(slopes, directions, strict=True))
        return list(grad(value, weights))

    ours = third([Tensor(a, True) for a in arrays], Tensor(x), autograd.grad, Tensor)
    leaves = [a.clone().requires_grad_() for a in arrays]
    theirs = third(leaves, x, torch.autograd.grad, lambda d: d)
    for mine, other in zip(ours, theirs, strict=True):
        assert float((mine.data - other).abs().max()) < 1e-12


# ---- size and memory


def test_a_chain_of_100_000_operations() -> None:
    x = tensor(1.0, requires_grad=True, dtype=torch.float64)
    y = x
    for _ in range(50_000):
        y = y * 1.00001 + 1.0
    y.backward()
    assert x.grad is not None
    assert x.grad.item() == pytest.approx(1.00001**50_000, rel=1e-9)
    steep = x
    for _ in range(100_000):
        steep = -steep
    (slope,) = autograd.grad(steep, x)
    assert slope is not None
    assert slope.item() == 1.0


def test_a_graph_is_freed_without_the_garbage_collector() -> None:
    x = tensor([0.5, 1.0], requires_grad=True)
    gc.collect()
    gc.disable()
    try:
        y = (x.exp() * x.tanh()).sigmoid().log()
        y.mul_(x)
        nodes = [weakref.ref(node) for node in reachable(y)]
        assert len(nodes) > 5
        y.sum().backward()
        del y
        alive = [ref() for ref in nodes if ref() is not None]
        assert not alive
    finally:
        gc.enable()


def reachable(y: Tensor) -> list[Any]:
    found, stack = [], [y.grad_fn]
    while stack:
        node = stack.pop()
        if node is not None and node not in found:
            found.append(node)
            stack += [into for into, _ in node.next_functions]
    return found


def test_saved_values_are_freed_by_backward() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    y = (x.exp() * x).sum()
    saved = [weakref.ref(s) for node in reachable(y) for s in node.saved]
    assert len(saved) == 3
    y.backward(retain_graph=True)
    assert all(ref() is not None for ref in saved)
    y.backward()
    assert all(ref() is None for ref in saved)
    assert all(not node.saved for node in reachable(y))


def test_the_arrays_never_require_gradients() -> None:
    x = Tensor(torch.ones(3, requires_grad=True), requires_grad=True)
    y = (x * 2).exp().sum()
    y.backward()
    assert x.grad is not None
    assert not any(t.data.requires_grad for t in (x, y, x.grad))


# ---- errors: the same in both libraries


def leaf(library: Any) -> Any:
    return library.tensor([1.0, 2.0, 3.0], requires_grad=True)


def twice(library: Any) -> Any:
    y = (leaf(library) ** 2).sum()
    y.backward()
    return y.backward()


def saved_input_changed(library: Any) -> Any:
    y = leaf(library) * 1
    z = y * y
    y.add_(1)
    return z.sum().backward()


def saved_result_changed(library: Any) -> Any:
    y = leaf(library).exp()
    y.mul_(2)
    return y.sum().backward()


def changed_through_a_view(library: Any) -> Any:
    y = leaf(library) * 1
    z = y.tanh().log() * y
    y[1:].zero_()
    return z.sum().backward()


def changed_through_detach(library: Any) -> Any:
    y = leaf(library).exp()
    y.detach().zero_()
    return y.sum().backward()


def changed_without_grad(library: Any) -> Any:
    y = leaf(library).exp()
    with no_grad_of(library):
        y.zero_()
    return y.sum().backward()


def no_grad_of(library: Any) -> Any:
    return library.no_grad()


def view_made_without_grad(library: Any) -> Any:
    y = leaf(library) * 1
    with no_grad_of(library):
        view = y[0]
    return view.mul_(2)


def hook_of_wrong_shape(library: Any) -> Any:
    x = leaf(library)
    x.register_hook(lambda grad: grad[:2])
    return (x * 2).sum().backward()


def grad_of(library: Any) -> Any:
    return library.autograd.grad if library is torch else library.grad


def function_of(library: Any) -> Any:
    return library.autograd.Function if library is torch else library.Function


def own_function(library: Any, backward: Callable[[Any, Any], Any]) -> Any:
    base = function_of(library)
    cls = type(
        "Own",
        (base,),
        {
            "forward": staticmethod(lambda ctx, a, b: a * b),
            "backward": staticmethod(backward),
        },
    )
    return cls.apply(leaf(library), leaf(library)).sum().backward()


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a constant": (lambda lib: lib.tensor(1.0).backward(), "does not require grad"),
    "no scalar": (lambda lib: (leaf(lib) * 2).backward(), "only for scalar outputs"),
    "a gradient of another shape": (
        lambda lib: (leaf(lib) * 2).backward(lib.tensor([1.0])),
        "Mismatch in shape",
    ),
    "a second pass": (twice, "Trying to backward through the graph a second time"),
    "a saved input changed": (saved_input_changed, "modified by an inplace operation"),
    "a saved result changed": (saved_result_changed, "modified by an inplace operation"),
    "changed through a view": (changed_through_a_view, "modified by an inplace operation"),
    "changed through detach": (changed_through_detach, "modified by an inplace operation"),
    "changed under no_grad": (changed_without_grad, "modified by an inplace operation"),
    "a leaf changed": (lambda lib: leaf(lib).add_(1), "a leaf Variable that requires grad"),
    "a view of a leaf changed": (
        lambda lib: leaf(lib)[0].add_(1),
        "a view of a leaf Variable that requires grad",
    ),
    "a part of a leaf assigned": (
        lambda lib: leaf(lib).__setitem__(0, 1.0),
        "a view of a leaf Variable that requires grad",
    ),
    "a view made under no_grad": (view_made_without_grad, "A view was created in no_grad mode"),
    "numbers that lie on top of each other": (
        lambda lib: (leaf(lib)[:1] * 1).expand(3).mul_(2),
        "single memory location",
    ),
    "requires_grad of a result": (
        lambda lib: setattr(leaf(lib) * 2, "requires_grad", False),
        "you can only change requires_grad flags of leaf variables",
    ),
    "whole numbers": (lambda lib: lib.tensor([1, 2], requires_grad=True), "floating point"),
    "a hook on a constant": (
        lambda lib: lib.tensor(1.0).register_hook(print),
        "cannot register a hook on a tensor that doesn't require gradient",
    ),
    "a hook that changes the shape": (hook_of_wrong_shape, "hook"),
    "retain_grad of a constant": (lambda lib: lib.tensor(1.0).retain_grad(), "retain_grad"),
    "an unused input": (
        lambda lib: grad_of(lib)(leaf(lib).sum(), [leaf(lib)]),
        "appears to not have been used in the graph",
    ),
    "an input that is constant": (
        lambda lib: grad_of(lib)(leaf(lib).sum(), [lib.tensor(1.0)]),
        "One of the differentiated Tensors does not require grad",
    ),
    "inputs that are empty": (
        lambda lib: leaf(lib).sum().backward(inputs=[]),
        "inputs.*empty",
    ),
    "too few gradients": (
        lambda lib: own_function(lib, lambda ctx, grad: grad),
        r"incorrect number of gradients \(expected 2, got 1\)",
    ),
    "a gradient that does not fit": (
        lambda lib: own_function(lib, lambda ctx, grad: (grad, grad[:2])),
        "invalid gradient at index 1",
    ),
    "shapes that cannot be broadcast": (
        lambda lib: leaf(lib) + lib.tensor([1.0, 2.0]),
        r"must match|broadcast|Shape mismatch",
    ),
    "matrices that do not fit": (
        lambda lib: lib.tensor([[1.0, 2.0]]) @ lib.tensor([[1.0, 2.0]]),
        "shapes",
    ),
    "a wrong dimension": (lambda lib: leaf(lib).sum(1), "(?i)dim"),
    "an index outside": (lambda lib: leaf(lib)[3], "out of bounds"),
    "a reshape that does not fit": (lambda lib: leaf(lib).reshape(2), "invalid for input of size"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_both_libraries_refuse(name: str) -> None:
    program, words = REFUSED[name]
    errors = []
    for library in (autograd, torch):
        with pytest.raises((RuntimeError, IndexError, TypeError), match=words) as caught:
            program(library)
        errors.append(caught.type)
    assert errors[0] is errors[1]


def test_errors_of_our_own() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(TypeError, match=r"must be a Tensor or a number, got Tensor|got list"):
        x + [1.0, 2.0]  # type: ignore[operator]  # noqa: RUF005
    with pytest.raises(TypeError, match="same dtype"):
        x * tensor([1.0, 2.0], dtype=torch.float64)
    with pytest.raises(IndexError, match="numbers and slices"):
        (x * 1)[torch.tensor([0, 1])] = 0.0
    with pytest.raises(RuntimeError, match="same C"):
        autograd.conv2d(x, x)
    with pytest.raises(RuntimeError, match="2 tensors and 1 gradients"):
        autograd.backward([x.sum(), x.sum()], [None])


# ---- behaviour, beside torch's


def test_accumulation_adds_in_place_and_clearing_starts_anew() -> None:
    for library in (autograd, torch):
        x = leaf(library)
        (x * x).sum().backward()
        first = x.grad
        (x * x).sum().backward()
        assert x.grad is first
        assert first.tolist() == [4.0, 8.0, 12.0]
        x.grad = None
        (x * x).sum().backward()
        assert x.grad.tolist() == [2.0, 4.0, 6.0]


def test_one_gradient_is_not_shared_by_two_leaves() -> None:
    a, b = tensor([1.0], requires_grad=True), tensor([1.0], requires_grad=True)
    (a + b).sum().backward()
    assert a.grad is not None
    assert b.grad is not None
    a.grad.add_(1)
    assert b.grad.tolist() == [1.0]


@pytest.mark.parametrize("library", [autograd, torch])
def test_hooks_and_retained_gradients(library: Any) -> None:
    x = leaf(library)
    y = x * 2
    seen = []
    y.retain_grad()
    handle = y.register_hook(lambda grad: 10 * grad)
    y.register_hook(lambda grad: seen.append(grad.tolist()))
    x.register_hook(lambda grad: grad + 1)
    (y * y).sum().backward(retain_graph=True)
    assert seen == [[40.0, 80.0, 120.0]]
    assert y.grad.tolist() == seen[0]
    assert x.grad.tolist() == [81.0, 161.0, 241.0]
    handle.remove()
    x.grad = None
    (y * y).sum().backward()
    assert x.grad.tolist() == [9.0, 17.0, 25.0]


@pytest.mark.parametrize("library", [autograd, torch])
def test_views_share_history(library: Any) -> None:
    x = leaf(library)
    y = x * 2
    first, column = y[0], y.reshape(3, 1)
    y.mul_(3)
    (first + column.sum()).backward()
    assert x.grad.tolist() == [12.0, 6.0, 6.0]
    z = x * 1
    part = z[1:]
    part.mul_(part.clone())
    assert z.tolist() == [1.0, 4.0, 9.0]
    x.grad = None
    z.sum().backward()
    assert x.grad.tolist() == [1.0, 4.0, 6.0]


@pytest.mark.parametrize("library", [autograd, torch])
def test_a_buffer_that_is_written_to_joins_the_graph(library: Any) -> None:
    x = leaf(library)
    buffer = library.tensor([0.0, 0.0, 0.0, 0.0])
    view = buffer[1:]
    assert not view.requires_grad
    buffer[1:] = x * x
    assert view.requires_grad
    assert not buffer.is_leaf
    (view * 2).sum().backward()
    assert x.grad.tolist() == [4.0, 8.0, 12.0]


@pytest.mark.parametrize("library", [autograd, torch])
def test_backward_for_some_inputs_only(library: Any) -> None:
    a, b = leaf(library), leaf(library)
    middle = a * b
    middle.sum().backward(inputs=[a, middle])
    assert a.grad.tolist() == b.tolist()
    assert middle.grad.tolist() == [1.0, 1.0, 1.0]
    assert b.grad is None


@pytest.mark.parametrize("library", [autograd, torch])
def test_grad_returns_and_adds_to_nobody(library: Any) -> None:
    a, b = leaf(library), leaf(library)
    gradients = grad_of(library)([(a * b).sum(), a.sum()], [a, b])
    assert [g.tolist() for g in gradients] == [[2.0, 3.0, 4.0], [1.0, 2.0, 3.0]]
    assert a.grad is None
    assert grad_of(library)(a.sum(), [a, b], allow_unused=True)[1] is None


@pytest.mark.parametrize("library", [autograd, torch])
def test_recording_is_switched(library: Any) -> None:
    x = leaf(library)
    with library.no_grad():
        assert not (x * 2).requires_grad
        with library.enable_grad():
            assert (x * 2).requires_grad
        assert not library.is_grad_enabled()
    assert library.is_grad_enabled()

    @library.no_grad()
    def countdown(n: int) -> bool:
        return countdown(n - 1) if n else library.is_grad_enabled()

    assert not countdown(3)
    assert library.is_grad_enabled()
    with pytest.raises(ZeroDivisionError), library.no_grad():
        _ = 1 / 0
    assert library.is_grad_enabled()


@pytest.mark.parametrize("library", [autograd, torch])
def test_one_class_serves_both_libraries(library: Any) -> None:
    class Softplus(function_of(library)):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return (x.exp() + 1).log()

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            (x,) = ctx.saved_tensors
            return grad * x.sigmoid()

    x = leaf(library)
    (slope,) = grad_of(library)(Softplus.apply(x).sum(), x, create_graph=True)
    (curvature,) = grad_of(library)(slope.sum(), x)
    s = torch.tensor([1.0, 2.0, 3.0]).sigmoid()
    assert slope.tolist() == pytest.approx(s.tolist())
    assert curvature.tolist() == pytest.approx((s * (1 - s)).tolist())


def test_control_flow_is_python_s() -> None:
    for length, slope in ((3, 8.0), (5, 32.0)):
        x = tensor(1.0, requires_grad=True)
        y = x
        while y < 2.0**length:
            y = y * 2
        y.backward()
        assert x.grad is not None
        assert x.grad.item() == slope


# ---- a network


class Net(nn.Module):
    """The network of Part II."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, 1)
        self.conv2 = nn.Conv2d(32, 64, 3, 1)
        self.fc1 = nn.Linear(9216, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = tf.relu(self.conv1(x))
        x = tf.dropout2d(tf.max_pool2d(tf.relu(self.conv2(x)), 2), 0.25)
        x = tf.dropout(tf.relu(self.fc1(x.flatten(1))), 0.5)
        return tf.log_softmax(self.fc2(x), dim=1)


def net(parameters: list[Tensor], x: Tensor) -> Tensor:
    """The same, in the engine's operations; what is dropped is drawn as torch draws it."""
    w1, b1, w2, b2, w3, b3, w4, b4 = parameters
    x = autograd.conv2d(x, w1, b1).relu()
    x = autograd.max_pool2d(autograd.conv2d(x, w2, b2).relu(), 2)
    x = x * Tensor(tf.dropout2d(torch.ones_like(x.data), 0.25))
    x = (x.reshape(len(x), -1) @ w3.T + b3).relu()
    x = x * Tensor(tf.dropout(torch.ones_like(x.data), 0.5))
    return autograd.log_softmax(x @ w4.T + b4, dim=1)


def test_net_trained_by_the_engine_has_torch_s_losses() -> None:
    torch.manual_seed(0)
    model = Net().double()
    pictures = torch.rand(4, 1, 28, 28, dtype=torch.float64)
    digits = torch.tensor([3, 1, 4, 1])
    parameters = [Tensor(p.detach().clone(), requires_grad=True) for p in model.parameters()]
    our_steps = nndl.optim.SGD([p.data for p in parameters], lr=0.05, momentum=0.9)
    their_steps = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    losses: list[tuple[float, float]] = []
    for step in range(50):
        torch.manual_seed(step)
        our_loss = -net(parameters, Tensor(pictures))[range(4), digits].mean()
        our_loss.backward()
        for p in parameters:
            assert p.grad is not None
            p.data.grad, p.grad = p.grad.data, None
        our_steps.step()

        torch.manual_seed(step)
        their_loss = tf.nll_loss(model(pictures), digits)
        their_steps.zero_grad()
        their_loss.backward()
        their_steps.step()
        losses.append((our_loss.item(), their_loss.item()))
    assert max(abs(ours - theirs) for ours, theirs in losses) < 1e-9
    assert losses[-1][0] < 0.75 * losses[0][0]
