"""Neurons in what a step spells out, told by what they do and not by how they are written.

Element-wise terms that wait for one another through the step before are the inside of a neuron.  It is tried out with
inputs that tell its constants apart: how it answers an impulse, where it fires, what is left after a spike.  What is
found is held against it on random inputs for many steps; only a neuron that gives the same spikes and the same membrane
to within rounding is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from ..ir.graph import Setting
from ._onnx_clusters import Cluster, read_outside
from ._onnx_constants import differs, one_a_channel, one_sample, rounded, two_poles, uniform
from ._onnx_elements import COMPARISONS, Unknown, evaluated, fired, is_bit, number, same_comparison
from ._onnx_model import Model
from ._onnx_steps import Body
from ._onnx_terms import Term
from .frontend import Array

_TOLERANCE = 1e-9
_TRIALS, _STEPS = 2, 24


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


def recognise(cluster: Cluster, body: Body) -> Found:
    """The neuron that *cluster* is; `Unknown` with the reason where it is none."""
    if not cluster.drives:
        raise Unknown("nothing drives it")
    probe = _Probe(cluster, body)
    spikes = [term for term in cluster.members if term.op in COMPARISONS]
    if not spikes:
        return probe.readout()
    return probe.spiking(spikes)


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
                args = [values[id(arg)] if id(arg) in values else number(arg) for arg in term.args]
                values[id(term)] = np.asarray(evaluated(term, args), float)
            found.append(values)
            states = {id(state): values[id(self.body.previous[id(state)])] for state in self.cluster.states}
        return found

    def _first(self, state: Term, start: float) -> float:
        """Bits begin at 0; what is carried begins at *start*."""
        return 0.0 if is_bit(self.body.previous[id(state)]) else start

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
        poles = two_poles(g)
        return poles[0], g[0], poles[1], rest[0]

    def readout(self) -> Found:
        """A neuron without spikes: its last value is what is read."""
        of = next(
            (term for term in reversed(self.cluster.members) if self._is_state(term) and not self._fades(term)), None
        )
        outside = [term for term in self.cluster.members if read_outside(term, self.cluster, self.body)]
        of = outside[-1] if outside else of
        if of is None:
            raise Unknown("nothing of it is read")
        decay, share, current, offset = self._linear(of, np.ones(self.shape))
        model = Model(decay, share, np.full(of.shape, np.inf), True, offset / share, current_decay=current)
        models = [model] if current is None else [model, replace(model, decay=current, current_decay=decay)]
        for model in models:
            if self._agrees(model, of, None):
                settings = _leak(model, "integrator")
                bias = None if not model.bias.any() else one_sample(model.bias)
                op = settings.pop("op")
                assert isinstance(op, str)
                decayed = None if model.current_decay is None else uniform(model.current_decay, "decay of its current")
                return Found(op, settings, bias, self._roles(model, "v"), decayed)
        raise Unknown("it is linear, and carries more than a membrane and a current")

    def _is_state(self, term: Term) -> bool:
        return any(self.body.previous[id(state)] is term for state in self.cluster.states)

    def _fades(self, term: Term) -> bool:
        return is_bit(term)

    def spiking(self, spikes: Sequence[Term]) -> Found:
        """A neuron that fires: constants from its answers, then the reset that explains them."""
        last = spikes[-1]
        h, threshold, strict = fired(last)
        for other in spikes:
            if not same_comparison(other, last, self.body):
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
        base = Model(decay, share, threshold, strict, offset / share, current_decay=current)
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
                    v_reset = rounded(float(guess.flat[0]))
                model = replace(each, reset=reset, delayed=delayed, v_reset=v_reset)
                if self._agrees(model, h, last):
                    return self._found(model, h, last)
        raise Unknown("its reset is none of hard, soft and none, at once or delayed")

    def _found(self, model: Model, h: Term, spike: Term) -> Found:
        varied: dict[str, Array] = {}
        if differs(model.decay) and model.current_decay is None:
            share = (
                uniform(np.where(model.decay == 1, model.share, model.share / (1 - model.decay)), "")
                if differs(model.share)
                else 0.0
            )
            varied["w"] = one_a_channel(model.decay, "decay")
            settings: dict[str, Setting] = {"op": "plif", "form": "clamp", "each": "channel"}
            settings["decay"] = float(varied["w"][0])
            if share:
                if abs(share - 1) > 1e-6:
                    raise Unknown("its decay differs from element to element, and its input is scaled besides")
                settings["decay_input"] = True
            elif abs(uniform(model.share, "factor of its input") - 1) > 1e-6:
                raise Unknown("its decay differs from element to element, and its input is scaled besides")
        else:
            settings = _leak(model, "if")
        op = settings.pop("op")
        assert isinstance(op, str)
        if differs(model.threshold):
            varied["theta"] = one_a_channel(model.threshold, "threshold")
            settings["learn_threshold"] = "channel"
        if model.current_decay is not None:
            op = "cuba"
            settings = {"decay": uniform(model.decay, "decay"), **settings}
            settings["current_decay"] = uniform(model.current_decay, "decay of its current")
        settings["threshold"] = rounded(float(model.threshold.flat[0]))
        settings["reset"] = model.reset
        settings["compare"] = "gt" if model.strict else "ge"
        if model.delayed:
            settings["reset_time"] = "delayed"
        if model.reset == "hard" and model.v_reset:
            settings["v_reset"] = model.v_reset
            settings["initial"] = model.v_reset
        bias = None if not model.bias.any() else one_sample(model.bias)
        if bias is not None and op == "lif" and not differs(model.bias):
            # A constant in every step is a potential to leak to, as a membrane that leaks to v_reset has it.
            decay = uniform(model.decay, "decay")
            if decay < 1:
                settings["rest"] = rounded(float((model.bias * model.share).flat[0]) / (1 - decay))
                bias = None
        return Found(op, settings, bias, self._roles(model, "h"), varied=varied)

    def _agrees(self, model: Model, h: Term, spike: Term | None) -> bool:
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

    def _roles(self, model: Model, membrane: str) -> dict[int, tuple[str, float]]:
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
                    found.setdefault(id(term), (suffix, rounded(factor)))
        return found


def _leak(model: Model, without: str) -> dict[str, Setting]:
    """Operator and settings of how *model* leaks; *without* is the operator that does not."""
    decay, share = uniform(model.decay, "decay"), uniform(model.share, "factor of its input")
    spiking = "if" if without == "if" else "li"
    if abs(decay - 1.0) < 1e-12 and abs(share - 1.0) < 1e-9:
        return {"op": without}
    settings: dict[str, Setting] = {"op": "lif" if spiking == "if" else "li", "decay": decay}
    if not 0 <= decay <= 1:
        raise Unknown(f"its membrane is multiplied by {decay:g} in each step, which is not between 0 and 1")
    if abs(share - (1.0 - decay)) < 1e-7 * abs(share) and decay < 1:
        settings["decay_input"] = True
    elif abs(share - 1.0) > 1e-9:
        settings["gain"] = rounded(share)
    return settings
