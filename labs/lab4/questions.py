"""Lab 4, races in 3-D: the inputs of its questions, and how an answer runs on them."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nndl.checking.question import Case, Question, Unusable
from nndl.checking.returned import numbers, several, unusable

STEPS = 60
KINDS = ("minimum", "maximum", "saddle", "undecided")


def symmetric(rng: np.random.Generator, eigenvalues: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A matrix with these eigenvalues, in directions drawn at random."""
    size = len(eigenvalues)
    directions, _ = np.linalg.qr(rng.standard_normal((size, size)))
    matrix = directions @ np.diag(eigenvalues) @ directions.T
    return (matrix + matrix.T) / 2


def copies(case: Case, *names: str) -> list[Tensor]:
    """Arrays of a case as tensors with memory of their own: an answer may write into them."""
    return [torch.tensor(case[name]) for name in names]


# 1 Newton's method


def critical_points(rng: np.random.Generator) -> list[Case]:
    """f = ½ xᵀ A x + bᵀ x + c/3 Σ xᵢ³; its curvatures keep their signs wherever a path goes."""
    cases = []
    for signs in ([1], [1, -1], [1, 1], [-1, 1, 1]):
        curvatures = np.array(signs) * rng.uniform(1.5, 3, len(signs))
        cases.append(
            {
                "quadratic": symmetric(rng, curvatures),
                "linear": rng.uniform(-1, 1, len(signs)),
                "cubic": float(rng.uniform(0.05, 0.15)),
                "start": rng.uniform(-2, 2, len(signs)),
            }
        )
    return cases


