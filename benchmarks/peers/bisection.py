"""A threshold at which something fires as often as it should."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

DOUBLINGS = 40
HALVINGS = 40


def threshold_for(
    rate_of: Callable[[float], float], wanted: float, first: float, within: float = 0.001
) -> tuple[float, float]:
    """A threshold that f16 holds, and its rate: within *within* of *wanted*, or as near as any that was tried.

    *rate_of* must fall as the threshold grows.  Steps from *first* double until rates lie on both sides, and are then
    halved.
    """
    tried: dict[float, float] = {}

    def rate(threshold: float) -> float:
        held = float(np.float16(np.clip(threshold, -60000.0, 60000.0)))
        if held not in tried:
            tried[held] = rate_of(held)
        return tried[held]

    def error(threshold: float) -> float:
        return abs(tried[threshold] - wanted)

    low = high = float(np.float16(first))
    step = max(abs(first), 1.0) / 8
    for _ in range(DOUBLINGS):
        if rate(low) >= wanted >= rate(high) or min(map(error, tried)) <= within:
            break
        if rate(low) < wanted:
            low -= step
        else:
            high += step
        step *= 2
    for _ in range(HALVINGS):
        if min(map(error, tried)) <= within:
            break
        middle = (low + high) / 2
        low, high = (middle, high) if rate(middle) > wanted else (low, middle)
    best = min(tried, key=error)
    return best, tried[best]
