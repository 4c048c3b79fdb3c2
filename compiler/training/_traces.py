"""Which values online rules keep a trace of: those that weights read, where they are made of spikes alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ...source import Fault
from ..ir.graph import Network, Node
from ..ops.contracted import Contracted
from ..ops.dropout import Dropout
from ..ops.neuron import Leak
from ..ops.op import OPS
from ..ops.spiking import IF, Spiking
from .rule import Reasons, differentiable, reached

LINEAR = frozenset(
    {"flatten", "avg_pool1d", "avg_pool2d", "sum_pool2d", "adaptive_avg_pool2d", "global_avg_pool2d"}
    | {"upsample", "vote", "concat", "add", "delay", "dropout"}
)
"""Operators whose result's trace is the same as what they make of their operands' traces."""


@dataclass(frozen=True)
class _Source:
    """What a value is made of: spikes that decay so, or (*decay* None) what no neuron has made."""

    name: str
    decay: float | None


def traces(network: Network) -> Mapping[str, float]:
    """Every value that a weight reads and that is made of spikes, with the decay of the neurons that fire them."""
    return dict(found for found in _found(network) if not isinstance(found, Fault))


def traceable(network: Network) -> Reasons:
    """Why an online rule cannot train a network: no error passes, or a weight reads what has no trace."""
    return (*differentiable(network), *(found for found in _found(network) if isinstance(found, Fault)))


def _found(network: Network) -> Iterator[tuple[str, float] | Fault]:
    """For every value that weights read, its decay or what stands in the way; nothing for the network's inputs."""
    nodes = [node for node in network.nodes if node.op != "parameter"]
    makers = {name: node for node in nodes for name in node.results}
    learned = reached((name for node in network.nodes if node.op == "parameter" for name in node.results), nodes)
    done: set[str] = set()
    for node in nodes:
        if not issubclass(OPS[node.op], Contracted) or node.operands[0] in done or node.operands[1] not in learned:
            continue
        read = node.operands[0]
        done.add(read)
        sources = dict.fromkeys(_sources(read, makers, set()))
        faults = [source for source in sources if isinstance(source, Fault)]
        decays = {source.decay for source in sources if isinstance(source, _Source)}
        if faults:
            yield from (Fault(node.place, f"{node.results[0]} reads {read}: {fault.message}") for fault in faults)
        elif len(decays) > 1:
            named = ", ".join(
                f"{source.name} ({'an input' if source.decay is None else f'decay {source.decay:g}'})"
                for source in sources
                if isinstance(source, _Source)
            )
            told = f"{node.results[0]} reads {read}, whose parts have no trace in common: {named}"
            yield Fault(node.place, told)
        elif (decay := next(iter(decays), None)) is not None:
            yield read, decay


def _sources(value: str, makers: Mapping[str, Node], seen: set[str]) -> Iterator[_Source | Fault]:
    """What *value* is made of, through everything that is linear and learns nothing."""
    if value in seen:
        return
    seen.add(value)
    node = makers.get(value)
    if node is None:
        yield _Source(value, None)
        return
    op = OPS[node.op].make(node.settings)
    if isinstance(op, Spiking) and value == node.results[0]:
        if isinstance(op, IF):
            yield _Source(value, 1.0)
        elif isinstance(op, Leak) and op.name == "lif":
            yield _Source(value, op.decay)
        else:
            yield Fault(node.place, f"the trace of spikes of {op.name} is not defined, that of lif and if is")
    elif isinstance(op, Dropout) and op.mask == "step":
        yield Fault(node.place, "dropout(mask=step) draws anew in each step, and a trace would keep what it left out")
    elif node.op in LINEAR:
        for operand in node.operands:
            yield from _sources(operand, makers, seen)
    else:
        behind = [source for operand in node.operands for source in _sources(operand, makers, seen)]
        learns = len(node.operands) > len(op.operands)
        if not learns and all(isinstance(source, _Source) and source.decay is None for source in behind):
            yield from behind  # nothing but what the host hands in
        else:
            yield Fault(node.place, f"{node.op} makes {value}, and a trace is one of spikes, or of sums of them")
