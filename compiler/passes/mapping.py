"""Mapping: for one statement, choose dataflow, split over cores and tile sizes by predicted DRAM traffic.

Splits that leave the busiest core with more than a quarter above the least possible work are not looked at: cycles
come first there.  Among the rest, all combinations of a few tile sizes a loop are evaluated at once, as arrays: bytes
of every operand, how often it is moved, and what the scratchpads must hold.  The winner moves the fewest bytes, where
a move counts as one granule more.  These bytes are an estimate (full tiles, no alignment) that ranks candidates;
`cost.predict` then gives the exact figure of the winner.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...isa.target import Target
from ...numerics.exact import X64_TERMS, X128_TERMS
from ...numerics.formats import FORMATS
from ...source import Place, TargetError
from ..dataflows.dataflow import DATAFLOWS
from ..ir.schedule import ALWAYS, Decision, Explanation
from ..ir.statement import TIME, WINDOW, Contraction, Elementwise, Moments, Statement, Window
from ..ir.types import Type
from .operands import Operand, exact_moments, operands_of, turns
from .pins import Pin
from .split import Split, named, shares, splits, splittable

Array = NDArray[np.int64]

LARGEST_EXTENT = (1 << 23) - 1
"""What an axis register can hold."""

BLOCK = 64
"""Channels of a block of a rounding sum."""


@dataclass(frozen=True)
class Request:
    """What is to be mapped: a statement of a node, and what bears on it."""

    name: str
    layer: str
    phase: str
    statement: Statement
    types: Mapping[str, Type]
    target: Target
    cores: int
    steps: int
    batch: int
    dataflow: str
    pin: Pin
    place: Place
    cycle: int = 0
    """Other than 0: a number of the cycle through time whose steps the statement takes with others."""

    turns: int = 0
    """Other than 0: of how many steps it takes part in, which the host chooses."""

    rooms: Mapping[str, int] = field(default_factory=dict[str, int])
    """For how many steps there is room of values that are gone with their window."""

    @property
    def shared(self) -> tuple[str, ...]:
        """The loops, outermost, that it turns together with others: over windows, and in a cycle over steps."""
        windows = (WINDOW,) if WINDOW in self.statement.extents else ()
        return (*windows, *(("t",) if self.cycle else ()))

    def operands(self, split: str | None) -> tuple[Operand, ...]:
        """What needs a buffer where cores *split* that loop; nothing outlives a turn of a loop that is shared."""
        hold = frozenset(self.shared)
        sizes = self.steps, self.batch
        return operands_of(self.statement, self.phase, self.types, self.target, *sizes, hold, split, self.rooms)


@dataclass(frozen=True)
class _Choice:
    mapping: Decision
    cost: float
    dram: int
    feasible: int
    candidates: int


@dataclass(frozen=True)
class _Shortage:
    demand: int
    capacity: int
    memory: str
    roles: str


def choose(request: Request) -> tuple[Decision, Explanation]:
    """The mapping of a statement that moves the fewest bytes; TargetError where none fits the machine."""
    pin = request.pin
    _check_machine(request)
    found: list[_Choice] = []
    shortages: list[_Shortage] = []
    for split in _splits(request):
        operands = request.operands(split.loop)
        for dataflow, order in _orders(request):
            outcome = _search(request, operands, split, dataflow, order)
            (found if isinstance(outcome, _Choice) else shortages).append(outcome)  # type: ignore[arg-type]
    if not found:
        raise _infeasible(request, shortages)
    found.sort(key=lambda choice: choice.cost)
    best, *others = found
    runner = next((c for c in others if c.mapping.dataflow != best.mapping.dataflow), others[0] if others else None)
    explanation = Explanation(
        candidates=sum(c.candidates for c in found),
        feasible=sum(c.feasible for c in found),
        dram=best.dram,
        runner_up="" if runner is None else _label(runner.mapping),
        runner_up_dram=0 if runner is None else runner.dram,
        binds=f"pinned: {pin.text}" if pin.text else "",
    )
    return best.mapping, explanation


def _label(mapping: Decision) -> str:
    return f"{mapping.dataflow}, split {mapping.split or 'none'}"


def pin_problem(request: Request) -> str | None:
    """What a pin asks of this very stage that it cannot do; a pattern only speaks to those that can."""
    pin, statement = request.pin, request.statement
    if not pin.exact:
        return None
    where = f"--pin {pin.text}: {request.layer}.{request.phase.lower()}"
    free = _cuttable(statement) - set(TIME)
    for name in pin.tiles:
        if name not in statement.extents:
            return f"{where} has no loop {name!r}; its loops are {_told(statement.extents)}"
        if name not in free:
            return f"{where} cannot cut loop {name!r}; it can cut {_told(sorted(free))}"
    if pin.dataflow is not None and not isinstance(statement, Contraction):
        return f"{where} sums no products, so it has no dataflow"
    shared = splittable(statement, not _rounds(request))
    if pin.split is not None and named(statement, pin.split) not in shared:
        return f"{where} cannot be split by {pin.split!r}; its loops that can are {_told(shared)}"
    return None


def _told(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _check_machine(request: Request) -> None:
    """TargetError where an engine cannot take the left operand, or a sum has more terms than an exact one may have."""
    statement, target = request.statement, request.target
    if not isinstance(statement, Contraction | Moments):
        return
    engine = target.engines[statement.engine]
    left = "spike" if statement.left is None else request.types[statement.left.value].format
    if left not in engine.left_formats:
        raise TargetError.at(
            request.place,
            f"the {statement.engine.upper()} engine of `{target.name}` takes {', '.join(engine.left_formats)} on its "
            f"left, and {request.layer} has {left} there",
            hints=("a target with a multiplier path in that engine", "a coding of the input as spikes"),
        )
    if not _rounds(request):
        terms = math.prod(statement.extents[name] for name in statement.summed)
        gated = FORMATS[left].whole
        weight = FORMATS[left].maximum if gated else 1
        limit = X64_TERMS if gated or isinstance(statement, Moments) else X128_TERMS
        if terms * weight > limit:
            raise TargetError.at(
                request.place,
                f"{request.layer} ({request.phase}) sums {terms} terms of {left}; an exact accumulator of "
                f"`{target.name}` takes {limit // weight}",
                hints=("a smaller --batch", "fewer --steps"),
            )


def _splits(request: Request) -> list[Split]:
    if request.pin.split is None or request.cores == 1:
        return splits(request.statement, request.cores, not _rounds(request))
    loop = named(request.statement, request.pin.split)
    grains = splittable(request.statement, not _rounds(request))
    if loop is None or loop not in grains:
        return splits(request.statement, request.cores, not _rounds(request))
    return [Split(loop, shares(request.statement.extents[loop], request.cores, grains[loop]))]


def _orders(request: Request) -> list[tuple[str, tuple[str, ...]]]:
    """Dataflows with their order of loops; those that others share are the outermost."""
    shared = request.shared
    turned = [
        (name, (*shared, *(loop for loop in order if loop not in shared))) for name, order in _free_orders(request)
    ]
    return list(dict.fromkeys(turned))


def _free_orders(request: Request) -> list[tuple[str, tuple[str, ...]]]:
    statement = request.statement
    if isinstance(statement, Contraction):
        wanted = request.pin.dataflow or (None if request.dataflow == "auto" else request.dataflow)
        names = list(DATAFLOWS) if wanted is None else [wanted]
        orders = [(name, DATAFLOWS[name].order(statement)) for name in names]
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


def _candidates(name: str, extent: int, fixed: bool, pinned: int | None) -> list[int]:
    """Tile sizes worth a look for a loop of *extent*."""
    if fixed or extent <= 1:
        return [1 if name in TIME else max(extent, 1)]
    if pinned is not None:
        return [min(pinned, extent)]
    sizes = {extent}
    size = 1
    while size < extent:
        sizes.add(size)
        size *= 2 if extent <= 128 or size < 16 else 4
    sizes |= {-(-extent // parts) for parts in (2, 3)}
    return sorted(sizes)


def _cuttable(statement: Statement) -> frozenset[str]:
    """Loops that may be cut into tiles.

    Where two loops walk one axis together, a kernel tap (a loop of the weights) stays whole beside the pixels, and of
    a channel that is ``group * size + channel`` only the group is cut.
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


