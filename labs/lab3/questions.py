"""Lab 3, momentum, Nesterov and Adam: the inputs of its questions, and how an answer runs on them.

Points that were handed out are kept without a copy and read at the end: whoever changes them in
place changes the path.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from nndl.checking.question import Case, Question
from nndl.checking.returned import like, numbers, several, unusable

Answer: TypeAlias = Mapping[str, Any]
Results: TypeAlias = Mapping[str, Any]

STEPS = 60

# Bowls, and paths in them.


def bowls(rng: np.random.Generator) -> list[Case]:
    """Starts in bowls f = Σ cᵢ xᵢ² / 2, with settings, and a mini-batch's noise on each gradient."""
    cases = [
        {
            "start": rng.normal(0, 3, shape),
            "curvature": rng.uniform(0.2, 4, shape),
            "noise": rng.normal(0, 0.5, (STEPS, *shape)),
            "lr": float(rng.uniform(0.02, 0.08)),
            "rho": float(rng.uniform(0.5, 0.95)),
            "beta1": float(rng.uniform(0.8, 0.95)),
            "beta2": float(rng.uniform(0.95, 0.99)),
            "eps": float(rng.uniform(0.01, 0.1)),
        }
        for shape in ((1,), (2,), (2, 3), (2,))
    ]
    # The last has no memory of gradients, and one coordinate whose gradient is always 0.
    cases[-1].update(rho=0.0, beta1=0.0)
    cases[-1]["start"][0] = cases[-1]["noise"][:, 0] = 0.0
    return cases


def along(step: Callable[[Tensor, Tensor, float], Tensor], case: Case) -> list[Tensor]:
    """The points of a path: `step` takes a point, its gradient and the rate, which falls midway."""
    x, curvature = torch.tensor(case["start"]), torch.tensor(case["curvature"])
    points = [x]
    for t, noise in enumerate(torch.tensor(case["noise"])):
        lr = case["lr"] if t < STEPS // 2 else case["lr"] / 10
        x = step(x, curvature * x + noise, lr)
        points.append(x)
    return points


def run_velocity(name: str) -> Callable[[Answer, Case], Results]:
    """Run a rule that keeps a velocity."""

    def run(answer: Answer, case: Case) -> Results:
        velocities = [torch.zeros(case["start"].shape, dtype=torch.float64)]

        def step(x: Tensor, grad: Tensor, lr: float) -> Tensor:
            result = answer[name](x, grad, velocities[-1], lr, case["rho"])
            zh, en = "两个张量：下一个点和下一个速度", "two tensors: the next point and velocity"
            following, velocity = several(name, result, 2, zh, en)
            following = like(name, following, x, "x")
            velocities.append(like(name, velocity, x, "velocity"))
            return following

        return {"x": along(step, case), "velocity": velocities}

    return run


def run_state(name: str) -> Callable[[Answer, Case], Results]:
    """Run a rule that keeps what it likes in a dictionary."""

    def run(answer: Answer, case: Case) -> Results:
        state: dict[str, Any] = {}
        rest = case["beta1"], case["beta2"], case["eps"]

        def step(x: Tensor, grad: Tensor, lr: float) -> Tensor:
            return like(name, answer[name](x, grad, state, lr, *rest), x)

        return {"x": along(step, case)}

    return run


def run_unrolled(answer: Answer, case: Case) -> Results:
    """The velocity of ever longer lists of gradients: that of step t has index t."""
    grads = torch.tensor(case["noise"])
    velocities = [torch.zeros_like(grads[0])]
    for t in range(1, STEPS + 1):
        result = answer["unrolled_velocity"](grads[:t].clone(), case["rho"])
        velocities.append(like("unrolled_velocity", result, grads[0]))
    return {"velocity": velocities}


def memories(rng: np.random.Generator) -> list[Case]:
    """Momentum coefficients from nearly 1 down to none, and shares to be reached."""
    rhos = [*(rng.uniform(0.9, 1, 4) * (0.5, 0.8, 0.95, 0.99)), 0.0]
    return [{"rho": float(rho), "share": float(rng.uniform(0.8, 0.99))} for rho in rhos]


