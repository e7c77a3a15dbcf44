"""Averages of weights and clipped gradients equal torch's; the same tests catch wrong copies."""

import inspect
import io
import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from optim_harness import same
from torch import Tensor, nn
from torch.nn import utils as torchs
from torch.optim import swa_utils as torchs_averaging

from nndl.optim import clip_grad, swa_utils

STEPS = 60


pytestmark = pytest.mark.usefixtures("one_thread")


def wrong(module: ModuleType, right: str, changed: str) -> Any:
    """Compile a module with one mistake in it."""
    source = inspect.getsource(module)
    assert source.count(right) == 1, f"{right!r} must be there once to be replaced"
    copy = ModuleType("wrong_copy")
    exec(source.replace(right, changed), vars(copy))
    return copy


# ---- averages

AVERAGES: dict[str, Callable[[Any], dict[str, Any]]] = {
    "swa": lambda utils: {},
    "swa-one": lambda utils: {"avg_fn": utils.get_swa_avg_fn()},
    "swa-many": lambda utils: {"multi_avg_fn": utils.get_swa_multi_avg_fn()},
    "ema-one": lambda utils: {"avg_fn": utils.get_ema_avg_fn(0.8)},
    "ema-many": lambda utils: {"multi_avg_fn": utils.get_ema_multi_avg_fn(0.8)},
    "ema-default": lambda utils: {"multi_avg_fn": utils.get_ema_multi_avg_fn()},
    "swa-buffers": lambda utils: {"use_buffers": True},
    "ema-one-buffers": lambda utils: {"avg_fn": utils.get_ema_avg_fn(0.9), "use_buffers": True},
    "ema-many-buffers": lambda utils: {
        "multi_avg_fn": utils.get_ema_multi_avg_fn(0.9),
        "use_buffers": True,
    },
    "own": lambda utils: {"avg_fn": lambda mean, new, n: torch.maximum(mean, new + n / 100)},
}


class Net(nn.Module):
    """A network with BatchNorm and, to make grouping matter, parameters of two types."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.first = nn.Linear(4, 6, dtype=dtype)
        self.norm = nn.BatchNorm1d(6, dtype=dtype)
        self.gain = nn.Parameter(torch.ones((), dtype=torch.float64))
        self.last = nn.Linear(6, 2, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.norm(self.first(x)).tanh() * self.gain.to(x.dtype))


class Training:
    """A network in training, and an average of it."""

    def __init__(self, utils: Any, average: str, dtype: torch.dtype = torch.float32) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.model = Net(dtype)
        self.dtype = dtype
        self.averaged = utils.AveragedModel(self.model, **AVERAGES[average](utils))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.05)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(16, 4, generator=generator, dtype=self.dtype)
        return x, x[:, :2] * x[:, 2:].sin()

    def step(self, step: int) -> None:
        x, y = self.batch(step)
        self.optimizer.zero_grad()
        (self.model(x) - y).square().mean().backward()
        self.optimizer.step()
        self.averaged.update_parameters(self.model)

    def everything(self) -> list[dict[str, Any]]:
        parts = self.model, self.averaged, self.optimizer
        return [part.state_dict() for part in parts]

    def save(self) -> bytes:
        buffer = io.BytesIO()
        torch.save(self.everything(), buffer)
        return buffer.getvalue()

    def load(self, saved: bytes) -> None:
        parts = self.model, self.averaged, self.optimizer
        for part, state in zip(parts, torch.load(io.BytesIO(saved)), strict=True):
            part.load_state_dict(state)


def parts_at(utils: Any, average: str, dtype: torch.dtype) -> int | None:
    """The first step after which our average is not torch's."""
    ours, theirs = Training(utils, average, dtype), Training(torchs_averaging, average, dtype)
    for step in range(STEPS):
        ours.step(step)
        theirs.step(step)
        if not same(dict(ours.averaged.state_dict()), dict(theirs.averaged.state_dict())):
            return step
    return None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("average", AVERAGES)
def test_average_equals_torchs(average: str, dtype: torch.dtype) -> None:
    assert parts_at(swa_utils, average, dtype) is None


