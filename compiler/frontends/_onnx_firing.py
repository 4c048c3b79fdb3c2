"""Neurons that were recognised, as nodes of the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..ir.graph import Setting
from ..ops.op import OPS, called
from ._building import Builder, Value
from ._onnx_clusters import Cluster
from ._onnx_elements import COMPARISONS, Unknown, compared
from ._onnx_known import known_as
from ._onnx_neurons import Found, recognise
from ._onnx_settings import Said
from ._onnx_steps import Body
from ._onnx_terms import Term
from .frontend import Array, Known, Unsaid

_VARIED = {"w": "decay", "theta": "threshold"}
_READOUTS = ("li", "integrator")


class Firing:
    """The neurons of a step; each is made once, when one of its results is first asked for."""

    def __init__(
        self,
        builder: Builder,
        body: Body,
        clusters: Sequence[Cluster],
        unsaid: Unsaid,
        known: Mapping[str, Known],
        of: Callable[[Term], Value | None],
    ) -> None:
        """*known* tells of neurons by a node in them; *of* gives the values that drive neurons."""
        self._builder = builder
        self._body = body
        self._unsaid = unsaid
        self._known = known
        self._of = of
        self._inside = {id(member): cluster for cluster in clusters for member in cluster.members}
        self._made: dict[int, Value | None] = {}
        self._found: dict[int, Found | None] = {}
        self._multiples: dict[tuple[str, float], Value | None] = {}
        self.lost = False
        """Whether the file has lost the state of a neuron, so that it does something else."""

        for cluster in clusters:
            self._recognise(cluster)

    def __contains__(self, term: Term) -> bool:
        """Whether *term* is inside of a neuron."""
        return id(term) in self._inside

    def biases(self) -> list[tuple[Cluster, Array]]:
        """Constants inside of neurons that their input lacks."""
        clusters = {id(cluster): cluster for cluster in self._inside.values()}
        found = [(clusters[key], each.said.bias) for key, each in self._found.items() if each is not None]
        return [(cluster, bias) for cluster, bias in found if bias is not None]

    def are_spikes(self, term: Term) -> bool:
        """Whether *term* is what a neuron fires."""
        cluster = self._inside.get(id(term))
        found = self._found.get(id(cluster)) if cluster is not None else None
        return found is not None and found.roles.get(id(term), ("h", 1.0))[0] == "" and found.op not in _READOUTS

    def value(self, term: Term) -> Value | None:
        """What *term* is of a neuron."""
        cluster = self._inside[id(term)]
        found = self._found[id(cluster)]
        if found is None:
            return None
        if id(cluster) not in self._made:
            self._made[id(cluster)] = self._make(cluster, found)
        made = self._made[id(cluster)]
        if made is None:
            return None
        if id(term) not in found.roles:
            told = "reads a value inside of a neuron that is neither its spikes nor its membrane"
            self._builder.fault(self._builder.place(term.origin), told)
            return None
        suffix, factor = found.roles[id(term)]
        result = Value(f"{made.name}.{suffix}", made.type.with_(format="f16", scale=1.0)) if suffix else made
        return result if factor == 1.0 else self._scaled(cluster, result, factor)

    def _scaled(self, cluster: Cluster, result: Value, factor: float) -> Value | None:
        """*factor* times a result."""
        key = (result.name, factor)
        if key not in self._multiples:
            place = self._builder.place(cluster.origin)
            self._builder.note("assumption", place, f"the factor {factor:g} can be trained")
            settings: dict[str, Setting] = {"each": "layer", "factor": factor}
            self._multiples[key] = self._builder.add("scale", [result], settings, f"{result.name}.scaled", place)
        return self._multiples[key]

    def _recognise(self, cluster: Cluster) -> None:
        """Tell what was found, what was not, and what is assumed of it."""
        builder = self._builder
        origin, known = self._known_of(cluster)
        place = builder.place(origin)
        try:
            found = known_as(recognise(cluster, self._body), known)
        except Unknown as reason:
            self._found[id(cluster)] = self._unknown(cluster, str(reason))
            return
        said = found.said
        unsaid = {key: value for key, value in said.settings.items() if key not in known.settings}
        settings = ", ".join(f"{key}={_shown(value)}" for key, value in unsaid.items())
        current = "" if said.current_decay is None else f" behind a current of decay {said.current_decay:g}"
        late = ", which reads its input a step late" if said.lag else ""
        back = "" if said.echo is None else ", whose spikes come back to it one to one"
        builder.note("recovered", place, f"{said.op}({settings}){current}{late}{back}")
        self._found[id(cluster)] = found
        for name in said.varied.keys() - known.parameters.keys():
            told = f"its {_VARIED[name]} differs from channel to channel, and becomes a parameter that is trained"
            builder.note("assumption", place, told)
        if "initial" in said.settings and not said.begins:
            word = "v_reset" if "v_reset" in said.settings else _shown(said.settings["initial"])
            told = f"its potential is taken to begin at {word}; snnc check compares with the file"
            builder.note("assumption", place, told)
        if found.warning:
            builder.note("warning", place, found.warning)

    def _unknown(self, cluster: Cluster, reason: str) -> Found | None:
        place = self._builder.place(cluster.origin)
        if cluster.stateless and not self._body.previous:
            told = "it fires, and nothing is carried to the next step: its state was lost when the file was made"
            self._builder.note("warning", place, f"{told}; taken as if(reset=hard), which is not what was trained")
            self.lost = True
            what = compared(next(term for term in cluster.members if term.op in COMPARISONS))[0]
            settings: dict[str, Setting] = {"threshold": float(what.threshold.flat[0]), "reset": "hard"}
            settings["compare"] = "gt" if what.strict else "ge"
            return Found(Said("if", settings), {id(term): ("", 1.0) for term in cluster.members})
        told = f"carries state from step to step, and is no neuron that there is: {reason}"
        self._builder.fault(place, told, "a neuron of docs/neurons.md in its place")
        return None

    def _make(self, cluster: Cluster, found: Found) -> Value | None:
        origin, _ = self._known_of(cluster)
        said, builder, place = found.said, self._builder, self._builder.place(origin)
        x, *others = (self._of(drive) for drive in cluster.drives)
        for other in others:
            x = builder.add("add", [x, other], {}, f"{origin}.sum", place)
        if said.echo is not None:
            return self._echoing(origin, said, self._late(origin, said, x))
        return self._fired(origin, said, self._late(origin, said, self._behind_a_current(origin, said, x)))

    def _late(self, origin: str, said: Said, x: Value | None) -> Value | None:
        """*x* of the step before, where the neuron reads that."""
        if not said.lag or x is None:
            return x
        place = self._builder.place(origin)
        if not x.type.timed:
            told = "reads its input a step late, and that input is the same in every step, which no delay reads"
            self._builder.fault(place, told, "an export whose input changes with time")
            return None
        return self._builder.add("delay", [x], {"steps": said.lag}, f"{origin}.late", place)

    def _behind_a_current(self, origin: str, said: Said, x: Value | None) -> Value | None:
        if said.current_decay is None:
            return x
        current: dict[str, Setting] = {"decay": said.current_decay}
        return self._builder.add("li", [x], current, f"{origin}.current", self._builder.place(origin))

    def _echoing(self, origin: str, said: Said, x: Value | None) -> Value | None:
        """The neuron with its spikes of the step before among its input."""
        if x is None or said.echo is None:
            return None
        builder, place = self._builder, self._builder.place(origin)
        amplitude = said.settings.get("amplitude", 1.0)
        assert isinstance(amplitude, float)
        later = builder.later(x.type.with_(format="spike", scale=amplitude), f"{origin}.before", place)
        each = "layer" if np.ptp(said.echo) == 0 else "channel"
        weights = {"w": said.echo[0] if each == "layer" else said.echo}
        back = builder.add("scale", [later], {"each": each}, f"{origin}.back", place, weights)
        x = builder.add("add", [x, back], {}, f"{origin}.with_back", place)
        made = self._fired(origin, said, self._behind_a_current(origin, said, x))
        builder.close(later, made)
        return made

    def _fired(self, origin: str, said: Said, x: Value | None) -> Value | None:
        settings = self.completed(said.op, said.settings)
        place = self._builder.place(origin)
        return self._builder.add(said.op, [x], settings, origin, place, said.varied)

    def _known_of(self, cluster: Cluster) -> tuple[str, Known]:
        """The node that a neuron is called after, and what is known of it."""
        origins = (member.origin for member in cluster.members if member.origin in self._known)
        origin = next(origins, None)
        return (cluster.origin, Known()) if origin is None else (origin, self._known[origin])

    def completed(self, op: str, settings: Mapping[str, Setting]) -> dict[str, Setting]:
        """*settings* with what the file does not say."""
        known = OPS[op].settings()
        made = dict(settings)
        if "surrogate" not in known:
            return made
        unsaid, place = self._unsaid, self._builder.place()
        if "surrogate" not in made:
            if unsaid.surrogate is not None:
                made["surrogate"] = unsaid.surrogate
            else:
                default = known["surrogate"].default
                name = called(default)[0] if default is not None else ""
                self._builder.note("assumption", place, f"surrogate={name} (ONNX says none; --surrogate)")
        if "detach_reset" not in made:
            if unsaid.detach_reset is not None:
                made["detach_reset"] = unsaid.detach_reset
            else:
                told = "gradients pass through the reset (ONNX does not say; --detach-reset)"
                self._builder.note("assumption", place, told)
        return made


def _shown(value: Setting) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)
