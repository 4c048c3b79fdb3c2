"""Neurons in numbers, which what a file spells out is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ..ops.synaptic import weight_of_both
from .frontend import Array

Reset = Literal["hard", "soft", "none"]


@dataclass(frozen=True)
class Moment:
    """What a neuron has after a step; *h* and *b* are what it compared, *ready* where it was not waiting.

    *e* is what a `Dual` has: the current that its input excites.
    """

    v: Array
    i: Array
    s: Array
    w: Array
    a: Array
    h: Array
    b: Array
    wait: Array
    ready: Array
    e: Array


@dataclass(frozen=True)
class Model:
    """All neurons but `Dual` as one: each constant is an array over the elements, or 0 where there is none.

    ``i[t] = current_decay * i[t-1] + x[t-lag] + bias + echo * s[t-1]``,
    ``h[t] = decay * v[t-1] + share * (i[t] - w[t-1]) + eta``, fires above *threshold*, then resets; *echo* is what a
    spike hands to the input of the next step.  ``w`` is a current that spikes make grow by *jump*, and the membrane
    by *coupling*; it fades.  *rise* and *fall* are of a threshold that adapts, *period* is how long it waits after a
    spike.
    """

    decay: Array
    share: Array
    threshold: Array
    strict: bool
    eta: Array
    bias: Array | float = 0.0
    lag: int = 0
    reset: Reset = "none"
    delayed: bool = False
    v_reset: Array | float = 0.0
    amount: Array | None = None
    """What a soft reset takes away, where it is not the threshold."""

    current_decay: Array | None = None
    echo: Array | float = 0.0
    jump: Array | float = 0.0
    fading: Array | float = 0.0
    coupling: Array | float = 0.0
    rise: Array | float = 0.0
    fall: Array | float = 0.0
    period: int = 0

    def begin(self) -> Moment:
        """Before the first step."""
        none = np.zeros(self.share.shape)
        level = np.broadcast_to(self.threshold, none.shape).astype(float)
        return Moment(none, none, none, none, level, none, level, none, none == 0, none)

    def step(self, before: Moment, x: Array) -> Moment:
        """One step with the input *x* of the step itself."""
        given = x + self.bias + self.echo * before.s
        i = given if self.current_decay is None else self.current_decay * before.i + given
        h = self.decay * before.v + self.share * (i - before.w) + self.eta
        if self.delayed:
            h = self._after(h, before.s)
        ready = before.wait <= 0
        h = np.where(ready, h, before.v)
        b = self.threshold + self.fall * (before.a - self.threshold) if np.any(self.rise) else before.b
        s = ((h > b if self.strict else h >= b) & ready).astype(float)
        v = h if self.delayed else self._after(h, s)
        w = self.fading * before.w + (1 - self.fading) * self.coupling * (h - self._rest()) + self.jump * s
        wait = np.where(s > 0, float(self.period), np.maximum(before.wait - 1, 0))
        return Moment(v, i, s, w, b + self.rise * s, h, b, wait, ready, before.e)

    def run(self, inputs: Sequence[Array]) -> list[Moment]:
        """All steps."""
        moment = self.begin()
        found: list[Moment] = []
        for number in range(len(inputs)):
            moment = self.step(moment, inputs[number - self.lag] if number >= self.lag else np.zeros(self.share.shape))
            found.append(moment)
        return found

    def inputs_for(self, membranes: Sequence[Array]) -> list[Array]:
        """Inputs that bring the membrane to each of *membranes*, wherever an input can."""
        moment = self.begin()
        found: list[Array] = []
        for number, wanted in enumerate(membranes):
            x = np.zeros(self.share.shape)
            if number >= self.lag:
                x = (wanted - self.step(moment, x).h) / self.share
                found.append(x)
            moment = self.step(moment, x)
        return [*found, *(np.zeros(self.share.shape) for _ in range(self.lag))]

    def _after(self, potential: Array, s: Array) -> Array:
        if self.reset == "soft":
            return potential - s * (self.threshold if self.amount is None else self.amount)
        return np.where(s > 0, self.v_reset, potential) if self.reset == "hard" else potential

    def _rest(self) -> Array:
        leak = 1 - self.decay
        return np.divide(self.eta, leak, out=np.zeros_like(self.eta), where=leak != 0)


@dataclass(frozen=True)
class Dual(Model):
    """The operator alpha: a membrane of two currents that its input drives against each other.

    ``e[t] = decay * e[t-1] + share * x[t]``, ``i[t] = inhibitory * i[t-1] - share * x[t]``, ``h[t] = weight * (e[t] +
    i[t])``, which the input reaches with a *lag* of 1.  The reset acts on the step after a spike.
    """

    inhibitory: Array | float = 0.0
    weight: Array | float = 1.0

    @classmethod
    def of(cls, base: Model) -> Dual | None:
        """The one that answers an impulse as *base* does, with the weight of an alpha neuron; None where none does."""
        if base.current_decay is None or base.lag != 1 or np.any(base.eta):
            return None
        slow, fast = np.maximum(base.decay, base.current_decay), np.minimum(base.decay, base.current_decay)
        if not ((0 < fast) & (fast < slow) & (slow <= 1)).all():
            return None
        weight = np.vectorize(weight_of_both)(slow, fast)
        share = base.share / (weight * (slow - fast))
        return cls(slow, share, base.threshold, base.strict, base.eta, lag=1, inhibitory=fast, weight=weight)

    def driven(self, share: Array) -> Dual:
        """One that answers an impulse alike, whose currents take this *share* of the input."""
        return replace(self, share=share, weight=self.weight * self.share / share)

    def step(self, before: Moment, x: Array) -> Moment:
        """One step with the input *x*, which its membrane shows in the next."""
        e, i = self.decay * before.e + self.share * x, self.inhibitory * before.i - self.share * x
        h = self.weight * (self.decay * before.e + self.inhibitory * before.i)
        fired = before.s > 0
        if self.reset != "none":
            i = np.where(fired, 0.0, i)
        if self.reset == "soft":
            h, e = np.where(fired, h + before.i, h), np.where(fired, e - self.threshold, e)
        elif self.reset == "hard":
            h, e = np.where(fired, 0.0, h), np.where(fired, 0.0, e)
        s = (h > self.threshold if self.strict else h >= self.threshold).astype(float)
        return replace(before, v=h, h=h, s=s, e=e, i=i)

    def run(self, inputs: Sequence[Array]) -> list[Moment]:
        """All steps."""
        moment = self.begin()
        found: list[Moment] = []
        for x in inputs:
            moment = self.step(moment, x)
            found.append(moment)
        return found

    def inputs_for(self, membranes: Sequence[Array]) -> list[Array]:
        """Inputs that bring the membrane to each of *membranes* but the first, wherever an input can.

        Where none can, since a reset discards it, it is as large as if it could.
        """
        moment = self.begin()
        none = np.zeros(self.share.shape)
        usual = self.weight * self.share * (self.decay - self.inhibitory)
        found: list[Array] = []
        for wanted in membranes[1:]:
            without, with_one = (self.step(self.step(moment, none + k), none).h for k in (0, 1))
            slope = with_one - without
            x = (wanted - without) / np.where(np.abs(slope) > 1e-3 * np.abs(usual), slope, usual)
            moment = self.step(moment, x)
            found.append(x)
        return [*found, none]
