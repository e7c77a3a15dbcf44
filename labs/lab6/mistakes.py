"""Lab 6: mistakes that people make, each as a wrong answer that runs."""

import math
from typing import Any

import torch
from torch import Tensor

from nndl.checking.question import Mistake


def one_epoch_late(lr: float, epoch: int, milestones: list[int], gamma: float) -> float:
    return lr * gamma ** sum(milestone < epoch for milestone in milestones)


def count_as_factor(lr: float, epoch: int, milestones: list[int], gamma: float) -> float:
    return lr * gamma * sum(milestone <= epoch for milestone in milestones)


def cosine_from_the_start(lr: float, t: int, warm: int, total: int, start: float) -> float:
    if t < warm:
        return lr * (start + (1 - start) * t / warm)
    return lr * (1 + math.cos(math.pi * min(t / total, 1))) / 2


def climbs_again(lr: float, t: int, warm: int, total: int, start: float) -> float:
    if t < warm:
        return lr * (start + (1 - start) * t / warm)
    return lr * (1 + math.cos(math.pi * (t - warm) / (total - warm))) / 2


def cosine(t: int, total: int) -> float:
    return (1 + math.cos(math.pi * t / total)) / 2


def compounded(rate: float, t: int, total: int, lowest: float) -> float:
    return lowest + (rate - lowest) * cosine(t + 1, total)


def lowest_left_in(rate: float, t: int, total: int, lowest: float) -> float:
    return rate * cosine(t + 1, total) / cosine(t, total)


def plateau(early: bool = False, counting_on: bool = False, previous: bool = False) -> Any:
    """A reduction on plateaus with a mistake built in."""

    def plateau_step(
        metric: float,
        rate: float,
        state: Any,
        factor: float,
        patience: int,
        threshold: float,
        lowest: float,
    ) -> float:
        better = metric < state.get("best", math.inf) * (1 - threshold)
        state["bad"] = 0 if better else state.get("bad", 0) + 1
        if better or previous:
            state["best"] = metric
        if state["bad"] > patience or (early and state["bad"] == patience):
            if not counting_on:
                state["bad"] = 0
            rate = max(factor * rate, lowest)
        return rate

    return {"plateau_step": plateau_step}


def each_by_itself(grads: list[Tensor], limit: float) -> Any:
    norms = [grad.norm() for grad in grads]
    scales = [torch.clamp(limit / (norm + 1e-6), max=1) for norm in norms]
    clipped = [scale * grad for scale, grad in zip(scales, grads, strict=True)]
    return torch.stack(norms).norm(), clipped


def small_ones_enlarged(grads: list[Tensor], limit: float) -> Any:
    norm = torch.stack([grad.norm() for grad in grads]).norm()
    return norm, [limit / (norm + 1e-6) * grad for grad in grads]


def in_place(grads: list[Tensor], limit: float) -> Any:
    norm = torch.stack([grad.norm() for grad in grads]).norm()
    for grad in grads:
        grad.mul_(torch.clamp(limit / (norm + 1e-6), max=1))
    return norm, grads


def adam(
    never_decoupled: bool = False,
    without_rate: bool = False,
    after: bool = False,
    in_place: bool = False,
    corrected: bool = True,
    epsilon_inside: bool = False,
) -> Any:
    """Adam with a mistake in it, or in its weight decay."""

    def adam_step(
        w: Tensor,
        grad: Tensor,
        state: Any,
        lr: float,
        beta1: float,
        beta2: float,
        eps: float,
        decay: float,
        decoupled: bool,
    ) -> Tensor:
        shrink = 1.0
        if decoupled and not never_decoupled:
            shrink = 1 - decay if without_rate else 1 - lr * decay
        else:
            grad = grad + decay * w
        t = state["t"] = state.get("t", 0) + 1
        m = state["m"] = beta1 * state.get("m", 0) + (1 - beta1) * grad
        v = state["v"] = beta2 * state.get("v", 0) + (1 - beta2) * grad**2
        if corrected:
            m, v = m / (1 - beta1**t), v / (1 - beta2**t)
        step = lr * m / ((v + eps).sqrt() if epsilon_inside else v.sqrt() + eps)
        if in_place:
            return w.mul_(shrink).sub_(step)
        return shrink * (w - step) if after else shrink * w - step

    return {"adam_step": adam_step}


def any_decrease(closure: Any, x: Tensor, lr: float, shrink: float, c: float) -> Any:
    loss, grad = closure(x)
    while closure(x - lr * grad)[0] > loss:
        lr *= shrink
    return x - lr * grad, loss, lr


def loss_after(closure: Any, x: Tensor, lr: float, shrink: float, c: float) -> Any:
    loss, grad = closure(x)
    while (new := closure(x - lr * grad)[0]) > loss - c * lr * (grad**2).sum():
        lr *= shrink
    return x - lr * grad, new, lr


def asked_again(closure: Any, x: Tensor, lr: float, shrink: float, c: float) -> Any:
    loss, grad = closure(x)
    while closure(x - lr * grad)[0] > closure(x)[0] - c * lr * (grad**2).sum():
        lr *= shrink
    return x - lr * grad, loss, lr


