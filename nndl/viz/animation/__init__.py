"""Animated paths: a player for the page, and GIF, MP4 and PNG files."""

import base64
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from nndl._checks import whole_number
from nndl.viz.animation.files import save_gif, save_mp4
from nndl.viz.animation.frames import draw_frames, last_frame
from nndl.viz.animation.player import player_html
from nndl.viz.animation.scene import Pixels, Scene, build_scene
from nndl.viz.tracks import PathLike

if TYPE_CHECKING:
    from nndl.op import Objective
    from nndl.training import Path

__all__ = ["Animation", "animate_paths"]

_ENDINGS = (".gif", ".html", ".mp4", ".png")
_PROJECTIONS = ("2d", "3d")


class Animation:
    """Paths that grow step by step over a map or a surface; made by `animate_paths`.

    A notebook shows it as a player with a button and a slider; where no script may run, as a
    picture of the last frame.

    Attributes
    ----------
    scene
        The background and the paths in pixels.
    alt
        Description under "zh" and "en".
    interval
        Milliseconds for each step.

    Examples
    --------
    >>> from nndl.op import OptimizedFunction
    >>> path = [[3.0, 4.0], [1.0, 0.5], [0.2, 0.0]]
    >>> alt = {"zh": "一条路径", "en": "a path"}
    >>> animation = animate_paths(OptimizedFunction([0.2, 2.0]), {"SGD": path}, alt=alt)
    >>> animation
    <Animation of SGD: 3 frames>
    >>> len(list(animation.frames())), animation.to_png()[1:4]
    (3, b'PNG')
    """

    def __init__(self, scene: Scene, alt: Mapping[str, str], interval: int) -> None:
        self.scene, self.alt, self.interval = scene, dict(alt), interval

    def __len__(self) -> int:
        """Return the number of frames, T + 1 for T steps."""
        return self.scene.steps + 1

    def frames(self) -> Iterator[Pixels]:
        """Yield the frames as arrays of shape (height, width, 3), the start first."""
        return draw_frames(self.scene)

    def to_html(self) -> str:
        """Return the player, self-contained."""
        return player_html(self.scene, self.alt, self.interval)

    def to_png(self) -> bytes:
        """Return the last frame as a PNG."""
        return last_frame(self.scene)

    def save(self, path: str | FilePath) -> None:
        """Write a .gif, .mp4, .png (the last frame) or .html (the player).

        Raises
        ------
        ValueError
            If the ending of `path` is none of these.
        RuntimeError
            If a video is asked for and ffmpeg is missing or fails.
        """
        target = FilePath(path)
        ending = target.suffix.lower()
        if ending not in _ENDINGS:
            raise ValueError(f"path must end in one of {', '.join(_ENDINGS)}; got {str(path)!r}")
        if ending == ".gif":
            save_gif(self.scene, target, self.interval)
        elif ending == ".mp4":
            save_mp4(self.scene, target, self.interval)
        elif ending == ".png":
            target.write_bytes(self.to_png())
        else:
            page = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Paths</title>'
            target.write_text(page + self.to_html() + "</html>\n", encoding="utf-8")

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """Return what a notebook shows: the player, or the picture if it may run no scripts."""
        return {
            "text/html": self.to_html(),
            "image/png": base64.b64encode(self.to_png()).decode(),
            "text/plain": repr(self),
        }

    def __repr__(self) -> str:
        names = ", ".join(trail.track.label for trail in self.scene.trails)
        return f"<Animation of {names}: {len(self)} frames>"


def animate_paths(
    objective: "Objective",
    paths: "Mapping[str, PathLike] | Iterable[Path]",
    *,
    alt: Mapping[str, str] | None = None,
    size: tuple[int, int] = (640, 480),
    projection: str = "2d",
    view: tuple[float, float] = (38.0, -58.0),
    interval: int | None = None,
    **background: Any,
) -> Animation:
    """Animate paths step by step over the map of `objective` or over its surface.

    Frame 0 shows the start, the last frame all T + 1 points. A path stops with a cross where it
    leaves the view.

    Parameters
    ----------
    objective
        The function that was minimised.
    paths
        Label to path, or ``Path`` objects.
    alt
        What is to be seen, one sentence each under "zh" and "en"; the labels if None.
    size
        Width and height in pixels, at least 100 each.
    projection
        "2d" for the map, "3d" for the surface.
    view
        Elevation and azimuth of the eye over the surface, in degrees.
    interval
        Milliseconds for each step; if None, so that the whole takes about six seconds.
    **background
        Passed on to ``plot_contour`` or ``plot_surface``.

    Returns
    -------
    Animation
        Shows itself in a notebook; ``save`` writes files.

    Raises
    ------
    ValueError
        If there is no path, a path starts outside the view, `alt` lacks a language, or `size`,
        `projection` or `interval` is not as said above.

    Examples
    --------
    >>> from nndl.op import Saddle
    >>> animate_paths(Saddle(), {"SGD": [[0.0, 0.5], [0.0, 0.4], [0.0, 0.3]]})
    <Animation of SGD: 3 frames>
    """
    if projection not in _PROJECTIONS:
        raise ValueError(f"projection must be one of {', '.join(_PROJECTIONS)}, got {projection!r}")
    if len(size) != 2:
        raise ValueError(f"size must be (width, height), got {size!r}")
    for side in size:
        whole_number("size", side, least=100)
    if interval is not None:
        whole_number("interval", interval, least=10)
    scene = build_scene(objective, paths, size, projection, view, background)
    if alt is None:
        names = [trail.track.label for trail in scene.trails]
        alt = {
            "en": f"Step by step, the paths of {'; '.join(names)}.",
            "zh": f"逐步显示各条路径：{'；'.join(names)}。",
        }
    missing = {"en", "zh"} - set(alt)
    if missing:
        raise ValueError(f"alt must have texts under 'en' and 'zh', got {dict(alt)!r}")
    pace = min(200, max(20, 6000 // max(1, scene.steps))) if interval is None else interval
    return Animation(scene, alt, pace)
