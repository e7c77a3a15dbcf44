"""What tests share: figures are drawn without a screen, and small tensors take one thread."""

from collections.abc import Iterator

import matplotlib as mpl
import pytest
import torch

mpl.use("Agg")


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Small tensors gain nothing from more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
