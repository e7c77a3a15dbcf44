"""Lab 1: mistakes that people make, each as a wrong answer that runs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nndl.checking.question import Mistake
from nndl.op import Op


def bowl(wrong: str) -> Any:
    """Build the operator with a mistake in it."""

    class Bowl(Op):
        def __init__(self, w: Tensor) -> None:
            super().__init__()
            self.w = w

        def forward(self, x: Tensor) -> Tensor:
            self.params["x"] = x
            w = self.w**2 if wrong == "weights squared" else self.w
            return w[0] * x[0] ** 2 + w[1] * x[1] ** 2

        def backward(self) -> Any:
            x, w = self.params["x"], self.w.reshape(-1, *[1] * (self.params["x"].ndim - 1))
            if wrong == "changes x":
                x *= 2 * w
                self.grads["x"] = x
                return None
            factor = {"no factor 2": w, "weights squared": 2 * w**2}.get(wrong, 2 * w)
            if wrong == "not stored":
                return factor * x
            old = self.grads.get("x", 0) if wrong == "added up" else 0
            self.grads["x"] = old + factor * x
            return None

    return {"Bowl": Bowl}


def differences(wrong: str) -> Any:
    """Build the check of a gradient with a mistake in it."""

    def numerical_gradient(f: Callable[[Tensor], Tensor], x: Tensor, h: float) -> Tensor:
        grad = torch.zeros_like(x)
        for i in np.ndindex(*x.shape):
            e = torch.zeros_like(x)
            e[i] = 1
            if wrong == "all at once":
                e = torch.ones_like(x)
            if wrong == "not put back":
                x[i] += h
                above = f(x)
                x[i] -= 2 * h
                grad[i] = (above - f(x)) / (2 * h)
                continue
            below = f(x) if wrong == "one-sided" else f(x - h * e)
            width = h if wrong in ("one-sided", "divided by h") else 2 * h
            grad[i] = (f(x + h * e) - below) / width
        return grad

    return {"numerical_gradient": numerical_gradient}


def step(wrong: str) -> Any:
    """Build the optimiser with a mistake in its step."""

    class SimpleBatchGD:
        def __init__(self, init_lr: float, model: Any) -> None:
            self.init_lr, self.model = init_lr, model

        def step(self) -> None:
            params = self.model.params
            for name, grad in self.model.grads.items():
                if wrong == "in place":
                    params[name] -= self.init_lr * grad
                elif wrong == "uphill":
                    params[name] = params[name] + self.init_lr * grad
                elif wrong == "gradient changed":
                    grad *= self.init_lr
                    params[name] = params[name] - grad
                elif wrong != "not stored":
                    params[name] = params[name] - self.init_lr * grad
                if wrong == "first only":
                    return

    return {"SimpleBatchGD": SimpleBatchGD}


def path(wrong: str) -> Any:
    """Build the training function with a mistake in it."""

    def train_f(model: Any, optimizer: Any, x_init: Tensor, epoch: int) -> Any:
        x = x_init if wrong in ("start changed", "nothing copied") else x_init.clone()
        points, losses = [], []

        def record(x: Tensor, loss: Tensor) -> None:
            points.append(x if wrong in ("no copies", "nothing copied") else x.clone())
            losses.append(loss.item())

        loss = model(x)
        if wrong != "end missing":
            record(x, loss)
        for _ in range(epoch):
            loss = model(x)
            if wrong == "end missing":
                record(x, loss)
            if wrong == "step first":
                optimizer.step()
                model.backward()
            else:
                model.backward()
                optimizer.step()
            if wrong != "stands still":
                x = model.params["x"]
            if wrong == "values late":
                record(x, loss)
            elif wrong != "end missing":
                record(x, model(x))
        return torch.stack(points), losses

    return {"train_f": train_f}


def rates(wrong: str) -> Any:
    """Build the limits of the learning rate with a mistake in them."""

    def learning_rates(hessian: Tensor) -> Any:
        values = torch.linalg.eigvalsh(hessian)
        if wrong == "diagonal":
            values = hessian.diagonal()
        smallest, largest = values.min(), values.max()
        if wrong == "Frobenius":
            largest = torch.linalg.norm(hessian)
        limit = {"one over": 1 / largest, "smallest": 2 / smallest}.get(wrong, 2 / largest)
        return limit, 2 / (smallest + largest)

    return {"learning_rates": learning_rates}


def linear(wrong: str) -> Any:
    """Build the linear operator with a mistake in its backward pass."""

    class Linear(Op):
        def __init__(self, weight: Tensor, bias: Tensor) -> None:
            super().__init__()
            self.params = {"W": weight, "b": bias}

        def forward(self, inputs: Tensor) -> Tensor:
            self.inputs = inputs
            self.outputs = inputs @ self.params["W"] + self.params["b"]
            return self.outputs

        def backward(self, labels: Tensor) -> None:
            if wrong != "labels broadcast":
                labels = labels.reshape(-1, 1)
            error = self.outputs - labels
            if wrong == "sign":
                error = -error
            count = {"sum": 1.0, "whole": len(error) / 2, "halved again": 2 * len(error)}.get(
                wrong, len(error)
            )
            if wrong == "not stored":
                return
            self.grads["W"] = self.inputs.T @ error / count
            self.grads["b"] = error.sum(dim=0) / (1 if wrong == "bias summed" else count)

    return {"Linear": Linear}


def train(wrong: str) -> Any:
    """Build the training loop with a mistake in it."""

    def train(
        data: Tensor,
        num_epochs: int,
        batch_size: int,
        model: Any,
        calculate_loss: Callable[[Tensor, Tensor], Tensor],
        optimizer: Any,
    ) -> Any:
        iter_loss: list[float] = []
        epoch_loss = []
        for _ in range(num_epochs):
            losses, sizes = [], []
            for batch in torch.split(data, batch_size):
                if wrong == "last batch dropped" and len(batch) < batch_size:
                    continue
                inputs, labels = batch[:, :-1], batch[:, -1:]
                column = batch[:, -1] if wrong == "labels broadcast" else labels
                loss = calculate_loss(model(inputs), column).item()
                model.backward(labels)
                optimizer.step()
                if wrong == "loss after the update":
                    loss = calculate_loss(model(inputs), column).item()
                losses.append(loss)
                sizes.append(len(batch))
            iter_loss += losses
            epoch_loss.append(
                {
                    "never emptied": np.mean(iter_loss),
                    "last batch only": losses[-1],
                    "weighted": np.average(losses, weights=sizes),
                }.get(wrong, np.mean(losses))
            )
        return iter_loss, epoch_loss

    return {"train": train}


MISTAKES = {
    "bowl": [
        Mistake(
            "factor 2 forgotten",
            {
                "zh": "梯度只有应有的一半。平方求导会多出一个因子 2。",
                "en": "the gradient is half of what it should be. The derivative of a square brings a factor 2.",
            },
            bowl("no factor 2"),
        ),
        Mistake(
            "weights squared",
            {
                "zh": "权重也被平方了。只有坐标要平方，先平方，再乘权重。",
                "en": "the weights are squared as well. Only the coordinate is: square first, then multiply by the weight.",
            },
            bowl("weights squared"),
        ),
        Mistake(
            "gradients added up",
            {
                "zh": "每次 backward 都把新梯度加到了旧梯度上，像 PyTorch 的 .grad 那样。这里 grads 只放当前这一点的梯度，旧的要被换掉。",
                "en": "each backward adds to the gradient of before, as PyTorch's .grad does. Here grads holds the gradient at the present point alone: replace the old one.",
            },
            bowl("added up"),
        ),
        Mistake(
            "gradient not stored",
            {
                "zh": "grads 里没有名为 x 的梯度。backward 要把梯度放进这个字典，光返回它，优化器看不到。",
                "en": "grads holds no gradient under the name x. Backward puts it into this dictionary; if it is only returned, no optimiser will see it.",
            },
            bowl("not stored"),
        ),
        Mistake(
            "point changed by backward",
            {
                "zh": "backward 原地改了 params 里的点。求梯度只读这个点，结果应当是一个新张量。",
                "en": "backward changes the point in params in place. A gradient only reads the point; the result is to be a new tensor.",
            },
            bowl("changes x"),
        ),
    ],
    "difference": [
        Mistake(
            "one-sided difference",
            {
                "zh": "这是单侧差分，误差与 h 成正比。中心差分用左右两个点的函数值，误差只与 h 的平方成正比。",
                "en": "this is a one-sided difference, whose error is proportional to h. A central difference uses the values on both sides, and its error is proportional to h squared.",
            },
            differences("one-sided"),
        ),
        Mistake(
            "divided by h",
            {
                "zh": "结果是正确值的两倍：左右两点相距 2h，除的却是 h。",
                "en": "the result is twice the right one: the two points are 2h apart, and you divide by h.",
            },
            differences("divided by h"),
        ),
        Mistake(
            "all coordinates moved at once",
            {
                "zh": "所有坐标一起动了，得到的是各个偏导数之和。每次只能动一个坐标，其余的留在原处。",
                "en": "all coordinates move at once, which gives the sum of the partial derivatives. Move one at a time, and leave the others where they are.",
            },
            differences("all at once"),
        ),
        Mistake(
            "coordinate not put back",
            {
                "zh": "你直接改了 x 的元素，算完却没有改回来，所以后面的坐标都是在别处求的。算完一个要复原，或者根本不改 x。",
                "en": "you change the elements of x and don't put them back, so that later coordinates are taken at another point. Restore each one, or don't change x at all.",
            },
            differences("not put back"),
        ),
    ],
    "step": [
        Mistake(
            "updated in place",
            {
                "zh": "参数的值都对，但你改的是原来那块内存（例如用了 -=），所以留着旧张量的人看到它变了。这里要放一个新张量进去。",
                "en": "the values are right, but the memory that was there has changed (as with -=), so whoever kept the old tensor sees it change. Put in a new tensor instead.",
            },
            step("in place"),
        ),
        Mistake(
            "wrong sign",
            {
                "zh": "点在往高处走：梯度指向上升最快的方向，要减去它，不是加上。",
                "en": "the point moves uphill: a gradient points where the function grows fastest, so it is subtracted, not added.",
            },
            step("uphill"),
        ),
        Mistake(
            "only the first parameter",
            {
                "zh": "只有第一个参数动了。一步要更新字典里所有的参数；看看是不是循环里过早地 return 了。",
                "en": "only the first parameter moves. A step updates every parameter of the dictionary; look for a return inside the loop.",
            },
            step("first only"),
        ),
        Mistake(
            "result not stored",
            {
                "zh": "参数没有动。给循环里的变量重新赋值，字典并不知道；新的值要放回 model.params。",
                "en": "no parameter moves. To assign to the variable of a loop doesn't change the dictionary: the new value has to go back into model.params.",
            },
            step("not stored"),
        ),
        Mistake(
            "gradient changed",
            {
                "zh": "参数的值都对，但梯度被原地乘上了学习率。梯度只能读，不能改，别人可能还要用它。",
                "en": "the values are right, but the gradient has been multiplied by the learning rate in place. Only read it: somebody else may still need it.",
            },
            step("gradient changed"),
        ),
    ],
    "path": [
        Mistake(
            "end not recorded",
            {
                "zh": "少了终点：你先记录、后更新，最后一步的结果没有记下来。T 步的路有 T + 1 个点。",
                "en": "the end is missing: you record before each update, so that the outcome of the last one is never recorded. A path of T steps has T + 1 points.",
            },
            path("end missing"),
        ),
        Mistake(
            "points not copied",
            {
                "zh": "许多个点都一样，等于终点：你记下的是同一个张量，优化器原地更新时，全部记录一起变。记录时要拷贝。",
                "en": "point after point is the same, namely the end: you have recorded one tensor many times, and when the optimiser updates it in place all records change. Record a copy.",
            },
            path("no copies"),
        ),
        Mistake(
            "start changed",
            {
                "zh": "轨迹是对的，但调用者的 x_init 变了：模型记住了它本身，优化器又原地更新了它。把一份拷贝交给模型。",
                "en": "the path is right, but the caller's x_init has changed: the model has remembered the tensor itself, and the optimiser updates it in place. Give a copy to the model.",
            },
            path("start changed"),
        ),
        Mistake(
            "nothing copied",
            {
                "zh": "所有的点，连同调用者的 x_init，都是同一个张量，优化器原地更新时一起变。交给模型的起点要拷贝，记下的每个点也要拷贝。",
                "en": "all points, and the caller's x_init too, are one and the same tensor, and change together when the optimiser updates it in place. Copy the start before the model gets it, and copy each point that you record.",
            },
            path("nothing copied"),
        ),
        Mistake(
            "point not taken from the model",
            {
                "zh": "优化器放进一个新张量时，你的点停在起点不动。更新之后，下一个点要从 model.params 里取。",
                "en": "when the optimiser puts in a new tensor, your point stays at the start. After an update, take the next point from model.params.",
            },
            path("stands still"),
        ),
        Mistake(
            "step before backward",
            {
                "zh": "优化器用的是上一点的梯度，所以第一步没有动。先 backward，后 step。",
                "en": "the optimiser uses the gradient of the point before, so that the first step doesn't move. Backward comes first, then step.",
            },
            path("step first"),
        ),
        Mistake(
            "values one point late",
            {
                "zh": "点是对的，函数值晚了一格：和新的点记在一起的，是更新之前的函数值。到了新的点，要重新算一次。",
                "en": "the points are right, and the values are one late: beside each new point stands the value from before the update. Compute the value again at the new point.",
            },
            path("values late"),
        ),
    ],
    "rates": [
        Mistake(
            "one over the eigenvalue",
            {
                "zh": "上限小了一半。1 / λ 让因子正好等于 0；因子到 -1 才开始发散，那是它的两倍。",
                "en": "the limit is half of what it should be. At 1 / λ the factor is just 0; it diverges where the factor reaches -1, at twice that rate.",
            },
            rates("one over"),
        ),
        Mistake(
            "smallest eigenvalue",
            {
                "zh": "上限用了最小的特征值。eigvalsh 从小到大排列；最陡的方向，也就是最大的特征值，才决定上限。",
                "en": "the limit is taken from the smallest eigenvalue. eigvalsh sorts them in ascending order; it is the steepest direction, the largest eigenvalue, that sets the limit.",
            },
            rates("smallest"),
        ),
        Mistake(
            "diagonal instead of eigenvalues",
            {
                "zh": "你用的是 H 的对角元素。只有对角矩阵，它们才是特征值。",
                "en": "you use the diagonal of H. Its elements are the eigenvalues only if the matrix is diagonal.",
            },
            rates("diagonal"),
        ),
        Mistake(
            "Frobenius norm",
            {
                "zh": "你用了 torch.linalg.norm，它默认是全部元素的平方和再开方，比最大的特征值大。",
                "en": "you use torch.linalg.norm, by default the root of the sum of all squared elements, which is larger than the largest eigenvalue.",
            },
            rates("Frobenius"),
        ),
    ],
    "linear": [
        Mistake(
            "gradient of the whole mean squared error",
            {
                "zh": "梯度是应有的两倍：这是均方误差的梯度（nn.MSELoss）。这里的损失是它的一半，求导得到的 2 正好消掉。",
                "en": "the gradient is twice what it should be: it belongs to the mean squared error itself (nn.MSELoss). The loss here is half of it, and the 2 of the derivative cancels.",
            },
            linear("whole"),
        ),
        Mistake(
            "half taken twice",
            {
                "zh": "梯度是应有的一半。损失里的 1/2 在求导时已经和 2 消掉了，不要再除一次。",
                "en": "the gradient is half of what it should be. The 1/2 of the loss has already cancelled with the 2 of the derivative; don't divide again.",
            },
            linear("halved again"),
        ),
        Mistake(
            "sum instead of mean",
            {
                "zh": "梯度是 K 个样本之和，没有除以 K。损失是平均，梯度也是平均。",
                "en": "the gradient is the sum over the K samples, not divided by K. The loss is a mean, and so is its gradient.",
            },
            linear("sum"),
        ),
        Mistake(
            "bias gradient not divided",
            {
                "zh": "W 的梯度是对的；b 的梯度是误差之和，忘了除以 K。",
                "en": "the gradient of W is right; that of b is the sum of the errors, not divided by K.",
            },
            linear("bias summed"),
        ),
        Mistake(
            "wrong sign",
            {
                "zh": "两个梯度的符号都反了：误差是输出减去标签，不是标签减去输出。",
                "en": "both gradients have the wrong sign: the error is the output minus the label, not the label minus the output.",
            },
            linear("sign"),
        ),
        Mistake(
            "labels broadcast",
            {
                "zh": "标签的形状是 (K,) 时，相减得出了 K × K 个数。先把标签变成 K 行 1 列。",
                "en": "with labels of shape (K,) the difference has K × K numbers. Turn the labels into K rows and one column first.",
            },
            linear("labels broadcast"),
        ),
        Mistake(
            "gradients not stored",
            {
                "zh": "grads 里没有 W 和 b 的梯度。backward 要把它们放进这个字典，光返回它们，优化器看不到。",
                "en": "grads holds no gradients under the names W and b. Backward puts them into this dictionary; if they are only returned, no optimiser will see them.",
            },
            linear("not stored"),
        ),
    ],
    "train": [
        Mistake(
            "last batch dropped",
            {
                "zh": "少了最后那个不满的批。除不尽时，剩下的样本也是一批。",
                "en": "the last, smaller batch is missing. The samples that remain are a batch too.",
            },
            train("last batch dropped"),
        ),
        Mistake(
            "list never emptied",
            {
                "zh": "epoch_loss 是从头累计的平均：列表从没有清空，开头的大损失一直拖着它。每一轮只平均自己的批。",
                "en": "epoch_loss is the mean since the start: the list is never emptied, and the large losses of the beginning weigh on it for ever. Average each epoch's own batches only.",
            },
            train("never emptied"),
        ),
        Mistake(
            "only the last batch of an epoch",
            {
                "zh": "epoch_loss 只是每轮最后一批的损失，应当是这一轮所有批的平均。",
                "en": "epoch_loss is the loss of each epoch's last batch alone; it should be the mean over all batches of the epoch.",
            },
            train("last batch only"),
        ),
        Mistake(
            "batches weighted by size",
            {
                "zh": "epoch_loss 按批的大小加了权，那是对样本的平均。这里约定每批算一份。",
                "en": "epoch_loss weighs the batches by their size, which is a mean over samples. Here each batch counts once.",
            },
            train("weighted"),
        ),
        Mistake(
            "loss after the update",
            {
                "zh": "权重都对，但损失是更新之后才算的，偏小。先记下损失，再更新。",
                "en": "the weights are right, but the loss is computed after the update, and too small. Note the loss first, then update.",
            },
            train("loss after the update"),
        ),
        Mistake(
            "labels without their column",
            {
                "zh": "算损失时，标签的形状是 (K,)，输出是 (K, 1)，相减得出 K × K 个数，损失就错了。取最后一列时留住这一维。",
                "en": "for the loss, the labels have shape (K,) and the outputs (K, 1): their difference has K × K numbers, and the loss is wrong. Keep the dimension when you take the last column.",
            },
            train("labels broadcast"),
        ),
    ],
}
