"""Run an experiment, and return what happened.

``train_f`` follows one point down a function, ``run_paths`` does so for several optimisers, and
``train`` fits a model to data in mini-batches. They record whatever happens, infinities and NaN
included, unless asked to stop at the first such value. The ``plot`` helpers draw the records.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from nndl._checks import floating_tensor, whole_number
from nndl.op import Objective
from nndl.optimizer import Model, Optimizer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "NonFiniteError",
    "Path",
    "Trainable",
    "plot_loss",
    "run_paths",
    "train",
    "train_and_plot",
    "train_and_plot_f",
    "train_f",
    "train_f_torch",
]

Item = TypeVar("Item")


class NonFiniteError(FloatingPointError):
    """A loss or a coordinate became infinite or NaN; the message has the number of the step.

    Examples
    --------
    >>> from nndl.op import OptimizedFunction
    >>> from nndl.optimizer import SimpleBatchGD
    >>> model = OptimizedFunction([0.2, 2.0])
    >>> try:
    ...     train_f(model, SimpleBatchGD(5.0, model), [3.0, 4.0], 100, stop_on_nonfinite=True)
    ... except NonFiniteError as error:
    ...     str(error).split(":")[0]
    'step 15'
    """


class Trainable(Model, Protocol):
    """A model that ``train`` can fit: callable, with ``backward(labels)``.

    Examples
    --------
    A constant, fitted to the labels: it goes to their mean.

    >>> from nndl.optimizer import SimpleBatchGD
    >>> class Constant:
    ...     def __init__(self):
    ...         self.params, self.grads = {"b": torch.zeros(1)}, {}
    ...
    ...     def __call__(self, inputs):
    ...         return self.params["b"].expand(len(inputs), 1)
    ...
    ...     def backward(self, labels):
    ...         self.grads["b"] = (self.params["b"] - labels).mean(dim=0)
    >>> model = Constant()
    >>> data = torch.tensor([[0.0, 2.0], [0.0, 4.0]])
    >>> _ = train(data, 1, 2, model, torch.nn.MSELoss(), SimpleBatchGD(1.0, model))
    >>> model.params["b"]
    tensor([3.])
    """

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the outputs for a batch of inputs."""
        ...

    def backward(self, labels: Tensor) -> None:
        """Fill ``grads`` from the last outputs and their labels."""
        ...


def _progress(items: Iterable[Item], unit: str) -> Iterable[Item]:
    """Show a bar on standard error, but only for work that lasts longer than a second."""
    bar: Iterable[Item] = tqdm(items, unit=unit, delay=1.0, leave=False)
    return bar


def _check_same_model(model: Model, optimizer: Optimizer) -> None:
    if optimizer.model is not model:
        raise ValueError(
            "optimizer must have been made for the model that is given here, "
            f"got {optimizer!r}, which updates another one"
        )


def train_f(
    model: Objective,
    optimizer: Optimizer,
    x_init: Tensor | Sequence[float],
    epoch: int,
    *,
    stop_on_nonfinite: bool = False,
) -> tuple[Tensor, list[float]]:
    """Take `epoch` steps from `x_init`, and return every point with its loss.

    Parameters
    ----------
    model
        The function to minimise.
    optimizer
        An optimiser of this model.
    x_init
        The first point, shape (2,). It is copied and never changed.
    epoch
        Number of updates T >= 0.
    stop_on_nonfinite
        If true, raise at the first step whose point or loss is infinite or NaN.

    Returns
    -------
    points
        Shape (T + 1, 2): the first point, and the point after each update.
    losses
        T + 1 floats: f at these points.

    Raises
    ------
    NonFiniteError
        If `stop_on_nonfinite` and a value is not finite.
    ValueError
        If `optimizer` belongs to another model, `epoch` is negative, or `x_init` is not one point.

    Examples
    --------
    >>> from nndl.op import OptimizedFunction, SimpleBatchGD
    >>> model = OptimizedFunction([0.5, 2.0])
    >>> points, losses = train_f(model, SimpleBatchGD(0.25, model), torch.tensor([4.0, 1.0]), 2)
    >>> points
    tensor([[4.0000, 1.0000],
            [3.0000, 0.0000],
            [2.2500, 0.0000]])
    >>> losses
    [10.0, 4.5, 2.53125]
    """
    _check_same_model(model, optimizer)
    whole_number("epoch", epoch, least=0)
    x = floating_tensor("x_init", x_init).detach().clone()
    if x.shape != (2,):
        raise ValueError(f"x_init must be one point of shape (2,), got {tuple(x.shape)}")

    points, losses = [x.clone()], [float(model(x))]
    for step in _progress(range(1, epoch + 1), unit="step"):
        model.backward()
        optimizer.step()
        x = model.params["x"]
        points.append(x.clone())
        losses.append(float(model(x)))
        if stop_on_nonfinite and not (x.isfinite().all() and np.isfinite(losses[-1])):
            raise NonFiniteError(
                f"step {step}: f({x.tolist()}) = {losses[-1]}; a smaller learning rate may help"
            )
    return torch.stack(points), losses