def resume(without: str = "", aliased: bool = False) -> Any:
    """Save and load with one part missing, or with the tensors themselves saved."""
    parts = [name for name in ("w", "velocity", "rate", "epoch") if name != without]

    def save_run(run: Any) -> Any:
        saved = {name: getattr(run, name) for name in parts}
        if not aliased:
            saved["w"] = saved["w"].clone()
            if "velocity" in saved:
                saved["velocity"] = saved["velocity"].clone()
        return {**saved, "generator": run.generator.get_state()}

    def load_run(run: Any, saved: Any) -> None:
        for name in parts:
            value = saved[name]
            setattr(run, name, value.clone() if isinstance(value, Tensor) else value)
        if without != "generator":
            run.generator.set_state(saved["generator"])

    return {"save_run": save_run, "load_run": load_run}


MISTAKES = {
    "multistep": [
        Mistake(
            "one epoch late",
            {
                "zh": "每次下降都晚了一轮。第 m 轮是里程碑，那么第 m 轮本身就用降低后的学习率。",
                "en": "each fall comes one epoch late. If m is a milestone, epoch m itself already has the lower rate.",
            },
            {"multistep": one_epoch_late},
        ),
        Mistake(
            "the count as a factor",
            {
                "zh": "经过的里程碑个数被当成了倍数：一个都没经过时学习率是 0，后来越来越大。个数应当是 γ 的指数。",
                "en": "the number of milestones passed is used as a factor: the rate is 0 before the first and grows later. That number is the exponent of gamma.",
            },
            {"multistep": count_as_factor},
        ),
    ],
    "warm-up": [
        Mistake(
            "cosine counted from step 0",
            {
                "zh": "余弦从第 0 步数起，预热一结束学习率就跳到了下面。余弦段要从预热的末尾数起，长度也要减去预热的步数。",
                "en": "the cosine is counted from step 0, so that the rate jumps down where warm-up ends. Count it from the end of warm-up, and take the warm-up off its length too.",
            },
            {"warmup_cosine": cosine_from_the_start},
        ),
        Mistake(
            "climbs again after the end",
            {
                "zh": "总步数走完以后，余弦又升了回来。从那一步起，学习率应当停在 0。",
                "en": "once all steps are done the cosine climbs again. From there on the rate is to stay at 0.",
            },
            {"warmup_cosine": climbs_again},
        ),
    ],
    "cosine": [
        Mistake(
            "factors compounded",
            {
                "zh": "每一步都乘上了整条余弦的倍数，而当前的学习率里已经有上一步的倍数了，于是降得太快。应当乘相邻两个倍数之比。",
                "en": "each step multiplies by the whole factor of the cosine, but the present rate already contains the last one, and so it falls too fast. Multiply by the ratio of two neighbouring factors.",
            },
            {"cosine_next": compounded},
        ),
        Mistake(
            "the lowest rate not taken off",
            {
                "zh": "比值乘到了整个学习率上。缩小的只是高出最低学习率的那一部分：先减去它，乘完再加回来。",
                "en": "the ratio multiplies the whole rate. Only what is above the lowest rate shrinks: take that rate off first, and add it again at the end.",
            },
            {"cosine_next": lowest_left_in},
        ),
    ],
    "plateau": [
        Mistake(
            "patience one epoch too short",
            {
                "zh": "没有变好的轮数刚到 patience 就降低了学习率。要超过 patience 才降低。",
                "en": "the rate falls when the number of bad epochs reaches the patience. It falls when the number exceeds it.",
            },
            plateau(early=True),
        ),
        Mistake(
            "counter not reset after a reduction",
            {
                "zh": "降低学习率之后没有把计数清零，于是接下来每一个坏的轮次都再降一次。降低之后要从 0 数起。",
                "en": "the counter isn't reset after a reduction, and every further bad epoch reduces the rate again. Count from 0 after each reduction.",
            },
            plateau(counting_on=True),
        ),
        Mistake(
            "compared with the last epoch",
            {
                "zh": "指标是与上一轮比的，噪声里总有一轮比前一轮小。应当与迄今最好的值比，只有变好时才更新它。",
                "en": "the metric is compared with that of the epoch before, and among noise some epoch is always below the one before it. Compare with the best so far, and replace that only when the metric is better.",
            },
            plateau(previous=True),
        ),
    ],
    "clip": [
        Mistake(
            "each tensor by itself",
            {
                "zh": "每个张量是按自己的范数裁剪的，总的方向变了。全部张量要连成一个长向量来算范数，用同一个倍数缩小。",
                "en": "each tensor is clipped by its own norm, and the direction of the whole changes. Take the norm of all tensors as one long vector, and shrink all by the same factor.",
            },
            {"clip_by_norm": each_by_itself},
        ),
        Mistake(
            "small gradients enlarged",
            {
                "zh": "范数小于上限的梯度被放大到了上限。裁剪只缩小，倍数不能超过 1。",
                "en": "gradients with a norm below the limit are enlarged to it. Clipping only shrinks: the factor is never above 1.",
            },
            {"clip_by_norm": small_ones_enlarged},
        ),
        Mistake(
            "clipped in place",
            {
                "zh": "返回的数是对的，但传进来的梯度也被改了。这里要返回新的张量。",
                "en": "what comes back is right, but the gradients that were handed in have changed as well. Return new tensors here.",
            },
            {"clip_by_norm": in_place},
        ),
    ],
    "decay": [
        Mistake(
            "L2 penalty in both",
            {
                "zh": "decoupled 为真时，衰减仍然加进了梯度，又被 Adam 的分母除掉了。解耦的衰减不碰梯度，直接缩小权重。",
                "en": "where decoupled is true the decay still goes into the gradient, and Adam's denominator divides it away. Decoupled decay leaves the gradient alone and shrinks the weights themselves.",
            },
            adam(never_decoupled=True),
        ),
        Mistake(
            "decay without the rate",
            {
                "zh": "解耦的衰减没有乘学习率，权重缩小得太快。torch 的 AdamW 每步缩小的比例是学习率乘 λ。",
                "en": "the decoupled decay isn't multiplied by the rate, and the weights shrink far too fast. In torch's AdamW the share taken off at each step is the rate times lambda.",
            },
            adam(without_rate=True),
        ),
        Mistake(
            "decay after the step",
            {
                "zh": "先走了 Adam 的一步再缩小，连这一步也缩小了。应当先缩小旧的权重，再走一步。",
                "en": "the weights are shrunk after Adam's step, and the step is shrunk with them. Shrink the old weights first, then take the step.",
            },
            adam(after=True),
        ),
        Mistake(
            "w changed in place",
            {
                "zh": "传进来的 w 被就地改了，于是先前记下的点，连同起点，都变成了最后一个点。要返回新的张量。",
                "en": "the w that was handed in is changed in place, and so all points recorded before, the start among them, become the last one. Return a new tensor.",
            },
            adam(in_place=True),
        ),
        Mistake(
            "bias correction forgotten",
            {
                "zh": "没有做偏差修正。两个矩从 0 开始，头几步都偏小：要各自除以 1 减去 β 的 t 次方。",
                "en": "the bias correction is missing. Both moments start at 0 and are too small at first: divide each by 1 minus its beta to the power t.",
            },
            adam(corrected=False),
        ),
        Mistake(
            "epsilon inside the root",
            {
                "zh": "ε 加在了根号里面。应当先开方，再加 ε。",
                "en": "epsilon is inside the root. Take the root first, and add epsilon then.",
            },
            adam(epsilon_inside=True),
        ),
    ],
    "line-search": [
        Mistake(
            "any decrease accepted",
            {
                "zh": "损失只要变小就接受了。Armijo 条件要求降得够多：至少 c 乘学习率乘梯度范数的平方。",
                "en": "any smaller loss is accepted. Armijo's condition wants enough of a decrease: at least c times the rate times the squared norm of the gradient.",
            },
            {"line_search_step": any_decrease},
        ),
        Mistake(
            "the loss after the step",
            {
                "zh": "返回的是走之后的损失。与 step(closure) 一样，返回的应当是走之前的。",
                "en": "the loss that comes back is the one after the step. As with step(closure), return the one before it.",
            },
            {"line_search_step": loss_after},
        ),
        Mistake(
            "the old point asked again",
            {
                "zh": "走到的点是对的，但每试一次都在旧的点上又调用了一次闭包。旧点的损失记下来就够了，每试一次只调用一次。",
                "en": "the points are right, but each trial calls the closure at the old point once more. Keep the loss found there; a trial needs one call.",
            },
            {"line_search_step": asked_again},
        ),
    ],
    "resume": [
        Mistake(
            "tensors saved without a copy",
            {
                "zh": "存下的张量就是训练里的那几个，训练接着走，存档也跟着变了。存的时候要复制。",
                "en": "the saved tensors are those of the run itself: as training goes on, the save changes with it. Copy them when you save.",
            },
            resume(aliased=True),
        ),
        Mistake(
            "generator forgotten",
            {
                "zh": "没有恢复随机数生成器，续上的训练遇到的是别的噪声。要存它的状态，载入时再设回去。",
                "en": "the generator of random numbers isn't restored, and the resumed run meets other noise. Save its state, and set it when you load.",
            },
            resume(without="generator"),
        ),
        Mistake(
            "velocity forgotten",
            {
                "zh": "没有恢复速度：权重接上了，第一步却从别的速度出发。速度也是状态，要一起存。",
                "en": "the velocity isn't restored: the weights are right, but the first step starts with another velocity. It is state too; save it with the rest.",
            },
            resume(without="velocity"),
        ),
        Mistake(
            "number of epochs forgotten",
            {
                "zh": "没有恢复轮数：下一轮的学习率由轮数算出，于是它在错的时候下降。轮数也要存。",
                "en": "the number of epochs isn't restored. The next rate is computed from it, and so the rate falls at the wrong time. Save that number too.",
            },
            resume(without="epoch"),
        ),
    ],
}
