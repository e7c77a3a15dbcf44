"""The pictures: what is drawn, where a path is cut, what maps and labels say."""

import subprocess
import sys

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from mpl_toolkits.mplot3d import Axes3D

from nndl.op import Himmelblau, OptimizedFunction, OptimizedFunction3D, Saddle, Valley
from nndl.optimizer import Adagrad, Adam, Momentum, Nesterov, Optimizer, RMSprop, SimpleBatchGD
from nndl.training import run_paths, train_f
from nndl.viz import (
    Visualization,
    Visualization3D,
    plot_basins,
    plot_contour,
    plot_losses,
    plot_path,
    plot_sensitivity,
    plot_surface,
    plot_triptych,
    publish,
    save_figure,
    settling_steps,
    style_of,
    styles_of,
    use_style,
    where_it_ends,
)
from nndl.viz.basins import LEFT, MOVING
from nndl.viz.labels import FloatingLabel
from nndl.viz.losses import number
from nndl.viz.sensitivity import DIVERGED, UNSETTLED
from nndl.viz.style import OKABE_ITO
from nndl.viz.surface import to_pixels

MAKERS = {
    "SGD, lr 0.01": lambda f: SimpleBatchGD(0.01, f),
    "AdaGrad, lr 0.5": lambda f: Adagrad(0.5, f, 1e-7),
    "RMSprop, lr 0.1": lambda f: RMSprop(0.1, f, 0.9, 1e-7),
    "Momentum, lr 0.01": lambda f: Momentum(0.01, f, 0.9),
    "Nesterov, lr 0.001": lambda f: Nesterov(0.001, f, 0.9),
    "Adam, lr 0.1": lambda f: Adam(0.1, f, 0.9, 0.99, 1e-7),
}


@pytest.fixture(autouse=True)
def _fresh_figures():
    with mpl.rc_context():
        yield
        plt.close("all")


@pytest.fixture(scope="module")
def cubic_paths():
    """The book's hardest scene: Momentum leaves the view and overflows."""
    return run_paths(OptimizedFunction3D(), MAKERS, 150)


def pixels_of(fig) -> np.ndarray:
    """The drawn figure as an array of shape (height, width, 3)."""
    fig.canvas.draw()
    return np.asarray(fig.canvas.buffer_rgba())[..., :3].astype(int)


def pixels_near(picture: np.ndarray, color: str, tolerance: int = 12) -> int:
    """How many pixels of `picture` have this colour."""
    distance = np.abs(picture - np.round(np.array(to_rgb(color)) * 255)).max(axis=2)
    return int((distance <= tolerance).sum())


def labels_of(ax) -> list[FloatingLabel]:
    return [text for text in ax.texts if isinstance(text, FloatingLabel)]


# --- style -------------------------------------------------------------------------------------


def test_each_algorithm_has_its_own_okabe_ito_colour_and_marker():
    names = ["SGD", "Momentum", "Nesterov", "AdaGrad", "RMSprop", "Adam"]
    styles = [style_of(name) for name in names]
    assert [style.name for style in styles] == names
    assert len({style.color for style in styles}) == len({style.marker for style in styles}) == 6
    assert {style.color for style in styles} <= set(OKABE_ITO.values())


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("GD, lr 0.2", "SGD"),
        ("SimpleBatchGD(0.2)", "SGD"),
        ("Adagrad", "AdaGrad"),
        ("RMSprop, β 0.9", "RMSprop"),
        ("SGD with momentum", "Momentum"),
        ("Nesterov momentum", "Nesterov"),
        ("Adam without bias correction", "Adam"),
        ("AdamW", "AdamW"),
        ("epoch loss", "epoch loss"),
    ],
)
def test_a_label_resolves_to_its_algorithm(label, name):
    assert style_of(label).name == name


def test_no_two_labels_look_alike():
    labels = ["Adam, lr 0.1", "Adam, lr 0.2", "Adam, lr 0.3", "one", "two", "three"]
    looks = {(style.color, style.dash) for style in styles_of(labels).values()}
    assert len(looks) == len(labels)


def test_text_in_any_colour_can_be_read_on_white():
    for name in MAKERS:
        red, green, blue = (
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
            for c in to_rgb(style_of(name).ink)
        )
        assert 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05) >= 4.5


def test_use_style_sets_the_defaults():
    use_style()
    assert mpl.rcParams["figure.constrained_layout.use"]


# --- contour -----------------------------------------------------------------------------------


