"""Values that change their place: parts of a result, each an element-wise statement with indices of its own.

What joins, repeats, cuts out and spreads is said here; several such statements write disjoint parts of one result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..ir.expression import Expression
from ..ir.statement import Elementwise, Index, Write, loop
from .site import Site, element_loops

Along = Mapping[str, int]
"""Loops that walk one axis with their extents, outermost first."""


def placed(
    at: Site,
    axes: Sequence[Along],
    reads: Mapping[str, tuple[str, Sequence[Index]]],
    target: str,
    index: Sequence[Index],
    expression: Expression,
) -> Elementwise:
    """``target[index] = expression`` at every turn of the loops of all *axes*, channels first.

    *reads* maps names in the expression to (value, index); indices have one entry a factor, time and sample enter
    them by themselves.
    """
    lead = dict(at.lead_loops(target, *(value for value, _ in reads.values())))
    channels, *others = axes
    loops: dict[str, int] = {"n": lead["n"]} if "n" in lead else {}
    for along in (*others, channels):  # as they lie in memory
        loops |= along
    return Elementwise(
        tuple(loops.items()),
        lead.get("t", 0),
        {name: at.access(value, where) for name, (value, where) in reads.items()},
        (),
        (Write(at.access(target, index), expression),),
    )


def straight(at: Site, value: str) -> tuple[list[Along], list[Index]]:
    """The loops that walk *value* element by element, one a factor, and the index that they make."""
    names = element_loops(at.type(value))
    extents = at.type(value).factors
    return [{name: extent} for name, extent in zip(names, extents, strict=True)], [loop(name) for name in names]
