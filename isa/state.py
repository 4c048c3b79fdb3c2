"""The state of a chip as its instructions see it: DRAM, cores with scratchpads and semaphores, streams with registers.

`Stream` gives instructions their verbs: those of registers are here; those that move and compute are in `computing`,
and in `counting` without any data.  A verb prepares what an instruction does each time that the stream comes to it.
What that moves or computes it tells to the chip's `Observer`, so that counting traffic, cycle replay, tracing and race
checking are other people's business.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from ..numerics.formats import BY_CODE, Format
from . import coded, moving
from .chip import Blocked, Chip, Core, Observer, ProgramFault
from .definitions import definitions_of
from .kernels.contract import accumulated
from .registers import DRAM, IDENTITY, LoopRegister, ViewRegister, Window
from .tally import Tally

if TYPE_CHECKING:
    from .instruction import Action, Instruction

__all__ = ["Blocked", "Chip", "Core", "Observer", "ProgramFault", "Stream", "Window", "accumulated"]


Shape = tuple[int, ...]

LOOPS, VIEWS, AXES = 16, 64, 8
"""Loop registers, view registers, and axes of a view."""

NEVER = 1 << LOOPS
"""The bit of a mask of loops that stands for one that never is in its first turn."""


class Stream(ABC):
    """One unit's stream at work: program counter, loop and view registers, and the verbs of the instructions.

    *pc* is the next instruction, *current* the one that runs.  A stream that must wait says for what in *blocked*
    and tries the same instruction again at its next `step`; *stopped* tells that it must wait or has halted.
    *consulted* are the entry arguments on which its way has depended so far, *copied* the instructions that have done
    more than to call a kernel on operands where they lie.
    """

    def __init__(self, core: Core, unit: str, chip: Chip, instructions: Sequence[Instruction]) -> None:
        self.core = core
        self.unit = unit
        self.chip = chip
        self.instructions = tuple(instructions)
        self.pc = 0
        self.current = 0
        self.halted = False
        self.stopped = False
        self.blocked: Blocked | None = None
        self.loops = tuple(LoopRegister() for _ in range(LOOPS))
        self.views: list[ViewRegister | None] = [None] * VIEWS
        self._behind = self._ends()
        self.actions: list[Action | None] = [None] * len(self.instructions) + [self._ran_out]
        self.tally = Tally(len(self.instructions))
        self.consulted: set[int] = set()
        self.copied: set[int] = set()
        self.definitions = definitions_of(self.instructions)

    def step(self) -> None:
        """Run one instruction, or find out that it still cannot run; ProgramFault for an illegal one."""
        if self.halted:
            return
        self.current = self.pc
        self.pc += 1
        self.blocked, self.stopped = None, False
        try:
            (self.actions[self.current] or self.bind(self.current))()
        except (ValueError, IndexError) as problem:
            raise self.fault(str(problem)) from problem

    def bind(self, number: int) -> Action:
        """What instruction *number*, which has come up for the first time, does from now on."""
        action = self.actions[number] = self.instructions[number].bind(self)
        return action

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
            run.registers = [(number, self.view(number)) for number in run.numbers]
        views = self.views
        for number, view in run.registers:
            views[number] = view
        self.pc = run.end
        return run.end - first

    def fault(self, text: str) -> ProgramFault:
        """A fault of the instruction that runs."""
        return ProgramFault(self, self.current, text)

    def _ran_out(self) -> None:
        """There is no instruction any more."""
        raise self.fault("the stream ends without halt")

    # Control.

    def halt(self) -> None:
        """The stream is over."""
        self.halted = self.stopped = True

    def block(self, kind: str, core: int, number: int) -> None:
        """Stand still, and try again at the next step."""
        self.blocked, self.stopped = Blocked(kind, core, number), True
        self.pc = self.current

    def argument(self, number: int) -> int:
        """Entry argument *number* as the whole number that it is, on which the way of the stream depends."""
        self.consulted.add(number)
        return int(self.chip.arguments[number])

    def whole_argument(self, number: int, bound: int) -> int:
        """Entry argument *number* as a whole number of at most *bound*."""
        value = self.argument(number)
        if value > bound:
            raise self.fault(f"argument {number} is {value}, above its bound {bound}")
        return value

    def passing(self, number: int) -> Action:
        """What jumps over loop *number*, which the instruction that runs would open."""
        loop, behind = self.loops[number], self._behind[self.current]

        def passed() -> None:
            loop.close()
            self.pc = behind

        return passed

    def anew(self, mask: int) -> Callable[[], bool]:
        """Whether all loops of *mask* are in their first turn."""
        if mask & NEVER:
            return lambda: False
        loops = tuple(loop for k, loop in enumerate(self.loops) if mask >> k & 1)

        def first() -> bool:
            for loop in loops:  # noqa: SIM110, twice as fast as a generator
                if loop.counter:
                    return False
            return True

        return first

    # View registers.

    def define_view(self, number: int, space: int, code: int, rank: int, base: int, ring: int) -> None:
        """A view anew, without turns and spans."""
        if code not in BY_CODE or rank > AXES:
            raise self.fault(f"a view of format {code} with {rank} axes")
        self.views[number] = ViewRegister(self.loops, space, BY_CODE[code], rank, base, ring)

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

    # Moving tiles and computing: `computing` does it, `counting` only counts it.  Each answers with the action.

    @abstractmethod
    def load(self, target: int, source: int) -> Action:
        """DRAM to scratchpad."""

    @abstractmethod
    def store(self, target: int, source: int) -> Action:
        """Scratchpad to DRAM."""

    def send(self, source: int, core: int, channel: int) -> Action:
        """Scratchpad to the queue of another core."""
        return self._send(source, (core,), channel)

    def multicast(self, source: int, targets: Iterable[int], channel: int) -> Action:
        """Scratchpad to the queues of the cores *targets*, less its own."""
        return self._send(source, tuple(core for core in targets if core != self.core.number), channel)

    @abstractmethod
    def receive(self, target: int, core: int, channel: int, add: bool) -> Action:
        """From the queue to a scratchpad, or block."""

    @abstractmethod
    def contract(self, acc: int, left: int, right: int, fresh: int, inner: int, ones: bool, skip: int) -> Action:
        """acc += left * right; see `instructions.engine`.  *inner* and *skip* change no value."""

    @abstractmethod
    def drain(self, out: int, acc: int, bias: int | None, scale: float) -> Action:
        """out = round(acc * scale + bias)."""

    @abstractmethod
    def mean(self, out: int, acc: int, argument: int, count: int, scale: float) -> Action:
        """out = round(scale * acc / N)."""

    @abstractmethod
    def comoment(self, out: int, sums_at: tuple[int, int, int], argument: int, count: int, scale: float) -> Action:
        """out = round(scale * (N * cross - left * right) / N^2), the sums being (cross, left, right)."""

    @abstractmethod
    def run(self, number: int, first: int, fresh: int, reduced: int) -> Action:
        """Run element program *number* on views *first* and up; reductions run over the last *reduced* axes."""

    @abstractmethod
    def pool_max(self, out: int, tap: int, source: int, window: int, units: tuple[int, int]) -> Action:
        """out, tap = the largest value of each window and where it was."""

    @abstractmethod
    def pool_sum(self, out: int, source: int, window: int, scale: float) -> Action:
        """out = scale * the sum of each window."""

    @abstractmethod
    def unpool(self, out: int, tap: int, source: int, window: int, first: int, steps: tuple[int, int]) -> Action:
        """out = the sum of the errors whose window chose this element."""

    # Inside.

    @abstractmethod
    def _send(self, source: int, cores: tuple[int, ...], channel: int) -> Action:
        """One tile to each of *cores*."""

    def _terms(self, argument: int, count: int) -> int:
        """How many terms a sum has: *count*, times an entry argument where *argument* is its number plus 1."""
        terms = count * self.argument(argument - 1) if argument else count
        if terms < 1:
            raise self.fault("a mean of no terms")
        return terms

    def _kind(self, left: Format | None) -> str:
        """What a product with a left operand of that format is counted as; None means ones."""
        words = self.unit == "bp" if left is None else not left.whole
        return "multiply" if words else "gated"

    def _worker(self, kind: str) -> Callable[[int], None]:
        """What tells of an amount of work of the instruction that runs."""
        counts, pc, observer = self.tally.work[kind], self.current, self.chip.observer

        def worked(amount: int) -> None:
            counts[pc] += amount
            if (heard := observer.work) is not None:
                heard(self, kind, amount)

        return worked

    def _multiplier(self, left: Format | None) -> Callable[[int, int], None]:
        """The same for products with a left operand of that format (None means ones): *done* ones of *dense*."""
        kind, pc, observer = self._kind(left), self.current, self.chip.observer
        if self.tally.products.setdefault(pc, kind) != kind:
            self.copied.add(pc)
        counts, skipped = self.tally.work[kind], self.tally.work["skipped"]

        def worked(dense: int, done: int) -> None:
            counts[pc] += done
            skipped[pc] += dense - done
            if (heard := observer.work) is not None:
                heard(self, kind, done)
                if dense > done:
                    heard(self, "skipped", dense - done)

        return worked

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

    def view(self, number: int) -> ViewRegister:
        """A view register, which must have been defined."""
        view = self.views[number]
        if view is None:
            raise self.fault(f"view {number} is not defined")
        return view

    def _changed(self, number: int) -> ViewRegister:
        """Another one of the same contents, to be changed."""
        view = self.views[number] = self.view(number).copied()
        return view

    def _windows(self, view: ViewRegister, source: ViewRegister, window: int) -> tuple[Shape, Shape]:
        """(extents of the output, extents of the window axes of *source*)."""
        if source.rank != view.rank + window:
            raise self.fault(f"{source.rank} axes for an output of {view.rank} and {window} of the window")
        return view.extents(), source.extents()[view.rank :]

    def _touch(self, write: bool, view: ViewRegister, start: int, extents: Shape) -> None:
        """Tell who watches."""
        window = Window(view.space, view.format, start, extents, view.strides)
        self.chip.observer.touch(self, write, window)

    def _transfer(self, kind: type[moving.Transfer], dram: int, scratchpad: int, write: bool) -> Action:
        """Load or store, and tell the observer."""
        views, chip, observer = self.views, self.chip, self.chip.observer
        granule, watched = chip.granule, chip.watched
        counts, pc = self.tally.reads if write else self.tally.writes, self.current
        box: Callable[[], moving.Moved] | None = None
        view, other = None, None

        def move() -> None:
            nonlocal box, view, other
            if box is None or views[dram] is not view or views[scratchpad] is not other:
                view, other = self.view(dram), self.view(scratchpad)
                self._check_transfer(view, other)
                box = kind(self.core.memories, view, other, granule).move if view.coding is None else None
            assert view is not None and other is not None
            if box is None:
                return self._transfer_coded(view, other, write)
            way, address, start = box()
            if way.exists:
                byte = address >> 3
                if watched:
                    observer.touch(self, write, Window(DRAM, view.format, address, way.plan.sizes, view.strides))
                observer.dram(self, write, byte, way.useful, way.bursts[byte % granule])
            if way.scratchpad:
                if watched:
                    self._touch(not write, other, start, view.extents())
                counts[pc] += way.scratchpad
                if (heard := observer.scratchpad) is not None:
                    heard(self, not write, other.space, way.scratchpad)

        return move

    def _check_transfer(self, view: ViewRegister, other: ViewRegister) -> None:
        """ProgramFault unless a box can go from one view to the other."""
        if view.space != DRAM or view.format != other.format:
            raise self.fault(
                f"moves {view.format} of space {view.space} and {other.format} of space {other.space}; "
                "one of them must be DRAM, of the same format"
            )
        if other.space in (DRAM, IDENTITY):
            raise self.fault(f"space {other.space} is no scratchpad")
        if other.rank != view.rank:
            raise self.fault(f"a view of {other.rank} axes among others of {view.rank}")

    def _transfer_coded(self, view: ViewRegister, other: ViewRegister, write: bool) -> None:
        """The same through the unit's encoder or decoder."""
        coding, extents = view.coding, view.extents()
        assert coding is not None
        if len(coding.axes) != view.rank:
            raise self.fault(f"a coded view of {view.rank} axes, {len(coding.axes)} of them with blocks")
        chip, start = self.chip, other.start()
        box = coded.Box(view.format, view.base, extents, view.begins(), view.strides, view.turned())
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
            (self.tally.reads if write else self.tally.writes)[self.current] += moved.scratchpad
            heard = chip.observer.scratchpad
            if heard is not None:
                heard(self, not write, other.space, moved.scratchpad)

    @abstractmethod
    def _recode(self, coding: coded.Coding, box: coded.Box, bounds: Shape, tile: Window, write: bool) -> coded.Coded:
        """Encode (*write*) or decode the scratchpad window *tile*."""
