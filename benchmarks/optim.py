"""Compare nndl.optim's step() with torch.optim's, as ratios to torch's default.

The sides take turns in one run, on one thread. Each algorithm has three workloads: Linear(2, 1),
where Python's overhead is all; Part II's network of 1.2 million parameters; and the shapes of
ResNet-50, where memory is all. Columns: torch's default step as a time; then as ratios to it, with
the quartiles of the rounds, ours, torch's foreach=True and torch's fused=True, where it has them.
Faults are the pages of new memory that the system hands out in a step, torch's default / ours: they
are dear, and whether temporaries cause them depends on what the allocator kept. Muon takes a
workload's matrices only. L-BFGS, which calls a closure many times, and our Adam after
optimizer.compile() have tables of their own.
"""

import argparse
import inspect
import math
import os
import platform
import shutil
import tempfile
import textwrap
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from nndl import optim
from nndl.timing import WORKLOADS, Timing, measure, parameters

# A row's name: the class, and the options that it is measured with.
ALGORITHMS: dict[str, tuple[str, dict[str, Any]]] = {
    "SGD": ("SGD", {}),
    "Momentum": ("SGD", {"momentum": 0.9}),
    "Nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "Adagrad": ("Adagrad", {}),
    "RMSprop": ("RMSprop", {}),
    "Adadelta": ("Adadelta", {}),
    "Adam": ("Adam", {}),
    "AMSGrad": ("Adam", {"amsgrad": True}),
    "AdamW": ("AdamW", {}),
    "Adamax": ("Adamax", {}),
    "NAdam": ("NAdam", {}),
    "RAdam": ("RAdam", {}),
    "Adafactor": ("Adafactor", {}),
    "ASGD": ("ASGD", {}),
    "Rprop": ("Rprop", {}),
    "Muon": ("Muon", {}),
}
TARGETS = {"Linear(2, 1)": 0.6, "Net": 0.95, "ResNet-50": 1.0}
TARGETS_OF = {("Adam", "ResNet-50"): 0.8, ("AdamW", "ResNet-50"): 0.8}
TARGET_LBFGS, TARGET_COMPILED = 1.05, 0.6
# Rounds and the seconds of one turn; the quick ones show that everything runs, and no more.
EFFORT = {"Linear(2, 1)": (51, 0.004), "Net": (41, 0.01), "ResNet-50": (15, 0.0)}
QUICK = {"Linear(2, 1)": (3, 0.0005), "Net": (2, 0.0)}
SIDES = ("ours", "foreach", "fused")


def steps_of(algorithm: str, workload: str) -> dict[str, Callable[[], object]]:
    """Return the step of torch's default, ours, and torch's other implementations of it."""
    name, options = ALGORITHMS[algorithm]
    theirs = getattr(torch.optim, name)
    shapes = [shape for shape in WORKLOADS[workload] if name != "Muon" or len(shape) == 2]
    known = inspect.signature(theirs).parameters
    steps = {"default": theirs(parameters(shapes), **options).step}
    steps["ours"] = getattr(optim, name)(parameters(shapes), **options).step
    for switch in ("foreach", "fused"):
        if switch in known:
            steps[switch] = theirs(parameters(shapes), **options, **{switch: True}).step
    return steps


def lbfgs_step(library: Any, params: list[Tensor], search: str | None) -> Callable[[], object]:
    """Return a step of L-BFGS on f = ½ Σ cᵢ θᵢ², c from 1 to 100: the same from the same start."""
    starts = [param.detach().clone() for param in params]
    curvatures = [torch.linspace(1, 100, p.numel()).view_as(p) for p in params]
    optimizer = library.LBFGS(params, lr=0.1, line_search_fn=search)

    @torch.no_grad()
    def closure() -> float:
        loss = 0.0
        for param, curvature in zip(params, curvatures, strict=True):
            torch.mul(param, curvature, out=param.grad)
            loss += param.flatten().dot(param.grad.flatten()).item() / 2
        return loss

    @torch.no_grad()
    def step() -> None:
        for param, start in zip(params, starts, strict=True):
            param.copy_(start)
        optimizer.state.clear()
        optimizer.step(closure)

    return step


