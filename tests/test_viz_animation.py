"""The animation: frames, files, and the player's own HTML."""

import base64
import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image, ImageSequence

from nndl.op import OptimizedFunction3D, Saddle
from nndl.optimizer import Adagrad, Adam, Momentum, RMSprop, SimpleBatchGD
from nndl.training import run_paths
from nndl.viz import animate_paths
from nndl.viz.animation import files

MAKERS = {
    "SGD, lr 0.01": lambda f: SimpleBatchGD(0.01, f),
    "AdaGrad, lr 0.5": lambda f: Adagrad(0.5, f, 1e-7),
    "RMSprop, lr 0.1": lambda f: RMSprop(0.1, f, 0.9, 1e-7),
    "Momentum, lr 0.01": lambda f: Momentum(0.01, f, 0.9),
    "Adam, lr 0.1": lambda f: Adam(0.1, f, 0.9, 0.99, 1e-7),
}
STEPS = 30


@pytest.fixture(scope="module", params=["2d", "3d"])
def animation(request):
    paths = run_paths(OptimizedFunction3D(), MAKERS, STEPS)
    return animate_paths(OptimizedFunction3D(), paths, projection=request.param)


def nearest(picture: np.ndarray, color: str, at: np.ndarray, reach: int = 5) -> int:
    """Smallest difference (largest channel, 0 to 255) to `color` in a window around a pixel."""
    height = picture.shape[0]
    column, row = round(at[0]), round(height - at[1])
    window = picture[max(0, row - reach) : row + reach + 1, max(0, column - reach) :][
        :, : 2 * reach + 1
    ]
    difference = np.abs(window.astype(int) - np.round(np.array(to_rgb(color)) * 255))
    return int(difference.max(axis=2).min())


def own_pixel(animation, trail) -> np.ndarray:
    """The point of `trail`, of those in its later half, that is furthest from the other trails."""
    others = np.vstack([t.pixels for t in animation.scene.trails if t is not trail])
    half = trail.pixels[len(trail.pixels) // 2 :]
    gaps = np.hypot(*(half[:, None] - others[None]).transpose(2, 0, 1)).min(axis=1)
    return half[int(gaps.argmax())]


def assert_shows_every_path(animation, picture: np.ndarray, tolerance: int) -> None:
    background = animation.scene.background()
    for trail in animation.scene.trails:
        at, color = own_pixel(animation, trail), trail.style.color
        assert nearest(picture, color, at) <= tolerance, f"{trail.track.label} is not to be seen"
        assert nearest(background, color, at) > tolerance, "the colour is in the background"


# --- frames ------------------------------------------------------------------------------------


def test_there_is_a_frame_for_every_point_and_the_first_shows_the_start(animation):
    frames = list(animation.frames())
    assert len(frames) == len(animation) == STEPS + 1
    assert {frame.shape for frame in frames} == {(480, 640, 3)}
    background = animation.scene.background(legend=True)
    changed = np.argwhere((frames[0] != background).any(axis=2))
    start = animation.scene.trails[0].pixels[0]
    near_start = np.hypot(changed[:, 1] - start[0], changed[:, 0] - (480 - start[1])) < 15
    number_of_step = (changed[:, 0] < 30) & (changed[:, 1] < 110)
    assert near_start.any()
    assert (near_start | number_of_step).all()


def test_the_last_frame_shows_every_path_up_to_its_last_point(animation):
    last = list(animation.frames())[-1]
    assert_shows_every_path(animation, last, tolerance=30)
    top = animation.scene.trails[-1]
    assert nearest(last, top.style.color, top.pixels[-1], reach=3) <= 8


def test_a_frame_drawn_alone_equals_the_same_frame_in_the_film(animation):
    alone = np.asarray(Image.open(BytesIO(animation.to_png())).convert("RGB")).astype(int)
    difference = np.abs(list(animation.frames())[-1].astype(int) - alone)
    # Joints between segments are drawn once or twice; nothing else may differ.
    assert (difference.max(axis=2) > 40).mean() < 2e-3


def test_heads_move_on_from_frame_to_frame(animation):
    frames = list(animation.frames())
    trail = animation.scene.trails[0]
    for step in (5, 15, 25):
        assert nearest(frames[step], trail.style.color, trail.pixels[step], reach=3) <= 60
        assert (frames[step] != frames[step - 1]).any()


def test_each_frame_draws_its_own_segment():
    corners = [[-0.8, 0.8], [0.8, 0.8], [0.8, -0.8], [-0.8, -0.8]]
    animation = animate_paths(Saddle(), {"Adam": corners})
    trail = animation.scene.trails[0]
    for step, frame in enumerate(animation.frames()):
        middles = (trail.pixels[1:] + trail.pixels[:-1]) / 2
        drawn = [nearest(frame, trail.style.color, at, reach=2) <= 8 for at in middles]
        assert drawn == [k < step for k in range(3)]


def test_a_path_that_leaves_stops_with_a_cross(animation):
    trail = next(t for t in animation.scene.trails if "Momentum" in t.track.label)
    assert trail.track.remark == f"leaves at step {trail.track.left_at}"
    frames = list(animation.frames())
    before, after = frames[trail.track.left_at - 1], frames[trail.track.left_at]
    assert nearest(after, trail.style.color, trail.pixels[-1], reach=3) <= 8
    assert nearest(before, trail.style.color, trail.pixels[-1], reach=3) > 8


def test_drawing_leaves_no_figure_open_and_no_setting_changed():
    settings, figures = dict(plt.rcParams), plt.get_fignums()
    animate_paths(Saddle(), {"SGD": [[0.0, 0.5], [0.1, 0.4]]}).to_png()
    assert dict(plt.rcParams) == settings
    assert plt.get_fignums() == figures


def test_paths_of_different_lengths_wait_at_their_ends():
    short, long = [[0.0, 0.5], [0.0, 0.4]], [[0.0, 0.5], [0.1, 0.4], [0.2, 0.3], [0.3, 0.2]]
    assert len(animate_paths(Saddle(), {"SGD": short, "Adam": long})) == 4


def test_one_point_makes_one_frame(tmp_path):
    animation = animate_paths(Saddle(), {"SGD": [[0.0, 0.5]]})
    assert len(list(animation.frames())) == 1
    animation.save(tmp_path / "one.gif")
    assert json_of(animation.to_html())["steps"] == 0


# --- files -------------------------------------------------------------------------------------


def test_gif_has_every_frame_and_every_path_in_the_last(animation, tmp_path):
    animation.save(tmp_path / "film.gif")
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames == STEPS + 1
        pictures = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(film)]
    assert_shows_every_path(animation, pictures[-1], tolerance=30)
    # One whole picture takes about 40 kB; the others hold only what changes.
    assert (tmp_path / "film.gif").stat().st_size < 100_000
    for picture, frame in zip(pictures, animation.frames(), strict=True):
        difference = np.abs(picture.astype(int) - frame).max(axis=2)
        assert (difference > 60).mean() < 1e-3


