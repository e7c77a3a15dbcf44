"""The NNDL shells: state, step counter, and what they refuse."""

import math

import pytest
import torch
from parity_harness import Parameters

from nndl.op import OptimizedFunction
from nndl.optimizer import Adagrad, Adam, Momentum, Nesterov, Optimizer, RMSprop, SimpleBatchGD

MAKE = {
    "SimpleBatchGD": lambda lr, model: SimpleBatchGD(lr, model),
    "Momentum": lambda lr, model: Momentum(lr, model, 0.9),
    "Nesterov": lambda lr, model: Nesterov(lr, model, 0.9),
    "Adagrad": lambda lr, model: Adagrad(lr, model, 1e-7),
    "RMSprop": lambda lr, model: RMSprop(lr, model, 0.9, 1e-7),
    "Adam": lambda lr, model: Adam(lr, model, 0.9, 0.99, 1e-7),
}
every_optimizer = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE.keys())


def bowl() -> OptimizedFunction:
    model = OptimizedFunction([0.2, 2.0])
    model(torch.tensor([3.0, 4.0]))
    model.backward()
    return model


@every_optimizer
@pytest.mark.parametrize("lr", [-0.1, math.nan, math.inf, -math.inf])
def test_bad_rates_are_refused(make, lr) -> None:
    with pytest.raises(ValueError, match=r"init_lr must be .*finite.* got"):
        make(lr, bowl())
    optimizer = make(0.1, bowl())
    with pytest.raises(ValueError, match="init_lr"):
        optimizer.init_lr = lr
    assert optimizer.init_lr == 0.1


@every_optimizer
@pytest.mark.parametrize("lr", ["0.1", None, True, [0.1], 1j])
def test_a_rate_that_is_no_number_is_refused(make, lr) -> None:
    with pytest.raises(TypeError, match="init_lr must be a real number, got"):
        make(lr, bowl())


@pytest.mark.parametrize("value", [-0.1, 1.0, 1.5, math.nan, math.inf])
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("rho", lambda value: Momentum(0.1, bowl(), value)),
        ("rho", lambda value: Nesterov(0.1, bowl(), value)),
        ("beta", lambda value: RMSprop(0.1, bowl(), value, 1e-7)),
        ("beta1", lambda value: Adam(0.1, bowl(), value, 0.99, 1e-7)),
        ("beta2", lambda value: Adam(0.1, bowl(), 0.9, value, 1e-7)),
    ],
)
def test_bad_decays_are_refused(name, call, value) -> None:
    with pytest.raises(ValueError, match=rf"{name} must (lie in \[0, 1\)|be finite), got {value}"):
        call(value)


@pytest.mark.parametrize("value", [-1e-8, math.nan, math.inf])
@pytest.mark.parametrize(
    "call",
    [
        lambda value: Adagrad(0.1, bowl(), value),
        lambda value: RMSprop(0.1, bowl(), 0.9, value),
        lambda value: Adam(0.1, bowl(), 0.9, 0.99, value),
    ],
)
def test_bad_epsilons_are_refused(call, value) -> None:
    with pytest.raises(ValueError, match=r"epsilon must be .*finite.* got"):
        call(value)


@every_optimizer
def test_models_without_parameters_are_refused(make) -> None:
    with pytest.raises(TypeError, match=r"model must have a dictionary 'params'.*Linear"):
        make(0.1, torch.nn.Linear(2, 1))
    with pytest.raises(ValueError, match="model must have at least one parameter"):
        make(0.1, Parameters({}))


