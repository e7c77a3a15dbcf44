"""Operators and objectives: values, gradients, critical points, and what they refuse."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nndl.op import (
    Beale,
    Himmelblau,
    Linear,
    Objective,
    Op,
    OptimizedFunction,
    OptimizedFunction3D,
    Rastrigin,
    Rosenbrock,
    Saddle,
    Valley,
)

OBJECTIVES = [
    OptimizedFunction([0.2, 2.0]),
    OptimizedFunction([-1.0, 3.0]),
    OptimizedFunction3D(),
    Saddle(),
    Valley(),
    Beale(),
    Rosenbrock(),
    Himmelblau(),
    Rastrigin(),
]


def all_objectives(test):
    return pytest.mark.parametrize(
        "objective", OBJECTIVES, ids=lambda f: f"{type(f).__name__}{f.name}"
    )(test)


def points_in(objective: Objective, count: int, seed: int = 0) -> torch.Tensor:
    """Random points of the domain, shape (2, count), float64."""
    low, high = torch.tensor(objective.domain, dtype=torch.float64).T
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(2, count, generator=generator, dtype=torch.float64)
    return low[:, None] + (high - low)[:, None] * unit


def hessian(objective: Objective, point: torch.Tensor) -> torch.Tensor:
    return torch.autograd.functional.hessian(objective.value, point)


def critical_points(objective: Objective) -> list[torch.Tensor]:
    """All points of the domain with a vanishing gradient, by Newton's method from a grid."""
    (x_min, x_max), (y_min, y_max) = objective.domain
    xs, ys = torch.linspace(x_min, x_max, 41), torch.linspace(y_min, y_max, 41)
    points = torch.cartesian_prod(xs, ys).double()
    jacobian = torch.vmap(torch.func.jacfwd(objective.gradient))
    for _ in range(60):
        slopes = objective.gradient(points.T).T
        # The pseudo-inverse leaves a point where it is if its Hessian vanishes.
        points = points - (torch.linalg.pinv(jacobian(points)) @ slopes[..., None])[..., 0]
        points = points[points.abs().max(dim=1).values < 1e6]
    flat = objective.gradient(points.T).abs().max(dim=0).values < 1e-9
    inside = (
        (points[:, 0] >= x_min)
        & (points[:, 0] <= x_max)
        & (points[:, 1] >= y_min)
        & (points[:, 1] <= y_max)
    )
    found: list[torch.Tensor] = []
    for point in points[flat & inside]:
        if all((point - other).norm() > 1e-5 for other in found):
            found.append(point)
    return found


@all_objectives
def test_gradient_agrees_with_autograd_and_central_differences(objective: Objective) -> None:
    x = points_in(objective, 200).requires_grad_()
    (by_autograd,) = torch.autograd.grad(objective.value(x).sum(), x)
    gradient = objective.gradient(x.detach())
    torch.testing.assert_close(gradient, by_autograd, rtol=1e-12, atol=1e-12)

    h = 1e-5
    for axis in (0, 1):
        shift = torch.zeros(2, 1, dtype=torch.float64)
        shift[axis] = h
        x0 = x.detach()
        difference = (objective.value(x0 + shift) - objective.value(x0 - shift)) / (2 * h)
        torch.testing.assert_close(gradient[axis], difference, rtol=1e-5, atol=1e-4)


@all_objectives
def test_states_every_minimum_and_saddle_of_its_domain(objective: Objective) -> None:
    minima, saddles = [], []
    for point in critical_points(objective):
        low, high = torch.linalg.eigvalsh(hessian(objective, point)).tolist()
        if low > 0:
            minima.append(point.tolist())
        elif high > 0:
            saddles.append(point.tolist())
    for stated, found in ((objective.minima, minima), (objective.saddles, saddles)):
        assert len(stated) == len(found)
        if found:
            np.testing.assert_allclose(sorted(stated), sorted(map(tuple, found)), atol=1e-8)


@all_objectives
def test_start_lies_in_the_domain(objective: Objective) -> None:
    for coordinate, (low, high) in zip(objective.start, objective.domain, strict=True):
        assert low <= coordinate <= high


@all_objectives
def test_grid_equals_point_by_point(objective: Objective) -> None:
    grid = points_in(objective, 12).reshape(2, 3, 4)
    values, slopes = objective(grid), objective.gradient(grid)
    assert values.shape == (3, 4)
    assert slopes.shape == grid.shape
    for i, j in np.ndindex(3, 4):
        torch.testing.assert_close(values[i, j], objective.value(grid[:, i, j]))
        torch.testing.assert_close(slopes[:, i, j], objective.gradient(grid[:, i, j]))


