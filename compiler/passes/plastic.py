"""Weights that learn from the spikes on both of their sides, in the sweep in which those are fired.

Nothing passes back.  For each weight two sums of outer products tell what speaks for it and what against it, in which
spikes gate the traces of the other side; the weight follows at once, and the next step fires with the new one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ...source import Faults, SourceError
from ..ir.graph import Network, Node, Setting
from ..ir.types import Type
from ..ops.op import called
from ..ops.plasticity import ConstantSum, Fired, MostFired, PlasticUpdate
from ..ops.trace import Trace
from ..training.rule import Plasticity, Rule, Synapse, Traced
from .reserved import trace_of
from .training_options import TrainingOptions


def check_judged(network: Network, rule: Rule, options: TrainingOptions) -> None:
    """SourceError for options that speak of errors where there are none, and for a missing loss where there are."""
    loss, optimizer = options.the_loss, options.the_optimizer
    with Faults(SourceError) as faults:

        def refuse(setting: str, told: str, instead: str) -> None:
            faults.add(options.place(network, setting, network.place), told, hints=(instead,))

        if rule.plasticity is None:
            if not loss.judges:
                told = f"{rule.name} learns from the errors of a loss, and {options.asked('loss', loss.name)} is none"
                refuse("loss", told, "loss = cross_entropy")
            return
        if loss.judges:
            told = f"{rule.name} learns without a loss, and {options.asked('loss', loss.name)} is one"
            refuse("loss", told, "loss = rates, or nothing")
        plain, given = optimizer.settings(), called(options.optimizer)[1]
        changed = [key for key, value in given.items() if key not in ("lr", "decay_on") and value != plain[key].default]
        if optimizer.name != "sgd" or changed:
            word = f"{changed[0]} of sgd" if optimizer.name == "sgd" else optimizer.name
            told = f"{rule.name} adds what it learns to a weight, and {options.asked('optimizer', word)} does otherwise"
            refuse("optimizer", told, "optimizer = sgd(lr=1.0)")
        if options.loss_scale != 1.0:
            refuse("loss_scale", f"{rule.name} has no errors to scale", "loss_scale = 1.0, or nothing")
        if options.clipping is not None:
            refuse("clip", f"{rule.name} has no gradients to clip: weights keep to w_min and w_max", "clip = none")


@dataclass(frozen=True)
class Plastic:
    """What is made for the *synapses* beside the way there; *types* are those of its values."""

    plasticity: Plasticity
    synapses: Sequence[Synapse]
    types: Mapping[str, Type]

    @property
    def names(self) -> dict[str, str]:
        """Every name that is made for this, with what it is."""
        found: dict[str, str] = {}
        for synapse in self.synapses:
            s, weight = synapse.neuron.results[0], synapse.weight
            found[trace_of(synapse.before)] = f"the trace of {synapse.before}"
            found[fired_of(s)] = f"what the weights before {s} learn from"
            found[trace_of(fired_of(s))] = f"the trace of {s}"
            found |= dict.fromkeys((_up(weight), _down(weight), f"{weight}.sum"), f"what {weight} learns from")
        return found

    def steps(self) -> Iterator[Node]:
        """In each step, behind the way there: traces and sums, then new weights."""
        made: set[str] = set()
        for node in (node for synapse in self.synapses for node in self._learning(synapse)):
            if node.results[0] not in made:
                made.add(node.results[0])
                yield node

    def afterwards(self) -> Iterator[Node]:
        """Behind a batch: sums of weights."""
        if not self.plasticity.normalise:
            return
        for synapse in self.synapses:
            types = self._words(synapse)
            settings: dict[str, Setting] = {"total": self.plasticity.normalise}
            names = (synapse.weight, f"{synapse.weight}.master")
            yield replace(
                synapse.layer,
                results=(*names, f"{synapse.weight}.sum"),
                op=ConstantSum.name,
                operands=names[1:],
                settings=settings,
                types=(*types, ConstantSum.sum_type(types[0])),
                phase="UP",
            )

    def _words(self, synapse: Synapse) -> tuple[Type, Type]:
        """Types of a weight and of its f32 copy."""
        type = self.types[synapse.weight]
        return type, type.with_(format="f32")

    def _learning(self, synapse: Synapse) -> Iterator[Node]:
        """What a weight learns from, and then its new words."""
        chosen, neuron, layer = self.plasticity, synapse.neuron, synapse.layer
        s, before, weight = neuron.results[0], synapse.before, synapse.weight
        yield self._trace(layer, before, self.types[before], chosen.before)
        fired = replace(neuron, results=(fired_of(s),), operands=(s,), phase="WG")
        if chosen.after is None:
            most = MostFired(every=chosen.every, threshold=chosen.threshold)
            settings: dict[str, Setting] = {"every": chosen.every, "threshold": chosen.threshold}
            yield replace(fired, op=MostFired.name, settings=settings, types=(most.type_of(self.types[s]),))
        else:
            yield replace(fired, op=Fired.name, settings={}, types=(Fired.type_of(self.types[s]),))
        words = self._words(synapse)
        each = words[1].with_(timed=True)
        facet = f"{layer.op}.d_w_gated"
        up = trace_of(before), fired_of(s)
        yield replace(layer, results=(_up(weight),), op=facet, operands=up, types=(each,), phase="WG")
        sums = [_up(weight)]
        if chosen.after is not None:
            yield self._trace(neuron, fired_of(s), Fired.type_of(self.types[s]), chosen.after)
            down = before, trace_of(fired_of(s))
            yield replace(
                layer, results=(_down(weight),), op=f"{layer.op}.d_w", operands=down, types=(each,), phase="WG"
            )
            sums.append(_down(weight))
        yield replace(
            layer,
            results=(weight, f"{weight}.master"),
            op=PlasticUpdate.name,
            operands=(f"{weight}.master", *sums),
            settings=self._settings(),
            types=words,
            phase="UP",
        )

    def _trace(self, of: Node, value: str, type: Type, traced: Traced) -> Node:
        settings: dict[str, Setting] = {"decay": traced.decay}
        if not traced.additive:
            settings["additive"] = False
        return replace(
            of,
            results=(trace_of(value),),
            op=Trace.name,
            operands=(value,),
            settings=settings,
            types=(Trace.type_of(type),),
            phase="WG",
        )

    def _settings(self) -> dict[str, Setting]:
        """Those of the update that are not its defaults."""
        names = ("potentiation", "depression", "w_min", "w_max", "mu", "every")
        given: dict[str, Setting] = {name: getattr(self.plasticity, name) for name in names}
        if self.plasticity.after is None:
            given |= {"depression": 0.0, "every": 1}  # nothing is gathered but in the steps that count
        known = PlasticUpdate.settings()
        return {name: value for name, value in given.items() if value != known[name].default}


def fired_of(spikes: str) -> str:
    """What the spikes are called that the weights before their neurons learn from."""
    return f"{spikes}.fired"


def _up(weight: str) -> str:
    return f"{weight}.up"


def _down(weight: str) -> str:
    return f"{weight}.down"