def test_contour_fills_the_domain_and_names_the_critical_points():
    _, ax = plt.subplots()
    function = OptimizedFunction3D()
    assert plot_contour(function, ax) is ax
    assert (ax.get_xlim(), ax.get_ylim()) == function.domain
    assert [label.get_text() for label in labels_of(ax)] == ["minimum", "saddle"]
    marks = {line.get_marker(): line.get_xydata().tolist() for line in ax.lines}
    assert marks == {"*": [[0.0, 0.0]], "X": [[0.25, -0.5]]}


def test_contour_names_the_variables_as_the_formula_does():
    for function, names in (
        (OptimizedFunction([0.2, 2.0]), ("$x_1$", "$x_2$")),
        (Saddle(), ("$x_0$", "$x_1$")),
    ):
        _, ax = plt.subplots()
        plot_contour(function, ax)
        assert (ax.get_xlabel(), ax.get_ylabel()) == names


def test_one_contour_line_passes_through_the_saddle():
    _, ax = plt.subplots()
    plot_contour(OptimizedFunction3D(), ax)
    assert any(np.isclose(0.0625, group.levels).any() for group in ax.collections)


def test_contour_lines_lie_on_the_valley_floor_and_on_its_walls():
    _, ax = plt.subplots()
    plot_contour(Valley(), ax)
    levels = ax.collections[0].levels
    assert levels.min() < 1.0 < 20 < levels.max() < 30.0


def test_contour_uses_the_current_axes_and_the_levels_given():
    _, ax = plt.subplots()
    assert plot_contour(Saddle(), levels=[-1.0, 0.0, 1.0]) is ax
    assert ax.collections[0].levels.tolist() == [-1.0, 0.0, 1.0]


@pytest.mark.parametrize("levels", [1, [1.0], [1.0, 0.0]])
def test_contour_refuses_bad_levels(levels):
    with pytest.raises(ValueError, match="levels must be"):
        plot_contour(Saddle(), levels=levels)


# --- path --------------------------------------------------------------------------------------


def test_path_draws_all_its_points_with_the_algorithms_look():
    function = OptimizedFunction([0.2, 2.0])
    points, _ = train_f(function, SimpleBatchGD(0.2, function), torch.tensor([3.0, 4.0]), 20)
    _, ax = plt.subplots()
    plot_contour(function, ax)
    line = plot_path(points, ax, label="SGD, lr 0.2")[0]
    assert isinstance(line, Line2D)
    np.testing.assert_array_equal(line.get_xydata(), points.numpy())
    assert line.get_color() == style_of("SGD").color
    assert labels_of(ax)[-1].get_text() == "SGD, lr 0.2"


def test_path_takes_its_label_from_a_path_object_and_colours_from_the_caller(cubic_paths):
    _, ax = plt.subplots()
    line, *_ = plot_path(cubic_paths["Adam, lr 0.1"], ax, color="#123456", marker="h", every=7)
    assert labels_of(ax)[0].get_text() == "Adam, lr 0.1"
    assert (line.get_color(), line.get_marker()) == ("#123456", "h")
    assert line.get_markevery()[:3] == [0, 7, 14]


def test_path_is_cut_at_the_edge_where_it_leaves_the_view(cubic_paths):
    path = cubic_paths["Momentum, lr 0.01"]
    _, ax = plt.subplots()
    plot_contour(OptimizedFunction3D(), ax)
    line = plot_path(path, ax)[0]
    drawn = line.get_xydata()
    assert len(drawn) == path.left_view_at + 1  # the points inside, and the crossing
    np.testing.assert_array_equal(drawn[:-1], path.points[: path.left_view_at])
    assert drawn[-1, 1] == -3.0
    # The crossing lies on the segment that leaves.
    inside, outside = path.points[path.left_view_at - 1 : path.left_view_at + 1]
    along = (drawn[-1] - inside) / (outside - inside)
    assert along[0] == pytest.approx(along[1])
    assert f"leaves at step {path.left_view_at}" in labels_of(ax)[-1].get_text()


def test_path_without_a_view_is_cut_where_it_is_no_longer_finite():
    _, ax = plt.subplots()
    line = plot_path([[0.0, 0.0], [1.0, 1.0], [np.inf, 0.0], [0.0, 0.0]], ax)[0]
    assert line.get_xydata().tolist() == [[0.0, 0.0], [1.0, 1.0]]
    assert labels_of(ax)[0].get_text() == "non-finite at step 2"


