"""What a picture needs of a path: its visible part, where it left the view, and its losses."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

if TYPE_CHECKING:
    from nndl.op import Objective
    from nndl.training import Path

Floats = NDArray[np.float64]
Domain = tuple[tuple[float, float], tuple[float, float]]
PathLike = Any  # a Path, a tensor, or whatever numpy turns into an array of shape (n, 2)


@dataclass(frozen=True)
class Track:
    """A path, cut where it leaves the view.

    Attributes
    ----------
    label
        Name of the path.
    points
        All the points, shape (T + 1, 2).
    shown
        How many of them are drawn: those before the first one that is outside or non-finite.
    edge
        Where the segment after the last drawn point crosses the edge of the view; None if the path
        stays inside or the next point is not finite.
    nonfinite_at
        Step of the first non-finite coordinate; None if there is none.
    """

    label: str
    points: Floats
    shown: int
    edge: Floats | None
    nonfinite_at: int | None

    @property
    def inside(self) -> Floats:
        """The points that are drawn, shape (shown, 2)."""
        return self.points[: self.shown]

    @property
    def line(self) -> Floats:
        """The points that are drawn and, where there is one, the crossing of the edge."""
        return self.inside if self.edge is None else np.vstack([self.inside, self.edge])

    @property
    def left_at(self) -> int | None:
        """Step at which the path is first outside the view or not finite."""
        return self.shown if self.shown < len(self.points) else None

    @property
    def remark(self) -> str:
        """What happened to the path, in words; empty if it stayed in the view."""
        if self.left_at is None:
            return ""
        if self.left_at == self.nonfinite_at:
            return f"non-finite at step {self.left_at}"
        return f"leaves at step {self.left_at}"


def as_points(path: PathLike, name: str = "path") -> Floats:
    """Return the points of `path` as a float64 array of shape (n, 2).

    Raises
    ------
    TypeError
        If it is not numeric.
    ValueError
        If it has another shape, no point, or a first point that is not finite.

    Examples
    --------
    >>> as_points([[0, 1], [2, 3]])
    array([[0., 1.],
           [2., 3.]])
    """
    raw = getattr(path, "points", path)
    if isinstance(raw, torch.Tensor):
        raw = raw.detach().cpu()
    try:
        points = np.asarray(raw, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be a Path or numbers of shape (n, 2), got {raw!r}") from error
    if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
        raise ValueError(f"{name} must have shape (n, 2) with n >= 1, got {points.shape}")
    if not np.isfinite(points[0]).all():
        raise ValueError(f"{name} must start at a finite point, got {points[0].tolist()}")
    return points


def cut(path: PathLike, view: Domain | None, label: str = "", name: str = "path") -> Track:
    """Cut `path` where it leaves `view`; without a view, where it stops being finite.

    Raises
    ------
    ValueError
        If the path starts outside the view, or `as_points` refuses it.

    Examples
    --------
    >>> track = cut([[0, 0], [1, 0], [3, 0]], ((-2, 2), (-2, 2)))
    >>> track.shown, track.edge.tolist(), track.remark
    (2, [2.0, 0.0], 'leaves at step 2')
    """
    points = as_points(path, name)
    finite = np.asarray(np.isfinite(points).all(axis=1))
    low, high = np.array([[-np.inf] * 2, [np.inf] * 2]) if view is None else np.array(view).T
    inside = finite & np.asarray(((points >= low) & (points <= high)).all(axis=1))
    if not inside[0]:
        raise ValueError(f"{name} must start inside the view {view}, got {points[0].tolist()}")
    shown = _first(~inside, len(points))
    edge = None
    if shown < len(points) and finite[shown]:
        edge = _crossing(points[shown - 1], points[shown], low, high)
    nonfinite_at = None if finite.all() else _first(~finite, 0)
    return Track(label, points, shown, edge, nonfinite_at)


def _first(condition: NDArray[np.bool_], otherwise: int) -> int:
    """Return the index of the first true entry, or `otherwise`."""
    return int(condition.argmax()) if condition.any() else otherwise


def _crossing(inside: Floats, outside: Floats, low: Floats, high: Floats) -> Floats:
    """Point where the segment from `inside` to `outside` meets the box from `low` to `high`."""
    move = outside - inside
    wall = np.where(move > 0, high, low)
    # inside + t move = wall, so t = (wall − inside) / move; the first wall that is met counts
    t = np.divide(wall - inside, move, out=np.ones(2), where=move != 0)
    met: Floats = np.clip(inside + t.min() * move, low, high)
    return met


def labelled(paths: "Mapping[str, PathLike] | Iterable[Path]") -> dict[str, PathLike]:
    """Return `paths` as a dictionary from label to path.

    Raises
    ------
    TypeError
        If `paths` is neither a mapping nor made of objects with a ``label``.
    ValueError
        If it is empty.
    """
    if isinstance(paths, Mapping):
        named = dict(paths)
    else:
        try:
            named = {path.label: path for path in paths}
        except (AttributeError, TypeError) as error:
            raise TypeError(
                f"paths must map labels to paths, or hold Path objects, got {type(paths).__name__}"
            ) from error
    if not named:
        raise ValueError("paths must hold at least one path, got none")
    return named


def losses_of(path: PathLike, objective: "Objective") -> Floats:
    """Return the losses along `path`: those it carries, or else f at its points."""
    carried = getattr(path, "losses", None)
    if carried is not None:
        return np.asarray(carried, dtype=np.float64)
    return values_at(objective, as_points(path))


def values_at(objective: "Objective", points: Floats) -> Floats:
    """Return f at each of `points`, shape (n, 2) -> (n,)."""
    return np.asarray(objective.value(torch.tensor(points.T)).numpy(), dtype=np.float64)


def axis_names(objective: "Objective") -> tuple[str, str]:
    """Return the names of the two variables, ready for an axis.

    Examples
    --------
    >>> from nndl.op import OptimizedFunction, Saddle
    >>> axis_names(Saddle()), axis_names(OptimizedFunction([0.2, 2.0]))
    (('$x_0$', '$x_1$'), ('$x_1$', '$x_2$'))
    """
    x_name, y_name = objective.variables
    return f"${x_name}$", f"${y_name}$"


def grid_of(
    objective: "Objective", resolution: int, domain: Domain | None = None
) -> tuple[Floats, Floats, Floats]:
    """Return x, y of shape (resolution,) over the domain, and f, shape (resolution, resolution)."""
    (x_min, x_max), (y_min, y_max) = domain or objective.domain
    x, y = np.linspace(x_min, x_max, resolution), np.linspace(y_min, y_max, resolution)
    plane = np.stack(np.meshgrid(x, y))
    return x, y, np.asarray(objective.value(torch.tensor(plane)).numpy(), dtype=np.float64)
