"""Carried state: what a step of time leaves in DRAM for the next one, beside the tape.

Nodes that take each step of time together share the scratchpads, so their states (membranes, traces, sums over time)
lie in DRAM between two steps.  Nodes that walk through all steps alone keep theirs in a scratchpad and carry nothing.
Bytes are the room that a value needs; it is written once in every step that makes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..ir.cycles import together
from ..ir.graph import Training
from ..ir.types import Type
from ..ops.op import alias_of, lower
from ..ops.trace import Trace
from .room import held, with_homes
from .tape import read_back

NEXT = "the next step"


@dataclass(frozen=True)
class Carried:
    """A value that each step makes of that of the step before: *bytes* of room, and who reads it."""

    value: str
    layer: str
    type: Type
    bytes: int
    readers: tuple[str, ...]


def carried_of(training: Training) -> tuple[Carried, ...]:
    """All state that ``train_step`` carries through DRAM: traces, then the others, each in the order of the graph.

    Weights read a trace in its own step, and the next step reads it where they did, if there is room for one step only.
    """
    return (*_traces(training), *_states(training))


def _traces(training: Training) -> Iterator[Carried]:
    """What weights read in the place of spikes."""
    types, momentary = training.values(training.procedure("train_step")), held(training)
    for trace in read_back(training):
        if trace.node.op == Trace.name:
            type, alone = types[trace.value], trace.value in momentary
            size = type.bytes(1 if alone else training.steps, training.batch)
            readers = (*trace.names, NEXT) if alone else trace.names
            yield Carried(trace.value, trace.node.layer, type, size, readers)


def _states(training: Training) -> Iterator[Carried]:
    """States of nodes that take each step together, where they are no results themselves."""
    procedure = training.procedure("train_step")
    types, momentary = training.values(procedure), held(training)
    for region in procedure.regions:
        steps = training.steps_of(region)
        for cluster in together(region):
            for node in cluster:
                alone = len(cluster) == 1 and region.sweep != "chosen"
                if alone or alias_of(node) is not None:
                    continue
                known = set(types)
                for statement in lower(node, types, steps, training.batch, region.sweep, training.working):
                    with_homes(statement, next(filter(None, node.results)), types, momentary)
                for name in (name for name in types if name not in known):
                    size = types[name].bytes(training.steps, training.batch)
                    yield Carried(name, node.layer, types[name], size, (NEXT,))
