"""The state of a chip as its instructions see it: DRAM, cores with scratchpads and semaphores, streams with registers.

`Stream` gives instructions their verbs (load, contract, wait ...); the arithmetic is in `kernels`.  What a verb moves
or computes it tells to the chip's `Observer`, so that counting, cycle replay, tracing and race checking are other
people's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..numerics.formats import BY_CODE, F64, X64, X128, encode
from . import coded, transfer
from .access import elements, from_rows, identity, operand_shape, put, to_rows
from .array import tile_of
from .chip import Blocked, Chip, Core, Observer, ProgramFault
from .kernels.contract import Operand, accumulated, contract_exact, contract_ordered
from .kernels.drain import drain
from .kernels.moments import comoment, mean, rounded_comoment
from .kernels.window import pool_max, pool_sum, taps_within, unpool
from .registers import DRAM, IDENTITY, LoopRegister, ViewRegister, Window, definitions_of
from .skipping import taken_of

if TYPE_CHECKING:
    from .instruction import Instruction

__all__ = ["Blocked", "Chip", "Core", "Observer", "ProgramFault", "Stream", "Window", "accumulated"]


Shape = tuple[int, ...]

LOOPS, VIEWS, AXES = 16, 64, 8
"""Loop registers, view registers, and axes of a view."""


class Stream:
    """One unit's stream at work: program counter, loop and view registers, and the verbs of the instructions.

    *pc* is the next instruction, *current* the one that runs.  A stream that must wait says for what in *blocked*
    and tries the same instruction again at its next `step`.
    """

    def __init__(self, core: Core, unit: str, chip: Chip, instructions: Sequence[Instruction]) -> None:
        self.core = core
        self.unit = unit
        self.chip = chip
        self.instructions = tuple(instructions)
        self.pc = 0
        self.current = 0
        self.halted = False
        self.blocked: Blocked | None = None
        self.loops = tuple(LoopRegister() for _ in range(LOOPS))
        self.views: list[ViewRegister | None] = [None] * VIEWS
        self._behind = self._ends()
        self.definitions = definitions_of(self.instructions)

    def step(self) -> None:
        """Run one instruction, or find out that it still cannot run; ProgramFault for an illegal one."""
        if self.halted:
            return
        if self.pc >= len(self.instructions):
            raise ProgramFault(self, self.pc, "the stream ends without halt")
        self.current = self.pc
        self.pc += 1
        self.blocked = None
        try:
            self.instructions[self.current].execute(self)
        except (ValueError, IndexError) as problem:
            raise self.fault(str(problem)) from problem

    def define(self) -> int:
        """Run the definitions of view registers at *pc* in one go; how many instructions they were, 0 for none.

        The registers that they make are always the same, so they are made once and kept.
        """
        first = self.pc
        run = self.definitions.get(first)
        if run is None:
            return 0
        if not run.registers:
            while self.pc < run.end:
                self.step()
            run.registers = [(number, self._view(number)) for number in run.numbers]
            for _, view in run.registers:
                view.frozen = True
        for number, view in run.registers:
            self.views[number] = view
        self.pc = run.end
        return run.end - first

    def fault(self, text: str) -> ProgramFault:
        """A fault of the instruction that runs."""
        return ProgramFault(self, self.current, text)

    # Control.

    def halt(self) -> None:
        """The stream is over."""
        self.halted = True

    def whole_argument(self, number: int, bound: int) -> int:
        """Entry argument *number* as a whole number of at most *bound*."""
        value = int(self.chip.arguments[number])
        if value > bound:
            raise self.fault(f"argument {number} is {value}, above its bound {bound}")
        return value

    def open_loop(self, number: int, tile: int, total: int) -> None:
        """First turn of a loop, or past its end."""
        if total == 0:
            self.loops[number].close()
            self.pc = self._behind[self.current]
        elif tile == 0:
            raise self.fault(f"loop {number} has tiles of 0")
        else:
            self.loops[number].open(tile, total, self.pc)

    def open_share(self, number: int, tile: int, total: int) -> None:
        """First turn of a loop over what an argument leaves, which may be nothing."""
        if tile == 0:
            raise self.fault(f"loop {number} has tiles of 0")
        self.loops[number].open(tile, total, self.pc)

    def open_chosen(self, number: int, of: int, argument: int) -> None:
        """The turn that loop *of* takes, where the arguments from *argument* on choose it; else past the end."""
        turn = self.loops[of].counter
        words = [int(self.chip.arguments[argument + place]) for place in range(turn // 32 + 1)]
        chosen = sum(word << 32 * place for place, word in enumerate(words))
        if chosen >> turn & 1:
            self.loops[number].open_last((chosen & (1 << turn) - 1).bit_count(), self.pc)
        else:
            self.loops[number].close()
            self.pc = self._behind[self.current]

    def open_within(self, number: int, of: int, first: int, total: int) -> None:
        """The turn of loop *of*, if it is one of *total* from *first* on, counted from there; else past the end."""
        turn = self.loops[of].counter - first
        if 0 <= turn < total:
            self.loops[number].open_last(turn, self.pc)
        else:
            self.loops[number].close()
            self.pc = self._behind[self.current]

    def close_loop(self, number: int) -> None:
        """Next turn of a loop, or on behind it."""
        loop = self.loops[number]
        body = loop.body
        if loop.advance():
            self.pc = body

    def post(self, core: int, semaphore: int) -> None:
        """Add one to a semaphore of any core."""
        self.chip.cores[core].semaphores[semaphore] += 1
        self.chip.observer.sync(self, "post", core, semaphore)

    def wait(self, semaphore: int) -> None:
        """Take one from an own semaphore, or block."""
        semaphores = self.core.semaphores
        if semaphores[semaphore] == 0:
            return self._block("wait", self.core.number, semaphore)
        semaphores[semaphore] -= 1
        self.chip.observer.sync(self, "wait", self.core.number, semaphore)

    def meet(self, cores: int) -> None:
        """Meet this unit of cores 0 to *cores* - 1, or block."""
        if not self.chip.meet(self, cores):
            return self._block("meet", self.core.number, cores)
        self.chip.observer.sync(self, "meet", self.core.number, cores)

    # View registers.

    def define_view(self, number: int, space: int, code: int, rank: int, base: int, ring: int) -> None:
        """A view anew, without turns and spans."""
        if code not in BY_CODE or rank > AXES:
            raise self.fault(f"a view of format {code} with {rank} axes")
        self.views[number] = ViewRegister(space, BY_CODE[code], rank, base, ring)

    def define_turn(self, number: int, loop: int, stride: int, ahead: int) -> None:
        """A turn of a view."""
        self._changed(number).define_turn(loop, stride, ahead)

    def define_axis(self, number: int, axis: int, extent: int, stride: int, offset: int, bound: int) -> None:
        """An axis of a view."""
        self._changed(number).define_axis(axis, extent, stride, offset, bound)

    def define_span(self, number: int, axis: int, loop: int, coefficient: int, moves: bool, grows: bool) -> None:
        """A loop that walks along an axis of a view."""
        self._changed(number).define_span(axis, loop, coefficient, moves, grows)

    def define_coding(self, number: int, codec: int, slot: int, directory: int) -> None:
        """The codec of a view of DRAM."""
        self._changed(number).coding = coded.Coding(codec, slot, directory)

    def define_grid(self, number: int, axis: int, block: int, step: int, origin: int, bound: int) -> None:
        """Blocks along an axis of a view that has a codec."""
        view = self._changed(number)
        if view.coding is None or axis >= view.rank or not block or not step:
            raise self.fault(f"blocks of {block}, {step} apart, along axis {axis} of view {number}")
        view.coding = view.coding.with_axis(axis, coded.GridAxis(block, step, origin, bound))

    # Moving tiles.

    def load(self, target: int, source: int) -> None:
        """DRAM to scratchpad."""
        self._transfer(transfer.load, source, target, write=False)

    def store(self, target: int, source: int) -> None:
        """Scratchpad to DRAM."""
        self._transfer(transfer.store, target, source, write=True)

    def send(self, source: int, core: int, channel: int) -> None:
        """Scratchpad to the queue of another core."""
        self._send(source, (core,), channel)

    def multicast(self, source: int, first: int, count: int, channel: int) -> None:
        """Scratchpad to the queues of *count* cores from *first* on, less its own."""
        self._send(source, tuple(core for core in range(first, first + count) if core != self.core.number), channel)

    def receive(self, target: int, core: int, channel: int, add: bool) -> None:
        """From the queue to a scratchpad, or block."""
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
        """One tile to each of *cores*."""
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
        """acc += left * right; see `instructions.engine`.  *inner* and *skip* change no value."""
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
                return self._worked(l_operand, prod(extents), 0)
        if view.format in (X64, X128):
            total, done = contract_exact(l_operand, r_operand, extents, kept, view.format)
            if not first:
                total = accumulated(self._read(view, extents), total, view.format)
        else:
            before = None if first else self._read(view, extents)
            total, done = contract_ordered(before, l_operand, r_operand, extents, kept, view.format)
        self._write(view, extents, total)
        self._worked(l_operand, prod(extents), done if taken is None else taken.done)

    def drain(self, out: int, acc: int, bias: int | None, scale: float) -> None:
        """out = round(acc * scale + bias)."""
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
        """out = round(scale * acc / N)."""
        view, acc_view = self._view(out), self._view(acc)
        extents = view.extents(self.loops)
        shape = operand_shape(extents, view.strides)
        total, terms = self._read(acc_view, extents), self._terms(argument, count)
        values = mean(total, acc_view.format, terms, scale, view.format, shape)
        self._write(view, extents, values)
        self.chip.observer.work(self, "element", prod(extents))

    def comoment(self, out: int, sums_at: tuple[int, int, int], argument: int, count: int, scale: float) -> None:
        """out = round(scale * (N * cross - left * right) / N^2), the sums being (cross, left, right)."""
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
        """Run element program *number* on views *first* and up; reductions run over the last *reduced* axes."""
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
        """out, tap = the largest value of each window and where it was."""
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
        """out = scale * the sum of each window."""
        view, source_view = self._view(out), self._view(source)
        outer, taps = self._windows(view, source_view, window)
        values = self._read(source_view, outer + taps)
        self._write(view, outer, pool_sum(values, source_view.format, outer, taps, scale, view.format))
        self.chip.observer.work(self, "element", prod(outer + taps))

    def unpool(self, out: int, tap: int, source: int, window: int, first: int, steps: tuple[int, int]) -> None:
        """out = the sum of the errors whose window chose this element."""
        view, tap_view, source_view = self._view(out), self._view(tap), self._view(source)
        if window > len(steps):
            raise self.fault(f"{window} window axes, but {len(steps)} steps")
        outer, taps = self._windows(view, source_view, window)
        chosen, errors = self._read(tap_view, outer + taps), self._read(source_view, outer + taps)
        self._write(view, outer, unpool(chosen, errors, source_view.format, outer, taps, first, steps, view.format))
        self.chip.observer.work(self, "element", prod(outer + taps))

    # Inside.

    def _terms(self, argument: int, count: int) -> int:
        """How many terms a sum has: *count*, times an entry argument where *argument* is its number plus 1."""
        terms = count * int(self.chip.arguments[argument - 1]) if argument else count
        if terms < 1:
            raise self.fault("a mean of no terms")
        return terms

    def _worked(self, left: Operand | None, dense: int, done: int) -> None:
        """Tell of *done* operations among *dense* ones."""
        words = self.unit == "bp" if left is None else not left.format.whole
        self.chip.observer.work(self, "multiply" if words else "gated", done)
        if dense > done:
            self.chip.observer.work(self, "skipped", dense - done)

    def _ends(self) -> dict[int, int]:
        """The instruction behind each loop, by the number of its ``loop``; ProgramFault where loops do not nest."""
        behind: dict[int, int] = {}
        opened: list[tuple[int, int]] = []
        for place, instruction in enumerate(self.instructions):
            if not instruction.opens and instruction.mnemonic != "end":
                continue
            register = int(getattr(instruction, "loop"))  # noqa: B009, its class imports this module
            if instruction.opens:
                if any(register == other for other, _ in opened):
                    raise ProgramFault(self, place, f"loop {register} is open already")
                opened.append((register, place))
            else:
                if not opened or opened[-1][0] != register:
                    raise ProgramFault(self, place, f"loop {register} is not the innermost one")
                behind[opened.pop()[1]] = place + 1
        if opened:
            raise ProgramFault(self, opened[-1][1], f"loop {opened[-1][0]} has no end")
        return behind

    def _block(self, kind: str, core: int, number: int) -> None:
        """Stand still, and try again at the next step."""
        self.blocked = Blocked(kind, core, number)
        self.pc = self.current

    def _fresh(self, mask: int) -> bool:
        """Whether all loops of *mask* are in their first turn."""
        return not mask or not any(loop.counter for number, loop in enumerate(self.loops) if mask >> number & 1)

    def _view(self, number: int) -> ViewRegister:
        """A view register, which must have been defined."""
        view = self.views[number]
        if view is None:
            raise self.fault(f"view {number} is not defined")
        return view

    def _changed(self, number: int) -> ViewRegister:
        """The same, to be changed."""
        view = self._view(number)
        if view.frozen:
            view = self.views[number] = view.copied()
        return view

    def _windows(self, view: ViewRegister, source: ViewRegister, window: int) -> tuple[Shape, Shape]:
        """(extents of the output, extents of the window axes of *source*)."""
        if source.rank != view.rank + window:
            raise self.fault(f"{source.rank} axes for an output of {view.rank} and {window} of the window")
        return view.extents(self.loops), source.extents(self.loops)[view.rank :]

    def _touch(self, write: bool, view: ViewRegister, start: int, extents: Shape) -> None:
        """Tell who watches."""
        window = Window(view.space, view.format, start, extents, view.strides)
        self.chip.observer.touch(self, write, window)

    def _scratchpad(self, view: ViewRegister, extents: Shape) -> int:
        """Start of a view that must lie in a scratchpad and have as many axes as *extents*."""
        if view.space in (DRAM, IDENTITY):
            raise self.fault(f"space {view.space} is no scratchpad")
        if view.rank != len(extents):
            raise self.fault(f"a view of {view.rank} axes among others of {len(extents)}")
        return view.start(self.loops)

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

    def _transfer(self, move: transfer.Move, dram: int, scratchpad: int, write: bool) -> None:
        """Load or store, and tell the observer."""
        view, other = self._view(dram), self._view(scratchpad)
        if view.space != DRAM or view.format != other.format:
            raise self.fault(
                f"moves {view.format} of space {view.space} and {other.format} of space {other.space}; "
                "one of them must be DRAM, of the same format"
            )
        extents = view.extents(self.loops)
        start = self._scratchpad(other, extents)
        if view.coding is not None:
            return self._transfer_coded(view, view.coding, other, start, extents, write)
        box = Window(DRAM, view.format, view.start(self.loops), extents, view.strides)
        begins = view.begins(self.loops)
        chip = self.chip
        moved = move(self.core.memories, box, begins, view.bounds, other.space, start, other.strides, chip.granule)
        if moved.window is not None:
            if chip.watched:
                chip.observer.touch(self, write, moved.window)
            chip.observer.dram(self, write, moved.window.start >> 3, moved.useful, moved.bursts)
        if moved.scratchpad:
            if chip.watched:
                self._touch(not write, other, start, extents)
            chip.observer.scratchpad(self, not write, other.space, moved.scratchpad)

    def _transfer_coded(
        self, view: ViewRegister, coding: coded.Coding, other: ViewRegister, start: int, extents: Shape, write: bool
    ) -> None:
        """The same through the unit's encoder or decoder."""
        if len(coding.axes) != view.rank:
            raise self.fault(f"a coded view of {view.rank} axes, {len(coding.axes)} of them with blocks")
        chip, memories = self.chip, self.core.memories
        begins, turned = view.begins(self.loops), view.turned(self.loops)
        box = coded.Box(view.format, view.base, extents, begins, view.strides, turned)
        tile = Window(other.space, view.format, start, extents, other.strides)
        if write:
            moved = coded.store(memories, coding, box, other.space, tile, chip.granule)
        else:
            moved = coded.load(memories, coding, box, view.bounds, other.space, tile, chip.granule)
        if moved.windows:
            if chip.watched:
                for window in moved.windows:
                    chip.observer.touch(self, write, window)
            chip.observer.dram(self, write, moved.windows[0].start >> 3, moved.useful, moved.bursts)
            chip.observer.coded(self, write, moved.payload, moved.scratchpad)
        if moved.scratchpad:
            if chip.watched:
                self._touch(not write, other, start, extents)
            chip.observer.scratchpad(self, not write, other.space, moved.scratchpad)
