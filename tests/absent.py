"""What to do where a program that a test needs is missing."""

import os
from typing import NoReturn

import pytest


def not_here(message: str) -> NoReturn:
    """Skip on somebody's machine; fail where everything must run."""
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
