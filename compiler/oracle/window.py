"""Windows: the largest of each, its sum, and the way back to the element that was the largest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ..ir.statement import Window
from .layout import Array, Types, exists, place, seen
from .numbers import Numerics


def run(
    statement: Window, values: Mapping[str, Array], targets: Mapping[str, Array], types: Types, numerics: Numerics
) -> None:
    """Write the target of the statement, and the tap of a ``max``; ValueError for another kind."""
    match statement.kind:
        case "max":
            _largest(statement, values, targets, types, numerics)
        case "sum":
            _sum(statement, values, targets, types, numerics)
        case "unmax":
            _chosen(statement, values, targets, types, numerics)
        case kind:
            raise ValueError(f"there is no window of kind {kind!r}")


def _largest(
    statement: Window, values: Mapping[str, Array], targets: Mapping[str, Array], types: Types, numerics: Numerics
) -> None:
    """Ties take the first tap, NaN is larger than all; a window of nothing gives 0 and tap 0."""
    best, tap, found = (np.zeros(_outer(statement), kind) for kind in (numerics.lane, np.int64, np.bool_))
    for number, (_, value, there) in enumerate(_taps(statement, values, numerics)):
        with np.errstate(invalid="ignore"):
            better = there & (~found | (value > best) | (np.isnan(value) & ~np.isnan(best)))
        best, tap = np.where(better, value, best), np.where(better, number, tap)
        found = found | there
    _write(statement, targets, types, numerics, best)
    if statement.tap is not None:
        window = place(targets[statement.tap.value], statement.tap, _kept(statement))
        window[...] = numerics.edge(tap, types[statement.tap.value].format)


def _sum(
    statement: Window, values: Mapping[str, Array], targets: Mapping[str, Array], types: Types, numerics: Numerics
) -> None:
    """Exact for bits and counts, in f32 from +0 for others; the scale joins before the one rounding."""
    exact = types[statement.source.value].kind.kind in ("bit", "unsigned")
    total = np.zeros(_outer(statement), np.float64 if exact else numerics.lane)
    with np.errstate(all="ignore"):
        for _, value, there in _taps(statement, values, numerics):
            total = np.where(there, total + value, total)
        scaled = total.astype(np.float64) * numerics.factor(statement.scale)
    _write(statement, targets, types, numerics, scaled)


def _chosen(
    statement: Window, values: Mapping[str, Array], targets: Mapping[str, Array], types: Types, numerics: Numerics
) -> None:
    """The errors whose window chose this element, added in ascending order of the tap that is sought."""
    if statement.tap is None:
        raise ValueError(f"an unmax of {statement.target.value} needs the taps")
    taps = seen(values[statement.tap.value], statement.tap, statement.loops)

    def sought(at: dict[str, int]) -> int:
        return statement.first + sum(s * at[name] for name, s in zip(statement.taps, statement.step, strict=True))

    total = np.zeros(_outer(statement), numerics.lane)
    with np.errstate(all="ignore"):
        for at, value, there in sorted(_taps(statement, values, numerics), key=lambda found: sought(found[0])):
            chosen = _fixed(taps, statement, at)
            total = np.where(there & (chosen == sought(at)), total + value, total)
    _write(statement, targets, types, numerics, total)


def _taps(
    statement: Window, values: Mapping[str, Array], numerics: Numerics
) -> Iterator[tuple[dict[str, int], Array, NDArray[np.bool_]]]:
    """(place in the window, source, whether it is there) of each tap, the last loop fastest."""
    array = values[statement.source.value]
    source = seen(array, statement.source, statement.loops).astype(numerics.lane, copy=False)
    inside = exists(array.shape, statement.source, statement.loops)
    for place_ in product(*(range(statement.extents[name]) for name in statement.taps)):
        at = dict(zip(statement.taps, place_, strict=True))
        yield at, _fixed(source, statement, at), _fixed(inside, statement, at)


def _fixed(view: Array, statement: Window, at: dict[str, int]) -> Array:
    """The view at one place in the window, one axis a loop outside of it."""
    return view[
        tuple(
            (at[name] if view.shape[k] > 1 else 0) if name in at else slice(None)
            for k, (name, _) in enumerate(statement.loops)
        )
    ]


def _kept(statement: Window) -> tuple[tuple[str, int], ...]:
    """Loops outside of the window."""
    return tuple((name, extent) for name, extent in statement.loops if name not in statement.taps)


def _outer(statement: Window) -> tuple[int, ...]:
    """Their extents."""
    return tuple(extent for _, extent in _kept(statement))


def _write(statement: Window, targets: Mapping[str, Array], types: Types, numerics: Numerics, result: Array) -> None:
    """The result rounded to the target's format, at its place."""
    window = place(targets[statement.target.value], statement.target, _kept(statement))
    window[...] = numerics.edge(result, types[statement.target.value].format)
