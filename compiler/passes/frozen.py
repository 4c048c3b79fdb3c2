"""Layers that stay as they are: which parameters no error is asked for, and what their layers do meanwhile.

A parameter that is frozen is read as an input is.  Adjoints are made where a trained parameter lies behind, so before
the first of those nothing is made but the way there, and what only a way back would read is not kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from fnmatch import fnmatchcase

from ...catalog import unknown
from ...source import Faults, SourceError
from ..ir.graph import Network, Node
from ..ops.op import OPS, operand_of
from ..training.rule import Rule
from .errors import owner_of
from .training_options import TrainingOptions


def freeze(network: Network, options: TrainingOptions) -> tuple[Network, frozenset[str]]:
    """*network* as it is while some of its layers are frozen, and the parameters that stay as they are.

    What follows the statistics of batches takes them as they are (setting *frozen* of `batch_norm`).  SourceError for a
    name that nothing bears, for half of the statistics of a layer, and where nothing is left to train.
    """
    frozen = frozen_by(network, options.freeze)
    tracked = tracked_by(network)
    names = {node.results[0]: _names(node) for node in network.nodes if node.op == "parameter"}
    place, said = options.place(network, "freeze"), options.said("freeze")
    with Faults(SourceError) as faults:
        for pattern in options.freeze:
            if not frozen_by(network, [pattern]):
                layers, beside = {own[-1] for own in names.values()}, {name for own in names.values() for name in own}
                faults.add(place, f"{said}{unknown('layer with parameters', pattern, layers, beside)}")
        if frozen and frozen >= names.keys() - tracked.keys():
            faults.add(place, f"{said}every parameter of {network.name} is frozen, and nothing is left to train")
        for name, node in tracked.items():
            free = next((other for other, by in tracked.items() if by is node and other not in frozen), None)
            if name in frozen and free is not None:
                told = f"{name} is frozen and {free} is not: {node.op} follows all of its statistics, or none"
                faults.add(place, f"{said}{told}")
    stays = {node.results[0] for name, node in tracked.items() if name in frozen}
    nodes = (still(node) if node.results[0] in stays else node for node in network.nodes)
    return replace(network, nodes=tuple(nodes)), frozen


def left_alone(network: Network, rule: Rule) -> frozenset[str]:
    """The parameters that *rule* never trains."""
    made = (node.results[0] for node in network.nodes if node.op == "parameter")
    trained = rule.trains(network)
    return frozenset() if trained is None else frozenset(made) - trained - tracked_by(network).keys()


def frozen_by(network: Network, patterns: Iterable[str]) -> frozenset[str]:
    """The parameters that *patterns* name: by themselves, by their layer, or by a block around that."""
    names = {node.results[0]: _names(node) for node in network.nodes if node.op == "parameter"}
    return frozenset(
        name for name, own in names.items() for pattern in patterns if any(fnmatchcase(each, pattern) for each in own)
    )


def learning(network: Network, frozen: Collection[str]) -> Network:
    """*network* as a rule sees it that is asked what it can train: what is *frozen* is handed in, as an input is."""
    return replace(network, nodes=tuple(node for node in network.nodes if node.results[0] not in frozen))


def tracked_by(network: Network) -> dict[str, Node]:
    """Parameters that are statistics of a node, with that node: tracked, not trained."""
    found: dict[str, Node] = {}
    for node in network.nodes:
        if node.op != "parameter":
            values = (operand_of(node, role) for role in OPS[node.op].statistics)
            found |= {value: node for value in values if value is not None}
    return found


def still(node: Node) -> Node:
    """A node that takes its statistics as they are, and makes none."""
    settings = {**node.settings, "frozen": True}
    count = len(OPS[node.op].make(settings).suffixes)
    return replace(node, settings=settings, results=node.results[:count], types=node.types[:count])


def _names(node: Node) -> list[str]:
    """What the parameter of *node* may be called: its own name, that of a block around its layer, and its layer's.

    What is called ``x.1`` is another ``x``, made again, and not part of it.
    """
    parts = node.results[0].split(".")
    ends = (count for count in range(len(parts), 0, -1) if count == len(parts) or not parts[count].isdigit())
    return [".".join(parts[:count]) for count in ends] + [owner_of(node)]