def test_a_path_that_stays_has_no_exit_mark():
    _, ax = plt.subplots()
    plot_contour(Saddle(), ax, mark=False)
    plot_path([[0.0, 0.0], [1.0, 0.5]], ax)
    assert "x" not in [line.get_marker() for line in ax.lines]
    assert labels_of(ax) == []


@pytest.mark.parametrize(
    ("path", "error", "words"),
    [
        ([], ValueError, "path must have shape"),
        ([1.0, 2.0], ValueError, r"got \(2,\)"),
        (np.zeros((3, 3)), ValueError, r"got \(3, 3\)"),
        ([[np.nan, 0.0]], ValueError, "finite point"),
        ([["a", "b"]], TypeError, "numbers of shape"),
        ([[9.0, 9.0]], ValueError, "start inside the view"),
    ],
)
def test_path_refuses_what_is_no_path(path, error, words):
    _, ax = plt.subplots()
    plot_contour(Saddle(), ax)
    with pytest.raises(error, match=words):
        plot_path(path, ax)


def test_labels_keep_clear_of_each_other_and_inside_the_axes():
    function = OptimizedFunction([0.2, 2.0])
    use_style()
    fig, ax = plt.subplots()
    plot_contour(function, ax)
    for path in run_paths(function, MAKERS, 50).values():
        plot_path(path, ax)
    fig.canvas.draw()
    boxes = [label.get_window_extent() for label in labels_of(ax)]
    assert len(boxes) == len(MAKERS) + 1
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:index])
        assert ax.bbox.x0 <= box.x0
        assert box.x1 <= ax.bbox.x1


# --- surface -----------------------------------------------------------------------------------


@pytest.mark.parametrize("view", [(38, -58), (38, 122), (15, 30)])
def test_every_point_is_seen_over_the_surface_from_every_side(cubic_paths, view):
    for name, path in cubic_paths.items():
        fig = plt.figure(figsize=(6.4, 4.8), dpi=100)
        ax = fig.add_subplot(projection="3d")
        plot_surface(OptimizedFunction3D(), ax, paths={name: path}, view=view, label=False)
        picture = pixels_of(fig)
        line = ax.lines[-1]
        for x, y in to_pixels(ax, np.column_stack(line.get_data_3d()))[1:-1]:
            row, column = round(480 - y), round(x)
            window = picture[row - 4 : row + 5, column - 4 : column + 5]
            assert pixels_near(window, style_of(name).color, tolerance=60) > 0, name
        plt.close(fig)


def test_surface_cuts_paths_and_floats_them_above(cubic_paths):
    function = OptimizedFunction3D()
    path = cubic_paths["Momentum, lr 0.01"]
    ax = plot_surface(function, paths={"Momentum": path})
    assert isinstance(ax, Axes3D)
    x, y, z = ax.lines[-1].get_data_3d()
    assert len(x) == path.left_view_at + 1
    heights = function.value(torch.tensor(np.stack([x, y]))).numpy()
    assert (z > heights).all()
    assert (ax.get_xlim(), ax.get_ylim()) == function.domain
    assert labels_of(ax)[0].get_text() == f"Momentum\nleaves at step {path.left_view_at}"


def test_surface_needs_three_dimensions_and_paths():
    _, ax = plt.subplots()
    with pytest.raises(TypeError, match='projection="3d"'):
        plot_surface(Saddle(), ax)
    with pytest.raises(ValueError, match="at least one path"):
        plot_surface(Saddle(), paths={})
    with pytest.raises(TypeError, match="paths must map labels"):
        plot_surface(Saddle(), paths=[[0.0, 1.0]])


# --- losses ------------------------------------------------------------------------------------


def test_losses_show_true_values_at_the_ticks():
    fig, ax = plt.subplots()
    plot_losses({"SGD": [100.0, 10.0, 0.5, 0.01]}, ax)
    fig.canvas.draw()
    for tick, label in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True):
        assert label.get_text() == number(tick)
    assert {0.0, 1.0, 100.0} <= set(ax.get_yticks())
    assert labels_of(ax)[0].get_text() == "SGD"


@pytest.mark.parametrize("broken", [np.inf, -np.inf, np.nan])
def test_a_loss_line_stops_where_it_is_no_longer_finite(broken):
    _, ax = plt.subplots()
    plot_losses({"Momentum": [4.0, 2.0, broken, 1.0], "SGD": [4.0, 3.0, 2.0, 1.0]}, ax)
    run, cross, other = (line.get_ydata().tolist() for line in ax.lines)
    assert (run, cross, other) == ([4.0, 2.0], [2.0], [4.0, 3.0, 2.0, 1.0])
    assert labels_of(ax)[0].get_text() == "Momentum\nnon-finite at step 2"


