"""The tape: what the way back finds again of the way there, how large each part is, why it is kept, and what else
could have been kept in its place.

Bytes are those of one training step, rows padded to whole bytes as they lie in DRAM: what is written, once.  Of a value
that is gone with its step, or with its window of steps, they are those of one, the room that it needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...source import NOWHERE, Place
from ..ir.cycles import clusters
from ..ir.graph import Node, Training
from ..ir.types import Type
from ..ir.working import type_in
from ..ops.op import OPS, alias_of
from ..ops.rated import Rated
from ..ops.trace import Trace
from .room import held
from .windows import window_rooms


@dataclass(frozen=True)
class Alternative:
    """Another way to have a value on the way back: *bytes* that it would write, None where it is not exact; *why*."""

    what: str
    bytes: int | None
    why: str = ""


@dataclass(frozen=True)
class Kept:
    """A value on tape: who reads it (``WG of c2``), why in this form, and the alternatives to it."""

    value: str
    layer: str
    type: Type
    bytes: int
    readers: tuple[str, ...]
    reason: str
    alternatives: tuple[Alternative, ...]
    place: Place = NOWHERE
    room: int = 0
    """The steps of which *bytes* are, where others take their place: 1, or those of a window; else 0."""

    @property
    def momentary(self) -> bool:
        """Whether it is gone with its step of time."""
        return self.room == 1

    @property
    def bits(self) -> int:
        """Bits of an element."""
        return self.type.kind.bits


@dataclass(frozen=True)
class ReadBack:
    """A value that the way there makes and the way back reads: its maker, and its readers with the operand's number."""

    value: str
    node: Node
    readers: tuple[tuple[Node, int], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Who reads it, such as ``WG of c2``."""
        return tuple(dict.fromkeys(f"{reader.phase} of {reader.layer}" for reader, _ in self.readers))


def read_back(training: Training) -> tuple[ReadBack, ...]:
    """Every value that ``train_step`` makes on the way there and reads on the way back, in the order of the graph.

    A trace is one of them, too, where nothing goes back and it is made beside what learns from it.
    """
    variables = set(training.types)
    homes: dict[str, str] = {}
    made: dict[str, Node] = {}
    readers: dict[str, list[tuple[Node, int]]] = {}
    for node in training.procedure("train_step").nodes:
        for number, operand in enumerate(node.operands):
            home = homes.get(operand, operand)
            if node.phase in ("BP", "WG") and home in made:
                readers.setdefault(home, []).append((node, number))
        if (source := alias_of(node)) is not None:
            homes[node.results[0]] = homes.get(node.operands[source], node.operands[source])
        elif node.phase == "FP" or node.op == Trace.name:
            made.update((result, node) for result in node.results if result and result not in variables)
    return tuple(ReadBack(value, node, tuple(readers[value])) for value, node in made.items() if value in readers)


def tape_of(training: Training) -> tuple[Kept, ...]:
    """Every value on tape, in the order of the graph.  A trace is none: it is state, see `carried.carried_of`."""
    procedure = training.procedure("train_step")
    types = training.values(procedure)
    forward = [node for region in procedure.regions if region.sweep == "up" for node in region.nodes]
    waiting = {node.results[0] for cluster in clusters(forward) if len(cluster) > 1 for node in cluster}
    online = all(region.sweep != "down" for region in procedure.regions)
    found: list[Kept] = []
    rooms = dict.fromkeys(held(training), 1) | window_rooms(training)
    span = next((window for window, _ in procedure.windows if window), training.steps)
    for kept in read_back(training):
        value, node, type = kept.value, kept.node, types[kept.value]
        if node.op == Trace.name:
            continue
        steps = rooms.get(value, training.steps)
        waits = online or node.results[0] in waiting
        found.append(
            Kept(
                value,
                node.layer,
                type,
                type.bytes(steps, training.batch),
                kept.names,
                "; ".join(dict.fromkeys(_reasons(kept.readers))),
                tuple(_alternatives(value, node, types, training, steps, span, waits)),
                node.place,
                rooms.get(value, 0),
            )
        )
    return tuple(found)


def _reasons(reads: Sequence[tuple[Node, int]]) -> Iterator[str]:
    """Why each reader wants the value: what its operator says of the role that the value plays there."""
    for node, number in reads:
        name, _, facet = node.op.partition(".")
        op = OPS[name].make(node.settings)
        facet = facet.removesuffix("_local")
        known = (*op.gradients(), *op.rate_gradients(), *([op.count_gradient()] if isinstance(op, Rated) else []))
        found = [adjoint.reads[number] for adjoint in known if adjoint.facet == facet]
        found += [] if facet else op.operands[number : number + 1]
        yield op.keeping(found[0]) if found else f"{name} reads it on the way back"


def _alternatives(
    value: str, node: Node, types: Mapping[str, Type], training: Training, steps: int, span: int, waits: bool
) -> Iterator[Alternative]:
    """What the maker of the value knows in its place, over *steps* steps, of which the way back takes *span* at a time.

    A node that *waits* takes one at a time.
    """
    op = OPS[node.op.partition(".")[0]].make(node.settings)
    suffix = dict(zip(node.results, op.suffixes, strict=False)).get(value, "")
    for other in op.otherwise(suffix, span):
        if other.every > 1 and waits:
            continue
        kinds = [types[value].with_(format=format, every=other.every) for format in other.formats or ()]
        kinds = [type_in(kind, training.working) for kind in kinds]
        size = None if other.formats is None else sum(kind.bytes(steps, training.batch) for kind in kinds)
        yield Alternative(other.what, size, other.why)