@pytest.mark.parametrize("average", ["swa", "swa-many", "ema-one", "ema-many-buffers"])
@pytest.mark.parametrize(
    "sides", [(swa_utils, torchs_averaging), (torchs_averaging, swa_utils)], ids=["to", "from"]
)
def test_average_resumes_in_the_other_library(sides: Any, average: str) -> None:
    first, second = sides
    whole, begun, resumed = (Training(utils, average) for utils in (second, first, second))
    for step in range(STEPS // 2):
        whole.step(step)
        begun.step(step)
    resumed.load(begun.save())
    for step in range(STEPS // 2, STEPS):
        whole.step(step)
        resumed.step(step)
    for a, b in zip(whole.everything(), resumed.everything(), strict=True):
        assert same(dict(a), dict(b))


WRONG_AVERAGES = {
    "n without + 1": ("(num_averaged + 1)\n\n    return swa", "num_averaged\n\n    return swa"),
    "weight without + 1": ("float(1 / (num_averaged + 1))", "float(1 / num_averaged)"),
    "weight in double precision": ("float(1 / (num_averaged + 1))", "1 / (int(num_averaged) + 1)"),
    "decay swapped": (
        "decay * averaged + (1 - decay) * current",
        "(1 - decay) * averaged + decay * current",
    ),
    "decay of lerp swapped": ("lambda num_averaged: 1 - decay", "lambda num_averaged: decay"),
    "first model not copied": ("if self.n_averaged == 0:", "if False:"),
    "models not counted": ("self.n_averaged += 1", "pass"),
    "buffers left alone": (
        "if self.use_buffers else (pairs, buffers)",
        "if self.use_buffers else (pairs, [])",
    ),
    "buffers always copied": ("(pairs + buffers, [])", "(pairs + buffers, buffers)"),
    "buffers never averaged": ("(pairs + buffers, [])", "(pairs, [])"),
    "counters round": (
        "mean.copy_(avg_fn(mean, new, num_averaged))",
        "mean.copy_(avg_fn(mean, new, num_averaged).round())",
    ),
}


@pytest.mark.parametrize("mistake", WRONG_AVERAGES)
def test_wrong_average_is_caught(mistake: str) -> None:
    utils = wrong(swa_utils, *WRONG_AVERAGES[mistake])
    found = [parts_at(utils, average, torch.float64) for average in AVERAGES]
    assert any(step is not None for step in found)


def test_takes_whole_numbers_that_torchs_cannot() -> None:
    """BatchNorm's counter, with the SWA of lists: the mean, cut off."""
    for utils in (swa_utils, torchs_averaging):
        update = utils.get_swa_multi_avg_fn()
        mean = torch.tensor([4, 9])
        if utils is torchs_averaging:
            with pytest.raises(RuntimeError, match="Integer division"):
                update([mean], [torch.tensor([6, 2])], torch.tensor(2))
        else:
            update([mean], [torch.tensor([6, 2])], torch.tensor(2))
            assert mean.tolist() == [int(4 + 2 / 3), int(9 - 7 / 3)]


@pytest.mark.parametrize("decay", [-0.1, 1.1, math.nan])
def test_refuses_bad_decay(decay: float) -> None:
    for make in (swa_utils.get_ema_avg_fn, swa_utils.get_ema_multi_avg_fn):
        with pytest.raises(ValueError, match=r"decay must lie in \[0, 1\], got"):
            make(decay)


def test_refuses_two_functions() -> None:
    both = {"avg_fn": swa_utils.get_swa_avg_fn(), "multi_avg_fn": swa_utils.get_swa_multi_avg_fn()}
    for utils in (swa_utils, torchs_averaging):
        with pytest.raises(AssertionError, match="avg_fn"):
            utils.AveragedModel(nn.Linear(1, 1), **both)


def test_refuses_another_model() -> None:
    averaged = swa_utils.AveragedModel(nn.Linear(2, 2))
    for other in (nn.Linear(2, 3), nn.Linear(2, 2, bias=False)):
        with pytest.raises(ValueError, match="update_parameters needs the model that was copied"):
            averaged.update_parameters(other)


def test_average_runs_on_its_own_copy() -> None:
    model = nn.Linear(1, 1)
    averaged = swa_utils.AveragedModel(model, device=torch.device("cpu"))
    x = torch.ones(1, 1)
    before = averaged(x)
    nn.init.constant_(model.weight, 100.0)
    assert torch.equal(averaged(x), before)
    assert not torch.equal(model(x), before)


# ---- statistics of BatchNorm


def batches(dtype: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(5)
    return [torch.randn(n, 4, generator=generator, dtype=dtype) for n in (16, 16, 5)]


@pytest.mark.parametrize("pack", [lambda x: x, lambda x: (x, 0), lambda x: [x, x]])
@pytest.mark.parametrize("train", [True, False])
def test_update_bn_equals_torchs(train: bool, pack: Any) -> None:
    models = []
    for utils in (swa_utils, torchs_averaging):
        training = Training(utils, "swa")
        for step in range(5):
            training.step(step)
        training.averaged.train(train)
        utils.update_bn([pack(x) for x in batches(torch.float32)], training.averaged, "cpu")
        assert training.averaged.training == train
        assert training.averaged.module.norm.momentum == 0.1
        models.append(training.averaged)
    assert same(*[dict(model.state_dict()) for model in models])
    # The mean of the batches' means, by hand.
    model = models[0].module
    means = [model.first(x).mean(0) for x in batches(torch.float32)]
    assert torch.allclose(model.norm.running_mean, torch.stack(means).mean(0), atol=1e-6)


def test_update_bn_without_batchnorm_reads_nothing() -> None:
    swa_utils.update_bn(iter(()), nn.Linear(1, 1))


def test_update_bn_refuses_an_empty_loader() -> None:
    used_up = (x for x in ())
    with pytest.raises(ValueError, match="loader has no batch"):
        swa_utils.update_bn(used_up, nn.BatchNorm1d(4))


def test_update_bn_puts_things_back_after_an_error() -> None:
    model = nn.BatchNorm1d(4).eval()
    with pytest.raises(ValueError, match="expected 2D or 3D input"):
        swa_utils.update_bn([torch.zeros(4)], model)
    assert model.momentum == 0.1
    assert not model.training


# ---- the schedule of SWA


def rates(utils: Any, steps: int = STEPS, stop: int | None = None, **options: Any) -> list[Any]:
    """The rates of two groups after each step; of a pair the second takes over at `stop`."""
    before, after = utils if isinstance(utils, tuple) else (utils, utils)
    groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in (0.5, 0.02)]
    optimizer = torch.optim.SGD(groups)
    scheduler = before.SWALR(optimizer, **options)
    seen = []
    for step in range(steps):
        if step == stop:
            saved = scheduler.state_dict(), optimizer.state_dict()
            scheduler = after.SWALR(optimizer, **options)
            scheduler.load_state_dict(saved[0])
            optimizer.load_state_dict(saved[1])
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
        # Another hand on the rate: the schedule builds on what stands in the group.
        if step == 4:
            optimizer.param_groups[0]["lr"] *= 0.9
    return seen


SCHEDULES: dict[str, dict[str, Any]] = {
    "default": {"swa_lr": 0.05},
    "linear": {"swa_lr": 0.05, "anneal_strategy": "linear", "anneal_epochs": 7},
    "cosine": {"swa_lr": [0.1, 0.4], "anneal_epochs": 23},
    "at once": {"swa_lr": [0.05, 0.2], "anneal_epochs": 0},
    "one epoch": {"swa_lr": 0.3, "anneal_epochs": 1, "anneal_strategy": "linear"},
}


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_swalr_equals_torchs(schedule: str) -> None:
    options = SCHEDULES[schedule]
    theirs = rates(torchs_averaging, **options)
    assert rates(swa_utils, **options) == theirs
    assert len({tuple(pair) for pair in theirs}) >= 2


@pytest.mark.parametrize("stop", [3, 20])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_swalr_resumes_in_the_other_library(schedule: str, stop: int) -> None:
    whole = rates(torchs_averaging, **SCHEDULES[schedule])
    for sides in ((swa_utils, torchs_averaging), (torchs_averaging, swa_utils)):
        assert rates(sides, stop=stop, **SCHEDULES[schedule]) == whole


def test_swalr_changes_a_tensor_in_place() -> None:
    seen = []
    for utils in (swa_utils, torchs_averaging):
        lr = torch.tensor(0.5)
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
        scheduler = utils.SWALR(optimizer, 0.1, 5)
        values = []
        for _ in range(8):
            optimizer.step()
            scheduler.step()
            values.append(lr.item())
        seen.append(values)
    assert seen[0] == seen[1]
    assert seen[0][-1] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"swa_lr": 0.1, "anneal_strategy": "exp"}, "anneal_strategy must be one of .* got 'exp'"),
        ({"swa_lr": 0.1, "anneal_epochs": -1}, "anneal_epochs must be a whole number >= 0"),
        ({"swa_lr": 0.1, "anneal_epochs": 1.5}, "anneal_epochs must be a whole number >= 0"),
        ({"swa_lr": [0.1]}, "swa_lr must be one"),
    ],
)
def test_swalr_refuses_what_torchs_refuses(options: Any, message: str) -> None:
    for utils, words in ((swa_utils, message), (torchs_averaging, None)):
        with pytest.raises(ValueError, match=words):
            rates(utils, **options)


