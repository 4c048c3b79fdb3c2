"""Small programs written by hand, on which the laws of the runtime are tested."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import pytest

from snnc.isa.element import ElementProgram, Lane
from snnc.isa.instruction import Instruction
from snnc.isa.instructions.control import Barrier, Choose, End, Halt, Loop, Post, Wait
from snnc.isa.instructions.describe import Axis, Span, Turn, View
from snnc.isa.instructions.engine import Gate
from snnc.isa.instructions.move import Load, Store
from snnc.isa.instructions.route import Receive, Send
from snnc.isa.instructions.vector import Drain, Run
from snnc.isa.program import Argument, Debug, Entry, Program, Stream, Symbol
from snnc.isa.target import Target, canonical, load_target
from snnc.numerics.formats import FORMATS
from snnc.source import Place

BYTE = 8
AxisOf = tuple[int, int]


class Small:
    """Programs, and what they are made of."""

    SAMPLES, INPUTS, OUTPUTS, TILE = 4, 24, 40, 16

    def view(
        self, number: int, space: int, fmt: str, byte: int, axes: Sequence[AxisOf], ring: int = 0
    ) -> list[Instruction]:
        """A view with axes of (extent, stride in bits); *byte* and *ring* in bytes."""
        made: list[Instruction] = [View(number, space, FORMATS[fmt].code, len(axes), byte * BYTE, ring * BYTE)]
        return made + [Axis(number, k, extent, stride) for k, (extent, stride) in enumerate(axes)]

    def stream(self, core: int, unit: str, code: Iterable[Instruction], node: str = "fc", line: int = 3) -> Stream:
        """A stream whose instructions all come from one node and line."""
        instructions = (*code, Halt())
        debug = Debug(node, "UP" if node == "update" else "FP", Place("small.snn", line))
        return Stream(core, unit, instructions, (debug,) * len(instructions))

    def symbol(self, name: str, fmt: str, shape: tuple[int, ...], address: int, role: str, samples: int = 0) -> Symbol:
        """A tensor in the order of its axes; `fc.w` lies transposed."""
        order = tuple(reversed(range(len(shape)))) if name == "fc.w" else tuple(range(len(shape)))
        codec = "bits" if fmt == "spike" else "raw"
        return Symbol(name, fmt, shape, shape, order, 0, samples, role, "fc", address, codec=codec)

    def program(
        self,
        entries: Sequence[Entry],
        symbols: Sequence[Symbol],
        target: str = "tiny",
        elements: Sequence[ElementProgram] = (),
        arguments: Sequence[Argument] = (),
        cores: int = 1,
    ) -> Program:
        """A program for a machine of the catalog."""
        machine: Target = load_target(target)
        return Program(
            network="small",
            target=target,
            target_text=canonical(machine),
            target_hash=machine.fingerprint,
            graph_hash="0" * 64,
            cores=cores,
            steps=1,
            batch=self.SAMPLES,
            entries=tuple(entries),
            elements=tuple(elements),
            symbols=tuple(symbols),
            arguments=tuple(arguments),
            dram_bytes=1 << 14,
        )

    def linear(self) -> Program:
        """y = x w, spikes times weights: three tiles of outputs, every buffer double, every hand-over by semaphores."""
        b, c, o, tile = self.SAMPLES, self.INPUTS, self.OUTPUTS, self.TILE
        x, w, acc, out = 0, 64, 2048, 4096
        w_bytes, acc_bytes, out_bytes = c * tile * 2, b * tile * 8, b * tile * 2
        ready_x, ready_w, free_w, ready_acc, free_acc, ready_out, free_out = range(7)
        turns = Loop(0, tile, o)
        grow, walk = (1, 0, 1), (1, 1, 1)

        def spanned(number: int, axis: int, how: tuple[int, int, int]) -> list[Instruction]:
            coefficient, moves, grows = how
            return [Span(number, axis, 0, coefficient, moves, grows)]

        load = [
            *self.view(0, 0, "spike", 0, [(b, 24), (c, 1)]),
            *self.view(1, 1, "spike", x, [(b, 64), (c, 1)]),
            *self.view(2, 0, "f16", 256, [(c, o * 16), (1, 16)]),
            *spanned(2, 1, walk),
            *self.view(3, 1, "f16", w, [(c, tile * 16), (1, 16)], 2 * w_bytes),
            Turn(3, 0, w_bytes * BYTE),
            Load(1, 0),
            Post(ready_x, 0),
            turns,
            Wait(free_w),
            Load(3, 2),
            Post(ready_w, 0),
            End(0),
            Wait(free_w),
            Wait(free_w),
        ]
        fp = [
            Post(free_w, 0),
            Post(free_w, 0),
            *self.view(0, 1, "x64", acc, [(b, tile * 64), (1, 64), (c, 0)], 2 * acc_bytes),
            *spanned(0, 1, grow),
            Turn(0, 0, acc_bytes * BYTE),
            *self.view(1, 1, "spike", x, [(b, 64), (1, 0), (c, 1)]),
            *self.view(2, 1, "f16", w, [(b, 0), (1, 16), (c, tile * 16)], 2 * w_bytes),
            Turn(2, 0, w_bytes * BYTE),
            Wait(ready_x),
            turns,
            Wait(ready_w),
            Wait(free_acc),
            Gate(0, 1, 2, 0),
            Post(free_w, 0),
            Post(ready_acc, 0),
            End(0),
            Wait(free_acc),
            Wait(free_acc),
        ]
        vector = [
            Post(free_acc, 0),
            Post(free_acc, 0),
            *self.view(0, 1, "f16", out, [(b, tile * 16), (1, 16)], 2 * out_bytes),
            *spanned(0, 1, grow),
            Turn(0, 0, out_bytes * BYTE),
            *self.view(1, 1, "x64", acc, [(b, tile * 64), (1, 64)], 2 * acc_bytes),
            Turn(1, 0, acc_bytes * BYTE),
            turns,
            Wait(ready_acc),
            Wait(free_out),
            Drain(0, 1, 0, 0, 0.5),
            Post(free_acc, 0),
            Post(ready_out, 0),
            End(0),
            Wait(free_out),
            Wait(free_out),
        ]
        store = [
            Post(free_out, 0),
            Post(free_out, 0),
            *self.view(0, 0, "f16", 4096, [(b, o * 16), (1, 16)]),
            *spanned(0, 1, walk),
            *self.view(1, 1, "f16", out, [(b, tile * 16), (1, 16)], 2 * out_bytes),
            Turn(1, 0, out_bytes * BYTE),
            turns,
            Wait(ready_out),
            Store(0, 1),
            Post(free_out, 0),
            End(0),
        ]
        units = {"load": load, "store": store, "fp": fp, "vector": vector}
        streams = tuple(self.stream(0, unit, code, line=3) for unit, code in units.items())
        symbols = [
            self.symbol("x", "spike", (c,), 0, "value", samples=b),
            self.symbol("fc.w", "f16", (o, c), 256, "parameter"),
            self.symbol("y", "f16", (o,), 4096, "result", samples=b),
        ]
        return self.program([Entry("infer", streams, (), ("x",), ("y",))], symbols)

    def pair(self) -> Program:
        """Core 0 sends x to core 3, which doubles and stores it; core 0 reads it back from DRAM and stores it again."""
        n = 8
        row = [(n, 32)]
        double = ElementProgram(
            "double", ("x", "y"), (Lane("load", 0, 0), Lane("add", 1, 0, 0), Lane("store", a=1, b=1))
        )
        streams = [
            self.stream(
                0,
                "load",
                [
                    *self.view(0, 0, "f32", 0, row),
                    *self.view(1, 1, "f32", 0, row),
                    Load(1, 0),
                    Post(0, 0),
                    *self.view(2, 0, "f32", 64, row),
                    *self.view(3, 1, "f32", 64, row),
                    Wait(1),
                    Load(3, 2),
                    Post(2, 0),
                ],
            ),
            self.stream(0, "router", [*self.view(0, 1, "f32", 0, row), Wait(0), Send(0, 3, 1)]),
            self.stream(0, "vector", [Barrier(4)]),
            self.stream(1, "vector", [Barrier(4)]),
            self.stream(2, "vector", [Barrier(4)]),
            self.stream(
                0,
                "store",
                [*self.view(0, 0, "f32", 128, row), *self.view(1, 1, "f32", 64, row), Wait(2), Store(0, 1)],
            ),
            self.stream(3, "router", [*self.view(0, 1, "f32", 0, row), Receive(0, 0, 1), Post(0, 3)]),
            self.stream(
                3,
                "vector",
                [
                    *self.view(0, 1, "f32", 0, row),
                    *self.view(1, 1, "f32", 64, row),
                    Barrier(4),
                    Wait(0),
                    Run(0, 0, 0),
                    Post(1, 3),
                ],
            ),
            self.stream(
                3,
                "store",
                [*self.view(0, 0, "f32", 64, row), *self.view(1, 1, "f32", 64, row), Wait(1), Store(0, 1), Post(1, 0)],
            ),
        ]
        symbols = [
            self.symbol("x", "f32", (n,), 0, "input"),
            self.symbol("twice", "f32", (n,), 64, "value"),
            self.symbol("back", "f32", (n,), 128, "result"),
        ]
        return self.program([Entry("infer", tuple(streams), (), ("x",), ("back",))], symbols, "quad", [double], cores=4)

    def relay(self) -> Program:
        """Core 0 sends x0 to x3 one behind the other, core 1 stores them as y0 to y3, and tells nobody that it did.

        Core 0 makes a way about its vector unit between two of them, in which core 1 takes one if streams take turns.
        """
        n, tiles, size = 4, range(4), 64
        row = [(n, 32)]
        go_on, sent = 20, 21

        def views(space: int, first: int, address: int) -> list[Instruction]:
            return [one for k in tiles for one in self.view(first + k, space, "f32", address + size * k, row)]

        load, store = [*views(0, 0, 0), *views(1, 4, 0)], [*views(0, 0, 1024), *views(1, 4, 0)]
        send, receive, between = views(1, 0, 0), views(1, 0, 0), list[Instruction]()
        for k in tiles:
            last = k == tiles[-1]
            load += [Load(4 + k, k), Post(k, 0), *([] if last else [Wait(go_on)])]
            send += [Wait(k), Send(k, 1, 1), *([] if last else [Post(sent, 0)])]
            between += [] if last else [Wait(sent), Post(go_on, 0)]
            receive += [Receive(k, 0, 1), Post(k, 1)]
            store += [Wait(k), Store(k, 4 + k)]
        streams = (
            self.stream(0, "load", load),
            self.stream(0, "router", send),
            self.stream(1, "router", receive),
            self.stream(1, "store", store),
            self.stream(0, "vector", between),
        )
        names = [f"x{k}" for k in tiles], [f"y{k}" for k in tiles]
        symbols = [self.symbol(name, "f32", (n,), size * k, "input") for k, name in enumerate(names[0])]
        symbols += [self.symbol(name, "f32", (n,), 1024 + size * k, "result") for k, name in enumerate(names[1])]
        return self.program([Entry("infer", streams, (), *map(tuple, names))], symbols, "quad", cores=2)

    def chosen_send(self) -> Program:
        """Core 0 sends a tile to core 1 where the argument `mask` says so."""
        row = [(4, 32)]

        def guarded(code: list[Instruction]) -> list[Instruction]:
            return [Loop(0, 1, 1), Choose(1, 0, 0), *code, End(1), End(0)]

        load = [*self.view(0, 0, "f32", 0, row), *self.view(1, 1, "f32", 0, row), *[Load(1, 0)] * 3]
        streams = (
            self.stream(0, "load", [*load, *guarded([Post(0, 0)])]),
            self.stream(0, "router", [*self.view(0, 1, "f32", 0, row), *guarded([Wait(0), Send(0, 1, 1)])]),
            self.stream(1, "router", [*self.view(0, 1, "f32", 0, row), *guarded([Receive(0, 0, 1)])]),
        )
        symbols = [self.symbol("x", "f32", (4,), 0, "input")]
        entries = [Entry("infer", streams, ("mask",), ("x",), ())]
        return self.program(entries, symbols, "quad", arguments=[Argument("mask", "u32")], cores=2)

    def learner(self) -> Program:
        """w += learning_rate * (image of sample 0 - w); loss = sum of (image - w)^2 a sample; correct = loss < 1.

        `init` draws w from the seed; masters are w itself, working copies do not exist.
        """
        b, n = self.SAMPLES, 4
        lanes = (
            Lane("load", 0, 0),  # image
            Lane("load", 1, 1),  # w
            Lane("sub", 2, 0, 1),
            Lane("mul", 3, 2, 2),
            Lane("rsum", 4, 3),
            Lane("store", a=4, b=2),  # loss
            Lane("const", 5, value=1.0),
            Lane("lt", 6, 4, 5),
            Lane("store", a=6, b=3),  # correct
            Lane("scalar", 7, 0),
            Lane("mul", 8, 2, 7),
            Lane("add", 9, 1, 8),
            Lane("store", a=9, b=1),  # w
        )
        learn = ElementProgram("learn", ("image", "w", "loss", "correct"), lanes)
        judge = ElementProgram("judge", learn.operands, lanes[:9])
        draw = ElementProgram("draw", ("index", "w"), (Lane("uniform", 0, 0, 1, 2, 7), Lane("store", a=0, b=1)))
        both, one, each = [(b, n * 32), (n, 32)], [(b, 0), (n, 32)], [(b, 32), (n, 0)]

        def step(number: int, writes: bool) -> tuple[Stream, ...]:
            load = [
                *self.view(0, 0, "f32", 0, both),
                *self.view(1, 1, "f32", 0, both),
                *self.view(2, 0, "f32", 256, [(n, 32)]),
                *self.view(3, 1, "f32", 256, [(n, 32)]),
                Load(1, 0),
                Load(3, 2),
                Post(0, 0),
            ]
            views = [
                *self.view(0, 1, "f32", 0, both),
                *self.view(1, 1, "f32", 256, one),
                *self.view(2, 1, "f32", 512, each),
                *self.view(3, 1, "u8", 640, [(b, 8), (n, 0)]),
            ]
            vector = [*views, Wait(0), Run(number, 0, 0), Post(1, 0)]
            store = [
                *self.view(0, 0, "f32", 512, [(b, 32)]),
                *self.view(1, 1, "f32", 512, [(b, 32)]),
                *self.view(2, 0, "u8", 576, [(b, 8)]),
                *self.view(3, 1, "u8", 640, [(b, 8)]),
                *self.view(4, 0, "f32", 256, [(n, 32)]),
                *self.view(5, 1, "f32", 256, [(n, 32)]),
                Wait(1),
                Store(0, 1),
                Store(2, 3),
                *([Store(4, 5)] if writes else []),
            ]
            node = "update" if writes else "fc"
            return tuple(
                self.stream(0, unit, code, node)
                for unit, code in (("load", load), ("vector", vector), ("store", store))
            )

        init = (
            self.stream(
                0,
                "vector",
                [
                    *self.view(0, 63, "u32", 0, [(n, 1)]),
                    *self.view(1, 1, "f32", 0, [(n, 32)]),
                    Run(2, 0, 0),
                    Post(0, 0),
                ],
            ),
            self.stream(
                0,
                "store",
                [*self.view(0, 0, "f32", 256, [(n, 32)]), *self.view(1, 1, "f32", 0, [(n, 32)]), Wait(0), Store(0, 1)],
            ),
        )
        results = ("loss", "correct")
        entries = [
            Entry("init", init, ("seed", "step"), (), ()),
            Entry("train_step", step(0, True), ("learning_rate",), ("image",), results),
            Entry("infer", step(1, False), (), ("image",), results),
        ]
        symbols = [
            self.symbol("image", "f32", (n,), 0, "input", samples=b),
            self.symbol("fc.b", "f32", (n,), 256, "parameter"),
            self.symbol("loss", "f32", (), 512, "result", samples=b),
            self.symbol("correct", "u8", (), 576, "result", samples=b),
        ]
        arguments = [Argument("learning_rate", "f32"), Argument("seed", "u32"), Argument("step", "u32")]
        return self.program(entries, symbols, elements=[learn, judge, draw], arguments=arguments)

    def changed(self, program: Program, change: Callable[[Stream, Instruction], bool], entry: str = "infer") -> Program:
        """The program without those instructions of *entry* for which *change* is false."""

        def stream(old: Stream) -> Stream:
            kept = [k for k, instruction in enumerate(old.instructions) if change(old, instruction)]
            return replace(
                old,
                instructions=tuple(old.instructions[k] for k in kept),
                debug=tuple(old.debug[k] for k in kept),
            )

        entries = tuple(
            replace(old, streams=tuple(map(stream, old.streams))) if old.name == entry else old
            for old in program.entries
        )
        return replace(program, entries=entries)


@pytest.fixture
def small() -> Small:
    return Small()
