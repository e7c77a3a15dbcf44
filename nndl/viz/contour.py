"""The map of an objective: contour lines, minima and saddle points."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from nndl._checks import whole_number
from nndl.viz.labels import FloatingLabel, add_label
from nndl.viz.style import TERRAIN
from nndl.viz.tracks import Domain, Floats, axis_names, grid_of, values_at

if TYPE_CHECKING:
    from nndl.op import Objective

__all__ = ["plot_contour"]


def plot_contour(
    objective: "Objective",
    ax: Axes | None = None,
    *,
    levels: int | Sequence[float] | None = None,
    domain: Domain | None = None,
    resolution: int = 201,
    mark: bool = True,
    **kwargs: Any,
) -> Axes:
    """Draw the contour lines of `objective` and mark its minima (stars) and saddles (crosses).

    The levels follow the quantiles of f over the view, so that there are lines on the floor of a
    valley as well as on its walls; one level goes through each saddle, where the lines cross.

    Parameters
    ----------
    objective
        The function to draw.
    ax
        Axes to draw on; the current ones if None.
    levels
        How many levels (14 if None), or the levels themselves, increasing.
    domain
        ((x_min, x_max), (y_min, y_max)); the objective's own view if None.
    resolution
        Points of the grid along each axis, at least 2.
    mark
        Whether to mark and name the minima and saddles.
    **kwargs
        Passed on to ``Axes.contour``.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, their limits equal to the domain.

    Raises
    ------
    ValueError
        If there are fewer than 2 levels, or they do not increase.

    Examples
    --------
    >>> from nndl.op import Saddle
    >>> fig, ax = plt.subplots()
    >>> plot_contour(Saddle(), ax).get_xlabel()
    '$x_0$'
    >>> plt.close(fig)
    """
    ax = plt.gca() if ax is None else ax
    view = domain or objective.domain
    x, y, f = grid_of(objective, whole_number("resolution", resolution, least=2), view)
    heights = _levels(objective, f, levels)
    ax.contourf(x, y, f, levels=heights, cmap=TERRAIN, extend="both", zorder=0)
    style: dict[str, Any] = {"colors": "#8497AA", "linewidths": 0.7, "linestyles": "solid"} | kwargs
    ax.contour(x, y, f, levels=heights, **({"zorder": 1} | style))
    ax.set(
        xlim=view[0], ylim=view[1], xlabel=axis_names(objective)[0], ylabel=axis_names(objective)[1]
    )
    if mark:
        _mark(ax, objective.minima, "minimum", view, marker="*", size=13)
        _mark(ax, objective.saddles, "saddle", view, marker="X", size=9)
    return ax


def _levels(
    objective: "Objective", f: Floats, levels: int | Sequence[float] | None
) -> Sequence[float]:
    """Increasing heights of the contour lines for the values `f` over the view."""
    if levels is None or isinstance(levels, (int, np.integer)):
        count = 14 if levels is None else whole_number("levels", levels, least=2)
        # Twice as many lines in the lower half: there the paths end.
        shares = np.linspace(0.02, 0.98, count) ** 1.3
        passes = values_at(objective, np.array(objective.saddles, dtype=np.float64).reshape(-1, 2))
        quantiles = np.quantile(f[np.isfinite(f)], shares)
        heights = np.unique(np.concatenate([quantiles, passes]).round(12))
    else:
        heights = np.asarray(levels, dtype=np.float64)
    if heights.ndim != 1 or len(heights) < 2 or not (np.diff(heights) > 0).all():
        raise ValueError(f"levels must be at least 2 increasing numbers, got {levels!r}")
    return [float(height) for height in heights]


def _mark(
    ax: Axes,
    places: Sequence[tuple[float, float]],
    word: str,
    view: Domain,
    *,
    marker: str,
    size: float,
) -> None:
    """Mark the places that lie in the view, and name one of them."""
    (x_min, x_max), (y_min, y_max) = view
    seen = [(x, y) for x, y in places if x_min <= x <= x_max and y_min <= y <= y_max]
    if not seen:
        return
    spots = np.array(seen, dtype=np.float64)
    ax.plot(*spots.T, marker, ms=size, mfc="white", mec="#222222", zorder=3, label=word)
    name = word if len(seen) == 1 else f"{word} (1 of {len(seen)})"
    label = FloatingLabel(
        name,
        spots,
        ax.transData.transform,
        lines=spots[:1],
        fontsize="small",
        color="#333333",
        zorder=6,
    )
    add_label(ax, label)