WRONG_SCHEDULES = {
    "late by one": ("epoch = self._step_count - 1", "epoch = self._step_count - 2"),
    "cosine without its half": (") / 2\n\n    def _next_lr", ")\n\n    def _next_lr"),
    "first rate forgotten": ("lr = swa_lr if before == 1 else", "lr = lr if True else"),
    "never arrives": ("max(0, min(1, epoch /", "max(0, min(0.9, epoch /"),
}


@pytest.mark.parametrize("mistake", WRONG_SCHEDULES)
def test_wrong_schedule_is_caught(mistake: str) -> None:
    utils = wrong(swa_utils, *WRONG_SCHEDULES[mistake])
    assert any(
        rates(utils, **options) != rates(torchs_averaging, **options)
        for options in SCHEDULES.values()
    )


# ---- clipping

SHAPES = (3, 4), (), (5,), (2, 3, 2, 2), (0,), (1,)


def parameters(seed: int, dtype: torch.dtype) -> list[Tensor]:
    """Parameters with gradients between 10⁻⁴ and 10³ in size, one of them without."""
    generator = torch.Generator().manual_seed(seed)
    scale = 10.0 ** (seed % 8 - 4)
    params = []
    for number, shape in enumerate(SHAPES):
        param = torch.zeros(shape, dtype=dtype, requires_grad=True)
        if number != 2:
            param.grad = scale * torch.randn(shape, generator=generator, dtype=dtype)
        params.append(param)
    return params


