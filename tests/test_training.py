"""train_f, run_paths and train: what they return, what they leave alone, what they refuse."""

import numpy as np
import pytest
import torch
from parity_harness import Parameters

from nndl import training
from nndl.op import Linear, OptimizedFunction, OptimizedFunction3D, Saddle
from nndl.optimizer import Adam, Momentum, SimpleBatchGD
from nndl.training import (
    NonFiniteError,
    plot_loss,
    run_paths,
    train,
    train_and_plot,
    train_and_plot_f,
    train_f,
    train_f_torch,
)

MSE = torch.nn.MSELoss()


def samples(count: int) -> torch.Tensor:
    """Rows (x₁, x₂, 0.5 x₁ + 0.8 x₂)."""
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(count, 2, generator=generator)
    return torch.cat([inputs, inputs @ torch.tensor([[0.5], [0.8]])], dim=1)


def test_train_f_returns_every_point_and_its_loss() -> None:
    model = OptimizedFunction([0.2, 2.0])
    points, losses = train_f(model, SimpleBatchGD(0.2, model), [3.0, 4.0], 20)
    assert points.shape == (21, 2)
    assert len(losses) == 21
    steps = torch.arange(21)
    torch.testing.assert_close(points[:, 0], 3 * 0.92**steps)
    torch.testing.assert_close(points[:, 1], 4 * 0.2**steps)
    assert losses == [float(model.value(point)) for point in points]


@pytest.mark.parametrize("epoch", [0, 1, 7])
def test_train_f_never_touches_the_start(epoch: int) -> None:
    model = OptimizedFunction([0.2, 2.0])
    for start in (torch.tensor([3.0, 4.0]), np.array([3.0, 4.0])):
        points, _ = train_f(model, Adam(0.2, model, 0.9, 0.99, 1e-7), start, epoch)
        assert start.tolist() == [3.0, 4.0]
        assert points[0].tolist() == [3.0, 4.0]
        assert len(points) == epoch + 1


def test_points_do_not_change_afterwards() -> None:
    model = OptimizedFunction([0.2, 2.0])
    optimizer = Momentum(0.01, model, 0.9)
    points, _ = train_f(model, optimizer, [3.0, 4.0], 5)
    copy = points.clone()
    model.backward()
    optimizer.step()
    assert torch.equal(points, copy)


def test_train_f_records_infinities_unless_asked_to_stop() -> None:
    model = OptimizedFunction3D()
    _, losses = train_f(model, Momentum(0.01, model, 0.9), [2.0, 3.0], 30)
    first = next(i for i, loss in enumerate(losses) if not np.isfinite(loss))
    assert losses[first] == -np.inf
    assert np.isnan(losses[first + 1])
    with pytest.raises(NonFiniteError, match=rf"step {first}: f\(.*\) = -inf; a smaller"):
        train_f(model, Momentum(0.01, model, 0.9), [2.0, 3.0], 30, stop_on_nonfinite=True)


def test_train_f_torch_takes_the_same_steps() -> None:
    model = Saddle()
    start = torch.tensor([1e-5, 0.5])
    ours, our_losses = train_f(model, Momentum(0.05, model, 0.9), start, 60)
    theirs, their_losses = train_f_torch(
        model, lambda x: torch.optim.SGD(x, lr=0.05, momentum=0.9), start, 60
    )
    assert torch.equal(ours, theirs)
    assert our_losses == their_losses
    assert start.tolist() == torch.tensor([1e-5, 0.5]).tolist()


def test_run_paths_says_where_a_path_left_the_view() -> None:
    objective = OptimizedFunction3D()
    paths = run_paths(
        objective,
        {"GD": lambda f: SimpleBatchGD(0.01, f), "Momentum": lambda f: Momentum(0.01, f, 0.9)},
        steps=30,
    )
    assert list(paths) == ["GD", "Momentum"]
    calm, wild = paths["GD"], paths["Momentum"]
    assert calm.points.shape == (31, 2)
    assert calm.losses.shape == (31,)
    assert calm.left_view_at is None
    assert calm.nonfinite_at is None
    assert (np.abs(wild.points[: wild.left_view_at]) <= 3).all()
    assert (np.abs(wild.points[wild.left_view_at]) > 3).any()
    assert np.isfinite(wild.losses[: wild.nonfinite_at]).all()
    assert not np.isfinite(wild.losses[wild.nonfinite_at])


def test_epoch_loss_is_the_epochs_own_mean() -> None:
    model = Linear(2)
    iter_loss, epoch_loss = train(samples(100), 3, 16, model, MSE, SimpleBatchGD(0.1, model))
    assert len(iter_loss) == 3 * 7
    np.testing.assert_allclose(epoch_loss, np.reshape(iter_loss, (3, 7)).mean(axis=1))


def test_train_takes_a_loss_that_autograd_watches() -> None:
    """``loss.numpy()`` would fail here."""
    weight = torch.zeros(2, 1, requires_grad=True)

    class Autograd(Parameters):
        def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
            self.outputs = inputs @ weight
            return self.outputs

        def backward(self, labels: torch.Tensor) -> None:
            (self.grads["W"],) = torch.autograd.grad(MSE(self.outputs, labels), weight)

    model = Autograd({"W": weight})
    _, epoch_loss = train(samples(50), 20, 10, model, MSE, SimpleBatchGD(0.1, model))
    assert epoch_loss[-1] < epoch_loss[0] / 100


