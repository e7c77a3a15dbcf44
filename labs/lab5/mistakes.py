"""Lab 5: mistakes that people make, each as a wrong answer that runs."""

import copy
from typing import Any

import torch

from nndl.checking.question import Mistake

# ---- 1: a group, completed


def as_list(params: Any) -> list[Any]:
    return [params] if isinstance(params, torch.Tensor) else list(params)


def defaults_win(group: Any, defaults: Any) -> Any:
    return {**group, **defaults, "params": as_list(group["params"])}


def into_defaults(group: Any, defaults: Any) -> Any:
    defaults.update(group)
    defaults["params"] = as_list(group["params"])
    return defaults


def into_group(group: Any, defaults: Any) -> Any:
    group["params"] = as_list(group["params"])
    for name, value in defaults.items():
        group.setdefault(name, value)
    return group


def params_as_given(group: Any, defaults: Any) -> Any:
    return {**defaults, **group}


def tensor_taken_apart(group: Any, defaults: Any) -> Any:
    return {**defaults, **group, "params": list(group["params"])}


def users_own_list(group: Any, defaults: Any) -> Any:
    params = group["params"]
    return {
        **defaults,
        **group,
        "params": params if isinstance(params, list) else as_list(params),
    }


# ---- 2: accept or refuse


def adding(
    kinds: tuple[type[Exception], type[Exception]] = (TypeError, ValueError),
    refuse_sets: bool = True,
    by_value: bool = False,
    groups: slice = slice(None),
    needs_grad: bool = False,
    first: bool = False,
) -> Any:
    """``add_group`` with a mistake built in."""
    wrong_kind, wrong_value = kinds

    def add_group(opt: Any, group: Any) -> None:
        params = group["params"]
        if refuse_sets and isinstance(params, set):
            raise wrong_kind
        others = [p for other in opt.param_groups[groups] for p in other["params"]]
        taken = others if by_value else set(others)
        if first:
            opt.param_groups.append(group)
        for p in params:
            if not isinstance(p, torch.Tensor):
                raise wrong_kind
            if not (p.requires_grad if needs_grad else p.is_leaf):
                raise wrong_value
            if p in taken:
                raise wrong_value
        if not first:
            opt.param_groups.append(group)

    return {"add_group": add_group}


# ---- 3: clearing gradients


def every(opt: Any) -> Any:
    return (p for group in opt.param_groups for p in group["params"])


def first_group_only(opt: Any, set_to_none: bool = True) -> None:
    for p in opt.param_groups[0]["params"]:
        if p.grad is not None:
            p.grad = None if set_to_none else p.grad.zero_()


def always_none(opt: Any, set_to_none: bool = True) -> None:
    for p in every(opt):
        p.grad = None


def flag_reversed(opt: Any, set_to_none: bool = True) -> None:
    for p in every(opt):
        if p.grad is not None:
            p.grad = p.grad.zero_() if set_to_none else None


def new_zeros(opt: Any, set_to_none: bool = True) -> None:
    for p in every(opt):
        if p.grad is not None:
            p.grad = None if set_to_none else torch.zeros_like(p.grad)


def zeros_for_none(opt: Any, set_to_none: bool = True) -> None:
    for p in every(opt):
        p.grad = None if set_to_none else torch.zeros_like(p)


def zeros_where_none(opt: Any, set_to_none: bool = True) -> None:
    for p in every(opt):
        if set_to_none:
            p.grad = None
        elif p.grad is None:
            p.grad = torch.zeros_like(p)
        else:
            p.grad.zero_()


def zeros_then_none(opt: Any, set_to_none: bool = True) -> None:
    for p in every(opt):
        if p.grad is not None:
            p.grad.zero_()
            if set_to_none:
                p.grad = None


@torch.no_grad()
def parameter_cleared(opt: Any, set_to_none: bool = True) -> None:
    for p in every(opt):
        if p.grad is not None:
            if set_to_none:
                p.grad = None
            else:
                p.zero_()


# ---- 4: one step of SGD with momentum


