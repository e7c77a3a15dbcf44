"""An objective as a surface in space, with paths draped over it."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import Normal, withStroke
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.mplot3d import Axes3D
from mpl_toolkits.mplot3d.proj3d import proj_transform

from nndl._checks import whole_number
from nndl.viz.labels import FloatingLabel, add_label, anchors_along
from nndl.viz.style import TERRAIN, Style, styles_of
from nndl.viz.tracks import Floats, PathLike, Track, axis_names, cut, grid_of, labelled, values_at

if TYPE_CHECKING:
    from nndl.op import Objective
    from nndl.training import Path

__all__ = ["plot_surface"]

#: Paths float above the surface by this share of its height, so that they do not sink into it.
LIFT = 0.015


def plot_surface(
    objective: "Objective",
    ax: Axes | None = None,
    *,
    paths: "Mapping[str, PathLike] | Iterable[Path] | None" = None,
    view: tuple[float, float] = (38.0, -58.0),
    resolution: int = 61,
    label: bool = True,
    **kwargs: Any,
) -> Axes3D:
    """Draw f as a surface over its domain, and paths over the surface.

    A path is always drawn in front of the surface, also where the surface would hide it, and is cut
    where it leaves the domain.

    Parameters
    ----------
    objective
        The function to draw.
    ax
        Axes with ``projection="3d"``; if None, the current axes if they are, else new ones.
    paths
        Label to path, or ``Path`` objects.
    view
        Elevation and azimuth of the eye, in degrees.
    resolution
        Points of the grid along each axis, at least 2.
    label
        Whether to write each path's label beside it.
    **kwargs
        Passed on to ``Axes3D.plot_surface``.

    Returns
    -------
    mpl_toolkits.mplot3d.axes3d.Axes3D
        The axes; their last lines are the paths.

    Raises
    ------
    TypeError
        If `ax` is not three-dimensional.
    ValueError
        If there are no paths in `paths`, or one of them starts outside the domain.

    Examples
    --------
    >>> from nndl.op import Saddle
    >>> fig = plt.figure()
    >>> ax = plot_surface(Saddle(), paths={"SGD": [[0.0, 0.5], [0.0, 0.4]]})
    >>> ax.name
    '3d'
    >>> plt.close(fig)
    """
    ax3d = _space(ax)
    whole_number("resolution", resolution, least=2)
    x, y, f = grid_of(objective, resolution)
    ax3d.computed_zorder = False  # or matplotlib would draw distant paths before the surface
    surface: dict[str, Any] = {
        "cmap": TERRAIN,
        "alpha": 0.95,
        "edgecolor": "#9FB0C2",
        "linewidth": 0.25,
        "rstride": max(1, resolution // 30),
        "cstride": max(1, resolution // 30),
        "zorder": 1,
    } | kwargs
    ax3d.plot_surface(*np.meshgrid(x, y), f, **surface)
    ax3d.set(xlim=objective.domain[0], ylim=objective.domain[1])
    x_name, y_name = axis_names(objective)
    ax3d.set(xlabel=x_name, ylabel=y_name, zlabel="$f$", zlim=(f.min(), f.max()))
    for axis in (ax3d.xaxis, ax3d.yaxis, ax3d.zaxis):
        axis.set_major_locator(MaxNLocator(5, prune="both"))
    ax3d.view_init(*view)
    if paths is not None:
        named = labelled(paths)
        for name, style in styles_of(named).items():
            track = cut(named[name], objective.domain, name, f"paths[{name!r}]")
            _drape(ax3d, track, style, lift(objective, track.line, f), name if label else "")
    return ax3d


def lift(objective: "Objective", points: Floats, surface: Floats) -> Floats:
    """Height at which to draw `points` so that they lie just above the `surface` values."""
    height: Floats = values_at(objective, points) + LIFT * np.ptp(surface)
    return height


def _space(ax: Axes | None) -> Axes3D:
    """Return `ax` if it is three-dimensional; for None the current or new axes that are."""
    if ax is None:
        figure = plt.gcf()
        current = figure.gca() if figure.axes else None
        ax = current if isinstance(current, Axes3D) else figure.add_subplot(projection="3d")
    if not isinstance(ax, Axes3D):
        raise TypeError(f'ax must have projection="3d", got {type(ax).__name__}')
    return ax


def to_pixels(ax: Axes3D, points: Floats) -> Floats:
    """Pixels of `points`, shape (n, 3) -> (n, 2), for the eye and the limits that `ax` has now."""
    x, y, _ = proj_transform(*points.T, ax.get_proj())
    pixels: Floats = ax.transData.transform(np.column_stack([x, y]))
    return pixels


def _drape(ax: Axes3D, track: Track, style: Style, height: Floats, text: str) -> None:
    """Draw one path at `height`, with its start, its exit and its label."""
    color = style.color
    rim = [withStroke(linewidth=3.6, foreground="white", alpha=0.8), Normal()]
    points = np.column_stack([track.line, height])
    start, end = points[:1].T, points[-1:].T
    ax.plot(*start, "o", color="white", markeredgecolor=color, markersize=6, zorder=6)
    if track.left_at is not None:
        ax.plot(*end, "x", color=color, markersize=8, markeredgewidth=2.2, zorder=6)
    else:
        ax.plot(*end, style.marker, color=color, markersize=6, path_effects=rim, zorder=6)
    ax.plot(
        *points.T, color=color, linestyle=style.linestyle, linewidth=2, path_effects=rim, zorder=5
    )
    words = "\n".join(filter(None, [text, track.remark]))
    if words:
        name = FloatingLabel(
            words,
            anchors_along(points[1:] if len(points) > 1 else points),
            lambda anchors: to_pixels(ax, anchors),
            points,
            color=style.ink,
            fontsize="small",
            fontweight="bold",
            zorder=7,
        )
        add_label(ax, name)
