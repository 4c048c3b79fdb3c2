"""Loads and stores of boxes that do not change their size: planned once, and copied at every turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .access import memory_of, strided
from .affine import Function
from .kernels.bursts import bursts
from .kernels.copied import Box, End, Side, described, mover
from .registers import DRAM, ViewRegister
from .transfer import Plan, check_row, clipped, plan_of, without_tail

Array = NDArray[Any]
Bytes = NDArray[np.uint8]
Shape = tuple[int, ...]
Moved: TypeAlias = "tuple[Way, int, int]"
"""How a box moves, and the bits of DRAM and of the scratchpad where it begins."""

_MOST = 1 << 12
"""Boxes that leave their bounds which are kept."""


class Ends(NamedTuple):
    """What boxes move between: DRAM, the first of *memories*, and scratchpad *space*; *stores* says which way.

    Where they lie *anywhere* instead of in DRAM, their addresses are the host's.
    """

    memories: Sequence[Bytes]
    space: int
    stores: bool
    anywhere: bool = False

    @property
    def verbs(self) -> tuple[str, str]:
        """What happens to the scratchpad, and to DRAM: for faults."""
        return ("reads", "writes") if self.stores else ("writes", "reads")


class Way:
    """Transfers by the same *plan*, as NumPy copies; *clipped* says that parts of the box do not exist."""

    def __init__(self, ends: Ends, plan: Plan, clipped: bool, granule: int) -> None:
        self.ends, self.plan, self.clipped = ends, plan, clipped
        self.exists = 0 not in plan.sizes
        self.tail, self.useful, self.scratchpad = plan.grid.tail, plan.useful, plan.scratchpad
        self.bursts = _Bursts(plan, granule)

    def copy(self, address: int, start: int) -> None:
        """The box that begins at bit *address* of DRAM, as far as it exists, and at bit *start* of the scratchpad.

        ValueError for what leaves a memory or its bytes.
        """
        memories, space, stores, _ = self.ends
        plan, verbs = self.plan, self.ends.verbs
        whole = strided(memories, space, start, plan.whole, verbs[0])
        part = strided(memories, space, start + plan.skipped, plan.part, verbs[0]) if self.clipped else whole
        box = strided(memories, DRAM, address, plan.dram, verbs[1]) if self.exists else None
        if self.clipped and not stores:
            whole[...] = 0
        if box is not None:
            target, source = (box, part) if stores else (part, box)
            target[...] = source if not plan.grid.tail else without_tail(source, plan.grid)


class CompiledWay(Way):
    """The same by a kernel, which answers whether it had to leave it to NumPy to say what is wrong."""

    def __init__(self, ends: Ends, plan: Plan, clipped: bool, granule: int, call: Callable[[int, int], int]) -> None:
        super().__init__(ends, plan, clipped, granule)
        self._call = call

    def copy(self, address: int, start: int) -> None:
        if self._call(address, start):
            super().copy(address, start)


class CountedWay(Way):
    """In memories of which only the size is known: what leaves them is told, and nothing is copied."""

    def copy(self, address: int, start: int) -> None:
        plan, (memories, space, *_), verbs = self.plan, self.ends, self.ends.verbs
        if 0 not in plan.whole.shape:
            memory_of(memories, space, start, plan.whole, verbs[0])
        if self.exists:
            memory_of(memories, DRAM, address, plan.dram, verbs[1])
            if address & 7 or plan.dram.problem:
                strided(memories, DRAM, address, plan.dram, verbs[1])  # says what is wrong


class _Bursts(dict[int, int]):
    """Bursts of *granule* bytes of a box, by how far behind the begin of one it begins."""

    def __init__(self, plan: Plan, granule: int) -> None:
        super().__init__()
        self._plan, self._granule = plan, granule

    def __missing__(self, offset: int) -> int:
        found = self[offset] = bursts(offset, *self._plan.rows, self._granule)
        return found


class _Inside(dict[Shape, Any]):
    """What *found* says of boxes that exist as a whole, by the extents of the loops that make their own."""

    def __init__(self, found: Callable[[], Any]) -> None:
        super().__init__()
        self._found = found

    def __missing__(self, key: Shape) -> Any:
        found = self[key] = self._found()
        return found


class Transfer:
    """Moves boxes between a *view* of DRAM and one of a scratchpad, the *pad*; boxes of the same size are planned once.

    *move* moves the box where view and pad stand now.  ValueError for what leaves a memory, its bounds, or the bytes of
    a packed row.
    """

    stores: ClassVar = False
    counts: ClassVar = False
    """Whether memories have no contents."""

    def __init__(self, memories: Sequence[Bytes], view: ViewRegister, pad: ViewRegister, granule: int) -> None:
        self._ends = Ends(memories, pad.space, self.stores)
        self._view, self._pad, self._granule = view, pad, granule
        self._zeros = (0,) * view.rank
        self._bounded = tuple((axis, bound) for axis, bound in enumerate(view.bounds) if bound)
        self._ways: dict[tuple[Shape, Shape, Shape], Way] = {}
        self._rims: dict[tuple[Shape, Shape], Way] = {}
        self.move: Callable[[], Moved] = self._written()

    def _written(self) -> Callable[[], Moved]:
        """The function `move`: where nothing is clipped, additions and the call that copies."""
        view, function = self._view, Function()
        most = "".join(f", most{axis}" for axis, _ in self._bounded)
        function.add(f"way{most} = {function.name(_Inside(self._inside))}[{view.key(function)}]")
        begins = [f"0 <= {view.begin(function, axis)} <= most{axis}" for axis, _ in self._bounded]
        if begins:
            function.add(f"if not ({' and '.join(begins)}): return {function.name(self._outside)}()")
        function.add(f"address = {view.address(function)}")
        function.add(f"start = {self._pad.address(function)}")
        if view.format.packed:
            function.add(f"if way.tail: {function.name(self._check)}(way)")
        function.add("way.copy(address, start)")
        function.add("return way, address, start")
        return function.made()

    def _inside(self) -> Any:
        """The way of a box that is not clipped, and how far it may begin along each axis that has a bound."""
        extents = self._view.extents()
        way = self._planned(extents, self._zeros, extents)
        return (way, *(bound - extents[axis] for axis, bound in self._bounded)) if self._bounded else way

    def _outside(self) -> Moved:
        """Move a box that leaves its bounds."""
        view, start = self._view, self._pad.start()
        extents, begins = view.extents(), view.begins()
        way = self._rims.get((extents, begins))
        if way is None:
            way = self._clipped(extents, begins)
            if len(self._rims) < _MOST:
                self._rims[extents, begins] = way
        address = view.start() + way.plan.moved if way.exists else 0
        if way.tail:
            self._check(way)
        way.copy(address, start)
        return way, address, start

    def _clipped(self, extents: Shape, begins: Shape) -> Way:
        """The way of a box that leaves its bounds."""
        return self._planned(extents, *clipped(extents, begins, self._view.bounds))

    def _check(self, way: Way) -> None:
        """ValueError where a packed row ends inside of a byte, but not with its tensor's."""
        if way.exists:
            check_row(way.plan, self._view.begins(), self._view.bounds)

    def _planned(self, extents: Shape, lows: Shape, sizes: Shape) -> Way:
        way = self._ways.get((extents, lows, sizes))
        if way is None:
            plan = plan_of(self._view.format, extents, self._view.strides, lows, sizes, self._pad.strides)
            way = self._ways[extents, lows, sizes] = self._way(plan, sizes != extents)
        return way

    def _way(self, plan: Plan, part: bool) -> Way:
        """Without contents; otherwise as the kernel copies, and where that does not serve as NumPy does."""
        if self.counts:
            return CountedWay(self._ends, plan, part, self._granule)
        call = compiled_move(self._ends, plan, part)
        if call is None:
            return Way(self._ends, plan, part, self._granule)
        return CompiledWay(self._ends, plan, part, self._granule, call)


