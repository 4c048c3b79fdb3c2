"""Which stages of an entry wait for which: by what they read and write in DRAM, and by nothing else.

A stage must stay behind an earlier one that writes what it reads, reads what it writes, or writes what it writes too.
Values are whole: who touches other steps, other samples or another tile of a value waits all the same.  That holds for
values with room for one step or one window, which are written anew, and for the loop that a cycle or a window turns
around its stages, since every turn of it ends where all have met.  There are two exceptions.  The residue classes of a
stride share out the rows and columns of one value, and what never meets need not wait.  And where the turns of a cycle
overlap, stages touch different steps in the same turn: these are apart where there is room for both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..ir.schedule import Stage
from ..ir.statement import TIME, Access, Index, Window


@dataclass(frozen=True)
class Touch:
    """An access to a value in DRAM, whose aliases are resolved in *home*; *writes* it or reads it.

    Where the turns of a loop overlap, the step that it touches is the turn and *step* more, of a value that has room
    for the last *room* steps (0: for all).
    """

    home: str
    access: Access
    writes: bool
    step: int | None = None
    room: int = 0
    samples: tuple[int, int] | None = None
    """The first sample that it touches, and how many; None where that may be any."""

    def meets(self, other: Touch) -> bool:
        """Whether the two must stay in their order."""
        if self.home != other.home or not (self.writes or other.writes):
            return False
        if self.step is not None and other.step is not None:
            between = self.step - other.step
            if between % self.room if self.room else between:
                return False
        if self.samples is not None and other.samples is not None:
            (first, count), (second, more) = self.samples, other.samples
            if first + count <= second or second + more <= first:
                return False
        return self.access.value != other.access.value or not _apart(self.access, other.access)


def touches(stage: Stage, aliases: Mapping[str, str], rooms: Mapping[str, int] | None = None) -> Iterator[Touch]:
    """Everything in DRAM that *stage* reads or writes; where turns overlap, by its step, in the *rooms* for steps."""
    kept = isinstance(stage.statement, Window) and stage.statement.kind == "max"
    for name, access in stage.accesses:
        writes = name.startswith("out") or (name == "tap" and kept)
        home, step, room = aliases.get(access.value, access.value), None, 0
        if stage.behind is not None and rooms is not None and access.index and access.index[0].terms == (("t", 1),):
            earlier = name.startswith("state.")  # what the step before has left
            step, room = access.index[0].offset - earlier - stage.behind, rooms.get(home, 0)
        yield Touch(home, access, writes, step, room, _samples(stage, access))


def _samples(stage: Stage, access: Access) -> tuple[int, int] | None:
    """The samples that *stage* touches along an axis of its own, if it has only some.

    Along the last axis, neighbours of a packed format may share a byte.
    """
    shares = [share for share in stage.mapping.parts.get("n", ()) if share[1]]
    if not shares or not any(index.terms == (("n", 1),) and index.offset == 0 for index in access.index[:-1]):
        return None
    first = min(low for low, _ in shares)
    return first, max(low + extent for low, extent in shares) - first


def waits(items: Sequence[Sequence[Touch]]) -> list[frozenset[int]]:
    """For each of *items*, which come one after the other, those before it that it must stay behind."""
    return [frozenset(before for before, _ in found) for found in _met(items)]


def overwrites(items: Sequence[Sequence[Touch]]) -> list[frozenset[int]]:
    """For each of *items*, those before it that it must stay behind only since it overwrites what they read.

    It may begin before they have ended, if nothing of it is stored until then.
    """
    return [
        frozenset(before for before, late in found if late) - frozenset(before for before, late in found if not late)
        for found in _met(items)
    ]


def _met(items: Sequence[Sequence[Touch]]) -> Iterator[frozenset[tuple[int, bool]]]:
    """For each of *items*, those before it that touch what it touches, and whether it writes what they read."""
    seen: dict[str, list[tuple[int, Touch]]] = {}
    for number, item in enumerate(items):
        yield frozenset(
            (before, touch.writes and not other.writes)
            for touch in item
            for before, other in seen.get(touch.home, ())
            if before != number and touch.meets(other)
        )
        for touch in item:
            seen.setdefault(touch.home, []).append((number, touch))


def _apart(one: Access, other: Access) -> bool:
    """Whether no element is part of both: along an axis but the last, both go in steps and never meet.

    Along the last axis, neighbours of a packed format may share a byte.
    """
    axes = list(zip(one.index, other.index, strict=True))
    return any(_never_meet(*axis) for axis in axes[:-1])


def _never_meet(one: Index, other: Index) -> bool:
    """Whether the two indices are never equal, since both go in common steps from places that differ by less.

    Of time nobody knows: there may be room for one step only.
    """
    terms = (*one.terms, *other.terms)
    step = math.gcd(*(c for _, c in terms))
    return step > 1 and not {name for name, _ in terms} & {*TIME} and (one.offset - other.offset) % step != 0
