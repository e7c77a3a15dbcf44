"""What tests share: no screen, one thread for small tensors, and a report of what was counted."""

from collections.abc import Iterator

import matplotlib as mpl
import pytest
import torch
from absent import not_here

from nndl.grading.sandbox import best_level

mpl.use("Agg")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what tests have recorded with ``record_property``, in whichever process they ran."""
    reports = terminalreporter.getreports("passed")
    lines = [f"{name}: {value}" for report in reports for name, value in report.user_properties]
    if lines:
        terminalreporter.section("what was counted")
        for line in sorted(lines):
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def walls() -> None:
    """Try strangers' code behind bubblewrap alone."""
    if best_level() != "bubblewrap":
        not_here("bubblewrap does not work here, so no hand-in is graded")


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Small tensors gain nothing from more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
