"""A covering selection: few cases in which all occurs that is wanted, such as every pair of values of two axes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import combinations, product
from typing import Any, TypeAlias

Values: TypeAlias = tuple[Any, ...]


def everything(axes: Mapping[str, Sequence[Any]]) -> list[Values]:
    """The whole product, the last axis fastest."""
    return list(product(*axes.values()))


def pairs(values: Values) -> set[Hashable]:
    """Every two of *values*, with their places."""
    return set(combinations(enumerate(values), 2))


def covering(cases: Sequence[Values], wanted: Callable[[Values], set[Hashable]] = pairs) -> list[Values]:
    """Few of *cases*, in which all occurs that is *wanted* of any; the same ones in every run.

    Greedy: the next one adds most, and among equals has the values that were taken least; of these it is the first.
    """
    of = {case: wanted(case) for case in cases}
    missing = set[Hashable]().union(*of.values())
    taken: dict[Hashable, int] = {}
    chosen: list[Values] = []
    while missing:
        best = min(of, key=lambda case: (-len(of[case] & missing), sum(taken.get(each, 0) for each in enumerate(case))))
        missing -= of.pop(best)
        for each in enumerate(best):
            taken[each] = taken.get(each, 0) + 1
        chosen.append(best)
    return chosen
