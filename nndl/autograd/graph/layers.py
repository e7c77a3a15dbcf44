"""Where the boxes of a graph stand, layer by layer, and how its edges run between them.

The method of Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system
structures" (1981): layers, order within a layer, places, routes. All lengths are inches.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import networkx as nx
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Point = tuple[float, float]
Pair = tuple[int, int]

_ASIDE = 0.2  # between two boxes of one layer
_LANE = 0.16  # between two lines, where they pass a layer or end at a box
_GAPS = (0.26, 0.5)  # between two layers, more where an edge goes far to the side


@dataclass(frozen=True)
class Layout:
    """Where everything stands; y grows upwards from 0, x to the right from 0.

    Attributes
    ----------
    centres
        Of each box.
    routes
        For each edge (consumer, producer), repeated ones too, its corners from the producer's lower
        side down to the consumer's upper side. Between corners 0 and 1, 2 and 3, ... it is upright,
        beside the boxes of a layer; between 1 and 2, 3 and 4, ... it crosses to the next.
    width, height
        Of the whole.
    """

    centres: tuple[Point, ...]
    routes: tuple[tuple[Pair, tuple[Point, ...]], ...]
    width: float
    height: float


def layered(sizes: Sequence[Point], edges: Sequence[Pair], chain: Sequence[bool]) -> Layout:
    """Place boxes of the given `sizes` so that each stands above all that consume it.

    Parameters
    ----------
    sizes
        Width and height of each box.
    edges
        (consumer, producer) for each edge, the consumer always the smaller number.
    chain
        For each box whether it is one of those that should stand in a straight column.
    """
    boxes = len(sizes)
    if not boxes:
        return Layout((), (), 0.0, 0.0)
    lanes = Counter(edges)
    layers, chains = _with_bends(boxes, lanes)
    widths = [width for width, _ in sizes] + [0.0] * (sum(map(len, layers)) - boxes)
    for edge, through in chains.items():
        for bend in through[1:-1]:
            widths[bend] = _LANE * (lanes[edge] - 1)

    # The chain of operations should be upright first of all, then the long lines.
    pulls: dict[Pair, float] = {}
    for through in chains.values():
        for lower, upper in pairwise(through):
            bends = (lower >= boxes) + (upper >= boxes)
            operations = not bends and chain[lower] and chain[upper]
            pulls[lower, upper] = 16.0 if operations else (1.0, 3.0, 8.0)[bends]
    order = _fewest_crossings(layers, list(pulls))
    x = _straightened(_places(order, pulls, widths), order, pulls, widths)
    left = min(x[node] - widths[node] / 2 for node in range(len(widths)))
    x -= left

    heights = [max([sizes[n][1] for n in layer if n < boxes], default=0.0) for layer in order]
    level = {node: number for number, layer in enumerate(order) for node in layer}
    gaps = [_GAPS[0]] * (len(order) - 1)
    for lower, upper in pulls:
        aside = min(max(0.14 * float(abs(x[lower] - x[upper])), _GAPS[0]), _GAPS[1])
        gaps[level[lower]] = max(gaps[level[lower]], aside)
    floors = [0.0]
    for height, gap in zip(heights, [*gaps, 0.0], strict=True):
        floors.append(floors[-1] + height + gap)
    middles = [floor + height / 2 for floor, height in zip(floors[:-1], heights, strict=True)]
    centres = tuple((float(x[node]), middles[level[node]]) for node in range(boxes))

    routes = _routes(chains, chain, lanes, x, widths, centres, sizes, floors, heights, level)
    width = max(x[node] + widths[node] / 2 for node in range(len(widths)))
    return Layout(centres, routes, float(width), floors[-1])


def _with_bends(
    boxes: int, edges: Counter[Pair]
) -> tuple[list[list[int]], dict[Pair, tuple[int, ...]]]:
    """Return the layers from the lowest up, and for each edge the nodes that it goes through.

    Where an edge passes a layer, a node without size, a bend, keeps a place for it.
    """
    graph = nx.DiGraph(list(edges))
    graph.add_nodes_from(range(boxes))
    level = _levels(graph)
    layers: list[list[int]] = [[] for _ in range(max(level.values()) + 1)]
    for node in range(boxes):
        layers[level[node]].append(node)
    chains: dict[Pair, tuple[int, ...]] = {}
    count = boxes
    for lower, upper in edges:
        bends = range(count, count + level[upper] - level[lower] - 1)
        count += len(bends)
        for number, bend in enumerate(bends, start=level[lower] + 1):
            layers[number].append(bend)
        chains[lower, upper] = (lower, *bends, upper)
    return layers, chains


def _levels(graph: "nx.DiGraph[int]") -> dict[int, int]:
    """Return the layer of each box, such that none is higher than need be and edges are short."""
    # At first a box is as low as it can be: the longest path down to a root.
    lowest = nx.topological_generations(graph)
    level = {node: number for number, layer in enumerate(lowest) for node in layer}
    top = max(level.values())
    moved = True
    while moved:
        moved = False
        for node in graph:
            # A part hangs from the rest by edges from above alone: the node, all that consumes it,
            # and what nothing else consumes. Pulled up, it makes these edges shorter.
            part = {node} | nx.ancestors(graph, node)
            grows = True
            while grows:
                near = {other for inside in part for other in graph.successors(inside)} - part
                more = {other for other in near if part.issuperset(graph.predecessors(other))}
                for other in list(more):
                    more |= nx.ancestors(graph, other) - part
                part |= more
                grows = bool(more)
            slack = [
                level[upper] - level[lower] - 1
                for lower in part
                for upper in graph.successors(lower)
                if upper not in part
            ]
            up = min([*slack, top - max(level[inside] for inside in part)]) if slack else 0
            if up > 0:
                level |= {inside: level[inside] + up for inside in part}
                moved = True
    return level


def _fewest_crossings(layers: list[list[int]], steps: list[Pair]) -> list[list[int]]:
    """Order each layer by barycentres, up and down in turn, and return the best order met."""
    graph = nx.DiGraph(steps)
    for number, layer in enumerate(layers):
        graph.add_nodes_from(layer, layer=number)
    start = nx.multipartite_layout(graph, subset_key="layer", align="horizontal")
    place = {node: float(spot[0]) for node, spot in start.items()}
    order = [sorted(layer, key=lambda node: place[node]) for layer in layers]
    best, fewest = order, _crossings(order, steps)
    for sweep in range(24):
        upwards = sweep % 2 == 0
        order = list(order)
        for number in range(len(order)) if upwards else reversed(range(len(order))):
            beside = graph.predecessors if upwards else graph.successors
            centre = {
                node: float(np.mean([place[other] for other in beside(node)] or [place[node]]))
                for node in order[number]
            }
            order[number] = sorted(order[number], key=lambda node: centre[node])
            middle = (len(order[number]) - 1) / 2
            place |= {node: spot - middle for spot, node in enumerate(order[number])}
        crossings = _crossings(order, steps)
        if crossings < fewest:
            best, fewest = order, crossings
    return best


def _crossings(order: list[list[int]], steps: list[Pair]) -> int:
    """Count the pairs of steps between the same two layers that cross."""
    spot = {node: (number, i) for number, layer in enumerate(order) for i, node in enumerate(layer)}
    ends: dict[int, list[Pair]] = {}
    for lower, upper in steps:
        ends.setdefault(spot[lower][0], []).append((spot[lower][1], spot[upper][1]))
    return sum(
        (a - c) * (b - d) < 0
        for between in ends.values()
        for i, (a, b) in enumerate(between)
        for c, d in between[:i]
    )


def _places(order: list[list[int]], pulls: dict[Pair, float], widths: list[float]) -> Floats:
    """Return each node's x: near its neighbours, in the given order, no two closer than allowed."""
    x = np.zeros(len(widths))
    beside: tuple[dict[int, list[tuple[int, float]]], ...] = ({}, {})
    for (lower, upper), pull in pulls.items():
        beside[0].setdefault(upper, []).append((lower, pull))
        beside[1].setdefault(lower, []).append((upper, pull))
    # First from the roots up, then from the leaves down, at last by all the neighbours.
    for sides in [(0,), (1,), (0,), (1,), *[(0, 1)] * 40]:
        for layer in order if sides[0] == 0 else reversed(order):
            wanted, weights = [], []
            for node in layer:
                near = [pair for side in sides for pair in beside[side].get(node, [])]
                weight = sum(pull for _, pull in near)
                wanted.append(sum(x[o] * pull for o, pull in near) / weight if near else x[node])
                weights.append(weight or 0.1)
            half = [widths[node] / 2 for node in layer]
            apart = [a + b + _ASIDE for a, b in pairwise(half)]
            x[layer] = _nearest(wanted, weights, apart)
    return x


