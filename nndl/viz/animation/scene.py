"""What an animation shows: one picture that stands still, and paths in its pixels."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from nndl.viz.contour import plot_contour
from nndl.viz.labels import FloatingLabel
from nndl.viz.style import Style, styles_of, use_style
from nndl.viz.surface import lift, plot_surface, to_pixels
from nndl.viz.tracks import Floats, PathLike, Track, cut, grid_of, labelled, losses_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from nndl.op import Objective
    from nndl.training import Path

_DPI = 100
_CORNERS = ("upper left", "upper right", "lower left", "lower right")

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Trail:
    """A path in pixels.

    Attributes
    ----------
    track
        The path, cut at the edge of the view.
    style
        Its look.
    pixels
        The points of ``track.line``, shape (k, 2), from the lower left corner of the picture.
    losses
        The loss at each step, shape (T + 1,).
    """

    track: Track
    style: Style
    pixels: Floats
    losses: Floats

    def head(self, step: int) -> int:
        """Index of the last of ``pixels`` that is reached at `step`."""
        return min(step, len(self.pixels) - 1)


@dataclass(frozen=True)
class Scene:
    """A background that is drawn once, and the trails that move over it.

    Attributes
    ----------
    size
        Width and height in pixels.
    steps
        Number of updates T of the longest path: the animation has T + 1 frames.
    trails
        The paths.
    figure, legend
        What the background is drawn from.
    """

    size: tuple[int, int]
    steps: int
    trails: list[Trail]
    figure: Figure
    legend: Legend

    def background(self, scale: int = 1, *, legend: bool = False) -> Pixels:
        """Return the picture without paths, shape (scale · height, scale · width, 3)."""
        canvas = FigureCanvasAgg(self.figure)
        self.figure.set_dpi(scale * _DPI)
        self.legend.set_visible(legend)
        canvas.draw()
        picture: Pixels = np.asarray(canvas.buffer_rgba())[..., :3].copy()
        return picture


def build_scene(
    objective: "Objective",
    paths: "Mapping[str, PathLike] | Iterable[Path]",
    size: tuple[int, int],
    projection: str,
    view: tuple[float, float],
    background: Mapping[str, Any],
) -> Scene:
    """Draw the background and find the pixels of every path."""
    named = labelled(paths)
    styles = styles_of(named)
    tracks = {
        label: cut(path, objective.domain, label, f"paths[{label!r}]")
        for label, path in named.items()
    }
    with rc_context():
        use_style()
        figure = Figure(figsize=(size[0] / _DPI, size[1] / _DPI), dpi=_DPI, layout="constrained")
        FigureCanvasAgg(figure)
        ax = figure.add_subplot(projection="3d" if projection == "3d" else None)
        ax.set_title(objective.name)
        if projection == "3d":
            plot_surface(objective, ax, view=view, **background)
        else:
            plot_contour(objective, ax, **background)
            for text in ax.texts:
                if isinstance(text, FloatingLabel):  # keeps clear of the paths to come
                    text.lines = np.vstack([text.lines, *(track.line for track in tracks.values())])
        figure.draw_without_rendering()
        # From here on the layout is fixed, so that pixels stay valid at every resolution.
        figure.set_layout_engine("none")
        pixels = {label: _pixels(objective, ax, track) for label, track in tracks.items()}
        legend = _legend(ax, styles, np.vstack(list(pixels.values())))
    trails = [
        Trail(track, styles[label], pixels[label], losses_of(named[label], objective))
        for label, track in tracks.items()
    ]
    steps = max(len(trail.track.points) for trail in trails) - 1
    return Scene(size, steps, trails, figure, legend)


def _pixels(objective: "Objective", ax: "Axes", track: Track) -> Floats:
    """Pixels of the drawn points of `track`, on the map or on the surface."""
    if ax.name != "3d":
        pixels: Floats = ax.transData.transform(track.line)
        return pixels
    heights = lift(objective, track.line, grid_of(objective, 41)[2])
    return to_pixels(ax, np.column_stack([track.line, heights]))


def _legend(ax: "Axes", styles: dict[str, Style], pixels: Floats) -> Legend:
    """Put a legend into the corner of the axes where it hides the fewest points of the paths."""
    handles = [
        Line2D([], [], color=s.color, marker=s.marker, linestyle=s.linestyle, label=label)
        for label, s in styles.items()
    ]

    def at(corner: Any) -> Legend:
        return Legend(
            ax,
            handles,
            list(styles),
            loc=corner,
            fontsize="small",
            frameon=True,
            framealpha=0.85,
            edgecolor="white",
        )

    def hidden(corner: str) -> int:
        box = at(corner).get_window_extent()
        x, y = pixels.T
        return int(((box.x0 <= x) & (x <= box.x1) & (box.y0 <= y) & (y <= box.y1)).sum())

    legend = at(min(_CORNERS, key=hidden))
    ax.add_artist(legend)
    return legend
