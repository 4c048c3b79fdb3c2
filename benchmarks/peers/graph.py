"""A network as every peer may read it: its nodes with all of their settings, as plain JSON.

Read in environments without snnc, so this file needs the standard library only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Value:
    """*shape* of one sample in one step; *timed* values change with the step, *batched* ones with the sample.

    A *weight* belongs to a layer: it is no bias, no norm and no constant of a neuron.
    """

    shape: tuple[int, ...]
    timed: bool = False
    batched: bool = False
    weight: bool = False


@dataclass(frozen=True)
class Node:
    """``results = op(operands, settings)``; a call such as ``atan(alpha=2)`` is ``{"name": "atan", "alpha": 2}``."""

    op: str
    results: tuple[str, ...]
    operands: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Graph:
    """*nodes* in an order in which only a `delay` may read what is made further on.  *result* is what the loss reads.

    *values* has every name: ports, parameters (made by nodes called `parameter`) and what is computed.  *loss*,
    *optimizer*, *clip* and *rule* are calls.
    """

    network: str
    steps: int
    port: str
    nodes: tuple[Node, ...]
    values: Mapping[str, Value]
    result: str
    loss: Mapping[str, Any]
    optimizer: Mapping[str, Any]
    clip: Mapping[str, Any]
    rule: Mapping[str, Any] = field(default_factory=lambda: {"name": "bptt"})

    @property
    def neurons(self) -> tuple[Node, ...]:
        """Nodes that fire at a threshold."""
        return tuple(node for node in self.nodes if node.op in ("if", "lif"))

    @property
    def statistics(self) -> tuple[str, ...]:
        """Parameters that follow the data and are not learned: running means and variances."""
        return tuple(name for node in self.nodes if node.op == "batch_norm" for name in node.operands[1:3])

    @property
    def learned(self) -> tuple[str, ...]:
        """All other parameters."""
        held = set(self.statistics)
        made = (name for node in self.nodes if node.op == "parameter" for name in node.results)
        return tuple(name for name in made if name not in held)

    def save(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(json.dumps(asdict(self)))


def load(path: Path) -> Graph:
    """What `Graph.save` wrote."""
    facts: dict[str, Any] = json.loads(path.read_text())
    nodes = (
        Node(node["op"], tuple(node["results"]), tuple(node["operands"]), node["settings"])
        for node in facts.pop("nodes")
    )
    values = {name: Value(tuple(value.pop("shape")), **value) for name, value in facts.pop("values").items()}
    return Graph(**facts, nodes=tuple(nodes), values=values)
