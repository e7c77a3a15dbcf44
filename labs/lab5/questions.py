"""Lab 5, building torch.optim.Optimizer: the inputs of its questions, and how an answer runs on them.

Every question hands the student's function an optimiser with the three stores and no methods.
Recording is on when a run begins, and afterwards what it was: no answer switches it off for others.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nndl.checking.question import Case, Question, Unusable
from nndl.checking.returned import a_tensor, described, numbers, unusable

STEPS = 60
FORMS = ("list", "tuple", "generator", "tensor")


class Stores:
    """The three stores of an optimiser."""

    def __init__(self, param_groups: list[dict[str, Any]], defaults: dict[str, Any]) -> None:
        self.param_groups = param_groups
        self.defaults = defaults
        self.state: Any = defaultdict(dict)


class Record(defaultdict[str, list[Any]]):
    """Lists by name, which grow by one entry a step."""

    def __init__(self) -> None:
        super().__init__(list)

    def add(self, **values: Any) -> None:
        """Append one value to each of the lists named."""
        for name, value in values.items():
            self[name].append(value)


def leaf(values: Any, requires_grad: bool = True) -> Tensor:
    """A parameter of its own: the case keeps its numbers."""
    return torch.tensor(values, dtype=torch.float64, requires_grad=requires_grad)


def in_groups(params: list[Tensor], sizes: list[int]) -> list[list[Tensor]]:
    """Deal out the parameters, so many to each group."""
    rest = iter(params)
    return [[next(rest) for _ in range(size)] for size in sizes]


def stack(tensors: list[Tensor]) -> Tensor:
    return torch.stack([t.detach().clone() for t in tensors])


def a_dictionary(function: str, value: Any, *keys: str) -> dict[str, Any]:
    """Return what a function returned if it is a dictionary with these keys."""
    if not isinstance(value, dict):
        raise unusable(function, value, "一个字典", "a dictionary")
    for key in keys:
        if key not in value:
            raise Unusable(
                f"{function} 返回的字典里没有 {key!r}。",
                f"The dictionary that {function} returns has no {key!r}.",
            )
    return value


def remembered(state: Any, p: Tensor, key: str) -> Tensor:
    """Return the tensor that the state of a parameter holds under a key; zeros if it has none."""
    entry = state.get(p, {})
    kept = entry.get(key, torch.zeros_like(p)) if isinstance(entry, Mapping) else entry
    if not isinstance(kept, Tensor) or kept.shape != p.shape:
        (zh, en), (got_zh, got_en) = a_tensor(p.shape), described(kept)
        raise Unusable(
            f"opt.state[p][{key!r}] 应是{zh}，放进去的是{got_zh}。",
            f"opt.state[p][{key!r}] must be {en}, and holds {got_en}.",
        )
    return kept


# ---- 1: a group, completed


def groups_to_complete(rng: np.random.Generator) -> list[Case]:
    return [
        {
            "names": names,
            "shape": shape,
            "defaults": rng.uniform(0.1, 1, len(names)),
            "own": rng.uniform(1, 2, (STEPS, len(names))),
            "stated": rng.integers(0, 2, (STEPS, len(names))),
            "forms": [FORMS[i] for i in rng.integers(0, len(FORMS), STEPS)],
            "counts": [int(count) for count in rng.integers(1, 4, STEPS)],
        }
        for names, shape in (
            (["lr", "momentum"], [3]),
            (["lr", "beta1", "beta2", "eps"], [1]),
            (["alpha"], [2, 3]),
        )
    ]


@torch.enable_grad()
def run_complete_group(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    names, found = case["names"], Record()
    defaults = {name: float(value) for name, value in zip(names, case["defaults"], strict=True)}
    settings = case["own"], case["stated"], case["forms"], case["counts"]
    for own, stated, form, count in zip(*settings, strict=True):
        tensors = [torch.zeros(case["shape"]) for _ in range(1 if form == "tensor" else count)]
        as_list = list(tensors)
        given = {
            "list": as_list,
            "tuple": tuple(tensors),
            "generator": iter(tensors),
            "tensor": tensors[0],
        }
        group = {"params": given[form]}
        group |= {n: float(v) for n, v, s in zip(names, own, stated, strict=True) if s}

        full = a_dictionary("complete_group", answer["complete_group"](group, defaults), "params")
        params = full["params"]
        if not isinstance(params, Iterable):
            raise unusable("complete_group", params, "一个列表", "a list", "params")
        options = [
            numbers("complete_group", full.get(name, float("nan")), (), name) for name in names
        ]
        list(params)  # a generator can be walked through once: the second time, nothing is left
        right = sum(p is q for p, q in zip(params, tensors, strict=False))
        is_list = isinstance(params, list)
        # What is done to the new group must not reach what it was made of.
        if is_list:
            params.clear()
        full.update(dict.fromkeys(names, -1.0))
        found.add(
            options=options,
            params=right,
            is_list=is_list,
            defaults=[defaults[name] for name in names],
            given_group=len(group),
            given_list=len(as_list),
        )
    return found


# ---- 2: accept or refuse


def parameters_to_add(rng: np.random.Generator) -> list[Case]:
    """Parameters of one number each, so that a comparison by value has an answer."""
    return [
        {
            "shape": shape,
            "values": rng.normal(0, 1, (20, 8)),
            "picks": rng.uniform(0, 1, (20, 2)),
        }
        for shape in ([1], [1, 1], [])
    ]


@torch.enable_grad()
def run_add_group(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    def new(value: float, requires_grad: bool = True) -> Tensor:
        return leaf(np.full(case["shape"], value), requires_grad)

    def attempt(params: Any) -> int:
        """0 if the group gets in, and 1 or 2 if it is refused by a TypeError or ValueError."""
        try:
            answer["add_group"](opt, {"params": params, "lr": 0.1})
        except TypeError:
            return 1
        except ValueError:
            return 2
        return 0

    held = [new(0.25), new(0.5)]
    opt, found = Stores([{"params": list(held), "lr": 0.1}], {"lr": 0.1}), Record()
    for value, picks in zip(case["values"], case["picks"], strict=True):
        held += [new(value[0]), new(value[1])]
        one, other = (held[int(pick * len(held))] for pick in picks)
        found.add(
            good=attempt(held[-2:]),
            frozen=attempt([new(value[2], requires_grad=False)]),
            same_value=attempt([new(one.item())]),
            a_set=attempt({new(value[3])}),
            not_a_tensor=attempt([new(value[4]), 1.0]),
            computed=attempt([new(value[5]), 2 * new(value[6])]),
            taken=attempt([new(value[7]), other]),
            groups=len(opt.param_groups),
        )
    return found


# ---- 3: clearing gradients


def gradients_to_clear(rng: np.random.Generator) -> list[Case]:
    return [
        {
            "sizes": sizes,
            "start": rng.normal(0, 1, (sum(sizes) + 1, *shape)),
            "gradients": rng.normal(0, 1, (STEPS, sum(sizes) + 1, *shape)),
            "missing": rng.integers(0, 4, (STEPS, sum(sizes))) == 0,
            "set_to_none": rng.integers(0, 2, STEPS),
        }
        for sizes, shape in (([2], [1]), ([1, 2], [3]), ([2, 1, 1], [2, 2]))
    ]


@torch.enable_grad()
def run_zero_grad(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    *params, stranger = [leaf(start) for start in case["start"]]
    groups = [{"params": group} for group in in_groups(params, case["sizes"])]
    opt, found = Stores(groups, {}), Record()
    settings = case["gradients"], case["missing"], case["set_to_none"]
    for gradients, missing, set_to_none in zip(*settings, strict=True):
        *grads, stranger.grad = [leaf(gradient, requires_grad=False) for gradient in gradients]
        for p, grad, none in zip(params, grads, missing, strict=True):
            p.grad = None if none else grad
        answer["zero_grad"](opt, bool(set_to_none))
        zero = torch.zeros_like(stranger)
        found.add(
            is_none=[p.grad is None for p in params],
            gradient=stack([zero if p.grad is None else p.grad for p in params]),
            held=stack(grads),
            x=stack(params),
            stranger=zero if stranger.grad is None else stranger.grad.clone(),
        )
    return found


# ---- 4: one step of SGD with momentum


def bowls_in_groups(rng: np.random.Generator) -> list[Case]:
    """Bowls f = Σ cᵢ xᵢ² / 2, with options for each group and gradients that come and go."""
    cases = []
    for sizes, rho, shape in (
        ([2, 2], [0.9, 0.0], [1]),
        ([2, 3], [0.6, 0.85], [3]),
        ([2, 2, 2], [0.0, 0.8, 0.7], [2, 3]),
    ):
        n = sum(sizes)
        missing = rng.uniform(0, 1, (STEPS, n)) < 0.2
        missing[:3, 1] = True  # its first gradient comes late
        missing[5, 0] = missing[9, sizes[0]] = True  # no gradient, but those behind it have one
        missing[:, -1] |= len(sizes) == 3  # never has one
        cases.append(
            {
                "sizes": sizes,
                "lr": rng.uniform(0.02, 0.08, len(sizes)),
                "momentum": rho,
                "dampening": rng.uniform(0.1, 0.4, len(sizes)),
                "default": rng.uniform(0.1, 0.15),
                "later": rng.uniform(0.3, 0.6),
                "start": rng.normal(0, 2, (n, *shape)),
                "curvature": rng.uniform(0.3, 2, (n, *shape)),
                "missing": missing,
            }
        )
    return cases


@torch.enable_grad()
def run_momentum_step(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    params = [leaf(start) for start in case["start"]]
    options = zip(case["lr"], case["momentum"], case["dampening"], strict=True)
    groups = [
        {"params": group, "lr": float(lr), "momentum": float(rho), "dampening": float(tau)}
        for group, (lr, rho, tau) in zip(in_groups(params, case["sizes"]), options, strict=True)
    ]
    default = float(case["default"])
    opt = Stores(groups, {"lr": default, "momentum": 1 - default, "dampening": default})
    found = Record()

    def record() -> None:
        found.add(
            x=stack(params),
            momentum_buffer=stack([remembered(opt.state, p, "momentum_buffer") for p in params]),
            remembered=len(opt.state),
        )

    record()
    memory = [torch.zeros_like(p, requires_grad=False) for p in params]
    curvatures = [leaf(curvature, requires_grad=False) for curvature in case["curvature"]]
    for t, missing in enumerate(case["missing"]):
        if t == STEPS // 2:
            opt.param_groups[0]["lr"] *= case["later"]
        for p, grad, curvature, none in zip(params, memory, curvatures, missing, strict=True):
            grad.copy_(curvature * p.detach())  # the same memory at every step
            p.grad = None if none else grad
        answer["momentum_step"](opt)
        record()
    return found


# ---- 5: the closure


def steps_with_closures(rng: np.random.Generator) -> list[Case]:
    return [
        {
            "start": rng.normal(0, 2, shape),
            "curvature": rng.uniform(0.3, 2, shape),
            "lr": rng.uniform(0.02, 0.1),
            "with_closure": rng.uniform(0, 1, STEPS) < 0.7,
            "recording": rng.integers(0, 2, STEPS),
        }
        for shape in ([1], [4], [2, 3])
    ]


@torch.enable_grad()
def run_step_with_closure(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    x, curvature = leaf(case["start"]), leaf(case["curvature"], requires_grad=False)
    opt, found = Stores([{"params": [x], "lr": float(case["lr"])}], {}), Record()
    calls, seen = 0, {"closure": -1, "update": -1}

    def differentiate() -> None:
        x.grad = curvature * x.detach()

    def closure() -> Tensor:
        nonlocal calls
        calls += 1
        seen["closure"] = int(torch.is_grad_enabled())
        differentiate()
        return (curvature * x.detach() ** 2).sum() / 2

    def update(opt: Any) -> None:
        seen["update"] = int(torch.is_grad_enabled())
        with torch.no_grad():
            for group in opt.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        p.sub_(group["lr"] * p.grad)

    for with_closure, recording in zip(case["with_closure"], case["recording"], strict=True):
        seen.update(closure=-1, update=-1)
        if not with_closure:
            differentiate()
        with torch.set_grad_enabled(bool(recording)):
            loss = answer["step_with_closure"](opt, closure if with_closure else None, update)
            afterwards = torch.is_grad_enabled()
        found.add(
            x=x.detach().clone(),
            loss=-1.0 if loss is None else numbers("step_with_closure", loss, ()),
            calls=calls,
            grad_in_closure=seen["closure"],
            grad_in_update=seen["update"],
            grad_afterwards=afterwards,
        )
    return found


# ---- 6: saving


def optimisers_to_save(rng: np.random.Generator) -> list[Case]:
    return [
        {
            "sizes": sizes,
            "names": names,
            "key": key,
            "order": [int(i) for i in rng.permutation(sum(sizes))],
            "options": rng.uniform(0, 1, (STEPS, len(sizes), len(names))),
            "values": rng.normal(0, 1, (STEPS, sum(sizes), *shape)),
        }
        for sizes, names, key, shape in (
            ([1, 3], ["lr", "momentum"], "momentum_buffer", [1]),
            ([2, 1, 2], ["lr"], "sum", [3]),
            ([3, 2], ["lr", "alpha", "eps"], "square_avg", [2, 2]),
        )
    ]


@torch.enable_grad()
def run_state_dict(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    params = [leaf(np.zeros_like(value)) for value in case["values"][0]]
    own, names, key = in_groups(params, case["sizes"]), case["names"], case["key"]
    opt, found = Stores([{} for _ in own], {}), Record()

    def options(groups: Any) -> list[float]:
        return [group.get(name, float("nan")) for group in groups for name in names]

    for t in range(STEPS):
        # The optimiser as it is at this step, whatever an answer has done to it before.
        for group, members, values in zip(opt.param_groups, own, case["options"][t], strict=True):
            group.clear()
            group.update(params=list(members), **dict(zip(names, map(float, values), strict=True)))
        opt.state.clear()
        for i in case["order"][: min(t // 10, len(params) - 1)]:
            opt.state[params[i]] = {key: leaf(case["values"][t, i], False), "steps": t}
        remembered = len(opt.state)

        saved = a_dictionary("state_dict", answer["state_dict"](opt), "state", "param_groups")
        groups, state = saved["param_groups"], saved["state"]
        if not isinstance(groups, list) or not all(
            isinstance(group, dict) and isinstance(group.get("params"), Iterable)
            for group in groups
        ):
            zh, en = "字典的列表，每个都有列表 params", "a list of dictionaries with lists params"
            raise unusable("state_dict", groups, zh, en, "param_groups")
        if not isinstance(state, Mapping):
            raise unusable("state_dict", state, "一个字典", "a dictionary", "state")
        indices = [
            i if isinstance(i, (int, np.integer)) else -1 for g in groups for i in g["params"]
        ]
        entries = [state.get(i) for i in range(len(params))]
        kept = []
        for i, entry in enumerate(entries):
            value = torch.zeros_like(params[i])
            if entry is not None:
                value = a_dictionary("state_dict", entry).get(key, value)
            kept.append(numbers("state_dict", value, params[i].shape, f"state[{i}][{key!r}]"))
        saved_options = options(groups)
        # What is done to the file's groups must not reach the optimiser's.
        for group in groups:
            group.update(dict.fromkeys(names, -1.0))
        members = [p for group in opt.param_groups for p in group.get("params", [])]
        found.add(
            numbers=(indices + [-1] * len(params))[: len(params)],
            options=saved_options,
            has_state=[entry is not None for entry in entries],
            state=stack(kept),
            own_params=sum(p is q for p, q in zip(members, params, strict=False)),
            own_options=options(opt.param_groups),
            own_state=len(opt.state) if remembered == len(opt.state) else -len(opt.state),
        )
    return found


# ---- 7: resuming


def files_to_load(rng: np.random.Generator) -> list[Case]:
    return [
        {
            "sizes": sizes,
            "has_state": has_state,
            "total": rng.normal(0, 3, (sum(sizes), *shape)),
            "steps": [int(steps) for steps in rng.integers(3, 9, sum(sizes))],
            "saved_lr": rng.uniform(0.02, 0.1, len(sizes)),
            "other_lr": rng.uniform(0.2, 0.3, len(sizes)),
            "old": rng.normal(5, 1, shape),
            "start": rng.normal(0, 2, (sum(sizes), *shape)),
            "curvature": rng.uniform(0.3, 2, (sum(sizes), *shape)),
        }
        for sizes, has_state, shape in (
            ([2, 1], [1, 1, 1], [1]),
            ([1, 3], [1, 0, 1, 1], [3]),
            ([2, 1, 2], [1, 1, 0, 1, 1], [2, 2]),
        )
    ]


@torch.enable_grad()
def run_load_state_dict(answer: Mapping[str, Any], case: Case) -> Mapping[str, Any]:
    sizes, load = case["sizes"], answer["load_state_dict"]
    params = [leaf(start, False) for start in case["start"]]
    curvatures = [leaf(curvature, False) for curvature in case["curvature"]]
    own, found = in_groups(params, sizes), Record()
    zero = torch.zeros_like(params[0])

    def optimiser() -> Stores:
        groups = [
            {"params": list(group), "lr": float(lr)}
            for group, lr in zip(own, case["other_lr"], strict=True)
        ]
        opt = Stores(groups, {"lr": 0.5})
        for p in params:
            opt.state[p] = {"total": leaf(case["old"], False), "steps": 2}
        return opt

    def a_file(sizes: list[int]) -> dict[str, Any]:
        numbers = iter(range(sum(sizes)))
        state = zip(case["has_state"], case["total"], case["steps"], strict=True)
        return {
            "state": {
                i: {"total": leaf(total, False), "steps": steps}
                for i, (has_state, total, steps) in enumerate(state)
                if has_state and i < sum(sizes)
            },
            "param_groups": [
                {"params": [next(numbers) for _ in range(size)], "lr": float(lr)}
                for size, lr in zip(sizes, case["saved_lr"], strict=False)
            ],
        }

    opt, saved = optimiser(), a_file(sizes)

    def record() -> None:
        held = [p for group in opt.param_groups for p in group.get("params", [])]
        entries = [saved["state"].get(i, {}) for i in range(len(params))]
        numbers = [i for group in saved["param_groups"] for i in group.get("params", [])]
        found.add(
            x=stack(params),
            total=stack([remembered(opt.state, p, "total") for p in params]),
            remembered=len(opt.state),
            own_params=sum(p is q for p, q in zip(held, params, strict=False)),
            saved_total=stack([entry.get("total", zero) for entry in entries]),
            saved_lr=[group.get("lr", float("nan")) for group in saved["param_groups"]],
            saved_numbers=sum(isinstance(i, int) for i in numbers),
        )

    def check_groups() -> None:
        """Say what of the optimiser's groups cannot be trained with after loading."""
        groups = opt.param_groups
        if not isinstance(groups, list) or len(groups) != len(own):
            raise Unusable(
                f"load_state_dict 之后，opt.param_groups 应是 {len(own)} 个组的列表。",
                f"After load_state_dict, opt.param_groups must be a list of {len(own)} groups.",
            )
        if not all(isinstance(g, dict) and isinstance(g.get("lr"), float) for g in groups):
            raise Unusable(
                "load_state_dict 之后，opt.param_groups 里的每个组应是一个字典，lr 是一个数。",
                "After load_state_dict, each of opt.param_groups must be a dictionary with a number lr.",
            )

    def train() -> None:
        """One step along the mean of all gradients so far, with a falling rate."""
        for group, members in zip(opt.param_groups, own, strict=True):
            for p in members:
                state = opt.state.setdefault(p, {})
                state.setdefault("total", torch.zeros_like(p))
                state.setdefault("steps", 0)
                state["total"].add_(curvatures[index[p]] * p)
                state["steps"] += 1
                p.sub_(group["lr"] * state["total"] / state["steps"])
            group["lr"] *= 0.98

    index = {p: i for i, p in enumerate(params)}
    for _ in range(2):
        for p, start in zip(params, case["start"], strict=True):
            p.copy_(leaf(start, False))
        load(opt, saved)
        check_groups()
        record()
        for _ in range(STEPS // 2):
            train()
            record()

    # Three files that don't fit, and one that does.
    opt = optimiser()
    large = sizes.index(max(sizes))
    one_less = [size - (i == large) for i, size in enumerate(sizes)]
    moved = [size + (i == (large + 1) % len(sizes)) for i, size in enumerate(one_less)]
    for wrong in (sizes[:-1], one_less, moved, sizes):
        try:
            load(opt, a_file(wrong))
            code = 0
        except ValueError:
            code = 2
        check_groups()
        rates = [group["lr"] for group in opt.param_groups]
        found.add(refused=code, refused_lr=(rates + [-1.0] * len(sizes))[: len(sizes)])
    return found


QUESTIONS = [
    Question(
        "complete-group",
        10,
        {"zh": "补全一个参数组", "en": "A group, completed"},
        ("complete_group",),
        groups_to_complete,
        run_complete_group,
        counts="index",
    ),
    Question(
        "add-group",
        15,
        {"zh": "收下还是拒绝", "en": "Accept or refuse"},
        ("add_group",),
        parameters_to_add,
        run_add_group,
        counts="index",
    ),
    Question(
        "zero-grad",
        10,
        {"zh": "清空梯度", "en": "Clearing gradients"},
        ("zero_grad",),
        gradients_to_clear,
        run_zero_grad,
        counts="index",
    ),
    Question(
        "momentum-step",
        20,
        {"zh": "走一步：带动量的 SGD", "en": "One step: SGD with momentum"},
        ("momentum_step",),
        bowls_in_groups,
        run_momentum_step,
    ),
    Question(
        "closure",
        10,
        {"zh": "闭包", "en": "The closure"},
        ("step_with_closure",),
        steps_with_closures,
        run_step_with_closure,
        counts="index",
    ),
    Question(
        "state-dict",
        10,
        {"zh": "存盘：state_dict", "en": "Saving: state_dict"},
        ("state_dict",),
        optimisers_to_save,
        run_state_dict,
        counts="index",
    ),
    Question(
        "load-state-dict",
        15,
        {"zh": "恢复：load_state_dict", "en": "Resuming: load_state_dict"},
        ("load_state_dict",),
        files_to_load,
        run_load_state_dict,
        counts="index",
    ),
]
