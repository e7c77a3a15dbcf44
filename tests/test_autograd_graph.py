"""The graphs of autograd: what is in them, what they save, pictures in which nothing overlaps."""

import gc
import random
import subprocess
import sys
from itertools import combinations

import matplotlib as mpl
import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path
from torch import nn

from nndl import autograd
from nndl.autograd.graph import Graph, GraphNode, draw, figure_size, record_saved, walk
from nndl.autograd.graph.drawing import _LOOKS
from nndl.autograd.graph.layers import layered
from nndl.viz import use_style

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def _fresh_figures():
    # Other tests and examples in the same process may have set the book's style.
    with mpl.rc_context():
        mpl.rcdefaults()
        yield
        plt.close("all")


class Net(nn.Module):
    """The network of Part II."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, 1)
        self.conv2 = nn.Conv2d(32, 64, 3, 1)
        self.dropout1 = nn.Dropout2d(0.25)
        self.dropout2 = nn.Dropout(0.5)
        self.fc1 = nn.Linear(9216, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = self.dropout1(F.max_pool2d(x, 2))
        x = F.relu(self.fc1(x.flatten(1)))
        return F.log_softmax(self.fc2(self.dropout2(x)), dim=1)


def net_graph() -> Graph:
    net = Net()
    loss = F.nll_loss(net(torch.rand(2, 1, 28, 28)), torch.tensor([1, 2]))
    return walk(loss, names=net.named_parameters())


def cube_graph() -> Graph:
    x = torch.tensor(2.0, requires_grad=True)
    y = x**3
    (slope,) = torch.autograd.grad(y, x, create_graph=True)
    (bend,) = torch.autograd.grad(slope, x, create_graph=True)
    return walk(y, slope, bend, forward=y, names={"x": x, "y": y, "dy": slope, "d2y": bend})


def mlp_graph(*, derivatives: bool = False) -> Graph:
    mlp = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    loss = (mlp(torch.rand(3, 4)) ** 2).mean()
    parameters = list(mlp.parameters())
    slopes = torch.autograd.grad(loss, parameters, create_graph=True) if derivatives else ()
    return walk(loss, *slopes, forward=loss, names=mlp.named_parameters())


def random_graph(seed: int, operations: int = 14) -> Graph:
    draws = random.Random(seed)
    tensors = [torch.rand(2, 3, requires_grad=True) for _ in range(draws.randint(1, 4))]
    for _ in range(operations):
        a, b = draws.choice(tensors[-6:]), draws.choice(tensors)
        kinds = [
            lambda a, b: a * b,
            lambda a, b: a + b,
            lambda a, b: a.sin(),
            lambda a, b: a @ b.T @ b,
            lambda a, b: torch.cat([a, b])[1:3],
            lambda a, b: sum(a.unbind()) + b,
        ]
        tensors.append(draws.choice(kinds)(a, b))
    results = [tensor for tensor in tensors if tensor.grad_fn is not None]
    return walk(*results[-draws.randint(1, 3) :])


# What is in a graph


def leaf(*shape):
    return torch.rand(shape, requires_grad=True)


def branches(x, w):
    parts = x.unbind()
    return parts[0] * w[0] + parts[1]


# Counted by hand: nodes (leaves among them), edges.
EXPRESSIONS = {
    "one operation": (lambda x, w: x.sin(), 2, 1, 1),
    "a chain": (lambda x, w: x.sin().exp().tanh(), 4, 1, 3),
    "the same twice": (lambda x, w: x * x, 2, 1, 2),
    "a constant": (lambda x, w: 2 * x + 1, 3, 1, 2),
    "two leaves": (lambda x, w: (x + w).sum(), 4, 2, 3),
    "a shared value": (lambda x, w: x.exp() * x.exp().sin() + x, 6, 1, 7),
    "a diamond": (lambda x, w: (h := x.exp()).sin() * h.cos(), 5, 1, 5),
    "a detached part": (lambda x, w: x.detach() * w + x.exp().detach(), 3, 1, 2),
    "several results": (branches, 6, 2, 6),
    "unused": (lambda x, w: (x * 0 + w.exp()).sum(), 6, 2, 5),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_nodes_and_edges_are_those_counted_by_hand(name):
    expression, nodes, leaves, edges = EXPRESSIONS[name]
    graph = walk(expression(leaf(2, 2), leaf(2, 2)))
    assert (len(graph), len(graph.leaves), len(graph.edges)) == (nodes, leaves, edges)


OWN = {
    "a chain": (lambda x, w: x.exp().tanh(), 3, 1, 2),
    "the same twice": (lambda x, w: x * x, 2, 1, 2),
    "two leaves": (lambda x, w: (x + w).exp(), 4, 2, 3),
    "a diamond": (lambda x, w: (h := x.exp()).tanh() * h.relu(), 5, 1, 5),
    "a product": (lambda x, w: (x @ w).relu(), 4, 2, 3),
    "a detached part": (lambda x, w: x.detach() * w, 2, 1, 1),
}


@pytest.mark.parametrize("name", OWN)
def test_our_graphs_are_those_counted_by_hand(name):
    expression, nodes, leaves, edges = OWN[name]
    x, w = (autograd.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True) for _ in range(2))
    graph = walk(expression(x, w), names={"x": x, "w": w})
    assert (len(graph), len(graph.leaves), len(graph.edges)) == (nodes, leaves, edges)
    assert {node.label for node in graph.leaves} <= {"x", "w"}
    assert all(node.shape == (2, 2) for node in graph.leaves)


def test_edges_lead_from_consumer_to_producer_and_numbers_follow_them():
    for graph in (net_graph(), cube_graph(), *map(random_graph, range(20))):
        assert [node.index for node in graph.nodes] == list(range(len(graph)))
        assert all(consumer < producer for consumer, producer in graph.edges)
        producers = {producer for _, producer in graph.edges}
        assert [r.index for r in graph.roots] == [
            i for i in range(len(graph)) if i not in producers
        ]
        assert {node.index for node in graph.leaves} == {
            node.index for node in graph.nodes if node.name == "AccumulateGrad"
        }


def test_the_graph_of_net():
    graph = net_graph()
    assert [node.short for node in graph.nodes if node.kind == "function"] == [
        *("NllLoss", "LogSoftmax", "Addmm", "Mul", "Relu", "Addmm", "View", "Mul"),
        *("MaxPool2DWithIndices", "Relu", "Convolution", "Relu", "Convolution", "T", "T"),
    ]
    shapes = {node.label: node.shape for node in graph.leaves}
    assert shapes == {name: tuple(p.shape) for name, p in Net().named_parameters()}
    assert graph.nodes[0].name == "NllLossBackward0"


def test_shapes_are_those_of_the_results():
    x = leaf(5, 3)
    graph = walk((x.sum(1) * 2).exp())
    assert [node.shape for node in graph.nodes] == [(5,), (5,), (5,), (5, 3)]


def test_nodes_that_differentiating_added():
    graph = cube_graph()
    kinds = {node.index: node.derivative for node in graph.nodes}
    # y = x³; dy = 3x² is Mul(1, 3·Pow), d2y three more; the leaf is one of the forward pass.
    assert sum(kinds.values()) == 6
    assert not kinds[graph.nodes[0].index]
    assert [node.derivative for node in graph.leaves] == [False]
    assert not any(node.derivative for node in walk(leaf(1).exp()).nodes)


def test_a_derivative_uses_values_of_the_forward_pass():
    x = leaf(2)
    y = x.exp().sum()
    (slope,) = torch.autograd.grad(y, x, create_graph=True)
    graph = walk(y, slope, forward=[y], names={"slope": slope})
    # d exp(x) = exp(x): Mul consumes the forward node Exp itself.
    (mul,) = (node for node in graph.nodes if node.label == "slope")
    sources = [graph.nodes[producer] for consumer, producer in graph.edges if consumer == mul.index]
    assert ("Exp", False) in [(source.short, source.derivative) for source in sources]
    assert mul.derivative


def test_our_derivative_nodes_are_told_apart():
    x = autograd.tensor(2.0, requires_grad=True)
    y = x * x * x
    (slope,) = autograd.grad(y, x, create_graph=True)
    graph = walk(y, slope, forward=y, names={"x": x, "y": y, "slope": slope})
    assert [n.short for n in graph.nodes if not n.derivative] == ["Mul", "Mul", "AccumulateGrad"]
    assert any(node.derivative for node in graph.nodes)
    alone = walk(y)
    assert len(alone) == 3
    assert not any(node.derivative for node in alone.nodes)


def test_names():
    x, w, frozen = leaf(2), leaf(2), torch.rand(2)
    y = x * w
    graph = walk(y.exp(), names={"x": x, "also x": x, "y": y, "frozen": frozen, "else": leaf(1)})
    assert [(node.label, node.title) for node in graph.nodes] == [
        ("", "Exp"),
        ("y", "y = Mul"),
        ("x, also x", "x, also x"),
        ("", "leaf"),
    ]
    assert [
        GraphNode(0, name, "function").short for name in ("TBackward0", "FBackward", "Backward")
    ] == [
        *("T", "F"),
        "Backward",
    ]


def test_the_form_for_networkx():
    x = leaf(2)
    graph = walk((x * x).exp(), names={"x": x})
    other = graph.networkx()
    assert nx.is_directed_acyclic_graph(other)
    assert list(other.edges(data="count")) == [(0, 1, 1), (1, 2, 2)]
    assert other.nodes[2] == {
        "name": "AccumulateGrad",
        "kind": "leaf",
        "label": "x",
        "shape": (2,),
        "derivative": False,
    }
    assert len(walk(branches(leaf(2), leaf(2))).networkx()) == 6


def test_a_deep_chain_of_ours():
    y = autograd.tensor(1.0, requires_grad=True)
    for _ in range(100_000):
        y = -y
    graph = walk(y, forward=y)
    assert len(graph) == 100_001
    assert graph.edges[-1] == (99_999, 100_000)
    assert not graph.nodes[-1].derivative
    assert graph.to_text().count("\n") == 100_001
    with pytest.raises(ValueError, match="at most 200"):
        draw(graph)


def test_a_chain_of_torch_is_freed_after_a_walk():
    program = """