def compiled_step() -> tuple[dict[str, Callable[[], object]], float]:
    """Return Adam's steps on the network, and the seconds that compiling ours took."""
    steps = steps_of("Adam", "Net")
    optimizer = optim.Adam(parameters(WORKLOADS["Net"]))
    optimizer.compile()
    begin = time.perf_counter()
    # The first step makes the state, the second runs with it: either may be compiled.
    for _ in range(3):
        optimizer.step()
    compiling = time.perf_counter() - begin
    return {"default": steps["default"], "compiled": optimizer.step, **steps}, compiling


def verdict(timing: Timing, target: float) -> str:
    """Say whether a ratio, as it is printed, is within its target."""
    return f"{target:.2f} {'met' if round(timing.ratio, 2) <= target else 'MISSED'}"


def clock(timing: Timing) -> str:
    """Print the time of one call."""
    milliseconds = 1e3 * timing.seconds
    return f"{milliseconds:.3g} ms" if milliseconds >= 1 else f"{1e3 * milliseconds:.3g} µs"


def print_table(workload: str, rows: Mapping[str, Mapping[str, Timing]]) -> None:
    """Print a workload's table; in brackets the quartiles of the rounds."""
    shapes = WORKLOADS[workload]
    size = sum(math.prod(shape) for shape in shapes)
    print(f"\n{workload}: {len(shapes)} tensors, {size:,} numbers")
    columns = "".join(f"{side:>18}" for side in SIDES)
    print(f"{'':10}{'default':>9}{columns}{'faults':>12}  target, ours")
    for algorithm, timings in rows.items():
        cells = "".join(f"{timings.get(side, '-')!s:>18}" for side in SIDES)
        default, ours = timings["default"], timings["ours"]
        faults = f"{default.page_faults:.0f}/{ours.page_faults:.0f}"
        target = TARGETS_OF.get((algorithm, workload), TARGETS[workload])
        line = f"{algorithm:10}{clock(default):>9}{cells}{faults:>12}"
        print(f"{line}  {verdict(ours, target)}")


def main() -> None:
    """Measure every algorithm on every workload and print the tables."""
    summary, _, explanation = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument(
        "--quick", action="store_true", help="few rounds, no ResNet-50, nothing compiled"
    )
    quick = parser.parse_args().quick
    effort = QUICK if quick else EFFORT
    print(textwrap.fill(explanation, 98))
    print(f"\ntorch {torch.__version__}, Python {platform.python_version()}, {platform.machine()}")
    print("threads: 1" + ("; --quick: these figures mean nothing" if quick else ""))
    torch.set_num_threads(1)

    tables: dict[str, dict[str, dict[str, Timing]]] = {workload: {} for workload in effort}
    cases = [(workload, algorithm) for workload in effort for algorithm in ALGORITHMS]
    for workload, algorithm in tqdm(cases, unit="row", leave=False):
        rounds, turn = effort[workload]
        steps = steps_of(algorithm, workload)
        tables[workload][algorithm] = measure(steps, rounds=rounds, turn=turn)
    for workload, rows in tables.items():
        print_table(workload, rows)

    print("\nL-BFGS, one step(closure) of 20 iterations")
    for workload in ("Linear(2, 1)", "Net"):
        for search in (None, "strong_wolfe"):
            sides = {
                side: lbfgs_step(library, parameters(WORKLOADS[workload]), search)
                for side, library in (("default", torch.optim), ("ours", optim))
            }
            timings = measure(sides, rounds=effort[workload][0], turn=effort[workload][1])
            default, ours = timings["default"], timings["ours"]
            line = f"{workload:14}{search or 'no search':14}{clock(default):>10}"
            print(f"{line}{ours!s:>19}  {verdict(ours, TARGET_LBFGS)}")

    if quick:
        return
    print("\nAdam on Net after optimizer.compile()")
    if shutil.which("c++") is None:
        print("not measured: torch.compile needs a C++ compiler, and there is none")
        return
    with tempfile.TemporaryDirectory() as folder:
        # An empty cache: else torch finds what an earlier run has compiled.
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
        steps, compiling = compiled_step()
        rounds, turn = EFFORT["Net"]
        timings = measure(steps, rounds=rounds, turn=turn)
    for side, timing in timings.items():
        target = f"  {verdict(timing, TARGET_COMPILED)}" if side == "compiled" else ""
        print(f"{side:10}{clock(timing):>10}{timing!s:>19}{target}")
    print(f"compiling, once: {compiling:.0f} s")


if __name__ == "__main__":
    main()
