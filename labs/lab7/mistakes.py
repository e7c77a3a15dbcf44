"""Lab 7: mistakes that people make, each as a wrong answer that runs."""

from typing import Any

import torch
from torch import Tensor

from nndl.checking.question import Mistake

# 1: requires_grad


def switches(rule: Any = any, mode: bool = True, exceptions: bool = True) -> Any:
    """The rule, with something left out."""

    def wrong(leaves: Any, operations: Any) -> Any:
        known = list(leaves)
        for inputs, passes, grad_mode in operations:
            reached = rule(
                known[i] and (d or not exceptions) for i, d in zip(inputs, passes, strict=True)
            )
            known.append(reached and (grad_mode or not mode))
        return known

    return {"switches": wrong}


# 2: freezing


def attribute(model: Any, part: Any) -> Any:
    part.requires_grad = False
    part.eval()
    return [p for p in model.parameters() if p.requires_grad]


def still_counting(model: Any, part: Any) -> Any:
    part.requires_grad_(False)
    return [p for p in model.parameters() if p.requires_grad]


def everything(model: Any, part: Any) -> Any:
    part.requires_grad_(False)
    part.eval()
    return list(model.parameters())


# 3: a Function


def softplus(chain: bool = True, factor: bool = False, on_the_way: bool = False) -> Any:
    """Softplus with a mistake in its derivative."""

    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, beta: float) -> Tensor:
            ctx.beta = beta
            ctx.save_for_backward(torch.sigmoid(beta * x) if on_the_way else x)
            return torch.log1p(torch.exp(beta * x)) / beta

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> Any:
            (saved,) = ctx.saved_tensors
            slope = saved if on_the_way else torch.sigmoid(ctx.beta * saved)
            if factor:
                slope = ctx.beta * slope
            return grads[0] * slope if chain else slope, None

    return {"Softplus": Wrong}


# 4: differences


def forward_difference(f: Any, x: Tensor, h: float) -> Tensor:
    gradient = torch.zeros_like(x)
    for i in range(x.numel()):
        moved = x.clone()
        moved.view(-1)[i] += h
        gradient.view(-1)[i] = (f(moved) - f(x)) / h
    return gradient


def twice(f: Any, x: Tensor, h: float) -> Tensor:
    gradient = torch.zeros_like(x)
    for i in range(x.numel()):
        e = torch.zeros_like(x)
        e.view(-1)[i] = h
        gradient.view(-1)[i] = (f(x + e) - f(x - e)) / h
    return gradient


def all_at_once(f: Any, x: Tensor, h: float) -> Tensor:
    return torch.full_like(x, float(f(x + h) - f(x - h)) / (2 * h))


def not_put_back(f: Any, x: Tensor, h: float) -> Tensor:
    gradient = torch.zeros_like(x)
    for i in range(x.numel()):
        x.view(-1)[i] += h
        above = f(x)
        x.view(-1)[i] -= 2 * h
        gradient.view(-1)[i] = (above - f(x)) / (2 * h)
    return gradient


# 5: an order


def as_edges_come(parents: Any, result: int) -> Any:
    order, to_do = [], [result]
    while to_do:
        node = to_do.pop()
        if node not in order:
            order.append(node)
            to_do += reversed(parents[node])
    return order


def all_users(parents: Any, result: int) -> Any:
    unvisited = [0] * len(parents)
    for made_from in parents:
        for parent in made_from:
            unvisited[parent] += 1
    order, ready = [], [result]
    while ready:
        node = ready.pop()
        order.append(node)
        for parent in parents[node]:
            unvisited[parent] -= 1
            if unvisited[parent] == 0:
                ready.append(parent)
    return order


# 6: the backward pass


def backward(overwrite: bool = False, chain: bool = True, in_order: bool = True) -> Any:
    """The backward pass of a small engine, with a mistake."""

    def hand_on(node: Any) -> None:
        for parent, slope in zip(node.parents, node.slopes, strict=True):
            part = slope * node.grad if chain else slope
            parent.grad = part if overwrite else parent.grad + part

    def newest_first(result: Any) -> None:
        found, to_do = {result}, [result]
        while to_do:
            new = set(to_do.pop().parents) - found
            found |= new
            to_do += new
        result.grad = 1.0
        for node in sorted(found, key=lambda node: -node.number):
            hand_on(node)

    def depth_first(result: Any) -> None:
        result.grad, seen = 1.0, set()

        def visit(node: Any) -> None:
            if node not in seen:
                seen.add(node)
                hand_on(node)
                for parent in node.parents:
                    visit(parent)

        visit(result)

    return {"backward": newest_first if in_order else depth_first}


# 7: broadcasting


def repeated(received: Tensor, shape: Any) -> list[int]:
    """The dimensions along which there are copies."""
    new = received.ndim - len(shape)
    return [d for d in range(received.ndim) if d < new or shape[d - new] == 1]


def averaged(received: Tensor, shape: Any) -> Tensor:
    for d in repeated(received, shape):
        received = received.mean(d, keepdim=True)
    return received.reshape(shape)