@every_optimizer
@pytest.mark.parametrize(
    ("params", "grads", "error", "message"),
    [
        ({"W": torch.ones(2)}, {}, ValueError, r"grads\['W'\] must be a tensor, got None"),
        ({"W": torch.ones(2)}, {"W": 0}, ValueError, r"grads\['W'\] must be a tensor, got 0"),
        (
            {"W": torch.ones(2)},
            {"W": torch.ones(2, 1)},
            ValueError,
            r"grads\['W'\] must have shape \(2,\).*got \(2, 1\)",
        ),
        (
            {"W": torch.ones(2)},
            {"W": torch.ones(2).double()},
            ValueError,
            r"float32.*got .*float64",
        ),
        (
            {"W": torch.ones(2, dtype=torch.int64)},
            {"W": torch.ones(2, dtype=torch.int64)},
            TypeError,
            r"params\['W'\] must be a floating-point tensor, got torch.int64",
        ),
        ({"W": 3.0}, {"W": 1.0}, TypeError, r"params\['W'\] must be a floating-point .* got float"),
    ],
)
def test_bad_gradients_are_refused_before_anything_moves(
    make, params, grads, error, message
) -> None:
    good = torch.ones(3)
    model = Parameters({"good": good, **params}, {"good": torch.ones(3), **grads})
    optimizer = make(0.1, model)
    with pytest.raises(error, match=message):
        optimizer.step()
    assert torch.equal(good, torch.ones(3))
    assert getattr(optimizer, "t", 0) == 0


@every_optimizer
def test_a_parameter_that_changes_shape_is_refused_or_needs_no_state(make) -> None:
    model = bowl()
    optimizer = make(0.1, model)
    optimizer.step()
    model(torch.ones(2, 5))
    model.backward()
    if isinstance(optimizer, SimpleBatchGD):
        optimizer.step()
        return
    with pytest.raises(ValueError, match=r"changed its shape from \(2,\) to \(2, 5\)"):
        optimizer.step()


@every_optimizer
def test_updates_in_place_also_where_autograd_watches(make) -> None:
    weight = torch.ones(3, requires_grad=True)
    model = Parameters({"W": weight}, {"W": torch.ones(3)})
    make(0.1, model).step()
    assert model.params["W"] is weight
    assert (weight < 1).all()


@every_optimizer
def test_a_rate_of_zero_moves_nothing(make) -> None:
    model = bowl()
    make(0.0, model).step()
    assert model.params["x"].tolist() == [3.0, 4.0]


def test_base_class_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Optimizer(0.1, bowl())


def test_adam_counts_steps_not_parameters() -> None:
    model = Parameters({"a": torch.ones(1), "b": torch.ones(1)})
    optimizer = Adam(0.1, model, 0.9, 0.99, 1e-7)
    for _ in range(3):
        model.grads = {name: 2 * value for name, value in model.params.items()}
        optimizer.step()
    assert optimizer.t == 3
    assert torch.equal(model.params["a"], model.params["b"])
    assert model.params["a"].item() == pytest.approx(0.7015, abs=5e-5)


def test_methods_keep_the_signatures_of_the_course() -> None:
    x, g = torch.tensor([3.0, 4.0]), torch.tensor([1.2, 16.0])
    zeros = torch.zeros(2)
    new_x, total = Adagrad(0.5, bowl(), 0.0).adagrad(x.clone(), g, zeros.clone(), 0.5)
    torch.testing.assert_close(new_x, x - 0.5)
    torch.testing.assert_close(total, g**2)
    new_x, mean = RMSprop(0.1, bowl(), 0.75, 0.0).rmsprop(x.clone(), g, zeros.clone(), 0.1)
    torch.testing.assert_close(new_x, x - 0.2)
    torch.testing.assert_close(mean, g**2 / 4)
    new_x, velocity = Momentum(0.1, bowl(), 0.9).momentum(x.clone(), g, zeros.clone(), 0.1)
    torch.testing.assert_close(new_x, x - 0.1 * g)
    torch.testing.assert_close(velocity, g)
    new_x, second, first, t = Adam(0.5, bowl(), 0.9, 0.99, 0.0).adam(
        x.clone(), g, zeros.clone(), zeros.clone(), 1, 0.5
    )
    torch.testing.assert_close(new_x, x - 0.5)
    torch.testing.assert_close(second, 0.01 * g**2)
    torch.testing.assert_close(first, 0.1 * g)
    assert t == 1


def test_repr_names_the_rate_and_the_model() -> None:
    text = repr(SimpleBatchGD(0.2, bowl()))
    assert text == "SimpleBatchGD(init_lr=0.2, model=OptimizedFunction)"
