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
        there = single != 0
        for told, wrong in (("beyond", ~np.isfinite(half)), ("too small for", there & (half == 0))):
            if wrong.any():
                yield Note(
                    "warning", place, f"{name} has {int(wrong.sum()):,} elements {told} f16 (it ends at {LARGEST:g})"
                )
        differs = np.isfinite(half) & (half != single) & (half != 0)
        count += single.size
        changed += int(differs.sum())
        if differs.any():
            furthest = max(furthest, float(np.abs(half / single - 1)[differs].max()))
    if changed:
        told = f"machines that work in f16 round {changed:,} of {count:,} elements of the parameters, by at most "
        yield Note("assumption", place, f"{told}{100 * furthest:.2g} %; masters and what goes back keep float32")
