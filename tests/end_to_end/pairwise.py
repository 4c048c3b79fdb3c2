"""A covering selection: few cases in which every pair of values of two axes occurs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, product
from typing import Any, TypeAlias

Values: TypeAlias = tuple[Any, ...]
Pair: TypeAlias = tuple[int, int, int, int]
"""Two axes, and the place of a value on each."""


def everything(axes: Mapping[str, Sequence[Any]]) -> list[Values]:
    """The whole product, the last axis fastest."""
    return list(product(*axes.values()))


def pairwise(axes: Mapping[str, Sequence[Any]]) -> list[Values]:
    """Cases, one value an axis each, in which every pair of values occurs; the same ones in every run.

    Greedy: a case begins with the first pair that no case has; every other axis takes the value that adds most pairs,
    and among equals the one that was taken least.
    """
    sizes = [len(values) for values in axes.values()]
    lists = [list(values) for values in axes.values()]
    if len(sizes) < 2:
        return everything(axes)
    missing = dict.fromkeys(
        (a, b, i, j)
        for a, b in combinations(sorted(range(len(sizes)), key=lambda axis: -sizes[axis]), 2)
        for i in range(sizes[a])
        for j in range(sizes[b])
    )
    taken = [[0] * size for size in sizes]
    cases: list[Values] = []
    while missing:
        a, b, i, j = next(iter(missing))
        case = {a: i, b: j}
        for axis in range(len(sizes)):
            if axis not in case:
                gains = [sum(pair in missing for pair in _pairs(case, axis, value)) for value in range(sizes[axis])]
                case[axis] = min(range(sizes[axis]), key=lambda value: (-gains[value], taken[axis][value], value))
        for axis, value in case.items():
            taken[axis][value] += 1
            for pair in _pairs({k: v for k, v in case.items() if k != axis}, axis, value):
                missing.pop(pair, None)
        cases.append(tuple(lists[axis][case[axis]] for axis in range(len(sizes))))
    return cases


def _pairs(case: Mapping[int, int], axis: int, value: int) -> list[Pair]:
    """The pairs, in both orders, that *axis* = *value* makes with the axes of *case*."""
    found: list[Pair] = []
    for other, chosen in case.items():
        found += [(axis, other, value, chosen), (other, axis, chosen, value)]
    return found
