"""The names under which the NNDL course draws: thin wrappers."""

from collections.abc import Iterable, Sequence
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import FuncAnimation
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import Axes3D

from nndl.viz.contour import plot_contour
from nndl.viz.path import plot_path
from nndl.viz.publish import save_figure
from nndl.viz.style import OKABE_ITO, styles_of
from nndl.viz.tracks import PathLike, as_points

if TYPE_CHECKING:
    from nndl.op import Objective

__all__ = ["Visualization", "Visualization3D"]


class Visualization:
    """Draws one path over the contour lines of its function.

    Examples
    --------
    >>> from nndl.op import Saddle
    >>> fig = Visualization().plot_2d(Saddle(), [[0.1, 0.5], [0.3, 0.2], [0.8, 0.0]])
    >>> fig.axes[0].get_title() == Saddle.name
    True
    >>> plt.close(fig)
    """

    def plot_2d(
        self, model: "Objective", x: PathLike, fig_name: str | FilePath | None = None
    ) -> Figure:
        """Draw the path `x`, shape (n, 2), over the contours of `model`.

        Parameters
        ----------
        model
            The function that was minimised.
        x
            The path, such as ``train_f`` returns it.
        fig_name
            File to save the figure in, or None.

        Returns
        -------
        matplotlib.figure.Figure
            A new figure.

        Raises
        ------
        ValueError
            If `x` has another shape, or the file's ending cannot be written.

        Examples
        --------
        >>> from nndl.op import OptimizedFunction
        >>> fig = Visualization().plot_2d(OptimizedFunction([0.2, 2.0]), [[3.0, 4.0], [1.0, 0.0]])
        >>> len(fig.axes)
        1
        >>> plt.close(fig)
        """
        fig, ax = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
        plot_contour(model, ax)
        plot_path(x, ax, color=OKABE_ITO["vermillion"])
        ax.set_title(model.name)
        if fig_name is not None:
            save_figure(fig, fig_name)
        return fig


class Visualization3D(FuncAnimation):
    """Paths that grow over a surface, drawn by matplotlib itself frame by frame.

    `animate_paths` draws the same in a fraction of the time; this class is for code that was
    written for the course. The surface must already be on `ax`.

    Parameters
    ----------
    *xy_values
        The paths, each of shape (n, 2).
    z_values
        The heights along each path.
    labels, colors
        One for each path; missing colours follow from the labels.
    fig, ax
        Figure, and axes with ``projection="3d"``.
    interval, blit, **kwargs
        As for ``matplotlib.animation.FuncAnimation``.

    Raises
    ------
    ValueError
        If there is no path, or not as many rows of heights as paths, or not as many heights as
        points.

    Examples
    --------
    >>> fig, ax = plt.subplots(subplot_kw={"projection": "3d"})
    >>> path = [[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]]
    >>> movie = Visualization3D(path, z_values=[[2.0, 1.0, 0.0]], labels=["SGD"], fig=fig, ax=ax)
    >>> [len(line.get_data_3d()[0]) for line in movie.animate(2)]
    [3, 1]
    >>> plt.close(fig)
    """

    def __init__(
        self,
        *xy_values: PathLike,
        z_values: Sequence[Any],
        labels: Sequence[str] = (),
        colors: Sequence[str] = (),
        fig: Figure,
        ax: Axes3D,
        interval: int = 600,
        blit: bool = True,
        **kwargs: Any,
    ) -> None:
        if not xy_values:
            raise ValueError("xy_values must hold at least one path, got none")
        if len(xy_values) != len(z_values):
            raise ValueError(
                "z_values must hold one row of heights for each path, "
                f"got {len(z_values)} for {len(xy_values)} paths"
            )
        self.paths = [
            self._path(index, xy, z)
            for index, (xy, z) in enumerate(zip(xy_values, z_values, strict=True))
        ]
        ax.computed_zorder = False  # or the surface would hide the lines
        names = [*labels, *(f"path {k}" for k in range(len(labels) + 1, len(xy_values) + 1))]
        styles = styles_of(names)
        hues = [*colors, *(styles[name].color for name in names[len(colors) :])]
        self.lines, self.points = [], []
        for name, color in zip(names, hues, strict=False):
            self.lines += ax.plot([], [], [], color=color, label=name, linewidth=2, zorder=10)
            self.points += ax.plot(
                [], [], [], styles[name].marker, color=color, markeredgecolor="white", zorder=11
            )
        kwargs.setdefault("frames", max(len(path) for path in self.paths))
        super().__init__(
            fig,
            self.animate,
            init_func=self.init_animation,
            interval=interval,
            blit=blit,
            **kwargs,
        )

    @staticmethod
    def _path(index: int, xy: PathLike, z: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
        """One path as an array of shape (n, 3)."""
        points, heights = as_points(xy, f"xy_values[{index}]"), np.asarray(z, dtype=np.float64)
        if heights.shape != (len(points),):
            raise ValueError(
                f"z_values[{index}] must have shape ({len(points)},), got {heights.shape}"
            )
        return np.column_stack([points, heights])

    def init_animation(self) -> Iterable[Artist]:
        """Draw the first frame: the starting points."""
        return self.animate(0)

    def animate(self, i: int) -> Iterable[Artist]:
        """Draw all the points up to and including step `i`."""
        for path, line, point in zip(self.paths, self.lines, self.points, strict=True):
            line.set_data_3d(*path[: i + 1].T)
            point.set_data_3d(*path[: i + 1][-1:].T)
        return [*self.lines, *self.points]
