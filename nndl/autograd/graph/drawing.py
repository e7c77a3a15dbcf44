"""Draw a graph: boxes in layers, arrows between them."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.legend_handler import HandlerPatch
from matplotlib.patches import BoxStyle, FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path
from matplotlib.textpath import text_to_path

from nndl._checks import finite_number
from nndl.autograd.graph.layers import Layout, Point, layered
from nndl.autograd.graph.nodes import Graph, GraphNode
from nndl.viz.style import OKABE_ITO

__all__ = ["draw", "figure_size"]

Direction = Literal["forward", "backward"]


@dataclass(frozen=True)
class _Look:
    word: str
    fill: str
    edge: str
    dashes: str
    shape: str


#: Pale fills, edges of Okabe and Ito's colours; the shape tells the kinds apart without colour.
_LOOKS = {
    "function": _Look("operation", "#E1F0FA", OKABE_ITO["blue"], "-", "round"),
    "derivative": _Look("derivative", "#FCE7DA", OKABE_ITO["vermillion"], "--", "square"),
    "leaf": _Look("leaf", "#DFF3EC", OKABE_ITO["bluish green"], "-", "pill"),
}
_INK = "#222222"
_LINE = 1.25  # of the size of the font
_INSET = (0.09, 0.05)  # between a box and its text, inches
_MARGIN = 0.08
_MOST = 200  # nodes
_SHORT = 8  # characters that stand on one line


def _look_of(node: GraphNode) -> str:
    if node.kind == "leaf":
        return "leaf"
    return "derivative" if node.derivative else "function"


def _lines_of(node: GraphNode) -> list[str]:
    if node.kind == "function" or node.shape is None:
        return [node.title]
    lines = [node.title, str(node.shape)]
    return [" ".join(lines)] if sum(map(len, lines)) <= _SHORT else lines


def _width(text: str, fontsize: float) -> float:
    """Return how wide the text is, in inches."""
    properties = FontProperties(size=fontsize)
    width, _, _ = text_to_path.get_text_width_height_descent(text, properties, ismath=False)
    return float(width) / 72


@dataclass(frozen=True)
class _Plan:
    """A drawing at full size: y upwards, inches, `legend` the height of a band above the boxes."""

    layout: Layout
    sizes: list[Point]
    looks: list[str]
    legend: float
    width: float
    height: float


def _plan(graph: Graph, fontsize: float) -> _Plan:
    if not isinstance(graph, Graph):
        raise TypeError(f"graph must be a Graph, which walk returns, got {type(graph).__name__}")
    if len(graph) > _MOST:
        raise ValueError(
            f"a graph of {len(graph):,} nodes is no picture (at most {_MOST} are drawn): "
            "walk a part of it, or print its to_text()"
        )
    if finite_number("fontsize", fontsize) <= 0:
        raise ValueError(f"fontsize must be > 0, got {fontsize!r}")
    sizes = []
    for node in graph.nodes:
        lines = _lines_of(node)
        width = max(_width(line, fontsize) for line in lines) + 2 * _INSET[0]
        sizes.append((width, len(lines) * _LINE * fontsize / 72 + 2 * _INSET[1]))
    functions = [node.kind == "function" for node in graph.nodes]
    layout = layered(sizes, graph.edges, functions)
    looks = [_look_of(node) for node in graph.nodes]
    shown = [_LOOKS[look].word for look in _LOOKS if look in looks]
    legend = 2.2 * fontsize / 72 if len(shown) > 1 else 0.0
    # A handle of the legend is 2 fonts wide, the spaces after it and between entries 0.6 and 1.5.
    row = sum(_width(word, fontsize) + 4.1 * fontsize / 72 for word in shown) if legend else 0.0
    width = max(layout.width, row) + 2 * _MARGIN
    return _Plan(layout, sizes, looks, legend, width, layout.height + legend + 2 * _MARGIN)


def figure_size(graph: Graph, *, fontsize: float = 10.0) -> tuple[float, float]:
    """Return the width and height in inches at which ``draw`` needs not make the text smaller.

    Examples
    --------
    >>> import torch
    >>> from nndl.autograd.graph import walk
    >>> x = torch.tensor(2.0, requires_grad=True)
    >>> width, height = figure_size(walk(x**3))
    >>> 1 < width < 3, 1 < height < 3
    (True, True)
    """
    plan = _plan(graph, fontsize)
    return plan.width, plan.height


def draw(
    graph: Graph,
    ax: Axes | None = None,
    *,
    direction: Direction = "forward",
    fontsize: float = 10.0,
) -> Axes:
    r"""Draw the graph, the leaves above and the results below, so that data flow downwards.

    Operations are boxes with round corners, nodes that were added by differentiating have sharp
    corners and dashed edges, leaves are round. A legend says so where there are several kinds.

    Parameters
    ----------
    graph
        What ``walk`` returns, of at most 200 nodes.
    ax
        Axes to draw on. The text becomes smaller if they have not the room that ``figure_size``
        asks for. If None, a new figure of that size is made.
    direction
        Where the arrows lead: ``"forward"``, from an argument down to the result, or
        ``"backward"``, as the gradient goes and as ``next_functions`` point.
    fontsize
        Of the text, in points.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, without spines and ticks.

    Raises
    ------
    TypeError
        If `graph` isn't a ``Graph``.
    ValueError
        If it has more than 200 nodes, or `direction` isn't one of the two.

    Examples
    --------
    >>> import torch
    >>> from nndl.autograd.graph import walk
    >>> x = torch.tensor(2.0, requires_grad=True)
    >>> ax = draw(walk(x**3, names={"x": x}))
    >>> [text.get_text() for text in ax.texts]
    ['Pow', 'x ()']
    >>> plt.close(ax.figure)
    """
    if direction not in get_args(Direction):
        raise ValueError(f"direction must be 'forward' or 'backward', got {direction!r}")
    plan = _plan(graph, fontsize)
    if ax is None:
        ax = plt.figure(figsize=(plan.width, plan.height), layout="none").add_axes((0, 0, 1, 1))
    scale = _fit(ax, plan)
    left = (plan.width - plan.layout.width) / 2
    for _, corners in plan.layout.routes:
        _arrow(ax, [(x + left, y + _MARGIN) for x, y in corners], direction, scale)
    for node, look, size, (x, y) in zip(
        graph.nodes, plan.looks, plan.sizes, plan.layout.centres, strict=True
    ):
        x, y = x + left, y + _MARGIN
        ax.add_patch(_box(_LOOKS[look], (x - size[0] / 2, y - size[1] / 2), size, scale))
        ax.text(
            x,
            y,
            "\n".join(_lines_of(node)),
            ha="center",
            va="center",
            fontsize=fontsize * scale,
            linespacing=_LINE * 0.95,
            color=_INK,
            parse_math=False,
            zorder=3,
        )
    if plan.legend:
        _legend(ax, plan, fontsize * scale, scale)
    return ax


def _fit(ax: Axes, plan: _Plan) -> float:
    """Make one unit an inch, or less where the axes are too small; return how much less."""
    ax.set_axis_off()
    figure = ax.figure.canvas.figure
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()  # Only then are the places of the axes known.
    room = ax.get_window_extent()
    width, height = room.width / figure.dpi, room.height / figure.dpi
    scale = min(1.0, width / plan.width, height / plan.height)
    aside, above = (width / scale - plan.width) / 2, (height / scale - plan.height) / 2
    ax.set(xlim=(-aside, plan.width + aside), ylim=(-above, plan.height + above), aspect="equal")
    return float(scale)


def _box(look: _Look, corner: Point, size: Point, scale: float) -> FancyBboxPatch:
    rounding = {"round": 0.06, "pill": min(size) / 2.2, "square": 0.0}[look.shape]
    style = BoxStyle.Round(0, rounding) if rounding else BoxStyle.Square(0)
    return FancyBboxPatch(
        corner,
        *size,
        boxstyle=style,
        facecolor=look.fill,
        edgecolor=look.edge,
        linestyle=look.dashes,
        linewidth=1.2 * scale,
        zorder=2,
    )


def _arrow(ax: Axes, corners: list[Point], direction: Direction, scale: float) -> None:
    """Draw an edge: upright beside the boxes of a layer, an S between two layers."""
    vertices, codes = [corners[0]], [Path.MOVETO]
    for number, ((x, y), (to_x, to_y)) in enumerate(pairwise(corners)):
        if y - to_y < 1e-6:
            continue
        if number % 2 == 0:
            vertices.append((to_x, to_y))
            codes.append(Path.LINETO)
        else:
            middle = (y + to_y) / 2
            vertices += [(x, middle), (to_x, middle), (to_x, to_y)]
            codes += [Path.CURVE4] * 3
    if direction == "backward":
        vertices.reverse()
        codes = [codes[0], *reversed(codes[1:])]
    ax.add_patch(
        FancyArrowPatch(
            path=Path(vertices, codes),
            arrowstyle="-|>",
            mutation_scale=9 * scale,
            linewidth=0.9 * scale,
            color="#444444",
            shrinkA=0,
            shrinkB=0,
            zorder=1,
        )
    )


def _legend(ax: Axes, plan: _Plan, fontsize: float, scale: float) -> None:
    shown = [look for name, look in _LOOKS.items() if name in plan.looks]
    handles = [_box(look, (0, 0), (1, 1), scale) for look in shown]

    def sample(*, orig_handle: Any, width: float, height: float, **_: Any) -> FancyBboxPatch:
        look = shown[handles.index(orig_handle)]
        patch = _box(look, (0, 0), (width, height), scale)
        if look.shape == "round":
            patch.set_boxstyle("Round", pad=0, rounding_size=height / 4)
        return patch

    ax.legend(
        handles,
        [look.word for look in shown],
        handler_map={FancyBboxPatch: HandlerPatch(patch_func=sample)},
        loc="upper center",
        bbox_to_anchor=(plan.width / 2, plan.height),
        bbox_transform=ax.transData,
        ncols=len(shown),
        fontsize=fontsize,
        frameon=False,
        borderaxespad=0,
        borderpad=0.3,
        handlelength=2,
        handletextpad=0.6,
        columnspacing=1.5,
    )
