"""A network without time beside the one that spikes, for kernels that are matched to its activations.

Every neuron's activation is a relu of what weights make of the activations before; whatever says what a spike is worth
is gone.  From the activations of a layer and the times of its spikes follow the gradients of its kernel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..ir.graph import Node, Setting
from ..ir.types import Type
from ..ops.activations import Relu
from ..ops.first_spike import TTFS, TTFSKernel
from ..ops.gradients import BLOCK, Row, blocks
from ..ops.matching import SUMS, KernelGradient, MatchedBlocks, MatchedSamples, MatchedSums, MatchedWords, SpikeTime
from ..ops.op import OPS, WORKING


@dataclass
class Matching:
    """What the kernels of *nodes*, the way there, are matched by, over *batch* samples."""

    nodes: Sequence[Node]
    types: Mapping[str, Type]
    batch: int
    layers: list[Node] = field(init=False)

    def __post_init__(self) -> None:
        self.layers = [node for node in self.nodes if node.op == TTFS.name]

    @property
    def trained(self) -> frozenset[str]:
        """Names of all tau and delay."""
        return frozenset(name for node in self.layers for name in node.operands[1:])

    def names(self) -> dict[str, str]:
        """What the network may not name so, with what it is."""
        found = {activation_of(name): f"{name} without time" for node in self.nodes for name in node.results if name}
        return found | {time_of(node.results[0]): f"when {node.results[0]} fires" for node in self.layers}

    def beside(self) -> Iterator[Node]:
        """Beside the way there: activations, and the step in which each neuron fires."""
        yield from self._activations()
        for node in self.layers:
            op = TTFS.make(node.settings)
            window: dict[str, Setting] = {"start": op.start, "window": op.window}
            types = (SpikeTime.made(node.types[0]),)
            here = replace(node, results=(time_of(node.results[0]),), operands=node.results, types=types)
            yield replace(here, op=SpikeTime.name, settings=window)

    def _activations(self) -> Iterator[Node]:
        """What changes with time, without it."""
        known = {name: (name, type) for name, type in self.types.items() if not type.timed}
        for node in (node for node in self.nodes if node.types[0].timed):
            (name,), (read, *more) = node.results, (known[operand] for operand in node.operands)
            if node.op == TTFSKernel.name:
                known[name] = read
                continue
            if node.op == TTFS.name:
                node, more = replace(node, op=Relu.name, settings={}), []
            names, types = zip(read, *more, strict=True)
            made = OPS[node.op].make(node.settings).infer(*types)
            known[name] = activation_of(name), made[0]
            yield replace(node, results=(activation_of(name),), operands=names, types=made)

    def gradients(self) -> Iterator[Node]:
        """Once: those of tau and delay of every layer, and the sum where layers share a kernel."""
        sharing: dict[str, list[Node]] = {}
        for node in self.layers:
            for name in node.operands[1:]:
                sharing.setdefault(name, []).append(node)
        for node in self.layers:
            alone = [len(sharing[name]) == 1 for name in node.operands[1:]]
            names = [
                f"d.{name}" if only else _part(name, node) for name, only in zip(node.operands[1:], alone, strict=True)
            ]
            yield from _Layer(node, self.batch).gradient(names)
        for name, nodes in sharing.items():
            done = _part(name, nodes[0])
            for number, node in enumerate(nodes[1:], 2):
                result = f"d.{name}" if number == len(nodes) else f"d.{name}.sum{number}"
                yield Node((result,), "add", (done, _part(name, node)), {}, (_F32,), node.layer, "WG", node.place)
                done = result


_F32 = Type("f32", ())


@dataclass(frozen=True)
class _Layer:
    """The gradient of the kernel that *node* fires by."""

    node: Node
    batch: int

    def gradient(self, names: Sequence[str]) -> Iterator[Node]:
        """Nodes that end in tau's and delay's."""
        (s,), (type,) = self.node.results, self.node.types
        kernel = self.node.operands[1:]
        window: dict[str, Setting] = {"window": TTFS.make(self.node.settings).window}
        rows = activation_of(s), time_of(s)
        yield self._row(rows[0], Type(WORKING, ((type.elements,),), batched=True))
        yield self._row(rows[1], Type("f32", ((type.elements,),), batched=True))
        count, level = blocks(type.elements), 1
        read = tuple(f"{row}.row" for row in rows)
        yield (made := self._level(level, MatchedWords.name, (*read, *kernel), count, True, window))
        while count > 1:
            count, level = blocks(count), level + 1
            yield (made := self._level(level, MatchedBlocks.name, made.results, count, True))
        for value in made.results:
            yield self._row(value, Type("f32", ((self.batch,),)))
        count, level, read = blocks(self.batch), level + 1, tuple(f"{value}.row" for value in made.results)
        yield (made := self._level(level, MatchedSamples.name, (*read, *kernel), count, False))
        while count > BLOCK:
            count, level = blocks(count), level + 1
            yield (made := self._level(level, MatchedSums.name, made.results, count, False))
        operands = (*made.results, *kernel)
        yield self._made(tuple(names), KernelGradient.name, operands, (_F32, _F32), window)

    def _row(self, value: str, type: Type) -> Node:
        """*value* on one axis."""
        return self._made((f"{value}.row",), Row.name, (value,), (type,))

    def _level(
        self,
        level: int,
        op: str,
        operands: tuple[str, ...],
        count: int,
        batched: bool,
        settings: Mapping[str, Setting] = {},
    ) -> Node:
        """One row of *count* words for each of `SUMS`, or one word a sample."""
        axes = () if batched and count == 1 else ((count,),)
        results = tuple(f"{self.node.results[0]}.matched{level}.{each}" for each in SUMS)
        return self._made(results, op, operands, tuple(Type("f32", axes, batched=batched) for _ in SUMS), settings)

    def _made(
        self,
        results: tuple[str, ...],
        op: str,
        operands: tuple[str, ...],
        types: tuple[Type, ...],
        settings: Mapping[str, Setting] = {},
    ) -> Node:
        return Node(results, op, operands, settings, types, self.node.layer, "WG", self.node.place)


def activation_of(value: str) -> str:
    """What *value* without time is called."""
    return f"{value}.activation"


def time_of(spikes: str) -> str:
    """What the step is called in which neurons fire."""
    return f"{spikes}.time"


def _part(name: str, node: Node) -> str:
    """The part of the gradient of *name* that the layer of *node* makes."""
    return f"d.{name}.{node.results[0]}"
