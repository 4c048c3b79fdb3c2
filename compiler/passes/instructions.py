"""The instruction of a step, and the view registers that it needs first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ...isa.instruction import Instruction
from ...isa.instructions.control import End, Loop, Post, Wait, Within
from ...isa.instructions.engine import Dense, Gate, Outer
from ...isa.instructions.move import Load, Store
from ...isa.instructions.route import Multicast, Receive, Send
from ...isa.instructions.vector import Comoment, Drain, Mean, PoolMax, PoolSum, Run, Unpool
from ...isa.program import Symbol
from ...isa.state import NEVER
from ...source import TargetError
from ..ir.on_core import OnCore
from ..ir.schedule import Buffer, For, Stage, Step
from ..ir.statement import Contraction, Elementwise, Moments, Window, loop
from .views import (
    compute_axes,
    compute_view,
    dram_view,
    further,
    identity_view,
    move_view,
    tile_view,
    window_bound,
)

VIEWS = 64
"""View registers of a unit."""

FEWER = "fewer operands at once; where steps are computed again, a smaller every"
"""The way out where registers are not enough."""

ENGINES: dict[str, type[Gate] | type[Dense] | type[Outer]] = {"fp": Gate, "bp": Dense, "wg": Outer}


class StepWriter:
    """Instructions of one stage on one core.  `describe` comes first; it gives the step its view registers."""

    def __init__(
        self,
        on: OnCore,
        symbols: Mapping[str, Symbol],
        programs: Callable[[Stage, Elementwise], tuple[int, tuple[str, ...]]],
        inner: Mapping[str, int],
        arguments: Mapping[str, int],
        ready: Mapping[tuple[str, int], int],
    ) -> None:
        self.on = on
        self.symbols = symbols
        self.programs = programs
        self.inner = inner
        self.arguments = arguments
        self.ready = ready
        self.buffers = on.stage.by_name
        self.views: dict[tuple[str, int], int] = {}
        self.used: dict[str, int] = {}

    def describe(self, unit: str, step: Step) -> list[Instruction]:
        """View registers of *step*, which *unit* sets up when the stage begins."""
        first = self.used.get(unit, 0)
        self.views[unit, id(step)] = first
        count = self._count(step)
        if first + count > VIEWS:
            told = f"{self.on.stage.node} takes more than the {VIEWS} view registers that the {unit} unit has"
            raise TargetError.at(self.on.stage.place, told, hints=(FEWER,))
        groups = self._groups(first, step)
        self.used[unit] = first + len(groups)
        assert len(groups) <= count or self.used[unit] <= VIEWS, f"{self.on.stage.node}: {unit}"
        return [word for group in groups for word in group]

    def beside(self, core: int) -> StepWriter:
        """What writes the same steps, in the same registers, for another core with as large a share of the stage."""
        if core == self.on.core:
            return self
        other = StepWriter(
            OnCore(self.on.stage, core), self.symbols, self.programs, self.inner, self.arguments, self.ready
        )
        other.views, other.used = self.views, self.used
        return other

    def differs(self, step: Step) -> bool:
        """Whether the view registers of *step* say where a core's share begins, and not just how large it is."""
        parts = self.on.stage.mapping.parts
        if self._holds_all(step):
            return True
        match step.kind:
            case "load" | "store":
                walked = {name for axis in self._moved(step).axes for name, _ in axis.terms}
                return not walked.isdisjoint(parts)
            case "multicast" | "receive":
                return False
            case "run":
                return any(":" in use for use in self.programs(self.on.stage, self.on.stage.run_by(step))[1])
            case _:
                return isinstance(self.on.stage.statement, Window)

    def described(self, unit: str, step: Step, words: Sequence[Instruction], core: int) -> Sequence[Instruction]:
        """The view registers of a *step* that differs; it has these *words* on a *core* beside which this one works."""
        first = self.views[unit, id(step)]
        if step.kind not in ("load", "store") or self._holds_all(step):
            return [word for group in self._groups(first, step) for word in group]
        for name, shares in self.on.stage.mapping.parts.items():
            words = further(words, first + 1, self._moved(step), name, shares[self.on.core][0] - shares[core][0])
        return words

    def _holds_all(self, step: Step) -> bool:
        """Whether a buffer of *step* has all of a loop that cores share."""
        parts = self.on.stage.mapping.parts
        return any(name in self.buffers[use].whole for use in (*step.writes, *step.reads) for name in parts)

    def _moved(self, step: Step) -> Buffer:
        """What a load fills, or a store empties."""
        return self.buffers[(*step.writes, *step.reads)[0]]

    def _groups(self, first: int, step: Step) -> list[list[Instruction]]:
        """The words of each view register of *step*, from number *first* on."""
        match step.kind:
            case "load":
                return self._move(first, step.writes[0], step.value, writes=False)
            case "store":
                return self._move(first, step.reads[0], step.value, writes=True)
            case "multicast" | "receive":
                return [tile_view(first, self.on, self.buffers[(step.reads or step.writes)[0]])]
            case "contract":
                return self._contract(first, step)
            case "drain":
                axes = self._drain_axes(step)
                names = [step.writes[0], *reversed(step.reads)]
                return [compute_view(first + k, self.on, self.buffers[name], axes) for k, name in enumerate(names)]
            case "mean" | "comoment" | "gather":
                axes, names = self._drain_axes(step), list(dict.fromkeys([*step.writes, *step.reads]))
                return [compute_view(first + k, self.on, self.buffers[name], axes) for k, name in enumerate(names)]
            case "run":
                return self._run(first, step)
            case _:
                return self._window(first, step)

    def _count(self, step: Step) -> int:
        """View registers of *step* where they may be many: of a move, and of all operands of an element program."""
        if step.kind == "run":
            return len(self.programs(self.on.stage, self.on.stage.run_by(step))[1])
        return 2 if step.kind in ("load", "store") else 1

    def instructions(self, step: Step) -> tuple[Instruction, ...]:
        """The instructions of *step*: one, but for what cores gather, or one of them casts; inside a loop of one turn
        for each that it is taken in the first turn of."""
        made = self._made(step)
        for number, name in enumerate(step.once):
            gate = self.on.gate(number)
            made = (Within(gate, self.on.register(name), 0, 1), *made, End(gate))
        return made

    def _made(self, step: Step) -> tuple[Instruction, ...]:
        match step.kind:
            case "gather":
                return self._gather(step)
            case "multicast":
                return self._multicast(step)
            case "receive":
                return self._receive(step)
            case _:
                return (self._instruction(step),)

    def _channel(self, use: str) -> int:
        """The channel of a buffer's tiles."""
        return sorted(self.buffers).index(use)

    def _multicast(self, step: Step) -> tuple[Instruction, ...]:
        """Send a tile to all others that need it, when each has room for it."""
        (use,) = step.reads
        first, *others = self.on.stage.fellows(use, self.on.core)
        apart = others[0] - first
        send = Multicast(self.views[step.unit, id(step)], first, self._channel(use), len(others) + 1, apart)
        return (*(Wait(self.ready[use, core]) for core in others), send)

    def _receive(self, step: Step) -> tuple[Instruction, ...]:
        """Take the next tile from the core that loads it, which is told that there is room."""
        (use,) = step.writes
        first = self.on.stage.fellows(use, self.on.core)[0]
        taken = Receive(self.views[step.unit, id(step)], first, self._channel(use))
        return Post(self.ready[use, self.on.core], first), taken

    def _gather(self, step: Step) -> tuple[Instruction, ...]:
        """Hand a sum to the first that shares it, who takes his own, or adds it to what he has loaded, and adds those
        of the others in their order."""
        view, channel = self.views[step.unit, id(step)], self._channel(step.reads[0])
        first, *others = self.on.stage.adding(self.on.core)
        handed = Send(view + 1, first, channel)
        if self.on.core != first:
            return (handed,)
        own = Receive(view, first, channel, add=int(self._goes_on(step)))
        return (handed, own, *(Receive(view, core, channel, add=1) for core in others))

    def _goes_on(self, step: Step) -> bool:
        """Whether a sum goes on with what was loaded."""
        statement = self.on.stage.statements[step.part]
        return isinstance(statement, Contraction) and statement.onto is not None

    def _instruction(self, step: Step) -> Instruction:
        view = self.views[step.unit, id(step)]
        statement = self.on.stage.statements[step.part]
        match step.kind:
            case "load":
                return Load(view, view + 1)
            case "store":
                return Store(view + 1, view)
            case "run":
                elements = self.on.stage.run_by(step)
                axes = compute_axes(self.on, elements)
                reduced = sum(name in elements.reduced for name in axes)
                program, _ = self.programs(self.on.stage, elements)
                return Run(program, view, self.on.mask(elements.begins), reduced or 1)
            case "drain":
                assert isinstance(statement, Contraction)
                biased = "bias" in step.reads
                return Drain(view, view + 1, view + 2 if biased else 0, int(biased), statement.scale)
            case "contract":
                assert isinstance(statement, Contraction | Moments)
                engine = ENGINES[step.unit]
                ones = int(len(step.reads) < 2)
                goes_on = self._goes_on(step) and not self.on.stage.gathers  # else the whole does, where it is gathered
                fresh = self.on.mask(statement.summed) | (NEVER if goes_on else 0)
                inner, skip = self.inner[step.unit], self.on.stage.gating_of(step.part).skip
                return engine(view, view + 1, view + 2, fresh, inner, ones, skip)
            case "mean" | "comoment":
                assert isinstance(statement, Moments)
                argument = self.arguments[statement.argument] + 1 if statement.argument else 0
                if step.kind == "mean":
                    return Mean(view, view + 1, argument, statement.count, statement.scale)
                factor = statement.product_scale
                right = view + 2 if statement.variance else view + 3
                return Comoment(view, view + 1, view + 2, right, argument, statement.count, factor)
            case _:
                assert isinstance(statement, Window)
                return self._pool(statement, step.kind, view)

    def loop(self, turning: For) -> Loop:
        """The instruction that opens *turning*; the samples of moments end where the host says."""
        statement, on = self.on.stage.statement, self.on
        bound = statement.argument if isinstance(statement, Moments) and turning.loop == "n" else ""
        register, extent = on.register(turning.loop), on.extents[turning.loop]
        if not bound:
            return Loop(register, turning.tile, extent)
        most, first = statement.extents[turning.loop], on.lows.get(turning.loop, 0)
        return Loop(register, turning.tile, extent, self.arguments[bound] + 1, most, first)

    def _pool(self, statement: Window, kind: str, view: int) -> Instruction:
        taps = len(statement.taps)
        if kind == "poolmax":
            units = [*self._tap_strides(self.buffers["source"], statement), 1]
            return PoolMax(view, view + 1, view + 2, taps, units[0], units[1])
        if kind == "poolsum":
            return PoolSum(view, view + 1, taps, statement.scale)
        steps = (*statement.step, 0)
        return Unpool(view, view + 1, view + 2, taps, statement.first, steps[0], steps[1])

    def _move(self, first: int, name: str, value: str, writes: bool) -> list[list[Instruction]]:
        buffer = self.buffers[name]
        here = move_view(first, self.on, buffer)
        return [here, dram_view(first + 1, self.on, buffer, self.symbols[value], writes)]

    def _drain_axes(self, step: Step) -> tuple[str, ...]:
        statement = self.on.stage.statements[step.part]
        assert isinstance(statement, Contraction | Moments)
        return tuple(name for name in compute_axes(self.on, statement) if name not in statement.summed)

    def _contract(self, first: int, step: Step) -> list[list[Instruction]]:
        axes = compute_axes(self.on, self.on.stage.statements[step.part])
        acc, (*lefts, right) = self.buffers[step.writes[0]], step.reads or ("",)
        groups = [compute_view(first, self.on, acc, axes)]
        for place, name in enumerate((lefts[0] if lefts else "", right), start=1):
            groups.append(compute_view(first + place, self.on, self.buffers.get(name) or self._nothing(acc), axes))
        return groups

    def _nothing(self, acc: Buffer) -> Buffer:
        """A stand-in for an operand that the instruction does not read: f16 at the accumulator, strides 0."""
        return Buffer("nothing", acc.role, "f16", (), (), (), acc.bytes, 0, 1, acc.memory, acc.address)

    def _run(self, first: int, step: Step) -> list[list[Instruction]]:
        statement = self.on.stage.run_by(step)
        axes = compute_axes(self.on, statement)
        homes = dict(self.buffers)
        if step.writes and step.writes[0] in self.on.stage.drawn:
            homes["out0"] = self.buffers[step.writes[0]]
        groups: list[list[Instruction]] = []
        for place, use in enumerate(self.programs(self.on.stage, statement)[1]):
            kind, colon, name = use.partition(":")
            if colon and kind == "index":
                groups.append(identity_view(first + place, self.on, axes, loop(name)))
            elif colon:
                groups.append(identity_view(first + place, self.on, axes, statement.random[name]))
            else:
                buffer = self.on.stage.joined[step.part - 1].buffer_of(use, step.part) if step.part else use
                groups.append(compute_view(first + place, self.on, homes[buffer], axes))
        return groups

    def _window(self, first: int, step: Step) -> list[list[Instruction]]:
        statement = self.on.stage.statement
        assert isinstance(statement, Window)
        axes = compute_axes(self.on, statement)
        outer = axes[: len(axes) - len(statement.taps)]
        source = self.buffers["source"]
        groups = [compute_view(first, self.on, self.buffers["out"], outer)]
        if "tap" in self.buffers:
            over = outer if step.kind == "poolmax" else axes
            groups.append(compute_view(first + 1, self.on, self.buffers["tap"], over))
        group = compute_view(first + len(groups), self.on, source, axes)
        if step.kind == "poolmax":
            group = self._bounded(group, first + len(groups), axes, source, statement)
        return [*groups, group]

    def _bounded(
        self, group: list[Instruction], view: int, axes: tuple[str, ...], source: Buffer, statement: Window
    ) -> list[Instruction]:
        """The source's view with what its tap axes must know where windows leave the source."""
        words = list(group)
        strides = self._tap_strides(source, statement)
        for tap, unit in zip(statement.taps, strides, strict=True):
            axis = next(axis for axis in source.axes if tap in dict(axis.terms))
            others = [name for name, _ in axis.terms if name != tap]
            number = axes.index(tap)
            words = [word for word in words if not (hasattr(word, "axis") and getattr(word, "axis", -1) == number)]
            stride = dict(axis.terms)[tap] * unit
            words += window_bound(view, self.on, number, tap, others[0], axis, stride)
        return words

    def _tap_strides(self, source: Buffer, statement: Window) -> list[int]:
        """Bits between neighbouring positions of the source along the axis of each tap."""
        found: list[int] = []
        for tap in statement.taps:
            place = next(k for k, axis in enumerate(source.axes) if tap in dict(axis.terms))
            found.append(source.strides[place])
        return found
