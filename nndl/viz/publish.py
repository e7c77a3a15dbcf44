"""Show a picture once, and keep it for the page's text to place."""

from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

__all__ = ["publish", "save_figure"]


def publish(name: str, picture: Any) -> None:
    """Show `picture` and store it under `name` for a ``{glue:figure}`` of the page.

    A matplotlib figure is closed afterwards, or the notebook would show it a second time. Without
    MyST-NB the picture is only shown, and outside a notebook nothing is to be seen.

    Parameters
    ----------
    name
        Key of the picture, unique on its page.
    picture
        A figure, an ``Animation``, or anything that a notebook can display.

    Raises
    ------
    ValueError
        If `name` is empty.

    Examples
    --------
    The figure is closed once it is shown.

    >>> figure = plt.figure()
    >>> publish("empty", figure)
    >>> plt.fignum_exists(figure.number)
    False
    """
    if not name:
        raise ValueError(f"name must be a non-empty text, got {name!r}")
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        session = None
    else:
        session = get_ipython()
    if session is not None:
        shown = _Print(picture) if isinstance(picture, Figure) else picture
        try:
            from myst_nb import glue
        except ImportError:
            display(shown)
        else:
            glue(name, shown)
    if isinstance(picture, Figure):
        plt.close(picture)


class _Print:
    """A figure as a PNG of 256 colours: a third of the bytes, and nothing that the eye misses."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """Return the PNG, and the width that it takes up on a screen of 96 pixels an inch."""
        sharp, small = BytesIO(), BytesIO()
        self.figure.savefig(sharp, format="png", bbox_inches="tight")
        image = Image.open(sharp).convert("RGB")
        image.quantize(256, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
        return small.getvalue(), {"width": round(96 * image.width / self.figure.dpi)}

    def __repr__(self) -> str:
        return repr(self.figure)


def save_figure(figure: Figure, fig_name: str | Path) -> None:
    """Save `figure` in a file of a type that matplotlib can write.

    Raises
    ------
    ValueError
        If the file's ending is none of matplotlib's.

    Examples
    --------
    >>> save_figure(Figure(), "figure.docx")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: fig_name must end in one of ...; got 'figure.docx'
    """
    allowed = figure.canvas.get_supported_filetypes()
    if Path(fig_name).suffix.lstrip(".").lower() not in allowed:
        endings = ", ".join(f".{kind}" for kind in sorted(allowed))
        raise ValueError(f"fig_name must end in one of {endings}; got {str(fig_name)!r}")
    figure.savefig(fig_name)
