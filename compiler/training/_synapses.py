"""Which weights stand between spikes: what they read fires, and so does the neuron that their sum moves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...source import Fault
from ..ir.graph import Network, Node
from ..ops.contracted import Contracted
from ..ops.op import OPS
from .rule import Reasons, Synapse

POISSON = "coding = poisson, where values from 0 to 1 are rates of random spikes"


def synapses(network: Network) -> tuple[Synapse, ...]:
    """Every weight that stands between spikes, in the order of the network."""
    return tuple(found for found in _found(network) if isinstance(found, Synapse))


def between_spikes(network: Network) -> Reasons:
    """Why weights of a network cannot learn from spikes: each that reads none, or moves no neuron; or there is none."""
    found = list(_found(network))
    if not found:
        return (Fault(network.place, f"no weight of {network.name} stands between spikes"),)
    return tuple(fault for fault in found if isinstance(fault, Fault))


def _found(network: Network) -> Iterator[Synapse | Fault]:
    """For every layer whose weights learn, its synapse or what stands in the way."""
    makers = {name: node for node in network.nodes for name in node.results}
    readers: dict[str, list[Node]] = {}
    for node in network.nodes:
        for name in node.operands:
            readers.setdefault(name, []).append(node)
    types = network.types
    for node in network.nodes:
        if node.op == "parameter" or not issubclass(OPS[node.op], Contracted):
            continue
        result, (before, weight, *_) = node.results[0], node.operands
        if weight not in makers:
            continue  # frozen
        neuron, maker = _moved(result, readers), makers[weight]
        others = [reader.results[0] for reader in readers[weight] if reader is not node]
        if types[before].kind.kind not in ("bit", "unsigned"):
            message = f"{result} reads {before}, which is {types[before].format} and no spikes"
            source = _source(before, makers)
            image = any(port.name == source and not port.type.timed for port in network.ports)
            yield Fault(node.place, message, hints=(POISSON,) if image else ())
        elif maker.op != "parameter":
            told = f"{result} reads {weight}, which {maker.op} makes, and what learns from spikes is a weight itself"
            yield Fault(node.place, told)
        elif others:
            told = f"{weight} is read by {result} and {others[0]}, and a weight learns from the spikes beside one layer"
            yield Fault(node.place, told)
        elif neuron is None:
            told = f"{result} is not the current, or part of it, of one neuron that spikes alone"
            yield Fault(node.place, told)
        else:
            yield Synapse(node, weight, before, neuron)


def _moved(current: str, readers: Mapping[str, list[Node]]) -> Node | None:
    """The one neuron whose current *current* is, or is part of; None where there are others, or none."""
    match readers.get(current, []):
        case [node] if node.op == "add":
            return _moved(node.results[0], readers)
        case [node] if OPS[node.op].spiking and node.operands[0] == current:
            return node
        case _:
            return None


def _source(value: str, makers: Mapping[str, Node]) -> str:
    """What *value* is, before it was flattened."""
    while value in makers and makers[value].op == "flatten":
        value = makers[value].operands[0]
    return value