def train_f_torch(
    model: Objective,
    make_optimizer: Callable[[list[Tensor]], torch.optim.Optimizer],
    x_init: Tensor | Sequence[float],
    epoch: int,
) -> tuple[Tensor, list[float]]:
    """Run the experiment of ``train_f`` with an optimiser of ``torch.optim``.

    It is given the gradient that `model` computes, so that whatever differs from ``train_f`` is due
    to the optimiser.

    Parameters
    ----------
    model
        The function to minimise.
    make_optimizer
        Function from a list with one tensor to an optimiser of it.
    x_init, epoch
        As in ``train_f``.

    Returns
    -------
    points, losses
        As in ``train_f``.

    Examples
    --------
    >>> from nndl.op import OptimizedFunction, SimpleBatchGD
    >>> model, start = OptimizedFunction([0.2, 2.0]), torch.tensor([3.0, 4.0])
    >>> ours, _ = train_f(model, SimpleBatchGD(0.2, model), start, 50)
    >>> theirs, _ = train_f_torch(model, lambda x: torch.optim.SGD(x, lr=0.2), start, 50)
    >>> torch.equal(ours, theirs)
    True
    """
    x = floating_tensor("x_init", x_init).detach().clone()
    optimizer = make_optimizer([x])
    points, losses = [x.clone()], [float(model.value(x))]
    for _ in range(whole_number("epoch", epoch, least=0)):
        x.grad = model.gradient(x)
        optimizer.step()
        points.append(x.clone())
        losses.append(float(model.value(x)))
    return torch.stack(points), losses


@dataclass(frozen=True)
class Path:
    """What one optimiser did on one objective.

    Attributes
    ----------
    label
        Name of the run.
    points
        Shape (T + 1, 2), float64: the start, and the point after each of T updates.
    losses
        Shape (T + 1,): f at these points.
    left_view_at
        Number of updates after which the path was first outside the objective's domain, or None.
    nonfinite_at
        Number of updates after which a coordinate or the loss was first infinite or NaN, or None.

    Examples
    --------
    >>> from nndl.op import OptimizedFunction
    >>> from nndl.optimizer import SimpleBatchGD
    >>> model = OptimizedFunction([0.5, 2.0])
    >>> path = run_paths(model, {"GD": lambda f: SimpleBatchGD(0.25, f)}, 20, (3.0, 4.0))["GD"]
    >>> path.points.shape, path.losses.shape
    ((21, 2), (21,))
    >>> path.points[1].tolist(), path.left_view_at, path.nonfinite_at
    ([2.25, 0.0], None, None)
    """

    label: str
    points: NDArray[np.float64]
    losses: NDArray[np.float64]
    left_view_at: int | None
    nonfinite_at: int | None


