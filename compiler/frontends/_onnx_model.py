"""A neuron in numbers, which what a file spells out is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .frontend import Array


@dataclass(frozen=True)
class Model:
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
