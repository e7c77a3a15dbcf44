"""The measuring core and ``make bench``: what they run and print. No time is asserted here."""

import gc
import importlib.util
import math
import re
from pathlib import Path
from types import ModuleType

import pytest
import torch

from nndl import optim, timing
from nndl.timing import WORKLOADS, measure, parameters, resnet50_shapes

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_optim", ROOT / "benchmarks" / "optim.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# ---- workloads


def test_the_workloads_have_the_sizes_that_the_book_names() -> None:
    sizes = {
        name: (len(shapes), sum(math.prod(shape) for shape in shapes))
        for name, shapes in WORKLOADS.items()
    }
    assert sizes == {
        "Linear(2, 1)": (2, 3),
        "Net": (8, 1_199_882),
        "ResNet-50": (161, 25_557_032),
    }


def test_resnet_has_the_layers_of_the_paper() -> None:
    shapes = resnet50_shapes()
    matrices = [shape for shape in shapes if len(shape) > 1]
    # conv1, 16 blocks of 3, 4 shortcuts, fc: "50" counts all but the shortcuts
    assert len(matrices) == 1 + 16 * 3 + 4 + 1
    assert matrices[0] == (64, 3, 7, 7)
    assert matrices[-1] == (1000, 2048)
    assert shapes.count((512, 512, 3, 3)) == 3
    assert shapes.count((256, 1024, 1, 1)) == 5


def test_parameters_are_leaves_with_gradients_and_repeat() -> None:
    first, second = parameters([(2, 3), (4,)]), parameters([(2, 3), (4,)])
    for a, b in zip(first, second, strict=True):
        assert a.is_leaf
        assert a.requires_grad
        assert torch.equal(a, b)
        assert torch.equal(a.grad, b.grad)
    (other, _) = parameters([(2, 3), (4,)], seed=1)
    assert not torch.equal(other, first[0])


# ---- measure


