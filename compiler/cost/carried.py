"""Carried state: what a step of time, or a window of steps, leaves in DRAM for the next one, beside the tape.

Nodes that take each step of time together share the scratchpads, so their states (membranes, traces, sums over time)
lie in DRAM between two steps; where time is cut into windows, those of all nodes lie there between two windows.  Nodes
that walk through all steps alone keep theirs in a scratchpad and carry nothing.
Bytes are the room that a value needs; it is written once in every step, or window, that makes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..ir.cycles import together
from ..ir.graph import Training
from ..ir.types import Type
from ..ops.op import alias_of
from ..ops.trace import Trace
from .room import held
from .tape import read_back
from .windows import statements_of, window_rooms

NEXT, NEXT_WINDOW = "the next step", "the next window"


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
    """States of nodes that take each step, or each window, together, where they are no results themselves."""
    procedure = training.procedure("train_step")
    types, momentary, rooms = training.values(procedure), held(training), window_rooms(training)
    for region in procedure.regions:
        for cluster in together(region):
            waits = len(cluster) > 1 or region.sweep == "chosen"
            for node in cluster:
                if not (waits or region.window) or alias_of(node) is not None:
                    continue
                known = set(types)
                statements_of(training, node, region, types, waits, momentary, rooms)
                for name in (name for name in types if name not in known):
                    size = types[name].bytes(training.steps, training.batch)
                    yield Carried(name, node.layer, types[name], size, (NEXT if waits else NEXT_WINDOW,))