@all_objectives
def test_forward_and_backward_use_the_names_of_the_course(objective: Objective) -> None:
    x = points_in(objective, 1)[:, 0]
    assert objective(x) == objective.value(x)
    objective.backward()
    assert objective.params["x"] is x
    assert torch.equal(objective.grads["x"], objective.gradient(x))


def test_known_values() -> None:
    assert OptimizedFunction([0.2, 2.0])([3.0, 4.0]).item() == pytest.approx(33.8)
    assert Beale()([0.0, 0.0]).item() == pytest.approx(1.5**2 + 2.25**2 + 2.625**2)
    assert Rosenbrock()([-1.0, 1.0]).item() == 4
    assert Himmelblau()([0.0, 0.0]).item() == 11**2 + 7**2
    assert Rastrigin()([0.5, 0.0]).item() == pytest.approx(20.25)
    assert Valley()([-7.0, 2.0]).item() == pytest.approx(49 / 20 + 4)


def test_lists_arrays_and_tensors_are_taken() -> None:
    model = OptimizedFunction(torch.tensor([0.2, 2.0]))
    assert model([3, 4]).dtype == torch.float32
    assert model(np.array([3.0, 4.0])).dtype == torch.float64
    assert model(torch.tensor([3.0, 4.0])).dtype == torch.float32


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: OptimizedFunction([1.0]), ValueError, "w must hold two finite numbers"),
        (lambda: OptimizedFunction([1.0, float("nan")]), ValueError, "w must hold two finite"),
        (lambda: OptimizedFunction([1.0, 0.0]), ValueError, "w must hold two finite"),
        (lambda: OptimizedFunction(torch.tensor([1, 2])), TypeError, "w must hold floating"),
        (lambda: OptimizedFunction("ab"), TypeError, "w must be a tensor, an array or a list"),
        (lambda: Saddle()(torch.zeros(3)), ValueError, r"x must have shape .* got \(3,\)"),
        (lambda: Saddle()(torch.tensor([1, 2])), TypeError, r"inputs must hold floating.*int64"),
        (lambda: Saddle()(["a", "b"]), TypeError, "inputs must be a tensor, an array or a list"),
        (lambda: Op()([1.0]), NotImplementedError, r"Op does not define forward"),
        (lambda: Op().backward(), NotImplementedError, r"Op does not define backward"),
        (lambda: Linear(0), ValueError, "input_size must be a whole number >= 1, got 0"),
        (lambda: Linear(2.0), TypeError, "input_size must be a whole number, got 2.0"),
        (lambda: Linear(2, weight_init=lambda shape: torch.zeros(3)), ValueError, "weight_init"),
        (lambda: Linear(2)(torch.zeros(5, 3)), ValueError, r"shape \(K, 2\).*got \(5, 3\)"),
        (lambda: Linear(2)(torch.zeros(0, 2)), ValueError, r"K >= 1, got \(0, 2\)"),
        (lambda: Linear(2).backward(torch.zeros(1)), RuntimeError, "needs a forward pass first"),
    ],
)
def test_bad_input_is_refused(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()


def test_linear_refuses_labels_that_would_broadcast() -> None:
    model = Linear(2)
    model(torch.zeros(5, 2))
    with pytest.raises(ValueError, match=r"labels must have .* or \(5,\), got \(1, 5\)"):
        model.backward(torch.zeros(1, 5))


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 8), features=st.integers(1, 5), seed=st.integers(0, 99))
def test_linear_gradient_is_that_of_half_the_mean_squared_error(rows, features, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(rows, features, generator=generator, dtype=torch.float64)
    labels = torch.randn(rows, 1, generator=generator, dtype=torch.float64)
    model = Linear(features, weight_init=lambda shape: torch.randn(shape, dtype=torch.float64))
    model.params["b"] = model.params["b"].double()
    parameters = {name: value.clone().requires_grad_() for name, value in model.params.items()}
    loss = torch.nn.functional.mse_loss(inputs @ parameters["W"] + parameters["b"], labels) / 2
    loss.backward()

    model(inputs)
    for shape in ((rows, 1), (rows,)):
        model.backward(labels.reshape(shape))
        for name, parameter in parameters.items():
            torch.testing.assert_close(model.grads[name], parameter.grad)


def test_linear_initialisers() -> None:
    torch.manual_seed(0)
    assert torch.equal(Linear(2).params["W"], torch.tensor([[1.5409961], [-0.2934289]]))
    np.random.seed(0)  # noqa: NPY002 - the generator that the published notes use
    by_numpy = Linear(2, weight_init=np.random.standard_normal).params["W"]
    torch.testing.assert_close(by_numpy, torch.tensor([[1.7640524], [0.4001572]]))
    assert by_numpy.dtype == torch.float32
