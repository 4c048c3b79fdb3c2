"""The way there while noise disturbs the hidden layers: what lies behind it is words, called ``NAME.noisy``.

What is made of spikes without noise keeps its name, and stays where a trace is taken of it: traces are those of spikes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, replace

from ..ir.graph import Node, Settings
from ..ir.types import Type
from ..ops.contracted import Contracted
from ..ops.feedback import Perturb
from ..ops.neuron import Neuron
from ..ops.op import OPS
from ..training.rule import Disturbance
from .way_there import WayThere


def disturbed(nodes: Sequence[Node], types: Mapping[str, Type], layers: Collection[str], by: Disturbance) -> WayThere:
    """*nodes* with noise at the spikes called *layers*, or at the current that makes them fire."""
    known = dict(types)
    noisy: dict[str, str] = {}
    while True:  # what a delay reads further on has its noisy name only after the first time
        count = len(noisy)
        found = list(_disturbed(nodes, known, noisy, layers, by))
        if len(noisy) == count:
            break
    made = {node.results[0] for node in found}
    # No error meets what is made again with noise.
    quiet = {node.results[0] for node in nodes if _copied(node) and noisy.get(node.results[0]) in made}
    met = [node for node in found if node.results[0] not in quiet]
    return WayThere(found, known, met, noisy, "{} with noise")


def _copied(node: Node) -> bool:
    """Whether a node that reads noise makes other results than without, of another type."""
    return not issubclass(OPS[node.op], Contracted | Neuron)


def _disturbed(
    nodes: Sequence[Node],
    known: dict[str, Type],
    noisy: dict[str, str],
    layers: Collection[str],
    by: Disturbance,
) -> Iterator[Node]:
    """The nodes, with noise; *known* types and *noisy* names follow."""
    for node in nodes:
        name = node.results[0]
        operands = tuple(noisy.get(operand, operand) for operand in node.operands)
        if name in layers and by.before:
            current, *others = operands
            yield _perturbed(node, current, known, by.drawn)
            operands = (f"{name}.noisy", *others)
        if operands == node.operands or not _copied(node):
            yield replace(node, operands=operands)
        else:
            yield node
            types = OPS[node.op].make(node.settings).infer(*(known[operand] for operand in operands))
            results = tuple(result and f"{result}.noisy" for result in node.results)
            known.update(zip(results, types, strict=True))
            noisy.update(zip(node.results, results, strict=True))
            yield replace(node, results=results, operands=operands, types=types)
        if name in layers and not by.before:
            yield _perturbed(node, name, known, by.drawn)
            noisy[name] = f"{name}.noisy"


def _perturbed(node: Node, value: str, known: dict[str, Type], drawn: Perturb) -> Node:
    """What adds noise to *value*: the spikes that *node* fires, or the current that it reads."""
    name = node.results[0]
    made, type = f"{name}.noisy", drawn.disturbed(known[value])
    known[made] = type
    settings = settings_of(drawn)
    return replace(node, results=(made,), op=Perturb.name, operands=(value,), settings=settings, types=(type,))


def settings_of(drawn: Perturb) -> Settings:
    """The settings of what draws noise."""
    return asdict(drawn)
