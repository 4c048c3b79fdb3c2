"""Tandem learning: spikes go forward, and errors go back through a network of their counts, once for all steps.

With *spiking* below the number of neuron layers the others are those of an ordinary network, which reads counts:
progressive tandem learning, which lets one layer after the other spike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeAlias

from ...source import Fault
from ..ir.graph import Network, Node, Setting
from ..ir.settings import SettingFault, shown
from ..ops.norms import BatchNorm
from ..ops.op import OPS, Op
from ..ops.rated import Rated
from ..ops.spiking import Spiking
from ._rates import BROUGHT_BACK, Why, by_means, without_mean
from .rule import Reasons, Rule, differentiable, reached


def spiking_layers(value: Setting) -> Setting:
    """``all``, or a number of layers; SettingFault for anything else."""
    if value == "all" or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise SettingFault(f"spiking of tandem is all, or a number of neuron layers from 0 on, not {shown(value)}", "")


SpikingLayers: TypeAlias = Annotated[Any, spiking_layers]
"""A setting such as ``all`` or ``2``."""


@dataclass(frozen=True, kw_only=True)
class Tandem(Rule):
    """What counts every layer of neurons fires is what the next one learns from; an error of a count passes to
    ``max(x, 0)`` of all the current that came in, straight through the spikes, and back through layers, once.

    Statistics of `batch_norm` are those of what layers make of counts; spikes see the running ones.  Of the neuron
    layers, in the order of data, the first so many as *spiking* says fire; the others are ``max(x, 0)``.
    """

    name: ClassVar = "tandem"
    title: ClassVar = "tandem learning: errors pass by counts of spikes, through an ordinary network that reads them"
    source: ClassVar = "Wu et al. 2021 (tandem learning), Wu et al. 2022 (progressive tandem learning)"
    needs: ClassVar = "if with a soft reset, layers that keep means or batch_norm, and a loss of the mean"
    stores: ClassVar = "the count of what each weight reads and a bit a neuron; behind a batch_norm also what it reads"
    carry: ClassVar = "count"

    spiking: SpikingLayers = "all"

    @property
    def collapsed(self) -> bool:
        """Always."""
        return True

    def silent(self, network: Network) -> frozenset[str]:
        """The neurons behind the first so many."""
        layers = _neurons(network)
        return frozenset() if self.spiking == "all" else frozenset(node.results[0] for node in layers[self.spiking :])

    def admits(self, network: Network) -> Reasons:
        """Where counts follow the input, and means pass all but a `batch_norm`; and where there are as many layers."""
        behind = self._behind_silence(network)
        means = by_means(network, _neuron, _layer, _DELAYED)
        return (*differentiable(network), *dict.fromkeys((*means, *behind)), *self._too_many(network))

    def _behind_silence(self, network: Network) -> Iterator[Fault]:
        """What counts cannot pass that comes from neurons which have nothing else, though nothing is learned there."""
        layers = [node for node in network.nodes if node.op != "parameter" and not issubclass(OPS[node.op], Spiking)]
        silent = reached(self.silent(network), layers)
        for node in layers:
            if silent.isdisjoint(node.operands):
                continue
            why = _DELAYED if node.op == "delay" else _layer(OPS[node.op].make(node.settings))
            if why is not None:
                yield Fault(node.place, f"{node.results[0]}: {why[0]}", hints=why[1])

    def _too_many(self, network: Network) -> Iterator[Fault]:
        layers = _neurons(network)
        if self.spiking != "all" and self.spiking > len(layers):
            names = ", ".join(node.results[0] for node in layers)
            told = (
                f"spiking of tandem is at most the number of neuron layers, {len(layers)} ({names}), not {self.spiking}"
            )
            yield Fault(network.place, told)
        silent = self.silent(network)
        within = {name: node.results[0] for node in layers for name in node.results[1:] if node.results[0] in silent}
        for node in network.nodes:
            for name in within.keys() & set(node.operands):
                yield Fault(node.place, f"{node.results[0]} reads {name}, and {within[name]} does not spike")
        for node in (node for node in layers if node.results[0] in silent):
            why = _neuron(OPS[node.op].make(node.settings))
            if why is not None:
                yield Fault(node.place, f"{node.results[0]}: {why[0]}", hints=why[1])


_DELAYED: Why = (BROUGHT_BACK, ())
"""Why no count passes a delay."""


def _neurons(network: Network) -> list[Node]:
    """All that spike, in the order of data."""
    return [node for node in network.nodes if node.op != "parameter" and issubclass(OPS[node.op], Spiking)]


def _neuron(op: Op) -> Why | None:
    """Why the count of spikes does not follow the input."""
    if not isinstance(op, Rated):
        return f"the count of {op.name} does not follow its input, that of if does", ()
    follows = "its count does not follow its input"
    if (found := op.unrated()) is not None:
        return f"{follows}: {found[0]}", (found[1],)
    if op.remains != 1.0 or op.rho <= 0.0:
        leaks = "what leaks away is never fired" if op.remains != 1.0 else f"{op.rho:g} of it comes in"
        return f"{follows}: {leaks}", ("if(x, reset=soft)",)
    if op.learn_threshold != "none":
        return "counts teach no threshold", ("learn_threshold=none",)
    return None


def _layer(op: Op) -> Why | None:
    """Why what the layer makes of counts stands for nothing that it makes of spikes."""
    if isinstance(op, BatchNorm) and op.scope != "separate":
        return None
    if isinstance(op, BatchNorm):
        return "batch_norm(scope=separate) has other statistics in each step, and counts are of all of them", (
            "scope=step",
        )
    return without_mean(op)
