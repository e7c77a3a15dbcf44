"""Lab 3: mistakes that people make, each as a wrong answer that runs."""

from typing import Any

from torch import Tensor

from nndl.checking.question import Mistake


def rate_inside(x: Tensor, grad: Tensor, velocity: Tensor, lr: float, rho: float) -> Any:
    velocity = rho * velocity + lr * grad
    return x - velocity, velocity


def averaged(x: Tensor, grad: Tensor, velocity: Tensor, lr: float, rho: float) -> Any:
    velocity = rho * velocity + (1 - rho) * grad
    return x - lr * velocity, velocity


def adam(correct: bool = True, inside: bool = False, swapped: bool = False) -> Any:
    """Adam with a mistake built in."""

    def adam_step(
        x: Tensor, grad: Tensor, state: Any, lr: float, beta1: float, beta2: float, eps: float
    ) -> Tensor:
        if swapped:
            beta1, beta2 = beta2, beta1
        t = state["t"] = state.get("t", 0) + 1
        m = state["m"] = beta1 * state.get("m", 0) + (1 - beta1) * grad
        v = state["v"] = beta2 * state.get("v", 0) + (1 - beta2) * grad**2
        if correct:
            m, v = m / (1 - beta1**t), v / (1 - beta2**t)
        return x - lr * m / ((v + eps).sqrt() if inside else v.sqrt() + eps)

    return {"adam_step": adam_step}


MISTAKES = {
    "momentum": [
        Mistake(
            "rate inside the velocity",
            {
                "zh": "学习率乘进了速度里。学习率一变，旧的速度就不对了；应当先累积梯度，走的时候再乘学习率。",
                "en": "the learning rate is inside the velocity. Accumulate gradients, and multiply by the rate when you step.",
            },
            {"momentum_step": rate_inside},
        ),
        Mistake(
            "gradient scaled by 1 - rho",
            {
                "zh": "梯度乘了 $1-\\rho$，那是滑动平均；这里的速度是衰减的和，梯度前面没有系数。",
                "en": "the gradient is multiplied by 1 - rho, as in a moving average. The velocity here is a decaying sum: no factor.",
            },
            {"momentum_step": averaged},
        ),
    ],
    "adam": [
        Mistake(
            "bias correction forgotten",
            {
                "zh": "忘了偏差修正：矩从 0 开始，头几步偏小，要除以 1 - β 的 t 次方。",
                "en": "the bias correction is missing. The moments start at 0 and are too small at first: divide by 1 - beta to the power t.",
            },
            adam(correct=False),
        ),
        Mistake(
            "epsilon inside the root",
            {
                "zh": "ε 加在了根号里面，应当加在根号外面。",
                "en": "epsilon is inside the root; it is added outside.",
            },
            adam(inside=True),
        ),
        Mistake(
            "betas swapped",
            {"zh": "β₁ 和 β₂ 用反了。", "en": "beta1 and beta2 are swapped."},
            adam(swapped=True),
        ),
    ],
}