def test_a_loss_that_runs_away_does_not_flatten_the_others():
    _, ax = plt.subplots()
    plot_losses({"Momentum": [4.0, -1e30, -np.inf], "SGD": [4.0, 3.0, 2.0]}, ax)
    assert ax.get_ylim()[0] > -100
    remarks = "off the scale at step 1\nnon-finite at step 2"
    assert labels_of(ax)[0].get_text() == "Momentum\n" + remarks


def test_losses_accept_tensors_every_scale_and_other_words():
    for scale in ("asinh", "log", "linear"):
        _, ax = plt.subplots()
        plot_losses({"a": torch.tensor([2.0, 1.0])}, ax, scale=scale, xlabel="epoch", ylabel="MSE")
        assert (ax.get_yscale(), ax.get_xlabel(), ax.get_ylabel()) == (scale, "epoch", "MSE")


@pytest.mark.parametrize(
    ("losses", "scale", "words"),
    [
        ({}, "asinh", "at least one run"),
        ({"a": []}, "asinh", "row of numbers"),
        ({"a": [np.nan, 1.0]}, "asinh", "finite loss"),
        ({"a": [1.0]}, "sqrt", "scale must be one of asinh, log, linear, got 'sqrt'"),
        ({"a": [1.0, -1.0]}, "log", "positive losses"),
    ],
)
def test_losses_refuse_what_cannot_be_drawn(losses, scale, words):
    with pytest.raises(ValueError, match=words):
        plot_losses(losses, scale=scale)


def test_constant_zero_losses_can_be_drawn():
    fig, ax = plt.subplots()
    plot_losses({"a": [0.0, 0.0]}, ax)
    fig.canvas.draw()


# --- triptych ----------------------------------------------------------------------------------


def test_triptych_shows_each_path_three_times(cubic_paths):
    fig = plot_triptych(OptimizedFunction3D(), cubic_paths)
    surface, contour, losses = fig.axes
    for name in cubic_paths:
        color = style_of(name).color
        for ax in (surface, contour, losses):
            assert color in [line.get_color() for line in ax.lines]
    assert {label.get_text().split("\n")[0] for label in labels_of(losses)} == set(cubic_paths)
    with pytest.raises(ValueError, match="at least one path"):
        plot_triptych(OptimizedFunction3D(), {})


def test_triptych_computes_the_losses_of_bare_arrays():
    fig = plot_triptych(Saddle(), {"SGD": np.array([[0.0, 0.5], [1.0, 0.0]])})
    assert fig.axes[2].lines[0].get_ydata().tolist() == [0.25, -0.5]


# --- sensitivity -------------------------------------------------------------------------------


def settle_slowly(function, optimizer: Optimizer, steps: int, near: float) -> int:
    """Settling step of one run, by the definition."""
    points, _ = train_f(function, optimizer, torch.tensor(function.start).double(), steps)
    points = points.numpy()
    (x_min, x_max), (y_min, y_max) = function.domain
    centre, reach = [(x_min + x_max) / 2, (y_min + y_max) / 2], [x_max - x_min, y_max - y_min]
    if not (np.abs(points - centre) <= 5 * np.array(reach)).all():
        return DIVERGED
    for first in range(steps + 1):
        if all(
            min(np.hypot(*(point - minimum)) for minimum in function.minima) <= near
            for point in points[first:]
        ):
            return first
    return UNSETTLED


@pytest.mark.parametrize(
    ("make", "seconds"),
    [
        (lambda lr, rho, model: Momentum(lr, model, rho), [0.0, 0.5, 0.9]),
        (lambda lr, rho, model: Nesterov(lr, model, rho), [0.3, 0.9]),
        (lambda lr, beta, model: RMSprop(lr, model, beta, 1e-7), [0.9, 0.99]),
        (lambda lr, beta, model: Adam(lr, model, beta, 0.99, 1e-7), [0.0, 0.9]),
        (lambda lr, eps, model: Adagrad(lr, model, eps), [1e-7, 1e-2]),
    ],
)
def test_settling_steps_equal_those_of_single_runs(make, seconds):
    function = OptimizedFunction([0.2, 2.0])
    lrs = [0.01, 0.05, 0.3, 1.5]
    table = settling_steps(function, make, lrs, seconds, steps=60)
    slow = [
        [settle_slowly(function, make(lr, second, function), 60, 0.14) for lr in lrs]
        for second in seconds
    ]
    assert table.tolist() == slow


