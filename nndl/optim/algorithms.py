"""Every algorithm of torch.optim but L-BFGS: what it keeps, and the rule that it applies.

Names, defaults, options, state and order of arguments are torch's. Left out are the switches that
choose another implementation of the same maths (``foreach``, ``fused``, ``capturable``,
``differentiable``). The options that many algorithms share:

lr
    Learning rate α, a number >= 0 or a tensor with one element.
weight_decay
    λ >= 0. Added to the gradient as λ θ, unless the class says that it is decoupled.
betas
    The decays of the first and the second moment, each in [0, 1).
eps
    ε >= 0, against division by zero.
maximize
    Climb instead of descending: the gradient is negated first.
"""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from nndl import rules
from nndl.optim._options import OPTIONS, POSITIVE, Check
from nndl.optim.optimizer import Group, Optimizer, ParamsT, State, as_real, scalar_dtype

__all__ = [
    "ASGD", "SGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Muon", "NAdam",
    "RAdam", "RMSprop", "Rprop", "SparseAdam",
]  # fmt: skip

Number = float | Tensor
Betas = tuple[float, float]


def arguments(given: dict[str, Any]) -> dict[str, Any]:
    """Keep a constructor's options of its ``locals()``."""
    others = {"self", "params", "__class__"}
    return {name: value for name, value in given.items() if name not in others}


def pick(group: Group, *names: str) -> dict[str, Any]:
    """Take the options of these names out of a group."""
    return {name: group[name] for name in names}


def zeros(like: Tensor, *names: str) -> State:
    """Make one tensor of zeros for each name."""
    return {name: torch.zeros_like(like) for name in names}


def with_penalty(param: Tensor, grad: Tensor, group: Group) -> Tensor:
    """Return the gradient with the L2 penalty of the group in it."""
    weight_decay = group["weight_decay"]
    return rules.l2_penalty(param, grad, weight_decay) if weight_decay else grad


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum, dampening, Nesterov.

    >>> x = torch.tensor([3.0], requires_grad=True)
    >>> optimizer = SGD([x], lr=0.25, momentum=0.5)
    >>> for _ in range(2):
    ...     optimizer.zero_grad()
    ...     (x**2 / 2).sum().backward()
    ...     optimizer.step()
    >>> x
    tensor([1.3125], requires_grad=True)
    """

    takes_sparse = True

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        if nesterov and (momentum <= 0 or dampening != 0):
            needed = "SGD: nesterov needs momentum > 0 and dampening == 0"
            raise ValueError(f"{needed}, got momentum={momentum!r}, dampening={dampening!r}")
        super().__init__(params, arguments(locals()))

    def init_state(self, param: Tensor, grad: Tensor, group: Group) -> State:
        """Keep a velocity if there is momentum, and nothing if not."""
        return {"momentum_buffer": None} if group["momentum"] else {}

    def update(self, param: Tensor, grad: Tensor, state: State, group: Group) -> None:
        """Apply ``rules.sgd``, or ``rules.momentum`` or ``rules.nesterov``."""
        grad = with_penalty(param, grad, group)
        lr, rho, dampening = group["lr"], group["momentum"], group["dampening"]
        if not rho:
            rules.sgd(param, grad, lr=lr)
            return
        if state["momentum_buffer"] is None:
            # The first gradient enters whole, as in torch.
            state["momentum_buffer"], dampening = torch.zeros_like(grad), 0
        velocity = state["momentum_buffer"]
        if group["nesterov"]:
            rules.nesterov(param, grad, velocity, lr=lr, rho=rho)
        else:
            rules.momentum(param, grad, velocity, lr=lr, rho=rho, dampening=dampening)


class Adagrad(Optimizer):
    """AdaGrad (Duchi et al., 2011); ``lr_decay`` makes the learning rate α / (1 + (t − 1) decay).

    >>> x = torch.nn.Parameter(torch.tensor([3.0, -4.0]))
    >>> x.square().sum().backward()
    >>> Adagrad([x], lr=0.5).step()
    >>> x.data
    tensor([ 2.5000, -3.5000])
    """

    takes_sparse = True

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, arguments(locals()))
        for group in self.param_groups:
            for param in group["params"]:
                self.state[param] = self.init_state(param, param, group)

    def init_state(self, param: Tensor, grad: Tensor, group: Group) -> State:
        """Keep the sum of squared gradients; torch makes it at construction."""
        start = self.defaults["initial_accumulator_value"]
        fill = complex(start, start) if param.is_complex() else start
        return {"step": 0, "sum": torch.full_like(param, fill)}

    def update(self, param: Tensor, grad: Tensor, state: State, group: Group) -> None:
        """Apply ``rules.adagrad``, or its sparse form."""
        grad = with_penalty(param, grad, group)
        # α_t = α / (1 + (t − 1) decay)
        lr = group["lr"] / (1 + (state["step"] - 1) * group["lr_decay"])
        if grad.is_sparse:
            rules.sparse_adagrad(param, grad, state["sum"], lr=lr, eps=group["eps"])
        else:
            rules.adagrad(*as_real(param, grad, state["sum"]), lr=lr, eps=group["eps"])


class RMSprop(Optimizer):
    """RMSprop (Tieleman & Hinton, 2012), on request centred, with momentum; ``alpha`` is its β.

    >>> x = torch.nn.Parameter(torch.tensor([3.0, -4.0]))
    >>> x.square().sum().backward()
    >>> RMSprop([x], lr=0.5, alpha=0.75).step()
    >>> x.data
    tensor([ 2., -3.])
    """

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, arguments(locals()))

    def init_state(self, param: Tensor, grad: Tensor, group: Group) -> State:
        """Keep the average of squares, and what momentum and centring need."""
        state = {"step": 0, **zeros(param, "square_avg")}
        if group["momentum"] > 0:
            state |= zeros(param, "momentum_buffer")
        if group["centered"]:
            state |= zeros(param, "grad_avg")
        return state

    def update(self, param: Tensor, grad: Tensor, state: State, group: Group) -> None:
        """Apply ``rules.rmsprop``, or Graves's form of it."""
        grad = with_penalty(param, grad, group)
        rates = {"lr": group["lr"], "beta": group["alpha"], "eps": group["eps"]}
        if not group["momentum"] and not group["centered"]:
            rules.rmsprop(*as_real(param, grad, state["square_avg"]), **rates)
            return
        extra = state.get("grad_avg"), state.get("momentum_buffer")
        tensors = as_real(param, grad, state["square_avg"], *extra)
        rules.rmsprop_graves(*tensors, **rates, rho=group["momentum"])


