"""Lab 2: mistakes that people make, each as a wrong answer that runs."""

from typing import Any

import torch
from torch import Tensor

from nndl.checking.question import Mistake


def adagrad(wrong: str) -> Any:
    """AdaGrad with a mistake built in."""

    def adagrad_step(x: Tensor, grad: Tensor, sum_sq: Tensor, lr: float, eps: float) -> Any:
        before = sum_sq
        if wrong in ("sum changed in place", "both changed in place"):
            sum_sq += grad**2
        elif wrong == "squares forgotten":
            sum_sq = sum_sq + grad
        elif wrong == "one rate for all":
            sum_sq = sum_sq + (grad**2).sum()
        else:
            sum_sq = sum_sq + grad**2
        denominator = {
            "epsilon inside": (sum_sq + eps).sqrt(),
            "epsilon forgotten": sum_sq.sqrt(),
            "root forgotten": sum_sq + eps,
            "old sum": before.sqrt() + eps,
        }.get(wrong, sum_sq.sqrt() + eps)
        if wrong == "uphill":
            return x + lr * grad / denominator, sum_sq
        if wrong in ("point changed in place", "both changed in place"):
            x -= lr * grad / denominator
            return x, sum_sq
        return x - lr * grad / denominator, sum_sq

    return {"adagrad_step": adagrad_step}


def rmsprop(wrong: str) -> Any:
    """RMSprop with a mistake built in."""

    def rmsprop_step(
        x: Tensor, grad: Tensor, mean_sq: Tensor, lr: float, beta: float, eps: float
    ) -> Any:
        before = mean_sq
        old, new = (1 - beta, beta) if wrong == "beta swapped" else (beta, 1 - beta)
        if wrong == "factor forgotten":
            new = 1.0
        if wrong == "factor squared":
            new = new**2
        if wrong in ("average changed in place", "both changed in place"):
            mean_sq *= old
            mean_sq += new * grad**2
        else:
            mean_sq = old * mean_sq + new * grad**2
        denominator = {
            "epsilon inside": (mean_sq + eps).sqrt(),
            "old average": before.sqrt() + eps,
        }.get(wrong, mean_sq.sqrt() + eps)
        if wrong in ("point changed in place", "both changed in place"):
            x -= lr * grad / denominator
            return x, mean_sq
        return x - lr * grad / denominator, mean_sq

    return {"rmsprop_step": rmsprop_step}


def rates(wrong: str) -> Any:
    """Effective rates with a mistake built in."""

    def effective_rates(gradients: Tensor, lr: float, beta: float, eps: float) -> Any:
        squares = gradients**2
        total = squares.cumsum(dim=0)
        if wrong == "mean for sum":
            total = total / torch.arange(1, len(squares) + 1)[:, None]
        elif wrong == "columns added":
            total = total.sum(dim=1, keepdim=True).expand_as(total)
        s = squares[0] if wrong == "begins with the first square" else torch.zeros_like(squares[0])
        average = []
        for square in squares:
            old = 1 - beta if wrong == "betas swapped" else beta
            s = old * s + (1 - old) * square
            average.append(s)
        mean = torch.stack(average)
        if wrong == "before the step":
            first = torch.zeros_like(squares[:1])
            total, mean = torch.cat([first, total[:-1]]), torch.cat([first, mean[:-1]])
        size = gradients.abs() if wrong == "length of the step" else 1
        if wrong == "epsilon inside":
            return lr / (total + eps).sqrt(), lr / (mean + eps).sqrt()
        return lr * size / (total.sqrt() + eps), lr * size / (mean.sqrt() + eps)

    return {"effective_rates": effective_rates}


def weights(wrong: str) -> Any:
    """RMSprop's weights with a mistake built in."""

    def rmsprop_weights(beta: float, t: int) -> Tensor:
        age = torch.arange(t, dtype=torch.float64).flip(0)
        if wrong == "newest first":
            age = age.flip(0)
        if wrong == "one power too many":
            age = age + 1
        each = beta**age if wrong == "factor forgotten" else (1 - beta) * beta**age
        return each / each.sum() if wrong == "made to add up to 1" else each

    return {"rmsprop_weights": rmsprop_weights}


def mean_age(beta: float) -> float:
    return beta / (1 - beta)


def rule_of_thumb(beta: float) -> float:
    return 1 / (1 - beta)


