"""What a rule has made beside the way there, for the way back to read: traces, rates, and windows of neurons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from ...numerics.exact import X64_TERMS
from ..ir.graph import Network, Node
from ..ir.types import Type
from ..ops.op import OPS, named
from ..ops.rate import Rate
from ..ops.rated import Rated, averaged_in, gradients_of
from ..ops.trace import Trace
from ..training._rates import keeps_means
from ..training.rule import Rule, reached
from .reserved import averaged_of, rate_of, trace_of
from .way_there import WayThere


@dataclass
class Beside:
    """What *rule* wants beside the way *there* of *network* over so many *steps*.

    `decays` has the decay of each value that has a trace, `rates` the values whose mean over time is made in the sweep,
    `means` the name of the mean that is read in the place of each value that has one.  A trace is of a value without
    noise, and a history of it where exact sums of a *batch* have room for its words.  More may be made than is read in
    the end: the rest is pruned.
    """

    network: Network
    there: WayThere
    rule: Rule
    steps: int
    batch: int
    decays: Mapping[str, float] = field(init=False)
    rates: frozenset[str] = field(init=False)
    means: Mapping[str, str] = field(init=False)
    without: Mapping[str, str] = field(init=False)
    behind: list[Node] = field(init=False)

    def __post_init__(self) -> None:
        self.without = {made: value for value, made in self.there.others.items()}
        there = {node.results[0] for node in self.there.nodes}
        self.behind = [node for node in self.there.met if node.results[0] not in there]
        self.decays = self.rule.traces(self.network)
        averaged = frozenset(self._averaged()) if self.rule.collapsed else frozenset[str]()
        self.means = {value: self._mean(value) for value in sorted(averaged)}
        made = {name for value in averaged for name in self._made_of(value)}
        self.rates = frozenset(made - self._brought_back)

    def along(self) -> Iterator[Node]:
        """The way there, with everything beside it behind what it is of, and what errors meet beside that."""
        behind = {name for node in self.behind for name in node.results}
        neurons = {node.results[0]: node for node in self.there.met if self._facet(node)}
        late = {name for name, node in neurons.items() if node.operands[0] in behind}
        for port in self.network.ports:
            if port.name in self.rates:
                yield self._rate(
                    Node((port.name,), "", types=(port.type,), layer=port.name, phase="FP", place=port.place)
                )
        for node in self.there.nodes:
            yield node
            for value, type in zip(node.results, node.types, strict=True):
                here = replace(node, results=(value,), types=(type,))
                if value in self.decays:
                    yield self._trace(here)
                if value in self.rates:
                    yield self._rate(here)
            if node.results[0] in neurons.keys() - late:
                yield self._average(node)
        for node in self.there.met:
            if node.results[0] in behind:
                yield replace(node, operands=tuple(self.instead(name, False) for name in node.operands))
            if node.results[0] in late:
                yield self._average(node)

    @property
    def after(self) -> tuple[Node, ...]:
        """Means of what is made of spikes that a delay brings back, by the layers that make it: of the means of spikes.

        A delay brings back what was, and nothing in its first steps; in the mean over all steps nothing of this shows.
        """
        wanted = {name for value in self.means for name in self._made_of(value)} & self._brought_back
        types = {**self.network.types, **{rate_of(name): self._rate_type(name) for name in self.rates}}
        found: list[Node] = []
        for node in self.there.nodes:
            if wanted.isdisjoint(node.results) or node.op == "delay":
                continue
            operands = tuple(map(self._mean, node.operands))
            made = OPS[node.op].make(node.settings).infer(*(types[name] for name in operands))
            results = tuple(name and rate_of(name) for name in node.results)
            types.update(zip(results, made, strict=True))
            found.append(replace(node, results=results, operands=operands, types=made))
        return tuple(found)

    def passes(self, node: Node) -> dict[str, str]:
        """What tells whether an error passes the neuron of *node*, by its role, if one does by its mean input."""
        role, facet = self._role(node), self._facet(node)
        return {} if role is None or facet is None else {role: averaged_of(node.results[0], facet)}

    def names(self) -> dict[str, str]:
        """What the network may not name so, with what it is."""
        found = {trace_of(value): f"the trace of {value}" for value in self.decays}
        found |= {rate_of(value): f"the mean of {value} over time" for value in sorted({*self.rates, *self.means})}
        for node in self.there.met:
            if (facet := self._facet(node)) is not None:
                value = node.results[0]
                found[averaged_of(value, facet)] = f"what an error of {value} passes by"
        return found

    def instead(self, value: str, weighs: bool) -> str:
        """What the way back reads in the place of *value*; *weighs* says that it does so for a weight's gradient."""
        if weighs and (spikes := self.without.get(value, value)) in self.decays:
            return trace_of(spikes)
        return self.means.get(value, value)

    def _averaged(self) -> Iterator[str]:
        """All that changes with time, and that adjoints read or what errors meet beside."""
        types = self.network.types
        reads = [
            named(node, adjoint.reads) for node in self.there.met for adjoint in gradients_of(node, self.rule.carry)
        ]
        for names in (*reads, *(node.operands for node in self.behind)):
            yield from (name for name in names if name in types and types[name].timed)

    @cached_property
    def _makers(self) -> dict[str, Node]:
        return {name: node for node in self.there.nodes for name in node.results if name}

    @cached_property
    def _brought_back(self) -> frozenset[str]:
        """What delays bring back where errors settle, and what layers make of it before the next neurons.

        A layer that keeps no means has one of its own: only where nothing learns may there be any.
        """
        if self.rule.settling is None:
            return frozenset()
        delays = [node for node in self.there.nodes if node.op == "delay"]
        layers = [
            node for node in self.there.nodes if node.op == "delay" or keeps_means(OPS[node.op].make(node.settings))
        ]
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

    def _role(self, node: Node) -> str | None:
        """What the way back of a neuron reads of its mean input, if errors pass it by that."""
        return averaged_in(OPS[node.op].make(node.settings), self.rule.carry)

    def _facet(self, node: Node) -> str | None:
        """The facet that plays this role: errors that settle ask what spikes tell, and not what their input would."""
        role = self._role(node)
        return role if role is None or self.rule.settling is None else "between"

    def _trace(self, of: Node) -> Node:
        (value,), (type,) = of.results, of.types
        decay = self.decays[value]
        history = Trace(decay=decay).history_of(type, self.steps)
        if history is None or self._terms(value) * history.kind.maximum > X64_TERMS:
            history = Trace.type_of(type)
        made, settings = (trace_of(value),), {"decay": decay}
        return replace(of, results=made, op=Trace.name, operands=(value,), settings=settings, types=(history,))

    def _terms(self, value: str) -> int:
        """The most terms that a weight's gradient sums in a step: one of every sample and place that reads *value*."""
        types = self.network.types
        readers = [node for node in self.network.nodes if value in node.operands[:1]]
        places = [types[name] for name in (value, *(node.results[0] for node in readers))]
        return self.batch * max(type.elements // type.factors[0] for type in places)

    def _rate(self, of: Node) -> Node:
        (value,) = of.results
        types = (self._rate_type(value),)
        return replace(of, results=(rate_of(value),), op=Rate.name, operands=(value,), settings={}, types=types)

    def _average(self, node: Node) -> Node:
        facet, (value, *_), (x, *_) = self._facet(node), node.results, node.operands
        assert facet is not None
        types, made = (Rated.averaged_type(facet, node.types[0]),), (averaged_of(value, facet),)
        operands = (value,) if facet == "between" else (x,)
        return replace(node, results=made, op=f"{node.op}.{facet}", operands=operands, types=types)

    def _rate_type(self, value: str) -> Type:
        return Rate.type_of(self.network.types[value], self.steps)
