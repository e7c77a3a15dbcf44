"""Walk the graph that autograd keeps, torch's or ours, and list what is in it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Literal

import networkx as nx
from torch.autograd.function import BackwardCFunction
from torch.autograd.graph import Node as TorchNode

from nndl.autograd.graph.saved import Saved, _Storages, counted, record

__all__ = ["Graph", "GraphNode", "walk"]

Kind = Literal["function", "leaf"]
Names = Mapping[str, Any] | Iterable[tuple[str, Any]]

_MOST_OF_TORCH = 10_000


@dataclass(frozen=True)
class GraphNode:
    """A node of the graph: an operation to be differentiated, or a leaf that gets the gradient.

    Attributes
    ----------
    index
        Its number in the graph. A node has a smaller one than those that it passes gradients to.
    name
        As the graph has it, such as ``"MulBackward0"`` or ``"AccumulateGrad"``.
    kind
        ``"leaf"`` for the node of a leaf (AccumulateGrad), else ``"function"``.
    label
        The names of the tensor that it stands for, if they were given: a leaf's own name, or that
        of an operation's result.
    shape
        Of that tensor; None if it isn't known.
    saved
        The tensors that the node keeps for the backward pass. Empty if they are freed.
    freed
        True if there were such tensors and a backward pass has freed them.
    derivative
        True if the node was added by differentiating: no tensor of `forward` leads to it.

    Examples
    --------
    >>> import torch
    >>> w = torch.tensor(2.0, requires_grad=True)
    >>> for node in walk(w.exp(), names={"w": w}).nodes:
    ...     print(node.index, node.name, node.kind, node.title, [s.name for s in node.saved])
    0 ExpBackward0 function Exp ['result']
    1 AccumulateGrad leaf w []
    """

    index: int
    name: str
    kind: Kind
    label: str = ""
    shape: tuple[int, ...] | None = None
    saved: tuple[Saved, ...] = ()
    freed: bool = False
    derivative: bool = False

    @property
    def short(self) -> str:
        """The name without the ending of torch's names.

        >>> GraphNode(0, "MulBackward0", "function").short
        'Mul'
        """
        return re.sub(r"(?<=.)Backward\d*$", "", self.name)

    @property
    def title(self) -> str:
        """What to call it, ``"x"`` for a leaf that has a name, ``"y = Mul"`` for its function.

        >>> GraphNode(0, "MulBackward0", "function", label="y").title
        'y = Mul'
        """
        if self.kind == "leaf":
            return self.label or "leaf"
        return f"{self.label} = {self.short}" if self.label else self.short


@dataclass(frozen=True)
class Graph:
    """The nodes and edges that lead from some tensors back to the leaves.

    Attributes
    ----------
    nodes
        In the order of their indices, every consumer before what it consumes.
    edges
        (consumer, producer) for each argument of an operation that needs a gradient: from the node
        of the result to the node of the argument, as the gradient flows. ``x * x`` has two alike.
    saved_bytes
        Bytes of the memory that the saved tensors keep alive, each piece counted once.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> print(walk(x * x, names={"x": x}))
    2 nodes, 1 of them a leaf; 8 bytes saved
    0: Mul (2,), from 1 and 1
        saves other (2,) float32, 8 bytes
        saves self (2,) float32, 8 bytes
    1: leaf x (2,)
    """

    nodes: tuple[GraphNode, ...]
    edges: tuple[tuple[int, int], ...]
    saved_bytes: int

    def __len__(self) -> int:
        return len(self.nodes)

    def __str__(self) -> str:
        return self.to_text()

    @property
    def leaves(self) -> tuple[GraphNode, ...]:
        """The nodes of kind ``"leaf"``."""
        return tuple(node for node in self.nodes if node.kind == "leaf")

    @property
    def roots(self) -> tuple[GraphNode, ...]:
        """The nodes that nothing else in the graph consumes."""
        consumed = {producer for _, producer in self.edges}
        return tuple(node for node in self.nodes if node.index not in consumed)

    def to_text(self, *, saved: bool = True) -> str:
        """Return a list of the nodes, a line each, and below it what the node saves.

        Parameters
        ----------
        saved
            Whether to list what is saved.

        Examples
        --------
        >>> import torch
        >>> x = torch.tensor(2.0, requires_grad=True)
        >>> y = x**3
        >>> y.backward()
        >>> print(walk(y, names={"x": x, "y": y}).to_text())
        2 nodes, 1 of them a leaf; 0 bytes saved
        0: y = Pow (), from 1
            what it saved is freed
        1: leaf x ()
        """
        producers: list[list[int]] = [[] for _ in self.nodes]
        for consumer, producer in self.edges:
            producers[consumer].append(producer)
        leaves = len(self.leaves)
        kind = "a leaf" if leaves == 1 else "leaves"
        header = f"{counted(len(self), 'node')}, {leaves:,} of them {kind}"
        lines = [f"{header}; {counted(self.saved_bytes, 'byte')} saved" if saved else header]
        for node in self.nodes:
            title = f"leaf {node.label}".rstrip() if node.kind == "leaf" else node.title
            line = f"{node.index}: {title}" + ("" if node.shape is None else f" {node.shape}")
            line += ", derivative" if node.derivative else ""
            if producers[node.index]:
                *others, last = map(str, producers[node.index])
                line += f", from {', '.join(others)} and {last}" if others else f", from {last}"
            lines.append(line)
            if saved:
                lines += [f"    saves {tensor}" for tensor in node.saved]
                lines += ["    what it saved is freed"] if node.freed else []
        return "\n".join(lines)

    def networkx(self) -> "nx.DiGraph[int]":
        """Return the graph for networkx, edges from consumer to producer.

        Each node is its index, with the attributes `name`, `kind`, `label`, `shape` and
        `derivative`; the attribute `count` of an edge says how many there are.

        Examples
        --------
        >>> import torch
        >>> x = torch.tensor(2.0, requires_grad=True)
        >>> graph = walk((x * x).sin()).networkx()
        >>> list(graph.edges(data="count"))
        [(0, 1, 1), (1, 2, 2)]
        >>> nx.dag_longest_path_length(graph)
        2
        """
        graph: nx.DiGraph[int] = nx.DiGraph()
        for node in self.nodes:
            kept = ("name", "kind", "label", "shape", "derivative")
            graph.add_node(node.index, **{key: getattr(node, key) for key in kept})
        for edge in self.edges:
            graph.add_edge(*edge, count=graph.get_edge_data(*edge, {"count": 0})["count"] + 1)
        return graph


def walk(*outputs: Any, forward: Any = (), names: Names = ()) -> Graph:
    """Follow the graph from some results back to the leaves.

    Parameters
    ----------
    *outputs
        Tensors (torch's or ours) that have a ``grad_fn``, or such nodes themselves.
    forward
        One or several of the same, results of the forward pass. A node that none of them leads to
        is a derivative. Without any, no node is. They are not walked unless they are outputs too.
    names
        Tensors by name, or pairs of both, such as ``net.named_parameters()``. The node of a named
        tensor gets the name as its label. Names of tensors that the graph doesn't contain, frozen
        parameters for instance, are passed over.

    Returns
    -------
    Graph
        Each node once, however many paths lead to it. Shapes, names and sizes are copied: it keeps
        nothing of the real graph alive.

    Raises
    ------
    TypeError
        If something is neither a tensor nor a node.
    ValueError
        If there is no output, or one without a graph, or if torch's graph has more than 10,000
        nodes.

    Notes
    -----
    Reading a saved tensor of torch's calls the unpack hook that it was saved with, if any.

    There is a limit for torch's graphs because version 2.13 frees the nodes that Python has looked
    at by recursion. After a walk along a chain of some ten thousands, the program would crash when
    the chain is given up. Our graphs may be of any size.

    Examples
    --------
    The derivative of x³ is 3x², a graph of its own that ends at the same leaf:

    >>> import torch
    >>> x = torch.tensor(2.0, requires_grad=True)
    >>> y = x**3
    >>> (slope,) = torch.autograd.grad(y, x, create_graph=True)
    >>> graph = walk(y, slope, forward=y, names={"x": x, "y": y, "slope": slope})
    >>> print(graph.to_text(saved=False))
    5 nodes, 1 of them a leaf
    0: y = Pow (), from 4
    1: slope = Mul (), derivative, from 2
    2: Mul (), derivative, from 3
    3: Pow (), derivative, from 4
    4: leaf x ()
    """
    if not outputs:
        raise ValueError("walk needs at least one tensor or node to start from")
    starts = [_node_of("output", output) for output in outputs]
    firsts = list(forward) if isinstance(forward, (tuple, list)) else [forward]
    begun = [_node_of("forward", first) for first in firsts]
    named = dict(names)
    labels = _labels(named)
    found = _in_order(starts)
    before = set(_in_order(begun)) if begun else set(found)

    index = {node: number for number, node in enumerate(found)}
    storages = _Storages()
    nodes = []
    for node, number in index.items():
        leaf = _is_leaf(node)
        saved, freed = _saved_by(node, storages)
        nodes.append(
            GraphNode(
                index=number,
                name=node.name().rpartition("::")[2],
                kind="leaf" if leaf else "function",
                label=", ".join(labels.get(id(node.variable) if leaf else node, ())),
                shape=_shape_of(node),
                saved=saved,
                freed=freed,
                derivative=node not in before,
            )
        )
    edges = tuple((index[node], index[other]) for node in found for other in _producers(node))
    return Graph(tuple(nodes), edges, storages.nbytes)


def is_tensor(value: Any) -> bool:
    return all(hasattr(value, name) for name in ("grad_fn", "requires_grad", "shape"))


def _node_of(role: str, value: Any) -> Any:
    """Return the node that made `value`, or `value` if it is a node."""
    if hasattr(value, "next_functions") and callable(getattr(value, "name", None)):
        return value
    if not is_tensor(value):
        raise TypeError(
            f"{role} must be a tensor or a node of its graph, got {value!r} "
            f"({type(value).__name__})"
        )
    if value.grad_fn is not None:
        return value.grad_fn
    shape = tuple(value.shape)
    if value.requires_grad:
        raise ValueError(
            f"{role} of shape {shape} is a leaf: nothing was computed, so there is no graph yet"
        )
    raise ValueError(f"{role} of shape {shape} does not require grad: there is no graph")


def _labels(named: dict[str, Any]) -> dict[Any, list[str]]:
    """Return the names for each leaf (by its id) and for each node that made a named tensor."""
    labels: dict[Any, list[str]] = {}
    for name, tensor in named.items():
        if not is_tensor(tensor):
            raise TypeError(
                f"names must lead to tensors, got {tensor!r} ({type(tensor).__name__}) for {name!r}"
            )
        made_by = id(tensor) if tensor.grad_fn is None else tensor.grad_fn
        labels.setdefault(made_by, []).append(str(name))
    return labels


def _is_leaf(node: Any) -> bool:
    return bool(node.name().endswith("AccumulateGrad"))


def _producers(node: Any) -> list[Any]:
    return [other for other, _ in node.next_functions if other is not None]


def _in_order(starts: list[Any]) -> list[Any]:
    """Return all nodes that can be reached, every consumer before what it consumes.

    The list also keeps alive Python's handles of torch's nodes, by which they are compared.
    """
    consumers: dict[Any, int] = dict.fromkeys(starts, 0)
    waiting = list(consumers)
    while waiting:
        for other in _producers(waiting.pop()):
            if other not in consumers:
                waiting.append(other)
                if len(consumers) >= _MOST_OF_TORCH and isinstance(other, TorchNode):
                    raise ValueError(
                        f"torch's graph has more than {_MOST_OF_TORCH:,} nodes: had Python looked "
                        "at them all, torch might crash when it frees them. Walk a smaller graph"
                    )
            consumers[other] = consumers.get(other, 0) + 1
    ready = [node for node in reversed(dict.fromkeys(starts)) if consumers[node] == 0]
    found = []
    while ready:
        found.append(ready.pop())
        for other in reversed(_producers(found[-1])):
            consumers[other] -= 1
            if consumers[other] == 0:
                ready.append(other)
    return found


def _shape_of(node: Any) -> tuple[int, ...] | None:
    """Return the shape of the tensor whose gradient the node receives, its first if it has more."""
    if _is_leaf(node):
        return tuple(node.variable.shape)
    described = getattr(node, "_input_metadata", ())
    return tuple(described[0].shape) if described else None


@cache
def _saved_attributes(kind: "type[Any]") -> tuple[str, ...]:
    """Return the names under which torch's nodes of this type show what they save."""
    if issubclass(kind, BackwardCFunction):
        return ("saved_tensors",)
    return tuple(name for name in dir(kind) if name.startswith("_saved_"))


def _saved_by(node: Any, storages: _Storages) -> tuple[tuple[Saved, ...], bool]:
    """Return what the node saves, and whether that was freed."""
    # Ours lists what it saves, torch's has an attribute for each.
    if isinstance(node, TorchNode):
        freed = False
        names = _saved_attributes(type(node))
        reads = [(name.removeprefix("_saved_"), partial(getattr, node, name)) for name in names]
    else:
        freed = node.freed
        reads = [
            (str(place), partial(kept.unpack, node))
            for place, kept in enumerate(node.saved)
            if kept is not None
        ]
    found: list[Saved] = []
    for name, read in reads:
        try:
            value = read()
        except RuntimeError as error:
            # Only by torch's words can the two be told apart.
            if "inplace operation" in str(error):
                found.append(Saved(name, None, None, 0, None, changed=True))
            elif "freed" in str(error):
                freed = True
            else:
                raise
            continue
        if is_tensor(value):
            found.append(record(name, value, storages))
        elif isinstance(value, (tuple, list)):
            for number, tensor in enumerate(value):
                if is_tensor(tensor):
                    place = str(number) if name == "saved_tensors" else f"{name}[{number}]"
                    found.append(record(place, tensor, storages))
    return tuple(found), freed