def run_newton(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    quadratic, linear, start = copies(case, "quadratic", "linear", "start")
    cubic = case["cubic"]

    def gradient(x: Tensor) -> Tensor:
        return quadratic @ x + linear + cubic * x**2

    def hessian(x: Tensor) -> Tensor:
        return quadratic + 2 * cubic * torch.diag(x)

    points = answer["newton"](gradient, hessian, start, STEPS)
    return {"x": numbers("newton", points), "start": [start]}


# 2 What a critical point is


def hessians_of_all_kinds(rng: np.random.Generator) -> list[Case]:
    """For sizes 1 to 4, every combination of negative, zero and positive eigenvalues."""
    cases = []
    for size in (1, 2, 3, 4):
        hessians = []
        for negative in range(size + 1):
            for zero in range(size + 1 - negative):
                eigenvalues = rng.uniform(0.3, 3, size)
                eigenvalues[:negative] *= -1
                # What comes out of a computer for 0: a little more, or a little less.
                eigenvalues[negative : negative + zero] = rng.uniform(-1e-9, 1e-9, zero)
                hessians.append(symmetric(rng, eigenvalues))
        order = rng.permutation(len(hessians))
        cases.append({"hessians": np.stack(hessians)[order], "tolerance": 1e-6})
    return cases


def run_classify(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    (hessians,) = copies(case, "hessians")
    kinds = [answer["classify"](hessian, case["tolerance"]) for hessian in hessians]
    for kind in kinds:
        if not isinstance(kind, str):
            zh, en = "、".join(KINDS), ", ".join(KINDS)
            raise unusable("classify", kind, f"字符串 {zh} 之一", f"one of the strings {en}")
        if kind not in KINDS:
            zh, en = "、".join(KINDS), ", ".join(KINDS)
            raise Unusable(
                f"classify 应返回 {zh} 之一，得到的是 {kind!r:.60}。",
                f"classify must return one of {en}, got {kind!r:.60}.",
            )
    return {name: [int(kind == name) for kind in kinds] for name in KINDS}


# 3 The largest stable rate


def bowls_and_saddles(rng: np.random.Generator) -> list[Case]:
    """Hessians of sizes 1 to 4; in the last two cases every third has a negative eigenvalue."""
    cases = []
    for size, rho, saddles in ((2, 0.0, False), (1, 0.5, False), (3, 0.9, True), (4, 0.8, True)):
        hessians = []
        for k in range(STEPS // 3):
            eigenvalues = rng.uniform(0.2, 4, size)
            if saddles and k % 3 == 2:
                eigenvalues[0] *= -1
            hessians.append(symmetric(rng, eigenvalues))
        cases.append(
            {"hessians": np.stack(hessians), "rho": rho and float(rng.uniform(rho - 0.1, rho))}
        )
    return cases


def run_rate(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    (hessians,) = copies(case, "hessians")
    rates = [answer["largest_rate"](hessian, case["rho"]) for hessian in hessians]
    return {"rate": [numbers("largest_rate", rate, ()) for rate in rates]}


# 4 Leaving a saddle


def ridges(rng: np.random.Generator) -> list[Case]:
    """Starts near a ridge, on it and beyond; some are still there at the limit."""

    def setting(rho: float, offset: float) -> dict[str, float]:
        return {
            "offset": offset * float(rng.choice([-1, 1])),
            "curvature": -float(rng.uniform(0.5, 3)),
            "lr": float(rng.uniform(0.02, 0.1)),
            "rho": rho,
        }

    def near() -> float:
        return float(10 ** rng.uniform(-12, -1))

    plain = [setting(0.0, near()) for _ in range(STEPS // 3)]
    heavy = [setting(float(rng.uniform(0.3, 0.95)), near()) for _ in range(STEPS // 3)]
    edges = [setting(0.9, offset) for offset in (1e-3, 0.9, 1.0, 1.5, 1e-200, 0.0)]
    return [
        {"settings": settings, "limit": limit}
        for settings, limit in ((plain, 2000), (heavy, 2000), (edges, 80))
    ]


def run_escape(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    growths, steps = [], []
    for setting in case["settings"]:
        given = [setting[name] for name in ("offset", "curvature", "lr", "rho")]
        result = answer["escape"](*given, case["limit"])
        zh, en = "两个数：增长因子和步数", "two numbers: the growth factor and the steps"
        growth, step = several("escape", result, 2, zh, en)
        growths.append(numbers("escape", growth, (), "growth"))
        steps.append(-1 if step is None else numbers("escape", step, (), "steps"))
    return {"growth": growths, "steps": steps}


# 5 When a path leaves the view


def walks(rng: np.random.Generator) -> list[Case]:
    """Paths that stay, leave and return, start outside, touch the border, overflow."""
    cases = []
    for size in (1, 2, 3):
        low, high = rng.uniform(-4, -2, size), rng.uniform(1, 3, size)
        wandering = np.cumsum(rng.normal(0, 0.08, (STEPS // 3, STEPS, size)), axis=1)
        special = rng.uniform(-0.4, 0.4, (7, STEPS, size))
        paths = low + (high - low) * (0.5 + np.concatenate([special, wandering]))
        paths[1, 20, -1] = np.nan
        paths[2, 30:, 0] = np.inf
        paths[3, :3, 0] = high[0] + 1
        paths[4, 10], paths[4, 11] = high, low
        paths[5, -1, 0] = low[0] - 1
        lengths = [*rng.integers(STEPS // 2, STEPS, len(paths))]
        lengths[:7] = [STEPS, STEPS, STEPS, STEPS, STEPS, STEPS, 1]
        cases.append(
            {
                "paths": paths,
                "lengths": [int(length) for length in lengths],
                "low": low,
                "high": high,
            }
        )
    return cases


def run_leaves(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    paths, low, high = copies(case, "paths", "low", "high")
    steps = [
        answer["leaves_at"](path[:length], low, high)
        for path, length in zip(paths, case["lengths"], strict=True)
    ]
    return {"step": [-1 if step is None else numbers("leaves_at", step, ()) for step in steps]}


# 6 A race

Update = Callable[[Tensor, Tensor], None]


def descent(lr: float, rho: float) -> Callable[[], Update]:
    """Gradient descent; with rho > 0, its steps have inertia."""

    def make() -> Update:
        step: Tensor | float = 0.0

        def update(x: Tensor, grad: Tensor) -> None:
            nonlocal step
            step = rho * step - lr * grad
            x += step

        return update

    return make


def walker(length: float) -> Callable[[], Update]:
    """Steps along the gradient that get shorter and shorter."""

    def make() -> Update:
        steps = 0

        def update(x: Tensor, grad: Tensor) -> None:
            nonlocal steps
            steps += 1
            x -= length * grad / (math.sqrt(steps) * (1 + grad.norm()))

        return update

    return make


def valleys(rng: np.random.Generator) -> list[Case]:
    """Valleys whose lowest point is not the origin, and four runners; one may diverge."""
    cases = []
    for size, wild in ((2, False), (1, True), (2, True), (5, False)):
        runners = [
            ("tortoise", float(rng.uniform(0.01, 0.03)), 0.0),
            ("hare", 1e9 if wild else float(rng.uniform(0.2, 0.4)), 0.0),
            ("ball", float(rng.uniform(0.02, 0.06)), 0.9),
            ("walker", float(rng.uniform(0.1, 0.3)), None),
        ]
        cases.append(
            {
                "curvature": rng.uniform(0.1, 2, size),
                "goal": rng.normal(0, 2, size),
                "start": rng.normal(0, 3, size),
                "steps": int(rng.integers(STEPS, 2 * STEPS)),
                "runners": [runners[k] for k in rng.permutation(len(runners))],
            }
        )
    return cases


def run_race(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    curvature, goal, start = copies(case, "curvature", "goal", "start")
    rules = {
        name: walker(lr) if rho is None else descent(lr, rho) for name, lr, rho in case["runners"]
    }

    def gradient(x: Tensor) -> Tensor:
        return curvature * (x - goal)

    ranking = answer["race"](gradient, rules, start, case["steps"], goal)
    names, places, distances = list(rules), [], []
    for pair in ranking if isinstance(ranking, (tuple, list)) else [ranking]:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2 or pair[0] not in names:
            zh, en = (
                "一列 (名字, 距离)，名字是 rules 的键",
                "a list of pairs (name, distance) with names from rules",
            )
            raise unusable("race", ranking, zh, en)
        places.append(names.index(pair[0]))
        distances.append(numbers("race", pair[1], (), "distance"))
    return {"runner": places, "distance": distances}


# 7 Frames


def paths_of_many_lengths(rng: np.random.Generator) -> list[Case]:
    """One to four paths in the plane, some of them a start and nothing more."""
    return [
        {"paths": [rng.normal(0, 2, (length, 2)) for length in lengths], "between": between}
        for lengths, between in (
            ([int(rng.integers(50, 60))], 1),
            ([int(rng.integers(20, 30)), int(rng.integers(5, 15)), 31], 3),
            ([1, 52, 1, int(rng.integers(30, 50))], 2),
            ([1, 1], 4),
        )
    ]


def run_frames(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    paths = [torch.tensor(path) for path in case["paths"]]
    return {"frames": numbers("frames", answer["frames"](paths, case["between"]))}


QUESTIONS = [
    Question(
        "newton",
        15,
        {"zh": "用牛顿法找临界点", "en": "Critical points by Newton's method"},
        ("newton",),
        critical_points,
        run_newton,
    ),
    Question(
        "classify",
        10,
        {"zh": "这个临界点是什么", "en": "What a critical point is"},
        ("classify",),
        hessians_of_all_kinds,
        run_classify,
        counts="index",
    ),
    Question(
        "rate",
        10,
        {"zh": "学习率的上限", "en": "The limit of the learning rate"},
        ("largest_rate",),
        bowls_and_saddles,
        run_rate,
        counts="index",
    ),
    Question(
        "escape",
        15,
        {"zh": "多少步离开鞍点", "en": "How many steps to leave a saddle"},
        ("escape",),
        ridges,
        run_escape,
        counts="index",
    ),
    Question(
        "leaves",
        10,
        {"zh": "轨迹第几步离开视野", "en": "The step at which a path leaves the view"},
        ("leaves_at",),
        walks,
        run_leaves,
        counts="index",
    ),
    Question(
        "race",
        15,
        {"zh": "一场比赛", "en": "A race"},
        ("race",),
        valleys,
        run_race,
        counts="index",
    ),
    Question(
        "frames",
        10,
        {"zh": "动画的帧", "en": "The frames of an animation"},
        ("frames",),
        paths_of_many_lengths,
        run_frames,
        counts="index",
    ),
]