import torch
from nndl.autograd.graph import walk

def chain(length):
    y = torch.ones(1, requires_grad=True)
    for _ in range(length):
        y = -y
    return y

y = chain(9_999)
assert len(walk(y)) == 10_000
del y
y = chain(100_000)
try:
    walk(y)
except ValueError as error:
    print(error)
del y
print("freed")
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("torch's graph has more than 10,000 nodes")
    assert ran.stdout.endswith("freed\n")


def test_the_text():
    x, w = leaf(2), leaf(2)
    y = torch.cat([x * w, x, w])
    assert walk(y, names={"x": x}).to_text(saved=False).splitlines() == [
        "4 nodes, 2 of them leaves",
        "0: Cat (6,), from 1, 2 and 3",
        "1: Mul (2,), from 2 and 3",
        "2: leaf x (2,)",
        "3: leaf (2,)",
    ]
    assert "\n    saves other (2,) float32, 8 bytes\n" in str(walk(y))


def test_a_graph_keeps_nothing_alive():
    with record_saved() as saved:
        y = leaf(1000).exp().sin()
    graph = walk(y)
    del y
    assert all(ref.expired() for ref in saved._storages.refs)
    assert graph.saved_bytes == 4000  # the result of one is the argument of the other


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: walk(), ValueError, "at least one"),
        (lambda: walk(3), TypeError, "output must be a tensor or a node.*got 3"),
        (lambda: walk([leaf(1).exp()]), TypeError, r"output must be .*\(list\)"),
        (lambda: walk(torch.ones(2)), ValueError, r"\(2,\) does not require grad: there is no g"),
        (lambda: walk(autograd.tensor(1.0)), ValueError, "does not require grad"),
        (lambda: walk(leaf(2)), ValueError, "is a leaf"),
        (lambda: walk(leaf(2).exp().detach()), ValueError, "does not require grad"),
        (lambda: walk(leaf(2).exp(), forward=1), TypeError, "forward must be"),
        (lambda: walk(leaf(2).exp(), forward=leaf(2)), ValueError, "forward of shape"),
        (lambda: walk(leaf(2).exp(), names={"k": 3}), TypeError, "got 3 .int. for 'k'"),
        (lambda: draw(leaf(2).exp()), TypeError, "must be a Graph"),
        (lambda: figure_size(None), TypeError, "must be a Graph"),
        (lambda: draw(walk(leaf(2).exp()), direction="up"), ValueError, "'forward' or 'backward'"),
        (lambda: draw(walk(leaf(2).exp()), fontsize=0), ValueError, "fontsize must be > 0"),
        (lambda: draw(walk(leaf(2).exp()), fontsize="a"), TypeError, "fontsize"),
    ],
)
def test_errors_say_what_was_given(call, error, words):
    with pytest.raises(error, match=words):
        call()


