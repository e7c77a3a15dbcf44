"""Every algorithm of nndl.optim equals torch's bit for bit; every wrong copy is caught."""

import io
import os
import pickle
import shutil
import sysconfig
import warnings
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from optim_harness import (
    INFO,
    STEPS,
    SWITCHES,
    Case,
    Run,
    cases,
    difference,
    first_difference,
    ours,
    plain,
    same,
)
from torch._inductor.utils import run_and_get_code
from torch.testing._internal.common_optimizers import OptimizerErrorEnum
from wrong_optim import WRONG

from nndl import optim

REAL = (torch.float32, torch.float64)
CASES = list(cases((*REAL, torch.float16, torch.bfloat16, torch.complex64, torch.complex128)))
NAMES = sorted(set(INFO) - {"LBFGS"})
# In these, torch keeps single-precision scalars, and casts them when it loads a float64 state.
CAST_BY_TORCH = {"ASGD", "NAdam"}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("name", NAMES)
def test_equals_torch_bit_for_bit_on_torchs_own_inputs(
    name: str, record_property: Callable[[str, object], None]
) -> None:
    mine = [case for case in CASES if case.name == name]
    found = {str(case): first_difference(ours(name), case) for case in mine}
    assert not {case: gap for case, gap in found.items() if gap}
    record_property(name, f"{len(mine)} of torch's own inputs, {STEPS} steps each, bit for bit")


def test_all_of_torchs_inputs_are_there(record_property: Callable[[str, object], None]) -> None:
    """Two types at least for each input of torch's, and every class of torch.optim."""
    tried = {(case.name, case.number) for case in CASES}
    for name in NAMES:
        inputs = INFO[name].optim_inputs_func(device="cpu")
        assert {number for of, number in tried if of == name} == set(range(len(inputs)))
    theirs = {name for name in dir(torch.optim) if isinstance(getattr(torch.optim, name), type)}
    assert theirs <= set(optim.__all__)
    assert len(CASES) > 450
    searched = len(INFO["LBFGS"].optim_inputs_func(device="cpu"))
    record_property("torch.optim", f"{len(CASES)} of torch's inputs, and {searched} of L-BFGS")


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_copy_is_caught(wrong: str) -> None:
    name, options, make = WRONG[wrong]
    case = Case(name, 0, wrong, options, torch.float64, sparse=name == "SparseAdam")
    assert first_difference(ours(name), case) == ""
    assert first_difference(make, case) != ""


def test_enough_mistakes_are_tried() -> None:
    assert len(WRONG) >= 30
    assert {name for name, _, _ in WRONG.values()} == set(NAMES)


def through_a_file(state: Any) -> Any:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("direction", ["ours to torch", "torch to ours", "ours to ours"])
@pytest.mark.parametrize("name", NAMES)
def test_a_run_that_is_saved_loaded_and_continued_equals_the_one_that_was_not(
    name: str, direction: str
) -> None:
    makes = {"ours": ours(name), "torch": plain(name, torch.float32)}
    source, target = (makes[side] for side in direction.split(" to "))
    for case in CASES:
        exact = case.dtype == torch.float32 or name not in CAST_BY_TORCH or "to ours" in direction
        if case.name != name or case.dtype not in REAL or not exact:
            continue
        whole, first, second = (Run(make, case) for make in (source, source, target))
        for step in range(STEPS):
            whole.step(step)
            if step < STEPS // 2:
                first.step(step)
            else:
                if step == STEPS // 2:
                    second.optimizer.load_state_dict(through_a_file(first.optimizer.state_dict()))
                    for param, saved in zip(second.params, first.params, strict=True):
                        param.data.copy_(saved.data)
                second.step(step)
        assert not difference(second, whole), case


@pytest.mark.parametrize("name", sorted(CAST_BY_TORCH))
def test_torch_loses_its_own_scalars_when_it_loads_double_precision(name: str) -> None:
    """Ours don't; in torch a resumed run parts from the uninterrupted one, by rounding only."""
    case = next(c for c in CASES if c.name == name and c.dtype == torch.float64)
    whole, first, second = (Run(plain(name, case.dtype), case) for _ in range(3))
    for step in range(STEPS):
        whole.step(step)
        if step < 5:
            first.step(step)
            continue
        if step == 5:
            second.optimizer.load_state_dict(through_a_file(first.optimizer.state_dict()))
            for param, saved in zip(second.params, first.params, strict=True):
                param.data.copy_(saved.data)
        second.step(step)
    scalars = [
        value for value in second.optimizer.state[second.params[0]].values() if value.ndim == 0
    ]
    assert any(value.dtype == torch.float64 for value in scalars)


