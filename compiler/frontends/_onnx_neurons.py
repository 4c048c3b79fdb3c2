"""Neurons in what a step spells out, told by what they do and not by how they are written.

Element-wise terms that wait for one another through the step before are the inside of a neuron.  It is tried out with
inputs that tell its constants apart: how it answers an impulse, where it fires, what is left after a spike.  What is
found is held against it on random inputs for many steps; only a neuron that gives the same spikes and the same membrane
to within rounding is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import networkx as nx
import numpy as np

from ..ir.graph import Setting
from ._onnx_steps import Body
from ._onnx_terms import ELEMENTWISE, Term
from .frontend import Array

COMPARISONS = ("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Spike")
_SCALED = ("Mul", "Div", "Neg")
_SHIFTED = ("Add", "Sub")
_TOLERANCE = 1e-9
_TRIALS, _STEPS = 2, 24


class Unknown(Exception):
    """A cluster that is no neuron that there is, with the reason."""


@dataclass(frozen=True)
class Cluster:
    """The inside of a neuron: its *members* in order, the terms that drive it, and the terms of its state."""

    members: tuple[Term, ...]
    drives: tuple[Term, ...]
    states: tuple[Term, ...]
    stateless: bool = False

    @property
    def origin(self) -> str:
        """The node of the file that it is called after: its last."""
        return self.members[-1].origin


@dataclass(frozen=True)
class Found:
    """A neuron: *op* and settings, a *bias* that its input lacks, and which member is which of its results.

    *roles* gives, by identity, the suffix of the result that a member is ("" spikes, ``h`` the membrane), and the
    factor by which it is more.  *current_decay* of a readout is that of a current in front of it.
    """

    op: str
    settings: Mapping[str, Setting]
    bias: Array | None
    roles: Mapping[int, tuple[str, float]]
    current_decay: float | None = None
    varied: Mapping[str, Array] = field(default_factory=dict[str, Array])


def clusters_of(body: Body) -> list[Cluster]:
    """Every neuron that a step spells out."""
    order = [term for term in body.order() if term.value is None]
    elements = {id(term): term for term in order if term.op in ELEMENTWISE and term.op not in ("Relu", "Dropout")}
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(elements)
    for term in elements.values():
        for arg in term.args:
            maker = body.previous.get(id(arg), arg)
            if id(maker) in elements:
                graph.add_edge(id(maker), id(term))
    cores = [
        set(part)
        for part in nx.strongly_connected_components(graph)
        if len(part) > 1 or any(graph.has_edge(each, each) for each in part)
    ]
    taken: set[int] = set()
    found: list[Cluster] = []
    for core in _joined(cores, elements, body):
        members = _grown(core, elements, body, order, _SCALED)
        taken |= members
        found.append(_cluster(members, order, body))
    for term in order:
        if term.op in COMPARISONS and id(term) not in taken:
            members = _grown({id(term)}, elements, body, order, (*_SCALED, *_SHIFTED))
            taken |= members
            found.append(replace(_cluster(members, order, body), stateless=True))
    return found


def _joined(cores: list[set[int]], elements: Mapping[int, Term], body: Body) -> list[set[int]]:
    """Cores one of which drives only the other through elements: a current and its membrane."""
    joined: nx.Graph[int] = nx.Graph()
    joined.add_nodes_from(range(len(cores)))
    for number, core in enumerate(cores):
        for other, into in enumerate(cores):
            if number != other and _leads(core, into, elements, body):
                joined.add_edge(number, other)
    parts: list[set[int]] = [set(part) for part in nx.connected_components(joined)]
    return [{member for number in part for member in cores[number]} for part in parts]


def _leads(core: set[int], into: set[int], elements: Mapping[int, Term], body: Body) -> bool:
    """Whether a value of *core* that is no spike is read by *into*, through nothing but a scale."""
    for member in into:
        for arg in elements[member].args:
            term = body.previous.get(id(arg), arg)
            while term.op in _SCALED and id(term) not in core and id(term) in elements:
                term = next((each for each in term.args if each.value is None), term.args[0])
                term = body.previous.get(id(term), term)
            if id(term) in core and not _is_bit(term):
                return True
    return False


def _is_bit(term: Term) -> bool:
    return term.op in COMPARISONS or (term.op == "Cast" and _is_bit(term.args[0]))


def _grown(
    core: set[int], elements: Mapping[int, Term], body: Body, order: Sequence[Term], ahead: Sequence[str]
) -> set[int]:
    """*core* with what follows from it alone, and with operations of the kinds *ahead* that lead only to it."""
    members = set(core)
    for term in order:
        if id(term) in elements and id(term) not in members:
            own = [body.previous.get(id(arg), arg) for arg in term.args if arg.value is None]
            if own and all(id(arg) in members for arg in own):
                members.add(id(term))
    for term in reversed(order):
        alone = sum(arg.value is None for arg in term.args) == 1
        if term.op in ahead and alone and id(term) in elements and id(term) not in members:
            readers = [each for each in order if any(arg is term for arg in each.args)]
            if readers and all(id(each) in members for each in readers):
                members.add(id(term))
    return members


def _cluster(members: set[int], order: Sequence[Term], body: Body) -> Cluster:
    inside = tuple(term for term in order if id(term) in members)
    drives: dict[int, Term] = {}
    states: dict[int, Term] = {}
    for term in inside:
        for arg in term.args:
            maker = body.previous.get(id(arg))
            if maker is not None and id(maker) in members:
                states[id(arg)] = arg
            elif arg.value is None and id(arg) not in members:
                drives[id(arg)] = arg
    return Cluster(inside, tuple(drives.values()), tuple(states.values()))


def recognise(cluster: Cluster, body: Body) -> Found:
    """The neuron that *cluster* is; `Unknown` with the reason where it is none."""
    if not cluster.drives:
        raise Unknown("nothing drives it")
    probe = _Probe(cluster, body)
    spikes = [term for term in cluster.members if term.op in COMPARISONS]
    if not spikes:
        return probe.readout()
    return probe.spiking(spikes)


@dataclass(frozen=True)
class _Model:
    """A neuron in numbers: what `Found` says of it, simulated."""

    decay: Array
    share: Array
    threshold: Array
    strict: bool
    bias: Array
    reset: Literal["hard", "soft", "none"] = "none"
    delayed: bool = False
    v_reset: float = 0.0
    current_decay: Array | None = None
    start: float = 0.0

    def run(self, inputs: Sequence[Array]) -> tuple[list[Array], list[Array]]:
        """(membranes, spikes) of all steps."""
        v = np.full(self.share.shape, self.start)
        current, s = np.zeros(self.share.shape), np.zeros(self.share.shape)
        membranes: list[Array] = []
        spikes: list[Array] = []
        for each in inputs:
            x = each + self.bias
            if self.current_decay is not None:
                current = x = self.current_decay * current + x
            rest = (1 - self.decay) * self.v_reset if self.start else 0.0
            h = self.decay * v + self.share * x + rest
            if self.delayed and self.reset == "soft":
                h = h - self.threshold * s
            elif self.delayed and self.reset == "hard":
                h = np.where(s > 0, self.v_reset, h)
            s = (h > self.threshold if self.strict else h >= self.threshold).astype(float)
            v = h
            if not self.delayed and self.reset == "soft":
                v = h - self.threshold * s
            elif not self.delayed and self.reset == "hard":
                v = np.where(s > 0, self.v_reset, h)
            membranes.append(h)
            spikes.append(s)
        return membranes, spikes


class _Probe:
    """Trials of one cluster."""

    def __init__(self, cluster: Cluster, body: Body) -> None:
        self.cluster = cluster
        self.body = body
        self.shape = np.broadcast_shapes(*(drive.shape for drive in cluster.drives))
        self._check_sum()

    def _check_sum(self) -> None:
        """`Unknown` unless the neuron sees nothing of its drives but their sum."""
        rng = np.random.default_rng(3)
        inputs = [rng.uniform(-1, 1, self.shape) for _ in range(4)]
        first, *others = (self.run(inputs, through=number) for number in range(len(self.cluster.drives)))
        for other in others:
            for one, another in zip(first, other, strict=True):
                if not all(np.allclose(one[id(term)], another[id(term)], rtol=1e-9) for term in self._sums()):
                    raise Unknown("it is driven by several values, and by more of them than their sum")

    def _sums(self) -> list[Term]:
        """What is compared, or carried."""
        compared = [fired(term)[0] for term in self.cluster.members if term.op in COMPARISONS]
        return compared or [self.body.previous[id(state)] for state in self.cluster.states]

    def run(self, inputs: Sequence[Array], start: float = 0.0, through: int = 0) -> list[dict[int, Array]]:
        """The values of all members in each step; all of the input comes *through* one of the drives."""
        states = {id(state): np.full(state.shape, self._first(state, start)) for state in self.cluster.states}
        found: list[dict[int, Array]] = []
        for each in inputs:
            drives = enumerate(self.cluster.drives)
            values = {**states, **{id(d): each if k == through else np.zeros(self.shape) for k, d in drives}}
            for term in self.cluster.members:
                args = [values[id(arg)] if id(arg) in values else _number(arg) for arg in term.args]
                values[id(term)] = np.asarray(_evaluated(term, args), float)
            found.append(values)
            states = {id(state): values[id(self.body.previous[id(state)])] for state in self.cluster.states}
        return found

    def _first(self, state: Term, start: float) -> float:
        """Bits begin at 0; what is carried begins at *start*."""
        return 0.0 if _is_bit(self.body.previous[id(state)]) else start

    def _response(self, of: Term, inputs: Sequence[float], start: float = 0.0) -> list[Array]:
        filled = [np.full(self.shape, value) for value in inputs]
        return [np.broadcast_to(values[id(of)], of.shape) for values in self.run(filled, start)]

    def _linear(self, of: Term, low: Array) -> tuple[Array, Array, Array | None, Array]:
        """(decay, share, decay of a current or None, what it is without an input) below the threshold.

        *low* is an input so small that nothing fires.
        """
        quiet = [np.zeros(self.shape)] * 4
        rest = [np.broadcast_to(values[id(of)], of.shape) for values in self.run(quiet)]
        pushed = [np.broadcast_to(values[id(of)], of.shape) for values in self.run([low, *quiet[1:]])]
        g = [(one - other) / low for one, other in zip(pushed, rest, strict=True)]
        if (g[0] == 0).any():
            raise Unknown("its membrane does not follow its input in the same step")
        first = g[1] / g[0]
        if np.allclose(g[2], first * g[1], rtol=1e-6, atol=1e-12 * np.abs(g[0]).max()):
            return first, g[0], None, rest[0]
        poles = _two_poles(g)
        return poles[0], g[0], poles[1], rest[0]

    def readout(self) -> Found:
        """A neuron without spikes: its last value is what is read."""
        of = next(
            (term for term in reversed(self.cluster.members) if self._is_state(term) and not self._fades(term)), None
        )
        outside = [term for term in self.cluster.members if _read_outside(term, self.cluster, self.body)]
        of = outside[-1] if outside else of
        if of is None:
            raise Unknown("nothing of it is read")
        decay, share, current, offset = self._linear(of, np.ones(self.shape))
        model = _Model(decay, share, np.full(of.shape, np.inf), True, offset / share, current_decay=current)
        models = [model] if current is None else [model, replace(model, decay=current, current_decay=decay)]
        for model in models:
            if self._agrees(model, of, None):
                settings = _leak(model, "integrator")
                bias = None if not model.bias.any() else _one_sample(model.bias)
                op = settings.pop("op")
                assert isinstance(op, str)
                decayed = None if model.current_decay is None else _uniform(model.current_decay, "decay of its current")
                return Found(op, settings, bias, self._roles(model, "v"), decayed)
        raise Unknown("it is linear, and carries more than a membrane and a current")

    def _is_state(self, term: Term) -> bool:
        return any(self.body.previous[id(state)] is term for state in self.cluster.states)

    def _fades(self, term: Term) -> bool:
        return _is_bit(term)

    def spiking(self, spikes: Sequence[Term]) -> Found:
        """A neuron that fires: constants from its answers, then the reset that explains them."""
        last = spikes[-1]
        h, threshold, strict = fired(last)
        for other in spikes:
            if not _same_comparison(other, last, self.body):
                raise Unknown("it compares two values with thresholds")
        threshold = np.broadcast_to(threshold, h.shape).astype(float)
        if self.cluster.stateless:
            raise Unknown("it carries nothing from step to step")
        quiet = self._response(h, [0.0])[0]
        unit = self._response(h, [1.0])[0] - quiet
        if (unit == 0).any():
            raise Unknown("its membrane does not follow its input in the same step")
        low = 0.25 * (threshold - quiet) / unit
        if (low <= 0).any():
            raise Unknown("it fires without an input")
        decay, share, current, offset = self._linear(h, low)
        base = _Model(decay, share, threshold, strict, offset / share, current_decay=current)
        bases = [base] if current is None else [base, replace(base, decay=current, current_decay=decay)]
        high = 1.5 * (threshold - quiet) / unit
        answers = [np.broadcast_to(each[id(h)], h.shape) for each in self.run([high, np.zeros(self.shape)])]
        resets: list[tuple[Literal["hard", "soft", "none"], bool]] = [
            ("soft", False), ("hard", False), ("none", False), ("soft", True), ("hard", True),
        ]  # fmt: skip
        for each in bases:
            for reset, delayed in resets:
                v_reset = 0.0
                if reset == "hard":
                    left = answers[1] - each.share * each.bias
                    if each.current_decay is not None:
                        left = left - each.share * each.current_decay * (high + each.bias)
                    guess = answers[1] if delayed else left / np.where(each.decay == 0, 1, each.decay)
                    v_reset = _rounded(float(guess.flat[0]))
                model = replace(each, reset=reset, delayed=delayed, v_reset=v_reset)
                if self._agrees(model, h, last):
                    return self._found(model, h, last)
        raise Unknown("its reset is none of hard, soft and none, at once or delayed")

    def _found(self, model: _Model, h: Term, spike: Term) -> Found:
        varied: dict[str, Array] = {}
        if _differs(model.decay) and model.current_decay is None:
            share = (
                _uniform(np.where(model.decay == 1, model.share, model.share / (1 - model.decay)), "")
                if _differs(model.share)
                else 0.0
            )
            varied["w"] = _one_a_channel(model.decay, "decay")
            settings: dict[str, Setting] = {"op": "plif", "form": "clamp", "each": "channel"}
            settings["decay"] = float(varied["w"][0])
            if share:
                if abs(share - 1) > 1e-6:
                    raise Unknown("its decay differs from element to element, and its input is scaled besides")
                settings["decay_input"] = True
            elif abs(_uniform(model.share, "factor of its input") - 1) > 1e-6:
                raise Unknown("its decay differs from element to element, and its input is scaled besides")
        else:
            settings = _leak(model, "if")
        op = settings.pop("op")
        assert isinstance(op, str)
        if _differs(model.threshold):
            varied["theta"] = _one_a_channel(model.threshold, "threshold")
            settings["learn_threshold"] = "channel"
        if model.current_decay is not None:
            op = "cuba"
            settings = {"decay": _uniform(model.decay, "decay"), **settings}
            settings["current_decay"] = _uniform(model.current_decay, "decay of its current")
        settings["threshold"] = _rounded(float(model.threshold.flat[0]))
        settings["reset"] = model.reset
        settings["compare"] = "gt" if model.strict else "ge"
        if model.delayed:
            settings["reset_time"] = "delayed"
        if model.reset == "hard" and model.v_reset:
            settings["v_reset"] = model.v_reset
            settings["initial"] = model.v_reset
        bias = None if not model.bias.any() else _one_sample(model.bias)
        if bias is not None and op == "lif" and not _differs(model.bias):
            # A constant in every step is a potential to leak to, as a membrane that leaks to v_reset has it.
            decay = _uniform(model.decay, "decay")
            if decay < 1:
                settings["rest"] = _rounded(float((model.bias * model.share).flat[0]) / (1 - decay))
                bias = None
        return Found(op, settings, bias, self._roles(model, "h"), varied=varied)

    def _agrees(self, model: _Model, h: Term, spike: Term | None) -> bool:
        """Whether the cluster does what *model* does, on random inputs."""
        rng = np.random.default_rng(7)
        scale = np.where(np.isfinite(model.threshold), model.threshold, 1.0) / model.share
        for _ in range(_TRIALS):
            inputs = [rng.uniform(-0.5, 1.75, self.shape) * scale for _ in range(_STEPS)]
            values = self.run(inputs, model.start)
            membranes, spikes = model.run(inputs)
            for step, found in enumerate(values):
                size = 1 + np.abs(membranes[step]).max()
                if np.abs(found[id(h)] - membranes[step]).max() > _TOLERANCE * size:
                    return False
                if spike is not None and not np.array_equal(found[id(spike)] > 0, spikes[step] > 0):
                    near = np.abs(membranes[step] - model.threshold) < _TOLERANCE * size
                    if ((found[id(spike)] > 0) != (spikes[step] > 0))[~near].any():
                        return False
        return True

    def _roles(self, model: _Model, membrane: str) -> dict[int, tuple[str, float]]:
        """Which member is a result, or a multiple of one."""
        rng = np.random.default_rng(11)
        scale = np.where(np.isfinite(model.threshold), model.threshold, 1.0) / model.share
        inputs = [rng.uniform(-0.5, 1.75, self.shape) * scale for _ in range(_STEPS)]
        values = self.run(inputs, model.start)
        membranes, spikes = model.run(inputs)
        found: dict[int, tuple[str, float]] = {}
        results = [("", spikes), ("h", membranes)] if membrane == "h" else [("", membranes)]
        for term in self.cluster.members:
            made = np.stack([np.broadcast_to(each[id(term)], self.shape) for each in values])
            for suffix, expected in results:
                wanted = np.stack(expected)
                factor = float((made * wanted).sum() / max((wanted * wanted).sum(), 1e-300))
                if factor and np.allclose(made, factor * wanted, rtol=1e-7, atol=1e-9 * np.abs(made).max()):
                    found.setdefault(id(term), (suffix, _rounded(factor)))
        return found


def _leak(model: _Model, without: str) -> dict[str, Setting]:
    """Operator and settings of how *model* leaks; *without* is the operator that does not."""
    decay, share = _uniform(model.decay, "decay"), _uniform(model.share, "factor of its input")
    spiking = "if" if without == "if" else "li"
    if abs(decay - 1.0) < 1e-12 and abs(share - 1.0) < 1e-9:
        return {"op": without}
    settings: dict[str, Setting] = {"op": "lif" if spiking == "if" else "li", "decay": decay}
    if not 0 <= decay <= 1:
        raise Unknown(f"its membrane is multiplied by {decay:g} in each step, which is not between 0 and 1")
    if abs(share - (1.0 - decay)) < 1e-7 * abs(share) and decay < 1:
        settings["decay_input"] = True
    elif abs(share - 1.0) > 1e-9:
        settings["gain"] = _rounded(share)
    return settings


def _uniform(values: Array, what: str) -> float:
    """The number that all *values* are; `Unknown` where they differ."""
    least, most = float(np.min(values)), float(np.max(values))
    if most - least > 1e-6 * max(abs(least), abs(most)):
        raise Unknown(f"the {what} differs from element to element ({least:g} to {most:g})")
    return _rounded(float(np.median(values)))


def _differs(values: Array) -> bool:
    """Whether not all are the same number."""
    least, most = float(np.min(values)), float(np.max(values))
    return most - least > 1e-6 * max(abs(least), abs(most))


def _one_a_channel(values: Array, what: str) -> Array:
    """One number a channel, or a feature; `Unknown` where a channel has several."""
    channels = values[0].reshape(values.shape[1], -1)
    if _differs(values - channels[:, :1].reshape(1, -1, *(1,) * (values.ndim - 2)) + 1.0):
        raise Unknown(f"the {what} differs within a channel")
    return np.asarray(channels[:, 0], np.float64)


def _rounded(value: float) -> float:
    """The number of at most 7 digits that *value* was before it was rounded to f32, if there is one."""
    short = float(f"{value:.7g}")
    near = abs(short - value) <= 1e-7 * abs(value)
    return short if near and np.float32(short) == np.float32(value) else 0.0 if abs(value) < 1e-12 else value


def _one_sample(values: Array) -> Array:
    """Of the first sample."""
    return np.asarray(values[0] if values.ndim > 1 else values, np.float64)


def _two_poles(g: Sequence[Array]) -> tuple[Array, Array]:
    """The two decays of an answer ``g[n] = g0 * sum of a^i b^(n-i)``; `Unknown` where there are none."""
    total = g[1] / g[0]
    both = total**2 - g[2] / g[0]
    square = total**2 - 4 * both
    if (square < -1e-9).any():
        raise Unknown("its membrane swings")
    root = np.sqrt(np.maximum(square, 0))
    one, other = (total + root) / 2, (total - root) / 2
    third = g[0] * (one**3 + one**2 * other + one * other**2 + other**3)
    if not np.allclose(g[3], third, rtol=1e-5, atol=1e-9 * np.abs(g[0]).max()):
        raise Unknown("its membrane follows its input through more than a current")
    return one, other


def fired(term: Term) -> tuple[Term, Array, bool]:
    """(what is compared, with what threshold, whether it must be above it)."""
    if term.op == "Spike":
        return term.args[0], np.asarray(float(term.settings.get("threshold", 1.0))), False
    left, right = term.args
    strict = term.op in ("Greater", "Less")
    if term.op in ("Less", "LessOrEqual"):
        left, right = right, left
    if right.value is None and left.value is None and _difference(left, right):
        raise Unknown("its threshold changes with time")
    if right.value is None:
        raise Unknown("its threshold changes with time, or it fires below it")
    left, threshold = _peeled(left, np.asarray(right.value, float))
    return left, threshold, strict


def _peeled(term: Term, threshold: Array) -> tuple[Term, Array]:
    """*term* without the constants that are taken away or added, and the threshold of what is left."""
    while term.op in _SHIFTED and any(arg.value is not None for arg in term.args):
        first, second = term.args
        if second.value is not None:
            threshold = threshold + (second.value if term.op == "Sub" else -second.value)
            term = first
        elif term.op == "Add" and first.value is not None:
            threshold = threshold - first.value
            term = second
        else:
            break
    return term, threshold


def _same_comparison(one: Term, other: Term, body: Body) -> bool:
    """Whether both compare the same with the same threshold, be it in the step before."""
    (first, low, _), (second, high, _) = fired(one), fired(other)
    while id(first) in body.previous:
        first = body.previous[id(first)]
        if first.op in _SHIFTED and any(arg.value is not None for arg in first.args):
            first, more = _peeled(first, np.zeros(()))
            low = low + more
    return first is second and np.allclose(low, high, rtol=1e-7)


def _difference(left: Term, right: Term) -> bool:
    return left.value is None and right.value is None


def _read_outside(term: Term, cluster: Cluster, body: Body) -> bool:
    """Whether something beside the neuron reads *term*."""
    inside = {id(member) for member in cluster.members}
    if term is body.result:
        return True
    return any(
        any(body.previous.get(id(arg), arg) is term for arg in other.args)
        for other in body.order()
        if id(other) not in inside
    )


def _number(term: Term) -> Array:
    """The value of a constant in float64."""
    assert term.value is not None, term.origin
    return np.asarray(term.value, float)


def _evaluated(term: Term, args: Sequence[Array]) -> Any:
    """One element-wise operation in float64; comparisons give 1 and 0."""
    settings = term.settings
    match term.op:
        case "Add":
            return args[0] + args[1]
        case "Sub":
            return args[0] - args[1]
        case "Mul":
            return args[0] * args[1]
        case "Div":
            return args[0] / args[1]
        case "Neg":
            return -args[0]
        case "Cast":
            return (args[0] != 0) if settings["bool"] else args[0]
        case "Greater":
            return args[0] > args[1]
        case "GreaterOrEqual":
            return args[0] >= args[1]
        case "Less":
            return args[0] < args[1]
        case "LessOrEqual":
            return args[0] <= args[1]
        case "Equal":
            return args[0] == args[1]
        case "Spike":
            return args[0] >= float(settings.get("threshold", 1.0))
        case "Where":
            return np.where(args[0] != 0, args[1], args[2])
        case "Not":
            return args[0] == 0
        case "And":
            return (args[0] != 0) & (args[1] != 0)
        case "Or":
            return (args[0] != 0) | (args[1] != 0)
        case "Xor":
            return (args[0] != 0) ^ (args[1] != 0)
        case "Max":
            return np.maximum(args[0], args[1])
        case "Min":
            return np.minimum(args[0], args[1])
        case "Clip":
            return np.clip(args[0], settings["min"], settings["max"])
        case "Abs":
            return np.abs(args[0])
        case "Sign":
            return np.sign(args[0])
        case "Relu":
            return np.maximum(args[0], 0)
        case "Sigmoid":
            return 1 / (1 + np.exp(-args[0]))
        case "Tanh":
            return np.tanh(args[0])
        case "Exp":
            return np.exp(args[0])
        case "Sqrt":
            return np.sqrt(args[0])
        case "Pow":
            return args[0] ** args[1]
        case op:
            raise Unknown(f"it computes {op}")