# What is saved


def saved_of(graph, short):
    (node,) = (node for node in graph.nodes if node.short == short)
    return [(saved.name, saved.shape, saved.nbytes) for saved in node.saved]


def test_what_operations_save():
    x, w = leaf(5, 3), torch.rand(3, 4)
    graph = walk((x @ w).exp().sum())
    assert saved_of(graph, "Mm") == [("mat2", (3, 4), 48)]
    assert saved_of(graph, "Exp") == [("result", (5, 4), 80)]
    assert saved_of(graph, "Sum") == []
    assert graph.saved_bytes == 48 + 80
    picked = walk(x[torch.tensor([0, 2]), torch.tensor([1, 1])])
    assert saved_of(picked, "Index") == [("indices[0]", (2,), 16), ("indices[1]", (2,), 16)]
    assert {saved.dtype for saved in picked.nodes[0].saved} == {torch.int64}


def test_memory_is_counted_once():
    x = leaf(1000)
    assert walk(x * x).saved_bytes == 4000
    assert walk(x.exp().sin()).saved_bytes == 4000  # one saves its result, the other its argument
    long = leaf(1000)
    assert walk(long[:10].sin()).saved_bytes == 4000  # a view keeps all of it alive
    assert walk(long[:1].expand(100).sin()).nodes[0].saved[0].nbytes == 400