@pytest.mark.parametrize("name", NAMES)
def test_pickled_and_deep_copied_optimizers_go_on_alike(name: str) -> None:
    case = next(case for case in CASES if case.name == name)
    run = Run(ours(name), case)
    for step in range(10):
        run.step(step)
    copies = []
    for copy in (deepcopy, lambda x: pickle.loads(pickle.dumps(x))):
        params, optimizer = copy((run.params, run.optimizer))
        other = object.__new__(Run)
        other.case, other.scales, other.params, other.optimizer = (
            case,
            run.scales,
            params,
            optimizer,
        )
        copies.append(other)
    for step in range(10, 20):
        for each in (run, *copies):
            each.step(step)
    assert not any(difference(run, copy) for copy in copies)


def error_inputs() -> list[Any]:
    return [
        pytest.param(name, given, id=f"{name}-{i}")
        for name in NAMES
        for i, given in enumerate(
            INFO[name].optim_error_inputs_func(device="cpu", dtype=torch.float32)
        )
        if not SWITCHES & {k for k, v in given.optimizer_error_input.kwargs.items() if v is True}
    ]


@pytest.mark.parametrize(("name", "given"), error_inputs())
def test_torchs_own_error_inputs_are_refused_with_the_same_type(name: str, given: Any) -> None:
    inputs = given.optimizer_error_input
    expected = given.error_type
    if expected in (FutureWarning, UserWarning):
        with pytest.warns(UserWarning, match="more than once"):
            ours(name)(inputs.params, **inputs.kwargs)
    elif given.error_on == OptimizerErrorEnum.CONSTRUCTION_ERROR:
        with pytest.raises(expected, match=r"\w+"):
            ours(name)(inputs.params, **inputs.kwargs)
    else:
        optimizer = ours(name)(inputs.params, **inputs.kwargs)
        with pytest.raises(expected, match=r"\w+"):
            optimizer.step()


def leaf(*shape: int) -> torch.Tensor:
    return torch.ones(shape, requires_grad=True)


SHARED = leaf(2)
BAD_PARAMS = {
    "a bare tensor": (leaf(2), TypeError, "got Tensor"),
    "a bare dict": ({"params": [leaf(2)]}, TypeError, "got dict"),
    "a set in a group": ([{"params": {leaf(2)}}], TypeError, "a set"),
    "nothing": ([], ValueError, "at least one parameter"),
    "None": (None, TypeError, "got NoneType"),
    "a number": ([3.0], TypeError, "float"),
    "a non-leaf": ([leaf(2) * 2], ValueError, "non-leaf"),
    "one tensor in two groups": (
        [{"params": [SHARED]}, {"params": [SHARED]}],
        ValueError,
        "more than one group",
    ),
    "some names": ([("a", leaf(2)), leaf(2)], ValueError, "names"),
    "named and unnamed groups": (
        [{"params": [("a", leaf(2))]}, {"params": [leaf(2)]}],
        ValueError,
        "names",
    ),
    "no params": ([{"lr": 0.1}], KeyError, "'params'"),
    "a bad rate in a group": ([{"params": [leaf(2)], "lr": -1}], ValueError, "lr must be"),
}