def _search(
    request: Request, operands: tuple[Operand, ...], split: Split, dataflow: str, order: tuple[str, ...]
) -> _Choice | _Shortage:
    statement, target, pin = request.statement, request.target, request.pin
    extents = dict(statement.extents)
    if split.loop is not None:
        extents[split.loop] = split.largest
    cuttable = _cuttable(statement)
    names = list(extents)
    options = [
        _candidates(n, extents[n], n in TIME or (n not in cuttable), pin.tiles.get(n) if n in cuttable else None)
        for n in names
    ]
    grids = np.meshgrid(*(np.array(sizes, np.int64) for sizes in options), indexing="ij")
    tiles = {name: grid.ravel() for name, grid in zip(names, grids, strict=True)}
    count = len(next(iter(tiles.values())))
    legal = _legal(request, operands, order, tiles, extents, count)
    there = {n: np.full(count, True) if n in ALWAYS else tiles[n] < extents[n] for n in order}
    trips = {n: np.maximum(turns(extents[n], tiles[n]), 1) for n in order}

    demand = {k: np.zeros(count, np.int64) for k in range(len(target.memories))}
    roles: dict[int, set[str]] = {}
    dram = np.zeros(count, np.int64)
    moves = np.zeros(count, np.int64)
    for operand in operands:
        size = operand.bytes(tiles) + np.zeros(count, np.int64)
        repeats = np.ones(count, np.int64)
        below = np.zeros(count, bool)
        for name in reversed(order):
            below = below | (there[name] & (name in operand.loops))
            repeats = repeats * np.where(below, trips[name], 1)
        homes = target.memory_for(operand.role)
        if not homes:
            return _Shortage(int(size.min()), 0, "", operand.role)
        ring = np.where(below & operand.doubled, 2, 1)
        demand[homes[0]] += size * ring
        roles.setdefault(homes[0], set()).add(operand.role)
        if operand.moves:
            dram += operand.dram_bytes(tiles) * repeats
            moves += repeats
    if not legal.any():
        return _Shortage(0, 0, "", "")
    fits = np.full(count, True)
    for home, need in demand.items():
        fits &= need <= target.memories[home].bytes
    good = legal & fits
    if not good.any():
        over = {h: need - target.memories[h].bytes for h, need in demand.items() if h in roles}
        worst = np.max(np.stack(list(over.values())), axis=0)
        pick = int(np.argmin(np.where(legal, worst, np.iinfo(np.int64).max)))
        home = max(over, key=lambda h: int(over[h][pick]))
        memory = target.memories[home]
        return _Shortage(int(demand[home][pick]), memory.bytes, memory.name, ", ".join(sorted(roles[home])))
    cost = np.where(good, (dram + moves * target.dram.granule_bytes) * split.active, np.iinfo(np.int64).max)
    pick = int(np.argmin(cost))
    chosen = {name: int(tiles[name][pick]) for name in names}
    shares = split.shares if split.loop is not None else tuple((0, int(core == 0)) for core in range(request.cores))
    mapping = Decision(dataflow, order, chosen, split.loop, shares)
    return _Choice(mapping, float(cost[pick]), int(dram[pick]) * split.active, int(good.sum()), count)