def test_train_stops_at_the_first_non_finite_loss_if_asked() -> None:
    model = Linear(2)
    data = samples(64)
    iter_loss, _ = train(data, 40, 8, model, MSE, SimpleBatchGD(1e6, model))
    first = next(i for i, loss in enumerate(iter_loss, start=1) if not np.isfinite(loss))
    model = Linear(2)
    with pytest.raises(NonFiniteError, match=r"step \d+ \(epoch \d+\): the loss is (inf|nan)"):
        train(data, 40, 8, model, MSE, SimpleBatchGD(1e6, model), stop_on_nonfinite=True)
    assert first > 1


def test_verbose_prints_a_line_an_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    model = Linear(2)
    train(samples(10), 2, 5, model, MSE, SimpleBatchGD(0.1, model), verbose=True)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]


def test_long_runs_show_progress_and_short_ones_do_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = OptimizedFunction([0.2, 2.0])
    train_f(model, SimpleBatchGD(0.2, model), [3.0, 4.0], 20)
    assert capsys.readouterr().err == ""
    bar = training.tqdm
    monkeypatch.setattr(training, "tqdm", lambda items, **kw: bar(items, **{**kw, "delay": 0}))
    train_f(model, SimpleBatchGD(0.2, model), [3.0, 4.0], 20)
    assert "20" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"data": torch.zeros(0, 3)}, ValueError, r"data must have shape .* got \(0, 3\)"),
        ({"data": torch.zeros(5)}, ValueError, r"data must have shape .* got \(5,\)"),
        ({"data": torch.zeros(5, 1)}, ValueError, r"data must have shape .* got \(5, 1\)"),
        ({"data": torch.zeros(5, 3).long()}, TypeError, "data must hold floating-point"),
        ({"batch_size": 0}, ValueError, "batch_size must be a whole number >= 1, got 0"),
        ({"batch_size": 2.5}, TypeError, "batch_size must be a whole number, got 2.5"),
        ({"num_epochs": -1}, ValueError, "num_epochs must be a whole number >= 0, got -1"),
    ],
)
def test_train_refuses_bad_input(change, error, message) -> None:
    model = Linear(2)
    arguments = {
        "data": samples(10),
        "num_epochs": 1,
        "batch_size": 5,
        "model": model,
        "calculate_loss": MSE,
        "optimizer": SimpleBatchGD(0.1, model),
    }
    with pytest.raises(error, match=message):
        train(**{**arguments, **change})


def test_an_optimizer_of_another_model_is_refused() -> None:
    stranger = SimpleBatchGD(0.1, Linear(2))
    with pytest.raises(ValueError, match="optimizer must have been made for the model"):
        train(samples(10), 1, 5, Linear(2), MSE, stranger)
    with pytest.raises(ValueError, match="optimizer must have been made for the model"):
        train_f(Saddle(), SimpleBatchGD(0.1, Saddle()), [0.0, 1.0], 5)


@pytest.mark.parametrize(
    ("start", "epoch", "error", "message"),
    [
        ([1.0, 2.0, 3.0], 1, ValueError, r"x_init must be one point of shape \(2,\), got \(3,\)"),
        (torch.tensor([1, 2]), 1, TypeError, "x_init must hold floating-point numbers"),
        ([1.0, 2.0], -1, ValueError, "epoch must be a whole number >= 0, got -1"),
        ([1.0, 2.0], 1.5, TypeError, "epoch must be a whole number, got 1.5"),
    ],
)
def test_train_f_refuses_bad_input(start, epoch, error, message) -> None:
    model = Saddle()
    with pytest.raises(error, match=message):
        train_f(model, SimpleBatchGD(0.1, model), start, epoch)


@pytest.mark.parametrize("start", [[1.0], [float("nan"), 1.0], [float("inf"), 1.0]])
def test_run_paths_refuses_a_bad_start(start) -> None:
    with pytest.raises(ValueError, match="start must be one finite point"):
        run_paths(Saddle(), {"GD": lambda f: SimpleBatchGD(0.1, f)}, 3, start=start)


def test_run_paths_needs_an_optimizer() -> None:
    with pytest.raises(ValueError, match="optimizers must name at least one"):
        run_paths(Saddle(), {}, 3)


def test_plot_helpers_draw_what_was_run(tmp_path) -> None:
    model = OptimizedFunction([0.2, 2.0])
    figure = train_and_plot_f(model, SimpleBatchGD(0.2, model), 20, tmp_path / "path.pdf")
    assert (tmp_path / "path.pdf").stat().st_size > 0
    trace = max((line.get_xydata() for line in figure.axes[0].lines), key=len)
    np.testing.assert_allclose(trace, train_f(model, SimpleBatchGD(0.2, model), [3, 4], 20)[0])

    line = Linear(2)
    figure = train_and_plot(SimpleBatchGD(0.01, line), tmp_path / "loss.png", data=samples(100))
    assert (tmp_path / "loss.png").stat().st_size > 0
    assert [axes.get_xlabel() for axes in figure.axes] == ["iteration", "epoch"]


def test_plot_loss_refuses_a_file_that_cannot_be_written(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"\.docx"):
        plot_loss([1.0, 0.5], [0.75], tmp_path / "loss.docx")