def test_settling_sees_all_three_outcomes_and_the_start():
    function = OptimizedFunction([0.5, 0.5])
    make = lambda lr, rho, model: Momentum(lr, model, rho)  # noqa: E731
    assert settling_steps(function, make, [1e-4, 1.0, 3.0], [0.0]).tolist() == [
        [UNSETTLED, 1, DIVERGED]
    ]
    assert settling_steps(function, make, [0.1], [0.0], start=(0.01, 0.0)).tolist() == [[0]]


def test_settling_refuses_an_update_that_is_not_proportional_to_the_rate():
    with pytest.raises(ValueError, match="proportional to lr"):
        settling_steps(
            OptimizedFunction([0.2, 2.0]),
            lambda lr, rho, model: Momentum(lr**2, model, rho),
            [0.1],
            [0.9],
        )


@pytest.mark.parametrize(
    ("lrs", "seconds", "words"),
    [
        ([], [0.9], "lrs must be a row"),
        ([-0.1], [0.9], "lrs must be a finite number >= 0"),
        ([0.1], [np.nan], "seconds must be a row of finite"),
    ],
)
def test_settling_refuses_bad_settings(lrs, seconds, words):
    function = OptimizedFunction([0.2, 2.0])
    with pytest.raises(ValueError, match=words):
        settling_steps(function, lambda lr, rho, m: Momentum(lr, m, rho), lrs, seconds)


def test_settling_needs_a_minimum_and_a_tolerance():
    make = lambda lr, rho, model: Momentum(lr, model, rho)  # noqa: E731
    with pytest.raises(ValueError, match="must have a minimum"):
        settling_steps(Saddle(), make, [0.1], [0.9])
    with pytest.raises(ValueError, match="tolerance must be > 0"):
        settling_steps(Valley(), make, [0.1], [0.9], tolerance=0.0)


def test_sensitivity_marks_the_setting_and_names_the_colours():
    fig, ax = plt.subplots()
    plot_sensitivity(
        OptimizedFunction([0.2, 2.0]),
        lambda lr, rho, model: Momentum(lr, model, rho),
        np.geomspace(1e-3, 2, 12),
        np.linspace(0, 0.95, 6),
        ax,
        used=(0.01, 0.9),
        second_label="momentum",
        steps=80,
    )
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["not within 80 steps", "diverged", "used here"]
    assert (ax.get_xscale(), ax.get_ylabel()) == ("log", "momentum")
    assert [[0.01, 0.9]] in [line.get_xydata().tolist() for line in ax.lines]
    assert pixels_near(pixels_of(fig), OKABE_ITO["vermillion"]) > 500


@pytest.mark.parametrize(
    ("lrs", "words"), [([0.2, 0.1], "lrs must increase"), ([0.0, 0.1], "lrs must be > 0")]
)
def test_sensitivity_refuses_an_axis_that_cannot_be_drawn(lrs, words):
    make = lambda lr, rho, model: Momentum(lr, model, rho)  # noqa: E731
    with pytest.raises(ValueError, match=words):
        plot_sensitivity(OptimizedFunction([0.2, 2.0]), make, lrs, [0.9])


# --- basins ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(MAKERS))
@pytest.mark.parametrize("function", [Himmelblau(), OptimizedFunction3D()])
def test_basins_equal_those_of_single_runs(name, function):
    ends = where_it_ends(function, MAKERS[name], steps=40, resolution=5)
    (x_min, x_max), (y_min, y_max) = function.domain
    near = 0.02 * (x_max - x_min)
    for row, y in enumerate(np.linspace(y_min, y_max, 5)):
        for column, x in enumerate(np.linspace(x_min, x_max, 5)):
            start = torch.tensor([x, y])
            end = train_f(function, MAKERS[name](function), start, 40)[0][-1].numpy()
            inside = x_min <= end[0] <= x_max and y_min <= end[1] <= y_max
            expected = MOVING if inside else LEFT
            for index, minimum in enumerate(function.minima):
                if np.hypot(*(end - minimum)) <= near:
                    expected = index
            assert ends[row, column] == expected


def test_basins_draw_every_outcome_with_its_name():
    _, ax = plt.subplots()
    plot_basins(OptimizedFunction3D(), MAKERS["Momentum, lr 0.01"], ax, resolution=20)
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "left the view" in names
    assert "(0, 0)" in names
    assert (ax.get_xlim(), ax.get_ylim()) == OptimizedFunction3D.domain