def test_freed_and_changed_are_said():
    x = leaf(3)
    y = x.exp().sum()
    y.backward(retain_graph=True)
    assert not any(node.freed for node in walk(y).nodes)
    y.backward()
    after = walk(y)
    assert [node.freed for node in after.nodes] == [False, True, False]
    assert after.saved_bytes == 0
    assert "    what it saved is freed" in str(after)

    h = x * 1
    z = h.sin()
    h.add_(1)
    (record,) = walk(z).nodes[0].saved
    assert record.changed
    assert (record.name, record.shape, record.storage) == ("self", None, None)
    assert "saves self, changed in place since" in str(walk(z))


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x, x * x)
        ctx.saved = ("not", "ours")
        ctx.freed = True
        return x**3

    @staticmethod
    def backward(ctx, grad):
        return 3 * grad * ctx.saved_tensors[1]


def test_a_function_of_ones_own():
    y = Cube.apply(leaf(4))
    graph = walk(y)
    assert saved_of(graph, "Cube") == [("0", (4,), 16), ("1", (4,), 16)]
    assert not graph.nodes[0].freed
    y.sum().backward()
    assert walk(y).nodes[0].freed


def test_what_our_operations_save():
    x = autograd.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = (x * x).exp()
    graph = walk(y)
    assert graph.saved_bytes == 24  # x, and the result of exp
    y.sum().backward()
    after = walk(y)
    assert [node.freed for node in after.nodes] == [True, True, False]
    assert after.saved_bytes == 0

    h = x * 1
    z = h * h
    with autograd.no_grad():
        h.add_(1)
    assert all(saved.changed for saved in walk(z).nodes[0].saved)


