"""Whether operations are recorded: one switch, and three ways to turn it."""

from contextlib import ContextDecorator
from types import TracebackType

__all__ = ["enable_grad", "is_grad_enabled", "no_grad", "set_grad_enabled"]

_enabled = True


def is_grad_enabled() -> bool:
    """Say whether operations are recorded at the moment.

    Examples
    --------
    >>> with no_grad():
    ...     is_grad_enabled()
    False
    """
    return _enabled


class set_grad_enabled(ContextDecorator):  # noqa: N801 (torch's name)
    """Record operations, or don't, inside a ``with`` block or a decorated function.

    Parameters
    ----------
    mode
        True to record.

    Examples
    --------
    >>> with no_grad(), set_grad_enabled(True):
    ...     is_grad_enabled()
    True
    """

    def __init__(self, mode: bool) -> None:
        self.mode = mode
        # A decorated function may call itself, so what to go back to is a stack.
        self._before: list[bool] = []

    def __enter__(self) -> None:
        global _enabled
        self._before.append(_enabled)
        _enabled = self.mode

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        global _enabled
        _enabled = self._before.pop()


class no_grad(set_grad_enabled):  # noqa: N801 (torch's name)
    """Record nothing: results have no history and require no gradient.

    Examples
    --------
    >>> from nndl.autograd import tensor
    >>> x = tensor(2.0, requires_grad=True)
    >>> with no_grad():
    ...     (x * x).requires_grad
    False
    """

    def __init__(self) -> None:
        super().__init__(False)


class enable_grad(set_grad_enabled):  # noqa: N801 (torch's name)
    """Record, also inside ``no_grad``.

    Examples
    --------
    >>> from nndl.autograd import tensor
    >>> x = tensor(2.0, requires_grad=True)
    >>> with no_grad(), enable_grad():
    ...     (x * x).requires_grad
    True
    """

    def __init__(self) -> None:
        super().__init__(True)
