"""What a mapping moves, casts and costs, whatever loops cores share, and whether a machine can run it: for mappings
that are made of found ones, of a part of some loops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from ..cost.boxes import Turning, moved
from ..cost.coded import moved_in_blocks
from ..ir.decision import Decision, Shares
from ..ir.statement import Statement
from .build_stage import largest_share, nest
from .legality import legal_tiles
from .operands import Operand
from .request import Request

RIMS = 8
"""What is moved more of DRAM must save so many times the cycles that it takes the channel."""


def part_of(request: Request, extents: Mapping[str, int]) -> Request:
    """*request* over the first values of some loops, so many of each."""

    def within(statement: Statement) -> Statement:
        return replace(statement, loops=tuple((name, extents.get(name, extent)) for name, extent in statement.loops))

    beside = tuple(replace(each, statement=within(each.statement)) for each in request.beside)
    epilogue = tuple(replace(each, statement=within(each.statement)) for each in request.epilogue)
    return replace(request, statement=within(request.statement), beside=beside, epilogue=epilogue)


def is_legal(request: Request, decision: Decision, cut: Mapping[str, Shares]) -> bool:
    """Whether the tiles that the largest part of the loops that are *cut* has are possible in all of them."""
    operands, extents = request.operands(decision.split, decision.whole), largest_share(request, decision)
    for operand in operands:
        blocks = operand.stored.blocks if operand.stored is not None and operand.writes else (1,) * len(operand.axes)
        for axis, block in zip(operand.axes, blocks, strict=True):
            for name, c in ((name, c) for name, c in axis.terms if name in cut):
                tile, extent = decision.tiles[name], extents[name]
                if any(abs(c) * low % block for low, _ in cut[name]):
                    return False
                # What walks down lies in its buffer from the end of the largest tile on.
                if c < 0 and tile < extent and any(own % tile for _, own in cut[name]):
                    return False
    return bool(legal_tiles(request, operands, decision.order, decision.tiles, extents))


def cost_of(request: Request, decision: Decision, cycles: float) -> float:
    """What a mapping that takes so many *cycles* costs beside one that moves other bytes."""
    return cycles + RIMS * 8 * dram_of(request, decision) / request.target.dram.bits_per_cycle


def cast_of(request: Request, decision: Decision) -> tuple[str, ...]:
    """Operands of which several cores need the same tiles, in the same turns."""
    loops = nest(request, decision)
    operands = request.operands(decision.split, decision.whole)
    read = (each for each in operands if _may_be_cast(request, each, decision))
    return tuple(each.use for each in read if _is_cast(each, decision, loops))


def dram_of(request: Request, decision: Decision) -> int:
    """Bytes in bursts that all cores move."""
    loops, granule, total = nest(request, decision), request.target.dram.granule_bytes, 0
    for operand in request.operands(decision.split, decision.whole):
        if not operand.moves:
            continue
        held = frozenset(name for name, _ in operand.whole)
        parts = _parts(decision)
        added = request.adds(decision.split) and (operand.writes or operand.part)
        if added or operand.first or operand.use in decision.cast:
            parts = {name: own if name in operand.followed - held else own[:1] for name, own in parts.items()}
        around = loops[: _depth(operand, loops)]
        turning = Turning(around, decision.tiles, request.extents, "", (), held, tuple(parts.items()))
        if operand.stored is not None:
            total += moved_in_blocks(operand.axes, operand.stored, turning, granule)
        else:
            total += moved(operand.axes, operand.dram_strides, operand.format.bits, turning, 0, granule).dram
    return total


def _parts(decision: Decision) -> dict[str, Shares]:
    """The different parts of each loop that cores share, of the cores that have work."""
    having = [core for core, (_, extent) in enumerate(decision.shares) if extent]
    return {name: tuple(dict.fromkeys(own[core] for core in having)) for name, own in decision.parts.items()}


def _depth(operand: Operand, loops: tuple[str, ...]) -> int:
    """The number of loops around the place where the buffer of *operand* is filled anew."""
    return max((place + 1 for place, name in enumerate(loops) if name in operand.loops), default=0)


def _may_be_cast(request: Request, operand: Operand, decision: Decision) -> bool:
    """Whether several cores read it; what a sum that they share becomes, only one of them does."""
    of_one = operand.first or (operand.part and request.adds(decision.split))
    return operand.moves and not operand.writes and not of_one


def _is_cast(operand: Operand, decision: Decision, loops: tuple[str, ...]) -> bool:
    followed = operand.followed - {name for name, _ in operand.whole}
    parts = _parts(decision)
    around = loops[: _depth(operand, loops)]
    free = {name: own for name, own in parts.items() if name not in followed and len(own) > 1}
    for name, own in free.items():
        if name in around and len({-(-extent // decision.tiles[name]) for _, extent in own}) > 1:
            return False
    groups: dict[tuple[tuple[int, int], ...], list[int]] = {}
    kept = [own for name, own in decision.parts.items() if name in followed]
    for core, (_, extent) in enumerate(decision.shares):
        if extent:
            groups.setdefault(tuple(own[core] for own in kept), []).append(core)
    return bool(free) and all(_evenly(group) for group in groups.values())


def _evenly(cores: Sequence[int]) -> bool:
    """Whether neighbours of *cores* lie equally far apart, as those that one instruction sends to do."""
    return len({after - before for before, after in pairwise(cores)}) <= 1