def test_a_strange_failure_is_not_hidden():
    def refuse(packed):
        raise RuntimeError("the disk is full")

    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, refuse):
        y = leaf(2).exp()
    with pytest.raises(RuntimeError, match="disk is full"):
        walk(y)


def test_record_saved_against_formulas():
    n, wide, hidden, out = 7, 5, 11, 3
    mlp = nn.Sequential(nn.Linear(wide, hidden), nn.Tanh(), nn.Linear(hidden, out))
    batch = torch.rand(n, wide)
    with record_saved() as saved:
        loss = (mlp(batch) ** 2).sum()
    activations = saved.without(mlp.parameters())
    # The batch for the first weight; tanh's result for itself and the second weight; the argument
    # of the square.
    assert activations.bytes == 4 * n * (wide + hidden + out)
    # The first weight isn't saved, as the batch asks for no gradient.
    assert saved.bytes == activations.bytes + 4 * hidden * out
    assert saved.bytes == walk(loss).saved_bytes
    assert len(saved) == len(saved.tensors) == sum(len(node.saved) for node in walk(loss).nodes)
    assert saved.without([]).bytes == saved.bytes
    assert saved.without(batch).bytes == saved.bytes - 4 * n * wide
    assert repr(activations) == f"<4 saved tensors, {activations.bytes} bytes>"
    with record_saved() as wider:
        mlp(torch.rand(2 * n, wide))
    assert len(wider.without(mlp.parameters())) == 3
    assert wider.without(mlp.parameters()).bytes == 2 * 4 * n * (wide + hidden)


def test_record_saved_counts_and_leaves_out():
    x = leaf(4)
    with record_saved() as saved:
        with torch.no_grad():
            x.exp()
        torch.ones(3).exp()
        x + 1
        assert len(saved) == 0
        y = Cube.apply(x.sin())  # x for sin; its result and the square for Cube
        assert [record.shape for record in saved.tensors] == [(4,)] * 3
    y.exp()
    assert len(saved) == 3
    assert saved.bytes == 3 * 16
    assert [record.storage for record in saved.tensors] == [0, 1, 2]


def test_record_saved_changes_no_result():
    def run(recorded):
        torch.manual_seed(0)
        x, w = leaf(5, 3), leaf(3, 3)
        if recorded:
            with record_saved():
                loss = ((x @ w).exp() / (x * x + 1).sqrt()).tanh().sum()
        else:
            loss = ((x @ w).exp() / (x * x + 1).sqrt()).tanh().sum()
        first = torch.autograd.grad(loss, [x, w], create_graph=True)
        second = torch.autograd.grad(first[0].sum() + first[1].sum(), [x, w])
        return [loss, *first, *second]

    assert all(torch.equal(a, b) for a, b in zip(run(True), run(False), strict=True))


@pytest.mark.parametrize("which", ["argument", "result"])
def test_record_saved_keeps_the_error_after_a_change_in_place(which):
    h = leaf(3) * 1
    with record_saved():
        y = h.sin() if which == "argument" else h.exp()
    (h if which == "argument" else y).add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
    (changed,) = [r for node in walk(y).nodes for r in node.saved if r.changed]
    assert changed.shape is None


def test_record_saved_keeps_nothing_alive():
    gc.disable()  # Without the collector, a circle would stay.
    try:
        with record_saved() as saved:
            y = leaf(100).exp().exp().sum()
        memory = saved._storages.refs
        assert not any(ref.expired() for ref in memory)
        y.backward()
        assert all(ref.expired() for ref in memory)

        with record_saved() as again:
            y = leaf(100).exp().exp().sum()
        del y
        assert all(ref.expired() for ref in again._storages.refs)
        assert again.bytes == 2 * 400
    finally:
        gc.enable()


def test_record_saved_is_not_misled_by_memory_that_is_used_again():
    with record_saved() as saved:
        for _ in range(50):
            leaf(1000).exp()
    assert saved.bytes == 50 * 4000


def test_record_saved_says_that_it_counts_dense_tensors():
    sparse = torch.eye(3).to_sparse()
    with record_saved(), pytest.raises(NotImplementedError, match="sparse"):
        torch.sparse.mm(sparse, leaf(3, 3))