def _straightened(
    x: Floats, order: list[list[int]], pulls: dict[Pair, float], widths: list[float]
) -> Floats:
    """Return x with the long lines made upright as far as the neighbours leave room."""
    above: dict[int, int] = {}
    below: dict[int, int] = {}
    for lower, upper in sorted(pulls, key=lambda step: -pulls[step]):
        if lower not in above and upper not in below:
            above[lower], below[upper] = upper, lower
    lines = []
    for first in above:
        if first not in below:
            line = [first]
            while line[-1] in above:
                line.append(above[line[-1]])
            lines.append(line)
    lines.sort(key=len, reverse=True)

    x = x.copy()
    left = {b: a for layer in order for a, b in pairwise(layer)}
    right = {a: b for layer in order for a, b in pairwise(layer)}

    def room(node: int) -> Point:
        low, high = -np.inf, np.inf
        if node in left:
            other = left[node]
            low = x[other] + (widths[node] + widths[other]) / 2 + _ASIDE
        if node in right:
            other = right[node]
            high = x[other] - (widths[node] + widths[other]) / 2 - _ASIDE
        return low, high

    for _ in range(4):
        for line in lines:
            run: list[int] = []
            low, high = -np.inf, np.inf
            for node in [*line, None]:
                if node is not None:
                    its_low, its_high = room(node)
                    both = max(low, its_low), min(high, its_high)
                    if both[0] <= both[1]:
                        run.append(node)
                        low, high = both
                        continue
                if run:
                    x[run] = np.clip(np.median(x[run]), low, high)
                if node is not None:
                    run, (low, high) = [node], room(node)
    return x