def grads(params: list[Tensor]) -> list[Tensor]:
    return [param.grad for param in params if param.grad is not None]


def in_two_calls(module: Any, params: list[Tensor], max_norm: float, **options: Any) -> Tensor:
    total_norm = module.get_total_norm(iter(grads(params)), **options)
    switch = {key: value for key, value in options.items() if key == "foreach"}
    module.clip_grads_with_norm_(iter(params), max_norm, total_norm, **switch)
    return total_norm


CLIPS: list[tuple[Any, dict[str, Any]]] = [
    *[
        (call, {"max_norm": max_norm, "norm_type": norm_type})
        for call in (
            in_two_calls,
            lambda module, params, **options: module.clip_grad_norm_(params, **options),
            lambda module, params, **options: module.clip_grad_norm_(params[0], **options),
        )
        for max_norm in (1.0, 0.0, 3, math.inf)
        for norm_type in (2.0, 1, 0, "inf", 3.5, -1.0)
    ],
    *[
        (lambda module, params, **options: module.clip_grad_value_(iter(params), **options), value)
        for value in ({"clip_value": 0.5}, {"clip_value": 0}, {"clip_value": math.inf})
    ],
]


def clips_as_torch(module: Any, dtype: torch.dtype, switch: dict[str, bool]) -> bool:
    """Whether the result and the gradients are equal to torch's, for 60 sets of gradients."""
    for call, options in CLIPS:
        for seed in range(STEPS):
            ours, theirs = parameters(seed, dtype), parameters(seed, dtype)
            if options.get("norm_type") in ("inf", -1.0):  # torch refuses an empty tensor then
                del ours[4], theirs[4]
            results = call(module, ours, **options), call(torchs, theirs, **options, **switch)
            if not same(*results) or not same(grads(ours), grads(theirs)):
                return False
    return True


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("switch", [{"foreach": False}, {}], ids=["loop", "default"])
def test_clips_as_torch_does(dtype: torch.dtype, switch: dict[str, bool]) -> None:
    """On a CPU torch's default, foreach, rounds as its loop does."""
    assert clips_as_torch(clip_grad, dtype, switch)


WRONG_CLIPS = {
    "each gradient by its own norm": (
        "grad.mul_(scale.to(grad.device))",
        "grad.mul_((max_norm / (grad.norm() + 1e-6)).clamp(max=1.0))",
    ),
    "no epsilon": ("(total_norm + 1e-6)", "total_norm"),
    "small gradients grow": (".clamp(max=1.0)", ""),
    "always the Euclidean norm": ("vector_norm(tensor, p)", "vector_norm(tensor, 2)"),
    "norms added up": ("torch.linalg.vector_norm(torch.stack(norms), p)", "sum(norms)"),
    "value cut off above only": ("grad.clamp_(-c, c)", "grad.clamp_(max=c)"),
}


