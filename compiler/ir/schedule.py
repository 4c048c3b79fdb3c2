"""Schedules: a tree of loops over tiles, with moves and computations as leaves.

A `Stage` is one statement mapped to cores, units, tiles and buffers.  Its tree is a value like any other: loops in any
order, time anywhere, several computations under one loop.  The streams of all units are read off the tree (see
`passes.emit`): every unit walks the loops that hold work of its own and meets the others where a buffer is handed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from typing import NamedTuple, cast

from ...source import NOWHERE, Place
from .accesses import accesses, extents_of
from .decision import Decision, Explanation
from .gating import ALL_TURNS, Gating
from .joined import Beside, Fused, Joined, roots_of, use_in
from .overlap import Overlap
from .statement import TIME, WINDOW, Access, Contraction, Elementwise, Statement, over_steps
from .stored import Stored
from .types import Type


class Axis(NamedTuple):
    """One axis of a tile: which part of an axis in memory a tile covers.

    The tile begins at ``offset + sum of coefficient * loop`` of its loops' first values and covers every *step*-th
    position up to the last one.  *bound* is the extent of the axis in memory.  Of time there may be room for the last
    *ring* steps alone: step t lies at ``t mod ring``.
    """

    terms: tuple[tuple[str, int], ...]
    offset: int
    bound: int
    step: int = 1
    ring: int = 0

    def extent(self, tiles: Mapping[str, int]) -> int:
        """Elements along this axis for tiles of the given extents; 0 where a loop has none."""
        if any(tiles[name] == 0 for name, _ in self.terms):
            return 0
        return 1 + sum(abs(c) // self.step * (tiles[name] - 1) for name, c in self.terms)

    def padded(self, extents: Mapping[str, int]) -> bool:
        """Whether whole loops of the given extents ever leave the axis."""
        low = self.offset + sum(min(0, c * (extents[name] - 1)) for name, c in self.terms)
        high = self.offset + sum(max(0, c * (extents[name] - 1)) for name, c in self.terms)
        return low < 0 or high >= self.bound


@dataclass(frozen=True)
class Buffer:
    """A tile's home in a scratchpad.

    *extents* and *strides* (bits) describe the largest tile, axes as in memory; *ring* tiles lie one behind the other
    (2 = double buffering).  *depth* is the number of loops around the place where it is filled anew.  Of the loops
    *whole* it holds all tiles of all cores side by side, and they turn inside.  *memory* and *address* (bytes) are
    given by allocation.
    """

    name: str
    role: str
    format: str
    axes: tuple[Axis, ...]
    extents: tuple[int, ...]
    strides: tuple[int, ...]
    bytes: int
    depth: int
    ring: int = 1
    memory: int = -1
    address: int = -1
    whole: tuple[str, ...] = ()
    stored: Stored | None = None
    """How its value lies in DRAM, as the mapping weighed it, if not each element at its place."""


def dram_strides(axes: Sequence[Axis], strides: Sequence[int], steps: int) -> list[int]:
    """Bits between neighbours in DRAM along each axis of a tile, of a symbol with these *strides* over *steps* steps.

    Along time it is 0 where there is room for one step only: each takes the place of the one before.
    """
    held = steps == 1
    return [
        0 if held and any(name == "t" for name, _ in axis.terms) else stride
        for axis, stride in zip(axes, strides, strict=True)
    ]


@dataclass(frozen=True)
class Step:
    """One instruction of *unit*.

    *kind* is load, store, contract, gather, multicast, receive, drain, run, poolmax, poolsum, unpool, mean or comoment.
    *reads* and *writes* name buffers (in the order of the instruction's operands where that matters).  It serves the
    stage's own statement (*part* 0), or the one that has joined it with this number.  Of the loops *once* it is only
    taken in the first turn.
    """

    unit: str
    kind: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    value: str = ""
    part: int = 0
    once: tuple[str, ...] = ()

    @property
    def of_whole_sums(self) -> bool:
        """Whether it needs whole sums, or what was made of them, or loads what such a sum goes on with."""
        goes_on = self.kind == "load" and self.writes[0] == use_in(self.part, "whole")
        return goes_on or self.kind in ("drain", "mean", "comoment", "store")

    @cached_property
    def touched(self) -> Mapping[str, frozenset[str]]:
        """Buffers that its unit reads or writes."""
        return {self.unit: frozenset(self.reads + self.writes)}

    @cached_property
    def written(self) -> Mapping[str, frozenset[str]]:
        """Buffers that its unit writes."""
        return {self.unit: frozenset(self.writes)}


@dataclass(frozen=True)
class For:
    """``for loop in tiles of *tile*``: its total is the core's share."""

    loop: str
    tile: int
    body: tuple[For | Step, ...]

    @cached_property
    def touched(self) -> Mapping[str, frozenset[str]]:
        """Buffers that each unit which has a step inside reads or writes there."""
        return _united(child.touched for child in self.body)

    @cached_property
    def written(self) -> Mapping[str, frozenset[str]]:
        """Buffers that each unit writes there."""
        return _united(child.written for child in self.body)


def _united(children: Iterable[Mapping[str, frozenset[str]]]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for child in children:
        for unit, names in child.items():
            found[unit] = found.get(unit, frozenset()) | names
    return found


Tree = tuple[For | Step, ...]


@dataclass(frozen=True)
class Drawn:
    """An operand that lies nowhere, of random numbers, indices and scalars of the host alone.

    The vector unit makes its tiles in the buffer of the stage that reads them, by *statement*, which walks the loops of
    that stage and has one write.  *op* is what made the value in the graph.
    """

    op: str
    statement: Elementwise


ALWAYS = (*TIME, "n")
"""Loops that are instructions even where a tile covers them, so that no program grows with steps or samples."""


def present(order: tuple[str, ...], tiles: Mapping[str, int], extents: Mapping[str, int]) -> tuple[str, ...]:
    """The loops of *order* that are instructions, given the largest share of each."""
    return tuple(name for name in order if name in ALWAYS or tiles[name] < extents[name])


@dataclass(frozen=True)
class Stage:
    """One statement of a node on the machine."""

    node: str
    op: str
    layer: str
    phase: str
    statement: Statement
    mapping: Decision
    buffers: tuple[Buffer, ...]
    tree: Tree
    explanation: Explanation
    place: Place = field(default=NOWHERE, compare=False)
    cycle: int = 0
    """Stages of one number, other than 0, take each step of time together: their loop over ``t`` is one."""

    turns: int = 0
    """Of how many steps it takes part in, which the host chooses; 0 for all."""

    drawn: Mapping[str, Drawn] = field(default_factory=dict[str, Drawn])
    """Its operands that lie nowhere, by use."""

    beside: tuple[Beside, ...] = ()
    """Sums that it forms beside its own, of the same right operand."""

    epilogue: tuple[Fused, ...] = ()
    """What is computed of its tiles before the next, in order."""

    inside: frozenset[str] = frozenset()
    """Values that it makes and that lie nowhere else, since its epilogue alone reads them."""

    gating: Gating = ALL_TURNS
    """What its engine leaves out."""

    team: int = 0
    """Stages that follow one another under one number, other than 0, run beside one another: no core waits for those
    of another, and where a context of a core has several it takes them one by one."""

    late: bool = False
    """Whether it stores nothing until those of its team that are not late have ended: they read what it overwrites.
    Nothing reads there what a late one overwrites, and is late itself."""

    context: int = 0
    """The context of its cores in which it runs."""

    awaits: tuple[int, ...] | None = None
    """Of an entry in lanes, where each context goes through its stages by itself: the contexts that it waits for before
    it begins, each for the next stage that tells its own.  None where all contexts go through stages together."""

    tells: tuple[int, ...] = ()
    """Of an entry in lanes, the contexts that it tells when it is over."""

    behind: int | None = None
    """Of a cycle whose turns overlap: how many turns of its loop after the first stages it takes a step; None in a loop
    in which each turn is one step of all."""

    @property
    def joined(self) -> tuple[Joined, ...]:
        """All that has joined it: parts from 1 on."""
        return (*self.beside, *self.epilogue)

    @property
    def nodes(self) -> tuple[tuple[str, str], ...]:
        """Phase and node of each of its statements."""
        return ((self.phase, self.node), *((each.phase, each.node) for each in self.joined))

    @property
    def statements(self) -> tuple[Statement, ...]:
        """Its own, those beside it, then those of its epilogue."""
        return (self.statement, *(each.statement for each in self.joined))

    @cached_property
    def extents(self) -> dict[str, int]:
        """Extent of each loop of any of its statements."""
        return extents_of(self.statements)

    @property
    def elements(self) -> tuple[tuple[str, Elementwise], ...]:
        """All that the vector unit computes in it by element programs, with the operator that each is of."""
        own = ((self.op, self.statement),) if isinstance(self.statement, Elementwise) else ()
        beside = (*self.drawn.values(), *self.epilogue)
        return (*own, *((each.op, each.statement) for each in beside))

    def run_by(self, step: Step) -> Elementwise:
        """What the vector unit computes in *step*: its own statement, one of its epilogue, or a drawn operand."""
        drawn = self.drawn.get(step.writes[0]) if step.writes else None
        statement = self.statements[step.part] if drawn is None else drawn.statement
        assert isinstance(statement, Elementwise), f"{self.node}: {step}"
        return statement

    @property
    def accesses(self) -> Iterator[tuple[str, Access]]:
        """Every access to memory with the name of its operand."""
        for part, statement in enumerate(self.statements):
            taken = self.joined[part - 1].taken if part else self.drawn
            for use, access in accesses(statement):
                if use not in taken and access.value not in self.inside:
                    yield use, access

    @property
    def windows(self) -> int:
        """How many windows of time it takes with others, each before any takes the next; 0 where time is not cut."""
        return self.statement.extents.get(WINDOW, 0)

    @property
    def shared(self) -> tuple[str, ...]:
        """The loops, outermost, that it turns together with other stages."""
        return (*((WINDOW,) if self.windows else ()), *(("t",) if self.cycle else ()))

    @cached_property
    def by_name(self) -> dict[str, Buffer]:
        """Buffers by name."""
        return {buffer.name: buffer for buffer in self.buffers}

    @cached_property
    def loops(self) -> tuple[str, ...]:
        """Loops that are instructions, outermost first; their place is their register."""
        largest = {name: max(extent for _, extent in shares) for name, shares in self.mapping.parts.items()}
        return present(self.mapping.order, self.mapping.tiles, self.extents | largest)

    @cached_property
    def active(self) -> tuple[int, ...]:
        """Cores that have work."""
        return tuple(core for core, (_, extent) in enumerate(self.mapping.shares) if extent)

    def works(self, core: int) -> bool:
        """Whether a core has work."""
        return self.mapping.shares[core][1] > 0

    @cached_property
    def gathers(self) -> bool:
        """Whether cores share sums, each of which the first that has a part completes with what the others have."""
        return self.mapping.split is not None and self.mapping.split in getattr(self.statement, "summed", ())

    def adding(self, core: int) -> tuple[int, ...]:
        """The cores that share a sum with *core*, each with its part of the samples."""
        return self._adding[core]

    @cached_property
    def _adding(self) -> dict[int, tuple[int, ...]]:
        groups: dict[tuple[tuple[int, int], ...], list[int]] = {}
        for core in self.active:
            groups.setdefault(tuple(shares[core] for _, shares in self.mapping.further), []).append(core)
        return {core: tuple(group) for group in groups.values() for core in group}

    def completes(self, core: int) -> bool:
        """Whether *core* has whole sums: its own, or the first part of one that others share."""
        return not self.gathers or self.adding(core)[0] == core

    @cached_property
    def roots(self) -> tuple[int, ...]:
        """The sum that each of its parts is, or goes on with, see `roots_of`."""
        return roots_of(self.joined)

    def forms(self, part: int, core: int) -> bool:
        """Whether *core*, which has work, has its part of the sum that *part* is, or goes on with: the stage's own, or
        one beside it, which loops that it does not walk leave to their first share."""
        root = self.roots[part]
        if not root:
            return True
        walked = self.statements[root].extents
        return all(shares[core][0] == 0 for name, shares in self.mapping.parts.items() if name not in walked)

    def gating_of(self, part: int) -> Gating:
        """What the engine leaves out of the stage's own sum (0), or of one beside it."""
        return self.beside[part - 1].gating if part else self.gating

    def ends_with(self, core: int) -> str:
        """The unit whose last instruction ends the stage on a core: what it reads there is not needed any more."""
        return "store" if self.completes(core) else "router"

    @property
    def taken(self) -> Stage:
        """The stage over as many steps as it takes part in: the first ones stand for those that the host chooses."""
        if not self.turns:
            return self
        epilogue = tuple(
            replace(fused, statement=cast(Elementwise, over_steps(fused.statement, self.turns)))
            for fused in self.epilogue
        )
        beside = tuple(
            replace(each, statement=cast(Contraction, over_steps(each.statement, self.turns))) for each in self.beside
        )
        own = over_steps(self.statement, self.turns)
        return replace(self, statement=own, beside=beside, epilogue=epilogue, turns=0)

    def steps(self) -> tuple[tuple[int, Step], ...]:
        """Every step with its depth."""
        return self._flat

    @cached_property
    def _flat(self) -> tuple[tuple[int, Step], ...]:
        return tuple(_steps(self.tree, 0))

    def fellows(self, use: str, core: int) -> tuple[int, ...]:
        """The cores that need the same tiles as *core* of an operand that is cast; the first of them loads them."""
        return self._fellows[use, core]

    @cached_property
    def _fellows(self) -> dict[tuple[str, int], tuple[int, ...]]:
        found: dict[tuple[str, int], tuple[int, ...]] = {}
        for use in self.mapping.cast:
            buffer = self.by_name[use]
            followed = {name for axis in buffer.axes for name, _ in axis.terms} - set(buffer.whole)
            own = [shares for name, shares in self.mapping.parts.items() if name in followed]
            groups: dict[tuple[tuple[int, int], ...], list[int]] = {}
            for core in self.active:
                groups.setdefault(tuple(shares[core] for shares in own), []).append(core)
            found |= {(use, core): tuple(group) for group in groups.values() for core in group}
        return found

    def leaders(self, core: int) -> tuple[int, ...]:
        """For each operand that is cast, who loads it for *core*."""
        cast = self.mapping.cast
        return tuple([self._fellows[use, core][0] for use in cast]) if cast else ()

    def tree_on(self, core: int) -> Tree:
        """The tree of one core, without the steps that others take for it."""
        role = self.role(core)
        if role not in self._trees:
            apart = self.gathers or self.mapping.cast or self.beside
            self._trees[role] = self._pruned(self.tree, core) if apart else self.tree
        return self._trees[role]

    def role(self, core: int) -> tuple[bool, ...]:
        """What *core* does for others: cores of one role have one tree."""
        if core not in self._roles:
            beside = (self.forms(part, core) for part in range(1, len(self.beside) + 1))
            leads = (leader == core for leader in self.leaders(core))
            self._roles[core] = (self.completes(core), *beside, *leads)
        return self._roles[core]

    @cached_property
    def _roles(self) -> dict[int, tuple[bool, ...]]:
        """The roles that were asked for, by core."""
        return {}

    @cached_property
    def _trees(self) -> dict[tuple[bool, ...], Tree]:
        """The trees that were asked for, by role."""
        return {}

    def _pruned(self, tree: Tree, core: int) -> Tree:
        children = (replace(c, body=self._pruned(c.body, core)) if isinstance(c, For) else c for c in tree)
        return tuple(child for child in children if isinstance(child, For) or self.has(child, core))

    def steps_on(self, core: int) -> tuple[tuple[int, Step], ...]:
        """The steps of one core, each with its depth."""
        role = self.role(core)
        if role not in self._flats:
            self._flats[role] = tuple(_steps(self.tree_on(core), 0))
        return self._flats[role]

    @cached_property
    def _flats(self) -> dict[tuple[bool, ...], tuple[tuple[int, Step], ...]]:
        """The steps of the trees that were asked for, by role."""
        return {}

    def has(self, step: Step, core: int) -> bool:
        """Whether *core*, which has work, takes *step*.

        Of a sum that cores share only the first makes results, and what comes of these; what is cast the first of those
        that need it loads and sends to the others.
        """
        if not self.completes(core) and step.kind not in OF_OWN_SUMS and (step.part or step.of_whole_sums):
            return False
        if not self.forms(step.part, core):
            return False
        moved = (*step.writes, *step.reads)[:1]
        if step.kind in ("receive", "multicast", "load") and moved[0] in self.mapping.cast:
            return (self.fellows(moved[0], core)[0] == core) != (step.kind == "receive")
        return True


OF_OWN_SUMS = frozenset({"contract", "gather"})
"""Kinds of steps by which every core forms its part of a sum, and hands it on."""


def _steps(tree: Tree, depth: int) -> Iterator[tuple[int, Step]]:
    for child in tree:
        if isinstance(child, For):
            yield from _steps(child.body, depth + 1)
        else:
            yield depth, child


@dataclass(frozen=True)
class Coding:
    """How a value lies in DRAM: a codec that stores blocks, of these extents along the axes in memory.

    *dram* are the bytes that a training step is predicted to move, *plain* those with each element at its place.
    """

    codec: str
    blocks: tuple[int, ...]
    dram: int = 0
    plain: int = 0


@dataclass(frozen=True)
class Schedule:
    """All stages of each entry, in order, over values at home in DRAM."""

    name: str
    entries: Mapping[str, tuple[Stage, ...]]
    types: Mapping[str, Type]
    """Type of each DRAM value that a stage touches."""

    rooms: Mapping[str, int] = field(default_factory=dict[str, int])
    """Of values that change with time and are gone with their step, or their window: for how many steps there is room.
    """

    codings: Mapping[str, Coding] = field(default_factory=dict[str, Coding])
    """Of values whose codec stores blocks."""

    overlaps: Mapping[str, tuple[Overlap, ...]] = field(default_factory=dict[str, tuple[Overlap, ...]])
    """What was decided of cycles that have a way back, by entry."""

    @property
    def handed(self) -> frozenset[str]:
        """Values with room for two steps, of which one part of a cycle makes one while the other reads the other."""
        return frozenset(value for found in self.overlaps.values() for each in found for value in each.handed)

    def nowhere(self, entry: str) -> frozenset[str]:
        """Values that an entry makes and that have no place in DRAM then; in another entry they may have one."""
        stages = self.entries[entry]
        drawn = (drawn.statement for stage in stages for drawn in stage.drawn.values())
        return frozenset(write.target.value for made in drawn for write in made.writes).union(
            *(stage.inside for stage in stages)
        )


def windowed(stages: Sequence[Stage]) -> Iterator[tuple[Stage, ...]]:
    """Runs of stages that take windows of time together, and of those that do not."""
    return (tuple(run) for _, run in groupby(stages, lambda stage: stage.windows))


def together(stages: Sequence[Stage]) -> Iterator[tuple[Stage, ...]]:
    """Runs of stages that take each step of time together, and teams of others; all others alone."""
    return _runs(stages, lambda one, next: one.cycle == next.cycle and (next.cycle != 0 or _beside(one, next)))


def teams(stages: Sequence[Stage]) -> Iterator[tuple[Stage, ...]]:
    """Runs of stages that run beside one another; all others alone."""
    return _runs(stages, _beside)


def _beside(one: Stage, next: Stage) -> bool:
    return one.team == next.team != 0


def _runs(stages: Sequence[Stage], joined: Callable[[Stage, Stage], bool]) -> Iterator[tuple[Stage, ...]]:
    """Runs of stages of which each is *joined* to the next."""
    run: list[Stage] = []
    for stage in stages:
        if run and not joined(run[-1], stage):
            yield tuple(run)
            run = []
        run.append(stage)
    if run:
        yield tuple(run)
