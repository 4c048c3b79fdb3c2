"""The way back: adjoints of the nodes in reverse order, where an error comes from the result and a parameter is behind.

The errors of several readers are added in the order of the readers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..ir.graph import Node
from ..ir.types import Type
from ..ops.delay import Delay
from ..ops.op import OPS, Adjoint, named, operand_of, roles_of
from ..ops.rated import Rated, gradients_of
from ..training.rule import Rule, reached
from .beside import Beside
from .direct import stopped
from .errors import Errors, error_type


@dataclass
class Backward:
    """The way back from *result* through *nodes* to *parameters* under a rule.

    *types* are those of all values of the way there, *beside* is what the rule has made beside it.  A way back that
    runs once sees all values as if they were the same in every step, and their errors are those of all steps together.
    The errors of *hidden* spikes come from elsewhere, and none passes back through weights then (see `Rule.direct`).
    A *window* of time, where it is not 0, has so many steps, and no error leaves it.
    """

    nodes: Sequence[Node]
    parameters: Sequence[Node]
    result: str
    types: Mapping[str, Type]
    rule: Rule
    beside: Beside
    hidden: Collection[str] = ()
    window: int = 0
    errors: Errors = field(init=False)

    def __post_init__(self) -> None:
        if self.rule.collapsed:
            self.types = {name: type.with_(timed=False) for name, type in self.types.items()}
            self.nodes = [
                replace(node, types=tuple(type.with_(timed=False) for type in node.types)) for node in self.nodes
            ]
        stepwise, updating = self.rule.template == "up", self.rule.update == "step"
        windowed = bool(self.window) and self.rule.update == "batch"
        self.errors = Errors(self.types, self._readers(), stepwise, updating, windowed)

    def run(self) -> None:
        """Make all adjoints."""
        errors = self.errors
        self._delays()
        for node in reversed(self.nodes):
            if node.results[0] in errors.readers:
                error = errors.total(node.results[0], node)
                if self._by_rate(node) and node.types[0].timed:
                    error = errors.over_time(node.results[0], error, node)
                adjoints = [] if node.op == "delay" else list(self._adjoints(node))
                served = [value for _, values in adjoints for value in values if value in errors.readers]
                names = [errors.name(value) for value in reversed(served)]
                for adjoint, values in adjoints:
                    wanted = [(value, names.pop()) if value in errors.readers else ("", "") for value in values]
                    if any(name for _, name in wanted):
                        made, timed = self._adjoint(node, adjoint, error), self._timed(node)
                        each = error_type(node.types[0]).with_(timed=False)
                        terms = dict.fromkeys(named(node, adjoint.terms), each)
                        errors.add(wanted, made, adjoint.sums, timed, terms)
        for node in self.parameters:
            if node.results[0] in errors.readers:
                errors.total(node.results[0], node)

    def _delays(self) -> None:
        """The errors that come from steps to come: a delay passes back what its own error will be.

        They are made before all others, since in a cycle the error of what is delayed is still to come.
        """
        if self.rule.carry == "none":
            return
        for node in reversed(self.nodes):
            if node.op == "delay" and node.results[0] in self.errors.readers:
                for adjoint, (value,) in self._adjoints(node):
                    if value in self.errors.readers:
                        made = self._adjoint(node, adjoint, f"d.{node.results[0]}")
                        timed = self._timed(node)
                        self.errors.add([(value, self.errors.name(value))], made, adjoint.sums, timed)

    def _readers(self) -> dict[str, int]:
        """How many errors reach each value that a parameter lies behind, and the result before it."""
        passing = [replace(node, operands=tuple(self._passed(node))) for node in self.nodes]
        behind = reached({name for node in self.parameters for name in node.results}, passing)
        makers = {node.results[0]: node for node in self.nodes}
        waiting = [name for name in (self.result, *self.hidden) if name in behind]
        readers = dict.fromkeys(waiting, 1)
        while waiting:
            node = makers.get(waiting.pop())
            if node is None:
                continue
            for value in (value for _, values in self._adjoints(node) for value in values):
                if value in behind:
                    if value not in readers:
                        waiting.append(value)
                    readers[value] = readers.get(value, 0) + 1
        return readers

    def _passed(self, node: Node) -> list[str]:
        """The operands of *node* into which an error passes back."""
        stops = set[str]() if self.rule.direct is None else stopped(node, self.hidden)
        return [name for name in node.operands if name not in stops]

    def _adjoints(self, node: Node) -> Iterator[tuple[Adjoint, tuple[str, ...]]]:
        """The adjoints of *node* with the values that each serves ("" for a parameter that it goes without).

        Where errors stay in their step, none passes to what acts in later steps alone; where they stay in their
        window, none to what acts behind it.
        """
        passed = self._passed(node)
        op = OPS[node.op].make(node.settings)
        beyond = isinstance(op, Delay) and 0 < self.window <= op.steps
        late = op.operands if beyond or (op.late and self.rule.carry == "none") else ()
        for adjoint in gradients_of(node, self.rule.carry):
            found = {role: operand_of(node, role) for role in adjoint.served}
            values = tuple(name if name in passed and role not in late else "" for role, name in found.items())
            if any(values):
                yield adjoint, values

    def _by_rate(self, node: Node) -> bool:
        """Whether an error passes the node as one for all steps together."""
        return self.rule.carry in ("rate", "count") and issubclass(OPS[node.op], Rated)

    def _timed(self, node: Node) -> bool:
        """Whether the adjoints of the node belong to every step."""
        return self.types[node.operands[0]].timed if self._by_rate(node) else node.types[0].timed

    def _adjoint(self, node: Node, adjoint: Adjoint, error: str) -> Node:
        """The node of an adjoint with its inner results; the gradients get their names from `Errors`."""
        of = operand_of(node, adjoint.of)
        weighs = of is not None and self.types[of].weight
        averaged = self.beside.passes(node)
        read = named(node, adjoint.reads, error, **averaged)
        operands = tuple(self.beside.instead(name, weighs) for name in read)
        facet = adjoint.facet
        if self.rule.carry == "none" and f"{facet}_local" in OPS[node.op].facets():
            facet = f"{facet}_local"
        inner: tuple[str, ...] = tuple(f"d.{node.results[0]}.{name}" for name in adjoint.inner)
        types: tuple[Type, ...] = ()
        if inner:
            roles = {"error": error_type(self.types[node.results[0]])}
            roles |= {name: self.types[value] for name, value in roles_of(node).items()}
            types = OPS[node.op].make(node.settings).inner_types(adjoint, roles)
        return replace(
            node, results=inner, op=f"{node.op}.{facet}", operands=operands, types=types, phase=adjoint.phase
        )
