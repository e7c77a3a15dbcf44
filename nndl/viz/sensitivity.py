"""How the number of steps to settle depends on the learning rate and on a second parameter."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.patches import Patch
from matplotlib.ticker import LogFormatter
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

from nndl._checks import non_negative, whole_number
from nndl.viz.style import OKABE_ITO
from nndl.viz.tracks import Floats

if TYPE_CHECKING:
    import nndl.optimizer
    from nndl.op import Objective
    from nndl.optimizer import Model

__all__ = ["DIVERGED", "UNSETTLED", "plot_sensitivity", "settling_steps"]

#: In a table of settling steps: not yet settled at the last step.
UNSETTLED = -1
#: In a table of settling steps: not finite, or further out than 10 times the size of the view.
DIVERGED = -2

MakeOptimizer = Callable[[float, float, "Model"], "nndl.optimizer.Optimizer"]


class _RatesAtOnce:
    """An objective seen by an optimiser with rate 1, for many rates at once.

    In every rule of ``nndl`` the rate α only scales the update: x ← x − α u(gradients so far).
    With x = x₀ + α z this is z ← z − u, which does not contain α. So one run over z, with one
    column for each α, stands for as many runs over x.
    """

    def __init__(self, objective: "Objective", start: torch.Tensor, rates: torch.Tensor) -> None:
        self.objective, self.start, self.rates = objective, start, rates
        self.params = {"x": torch.zeros(2, len(rates), dtype=torch.float64)}
        self.grads = {"x": torch.zeros_like(self.params["x"])}

    def points(self) -> torch.Tensor:
        """x = x₀ + α z, shape (2, number of rates)."""
        return self.start[:, None] + self.rates * self.params["x"]

    def backward(self) -> None:
        self.grads["x"] = self.objective.gradient(self.points())


def settling_steps(
    objective: "Objective",
    make_optimizer: MakeOptimizer,
    lrs: ArrayLike,
    seconds: ArrayLike,
    *,
    steps: int = 150,
    start: Sequence[float] | None = None,
    tolerance: float | None = None,
) -> NDArray[np.int64]:
    """Count the steps until the path stays near a minimum, for each pair of settings.

    Parameters
    ----------
    objective
        The function to minimise; it must have a minimum.
    make_optimizer
        ``make_optimizer(lr, second, model)`` returns an optimiser. Its update must be proportional
        to `lr`, as all of nndl's are.
    lrs, seconds
        Learning rates, and values of the second parameter.
    steps
        Updates in each run.
    start
        First point; the objective's own if None.
    tolerance
        How near is near; 2% of the view's longer side if None.

    Returns
    -------
    numpy.ndarray
        Shape (len(seconds), len(lrs)): the first step after which every point up to the last is
        within `tolerance` of a minimum, or ``UNSETTLED``, or ``DIVERGED``.

    Raises
    ------
    ValueError
        If a rate is negative or not finite, a list is empty, the objective has no minimum, or the
        update is not proportional to the rate.

    Examples
    --------
    >>> from nndl.op import OptimizedFunction
    >>> from nndl.optimizer import Momentum
    >>> make = lambda lr, rho, model: Momentum(lr, model, rho)
    >>> settling_steps(OptimizedFunction([1.0, 1.0]), make, [0.1, 0.4, 1.2], [0.0]).tolist()
    [[17, 3, -2]]
    """
    rates, others = _row("lrs", lrs), _row("seconds", seconds)
    for rate in rates:
        non_negative("lrs", float(rate))
    whole_number("steps", steps, least=1)
    minima = np.array(objective.minima, dtype=np.float64).reshape(-1, 2)
    if len(minima) == 0:
        raise ValueError(f"objective must have a minimum to settle in, {objective.name} has none")
    view = np.array(objective.domain)
    near = 0.02 * float(np.ptp(view, axis=1).max()) if tolerance is None else tolerance
    if not near > 0:
        raise ValueError(f"tolerance must be > 0, got {tolerance!r}")
    x0 = torch.tensor(objective.start if start is None else start, dtype=torch.float64)
    _check_proportional(objective, make_optimizer, float(others[0]), x0)

    table = np.empty((len(others), len(rates)), dtype=np.int64)
    for row, second in enumerate(tqdm(others, unit="row", delay=1.0, leave=False)):
        model = _RatesAtOnce(objective, x0, torch.tensor(rates))
        optimizer = make_optimizer(1.0, float(second), model)
        points = [model.points()]
        for _ in range(steps):
            model.backward()
            optimizer.step()
            points.append(model.points())
        table[row] = _settled(torch.stack(points).numpy(), minima, near, view)
    return table


def _settled(points: Floats, minima: Floats, near: float, view: Floats) -> NDArray[np.int64]:
    """Read off the settling steps of runs with `points` of shape (steps + 1, 2, runs)."""
    with np.errstate(invalid="ignore", over="ignore"):  # infinite and NaN points count as far
        moves = points[:, :, None] - minima.T[None, :, :, None]
        there = np.asarray((np.hypot(moves[:, 0], moves[:, 1]) <= near).any(axis=1))
        centre, reach = view.mean(axis=1), 5 * np.ptp(view, axis=1)
        in_sight = np.abs(points - centre[:, None]) <= reach[:, None]
    # A run has settled one step after the last point that is not near a minimum.
    settled = len(points) - np.argmin(there[::-1], axis=0)
    settled = np.where(there.all(axis=0), 0, settled)
    settled = np.where(there[-1], settled, UNSETTLED)
    return np.where(in_sight.all(axis=(0, 1)), settled, DIVERGED)


def _row(name: str, values: ArrayLike) -> Floats:
    """`values` as a row of finite numbers."""
    row = np.asarray(values, dtype=np.float64)
    if row.ndim != 1 or len(row) == 0 or not np.isfinite(row).all():
        raise ValueError(f"{name} must be a row of finite numbers, got {values!r}")
    return row


def _check_proportional(
    objective: "Objective", make_optimizer: MakeOptimizer, second: float, x0: torch.Tensor
) -> None:
    """Raise unless two updates at rate 1/2 are half of those at rate 1, for the same gradients."""
    moves = []
    for rate in (1.0, 0.5):
        model = _RatesAtOnce(objective, x0, torch.zeros(1, dtype=torch.float64))
        optimizer = make_optimizer(rate, second, model)
        for _ in range(2):
            model.backward()
            optimizer.step()
        moves.append(model.params["x"] / rate)
    if not torch.allclose(moves[0], moves[1], rtol=1e-9):
        raise ValueError(
            "make_optimizer must give an update that is proportional to lr: "
            f"two steps at lr 1 moved by {moves[0].flatten().tolist()}, "
            f"at lr 0.5 by {(moves[1] / 2).flatten().tolist()}"
        )


def plot_sensitivity(
    objective: "Objective",
    make_optimizer: MakeOptimizer,
    lrs: ArrayLike,
    seconds: ArrayLike,
    ax: Axes | None = None,
    *,
    used: tuple[float, float] | None = None,
    second_label: str = "second parameter",
    steps: int = 150,
    start: Sequence[float] | None = None,
    tolerance: float | None = None,
    **kwargs: Any,
) -> Axes:
    """Draw the steps to settle over learning rate and second parameter.

    Parameters
    ----------
    objective, make_optimizer, lrs, seconds, steps, start, tolerance
        As in `settling_steps`; `lrs` must be positive and, like `seconds`, increasing.
    ax
        Axes to draw on; the current ones if None.
    used
        The (learning rate, second) to mark.
    second_label
        Name of the second parameter, for the axis.
    **kwargs
        Passed on to ``Axes.pcolormesh``.

    Returns
    -------
    matplotlib.axes.Axes
        The axes; diverged and unsettled cells have a colour of their own, named in a legend.

    Raises
    ------
    ValueError
        As `settling_steps`, and if `lrs` or `seconds` do not increase.

    Examples
    --------
    >>> from nndl.op import OptimizedFunction
    >>> from nndl.optimizer import Momentum
    >>> fig, ax = plt.subplots()
    >>> make = lambda lr, rho, model: Momentum(lr, model, rho)
    >>> function = OptimizedFunction([0.2, 2.0])
    >>> _ = plot_sensitivity(function, make, [0.01, 0.1, 1.0], [0.0, 0.9], ax, used=(0.01, 0.9))
    >>> ax.get_xscale()
    'log'
    >>> plt.close(fig)
    """
    rates, others = _row("lrs", lrs), _row("seconds", seconds)
    for name, row in (("lrs", rates), ("seconds", others)):
        if not (np.diff(row) > 0).all():
            raise ValueError(f"{name} must increase, got {row.tolist()}")
    if rates[0] <= 0:
        raise ValueError(f"lrs must be > 0 on a logarithmic axis, got {rates[0]}")
    table = settling_steps(
        objective, make_optimizer, rates, others, steps=steps, start=start, tolerance=tolerance
    )
    ax = plt.gca() if ax is None else ax
    x_edges, y_edges = np.exp(_edges(np.log(rates))), _edges(others)
    settled = np.ma.masked_where(table < 0, np.maximum(table, 1))
    fastest = float(settled.min()) if settled.count() else 1.0
    options: dict[str, Any] = {"cmap": "viridis_r", "norm": LogNorm(fastest, steps)} | kwargs
    mesh = ax.pcolormesh(x_edges, y_edges, settled, **options)
    legend: list[Artist] = []
    for code, color, word in (
        (UNSETTLED, "#BDBDBD", f"not within {steps} steps"),
        (DIVERGED, OKABE_ITO["vermillion"], "diverged"),
    ):
        if (table == code).any():
            cells = np.ma.masked_where(table != code, np.zeros(table.shape))
            ax.pcolormesh(x_edges, y_edges, cells, cmap=ListedColormap([color]))
            legend.append(Patch(color=color, label=word))
    bar = ax.figure.colorbar(mesh, ax=ax, label="steps to settle")
    bar.ax.yaxis.set_major_formatter("{x:g}")
    bar.ax.yaxis.set_minor_formatter(LogFormatter())
    ax.set(xscale="log", xlabel="learning rate", ylabel=second_label)
    if used is not None:
        ax.plot(*used, "o", markersize=11, markerfacecolor="none", markeredgecolor="black")
        legend.append(ax.plot([], [], "o", mfc="none", mec="black", ms=9, label="used here")[0])
    if legend:
        ax.legend(
            handles=legend,
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            ncols=3,
            fontsize="small",
            columnspacing=1.2,
        )
    return ax


def _edges(centres: Floats) -> Floats:
    """Edges of the cells around increasing `centres`."""
    if len(centres) == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    middle = (centres[1:] + centres[:-1]) / 2
    first, last = 2 * centres[0] - middle[0], 2 * centres[-1] - middle[-1]
    return np.concatenate([[first], middle, [last]])