# Pictures

PICTURES = {
    "Net": net_graph,
    "second derivative": cube_graph,
    "MLP": mlp_graph,
    "derivatives of an MLP": lambda: mlp_graph(derivatives=True),
    "one operation": lambda: walk(leaf(2).exp()),
    "the same twice": lambda: walk((x := leaf(2)) * x),
    **{f"random {seed}": lambda seed=seed: random_graph(seed) for seed in range(20)},
}


def extents(ax, artists):
    ax.figure.draw_without_rendering()
    return [artist.get_window_extent() for artist in artists]


def overlap(a, b, slack=0.0):
    return min(a.x1, b.x1) - max(a.x0, b.x0) > slack and min(a.y1, b.y1) - max(a.y0, b.y0) > slack


def boxes_of(ax):
    return [patch for patch in ax.patches if isinstance(patch, FancyBboxPatch)]


def arrows_of(ax):
    return [patch for patch in ax.patches if isinstance(patch, FancyArrowPatch)]


def check_labels(ax, graph):
    """Assert that labels lie in their boxes, and boxes and legend apart, within the axes."""
    assert len(ax.texts) == len(boxes_of(ax)) == len(graph)
    labels, boxes = extents(ax, ax.texts), extents(ax, boxes_of(ax))
    room = ax.get_window_extent()
    for label, box in zip(labels, boxes, strict=True):
        assert box.x0 < label.x0 < label.x1 < box.x1
        assert box.y0 < label.y0 < label.y1 < box.y1
    legend = [] if ax.get_legend() is None else extents(ax, [ax.get_legend()])
    for one in [*boxes, *legend]:
        assert room.x0 - 1 < one.x0 < one.x1 < room.x1 + 1
        assert room.y0 - 1 < one.y0 < one.y1 < room.y1 + 1
    assert not any(overlap(a, b) for a, b in combinations([*boxes, *legend], 2))


def smooth(arrow):
    """Return points on the arrow's line, its head aside, close to each other."""
    points = []
    for curve, code in arrow._get_path_in_displaycoord()[0][0].iter_bezier():
        if code != Path.MOVETO:
            points.append([curve(t) for t in np.linspace(0, 1, 40)])
    return np.concatenate(points)


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_nothing_overlaps(name, direction):
    graph = PICTURES[name]()
    ax = draw(graph, direction=direction)
    assert plt.get_fignums() == [ax.figure.number]
    assert ax.figure.get_size_inches() == pytest.approx(figure_size(graph))
    check_labels(ax, graph)

    boxes = extents(ax, boxes_of(ax))
    arrows = arrows_of(ax)
    assert len(arrows) == len(graph.edges)
    near = ax.figure.dpi * 0.015  # an arrow's end stands that close to its box
    met = []
    for arrow in arrows:
        points = smooth(arrow)
        inside = [
            {i for i, box in enumerate(boxes) if box.padded(near).contains(x, y)} for x, y in points
        ]
        (start,), (end,) = inside[0], inside[-1]
        assert set().union(*inside) == {start, end}
        upper, lower = (start, end) if direction == "forward" else (end, start)
        assert boxes[upper].y0 > boxes[lower].y1  # data flow downwards
        met.append((lower, upper))
    assert sorted(met) == sorted(graph.edges)


def test_repeated_edges_are_drawn_apart():
    x = leaf(2)
    one, two = (smooth(arrow) for arrow in arrows_of(draw(walk(x * x))))
    assert abs(one[:, 0] - two[:, 0]).min() > 8  # of 100 pixels an inch


def test_net_is_readable_at_page_width():
    graph = net_graph()
    width, height = figure_size(graph)
    assert width <= 6.5
    assert height <= 9
    ax = draw(graph)
    sizes = {text.get_fontsize() for text in [*ax.texts, *ax.get_legend().get_texts()]}
    assert min(sizes) >= 9