class Clock:
    """A clock that only the measured functions move."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[str] = []

    def process_time(self) -> float:
        return self.now

    def work(self, name: str, *durations: float):
        def function() -> None:
            mine = self.calls.count(name)
            self.calls.append(name)
            self.now += durations[mine % len(durations)]

        return function


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    return clock


def test_a_ratio_is_that_of_the_same_round(clock: Clock) -> None:
    # With each round everything is twice as slow; the ratio stays.
    base = clock.work("base", 1, 2, 4, 8, 16)
    other = clock.work("other", 3, 6, 12, 24, 48)
    timings = measure({"base": base, "other": other}, rounds=4, warm_up=1)
    assert (timings["base"].ratio, timings["other"].ratio) == (1, 3)
    assert (timings["other"].low, timings["other"].high) == (3, 3)
    assert timings["base"].seconds == 6  # the median of 2, 4, 8, 16
    assert str(timings["other"]) == "3.00 (3.00-3.00)"


def test_the_spread_is_the_quartiles_of_the_ratios(clock: Clock) -> None:
    base, other = clock.work("base", 1), clock.work("other", 9, 5, 1, 2, 3, 4)
    measured = measure({"base": base, "other": other}, rounds=5, warm_up=1)["other"]
    assert (measured.low, measured.ratio, measured.high) == (2, 3, 4)  # of 5, 1, 2, 3, 4


def test_functions_take_turns_and_each_begins_a_round(clock: Clock) -> None:
    work = {name: clock.work(name, 1) for name in "abc"}
    measure(work, rounds=3, warm_up=1)
    assert "".join(clock.calls) == "abc" + "abc" + "bca" + "cab"


def test_a_fast_function_has_several_calls_in_a_turn(clock: Clock) -> None:
    work = {"fast": clock.work("fast", 1), "slow": clock.work("slow", 10)}
    timings = measure(work, rounds=2, turn=4, warm_up=1)
    assert clock.calls.count("fast") == 1 + 2 * 4
    assert clock.calls.count("slow") == 1 + 2
    assert timings["slow"].ratio == 10


def test_new_memory_is_counted_as_page_faults() -> None:
    size = 2**24  # 64 MiB, more than any allocator keeps
    old = torch.empty(size)
    work = {"old": lambda: old.fill_(1), "new": lambda: torch.full((size,), 1.0)}
    timings = measure(work, rounds=3, turn=0)
    assert timings["new"].page_faults > timings["old"].page_faults


@pytest.mark.parametrize("fails", [False, True])
def test_one_thread_and_no_collector_while_measuring_only(fails: bool) -> None:
    seen = []

    def function() -> None:
        seen.append((torch.get_num_threads(), gc.isenabled()))
        if fails:
            raise OSError("stop")

    before = torch.get_num_threads(), gc.isenabled()
    if fails:
        with pytest.raises(OSError, match="stop"):
            measure({"a": function}, rounds=2, turn=0)
    else:
        measure({"a": function}, rounds=2, turn=1e-6)
    assert set(seen) == {(1, False)}
    assert (torch.get_num_threads(), gc.isenabled()) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"work": {}}, "work must name at least one function"),
        ({"rounds": 1}, "rounds must be a whole number >= 2, got 1"),
        ({"warm_up": 0}, "warm_up must be a whole number >= 1, got 0"),
    ],
)
def test_bad_arguments_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        measure(**{"work": {"a": lambda: None}, **options})


# ---- the benchmark


def test_every_algorithm_is_measured(bench: ModuleType) -> None:
    classes = {
        name
        for name in optim.__all__
        if isinstance(getattr(optim, name), type) and name != "Optimizer"
    }
    measured = {name for name, _ in bench.ALGORITHMS.values()}
    assert measured == classes - {"LBFGS", "SparseAdam"}
    assert set(bench.TARGETS) == set(bench.EFFORT) == set(WORKLOADS)
    assert {algorithm for algorithm, _ in bench.TARGETS_OF} <= set(bench.ALGORITHMS)


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_each_step_of_lbfgs_is_the_same_work(bench: ModuleType, search: str | None) -> None:
    starts, ends = parameters([(1, 2), (1,)]), []
    for library in (optim, torch.optim):
        params = parameters([(1, 2), (1,)])
        step = bench.lbfgs_step(library, params, search)
        for _ in range(2):
            step()
            ends.append([param.detach().clone() for param in params])
    assert not any(map(torch.equal, starts, ends[0]))
    for end in ends[1:]:
        assert all(map(torch.equal, ends[0], end))


@pytest.mark.usefixtures("one_thread")
def test_the_benchmark_prints_a_line_for_each_case(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["optim.py", "--quick"])
    monkeypatch.setattr(bench, "QUICK", {"Linear(2, 1)": (2, 0.0), "Net": (2, 0.0)})
    bench.main()
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert max(map(len, lines)) <= 100
    assert f"torch {torch.__version__}" in printed
    assert "threads: 1" in printed
    cell = r"\d+\.\d\d \(\d+\.\d\d-\d+\.\d\d\)"
    for algorithm, (name, _) in bench.ALGORITHMS.items():
        rows = [line for line in lines if line.startswith(f"{algorithm} ")]
        assert len(rows) == 2
        others = {"SGD": 2, "Adam": 2, "AdamW": 2, "Adagrad": 2, "Muon": 0}.get(name, 1)
        for row in rows:
            assert len(re.findall(cell, row)) == 1 + others, row
            assert re.search(r" \d+/\d+  0\.\d\d (met|MISSED)$", row), row
    searches = [line for line in lines if "strong_wolfe" in line or "no search" in line]
    assert len(searches) == 4
    assert all(re.search(r"1\.05 (met|MISSED)$", line) for line in searches)


def test_a_target_is_met_up_to_its_last_digit(bench: ModuleType) -> None:
    def timing_of(ratio: float) -> timing.Timing:
        return timing.Timing(1.0, ratio, ratio, ratio, 0.0)

    assert bench.verdict(timing_of(0.604), 0.6) == "0.60 met"
    assert bench.verdict(timing_of(0.606), 0.6) == "0.60 MISSED"
