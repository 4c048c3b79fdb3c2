"""Dynamic loss scaling: the host's half of it.

The program skips an update whose gradients have inf or NaN and says so (result ``overflow``); the host then lowers the
scale, and raises it after enough good steps in a row.  The rule is that of torch.amp.GradScaler.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from .schedules import called

LEAST_SCALE = 2.0**-24
"""The smallest f16.  With a smaller scale the errors of a mean loss vanish: gradients that still overflow then do so
whatever the scale."""


@dataclass(frozen=True)
class Scale:
    """A loss scale (an f32), and how many steps in a row were good with it."""

    value: float
    good: int = 0


@dataclass(frozen=True)
class Scaling:
    """From *initial*, times *growth* after *interval* good steps in a row, times *backoff* after each skipped one."""

    initial: float = 65536.0
    growth: float = 2.0
    backoff: float = 0.5
    interval: int = 2000

    @classmethod
    def of(cls, written: object) -> Self | None:
        """What settings write as ``loss_scale``: a call of ``dynamic``; None for a number, which does not change."""
        if written is None or isinstance(written, (int, float)):
            return None
        name, options = called(written)
        if name != "dynamic":
            raise ValueError(f"a loss scale is a number or dynamic, not {name}")
        return cls(**options)

    @property
    def begin(self) -> Scale:
        """Before the first step."""
        return Scale(_single(self.initial))

    def after(self, scale: Scale, overflow: bool) -> Scale:
        """After a step with *scale*."""
        if overflow:
            return Scale(_single(scale.value * self.backoff))
        if scale.good + 1 < self.interval:
            return Scale(scale.value, scale.good + 1)
        grown = _single(scale.value * self.growth)
        return Scale(grown if np.isfinite(grown) else scale.value)


def _single(number: float) -> float:
    """*number* as the f32 that the program gets."""
    with np.errstate(over="ignore"):
        return float(np.float32(number))
