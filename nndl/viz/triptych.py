"""Surface, map and losses of the same runs, side by side."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from nndl.viz.contour import plot_contour
from nndl.viz.losses import plot_losses
from nndl.viz.path import draw_track
from nndl.viz.style import styles_of
from nndl.viz.surface import plot_surface
from nndl.viz.tracks import PathLike, cut, labelled, losses_of

if TYPE_CHECKING:
    from nndl.op import Objective
    from nndl.training import Path

__all__ = ["plot_triptych"]


def plot_triptych(
    objective: "Objective",
    paths: "Mapping[str, PathLike] | Iterable[Path]",
    *,
    view: tuple[float, float] = (38.0, -58.0),
    scale: str = "asinh",
) -> Figure:
    """Draw the paths on the surface and on the map, and their losses below.

    Parameters
    ----------
    objective
        The function that was minimised.
    paths
        Label to path, or ``Path`` objects.
    view
        Elevation and azimuth of the eye over the surface, in degrees.
    scale
        Scale of the losses: "asinh", "log" or "linear".

    Returns
    -------
    matplotlib.figure.Figure
        A new figure with three axes: surface, map, losses. The lines are named at the losses; their
        colours are the same in all three.

    Raises
    ------
    ValueError
        If there is no path, or one starts outside the domain.

    Examples
    --------
    >>> from nndl.op import Saddle
    >>> fig = plot_triptych(Saddle(), {"SGD": [[0.0, 0.5], [0.0, 0.4]]})
    >>> len(fig.axes)
    3
    >>> plt.close(fig)
    """
    named = labelled(paths)
    fig, axes = plt.subplot_mosaic(
        [["surface", "contour"], ["losses", "losses"]],
        figsize=(6.8, 6.8),
        layout="constrained",
        per_subplot_kw={"surface": {"projection": "3d"}},
    )
    surface, contour, losses = axes["surface"], axes["contour"], axes["losses"]
    plot_surface(objective, surface, paths=named, view=view, label=False)
    plot_contour(objective, contour)
    for label, style in styles_of(named).items():
        track = cut(named[label], objective.domain, label, f"paths[{label!r}]")
        draw_track(contour, track, style, every=None, text="")
    values = {label: losses_of(path, objective) for label, path in named.items()}
    plot_losses(values, losses, scale=scale, ylabel="$f$")
    fig.suptitle(objective.name)
    return fig