def optimizer(wrong: str) -> Any:
    """The class RMSprop with a mistake built in."""
    in_class: dict[str, Tensor] = {}

    class RMSprop:
        def __init__(self, params: dict[str, Tensor], lr: float, beta: float, eps: float) -> None:
            self.params = dict(params) if wrong == "dictionary copied" else params
            self.lr, self.beta, self.eps = lr, beta, eps
            self.state: dict[str, Tensor] = {}
            if wrong == "state in the class":
                in_class.clear()  # as it is when the cell has just been run
                self.state = in_class

        def step(self, grads: dict[str, Tensor | None]) -> None:
            for name, x in self.params.items():
                grad = grads[name]
                if grad is None:
                    if wrong == "missing gradient ends the step":
                        return
                    if wrong != "missing gradient taken as 0":
                        continue
                    grad = torch.zeros_like(x)
                key = "all" if wrong == "one state for all" else name
                s = self.state.get(key, torch.zeros_like(x))
                s = self.beta * s + (1 - self.beta) * grad**2
                if wrong != "state not kept":
                    self.state[key] = s
                root = s.sqrt() + self.eps
                if wrong == "epsilon inside":
                    root = (s + self.eps).sqrt()
                self.params[name] = x - self.lr * grad / root

    return {"RMSprop": RMSprop}


def arrival(wrong: str) -> Any:
    """Counting steps with a mistake built in."""

    def size(x: Tensor) -> float:
        return float(x.abs().max() if wrong == "largest coordinate" else x.norm())

    def steps_to_reach(step: Any, start: Tensor, radius: float, max_steps: int) -> int:
        x, extra = start, int(wrong == "points counted")
        if wrong != "start not looked at" and size(x) <= radius:
            return extra
        for t in range(1, max_steps + (wrong != "last step not looked at")):
            x = step(x)
            if size(x) <= radius:
                return t + extra
        return max_steps if wrong == "gives the limit" else -1

    return {"steps_to_reach": steps_to_reach}


def ending(wrong: str) -> Any:
    """Where RMSprop ends up, with a mistake built in."""

    def settled(curvature: Tensor, lr: float) -> Any:
        distance = torch.full_like(curvature, lr if wrong == "whole jump" else lr / 2)
        rate = (1 if wrong == "best rate" else 2) / curvature
        loss = (curvature * distance**2).sum() / (1 if wrong == "half forgotten" else 2)
        return distance, rate, loss

    return {"settled": settled}


