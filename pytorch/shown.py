"""What a machine that works in f16 makes of parameters: masters keep them, working copies are rounded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compiler.frontends.frontend import Note
from ..source import Place

LARGEST = 65504.0


def rounding(parameters: Mapping[str, NDArray[Any]], place: Place) -> Iterator[Note]:
    """Notes of values that f16 does not hold: how many are rounded, and each parameter that overflows or vanishes."""
    changed = count = 0
    furthest = 0.0
    for name, array in parameters.items():
        single = np.asarray(array, np.float32)
        with np.errstate(over="ignore", under="ignore"):
            half = single.astype(np.float16).astype(np.float32)
        beyond = ~np.isfinite(half)
        if beyond.any():
            yield Note(
                "warning", place, f"{name} has {int(beyond.sum()):,} elements beyond f16, which ends at {LARGEST:g}"
            )
        differs = ~beyond & (half != single)
        count += single.size
        changed += int(differs.sum())
        if differs.any():
            furthest = max(furthest, float(np.abs(half - single)[differs].max()))
    if changed:
        told = f"machines that work in f16 round {changed:,} of {count:,} elements of the parameters, by at most "
        yield Note("assumption", place, f"{told}{furthest:.2g}; masters, and what goes back, keep float32")