def new_ones_only(received: Tensor, shape: Any) -> Tensor:
    for _ in range(received.ndim - len(shape)):
        received = received.sum(0)
    return received


def one_copy(received: Tensor, shape: Any) -> Tensor:
    for d in repeated(received, shape):
        received = received.narrow(d, 0, 1)
    return received.reshape(shape)


# 8: micro-batches


def accumulate(
    clear: bool = True, weight: str = "samples", whole: bool = False, last: bool = True
) -> Any:
    """Micro-batches with a mistake."""

    def wrong(parameters: Any, loss: Any, X: Tensor, y: Tensor, size: int) -> None:
        if clear:
            for p in parameters:
                p.grad = None
        parts = list(zip(X.split(size), y.split(size), strict=True))
        if not last and len(parts[-1][0]) < size:
            parts = parts[:-1]
        total: Any = 0
        for inputs, targets in parts:
            factor = {"samples": len(inputs) / len(X), "parts": 1 / len(parts), "none": 1}[weight]
            part = factor * loss(inputs, targets)
            if whole:
                total = total + part
            else:
                part.backward()
        if whole:
            total.backward()

    return {"accumulate": wrong}


MISTAKES = {
    "switches": [
        Mistake(
            "all inputs instead of any",
            {
                "zh": "你要求每个输入都需要梯度。只要有一个输入需要、并且梯度传得到它，输出就需要。",
                "en": "you ask that every input requires a gradient. One is enough, if the operation can pass a gradient to it.",
            },
            switches(rule=all),
        ),
        Mistake(
            "what passes no gradient ignored",
            {
                "zh": "没有理会操作能不能把梯度传给输入。像 argmax 的输入、where 的条件，开关开着也不算数。",
                "en": "you don't ask whether the operation passes a gradient to the input. The input of an argmax, or the condition of a where, doesn't count even if its switch is on.",
            },
            switches(exceptions=False),
        ),
        Mistake(
            "grad mode ignored",
            {
                "zh": "没有理会梯度模式。它关着的时候，操作的输出都不需要梯度。",
                "en": "grad mode is ignored. While it is off, no operation has an output that requires a gradient.",
            },
            switches(mode=False),
        ),
    ],
    "freeze": [
        Mistake(
            "an attribute of the module",
            {
                "zh": "开关没有关上，参数照样需要梯度。模块没有 requires_grad 这个属性，给它赋值不报错，也没有用；参数的属性拼错一个字母也是这样。",
                "en": "the switches are still on. A module has no attribute requires_grad, so assigning to it raises no error and does nothing; nor does a misspelt attribute of a parameter.",
            },
            {"freeze": attribute},
        ),
        Mistake(
            "statistics still change",
            {
                "zh": "参数冻结了，BatchNorm 的统计量还在变。它们是缓冲区，没有开关，在 train 模式里每次前向都会更新；要让这一部分离开 train 模式。",
                "en": "the parameters are frozen, but the statistics of BatchNorm still change. They are buffers without a switch, and every forward pass in train mode updates them. That part has to leave train mode.",
            },
            {"freeze": still_counting},
        ),
        Mistake(
            "all parameters returned",
            {
                "zh": "返回的列表里有冻结了的参数。只要返回整个模型里仍然需要梯度的。",
                "en": "frozen parameters are in the list that you return. It should hold those of the whole model that still require a gradient, and no others.",
            },
            {"freeze": everything},
        ),
    ],
    "softplus": [
        Mistake(
            "incoming gradient forgotten",
            {
                "zh": "backward 只返回了 dy/dx，没有乘以收到的梯度。按链式法则，要返回的是两者的积。",
                "en": "backward returns dy/dx alone. By the chain rule it has to be multiplied by the gradient that came in.",
            },
            softplus(chain=False),
        ),
        Mistake(
            "beta not cancelled",
            {
                "zh": "导数多了一个因子 β。里层的导数给出 β，外面除以 β，正好约掉。",
                "en": "your derivative has a factor beta too many. The inner derivative gives beta, and the division by beta outside cancels it.",
            },
            softplus(factor=True),
        ),
        Mistake(
            "a value computed on the way saved",
            {
                "zh": "一阶导数对，二阶导数不对。你存下的是 forward 里的中间结果，它没有历史，再求导时被当作常数。请存输入或输出，在 backward 里用运算求出导数。",
                "en": "the first derivative is right, and the second is not. What you saved was computed on the way in forward; it has no history and counts as a constant from then on. Save an input or the output, and compute the derivative from it in backward.",
            },
            softplus(on_the_way=True),
        ),
    ],
    "numerical": [
        Mistake(
            "forward difference",
            {
                "zh": "这是向前的差分，误差与 h 成正比。中心差分在两边各取一点，误差与 h 的平方成正比。",
                "en": "this is the forward difference, whose error is proportional to h. The central one takes a point on either side, and its error goes with the square of h.",
            },
            {"numerical_gradient": forward_difference},
        ),
        Mistake(
            "divided by h",
            {
                "zh": "结果是应有的两倍。两点之间的距离是 2h，不是 h。",
                "en": "the result is twice what it should be. The two points are 2h apart, and not h.",
            },
            {"numerical_gradient": twice},
        ),
        Mistake(
            "all numbers moved at once",
            {
                "zh": "你把所有的数一起动了，得到的是各个偏导数之和。每次只能动一个数。",
                "en": "you move all numbers at once, and get the sum of all partial derivatives. Move one at a time.",
            },
            {"numerical_gradient": all_at_once},
        ),
        Mistake(
            "not put back",
            {
                "zh": "你在 x 里就地改动，之后没有改回来：后面的差分在别的点上求，调用者的 x 也变了。请在副本上改动。",
                "en": "you move numbers in x itself and don't put them back. Later differences are taken at another point, and the caller's x has changed. Move a copy.",
            },
            {"numerical_gradient": not_put_back},
        ),
    ],
    "order": [
        Mistake(
            "as the edges come",
            {
                "zh": "你一遇到节点就把它排进去。这时也许还有用到它的节点没有排，它的梯度还没有到齐。",
                "en": "you list a node as soon as you meet it. Nodes that use it may still be missing then, and its gradient is not complete.",
            },
            {"backward_order": as_edges_come},
        ),
        Mistake(
            "users that the result doesn't need",
            {
                "zh": "有的节点没有排进去：你等的使用者不在结果背后，永远不会走到。只数结果背后的使用者。",
                "en": "some nodes are left out. You wait for users that are not behind the result and are never visited. Count only those that are behind it.",
            },
            {"backward_order": all_users},
        ),
    ],
    "backward": [
        Mistake(
            "overwritten instead of added",
            {
                "zh": "后到的一份盖掉了先到的。一个值用了几次，就有几份，要加起来。",
                "en": "the part that comes later overwrites the earlier one. A value that is used several times gets several parts, and they are added.",
            },
            backward(overwrite=True),
        ),
        Mistake(
            "depth first",
            {
                "zh": "次序不对：有的值在梯度到齐之前就往下传了。要等用到它的值都走过，例如从新到旧走。",
                "en": "the order is wrong: some values hand on their gradient before it is complete. Wait until all values that use one have been visited, for instance by going from the newest to the oldest.",
            },
            backward(in_order=False),
        ),
        Mistake(
            "chain rule forgotten",
            {
                "zh": "你只加了局部的导数，没有乘以结果对这个值的导数。链式法则要两者相乘。",
                "en": "you add the local derivative alone. The chain rule multiplies it by the derivative of the result with respect to the value that hands it on.",
            },
            backward(chain=False),
        ),
    ],
    "sum_to": [
        Mistake(
            "mean instead of sum",
            {
                "zh": "你求的是平均。重复几遍就有几份梯度，要加起来，不除以份数。",
                "en": "you take the mean. A number that was repeated has as many gradients as copies, and they are added, not averaged.",
            },
            {"sum_to": averaged},
        ),
        Mistake(
            "dimensions of size 1 forgotten",
            {
                "zh": "只把左边补上的维加掉了。原来大小为 1 的维也重复过，也要求和，并且保留下来。",
                "en": "only the dimensions that were missing on the left are summed. One of size 1 was repeated, too: sum over it, and keep it.",
            },
            {"sum_to": new_ones_only},
        ),
        Mistake(
            "only one copy",
            {
                "zh": "你只取了其中一份梯度。每一份都影响结果，要全部加起来。",
                "en": "you take the gradient of one copy only. Every copy has a part in the result, and all are added.",
            },
            {"sum_to": one_copy},
        ),
    ],
    "accumulate": [
        Mistake(
            "not cleared",
            {
                "zh": "没有清掉上一步的梯度，各步的梯度越加越多。开始之前先清空每个参数的 grad。",
                "en": "the gradient of the step before is still there, and those of all steps add up. Clear the grad of each parameter before you begin.",
            },
            accumulate(clear=False),
        ),
        Mistake(
            "divided by the number of parts",
            {
                "zh": "每份的权重都取成了份数分之一。最后一份样本较少，权重也应当较小：它的样本数除以总数。",
                "en": "each part is weighted by one over the number of parts. If the last one has fewer samples, it counts for less: its number of samples over that of all.",
            },
            accumulate(weight="parts"),
        ),
        Mistake(
            "not weighted",
            {
                "zh": "各份的平均损失直接加了起来，梯度大了好几倍。每份要乘以它的样本数与总数之比。",
                "en": "the mean losses of the parts are simply added, and the gradient is several times too large. Each part is multiplied by its share of the samples.",
            },
            accumulate(weight="none"),
        ),
        Mistake(
            "last part dropped",
            {
                "zh": "不满的最后一份没有用上。那些样本也是这一批的。",
                "en": "the last part, which is smaller, is left out. Its samples belong to the batch as well.",
            },
            accumulate(last=False),
        ),
        Mistake(
            "one backward pass for all",
            {
                "zh": "梯度是对的，但所有样本的图同时留着，一点内存也没有省。每份算完损失就立刻反向。",
                "en": "the gradient is right, but the graphs of all samples are kept at the same time, and no memory is saved. Go backwards through each part as soon as its loss is there.",
            },
            accumulate(whole=True),
        ),
    ],
}
