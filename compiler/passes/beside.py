"""What a rule has made beside the way there, for the way back to read: traces, rates, and windows of neurons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from ..ir.graph import Network, Node
from ..ir.types import Type
from ..ops.neuron import Neuron
from ..ops.op import OPS, named
from ..ops.rate import Rate
from ..ops.rated import Rated, gradients_of
from ..ops.trace import Trace
from ..training.rule import Rule, reached
from .reserved import averaged_of, rate_of, trace_of


@dataclass
class Beside:
    """What *rule* wants beside *nodes*, the way there of *network* over so many *steps*.

    `decays` has the decay of each value that has a trace, `rates` the values whose mean over time is made in the sweep,
    `means` the name of the mean that is read in the place of each value that has one.  *without* tells what a value
    with noise is without it, for that is what a trace is of.  More may be made than is read in the end: the rest is
    pruned.
    """

    network: Network
    nodes: Sequence[Node]
    rule: Rule
    steps: int
    without: Mapping[str, str] = field(default_factory=dict[str, str])
    decays: Mapping[str, float] = field(init=False)
    rates: frozenset[str] = field(init=False)
    means: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.decays = self.rule.traces(self.network)
        averaged = frozenset(self._averaged()) if self.rule.collapsed else frozenset[str]()
        self.means = {value: self._mean(value) for value in sorted(averaged)}
        made = {name for value in averaged for name in self._made_of(value)}
        self.rates = frozenset(made - self._brought_back)

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

    @property
    def after(self) -> tuple[Node, ...]:
        """Means of what is made of spikes that a delay brings back, by the layers that make it: of the means of spikes.

        A delay brings back what was, and nothing in its first steps; in the mean over all steps nothing of this shows.
        """
        wanted = {name for value in self.means for name in self._made_of(value)} & self._brought_back
        types = {**self.network.types, **{rate_of(name): self._rate_type(name) for name in self.rates}}
        found: list[Node] = []
        for node in self.nodes:
            if wanted.isdisjoint(node.results) or node.op == "delay":
                continue
            operands = tuple(map(self._mean, node.operands))
            made = OPS[node.op].make(node.settings).infer(*(types[name] for name in operands))
            results = tuple(name and rate_of(name) for name in node.results)
            types.update(zip(results, made, strict=True))
            found.append(replace(node, results=results, operands=operands, types=made))
        return tuple(found)

    def passes(self, node: Node) -> dict[str, str]:
        """What tells whether an error passes the neuron of *node*, by its role, if one does by a rate."""
        neuron = self._rated(node)
        return {} if neuron is None else {neuron.averaged: averaged_of(node.results[0], self._told_by(neuron))}

    def names(self) -> dict[str, str]:
        """What the network may not name so, with what it is."""
        found = {trace_of(value): f"the trace of {value}" for value in self.decays}
        found |= {rate_of(value): f"the mean of {value} over time" for value in sorted({*self.rates, *self.means})}
        for node in self.nodes:
            if (neuron := self._rated(node)) is not None:
                value = node.results[0]
                found[averaged_of(value, self._told_by(neuron))] = f"what an error of {value} passes by"
        return found

    def instead(self, value: str, weighs: bool) -> str:
        """What the way back reads in the place of *value*; *weighs* says that it does so for a weight's gradient."""
        if weighs and (spikes := self.without.get(value, value)) in self.decays:
            return trace_of(spikes)
        return self.means.get(value, value)

    def _averaged(self) -> Iterator[str]:
        """All that changes with time and that adjoints read."""
        types = self.network.types
        for node in self.nodes:
            for adjoint in gradients_of(node, self.rule.carry):
                yield from (name for name in named(node, adjoint.reads) if name in types and types[name].timed)

    @cached_property
    def _makers(self) -> dict[str, Node]:
        return {name: node for node in self.nodes for name in node.results if name}

    @cached_property
    def _brought_back(self) -> frozenset[str]:
        """What delays bring back, and what layers make of it before the next neurons."""
        delays = [node for node in self.nodes if node.op == "delay"]
        layers = [node for node in self.nodes if not issubclass(OPS[node.op], Neuron)]
        return frozenset(reached([node.results[0] for node in delays], layers))

    def _mean(self, value: str) -> str:
        """The name of the mean of *value*: its own, if it does not change with time."""
        if not self.network.types[value].timed:
            return value
        brought = value in self._brought_back and self._makers[value].op == "delay"
        return self._mean(self._makers[value].operands[0]) if brought else rate_of(value)

    def _made_of(self, value: str) -> Iterator[str]:
        """*value*, if it changes with time, and what is brought back that its mean is made of, down to other means."""
        if self.network.types[value].timed:
            yield value
            for operand in self._makers[value].operands if value in self._brought_back else ():
                yield from self._made_of(operand)

    def _told_by(self, neuron: Rated) -> str:
        """The facet that tells where an error passes."""
        return neuron.averaged if self.rule.settling is None else "between"

    def _rated(self, node: Node) -> Rated | None:
        """The neuron of a node, if errors pass it by its rate."""
        op = OPS[node.op].make(node.settings)
        return op if self.rule.carry == "rate" and isinstance(op, Rated) else None

    def _trace(self, of: Node) -> Node:
        (value,), (type,) = of.results, of.types
        made, settings, types = (trace_of(value),), {"decay": self.decays[value]}, (Trace.type_of(type),)
        return replace(of, results=made, op=Trace.name, operands=(value,), settings=settings, types=types)

    def _rate(self, of: Node) -> Node:
        (value,) = of.results
        types = (self._rate_type(value),)
        return replace(of, results=(rate_of(value),), op=Rate.name, operands=(value,), settings={}, types=types)

    def _average(self, node: Node, neuron: Rated) -> Node:
        facet, (value, *_), (x, *_) = self._told_by(neuron), node.results, node.operands
        types, made = (neuron.averaged_type(node.types[0]),), (averaged_of(value, facet),)
        operands = (value,) if facet == "between" else (x,)
        return replace(node, results=made, op=f"{node.op}.{facet}", operands=operands, types=types)

    def _rate_type(self, value: str) -> Type:
        return Rate.type_of(self.network.types[value], self.steps)