def stepping(
    default_options: bool = False,
    stop_at_none: bool = False,
    none_as_zero: bool = False,
    keep_gradient: bool = False,
    one_memory: bool = False,
    damp_first: bool = False,
    damp: bool = True,
    rate_inside: bool = False,
    read_state: bool = False,
    repeat: bool = False,
    shared: bool = False,
    in_place: bool = True,
) -> Any:
    """``momentum_step`` with a mistake built in."""

    @torch.no_grad()
    def momentum_step(opt: Any) -> None:
        for group in opt.param_groups:
            options = opt.defaults if default_options else group
            lr, rho, tau = options["lr"], options["momentum"], options["dampening"]
            for p in group["params"] * (len(group["params"]) if repeat else 1):
                if read_state:
                    _ = opt.state[p]
                grad = p.grad
                if grad is None and none_as_zero:
                    grad = torch.zeros_like(p)
                if grad is None:
                    if stop_at_none:
                        break
                    continue
                scaled = lr * grad if rate_inside else grad
                direction = scaled
                if rho != 0:
                    state = opt.state[group["params"][0] if shared else p]
                    if "momentum_buffer" in state and one_memory:
                        state["momentum_buffer"].mul_(rho).add_(scaled, alpha=1 - tau)
                    elif "momentum_buffer" in state:
                        new = scaled * (1 - tau) if damp else scaled
                        state["momentum_buffer"].mul_(rho).add_(new)
                    else:
                        first = (1 - tau) * scaled if damp_first else scaled.clone()
                        state["momentum_buffer"] = scaled if keep_gradient else first
                    direction = state["momentum_buffer"]
                if in_place:
                    p.sub_(direction if rate_inside else lr * direction)
                else:
                    p = p - lr * direction

    return {"momentum_step": momentum_step}


# ---- 5: the closure


def closure_last(opt: Any, closure: Any, update: Any) -> Any:
    with torch.no_grad():
        update(opt)
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()


def closure_twice(opt: Any, closure: Any, update: Any) -> Any:
    with torch.no_grad():
        if closure is not None:
            with torch.enable_grad():
                closure()
        update(opt)
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()


@torch.no_grad()
def closure_unrecorded(opt: Any, closure: Any, update: Any) -> Any:
    loss = None if closure is None else closure()
    update(opt)
    return loss


def callers_mode(opt: Any, closure: Any, update: Any) -> Any:
    loss = None if closure is None else closure()
    with torch.no_grad():
        update(opt)
    return loss


def loss_lost(opt: Any, closure: Any, update: Any) -> None:
    if closure is not None:
        with torch.enable_grad():
            closure()
    with torch.no_grad():
        update(opt)


def update_recorded(opt: Any, closure: Any, update: Any) -> Any:
    loss = None
    if closure is not None:
        with torch.enable_grad():
            loss = closure()
    update(opt)
    return loss


def mode_left_on(opt: Any, closure: Any, update: Any) -> Any:
    torch.set_grad_enabled(True)
    loss = None if closure is None else closure()
    torch.set_grad_enabled(False)
    update(opt)
    torch.set_grad_enabled(True)
    return loss


# ---- 6: saving


def saving(opt: Any, number: Any, options: bool = True) -> Any:
    """The right dictionary for these numbers, or one that has lost the options."""
    return {
        "state": {number[p]: state for p, state in opt.state.items()},
        "param_groups": [
            {**(group if options else {}), "params": [number[p] for p in group["params"]]}
            for group in opt.param_groups
        ],
    }


def in_order(opt: Any) -> dict[Any, int]:
    return {p: i for i, p in enumerate(every(opt))}


def numbers_restart(opt: Any) -> Any:
    return saving(opt, {p: i for g in opt.param_groups for i, p in enumerate(g["params"])})


def order_of_use(opt: Any) -> Any:
    return saving(opt, {p: i for i, p in enumerate(dict.fromkeys([*opt.state, *every(opt)]))})


def options_lost(opt: Any) -> Any:
    return saving(opt, in_order(opt), options=False)


def own_groups_changed(opt: Any) -> Any:
    saved = saving(opt, in_order(opt))
    for group, saved_group in zip(opt.param_groups, saved["param_groups"], strict=True):
        group["params"] = saved_group["params"]
    return {**saved, "param_groups": opt.param_groups}


