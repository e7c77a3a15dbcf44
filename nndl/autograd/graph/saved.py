"""What torch saves for the backward pass, and how many bytes of memory that keeps alive."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef

__all__ = ["Saved", "SavedTensors", "record_saved"]


@dataclass(frozen=True)
class Saved:
    """A tensor that is kept for the backward pass.

    Attributes
    ----------
    name
        What the operation calls it, such as ``"self"`` or ``"result"``; a number where it has no
        name, nothing where it isn't known.
    shape, dtype
        Of the tensor; None if `changed`.
    nbytes
        Bytes of its elements: how many there are times the size of one. 0 if `changed`.
    storage
        The number of the memory that it lies in: tensors with the same number share it. None if
        `changed`.
    changed
        True if the tensor was changed in place after it was saved, so that it can't be read.

    Examples
    --------
    >>> print(Saved("result", (5, 2), torch.float32, nbytes=40, storage=0))
    result (5, 2) float32, 40 bytes
    """

    name: str
    shape: tuple[int, ...] | None
    dtype: torch.dtype | None
    nbytes: int
    storage: int | None
    changed: bool = False

    def __str__(self) -> str:
        if self.changed:
            return f"{self.name}, changed in place since"
        kind = str(self.dtype).removeprefix("torch.")
        return f"{self.name} {self.shape} {kind}, {counted(self.nbytes, 'byte')}".lstrip()


def counted(number: int, word: str) -> str:
    """Return ``"1 byte"``, ``"2,000 bytes"``."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


class _Storages:
    """Pieces of memory, numbered in the order in which they are met.

    The weak references keep the pieces' identities, not the memory: as long as one is held, no new
    piece can be taken for an old one, even if it lies at the same address.
    """

    def __init__(self) -> None:
        self.refs: list[StorageWeakRef] = []
        self.sizes: list[int] = []
        self._numbers: dict[int, int] = {}

    def number(self, tensor: Any) -> int:
        """Return the number of the memory that `tensor` lies in, a new one if it has none yet."""
        storage = tensor.data.untyped_storage()
        if storage._cdata not in self._numbers:
            self._numbers[storage._cdata] = len(self.refs)
            self.refs.append(StorageWeakRef(storage))  # type: ignore[no-untyped-call]
            self.sizes.append(storage.nbytes())
        return self._numbers[storage._cdata]

    def find(self, tensor: Any) -> int | None:
        """Return that number, or None if the memory wasn't met."""
        return self._numbers.get(tensor.data.untyped_storage()._cdata)

    @property
    def nbytes(self) -> int:
        """Bytes of all the pieces."""
        return sum(self.sizes)


def record(name: str, tensor: Any, storages: _Storages) -> Saved:
    """Describe a saved tensor, torch's or ours."""
    data = tensor.data
    if data.layout is not torch.strided:
        raise NotImplementedError(
            f"a saved tensor of layout {data.layout} and shape {tuple(data.shape)}: "
            "only the memory of dense tensors is counted"
        )
    nbytes = data.numel() * data.element_size()
    return Saved(name, tuple(data.shape), data.dtype, nbytes, storages.number(tensor))


class SavedTensors:
    """The tensors that torch has saved for backward passes inside ``record_saved``.

    Attributes
    ----------
    tensors
        A record for each, in the order of saving. One tensor that two operations save has two.

    Examples
    --------
    A product with itself saves one piece of memory twice.

    >>> w = torch.ones(3, requires_grad=True)
    >>> with record_saved() as saved:
    ...     loss = (w * w).sum()
    >>> saved
    <2 saved tensors, 12 bytes>
    """

    def __init__(self) -> None:
        self.tensors: list[Saved] = []
        self._storages = _Storages()

    def __len__(self) -> int:
        return len(self.tensors)

    def __repr__(self) -> str:
        return f"<{counted(len(self), 'saved tensor')}, {counted(self.bytes, 'byte')}>"

    @property
    def bytes(self) -> int:
        """Bytes of the memory that the tensors lie in, each piece counted once."""
        pieces = {tensor.storage for tensor in self.tensors}
        return sum(size for i, size in enumerate(self._storages.sizes) if i in pieces)

    def without(self, tensors: Iterable[torch.Tensor]) -> "SavedTensors":
        """Return the records of what does not lie in the memory of any of `tensors`.

        Without the parameters, which are there anyway, the activations and the batch are left.

        Examples
        --------
        >>> layer = torch.nn.Linear(3, 2)
        >>> with record_saved() as saved:
        ...     loss = layer(torch.ones(5, 3)).exp().sum()
        >>> [record.shape for record in saved.without(layer.parameters()).tensors]
        [(5, 3), (5, 2)]
        """
        given = [tensors] if isinstance(tensors, torch.Tensor) else tensors
        there = {self._storages.find(tensor) for tensor in given}
        rest = SavedTensors()
        rest.tensors = [record for record in self.tensors if record.storage not in there]
        rest._storages = self._storages
        return rest

    def _pack(self, tensor: torch.Tensor) -> tuple[torch.Tensor, int]:
        self.tensors.append(record("", tensor, self._storages))
        # The node of a result must not hold that result with its grad_fn, the node itself.
        return tensor.detach(), tensor._version


def _unpack(packed: tuple[torch.Tensor, int]) -> torch.Tensor:
    """Return the tensor, unless it has changed: with hooks torch leaves that check to them."""
    tensor, version = packed
    if tensor._version != version:
        raise RuntimeError(
            "one of the variables needed for gradient computation has been modified by an inplace "
            f"operation: a tensor of shape {tuple(tensor.shape)} was saved at version {version} "
            f"and is at version {tensor._version} now"
        )
    return tensor


@contextmanager
def record_saved() -> Iterator[SavedTensors]:
    """Record what torch saves for the backward pass inside the block.

    Counted is what goes through ``torch.autograd.graph.saved_tensors_hooks``: each tensor that an
    operation of torch's saves, and what a Function of one's own hands to ``save_for_backward``,
    whether it is a parameter, the batch or an intermediate value, and whether or not it requires
    grad. Not counted: what a Function keeps in other ways, numbers and shapes, what is saved under
    ``no_grad`` (nothing is), and what hooks that are set inside the block take over. Hooks that
    were set outside rest meanwhile.

    Gradients, the time at which memory is freed and the errors after changes in place are the same
    as without it. Only ``nndl.autograd`` itself isn't recorded: use ``walk``.

    Yields
    ------
    SavedTensors
        Filled while the block runs.

    Examples
    --------
    >>> w = torch.ones(3, 4, requires_grad=True)
    >>> x = torch.ones(5, 3)
    >>> with record_saved() as saved:
    ...     y = (x @ w).relu()
    >>> saved  # x and y, but not w: the batch requires no gradient
    <2 saved tensors, 140 bytes>
    >>> print(*saved.tensors, sep="; ")
    (5, 3) float32, 60 bytes; (5, 4) float32, 80 bytes
    """
    saved = SavedTensors()
    with torch.autograd.graph.saved_tensors_hooks(saved._pack, _unpack):
        yield saved
