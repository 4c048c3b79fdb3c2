"""A network that is a chain of layers, for peers that are written for such by hand.

Read in environments without snnc, so this file needs the standard library only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .graph import Graph, Node
from .neurons import leaky
from .worker import Refused

LAYERS: Mapping[str, Mapping[str, Any]] = {
    "linear": {},
    "conv2d": {"dilation": [1, 1], "groups": 1},
    "avg_pool2d": {"pad": [0, 0]},
    "flatten": {},
    "lif": {},
}
"""What a chain is made of, and the settings that have one value."""


@dataclass(frozen=True)
class Layer:
    """*kind* is one of `LAYERS`; *weights* and *bias* are names of parameters, empty where there is none."""

    kind: str
    name: str
    settings: Mapping[str, Any]
    weights: str = ""
    bias: str = ""


def chain(graph: Graph) -> tuple[Layer, ...]:
    """The layers in order; Refused where they are no chain, or not those of `LAYERS` with triangles and hard resets."""
    return tuple(_layers(graph))


def once(layers: tuple[Layer, ...]) -> int:
    """How many layers stand in front of the first neurons; what follows runs in every step."""
    return next(place for place, layer in enumerate(layers) if layer.kind == "lif")


def _layers(graph: Graph) -> Iterator[Layer]:
    before = graph.port
    for node in graph.nodes:
        if node.op == "parameter":
            continue
        if node.op not in LAYERS:
            raise Refused(f"{node.results[0]}: there is no {node.op} among the layers of a chain")
        wrong = {name: node.settings[name] for name, value in LAYERS[node.op].items() if node.settings[name] != value}
        if wrong or not _plain(node):
            raise Refused(f"{node.results[0]}: chains have no such {node.op}")
        if node.operands[0] != before:
            raise Refused(f"{node.results[0]} does not read {before}, as a chain would")
        before = node.results[0]
        yield Layer(node.op, node.results[0], node.settings, *node.operands[1:])


def _plain(node: Node) -> bool:
    """Whether neurons are those of chains, and windows do not overlap."""
    if node.op == "lif":
        wanted = leaky(node)
        return not wanted.soft and wanted.amplitude == 1 and wanted.surrogate == {"name": "triangle", "alpha": 1.0}
    return node.op != "avg_pool2d" or node.settings["stride"] in ([0, 0], node.settings["kernel"])