@pytest.mark.parametrize("what", BAD_PARAMS)
def test_bad_parameters_are_refused(what: str) -> None:
    params, kind, words = BAD_PARAMS[what]
    with pytest.raises(kind, match=words):
        optim.SGD(params, lr=0.1)
    if what != "a bad rate in a group":  # torch takes it, and climbs
        with pytest.raises(kind):
            torch.optim.SGD(params, lr=0.1)


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda p: optim.SGD(p, lr="0.1"), TypeError, "lr must be"),
        (lambda p: optim.SGD(p, lr=float("nan")), ValueError, "got nan"),
        (lambda p: optim.SGD(p, lr=torch.ones(2)), ValueError, "one element"),
        (lambda p: optim.SGD(p, nesterov=True), ValueError, "nesterov needs"),
        (lambda p: optim.Adam(p, betas=(0.9, 1.0)), ValueError, "betas must be two"),
        (lambda p: optim.Adam(p, betas=(0.9, torch.tensor(0.9))), ValueError, "two tensors"),
        (lambda p: optim.Adam(p, betas=0.9), TypeError, "betas must be two"),
        (lambda p: optim.Rprop(p, etas=(1.2, 0.5)), ValueError, "shrink"),
        (lambda p: optim.Adafactor(p, d=0.5), ValueError, "d must be"),
        (lambda p: optim.Muon(p), ValueError, "2-D parameters"),
        (lambda p: optim.Muon([leaf(2, 2)], adjust_lr_fn="x"), ValueError, "match_rms_adamw"),
        (lambda p: optim.SparseAdam(p, lr=0), ValueError, "> 0"),
    ],
)
def test_bad_options_are_refused(make: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        make([leaf(3)])


def test_gradients_of_the_wrong_kind_are_refused() -> None:
    sparse = torch.tensor([0.0, 1.0, 0.0]).to_sparse()
    for make, grad, words in (
        (optim.Adam, sparse, "sparse"),
        (optim.SparseAdam, torch.ones(3), "dense"),
        (lambda p: optim.SGD(p, weight_decay=0.1), sparse, "weight_decay"),
    ):
        param = leaf(3)
        param.grad = grad
        with pytest.raises(RuntimeError, match=words):
            make([param]).step()
    param = torch.ones(2, dtype=torch.complex64, requires_grad=True)
    param.grad = torch.ones_like(param)
    with pytest.raises(RuntimeError, match="complex"):
        optim.Adafactor([param]).step()


def test_a_required_option_must_be_stated() -> None:
    class NeedsRate(optim.Optimizer):
        def __init__(self, params: Any, lr: Any = optim.optimizer.required) -> None:
            super().__init__(params, {"lr": lr})

    with pytest.raises(ValueError, match="'lr' is required"):
        NeedsRate([leaf(2)])
    optimizer = NeedsRate([{"params": [leaf(2)], "lr": 0.5}])
    assert optimizer.param_groups[0]["lr"] == 0.5
    optimizer.param_groups[0]["params"][0].grad = torch.ones(2)
    with pytest.raises(NotImplementedError, match="NeedsRate must define update"):
        optimizer.step()


def test_names_groups_and_repr_are_torchs() -> None:
    layer = torch.nn.Linear(2, 1)
    a = optim.SGD(layer.named_parameters(), lr=0.1)
    b = torch.optim.SGD(layer.named_parameters(), lr=0.1)
    assert a.param_groups[0]["param_names"] == b.param_groups[0]["param_names"]
    extra = leaf(2)
    for optimizer in (a, b):
        optimizer.add_param_group({"params": [("extra", extra)], "lr": 1.0})
    assert [len(group["params"]) for group in a.param_groups] == [2, 1]
    switches = {"foreach", "fused", "differentiable"}
    kept = [line for line in repr(b).splitlines() if line.split(":")[0].strip() not in switches]
    assert repr(a).splitlines() == kept
    assert isinstance(a, torch.optim.Optimizer)


def test_zero_grad_forgets_or_zeroes() -> None:
    param = leaf(2)
    optimizer = optim.SGD([param], lr=0.1, momentum=0.9)
    (param**2).sum().backward()
    optimizer.zero_grad(set_to_none=False)
    assert torch.equal(param.grad, torch.zeros(2))
    assert not param.grad.requires_grad
    optimizer.zero_grad()
    assert param.grad is None


def test_the_closure_runs_once_with_gradients_on_and_its_loss_is_returned() -> None:
    param = leaf(2)
    optimizer = optim.SGD([param], lr=0.1)
    calls = []

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = (param**2).sum()
        loss.backward()
        calls.append(float(loss.detach()))
        return loss

    with torch.no_grad():
        assert float(optimizer.step(closure)) == 2.0
    assert calls == [2.0]
    assert torch.equal(param.detach(), torch.full((2,), 0.8))


@pytest.mark.parametrize("make", [optim.SGD, torch.optim.SGD])
def test_step_hooks_run_around_the_step_as_in_torch(make: Any) -> None:
    param = leaf(1)
    param.grad = torch.ones(1)
    optimizer = make([param], lr=0.5)
    seen = []
    optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append(("pre", len(args))))
    handle = optimizer.register_step_post_hook(lambda o, a, k: seen.append(("post", param.item())))
    optimizer.step()
    handle.remove()
    optimizer.step()
    assert seen == [("pre", 1), ("post", 0.5), ("pre", 1)]
    optimizer.register_step_pre_hook(lambda o, args, kwargs: "wrong")
    with pytest.raises(RuntimeError, match="wrong"):
        optimizer.step()


@pytest.mark.parametrize("make", [optim.SGD, torch.optim.SGD])
def test_hooks_of_saving_and_loading(make: Any) -> None:
    optimizer = make([leaf(1)], lr=0.5)
    seen = []
    optimizer.register_state_dict_pre_hook(lambda o: seen.append("before saving"))
    optimizer.register_state_dict_post_hook(lambda o, state: {**state, "note": 1})
    saved = optimizer.state_dict()
    assert saved["note"] == 1
    optimizer.register_load_state_dict_pre_hook(lambda o, state: seen.append("before loading"))
    optimizer.register_load_state_dict_post_hook(lambda o: seen.append("after"))
    optimizer.register_load_state_dict_post_hook(lambda o: seen.append("first"), prepend=True)
    optimizer.load_state_dict(saved)
    assert seen == ["before saving", "before loading", "first", "after"]


