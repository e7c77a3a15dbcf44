"""Where an optimiser ends, for every starting point of the view."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.patches import Patch
from numpy.typing import NDArray

from nndl._checks import whole_number
from nndl.viz.contour import plot_contour
from nndl.viz.style import OKABE_ITO

if TYPE_CHECKING:
    import nndl.optimizer
    from nndl.op import Objective

__all__ = ["LEFT", "MOVING", "plot_basins", "where_it_ends"]

#: In a basin map: inside the view, but at no minimum when the run was over.
MOVING = -1
#: In a basin map: outside the view, or not finite, when the run was over.
LEFT = -2

_BASINS = ("sky blue", "orange", "bluish green", "reddish purple", "yellow", "blue")


def where_it_ends(
    objective: "Objective",
    make_optimizer: "Callable[[Objective], nndl.optimizer.Optimizer]",
    *,
    steps: int = 150,
    resolution: int = 200,
    tolerance: float | None = None,
) -> NDArray[np.int64]:
    """Run an optimiser from every point of a grid over the view, all at once.

    Every rule is elementwise, so a grid of points is no more to it than one point.

    Parameters
    ----------
    objective
        The function to minimise.
    make_optimizer
        ``make_optimizer(model)`` returns an optimiser.
    steps
        Updates in each run.
    resolution
        Starting points along each axis, at least 2.
    tolerance
        Distance from a minimum that counts as being there; 2% of the view's longer side if None.

    Returns
    -------
    numpy.ndarray
        Shape (resolution, resolution), rows from low to high y: the index of the minimum in
        ``objective.minima``, or ``MOVING``, or ``LEFT``.

    Examples
    --------
    >>> from nndl.op import SimpleBatchGD, Himmelblau
    >>> ends = where_it_ends(Himmelblau(), lambda f: SimpleBatchGD(0.01, f), resolution=8)
    >>> sorted(set(ends.flatten().tolist()))
    [0, 1, 2, 3]
    """
    whole_number("steps", steps, least=0)
    whole_number("resolution", resolution, least=2)
    low, high = torch.tensor(objective.domain, dtype=torch.float64).T
    near = 0.02 * float((high - low).max()) if tolerance is None else tolerance
    if not near > 0:
        raise ValueError(f"tolerance must be > 0, got {tolerance!r}")
    sides = [torch.linspace(a, b, resolution, dtype=torch.float64) for a, b in objective.domain]
    x = torch.stack(torch.meshgrid(*sides, indexing="xy"))
    objective(x)
    optimizer = make_optimizer(objective)
    for _ in range(steps):
        objective.backward()
        optimizer.step()
    x = objective.params["x"]
    objective.params = {"x": torch.zeros(2)}

    box_low, box_high = low[:, None, None], high[:, None, None]
    inside = ((x >= box_low) & (x <= box_high)).all(dim=0)  # false for NaN
    ends = torch.where(inside, MOVING, LEFT)
    for index, minimum in enumerate(objective.minima):
        place = torch.tensor(minimum, dtype=torch.float64)[:, None, None]
        ends[(x - place).norm(dim=0) <= near] = index
    return np.asarray(ends.numpy(), dtype=np.int64)


def plot_basins(
    objective: "Objective",
    make_optimizer: "Callable[[Objective], nndl.optimizer.Optimizer]",
    ax: Axes | None = None,
    *,
    steps: int = 150,
    resolution: int = 200,
    tolerance: float | None = None,
    **kwargs: Any,
) -> Axes:
    """Colour every starting point by where the optimiser takes it.

    Parameters
    ----------
    objective, make_optimizer, steps, resolution, tolerance
        As in `where_it_ends`.
    ax
        Axes to draw on; the current ones if None.
    **kwargs
        Passed on to ``Axes.imshow``.

    Returns
    -------
    matplotlib.axes.Axes
        The axes: one colour for each minimum, grey for starts that still move, black for those that
        left the view, with contour lines over them and a legend.

    Examples
    --------
    >>> from nndl.op import SimpleBatchGD, Himmelblau
    >>> fig, ax = plt.subplots()
    >>> _ = plot_basins(Himmelblau(), lambda f: SimpleBatchGD(0.01, f), ax, resolution=8)
    >>> ax.get_legend().get_title().get_text()
    'ends at'
    >>> plt.close(fig)
    """
    ends = where_it_ends(
        objective, make_optimizer, steps=steps, resolution=resolution, tolerance=tolerance
    )
    ax = plt.gca() if ax is None else ax
    count = len(objective.minima)
    colors = ["#4D4D4D", "#D0D0D0"]
    colors += [OKABE_ITO[_BASINS[index % len(_BASINS)]] for index in range(count)]
    names = ["left the view", "still moving"]
    names += [f"({x:.3g}, {y:.3g})".replace("-", "\N{MINUS SIGN}") for x, y in objective.minima]
    norm = BoundaryNorm(np.arange(LEFT - 0.5, count + 0.5), len(colors))
    (x_min, x_max), (y_min, y_max) = objective.domain
    options: dict[str, Any] = {"cmap": ListedColormap(colors), "norm": norm, "aspect": "auto"}
    options |= kwargs
    ax.imshow(ends, origin="lower", extent=(x_min, x_max, y_min, y_max), zorder=0.5, **options)
    plot_contour(objective, ax, mark=False, colors="white", linewidths=0.6)
    for place in objective.minima:
        ax.plot(*place, "*", color="white", markeredgecolor="#222222", markersize=13, zorder=3)
    found = [index for index in range(LEFT, count) if (ends == index).any()]
    handles = [Patch(color=colors[index - LEFT], label=names[index - LEFT]) for index in found]
    ax.legend(
        handles=handles,
        title="ends at",
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        fontsize="small",
    )
    return ax
