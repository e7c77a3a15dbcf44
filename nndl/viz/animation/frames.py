"""The frames of an animation as pictures: only what moves is drawn anew."""

from collections.abc import Iterator
from io import BytesIO

import numpy as np
from matplotlib import font_manager
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.colors import to_rgb
from matplotlib.markers import MarkerStyle
from matplotlib.path import Path
from matplotlib.transforms import Affine2D, IdentityTransform
from PIL import Image, ImageDraw, ImageFont

from nndl.viz.animation.scene import Pixels, Scene, Trail
from nndl.viz.tracks import Floats

_WIDTH, _HEAD, _START = 2.6, 11.0, 6.0  # pixels: width of a line, size of a head, of a start


def draw_frames(scene: Scene, first: int = 0) -> Iterator[Pixels]:
    """Yield the frames of the steps `first` to T, each of shape (height, width, 3).

    The background is drawn once and each segment of a path once; in every frame only the heads and
    the number of the step are new.
    """
    width, height = scene.size
    renderer = RendererAgg(width, height, 100)
    sheet = np.asarray(renderer.buffer_rgba())
    sheet[..., :3] = scene.background(legend=True)
    sheet[..., 3] = 255
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), 15)
    for trail in scene.trails:
        _line(renderer, trail, 0, trail.head(first))
    for step in range(first, scene.steps + 1):
        if step > first:
            for trail in scene.trails:
                _line(renderer, trail, trail.head(step - 1), trail.head(step))
        kept = sheet.copy()
        for trail in scene.trails:
            _marks(renderer, trail, step)
        picture = Image.fromarray(sheet[..., :3])
        ImageDraw.Draw(picture).text((10, 6), f"step {step}", fill="#333333", font=font)
        yield np.asarray(picture)
        sheet[:] = kept


def last_frame(scene: Scene) -> bytes:
    """Return the frame of the last step as a PNG."""
    file = BytesIO()
    Image.fromarray(next(draw_frames(scene, scene.steps))).save(file, "PNG")
    return file.getvalue()


def _line(renderer: RendererAgg, trail: Trail, begin: int, end: int) -> None:
    """Draw the trail from point `begin` to point `end`."""
    if end <= begin:
        return
    gc = renderer.new_gc()
    gc.set_foreground(trail.style.color)
    gc.set_linewidth(_points(renderer, _WIDTH))
    gc.set_capstyle("round")
    if trail.style.dash:
        # The pattern goes on where the segment before left off.
        before = np.hypot(*np.diff(trail.pixels[: begin + 1], axis=0).T).sum()
        gc.set_dashes(_points(renderer, before), trail.style.dash)
        gc.set_capstyle("butt")
    renderer.draw_path(gc, Path(trail.pixels[begin : end + 1]), IdentityTransform())
    gc.restore()


def _points(renderer: RendererAgg, pixels: float) -> float:
    """Convert `pixels` to points, the unit of line widths and dashes."""
    return float(pixels / renderer.points_to_pixels(1.0))


def _marks(renderer: RendererAgg, trail: Trail, step: int) -> None:
    """Draw what a frame adds to the lines: the start, and the head or the exit."""
    head = trail.head(step)
    _mark(renderer, trail.pixels[0], Path.unit_circle(), _START, "white", trail.style.color)
    if trail.track.left_at is not None and step >= trail.track.left_at:
        _mark(renderer, trail.pixels[-1], CROSS, _HEAD, None, trail.style.color, 2.5)
    else:
        color = trail.style.color
        _mark(renderer, trail.pixels[head], outline(trail.style.marker), _HEAD, color, "white")


#: The cross at an exit: two strokes in a square of side 1.
CROSS = Path(
    [(-0.5, -0.5), (0.5, 0.5), (-0.5, 0.5), (0.5, -0.5)],
    [Path.MOVETO, Path.LINETO, Path.MOVETO, Path.LINETO],
)


def outline(marker: str) -> Path:
    """Outline of a matplotlib marker of size 1."""
    style = MarkerStyle(marker)
    return style.get_path().transformed(style.get_transform())


def _mark(
    renderer: RendererAgg,
    at: Floats,
    shape: Path,
    size: float,
    face: str | None,
    edge: str,
    width: float = 1.2,
) -> None:
    """Draw `shape`, `size` times as large, with its origin at the pixel `at`."""
    gc = renderer.new_gc()
    gc.set_foreground(edge)
    gc.set_linewidth(_points(renderer, width))
    place = Affine2D().scale(size).translate(*at)
    renderer.draw_path(gc, shape, place, None if face is None else to_rgb(face))
    gc.restore()
