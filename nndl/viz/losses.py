"""Losses step by step, on an axis that shows large and small values of either sign."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from torch import Tensor

from nndl.viz.labels import FloatingLabel, add_label, anchors_along
from nndl.viz.style import Style, styles_of
from nndl.viz.tracks import Floats

__all__ = ["plot_losses"]

_SCALES = ("asinh", "log", "linear")
#: Values further out than this many times the largest first loss lie outside the view.
_VIEW = 30.0


def plot_losses(
    losses: "Mapping[str, Sequence[float] | Floats | Tensor]",
    ax: Axes | None = None,
    *,
    scale: str = "asinh",
    xlabel: str = "step",
    ylabel: str = "loss",
    **kwargs: Any,
) -> Axes:
    """Draw the losses of several runs, each named at its line.

    A line ends with a cross where its loss leaves the view or is no longer finite, and the label
    says at which step. The ticks show the true values on every scale.

    Parameters
    ----------
    losses
        For each label, one loss a step, the first one at step 0.
    ax
        Axes to draw on; the current ones if None.
    scale
        "asinh" (linear near 0, logarithmic far out, for either sign), "log" (positive losses) or
        "linear".
    xlabel, ylabel
        Names of the axes.
    **kwargs
        Passed on to ``Axes.plot``.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.

    Raises
    ------
    ValueError
        If there is no run, a run has no loss or begins with a non-finite one, `scale` is
        unknown, or a loss that is not positive is to go on a log scale.

    Examples
    --------
    >>> fig, ax = plt.subplots()
    >>> plot_losses({"SGD": [4.0, 1.0, 0.25]}, ax).get_yscale()
    'asinh'
    >>> plt.close(fig)
    """
    if scale not in _SCALES:
        raise ValueError(f"scale must be one of {', '.join(_SCALES)}, got {scale!r}")
    series = {label: _series(label, values) for label, values in losses.items()}
    if not series:
        raise ValueError("losses must hold at least one run, got none")
    ax = plt.gca() if ax is None else ax
    bound = _VIEW * max(1e-12, *(abs(values[0]) for values in series.values()))
    ends = {label: _end(values, bound) for label, values in series.items()}
    seen = np.concatenate([values[: ends[label]] for label, values in series.items()])
    _set_scale(ax, scale, seen)
    for label, style in styles_of(series).items():
        _draw(ax, label, series[label], ends[label], style, len(series), kwargs)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.margins(x=0.02)
    return ax


def _series(label: str, values: "Sequence[float] | Floats | Tensor") -> Floats:
    """Return the losses of one run as an array whose first value is a finite number."""
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
    series = np.asarray(array, dtype=np.float64)
    if series.ndim != 1 or len(series) == 0:
        raise ValueError(f"losses[{label!r}] must be a row of numbers, got shape {series.shape}")
    if not np.isfinite(series[0]):
        raise ValueError(f"losses[{label!r}] must begin with a finite loss, got {series[0]}")
    return series


def _end(values: Floats, bound: float) -> int:
    """Count the losses before the first that is not finite or beyond `bound`."""
    outside = ~(np.abs(values) <= bound)  # NaN compares as outside
    return int(np.argmax(outside)) if outside.any() else len(values)


def _set_scale(ax: Axes, scale: str, seen: Floats) -> None:
    """Give the loss axis its scale, with the true values at a handful of ticks."""
    if scale == "log":
        if (seen <= 0).any():
            raise ValueError(f"a log scale needs positive losses, got {seen.min()}; use 'asinh'")
        ax.set_yscale("log")
    elif scale == "asinh":
        sizes = np.abs(seen[seen != 0])
        largest = sizes.max() if len(sizes) else 1.0
        # Below this value the axis is linear: what is smaller may lie together at 0.
        width = max(np.quantile(sizes, 0.1), 1e-4 * largest) if len(sizes) else 1.0
        decade = float(10.0 ** np.floor(np.log10(width)))
        ax.set_yscale("asinh", linear_width=decade)
        ax.yaxis.set_major_locator(FixedLocator(_ticks(decade, seen)))
        ax.yaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))


def _ticks(decade: float, seen: Floats) -> list[float]:
    """0 and powers of ten of either sign that cover `seen`, at most about nine in all."""
    first, last = round(np.log10(decade)), int(np.ceil(np.log10(max(np.abs(seen).max(), decade))))
    stride = 1 + (last - first) // (4 if seen.min() < 0 else 7)
    powers = [10.0**k for k in range(last, first - 1, -stride)][::-1]
    below = [-p for p in reversed(powers) if p <= -10 * min(seen.min(), 0.0)]
    return [*below, 0.0, *powers]


def number(value: float) -> str:
    """Write a tick's value in full, or as a power of ten where that is shorter.

    Examples
    --------
    >>> number(0.01), number(-1000.0), number(1e-06)
    ('0.01', '−1000', '$10^{-6}$')
    """
    size = abs(value)
    if value == 0 or 1e-3 <= size < 1e5:
        return f"{value:g}".replace("-", "\N{MINUS SIGN}")
    return f"${'-' if value < 0 else ''}10^{{{round(np.log10(size))}}}$"


def _draw(
    ax: Axes, label: str, values: Floats, end: int, style: Style, runs: int, kwargs: dict[str, Any]
) -> None:
    """Draw one run up to `end`, name it, and say why it ends if it ends early."""
    steps = np.arange(end)
    options = {"color": style.color, "linestyle": style.linestyle, "zorder": 3} | kwargs
    ax.plot(steps, values[:end], **options)
    remarks = []
    if end < len(values):
        ax.plot(steps[-1:], values[end - 1 : end], "x", color=style.color, ms=7.5, mew=2, zorder=4)
        broken = np.flatnonzero(~np.isfinite(values))
        if len(broken) == 0 or end < broken[0]:
            remarks.append(f"off the scale at step {end}")
        if len(broken):
            remarks.append(f"non-finite at step {broken[0]}")
    points = np.column_stack([steps, values[:end]])
    name = FloatingLabel(
        "\n".join([label, *remarks]),
        anchors_along(points),
        ax.transData.transform,
        points,
        color=style.ink if runs > 1 else "#333333",
        fontsize="small",
        fontweight="bold",
        zorder=6,
    )
    add_label(ax, name)