def keyed_by_tensor(opt: Any) -> Any:
    return {**saving(opt, in_order(opt)), "state": dict(opt.state)}


def entries_by_reading(opt: Any) -> Any:
    state = {i: opt.state[p] for p, i in in_order(opt).items()}
    return {**saving(opt, in_order(opt)), "state": state}


# ---- 7: resuming


def loading(
    copied: Any = copy.deepcopy,
    options: bool = True,
    state: bool = True,
    clear: bool = True,
    restart: bool = False,
    compare: Any = lambda groups: [len(group["params"]) for group in groups],
    files_groups: bool = False,
) -> Any:
    """``load_state_dict`` with a mistake built in."""

    def load_state_dict(opt: Any, saved: Any) -> None:
        if compare(opt.param_groups) != compare(saved["param_groups"]):
            raise ValueError
        if clear:
            opt.state.clear()
        for group, theirs in zip(opt.param_groups, saved["param_groups"], strict=False):
            for i, (p, number) in enumerate(zip(group["params"], theirs["params"], strict=False)):
                number = i if restart else number
                if state and number in saved["state"]:
                    opt.state[p] = copied(saved["state"][number])
            if files_groups:
                theirs["params"] = group["params"]
            if options:
                group.update({**theirs, "params": group["params"]})
        if files_groups:
            opt.param_groups = saved["param_groups"]

    return {"load_state_dict": load_state_dict}


