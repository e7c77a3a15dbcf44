"""Labels that stand beside what they name and keep clear of each other."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.transforms import IdentityTransform

from nndl.viz.tracks import Floats

# A label may stand in any of these directions from its anchor, near or far.
_DIRECTIONS = np.array([(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1)])
_GAPS = (6.0, 20.0)  # points between an anchor and its label


class FloatingLabel(Text):
    """A text that finds its place beside one of its anchors when the figure is drawn.

    Only then are the sizes of the axes and of the text known. All the labels of one axes are placed
    together, in the order in which they were made: each takes the place that covers the fewest
    other labels, lines and edges.

    Parameters
    ----------
    text
        What to write.
    anchors
        Points that the label may stand beside, best ones last, in the coordinates of `to_pixels`.
    to_pixels
        Map from anchors to pixels, called at each drawing.
    lines
        Points of the line that the label names, which labels should not cover.
    """

    def __init__(
        self,
        text: str,
        anchors: Floats,
        to_pixels: Callable[[Floats], Floats],
        lines: Floats | None = None,
        **style: Any,
    ) -> None:
        style.setdefault("path_effects", [withStroke(linewidth=2.5, foreground="white")])
        super().__init__(
            0, 0, text, transform=IdentityTransform(), ha="center", va="center", **style
        )
        self.set_in_layout(False)
        self.anchors, self.to_pixels = anchors, to_pixels
        self.lines = anchors if lines is None else lines
        self.placed_for: tuple[Any, ...] = ()

    def draw(self, renderer: RendererBase) -> None:
        """Place all the labels of the axes, then draw this one."""
        if isinstance(self.axes, Axes):
            _place(self.axes, renderer)
        super().draw(renderer)


def add_label(ax: Axes, label: FloatingLabel) -> FloatingLabel:
    """Put `label` on the axes."""
    ax.add_artist(label)
    label.set_clip_on(False)
    return label


def _place(ax: Axes, renderer: RendererBase) -> None:
    """Give every floating label of `ax` its place, unless nothing changed since the last time."""
    labels = [text for text in ax.texts if isinstance(text, FloatingLabel) and text.get_visible()]
    frame = np.asarray(ax.get_window_extent(renderer).extents)
    state = (len(labels), *frame, *ax.get_xlim(), *ax.get_ylim(), *map(Text.get_text, labels))
    if all(label.placed_for == state for label in labels):
        return
    lines = np.vstack([_dense(label.to_pixels(label.lines)) for label in labels])
    gaps = np.array(_GAPS) * renderer.points_to_pixels(1.0)
    taken = np.empty((0, 4))
    for label in labels:
        extent = label.get_window_extent(renderer)
        half = np.array([extent.width, extent.height]) / 2
        anchors = label.to_pixels(label.anchors)
        offsets = _DIRECTIONS[:, None] * (half + gaps[:, None])
        centres = (anchors[:, None, None] + offsets).reshape(-1, 2)
        boxes = np.hstack([centres - half, centres + half])
        # The last anchors are the best ones, and the nearest places.
        early = np.linspace(1.0, 0.0, len(anchors))[:, None, None]
        far = np.linspace(0.0, 4.0, len(gaps))
        price = (early + far + np.zeros((1, len(_DIRECTIONS), 1))).ravel()
        price += 200 * _overlap(boxes, taken).sum(axis=1)
        price += 400 * (1 - _overlap(boxes, frame[None]).sum(axis=1))
        price += 0.5 * _inside(lines, boxes)
        best = int(np.argmin(price))
        label.set_position((float(centres[best, 0]), float(centres[best, 1])))
        taken = np.vstack([taken, boxes[best]])
        label.placed_for = state


def _dense(points: Floats) -> Floats:
    """Points about 6 pixels apart along the line through `points`, NaN left out."""
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) < 2:
        return points
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    at = np.linspace(0.0, along[-1], int(min(along[-1] / 6, 2000)) + 2)
    return np.column_stack([np.interp(at, along, points[:, 0]), np.interp(at, along, points[:, 1])])


def _overlap(boxes: Floats, others: Floats) -> Floats:
    """Share of each box's area that each other box covers, shape (len(boxes), len(others))."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    covered: Floats = np.prod(np.clip(high - low, 0, None), axis=2) / area[:, None]
    return covered


def _inside(points: Floats, boxes: Floats) -> Floats:
    """How many of `points` lie in each box."""
    within = (points >= boxes[:, None, :2]) & (points <= boxes[:, None, 2:])
    counts: Floats = np.count_nonzero(within.all(axis=2), axis=1).astype(np.float64)
    return counts


def anchors_along(points: Floats, most: int = 24) -> Floats:
    """At most `most` of `points`, evenly spread, the last one included."""
    if len(points) <= most:
        return points
    chosen: Floats = points[np.linspace(0, len(points) - 1, most).round().astype(int)]
    return chosen
