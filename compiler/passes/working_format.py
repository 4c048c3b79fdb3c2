"""The training graph of a machine that works in another format than f16.

Graphs are built in f16, for what an operator makes does not depend on the format.  Then every f16 becomes the format of
the machine: inputs, working copies of weights, activations, membranes, errors.  Masters, optimizer states, weight
gradients, statistics and losses are f32 on every machine.
"""

from __future__ import annotations

from dataclasses import replace

from ..ir.graph import WORKING_FORMAT, Procedure, Training
from ..ir.working import WORKING, type_in


def in_working_format(training: Training, working: str) -> Training:
    """*training* in that format, which its settings then tell; a graph in f16 stays as it is and needs no such word."""
    if working == WORKING:
        return training
    return replace(
        training,
        variables=tuple(replace(each, type=type_in(each.type, working)) for each in training.variables),
        procedures=tuple(_procedure(procedure, working) for procedure in training.procedures),
        settings={**training.settings, WORKING_FORMAT: working},
    )


def _procedure(procedure: Procedure, working: str) -> Procedure:
    """The same nodes in the same regions, with other types."""
    regions = (
        replace(
            region,
            nodes=tuple(
                replace(node, types=tuple(type_in(type, working) for type in node.types)) for node in region.nodes
            ),
        )
        for region in procedure.regions
    )
    return replace(procedure, regions=tuple(regions))
