"""Lab 1, operators and gradient descent: the inputs of its questions, and how an answer runs."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nndl.checking.question import Case, Question

STEPS = 60


def steps(array: np.ndarray) -> list[Tensor]:
    """Return a tensor of its own for each step."""
    return [torch.tensor(row) for row in array]


def held(store: Mapping[str, Tensor], name: str, like: Tensor) -> Tensor:
    """Read what an operator keeps under a name; zeros if it keeps nothing there."""
    return store.get(name, torch.zeros_like(like)).clone()


def two_things(function: str, names: str, result: Any) -> Any:
    """Take a pair apart, or say what was to come back."""
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise TypeError(f"{function} must return two things: {names}")
    return result


# 1. An operator: it is used at one point after another, and in turn with a second one.


def bowl_cases(rng: np.random.Generator) -> list[Case]:
    return [
        {"w": np.array(w) * rng.uniform(0.5, 1.5, 2), "x": rng.normal(0, 3, (STEPS, 2, *grid))}
        for w, grid in (([0.2, 2.0], ()), ([-0.5, 1.5], ()), ([3.0, 0.7], (3, 4)))
    ]


def run_bowl(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    w = torch.tensor(case["w"])
    model, other = answer["Bowl"](w.clone()), answer["Bowl"](w.flip(0))
    trace: dict[str, list[Any]] = {"value": [], 'grads["x"]': [], 'params["x"]': []}
    for x in steps(case["x"]):
        trace["value"].append(model(x.clone()))
        other(-x)
        model.backward()
        other.backward()
        trace['grads["x"]'].append(held(model.grads, "x", x))
        trace['params["x"]'].append(held(model.params, "x", x))
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
    gradients = [answer["numerical_gradient"](f, x, case["h"]) for x in points]
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
    optimizer = answer["SimpleBatchGD"](case["lr"], model)
    trace: dict[str, list[Tensor]] = defaultdict(list)
    for _ in range(STEPS):
        model.backward()
        old, grads = dict(model.params), dict(model.grads)
        optimizer.step()
        for name in case["params"]:
            trace[f'params["{name}"]'].append(model.params[name].clone())
            trace[f'old params["{name}"]'].append(old[name].clone())
            trace[f'grads["{name}"]'].append(grads[name].clone())
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
    points, losses = two_things("train_f", "the points and the losses", result)
    # x_init: what the caller has in hand when all is over.
    return {"points": points, "losses": losses, "x_init": [x_init]}


# 5. The learning rates of many quadratic functions.


def rate_cases(rng: np.random.Generator) -> list[Case]:
    roots = [rng.normal(0, 1, (STEPS, size, size)) for size in (1, 2, 4)]
    return [
        {"hessians": root @ root.transpose(0, 2, 1) + 0.2 * np.eye(root.shape[-1])}
        for root in roots
    ]


def run_rates(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    pairs = [
        two_things("learning_rates", "limit and best rate", answer["learning_rates"](hessian))
        for hessian in steps(case["hessians"])
    ]
    return {"limit": [limit for limit, _ in pairs], "best": [best for _, best in pairs]}


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
    model = answer["Linear"](torch.tensor(case["W"][0]), torch.tensor(case["b"][0]))
    for weight, bias, inputs, labels in batches:
        # As after a step of an optimiser: new parameters under the same names.
        model.params["W"], model.params["b"] = weight.clone(), bias.clone()
        trace["outputs"].append(model(inputs))
        model.backward(labels)
        trace['grads["W"]'].append(held(model.grads, "W", weight))
        trace['grads["b"]'].append(held(model.grads, "b", bias))
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
    iter_loss, epoch_loss = two_things("train", "iter_loss and epoch_loss", result)
    return {"iter_loss": iter_loss, "epoch_loss": epoch_loss, "W": optimizer.record}


QUESTIONS = [
    Question("bowl", 10, {"zh": "一个算子", "en": "An operator"}, ("Bowl",), bowl_cases, run_bowl),
    Question(
        "difference",
        15,
        {"zh": "中心差分", "en": "Central differences"},
        ("numerical_gradient",),
        difference_cases,
        run_difference,
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
    ),
    Question(
        "linear",
        15,
        {"zh": "线性算子", "en": "The linear operator"},
        ("Linear",),
        linear_cases,
        run_linear,
    ),
    Question(
        "train",
        15,
        {"zh": "小批量训练", "en": "Training in mini-batches"},
        ("train",),
        train_cases,
        run_train,
    ),
]