def test_basins_refuse_bad_numbers():
    for options, words in (
        ({"steps": -1}, "steps must be"),
        ({"resolution": 1}, "resolution must be"),
        ({"tolerance": -1.0}, "tolerance must be > 0"),
    ):
        with pytest.raises(ValueError, match=words):
            where_it_ends(Himmelblau(), MAKERS["SGD, lr 0.01"], **options)


# --- the document's names ----------------------------------------------------------------------


def test_visualization_draws_the_whole_path_and_saves(tmp_path):
    points = torch.tensor([[3.0, 4.0], [2.0, 1.0], [1.0, 0.0]])
    fig = Visualization().plot_2d(OptimizedFunction([0.2, 2.0]), points, tmp_path / "path.pdf")
    assert (tmp_path / "path.pdf").read_bytes().startswith(b"%PDF")
    assert points.tolist() in [line.get_xydata().tolist() for line in fig.axes[0].lines]
    with pytest.raises(ValueError, match=r"fig_name must end in one of .*\.pdf.*'path\.docx'"):
        save_figure(fig, "path.docx")


def movie(**options):
    fig, ax = plt.subplots(subplot_kw={"projection": "3d"})
    plot_surface(Saddle(), ax)
    paths = [np.array([[0.0, 0.5], [0.5, 0.2], [1.0, 0.0]]), np.array([[0.0, 0.5], [0.0, 0.1]])]
    heights = [Saddle().value(torch.tensor(path.T)).tolist() for path in paths]
    return Visualization3D(*paths, z_values=heights, fig=fig, ax=ax, **options)


def test_visualization3d_draws_from_the_first_point_to_the_last(tmp_path):
    animation = movie(labels=["Adam", "SGD"], colors=["#8B0000"], interval=100)
    first = animation.init_animation()
    assert [len(artist.get_data_3d()[0]) for artist in first] == [1, 1, 1, 1]
    *_, head = animation.animate(2)
    assert [len(line.get_data_3d()[0]) for line in animation.lines] == [3, 2]
    assert np.ravel(head.get_data_3d())[:2].tolist() == [0.0, 0.1]
    assert animation.points[0].get_data_3d()[0][0] == 1.0
    assert [line.get_color() for line in animation.lines] == ["#8B0000", style_of("SGD").color]
    animation.save(tmp_path / "movie.gif", writer="pillow")
    assert (tmp_path / "movie.gif").stat().st_size > 1000


def test_visualization3d_needs_no_labels():
    animation = movie()
    assert [line.get_label() for line in animation.lines] == ["path 1", "path 2"]
    animation._init_draw()  # never shown: matplotlib warns of films that were not drawn


def test_visualization3d_refuses_what_does_not_fit():
    fig, ax = plt.subplots(subplot_kw={"projection": "3d"})
    path = [[0.0, 0.0], [1.0, 1.0]]
    with pytest.raises(ValueError, match="at least one path"):
        Visualization3D(z_values=[], fig=fig, ax=ax)
    with pytest.raises(ValueError, match="got 0 for 1 paths"):
        Visualization3D(path, z_values=[], fig=fig, ax=ax)
    with pytest.raises(ValueError, match=r"z_values\[0\] must have shape \(2,\), got \(1,\)"):
        Visualization3D(path, z_values=[[1.0]], fig=fig, ax=ax)


# --- publishing --------------------------------------------------------------------------------


def test_publish_closes_the_figure_outside_a_notebook():
    fig = plt.figure()
    publish("fig-a", fig)
    assert not plt.fignum_exists(fig.number)
    with pytest.raises(ValueError, match="non-empty"):
        publish("", fig)


def test_publish_shows_and_glues_once_in_a_notebook():
    display = pytest.importorskip("IPython.core.interactiveshell")
    pytest.importorskip("myst_nb")
    from IPython.utils.capture import capture_output

    display.InteractiveShell.instance()
    try:
        with capture_output() as shown:
            publish("fig-a", {"a": 1})
            publish("fig-b", plt.figure(figsize=(4, 3)))
        assert len(shown.outputs) == 2
        picture = shown.outputs[1]
        assert picture.data["image/png"]
        assert picture.metadata["image/png"]["width"] == pytest.approx(4 * 96, abs=20)
        assert shown.outputs[0].metadata["scrapbook"] == {"name": "fig-a", "mime_prefix": ""}
    finally:
        display.InteractiveShell.clear_instance()


def test_importing_nndl_imports_no_matplotlib():
    code = "import sys, nndl; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