@pytest.mark.skipif(
    shutil.which("ffmpeg") is None and not os.environ.get("CI"),
    reason="ffmpeg is not installed: saving as .mp4 is not tested",
)
def test_mp4_has_every_frame_and_every_path_in_the_last(animation, tmp_path):
    animation.save(tmp_path / "film.mp4")
    decode = ["ffmpeg", "-loglevel", "error", "-i", str(tmp_path / "film.mp4")]
    raw = subprocess.run(
        [*decode, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=True
    ).stdout
    film = np.frombuffer(raw, dtype=np.uint8).reshape(-1, 480, 640, 3)
    assert len(film) == STEPS + 1
    # Video halves the resolution of colour.
    assert_shows_every_path(animation, film[-1], tolerance=70)


def test_mp4_without_ffmpeg_says_what_is_missing(animation, tmp_path, monkeypatch):
    monkeypatch.setattr(files.shutil, "which", lambda _: None)
    with pytest.raises(RuntimeError, match="needs the program ffmpeg"):
        animation.save(tmp_path / "film.mp4")


def test_png_and_html_are_the_last_frame_and_the_player(animation, tmp_path):
    animation.save(tmp_path / "film.png")
    picture = np.asarray(Image.open(tmp_path / "film.png").convert("RGB"))
    assert_shows_every_path(animation, picture, tolerance=30)
    animation.save(tmp_path / "film.html")
    page = (tmp_path / "film.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert animation.to_html() in page


@pytest.mark.parametrize("name", ["film.avi", "film", "film.gif.zip"])
def test_other_endings_are_refused(animation, name, tmp_path):
    with pytest.raises(ValueError, match=r"path must end in one of \.gif, \.html, \.mp4, \.png"):
        animation.save(tmp_path / name)


def test_dashes_tell_two_runs_of_one_algorithm_apart():
    straight = [[0.0, y] for y in np.linspace(-0.9, 0.9, 40)]
    shifted = [[0.5, y] for y in np.linspace(-0.9, 0.9, 40)]
    animation = animate_paths(Saddle(), {"Adam, lr 0.1": straight, "Adam, lr 0.2": shifted})
    last = list(animation.frames())[-1]
    full, dashed = (
        sum(nearest(last, t.style.color, at, reach=0) <= 60 for at in dense(t.pixels))
        for t in animation.scene.trails
    )
    assert 0.3 * full < dashed < 0.9 * full


def dense(pixels: np.ndarray) -> np.ndarray:
    share = np.linspace(0, 1, 300)[20:-20, None]
    return pixels[0] + share * (pixels[-1] - pixels[0])


# --- player ------------------------------------------------------------------------------------


def json_of(html: str) -> dict:
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', html)[1])


class WellFormed(HTMLParser):
    """Collects tags and fails on one that is not closed in order."""

    VOID = ("input", "meta", "br", "img")

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_player_is_well_formed_self_contained_and_small(animation):
    html = animation.to_html()
    parser = WellFormed()
    parser.feed(html)
    assert parser.open == []
    assert "http" not in html
    assert not any(set(attributes) & {"src", "href", "id"} for _, attributes in parser.seen)
    assert len(html.encode()) < 60_000


def test_player_has_names_for_its_controls_and_its_picture(animation):
    parser = WellFormed()
    parser.feed(animation.to_html())
    tags = {tag: attributes for tag, attributes in parser.seen if tag != "script"}
    assert tags["canvas"]["role"] == "img"
    assert tags["canvas"]["aria-label"] == animation.alt["en"]
    assert tags["button"]["aria-label"]
    assert tags["input"]["aria-label"]
    assert (tags["input"]["max"], tags["input"]["value"]) == (str(STEPS), str(STEPS))


def test_player_data_hold_every_point_and_loss(animation):
    data = json_of(animation.to_html())
    for trail, sent in zip(animation.scene.trails, data["trails"], strict=True):
        pixels = np.cumsum(np.reshape(sent["moves"], (-1, 2)), axis=0) / 4
        expected = np.column_stack([trail.pixels[:, 0], 480 - trail.pixels[:, 1]])
        np.testing.assert_allclose(pixels, expected, atol=0.13)
        assert sent["color"] == trail.style.color
        assert sent["left"] == trail.track.left_at
        until = sent["broken"] if sent["broken"] is not None else STEPS + 1
        np.testing.assert_allclose(sent["losses"], trail.losses[:until], rtol=6e-3)
        assert not np.isfinite(trail.losses[until:]).any() or sent["broken"] is not None


def test_player_background_is_the_scene_at_twice_the_resolution(animation):
    data = json_of(animation.to_html())
    picture = Image.open(BytesIO(base64.b64decode(data["background"].split(",")[1])))
    assert picture.size == (1280, 960)
    decoded = np.asarray(picture.convert("RGB")).astype(int)
    assert np.abs(decoded - animation.scene.background(2)).mean() < 4


def test_text_that_looks_like_html_cannot_break_the_player():
    alt = {"en": '"</script><b>', "zh": "<i>"}
    html = animate_paths(Saddle(), {"</script>": [[0.0, 0.5], [0.0, 0.4]]}, alt=alt).to_html()
    parser = WellFormed()
    parser.feed(html)
    assert parser.open == []
    assert json_of(html)["trails"][0]["label"] == "</script>"
    assert json_of(html)["alt"] == alt


def test_notebooks_get_the_player_and_the_picture(animation):
    bundle = animation._repr_mimebundle_()
    assert bundle["text/html"] == animation.to_html()
    picture = np.asarray(Image.open(BytesIO(base64.b64decode(bundle["image/png"]))).convert("RGB"))
    assert_shows_every_path(animation, picture, tolerance=30)
    assert "31 frames" in bundle["text/plain"]


# --- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"paths": {}}, ValueError, "at least one path, got none"),
        ({"paths": {"SGD": [[np.nan, 0.0]]}}, ValueError, r"paths\['SGD'\] must start at a finite"),
        ({"paths": {"SGD": [[9.0, 0.0]]}}, ValueError, r"paths\['SGD'\] must start inside"),
        ({"paths": {"SGD": [1.0, 2.0]}}, ValueError, r"paths\['SGD'\] must have shape \(n, 2\)"),
        ({"projection": "4d"}, ValueError, "projection must be one of 2d, 3d, got '4d'"),
        ({"size": (640,)}, ValueError, r"size must be \(width, height\)"),
        ({"size": (640, 50)}, ValueError, "size must be a whole number >= 100, got 50"),
        ({"size": (640.5, 480)}, TypeError, "size must be a whole number"),
        ({"interval": 0}, ValueError, "interval must be a whole number >= 10, got 0"),
        ({"alt": {"en": "only"}}, ValueError, "alt must have texts under 'en' and 'zh'"),
    ],
)
def test_bad_arguments_are_named(options, error, words):
    arguments = {"paths": {"SGD": [[0.0, 0.5], [0.0, 0.4]]}} | options
    with pytest.raises(error, match=words):
        animate_paths(Saddle(), **arguments)
