"""What a rule has made beside the way there, for the way back to read: traces, rates, and windows of neurons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..ir.graph import Network, Node
from ..ops.op import OPS, named
from ..ops.rate import Rate
from ..ops.rated import Rated, gradients_of
from ..ops.trace import Trace
from ..training.rule import Rule
from .reserved import averaged_of, rate_of, trace_of


@dataclass
class Beside:
    """What *rule* wants beside *nodes*, the way there of *network* over so many *steps*.

    `decays` has the decay of each value that has a trace, `rates` the values whose mean over time is read in their
    place.  *without* tells what a value with noise is without it, for that is what a trace is of.  More may be made
    than is read in the end: the rest is pruned.
    """

    network: Network
    nodes: Sequence[Node]
    rule: Rule
    steps: int
    without: Mapping[str, str] = field(default_factory=dict[str, str])
    decays: Mapping[str, float] = field(init=False)
    rates: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.decays = self.rule.traces(self.network)
        self.rates = frozenset(self._averaged()) if self.rule.collapsed else frozenset()

    def along(self) -> Iterator[Node]:
        """The way there, with everything beside it behind what it is of."""
        for port in self.network.ports:
            if port.name in self.rates:
                yield self._rate(
                    Node((port.name,), "", types=(port.type,), layer=port.name, phase="FP", place=port.place)
                )
        for node in self.nodes:
            yield node
            for value, type in zip(node.results, node.types, strict=True):
                here = replace(node, results=(value,), types=(type,))
                if value in self.decays:
                    yield self._trace(here)
                if value in self.rates:
                    yield self._rate(here)
            if (neuron := self._rated(node)) is not None:
                yield self._average(node, neuron)

    def names(self) -> dict[str, str]:
        """What the network may not name so, with what it is."""
        found = {trace_of(value): f"the trace of {value}" for value in self.decays}
        found |= {rate_of(value): f"the mean of {value} over time" for value in sorted(self.rates)}
        for node in self.nodes:
            if (neuron := self._rated(node)) is not None:
                value = node.results[0]
                found[averaged_of(value, neuron.averaged)] = f"what an error of {value} passes by"
        return found

    def instead(self, value: str, weighs: bool) -> str:
        """What the way back reads in the place of *value*; *weighs* says that it does so for a weight's gradient."""
        if weighs and (spikes := self.without.get(value, value)) in self.decays:
            return trace_of(spikes)
        return rate_of(value) if value in self.rates else value

    def _averaged(self) -> Iterator[str]:
        """All that changes with time and that adjoints read."""
        types = self.network.types
        for node in self.nodes:
            for adjoint in gradients_of(node, self.rule.carry):
                yield from (name for name in named(node, adjoint.reads) if name in types and types[name].timed)

    def _rated(self, node: Node) -> Rated | None:
        """The neuron of a node, if errors pass it by its rate."""
        op = OPS[node.op].make(node.settings)
        return op if self.rule.carry == "rate" and isinstance(op, Rated) else None

    def _trace(self, of: Node) -> Node:
        (value,), (type,) = of.results, of.types
        made, settings, types = (trace_of(value),), {"decay": self.decays[value]}, (Trace.type_of(type),)
        return replace(of, results=made, op=Trace.name, operands=(value,), settings=settings, types=types)

    def _rate(self, of: Node) -> Node:
        (value,), (type,) = of.results, of.types
        types = (Rate.type_of(type, self.steps),)
        return replace(of, results=(rate_of(value),), op=Rate.name, operands=(value,), settings={}, types=types)

    def _average(self, node: Node, neuron: Rated) -> Node:
        facet, (value, *_), (x, *_) = neuron.averaged, node.results, node.operands
        types, made = (neuron.averaged_type(node.types[0]),), (averaged_of(value, facet),)
        return replace(node, results=made, op=f"{node.op}.{facet}", operands=(x,), types=types)
