"""Every optimiser equals its namesake in torch.optim; the same test catches every wrong copy."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity_harness import MakeOurs, MakeTheirs, largest_difference
from wrong_optimisers import WRONG

from nndl.optimizer import Adagrad, Adam, Momentum, Nesterov, RMSprop, SimpleBatchGD

PLAIN = {"foreach": False}
PAIRS: dict[str, tuple[MakeOurs, MakeTheirs]] = {
    "SGD": (
        lambda lr, model: SimpleBatchGD(lr, model),
        lambda params, lr: torch.optim.SGD(params, lr=lr, **PLAIN),
    ),
    "Momentum": (
        lambda lr, model: Momentum(lr, model, 0.9),
        lambda params, lr: torch.optim.SGD(params, lr=lr, momentum=0.9, **PLAIN),
    ),
    "Nesterov": (
        lambda lr, model: Nesterov(lr, model, 0.9),
        lambda params, lr: torch.optim.SGD(params, lr=lr, momentum=0.9, nesterov=True, **PLAIN),
    ),
    "Adagrad": (
        lambda lr, model: Adagrad(lr, model, 1e-7),
        lambda params, lr: torch.optim.Adagrad(params, lr=lr, eps=1e-7, **PLAIN),
    ),
    "RMSprop": (
        lambda lr, model: RMSprop(lr, model, 0.9, 1e-7),
        lambda params, lr: torch.optim.RMSprop(params, lr=lr, alpha=0.9, eps=1e-7, **PLAIN),
    ),
    "Adam": (
        lambda lr, model: Adam(lr, model, 0.9, 0.99, 1e-7),
        lambda params, lr: torch.optim.Adam(params, lr=lr, betas=(0.9, 0.99), eps=1e-7, **PLAIN),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_torch_bit_for_bit(name: str, dtype: torch.dtype) -> None:
    assert largest_difference(*PAIRS[name], dtype=dtype) == 0.0


@pytest.mark.parametrize("name", PAIRS)
def test_equals_the_default_of_torch(name: str) -> None:
    """Torch's default may take another implementation (foreach), which rounds differently."""
    ours, theirs = PAIRS[name]

    def default(params: list[torch.Tensor], lr: float) -> torch.optim.Optimizer:
        plain = theirs(params, lr)
        options = {
            key: value
            for key, value in plain.defaults.items()
            if key not in {"foreach", "fused", "decoupled_weight_decay"}
        }
        return type(plain)(params, **options)

    assert largest_difference(ours, default, dtype=torch.float64) < 1e-12


@pytest.mark.parametrize("mistake", WRONG)
def test_wrong_copy_is_caught(mistake: str) -> None:
    """Far over the rounding of float64, and so by the tests above."""
    name, make_wrong = WRONG[mistake]
    assert largest_difference(make_wrong, PAIRS[name][1], dtype=torch.float64) > 1e-9


def test_enough_mistakes_are_tried() -> None:
    assert len(WRONG) >= 18
    assert {name for name, _ in WRONG.values()} == set(PAIRS)


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(sorted(PAIRS)),
    shape=st.lists(st.integers(1, 4), max_size=4).map(tuple),
    lr=st.floats(0, 10),
)
def test_any_shape_and_rate(name: str, shape: tuple[int, ...], lr: float) -> None:
    shapes = {"any": shape, "one": (1,)}
    gap = largest_difference(*PAIRS[name], dtype=torch.float64, lr=lr, shapes=shapes, steps=60)
    assert gap == 0.0


@settings(max_examples=15, deadline=None)
@given(
    lr=st.floats(1e-6, 1.0),
    beta1=st.floats(0, 0.999),
    beta2=st.floats(0, 0.9999),
    eps=st.floats(1e-12, 1e-2),
)
def test_adam_for_any_rates(lr: float, beta1: float, beta2: float, eps: float) -> None:
    gap = largest_difference(
        lambda rate, model: Adam(rate, model, beta1, beta2, eps),
        lambda params, rate: torch.optim.Adam(
            params, lr=rate, betas=(beta1, beta2), eps=eps, **PLAIN
        ),
        dtype=torch.float64,
        lr=lr,
        steps=60,
    )
    assert gap == 0.0