class Adadelta(Optimizer):
    """Adadelta (Zeiler, 2012).

    >>> x = torch.nn.Parameter(torch.tensor([3.0, -4.0]))
    >>> x.square().sum().backward()
    >>> Adadelta([x], lr=1.0, rho=0.5, eps=1.0).step()
    >>> x.data
    tensor([ 1.6235, -2.6074])
    """

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, arguments(locals()))

    def init_state(self, param: Tensor, grad: Tensor, group: Group) -> State:
        """Keep the averages of squared gradients and of squared steps."""
        return {"step": 0, **zeros(param, "square_avg", "acc_delta")}

    def update(self, param: Tensor, grad: Tensor, state: State, group: Group) -> None:
        """Apply ``rules.adadelta``."""
        tensors = param, with_penalty(param, grad, group), state["square_avg"], state["acc_delta"]
        rules.adadelta(*as_real(*tensors), **pick(group, "lr", "rho", "eps"))


class Adam(Optimizer):
    """Adam (Kingma & Ba, 2015), with ``amsgrad`` AMSGrad, with ``decoupled_weight_decay`` AdamW.

    >>> x = torch.nn.Parameter(torch.tensor([3.0, -4.0]))
    >>> x.square().sum().backward()
    >>> Adam([x], lr=0.5).step()
    >>> x.data
    tensor([ 2.5000, -3.5000])
    """

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(params, arguments(locals()))

    def init_state(self, param: Tensor, grad: Tensor, group: Group) -> State:
        """Keep both moments, and AMSGrad's largest second moment."""
        largest = ("max_exp_avg_sq",) if group["amsgrad"] else ()
        return {"step": 0, **zeros(param, "exp_avg", "exp_avg_sq", *largest)}

    def update(self, param: Tensor, grad: Tensor, state: State, group: Group) -> None:
        """Decay the weights, then apply ``rules.adam`` or ``rules.amsgrad``."""
        if group["weight_decay"]:
            grad = decayed(param, grad, group)
        param, grad, m, v = as_real(param, grad, state["exp_avg"], state["exp_avg_sq"])
        step, rates = state["step"], moment_rates(group)
        if group["amsgrad"]:
            (largest,) = as_real(state["max_exp_avg_sq"])
            rules.amsgrad(param, grad, m, v, largest, step, **rates)
        else:
            rules.adam(param, grad, m, v, step, **rates, scratch=self.scratch(v))


