"""The state of a chip as its instructions see it: DRAM, cores with scratchpads and semaphores, streams with registers.

`Stream` gives instructions their verbs: those of control and of registers are here; those that move and compute are in
`computing`, and in `counting` without any data.  What a verb moves or computes it tells to the chip's `Observer`, so
that counting traffic, cycle replay, tracing and race checking are other people's business.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..numerics.formats import BY_CODE, Format
from . import coded, transfer
from .chip import Blocked, Chip, Core, Observer, ProgramFault
from .kernels.contract import accumulated
from .registers import DRAM, IDENTITY, LoopRegister, ViewRegister, Window, definitions_of

if TYPE_CHECKING:
    from .instruction import Instruction

__all__ = ["Blocked", "Chip", "Core", "Observer", "ProgramFault", "Stream", "Window", "accumulated"]


Shape = tuple[int, ...]

LOOPS, VIEWS, AXES = 16, 64, 8
"""Loop registers, view registers, and axes of a view."""


class Stream(ABC):
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
        self._masks: dict[int, tuple[LoopRegister, ...]] = {}
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

    # Moving tiles and computing: `computing` does it, `counting` only counts it.

    @abstractmethod
    def load(self, target: int, source: int) -> None:
        """DRAM to scratchpad."""

    @abstractmethod
    def store(self, target: int, source: int) -> None:
        """Scratchpad to DRAM."""

    def send(self, source: int, core: int, channel: int) -> None:
        """Scratchpad to the queue of another core."""
        self._send(source, (core,), channel)

    def multicast(self, source: int, targets: Iterable[int], channel: int) -> None:
        """Scratchpad to the queues of the cores *targets*, less its own."""
        self._send(source, tuple(core for core in targets if core != self.core.number), channel)

    @abstractmethod
    def receive(self, target: int, core: int, channel: int, add: bool) -> None:
        """From the queue to a scratchpad, or block."""

    @abstractmethod
    def contract(self, acc: int, left: int, right: int, fresh: int, inner: int, ones: bool, skip: int) -> None:
        """acc += left * right; see `instructions.engine`.  *inner* and *skip* change no value."""

    @abstractmethod
    def drain(self, out: int, acc: int, bias: int | None, scale: float) -> None:
        """out = round(acc * scale + bias)."""

    @abstractmethod
    def mean(self, out: int, acc: int, argument: int, count: int, scale: float) -> None:
        """out = round(scale * acc / N)."""

    @abstractmethod
    def comoment(self, out: int, sums_at: tuple[int, int, int], argument: int, count: int, scale: float) -> None:
        """out = round(scale * (N * cross - left * right) / N^2), the sums being (cross, left, right)."""

    @abstractmethod
    def run(self, number: int, first: int, fresh: int, reduced: int) -> None:
        """Run element program *number* on views *first* and up; reductions run over the last *reduced* axes."""

    @abstractmethod
    def pool_max(self, out: int, tap: int, source: int, window: int, units: tuple[int, int]) -> None:
        """out, tap = the largest value of each window and where it was."""

    @abstractmethod
    def pool_sum(self, out: int, source: int, window: int, scale: float) -> None:
        """out = scale * the sum of each window."""

    @abstractmethod
    def unpool(self, out: int, tap: int, source: int, window: int, first: int, steps: tuple[int, int]) -> None:
        """out = the sum of the errors whose window chose this element."""

    # Inside.

    @abstractmethod
    def _send(self, source: int, cores: tuple[int, ...], channel: int) -> None:
        """One tile to each of *cores*."""

    def _terms(self, argument: int, count: int) -> int:
        """How many terms a sum has: *count*, times an entry argument where *argument* is its number plus 1."""
        terms = count * int(self.chip.arguments[argument - 1]) if argument else count
        if terms < 1:
            raise self.fault("a mean of no terms")
        return terms

    def _worked(self, left: Format | None, dense: int, done: int) -> None:
        """Tell of *done* operations among *dense* ones, whose left operand has that format; None means ones."""
        words = self.unit == "bp" if left is None else not left.whole
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
        loops = self._masks.get(mask)
        if loops is None:
            loops = self._masks[mask] = tuple(loop for k, loop in enumerate(self.loops) if mask >> k & 1)
        for loop in loops:  # noqa: SIM110, twice as fast as a generator
            if loop.counter:
                return False
        return True

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

    def _transfer(self, move: transfer.Move, dram: int, scratchpad: int, write: bool) -> None:
        """Load or store by *move*, and tell the observer."""
        view, other = self._view(dram), self._view(scratchpad)
        if view.space != DRAM or view.format != other.format:
            raise self.fault(
                f"moves {view.format} of space {view.space} and {other.format} of space {other.space}; "
                "one of them must be DRAM, of the same format"
            )
        extents = view.extents(self.loops)
        start = self._scratchpad(other, extents)
        begins, chip = view.begins(self.loops), self.chip
        if view.coding is not None:
            return self._transfer_coded(view, view.coding, begins, other, start, extents, write)
        box = Window(DRAM, view.format, view.start(self.loops), extents, view.strides)
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
        self,
        view: ViewRegister,
        coding: coded.Coding,
        begins: Shape,
        other: ViewRegister,
        start: int,
        extents: Shape,
        write: bool,
    ) -> None:
        """The same through the unit's encoder or decoder."""
        if len(coding.axes) != view.rank:
            raise self.fault(f"a coded view of {view.rank} axes, {len(coding.axes)} of them with blocks")
        chip = self.chip
        box = coded.Box(view.format, view.base, extents, begins, view.strides, view.turned(self.loops))
        tile = Window(other.space, view.format, start, extents, other.strides)
        moved = self._recode(coding, box, view.bounds, tile, write)
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

    @abstractmethod
    def _recode(self, coding: coded.Coding, box: coded.Box, bounds: Shape, tile: Window, write: bool) -> coded.Coded:
        """Encode (*write*) or decode the scratchpad window *tile*."""
