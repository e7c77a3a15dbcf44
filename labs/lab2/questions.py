"""Lab 2, AdaGrad and RMSprop: the inputs of its questions, and how an answer runs on them."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nndl.checking.question import Case, Question, Unusable
from nndl.checking.returned import a_tensor, described, numbers, several, unusable

STEPS = 60


def tensor(values: Any) -> Tensor:
    """Copy numbers into a tensor, so that no answer can change a case."""
    return torch.tensor(values, dtype=torch.float64)


# Gradients, and what is done with them.


def draw_gradients(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Gradients of one parameter: each coordinate has its scale, and all are smaller later on.

    The first coordinate sees nothing but 0 for five steps: there, without epsilon, 0 / 0 arises.
    """
    gradients = rng.normal(0, 1, (STEPS, *shape)) * rng.uniform(0.5, 5, shape)
    gradients[STEPS // 2 :] *= 0.1
    gradients.reshape(STEPS, -1)[:5, 0] = 0
    return gradients


def draw_runs(rng: np.random.Generator) -> list[Case]:
    """Points that see prescribed gradients: a number, a vector and a matrix."""
    return [
        {
            "start": rng.normal(0, 3, shape),
            "gradients": draw_gradients(rng, shape),
            "lr": float(rng.uniform(0.05, 0.5)),
            "beta": float(rng.uniform(0.7, 0.97)),
            "eps": float(rng.uniform(0.02, 0.2)),
        }
        for shape in ((1,), (4,), (2, 3))
    ]


def follow(
    answer: Mapping[str, Any], name: str, case: Case, settings: tuple[str, ...], state_name: str
) -> Mapping[str, Any]:
    """Show the gradients one by one to a function that returns the next point and state."""
    given = [case[setting] for setting in settings]
    x = tensor(case["start"])
    state = torch.zeros_like(x)
    points, states = [x], [state]
    for grad in tensor(case["gradients"]):
        result = answer[name](x, grad, state, *given)
        x, state = several(
            name,
            result,
            2,
            f"两个张量：新的 x 和新的 {state_name}",
            f"two tensors: the next x and the next {state_name}",
        )
        for part, value in (("x", x), (state_name, state)):
            if not isinstance(value, Tensor) or value.shape != points[0].shape:
                raise unusable(name, value, *a_tensor(points[0].shape), part)
        # Kept as they are, not copied: whoever changes a tensor in place changes the past.
        points.append(x)
        states.append(state)
    return {"x": points, state_name: states}


def run_adagrad(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    return follow(answer, "adagrad_step", case, ("lr", "eps"), "sum_sq")


def run_rmsprop(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    return follow(answer, "rmsprop_step", case, ("lr", "beta", "eps"), "mean_sq")


def draw_rates(rng: np.random.Generator) -> list[Case]:
    """Gradients as a table, one row a step."""
    return [
        {
            "gradients": draw_gradients(rng, (columns,)),
            "lr": float(rng.uniform(0.05, 0.5)),
            "beta": float(rng.uniform(0.7, 0.97)),
            "eps": float(rng.uniform(0.02, 0.2)),
        }
        for columns in (1, 2, 5)
    ]


def run_rates(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    settings = [case[name] for name in ("lr", "beta", "eps")]
    tables = answer["effective_rates"](tensor(case["gradients"]), *settings)
    tables = several(
        "effective_rates",
        tables,
        2,
        "两张表：AdaGrad 的和 RMSprop 的",
        "two tables: AdaGrad's and RMSprop's",
    )
    return {
        name: numbers("effective_rates", table, case["gradients"].shape, name)
        for name, table in zip(("AdaGrad", "RMSprop"), tables, strict=True)
    }


def draw_memory(rng: np.random.Generator) -> list[Case]:
    """One beta for the weights, and many for the half-life."""
    return [
        {"beta": float(rng.uniform(*span)), "betas": rng.uniform(0.5, 0.999, STEPS)}
        for span in ((0.6, 0.85), (0.85, 0.95), (0.95, 0.99))
    ]


def run_memory(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    function = "rmsprop_weights"
    weights = [
        numbers(function, answer[function](case["beta"], t), (t,)) for t in range(1, STEPS + 1)
    ]
    return {
        "weights": weights[-1],
        "sum of the weights": [0.0, *(sum(map(float, each)) for each in weights)],
        "half_life": [
            numbers("half_life", answer["half_life"](float(beta)), ()) for beta in case["betas"]
        ],
    }


def draw_models(rng: np.random.Generator) -> list[Case]:
    """Two models each, with the same names; some gradients are missing.

    The parameters of a model have one shape, so that sharing a state runs, and can be named. No
    name stands in two cases, so that what is kept in a class doesn't come from an earlier case.
    """
    cases = []
    for names, shape in ((["w", "b"], (1,)), (["w1", "w2", "b2"], (3,)), (["W", "c"], (2, 2))):
        missing = rng.uniform(0, 1, (2, STEPS, len(names))) < 0.25
        missing[:, 0, :] = [True] + [False] * (len(names) - 1)
        cases.append(
            {
                "names": names,
                "starts": rng.normal(0, 3, (2, len(names), *shape)),
                "gradients": rng.normal(0, 1, (2, STEPS, len(names), *shape))
                * rng.uniform(0.5, 5, (2, 1, len(names), *shape)),
                "missing": missing,
                "lr": float(rng.uniform(0.05, 0.5)),
                "beta": float(rng.uniform(0.7, 0.97)),
                "eps": float(rng.uniform(0.02, 0.2)),
            }
        )
    return cases


def run_models(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    settings = [case[name] for name in ("lr", "beta", "eps")]
    optimizer_class = answer["RMSprop"]
    if not callable(getattr(optimizer_class, "step", None)):
        raise Unusable(
            "RMSprop 应是一个类，有方法 step。", "RMSprop must be a class with a method step."
        )
    models, optimizers = [], []
    for starts in case["starts"]:
        params = {name: tensor(x) for name, x in zip(case["names"], starts, strict=True)}
        models.append(params)
        optimizers.append(optimizer_class(params, *settings))
    seen = [{name: [params[name].clone()] for name in case["names"]} for params in models]
    for t in range(STEPS):
        for which, (params, optimizer) in enumerate(zip(models, optimizers, strict=True)):
            grads = {
                name: None
                if case["missing"][which][t][i]
                else tensor(case["gradients"][which][t][i])
                for i, name in enumerate(case["names"])
            }
            optimizer.step(grads)
            for name in case["names"]:
                start = seen[which][name][0]
                value = params.get(name)
                if not isinstance(value, Tensor) or value.shape != start.shape:
                    got_zh, got_en = described(value)
                    shape = tuple(start.shape)
                    raise Unusable(
                        f'params["{name}"] 应是形状为 {shape} 的张量，放进去的是{got_zh}。',
                        f'params["{name}"] must be a tensor of shape {shape}, and holds {got_en}.',
                    )
                seen[which][name].append(value.clone())
    first, second = seen
    return {**first, **{f"second {name}": points for name, points in second.items()}}


def draw_arrivals(rng: np.random.Generator) -> list[Case]:
    """Starts, and radii from beyond the start to a hundredth of its distance."""
    cases = []
    for size in (1, 2, 5):
        start = rng.choice([-1, 1], size) * rng.uniform(1, 4, size)
        distance = float(np.linalg.norm(start))
        cases.append(
            {
                "start": start,
                "shrink": rng.uniform(0.25, 0.4, size),
                "radii": np.geomspace(1.1, 0.01, STEPS) * distance * rng.uniform(0.99, 1.01, STEPS),
                "radius": distance * float(rng.uniform(0.1, 0.2)),
            }
        )
    return cases


def run_arrivals(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    shrink = tensor(case["shrink"])

    def path() -> Callable[[Tensor], Tensor]:
        """A step that gets shorter each time it is called."""
        calls = 0

        def step(x: Tensor) -> Tensor:
            nonlocal calls
            calls += 1
            return x - shrink / math.sqrt(calls) * x

        return step

    def count(radius: float, max_steps: int) -> Any:
        steps = answer["steps_to_reach"](path(), tensor(case["start"]), radius, max_steps)
        return numbers("steps_to_reach", steps, ())

    return {
        "steps by radius": [count(float(radius), STEPS) for radius in case["radii"]],
        "steps by max_steps": [count(case["radius"], allowed) for allowed in range(STEPS)],
    }


def draw_settled(rng: np.random.Generator) -> list[Case]:
    """Bowls of different steepness, and many rates for each."""
    return [
        {"curvature": rng.uniform(0.2, 4, size), "lrs": rng.uniform(0.1, 2, STEPS)}
        for size in (1, 2, 4)
    ]


def run_settled(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    trace: dict[str, list[Any]] = {"distance": [], "rate": [], "loss": []}
    for lr in case["lrs"]:
        result = several(
            "settled",
            answer["settled"](tensor(case["curvature"]), float(lr)),
            3,
            "三样东西：距离、有效学习率和损失",
            "three things: the distances, the effective rates and the loss",
        )
        for (name, values), value in zip(trace.items(), result, strict=True):
            shape = () if name == "loss" else case["curvature"].shape
            values.append(numbers("settled", value, shape, name))
    return trace


QUESTIONS = [
    Question(
        "adagrad",
        14,
        {"zh": "AdaGrad 的一步", "en": "One step of AdaGrad"},
        ("adagrad_step",),
        draw_runs,
        run_adagrad,
    ),
    Question(
        "rmsprop",
        14,
        {"zh": "RMSprop 的一步", "en": "One step of RMSprop"},
        ("rmsprop_step",),
        draw_runs,
        run_rmsprop,
    ),
    Question(
        "effective-rates",
        14,
        {"zh": "有效学习率", "en": "Effective learning rates"},
        ("effective_rates",),
        draw_rates,
        run_rates,
        counts="index",
    ),
    Question(
        "memory",
        10,
        {"zh": "RMSprop 记得多久", "en": "How long RMSprop remembers"},
        ("rmsprop_weights", "half_life"),
        draw_memory,
        run_memory,
        counts="index",
    ),
    Question(
        "own-state",
        18,
        {"zh": "每个参数一份状态", "en": "A state for each parameter"},
        ("RMSprop",),
        draw_models,
        run_models,
    ),
    Question(
        "arrival",
        10,
        {"zh": "要走多少步", "en": "How many steps it takes"},
        ("steps_to_reach",),
        draw_arrivals,
        run_arrivals,
        counts="index",
    ),
    Question(
        "settled",
        8,
        {"zh": "RMSprop 最后停在哪里", "en": "Where RMSprop ends up"},
        ("settled",),
        draw_settled,
        run_settled,
        counts="index",
    ),
]
