"""Animations as files: GIF, MP4."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image, ImageChops

from nndl.viz.animation.frames import draw_frames
from nndl.viz.animation.scene import Pixels, Scene

_HOLD = 2000  # milliseconds that the last frame of a GIF stays


def save_gif(scene: Scene, path: Path, interval: int) -> None:
    """Write a GIF that repeats for ever; its frames share one palette."""
    frames = draw_frames(scene)
    last = next(draw_frames(scene, scene.steps))
    first, *rest = _in_palette(frames, palette(scene, last))
    durations = [interval] * len(rest) + [_HOLD]
    first.save(
        path,
        "GIF",
        save_all=True,
        append_images=rest,
        duration=durations,
        loop=0,
        palette=bytes(first.getpalette() or []),
        optimize=True,  # what does not change becomes transparent, which packs well
    )


def palette(scene: Scene, picture: Pixels) -> Image.Image:
    """Return an image with a palette of 255: each path's own colour, and the best for the rest.

    The place that is left is for transparency.
    """
    own = {to_rgb(trail.style.color): None for trail in scene.trails}
    exact = [round(255 * channel) for rgb in own for channel in rgb]
    adapted = Image.fromarray(picture).quantize(255 - len(own), dither=Image.Dither.NONE)
    holder = Image.new("P", (1, 1))
    holder.putpalette(exact + (adapted.getpalette() or []))
    return holder


def _in_palette(frames: Iterator[Pixels], holder: Image.Image) -> Iterator[Image.Image]:
    """Convert frames to palette images; of each, only the part that differs from the last one."""
    before, shown = None, None
    for frame in frames:
        image = Image.fromarray(frame)
        box = ImageChops.difference(image, before).getbbox() if before else (0, 0, *image.size)
        shown = shown.copy() if shown else Image.new("P", image.size)
        shown.putpalette(holder.getpalette() or [])
        if box:
            part = image.crop(box).quantize(palette=holder, dither=Image.Dither.NONE)
            shown.paste(part, box[:2])
        before = image
        yield shown


def save_mp4(scene: Scene, path: Path, interval: int) -> None:
    """Write an H.264 video by sending the frames to ffmpeg."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise RuntimeError(
            f"saving {str(path)!r} needs the program ffmpeg, which is not on the PATH; "
            "install it, or save as .gif, .png or .html"
        )
    width, height = scene.size
    source = f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {1000 / interval:g} -i -"
    # H.264 in its common form wants even sides.
    coding = "-c:v libx264 -pix_fmt yuv420p -vf pad=ceil(iw/2)*2:ceil(ih/2)*2 -movflags +faststart"
    command = [ffmpeg, "-y", "-loglevel", "error", *source.split(), *coding.split(), str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        pictures = b"".join(np.ascontiguousarray(f).tobytes() for f in draw_frames(scene))
        _, complaint = process.communicate(pictures)
    if process.returncode:
        raise RuntimeError(f"ffmpeg could not write {str(path)!r}: {complaint.decode().strip()}")
