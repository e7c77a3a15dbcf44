"""Measure optimisers side by side: the same shapes, in one run, taking turns, as ratios.

A time by itself says more about the machine and its other users than about the code. A ratio of
two times that were taken in turn says something about the code.
"""

import gc
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from statistics import median, quantiles

import torch
from torch import Tensor
from tqdm import tqdm

from nndl._checks import whole_number

try:
    import resource
except ImportError:
    resource = None  # type: ignore[assignment]

__all__ = ["WORKLOADS", "Timing", "measure", "parameters", "resnet50_shapes"]

Shape = tuple[int, ...]


def resnet50_shapes() -> list[Shape]:
    """Return the shapes of ResNet-50's parameters (He et al., 2016, table 1).

    Examples
    --------
    >>> shapes = resnet50_shapes()
    >>> len(shapes), sum(math.prod(shape) for shape in shapes)
    (161, 25557032)
    """

    def convolution(inputs: int, outputs: int, kernel: int) -> list[Shape]:
        """Weights without a bias, then the scale and the shift of batch normalisation."""
        return [(outputs, inputs, kernel, kernel), (outputs,), (outputs,)]

    shapes = convolution(3, 64, 7)
    inputs = 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        outputs = 4 * width
        for block in range(blocks):
            shapes += convolution(inputs, width, 1)
            shapes += convolution(width, width, 3)
            shapes += convolution(width, outputs, 1)
            if block == 0:
                shapes += convolution(inputs, outputs, 1)  # the shortcut, where the width changes
            inputs = outputs
    return [*shapes, (1000, inputs), (1000,)]


#: The shapes that optimisers are measured on. Tensors so small that only Python's overhead counts,
#: the network of Part II, and a network so large that only memory counts.
WORKLOADS: dict[str, list[Shape]] = {
    "Linear(2, 1)": [(1, 2), (1,)],
    "Net": [(32, 1, 3, 3), (32,), (64, 32, 3, 3), (64,), (128, 9216), (128,), (10, 128), (10,)],
    "ResNet-50": resnet50_shapes(),
}


def parameters(shapes: Sequence[Shape], seed: int = 0) -> list[Tensor]:
    """Make leaf tensors of these shapes, each with a gradient; the same ones for the same seed.

    Examples
    --------
    >>> weight, bias = parameters([(1, 2), (1,)])
    >>> weight.requires_grad, weight.grad.shape
    (True, torch.Size([1, 2]))
    """
    generator = torch.Generator().manual_seed(seed)
    params = [torch.randn(shape, generator=generator, requires_grad=True) for shape in shapes]
    for param in params:
        param.grad = torch.randn(param.shape, generator=generator)
    return params


@dataclass(frozen=True)
class Timing:
    """How long one call takes, alone and compared with the first of those measured.

    Attributes
    ----------
    seconds
        Median processor time of one call.
    ratio
        Median over the rounds of this time divided by the first one's of the same round.
    low, high
        Lower and upper quartile of these ratios: half of the rounds lie between them.
    page_faults
        Median number of pages of new memory that the system handed out in one call.

    Examples
    --------
    As text, the ratio with its quartiles in brackets.

    >>> print(Timing(seconds=2e-6, ratio=0.5, low=0.45, high=0.6, page_faults=0.0))
    0.50 (0.45-0.60)
    """

    seconds: float
    ratio: float
    low: float
    high: float
    page_faults: float

    def __str__(self) -> str:
        return f"{self.ratio:.2f} ({self.low:.2f}-{self.high:.2f})"


def measure(
    work: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 15,
    turn: float = 0.002,
    warm_up: int = 3,
) -> dict[str, Timing]:
    """Time several functions in turn, on one thread, and compare them with the first.

    In each round every function has one turn, and each round begins with another function, so that
    what disturbs the machine meets all alike. What counts is processor time, which on one thread is
    the time by the clock, less the turns that other programs had.

    Parameters
    ----------
    work
        Functions without arguments, such as the ``step`` of optimisers, by name.
    rounds
        Number of rounds >= 2.
    turn
        Seconds that a turn should last: a fast function is called several times in a turn.
    warm_up
        Calls of each function before the rounds, >= 1: the first allocates the state.

    Returns
    -------
    timings
        By name; the ratio of the first is 1.

    Examples
    --------
    >>> steps = {
    ...     "torch": torch.optim.Adam(parameters([(1, 2), (1,)])).step,
    ...     "fused": torch.optim.Adam(parameters([(1, 2), (1,)]), fused=True).step,
    ... }
    >>> timings = measure(steps, rounds=3)
    >>> timings["torch"].ratio
    1.0
    >>> timings["fused"].low <= timings["fused"].ratio <= timings["fused"].high
    True
    """
    if not work:
        raise ValueError("work must name at least one function, got none")
    whole_number("rounds", rounds, least=2)
    whole_number("warm_up", warm_up, least=1)
    names = list(work)
    threads, collecting = torch.get_num_threads(), gc.isenabled()
    torch.set_num_threads(1)
    gc.disable()
    try:
        calls = {}
        for name, function in work.items():
            fastest = min(_mean(function, 1)[0] for _ in range(warm_up))
            calls[name] = max(1, math.ceil(turn / max(fastest, 1e-9)))
        turns: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
        for first in tqdm(range(rounds), unit="round", delay=1.0, leave=False, disable=None):
            for name in islice(cycle(names), first % len(names), first % len(names) + len(names)):
                turns[name].append(_mean(work[name], calls[name]))
    finally:
        torch.set_num_threads(threads)
        if collecting:
            gc.enable()

    timings = {}
    first_turns = turns[names[0]]
    for name, own in turns.items():
        ratios = [mine / base for (mine, _), (base, _) in zip(own, first_turns, strict=True)]
        low, middle, high = quantiles(ratios, n=4, method="inclusive")
        seconds, faults = (median(values) for values in zip(*own, strict=True))
        timings[name] = Timing(seconds, middle, low, high, faults)
    return timings


def _mean(function: Callable[[], object], calls: int) -> tuple[float, float]:
    """Return the processor time and the page faults of one call, both means of so many calls."""
    faults = _page_faults()
    begin = time.process_time()
    for _ in range(calls):
        function()
    seconds = time.process_time() - begin
    faults = _page_faults() - faults
    return seconds / calls, faults / calls


def _page_faults() -> float:
    """Count this process's page faults so far; NaN where the system does not tell (Windows)."""
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_minflt) if resource else math.nan
