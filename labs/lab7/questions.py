"""Lab 7, autograd: the inputs of its questions, and how an answer runs on them."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nndl.checking.question import Case, Question, Unusable
from nndl.checking.returned import a_tensor, described, numbers, unusable

STEPS = 55


def number(values: Any) -> Tensor:
    """A tensor of its own, so that no answer can change a case."""
    return torch.tensor(values, dtype=torch.float64)


def own(result: Any) -> Any:
    """A copy of a tensor that was returned: what happens to it later doesn't count."""
    return result.clone() if isinstance(result, Tensor) else result


def listed(function: str, value: Any) -> list[Any]:
    """Return what a function returned as a list, if it is one, a tuple or something like it."""
    if isinstance(value, (str, Mapping, set)) or not hasattr(value, "__iter__"):
        raise unusable(function, value, "一个列表", "a list")
    if isinstance(value, (Tensor, np.ndarray)) and not value.ndim:
        raise unusable(function, value, "一个列表", "a list")
    return list(value)


# 1: requires_grad


def programs(rng: np.random.Generator) -> list[Case]:
    """Operations on earlier results: inputs, what passes a gradient on, grad mode."""
    one_of_each = [  # two inputs, one; an exception; under no_grad; no input at all
        [[0, 1], [True, True], True],
        [[1], [True], True],
        [[1, 0], [False, True], True],
        [[1, 2], [True, True], False],
        [[], [], True],
    ]
    cases: list[Case] = [{"leaves": [False, True], "operations": one_of_each}]
    for leaves, likely in ((1, 1.0), (3, 0.8), (8, 0.6)):
        operations = []
        for made in range(leaves, leaves + STEPS):
            inputs = rng.integers(0, made, rng.integers(0, 4)).tolist()
            passes = (rng.random(len(inputs)) < likely).tolist()
            operations.append([inputs, passes, bool(rng.random() < 0.9)])
        switches = [True, *(rng.random(leaves - 1) < 0.4).tolist()]
        cases.append({"leaves": switches, "operations": operations})
    return cases


