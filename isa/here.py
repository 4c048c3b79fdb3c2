"""Operands of the vector unit where they lie: kernels read and write them there, without a copy.

What does not change while views and extents stay is settled once; a turn of a loop asks only where operands begin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct
from typing import TYPE_CHECKING, Generic, TypeVar

from .access import operand_shape, reach
from .kernels.axes import SHARED, WALKED, Lying
from .kernels.compiled import at, library
from .registers import DRAM, IDENTITY, ViewRegister

if TYPE_CHECKING:
    from .state import Stream

Shape = tuple[int, ...]
Plan = TypeVar("Plan")

_MOST, _MOST_SETTLED = 1 << 12, 1 << 8
"""Turns whose places are kept, and views and extents that stay settled."""


class Settled(Generic[Plan]):
    """Operands whose views and extents stay: how they lie, the *plan* for them, and their places, turn by turn."""

    def __init__(
        self, plan: Plan, views: Sequence[ViewRegister], lying: Sequence[Lying], memories: Sequence[tuple[int, int]]
    ) -> None:
        self.plan = plan
        self._views, self._lying, self._memories = views, lying, memories
        self._walked = [(number, view) for number, view in enumerate(views) if view.space == IDENTITY]
        self._moving = [view for view in views if not (view.still or view.space == IDENTITY)]
        self._known: dict[Shape, tuple[Shape, bytes] | None] = {}
        self._pack = Struct(f"{len(views)}q").pack

    def places(self, written: Sequence[int], coinciding: bool) -> bytes | None:
        """Where operands begin now, as kernels take it; None where they cannot be read and written in one go.

        That is where *written* ones lie over others; those that have just the same elements may, where *coinciding*.
        """
        starts = tuple([view.start() for view in self._moving])
        try:
            found = self._known[starts]
        except KeyError:
            found = self._found(written, coinciding)
            if len(self._known) < _MOST:
                self._known[starts] = found
        if found is None or not self._walked:
            return found and found[1]
        places = list(found[0])
        for number, view in self._walked:
            places[number] = view.start()
        return self._pack(*places)

    def _found(self, written: Sequence[int], coinciding: bool) -> tuple[Shape, bytes] | None:
        """The places, and the same for kernels."""
        places: list[int] = []
        reached: list[tuple[int, int]] = []
        for view, one, (base, size) in zip(self._views, self._lying, self._memories, strict=True):
            start = view.start()
            if view.space == IDENTITY:
                places.append(start)
                reached.append((0, 0))
                continue
            low, high = reach(view.format.bits, one.shape, view.strides)
            first, behind = start + low >> 3, start + high + 7 >> 3
            if first < 0 or behind > size or start % (view.format.bits if view.format.packed else 8):
                return None
            places.append(base * 8 + start if view.format.packed else base + (start >> 3))
            reached.append((base + first, base + behind))
        for number in written:
            first, behind = reached[number]
            for other, (low, high) in enumerate(reached):
                if other == number or high <= first or low >= behind:
                    continue
                alike = places[other] == places[number] and self._lying[other] == self._lying[number]
                if other in written or not (alike and coinciding):
                    return None
        return tuple(places), self._pack(*places)


class Here(Generic[Plan]):
    """The operands of an instruction: view registers *numbers* of *stream*.

    *plan* tells from how they lie, and from the extents of the operand with most axes, how a kernel does it; None where
    it cannot.  Other operands have the first of these axes.
    """

    def __init__(
        self, stream: Stream, numbers: Sequence[int], plan: Callable[[list[Lying], Shape], Plan | None]
    ) -> None:
        self._registers, self._numbers, self._plan = stream.views, numbers, plan
        self._memories = [(at(memory), memory.size) for memory in stream.core.memories]
        self._serves = library() is not None and not stream.chip.watched
        self._known: dict[tuple[Shape | ViewRegister | None, ...], Settled[Plan] | None] = {}
        self._extents: Shape | None = None
        self._views: list[ViewRegister | None] = []
        self._settled: Settled[Plan] | None = None

    def settled(self, extents: Shape) -> Settled[Plan] | None:
        """What stays while views and extents do; None where no kernel serves, or where something is wrong."""
        registers = self._registers
        views = [registers[number] for number in self._numbers]
        if extents is self._extents and views == self._views:
            return self._settled
        key = (extents, *views)
        if key not in self._known:
            if len(self._known) == _MOST_SETTLED:
                self._known.clear()
            self._known[key] = self._settle([view for view in views if view is not None], extents)
        self._extents, self._views, self._settled = extents, views, self._known[key]
        return self._settled

    def ready(self, extents: Shape, written: Sequence[int]) -> tuple[Plan, bytes] | None:
        """The plan, and where operands begin now; None where no kernel serves, or where *written* ones lie over
        others."""
        settled = self.settled(extents)
        places = settled and settled.places(written, coinciding=False)
        return (settled.plan, places) if settled and places else None

    def _settle(self, views: list[ViewRegister], extents: Shape) -> Settled[Plan] | None:
        lying = [one for view in views if (one := _lying(view, extents[: view.rank])) is not None]
        spaces = [view.space for view in views if view.space != IDENTITY]
        if not self._serves or len(lying) < len(self._numbers) or max(spaces, default=0) >= len(self._memories):
            return None
        plan = self._plan(lying, extents)
        if plan is None:
            return None
        memories = [(0, 0) if view.space == IDENTITY else self._memories[view.space] for view in views]
        return Settled(plan, views, lying, memories)


def _lying(view: ViewRegister, extents: Shape) -> Lying | None:
    """How the elements of a view lie; None for one that no kernel reads."""
    if view.space == DRAM or view.rank != len(extents) or 0 in extents:
        return None
    shape = operand_shape(extents, view.strides)
    if view.space == IDENTITY:
        return Lying(WALKED, shape, view.strides)
    fmt, unit = view.format, view.format.bits if view.format.packed else 8
    if any(stride % unit for size, stride in zip(shape, view.strides, strict=True) if size > 1):
        return None
    if fmt.packed:
        return Lying(fmt.code + SHARED, shape, view.strides)
    return Lying(fmt.code, shape, tuple(stride // 8 for stride in view.strides))
