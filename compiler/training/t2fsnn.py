"""Time to first spike: kernels of a converted network follow the activations of the network without time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from ...source import Fault
from ..ir.graph import Network, Node
from ..ops.contracted import Contracted
from ..ops.first_spike import TTFS, TTFSKernel, Windowed
from ..ops.op import OPS
from ..ops.scale import Scale
from ._traces import LINEAR
from .rule import Reasons, Rule


@dataclass(frozen=True, kw_only=True)
class T2FSNN(Rule):
    """Weights stay as they are; tau and delay of every `ttfs` follow what its neurons would be without time.

    That is a relu of what weights make of the activations before, the same in every step.
    """

    name: ClassVar = "t2fsnn"
    title: ClassVar = "time to first spike: the kernels of trained weights are matched to activations"
    source: ClassVar = "Park et al. 2020 (T2FSNN)"
    needs: ClassVar = "ttfs neurons, and weights that were trained before"
    stores: ClassVar = "an activation and a spike time a neuron"
    matches: ClassVar = True

    def trains(self, network: Network) -> frozenset[str]:
        """Every tau and delay by which neurons fire."""
        return frozenset(name for node in network.nodes if node.op == TTFS.name for name in node.operands[1:])

    def admits(self, network: Network) -> Reasons:
        """Where every neuron is ttfs, what lies between is linear, and who reads a spike takes it for what it was."""
        return tuple(_found(network))


_STAYING = LINEAR - {"delay", "dropout"}
"""Operators that make the same of a sum over time as of its terms, beside weights and factors."""


def _found(network: Network) -> Iterator[Fault]:
    """What stands in the way, node by node."""
    nodes = [node for node in network.nodes if node.op != "parameter"]
    makers = {name: node for node in nodes for name in node.results}
    layers = [node for node in nodes if node.op == TTFS.name]
    left = {name for node in network.nodes if node.op == "parameter" for name in node.results}
    if not layers:
        yield Fault(network.place, "it has no ttfs, whose kernel could be matched")
    elif all(left.isdisjoint(node.operands[1:]) for node in layers):
        yield Fault(network.place, "every tau and delay is frozen, and nothing is left to train")
    for port in network.ports:
        if port.type.timed:
            yield Fault(port.place, f"{port.name} has another content in each step, and is none without time")
    for name in network.results:
        for fired in _untold(name, makers):
            told = f"{name}, the result, is made of spikes of {fired.results[0]}, and no ttfs_kernel tells their worth"
            yield Fault(makers[name].place, told, hints=(f"ttfs_kernel(.., {', '.join(fired.operands[1:])})",))
    for node in nodes:
        op, name = OPS[node.op].make(node.settings), node.results[0]
        if not node.types[0].timed:
            continue
        if isinstance(op, TTFS):
            yield from _fires(node, op, makers, network.steps)
        elif isinstance(op, TTFSKernel):
            yield from _apart(node, op, makers)
        elif isinstance(op, Contracted):
            if len(node.operands) > len(op.operands) + 1:
                told = f"{name} adds its bias in every step, and without time once"
                yield Fault(node.place, told, hints=("bias=false",))
        elif node.op in _STAYING:
            for same in (operand for operand in node.operands if not network.types[operand].timed):
                yield Fault(node.place, f"{name} takes {same} in every step, and without time once")
        elif not (isinstance(op, Scale) and op.each != "step"):
            told = f"{name}: what {node.op} makes of the steps does not add up to what it makes without time"
            yield Fault(node.place, told)


def _fires(node: Node, op: TTFS, makers: Mapping[str, Node], steps: int) -> Iterator[Fault]:
    """What keeps the neuron of *node* from firing when its kernel says, in so many *steps*."""
    name, (read, tau, delay) = node.results[0], node.operands
    if tau == delay:
        yield Fault(node.place, f"{name} has {tau} as its tau and as its delay, which follow different things")
    if op.start + op.window > steps:
        told = f"{name} may fire until {op.start + op.window} steps are over, and there are {steps}"
        yield Fault(node.place, told)
    for fired in _untold(read, makers):
        told = f"{name} reads spikes of {fired.results[0]}, and no ttfs_kernel tells what they are worth"
        yield Fault(node.place, told, hints=(f"ttfs_kernel(.., {', '.join(fired.operands[1:])})",))


def _untold(value: str, makers: Mapping[str, Node]) -> Iterator[Node]:
    """Neurons whose spikes *value* is made of, and of which nobody has told what they are worth."""
    waiting, seen = [value], set[str]()
    while waiting:
        value = waiting.pop()
        maker = makers.get(value)
        if maker is None or value in seen:
            continue
        seen.add(value)
        if maker.op == TTFS.name:
            yield maker
        elif maker.op != TTFSKernel.name:
            waiting += maker.operands


def _apart(node: Node, op: TTFSKernel, makers: Mapping[str, Node]) -> Iterator[Fault]:
    """Spikes that *node* takes for something else than the neuron that fired them."""
    waiting, seen = [node.operands[0]], set[str]()
    while waiting:
        value = waiting.pop()
        maker = makers.get(value)
        if maker is None or value in seen:
            continue
        seen.add(value)
        fires = OPS[maker.op].make(maker.settings)
        if not isinstance(fires, Windowed):
            waiting += maker.operands
        elif isinstance(fires, TTFSKernel):
            yield Fault(node.place, f"{node.results[0]} reads {value}, which tells already what spikes are worth")
        elif maker.operands[1:] != node.operands[1:]:
            told = f"{node.results[0]} reads spikes of {value} by another tau or delay than they were fired by"
            yield Fault(node.place, told, hints=(f"ttfs_kernel(.., {', '.join(maker.operands[1:])})",))
        elif (fires.start, fires.window) != (op.start, op.window):
            told = f"{node.results[0]} reads spikes of {value} in another window than they are fired in"
            yield Fault(node.place, told, hints=(f"start={fires.start}, window={fires.window}",))
