"""The backward pass: gradients go through the graph from the result to the leaves."""

from collections.abc import Sequence
from heapq import heappop, heappush

import torch

from nndl.autograd.function import AccumulateGrad, Node
from nndl.autograd.grad_mode import set_grad_enabled
from nndl.autograd.tensor import Tensor

__all__ = ["backward", "grad"]


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Add the gradients of `tensors` to ``grad`` of the leaves that they were made from.

    Parameters
    ----------
    tensors
        The results to begin from.
    grad_tensors
        For each the gradient of the final result with respect to it; 1 for a scalar.
    retain_graph
        Keep what the graph has saved, for another pass. By default the value of `create_graph`.
    create_graph
        Record the computation of the gradients too, so that they can be differentiated.
    inputs
        Add to these alone, and compute what they need.

    Raises
    ------
    RuntimeError
        If a result requires no gradient, is no scalar and has no gradient given, or if what the
        graph had saved was freed, or changed in place.

    Examples
    --------
    >>> x = Tensor(3.0, requires_grad=True)
    >>> backward([x * x, 2 * x])
    >>> x.grad
    tensor(8.)
    """
    wanted = None if inputs is None else _listed(inputs)
    if wanted == []:
        raise RuntimeError("inputs must not be empty: leave it out to add to all leaves")
    received = _run(_starts(tensors, grad_tensors), wanted, retain_graph, create_graph)
    for tensor, gradient in zip(wanted or (), received, strict=True):
        if gradient is not None:
            with set_grad_enabled(create_graph):
                AccumulateGrad(tensor).run(gradient)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """Return the gradients of `outputs` with respect to `inputs`, and add to nobody's ``grad``.

    Parameters
    ----------
    outputs, grad_outputs, retain_graph, create_graph
        As in ``backward``.
    inputs
        The tensors, leaves or not, whose gradients are returned.
    allow_unused
        Return None for an input that has no part in the outputs, instead of an error.

    Returns
    -------
    tuple of Tensor or None
        One for each input.

    Raises
    ------
    RuntimeError
        As ``backward``, and if an input requires no gradient or is not used.

    Examples
    --------
    The second derivative of x³ is 6x:

    >>> x = Tensor(2.0, requires_grad=True)
    >>> (first,) = grad(x**3, x, create_graph=True)
    >>> (second,) = grad(first, x)
    >>> first.item(), second.item()
    (12.0, 12.0)
    """
    wanted = _listed(inputs)
    starts = _starts(outputs, grad_outputs)
    received = _run(starts, wanted, retain_graph, create_graph)
    if not allow_unused and None in received:
        raise RuntimeError(
            "One of the differentiated Tensors appears to not have been used in the graph: inputs"
            f"[{received.index(None)}]. Set allow_unused=True if this is the desired behavior"
        )
    return tuple(received)


def _listed(tensors: Tensor | Sequence[Tensor]) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _starts(
    tensors: Tensor | Sequence[Tensor], grads: Tensor | Sequence[Tensor | None] | None
) -> list[tuple[Node, Tensor]]:
    """Return the nodes to begin from, each with its gradient."""
    outputs = _listed(tensors)
    given: list[Tensor | None] = [None] * len(outputs)
    if grads is not None:
        given = [grads] if isinstance(grads, Tensor) else list(grads)
    if len(given) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(given)} gradients")
    starts = []
    for place, (output, gradient) in enumerate(zip(outputs, given, strict=True)):
        node = output._edge()
        if node is None:
            raise RuntimeError(
                f"element {place} of tensors does not require grad and does not have a grad_fn"
            )
        if gradient is None:
            if output.numel() != 1:
                raise RuntimeError(
                    "grad can be implicitly created only for scalar outputs, this one has shape "
                    f"{tuple(output.shape)}. Give its gradient, or take its sum() first"
                )
            gradient = Tensor(torch.ones_like(output.data))
        if gradient.shape != output.shape:
            raise RuntimeError(
                f"Mismatch in shape: grad_output[{place}] has a shape of {gradient.shape} and "
                f"output[{place}] has a shape of {output.shape}"
            )
        starts.append((node, gradient))
    return starts


def _run(
    starts: list[tuple[Node, Tensor]],
    inputs: list[Tensor] | None,
    retain_graph: bool | None,
    create_graph: bool,
) -> list[Tensor | None]:
    """Send gradients from the starts through the graph; return what arrives at the inputs."""
    targets = [_target(place, x) for place, x in enumerate(inputs or ())]
    useful = None if inputs is None else _leading_to(set(targets), [node for node, _ in starts])
    keep = create_graph if retain_graph is None else retain_graph
    received: dict[Node, Tensor] = {}
    arrived: dict[Node, Tensor] = {}
    waiting: list[tuple[int, Node]] = []

    def send(node: Node, gradient: Tensor) -> None:
        if node in arrived:
            arrived[node] = arrived[node] + gradient
        else:
            arrived[node] = gradient
            heappush(waiting, (-node.number, node))

    with set_grad_enabled(create_graph):
        for node, gradient in starts:
            send(node, gradient)
        # The newest node first: whatever its result has a part in is newer, and has been here.
        while waiting:
            _, node = heappop(waiting)
            gradient = _through_hooks(node, arrived.pop(node))
            if node in targets:
                received[node] = gradient
            if useful is None:
                wanted = [into for into, _ in node.next_functions]
            else:
                wanted = [into if into in useful else None for into, _ in node.next_functions]
                if not any(wanted):
                    continue
            for into, part in zip(wanted, node.run(gradient), strict=True):
                if into is not None and part is not None:
                    send(into, part)
            if not keep:
                node.free()
    return [received.get(target) for target in targets]


def _target(place: int, tensor: Tensor) -> Node:
    """Return the node at which the gradient of an input arrives."""
    node = tensor._edge()
    if node is None:
        raise RuntimeError(
            f"One of the differentiated Tensors does not require grad: inputs[{place}]"
        )
    return node


def _leading_to(targets: set[Node], starts: list[Node]) -> set[Node]:
    """Return the nodes from which a target is reached."""
    reachable, stack = set(starts), list(starts)
    while stack:
        new = {node for node, _ in stack.pop().next_functions if node is not None} - reachable
        reachable |= new
        stack += new
    useful = targets & reachable
    for node in sorted(reachable, key=lambda node: node.number):
        if any(into in useful for into, _ in node.next_functions):
            useful.add(node)
    return useful


def _through_hooks(node: Node, gradient: Tensor) -> Tensor:
    """Show the gradient to the hooks, which may replace it, and keep it where that is asked for."""
    for hook in list(node.hooks.values()):
        replaced = hook(gradient)
        if replaced is not None:
            if not isinstance(replaced, Tensor) or replaced.shape != gradient.shape:
                raise RuntimeError(
                    f"a hook must return None or a tensor of the gradient's shape "
                    f"{tuple(gradient.shape)}, got {replaced!r}"
                )
            gradient = replaced
    keeper = node.retained() if node.retained else None
    if keeper is not None:
        keeper.grad = gradient if keeper.grad is None else keeper.grad + gradient
    return gradient
