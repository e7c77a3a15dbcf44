"""Random programs that run on two libraries: on ours, and on torch's tensors.

A program is made while it runs. Each of its values is a pair: ours and torch's. Hypothesis chooses
the operations, so that a program that fails is shrunk to the smallest one that does.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as tf
from hypothesis import strategies as st

from nndl import autograd
from nndl.autograd import Tensor

SHAPES = [(), (1,), (3,), (2, 3), (3, 1), (1, 3), (3, 3), (2, 1, 3), (2, 3, 2)]
NUMBERS = st.sampled_from([-2.0, -1.0, -0.5, 0.5, 1.5, 3.0])
BIG = 30.0
TOLERANCE = 1e-12


@dataclass(frozen=True)
class Pair:
    """One value in both libraries."""

    ours: Any
    theirs: Any

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.theirs.shape)

    def map(self, operation: Callable[[Any], Any]) -> "Pair":
        """Apply one operation in both libraries."""
        return both(lambda: operation(self.ours), lambda: operation(self.theirs))

    def combine(self, other: "Pair", operation: Callable[[Any, Any], Any]) -> "Pair":
        """Apply one operation on two values in both libraries."""
        return both(
            lambda: operation(self.ours, other.ours), lambda: operation(self.theirs, other.theirs)
        )


class Refused(Exception):
    """Both libraries refused a step."""


def both(ours: Callable[[], Any], theirs: Callable[[], Any]) -> Pair:
    """Run a step in both libraries. Both succeed, or both raise the same type of error."""
    results, errors = [], []
    for step in (ours, theirs):
        try:
            results.append(step())
        except (RuntimeError, IndexError) as error:
            errors.append(error)
    if len(errors) == 1:
        raise AssertionError(f"only one library refuses: {errors[0]}") from errors[0]
    if errors:
        assert type(errors[0]) is type(errors[1]), errors
        raise Refused(str(errors[1]))
    return Pair(*results)


def agree(ours: Tensor | None, theirs: torch.Tensor | None, tolerance: float = TOLERANCE) -> None:
    """Both are the same, up to rounding, relative to the largest number."""
    assert (ours is None) == (theirs is None), (ours, theirs)
    if ours is not None and theirs is not None:
        assert ours.shape == theirs.shape
        theirs = theirs.detach()
        assert torch.equal(torch.isfinite(ours.data), torch.isfinite(theirs))
        scale = max(1.0, float(theirs.abs().max())) if theirs.numel() else 1.0
        difference = (ours.data - theirs).abs().nan_to_num(0.0)
        assert not difference.numel() or float(difference.max()) <= tolerance * scale, (
            ours,
            theirs,
        )


@dataclass
class Program:
    """Some leaves, and the values that were computed from them."""

    draw: Callable[..., Any]
    leaves: list[Pair] = field(default_factory=list)
    values: list[Pair] = field(default_factory=list)

    def start(self) -> None:
        """Make leaves; some require gradients, the first one always does."""
        generator = torch.Generator().manual_seed(self.draw(st.integers(0, 10**6), label="seed"))
        for number in range(self.draw(st.integers(1, 3), label="leaves")):
            shape = self.draw(st.sampled_from(SHAPES), label="shape")
            wanted = number == 0 or self.draw(st.booleans(), label="requires_grad")
            array = torch.randn(shape, dtype=torch.float64, generator=generator)
            leaf = Pair(Tensor(array.clone(), wanted), array.clone().requires_grad_(wanted))
            self.leaves.append(leaf)
            self.values.append(leaf)

    def pick(self, condition: Callable[[Pair], bool] = lambda pair: True) -> Pair | None:
        """Choose one of the values for which the condition holds."""
        fitting = [pair for pair in self.values if condition(pair)]
        return self.draw(st.sampled_from(fitting), label="value") if fitting else None

    def step(self, operations: dict[str, Callable[["Program", Pair], Pair | None]]) -> None:
        """Apply an operation to a value that was there before."""
        operation = operations[self.draw(st.sampled_from(sorted(operations)), label="operation")]
        x = self.pick()
        assert x is not None
        try:
            result = operation(self, x)
        except Refused:
            return
        if result is not None:
            if result.theirs.numel() and float(result.theirs.detach().abs().max()) > BIG:
                result = result.map(lambda v: v.tanh())
            agree(result.ours, result.theirs)
            self.values.append(result)

    def result(self) -> Pair:
        """Return one number that every number of every value has a part in, each another."""
        parts = []
        for place, pair in enumerate(self.values):
            size = pair.theirs.numel()
            weights = torch.cos(torch.arange(size, dtype=torch.float64) + place).reshape(pair.shape)
            parts.append(pair.combine(Pair(Tensor(weights), weights), lambda v, w: (v * w).sum()))
        return reduce(lambda a, b: a.combine(b, lambda v, w: v + w), parts)


def together(x: Pair, y: Pair) -> bool:
    """Whether the shapes can be broadcast."""
    try:
        torch.broadcast_shapes(x.shape, y.shape)
    except RuntimeError:
        return False
    return True


def arithmetic(combine: Callable[[Any, Any], Any]) -> Callable[[Program, Pair], Pair | None]:
    """An operation on two values, or on a value and a number on either side."""

    def operation(program: Program, x: Pair) -> Pair | None:
        kind = program.draw(st.sampled_from(["tensor", "number", "number first"]), label="operand")
        if kind == "tensor":
            y = program.pick(lambda pair: together(x, pair))
            return None if y is None else x.combine(y, combine)
        number = program.draw(NUMBERS, label="number")
        if kind == "number":
            return x.map(lambda v: combine(v, number))
        return x.map(lambda v: combine(number, v))

    return operation


def function(apply: Callable[[Any], Any]) -> Callable[[Program, Pair], Pair]:
    return lambda program, x: x.map(apply)


def power(program: Program, x: Pair) -> Pair:
    exponent = program.draw(st.sampled_from([-1, 0, 0.5, 1, 2, 3, 2.5]), label="exponent")
    return x.map(lambda v: (v * v + 0.5) ** exponent)


def power_of_two(program: Program, x: Pair) -> Pair | None:
    y = program.pick(lambda pair: together(x, pair))
    return None if y is None else x.combine(y, lambda v, w: (v * v + 0.5) ** w.tanh())


def dimension(program: Program, x: Pair) -> int:
    return program.draw(st.integers(-len(x.shape), len(x.shape) - 1), label="dim")


def reduction(name: str) -> Callable[[Program, Pair], Pair]:
    def operation(program: Program, x: Pair) -> Pair:
        keepdim = program.draw(st.booleans(), label="keepdim")
        if not x.shape or program.draw(st.booleans(), label="all"):
            return x.map(lambda v: getattr(v, name)())
        dim = dimension(program, x)
        return x.map(lambda v: getattr(v, name)(dim, keepdim))

    return operation


def maximum(program: Program, x: Pair) -> Pair:
    if not x.shape or program.draw(st.booleans(), label="all"):
        return x.map(lambda v: v.max())
    dim, keepdim = dimension(program, x), program.draw(st.booleans(), label="keepdim")
    return x.map(lambda v: v.max(dim, keepdim)[0])


def matmul(program: Program, x: Pair) -> Pair | None:
    def fits(y: Pair) -> bool:
        try:
            torch.empty(x.shape) @ torch.empty(y.shape)
        except RuntimeError:
            return False
        return True

    y = program.pick(fits)
    return None if y is None else x.combine(y, lambda v, w: v @ w)


def reshape(program: Program, x: Pair) -> Pair:
    size = x.theirs.numel()
    shapes = [(size,), (1, size), (size, 1), (-1,), (*x.shape, 1)]
    shapes += [(size // 3, 3), (3, -1)] if size % 3 == 0 and size else []
    shape = program.draw(st.sampled_from(shapes), label="shape")
    return x.map(lambda v: v.reshape(*shape))


def permute(program: Program, x: Pair) -> Pair:
    dims = program.draw(st.permutations(range(len(x.shape))), label="dims")
    return x.map(lambda v: v.permute(*dims)) if dims else x


def transpose(program: Program, x: Pair) -> Pair | None:
    if not x.shape:
        return None
    first, second = dimension(program, x), dimension(program, x)
    return x.map(lambda v: v.transpose(first, second))


def expand(program: Program, x: Pair) -> Pair:
    shape = tuple(4 if size == 1 else size for size in x.shape)
    return x.map(lambda v: v.expand(2, *shape))


def view_index(program: Program, x: Pair) -> Any:
    """An index of numbers and slices."""
    one = st.integers(-1, 0) | st.sampled_from([slice(None), slice(1), slice(0, None, 2), None])
    count = program.draw(st.integers(1, max(1, len(x.shape))), label="indices")
    index = [program.draw(one, label="index") if x.shape else None for _ in range(count)]
    return ..., *index


def take(program: Program, x: Pair) -> Pair:
    index = view_index(program, x)
    return x.map(lambda v: v[index])


def take_list(program: Program, x: Pair) -> Pair | None:
    if 0 in (len(x.shape), *x.shape[:1]):
        return None
    size = x.shape[0]
    places = program.draw(
        st.lists(st.integers(-size, size - 1), min_size=1, max_size=4), label="places"
    )
    return x.map(lambda v: v[torch.tensor(places)])


def take_where(program: Program, x: Pair) -> Pair:
    mask = x.theirs.detach() > 0.1
    return x.map(lambda v: v[mask])


def choose(program: Program, x: Pair) -> Pair | None:
    y = program.pick(lambda pair: pair.shape == x.shape)
    mask = x.theirs.detach() > 0
    if y is None:
        return None
    return Pair(autograd.where(mask, x.ours, y.ours), torch.where(mask, x.theirs, y.theirs))


def log_softmax(program: Program, x: Pair) -> Pair | None:
    if not x.shape:
        return None
    dim = dimension(program, x)
    return Pair(autograd.log_softmax(x.ours, dim), tf.log_softmax(x.theirs, dim))


def conv2d(program: Program, x: Pair) -> Pair | None:
    """Any value as pictures, with filters cut from another."""
    y = program.pick(lambda pair: pair.theirs.numel() >= 4)
    if y is None or x.theirs.numel() < 4:
        return None
    padding = program.draw(st.integers(0, 2), label="padding")
    stride = program.draw(st.integers(1, 2), label="stride")
    size = x.theirs.numel() // 2
    picture = x.map(lambda v: v.reshape(-1)[: 2 * size].reshape(1, 1, 2, size))
    filters = y.map(lambda v: v.reshape(-1)[:4].reshape(1, 1, 2, 2))
    return Pair(
        autograd.conv2d(picture.ours, filters.ours, stride=stride, padding=padding),
        tf.conv2d(picture.theirs, filters.theirs, stride=stride, padding=padding),
    )


SMOOTH: dict[str, Callable[[Program, Pair], Pair | None]] = {
    "add": arithmetic(lambda a, b: a + b),
    "sub": arithmetic(lambda a, b: a - b),
    "mul": arithmetic(lambda a, b: a * b),
    "div": arithmetic(lambda a, b: a / (b * b + 0.5)),
    "neg": function(lambda v: -v),
    "pow": power,
    "pow of two tensors": power_of_two,
    "exp": function(lambda v: v.tanh().exp()),
    "log": function(lambda v: (v * v + 0.5).log()),
    "tanh": function(lambda v: v.tanh()),
    "sigmoid": function(lambda v: v.sigmoid()),
    "sum": reduction("sum"),
    "mean": reduction("mean"),
    "matmul": matmul,
    "reshape": reshape,
    "permute": permute,
    "transpose": transpose,
    "expand": expand,
    "take": take,
    "take list": take_list,
    "clone": function(lambda v: v.clone()),
    "log_softmax": log_softmax,
    "conv2d": conv2d,
}
KINKED = {
    "relu": function(lambda v: v.relu()),
    "max": maximum,
    "take where": take_where,
    "where": choose,
    "detach": function(lambda v: v.detach()),
}
OPERATIONS = SMOOTH | KINKED


def overlap(x: Pair, y: Pair) -> bool:
    """Whether two values share memory."""
    first, second = (pair.theirs.untyped_storage().data_ptr() for pair in (x, y))
    return first == second


# Where torch saves more than ours does (pow of two tensors, max), or the picture and not a copy of
# its windows (conv2d), it refuses changes in place that do ours no harm. They are left out there.
UNLIKE = {"pow of two tensors", "conv2d"}
WRITABLE = {name: SMOOTH[name] for name in SMOOTH if name not in UNLIKE} | {
    name: KINKED[name] for name in ("relu", "detach")
}


def write(program: Program) -> None:
    """Change a value, or a view of it, in place; not one whose numbers lie on top of each other."""
    x = program.pick(lambda pair: 0 not in pair.theirs.stride())
    assert x is not None
    target = take(program, x) if program.draw(st.booleans(), label="through a view") else x

    # torch refuses most operands that overlap with what is written; ours copies first.
    def fits(pair: Pair) -> bool:
        return pair.shape in ((), target.shape) and not overlap(pair, target)

    other = program.pick(fits)
    operation = program.draw(
        st.sampled_from(["add_", "sub_", "mul_", "div_", "copy_", "zero_"]),
        label="in place",
    )
    if operation == "zero_":
        both(getattr(target.ours, operation), getattr(target.theirs, operation))
    elif other is None or program.draw(st.booleans(), label="number"):
        number = program.draw(NUMBERS, label="number")
        value = torch.tensor(number, dtype=torch.float64) if operation == "copy_" else number
        both(
            lambda: getattr(target.ours, operation)(number),
            lambda: getattr(target.theirs, operation)(value),
        )
    else:
        both(
            lambda: getattr(target.ours, operation)(other.ours),
            lambda: getattr(target.theirs, operation)(other.theirs),
        )


def weights_of(program: Program) -> list[Pair]:
    """The leaves that require gradients."""
    return [leaf for leaf in program.leaves if leaf.theirs.requires_grad]


def compare_gradients(program: Program, steps: int = 10) -> None:
    """A program's gradients, added to the leaves by two calls of ``backward``, are torch's."""
    program.start()
    for _ in range(program.draw(st.integers(1, steps), label="steps")):
        program.step(OPERATIONS)
    result = program.result()
    agree(result.ours, result.theirs)
    for again in (True, False):
        result.map(lambda value, again=again: value.backward(retain_graph=again))
    for leaf in program.leaves:
        agree(leaf.ours.grad, leaf.theirs.grad)


def compare_higher(program: Program, orders: int = 3) -> None:
    """Gradients of squares of gradients are torch's too."""
    program.start()
    for _ in range(program.draw(st.integers(1, 5), label="steps")):
        program.step(OPERATIONS)
    leaves, result = weights_of(program), program.result()
    for order in range(orders):
        if not result.theirs.requires_grad:
            assert not result.ours.requires_grad
            return
        theirs = torch.autograd.grad(
            result.theirs, [x.theirs for x in leaves], create_graph=True, allow_unused=True
        )
        # Where torch has a graph whose derivative is zero everywhere, ours has none.
        ours: Any = [None] * len(leaves)
        if result.ours.requires_grad:
            ours = autograd.grad(
                result.ours, [x.ours for x in leaves], create_graph=True, allow_unused=True
            )
        pairs = [
            Pair(
                Tensor(torch.zeros_like(leaf.ours.data)) if mine is None else mine,
                torch.zeros_like(leaf.theirs) if other is None else other,
            )
            for leaf, mine, other in zip(leaves, ours, theirs, strict=True)
        ]
        for pair in pairs:
            agree(pair.ours, pair.theirs, TOLERANCE * 100**order)
        squares = [
            pair.map(lambda g, k=place: (g * (k + 1.5) * g).sum())
            for place, pair in enumerate(pairs)
        ]
        result = reduce(lambda a, b: a.combine(b, lambda v, w: v + w), squares)


def compare_writes(program: Program) -> str:
    """Programs that change values in place have torch's gradients, or are refused as by torch."""
    program.start()
    refused = False
    for _ in range(program.draw(st.integers(1, 8), label="steps")):
        program.step(WRITABLE)
        if program.draw(st.booleans(), label="change something"):
            try:
                write(program)
            except Refused:
                refused = True
    try:
        result = program.result()
        agree(result.ours, result.theirs)
        result.map(lambda value: value.backward())
    except Refused:
        return "no gradient, as in torch"
    for leaf in program.leaves:
        if leaf.theirs.is_leaf:
            agree(leaf.ours.grad, leaf.theirs.grad)
    return "a change refused, as in torch" if refused else "all gradients equal"