class Load(Transfer):
    """Copies boxes of DRAM to the scratchpad; elements outside of the bounds become zeros there."""


class Store(Transfer):
    """Copies the scratchpad to boxes of DRAM, which may not leave their bounds."""

    stores = True

    def _clipped(self, extents: Shape, begins: Shape) -> Way:
        if 0 not in extents:
            bounds = self._view.bounds
            raise ValueError(f"stores at positions {begins} {extents} elements, outside of the bounds {bounds}")
        return super()._clipped(extents, begins)


class CountedLoad(Load):
    """What `Load` says, in memories of which only the size is known."""

    counts = True


class CountedStore(Store):
    """What `Store` says, in memories of which only the size is known."""

    counts = True


def compiled_move(ends: Ends, plan: Plan, part: bool) -> Callable[[int, int], int] | None:
    """The kernel for boxes of a plan, *part* of which exist; None where it does not serve."""
    kernel = mover()
    if kernel is None or ends.space >= len(ends.memories) or plan.whole.problem or plan.dram.problem:
        return None
    # Words of x128 have an axis of their own, along which their bytes lie side by side.
    rank, memories = len(plan.grid.extents), ends.memories
    box = Box(
        stores=ends.stores,
        piece=plan.grid.bits // 8,
        dram=End(None if ends.anywhere else memories[DRAM], plan.dram.low, plan.dram.high, plan.dram.steps[:rank]),
        pad=End(memories[ends.space], plan.whole.low, plan.whole.high, plan.part.steps[:rank]),
        extents=plan.grid.extents,
        exists=0 not in plan.sizes,
        whole=Side(plan.whole.shape[:rank], plan.whole.steps[:rank]) if part and not ends.stores else None,
        skipped=plan.skipped,
        packed=plan.grid.axis,
        tail=plan.grid.tail,
    )
    call = described(box)
    return None if call is None else partial(kernel, call)