def moment_rates(group: Group) -> dict[str, Any]:
    """Name the rates that the rules of Adam's family share."""
    beta1, beta2 = group["betas"]
    return {"lr": group["lr"], "beta1": beta1, "beta2": beta2, "eps": group["eps"]}


def decayed(param: Tensor, grad: Tensor, group: Group) -> Tensor:
    """Apply weight decay of either kind, and return the gradient to go on with."""
    if not group["decoupled_weight_decay"]:
        return rules.l2_penalty(param, grad, group["weight_decay"])
    rules.decay_weights(param, lr=group["lr"], weight_decay=group["weight_decay"])
    return grad


class AdamW(Adam):
    """AdamW (Loshchilov & Hutter, 2019): Adam with decoupled weight decay.

    >>> x = torch.nn.Parameter(torch.tensor([3.0]))
    >>> x.square().sum().backward()
    >>> AdamW([x], lr=0.5, weight_decay=0.1).step()
    >>> x.data
    tensor([2.3500])
    """

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        decoupled = {"maximize": maximize, "decoupled_weight_decay": True}
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, **decoupled)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        # A state_dict of plain Adam must not turn this optimizer into one.
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True


class Adamax(Optimizer):
    """Adamax (Kingma & Ba, 2015).

    >>> x = torch.nn.Parameter(torch.tensor([3.0, -4.0]))
    >>> x.square().sum().backward()
    >>> Adamax([x], lr=0.5).step()
    >>> x.data
    tensor([ 2.5000, -3.5000])
    """

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 2e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, arguments(locals()))

    def init_state(self, param: Tensor, grad: Tensor, group: Group) -> State:
        """Keep the first moment and the decaying maximum."""
        return {"step": 0, **zeros(param, "exp_avg", "exp_inf")}

    def update(self, param: Tensor, grad: Tensor, state: State, group: Group) -> None:
        """Apply ``rules.adamax``."""
        grad = with_penalty(param, grad, group)
        param, grad, m, u = as_real(param, grad, state["exp_avg"], state["exp_inf"])
        rules.adamax(param, grad, m, u, state["step"], **moment_rates(group))


class NAdam(Optimizer):
    """NAdam (Dozat, 2016).

    >>> x = torch.nn.Parameter(torch.tensor([3.0, -4.0]))
    >>> x.square().sum().backward()
    >>> NAdam([x], lr=0.5).step()
    >>> x.data
    tensor([ 2.4718, -3.4718])
    """

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 2e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, arguments(locals()))

    def init_state(self, param: Tensor, grad: Tensor, group: Group) -> State:
        """Keep both moments and the product of the momenta."""
        product = torch.ones((), dtype=scalar_dtype())
        return {"step": 0, "mu_product": product, **zeros(param, "exp_avg", "exp_avg_sq")}

    def update(self, param: Tensor, grad: Tensor, state: State, group: Group) -> None:
        """Decay the weights, then apply ``rules.nadam``."""
        # Viewed as real first: torch adds the penalty to the real view here.
        param, grad, m, v = as_real(param, grad, state["exp_avg"], state["exp_avg_sq"])
        if group["weight_decay"]:
            grad = decayed(param, grad, group)
        rates = moment_rates(group) | pick(group, "momentum_decay")
        rules.nadam(param, grad, m, v, state["mu_product"], state["step"], **rates)


class RAdam(Optimizer):
    """RAdam (Liu et al., 2020).

    >>> x = torch.nn.Parameter(torch.tensor([3.0, -4.0]))
    >>> x.square().sum().backward()
    >>> RAdam([x], lr=0.5).step()
    >>> x.data
    tensor([0., 0.])
    """

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, arguments(locals()))

    def init_state(self, param: Tensor, grad: Tensor, group: Group) -> State:
        """Keep both moments."""
        return {"step": 0, **zeros(param, "exp_avg", "exp_avg_sq")}

    def update(self, param: Tensor, grad: Tensor, state: State, group: Group) -> None:
        """Decay the weights, then apply ``rules.radam``."""
        # Viewed as real first: torch adds the penalty to the real view here.
        param, grad, m, v = as_real(param, grad, state["exp_avg"], state["exp_avg_sq"])
        if group["weight_decay"]:
            grad = decayed(param, grad, group)
        rules.radam(param, grad, m, v, state["step"], **moment_rates(group))


