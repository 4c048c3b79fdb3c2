"""The verbs that move tiles and compute with them: how a stream does what `state` says it can."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..numerics.formats import F64, X64, X128, encode
from . import coded, transfer
from .access import elements, from_rows, identity, operand_shape, put, to_rows
from .array import tile_of
from .kernels.contract import Operand, accumulated, contract_exact, contract_ordered
from .kernels.drain import drain
from .kernels.moments import comoment, mean, rounded_comoment
from .kernels.window import pool_max, pool_sum, taps_within, unpool
from .registers import IDENTITY, ViewRegister, Window
from .skipping import taken_of
from .state import Shape, Stream


class ComputingStream(Stream):
    """A stream whose tiles have contents; the arithmetic is in `kernels`."""

    # Moving tiles.

    def load(self, target: int, source: int) -> None:
        self._transfer(transfer.load, source, target, write=False)

    def store(self, target: int, source: int) -> None:
        self._transfer(transfer.store, target, source, write=True)

    def receive(self, target: int, core: int, channel: int, add: bool) -> None:
        tile = self.chip.take(core, self.core.number, channel)
        if tile is None:
            return self._block("receive", core, channel)
        view = self._view(target)
        extents = view.extents(self.loops)
        values = from_rows(tile, view.format, extents)
        if add:
            values = accumulated(self._read(view, extents), values, view.format)
        self._write(view, extents, values)
        self.chip.observer.sync(self, "receive", core, channel)

    def _send(self, source: int, cores: tuple[int, ...], channel: int) -> None:
        view = self._view(source)
        extents = view.extents(self.loops)
        tile = to_rows(self._read(view, extents), view.format, extents)
        for core in cores:
            self.chip.deliver(self.core.number, core, channel, tile)
        self.chip.observer.network(self, self.core.number, cores, tile.size)
        for core in cores:
            self.chip.observer.sync(self, "send", core, channel)

    # Computing.

    def contract(self, acc: int, left: int, right: int, fresh: int, inner: int, ones: bool, skip: int) -> None:
        view, right_view = self._view(acc), self._view(right)
        extents = view.extents(self.loops)
        kept = view.kept
        first = self._fresh(fresh)
        l_operand = None if ones else self._operand(self._view(left), extents)
        r_operand = self._operand(right_view, extents)
        taken = None
        if skip:
            tile = tile_of(view, None if ones else self._view(left), right_view, extents, inner, first)
            taken = taken_of(tile, self.chip.engines[self.unit], view.format, l_operand, r_operand, skip)
            self.chip.observer.turns(self, taken)
            if not taken.turns:  # so nothing begins either
                return self._worked(l_operand and l_operand.format, prod(extents), 0)
        if view.format in (X64, X128):
            total, done = contract_exact(l_operand, r_operand, extents, kept, view.format)
            if not first:
                total = accumulated(self._read(view, extents), total, view.format)
        else:
            before = None if first else self._read(view, extents)
            total, done = contract_ordered(before, l_operand, r_operand, extents, kept, view.format)
        self._write(view, extents, total)
        self._worked(l_operand and l_operand.format, prod(extents), done if taken is None else taken.done)

    def drain(self, out: int, acc: int, bias: int | None, scale: float) -> None:
        view, acc_view = self._view(out), self._view(acc)
        extents = view.extents(self.loops)
        added = None
        if bias is not None:
            operand = self._operand(self._view(bias), extents)
            added = operand.storage, operand.format
        shape = operand_shape(extents, view.strides)
        values = drain(self._read(acc_view, extents), acc_view.format, scale, added, view.format, shape)
        self._write(view, extents, values)
        self.chip.observer.work(self, "element", prod(extents))

    def mean(self, out: int, acc: int, argument: int, count: int, scale: float) -> None:
        view, acc_view = self._view(out), self._view(acc)
        extents = view.extents(self.loops)
        shape = operand_shape(extents, view.strides)
        total, terms = self._read(acc_view, extents), self._terms(argument, count)
        values = mean(total, acc_view.format, terms, scale, view.format, shape)
        self._write(view, extents, values)
        self.chip.observer.work(self, "element", prod(extents))

    def comoment(self, out: int, sums_at: tuple[int, int, int], argument: int, count: int, scale: float) -> None:
        view = self._view(out)
        extents = view.extents(self.loops)
        sums = [self._view(number) for number in sums_at]
        formats = [acc.format for acc in sums]
        if formats not in ([X128, X64, X64], [F64] * 3):
            found = ", ".join(format.name for format in formats)
            raise self.fault(f"a comoment takes x128, x64 and x64 sums, or three of f64, not {found}")
        shape, terms = operand_shape(extents, view.strides), self._terms(argument, count)
        cross, left, right = (self._read(acc, extents) for acc in sums)
        if formats[0] == F64:
            variance = sums_at[1] == sums_at[2]
            values = rounded_comoment(cross, left, right, terms, scale, variance, view.format, shape)
        else:
            values = comoment(cross, left, right, terms, scale, view.format, shape)
        self._write(view, extents, values)
        self.chip.observer.work(self, "element", 4 * prod(extents))

    def run(self, number: int, first: int, fresh: int, reduced: int) -> None:
        program = self.chip.elements[number]
        views = [self._view(first + k) for k in range(len(program.operands))]
        extents = views[0].extents(self.loops)
        operands: list[NDArray[Any] | None] = [None] * len(views)
        for k in program.reads:
            operands[k] = self._read(views[k], extents)
        shapes = [operand_shape(extents, view.strides) for view in views]
        formats = [view.format for view in views]
        if 0 not in extents:
            anew = self._fresh(fresh)
            results = program.evaluate(operands, formats, self.chip.arguments, anew, extents, shapes, reduced)
            for k, values in results.items():
                self._write(views[k], extents, values)
        self.chip.observer.work(self, "element", prod(extents) * program.work)

    def pool_max(self, out: int, tap: int, source: int, window: int, units: tuple[int, int]) -> None:
        view, tap_view, source_view = self._view(out), self._view(tap), self._view(source)
        outer, taps = self._windows(view, source_view, window)
        begins = source_view.begins(self.loops)
        exists: NDArray[np.bool_] | None = None
        for j in range(window):
            k, r = len(outer) - 1 - window + j, len(outer) + j
            if not source_view.bounds[r]:
                continue
            if k < 0 or not units[j]:
                raise self.fault(f"window axis {j} is bounded but has no outer axis or unit")
            strides = source_view.strides[k], source_view.strides[r]
            within = taps_within(outer[k], taps[j], begins[r], *strides, units[j], source_view.bounds[r])
            shape = [1] * (len(outer) + window)
            shape[k], shape[r] = within.shape
            exists = within.reshape(shape) if exists is None else exists & within.reshape(shape)
        best, number = pool_max(self._read(source_view, outer + taps), source_view.format, outer, taps, exists)
        self._write(view, outer, encode(best, view.format))
        self._write(tap_view, outer, encode(number, tap_view.format))
        self.chip.observer.work(self, "element", prod(outer + taps))

    def pool_sum(self, out: int, source: int, window: int, scale: float) -> None:
        view, source_view = self._view(out), self._view(source)
        outer, taps = self._windows(view, source_view, window)
        values = self._read(source_view, outer + taps)
        self._write(view, outer, pool_sum(values, source_view.format, outer, taps, scale, view.format))
        self.chip.observer.work(self, "element", prod(outer + taps))

    def unpool(self, out: int, tap: int, source: int, window: int, first: int, steps: tuple[int, int]) -> None:
        view, tap_view, source_view = self._view(out), self._view(tap), self._view(source)
        if window > len(steps):
            raise self.fault(f"{window} window axes, but {len(steps)} steps")
        outer, taps = self._windows(view, source_view, window)
        chosen, errors = self._read(tap_view, outer + taps), self._read(source_view, outer + taps)
        self._write(view, outer, unpool(chosen, errors, source_view.format, outer, taps, first, steps, view.format))
        self.chip.observer.work(self, "element", prod(outer + taps))

    # Inside.

    def _read(self, view: ViewRegister, extents: Shape) -> NDArray[Any]:
        """Storage elements of a scratchpad view (size 1 where it has stride 0), or addresses of an identity."""
        if view.space == IDENTITY and view.rank == len(extents):
            return identity(view.start(self.loops), extents, view.strides)
        start = self._scratchpad(view, extents)
        if self.chip.watched:
            self._touch(False, view, start, extents)
        return elements(self.core.memories, view.space, view.format, start, view.layout(extents))

    def _operand(self, view: ViewRegister, extents: Shape) -> Operand:
        """The same with its format, for engines."""
        return Operand(self._read(view, extents), view.format)

    def _write(self, view: ViewRegister, extents: Shape, values: NDArray[Any]) -> None:
        """Write storage elements of a scratchpad view."""
        start = self._scratchpad(view, extents)
        if self.chip.watched:  # a sum of nothing is written, too
            self._touch(True, view, start, tuple(n if kept else 1 for n, kept in zip(extents, view.kept, strict=True)))
        put(self.core.memories, view.space, view.format, start, view.layout(extents), values)

    def _recode(self, coding: coded.Coding, box: coded.Box, bounds: Shape, tile: Window, write: bool) -> coded.Coded:
        memories, granule = self.core.memories, self.chip.granule
        if write:
            return coded.store(memories, coding, box, tile.space, tile, granule)
        return coded.load(memories, coding, box, bounds, tile.space, tile, granule)
