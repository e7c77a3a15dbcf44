"""Drive an optimizer of nndl.optim and its namesake of torch.optim side by side, and compare.

The inputs are torch's own (``optim_db``). Both sides get the same gradients, over seven decades,
sometimes None; two groups with learning rates of their own; a rate that changes midway. Parameters
and the whole state_dict are compared bit for bit.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.testing._internal.common_optimizers import OptimizerInfo, optim_db

from nndl import optim

STEPS = 60
RATE_CHANGES_AT = 30
SHAPES = {"scalar": (), "bias": (3,), "weight": (5, 4), "kernel": (2, 3, 2, 2)}
INFO: dict[str, OptimizerInfo] = {info.optim_cls.__name__: info for info in optim_db}
SWITCHES = {"foreach", "fused", "capturable", "differentiable"}

Make = Callable[..., torch.optim.Optimizer]


class Case(NamedTuple):
    """One of torch's inputs for one algorithm, with a type of parameter."""

    name: str
    number: int
    description: str
    options: dict[str, Any]
    dtype: torch.dtype
    sparse: bool = False

    def __str__(self) -> str:
        kind = str(self.dtype).removeprefix("torch.") + ("-sparse" if self.sparse else "")
        return f"{self.name}-{self.number}-{kind}"


def cases(dtypes: tuple[torch.dtype, ...]) -> Iterator[Case]:
    """Every input that torch tests on the CPU, its switches of implementation removed."""
    for name, info in INFO.items():
        if name == "LBFGS":  # needs a closure: test_lbfgs.py
            continue
        for number, given in enumerate(info.optim_inputs_func(device="cpu")):
            if SWITCHES & {key for key, value in given.kwargs.items() if value}:
                continue
            options = {key: value for key, value in given.kwargs.items() if key not in SWITCHES}
            for dtype in dtypes:
                if dtype.is_complex and not info.supports_complex:
                    continue
                if not info.only_supports_sparse_grads:
                    yield Case(name, number, given.desc, options, dtype)
                if dtype.is_complex or dtype == torch.float16:
                    continue  # torch has no sparse kernels for these
                takes_sparse = info.supports_sparse or info.only_supports_sparse_grads
                if takes_sparse and not options.get("weight_decay"):
                    yield Case(name, number, given.desc, options, dtype, sparse=True)


def plain(name: str, dtype: torch.dtype) -> Make:
    """Torch's class, told to loop over single tensors."""
    theirs = INFO[name].optim_cls
    supported = INFO[name].supported_impls
    switches = {key: False for key in ("foreach", "fused") if key in supported}
    return lambda params, **options: theirs(params, **options, **switches)


def shapes_of(case: Case) -> dict[str, tuple[int, ...]]:
    if case.name == "Muon":
        return {"wide": (3, 5), "tall": (6, 2), "square": (4, 4)}
    if case.sparse:
        return {"embedding": (6, 3), "vector": (5,)}
    return SHAPES


class Run:
    """A set of parameters, their optimizer, and a source of gradients that depends on the step."""

    def __init__(self, make: Make, case: Case) -> None:
        self.case = case
        generator = torch.Generator().manual_seed(7)
        self.params = []
        self.scales = []
        for shape in shapes_of(case).values():
            start = torch.randn(shape, generator=generator, dtype=torch.float64)
            scale = 10 ** torch.empty_like(start).uniform_(-5, 1, generator=generator)
            if case.dtype.is_complex:
                start = torch.complex(start, start.flip(0) if start.ndim else start / 3)
            self.params.append(start.to(case.dtype).requires_grad_())
            self.scales.append(scale)
        first, *others = self.params
        options = {key: copied(value) for key, value in case.options.items()}
        lr = options.get("lr")
        own = {} if lr is None else {"lr": lr.clone() if isinstance(lr, Tensor) else lr * 2}
        self.optimizer = make([{"params": [first], **own}, {"params": others}], **options)

    def gradient(self, step: int, index: int) -> Tensor | None:
        """The gradient of one parameter at one step, the same in every run."""
        if index == 1 and step % 7 == 3:
            return None
        generator = torch.Generator().manual_seed(1000 * step + index)
        scale, dtype = self.scales[index], self.case.dtype
        noise = torch.randn(scale.shape, generator=generator, dtype=torch.float64)
        grad = scale * (1 + noise)
        if dtype.is_complex:
            return torch.complex(grad, scale * noise.flip(0) if noise.ndim else -grad).to(dtype)
        grad = grad.to(dtype)
        if self.case.sparse:
            rows = torch.randint(len(grad), (4,), generator=generator)  # repeated rows add up
            return torch.sparse_coo_tensor(
                rows[None], grad[rows], grad.shape, check_invariants=True
            )
        return grad

    def step(self, step: int) -> None:
        if step == RATE_CHANGES_AT:
            for group in self.optimizer.param_groups:
                group["lr"] = group["lr"] / 4
        for index, param in enumerate(self.params):
            param.grad = self.gradient(step, index)
        self.optimizer.step()


def copied(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal bit for bit, NaN included, and of one type."""
    if isinstance(a, Tensor) != isinstance(b, Tensor):
        return False
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        if a.dtype != b.dtype or a.shape != b.shape or a.is_sparse != b.is_sparse:
            return False
        if a.is_sparse:
            a, b = a.to_dense(), b.to_dense()
        if a.is_complex():
            a, b = torch.view_as_real(a), torch.view_as_real(b)
        return bool(((a == b) | (a.isnan() & b.isnan())).all())
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b or (a != a and b != b))


def difference(ours: Run, theirs: Run) -> str:
    """Say what differs between two runs, or return nothing."""
    names = shapes_of(ours.case)
    for name, a, b in zip(names, ours.params, theirs.params, strict=True):
        if not same(a.detach(), b.detach()):
            gap = (a.detach() - b.detach()).abs().max()
            return f"parameter {name} differs by up to {float(gap):.3g}"
    states = (run.optimizer.state_dict()["state"] for run in (ours, theirs))
    return "" if same(*states) else "the states differ"


def first_difference(make: Make, case: Case, steps: int = STEPS) -> str:
    """Run both for `steps` steps, comparing after each; say where they part, or return nothing."""
    ours, theirs = Run(make, case), Run(plain(case.name, case.dtype), case)
    for step in range(steps):
        ours.step(step)
        theirs.step(step)
        found = difference(ours, theirs)
        if found:
            return f"step {step + 1}: {found}"
    return ""


def ours(name: str) -> Make:
    return getattr(optim, name)