def _legal(
    request: Request,
    operands: tuple[Operand, ...],
    order: tuple[str, ...],
    tiles: Mapping[str, Array],
    extents: Mapping[str, int],
    count: int,
) -> NDArray[np.bool_]:
    """Which candidates the machine can run at all: whole sums, byte boundaries, order of rounding sums."""
    statement = request.statement
    legal = np.full(count, True)
    cut = {name: tiles[name] < extents[name] for name in extents}
    for operand in operands:
        if operand.format.packed and operand.moves:
            for name, c in operand.axes[-1].terms:
                legal &= ~cut[name] | (abs(c) * tiles[name] % 8 == 0)
        for axis in operand.axes if operand.writes else ():
            if len(axis.terms) > 1:
                unit = [name for name, c in axis.terms if abs(c) == 1]
                others = [name for name, c in axis.terms if abs(c) != 1]
                whole = np.full(count, True)
                for name in unit:
                    whole &= tiles[name] >= statement.extents[name]
                for name in others:
                    legal &= whole | (tiles[name] == 1)
        for extent in operand.extents(tiles):
            legal &= np.asarray(extent) <= LARGEST_EXTENT
    if isinstance(statement, Contraction):
        of_target = statement.target.loops
        for place, name in enumerate(order):
            if name in statement.summed:
                inner = [other for other in order[place + 1 :] if other in of_target]
                for other in inner:
                    legal &= ~cut[name] | (~cut[other] & (other not in ALWAYS))
                if name in ALWAYS and inner:
                    for other in inner:
                        legal &= ~cut[other]
    if isinstance(statement, Contraction | Moments) and _rounds(request):
        legal &= _keeps_order(statement, tiles, cut, count)
    return legal


