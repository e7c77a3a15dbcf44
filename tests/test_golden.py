"""The golden figures: what the experiments of section 7.3 really give.

Most stand in the published notes' own settings; where those notes report another number, the
chapters say why. Tolerances are half a unit of the last digit that is stated.
"""

from functools import partial

import numpy as np
import pytest
import torch

from nndl.op import Linear, OptimizedFunction, OptimizedFunction3D, Saddle
from nndl.optimizer import Adagrad, Adam, Momentum, RMSprop, SimpleBatchGD
from nndl.training import run_paths, train, train_f

RUNS = {
    "SGD": (lambda model: SimpleBatchGD(0.2, model), 19, (0.61530, 2.1e-13), 0.07572),
    "AdaGrad": (lambda model: Adagrad(0.5, model, 1e-7), 49, (0.041582, 0.262336), 0.137986),
    "RMSprop": (lambda model: RMSprop(0.1, model, 0.9, 1e-7), 49, (0.0037355, 0.122232), 0.029884),
    "Momentum": (lambda model: Momentum(0.01, model, 0.9), 49, (0.22542, -0.302769), 0.193501),
    "Adam": (
        lambda model: Adam(0.2, model, 0.9, 0.99, 1e-7),
        19,
        (-0.203747, 0.559034),
        0.633340,
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_two_dimensional_experiment(name: str) -> None:
    make, updates, point, loss = RUNS[name]
    model = OptimizedFunction([0.2, 2.0])
    points, losses = train_f(model, make(model), torch.tensor([3.0, 4.0]), updates)
    np.testing.assert_allclose(points[-1], point, rtol=2e-5, atol=1e-6)
    assert losses[-1] == pytest.approx(loss, rel=2e-5)


def test_adagrad_steps_shrink_from_the_first_to_the_last() -> None:
    model = OptimizedFunction([0.2, 2.0])
    points, _ = train_f(model, Adagrad(0.5, model, 1e-7), torch.tensor([3.0, 4.0]), 49)
    steps = points.diff(dim=0).norm(dim=1)
    assert steps[0].item() == pytest.approx(0.70711, abs=5e-6)
    assert steps[-1].item() == pytest.approx(0.013421, abs=5e-7)
    assert (steps.diff() < 0).all()


def test_momentum_grows_then_oscillates() -> None:
    model = OptimizedFunction([0.2, 2.0])
    points, _ = train_f(model, Momentum(0.01, model, 0.9), torch.tensor([3.0, 4.0]), 49)
    steps = points.diff(dim=0).norm(dim=1)
    assert steps[0].item() == pytest.approx(0.16045, abs=5e-6)
    assert steps.argmax() == 6
    assert steps.max().item() == pytest.approx(0.58431, abs=5e-6)
    assert steps[-1].item() == pytest.approx(0.03143, abs=5e-6)
    assert points[:, 1].min().item() == pytest.approx(-1.74568, abs=5e-6)
    assert (points[1:, 1].sign() != points[:-1, 1].sign()).sum() == 3


def published_data() -> torch.Tensor:
    """The data of the fitting experiment, shape (1000, 3)."""
    torch.manual_seed(0)
    inputs = torch.randn(1000, 2)
    noise = 0.01 * torch.rand(1000)
    labels = inputs @ torch.tensor([0.5, 0.8]) + noise
    return torch.cat([inputs, labels[:, None]], dim=1)


FITS = {
    "SGD": (lambda model: SimpleBatchGD(0.01, model), 1.633e-4, 0.23875),
    "AdaGrad": (lambda model: Adagrad(0.1, model, 1e-7), 7.863e-6, 0.052938),
    "RMSprop": (lambda model: RMSprop(0.1, model, 0.9, 1e-7), 7.452e-3, 0.016420),
    "Momentum": (lambda model: Momentum(0.01, model, 0.9), 7.853e-6, 0.047725),
    "Adam": (lambda model: Adam(0.1, model, 0.9, 0.99, 1e-7), 1.0248e-5, 0.024814),
}


@pytest.mark.parametrize("name", FITS)
def test_fitting_experiment(name: str) -> None:
    make, last_epoch, running_mean = FITS[name]
    data = published_data()
    torch.manual_seed(0)
    model = Linear(2)
    iter_loss, epoch_loss = train(data, 30, 64, model, torch.nn.MSELoss(), make(model))
    assert len(iter_loss) == 480
    assert epoch_loss[-1] == pytest.approx(last_epoch, rel=1e-3)
    assert np.mean(iter_loss) == pytest.approx(running_mean, rel=1e-3)


def test_momentum_overshoots_the_minimum_and_falls_off_the_surface() -> None:
    objective = OptimizedFunction3D()
    paths = run_paths(
        objective,
        {
            "SGD": lambda f: SimpleBatchGD(0.01, f),
            "AdaGrad": lambda f: Adagrad(0.5, f, 1e-7),
            "RMSprop": lambda f: RMSprop(0.1, f, 0.9, 1e-7),
            "Momentum": lambda f: Momentum(0.01, f, 0.9),
            "Adam": lambda f: Adam(0.1, f, 0.9, 0.99, 1e-7),
        },
        steps=150,
    )
    np.testing.assert_allclose(paths["SGD"].points[149], (0.0987, -0.0719), atol=5e-5)
    np.testing.assert_allclose(paths["AdaGrad"].points[149], (-0.0466, 0.0766), atol=5e-5)
    np.testing.assert_allclose(paths["Adam"].points[149], (-0.0017, 0.0055), atol=5e-5)
    assert np.linalg.norm(paths["RMSprop"].points[149]) < 0.1
    wild = paths.pop("Momentum")
    assert wild.left_view_at == 10
    assert wild.nonfinite_at == 25
    distance = np.linalg.norm(wild.points[: wild.left_view_at] - objective.saddles[0], axis=1)
    assert distance.min() > 0.7
    assert all(path.left_view_at is None for path in paths.values())


def test_who_leaves_the_saddle_and_when() -> None:
    paths = run_paths(
        Saddle(),
        {
            "Adam": lambda f: Adam(0.05, f, 0.9, 0.99, 1e-7),
            "AdaGrad": lambda f: Adagrad(0.05, f, 1e-7),
            "RMSprop": lambda f: RMSprop(0.05, f, 0.9, 1e-7),
            "Momentum": lambda f: Momentum(0.05, f, 0.9),
            "SGD": lambda f: SimpleBatchGD(0.05, f),
        },
        steps=100,
    )
    far = {name: np.abs(path.points[:, 0]) > 1 for name, path in paths.items()}
    leaves = {name: int(out.argmax()) for name, out in far.items() if out.any()}
    # With epsilon inside the root, as in the published listing: RMSprop 10, Adam 22, AdaGrad 58.
    assert leaves == {"Adam": 21, "AdaGrad": 57, "RMSprop": 8, "Momentum": 66}
    assert paths["SGD"].points[99, 0] == pytest.approx(0.00125, abs=5e-6)


def test_one_step_from_shared_weights_equals_torch_bit_for_bit() -> None:
    """The check that the published notes meant: same weights, and the same bias."""
    data = published_data()
    torch.manual_seed(0)
    ours = Linear(2)
    theirs = torch.nn.Linear(2, 1)
    with torch.no_grad():
        theirs.weight.copy_(ours.params["W"].T)
        theirs.bias.copy_(ours.params["b"])
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.01)
    inputs, labels = data[:1, :2], data[:1, 2:]

    ours(inputs)
    ours.backward(labels)
    SimpleBatchGD(0.01, ours).step()
    (torch.nn.functional.mse_loss(theirs(inputs), labels) / 2).backward()
    optimizer.step()
    assert torch.equal(ours.params["W"], theirs.weight.T)
    assert torch.equal(ours.params["b"], theirs.bias)


@pytest.mark.parametrize(("lr", "converges"), [(0.49, True), (0.51, False)])
def test_gradient_descent_is_stable_below_one_half(lr: float, converges: bool) -> None:
    model = OptimizedFunction(torch.tensor([0.2, 2.0], dtype=torch.float64))
    start = torch.tensor([3.0, 4.0], dtype=torch.float64)
    _, losses = train_f(model, partial(SimpleBatchGD, lr)(model), start, 500)
    assert (losses[-1] < 1e-6) == converges