def run_switches(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    result = listed("switches", answer["switches"](list(case["leaves"]), case["operations"]))
    for i, switch in enumerate(result):
        if not isinstance(switch, (bool, int, np.bool_)):
            (zh, en), part = ("True 或 False", "True or False"), f"switches[{i}]"
            raise unusable("switches", switch, zh, en, part)
    return {"switches": [int(bool(switch)) for switch in result]}


# 2: freezing


class Net(nn.Module):
    """Three parts, two of them with BatchNorm."""

    def __init__(self, inputs: int, width: int, outputs: int) -> None:
        super().__init__()
        self.base = nn.Sequential(nn.Linear(inputs, width), nn.BatchNorm1d(width), nn.Tanh())
        self.middle = nn.Sequential(nn.Linear(width, width), nn.BatchNorm1d(width), nn.Tanh())
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Go through the parts in turn."""
        return self.head(self.middle(self.base(x)))


def networks(rng: np.random.Generator) -> list[Case]:
    """Networks, the part to freeze, and whether something else is frozen already."""
    return [
        {"seed": int(rng.integers(2**31)), "sizes": sizes, "part": part, "before": before}
        for sizes, part, before in (
            ([2, 3, 1], "base", False),
            ([1, 2, 2], "base", True),
            ([3, 4, 2], "middle", False),
        )
    ]


def run_freeze(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    rng = np.random.default_rng(case["seed"])
    model = Net(*case["sizes"]).double().train()
    parameters = list(model.parameters())
    with torch.no_grad():
        for p in parameters:
            p.copy_(number(rng.normal(0, 0.7, tuple(p.shape))))
    if case["before"]:
        model.middle[0].bias.requires_grad_(False)
    chosen = listed("freeze", answer["freeze"](model, getattr(model, case["part"])))
    for i, p in enumerate(chosen):
        if not isinstance(p, nn.Parameter):
            raise unusable("freeze", p, "一个参数", "a parameter", f"list[{i}]")
    returned = [any(p is other for other in chosen) for p in parameters]
    trace: dict[str, Any] = {
        "switches": [int(p.requires_grad) for p in parameters],
        "returned": [int(r) for r in returned],
        "statistics": [],
        "parameters": [],
    }

    def record() -> None:
        buffers = [b.clone() for name, b in model.named_buffers() if "running" in name]
        trace["statistics"].append(torch.cat(buffers))
        trace["parameters"].append(torch.cat([p.detach().reshape(-1) for p in parameters]))

    inputs, _, outputs = case["sizes"]
    record()
    for _ in range(STEPS):
        x, target = number(rng.normal(1, 1, (8, inputs))), number(rng.normal(0, 1, (8, outputs)))
        loss = ((model(x) - target) ** 2).mean()
        if loss.requires_grad:
            loss.backward()
        with torch.no_grad():
            for p, trained in zip(parameters, returned, strict=True):
                if trained and p.grad is not None:
                    p -= 0.05 * p.grad
                p.grad = None
        record()
    return trace


# 3: a Function


def bends(rng: np.random.Generator) -> list[Case]:
    """Starts of several shapes, and how sharp the bend is."""
    return [
        {
            "start": rng.uniform(-2, 2, shape),
            "factors": rng.uniform(0.5, 2, shape),
            "beta": float(beta),
            "lr": 0.05,
        }
        for shape, beta in (
            ((1,), 1.0),
            ((4,), rng.uniform(2, 4)),
            ((2, 3), rng.uniform(0.3, 0.7)),
            ((1, 1, 2), rng.uniform(1.2, 2)),
        )
    ]


def run_softplus(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    function = answer["Softplus"]
    if not isinstance(function, type) or not issubclass(function, torch.autograd.Function):
        raise Unusable(
            "Softplus 应是 torch.autograd.Function 的子类。",
            "Softplus must be a subclass of torch.autograd.Function.",
        )
    x, factors = number(case["start"]), number(case["factors"])
    trace: dict[str, Any] = {"y": [], "first": [], "second": []}
    for _ in range(STEPS):
        x = x.detach().requires_grad_()
        y = function.apply(x, case["beta"])
        if not isinstance(y, Tensor) or y.shape != x.shape:
            raise unusable("forward", y, *a_tensor(x.shape))
        total = (factors * x * y).sum()
        (first,) = torch.autograd.grad(total, x, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), x)
        for name, value in (("y", y), ("first", first), ("second", second)):
            trace[name].append(value.detach().clone())
        x = x - case["lr"] * first
    return trace


# 4: differences


def places(rng: np.random.Generator) -> list[Case]:
    """Points of several shapes; h is large enough to tell one difference from another."""
    return [
        {
            "points": rng.normal(0, 1, (STEPS, *shape)),
            "factors": rng.uniform(0.5, 2, shape),
            "h": h,
        }
        for shape, h in (((1,), 0.1), ((4,), 0.01), ((2, 3), 0.05))
    ]


def run_numerical(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    factors = number(case["factors"])

    def f(x: Tensor) -> Tensor:
        return (factors * x**4).sum() / 4 + x.sum() ** 2 / 2

    trace: dict[str, Any] = {"gradient": [], "x": []}
    for point in case["points"]:
        x = number(point)
        gradient = answer["numerical_gradient"](f, x, case["h"])
        trace["gradient"].append(own(numbers("numerical_gradient", gradient, x.shape)))
        trace["x"].append(x)  # where it was, unless the answer has moved it
    return trace


# 5: an order


def graphs(rng: np.random.Generator) -> list[Case]:
    """Graphs as lists of parents, with the numbers of the nodes shuffled."""
    cases: list[Case] = [
        {"parents": [[]], "result": 0},
        {"parents": [[1, 3], [3], [], [2, 2]], "result": 0},
    ]
    for size, newer in ((60, 0), (75, 15)):
        # A node is made from up to three that came before, now and then from one of them twice.
        parents = [
            [max(0, node - int(back)) for back in rng.geometric(0.25, rng.integers(1, 4))]
            for node in range(size)
        ]
        parents[0] = []
        new = rng.permutation(size)
        shuffled: list[list[int]] = [[] for _ in range(size)]
        for node, made_from in enumerate(parents):
            shuffled[new[node]] = [int(new[parent]) for parent in made_from]
        cases.append({"parents": shuffled, "result": int(new[size - 1 - newer])})
    return cases


def run_order(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    parents = case["parents"]
    handed_out = [list(made_from) for made_from in parents]
    result = answer["backward_order"](handed_out, case["result"])
    order = []
    for i, node in enumerate(listed("backward_order", result)):
        if not isinstance(node, (int, np.integer)):
            zh, en = "整数，即节点的编号", "an integer (the number of a node)"
            raise unusable("backward_order", node, zh, en, f"list[{i}]")
        order.append(int(node))
    place: dict[int, int] = {}
    for position, node in enumerate(order):
        place.setdefault(node, position)
    # Any order that serves is right. So it isn't the order that is shown, but what holds of it.
    users_before = [0] * len(parents)
    for user, made_from in enumerate(parents):
        for node in set(made_from):
            users_before[node] += place.get(user, len(order)) < place.get(node, -1)
    return {
        "listed": [order.count(node) for node in range(len(parents))],
        "users_before": users_before,
    }


# 6: the backward pass


class Value:
    """A number, and how it was made: the class that the lab shows."""

    made = 0

    def __init__(self, data: float, parents: Any = (), slopes: Any = ()) -> None:
        self.data, self.grad = data, 0.0
        self.parents, self.slopes = parents, slopes
        Value.made += 1
        self.number = Value.made

    def __add__(self, other: "Value") -> "Value":
        return Value(self.data + other.data, (self, other), (1.0, 1.0))

    def __mul__(self, other: "Value") -> "Value":
        return Value(self.data * other.data, (self, other), (other.data, self.data))

    def tanh(self) -> "Value":
        """tanh, whose derivative is 1 - y²."""
        y = float(np.tanh(self.data))
        return Value(y, (self,), (1 - y * y,))


OPERATIONS: dict[str, Callable[[Value, Value], Value]] = {
    "add": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "tanh": lambda a, b: a.tanh(),
}


def computations(rng: np.random.Generator) -> list[Case]:
    """Leaves, and operations on recent values; what would grow large is squashed instead."""
    diamond = [["mul", 0, 0], ["mul", 2, 1], ["mul", 2, 3]]
    cases: list[Case] = [
        {"leaves": [float(rng.normal())], "operations": []},
        {"leaves": [3.0, 2.0], "operations": diamond},
    ]
    for leaves, length in ((1, 60), (4, 80)):
        values = [Value(float(x)) for x in rng.uniform(0.5, 1.5, leaves)]
        operations: list[list[Any]] = []
        while len(operations) < length:
            recent = np.arange(max(0, len(values) - 5), len(values))
            a, b = (int(i) for i in rng.choice(recent, 2))
            kind = str(rng.choice(["add", "mul", "mul", "tanh"]))
            if abs(OPERATIONS[kind](values[a], values[b]).data) > 2:
                kind = "tanh"
            operations.append([kind, a, b])
            values.append(OPERATIONS[kind](values[a], values[b]))
        cases.append({"leaves": [v.data for v in values[:leaves]], "operations": operations})
    return cases


def run_backward(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    values = [Value(x) for x in case["leaves"]]
    for kind, a, b in case["operations"]:
        values.append(OPERATIONS[kind](values[a], values[b]))
    answer["backward"](values[-1])
    grads = []
    for value in reversed(values):  # the newest first
        try:
            grads.append(float(value.grad))
        except (TypeError, ValueError):
            zh, en = described(value.grad)
            raise Unusable(
                f"每个值的 grad 应是一个数，放进去的是{zh}。",
                f"The grad of each value must be a number, and holds {en}.",
            ) from None
    return {"grad": grads}


# 7: broadcasting


def repetitions(rng: np.random.Generator) -> list[Case]:
    """Gradients of a tensor that was broadcast, and its shape before."""
    return [
        {"gradients": rng.normal(0, 1, (STEPS, *after)), "shape": list(before)}
        for before, after in (
            ((3,), (3, 3)),
            ((4, 1), (4, 3)),
            ((1, 3), (2, 4, 3)),
            ((), (3, 2)),
            ((2, 3), (2, 3)),
        )
    ]


def run_sum_to(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    trace: dict[str, Any] = {"gradient": [], "G": []}
    for received in case["gradients"]:
        G = number(received)  # noqa: N806 (its name in the lab)
        result = answer["sum_to"](G, tuple(case["shape"]))
        trace["gradient"].append(own(numbers("sum_to", result)))
        trace["G"].append(G)  # as it was, unless the answer has changed it
    return trace


# 8: micro-batches


class Waiting:
    """Samples whose graph waits for its backward pass, until that has been or the graph is gone."""

    def __init__(self, count: dict[str, int], samples: int) -> None:
        self.count, self.samples = count, samples
        count["now"] += samples
        count["most"] = max(count["most"], count["now"])

    def over(self) -> None:
        """Count them out, once."""
        self.count["now"] -= self.samples
        self.samples = 0

    __del__ = over


class Kept(torch.autograd.Function):
    """Passes a tensor on, and counts its samples while they wait."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, count: dict[str, int]) -> Tensor:
        """Count them in."""
        ctx.waiting = Waiting(count, len(x))
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Count them out."""
        ctx.waiting.over()
        return grads[0], None


def batches(rng: np.random.Generator) -> list[Case]:
    """Linear models, and batches that fall into parts of equal and of unequal sizes."""
    cases: list[Case] = []
    for samples, size, features in ((12, 4, 2), (10, 4, 3), (9, 2, 1), (5, 8, 2)):
        inputs = rng.normal(0, 1, (samples, features))
        slopes = rng.normal(0, 1, features)
        cases.append(
            {
                "inputs": inputs,
                "targets": inputs @ slopes + rng.normal(1, 0.3, samples),
                "w": rng.normal(0, 1, features),
                "b": float(rng.normal()),
                "size": size,
                "lr": 0.05,
            }
        )
    return cases


def run_accumulate(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    w, b = number(case["w"]).requires_grad_(), number(case["b"]).requires_grad_()
    counts: list[dict[str, int]] = []  # one for each step

    def loss(inputs: Tensor, targets: Tensor) -> Tensor:
        outputs = inputs @ w + b
        if outputs.requires_grad:
            outputs = Kept.apply(outputs, counts[-1])
        return ((outputs - targets) ** 2).mean()

    trace: dict[str, Any] = {"w": [number(case["w"])], "b": [number(case["b"])]}
    for _ in range(STEPS):
        counts.append({"now": 0, "most": 0})
        inputs, targets = number(case["inputs"]), number(case["targets"])
        answer["accumulate"]([w, b], loss, inputs, targets, case["size"])
        with torch.no_grad():
            for p in (w, b):
                if p.grad is not None:
                    p -= case["lr"] * p.grad
        trace["w"].append(w.detach().clone())
        trace["b"].append(b.detach().clone())
    trace["kept"] = [0, *(count["most"] for count in counts)]
    return trace


QUESTIONS = [
    Question(
        "switches",
        10,
        {"zh": "开关的规则", "en": "The rule of the switch"},
        ("switches",),
        programs,
        run_switches,
        counts="index",
    ),
    Question(
        "freeze",
        10,
        {"zh": "冻结一部分", "en": "Freezing a part"},
        ("freeze",),
        networks,
        run_freeze,
        counts="index",
    ),
    Question(
        "softplus",
        15,
        {"zh": "自己的 Function", "en": "A Function of your own"},
        ("Softplus",),
        bends,
        run_softplus,
    ),
    Question(
        "numerical",
        10,
        {"zh": "中心差分", "en": "Central differences"},
        ("numerical_gradient",),
        places,
        run_numerical,
        counts="index",
    ),
    Question(
        "order",
        10,
        {"zh": "反向的次序", "en": "The order of the way back"},
        ("backward_order",),
        graphs,
        run_order,
        counts="index",
    ),
    Question(
        "backward",
        15,
        {"zh": "引擎的 backward", "en": "The engine's backward"},
        ("backward",),
        computations,
        run_backward,
        counts="index",
    ),
    Question(
        "sum_to",
        10,
        {"zh": "广播的导数", "en": "The derivative of broadcasting"},
        ("sum_to",),
        repetitions,
        run_sum_to,
        counts="index",
    ),
    Question(
        "accumulate",
        10,
        {"zh": "微批次", "en": "Micro-batches"},
        ("accumulate",),
        batches,
        run_accumulate,
    ),
]
