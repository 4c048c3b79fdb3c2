"""Floors of DRAM traffic.

*floor*: schedule-free.  What an entry must read and write whatever the mapping: inputs and labels once (the elements
that anything needs; of an input in blocks, whose bytes are the data's, nothing); every parameter, master weight and
optimizer word that it uses once, and once more where it writes them; results once.
Nothing in a scratchpad survives an entry, so none of it can be saved.

*layer*: each operator alone with all of its operands in DRAM and all on-chip bytes S as capacity: the larger of its
compulsory traffic (each operand once, in either direction that it moves in) and the capacity bound of a contraction.

The capacity bound is the segment argument of Hong and Kung (1981) for operands of a, b and c bytes (left, right, sum)
and sliding windows that use an element R times (Chen, Han and Wang, HPCA 2020; Demmel and Dinh, arXiv 1802.06905).
While Q bytes are read, at most S + Q bytes of factors are at hand, so ``|A| |B| <= (S + Q)^2 / (4 a b)``.  Products
number at most ``sqrt(R |A| |B| |C|)`` (Loomis and Whitney).  Sums that begin or end outside of the segment lie on chip
at one of its ends: ``|C| <= 2 S / c``.  Those that begin and end inside take K products each, K terms a sum, which
makes ``R |A| |B| / K`` products at most.  Hence a segment does at most
``(S+Q)/2 * sqrt(2RS/(abc)) + R (S+Q)^2 / (4abK)``, and the whole reads at least ``Q * (MAC / that - 1)`` for any Q;
what it makes is written besides.  The second term is what makes the bound hold where sums retire on chip: without it
exhaustive schedules beat it.  The bound is reported, never asserted: fusion may go below it.
"""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from typing import Any

import numpy as np

from ...isa.target import Target
from ...numerics.formats import FORMATS
from ..ir.accesses import accesses, made_by
from ..ir.graph import Procedure, Training
from ..ir.schedule import Schedule, Stage
from ..ir.statement import Access, Contraction
from ..ir.types import Type


def bounds(training: Training, schedule: Schedule, target: Target, cores: int) -> dict[str, Any]:
    """By entry: ``dram`` with ``floor`` and ``layer`` in bytes, and the latter's rows by stage."""
    chip = cores * sum(memory.bytes for memory in target.memories)
    found: dict[str, Any] = {}
    for procedure in training.procedures:
        types = dict(schedule.types) | training.values(procedure)
        rows = {
            f"{phase} {node}": layer_bound(stage, part, types, training.steps, training.batch, chip)
            for stage in schedule.entries[procedure.name]
            for part, (phase, node) in enumerate(stage.nodes)
        }
        found[procedure.name] = {
            "dram": {
                "floor": floor(training, procedure, schedule.entries[procedure.name], schedule.codings),
                "layer": sum(rows.values()),
            },
            "by_stage": rows,
        }
    return found


def floor(training: Training, procedure: Procedure, stages: Sequence[Stage], coded: Container[str] = ()) -> int:
    """Bytes that the entry must move under any schedule.

    Variables that are *coded*, stored in blocks, may be as short as they like.  Of another that is read, the elements
    that any one statement needs (a stride may pass over others); of what is written for good, everything.
    """
    variables = {variable.name for variable in training.variables}
    values = training.values(procedure)
    read: dict[str, int] = {}
    written: set[str] = set(procedure.results) - variables
    for stage in stages:
        writes = {access.value for statement in stage.statements for _, access in made_by(statement)}
        for _, access in stage.accesses:
            name = access.value
            if name in writes:
                written |= {name} & variables
            elif name in variables and name not in written and name not in coded:
                needed = _needed(access, stage.extents, values[name], training.steps, training.batch)
                read[name] = max(read.get(name, 0), needed)
    return sum(read.values()) + sum(values[name].bytes(training.steps, training.batch) for name in sorted(written))


def _needed(access: Access, extents: dict[str, int], type: Type, steps: int, batch: int) -> int:
    """Bytes of the distinct elements that *access* meets inside of its value."""
    met = 1
    for index, bound in zip(access.index, (*type.lead(steps, batch), *type.memory), strict=True):
        places = np.array([index.offset])
        for name, c in index.terms:
            places = np.unique(places[:, None] + c * np.arange(extents[name]))
        met *= int(np.count_nonzero((places >= 0) & (places < bound)))
    return met * type.kind.bits // 8


def layer_bound(stage: Stage, part: int, types: dict[str, Type], steps: int, batch: int, chip: int) -> int:
    """Bytes that a statement of the stage, its own (0) or one of its epilogue, moves at least when it stands alone on
    *chip* bytes of scratchpad: what it takes, or hands on, on the core counts as if it did not."""
    statement = stage.statements[part]
    drawn = frozenset[str]() if part else frozenset(stage.drawn)
    compulsory = 0
    ways = [(name.startswith("out"), access) for name, access in accesses(statement) if name not in drawn]
    for writes, value in dict.fromkeys((writes, access.value) for writes, access in ways):
        touched = [access for way, access in ways if (way, access.value) == (writes, value)]
        share = max(_touched(access.loops, statement.extents) for access in touched)
        size = types[value].bytes(steps, batch)
        compulsory += min(size, math.ceil(share * types[value].kind.bits / 8))
    if not isinstance(statement, Contraction) or statement.left is None or "left" in drawn:
        return compulsory
    extents = statement.extents
    work = math.prod(extents.values())
    if work == 0:
        return compulsory
    a = types[statement.left.value].kind.bits / 8
    b = types[statement.right.value].kind.bits / 8
    c = FORMATS[stage.by_name["acc"].format].bits / 8
    reuse = _reuse(statement)
    terms = math.prod(extents[name] for name in statement.summed)
    reads = chip * np.logspace(-3, 3, 61)
    segment = (chip + reads) / 2 * np.sqrt(2 * reuse * chip / (a * b * c))
    segment += reuse * (chip + reads) ** 2 / (4 * a * b * terms)
    target = types[statement.target.value]
    written = min(target.bytes(steps, batch), _touched(statement.target.loops, extents) * target.kind.bits // 8)
    return max(compulsory, math.ceil(float(np.max(reads * (work / segment - 1))) + written))


def _touched(loops: frozenset[str], extents: dict[str, int]) -> int:
    return math.prod(extents[name] for name in loops)


def _reuse(statement: Contraction) -> float:
    """How often a sliding window uses one element: taps over the square of the stride."""
    taps = 1.0
    for access in (statement.left, statement.right, statement.target):
        for index in access.index if access is not None else ():
            terms = [(abs(c), statement.extents[name]) for name, c in index.terms if c]
            if len(terms) == 2:
                (c0, e0), (c1, e1) = terms
                taps *= max(1.0, min(e0, e1) * min(c0, c1) / max(c0, c1))
    return taps