def _nearest(wanted: list[float], weights: list[float], apart: list[float]) -> Floats:
    """Minimise Σ w (x - wanted)² over x whose neighbours are at least `apart` from each other.

    With the distances taken off, x must not decrease: isotonic regression, solved by pooling
    adjacent violators.
    """
    offsets = np.array([0.0, *accumulate(apart)])
    pools: list[list[float]] = []  # mean, weight, count
    for want, weight in zip(np.array(wanted) - offsets, weights, strict=True):
        pools.append([float(want), weight, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            mean, more, count = pools.pop()
            last = pools[-1]
            last[0] = (last[0] * last[1] + mean * more) / (last[1] + more)
            last[1:] = [last[1] + more, last[2] + count]
    means = np.repeat([pool[0] for pool in pools], [int(pool[2]) for pool in pools])
    return np.asarray(means + offsets, dtype=np.float64)


def _routes(
    chains: dict[Pair, tuple[int, ...]],
    chain: Sequence[bool],
    lanes: Counter[Pair],
    x: Floats,
    widths: list[float],
    centres: Sequence[Point],
    sizes: Sequence[Point],
    floors: list[float],
    heights: list[float],
    level: dict[int, int],
) -> tuple[tuple[Pair, tuple[Point, ...]], ...]:
    """Return each edge's corners, see ``Layout``."""
    # Lines that end at the same side of a box are spread over it, in the order of where they go.
    ends: dict[tuple[int, bool], list[tuple[float, Pair, int]]] = {}
    for edge, through in chains.items():
        for lane in range(lanes[edge]):
            ends.setdefault((through[0], True), []).append((float(x[through[1]]), edge, lane))
            ends.setdefault((through[-1], False), []).append((float(x[through[-2]]), edge, lane))
    port: dict[tuple[int, bool, Pair, int], float] = {}
    for (node, top), arriving in ends.items():
        arriving.sort()
        half = 0.4 * widths[node] if chain[node] else max(widths[node] - sizes[node][1], 0.2) / 2
        step = min(_LANE, 2 * half / len(arriving))
        # As far below or above the other end as the side allows.
        wanted = [min(max(other - float(x[node]), -half), half) for other, _, _ in arriving]
        asides = _nearest(wanted, [1.0] * len(wanted), [step] * (len(wanted) - 1))
        steps = step * np.arange(len(asides))
        asides = np.clip(asides - steps, -half, half - steps[-1]) + steps
        for aside, (_, edge, lane) in zip(asides, arriving, strict=True):
            port[node, top, edge, lane] = float(x[node] + aside)

    routes = []
    for edge, through in chains.items():
        for lane in range(lanes[edge]):
            (lower, *bends, upper) = through
            start, end = port[upper, False, edge, lane], port[lower, True, edge, lane]
            corners = [
                (start, centres[upper][1] - sizes[upper][1] / 2),
                (start, floors[level[upper]]),
            ]
            for bend in reversed(bends):
                across = float(x[bend]) + _LANE * (lane - (lanes[edge] - 1) / 2)
                floor = floors[level[bend]]
                corners += [(across, floor + heights[level[bend]]), (across, floor)]
            corners += [
                (end, floors[level[lower]] + heights[level[lower]]),
                (end, centres[lower][1] + sizes[lower][1] / 2),
            ]
            routes.append((edge, tuple(corners)))
    return tuple(routes)