class Adafactor(Optimizer):
    """Adafactor; ``d`` is the threshold that the root mean square of a step is clipped at.

    >>> x = torch.ones(2, 3, requires_grad=True)
    >>> optimizer = Adafactor([x], lr=0.5)
    >>> x.square().sum().backward()
    >>> optimizer.step()
    >>> [tuple(value.shape) for value in optimizer.state_dict()["state"][0].values()]
    [(), (2, 1), (1, 3)]
    """

    takes_complex = False
    options: ClassVar[dict[str, Check]] = OPTIONS | {
        "beta2_decay": Check(lambda value: value <= 0, "<= 0"),
        "eps": Check(
            lambda value: (value[0] is None or value[0] >= 0) and value[1] >= 0,
            "two numbers >= 0, the first of which may be None",
        ),
        "d": Check(lambda value: value >= 1, ">= 1"),
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, arguments(locals()))

    def init_state(self, param: Tensor, grad: Tensor, group: Group) -> State:
        """Keep a row and a column for each matrix, the whole second moment of a vector."""
        if grad.dim() < 2:
            return {"step": 0, **zeros(grad, "variance")}
        row = grad.new_zeros((*grad.shape[:-1], 1))
        return {"step": 0, "row_var": row, "col_var": torch.zeros_like(grad[..., :1, :])}

    def update(self, param: Tensor, grad: Tensor, state: State, group: Group) -> None:
        """Decay the weights (decoupled), then apply ``rules.adafactor``."""
        rates = pick(group, "lr", "beta2_decay", "weight_decay")
        rates["eps1"], rates["eps2"] = group["eps"]
        factors = state.get("row_var"), state.get("col_var"), state.get("variance")
        rules.adafactor(param, grad, *factors, state["step"], **rates, clip=group["d"])


class ASGD(Optimizer):
    """Averaged SGD; the average θ is in the state, under ``"ax"``.

    >>> x = torch.nn.Parameter(torch.tensor([3.0, -4.0]))
    >>> x.square().sum().backward()
    >>> ASGD([x], lr=0.25, lambd=0.0).step()
    >>> x.data
    tensor([ 1.5000, -2.0000])
    """

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, arguments(locals()))

    def init_state(self, param: Tensor, grad: Tensor, group: Group) -> State:
        """Keep the average, the rate η and the weight μ of the newest θ."""
        eta, mu = (torch.full((), x, dtype=scalar_dtype()) for x in (float(group["lr"]), 1.0))
        return {"step": 0, "eta": eta, "mu": mu, **zeros(param, "ax")}

    def update(self, param: Tensor, grad: Tensor, state: State, group: Group) -> None:
        """Apply ``rules.asgd``."""
        # Viewed as real first: torch adds the penalty to the real view here.
        param, grad, average = as_real(param, grad, state["ax"])
        grad = with_penalty(param, grad, group)
        scalars = state["eta"], state["mu"], state["step"]
        rates = pick(group, "lr", "lambd") | {"power": group["alpha"], "start": group["t0"]}
        rules.asgd(param, grad, average, *scalars, **rates)


class Rprop(Optimizer):
    """Rprop, for full batches; ``etas`` are the factors (shrink, grow) of the step sizes.

    >>> x = torch.nn.Parameter(torch.tensor([3.0, -4.0]))
    >>> x.square().sum().backward()
    >>> Rprop([x], lr=0.5).step()
    >>> x.data
    tensor([ 2.5000, -3.5000])
    """

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, arguments(locals()))

    def init_state(self, param: Tensor, grad: Tensor, group: Group) -> State:
        """Keep the last gradient and a step size for each coordinate, ``lr`` at first."""
        lr = float(group["lr"])
        size = torch.full_like(grad, complex(lr, lr) if param.is_complex() else lr)
        return {"step": 0, **zeros(param, "prev"), "step_size": size}

    def update(self, param: Tensor, grad: Tensor, state: State, group: Group) -> None:
        """Apply ``rules.rprop``."""
        (shrink, grow), (smallest, largest) = group["etas"], group["step_sizes"]
        rates = {"shrink": shrink, "grow": grow, "smallest": smallest, "largest": largest}
        rules.rprop(*as_real(param, grad, state["prev"], state["step_size"]), **rates)


