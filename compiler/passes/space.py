"""The space of tilings: which loops are cut, into tiles of which sizes, and in which orders tiles turn.

Of the sizes of a loop only those are looked at that cover it in another number of tiles than the next larger one:
among sizes of equal number the smallest needs the least room and moves no more.  Where rows lie in DRAM granules, or
are packed, the same holds of whole granules and whole bytes, so their multiples are looked at as well.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..dataflows.dataflow import DATAFLOWS
from ..ir.accesses import accesses
from ..ir.statement import TIME, WINDOW, Contraction, Elementwise, Moments, Statement, Window
from .operands import Operand
from .request import Request, Whole
from .split import Split

TIME_PARALLEL = "time_parallel"

LARGEST_EXTENT = (1 << 23) - 1
"""What an axis register can hold."""

BLOCK = 64
"""Channels of a block of a rounding sum."""


@dataclass(frozen=True)
class Space:
    """All tilings of a statement that cores share in one way: the sizes of each loop that it may have, ascending."""

    request: Request
    split: Split
    whole: Whole
    operands: tuple[Operand, ...]
    extents: Mapping[str, int]
    """Extent of each loop in the core that has the most of it."""
    sizes: Mapping[str, tuple[int, ...]]

    @property
    def count(self) -> int:
        """Tilings in it, for one order of loops."""
        return math.prod(len(sizes) for sizes in self.sizes.values())

    def holding(self, whole: Whole) -> Space:
        """The same where buffers of *whole* hold all tiles of a loop, which bears on no size."""
        return replace(self, whole=whole, operands=self.request.operands(self.split.loop, whole))

    def shareable(self, operand: Operand) -> bool:
        """Whether all cores read the same of *operand*, so that one may load it for all."""
        alone = self.split.loop is None or self.split.active == 1
        if alone or operand.writes or not operand.moves or self.split.loop in operand.loops:
            return False
        return not (operand.first or (operand.part and self.request.adds(self.split.loop)))

    def cast(self, operand: Operand, around: Collection[str], tiles: Mapping[str, int]) -> bool:
        """Whether one core loads *operand*, which is moved inside the loops *around*, for all.

        They have to take the same turns, so where they turn through their shares these must have as many tiles.
        """
        loop = self.split.loop
        if loop is None or not self.shareable(operand):
            return False
        return loop not in around or len({-(-share // tiles[loop]) for _, share in self.split.working}) == 1

    def shares(self, operand: Operand) -> tuple[tuple[int, int], ...]:
        """First value and extent of the split loop in each core that moves *operand*.

        Of a sum that cores share, only the first has what comes of it, and what that meets in an epilogue; so it is
        with a sum beside that does not walk the loop.
        """
        if self.split.loop is None:
            return ()
        gathered = (operand.writes or operand.part) and self.request.adds(self.split.loop)
        gathered = gathered or (operand.first and self.split.loop not in operand.followed)
        return self.split.working[:1] if gathered else self.split.working


def space_of(request: Request, split: Split, whole: Whole = ()) -> Space:
    """The space of a statement that is shared out by *split*, where buffers of *whole* hold all tiles of a loop."""
    operands = request.operands(split.loop, whole)
    extents = dict(request.extents)
    if split.loop is not None:
        extents[split.loop] = split.largest
    free = cuttable(request)
    sizes: dict[str, tuple[int, ...]] = {}
    for name, extent in extents.items():
        if name not in free or extent <= 1:
            sizes[name] = (1 if name in TIME else max(extent, 1),)
        else:
            sizes[name] = sizes_of(request, operands, name, extent, split)
    return Space(request, split, whole, operands, extents, sizes)


def sizes_of(request: Request, operands: tuple[Operand, ...], name: str, extent: int, split: Split) -> tuple[int, ...]:
    """The sizes of the tiles of a loop that may be cut, ascending, where the busiest core has *extent* of it."""
    shares = [share for _, share in split.working] if name == split.loop else [extent]
    found = sorted(size for size in _sizes(request, operands, name, extent) if size <= extent)
    legal = _legal(request, operands, name, found, extent, shares)
    stored = [operand for operand in operands if operand.writes and operand.stored is not None]
    aligned = tuple(size for size in legal if _of_whole_blocks(stored, name, size, extent, split)) if stored else ()
    return aligned or legal


def different(extent: int, unit: int = 1) -> set[int]:
    """Sizes, multiples of *unit* but for the whole, that cover *extent* in different numbers of tiles."""
    units = -(-extent // unit)
    found: set[int] = set()
    parts = 1
    while True:
        size = -(-units // parts)
        found.add(min(size * unit, extent))
        if size == 1:
            return found
        parts = -(-units // (size - 1))


def cuttable(request: Request) -> frozenset[str]:
    """Loops that may be cut into tiles: those of the statement, and time where a tile may have several steps."""
    loops = _cuttable(request.statement) - set(TIME) - request.spread
    for fused in request.epilogue:
        loops -= frozenset(fused.statement.extents) - _cuttable(fused.statement)
    return loops | {"t"} if takes_steps(request) else loops


def takes_steps(request: Request) -> bool:
    """Whether a tile may have several steps of time: sums that no other statement waits for in between."""
    statement = request.statement
    alone = WINDOW not in statement.extents and not request.cycle and not request.turns
    timed = statement.extents.get("t", 0) > 1
    roomy = not any(access.value in request.rooms for _, access in accesses(statement))
    return isinstance(statement, Contraction) and alone and timed and roomy and not request.epilogue


def _cuttable(statement: Statement) -> frozenset[str]:
    """Where two loops walk one axis together, a kernel tap (a loop of the weights) stays whole beside the pixels, and
    of a channel that is ``group * size + channel`` only the group is cut.
    """
    loops = frozenset(name for name, extent in statement.loops if extent > 1)
    match statement:
        case Contraction():
            weight = statement.target if statement.engine == "wg" else statement.right
            whole: set[str] = set()
            for access in (statement.target, statement.left, statement.right):
                for index in access.index if access is not None else ():
                    terms = sorted(((abs(c), name) for name, c in index.terms if c), reverse=True)
                    if len(terms) < 2:
                        continue
                    if _nested(terms, statement.extents):
                        whole |= {name for _, name in terms[1:]}
                    else:
                        whole |= {name for _, name in terms} & weight.loops
            return loops - whole
        case Elementwise():
            return loops - set(statement.reduced)
        case Window():
            return loops - set(statement.taps)
        case Moments():
            return loops


def _nested(terms: list[tuple[int, str]], extents: Mapping[str, int]) -> bool:
    """Whether *terms* (coefficient, loop), largest first, count like the digits of a number."""
    reach = 1
    for coefficient, name in reversed(terms):
        if coefficient < reach:
            return False
        reach = coefficient * extents[name]
    return True


def _sizes(request: Request, operands: tuple[Operand, ...], name: str, extent: int) -> set[int]:
    """Sizes worth a look for a loop of *extent*, legal or not."""
    pin = request.pin
    if name in pin.tiles:
        return {min(pin.tiles[name], extent)}
    if request.rounds and name == getattr(request.statement, "blocked", None):
        return {extent, BLOCK}
    if name == "t":
        wanted = pin.dataflow or request.dataflow
        several = different(extent) - {1}
        return several if wanted == TIME_PARALLEL else several | {1} if wanted == "auto" else {1}
    units = {1}
    for operand in operands:
        for place, axis in enumerate(operand.axes):
            last = place == len(operand.axes) - 1
            for loop, c in axis.terms if (operand.moves or operand.drawn) and last else ():
                if loop == name:
                    granule = request.target.dram.granule_bytes * 8 // operand.format.bits
                    units |= {max(1, grain // math.gcd(grain, abs(c))) for grain in (8, granule)}
            block = 1 if operand.stored is None else operand.stored.blocks[place]
            units |= {block // math.gcd(block, abs(c)) for loop, c in axis.terms if loop == name}
    return set[int]().union(*(different(extent, unit) for unit in units if unit < extent or unit == 1))


def _of_whole_blocks(operands: Sequence[Operand], name: str, size: int, extent: int, split: Split) -> bool:
    """Whether tiles of *size* leave whole the blocks of *operands*, which are stored in blocks."""
    begins = [low for low, _ in split.working] if name == split.loop else [0]
    for operand in operands:
        assert operand.stored is not None
        for axis, block in zip(operand.axes, operand.stored.blocks, strict=True):
            for loop, c in axis.terms:
                if loop == name and block > 1 and size < extent and abs(c) * size % block:
                    return False
                if loop == name and any(abs(c) * low % block for low in begins):
                    return False
    return True


def _legal(
    request: Request, operands: tuple[Operand, ...], name: str, sizes: Iterable[int], extent: int, shares: list[int]
) -> tuple[int, ...]:
    """Those *sizes* of tiles that are possible whatever the tiles of other loops are."""
    statement = request.statement
    grain, largest, down = 1, LARGEST_EXTENT, False
    for operand in operands:
        for place, axis in enumerate(operand.axes):
            for loop, c in axis.terms:
                if loop != name:
                    continue
                if operand.format.packed and (operand.moves or operand.drawn) and place == len(operand.axes) - 1:
                    grain = math.lcm(grain, 8 // math.gcd(8, c))
                largest = min(largest, (LARGEST_EXTENT - 1) // max(abs(c) // axis.step, 1) + 1)
                down |= c < 0
    found = [size for size in sizes if size <= largest and (size >= extent or size % grain == 0)]
    # What walks down lies in its buffer from the end of the largest tile on.
    if down:
        found = [size for size in found if size >= extent or not any(share % size for share in shares)]
    if isinstance(statement, Contraction) and request.rounds and name == statement.blocked:
        return tuple(s for s in found if (s <= BLOCK and s % BLOCK == 0 if extent > BLOCK else s >= extent))
    return tuple(found)


def orders_of(request: Request) -> list[tuple[str, tuple[str, ...]]]:
    """Dataflows with their order of loops; those that others share are the outermost."""
    shared = request.shared
    turned = [
        (name, (*shared, *(loop for loop in order if loop not in shared))) for name, order in _free_orders(request)
    ]
    return list(dict.fromkeys(turned))


def _free_orders(request: Request) -> list[tuple[str, tuple[str, ...]]]:
    if not request.epilogue:
        return _orders_alone(request)
    orders = [(name, _for_epilogue(request, order)) for name, order in _orders_alone(request)]
    return list(dict.fromkeys(orders))


def _for_epilogue(request: Request, order: tuple[str, ...]) -> tuple[str, ...]:
    """*order* for a stage with an epilogue: time inside all other loops of the result, for states stay while it turns;
    sums inside time, for a tile must be complete; what turns in the epilogue alone last."""
    summed = request.statement.summed if isinstance(request.statement, Contraction) else ()
    kept = [name for name in order if name not in summed]
    timed = [name for name in kept if name in TIME]
    sums = [name for name in order if name in summed]
    return (*(name for name in kept if name not in TIME), *timed, *sums, *request.later)


def _orders_alone(request: Request) -> list[tuple[str, tuple[str, ...]]]:
    statement = request.statement
    if isinstance(statement, Contraction):
        wanted = request.pin.dataflow or (None if request.dataflow == "auto" else request.dataflow)
        # What has several steps in a tile is called time-parallel whatever its order is.
        names = [name for name in DATAFLOWS if name != TIME_PARALLEL] if wanted is None else [wanted]
        orders = [(name, order) for name in names for order in DATAFLOWS[name].orders(statement)]
        return list(dict.fromkeys(orders + [(name, _sums_inside(statement, order)) for name, order in orders]))
    if isinstance(statement, Moments):
        return [("moments", (*(name for name, _ in statement.kept), *statement.summed))]
    loops = [name for name, _ in statement.loops if name != "t"]
    if isinstance(statement, Window):
        loops = [name for name in loops if name not in statement.taps]
        timed = "t" in statement.extents
        return [("elementwise", ("t", *loops) if timed else tuple(loops))]
    return [("elementwise", (*loops, "t") if statement.steps else tuple(loops))]


def _sums_inside(statement: Contraction, order: tuple[str, ...]) -> tuple[str, ...]:
    """*order* with the summed loops moved inside all others.

    What a dataflow does with a sum that is too long for a scratchpad: the operand that stays turns inside with its
    summed loops, and the accumulators of a tile are still complete before the next.
    """
    summed = statement.summed
    return (*(name for name in order if name not in summed), *(name for name in order if name in summed))
