"""An optimiser's path on the map."""

from typing import Any

import matplotlib.pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.patheffects import Normal, withStroke

from nndl._checks import whole_number
from nndl.viz.labels import FloatingLabel, add_label, anchors_along
from nndl.viz.style import Style, style_of
from nndl.viz.tracks import PathLike, Track, cut

__all__ = ["plot_path"]


def plot_path(
    path: PathLike,
    ax: Axes | None = None,
    *,
    label: str | None = None,
    color: str | None = None,
    marker: str | None = None,
    every: int | None = None,
    **kwargs: Any,
) -> list[Artist]:
    """Draw all the points of a path, up to where it leaves the view.

    The start is a ring. Where the path leaves the limits of the axes (or stops being finite) it is
    cut, and a cross and the words "leaves at step N" stand there.

    Parameters
    ----------
    path
        A ``Path``, or an array or tensor of shape (n, 2).
    ax
        Axes to draw on; the current ones if None.
    label
        Text beside the line; the path's own label if None, "" for none.
    color, marker
        Those of the algorithm that the label names, unless given.
    every
        A marker on each `every`-th point; by default on about 30 of them. The line goes through
        all the points in any case.
    **kwargs
        Passed on to ``Axes.plot``.

    Returns
    -------
    list of matplotlib.artist.Artist
        The line first, then the markers of start and exit and the label, as far as they are there.

    Raises
    ------
    ValueError
        If the path is empty, has another shape, or starts outside the view or at no finite point.

    Examples
    --------
    >>> fig, ax = plt.subplots()
    >>> line, *_ = plot_path([[3.0, 4.0], [1.0, 1.0], [0.0, 0.5]], ax, label="SGD, lr 0.1")
    >>> line.get_xdata().tolist()
    [3.0, 1.0, 0.0]
    >>> plt.close(fig)
    """
    ax = plt.gca() if ax is None else ax
    text = getattr(path, "label", "") if label is None else label
    fixed_view = not (ax.get_autoscalex_on() or ax.get_autoscaley_on())
    view = (_ordered(ax.get_xlim()), _ordered(ax.get_ylim())) if fixed_view else None
    track = cut(path, view, text)
    style = style_of(text)
    look = Style(style.name, color or style.color, marker or style.marker)
    if every is not None:
        whole_number("every", every, least=1)
    return draw_track(ax, track, look, every=every, text=text, **kwargs)


def _ordered(limits: tuple[float, float]) -> tuple[float, float]:
    """Limits of an axis, the smaller one first: an axis may be inverted."""
    return min(limits), max(limits)


def draw_track(
    ax: Axes, track: Track, style: Style, *, every: int | None, text: str, **kwargs: Any
) -> list[Artist]:
    """Draw a cut path with its start, its exit and its label."""
    options: dict[str, Any] = {
        "color": style.color,
        "linestyle": style.linestyle,
        "linewidth": 1.8,
        "marker": style.marker,
        "markersize": 4,
        "markeredgewidth": 0,
        "markevery": list(range(0, track.shown, every or max(1, track.shown // 30))),
        "zorder": 4,
        # A white rim keeps a line apart from the lines that it crosses.
        "path_effects": [withStroke(linewidth=3, foreground="white", alpha=0.7), Normal()],
    } | kwargs
    artists: list[Artist] = list(ax.plot(*track.line.T, **options))
    ring: dict[str, Any] = {"mfc": "white", "mec": style.color, "ms": 6.5, "mew": 1.5}
    artists += ax.plot(*track.points[:1].T, "o", zorder=5, **ring)
    if track.left_at is not None:
        cross: dict[str, Any] = {"color": style.color, "ms": 7.5, "mew": 2.2, "clip_on": False}
        artists += ax.plot(*track.line[-1:].T, "x", zorder=5, **cross)
    words = "\n".join(filter(None, [text, track.remark]))
    if words:
        anchors = anchors_along(track.line[1:] if len(track.line) > 1 else track.line)
        name = FloatingLabel(
            words,
            anchors,
            ax.transData.transform,
            track.line,
            color=Style("", str(options["color"]), "").ink,
            fontsize="small",
            fontweight="bold",
            zorder=6,
        )
        artists.append(add_label(ax, name))
    return artists