def run_memory(answer: Answer, case: Case) -> Results:
    result = answer["memory"](case["rho"], case["share"])
    zh, en = "两个数：权重之和与步数", "two numbers: the sum of the weights and the steps"
    pair = several("memory", result, 2, zh, en)
    names = ("total", "steps")
    return {
        name: numbers("memory", value, (), name) for name, value in zip(names, pair, strict=True)
    }


def run_moments(answer: Answer, case: Case) -> Results:
    """The moments along a list of gradients: those of step t have index t."""
    names = ("m", "v", "m_hat", "v_hat")
    history = [[torch.zeros(case["start"].shape, dtype=torch.float64)] for _ in names]
    for t, grad in enumerate(torch.tensor(case["noise"]), start=1):
        m, v = history[0][-1], history[1][-1]
        result = answer["corrected_moments"](grad, m, v, t, case["beta1"], case["beta2"])
        zh, en = "四个张量：m、v、m_hat 和 v_hat", "four tensors: m, v, m_hat and v_hat"
        moments = several("corrected_moments", result, 4, zh, en)
        for name, past, moment in zip(names, history, moments, strict=True):
            past.append(like("corrected_moments", moment, grad, name))
    return dict(zip(names, history, strict=True))


def several_bowls(rng: np.random.Generator) -> list[Case]:
    """The bowls again with one, two and three parameters; those of a case have the same shape.

    So moments that are shared by mistake have numbers to be known by, and not only an error.
    """
    return [
        {**case, "starts": {name: rng.normal(0, 3, case["start"].shape) for name in names}}
        for names, case in zip(("w", "ab", "abc"), bowls(rng)[:3], strict=True)
    ]


def run_parameters(answer: Answer, case: Case) -> Results:
    params = {name: torch.tensor(start) for name, start in case["starts"].items()}
    curvature = torch.tensor(case["curvature"])
    settings = [case[name] for name in ("lr", "beta1", "beta2", "eps")]
    state: dict[str, Any] = {}
    paths = {name: [x] for name, x in params.items()}
    for noise in torch.tensor(case["noise"]):
        grads = {name: curvature * x + noise for name, x in params.items()}
        following = answer["adam_step_all"](params, grads, state, *settings)
        if not isinstance(following, Mapping) or set(following) != set(paths):
            keys = ", ".join(map(repr, paths))
            zh, en = f"一个字典，键是 {keys}", f"a dictionary with the keys {keys}"
            raise unusable("adam_step_all", following, zh, en)
        for name, path in paths.items():
            path.append(like("adam_step_all", following[name], path[-1], name))
        params = {name: path[-1] for name, path in paths.items()}
    return paths


QUESTIONS = [
    Question(
        "momentum",
        15,
        {"zh": "动量法的一步", "en": "One step of momentum"},
        ("momentum_step",),
        bowls,
        run_velocity("momentum_step"),
    ),
    Question(
        "unrolled",
        10,
        {"zh": "展开的速度", "en": "The velocity, unrolled"},
        ("unrolled_velocity",),
        bowls,
        run_unrolled,
    ),
    Question(
        "memory",
        5,
        {"zh": "速度记得多远", "en": "How far back a velocity remembers"},
        ("memory",),
        memories,
        run_memory,
    ),
    Question(
        "nesterov",
        10,
        {"zh": "Nesterov 动量的一步", "en": "One step of Nesterov momentum"},
        ("nesterov_step",),
        bowls,
        run_velocity("nesterov_step"),
    ),
    Question(
        "moments",
        10,
        {"zh": "两个矩和偏差修正", "en": "Two moments and their bias correction"},
        ("corrected_moments",),
        bowls,
        run_moments,
    ),
    Question(
        "adam",
        20,
        {"zh": "Adam 的一步", "en": "One step of Adam"},
        ("adam_step",),
        bowls,
        run_state("adam_step"),
    ),
    Question(
        "parameters",
        10,
        {"zh": "几个参数的 Adam", "en": "Adam on several parameters"},
        ("adam_step_all",),
        several_bowls,
        run_parameters,
    ),
    Question(
        "amsgrad",
        10,
        {"zh": "AMSGrad 的一步", "en": "One step of AMSGrad"},
        ("amsgrad_step",),
        bowls,
        run_state("amsgrad_step"),
    ),
]
