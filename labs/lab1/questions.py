"""Lab 1, operators and gradient descent: the inputs of its questions, and how an answer runs."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nndl.checking.question import Case, Question, Unusable
from nndl.checking.returned import numbers, several

STEPS = 60


def steps(array: np.ndarray) -> list[Tensor]:
    """Return a tensor of its own for each step."""
    return [torch.tensor(row) for row in array]


def held(store: Any, what: str, name: str, like: Tensor) -> Tensor:
    """Read what an operator keeps under a name; zeros if it keeps nothing there."""
    kept = store.get(name, torch.zeros_like(like)) if isinstance(store, Mapping) else None
    if not isinstance(kept, Tensor):
        raise Unusable(f'{what}["{name}"] 应是一个张量。', f'{what}["{name}"] must be a tensor.')
    return kept.clone()


def made(answer: Mapping[str, Any], name: str, *methods: str) -> Callable[..., Any]:
    """Return the class of that name: what it makes must have these methods."""
    if not all(callable(getattr(answer[name], method, None)) for method in methods):
        zh, en = " 和 ".join(methods), " and ".join(methods)
        raise Unusable(
            f"{name} 应是一个类，有方法 {zh}。", f"{name} must be a class that has {en}."
        )
    return answer[name]


# 1. An operator: it is used at one point after another, and in turn with a second one.


def bowl_cases(rng: np.random.Generator) -> list[Case]:
    return [
        {"w": np.array(w) * rng.uniform(0.5, 1.5, 2), "x": rng.normal(0, 3, (STEPS, 2, *grid))}
        for w, grid in (([0.2, 2.0], ()), ([-0.5, 1.5], ()), ([3.0, 0.7], (3, 4)))
    ]


def run_bowl(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    w = torch.tensor(case["w"])
    make = made(answer, "Bowl", "forward", "backward")
    model, other = make(w.clone()), make(w.flip(0))
    trace: dict[str, list[Any]] = {"value": [], 'grads["x"]': [], 'params["x"]': []}
    for x in steps(case["x"]):
        value = model.forward(x.clone())
        trace["value"].append(numbers("forward", value, x.shape[1:]))
        if "x" not in model.params:
            raise Unusable(
                'forward 没有把 x 记在 params["x"] 里。', 'forward must keep x as params["x"].'
            )
        other.forward(-x)
        model.backward()
        other.backward()
        trace['grads["x"]'].append(held(model.grads, "grads", "x", x))
        trace['params["x"]'].append(held(model.params, "params", "x", x))
    return trace


# 2. Central differences: h is so large that another formula gives other numbers.


def difference_cases(rng: np.random.Generator) -> list[Case]:
    return [
        {
            "x": rng.normal(0, 1, (STEPS, *shape)),
            "c": rng.uniform(0.5, 2, shape),
            "h": float(rng.uniform(0.1, 0.3)),
        }
        for shape in ((1,), (2,), (2, 3))
    ]


def run_difference(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    c = torch.tensor(case["c"])

    def f(x: Tensor) -> Tensor:
        return (c * x.sin() + x**3 / 5).sum() + x.sum() ** 2 / 4

    points = steps(case["x"])
    gradients = [
        numbers("numerical_gradient", answer["numerical_gradient"](f, x, case["h"]), x.shape)
        for x in points
    ]
    return {"gradient": gradients, "x": points}


# 3. A step: on several parameters, and whoever kept the tensors of before still has their values.


class Springs:
    """Several parameters, each drawn to its target: f = c Σ (θᵢ - targetᵢ)² / 2."""

    def __init__(
        self, params: Mapping[str, Tensor], targets: Mapping[str, Tensor], c: float
    ) -> None:
        self.params, self.targets, self.c = dict(params), targets, c
        self.grads: dict[str, Tensor] = {}

    def backward(self) -> None:
        """Fill ``grads`` with the gradients at the present parameters."""
        self.grads = {
            name: self.c * (param - self.targets[name]) for name, param in self.params.items()
        }


def step_cases(rng: np.random.Generator) -> list[Case]:
    return [
        {
            "params": {name: rng.normal(0, 3, shape) for name, shape in shapes.items()},
            "targets": {name: rng.normal(0, 1, shape) for name, shape in shapes.items()},
            "c": float(rng.uniform(0.5, 2)),
            "lr": float(rng.uniform(0.02, 0.1)),
        }
        for shapes in ({"x": (2,)}, {"W": (3, 1), "b": (1,)}, {"b": (1,), "W": (2, 2), "c": (4,)})
    ]


def run_step(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    model = Springs(
        {name: torch.tensor(value) for name, value in case["params"].items()},
        {name: torch.tensor(value) for name, value in case["targets"].items()},
        case["c"],
    )
    optimizer = made(answer, "SimpleBatchGD", "step")(case["lr"], model)
    trace: dict[str, list[Tensor]] = defaultdict(list)

    def record(old: Mapping[str, Tensor], grads: Mapping[str, Tensor]) -> None:
        for name, start in case["params"].items():
            now = held(model.params, "model.params", name, torch.tensor(start))
            trace[f'params["{name}"]'].append(now)
            trace[f'old params["{name}"]'].append(old[name].clone())
            trace[f'grads["{name}"]'].append(grads[name].clone())

    model.backward()
    record(model.params, model.grads)
    for _ in range(STEPS):
        old, grads = dict(model.params), dict(model.grads)
        optimizer.step()
        record(old, grads)
        model.backward()
    return trace


# 4. A path: the optimiser updates in place in some cases, and makes a new tensor in another.


class Quadratic:
    """f(x) = Σ wᵢ xᵢ²; it keeps the point itself, no copy."""

    def __init__(self, w: Tensor) -> None:
        self.w = w
        self.params = {"x": torch.zeros_like(w)}
        self.grads = {"x": torch.zeros_like(w)}

    def __call__(self, x: Tensor) -> Tensor:
        """Run ``forward``."""
        return self.forward(x)

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x), and remember the point."""
        self.params["x"] = x
        return (self.w * x**2).sum()

    def backward(self) -> None:
        """Fill ``grads`` with the gradient at the remembered point."""
        self.grads["x"] = 2 * self.w * self.params["x"]


