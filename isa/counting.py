"""The verbs without any data: what `computing` would move and do is told, and nothing of it is done.

What moves does not depend on data, but for blocks of codecs; how many products there are does not, either, but for how
many of them zeros save.  There a stream tells what is expected of tensors as full as the chip's contents say, rounded a
transfer or an instruction.  Transfers are checked as those with data are; of what is computed only the extents are
looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import NamedTuple, Protocol

from ..numerics.formats import Format, row_bytes
from . import coded, moving
from .access import reach
from .array import tile_of
from .chip import Chip, Core
from .instruction import Action, Instruction
from .presence import Box, Content, Marks, Operand, Seen
from .registers import ViewRegister, Window
from .skipping import expected
from .state import Shape, Stream
from .transfer import clipped


class CountedChip(Chip, Protocol):
    """A chip without data."""

    @property
    def marks(self) -> Sequence[Marks] | None:
        """Of each core; None where all tensors are full, so that nobody needs to know what lies where."""
        ...

    def content(self, byte: int) -> Content:
        """Of the tensor at *byte* of DRAM."""
        ...


class CountedTile(NamedTuple):
    """A tile under way: its bytes, and what it is a tile of."""

    size: int
    seen: Seen | None


class CountingStream(Stream):
    """A stream whose tiles have no contents."""

    def __init__(self, core: Core, unit: str, chip: CountedChip, instructions: Sequence[Instruction]) -> None:
        super().__init__(core, unit, chip, instructions)
        self._contents = chip
        self._marks = None if chip.marks is None else chip.marks[core.number]

    # Moving tiles.

    def load(self, target: int, source: int) -> Action:
        move = self._transfer(moving.CountedLoad, source, target, write=False)
        if self._marks is None:
            return move

        def load() -> None:
            move()
            view, other = self.view(source), self.view(target)
            extents = view.extents()
            lows, sizes = clipped(extents, view.begins(), view.bounds)
            box = Box(extents, other.strides, lows, sizes)
            self._mark(other, extents, Seen(self._contents.content(view.base >> 3), box))

        return load

    def store(self, target: int, source: int) -> Action:
        return self._transfer(moving.CountedStore, target, source, write=True)

    def receive(self, target: int, core: int, channel: int, add: bool) -> Action:
        chip, observer, own = self.chip, self.chip.observer, self.core.number

        def receive() -> None:
            tile: CountedTile | None = chip.take(core, own, channel)
            if tile is None:
                return self.block("receive", core, channel)
            view = self.view(target)
            extents = view.extents()
            if tile.size != (size := _packed_bytes(view, extents)):
                raise ValueError(f"a tile of {tile.size} bytes came for a view of {size}")
            seen = None if add else tile.seen
            self._mark(view, extents, seen and seen._replace(box=seen.box._replace(strides=view.strides)))
            if (heard := observer.sync) is not None:
                heard(self, "receive", core, channel)

        return receive

    def _send(self, source: int, cores: tuple[int, ...], channel: int) -> Action:
        chip, observer, own = self.chip, self.chip.observer, self.core.number

        def send() -> None:
            view = self.view(source)
            found = None if self._marks is None else self._marks.at(view.space, view.start())
            tile = CountedTile(_packed_bytes(view, view.extents()), found and found[1])
            for core in cores:
                chip.deliver(own, core, channel, tile)
            observer.network(self, own, cores, tile.size)
            if (heard := observer.sync) is not None:
                for core in cores:
                    heard(self, "send", core, channel)

        return send

    def _recode(self, coding: coded.Coding, box: coded.Box, bounds: Shape, tile: Window, write: bool) -> coded.Coded:
        block = self._contents.content(box.base >> 3).block(self.chip.granule)
        count = coded.count_store if write else coded.count_load
        return count(self.core.memories, coding, box, bounds, block, self.chip.granule)

    # Computing.

    def contract(self, acc: int, left: int, right: int, fresh: int, inner: int, ones: bool, skip: int) -> Action:
        anew, engine = self.anew(fresh), self.chip.engines[self.unit]
        fmt: Format | None = None
        worked = self._multiplier(None)

        def contract() -> None:
            nonlocal fmt, worked
            view, right_view = self.view(acc), self.view(right)
            left_view = None if ones else self.view(left)
            extents = view.extents()
            dense = prod(extents)
            l_read = None if left_view is None else self._read(left_view, extents)
            if skip:
                tile = tile_of(view, left_view, right_view, extents, inner, anew())
                taken = expected(tile, engine, l_read, self._read(right_view, extents), skip)
                self.chip.observer.turns(self, taken)
                done = taken.done
            else:
                done = dense if l_read is None else round(dense * l_read.mean)
            self._made(view, extents)
            if left_view is not None and left_view.format is not fmt:
                fmt = left_view.format
                worked = self._multiplier(fmt)
            worked(dense, done)

        return contract

    def drain(self, out: int, acc: int, bias: int | None, scale: float) -> Action:
        return partial(self._worked_on, self._worker("element"), out, 1)

    def mean(self, out: int, acc: int, argument: int, count: int, scale: float) -> Action:
        worked = self._worker("element")

        def divide() -> None:
            self._terms(argument, count)
            self._worked_on(worked, out, 1)

        return divide

    def comoment(self, out: int, sums_at: tuple[int, int, int], argument: int, count: int, scale: float) -> Action:
        worked = self._worker("element")

        def covary() -> None:
            self._terms(argument, count)
            self._worked_on(worked, out, 4)

        return covary

    def run(self, number: int, first: int, fresh: int, reduced: int) -> Action:
        program, worked = self.chip.elements[number], self._worker("element")
        work = program.work

        def run() -> None:
            extents = self.view(first).extents()
            if self._marks is not None:
                for place in program.writes:
                    self._made(self.view(first + place), extents)
            worked(prod(extents) * work)

        return run

    def pool_max(self, out: int, tap: int, source: int, window: int, units: tuple[int, int]) -> Action:
        return partial(self._pooled, self._worker("element"), (out, tap), source, window)

    def pool_sum(self, out: int, source: int, window: int, scale: float) -> Action:
        return partial(self._pooled, self._worker("element"), (out,), source, window)

    def unpool(self, out: int, tap: int, source: int, window: int, first: int, steps: tuple[int, int]) -> Action:
        return partial(self._pooled, self._worker("element"), (out,), source, window)

    # Inside.

    def _worked_on(self, worked: Callable[[int], None], out: int, times: int) -> None:
        """Each element of the result takes so many operations."""
        view = self.view(out)
        extents = view.extents()
        self._made(view, extents)
        worked(times * prod(extents))

    def _pooled(self, worked: Callable[[int], None], results: tuple[int, ...], source: int, window: int) -> None:
        """Each element of a window takes an operation."""
        outer, taps = self._windows(self.view(results[0]), self.view(source), window)
        for number in results:
            self._made(self.view(number), outer)
        worked(prod(outer + taps))

    def _read(self, view: ViewRegister, extents: Shape) -> Operand | None:
        """What loops of *extents* read of the tensor that lies where a view begins; None where nothing is known."""
        if self._marks is None:
            return None
        start = view.start()
        found = self._marks.at(view.space, start)
        if found is None:
            return None
        first, seen = found
        return Operand(seen.content, seen.box.inside(start - first, extents, view.strides))

    def _made(self, view: ViewRegister, extents: Shape) -> None:
        """What is computed is none of the tensors in DRAM."""
        if self._marks is not None:
            self._mark(view, extents, None)

    def _mark(self, view: ViewRegister, extents: Shape, seen: Seen | None) -> None:
        """From now on the tile of a view is that."""
        if self._marks is not None:
            start = view.start()
            low, high = reach(view.format.bits, extents, view.strides)
            self._marks.put(view.space, start + low, start + high, seen)


def _packed_bytes(view: ViewRegister, extents: Shape) -> int:
    """Bytes of a tile under way: each row of the last axis filled up to whole bytes."""
    return prod(extents[:-1]) * row_bytes(extents[-1] if extents else 1, view.format)
