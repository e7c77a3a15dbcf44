"""Lab 6, using optimisers well: the inputs of its questions, and how an answer runs on them."""

import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nndl.checking.question import Case, Question, Unusable
from nndl.checking.returned import described, like, numbers, several, unusable

STEPS = 60


def tensor(values: Any) -> Tensor:
    """A tensor of its own: an answer that changes it does not change the case."""
    return torch.tensor(np.array(values), dtype=torch.float64)


# --- 1. A rate that falls at milestones -------------------------------------------------------


def milestones(rng: np.random.Generator) -> list[Case]:
    """None, one and several milestones, one of them twice, one at epoch 0."""
    several = sorted(int(epoch) for epoch in rng.choice(np.arange(2, STEPS), 4, replace=False))
    twice = int(rng.integers(5, 30))
    return [
        {"milestones": epochs, "lr": float(rng.uniform(0.2, 2)), "gamma": float(gamma)}
        for epochs, gamma in (
            (several, rng.uniform(0.2, 0.6)),
            ([30], 0.1),
            ([0, twice, twice, twice + 20], rng.uniform(0.5, 0.8)),
            ([], 0.1),
        )
    ]


def run_multistep(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    settings = [case["milestones"], case["gamma"]]
    multistep = answer["multistep"]
    rates = [multistep(case["lr"], epoch, *settings) for epoch in range(STEPS)]
    return {"rate": [numbers("multistep", rate, ()) for rate in rates]}


# --- 2. Warm-up, then cosine ------------------------------------------------------------------


def warm_ups(rng: np.random.Generator) -> list[Case]:
    """Short, long and no warm-up; the schedule ends before the run does."""
    return [
        {
            "lr": float(rng.uniform(0.5, 2)),
            "warm": warm,
            "total": total,
            "start": float(start),
        }
        for warm, total, start in (
            (int(rng.integers(4, 10)), int(rng.integers(40, 50)), rng.uniform(0.01, 0.3)),
            (int(rng.integers(20, 30)), 50, 0.1),
            (0, int(rng.integers(30, 45)), 0.1),
            (1, 52, 0.0),
        )
    ]


def run_warm_up(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    settings = [case[name] for name in ("warm", "total", "start")]
    warmup_cosine = answer["warmup_cosine"]
    rates = [warmup_cosine(case["lr"], t, *settings) for t in range(STEPS + 10)]
    return {"rate": [numbers("warmup_cosine", rate, ()) for rate in rates]}


# --- 3. The cosine from the rate that it finds ------------------------------------------------


def annealings(rng: np.random.Generator) -> list[Case]:
    """Two groups with rates of their own; at one step somebody else cuts the first one's."""
    return [
        {
            "rates": rng.uniform(0.5, 2, 2),
            "total": int(rng.integers(50, 70)),
            "lowest": lowest,
            "cut": int(rng.integers(10, 30)),
            "by": float(rng.uniform(0.3, 0.7)),
        }
        for lowest in (0.0, float(rng.uniform(0.01, 0.1)), float(rng.uniform(0.1, 0.2)))
    ]


def run_cosine(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    first, second = [float(case["rates"][0])], [float(case["rates"][1])]
    for t in range(case["total"]):
        for rates, cut in ((first, case["cut"]), (second, None)):
            rate = rates[-1] * case["by"] if t == cut else rates[-1]
            following = answer["cosine_next"](rate, t, case["total"], case["lowest"])
            rates.append(numbers("cosine_next", following, ()))
    return {"first rate": first, "second rate": second}


# --- 4. A rate that answers to the metric -----------------------------------------------------


def metric(rng: np.random.Generator) -> list[float]:
    """What validation losses do: fall fast, jitter on a floor, creep down, jitter again."""
    falls = [0.85] * 12 + [1.0] * 22 + [0.985] * 16 + [1.0] * 30
    level = float(rng.uniform(1, 3)) * np.cumprod(falls)
    noise = np.concatenate([rng.uniform(0.99, 1.01, 12), rng.uniform(0.97, 1.08, len(falls) - 12)])
    return [float(value) for value in level * noise]


def plateaus(rng: np.random.Generator) -> list[Case]:
    """Two runs side by side, with settings that reduce early or late."""
    return [
        {
            "metrics": [metric(rng), metric(rng)],
            "lr": float(rng.uniform(0.5, 2)),
            "factor": float(rng.uniform(0.3, 0.6)),
            "patience": patience,
            "threshold": threshold,
            "lowest": lowest,
        }
        for patience, threshold, lowest in (
            (4, 0.02, 0.0),
            (2, 0.05, 0.01),
            (0, 0.01, 0.1),
            (6, 0.0, 0.0),
        )
    ]


def run_plateau(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    settings = [case[name] for name in ("factor", "patience", "threshold", "lowest")]
    states: list[dict[str, Any]] = [{}, {}]
    rates = [[case["lr"]], [case["lr"]]]
    # The two runs take turns: what one remembers must not leak into the other.
    for epoch in range(len(case["metrics"][0])):
        for mine, state, values in zip(rates, states, case["metrics"], strict=True):
            following = answer["plateau_step"](values[epoch], mine[-1], state, *settings)
            mine.append(numbers("plateau_step", following, ()))
    return {"first rate": rates[0], "second rate": rates[1]}


# --- 5. Clipping ------------------------------------------------------------------------------


def gradients(rng: np.random.Generator) -> list[Case]:
    """Gradients of several tensors, mostly small, now and then huge, once 0."""
    cases = []
    for shapes in ([()], [(3,), (2, 2)], [(2,), (), (1, 3)]):
        sizes = rng.lognormal(0, 2, STEPS)
        sizes[int(rng.integers(5, 50))] = 0
        cases.append(
            {
                "grads": [
                    sizes.reshape(-1, *[1] * len(s)) * rng.normal(0, 1, (STEPS, *s)) for s in shapes
                ],
                "limit": float(rng.uniform(0.5, 3)),
            }
        )
    return cases


def run_clip(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    norms, given = [], []
    clipped: list[list[Tensor]] = [[] for _ in case["grads"]]
    for t in range(STEPS):
        grads = [tensor(values[t]) for values in case["grads"]]
        result = answer["clip_by_norm"](grads, case["limit"])
        zh, en = "两样东西：范数和梯度的列表", "two things: the norm and the list of gradients"
        norm, after = several("clip_by_norm", result, 2, zh, en)
        zh, en = f"{len(grads)} 个梯度的列表", f"a list of {len(grads)} gradients"
        if not isinstance(after, (tuple, list)) or len(after) != len(grads):
            raise unusable("clip_by_norm", after, zh, en, "clipped")
        norms.append(numbers("clip_by_norm", norm, (), "norm"))
        for i, (column, grad) in enumerate(zip(clipped, after, strict=True)):
            column.append(numbers("clip_by_norm", grad, grads[i].shape, f"clipped[{i}]"))
        given.append(torch.cat([grad.reshape(-1) for grad in grads]))
    names = {f"clipped[{i}]": column for i, column in enumerate(clipped)}
    return {"norm": norms, **names, "given gradients": given}


# --- 6. AdamW, and Adam with an L2 penalty ----------------------------------------------------


def decays(rng: np.random.Generator) -> list[Case]:
    """Two parameters in bowls f = Σ cᵢ (xᵢ - aᵢ)² / 2; in the last case the data say nothing."""
    return [
        {
            "starts": [rng.normal(0, 3, shape) for shape in shapes],
            "curvatures": [flat * rng.uniform(0.2, 4, shape) for shape in shapes],
            "minima": [rng.normal(0, 2, shape) for shape in shapes],
            "lr": float(rng.uniform(0.02, 0.06)),
            "beta1": float(rng.uniform(0.8, 0.95)),
            "beta2": float(rng.uniform(0.95, 0.999)),
            "eps": 1e-3,
            "decay": float(rng.uniform(0.05, 0.3)),
        }
        for shapes, flat in (([(), (3,)], 1), ([(2, 2), (4,)], 1), ([(2,), (1, 3)], 0))
    ]


def run_decay(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    settings = [case[name] for name in ("lr", "beta1", "beta2", "eps", "decay")]
    trace = {}
    for kind, decoupled in (("L2", False), ("AdamW", True)):
        paths = [[tensor(start)] for start in case["starts"]]
        states: list[dict[str, Any]] = [{} for _ in paths]
        for _ in range(STEPS):
            # Points are kept as they are: a step that changes its input changes the path.
            for i, (path, state) in enumerate(zip(paths, states, strict=True)):
                grad = tensor(case["curvatures"][i]) * (path[-1] - tensor(case["minima"][i]))
                w = answer["adam_step"](path[-1], grad, state, *settings, decoupled)
                path.append(like("adam_step", w, path[0]))
        trace |= {f"w ({kind})": paths[0], f"u ({kind})": paths[1]}
    return trace


# --- 7. A step that asks the closure ----------------------------------------------------------


def valleys(rng: np.random.Generator) -> list[Case]:
    """Steep far away and flat near the minimum at 0: f = Σ (cᵢ xᵢ² / 2 + dᵢ xᵢ⁴ / 4)."""
    return [
        {
            "start": rng.normal(0, 1, shape) + far,
            "square": rng.uniform(0.05, 1, shape) * steep,
            "fourth": rng.uniform(0.01, 0.5, shape),
            "lr": float(rng.uniform(0.8, 2)),
            "shrink": float(rng.uniform(0.4, 0.8)),
            "c": float(c),
        }
        for shape, far, steep, c in (
            ((), 6, 1, rng.uniform(0.3, 0.45)),
            ((2,), 3, 20, 1e-4),
            ((2, 2), 4, 5, rng.uniform(0.2, 0.4)),
            ((5,), 0, 40, rng.uniform(0.3, 0.4)),
        )
    ]


def run_line_search(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    square, fourth = tensor(case["square"]), tensor(case["fourth"])
    calls = 0

    def closure(x: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal calls
        calls += 1
        if calls > 200:
            raise Unusable(
                "一步里调用了 200 次闭包：循环停不下来。",
                "The closure was called 200 times in one step: the loop doesn't end.",
            )
        loss = (square * x**2 / 2 + fourth * x**4 / 4).sum()
        return loss, square * x + fourth * x**3

    path, losses, rates, counts = [tensor(case["start"])], [], [], []
    for _ in range(STEPS):
        calls = 0
        settings = [case[name] for name in ("lr", "shrink", "c")]
        result = answer["line_search_step"](closure, path[-1], *settings)
        zh, en = "三样东西：点、损失和学习率", "three things: the point, the loss and the rate"
        x, loss, rate = several("line_search_step", result, 3, zh, en)
        path.append(like("line_search_step", x, path[0], "x"))
        losses.append(numbers("line_search_step", loss, (), "loss"))
        rates.append(numbers("line_search_step", rate, (), "rate"))
        counts.append(calls)
    return {"calls": counts, "rate": rates, "loss": losses, "x": path}


# --- 8. Resuming ------------------------------------------------------------------------------


def runs(rng: np.random.Generator) -> list[Case]:
    return [
        {
            "start": rng.normal(0, 3, shape),
            "curvature": rng.uniform(0.2, 4, shape),
            "lr": float(rng.uniform(0.02, 0.06)),
            "rho": float(rng.uniform(0.5, 0.9)),
            "seed": int(rng.integers(1_000_000)),
        }
        for shape in ((1,), (4,), (2, 2))
    ]


def new_run(case: Case, seed: int) -> SimpleNamespace:
    """What a training run consists of, before its first epoch."""
    return SimpleNamespace(
        w=tensor(case["start"]),
        velocity=torch.zeros(np.shape(case["start"]), dtype=torch.float64),
        rate=case["lr"],
        epoch=0,
        generator=torch.Generator().manual_seed(seed),
    )


def train(run: Any, case: Case, epochs: int) -> list[Tensor]:
    """Train in place, with noise in the gradient and a rate that falls; return w as it goes."""
    curvature, path = tensor(case["curvature"]), [run.w.clone()]
    for _ in range(epochs):
        noise = torch.randn(run.w.shape, generator=run.generator, dtype=torch.float64)
        run.velocity.mul_(case["rho"]).add_(curvature * run.w + noise)
        run.w.sub_(run.rate * run.velocity)
        run.epoch += 1
        # The next rate comes from the present one and the epoch, as in a scheduler.
        run.rate *= 0.5 if run.epoch % 10 == 0 else 1 - 0.02 * math.cos(run.epoch)
        path.append(run.w.clone())
    return path


def intact(run: Any, whole: Any) -> None:
    """Say what of a run cannot be trained with after loading."""
    for part in ("w", "velocity", "rate", "epoch", "generator"):
        value, right = getattr(run, part, None), getattr(whole, part)
        kind = (int, float) if part in ("rate", "epoch") else type(right)
        shaped = getattr(value, "shape", None) == getattr(right, "shape", None)
        if not isinstance(value, kind) or not shaped:
            (got_zh, got_en), name = described(value), type(right).__name__
            raise Unusable(
                f"load_run 之后，run.{part} 不再是原来那样的 {name}，而是{got_zh}。",
                f"After load_run, run.{part} is no longer such a {name} as it was, but {got_en}.",
            )


def run_resume(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    whole = new_run(case, case["seed"])
    train(whole, case, 25)
    saved = answer["save_run"](whole)
    if saved is None:
        raise unusable("save_run", saved, "一份存档", "what is saved")
    uninterrupted = train(whole, case, STEPS)
    trace = {"w, not interrupted": uninterrupted}
    # Resumed twice from the same save: the first must not use it up.
    for name, before in (("w, resumed", 0), ("w, resumed again", 3)):
        run = new_run(case, case["seed"] + 1)
        train(run, case, before)
        answer["load_run"](run, saved)
        intact(run, whole)
        trace[name] = train(run, case, STEPS)
    return trace


QUESTIONS = [
    Question(
        "multistep",
        8,
        {"zh": "台阶式下降", "en": "A rate that falls at milestones"},
        ("multistep",),
        milestones,
        run_multistep,
        counts="index",
    ),
    Question(
        "warm-up",
        10,
        {"zh": "预热接余弦退火", "en": "Warm-up, then cosine annealing"},
        ("warmup_cosine",),
        warm_ups,
        run_warm_up,
    ),
    Question(
        "cosine",
        10,
        {"zh": "从当前的学习率接着算", "en": "The cosine from the rate that it finds"},
        ("cosine_next",),
        annealings,
        run_cosine,
    ),
    Question(
        "plateau",
        14,
        {"zh": "平台期：让指标来决定", "en": "Plateaus: let the metric decide"},
        ("plateau_step",),
        plateaus,
        run_plateau,
    ),
    Question(
        "clip",
        10,
        {"zh": "按范数裁剪", "en": "Clipping by norm"},
        ("clip_by_norm",),
        gradients,
        run_clip,
        counts="index",
    ),
    Question(
        "decay",
        16,
        {"zh": "两种权重衰减的 Adam", "en": "Adam with either weight decay"},
        ("adam_step",),
        decays,
        run_decay,
    ),
    Question(
        "line-search",
        12,
        {"zh": "问过闭包再走", "en": "A step that asks the closure"},
        ("line_search_step",),
        valleys,
        run_line_search,
        counts="index",
    ),
    Question(
        "resume",
        10,
        {"zh": "逐位续训", "en": "Resuming bit for bit"},
        ("save_run", "load_run"),
        runs,
        run_resume,
    ),
]
