"""Draw the README's picture, overview.svg: five optimisers on one bowl, and their losses."""

from __future__ import annotations

import argparse
import io
import re
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

from nndl.op import OptimizedFunction
from nndl.optimizer import Adagrad, Adam, Momentum, RMSprop, SimpleBatchGD
from nndl.training import run_paths
from nndl.viz import plot_contour, plot_losses, plot_path, use_style

ROOT = Path(__file__).resolve().parents[1]


def draw(target: Path) -> None:
    """Write the picture to `target` (SVG), the same bytes at each call."""
    use_style()
    mpl.rcParams["svg.hashsalt"] = "nndl"
    bowl = OptimizedFunction([0.2, 2.0])
    bowl.domain = ((-1.0, 3.4), (-2.2, 4.6))
    paths = run_paths(
        bowl,
        {
            "SGD, 0.2": lambda f: SimpleBatchGD(0.2, f),
            "AdaGrad, 0.5": lambda f: Adagrad(0.5, f, 1e-7),
            "RMSprop, 0.1": lambda f: RMSprop(0.1, f, 0.9, 1e-7),
            "Momentum, 0.01": lambda f: Momentum(0.01, f, 0.9),
            "Adam, 0.2": lambda f: Adam(0.2, f, 0.9, 0.99, 1e-7),
        },
        steps=50,
    )
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(9.6, 4.2), width_ratios=(1, 1.15), layout="constrained"
    )
    plot_contour(bowl, left, levels=6, resolution=31)
    for path in paths.values():
        plot_path(path, left)
    for line in left.lines:
        line.set_path_effects([])  # a halo doubles every marker in the file
    left.set_title(f"50 steps on {bowl.name} from (3, 4)")
    plot_losses({label: path.losses for label, path in paths.items()}, right)
    right.set_title("the loss after each step")
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    target.write_text(compact(text.getvalue()), encoding="utf-8")


def compact(svg: str) -> str:
    """Round coordinates to a tenth of a pixel and drop what is there for indentation only.

    Numbers below 1 stay: they are the scales of the letters, not coordinates.
    """

    def rounded(number: re.Match[str]) -> str:
        return f"{float(number[0]):.1f}".removesuffix(".0")

    svg = re.sub(r"-?[1-9]\d*\.\d{2,}", rounded, svg)
    return re.sub(r"\s+", " ", svg).replace("> <", ">\n<").strip() + "\n"


def main() -> None:
    """Parse the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "overview.svg", help="file to write")
    draw(parser.parse_args().out)


if __name__ == "__main__":
    main()
