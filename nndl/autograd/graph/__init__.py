"""Look at the graph that autograd keeps, torch's or ours: walk it, draw it, weigh what it saves.

``walk`` follows a graph from its results to the leaves and returns a ``Graph``, which prints as a
list and which ``draw`` draws. ``record_saved`` records what torch saves for the backward pass.
"""

from nndl.autograd.graph.drawing import draw, figure_size
from nndl.autograd.graph.nodes import Graph, GraphNode, walk
from nndl.autograd.graph.saved import Saved, SavedTensors, record_saved

__all__ = [
    "Graph",
    "GraphNode",
    "Saved",
    "SavedTensors",
    "draw",
    "figure_size",
    "record_saved",
    "walk",
]
