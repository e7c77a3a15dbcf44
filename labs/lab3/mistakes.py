"""Lab 3: mistakes that people make, each as a wrong answer that runs."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nndl.checking.question import Mistake

# Momentum


def rate_inside(x: Tensor, grad: Tensor, velocity: Tensor, lr: float, rho: float) -> Any:
    velocity = rho * velocity + lr * grad
    return x - velocity, velocity


def averaged(x: Tensor, grad: Tensor, velocity: Tensor, lr: float, rho: float) -> Any:
    velocity = rho * velocity + (1 - rho) * grad
    return x - lr * velocity, velocity


def uphill(x: Tensor, grad: Tensor, velocity: Tensor, lr: float, rho: float) -> Any:
    velocity = rho * velocity + grad
    return x + lr * velocity, velocity


def old_velocity(x: Tensor, grad: Tensor, velocity: Tensor, lr: float, rho: float) -> Any:
    return x - lr * velocity, rho * velocity + grad


def all_in_place(x: Tensor, grad: Tensor, velocity: Tensor, lr: float, rho: float) -> Any:
    velocity.mul_(rho).add_(grad)
    return x.sub_(lr * velocity), velocity


def velocity_in_place(x: Tensor, grad: Tensor, velocity: Tensor, lr: float, rho: float) -> Any:
    velocity.mul_(rho).add_(grad)
    return x - lr * velocity, velocity


# The velocity as a sum


def weighted(grads: Tensor, weights: list[float]) -> Tensor:
    """The sum of the gradients with these weights."""
    return torch.tensordot(torch.tensor(weights, dtype=grads.dtype), grads, dims=1)


def oldest_first(grads: Tensor, rho: float) -> Tensor:
    return weighted(grads, [rho**k for k in range(len(grads))])


def one_power_more(grads: Tensor, rho: float) -> Tensor:
    t = len(grads)
    return weighted(grads, [rho ** (t - k) for k in range(t)])


def divided_by_weights(grads: Tensor, rho: float) -> Tensor:
    t = len(grads)
    weights = [rho ** (t - 1 - k) for k in range(t)]
    return weighted(grads, [weight / sum(weights) for weight in weights])


# Its memory


def one_step_short(rho: float, share: float) -> tuple[float, int]:
    steps = 0
    while 1 - rho ** (steps + 1) < share:
        steps += 1
    return 1 / (1 - rho), steps


def share_that_is_left(rho: float, share: float) -> tuple[float, int]:
    steps = 0
    while rho**steps > share:
        steps += 1
    return 1 / (1 - rho), steps


# Nesterov momentum


def no_look_ahead(x: Tensor, grad: Tensor, velocity: Tensor, lr: float, rho: float) -> Any:
    return x - lr * (grad + rho * velocity), rho * velocity + grad


def look_ahead_kept(x: Tensor, grad: Tensor, velocity: Tensor, lr: float, rho: float) -> Any:
    velocity = grad + rho * (rho * velocity + grad)
    return x - lr * velocity, velocity


def averaged_ahead(x: Tensor, grad: Tensor, velocity: Tensor, lr: float, rho: float) -> Any:
    velocity = rho * velocity + (1 - rho) * grad
    return x - lr * (grad + rho * velocity), velocity


def gradient_left_out(x: Tensor, grad: Tensor, velocity: Tensor, lr: float, rho: float) -> Any:
    velocity = rho * velocity + grad
    return x - lr * rho * velocity, velocity


# Adam and its relatives


def moments(kind: str) -> Mapping[str, Any]:
    """Moments with a mistake built in."""

    def corrected_moments(
        grad: Tensor, m: Tensor, v: Tensor, t: int, beta1: float, beta2: float
    ) -> tuple[Tensor, ...]:
        m = beta1 * m + (1 - beta1) * grad
        v = beta2 * v + (1 - beta2) * grad**2
        if kind == "beta times t":
            m_hat, v_hat = m / (1 - beta1 * t), v / (1 - beta2 * t)
        elif kind == "one factor for both":
            m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta1**t)
        else:
            m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        if kind == "carried on":
            m, v = m_hat, v_hat
        return m, v, m_hat, v_hat

    return {"corrected_moments": corrected_moments}


def adam(kind: str) -> Mapping[str, Any]:
    """Adam with a mistake built in."""

    def adam_step(
        x: Tensor, grad: Tensor, state: Any, lr: float, beta1: float, beta2: float, eps: float
    ) -> Tensor:
        if kind == "betas swapped":
            beta1, beta2 = beta2, beta1
        t = state["t"] = state.get("t", 1 if kind == "counter ahead" else 0) + 1
        m = state["m"] = beta1 * state.get("m", 0) + (1 - beta1) * grad
        v = state["v"] = beta2 * state.get("v", 0) + (1 - beta2) * grad**2
        if kind == "epsilon before the correction":
            rate = lr * (1 - beta2**t) ** 0.5 / (1 - beta1**t)
            return x - rate * m / (v.sqrt() + eps)
        if kind != "no correction":
            m, v = m / (1 - beta1**t), v / (1 - beta2**t)
        if kind == "corrected kept":
            state["m"], state["v"] = m, v
        if kind == "no root":
            return x - lr * m / (v + eps)
        move = lr * m / ((v + eps).sqrt() if kind == "epsilon inside" else v.sqrt() + eps)
        return x.sub_(move) if kind == "in place" else x - move

    return {"adam_step": adam_step}


def adam_all(kind: str) -> Mapping[str, Any]:
    """Adam on several parameters with a mistake built in."""

    def adam_step_all(
        params: Any, grads: Any, state: Any, lr: float, beta1: float, beta2: float, eps: float
    ) -> dict[str, Tensor]:
        following = {}
        for index, (name, x) in enumerate(params.items()):
            if index == 0 or kind == "counter per parameter":
                state["t"] = state.get("t", 0) + 1
            own = state if kind == "state shared" else state.setdefault(name, {})
            t = state["t"]
            m = own["m"] = beta1 * own.get("m", 0) + (1 - beta1) * grads[name]
            v = own["v"] = beta2 * own.get("v", 0) + (1 - beta2) * grads[name] ** 2
            if kind != "no correction":
                m, v = m / (1 - beta1**t), v / (1 - beta2**t)
            move = lr * m / ((v + eps).sqrt() if kind == "epsilon inside" else v.sqrt() + eps)
            following[name] = x.sub_(move) if kind == "in place" else x - move
        return following

    return {"adam_step_all": adam_step_all}


def amsgrad(kind: str) -> Mapping[str, Any]:
    """AMSGrad with a mistake built in."""

    def amsgrad_step(
        x: Tensor, grad: Tensor, state: Any, lr: float, beta1: float, beta2: float, eps: float
    ) -> Tensor:
        t = state["t"] = state.get("t", 0) + 1
        m = state["m"] = beta1 * state.get("m", 0) + (1 - beta1) * grad
        v = state["v"] = beta2 * state.get("v", 0) + (1 - beta2) * grad**2
        if kind == "average replaced":
            v = state["v"] = state["largest"] = torch.maximum(state.get("largest", v), v)
        elif kind in ("epsilon inside", "no correction"):
            v = state["largest"] = torch.maximum(state.get("largest", v), v)
        if kind != "no correction":
            m, v = m / (1 - beta1**t), v / (1 - beta2**t)
        if kind == "maximum after the correction":
            v = state["largest"] = torch.maximum(state.get("largest", v), v)
        return x - lr * m / ((v + eps).sqrt() if kind == "epsilon inside" else v.sqrt() + eps)

    return {"amsgrad_step": amsgrad_step}


MISTAKES = {
    "momentum": [
        Mistake(
            "rate inside the velocity",
            {
                "zh": "学习率乘进了速度里。学习率一变，速度里存着的还是按旧学习率算的位移。应当先累积梯度，走的时候再乘学习率。",
                "en": "the learning rate is inside the velocity. When the rate changes, the velocity still holds moves computed with the old one. Accumulate gradients, and multiply by the rate when you step.",
            },
            {"momentum_step": rate_inside},
        ),
        Mistake(
            "gradient scaled by 1 - rho",
            {
                "zh": "新梯度乘了 1 - ρ，那是滑动平均。这里的速度是衰减的和，梯度前面没有系数。",
                "en": "the new gradient is multiplied by 1 - rho, as in a moving average. The velocity here is a decaying sum: there is no factor before the gradient.",
            },
            {"momentum_step": averaged},
        ),
        Mistake(
            "step with the old velocity",
            {
                "zh": "走这一步用的是旧速度，新梯度要到下一步才起作用。应当先更新速度，再用新的速度走。",
                "en": "the step uses the old velocity, so that a gradient acts one step late. Update the velocity first, and step with the new one.",
            },
            {"momentum_step": old_velocity},
        ),
        Mistake(
            "point and velocity changed in place",
            {
                "zh": "传进来的点和速度被就地改动了（例如用了 -= 或 add_），已经记下的点也跟着变。应当算出新的张量再返回。",
                "en": "the point and the velocity that you were given are changed in place (by -= or add_, say), and the points already recorded change with them. Compute new tensors and return those.",
            },
            {"momentum_step": all_in_place},
        ),
        Mistake(
            "velocity changed in place",
            {
                "zh": "点是对的，但传进来的速度被就地改动了（例如用了 *= 或 add_），已经记下的速度也跟着变。应当算出新的张量再返回。",
                "en": "the points are right, but the velocity that you were given is changed in place (by *= or add_, say), and the velocities already recorded change with it. Compute a new tensor and return that.",
            },
            {"momentum_step": velocity_in_place},
        ),
        Mistake(
            "wrong sign",
            {
                "zh": "方向反了：这一步加到了点上，应当减去。速度是梯度的和，梯度指向上升的方向。",
                "en": "the direction is wrong: the step is added to the point, and should be subtracted. The velocity is a sum of gradients, and a gradient points uphill.",
            },
            {"momentum_step": uphill},
        ),
    ],
    "unrolled": [
        Mistake(
            "weights in the wrong order",
            {
                "zh": "权重排反了：最早的梯度权重成了 1。应当是最新的梯度权重为 1，越早的越小。",
                "en": "the weights are in the wrong order: the oldest gradient has weight 1. The latest one should have it, and older ones less.",
            },
            {"unrolled_velocity": oldest_first},
        ),
        Mistake(
            "one power of rho too many",
            {
                "zh": "每个权重都多乘了一个 ρ。最新的梯度还没有衰减过，权重是 1。",
                "en": "every weight has one factor rho too many. The latest gradient has not decayed yet: its weight is 1.",
            },
            {"unrolled_velocity": one_power_more},
        ),
        Mistake(
            "divided by the sum of the weights",
            {
                "zh": "结果除以了权重之和，成了平均。速度是加权的和，不必让权重加起来等于 1。",
                "en": "the result is divided by the sum of the weights, which makes it an average. The velocity is a weighted sum; its weights need not add up to 1.",
            },
            {"unrolled_velocity": divided_by_weights},
        ),
    ],
    "memory": [
        Mistake(
            "one step short",
            {
                "zh": "步数少了一步。要的是份额第一次达到 share 的那个步数：向上取整，不是向下取整。",
                "en": "it is one step short. What is wanted is the first number of steps at which the share is reached: round up, not down.",
            },
            {"memory": one_step_short},
        ),
        Mistake(
            "the share that is left",
            {
                "zh": "算成了 ρ 的 n 次方降到 share 的步数。ρ 的 n 次方是还差的那一份，它要降到 1 - share。",
                "en": "these are the steps until rho to the power n is down to share. That power is the part still missing; it has to fall to 1 - share.",
            },
            {"memory": share_that_is_left},
        ),
    ],
    "nesterov": [
        Mistake(
            "no look-ahead",
            {
                "zh": "这走出的是普通的动量法：梯度加上 ρ 乘旧速度，正好是新速度。要加的是 ρ 乘刚更新过的速度。",
                "en": "this walks the path of plain momentum: the gradient plus rho times the old velocity is just the new velocity. Add rho times the velocity that you have just updated.",
            },
            {"nesterov_step": no_look_ahead},
        ),
        Mistake(
            "look-ahead kept as the velocity",
            {
                "zh": "把走这一步用的量当成速度留了下来。向前看只用来走这一步，留给下一步的还是速度本身。",
                "en": "what the step was made with is kept as the velocity. The look-ahead is for this step only; what goes on to the next is the velocity itself.",
            },
            {"nesterov_step": look_ahead_kept},
        ),
        Mistake(
            "gradient left out",
            {
                "zh": "这一步只用了 ρ 乘速度，漏了再加一次当前的梯度。",
                "en": "the step is made with rho times the velocity alone. The current gradient has to be added to it once more.",
            },
            {"nesterov_step": gradient_left_out},
        ),
        Mistake(
            "gradient scaled by 1 - rho",
            {
                "zh": "新的梯度乘了 1 - ρ，那是滑动平均。这里的速度是衰减的和，梯度前面没有系数。",
                "en": "the new gradient is multiplied by 1 - rho, as in a moving average. The velocity here is a decaying sum: there is no factor before the gradient.",
            },
            {"nesterov_step": averaged_ahead},
        ),
    ],
    "moments": [
        Mistake(
            "corrected moments carried on",
            {
                "zh": "把修正过的矩当作 m 和 v 留给了下一步，于是一步步重复修正。留下的应当是没有修正的矩。",
                "en": "the corrected moments go on to the next step as m and v, and are corrected again and again. What is kept are the moments without correction.",
            },
            moments("carried on"),
        ),
        Mistake(
            "beta times t",
            {
                "zh": "修正因子里用了 β 乘 t。应当是 β 的 t 次方。",
                "en": "the correction uses beta times t. It takes beta to the power t.",
            },
            moments("beta times t"),
        ),
        Mistake(
            "one factor for both moments",
            {
                "zh": "二阶矩也用 β₁ 修正了。二阶矩按 β₂ 衰减，就要按 β₂ 修正。",
                "en": "the second moment is corrected with beta1 too. It decays with beta2, so it is corrected with beta2.",
            },
            moments("one factor for both"),
        ),
    ],
    "adam": [
        Mistake(
            "bias correction forgotten",
            {
                "zh": "忘了偏差修正。两个矩都从 0 开始，头几步都偏小：要各自除以 1 减去 β 的 t 次方。",
                "en": "the bias correction is missing. Both moments start at 0 and are too small at first: divide each by 1 minus its beta to the power t.",
            },
            adam("no correction"),
        ),
        Mistake(
            "epsilon inside the root",
            {
                "zh": "ε 加在了根号里面。应当先开方，再加 ε。",
                "en": "epsilon is inside the root. Take the root first, and add epsilon then.",
            },
            adam("epsilon inside"),
        ),
        Mistake(
            "epsilon before the correction",
            {
                "zh": "ε 加在了没有修正的根号上，之后才修正，这样头几步的 ε 就偏大了。应当先修正二阶矩，开方，再加 ε。",
                "en": "epsilon is added to the root of the uncorrected moment and the correction comes afterwards, which makes epsilon too large in the first steps. Correct the second moment, take its root, and add epsilon then.",
            },
            adam("epsilon before the correction"),
        ),
        Mistake(
            "betas swapped",
            {
                "zh": "β₁ 和 β₂ 用反了。β₁ 管梯度的平均，β₂ 管梯度平方的平均。",
                "en": "beta1 and beta2 are swapped. beta1 belongs to the average of the gradients, beta2 to that of their squares.",
            },
            adam("betas swapped"),
        ),
        Mistake(
            "counter one step ahead",
            {
                "zh": "计数器多走了一步：第一步就用了 t = 2。第一步的 t 应当是 1。",
                "en": "the counter is one step ahead: the first step has t = 2. It should have t = 1.",
            },
            adam("counter ahead"),
        ),
        Mistake(
            "point changed in place",
            {
                "zh": "传进来的点被就地改动了（例如用了 -= 或 sub_），已经记下的点也跟着变。应当算出新的张量再返回。",
                "en": "the point that you were given is changed in place (by -= or sub_, say), and the points already recorded change with it. Compute a new tensor and return that.",
            },
            adam("in place"),
        ),
        Mistake(
            "root forgotten",
            {
                "zh": "你除以的是二阶矩本身。分母是它的平方根加 ε：这样步长才与梯度的大小无关。",
                "en": "you divide by the second moment itself. The denominator is its square root, plus epsilon: only then does the size of the gradient cancel.",
            },
            adam("no root"),
        ),
        Mistake(
            "corrected moments kept",
            {
                "zh": "state 里留下的是修正过的矩，下一步又修正一遍。留给下一步的是没有修正的矩。",
                "en": "state keeps the corrected moments, and they are corrected again in the next step. What is kept are the moments without correction.",
            },
            adam("corrected kept"),
        ),
    ],
    "parameters": [
        Mistake(
            "counter advanced per parameter",
            {
                "zh": "每个参数都让计数器加了一次，后面的参数用到的 t 太大。t 数的是步数：每调用一次只加 1，放在循环外面。",
                "en": "every parameter advances the counter, so that later ones use too large a t. t counts steps: it moves once a call, outside the loop.",
            },
            adam_all("counter per parameter"),
        ),
        Mistake(
            "state shared between the parameters",
            {
                "zh": "几个参数共用了同一对矩，它们的梯度混在了一起。每个参数要有自己的 m 和 v，例如按名字存放。",
                "en": "the parameters share one pair of moments, and their gradients are mixed up in it. Each parameter needs its own m and v, kept under its name, say.",
            },
            adam_all("state shared"),
        ),
        Mistake(
            "parameters changed in place",
            {
                "zh": "传进来的参数被就地改动了（例如用了 -= 或 sub_），已经记下的点也跟着变。应当算出新的张量，放进新的字典返回。",
                "en": "the parameters that you were given are changed in place (by -= or sub_, say), and the points already recorded change with them. Put new tensors into a new dictionary and return that.",
            },
            adam_all("in place"),
        ),
        Mistake(
            "bias correction forgotten",
            {
                "zh": "没有做偏差修正。两个矩从 0 开始，头几步都偏小：要各自除以 1 减去 β 的 t 次方。",
                "en": "the bias correction is missing. Both moments start at 0 and are too small at first: divide each by 1 minus its beta to the power t.",
            },
            adam_all("no correction"),
        ),
        Mistake(
            "epsilon inside the root",
            {
                "zh": "ε 加在了根号里面。应当先开方，再加 ε。",
                "en": "epsilon is inside the root. Take the root first, and add epsilon then.",
            },
            adam_all("epsilon inside"),
        ),
    ],
    "amsgrad": [
        Mistake(
            "no maximum",
            {
                "zh": "这走出的就是 Adam：历来最大的二阶矩没有起作用。它要存进 state，每一步与新的 v 比较，并且用在分母里。",
                "en": "this is plain Adam: the largest second moment so far has no effect. Keep it in the state, compare it with the new v at each step, and divide by it.",
            },
            amsgrad("no maximum"),
        ),
        Mistake(
            "maximum after the correction",
            {
                "zh": "比较的是修正过的二阶矩。按这里的定义，先对没有修正的 v 取最大值，再修正。",
                "en": "the maximum is taken of corrected second moments. In the definition used here it is taken of v without correction, and corrected then.",
            },
            amsgrad("maximum after the correction"),
        ),
        Mistake(
            "average replaced by the maximum",
            {
                "zh": "最大值又存回了 v，下一步的平均就从它算起。v 和最大值要分开存：v 照常更新，也可以变小。",
                "en": "the maximum is put back into v, and the next average starts from it. Keep the two apart: v goes on as in Adam, and may fall.",
            },
            amsgrad("average replaced"),
        ),
        Mistake(
            "bias correction forgotten",
            {
                "zh": "没有做偏差修正。两个矩从 0 开始，头几步都偏小：要各自除以 1 减去 β 的 t 次方。",
                "en": "the bias correction is missing. Both moments start at 0 and are too small at first: divide each by 1 minus its beta to the power t.",
            },
            amsgrad("no correction"),
        ),
        Mistake(
            "epsilon inside the root",
            {
                "zh": "ε 加在了根号里面。应当先开方，再加 ε。",
                "en": "epsilon is inside the root. Take the root first, and add epsilon then.",
            },
            amsgrad("epsilon inside"),
        ),
    ],
}
