"""The look of the book: one colour and one marker for each algorithm, in every figure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import matplotlib as mpl
from cycler import cycler
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb

__all__ = ["OKABE_ITO", "Style", "style_of", "styles_of", "use_style"]

#: The eight colours of Okabe and Ito (2008), told apart with any kind of colour vision.
OKABE_ITO = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky blue": "#56B4E9",
    "bluish green": "#009E73",
    "yellow": "#F0E442",
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "reddish purple": "#CC79A7",
}

#: Low values are blue-grey, high ones nearly white: pale enough for any path drawn on it.
TERRAIN = LinearSegmentedColormap.from_list("nndl_terrain", ["#AFC1D4", "#D7E0EA", "#F8FAFC"])

Dash = tuple[float, ...]


@dataclass(frozen=True)
class Style:
    """How one series is drawn.

    Attributes
    ----------
    name
        The algorithm, or the label itself where no algorithm is recognised.
    color
        Colour of the line, as #RRGGBB.
    marker
        Matplotlib's code of the marker.
    dash
        Lengths of dashes and gaps in points; empty for a solid line.

    Examples
    --------
    >>> yellow = Style("Adam", "#F0E442", "o")
    >>> yellow.linestyle, yellow.ink < yellow.color
    ('-', True)
    """

    name: str
    color: str
    marker: str
    dash: Dash = ()

    @property
    def linestyle(self) -> Any:
        """The same dashes as matplotlib wants them."""
        return (0, self.dash) if self.dash else "-"

    @property
    def ink(self) -> str:
        """The colour, darkened until text in it can be read on white (contrast at least 4.5)."""
        rgb = to_rgb(self.color)
        while _contrast_on_white(rgb) < 4.5:
            rgb = (0.95 * rgb[0], 0.95 * rgb[1], 0.95 * rgb[2])
        return to_hex(rgb)


def _contrast_on_white(rgb: tuple[float, float, float]) -> float:
    """Contrast ratio against white, as WCAG 2 defines it."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb)
    # L = 0.2126 R + 0.7152 G + 0.0722 B ;  contrast = (1 + 0.05) / (L + 0.05)
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


# The first pattern that is found in a label names its algorithm, so the special cases come first.
_ALGORITHMS = (
    (r"nesterov|\bnag\b", Style("Nesterov", OKABE_ITO["reddish purple"], "D")),
    (r"momentum|heavy.?ball", Style("Momentum", OKABE_ITO["vermillion"], "s")),
    (r"\badagrad", Style("AdaGrad", OKABE_ITO["bluish green"], "^")),
    (r"\brmsprop", Style("RMSprop", OKABE_ITO["blue"], "v")),
    (r"\badam\b", Style("Adam", OKABE_ITO["orange"], "P")),
    (r"\bb?gd\b|\bsgd\b|batchgd|gradient descent", Style("SGD", OKABE_ITO["black"], "o")),
)
_OTHER_COLORS = ("sky blue", "black", "vermillion", "bluish green", "reddish purple", "blue")
_OTHER_MARKERS = ("o", "s", "^", "D", "v", "P")
_DASHES: tuple[Dash, ...] = ((), (5.0, 2.0), (1.5, 1.5), (7.0, 2.0, 1.5, 2.0))


def style_of(label: str) -> Style:
    """Return the colour and the marker of the algorithm that `label` names.

    Parameters
    ----------
    label
        Any text with an algorithm's name in it, such as ``"Adam, lr 0.2"``. A text without one gets
        a neutral sky blue.

    Examples
    --------
    >>> style_of("Adam, lr 0.2").color == style_of("adam").color
    True
    >>> style_of("SimpleBatchGD").name, style_of("Nesterov momentum").name
    ('SGD', 'Nesterov')
    """
    for pattern, style in _ALGORITHMS:
        if re.search(pattern, label, flags=re.IGNORECASE):
            return style
    return Style(label, OKABE_ITO["sky blue"], "o")


def styles_of(labels: Iterable[str]) -> dict[str, Style]:
    """Return a style for each label, no two alike.

    Labels of the same algorithm share its colour and differ by their dashes; labels without an
    algorithm go through the other colours in order.

    Examples
    --------
    >>> both = styles_of(["Adam, lr 0.1", "Adam, lr 0.2"])
    >>> [style.dash for style in both.values()]
    [(), (5.0, 2.0)]
    """
    styles: dict[str, Style] = {}
    uses: dict[str, int] = {}
    unnamed = 0
    for label in labels:
        style = style_of(label)
        if style.name == label and not any(label == s.name for _, s in _ALGORITHMS):
            color = _OTHER_COLORS[unnamed % len(_OTHER_COLORS)]
            marker = _OTHER_MARKERS[unnamed % len(_OTHER_MARKERS)]
            style = replace(style, color=OKABE_ITO[color], marker=marker)
            unnamed += 1
        seen = uses.get(style.name, 0)
        uses[style.name] = seen + 1
        styles[label] = replace(style, dash=_DASHES[seen % len(_DASHES)])
    return styles


def use_style() -> None:
    """Set matplotlib's defaults to those of the book.

    Examples
    --------
    >>> with mpl.rc_context():
    ...     use_style()
    ...     mpl.rcParams["axes.spines.top"]
    False
    """
    mpl.rcParams.update(
        {
            "figure.figsize": (6.4, 4.4),
            "figure.dpi": 144,
            "figure.constrained_layout.use": True,
            "savefig.dpi": "figure",
            "font.size": 11,
            "axes.titlesize": 12,
            "axes.labelsize": 12,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": "#555555",
            "axes.grid": False,
            "axes.prop_cycle": cycler(
                color=[OKABE_ITO[name] for name in ("blue", "vermillion", "bluish green", "orange")]
            ),
            "lines.linewidth": 1.8,
            "legend.frameon": False,
        }
    )