class Descent:
    """Gradient descent, in place or not."""

    def __init__(self, lr: float, model: Any, in_place: bool) -> None:
        self.init_lr, self.model, self.in_place = lr, model, in_place

    def step(self) -> None:
        """Move every parameter once."""
        for name, grad in self.model.grads.items():
            param = self.model.params[name]
            if self.in_place:
                param -= self.init_lr * grad
            else:
                self.model.params[name] = param - self.init_lr * grad


def path_cases(rng: np.random.Generator) -> list[Case]:
    return [
        {
            "w": rng.uniform(0.2, 2, size),
            "start": rng.normal(0, 3, size),
            "lr": float(rng.uniform(0.02, 0.1)),
            "epoch": epoch,
            "in_place": in_place,
        }
        for size, epoch, in_place in (
            (2, STEPS, True),
            (2, STEPS, False),
            (1, 1, True),
            (3, 55, True),
        )
    ]


def run_path(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    model = Quadratic(torch.tensor(case["w"]))
    optimizer = Descent(case["lr"], model, case["in_place"])
    x_init = torch.tensor(case["start"])
    result = answer["train_f"](model, optimizer, x_init, case["epoch"])
    points, losses = several(
        "train_f",
        result,
        2,
        "两样东西：各个点和函数值的列表",
        "two things: the points and the values",
    )
    # x_init: what the caller has in hand when all is over.
    return {
        "points": numbers("train_f", points, None, "points"),
        "values": numbers("train_f", losses, None, "values"),
        "x_init": [x_init],
    }


# 5. The learning rates of many quadratic functions.


def rate_cases(rng: np.random.Generator) -> list[Case]:
    roots = [rng.normal(0, 1, (STEPS, size, size)) for size in (1, 2, 4)]
    return [
        {"hessians": root @ root.transpose(0, 2, 1) + 0.2 * np.eye(root.shape[-1])}
        for root in roots
    ]


def run_rates(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    trace: dict[str, list[Any]] = {"limit": [], "best": []}
    for hessian in steps(case["hessians"]):
        pair = several(
            "learning_rates",
            answer["learning_rates"](hessian),
            2,
            "两个数：上限和最好的学习率",
            "two numbers: the limit and the best learning rate",
        )
        for (name, rates), rate in zip(trace.items(), pair, strict=True):
            rates.append(numbers("learning_rates", rate, (), name))
    return trace


# 6. A linear operator: one batch, and one pair of parameters, after another.


def linear_cases(rng: np.random.Generator) -> list[Case]:
    return [
        {
            "X": rng.normal(0, 1, (STEPS, rows, size)),
            "labels": rng.normal(0, 2, (STEPS, rows, *column)),
            "W": rng.normal(0, 1, (STEPS, size, 1)),
            "b": rng.normal(0, 1, (STEPS, 1)),
        }
        for rows, size, column in ((5, 2, (1,)), (1, 3, (1,)), (7, 1, (1,)), (4, 3, ()))
    ]


def run_linear(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    trace: dict[str, list[Any]] = {"outputs": [], 'grads["W"]': [], 'grads["b"]': []}
    batches = zip(*(steps(case[name]) for name in ("W", "b", "X", "labels")), strict=True)
    make = made(answer, "Linear", "forward", "backward")
    model = make(torch.tensor(case["W"][0]), torch.tensor(case["b"][0]))
    for weight, bias, inputs, labels in batches:
        # As after a step of an optimiser: new parameters under the same names.
        model.params["W"], model.params["b"] = weight.clone(), bias.clone()
        trace["outputs"].append(numbers("forward", model.forward(inputs), (len(inputs), 1)))
        model.backward(labels)
        trace['grads["W"]'].append(held(model.grads, "grads", "W", weight))
        trace['grads["b"]'].append(held(model.grads, "grads", "b", bias))
    return trace


# 7. Training: the optimiser writes down the weights after each of its steps.


class Line:
    """y = X W, with the gradient of half the mean squared error."""

    def __init__(self, weight: Tensor) -> None:
        self.params, self.grads = {"W": weight}, {"W": torch.zeros_like(weight)}

    def __call__(self, inputs: Tensor) -> Tensor:
        """Run ``forward``."""
        return self.forward(inputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return X W, and remember the batch."""
        self.inputs = inputs
        self.outputs = inputs @ self.params["W"]
        return self.outputs

    def backward(self, labels: Tensor) -> None:
        """Fill ``grads`` for the remembered batch."""
        error = self.outputs - labels.reshape(-1, 1)
        self.grads["W"] = self.inputs.T @ error / len(error)


class RecordedDescent(Descent):
    """Gradient descent that keeps a copy of the weights after each step."""

    def __init__(self, lr: float, model: Any) -> None:
        super().__init__(lr, model, in_place=True)
        self.record: list[Tensor] = []

    def step(self) -> None:
        """Move, and write the weights down."""
        super().step()
        self.record.append(self.model.params["W"].clone())


def mean_squared_error(outputs: Tensor, labels: Tensor) -> Tensor:
    return ((outputs - labels) ** 2).mean()


def train_cases(rng: np.random.Generator) -> list[Case]:
    return [
        {
            "data": rng.normal(0, 1, (rows, size + 1)),
            "W": rng.normal(0, 2, (size, 1)),
            "lr": float(rng.uniform(0.02, 0.1)),
            "num_epochs": 20,
            "batch_size": batch_size,
        }
        for rows, size, batch_size in ((10, 2, 4), (12, 1, 4), (13, 3, 5))
    ]


def run_train(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    model = Line(torch.tensor(case["W"]))
    optimizer = RecordedDescent(case["lr"], model)
    result = answer["train"](
        torch.tensor(case["data"]),
        case["num_epochs"],
        case["batch_size"],
        model,
        mean_squared_error,
        optimizer,
    )
    iter_loss, epoch_loss = several(
        "train",
        result,
        2,
        "两个列表：iter_loss 和 epoch_loss",
        "two lists: iter_loss and epoch_loss",
    )
    return {
        "iter_loss": numbers("train", iter_loss, None, "iter_loss"),
        "epoch_loss": numbers("train", epoch_loss, None, "epoch_loss"),
        "W": optimizer.record,
    }


QUESTIONS = [
    Question(
        "bowl",
        10,
        {"zh": "一个算子", "en": "An operator"},
        ("Bowl",),
        bowl_cases,
        run_bowl,
        counts="index",
    ),
    Question(
        "difference",
        15,
        {"zh": "中心差分", "en": "Central differences"},
        ("numerical_gradient",),
        difference_cases,
        run_difference,
        counts="index",
    ),
    Question(
        "step",
        10,
        {"zh": "梯度下降的一步", "en": "One step of gradient descent"},
        ("SimpleBatchGD",),
        step_cases,
        run_step,
    ),
    Question("path", 15, {"zh": "一条轨迹", "en": "A path"}, ("train_f",), path_cases, run_path),
    Question(
        "rates",
        10,
        {"zh": "学习率的上限", "en": "The limit of the learning rate"},
        ("learning_rates",),
        rate_cases,
        run_rates,
        counts="index",
    ),
    Question(
        "linear",
        15,
        {"zh": "线性算子", "en": "The linear operator"},
        ("Linear",),
        linear_cases,
        run_linear,
        counts="index",
    ),
    Question(
        "train",
        15,
        {"zh": "小批量训练", "en": "Training in mini-batches"},
        ("train",),
        train_cases,
        run_train,
        counts="index",
    ),
]
