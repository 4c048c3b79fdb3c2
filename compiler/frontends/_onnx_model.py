"""A neuron in numbers, which what a file spells out is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .frontend import Array

Reset = Literal["hard", "soft", "none"]


@dataclass(frozen=True)
class Moment:
    """What a neuron has after a step; *h* and *b* are what it compared, *ready* where it was not waiting."""

    v: Array
    i: Array
    s: Array
    w: Array
    a: Array
    h: Array
    b: Array
    wait: Array
    ready: Array


@dataclass(frozen=True)
class Model:
    """All neurons that there are, as one: each constant is an array over the elements, or 0 where there is none.

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
        return Moment(none, none, none, none, level, none, level, none, none == 0)

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
        return Moment(v, i, s, w, b + self.rise * s, h, b, wait, ready)

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
