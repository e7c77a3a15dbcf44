"""The player: one picture, the paths as numbers, and a small script that draws them on a canvas."""

import base64
import json
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from importlib.resources.abc import Traversable
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from nndl.viz.animation.frames import outline
from nndl.viz.animation.scene import Scene, Trail

_SCALE = 2  # pixels of the background for each pixel of the layout: sharp on dense screens
_QUALITY = 55  # of WebP, up to 100


def player_html(scene: Scene, alt: Mapping[str, str], interval: int) -> str:
    """Return the player as one self-contained piece of HTML.

    Parameters
    ----------
    scene
        What it shows.
    alt
        Description of the whole for those who do not see it, under "zh" and "en".
    interval
        Milliseconds for each step.
    """
    width, height = scene.size
    data = {
        "size": scene.size,
        "steps": scene.steps,
        "interval": interval,
        "alt": dict(alt),
        "background": "data:image/webp;base64," + base64.b64encode(_background(scene)).decode(),
        "trails": [_trail(trail, height) for trail in scene.trails],
    }
    # "<" cannot end the script element early when it is written as an escape.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    here = files(__package__)
    style, script = (_dense(here / name) for name in ("player.css", "player.js"))
    return (
        f'<div class="nndl-player" style="width:{width + 16}px">'
        f"<style>{style}</style>"
        f'<canvas width="{_SCALE * width}" height="{_SCALE * height}" role="img"'
        f' aria-label="{escape(alt["en"])}"></canvas>'
        '<div class="nndl-player-bar"><button type="button" aria-label="Play"></button>'
        f'<input type="range" min="0" max="{scene.steps}" value="{scene.steps}" step="1"'
        ' aria-label="Step"><span></span></div><ul></ul>'
        f'<noscript><p lang="zh">{escape(alt["zh"])}</p><p lang="en">{escape(alt["en"])}</p>'
        f'</noscript><script type="application/json">{text}</script>'
        f"<script>{script}</script></div>"
    )


def _dense(file: Traversable) -> str:
    """Return the text of `file` without indentation and comments, which no page needs."""
    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))


def _background(scene: Scene) -> bytes:
    """Return the background as WebP, half the size of a PNG of few colours."""
    file = BytesIO()
    Image.fromarray(scene.background(_SCALE)).save(file, "WEBP", quality=_QUALITY, method=6)
    return file.getvalue()


def _trail(trail: Trail, height: int) -> dict[str, Any]:
    """One path as plain data.

    Pixels count from the upper left corner here. They are written as differences in quarters of a
    pixel, x and y in turn: small whole numbers, a third of the length of the coordinates.
    """
    quarters = np.round(4 * (trail.pixels * [1, -1] + [0, height])).astype(int)
    broken = np.flatnonzero(~np.isfinite(trail.losses))
    finite = trail.losses[: broken[0]] if len(broken) else trail.losses
    corners = outline(trail.style.marker).to_polygons()[0]
    return {
        "label": trail.track.label,
        "color": trail.style.color,
        "dash": trail.style.dash,
        "marker": [[round(x, 2), round(y, 2)] for x, y in np.asarray(corners)],
        "moves": np.diff(quarters, axis=0, prepend=[[0, 0]]).ravel().tolist(),
        "losses": [float(f"{loss:.3g}") for loss in finite],
        "left": trail.track.left_at,
        "broken": int(broken[0]) if len(broken) else None,
    }
