"""The verbs of the vector unit: a kernel computes where operands lie, or NumPy does, of copies, and writes the result.

NumPy does it where no kernel is there or serves, where what is written lies over what is read, and where somebody
watches what is touched.
"""

from __future__ import annotations

from math import prod
from sys import byteorder
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..numerics.formats import F64, U8, X64, X128, encode
from .access import operand_shape
from .here import Here
from .instruction import Action
from .kernels import drained, momented, pooled
from .kernels.axes import Lying, lying_of
from .kernels.compiled import Call, at
from .kernels.drain import drain
from .kernels.moments import comoment, mean, rounded_comoment
from .kernels.window import pool_max, pool_sum, taps_within, unpool
from .port import Port, WatchedPort
from .registers import ViewRegister
from .state import Shape, Stream

_SECOND, _FOURTH = (1,), (3,)
"""The operand that is written."""


def _with(places: bytes, exists: NDArray[np.bool_]) -> Call:
    """Where operands begin, and behind them which taps there are."""
    return Call.of(places + at(exists).to_bytes(8, byteorder), exists)


class VectorStream(Stream):
    """A stream whose vector unit computes; the arithmetic is in `kernels`."""

    def drain(self, out: int, acc: int, bias: int | None, scale: float) -> Action:
        worked = self._worker("element")
        port, sums, added = self._port(out), self._port(acc), None if bias is None else self._port(bias)
        numbers = [acc, out] if bias is None else [acc, out, bias]
        here = Here(self, numbers, lambda lying, shape: drained.plan_of(tuple(lying), scale, shape))

        def by_copy(view: ViewRegister, extents: Shape) -> None:
            bias = None if added is None else (added.read(extents), added.view().format)
            shape = operand_shape(extents, view.strides)
            port.write(extents, drain(sums.read(extents), sums.view().format, scale, bias, view.format, shape))

        def drain_tile() -> None:
            view = port.view()
            extents = view.extents()
            ready = here.ready(extents, _SECOND)
            if not ready or not ready[0].done(ready[1]):
                by_copy(view, extents)
            worked(prod(extents))

        return drain_tile

    def mean(self, out: int, acc: int, argument: int, count: int, scale: float) -> Action:
        worked = self._worker("element")
        port, sums = self._port(out), self._port(acc)
        here = Here(self, [acc, out], lambda lying, shape: momented.plan_of(tuple(lying), scale, shape))

        def by_copy(view: ViewRegister, extents: Shape, terms: int) -> None:
            shape = operand_shape(extents, view.strides)
            port.write(extents, mean(sums.read(extents), sums.view().format, terms, scale, view.format, shape))

        def divide() -> None:
            view, terms = port.view(), self._terms(argument, count)
            extents = view.extents()
            ready = here.ready(extents, _SECOND)
            if not ready or not ready[0].done(ready[1], terms):
                by_copy(view, extents, terms)
            worked(prod(extents))

        return divide

    def comoment(self, out: int, sums_at: tuple[int, int, int], argument: int, count: int, scale: float) -> Action:
        worked = self._worker("element")
        port, sums = self._port(out), [self._port(number) for number in sums_at]
        variance = sums_at[1] == sums_at[2]
        here = Here(self, [*sums_at, out], lambda lying, shape: momented.plan_of(tuple(lying), scale, shape))

        def by_copy(view: ViewRegister, extents: Shape, terms: int) -> None:
            formats = [acc.view().format for acc in sums]
            if formats not in ([X128, X64, X64], [F64] * 3):
                found = ", ".join(format.name for format in formats)
                raise self.fault(f"a comoment takes x128, x64 and x64 sums, or three of f64, not {found}")
            shape = operand_shape(extents, view.strides)
            cross, left, right = (acc.read(extents) for acc in sums)
            if formats[0] == F64:
                values = rounded_comoment(cross, left, right, terms, scale, variance, view.format, shape)
            else:
                values = comoment(cross, left, right, terms, scale, view.format, shape)
            port.write(extents, values)

        def covary() -> None:
            view, terms = port.view(), self._terms(argument, count)
            extents = view.extents()
            ready = here.ready(extents, _FOURTH)
            if not ready or not ready[0].done(ready[1], terms):
                by_copy(view, extents, terms)
            worked(4 * prod(extents))

        return covary

    def run(self, number: int, first: int, fresh: int, reduced: int) -> Action:
        worked = self._worker("element")
        program, anew, views, chip = self.chip.elements[number], self.anew(fresh), self.views, self.chip
        places_of_operands = range(first, first + len(program.operands))
        ports = [self._port(place) for place in places_of_operands]
        here = Here(self, places_of_operands, lambda lying, shape: program.in_place(lying, shape, reduced))
        extents: Shape = ()
        arguments, address, work = chip.arguments, at(chip.arguments), 0

        def by_copy() -> None:
            operands: list[NDArray[Any] | None] = [None] * len(ports)
            formats = [port.view().format for port in ports]
            shapes = [operand_shape(extents, port.view().strides) for port in ports]
            for k in program.reads:
                operands[k] = ports[k].read(extents)
            if 0 not in extents:
                results = program.evaluate(operands, formats, chip.arguments, anew(), extents, shapes, reduced)
                for k, values in results.items():
                    ports[k].write(extents, values)

        def run() -> None:
            nonlocal extents, arguments, address, work
            now = (views[first] or self.view(first)).extents()
            if now is not extents:
                extents, work = now, prod(now) * program.work
            if chip.arguments is not arguments:
                arguments, address = chip.arguments, at(chip.arguments)
            settled = here.settled(extents)
            plan = settled and settled.plan[anew()]
            places = settled and plan and settled.places(program.writes, plan.sure)
            if not plan or not places or not plan.done(places, address):
                by_copy()
            worked(work)

        return run

    def pool_max(self, out: int, tap: int, source: int, window: int, units: tuple[int, int]) -> Action:
        worked = self._worker("element")
        port, tap_port, source_port = self._port(out), self._port(tap), self._port(source)

        def taps_there(view: ViewRegister, outer: Shape, taps: Shape) -> NDArray[np.bool_] | None:
            return self._taps(view, outer, taps, units)

        def plan(lying: list[Lying], extents: Shape) -> pooled.Plan | None:
            rank = len(lying[1].shape)
            exists = taps_there(source_port.view(), extents[:rank], extents[rank:])
            there = None if exists is None else lying_of(exists.view(np.uint8), U8)
            return pooled.largest(*lying, there, extents[:rank], extents[rank:])

        here = Here(self, [source, out, tap], plan)

        def by_copy(outer: Shape, taps: Shape, exists: NDArray[np.bool_] | None) -> None:
            best, number = pool_max(source_port.read(outer + taps), source_port.view().format, outer, taps, exists)
            port.write(outer, encode(best, port.view().format))
            tap_port.write(outer, encode(number, tap_port.view().format))

        def pool() -> None:
            outer, taps = self._windows(port.view(), source_port.view(), window)
            exists = taps_there(source_port.view(), outer, taps)
            ready = here.ready(outer + taps, (1, 2))
            if not ready or not ready[0].done(ready[1] if exists is None else _with(ready[1], exists)):
                by_copy(outer, taps, exists)
            worked(prod(outer + taps))

        return pool

    def pool_sum(self, out: int, source: int, window: int, scale: float) -> Action:
        worked = self._worker("element")
        port, source_port = self._port(out), self._port(source)

        def plan(lying: list[Lying], extents: Shape) -> pooled.Plan | None:
            rank = len(lying[1].shape)
            return pooled.sums(*lying, extents[:rank], extents[rank:], scale)

        here = Here(self, [source, out], plan)

        def by_copy(outer: Shape, taps: Shape) -> None:
            values, fmt = source_port.read(outer + taps), source_port.view().format
            port.write(outer, pool_sum(values, fmt, outer, taps, scale, port.view().format))

        def pool() -> None:
            outer, taps = self._windows(port.view(), source_port.view(), window)
            ready = here.ready(outer + taps, _SECOND)
            if not ready or not ready[0].done(ready[1]):
                by_copy(outer, taps)
            worked(prod(outer + taps))

        return pool

    def unpool(self, out: int, tap: int, source: int, window: int, first: int, steps: tuple[int, int]) -> Action:
        worked = self._worker("element")
        port, tap_port, source_port = self._port(out), self._port(tap), self._port(source)
        if window > len(steps):
            raise self.fault(f"{window} window axes, but {len(steps)} steps")

        def plan(lying: list[Lying], extents: Shape) -> pooled.Plan | None:
            rank = len(lying[1].shape)
            return pooled.spread(*lying, extents[:rank], extents[rank:], first, steps)

        here = Here(self, [source, out, tap], plan)

        def by_copy(outer: Shape, taps: Shape) -> None:
            chosen, errors = tap_port.read(outer + taps), source_port.read(outer + taps)
            fmt, out_format = source_port.view().format, port.view().format
            port.write(outer, unpool(chosen, errors, fmt, outer, taps, first, steps, out_format))

        def spread() -> None:
            outer, taps = self._windows(port.view(), source_port.view(), window)
            ready = here.ready(outer + taps, _SECOND)
            if not ready or not ready[0].done(ready[1]):
                by_copy(outer, taps)
            worked(prod(outer + taps))

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
