"""Trials of what a step spells out: it is handed inputs, and answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ._onnx_clusters import Cluster
from ._onnx_constants import rounded, two_poles, with_a_zero
from ._onnx_elements import COMPARISONS, Compared, Unknown, compared, evaluated, is_bit, number
from ._onnx_model import Model, Moment
from ._onnx_steps import Body
from ._onnx_terms import ELEMENTWISE, Term
from .frontend import Array

Values = dict[int, Array]

_TOLERANCE = 1e-9
_TRIALS, _STEPS, _ELEMENTS = 2, 40, 8
_ANSWERS = 6
"""Steps in which an impulse is followed."""

NO_SUM = (
    "what it charges is no sum of shares of its potential and its input "
    "(it is quadratic or exponential, or held within bounds)"
)


class Probe:
    """The inside of a neuron as something that can be tried out."""

    def __init__(self, cluster: Cluster, body: Body) -> None:
        """`Unknown` unless it sees nothing of what drives it but the sum."""
        self.cluster = cluster
        self.body = body
        self.whole = np.broadcast_shapes(*(drive.shape for drive in cluster.drives))
        """The shape of what fires; trials take one element for all that have the same constants."""

        self._constants = {
            id(arg): _short(arg) for term in cluster.members for arg in term.args if arg.value is not None
        }
        given = np.broadcast_shapes(*(value.shape for value in self._constants.values()))
        self.shape = (*(1 for _ in self.whole[len(given) :]), *given)[-len(self.whole) :]
        self._begins: Values = {}
        self._check_sum()

    def run(self, inputs: Sequence[Array], through: int = 0) -> Iterator[Values]:
        """The values of all members, step by step; all of the input comes *through* one of the drives."""
        none = np.zeros(self.shape)
        states = {id(state): self._begins.get(id(state), none) for state in self.cluster.states}
        for each in inputs:
            drives = enumerate(self.cluster.drives)
            values = {**states, **{id(drive): each if k == through else none for k, drive in drives}}
            for term in self.cluster.members:
                args = [values[id(arg)] if id(arg) in values else self._constants[id(arg)] for arg in term.args]
                values[id(term)] = np.asarray(evaluated(term, args), float)
            yield values
            states = {id(state): values[id(self.body.previous[id(state)])] for state in self.cluster.states}

    def answers(self, of: Term, inputs: Sequence[Array]) -> list[Array]:
        """*of* in each step."""
        return [np.broadcast_to(values[id(of)], self.shape) for values in self.run(inputs)]

    def _check_sum(self) -> None:
        rng = np.random.default_rng(3)
        inputs = [rng.uniform(-1, 1, self.shape) for _ in range(4)]
        spikes = [term for term in self.cluster.members if term.op in COMPARISONS]
        seen = [compared(term)[0].of for term in spikes]
        seen += [self.body.previous[id(state)] for state in self.cluster.states]
        first, *others = (list(self.run(inputs, number)) for number in range(len(self.cluster.drives)))
        for other in others:
            for one, another in zip(first, other, strict=True):
                if not all(np.allclose(one[id(term)], another[id(term)], rtol=1e-9) for term in seen):
                    raise Unknown("it is driven by several values, and by more of them than their sum")

    def knows(self, what: Compared) -> bool:
        """Whether all that is compared is inside."""
        inside = {id(term) for term in (*self.cluster.members, *self.cluster.states)}
        return id(what.of) in inside and (what.moving is None or id(what.moving) in inside)

    # What it does while it does not fire

    def linear(self, what: Compared) -> list[Model]:
        """How it charges, in each way that explains how it answers an impulse; `Unknown` where none does."""
        h, threshold = what.of, np.broadcast_to(what.threshold, self.shape).astype(float)
        none = np.zeros(self.shape)
        quiet = self.answers(h, [none] * 2)
        pushed = self.answers(h, [none + 1, none])
        lag = 0 if (pushed[0] != quiet[0]).all() else 1
        unit = pushed[lag] - quiet[lag]
        if (unit == 0).any() or (lag and (pushed[0] != quiet[0]).any()):
            raise Unknown("its membrane follows its input neither in the same step nor in the next")
        calm = self._calm(what, none, -quiet[0] / unit)
        room = np.where(np.isfinite(threshold), threshold - quiet[0] - unit * calm, 1.0)
        low = 0.01 * room / unit
        length = _ANSWERS + lag
        rest = self.answers(h, [calm] * length)[lag:]
        one, two = (
            [
                (pushed - left) / (times * low)
                for pushed, left in zip(self._pushed(h, calm, times * low, length)[lag:], rest, strict=True)
            ]
            for times in (1, 2)
        )
        size = np.abs(one[0]).max()
        if not all(np.allclose(a, b, rtol=1e-6, atol=1e-9 * size) for a, b in zip(one, two, strict=True)):
            raise Unknown(NO_SUM)
        at_rest = self.answers(h, [none])[0]
        base = Model(none, one[0], threshold, what.strict, at_rest, lag=lag)
        return self._explained(base, one, size)

    def _explained(self, base: Model, g: Sequence[Array], size: float) -> list[Model]:
        first = g[1] / g[0]
        if all(np.allclose(g[k + 1], first * g[k], rtol=1e-6, atol=1e-12 * size) for k in range(1, len(g) - 1)):
            return [replace(base, decay=first)]
        found: list[Model] = []
        for current, decay in two_poles(g):
            whole = replace(base, decay=decay, current_decay=current)
            found.append(whole)
            found.append(replace(whole, eta=np.zeros(self.shape), bias=base.eta / base.share))
        swinging = with_a_zero(g)
        if swinging is not None:
            decay, fading, product = swinging
            share = base.share * (1 - fading)
            coupling = np.divide(product, share, out=np.zeros_like(share), where=share != 0)
            found.append(replace(base, decay=decay, fading=fading, coupling=coupling))
        if not found:
            raise Unknown("its membrane follows its input through more than a current")
        return found

    def _pushed(self, h: Term, calm: Array, more: Array, length: int) -> list[Array]:
        return self.answers(h, [calm + more, *[calm] * (length - 1)])

    def _calm(self, what: Compared, none: Array, against: Array) -> Array:
        """An input with which it does not fire."""
        length = 2 + _ANSWERS
        for calm in (none, against):
            if all((each < what.threshold).all() for each in self.answers(what.of, [calm] * length)):
                return calm
        raise Unknown("it fires without an input")

    def beginning(self, what: Compared, model: Model) -> Array | None:
        """The potential before the first step, where the file tells it."""
        first = self.body.first.get(id(what.of))
        if first is None or (np.asarray(model.decay) == 0).any():
            return None
        drives = [self.body.first.get(id(drive)) for drive in self.cluster.drives]
        known = [drive for drive in drives if drive is not None]
        if len(known) < len(drives) and any(self._carried(drive) for drive in self.cluster.drives):
            return None
        charged = _charged(first, {id(drive): np.zeros(()) for drive in known if drive.value is None})
        constant = sum((number(drive) for drive in known if drive.value is not None), np.zeros(self.shape))
        for drive, found in zip(self.cluster.drives, drives, strict=True):
            constant = constant if found is not None else constant + _charged(drive, {})
        return (charged - model.step(model.begin(), constant).h) / model.decay

    def _carried(self, drive: Term) -> bool:
        """Whether *drive* is made of anything that the step before left."""
        return any(id(term) in self.body.previous for term in drive.walk())

    # What a spike does to it

    def after_a_spike(self, what: Compared, model: Model, steps: int) -> tuple[list[Array], list[Array]]:
        """(inputs of which the first makes it fire, what is compared in each of the *steps* from then on)."""
        top = np.where(model.threshold > 0, 1.5 * model.threshold, model.threshold + 1)
        calm = np.where(model.threshold > 0, 0.0, model.threshold - 1)
        inputs = model.inputs_for([*[calm] * model.lag, top, *[calm] * (steps - 1)])
        return inputs, self.answers(what.of, inputs)

    def agrees(self, what: Compared, model: Model, most: float = 3.0) -> bool:
        """Whether it does what *model* does while inputs bring its potential to -1.5 to *most* times the threshold."""
        for inputs, moments in self._trials(model, most):
            for values, moment in zip(self.run(inputs), moments, strict=True):
                size = 1 + np.abs(moment.h).max()
                if np.abs(np.where(moment.ready, values[id(what.of)] - moment.h, 0)).max() > _TOLERANCE * size:
                    return False
                if what.moving is not None:
                    moving = values[id(what.moving)] + what.threshold
                    if np.abs(moving - moment.b).max() > _TOLERANCE * size:
                        return False
        return True

    def roles(self, model: Model, names: Mapping[str, str], most: float = 3.0) -> dict[int, tuple[str, float]]:
        """Which member is a result, or a multiple of one; *names* gives suffixes by what a `Moment` calls it."""
        trials = [(list(self.run(inputs)), moments) for inputs, moments in self._trials(model, most)]
        found: dict[int, tuple[str, float]] = {}
        for term in self.cluster.members:
            made = np.stack([np.broadcast_to(v[id(term)], self.shape) for values, _ in trials for v in values])
            for name, suffix in names.items():
                wanted = np.stack([getattr(moment, name) for _, moments in trials for moment in moments])
                factor = float((made * wanted).sum() / max((wanted * wanted).sum(), 1e-300))
                if factor and np.allclose(made, factor * wanted, rtol=1e-7, atol=1e-9 * np.abs(made).max()):
                    found.setdefault(id(term), (suffix, rounded(factor)))
        return found

    def _trials(self, model: Model, most: float) -> Iterator[tuple[list[Array], list[Moment]]]:
        rng = np.random.default_rng(7)
        size = np.where(np.isfinite(model.threshold) & (model.threshold != 0), np.abs(model.threshold), 1.0)
        for _ in range(max(_TRIALS, _ELEMENTS // int(np.prod(self.shape)))):
            inputs = model.inputs_for([rng.uniform(-1.5, most, self.shape) * size for _ in range(_STEPS)])
            yield inputs, model.run(inputs)

    # Thresholds that change

    def settle(self, moving: Term) -> None:
        """Let every state that nothing but the threshold is made of begin where it stays without spikes."""
        none = np.zeros(self.shape)
        usual = next(self.run([none]))
        for state in self.cluster.states:
            maker = self.body.previous[id(state)]
            if is_bit(maker):
                continue
            self._begins[id(state)] = np.ones(self.shape)
            moved = next(self.run([none]))
            if (moved[id(moving)] == usual[id(moving)]).all():
                del self._begins[id(state)]
                continue
            kept = moved[id(maker)] - usual[id(maker)]
            stays = np.divide(usual[id(maker)], 1 - kept, out=np.zeros(kept.shape), where=np.abs(1 - kept) > 1e-9)
            self._begins[id(state)] = np.broadcast_to(stays, self.shape)


def _short(term: Term) -> Array:
    """A constant; one element where all are equal."""
    value = number(term)
    return value.reshape(-1)[:1].reshape(()) if value.size and np.ptp(value) == 0 else value


def _charged(whole: Term, values: Values) -> Array:
    """The value of *whole* where some *values* are given, and whatever comes from further away is 0."""
    waiting = [whole]
    while waiting:
        term = waiting[-1]
        before = [arg for arg in term.args if id(arg) not in values]
        if term.value is not None:
            values[id(term)] = number(term)
        elif id(term) not in values and (term.op not in ELEMENTWISE or term.op == "Dropout" or is_bit(term)):
            values[id(term)] = np.zeros(())
        elif id(term) not in values and before:
            waiting += before
            continue
        elif id(term) not in values:
            values[id(term)] = np.asarray(evaluated(term, [values[id(arg)] for arg in term.args]), float)
        waiting.pop()
    return values[id(whole)]
