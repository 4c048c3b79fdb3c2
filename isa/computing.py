"""The verbs that move tiles and compute with them: how a stream does what `state` says it can.

Each answers with an action.  What stays the same while views and extents do is found out once and kept beside it.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..numerics.formats import F64, X64, X128, Format, encode
from . import coded, moving
from .access import from_rows, operand_shape, to_rows
from .array import tile_of
from .instruction import Action
from .kernels.contract import accumulated, contract
from .kernels.drain import drain
from .kernels.moments import comoment, mean, rounded_comoment
from .kernels.window import pool_max, pool_sum, taps_within, unpool
from .port import Port, WatchedPort
from .registers import ViewRegister, Window
from .skipping import taken_of
from .state import Shape, Stream


class ComputingStream(Stream):
    """A stream whose tiles have contents; the arithmetic is in `kernels`."""

    # Moving tiles.

    def load(self, target: int, source: int) -> Action:
        return self._transfer(moving.Load, source, target, write=False)

    def store(self, target: int, source: int) -> Action:
        return self._transfer(moving.Store, target, source, write=True)

    def receive(self, target: int, core: int, channel: int, add: bool) -> Action:
        port, chip, observer = self._port(target), self.chip, self.chip.observer
        own = self.core.number

        def receive() -> None:
            tile = chip.take(core, own, channel)
            if tile is None:
                return self.block("receive", core, channel)
            view = port.view()
            extents = view.extents()
            values = from_rows(tile, view.format, extents)
            if add:
                values = accumulated(port.read(extents), values, view.format)
            port.write(extents, values)
            if (heard := observer.sync) is not None:
                heard(self, "receive", core, channel)

        return receive

    def _send(self, source: int, cores: tuple[int, ...], channel: int) -> Action:
        port, chip, observer = self._port(source), self.chip, self.chip.observer
        own = self.core.number

        def send() -> None:
            view = port.view()
            extents = view.extents()
            tile = to_rows(port.read(extents), view.format, extents)
            for core in cores:
                chip.deliver(own, core, channel, tile)
            observer.network(self, own, cores, tile.size)
            if (heard := observer.sync) is not None:
                for core in cores:
                    heard(self, "send", core, channel)

        return send

    # Computing.

    def contract(self, acc: int, left: int, right: int, fresh: int, inner: int, ones: bool, skip: int) -> Action:
        out, r_port, l_port = self._port(acc), self._port(right), None if ones else self._port(left)
        anew, engine, views = self.anew(fresh), self.chip.engines[self.unit], self.views
        view: ViewRegister | None = None
        left_view: ViewRegister | None = None
        extents: Shape = ()
        worked, dense = self._multiplier(None), 0

        def contracted() -> None:
            nonlocal view, left_view, extents, worked, dense
            if views[acc] is not view or views[left] is not left_view or view is None:
                view, left_view, extents = out.view(), views[left], ()
                worked = self._multiplier(None if l_port is None else l_port.view().format)
            now = view.extents()
            if now is not extents:
                extents, dense = now, prod(now)
            first = anew()
            l_operand = None if l_port is None else l_port.operand(extents)
            r_operand = r_port.operand(extents)
            taken = None
            if skip:
                tile = tile_of(view, l_port and l_port.view(), r_port.view(), extents, inner, first)
                taken = taken_of(tile, engine, view.format, l_operand, r_operand, skip)
                self.chip.observer.turns(self, taken)
                if not taken.turns:  # so nothing begins either
                    return worked(dense, 0)
            sums = out.sums(extents, first)
            products = contract(sums, first, l_operand, r_operand, extents, view.kept, view.format)
            worked(dense, products if taken is None else taken.done)

        return contracted

    def drain(self, out: int, acc: int, bias: int | None, scale: float) -> Action:
        worked = self._worker("element")
        port, sums, added = self._port(out), self._port(acc), None if bias is None else self._port(bias)

        def drained() -> None:
            view, acc_view = port.view(), sums.view()
            extents = view.extents()
            bias = None if added is None else (added.read(extents), added.view().format)
            shape = operand_shape(extents, view.strides)
            port.write(extents, drain(sums.read(extents), acc_view.format, scale, bias, view.format, shape))
            worked(prod(extents))

        return drained

    def mean(self, out: int, acc: int, argument: int, count: int, scale: float) -> Action:
        worked = self._worker("element")
        port, sums = self._port(out), self._port(acc)

        def divide() -> None:
            view = port.view()
            extents = view.extents()
            shape = operand_shape(extents, view.strides)
            total, terms = sums.read(extents), self._terms(argument, count)
            port.write(extents, mean(total, sums.view().format, terms, scale, view.format, shape))
            worked(prod(extents))

        return divide

    def comoment(self, out: int, sums_at: tuple[int, int, int], argument: int, count: int, scale: float) -> Action:
        worked = self._worker("element")
        port, sums = self._port(out), [self._port(number) for number in sums_at]
        variance = sums_at[1] == sums_at[2]

        def covary() -> None:
            view = port.view()
            extents = view.extents()
            formats = [acc.view().format for acc in sums]
            if formats not in ([X128, X64, X64], [F64] * 3):
                found = ", ".join(format.name for format in formats)
                raise self.fault(f"a comoment takes x128, x64 and x64 sums, or three of f64, not {found}")
            shape, terms = operand_shape(extents, view.strides), self._terms(argument, count)
            cross, left, right = (acc.read(extents) for acc in sums)
            if formats[0] == F64:
                values = rounded_comoment(cross, left, right, terms, scale, variance, view.format, shape)
            else:
                values = comoment(cross, left, right, terms, scale, view.format, shape)
            port.write(extents, values)
            worked(4 * prod(extents))

        return covary

    def run(self, number: int, first: int, fresh: int, reduced: int) -> Action:
        worked = self._worker("element")
        program, anew = self.chip.elements[number], self.anew(fresh)
        count = len(program.operands)
        ports = [self._port(first + k) for k in range(count)]
        reads = [(k, ports[k]) for k in program.reads]
        views: list[ViewRegister | None] = []
        extents: Shape = ()
        formats: list[Format | None] = []
        shapes: list[Shape] = []
        work = 0

        def run() -> None:
            nonlocal views, extents, formats, shapes, work
            now = ports[0].view().extents()
            if now is not extents or views != self.views[first : first + count]:
                views, extents = self.views[first : first + count], now
                formats = [port.view().format for port in ports]
                shapes = [operand_shape(extents, port.view().strides) for port in ports]
                work = prod(extents) * program.work
            operands: list[NDArray[Any] | None] = [None] * count
            for k, port in reads:
                operands[k] = port.read(extents)
            if 0 not in extents:
                results = program.evaluate(operands, formats, self.chip.arguments, anew(), extents, shapes, reduced)
                for k, values in results.items():
                    ports[k].write(extents, values)
            worked(work)

        return run

    def pool_max(self, out: int, tap: int, source: int, window: int, units: tuple[int, int]) -> Action:
        worked = self._worker("element")
        port, tap_port, source_port = self._port(out), self._port(tap), self._port(source)

        def pool() -> None:
            source_view = source_port.view()
            outer, taps = self._windows(port.view(), source_view, window)
            exists = self._taps(source_view, outer, taps, units)
            extents = outer + taps
            best, number = pool_max(source_port.read(extents), source_view.format, outer, taps, exists)
            port.write(outer, encode(best, port.view().format))
            tap_port.write(outer, encode(number, tap_port.view().format))
            worked(prod(extents))

        return pool

    def pool_sum(self, out: int, source: int, window: int, scale: float) -> Action:
        worked = self._worker("element")
        port, source_port = self._port(out), self._port(source)

        def pool() -> None:
            view, source_view = port.view(), source_port.view()
            outer, taps = self._windows(view, source_view, window)
            values = source_port.read(outer + taps)
            port.write(outer, pool_sum(values, source_view.format, outer, taps, scale, view.format))
            worked(prod(outer + taps))

        return pool

    def unpool(self, out: int, tap: int, source: int, window: int, first: int, steps: tuple[int, int]) -> Action:
        worked = self._worker("element")
        port, tap_port, source_port = self._port(out), self._port(tap), self._port(source)
        if window > len(steps):
            raise self.fault(f"{window} window axes, but {len(steps)} steps")

        def spread() -> None:
            view, source_view = port.view(), source_port.view()
            outer, taps = self._windows(view, source_view, window)
            extents = outer + taps
            chosen, errors = tap_port.read(extents), source_port.read(extents)
            port.write(outer, unpool(chosen, errors, source_view.format, outer, taps, first, steps, view.format))
            worked(prod(extents))

        return spread

    # Inside.

    def _port(self, number: int) -> Port:
        """The operand of an instruction that is view register *number*."""
        return (WatchedPort if self.chip.watched else Port)(self, number)

    def _taps(
        self, source: ViewRegister, outer: Shape, taps: Shape, units: tuple[int, int]
    ) -> NDArray[np.bool_] | None:
        """Which taps of each window exist; None where all do."""
        begins = source.begins()
        exists: NDArray[np.bool_] | None = None
        for j in range(len(taps)):
            k, r = len(outer) - 1 - len(taps) + j, len(outer) + j
            if not source.bounds[r]:
                continue
            if k < 0 or not units[j]:
                raise self.fault(f"window axis {j} is bounded but has no outer axis or unit")
            strides = source.strides[k], source.strides[r]
            within = taps_within(outer[k], taps[j], begins[r], *strides, units[j], source.bounds[r])
            shape = [1] * (len(outer) + len(taps))
            shape[k], shape[r] = within.shape
            exists = within.reshape(shape) if exists is None else exists & within.reshape(shape)
        return exists

    def _recode(self, coding: coded.Coding, box: coded.Box, bounds: Shape, tile: Window, write: bool) -> coded.Coded:
        memories, granule = self.core.memories, self.chip.granule
        if write:
            return coded.store(memories, coding, box, tile.space, tile, granule)
        return coded.load(memories, coding, box, bounds, tile.space, tile, granule)
