"""Compare nndl's animation with the one that the course's listing makes with matplotlib.

Both sides draw the same scene in the same run: five optimisers on x0² + x1² + x1³ + x0 x1 from
(2, 3), 150 steps, 640 x 480 pixels. The figures are ratios, so that they mean the same on any
machine. Targets: the player at least 10 times as fast and at most 1/5 of the bytes, the GIF at most
2/3 of the bytes.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path as FilePath

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.animation import FuncAnimation
from tqdm import tqdm

from nndl.op import OptimizedFunction3D
from nndl.optimizer import Adagrad, Adam, Momentum, RMSprop, SimpleBatchGD
from nndl.training import Path, run_paths
from nndl.viz import animate_paths

OPTIMIZERS = {
    "SGD": lambda f: SimpleBatchGD(0.01, f),
    "AdaGrad": lambda f: Adagrad(0.5, f, 1e-7),
    "RMSprop": lambda f: RMSprop(0.1, f, 0.9, 1e-7),
    "Momentum": lambda f: Momentum(0.01, f, 0.9),
    "Adam": lambda f: Adam(0.1, f, 0.9, 0.99, 1e-7),
}
COLORS = ("#f6373c", "#f6f237", "#45f637", "#37f0f6", "#000000")


def baseline(paths: dict[str, Path], target: FilePath) -> None:
    """Draw the scene as the listing does: a surface, five growing lines, matplotlib's blitting."""
    fig = plt.figure(figsize=(6.4, 4.8), dpi=100)
    ax = fig.add_subplot(projection="3d")
    x = np.stack(np.meshgrid(np.arange(-3, 3, 0.1), np.arange(-3, 3, 0.1)))
    f = OptimizedFunction3D().value(torch.tensor(x)).numpy()
    ax.plot_surface(*x, f, cmap="rainbow")
    ax.set(xlabel="x1", ylabel="x2", zlabel="f(x1,x2)", xlim=(-3, 3), ylim=(-3, 3))
    lines = [
        ax.plot([], [], [], label=label, color=color, lw=2)[0]
        for label, color in zip(paths, COLORS, strict=True)
    ]
    ax.legend(loc="upper left")
    # What is far outside the view is cut: the listing's infinities draw nothing either.
    tracks = []
    for path in paths.values():
        track = np.column_stack([path.points, path.losses])
        track[~(np.abs(track) < 1e3).all(axis=1)] = np.nan
        tracks.append(track)

    def animate(i: int) -> list:
        for line, track in zip(lines, tracks, strict=True):
            line.set_data_3d(*track[: i + 1].T)
        return lines

    frames = max(map(len, tracks))
    movie = FuncAnimation(fig, animate, init_func=lambda: lines, frames=frames, blit=True)
    movie.save(target, writer="pillow", fps=25)
    plt.close(fig)


def player(paths: dict[str, Path], target: FilePath) -> None:
    """Make what a notebook shows: the player and the picture of its last frame."""
    movie = animate_paths(OptimizedFunction3D(), paths, projection="3d")
    movie.to_png()
    target.write_text(movie.to_html(), encoding="utf-8")


def gif(paths: dict[str, Path], target: FilePath) -> None:
    """Make nndl's GIF."""
    animate_paths(OptimizedFunction3D(), paths, projection="3d", interval=40).save(target)


def seconds(work: Callable[[], None]) -> float:
    """Return how long `work` takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def main() -> None:
    """Run both sides in turn and print their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="30 steps and 2 rounds, not 150 and 3")
    quick = parser.parse_args().quick
    steps, rounds = (30, 2) if quick else (150, 3)
    paths = run_paths(OptimizedFunction3D(), OPTIMIZERS, steps)
    sides = {
        "matplotlib.gif": baseline,
        "player.html": player,
        "nndl.gif": gif,
    }
    times: dict[str, list[float]] = {name: [] for name in sides}
    with tempfile.TemporaryDirectory() as folder:
        files = {name: FilePath(folder) / name for name in sides}
        player(paths, files["player.html"])  # warm: fonts and imports are loaded once
        for name, side in tqdm(list(sides.items()) * rounds, unit="film"):
            times[name].append(seconds(lambda side=side, name=name: side(paths, files[name])))
        sizes = {name: file.stat().st_size for name, file in files.items()}

    print(f"{steps + 1} frames, 640 x 480 pixels, {rounds} rounds; the base is matplotlib's GIF")
    base = "matplotlib.gif"
    targets = {"player.html": ("at least 10", "at most 0.20"), "nndl.gif": ("-", "at most 0.67")}
    print(f"{'':12} {'faster':>8} {'spread':>15} {'target':>12} {'bytes':>8} {'target':>13}")
    for name, (speed, weight) in targets.items():
        ratios = [theirs / ours for theirs, ours in zip(times[base], times[name], strict=True)]
        spread = f"{min(ratios):.1f} to {max(ratios):.1f}"
        size = sizes[name] / sizes[base]
        middle = statistics.median(ratios)
        print(f"{name:12} {middle:8.1f} {spread:>15} {speed:>12} {size:8.2f} {weight:>13}")
    print(
        f"{base}: {statistics.median(times[base]):.1f} s, {sizes[base] / 1e3:.0f} kB; "
        + "; ".join(
            f"{name}: {statistics.median(times[name]):.2f} s, {sizes[name] / 1e3:.0f} kB"
            for name in targets
        )
    )


if __name__ == "__main__":
    main()