def run_paths(
    objective: Objective,
    optimizers: Mapping[str, Callable[[Objective], Optimizer]],
    steps: int,
    start: Sequence[float] | Tensor | None = None,
    dtype: torch.dtype = torch.float64,
) -> dict[str, Path]:
    """Run several optimisers on one objective from one start.

    Parameters
    ----------
    objective
        The function to minimise.
    optimizers
        For each label, a function that makes the optimiser for the objective.
    steps
        Number of updates T >= 0.
    start
        The first point; by default the objective's own ``start``.
    dtype
        Precision of the run.

    Returns
    -------
    dict
        One ``Path`` for each label, in the order given.

    Raises
    ------
    ValueError
        If `optimizers` is empty, `steps` is negative, or `start` is not one finite point.

    Examples
    --------
    >>> from nndl.op import Saddle
    >>> from nndl.optimizer import Momentum, SimpleBatchGD
    >>> paths = run_paths(
    ...     Saddle(),
    ...     {"GD": lambda f: SimpleBatchGD(0.05, f), "Momentum": lambda f: Momentum(0.05, f, 0.9)},
    ...     steps=100,
    ... )
    >>> [(path.label, path.left_view_at) for path in paths.values()]
    [('GD', None), ('Momentum', 70)]
    """
    if not optimizers:
        raise ValueError("optimizers must name at least one optimiser, got none")
    x_init = torch.as_tensor(objective.start if start is None else start, dtype=dtype)
    if x_init.shape != (2,) or not x_init.isfinite().all():
        raise ValueError(f"start must be one finite point of shape (2,), got {start!r}")

    low, high = np.array(objective.domain).T
    paths = {}
    for label, make_optimizer in optimizers.items():
        points, losses = train_f(objective, make_optimizer(objective), x_init, steps)
        trace = points.double().numpy()
        finite = np.isfinite(trace).all(axis=1)
        paths[label] = Path(
            label=label,
            points=trace,
            losses=np.array(losses),
            left_view_at=_first(~((low <= trace) & (trace <= high)).all(axis=1)),
            nonfinite_at=_first(~(finite & np.isfinite(losses))),
        )
    return paths


def _first(condition: NDArray[np.bool_]) -> int | None:
    """Index of the first true entry, or None."""
    return int(condition.argmax()) if condition.any() else None


def train(
    data: Tensor,
    num_epochs: int,
    batch_size: int,
    model: Trainable,
    calculate_loss: Callable[[Tensor, Tensor], Tensor],
    optimizer: Optimizer,
    verbose: bool = False,
    *,
    stop_on_nonfinite: bool = False,
) -> tuple[list[float], list[float]]:
    """Fit `model` to `data` in mini-batches, taken in order.

    Parameters
    ----------
    data
        Shape (N, d + 1): one sample a row, its label in the last column.
    num_epochs
        Number of passes over the data, >= 0.
    batch_size
        Samples a batch, >= 1; the last batch of an epoch may be smaller.
    model
        A callable model with ``backward(labels)``; labels have shape (K, 1).
    calculate_loss
        Function of (outputs, labels) that returns the recorded loss, a scalar. The gradient
        is the model's own affair: that of ``Linear`` belongs to half the ``torch.nn.MSELoss``.
    optimizer
        An optimiser of this model.
    verbose
        If true, print each epoch's loss.
    stop_on_nonfinite
        If true, raise at the first iteration whose loss is infinite or NaN.

    Returns
    -------
    iter_loss
        Loss of every iteration, before its update.
    epoch_loss
        For every epoch, the mean over its own iterations.

    Raises
    ------
    NonFiniteError
        If `stop_on_nonfinite` and a loss is not finite.
    ValueError
        If `data` has no rows or no label column, `batch_size` is below 1, `num_epochs` below 0,
        or `optimizer` belongs to another model.

    Examples
    --------
    >>> from nndl.op import Linear, SimpleBatchGD
    >>> model = Linear(1, weight_init=torch.zeros)
    >>> data = torch.tensor([[1.0, 2.0], [2.0, 4.0]])
    >>> train(data, 2, 2, model, torch.nn.MSELoss(), SimpleBatchGD(0.5, model))
    ([10.0, 5.125], [10.0, 5.125])
    """
    _check_same_model(model, optimizer)
    data = floating_tensor("data", data)
    if data.ndim != 2 or data.shape[0] < 1 or data.shape[1] < 2:
        raise ValueError(
            "data must have shape (N, d + 1) with N >= 1 samples and d >= 1 features, "
            f"got {tuple(data.shape)}"
        )
    whole_number("num_epochs", num_epochs, least=0)
    whole_number("batch_size", batch_size, least=1)

    iter_loss: list[float] = []
    epoch_loss: list[float] = []
    for epoch in _progress(range(1, num_epochs + 1), unit="epoch"):
        first = len(iter_loss)
        for batch in torch.split(data, batch_size):
            inputs, labels = batch[:, :-1], batch[:, -1:]
            loss = calculate_loss(model(inputs), labels).item()
            iter_loss.append(loss)
            if stop_on_nonfinite and not np.isfinite(loss):
                raise NonFiniteError(
                    f"step {len(iter_loss)} (epoch {epoch}): the loss is {loss}; "
                    "a smaller learning rate may help"
                )
            model.backward(labels)
            optimizer.step()
        epoch_loss.append(float(np.mean(iter_loss[first:])))
        if verbose:
            tqdm.write(f"epoch {epoch}/{num_epochs}: loss {epoch_loss[-1]:.6g}")
    return iter_loss, epoch_loss


