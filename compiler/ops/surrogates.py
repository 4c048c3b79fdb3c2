"""Surrogate derivatives of the spike, ``phi(x)`` with ``x = h - threshold``.

To add one, add a line: its word in a network, the default of its parameter, where it comes from, the expression.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from ...catalog import unknown
from ..ir.expression import Expression, exp, maximum, where


@dataclass(frozen=True)
class Surrogate:
    """*derivative* of the distance to the threshold and the parameter alpha."""

    name: str
    default: float
    source: str
    derivative: Callable[[Expression, float], Expression]

    def __call__(self, x: Expression, alpha: float = 0.0) -> Expression:
        """``phi(x)``; alpha 0 stands for the default."""
        return self.derivative(x, alpha or self.default)


def _sigmoid(x: Expression, a: float) -> Expression:
    """``a * y * (1 - y)``, ``y = 1 / (1 + exp(-a x))``."""
    y = 1.0 / (1.0 + exp(x * -a))
    return (y * (1.0 - y)) * a


def _squared(x: Expression) -> Expression:
    return x * x


_ALL = (
    Surrogate("rect", 1.0, "STBP, tdBN, MS-ResNet", lambda x, a: where(abs(x) < 0.5 / a, a, 0.0)),
    Surrogate("triangle", 1.0, "SLTT, TET (g = 1/a)", lambda x, a: maximum(a - abs(x) * (a * a), 0.0)),
    Surrogate("sigmoid", 4.0, "OTTT; SpikingJelly's default", _sigmoid),
    Surrogate(
        "atan", 2.0, "SpikingJelly; snnTorch's default", lambda x, a: (a / 2) / (1.0 + _squared(x * (math.pi * a / 2)))
    ),
    Surrogate("fast_sigmoid", 25.0, "snnTorch (SuperSpike)", lambda x, k: 1.0 / _squared(1.0 + abs(x) * k)),
)
SURROGATES: dict[str, Surrogate] = {entry.name: entry for entry in _ALL}


def surrogate(name: str) -> Surrogate:
    """The surrogate called *name*; `UnknownName` with the nearest one."""
    if name not in SURROGATES:
        raise unknown("surrogate", name, SURROGATES)
    return SURROGATES[name]