@pytest.mark.parametrize("layout", ["constrained", "tight", "none"])
def test_text_shrinks_where_the_axes_are_small(layout):
    use_style()
    graph = cube_graph()
    figure, axes = plt.subplots(1, 2, figsize=(5, 3), layout=layout)
    for ax in axes:
        assert draw(graph, ax) is ax
        check_labels(ax, graph)
        assert ax.texts[0].get_fontsize() < 10
    assert figure.axes == list(axes)


def test_the_room_that_the_layout_will_give_counts():
    graph = cube_graph()
    width, height = figure_size(graph)
    _, ax = plt.subplots(figsize=(width + 0.2, height + 0.2), layout="constrained")
    assert draw(graph, ax).texts[0].get_fontsize() == 10
    check_labels(ax, graph)


def test_large_axes_leave_the_text_as_it_is():
    figure, ax = plt.subplots(figsize=(9, 9))
    graph = cube_graph()
    draw(graph, ax, fontsize=11)
    assert {text.get_fontsize() for text in ax.texts} == {11}
    check_labels(ax, graph)
    assert figure.axes == [ax]


def luminance(color):
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return float(np.dot([0.2126, 0.7152, 0.0722], parts))


def contrast(one, other):
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_kinds_are_told_apart_by_colour_and_shape():
    graph = cube_graph()
    ax = draw(graph)
    kinds = [
        "leaf" if node.kind == "leaf" else "derivative" if node.derivative else "function"
        for node in graph.nodes
    ]
    looks = {}
    for kind, box, text in zip(kinds, boxes_of(ax), ax.texts, strict=True):
        assert contrast(box.get_facecolor(), text.get_color()) >= 4.5
        assert contrast(box.get_edgecolor(), "white") >= 3
        style = box.get_boxstyle()
        rounding = getattr(style, "rounding_size", 0)
        looks.setdefault(kind, set()).add(
            (box.get_facecolor(), box.get_edgecolor(), box.get_linestyle(), round(rounding, 3))
        )
    assert {kind: len(variants) for kind, variants in looks.items()} == dict.fromkeys(_LOOKS, 1)
    colours, edges, dashes, roundings = zip(*(next(iter(v)) for v in looks.values()), strict=True)
    assert len(set(colours)) == len(set(edges)) == len(set(roundings)) == 3
    assert len(set(dashes)) == 2
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert words == ["operation", "derivative", "leaf"]


def test_a_legend_only_where_kinds_differ():
    part = Graph(
        (GraphNode(0, "ExpBackward0", "function"), GraphNode(1, "SinBackward0", "function")),
        ((0, 1),),
        0,
    )
    assert draw(part).get_legend() is None
    words = [text.get_text() for text in draw(walk(leaf(2).exp())).get_legend().get_texts()]
    assert words == ["operation", "leaf"]


def test_formulas_in_names_are_text():
    x = leaf(2)
    ax = draw(walk(x.exp(), names={"$x_0$": x}))
    assert "$x_0$" in ax.texts[1].get_text()
    assert not ax.texts[1].get_parse_math()


def test_an_empty_graph_is_drawn_as_nothing():
    ax = draw(Graph((), (), 0))
    assert not ax.texts


def test_the_layout_is_compact_and_upright():
    # A chain beside a shortcut: the chain stands in one column, the shortcut leaves it once.
    layout = layered([(1.0, 0.3)] * 5, [(0, 1), (1, 2), (2, 3), (3, 4), (0, 4)], [True] * 5)
    columns = [x for x, _ in layout.centres]
    assert max(columns) - min(columns) == pytest.approx(0)
    (shortcut,) = (route for edge, route in layout.routes if edge == (0, 4))
    inner = [x for x, _ in shortcut[2:-2]]
    assert max(inner) - min(inner) == pytest.approx(0)
    # A root stands directly below what it consumes, not at the foot of the picture.
    hanging = layered([(1.0, 0.3)] * 5, [(0, 4), (1, 2), (2, 3), (3, 4)], [True] * 5)
    heights = [y for _, y in hanging.centres]
    assert heights[0] == pytest.approx(heights[3])
    assert heights[1] < heights[2] < heights[3] < heights[4]
