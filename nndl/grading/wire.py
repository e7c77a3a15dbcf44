"""Plain data between the grader and the process with a stranger's code: a header and arrays.

A frame is the length of the header (4 bytes), the header (JSON), and the arrays that it announces,
one after the other. Nothing is ever unpickled. The other side may send anything: whatever is no
frame is a ``WireError``, and nothing is read, waited for or kept beyond fixed limits.
"""

import json
import math
import socket
import struct
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = [
    "FOREVER",
    "Ended",
    "TimeUp",
    "WireError",
    "pack",
    "receive",
    "send",
    "text_of",
    "unpack",
]

MAX_HEADER = 1 << 20  # bytes
MAX_ARRAYS = 1 << 26  # bytes, all together
MAX_NAMES = 100
FOREVER = math.inf
KINDS = frozenset({"|b1", "<i8", "<i4", "<f4", "<f8"})

Array = np.ndarray[Any, Any]


class WireError(Exception):
    """What came was no frame."""

    kind = "damaged"


class TimeUp(WireError):
    """Nothing came in time."""

    kind = "time"


class Ended(WireError):
    """The other side has hung up."""

    kind = "ended"


def send(
    to: socket.socket,
    message: Mapping[str, Any],
    arrays: Mapping[str, Array],
    deadline: float = FOREVER,
) -> None:
    """Send one frame.

    Raises
    ------
    TimeUp
        If the other side hasn't read it by the deadline: a pipe that nobody empties fills up.
    Ended
        If there is no other side.

    Examples
    --------
    >>> here, there = socket.socketpair()
    >>> send(here, {"question": "adam"}, {"x": np.arange(3.0)})
    >>> receive(there, time.monotonic() + 1)
    ({'question': 'adam'}, {'x': array([0., 1., 2.])})
    >>> here.close(), there.close()
    (None, None)
    """
    plain = {name: _plain(array) for name, array in arrays.items()}
    listed = [[name, array.dtype.str, list(array.shape)] for name, array in plain.items()]
    header = json.dumps({"message": dict(message), "arrays": listed}).encode()
    parts = [struct.pack(">I", len(header)), header, *(array.tobytes() for array in plain.values())]
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeUp("time is up")
    to.settimeout(None if remaining == FOREVER else remaining)
    try:
        to.sendall(b"".join(parts))
    except TimeoutError:
        raise TimeUp("time is up") from None
    except OSError as error:
        raise Ended(f"the connection broke: {error.strerror}") from None


def receive(source: socket.socket, deadline: float) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read one frame.

    Parameters
    ----------
    source
        Where it comes from.
    deadline
        Until when to wait, on the clock of ``time.monotonic``.

    Raises
    ------
    WireError
        If the connection ends, the time is up, or what came is no frame.
    """
    (length,) = struct.unpack(">I", _read(source, 4, deadline))
    if length > MAX_HEADER:
        raise WireError(f"the header is announced with {length} bytes, {MAX_HEADER} are allowed")
    try:
        header = json.loads(_read(source, length, deadline))
        message, listed = header["message"], header["arrays"]
        if not isinstance(message, dict) or len(listed) > MAX_NAMES:
            raise WireError("the header has no message, or too many arrays")
        layouts = [_layout(*entry) for entry in listed]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise WireError(f"the header is damaged: {type(error).__name__}") from None
    if sum(size for *_, size in layouts) > MAX_ARRAYS:
        raise WireError(f"more than {MAX_ARRAYS} bytes of arrays are announced")
    arrays = {
        name: np.frombuffer(_read(source, size, deadline), kind).reshape(shape)
        for name, kind, shape, size in layouts
    }
    return message, arrays


def text_of(value: object, most: int = MAX_HEADER) -> str:
    """Return the beginning of a text that came; the other side may have sent anything in its place.

    Examples
    --------
    >>> text_of("an error", 2), text_of([["deep"]])
    ('an', '')
    """
    return value[:most] if isinstance(value, str) else ""


def pack(value: Any, arrays: dict[str, Array]) -> Any:
    """Return `value` with every array in it moved to `arrays`, and a note in its place.

    Examples
    --------
    >>> arrays = {}
    >>> packed = pack({"start": np.zeros(2), "rates": [0.1, 0.2]}, arrays)
    >>> packed
    {'start': {'array': '0'}, 'rates': [0.1, 0.2]}
    >>> unpack(packed, arrays)
    {'start': array([0., 0.]), 'rates': [0.1, 0.2]}
    """
    if isinstance(value, np.ndarray):
        name = str(len(arrays))
        arrays[name] = value
        return {"array": name}
    if isinstance(value, Mapping):
        return {key: pack(item, arrays) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [pack(item, arrays) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def unpack(value: Any, arrays: Mapping[str, Array]) -> Any:
    """Put the arrays back into what ``pack`` returned, each as a copy that may be written to."""
    if isinstance(value, dict):
        if set(value) == {"array"}:
            return arrays[value["array"]].copy()
        return {key: unpack(item, arrays) for key, item in value.items()}
    return [unpack(item, arrays) for item in value] if isinstance(value, list) else value


def _plain(array: Array) -> Array:
    """Return the array in a type that is sent, its bytes in order."""
    floating = "<f4" if array.dtype.itemsize <= 4 else "<f8"
    kind = {"f": floating, "b": "|b1"}.get(array.dtype.kind, "<i8")
    return np.ascontiguousarray(array, dtype=kind).reshape(array.shape)


def _layout(name: Any, kind: Any, shape: Any) -> tuple[str, Any, tuple[int, ...], int]:
    """Return what the header says of one array, checked, and its size in bytes."""
    if not isinstance(name, str) or len(name) > MAX_NAMES or kind not in KINDS:
        raise WireError("an array is announced with a name or a type that is not allowed")
    if not isinstance(shape, list) or len(shape) > 8:
        raise WireError("an array is announced without a shape")
    if not all(type(size) is int and 0 <= size <= MAX_ARRAYS for size in shape):
        raise WireError("an array is announced with a shape that is not allowed")
    return name, kind, tuple(shape), math.prod(shape) * np.dtype(kind).itemsize


def _read(source: socket.socket, size: int, deadline: float) -> bytes:
    """Read exactly so many bytes."""
    parts, left = [], size
    while left:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise TimeUp("time is up")
        source.settimeout(None if remaining == FOREVER else remaining)
        try:
            part = source.recv(min(left, 1 << 16))
        except TimeoutError:
            raise TimeUp("time is up") from None
        except OSError as error:
            raise Ended(f"the connection broke: {error.strerror}") from None
        if not part:
            raise Ended("the connection ended")
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