MISTAKES = {
    "complete-group": [
        Mistake(
            "defaults win",
            {
                "zh": "默认选项盖掉了组里自己写的选项。默认选项只补没有写的。",
                "en": "the defaults override what the group states. They only fill in what it leaves out.",
            },
            {"complete_group": defaults_win},
        ),
        Mistake(
            "written into the defaults",
            {
                "zh": "组的选项写进了 defaults，下一个组就会继承上一个组的选项。先做一个新字典，再往里填。",
                "en": "the options of the group are written into defaults, so the next group inherits them. Make a new dictionary and fill that.",
            },
            {"complete_group": into_defaults},
        ),
        Mistake(
            "written into the user's group",
            {
                "zh": "返回的就是用户的那个字典，里面被补写了。用户再用它构造另一个优化器，就会带上这里的选项。返回一个新字典。",
                "en": "what comes back is the user's own dictionary, filled in. Used for another optimiser, it would bring these options along. Return a new dictionary.",
            },
            {"complete_group": into_group},
        ),
        Mistake(
            "params not made a list",
            {
                "zh": "params 原样留下了，没有变成列表：生成器走过一遍就空了，第二步就没有参数可更新。",
                "en": "the params are left as they were given, not made a list: a generator is empty after one walk, and the second step would find no parameters.",
            },
            {"complete_group": params_as_given},
        ),
        Mistake(
            "single tensor taken apart",
            {
                "zh": "单个张量被拆成了一行一行：list(张量) 走的是它的第一维。单个张量应当成为列表里唯一的一项。",
                "en": "a single tensor is taken apart into its rows: list of a tensor walks along its first dimension. It should be the only entry of the list.",
            },
            {"complete_group": tensor_taken_apart},
        ),
        Mistake(
            "the user's list kept",
            {
                "zh": "组里放的是用户的那个列表，不是新的列表：用户以后改动它，优化器的参数就跟着变。",
                "en": "the group holds the user's own list and not a new one: when the user changes it later, the optimiser's parameters change too.",
            },
            {"complete_group": users_own_list},
        ),
    ],
    "add-group": [
        Mistake(
            "compared by value",
            {
                "zh": "按数值判断参数是否重复：数值碰巧相等的两个参数被当成了同一个。列表的 in 比较数值，集合和字典先看身份。",
                "en": "parameters are compared by value, so two that happen to be equal pass for the same one. With a list, in compares values; a set or a dictionary goes by identity.",
            },
            adding(by_value=True),
        ),
        Mistake(
            "appended before the checks",
            {
                "zh": "还没有检查完，组就加进去了：报了错，组却留在优化器里。先检查所有的参数，最后再加。",
                "en": "the group is appended before the checks are done: the error is raised, and the group stays. Check everything first, and append last.",
            },
            adding(first=True),
        ),
        Mistake(
            "compared with the last group only",
            {
                "zh": "只和最后一个组比较了是否重复。每一个已有的组都要看。",
                "en": "the parameters are compared with those of the last group only. Look through every group that is there.",
            },
            adding(groups=slice(-1, None)),
        ),
        Mistake(
            "requires_grad instead of is_leaf",
            {
                "zh": "用 requires_grad 代替了叶子的判断：算出来的张量也要求梯度，被放进来了；冻结的叶子却被拒绝。要看的是 is_leaf。",
                "en": "requires_grad is tested in place of being a leaf: a computed tensor requires a gradient too and gets in, while a frozen leaf is refused. The test is is_leaf.",
            },
            adding(needs_grad=True),
        ),
        Mistake(
            "a set accepted",
            {
                "zh": "集合被收下了。它的次序每次运行都可能不同，而存盘和恢复靠的正是次序：要拒绝。",
                "en": "a set is accepted. Its order may change from run to run, and saving and resuming go by order: refuse it.",
            },
            adding(refuse_sets=False),
        ),
        Mistake(
            "the two errors confused",
            {
                "zh": "TypeError 和 ValueError 用反了：东西的种类不对是 TypeError，种类对而取值不对是 ValueError。",
                "en": "TypeError and ValueError are confused: something of the wrong kind is a TypeError, the right kind with a wrong value a ValueError.",
            },
            adding(kinds=(ValueError, TypeError)),
        ),
        Mistake(
            "ValueError for everything",
            {
                "zh": "所有的错误都是 ValueError。东西的种类不对（集合、不是张量）应当是 TypeError。",
                "en": "every error is a ValueError. Something of the wrong kind, a set or not a tensor, is a TypeError.",
            },
            adding(kinds=(ValueError, ValueError)),
        ),
    ],
    "zero-grad": [
        Mistake(
            "first group only",
            {
                "zh": "只清空了第一个组。要走遍 param_groups 里的每一个组。",
                "en": "only the first group is cleared. Go through every group in param_groups.",
            },
            {"zero_grad": first_group_only},
        ),
        Mistake(
            "flag ignored",
            {
                "zh": "没有理会 set_to_none，梯度总是变成 None。它为假时，要把梯度就地填成 0。",
                "en": "set_to_none is ignored, and gradients always become None. If it is false, they are filled with zeros in place.",
            },
            {"zero_grad": always_none},
        ),
        Mistake(
            "flag the wrong way round",
            {
                "zh": "set_to_none 用反了：为真时设为 None，为假时填 0。",
                "en": "set_to_none is the wrong way round: true means None, false means zeros.",
            },
            {"zero_grad": flag_reversed},
        ),
        Mistake(
            "zeros in a new tensor",
            {
                "zh": "换上了一个新的全 0 张量，旧的梯度张量没有变，拿着它的人看到的还是旧值。要就地填 0。",
                "en": "a new tensor of zeros takes the place of the gradient, and whoever holds the old one still sees the old values. Fill it in place.",
            },
            {"zero_grad": new_zeros},
        ),
        Mistake(
            "new zeros for all",
            {
                "zh": "每个参数都得到了一个新的全 0 张量：拿着旧梯度的人看到的还是旧的值，本来没有梯度的也有了梯度。要就地填 0，None 仍是 None。",
                "en": "every parameter gets a new tensor of zeros: whoever holds the old gradient still sees the old values, and a parameter without one has got one. Fill in place, and leave None as it is.",
            },
            {"zero_grad": zeros_for_none},
        ),
        Mistake(
            "zeros first, then None",
            {
                "zh": "设为 None 之前先把旧的梯度填成了 0，拿着它的人丢了数据。设为 None 时，旧的张量不要动。",
                "en": "the old gradient is filled with zeros before it is set to None, and whoever holds it loses the data. For None, leave the old tensor alone.",
            },
            {"zero_grad": zeros_then_none},
        ),
        Mistake(
            "parameter cleared",
            {
                "zh": "清零的是参数本身，不是它的梯度。",
                "en": "it is the parameter that is set to zero, and not its gradient.",
            },
            {"zero_grad": parameter_cleared},
        ),
        Mistake(
            "zeros for None",
            {
                "zh": "本来没有梯度的参数，现在有了全 0 的梯度。None 和 0 不是一回事：梯度为 0 的参数照样被动量和衰减带着走。",
                "en": "parameters without a gradient have got one of zeros. None and zero are not the same: with a gradient of 0, momentum and decay still move a parameter.",
            },
            {"zero_grad": zeros_where_none},
        ),
    ],
    "momentum-step": [
        Mistake(
            "options of the defaults",
            {
                "zh": "选项取自 opt.defaults，不是取自参数所在的组。默认选项在组加入时已经抄进组里，之后就不用了。",
                "en": "the options are taken from opt.defaults and not from the group. The defaults are copied into a group when it is added, and not used after that.",
            },
            stepping(default_options=True),
        ),
        Mistake(
            "stops at None",
            {
                "zh": "碰到梯度为 None 的参数，后面的参数也不更新了。只跳过这一个，其余的照走。",
                "en": "at a parameter whose gradient is None, those behind it are left out as well. Skip this one only.",
            },
            stepping(stop_at_none=True),
        ),
        Mistake(
            "None taken for zero",
            {
                "zh": "把 None 当成了 0：速度照样衰减，还推着参数走。没有梯度的参数应当整个跳过。",
                "en": "None is taken for zero: the velocity decays and goes on moving the parameter. Without a gradient, a parameter is left out altogether.",
            },
            stepping(none_as_zero=True),
        ),
        Mistake(
            "gradient kept as velocity",
            {
                "zh": "第一个速度就是梯度那个张量，不是它的副本：下一步的梯度写进同一块内存，速度就丢了。",
                "en": "the first velocity is the gradient tensor and not a copy: the next gradient goes into the same memory, and the velocity is lost.",
            },
            stepping(keep_gradient=True),
        ),
        Mistake(
            "gradient kept as velocity and scaled",
            {
                "zh": "第一个速度就是梯度那个张量，不是它的副本：速度乘 ρ 时，梯度也跟着变了，速度就丢了。",
                "en": "the first velocity is the gradient tensor and not a copy: when the velocity is multiplied by rho, so is the gradient, and the velocity is lost.",
            },
            stepping(keep_gradient=True, one_memory=True),
        ),
        Mistake(
            "first velocity damped",
            {
                "zh": "第一个速度也乘了 1 - τ。第一个速度是第一个梯度的原样拷贝，阻尼从第二步开始。",
                "en": "the first velocity is multiplied by 1 - tau. It is a plain copy of the first gradient; dampening begins with the second.",
            },
            stepping(damp_first=True),
        ),
        Mistake(
            "dampening forgotten",
            {
                "zh": "没有阻尼：从第二步起，新的梯度要乘 1 - τ 再加进速度。",
                "en": "the dampening is missing: from the second step on, the new gradient is multiplied by 1 - tau before it is added.",
            },
            stepping(damp=False),
        ),
        Mistake(
            "rate inside the velocity",
            {
                "zh": "学习率乘进了速度里。学习率一变，旧的速度就不对了；应当先累积梯度，走的时候再乘学习率。",
                "en": "the learning rate is inside the velocity, which is wrong as soon as the rate changes. Accumulate gradients, and multiply by the rate when you step.",
            },
            stepping(rate_inside=True),
        ),
        Mistake(
            "an entry made by reading",
            {
                "zh": "参数走得对，但 opt.state 里多了空的项：用方括号读一个还没有的键，defaultdict 就会添上它。需要速度时才去读。",
                "en": "the parameters are right, but there are empty entries in opt.state: reading a missing key with brackets adds it to a defaultdict. Read only when there is a velocity.",
            },
            stepping(read_state=True),
        ),
        Mistake(
            "updated once for each parameter",
            {
                "zh": "每个参数更新了不止一次：组里有几个参数，就更新了几次。外层循环走组，内层循环走组里的参数。",
                "en": "every parameter is updated as often as there are parameters in its group. The outer loop goes over the groups, the inner one over the parameters of a group.",
            },
            stepping(repeat=True),
        ),
        Mistake(
            "velocity shared",
            {
                "zh": "同一组的参数共用了一份速度。每个参数在 opt.state 里要有自己的一项。",
                "en": "the parameters of a group share one velocity. Each has an entry of its own in opt.state.",
            },
            stepping(shared=True),
        ),
        Mistake(
            "not in place",
            {
                "zh": "参数没有动：p = p - ... 只是让名字 p 指向一个新张量，模型手里的还是旧的。要就地改动。",
                "en": "the parameters don't move: p = p - ... makes the name p stand for a new tensor, and the model still has the old one. Change it in place.",
            },
            stepping(in_place=False),
        ),
    ],
    "closure": [
        Mistake(
            "closure after the update",
            {
                "zh": "先更新，后调用闭包：更新用的是上一步的梯度。闭包要在更新之前调用。",
                "en": "the closure is called after the update, which then uses the gradients of the step before. Call it first.",
            },
            {"step_with_closure": closure_last},
        ),
        Mistake(
            "closure called twice",
            {
                "zh": "闭包调用了两次，返回的是更新之后的损失。一次就够：记住它返回的损失，最后交出去。",
                "en": "the closure is called twice, and the loss is that after the update. Once is enough: keep the loss that it returned, and hand it on.",
            },
            {"step_with_closure": closure_twice},
        ),
        Mistake(
            "closure not recorded",
            {
                "zh": "闭包运行时没有记录计算图，里面的 backward() 会出错。no_grad 只应当管更新。",
                "en": "the graph isn't recorded while the closure runs, and its backward() would fail. Only the update belongs inside no_grad.",
            },
            {"step_with_closure": closure_unrecorded},
        ),
        Mistake(
            "the caller's mode",
            {
                "zh": "闭包在调用者的模式下运行。如果调用者写了 no_grad，里面的 backward() 就会出错：要用 enable_grad 打开。",
                "en": "the closure runs in the caller's mode. If the caller has written no_grad, its backward() would fail: switch recording on with enable_grad.",
            },
            {"step_with_closure": callers_mode},
        ),
        Mistake(
            "loss not returned",
            {
                "zh": "没有返回闭包的损失。",
                "en": "the loss of the closure isn't returned.",
            },
            {"step_with_closure": loss_lost},
        ),
        Mistake(
            "update recorded",
            {
                "zh": "更新时还在记录计算图：就地改动要求梯度的参数会出错。把更新放进 no_grad。",
                "en": "the graph is recorded during the update, and changing a parameter in place would fail. Put the update inside no_grad.",
            },
            {"step_with_closure": update_recorded},
        ),
        Mistake(
            "recording left on",
            {
                "zh": "结束时总是打开了记录，不管调用之前是什么样。用 with 语句，离开时它会恢复原样。",
                "en": "recording is always on afterwards, whatever it was before. A with statement puts back what it found.",
            },
            {"step_with_closure": mode_left_on},
        ),
    ],
    "state-dict": [
        Mistake(
            "numbers restart in each group",
            {
                "zh": "序号在每个组里都从 0 重新数，不同组的参数就撞了号。序号要一组接着一组往下数。",
                "en": "the numbers begin at 0 again in each group, so that parameters of different groups have the same. Count on from one group to the next.",
            },
            {"state_dict": numbers_restart},
        ),
        Mistake(
            "numbers in the order of use",
            {
                "zh": "序号按状态建立的先后来数。恢复时没有人知道这个先后；要按参数在组里的次序。",
                "en": "the numbers follow the order in which the states were made, which nobody knows when resuming. Go by the order in the groups.",
            },
            {"state_dict": order_of_use},
        ),
        Mistake(
            "options lost",
            {
                "zh": "存下的组里只有参数的序号，没有选项。学习率之类也要存。",
                "en": "the saved groups have the numbers of the parameters but no options. The learning rate and the others must be saved too.",
            },
            {"state_dict": options_lost},
        ),
        Mistake(
            "own groups changed",
            {
                "zh": "优化器自己的组被改了：参数变成了序号。存盘不能改变优化器，要做新的字典。",
                "en": "the optimiser's own groups are changed: they have numbers instead of parameters. Saving must not change it; make new dictionaries.",
            },
            {"state_dict": own_groups_changed},
        ),
        Mistake(
            "state keyed by tensors",
            {
                "zh": "state 的键还是张量。张量的身份出不了这个进程，要换成序号。",
                "en": "the keys of the state are still tensors. Their identity ends with the process: replace them by the numbers.",
            },
            {"state_dict": keyed_by_tensor},
        ),
        Mistake(
            "empty entries",
            {
                "zh": "没有状态的参数也有了一项：用方括号读 opt.state，就添上了空项。只走遍 opt.state 里已有的。",
                "en": "parameters without a state have got an entry: reading opt.state with brackets adds an empty one. Go through what is in opt.state.",
            },
            {"state_dict": entries_by_reading},
        ),
    ],
    "load-state-dict": [
        Mistake(
            "not copied",
            {
                "zh": "状态没有复制：优化器接着训练，saved 里的张量也跟着变了。",
                "en": "the state isn't copied: as the optimiser trains on, the tensors in saved change with it.",
            },
            loading(copied=lambda state: state),
        ),
        Mistake(
            "dictionaries copied, tensors not",
            {
                "zh": "只复制了字典，没有复制里面的张量：训练就地改动它们，saved 也跟着变。",
                "en": "the dictionaries are copied, but not the tensors in them: training changes those in place, and saved with them.",
            },
            loading(copied=dict),
        ),
        Mistake(
            "options not taken over",
            {
                "zh": "学习率还是读入之前的。组的选项也要从 saved 取来。",
                "en": "the learning rate is still the old one. The options of the groups come from saved, too.",
            },
            loading(options=False),
        ),
        Mistake(
            "state not taken over",
            {
                "zh": "只取了选项，没有取状态：训练像从头开始一样。",
                "en": "only the options are taken over and not the state: training goes on as if from the beginning.",
            },
            loading(state=False),
        ),
        Mistake(
            "old state kept",
            {
                "zh": "旧的状态还在：saved 里没有状态的参数，读入之后也不该有。先清空。",
                "en": "old state is left over: a parameter without a state in saved should have none afterwards. Clear it first.",
            },
            loading(clear=False),
        ),
        Mistake(
            "numbers restart in each group",
            {
                "zh": "每个组都从 0 号状态取起，后面的组拿到了别人的状态。序号一组接着一组，就写在 saved 的组里。",
                "en": "each group begins with state number 0, so that later groups get the state of others. The numbers count on from group to group; they are in the groups of saved.",
            },
            loading(restart=True),
        ),
        Mistake(
            "no test whether it fits",
            {
                "zh": "没有检查 saved 合不合：组数或参数的个数不同，多出来的被悄悄丢掉。要抛出 ValueError。",
                "en": "nothing tests whether saved fits: with another number of groups or parameters, what is left over is dropped in silence. Raise a ValueError.",
            },
            loading(compare=lambda groups: None),
        ),
        Mistake(
            "only the groups are counted",
            {
                "zh": "只比较了组数。每一组的参数个数也要比较。",
                "en": "only the number of groups is compared. Compare the number of parameters in each as well.",
            },
            loading(compare=len),
        ),
        Mistake(
            "only the parameters are counted",
            {
                "zh": "只比较了参数的总数。总数相同，分组也可能不同：要一组一组地比较。",
                "en": "only the total of parameters is compared. With the same total the groups can still differ: compare group by group.",
            },
            loading(compare=lambda groups: sum(len(group["params"]) for group in groups)),
        ),
        Mistake(
            "the groups of saved taken over",
            {
                "zh": "优化器直接用了 saved 里的组：saved 里的序号变成了张量，以后改学习率也会改到它。把选项抄过来，saved 不要动。",
                "en": "the optimiser uses the groups of saved themselves: its numbers have become tensors, and a change of the learning rate changes it too. Copy the options, and leave saved alone.",
            },
            loading(files_groups=True),
        ),
    ],
}
