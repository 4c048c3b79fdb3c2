"""Errors that neurons fire as signs, for machines whose engine of the way back gates with them.

A neuron that settles with spikes (`ops.settle`) brings to its input 1, 0 or -1 times a constant.  Graphs are built with
that as a word.  Where the engine takes ternary operands and all who read the error can, it becomes the sign itself, two
bits instead of a word, and the constant the scale of its type: layers then add weights or take them away, and multiply
the sum once.
"""

from __future__ import annotations

from dataclasses import replace

from ..ir.graph import Node, Procedure, Region, Training
from ..ir.types import Type
from ..ops.contracted import Contracted
from ..ops.op import OPS, alias_of
from ..ops.settle import Settle

TERNARY = "ternary"


def with_signs(training: Training) -> Training:
    """*training* with ternary errors wherever they can be."""
    return replace(training, procedures=tuple(map(_procedure, training.procedures)))


def _procedure(procedure: Procedure) -> Procedure:
    return replace(procedure, regions=tuple(map(_region, procedure.regions)))


def _region(region: Region) -> Region:
    found: dict[str, float] = {}
    for node in region.nodes:
        op = OPS[node.op.partition(".")[0]].make(node.settings)
        if isinstance(op, Settle) and op.solver == "spikes" and node.op == Settle.name and node.results[0]:
            same = _same(node.results[0], region)
            readers = [reader for reader in region.nodes if not same.isdisjoint(reader.operands)]
            if all(_takes_signs(reader, same) for reader in readers):
                found |= dict.fromkeys(same, op.spike)

    def typed(name: str, type: Type) -> Type:
        return type.with_(format=TERNARY, scale=found[name]) if name in found else type

    nodes = [replace(node, types=tuple(map(typed, node.results, node.types))) for node in region.nodes]
    return replace(region, nodes=tuple(nodes))


def _same(value: str, region: Region) -> set[str]:
    """*value* and what is nothing but *value*, under another type or in another step."""
    found = {value}
    for _ in region.nodes:
        handed = [node for node in region.nodes if _hands_on(node) and not found.isdisjoint(node.operands)]
        found |= {node.results[0] for node in handed}
    return found


def _hands_on(node: Node) -> bool:
    return alias_of(node) is not None or node.op == "delay"


def _takes_signs(node: Node, values: set[str]) -> bool:
    """Whether the node reads *values* by the scale of their type: as a left operand, or as one of two addends."""
    name, _, facet = node.op.partition(".")
    if issubclass(OPS[name], Contracted):
        return facet == "d_x" and values.isdisjoint(node.operands[1:])
    return node.op in ("add", Settle.name) or _hands_on(node)