class Muon(Optimizer):
    """Muon, for matrices only; give vectors and embeddings to another optimizer.

    ``adjust_lr_fn`` scales α by the shape: "original" (the default), "match_rms_adamw".

    >>> x = torch.nn.Parameter(torch.eye(2))
    >>> (3 * x).square().sum().backward()
    >>> Muon([x], lr=0.5, weight_decay=0.0).step()
    >>> bool((x - torch.eye(2) / 2).abs().max() < 0.15)
    True
    """

    takes_complex = False
    options: ClassVar[dict[str, Check]] = OPTIONS | {
        "adjust_lr_fn": Check(
            lambda value: value in (None, "original", "match_rms_adamw"),
            'None, "original" or "match_rms_adamw"',
        ),
        "ns_coefficients": Check(lambda value: len(value) == 3, "three numbers"),
        "ns_steps": Check(lambda value: 0 <= value < 100, "a whole number from 0 to 99"),
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        super().__init__(params, arguments(locals()))

    def add_param_group(self, param_group: Group) -> None:
        """Add a group, of matrices only."""
        super().add_param_group(param_group)
        for param in self.param_groups[-1]["params"]:
            if param.ndim != 2:
                shape = tuple(param.shape)
                raise ValueError(f"Muon supports 2-D parameters only, got one of shape {shape}")

    def init_state(self, param: Tensor, grad: Tensor, group: Group) -> State:
        """Keep the average of the gradients."""
        return zeros(grad, "momentum_buffer")

    def update(self, param: Tensor, grad: Tensor, state: State, group: Group) -> None:
        """Decay the weights (decoupled), then apply ``rules.muon``."""
        rows, columns = param.shape
        if group["adjust_lr_fn"] == "match_rms_adamw":
            ratio = 0.2 * math.sqrt(max(rows, columns))
        else:
            ratio = math.sqrt(max(1, rows / columns))
        rates = pick(group, "lr", "weight_decay", "momentum", "nesterov", "eps") | {"ratio": ratio}
        rates |= {"coefficients": group["ns_coefficients"], "iterations": group["ns_steps"]}
        rules.muon(param, grad, state["momentum_buffer"], **rates)


class SparseAdam(Optimizer):
    """Adam for sparse gradients (of embeddings): it touches only the rows that a gradient holds.

    >>> layer = torch.nn.Embedding(4, 1, sparse=True)
    >>> start = layer.weight.detach().clone()
    >>> optimizer = SparseAdam(layer.parameters(), lr=0.5)
    >>> layer(torch.tensor([2])).sum().backward()
    >>> optimizer.step()
    >>> (start - layer.weight.detach()).flatten().round(decimals=4)
    tensor([0.0000, 0.0000, 0.5000, 0.0000])
    """

    takes_sparse = True
    options: ClassVar[dict[str, Check]] = OPTIONS | {"lr": POSITIVE, "eps": POSITIVE}

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, arguments(locals()))

    def add_param_group(self, param_group: Group) -> None:
        """Add a group, of dense real parameters only."""
        super().add_param_group(param_group)
        for i, param in enumerate(self.param_groups[-1]["params"]):
            if param.is_sparse or param.is_complex():
                kind = "sparse" if param.is_sparse else "complex"
                raise ValueError(f"SparseAdam needs dense real parameters, number {i} is {kind}")

    def init_state(self, param: Tensor, grad: Tensor, group: Group) -> State:
        """Keep both moments, dense."""
        return {"step": 0, **zeros(param, "exp_avg", "exp_avg_sq")}

    def update(self, param: Tensor, grad: Tensor, state: State, group: Group) -> None:
        """Apply ``rules.sparse_adam``."""
        if not grad.is_sparse:
            raise RuntimeError("SparseAdam does not support dense gradients: use Adam")
        moments = state["exp_avg"], state["exp_avg_sq"]
        rules.sparse_adam(param, grad, *moments, state["step"], **moment_rates(group))

    def _export(self, state: Any) -> Any:
        """Torch counts this class's steps in plain numbers."""
        return {**state, "step": int(state["step"])}