def test_a_loaded_state_is_a_copy_and_a_wrong_one_is_refused() -> None:
    run = Run(ours("Adam"), Case("Adam", 0, "", {"lr": 0.1}, torch.float32))
    run.step(0)
    saved = run.optimizer.state_dict()
    before = deepcopy(saved)
    other = Run(ours("Adam"), run.case)
    other.optimizer.load_state_dict(saved)
    other.step(0)
    assert same(saved["state"], before["state"])
    with pytest.raises(ValueError, match=r"2 groups of \[1, 3\] parameters"):
        optim.Adam([leaf(2)]).load_state_dict(saved)
    with pytest.raises(ValueError, match="groups"):
        optim.Adam([{"params": [leaf(1), leaf(2)]}, {"params": [leaf(3)]}]).load_state_dict(saved)


def test_an_adamw_stays_one_whatever_it_loads() -> None:
    param = leaf(2)
    optimizer = optim.AdamW([param])
    optimizer.load_state_dict(torch.optim.Adam([leaf(2)]).state_dict())
    assert optimizer.param_groups[0]["decoupled_weight_decay"] is True


def test_momentum_may_be_switched_on_later_as_in_torch() -> None:
    case = Case("SGD", 0, "", {"lr": 0.1}, torch.float64)
    runs = Run(ours("SGD"), case), Run(plain("SGD", case.dtype), case)
    for step in range(STEPS):
        for run in runs:
            if step == 20:
                for group in run.optimizer.param_groups:
                    group["momentum"] = 0.9
            run.step(step)
    assert not difference(*runs)


def test_betas_may_be_tensors_as_in_torch() -> None:
    betas = torch.tensor(0.9), torch.tensor(0.99)
    case = Case("Adam", 0, "", {"betas": betas}, torch.float32)
    assert first_difference(ours("Adam"), case) == ""


def test_large_parameters_share_one_temporary() -> None:
    params = [leaf(200, 100), leaf(300, 100), leaf(2)]
    theirs = [param.detach().clone().requires_grad_() for param in params]
    a, b = optim.Adam(params, lr=0.1), torch.optim.Adam(theirs, lr=0.1, foreach=False)
    for step in range(STEPS):
        torch.manual_seed(step)
        for x, y in zip(params, theirs, strict=True):
            x.grad = torch.randn_like(x)
            y.grad = x.grad.clone()
        a.step()
        b.step()
    assert same([p.detach() for p in params], [p.detach() for p in theirs])
    (buffer,) = a._scratch.values()
    assert buffer.numel() == 30_000


HEADERS = Path(sysconfig.get_path("include"), "Python.h")
CAN_COMPILE = shutil.which("g++") is not None and HEADERS.exists()


needs_compiler = pytest.mark.skipif(
    not (CAN_COMPILE or os.environ.get("CI") == "true"),
    reason="torch.compile needs g++ and Python's headers",
)


@needs_compiler
def test_a_compiled_step_is_one_loop_with_the_powers_in_it() -> None:
    param = leaf(30, 40)
    param.grad = torch.ones(30, 40)
    optimizer = optim.Adam([param])
    optimizer.compile()
    optimizer.step()
    _, (code,) = run_and_get_code(optimizer.step)
    before, *loops = code.split("for(")
    assert len(loops) == 1
    assert "std::pow(" not in before
    assert loops[0].count("std::pow(") == 2


@needs_compiler
@pytest.mark.parametrize("name", ["Adam", "SGD"])
def test_a_compiled_step_stays_near_the_plain_one(name: str) -> None:
    """Within 2e-5 of the distance travelled, over 60 steps with a change of the learning rate."""
    options = {"lr": 0.01} if name == "Adam" else {"lr": 0.01, "momentum": 0.9}
    case = Case(name, 0, "", options, torch.float32)
    start, plain_run, compiled = (Run(ours(name), case) for _ in range(3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled.optimizer.compile()
        for step in range(STEPS):
            plain_run.step(step)
            compiled.step(step)
    for a, b, origin in zip(plain_run.params, compiled.params, start.params, strict=True):
        travelled = (a - origin).abs().max().item()
        assert (a - b).abs().max().item() <= 2e-5 * travelled
    again = deepcopy(compiled.optimizer)
    steps = [state["step"] for state in again.state.values() if "step" in state]
    assert all(isinstance(step, float) for step in steps)
