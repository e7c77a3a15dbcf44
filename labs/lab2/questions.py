"""Lab 2, AdaGrad and RMSprop: the inputs of its questions, and how an answer runs on them."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from nndl.checking.question import Case, Question

STEPS = 60


def tensor(values: Any) -> torch.Tensor:
    """Copy numbers into a tensor, so that no answer can change a case."""
    return torch.tensor(values, dtype=torch.float64)


def parts(name: str, result: Any, count: int) -> Any:
    """Return what a function returned if it is that many values, or say what it should be."""
    if isinstance(result, (tuple, list)) and len(result) == count:
        return result
    got = f"{len(result)} values" if isinstance(result, (tuple, list)) else type(result).__name__
    raise TypeError(f"{name} must return {count} values, got {got}")


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
        x, state = parts(name, answer[name](x, grad, state, *given), 2)
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
    adagrad, rmsprop = parts("effective_rates", tables, 2)
    return {"AdaGrad": adagrad, "RMSprop": rmsprop}


def draw_memory(rng: np.random.Generator) -> list[Case]:
    """One beta for the weights, and many for the half-life."""
    return [
        {"beta": float(rng.uniform(*span)), "betas": rng.uniform(0.5, 0.999, STEPS)}
        for span in ((0.6, 0.85), (0.85, 0.95), (0.95, 0.99))
    ]


def run_memory(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    weights = [answer["rmsprop_weights"](case["beta"], t) for t in range(1, STEPS + 1)]
    return {
        "weights": weights[-1],
        "sum of the weights": [0.0, *(float(torch.as_tensor(each).sum()) for each in weights)],
        "half_life": [float(answer["half_life"](float(beta))) for beta in case["betas"]],
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
    models, optimizers = [], []
    for starts in case["starts"]:
        params = {name: tensor(x) for name, x in zip(case["names"], starts, strict=True)}
        models.append(params)
        optimizers.append(answer["RMSprop"](params, *settings))
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
                seen[which][name].append(params[name].clone())
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

    def path() -> Callable[[torch.Tensor], torch.Tensor]:
        """A step that gets shorter each time it is called."""
        calls = 0

        def step(x: torch.Tensor) -> torch.Tensor:
            nonlocal calls
            calls += 1
            return x - shrink / math.sqrt(calls) * x

        return step

    def count(radius: float, max_steps: int) -> Any:
        return answer["steps_to_reach"](path(), tensor(case["start"]), radius, max_steps)

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
    results = [
        parts("settled", answer["settled"](tensor(case["curvature"]), float(lr)), 3)
        for lr in case["lrs"]
    ]
    distances, rates, losses = zip(*results, strict=True)
    return {"distance": distances, "rate": rates, "loss": losses}


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
    ),
    Question(
        "memory",
        10,
        {"zh": "RMSprop 记得多久", "en": "How long RMSprop remembers"},
        ("rmsprop_weights", "half_life"),
        draw_memory,
        run_memory,
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
    ),
    Question(
        "settled",
        8,
        {"zh": "RMSprop 最后停在哪里", "en": "Where RMSprop ends up"},
        ("settled",),
        draw_settled,
        run_settled,
    ),
]
