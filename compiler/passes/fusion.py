"""Fusion: element-wise statements take tiles where they are made, so that values lie nowhere and move no byte.

A stage makes a tile of sums, or of elements.  Where what a statement reads of it is the very element that it makes (a
neuron reads its current, its adjoint the error that comes through a layer or a pool, an optimizer the gradient of its
weight), the vector unit may go on with the tile before the next is begun: the statement becomes part of the stage's
*epilogue*.  It keeps its own states, its other operands and its results; what it takes lies in DRAM only if others read
it, too.  An error that is spread over a window grows there: a tile has the whole of each window.

What adds up an operand that a stage multiplies may form its sum there, too: see `summed_beside`.

A stage with an epilogue must leave room for the epilogue's buffers, and turns time inside all else if states are kept:
tiles are smaller, so that weights may be read more often.  Hence both are mapped, and fused is what then costs less.
Statements are taken one after the other, in the order of the graph, each by the stage where it saves most.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from ...isa.state import VIEWS
from ...source import TargetError
from ..ir.accesses import accesses, made_by, read_by
from ..ir.joined import Fused, part_of, roots_of, use_in
from ..ir.schedule import ALWAYS
from ..ir.statement import TIME, Access, Contraction, Digit, Elementwise, respelled
from .mapping import Mapped, Mapper
from .request import Request
from .summed_beside import may_join, views_of, with_sum_beside

Terms = tuple[tuple[str, int], ...]
"""Loops, each with what a turn of it counts for."""


def fused(
    stages: Sequence[Mapped], lasting: Collection[str], aliases: Mapping[str, str], mapper: Mapper
) -> tuple[Mapped, ...]:
    """The stages of an entry, in order, with sums beside their own and epilogues where these save something.

    *lasting* are values that somebody reads behind the entry, *aliases* other names of values.
    """
    homes = _Homes(aliases)
    placed = [_Placed(each, homes.read(each.request), homes.written(each.request)) for each in stages]
    readers: defaultdict[str, set[str]] = defaultdict(set)
    carried: set[str] = set()
    for each in placed:
        for value in each.read:
            readers[value].add(each.mapped.request.name)
        carried |= homes.carried(each.mapped.request)
    stays = {homes.of(value) for value in lasting} | carried
    line = _Line()
    for each in placed:
        offers = _offers(line, each, readers, stays, homes, mapper)
        place, better, _ = max(offers, key=lambda offer: offer[2], default=(-1, None, 0))
        if better is None:
            line.add(each)
        else:
            stage = line.stages.pop(place)
            line.add(_Placed(better, stage.read | each.read, stage.written | each.written))
    return tuple(each.mapped for each in line.stages.values())


@dataclass(frozen=True)
class _Placed:
    """A stage in its place, with the values that it reads and those that it makes, all of its epilogue included."""

    mapped: Mapped
    read: frozenset[str]
    written: frozenset[str]


class _Line:
    """Stages one behind the other, by places that ascend, and for each value the last place where it is touched.

    One that moves behind all others takes all that it touches along, so the last places stay right.
    """

    def __init__(self) -> None:
        self.stages: dict[int, _Placed] = {}
        self._next = 0
        self._reads: dict[str, int] = {}
        self._writes: dict[str, int] = {}
        self._makers: defaultdict[str, set[int]] = defaultdict(set)
        self._readers: defaultdict[str, set[int]] = defaultdict(set)

    def add(self, each: _Placed) -> None:
        """*each* is the last from now on."""
        self.stages[self._next] = each
        self._reads |= dict.fromkeys(each.read, self._next)
        self._writes |= dict.fromkeys(each.written, self._next)
        for value in each.written:
            self._makers[value].add(self._next)
        for value in each.read:
            self._readers[value].add(self._next)
        self._next += 1

    def makers(self, values: Iterable[str]) -> list[int]:
        """Places of the stages that make any of *values*."""
        return self._there(self._makers, values)

    def readers(self, values: Iterable[str]) -> list[int]:
        """Places of the stages that read any of *values*."""
        return self._there(self._readers, values)

    def _there(self, places: Mapping[str, set[int]], values: Iterable[str]) -> list[int]:
        found = {place for value in values for place in places.get(value, ())}
        return sorted(place for place in found if place in self.stages)

    def may_be_last(self, place: int) -> bool:
        """Whether nobody behind a stage waits for it."""
        stage = self.stages[place]
        read = (self._reads.get(value, place) for value in stage.written)
        written = (self._writes.get(value, place) for value in stage.written | stage.read)
        return max((*read, *written), default=place) <= place


@dataclass(frozen=True)
class _Homes:
    """Values by the names of what lies in memory."""

    aliases: Mapping[str, str]

    def of(self, value: str) -> str:
        return self.aliases.get(value, value)

    def read(self, request: Request) -> frozenset[str]:
        """What a request reads of DRAM, what its epilogue takes included."""
        return frozenset(self.of(access.value) for each in request.statements for _, access in read_by(each))

    def written(self, request: Request) -> frozenset[str]:
        """What it makes."""
        return frozenset(self.of(access.value) for each in request.statements for _, access in made_by(each))

    def carried(self, request: Request) -> frozenset[str]:
        """Where its states lie between two steps."""
        states = (state for s in request.statements if isinstance(s, Elementwise) for state in s.states)
        return frozenset(self.of(state.home.value) for state in states if state.home is not None)


def _offers(
    line: _Line,
    each: _Placed,
    readers: Mapping[str, set[str]],
    stays: Collection[str],
    homes: _Homes,
    mapper: Mapper,
) -> Iterator[tuple[int, Mapped, float]]:
    """Stages that could go on with what *each* does: their places, what would come of it, and what that saves."""
    request = each.mapped.request
    sums = isinstance(request.statement, Contraction)
    for place in line.readers(each.read) if sums else line.makers(each.read):
        stage = line.stages[place]
        if each.written & (stage.written | stage.read) or not line.may_be_last(place):
            continue
        if sums:
            joined = with_sum_beside(stage.mapped.request, request)
        else:
            joined = _joined(stage.mapped.request, request, readers, stays, homes)
        if joined is None:
            continue
        try:
            better = mapper.choose(joined)
        except TargetError:
            continue
        saved = stage.mapped.explanation.cost + each.mapped.explanation.cost - better.explanation.cost
        if saved > 0:
            yield place, replace(better, request=_told(joined, request.name, saved)), saved


def _told(joined: Request, node: str, saved: float) -> Request:
    """*joined* with what it saves that *node* is no stage of its own."""
    beside = tuple(replace(each, saves=saved) if each.node == node else each for each in joined.beside)
    epilogue = tuple(replace(each, saves=saved) if each.node == node else each for each in joined.epilogue)
    return replace(joined, beside=beside, epilogue=epilogue)


def _joined(
    stage: Request, each: Request, readers: Mapping[str, set[str]], stays: Collection[str], homes: _Homes
) -> Request | None:
    """*stage* with the statement of *each* at the end of its epilogue; None where it cannot go on there."""
    statement = each.statement
    if not isinstance(statement, Elementwise) or statement.reduced or each.drawn or not may_join(stage, each):
        return None
    names: dict[str, Terms] = {name: ((name, 1),) for name in each.shared}
    taken: dict[str, str] = {}
    made = {homes.of(access.value): (use, access) for use, access in _made(stage)}
    written = homes.written(stage)
    for use, access in accesses(statement):
        value = homes.of(access.value)
        if value not in written:
            continue
        if value not in made or use not in statement.reads or not _same(made[value][1], access, names):
            return None
        taken[use] = made[value][0]
    later = _turning(statement.extents) - set(names)
    if any(names.get(name, ((name, 1),)) != ((name, 1),) for name in TIME) or not _may_turn(stage, later):
        return None
    spelled = _spelled(names, statement.extents, stage.extents)
    if spelled is None:
        return None
    extents = statement.extents
    single = set[str]() if names else set(extents)  # an axis is left, if of extent 1
    own = {name: name if name in TIME else _apart(name, stage.extents) for name in later | single}
    known = respelled(statement, spelled | {name: (Digit(loop, 1, extents[name]),) for name, loop in own.items()})
    moved = Fused(each.name, each.op, each.layer, each.phase, known, taken, each.place)
    members = {stage.name, *(other.node for other in stage.joined), each.name}
    inside = frozenset(
        access.value
        for statement in (*stage.statements, moved.statement)
        for _, access in made_by(statement)
        if (home := homes.of(access.value)) not in stays
        and home in {homes.of(value) for value in _taken(stage, taken)} | {*stage.inside}
        and readers[home] <= members
    )
    joined = replace(stage, epilogue=(*stage.epilogue, moved), inside=inside)
    roots = {roots_of(joined.joined)[part_of(buffer)] for buffer in taken.values()}
    return joined if len(roots) == 1 and views_of(joined) <= VIEWS else None


def _taken(stage: Request, taken: Mapping[str, str]) -> Iterator[str]:
    """Values that an epilogue takes: by what is at its end, and before."""
    made = {buffer: access.value for buffer, access in _made(stage)}
    yield from (made[buffer] for buffer in taken.values())
    for fused in stage.epilogue:
        yield from (made[buffer] for buffer in fused.taken.values())


def _made(stage: Request) -> Iterator[tuple[str, Access]]:
    """What a stage makes in every turn, with the buffer where a tile of it lies."""
    for part, statement in enumerate(stage.statements):
        if isinstance(statement, Contraction):
            yield use_in(part, "out"), statement.target
        elif isinstance(statement, Elementwise) and not statement.reduced:
            for number, write in enumerate(statement.writes):
                if not write.last:
                    yield use_in(part, f"out{number}"), write.target


def _same(made: Access, read: Access, names: dict[str, Terms]) -> bool:
    """Whether *read* is the element that is *made*, with its loops made of others as *names* then says."""
    if len(made.index) != len(read.index):
        return False
    for ours, theirs in zip(made.index, read.index, strict=True):
        if ours.offset != theirs.offset:
            return False
        if len(theirs.terms) == 1:
            ((name, d),) = theirs.terms
            pairs = [(name, d, ours.terms)]
        elif len(ours.terms) == len(theirs.terms):
            pairs = [(name, d, (term,)) for (name, d), term in zip(theirs.terms, ours.terms, strict=True)]
        else:
            return False
        for name, d, terms in pairs:
            if not terms or any(c % d for _, c in terms):
                return False
            spelled = tuple((loop, c // d) for loop, c in terms)
            if names.setdefault(name, spelled) != spelled:
                return False
    return True


def _spelled(
    names: Mapping[str, Terms], extents: Mapping[str, int], ours: Mapping[str, int]
) -> dict[str, tuple[Digit, ...]] | None:
    """The loops that *names* make of others as numbers are made of digits, the largest first: a loop that is cut into
    windows is ``2*p + r``.  None where they leave out a turn, or take one twice, or a loop has two roles."""
    loops = [loop for terms in names.values() for loop, _ in terms]
    if len(set(loops)) < len(loops):
        return None
    found: dict[str, tuple[Digit, ...]] = {}
    for name, terms in names.items():
        digits = [Digit(loop, c, ours[loop]) for loop, c in sorted(terms, key=lambda term: -term[1])]
        unit = 1
        for digit in reversed(digits):
            if digit.coefficient != unit:
                return None
            unit *= digit.extent
        if unit != extents[name]:
            return None
        found[name] = tuple(digits)
    return found


def _turning(extents: Mapping[str, int]) -> set[str]:
    """Loops that turn: not those of extent 1, but for time."""
    return {name for name, extent in extents.items() if extent > 1 or name in TIME}


def _apart(name: str, known: Collection[str]) -> str:
    """A loop called like *name* that is none of those *known*."""
    return next(other for marks in count(1) if (other := name + "'" * marks) not in known)


def _may_turn(stage: Request, later: set[str]) -> bool:
    """Whether an epilogue may have loops of its own, *later*: time, of what does not change, in all of it or in none;
    others where a tile can be spread over the whole of them."""
    timed = later & set(TIME)
    if stage.epilogue or stage.beside:
        return timed == set(stage.later)
    if not timed:
        return True
    summed = stage.statement.summed if isinstance(stage.statement, Contraction) else ()
    return timed == {"t"} and "t" not in stage.extents and not {*ALWAYS} & {*summed}