@pytest.mark.parametrize("mistake", WRONG_CLIPS)
def test_wrong_clip_is_caught(mistake: str) -> None:
    module = wrong(clip_grad, *WRONG_CLIPS[mistake])
    assert not clips_as_torch(module, torch.float32, {"foreach": False})


def test_enough_mistakes_are_tried() -> None:
    assert len(WRONG_AVERAGES) + len(WRONG_SCHEDULES) + len(WRONG_CLIPS) >= 20


def test_clips_complex_gradients_by_norm_as_torch_does() -> None:
    results = []
    for module in (clip_grad, torchs):
        z = torch.zeros(3, dtype=torch.complex64)
        z.grad = torch.tensor([3 + 4j, 1j, 2.0])
        results.append([module.clip_grad_norm_([z], 0.7), z.grad])
    assert same(*results)


def test_mixed_types_add_up_to_the_same_norm() -> None:
    """Up to rounding: torch takes them in another order."""
    mixed = [g for seed in range(9) for g in grads(parameters(seed, torch.float64))]
    mixed = [g.float() if i % 3 else g for i, g in enumerate(mixed)]
    ours, theirs = clip_grad.get_total_norm(mixed), torchs.get_total_norm(mixed)
    assert ours.dtype == theirs.dtype == torch.float64
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-15)


def test_an_empty_tensor_has_no_largest_size() -> None:
    for module in (clip_grad, torchs):
        with pytest.raises(RuntimeError, match="empty tensor"):
            module.get_total_norm([torch.tensor([]), torch.tensor([-2.0, 1.0])], math.inf)


def test_nothing_to_clip() -> None:
    for module in (clip_grad, torchs):
        assert same(module.get_total_norm([]), torch.tensor(0.0))
        assert same(module.clip_grad_norm_([], 1.0), torch.tensor(0.0))
        assert same(module.clip_grad_norm_(torch.zeros(2), 1.0), torch.tensor(0.0))
        # An empty generator is often one that was used before.
        with pytest.warns(UserWarning, match="nothing to clip|no gradient clipping"):
            module.clip_grad_norm_((p for p in ()), 1.0)
    # Torch's raises here, from inside.
    clip_grad.clip_grad_value_([torch.zeros(2)], 1.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_norm_that_is_not_finite(bad: float) -> None:
    results = []
    for module in (clip_grad, torchs):
        x = torch.zeros(2)
        x.grad = torch.tensor([bad, 1.0])
        with pytest.raises(RuntimeError, match=r"total norm of order 2\.0"):
            module.clip_grad_norm_(x, 1.0, error_if_nonfinite=True)
        results.append([module.clip_grad_norm_(x, 1.0), x.grad])
    assert same(*results)


NEGATIVE = -1.0


@pytest.mark.parametrize("number", [NEGATIVE, math.nan, "much", None, torch.zeros(2)])
def test_refuses_bad_limits(number: Any) -> None:
    error = TypeError if isinstance(number, str | None) else ValueError
    x = torch.zeros(1)
    x.grad = torch.ones(1)
    with pytest.raises(error, match="max_norm must be a number >= 0, got"):
        clip_grad.clip_grad_norm_(x, number)
    with pytest.raises(error, match="clip_value must be a number >= 0, got"):
        clip_grad.clip_grad_value_(x, number)
    if number is not NEGATIVE:
        with pytest.raises(error, match='norm_type must be a number or "inf", got'):
            clip_grad.clip_grad_norm_(x, 1.0, norm_type=number)
    assert x.grad == 1.0


def test_refuses_what_has_no_norm() -> None:
    table = torch.zeros(3, 2, requires_grad=True)
    nn.functional.embedding(torch.tensor([1]), table, sparse=True).sum().backward()
    for call in (clip_grad.clip_grad_norm_, clip_grad.clip_grad_value_):
        with pytest.raises(NotImplementedError, match="only dense tensors"):
            call(table, 1.0)
    with pytest.raises(TypeError, match=r"expected tensors, got 'weight' \(str\)"):
        clip_grad.clip_grad_norm_(["weight"], 1.0)
