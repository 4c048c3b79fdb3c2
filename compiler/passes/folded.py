"""Learned factors join the weights behind them: what those read stays bits, or counts.

``scale(s, w=V, each=layer)`` of spikes is words, for V is known only when the program runs.  Where nothing but weights
reads it, each of them is multiplied with V instead, once wherever it changes: the sum ``(V s) W`` is ``s (V W)``, of
bits, which engines gate and of which memory holds a 16th.  (A factor that is known needs none of this: an amplitude, a
mean over a window or over time lies in the type of the counts, and joins the scale of what reads them.)

Sums and means of windows, flattening, dropout and repetition may lie between the two: ``f(V s) = V f(s)``.  Parameters
stay what they are, and so do their gradients: V learns from the gradient of weights what it learned from the errors of
its spikes.  Bits change, since other products are rounded: that of V and W is, and that of V and s is not.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from ..ir.graph import Network, Node
from ..ir.types import Type
from ..ops.adaptive import FittedMean
from ..ops.contracted import Contracted
from ..ops.dropout import Dropout
from ..ops.op import OPS
from ..ops.pooling import SumPool
from ..ops.scale import Scale, ScaledWeight
from ..ops.shape import Flatten
from ..ops.upsample import Upsample

HOMOGENEOUS = (SumPool, FittedMean, Flatten, Dropout, Upsample)
"""Layers f with ``f(a x) = a f(x)``, of one operand, which keep bits or counts what they are."""


def folded(network: Network) -> Network:
    """*network* with every learned factor of bits or counts, that only weights read, in these weights."""
    for node in network.nodes:
        network = _without(network, node)
    return network


def _without(network: Network, scale: Node) -> Network:
    """*network* without the node *scale*, if its factor can be that of weights."""
    if scale.op != Scale.name or scale.settings.get("each", "channel") != "layer":
        return network
    (x, by), (made,) = scale.operands, scale.results
    types = network.types
    passed = _passed(network, made)
    if passed is None or types[x].kind.kind not in ("bit", "unsigned"):
        return network
    known, nodes = {**types, made: types[x]}, list[Node]()
    for node in network.nodes:
        if node is scale:
            continue
        first = node.operands[0] if node.operands else ""
        operands = (x if first == made else first, *node.operands[1:])
        if node.results[0] in passed:
            inferred = OPS[node.op].make(node.settings).infer(*(known[operand] for operand in operands))
            known.update(zip(node.results, inferred, strict=True))
            node = replace(node, operands=operands, types=inferred)
        elif first == made or first in passed:
            weight = node.operands[1]
            name = _free(f"{weight}.scaled", known)
            known[name] = types[weight]
            nodes.append(_scaled(name, node, by, scale, types[weight]))
            node = replace(node, operands=(operands[0], name, *operands[2:]))
        nodes.append(node)
    found = replace(network, nodes=tuple(nodes))
    counts = all(found.types[value].kind.kind in ("bit", "unsigned") for value in passed)
    return found if counts else network


def _passed(network: Network, made: str) -> frozenset[str] | None:
    """Values between *made* and the weights that read it; None where anything else does, or nothing."""
    passed, waiting = set[str](), [made]
    weighed = False
    while waiting:
        value = waiting.pop()
        if value in network.results:
            return None
        for node in network.nodes:
            if value not in node.operands:
                continue
            kind = OPS[node.op]
            if node.operands.count(value) > 1 or node.operands[0] != value:
                return None
            if issubclass(kind, HOMOGENEOUS):
                passed.add(node.results[0])
                waiting.append(node.results[0])
            elif issubclass(kind, Contracted):
                weighed = True
            else:
                return None
    return frozenset(passed) if weighed else None


def _scaled(name: str, reader: Node, by: str, scale: Node, type: Type) -> Node:
    """The weight of *reader*, of *type*, times the factor of *scale*."""
    settings = {key: value for key, value in scale.settings.items() if key == "factor"}
    operands, layer = (reader.operands[1], by), reader.layer or reader.results[0]
    return Node((name,), ScaledWeight.name, operands, settings, (type,), layer, place=scale.place)


def _free(name: str, taken: Collection[str]) -> str:
    """*name*, or with a number behind it the first that is not *taken*."""
    found, number = name, 0
    while found in taken:
        number += 1
        found = f"{name}.{number}"
    return found