MISTAKES = {
    "adagrad": [
        Mistake(
            "epsilon inside the root",
            {
                "zh": "ε 加在了根号里面。应当先开方，再加 ε。",
                "en": "epsilon is under the root. Take the root first, then add epsilon.",
            },
            adagrad("epsilon inside"),
        ),
        Mistake(
            "epsilon forgotten",
            {
                "zh": "分母里没有 ε。一个坐标的梯度到现在都是 0 时，累积和也是 0，0 除以 0 得到 NaN。",
                "en": "the denominator has no epsilon. Where all gradients so far are 0 the sum is 0 too, and 0 / 0 gives NaN.",
            },
            adagrad("epsilon forgotten"),
        ),
        Mistake(
            "root forgotten",
            {
                "zh": "除以的是累积和本身。分母应当是它的平方根，这样第一步的长度才与梯度大小无关。",
                "en": "you divide by the sum itself. The denominator is its square root: only then does the first step not depend on the size of the gradient.",
            },
            adagrad("root forgotten"),
        ),
        Mistake(
            "squares forgotten",
            {
                "zh": "累积的是梯度，不是梯度的平方。正负会抵消，和变成负数时开方得到 NaN。",
                "en": "the sum adds up gradients, not their squares. Opposite signs cancel, and the root of a negative sum is NaN.",
            },
            adagrad("squares forgotten"),
        ),
        Mistake(
            "one rate for all coordinates",
            {
                "zh": "所有坐标的平方加在了一起，于是大家共用一个学习率。每个坐标只累积自己的平方。",
                "en": "the squares of all coordinates are added together, so that all share one rate. Each coordinate adds up its own squares only.",
            },
            adagrad("one rate for all"),
        ),
        Mistake(
            "divides by the old sum",
            {
                "zh": "除以的是这一步之前的累积和。先把新的平方加进去，再走这一步。",
                "en": "you divide by the sum from before this step. Add the new square first, then step.",
            },
            adagrad("old sum"),
        ),
        Mistake(
            "goes uphill",
            {
                "zh": "方向反了：参数加上了这一步，应当减去。",
                "en": "the direction is wrong: the step is added to the point, and should be subtracted.",
            },
            adagrad("uphill"),
        ),
        Mistake(
            "the point changed in place",
            {
                "zh": "x 被就地修改了（例如 x -= ...），记下来的每个点都变成了最后一个点。请返回一个新的张量。",
                "en": "x is changed in place, as x -= ... does, so every recorded point becomes the last one. Return a new tensor.",
            },
            adagrad("point changed in place"),
        ),
        Mistake(
            "the sum changed in place",
            {
                "zh": "累积和被就地修改了（例如 sum_sq += ...），以前的值也跟着变了。请返回一个新的张量。",
                "en": "the sum is changed in place, as sum_sq += ... does, so its earlier values change too. Return a new tensor.",
            },
            adagrad("sum changed in place"),
        ),
        Mistake(
            "point and sum changed in place",
            {
                "zh": "x 和累积和都被就地修改了（例如 x -= ... 和 sum_sq += ...），以前的点和以前的和也跟着变了。请返回新的张量。",
                "en": "x and the sum are both changed in place, as x -= ... and sum_sq += ... do, so all earlier points and sums change too. Return new tensors.",
            },
            adagrad("both changed in place"),
        ),
    ],
    "rmsprop": [
        Mistake(
            "beta and 1 - beta swapped",
            {
                "zh": "β 和 1 - β 用反了。旧的平均值乘 β，新的平方乘 1 - β；β 越接近 1，记得越久。",
                "en": "beta and 1 - beta are swapped. The old average is multiplied by beta, the new square by 1 - beta: the nearer beta is to 1, the longer the memory.",
            },
            rmsprop("beta swapped"),
        ),
        Mistake(
            "factor 1 - beta forgotten",
            {
                "zh": "新的平方没有乘 1 - β。这样得到的是衰减的和，不是平均值，是应有的 1/(1 - β) 倍。",
                "en": "the new square isn't multiplied by 1 - beta. That makes a decaying sum, not an average, too large by the factor 1 / (1 - beta).",
            },
            rmsprop("factor forgotten"),
        ),
        Mistake(
            "factor 1 - beta squared",
            {
                "zh": "1 - β 也被平方了。先平方梯度，再乘 1 - β。",
                "en": "the factor 1 - beta is squared as well. Square the gradient first, then multiply.",
            },
            rmsprop("factor squared"),
        ),
        Mistake(
            "epsilon inside the root",
            {
                "zh": "ε 加在了根号里面。应当先开方，再加 ε。",
                "en": "epsilon is under the root. Take the root first, then add epsilon.",
            },
            rmsprop("epsilon inside"),
        ),
        Mistake(
            "divides by the old average",
            {
                "zh": "除以的是这一步之前的平均值。先算新的平均值，再走这一步。",
                "en": "you divide by the average from before this step. Compute the new average first, then step.",
            },
            rmsprop("old average"),
        ),
        Mistake(
            "the average changed in place",
            {
                "zh": "平均值被就地修改了（例如 mean_sq *= ...），以前的值也跟着变了。请返回一个新的张量。",
                "en": "the average is changed in place, as mean_sq *= ... does, so its earlier values change too. Return a new tensor.",
            },
            rmsprop("average changed in place"),
        ),
        Mistake(
            "the point changed in place",
            {
                "zh": "x 被就地修改了（例如 x -= ...），记下来的每个点都变成了最后一个点。请返回一个新的张量。",
                "en": "x is changed in place, as x -= ... does, so every recorded point becomes the last one. Return a new tensor.",
            },
            rmsprop("point changed in place"),
        ),
        Mistake(
            "point and average changed in place",
            {
                "zh": "x 和平均值都被就地修改了（例如 x -= ... 和 mean_sq *= ...），以前的点和以前的平均值也跟着变了。请返回新的张量。",
                "en": "x and the average are both changed in place, as x -= ... and mean_sq *= ... do, so all earlier points and averages change too. Return new tensors.",
            },
            rmsprop("both changed in place"),
        ),
    ],
    "effective-rates": [
        Mistake(
            "rates from before the step",
            {
                "zh": "错了一行：每一行用的都是那一步之前的累积。走第 t 步时，第 t 个梯度的平方已经算进去了。",
                "en": "the rows are off by one: each uses what was accumulated before its step. When step t is taken, the square of gradient t is already in.",
            },
            rates("before the step"),
        ),
        Mistake(
            "length of the step instead of the rate",
            {
                "zh": "这是步长，多乘了一个梯度。有效学习率只是乘在梯度前面的那个因子。",
                "en": "these are the lengths of the steps, with the gradient multiplied in. The effective rate is only the factor in front of the gradient.",
            },
            rates("length of the step"),
        ),
        Mistake(
            "a mean in place of AdaGrad's sum",
            {
                "zh": "AdaGrad 的平方取了平均，多除了一个步数。AdaGrad 用的是和，所以它的学习率只降不升。",
                "en": "AdaGrad's squares are averaged, divided by the number of steps. AdaGrad takes their sum; that is why its rates never rise.",
            },
            rates("mean for sum"),
        ),
        Mistake(
            "AdaGrad's columns added together",
            {
                "zh": "AdaGrad 把各列加在了一起。每一列是一个坐标，只沿着步数（dim=0）累积。",
                "en": "for AdaGrad the columns are added together. A column is a coordinate: accumulate along the steps only, dim=0.",
            },
            rates("columns added"),
        ),
        Mistake(
            "RMSprop begins with the first square",
            {
                "zh": "RMSprop 的平均值从第一个平方开始了。它从 0 开始，所以头几步的学习率特别大。",
                "en": "RMSprop's average begins with the first square. It begins with 0, and that is why the first rates are so large.",
            },
            rates("begins with the first square"),
        ),
        Mistake(
            "epsilon inside the root",
            {
                "zh": "ε 加在了根号里面。应当先开方，再加 ε。",
                "en": "epsilon is under the root. Take the root first, then add epsilon.",
            },
            rates("epsilon inside"),
        ),
        Mistake(
            "beta and 1 - beta swapped",
            {
                "zh": "β 和 1 - β 用反了。旧的平均值乘 β，新的平方乘 1 - β；β 越接近 1，记得越久。",
                "en": "beta and 1 - beta are swapped. The old average is multiplied by beta, the new square by 1 - beta: the nearer beta is to 1, the longer the memory.",
            },
            rates("betas swapped"),
        ),
    ],
    "memory": [
        Mistake(
            "newest gradient first",
            {
                "zh": "权重的顺序反了。应当从最旧的梯度排到最新的，最后一个权重最大。",
                "en": "the weights are in the wrong order. They go from the oldest gradient to the newest: the last weight is the largest.",
            },
            weights("newest first"),
        ),
        Mistake(
            "factor 1 - beta forgotten",
            {
                "zh": "权重少了因子 1 - β。t 步的权重之和应当是 1 减去 β 的 t 次方，不会超过 1。",
                "en": "the factor 1 - beta is missing. The weights of t steps add up to 1 minus beta to the power t, never to more than 1.",
            },
            weights("factor forgotten"),
        ),
        Mistake(
            "one power of beta too many",
            {
                "zh": "多乘了一个 β。最新的梯度还没有被遗忘过，它的权重是 1 - β。",
                "en": "there is one beta too many. The newest gradient hasn't been forgotten even once: its weight is 1 - beta.",
            },
            weights("one power too many"),
        ),
        Mistake(
            "weights made to add up to 1",
            {
                "zh": "权重被归一化，加起来成了 1。RMSprop 不这样做：平均值从 0 开始，头几步的权重之和不到 1。",
                "en": "the weights were scaled to add up to 1. RMSprop doesn't do that: its average begins at 0, and the first weights add up to less than 1.",
            },
            weights("made to add up to 1"),
        ),
        Mistake(
            "mean age instead of half-life",
            {
                "zh": "β/(1 - β) 是平均年龄。半衰期是权重减半所需的步数。",
                "en": "beta / (1 - beta) is the mean age. The half-life is the number of steps in which a weight is halved.",
            },
            {"half_life": mean_age},
        ),
        Mistake(
            "rule of thumb instead of half-life",
            {
                "zh": "1/(1 - β) 是“大约记得多少步”的粗略说法。半衰期是权重减半所需的步数。",
                "en": "1 / (1 - beta) is the rule of thumb for how many steps are remembered. The half-life is the number of steps in which a weight is halved.",
            },
            {"half_life": rule_of_thumb},
        ),
    ],
    "own-state": [
        Mistake(
            "one state for all parameters",
            {
                "zh": "所有参数共用一个 s，一个参数的梯度改了另一个参数的学习率。每个参数要有自己的 s，例如按名字存放。",
                "en": "all parameters share one s, so that the gradient of one changes the rate of another. Each parameter has its own s, kept by name for example.",
            },
            optimizer("one state for all"),
        ),
        Mistake(
            "state kept in the class",
            {
                "zh": "两个优化器共用了状态：字典写在了类里（或者写成了默认参数），不在 __init__ 里。每个优化器要建立自己的字典。",
                "en": "two optimisers share their state: its dictionary stands in the class or is a default argument, instead of being made in __init__. Each optimiser makes its own.",
            },
            optimizer("state in the class"),
        ),
        Mistake(
            "state not kept between steps",
            {
                "zh": "每一步的 s 都从 0 重新开始。它要在两次 step 之间保留下来。",
                "en": "s begins at 0 again in each step. It has to be kept from one step to the next.",
            },
            optimizer("state not kept"),
        ),
        Mistake(
            "missing gradient taken as 0",
            {
                "zh": "没有梯度（None）的参数被当成梯度为 0，它的 s 因此变小了。没有梯度时，参数和 s 都不动。",
                "en": "a parameter without a gradient (None) is treated as if its gradient were 0, and its s shrinks. Without a gradient neither the parameter nor its s changes.",
            },
            optimizer("missing gradient taken as 0"),
        ),
        Mistake(
            "missing gradient ends the step",
            {
                "zh": "遇到第一个没有梯度的参数，这一步就结束了。只跳过这一个，后面的参数还要更新。",
                "en": "the step ends at the first parameter without a gradient. Skip only that one; those after it are still updated.",
            },
            optimizer("missing gradient ends the step"),
        ),
        Mistake(
            "parameters never move",
            {
                "zh": "交给你的字典里，参数一直没有动：新的点没有放回去，或者放进了字典的一个副本。",
                "en": "the parameters in the dictionary you were given never move: the new points aren't put back, or they go into a copy of the dictionary.",
            },
            optimizer("dictionary copied"),
        ),
        Mistake(
            "epsilon inside the root",
            {
                "zh": "ε 加在了根号里面。应当先开方，再加 ε。",
                "en": "epsilon is under the root. Take the root first, then add epsilon.",
            },
            optimizer("epsilon inside"),
        ),
    ],
    "arrival": [
        Mistake(
            "points counted instead of steps",
            {
                "zh": "多数了 1：数的是点，起点也算进去了。起点是第 0 步之后的点。",
                "en": "the counts are too large by 1: they count points, with the start among them. The start is the point after 0 steps.",
            },
            arrival("points counted"),
        ),
        Mistake(
            "the start not looked at",
            {
                "zh": "没有检查起点。起点已经在半径之内时，答案是 0 步。",
                "en": "the start isn't looked at. If it lies within the radius, the answer is 0 steps.",
            },
            arrival("start not looked at"),
        ),
        Mistake(
            "the last step not looked at",
            {
                "zh": "没有检查最后一个点。正好在第 max_steps 步到达，也算到达。",
                "en": "the last point isn't looked at. To arrive at step max_steps is to arrive.",
            },
            arrival("last step not looked at"),
        ),
        Mistake(
            "the limit instead of -1",
            {
                "zh": "走不到时返回了 max_steps，这样就分不清“最后一步到达”和“没有到达”。走不到时返回 -1。",
                "en": "when the path doesn't arrive you return max_steps, which can't be told from arriving at the last step. Return -1.",
            },
            arrival("gives the limit"),
        ),
        Mistake(
            "largest coordinate instead of distance",
            {
                "zh": "比较的是最大的坐标，不是距离。距离是各坐标平方和的平方根。",
                "en": "you compare the largest coordinate, not the distance, which is the root of the sum of squares.",
            },
            arrival("largest coordinate"),
        ),
    ],
    "settled": [
        Mistake(
            "the whole jump as the distance",
            {
                "zh": "一次跳跃从 +a 到 -a，长 2a。到极小点的距离是跳跃长度的一半。",
                "en": "a jump goes from +a to -a and has length 2a. The distance to the minimum is half the jump.",
            },
            ending("whole jump"),
        ),
        Mistake(
            "best rate instead of the limit",
            {
                "zh": "1/λ 是一步到底的学习率。来回跳时每步乘以 -1，这要更大的学习率。",
                "en": "1 / lambda is the rate that gets home in one step. To jump to and fro, each step multiplies by -1, and that takes a larger rate.",
            },
            ending("best rate"),
        ),
        Mistake(
            "half of the loss forgotten",
            {
                "zh": "损失大了一倍：f 前面的 1/2 漏掉了。",
                "en": "the loss is twice too large: the factor 1/2 in front of f is missing.",
            },
            ending("half forgotten"),
        ),
    ],
}
