"""Errors at equilibrium: from a way back that would have to run in a circle to a sweep in which it settles.

`Backward` makes the way back of means once for all steps, as it does for every rule that trains on rates.  Where spikes
come back to layers before them, so do errors: the list of its nodes waits for itself.  Here it is cut at the neurons.

* What no neuron has passed is known *before*: the error of the result, and what layers make of it on its way to spikes.
* In the *sweep*, every neuron settles (`ops.settle`), and all that errors pass between two neurons is made anew in each
  step, as ``NAME.turn``.  A `delay` brings an error to the step after, as it does with spikes on the way there.
* *After* it, neurons tell the error that has settled at their inputs, and what lies between a neuron and weights passes
  it on, once: the nodes of the list, but for those whose results only neurons read, which `prune` leaves out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from ...source import Faults
from ..ir.cycles import clusters, delays_first
from ..ir.graph import Network, Node, Region, Setting
from ..ir.types import Type
from ..ops.op import OPS
from ..ops.rated import Rated
from ..ops.settle import Settle
from ..training.rule import Rule, Settling
from .training_options import TrainingOptions

PASSED = ".adjoint_rate"
"""How the operator of a node ends that passes an error through a neuron."""


def check_settling(network: Network, rule: Rule, options: TrainingOptions, faults: Faults) -> None:
    """A fault for a loss scale that looks for errors which overflow, where spikes would have lost them before.

    And for a single step, in which no neuron fires and rests.
    """
    if rule.settling is None:
        return
    if options.steps == 1:
        told = "passes an error where a neuron fires in some steps and rests in others, and there is one step"
        faults.add(options.place(network, "rule", network.place), f"{rule.name} {told}")
    if options.dynamic and rule.settling.solver == "spikes":
        told = f"{rule.name} fires errors, which saturate long before a dynamic loss scale finds one that overflows"
        hints = "loss_scale = 64.0", f"rule = {rule.name}(solver=fixed_point)"
        faults.add(options.place(network, "loss_scale", network.place), told, hints=hints)


@dataclass
class Settled:
    """The *nodes* of a way back in three parts."""

    nodes: Sequence[Node]
    settling: Settling
    moving: frozenset[str] = field(init=False)
    """What follows from an error that a neuron has passed."""

    def __post_init__(self) -> None:
        self.moving = frozenset(self._moving())

    @property
    def before(self) -> tuple[Node, ...]:
        """What is made once, in an order of data."""
        return _ordered([node for node in self.nodes if self.moving.isdisjoint(node.results)])

    @property
    def sweep(self) -> Region:
        """What is made anew in each step."""
        return Region("up", delays_first(list(self._turning())), True, steps=self.settling.steps)

    @property
    def after(self) -> tuple[Node, ...]:
        """What is made of errors that have settled, in an order of data."""
        return _ordered(list(self._remaining()))

    def _moving(self) -> set[str]:
        found = {name for node in self.nodes if node.op.endswith(PASSED) for name in node.results if name}
        while True:
            behind = [node for node in self.nodes if not found.isdisjoint(node.operands)]
            reached = {name for node in behind for name in node.results if name}
            if reached <= found:
                return found
            found |= reached

    def _turning(self) -> Iterator[Node]:
        for node in self.nodes:
            if node.op.endswith(PASSED):
                yield self._neuron(node)
            elif not self.moving.isdisjoint(node.results):
                yield self._between(node)

    def _remaining(self) -> Iterator[Node]:
        for node in self.nodes:
            if not node.op.endswith(PASSED):
                if not self.moving.isdisjoint(node.results):
                    yield node
            elif self.settling.solver == "spikes":
                made = self._neuron(node)
                operands = (_sum(node.results[0]),)
                yield replace(node, op=f"{Settle.name}.mean", operands=operands, settings=made.settings)

    def _neuron(self, node: Node) -> Node:
        """A neuron in the sweep."""
        op = OPS[node.op.partition(".")[0]].make(node.settings)
        assert isinstance(op, Rated), node.op
        (value,), (type,), (error, passes) = node.results, node.types, node.operands
        settings: dict[str, Setting] = {"solver": self.settling.solver, "steps": self.settling.steps}
        settings |= {"amplitude": op.amplitude, "slope": op.rho / op.threshold}
        last, last_type = value, type
        if self.settling.solver == "spikes":
            settings |= {"threshold": self.settling.threshold, "worth": self.settling.worth}
            last, last_type = _sum(value), type.with_(format=Settle.make(settings).sum_format)
        made = replace(node, results=(_turn(value), last), op=Settle.name, settings=settings)
        return replace(made, operands=(self._read(error), passes), types=(self._timed(type), last_type))

    def _between(self, node: Node) -> Node:
        """What passes an error on from one neuron to the next, in the sweep."""
        results = tuple(name and _turn(name) for name in node.results)
        operands = tuple(map(self._read, node.operands))
        types = tuple(map(self._timed, node.types))
        made = replace(node, results=results, operands=operands, types=types)
        return replace(made, op="delay", settings={}) if node.op.partition(".")[0] == "delay" else made

    def _read(self, name: str) -> str:
        """What is read in the sweep in the place of *name*."""
        return _turn(name) if name in self.moving else name

    def _timed(self, type: Type) -> Type:
        return type.with_(timed=True, steps=self.settling.steps)


def _ordered(nodes: Sequence[Node]) -> tuple[Node, ...]:
    """Nodes that do not wait for one another, each behind those that it reads."""
    return tuple(node for cluster in clusters(nodes) for node in cluster)


def _turn(value: str) -> str:
    """The error *value* in a step of the sweep."""
    return f"{value}.turn"


def _sum(value: str) -> str:
    """All spikes that have brought the error *value*."""
    return f"{value}.sum"
