"""Lab 3, momentum, Nesterov and Adam: the inputs of its questions, and how an answer runs on them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from nndl.checking.question import Case, Question

STEPS = 60


def bowls(rng: np.random.Generator) -> list[Case]:
    """Starts in bowls of different steepness, f = Σ cᵢ xᵢ² / 2, with settings for each."""
    return [
        {
            "start": rng.normal(0, 3, size),
            "curvature": rng.uniform(0.2, 4, size),
            "lr": float(rng.uniform(0.01, 0.05)),
            "rho": float(rng.uniform(0.5, 0.95)),
            "beta1": float(rng.uniform(0.8, 0.95)),
            "beta2": float(rng.uniform(0.95, 0.999)),
            "eps": 1e-3,
        }
        for size in (1, 2, 5)
    ]


def along(step: Any, case: Case) -> list[torch.Tensor]:
    """The points of a path: ``step`` takes a point and its gradient and returns the next point."""
    x, curvature = torch.as_tensor(case["start"]), torch.as_tensor(case["curvature"])
    points = [x.clone()]
    for _ in range(STEPS):
        x = step(x, curvature * x)
        points.append(x.clone())
    return points


def run_momentum(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    velocities = [torch.zeros(len(case["start"]), dtype=torch.float64)]

    def step(x: torch.Tensor, grad: torch.Tensor) -> torch.Tensor:
        x, velocity = answer["momentum_step"](x, grad, velocities[-1], case["lr"], case["rho"])
        velocities.append(velocity.clone())
        return x

    return {"x": along(step, case), "velocity": velocities}


def run_adam(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    state: dict[str, Any] = {}
    settings = [case[name] for name in ("lr", "beta1", "beta2", "eps")]
    return {"x": along(lambda x, grad: answer["adam_step"](x, grad, state, *settings), case)}


QUESTIONS = [
    Question(
        "momentum",
        15,
        {"zh": "动量法的一步", "en": "One step of momentum"},
        ("momentum_step",),
        bowls,
        run_momentum,
    ),
    Question(
        "adam", 25, {"zh": "Adam 的一步", "en": "One step of Adam"}, ("adam_step",), bowls, run_adam
    ),
]
