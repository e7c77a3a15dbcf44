"""torch.optim, rebuilt: every algorithm, every scheduler, to be read and to be used.

    from nndl import optim
    optimizer = optim.Adam(model.parameters(), lr=1e-3)

Each class equals its namesake in ``torch.optim`` bit for bit (``foreach=False, fused=False``), and
their state_dicts can be exchanged.
"""

from nndl.optim import clip_grad, lr_scheduler, swa_utils
from nndl.optim.algorithms import (
    ASGD,
    SGD,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Muon,
    NAdam,
    RAdam,
    RMSprop,
    Rprop,
    SparseAdam,
)
from nndl.optim.lbfgs import LBFGS
from nndl.optim.optimizer import Optimizer

__all__ = [
    "ASGD",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SparseAdam",
    "clip_grad",
    "lr_scheduler",
    "swa_utils",
]
