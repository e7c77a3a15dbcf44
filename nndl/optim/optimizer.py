"""The torch shell: parameter groups, state, and a ``step`` that applies one rule to each parameter.

An algorithm is a subclass of ``Optimizer`` that says what it keeps for a parameter
(``init_state``) and how it updates one (``update``, which calls a rule of ``nndl.rules``).
"""

import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from itertools import chain
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor
from torch.optim.optimizer import required
from torch.utils.hooks import RemovableHandle

from nndl.optim._options import OPTIONS, Check, check_options

__all__ = ["Optimizer", "ParamsT", "required"]

Group: TypeAlias = dict[str, Any]
State: TypeAlias = dict[str, Any]
Closure: TypeAlias = Callable[[], Any]
ParamsT: TypeAlias = Iterable[Tensor] | Iterable[Group] | Iterable[tuple[str, Tensor]]

HOOKED = ("step", "state_dict", "load_state_dict")
SCRATCH_PAYS = 1 << 14  # elements
HOOKS = tuple(f"{what}_{when}" for what in HOOKED for when in ("pre", "post"))


class Optimizer(torch.optim.Optimizer):
    """Base class of every algorithm; what ``torch.optim.Optimizer`` is to torch's.

    It inherits from torch's class so that ``isinstance`` holds for schedulers and other libraries.
    Nothing of torch's does the work: every public method is written here.

    Parameters
    ----------
    params
        Tensors, or (name, tensor) pairs, or dictionaries: groups with a key ``"params"`` and any
        options of their own.
    defaults
        The options that a group has unless it states its own. ``required`` marks one that every
        group must state.

    Attributes
    ----------
    defaults
        The options by name.
    state
        What the algorithm remembers: a dictionary for each parameter, empty before its first step.
    param_groups
        The groups, each with its parameters and all its options. Change an option here and the next
        step uses it.

    Raises
    ------
    TypeError
        If `params` is a tensor, or holds something else than tensors, pairs or groups.
    ValueError
        If there is no parameter, one is not a leaf, one is in two groups, or an option is missing
        or out of range.

    Examples
    --------
    >>> class SignDescent(Optimizer):
    ...     def __init__(self, params, lr=0.5):
    ...         super().__init__(params, {"lr": lr})
    ...
    ...     def update(self, param, grad, state, group):
    ...         param.sub_(grad.sign(), alpha=group["lr"])
    >>> x = torch.tensor([3.0, -4.0], requires_grad=True)
    >>> optimizer = SignDescent([x])
    >>> x.square().sum().backward()
    >>> optimizer.step()
    >>> x
    tensor([ 2.5000, -3.5000], requires_grad=True)
    """

    options: ClassVar[dict[str, Check]] = OPTIONS
    takes_sparse: ClassVar[bool] = False
    takes_complex: ClassVar[bool] = True

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        check_options(type(self).__name__, self.options, defaults)
        if isinstance(params, (Tensor, dict)) or not isinstance(params, Iterable):
            raise TypeError(
                "params must be an iterable of tensors or of groups (one alone goes into a list), "
                f"got {type(params).__name__}"
            )
        self.defaults = defaults
        self.state = defaultdict(dict)
        self.param_groups = []
        self._prepare()
        groups: list[Any] = list(params)
        if not groups:
            raise ValueError("params must hold at least one parameter, got an empty list")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def _prepare(self) -> None:
        """Set up what is neither saved nor pickled."""
        self._hooks: dict[str, OrderedDict[int, Callable[..., Any]]]
        self._hooks = {kind: OrderedDict() for kind in HOOKS}
        self._scratch: dict[torch.dtype, Tensor] = {}
        self._compiled = False

    # ---- what an algorithm supplies

    def init_state(self, param: Tensor, grad: Tensor, group: Group) -> State:
        """Return what is remembered about `param` before its first step."""
        return {}

    def update(self, param: Tensor, grad: Tensor, state: State, group: Group) -> None:
        """Take one step of one parameter, in place."""
        raise NotImplementedError(f"{type(self).__name__} must define update or step")

    # ---- groups

    def add_param_group(self, param_group: Group) -> None:
        """Add a group: a dictionary with ``"params"`` and any options of its own."""
        if not isinstance(param_group, dict):
            raise TypeError(f"a group must be a dict, got {type(param_group).__name__}")
        if "params" not in param_group:
            raise KeyError(f"a group must have the key 'params', got {sorted(param_group)}")
        params = param_group["params"]
        if isinstance(params, set):
            raise TypeError(
                "the params of a group must be in an ordered collection such as a list, got a set, "
                "whose order changes from run to run"
            )
        entries = [params] if isinstance(params, Tensor) else list(params)
        names = [entry[0] for entry in entries if isinstance(entry, tuple)]
        if names and len(names) != len(entries):
            raise ValueError("either all parameters of a group have names or none, got some")
        tensors = [entry[1] if isinstance(entry, tuple) else entry for entry in entries]
        for tensor in tensors:
            if not isinstance(tensor, Tensor):
                raise TypeError(f"a parameter must be a tensor, got {type(tensor).__name__}")
            if not (tensor.is_leaf or tensor.retains_grad):
                raise ValueError(
                    "can't optimise a non-leaf tensor: it was computed from others, and a step "
                    "would change the result, not them; optimise those, or detach() it"
                )
        group = {**param_group, "params": tensors, **({"param_names": names} if names else {})}
        for name, default in self.defaults.items():
            if group.setdefault(name, default) is required:
                raise ValueError(f"the option {name!r} is required: every group must state it")
        check_options(type(self).__name__, self.options, group)

        if len(set(tensors)) < len(tensors):
            warnings.warn(
                "a parameter is in this group more than once, and will be updated as often",
                stacklevel=3,
            )
        known = {param for other in self.param_groups for param in other["params"]}
        if not known.isdisjoint(tensors):
            raise ValueError("some parameters appear in more than one group: each may be in one")
        if any(("param_names" in other) != ("param_names" in group) for other in self.param_groups):
            raise ValueError("either the parameters of all groups have names or none, got some")
        self.param_groups.append(group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients: set them to None, or fill them with zeros.

        A parameter whose gradient is None is left out of the next step; one whose gradient is zero
        is not, and may still move (by its velocity, or by weight decay).
        """
        for param in chain.from_iterable(group["params"] for group in self.param_groups):
            if param.grad is not None:
                if set_to_none:
                    param.grad = None
                else:
                    param.grad.detach_().zero_()

    # ---- the step

    def step(self, closure: Closure | None = None) -> Any:
        """Update every parameter that has a gradient.

        Parameters
        ----------
        closure
            A function that computes the loss and its gradients anew; it is called first.

        Returns
        -------
        loss
            What `closure` returned: the loss before the update. None without a closure.
        """
        if not (self._hooks["step_pre"] or self._hooks["step_post"]):
            return self._step(closure)
        args: tuple[Any, ...] = (self,) if closure is None else (self, closure)
        kwargs: dict[str, Any] = {}
        for hook in self._hooks["step_pre"].values():
            changed = hook(self, args, kwargs)
            if changed is not None:
                if not (isinstance(changed, tuple) and len(changed) == 2):
                    raise RuntimeError(
                        f"a step_pre_hook must return None or (args, kwargs), got {changed!r}"
                    )
                args, kwargs = changed
        loss = self._step(*args[1:], **kwargs)
        for hook in self._hooks["step_post"].values():
            hook(self, args, kwargs)
        return loss

    @torch.no_grad()
    def _step(self, closure: Closure | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            maximize = group.get("maximize", False)
            for param in group["params"]:
                grad = param.grad
                if grad is None:
                    continue
                state = self.state.get(param)
                if not state:
                    self._check_kind(param, grad)
                    state = self.init_state(param, grad, group)
                    if state:
                        self.state[param] = state
                    self._set_counter(state)
                if "step" in state:
                    state["step"] += 1
                self.update(param, -grad if maximize else grad, state, group)
        return loss

    def compile(self, **options: Any) -> None:
        """From now on, run ``step`` through ``torch.compile``: the same lines, fused to one kernel.

        It needs a C++ compiler, and some tens of seconds at the first steps. Rounding differs from
        the plain step's: counters become tensors of single precision, so that they aren't compiled
        in as constants, and a kernel rounds a product and a sum once. `options` are those of
        ``torch.compile``.
        """
        self._compiled = True
        for state in self.state.values():
            self._set_counter(state)
        self._step = torch.compile(self._step, **options)  # type: ignore[method-assign]

    def _set_counter(self, state: State) -> None:
        """Make the step counter a plain number, or, for a compiled step, a 0-dim tensor."""
        if "step" in state:
            step = float(state["step"])
            state["step"] = torch.tensor(step, dtype=scalar_dtype()) if self._compiled else step

    def scratch(self, like: Tensor) -> Tensor | None:
        """Lend a temporary of the shape of `like`, the same memory to one parameter after another.

        New memory costs more than the sums that go into it, once a tensor is large: the operating
        system hands out each page as zeros. None for small tensors, where it would not pay.
        """
        if self._compiled or like.numel() < SCRATCH_PAYS:
            return None
        flat = self._scratch.get(like.dtype)
        if flat is None or flat.numel() < like.numel() or flat.device != like.device:
            flat = self._scratch[like.dtype] = like.new_empty(like.numel())
        return flat[: like.numel()].view(like.shape)

    def _check_kind(self, param: Tensor, grad: Tensor) -> None:
        """Refuse sparse gradients and complex parameters where the algorithm can't take them."""
        name = type(self).__name__
        if grad.is_sparse and not self.takes_sparse:
            raise RuntimeError(f"{name} does not support sparse gradients: use SGD or SparseAdam")
        if param.is_complex() and not self.takes_complex:
            raise RuntimeError(f"{name} does not support complex parameters, got {param.dtype}")

    # ---- saving and loading

    def state_dict(self) -> dict[str, Any]:
        """Return the state and the groups, with numbers 0, 1, ... in the place of parameters.

        It has the form of torch's and loads into torch's class of the same name. The tensors in it
        are those of the optimiser, not copies.
        """
        for hook in self._hooks["state_dict_pre"].values():
            hook(self)
        params = chain.from_iterable(group["params"] for group in self.param_groups)
        number = {param: i for i, param in enumerate(dict.fromkeys(params))}
        saved = {
            "state": {
                number.get(key, key): self._export(value) for key, value in self.state.items()
            },
            "param_groups": [
                {**_without_params(group), "params": [number[p] for p in group["params"]]}
                for group in self.param_groups
            ],
        }
        for hook in self._hooks["state_dict_post"].values():
            saved = _or(hook(self, saved), saved)
        return saved

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over state and options from `state_dict`, ours or torch's; tensors are copied.

        Raises
        ------
        ValueError
            If it has another number of groups, or of parameters in a group.
        """
        state_dict = dict(state_dict)
        for hook in self._hooks["load_state_dict_pre"].values():
            state_dict = _or(hook(self, state_dict), state_dict)
        saved_groups = deepcopy(state_dict["param_groups"])
        ours, theirs = ([len(g["params"]) for g in gs] for gs in (self.param_groups, saved_groups))
        if ours != theirs:
            raise ValueError(
                f"the state_dict has {len(theirs)} groups of {theirs} parameters, "
                f"the optimizer {len(ours)} groups of {ours}"
            )
        param_of: dict[Any, Tensor] = {}
        for group, saved in zip(self.param_groups, saved_groups, strict=True):
            param_of.update(zip(saved["params"], group["params"], strict=True))
            saved["params"] = group["params"]
            if "param_names" in group:
                saved.setdefault("param_names", group["param_names"])
        state: defaultdict[Any, Any] = defaultdict(dict)
        for key, value in state_dict["state"].items():
            param = param_of.get(key)
            state[key if param is None else param] = _import(value, param)
        self.__setstate__({"state": state, "param_groups": saved_groups})
        for hook in self._hooks["load_state_dict_post"].values():
            hook(self)

    def _export(self, state: Any) -> Any:
        """Give the step counter the form that torch keeps it in: a 0-dim tensor."""
        if isinstance(state, dict) and "step" in state:
            return {**state, "step": torch.tensor(float(state["step"]), dtype=scalar_dtype())}
        return state

    def __getstate__(self) -> dict[str, Any]:
        return {
            "defaults": self.defaults,
            "state": self.state,
            "param_groups": self.param_groups,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if "_hooks" not in self.__dict__:  # unpickled: hooks are functions, not saved, as in torch
            self._prepare()
        for kept in self.state.values():
            self._set_counter(kept)
        # What an older version of the class did not have as an option.
        for group in self.param_groups:
            for name, default in self.defaults.items():
                group.setdefault(name, default)

    # ---- hooks

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` before each step; it may return new ones."""
        return self._register("step_pre", hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` after each step."""
        return self._register("step_post", hook)

    def register_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer)`` before ``state_dict``."""
        return self._register("state_dict_pre", hook, prepend)

    def register_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` after ``state_dict``; it may return another."""
        return self._register("state_dict_post", hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` before loading; it may return another."""
        return self._register("load_state_dict_pre", hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer)`` after loading."""
        return self._register("load_state_dict_post", hook, prepend)

    def _register(
        self, kind: str, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        handle = RemovableHandle(self._hooks[kind])
        self._hooks[kind][handle.id] = hook
        self._hooks[kind].move_to_end(handle.id, last=not prepend)
        return handle

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines += ["", f"Parameter Group {i}"] if i else [f"Parameter Group {i}"]
            lines += [
                f"    {key}: {value}" for key, value in sorted(_without_params(group).items())
            ]
        return "\n".join([*lines, ")"])


def scalar_dtype() -> torch.dtype:
    """Return the type of torch's scalar state: single precision unless the default is double."""
    default = torch.get_default_dtype()
    return torch.float64 if default == torch.float64 else torch.float32


def as_real(param: Tensor, *others: Tensor | None) -> tuple[Any, ...]:
    """View a complex parameter, and what belongs to it, as real with a last dimension of 2."""
    if not param.is_complex():
        return param, *others
    return tuple(None if t is None else torch.view_as_real(t) for t in (param, *others))


def _without_params(group: Group) -> Group:
    return {key: value for key, value in group.items() if key != "params"}


def _or(result: Any, given: Any) -> Any:
    return given if result is None else result


SCALARS = ("step", "eta", "mu", "mu_product")


def _import(value: Any, param: Tensor | None, name: str = "") -> Any:
    """Copy a state: tensors to the device and, but for scalars, to the type of their parameter."""
    if isinstance(value, dict):
        return {key: _import(entry, param, key) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_import(entry, param, name) for entry in value)
    if not isinstance(value, Tensor):
        return value
    if param is None or name in SCALARS:
        return value.clone()
    dtype = param.dtype if param.is_floating_point() else value.dtype
    return value.to(device=param.device, dtype=dtype, copy=True)
