"""Lab 4: mistakes that people make, each as a wrong answer that runs."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from nndl.checking.question import Mistake

Field = Callable[[Tensor], Tensor]


def newton_multiplied(gradient: Field, hessian: Field, start: Tensor, steps: int) -> Any:
    points = [start]
    for _ in range(steps):
        x = points[-1]
        points.append(x - hessian(x) @ gradient(x))
    return points


def newton_backwards(gradient: Field, hessian: Field, start: Tensor, steps: int) -> Any:
    points = [start]
    for _ in range(steps):
        x = points[-1]
        points.append(x + torch.linalg.solve(hessian(x), gradient(x)))
    return points


def newton_in_place(gradient: Field, hessian: Field, start: Tensor, steps: int) -> Any:
    x, points = start, [start]
    for _ in range(steps):
        x -= torch.linalg.solve(hessian(x), gradient(x))
        points.append(x)
    return points


def newton_frozen(gradient: Field, hessian: Field, start: Tensor, steps: int) -> Any:
    points, curvature = [start], hessian(start)
    for _ in range(steps):
        x = points[-1]
        points.append(x - torch.linalg.solve(curvature, gradient(x)))
    return points


def kind_of(curvatures: Tensor, tolerance: float) -> str:
    """The right answer for the wrong numbers."""
    up, down = curvatures > tolerance, curvatures < -tolerance
    if up.all():
        return "minimum"
    if down.all():
        return "maximum"
    return "saddle" if up.any() and down.any() else "undecided"


def classify_diagonal(hessian: Tensor, tolerance: float) -> str:
    return kind_of(hessian.diagonal(), tolerance)


def classify_flat_is_up(hessian: Tensor, tolerance: float) -> str:
    eigenvalues = torch.linalg.eigvalsh(hessian)
    if (eigenvalues >= -tolerance).all():
        return "minimum"
    return "maximum" if (eigenvalues <= tolerance).all() else "saddle"


def rate(
    from_smallest: bool = False,
    by_thumb: bool = False,
    anywhere: bool = False,
    with_rho: bool = True,
) -> Any:
    """The limit of the rate with a mistake built in."""

    def largest_rate(hessian: Tensor, rho: float) -> float:
        eigenvalues = torch.linalg.eigvalsh(hessian).tolist()
        if min(eigenvalues) <= 0 and not anywhere:
            return 0.0
        factor = 1 - rho if by_thumb else 1 + rho if with_rho else 1
        return 2 * factor / (min(eigenvalues) if from_smallest else max(eigenvalues))

    return {"largest_rate": largest_rate}


def first_power(offset: float, growth: float, limit: int) -> int | None:
    """The first t for which |offset| growthᵗ is beyond 1."""
    return next((t for t in range(limit + 1) if abs(offset) * growth**t > 1), None)


def escape_by_thumb(offset: float, curvature: float, lr: float, rho: float, limit: int) -> Any:
    growth = 1 - lr / (1 - rho) * curvature
    return growth, first_power(offset, growth, limit)


def escape_at_full_speed(offset: float, curvature: float, lr: float, rho: float, limit: int) -> Any:
    b = 1 + rho - lr * curvature
    growth = (b + math.sqrt(b**2 - 4 * rho)) / 2
    return growth, first_power(offset, growth, limit)


def escape_one_side(offset: float, curvature: float, lr: float, rho: float, limit: int) -> Any:
    b = 1 + rho - lr * curvature
    before = u = offset
    growth, steps = (b + math.sqrt(b**2 - 4 * rho)) / 2, 0
    while steps <= limit and u <= 1:
        before, u, steps = u, u + rho * (u - before) - lr * curvature * u, steps + 1
    return growth, steps if u > 1 and steps <= limit else None


def leaves_but_not_nan(points: Tensor, low: Tensor, high: Tensor) -> int | None:
    outside = ((points < low) | (points > high)).any(dim=1)
    return int(outside.int().argmax()) if outside.any() else None


def border_left_out(points: Tensor, low: Tensor, high: Tensor) -> int | None:
    inside = ((low < points) & (points < high)).all(dim=1)
    return None if inside.all() else int((~inside).int().argmax())


def leaves_at_0(points: Tensor, low: Tensor, high: Tensor) -> int:
    inside = ((low <= points) & (points <= high)).all(dim=1)
    return int((~inside).int().argmax())


def race_with(
    shared_start: bool = False,
    to_origin: bool = False,
    one_rule: bool = False,
    last_first: bool = False,
) -> Mapping[str, Any]:
    """The race with a mistake built in."""

    def race(gradient: Field, rules: Any, start: Tensor, steps: int, goal: Tensor) -> Any:
        distances = {}
        for name, make in rules.items():
            x, update = start if shared_start else start.clone(), make()
            for _ in range(steps):
                if one_rule:
                    update = make()
                update(x, gradient(x))
            distance = (x if to_origin else x - goal).norm().item()
            distances[name] = distance if math.isfinite(distance) else math.inf
        return sorted(distances.items(), key=lambda pair: pair[1], reverse=last_first)

    return {"race": race}


def frames_without_last(paths: Sequence[Tensor], between: int) -> Tensor:
    count = (max(map(len, paths)) - 1) * between
    pictures = [[along(path, i / between) for path in paths] for i in range(count)]
    return torch.stack([torch.stack(points) for points in pictures] or [torch.zeros(0, 2)])


def frames_stretched(paths: Sequence[Tensor], between: int) -> Tensor:
    count = (max(map(len, paths)) - 1) * between + 1
    pace = [(len(path) - 1) / max(1, count - 1) for path in paths]
    return torch.stack(
        [
            torch.stack([along(path, i * p) for path, p in zip(paths, pace, strict=True)])
            for i in range(count)
        ]
    )


def along(path: Tensor, t: float) -> Tensor:
    """The point of a path at the time t; the last point from then on."""
    k = min(int(t + 1e-9), len(path) - 1)
    part = t - k
    return path[k] if part < 1e-9 or k + 1 >= len(path) else path[k].lerp(path[k + 1], part)


MISTAKES = {
    "newton": [
        Mistake(
            "multiplied by the Hessian",
            {
                "zh": "梯度乘了黑塞矩阵，应当除以它：解线性方程组 H p = g，再走 -p。",
                "en": "the gradient is multiplied by the Hessian. Newton divides by it: "
                "solve the linear equations H p = g, and step by -p.",
            },
            {"newton": newton_multiplied},
        ),
        Mistake(
            "one tensor in every entry",
            {
                "zh": "记录里的每个点都是同一个张量：原地修改 x 会把已经记下的点连同起点一起改掉。"
                "每一步都要得到一个新的张量，或者记下副本。",
                "en": "every point on record is the same tensor. Changing x in place changes the "
                "points that are already recorded, and the start. Make a new tensor in each step, "
                "or record copies.",
            },
            {"newton": newton_in_place},
        ),
        Mistake(
            "Hessian of the start",
            {
                "zh": "每一步用的都是起点的黑塞矩阵。函数不是二次的，黑塞矩阵随 x 而变，要在当前点重新计算。",
                "en": "every step uses the Hessian of the start. The function is not quadratic: "
                "its Hessian changes with x and is computed anew at the current point.",
            },
            {"newton": newton_frozen},
        ),
        Mistake(
            "step the wrong way",
            {
                "zh": "这一步加到了点上，应当减去：解出的 p 满足 H p = g，下一个点是 x - p。",
                "en": "the step is added to the point, and should be subtracted: p solves H p = g, and the next point is x - p.",
            },
            {"newton": newton_backwards},
        ),
    ],
    "classify": [
        Mistake(
            "diagonal instead of eigenvalues",
            {
                "zh": "看的是对角元，不是特征值。对角元只说沿坐标轴的弯曲，斜着的方向可能往下弯。",
                "en": "this looks at the diagonal, not at the eigenvalues. The diagonal knows the "
                "curvature along the axes only; a direction between them may go down.",
            },
            {"classify": classify_diagonal},
        ),
        Mistake(
            "zero taken for a sign",
            {
                "zh": "把零特征值当成了有符号的数。沿着那个方向二阶导数什么也没说："
                "没有正负两种特征值时，只能回答 undecided。",
                "en": "an eigenvalue of zero is counted as if it had a sign. Along its direction "
                "the second derivative says nothing: unless there are eigenvalues of both signs, "
                "the answer is undecided.",
            },
            {"classify": classify_flat_is_up},
        ),
    ],
    "rate": [
        Mistake(
            "limit from the smallest eigenvalue",
            {
                "zh": "用了最小的特征值。先发散的是最陡的方向，也就是最大的特征值。",
                "en": "the limit comes from the smallest eigenvalue. The steepest direction "
                "diverges first, and that is the largest one.",
            },
            rate(from_smallest=True),
        ),
        Mistake(
            "rate limit by the rule of thumb",
            {
                "zh": "把动量当成了放大到 1/(1 - ρ) 倍的学习率。这样得到的上限太小："
                "ρ 越大，动量法允许的学习率其实越大，最多接近两倍。",
                "en": "this takes momentum for a rate that is larger by 1/(1 - rho). The limit "
                "comes out too small: with larger rho momentum allows a larger rate, up to nearly "
                "twice that of gradient descent.",
            },
            rate(by_thumb=True),
        ),
        Mistake(
            "negative eigenvalues overlooked",
            {
                "zh": "有的特征值是负的，你仍然给出了一个学习率。沿那个方向，学习率再小也会发散，应返回 0。",
                "en": "some eigenvalue is negative, and you give a rate all the same. Along that direction any rate diverges, however small: return 0.",
            },
            rate(anywhere=True),
        ),
        Mistake(
            "rho overlooked",
            {
                "zh": "这是梯度下降的上限，没有用到 ρ。动量法的上限要大一些：2 换成 2(1 + ρ)。",
                "en": "this is the limit of gradient descent, and rho has no part in it. That of momentum is larger, with 2 (1 + rho) in place of 2.",
            },
            rate(with_rho=False),
        ),
    ],
    "escape": [
        Mistake(
            "growth by the rule of thumb",
            {
                "zh": "把动量当成了放大到 1/(1 - ρ) 倍的学习率。速度还在累积，达不到那么快；"
                "增长因子是二次方程的大根。",
                "en": "this takes momentum for a rate that is larger by 1/(1 - rho). The velocity "
                "is still building up and never gets that large; the growth factor is the larger "
                "root of the quadratic equation.",
            },
            {"escape": escape_by_thumb},
        ),
        Mistake(
            "at full speed from the first step",
            {
                "zh": "增长因子对了，步数却按一开始就以这个倍数增长来算。起步时速度是 0，"
                "头几步慢一些：请按递推公式一步一步走。",
                "en": "the growth factor is right, but the steps are counted as if the path grew "
                "by it from the start. At first the velocity is 0 and the growth is slower: "
                "follow the recursion step by step.",
            },
            {"escape": escape_at_full_speed},
        ),
        Mistake(
            "only one side",
            {
                "zh": "从负的一侧离开的，你没有看见：要比较的是 u 的绝对值。",
                "en": "you don't see a path that leaves on the negative side: it is the absolute value of u that counts.",
            },
            {"escape": escape_one_side},
        ),
    ],
    "leaves": [
        Mistake(
            "NaN taken to be inside",
            {
                "zh": "NaN 被当成了在视野里：它和任何数比较都得到 False，所以既不“小于下界”，"
                "也不“大于上界”。应当问的是“在不在里面”，再取反。",
                "en": "NaN passes for inside. Every comparison with it is False, so it is neither "
                "below the lower bound nor above the upper one. Ask whether a point is inside, and "
                "negate that.",
            },
            {"leaves_at": leaves_but_not_nan},
        ),
        Mistake(
            "0 for a path that stays",
            {
                "zh": "一直留在视野里的轨迹得到了 0，而不是 None：全是 False 时 argmax 返回 0，"
                "和“起点就在外面”分不开。要先看有没有 True。",
                "en": "a path that stays inside gets 0 and not None. Where nothing is True, argmax "
                "returns 0, as for a path that starts outside: look first whether anything is True.",
            },
            {"leaves_at": leaves_at_0},
        ),
        Mistake(
            "border left out",
            {
                "zh": "正好在边界上的点，你算成了视野之外。边界属于视野：比较时要用小于等于。",
                "en": "a point exactly on the border counts as outside in your answer. The border belongs to the view: compare with less than or equal.",
            },
            {"leaves_at": border_left_out},
        ),
    ],
    "race": [
        Mistake(
            "one start for all",
            {
                "zh": "所有选手共用一个起点张量。规则原地修改 x，所以后一个从前一个停下的地方出发。"
                "给每个选手一份副本。",
                "en": "all runners share the tensor of the start. The rules change x in place, so "
                "each begins where the one before it stopped. Give every runner a copy.",
            },
            race_with(shared_start=True),
        ),
        Mistake(
            "distance from the origin",
            {
                "zh": "量的是到原点的距离。终点是 goal，它不一定是原点。",
                "en": "this is the distance from the origin. The runners head for goal, which need "
                "not be the origin.",
            },
            race_with(to_origin=True),
        ),
        Mistake(
            "a new rule in every step",
            {
                "zh": "每一步都重新造了一条规则，它记住的东西（速度、步数）就丢了。每个选手只造一次，在循环之前。",
                "en": "a new rule is made in every step and forgets what it had remembered: its "
                "velocity, its count of steps. Make one for each runner, before the loop.",
            },
            race_with(one_rule=True),
        ),
        Mistake(
            "furthest first",
            {
                "zh": "名次倒过来了：最近的应当排在最前面。",
                "en": "the ranking is upside down: the nearest comes first.",
            },
            race_with(last_first=True),
        ),
    ],
    "frames": [
        Mistake(
            "last frame missing",
            {
                "zh": "少了最后一帧：T 步有 T + 1 个点，每步分成 between 份，一共是 T × between + 1 帧。",
                "en": "the last frame is missing. T steps have T + 1 points; with every step in "
                "between parts that makes T times between + 1 frames.",
            },
            {"frames": frames_without_last},
        ),
        Mistake(
            "short paths stretched",
            {
                "zh": "短的轨迹被拉长，好让大家同时到达。这样同一帧里各条轨迹走过的步数就不同了；"
                "先走完的应当停在最后一点等着。",
                "en": "short paths are stretched so that all arrive together. Then the paths in "
                "one frame have not taken the same number of steps. A path that has ended waits at "
                "its last point.",
            },
            {"frames": frames_stretched},
        ),
    ],
}
