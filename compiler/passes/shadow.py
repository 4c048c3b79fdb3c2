"""The shadow of a spiking network: a network of means beside it, which errors meet where spikes are counted.

What neurons fire in all steps, counted (`rate`), is what their shadows are worth, whatever these would have answered.
Between neurons a layer keeps means, and its shadow is the mean of what it made.  `batch_norm` does not, for statistics
of means are others: where one stands between two neurons, all layers between these are made once more, of counts and
once for all steps, and there errors meet the copies, called ``NAME.shadow``.  The spiking network itself normalises
with running statistics, which follow those of the shadow.

Neurons that are silent have nothing but a shadow, ``relu``, and so has all that reads them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from ..ir.graph import Node, Setting
from ..ir.types import Type
from ..ops.activations import Relu
from ..ops.norms import BatchNorm
from ..ops.op import OPS
from ..ops.rate import Rate
from ..ops.rated import Rated
from ..ops.spiking import Spiking
from ..training._rates import keeps_means
from .frozen import still
from .way_there import WayThere


def shadowed(nodes: Sequence[Node], types: Mapping[str, Type], silent: Collection[str], steps: int) -> WayThere:
    """The way there of *nodes* over so many *steps*, with its shadow; *silent* are neurons, by their spikes."""
    copied = _copied(nodes, silent)
    known = dict(types)
    names = {name: f"{name}.shadow" for node in nodes if node.results[0] in copied for name in node.results}

    def seen(value: str) -> Type:
        """The type of *value* as a shadow reads it: its own shadow's, that of its mean, or its own."""
        type = known[names.get(value, value)]
        return Rate.type_of(type, steps) if type.timed else type

    met: list[Node] = []
    for node in nodes:
        operands = tuple(names.get(name, name) for name in node.operands)
        if node.results[0] in copied:
            made = _rectified(node) if node.results[0] in silent else node
            op = OPS[made.op].make(made.settings)
            count = len(op.suffixes)
            results = tuple(names[name] for name in node.results[:count])
            of = operands[: len(op.operands)] if node.results[0] in silent else operands
            shadow = replace(made, results=results, operands=of, types=op.infer(*map(seen, node.operands[: len(of)])))
            known.update(zip(results, shadow.types, strict=True))
            met.append(shadow)
        else:
            met.append(replace(node, operands=operands))
    spiking = [still(node) if _of_batches(node) else node for node in nodes]
    return WayThere(spiking, known, met, names, "the shadow of {}")


def _copied(nodes: Sequence[Node], silent: Collection[str]) -> set[str]:
    """Nodes, by their first results, that have shadows of their own."""
    by_name = {node.results[0]: node for node in nodes}
    makers = {name: node for node in nodes for name in node.results}
    readers: dict[str, list[Node]] = {}
    for node in nodes:
        for name in node.operands:
            readers.setdefault(name, []).append(node)

    def ends(node: Node) -> bool:
        """Whether a shadow ends at the node, of which the mean is taken: at spikes, and at what keeps no means."""
        if node.results[0] in silent or _of_batches(node):
            return False
        op = OPS[node.op].make(node.settings)
        return isinstance(op, Spiking) or not keeps_means(op)

    found = {name for name, node in by_name.items() if name in silent or _of_batches(node)}
    waiting = list(found)
    while waiting:
        node = by_name[waiting.pop()]
        before = [makers[name] for name in node.operands if name in makers]
        behind = [reader for name in node.results for reader in readers.get(name, ())]
        for other in (*(each for each in before if each.types[0].timed), *behind):
            if other.results[0] not in found and not ends(other):
                found.add(other.results[0])
                waiting.append(other.results[0])
    return found


def _of_batches(node: Node) -> bool:
    """Whether the node takes statistics of a batch."""
    op = OPS[node.op].make(node.settings)
    return isinstance(op, BatchNorm) and not op.frozen


def _rectified(node: Node) -> Node:
    """What stands for a neuron that is silent: what it would fire in the mean, if it could fire that often."""
    op = OPS[node.op].make(node.settings)
    assert isinstance(op, Rated)
    settings: dict[str, Setting] = {} if op.mean_gain == 1.0 else {"gain": op.mean_gain}
    return replace(node, op=Relu.name, settings=settings)