def plot_loss(
    iter_loss: Sequence[float],
    epoch_loss: Sequence[float],
    fig_name: str | FilePath | None = None,
) -> "Figure":
    """Draw the losses of ``train`` side by side, by iteration and by epoch.

    Parameters
    ----------
    iter_loss, epoch_loss
        What ``train`` returned.
    fig_name
        File to save the figure in (.pdf, .png, .svg, ...), or None.

    Raises
    ------
    ValueError
        If a sequence is empty, or the file's ending cannot be written.

    Examples
    --------
    >>> fig = plot_loss([4.0, 2.0, 1.0, 0.5], [3.0, 0.75])
    >>> [ax.get_xlabel() for ax in fig.axes]
    ['iteration', 'epoch']
    >>> fig.clear()
    """
    import matplotlib.pyplot as plt

    from nndl.viz import plot_losses, save_figure

    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    plot_losses({"iteration loss": iter_loss}, left, scale="log", xlabel="iteration")
    plot_losses({"epoch loss": epoch_loss}, right, scale="log", xlabel="epoch")
    if fig_name is not None:
        save_figure(fig, fig_name)
    return fig


def train_and_plot_f(
    model: Objective,
    optimizer: Optimizer,
    epoch: int,
    fig_name: str | FilePath | None = None,
    *,
    x_init: Sequence[float] | Tensor = (3.0, 4.0),
) -> "Figure":
    """Run ``train_f`` from `x_init` and draw the path over the contours of `model`.

    The arguments are those of ``train_f``; `fig_name` is a file to save the figure in, or None.

    Examples
    --------
    >>> from nndl.op import OptimizedFunction
    >>> from nndl.optimizer import SimpleBatchGD
    >>> model = OptimizedFunction([0.2, 2.0])
    >>> fig = train_and_plot_f(model, SimpleBatchGD(0.2, model), 20)
    >>> fig.axes[0].get_title() == model.name
    True
    >>> fig.clear()
    """
    from nndl.viz import Visualization

    points, _ = train_f(model, optimizer, x_init, epoch)
    return Visualization().plot_2d(model, points, fig_name)


def train_and_plot(
    optimizer: Optimizer,
    fig_name: str | FilePath | None = None,
    *,
    data: Tensor,
    num_epochs: int = 30,
    batch_size: int = 64,
    calculate_loss: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> "Figure":
    """Run ``train`` on the optimiser's own model and draw both losses.

    The arguments are those of ``train``; the loss is ``torch.nn.MSELoss`` unless one is given, and
    `fig_name` is a file to save the figure in, or None.

    Examples
    --------
    >>> from nndl.op import Linear, SimpleBatchGD
    >>> optimizer = SimpleBatchGD(0.5, Linear(1, weight_init=torch.zeros))
    >>> data = torch.tensor([[1.0, 2.0], [2.0, 4.0]])
    >>> fig = train_and_plot(optimizer, data=data, num_epochs=2, batch_size=2)
    >>> [ax.get_xlabel() for ax in fig.axes]
    ['iteration', 'epoch']
    >>> fig.clear()
    """
    model: Any = optimizer.model
    loss = torch.nn.MSELoss() if calculate_loss is None else calculate_loss
    iter_loss, epoch_loss = train(data, num_epochs, batch_size, model, loss, optimizer)
    return plot_loss(iter_loss, epoch_loss, fig_name)
