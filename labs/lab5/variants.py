"""Lab 5: right answers that are written quite differently from the solution."""

import itertools
from collections.abc import Iterable
from typing import Any

import torch

# ---- 1: a group, completed


def option_by_option(group: Any, defaults: Any) -> Any:
    full = {"params": []}
    if torch.is_tensor(group["params"]):
        full["params"].append(group["params"])
    else:
        for p in group["params"]:
            full["params"].append(p)
    for name in list(defaults) + list(group):
        if name != "params":
            full[name] = group[name] if name in group else defaults[name]
    return full


def copied_and_filled(group: Any, defaults: Any) -> Any:
    full = group.copy()
    params = full.pop("params")
    for name, value in defaults.items():
        full.setdefault(name, value)
    alone = not isinstance(params, Iterable) or hasattr(params, "grad")
    return full | {"params": [params] if alone else [*params]}


# ---- 2: accept or refuse


def by_identity_numbers(opt: Any, group: Any) -> None:
    if type(group["params"]) is set:
        raise TypeError
    if not all(torch.is_tensor(p) for p in group["params"]):
        raise TypeError
    ids = {id(p) for other in opt.param_groups for p in other["params"]}
    if any(p.grad_fn is not None or id(p) in ids for p in group["params"]):
        raise ValueError
    opt.param_groups += [group]


def add_then_remove(opt: Any, group: Any) -> None:
    opt.param_groups.append(group)
    try:
        if not hasattr(group["params"], "index"):
            raise TypeError
        for p in group["params"]:
            if not hasattr(p, "is_leaf"):
                raise TypeError
            owners = [g for g in opt.param_groups if any(p is q for q in g["params"])]
            if len(owners) > 1 or not p.is_leaf:
                raise ValueError
    except Exception:
        opt.param_groups.pop()
        raise


# ---- 3: clearing gradients


def zero_with_filter(opt: Any, set_to_none: bool = True) -> None:
    params = itertools.chain.from_iterable(group["params"] for group in opt.param_groups)
    for p in filter(lambda p: p.grad is not None, params):
        if not set_to_none:
            p.grad.detach_().mul_(0.0)
            continue
        p.grad = None


def zero_through_numpy(opt: Any, set_to_none: bool = True) -> None:
    for group in opt.param_groups:
        for p in group["params"]:
            if set_to_none:
                del p.grad
            elif p.grad is not None:
                p.grad.numpy()[...] = 0


# ---- 4: one step of SGD with momentum


def momentum_out_of_place(opt: Any) -> None:
    for group in opt.param_groups:
        for p in group["params"]:
            if p.grad is None:
                continue
            v = p.grad.detach()
            if group["momentum"]:
                old = opt.state.get(p, {}).get("momentum_buffer")
                if old is None:
                    v = v + 0.0
                else:
                    v = group["momentum"] * old + (1 - group["dampening"]) * v
                opt.state[p]["momentum_buffer"] = v
            p.data = p.data - group["lr"] * v


def momentum_number_by_number(opt: Any) -> None:
    with torch.no_grad():
        pairs = [(p, g) for g in opt.param_groups for p in g["params"] if p.grad is not None]
        for p, group in pairs:
            rho, directions = group["momentum"], p.grad.flatten().tolist()
            if rho > 0:
                if p not in opt.state:
                    opt.state[p] = {"momentum_buffer": torch.from_numpy(p.grad.numpy().copy())}
                else:
                    kept = opt.state[p]["momentum_buffer"]
                    kept.copy_(torch.lerp(p.grad, kept, rho) + (rho - group["dampening"]) * p.grad)
                directions = opt.state[p]["momentum_buffer"].flatten().tolist()
            for i, d in enumerate(directions):
                p.view(-1)[i] -= group["lr"] * d


# ---- 5: the closure


def closure_by_hand(opt: Any, closure: Any, update: Any) -> Any:
    before = torch.is_grad_enabled()
    try:
        torch.set_grad_enabled(True)
        loss = closure() if callable(closure) else None
        torch.set_grad_enabled(False)
        update(opt)
    finally:
        torch.set_grad_enabled(before)
    return loss


@torch.no_grad()
def closure_decorated(opt: Any, closure: Any, update: Any) -> Any:
    loss = torch.enable_grad()(closure)() if closure else None
    update(opt)
    return None if loss is None else loss.item()


# ---- 6: saving


def state_dict_counting(opt: Any) -> Any:
    saved: dict[str, Any] = {"state": {}, "param_groups": []}
    number = 0
    for group in opt.param_groups:
        numbers = []
        for p in group["params"]:
            if p in opt.state:
                saved["state"][number] = {
                    key: value.clone() if torch.is_tensor(value) else value
                    for key, value in opt.state[p].items()
                }
            numbers.append(number)
            number += 1
        new = dict(group)
        new["params"] = numbers
        saved["param_groups"].append(new)
    return saved


def state_dict_by_id(opt: Any) -> Any:
    ids = [id(p) for group in opt.param_groups for p in group["params"]]
    state = {ids.index(id(p)): kept for p, kept in opt.state.items()}
    groups = [
        {k: [ids.index(id(p)) for p in v] if k == "params" else v for k, v in group.items()}
        for group in opt.param_groups
    ]
    return {"param_groups": groups, "state": state}


# ---- 7: resuming


def load_by_counting(opt: Any, saved: Any) -> None:
    if len(opt.param_groups) != len(saved["param_groups"]):
        raise ValueError
    pairs = list(zip(opt.param_groups, saved["param_groups"], strict=True))
    if any(len(group["params"]) != len(theirs["params"]) for group, theirs in pairs):
        raise ValueError
    number = 0
    for group, theirs in pairs:
        for p in group["params"]:
            opt.state.pop(p, None)
            for key, value in saved["state"].get(number, {}).items():
                opt.state[p][key] = value.clone() if torch.is_tensor(value) else value
            number += 1
        for name in theirs:
            if name != "params":
                group[name] = theirs[name]


def load_new_stores(opt: Any, saved: Any) -> None:
    params = [p for group in opt.param_groups for p in group["params"]]
    groups, state = [], {}
    for group, theirs in zip(opt.param_groups, saved["param_groups"], strict=True):
        list(zip(group["params"], theirs["params"], strict=True))
        groups.append({**theirs, "params": group["params"]})
    for number, kept in saved["state"].items():
        state[params[number]] = {k: v + 0 for k, v in kept.items()}
    opt.param_groups, opt.state = groups, state


VARIANTS = {
    "complete-group": [option_by_option, copied_and_filled],
    "add-group": [by_identity_numbers, add_then_remove],
    "zero-grad": [zero_with_filter, zero_through_numpy],
    "momentum-step": [momentum_out_of_place, momentum_number_by_number],
    "closure": [closure_by_hand, closure_decorated],
    "state-dict": [state_dict_counting, state_dict_by_id],
    "load-state-dict": [load_by_counting, load_new_stores],
}