def _rounds(request: Request) -> bool:
    """Whether the sums of the statement are rounded, so that their order shows."""
    if isinstance(request.statement, Moments):
        return not exact_moments(request.statement, request.types)
    return request.target.accumulators != "exact"


def _keeps_order(
    statement: Contraction | Moments, tiles: Mapping[str, Array], cut: Mapping[str, NDArray[np.bool_]], count: int
) -> NDArray[np.bool_]:
    """Whether tiles of a rounding sum cut only where the canonical order allows: below a cut nothing else turns."""
    legal = np.full(count, True)
    outer: list[str] = []
    blocked = statement.blocked if isinstance(statement, Contraction) else None
    for name in statement.summed:
        if name == blocked:
            extent = statement.extents[name]
            legal &= tiles[name] <= BLOCK if extent > BLOCK else ~cut[name]
            legal &= ~cut[name] | (tiles[name] % BLOCK == 0)
        else:
            for before in outer:
                legal &= ~cut[name] | (tiles[before] == 1)
            outer.append(name)
    return legal


def _infeasible(request: Request, shortages: list[_Shortage]) -> TargetError:
    rooms = [short for short in shortages if short.roles]
    if not rooms:
        message = f"no tiling of {request.layer} ({request.phase}) keeps whole bytes and whole sums together"
        hints = [f"without --pin {request.pin.text}"] if request.pin.text else []
        return TargetError.at(request.place, message, hints=[*hints, "--dataflow auto", "another number of --cores"])
    short = min(rooms, key=lambda short: short.demand - short.capacity)
    if not short.memory:
        message = f"`{request.target.name}` has no memory that holds {short.roles}, which {request.layer} needs"
        return TargetError.at(request.place, message, hints=("a target whose memories hold it (see `holds`)",))
    message = (
        f"the smallest tile of {request.layer} ({request.phase}) needs {_size(short.demand)}; a core of "
        f"`{request.target.name}` has {_size(short.capacity)} for it in `{short.memory}` "
        f"(short by {_size(short.demand - short.capacity)})"
    )
    levers = ["a target with more memory (see `snnc list targets`)"]
    if request.pin.text:
        levers.insert(0, f"without --pin {request.pin.text}")
    if request.dataflow != "auto":
        levers.insert(0, "--dataflow auto")
    if math.prod(request.statement.extents.values()) > 1 and "n" in request.statement.extents:
        levers.insert(0, "a smaller --batch")
    return TargetError.at(request.place, message, hints=levers)


def _size(count: int) -> str:
    """Bytes as a person reads them."""
    return f"{count} B" if count < 1024 else f"{count / 1024:.1f} KiB"
