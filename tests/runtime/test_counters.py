"""Bytes are counted where they move, and none are lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from snnc.isa.array import OUTPUT_STATIONARY, WEIGHT_STATIONARY, Accesses, Contraction, Operand, accesses
from snnc.isa.instructions.control import End, Halt, Loop
from snnc.isa.mesh import MeshRoutes
from snnc.isa.traffic import Key
from snnc.runtime.counters import fetched_bytes
from snnc.runtime.interpreter import Interpreter
from snnc.runtime.modelled import Modelled

if TYPE_CHECKING:
    from tests.runtime.conftest import Small

GRANULE = 32


def test_loads_and_stores_count_bytes_bursts_and_ports_by_tensor(small: Small) -> None:
    interpreter = Interpreter(small.linear())
    x = (np.arange(96).reshape(4, 24) % 3 == 0).astype(np.float32)
    interpreter.write("x", x)
    interpreter.write("fc.w", np.ones((40, 24)))
    interpreter.run("infer")
    traffic = interpreter.counters.traffic()
    assert traffic.basis == "counted"

    w = traffic.rows[Key("FP", "fc.w", "fc", "raw")]
    # Rows of 80 bytes; three tiles of 32, 32 and 16 bytes a row, each run counted by itself.
    starts = [(256 + 80 * row + 32 * tile, size) for tile, size in enumerate((32, 32, 16)) for row in range(24)]
    bursts = sum((start + size - 1) // GRANULE - start // GRANULE + 1 for start, size in starts)
    assert (w.useful_read, w.dram_read, w.scratchpad_write) == (24 * 40 * 2, bursts * GRANULE, 24 * 40 * 2)

    spikes = traffic.rows[Key("FP", "x", "fc", "bits")]
    assert (spikes.useful_read, spikes.dram_read, spikes.scratchpad_write) == (12, GRANULE, 12)

    y = traffic.rows[Key("FP", "y", "fc", "raw")]
    assert (y.useful_write, y.scratchpad_read) == (4 * 40 * 2, 4 * 40 * 2)

    ones = int(x.sum())
    total = traffic.total
    assert (total.gated, total.skipped, total.element) == (ones * 40, (96 - ones) * 40, 4 * 40)
    assert total.host_write == 12 + 24 * 40 * 2
    assert total.useful_read == total.scratchpad_write and total.useful_write == total.scratchpad_read
    by_unit = interpreter.counters.by_unit()
    assert sum(amounts.dram for amounts in by_unit.values()) == total.dram
    assert by_unit[0, "load"].dram_write == 0 and by_unit[0, "fp"].gated == ones * 40


def test_a_tile_counts_once_on_each_link(small: Small) -> None:
    interpreter = Interpreter(small.pair())
    interpreter.run("infer")
    assert interpreter.counters.by_link() == {(0, 1): 32, (1, 3): 32}  # along the row, then along the column
    assert interpreter.counters.traffic().total.network == 64


def test_routes_go_along_the_row_first() -> None:
    mesh = MeshRoutes(3, 9)
    assert mesh.route(0, 8) == ((0, 1), (1, 2), (2, 5), (5, 8))
    assert mesh.route(8, 0) == ((8, 7), (7, 6), (6, 3), (3, 0))
    assert mesh.route(4, 4) == ()


def test_contexts_of_a_core_stand_on_its_place() -> None:
    mesh = MeshRoutes(3, 9)
    assert mesh.route(9 + 4, 4) == mesh.route(4, 18 + 4) == ()
    assert mesh.route(9 + 0, 18 + 8) == mesh.route(0, 8)
    assert mesh.tree(9, (10, 11)) == mesh.tree(0, (1, 2))


def test_taking_counts_begins_anew(small: Small) -> None:
    interpreter = Interpreter(small.linear())
    interpreter.run("infer")
    once = interpreter.counters.take()
    assert not interpreter.counters.traffic().rows
    interpreter.run("infer")
    interpreter.run("infer")
    assert interpreter.counters.take() == once * 2


def test_a_loop_that_does_not_fit_is_fetched_again() -> None:
    # loop l0 (5 turns) { loop l1 (3 turns) { } }
    code = [Loop(0, 1, 5), Loop(1, 1, 3), End(1), End(0), Halt()]
    runs = [1, 5, 15, 5, 1]
    assert fetched_bytes(code, runs, 1, 5 * 16) == [16] * 5
    assert fetched_bytes(code, runs, 1, 4 * 16) == [16] * 5  # the outer loop fits, halt is fetched when it runs
    assert fetched_bytes(code, runs, 1, 2 * 16) == [16, 5 * 16, 5 * 16, 5 * 16, 16]  # only the inner one fits
    assert fetched_bytes(code, runs, 1, 16) == [16 * n for n in runs]


def test_short_streams_are_fetched_once_an_entry(small: Small) -> None:
    program = small.linear()
    interpreter = Interpreter(program)
    interpreter.run("infer")
    assert interpreter.counters.traffic().total.fetch == 16 * program.instruction_count


def test_accesses_in_the_array_follow_the_published_formulas(small: Small) -> None:
    """chips.md 2.4 for a 3x3 convolution, 32 channels to 48 on 8x8, rows and columns of 16."""
    interpreter = Interpreter(small.linear())
    engine = interpreter.target.engines["fp"]
    # loops y x r s c k of: acc[y, x, k] += left[y + r, x + s, c] * right[r, s, c, k]
    extents = (8, 8, 3, 3, 32, 48)
    left = Operand((10 * 64, 64, 10 * 64, 64, 1, 0), 1)
    right = Operand((0, 0, 3 * 32 * 48 * 16, 32 * 48 * 16, 48 * 16, 16), 16)
    acc = Operand((8 * 48 * 64, 48 * 64, 0, 0, 0, 64), 64)
    macs, weights, out = 8 * 8 * 9 * 32 * 48, 9 * 32 * 48, 8 * 8 * 48
    found = accesses(Contraction(extents, acc, left, right, WEIGHT_STATIONARY, 1, True), engine)
    assert found.cycles == 8 * 8 * 9 * -(-32 // engine.rows) * -(-48 // engine.columns)
    rows, columns = min(32, engine.rows), min(48, engine.columns)
    assert found.read_bits == macs // columns + weights * 16 + (macs // rows - out) * 64
    assert found.write_bits == macs // rows * 64

    # the weight gradient: acc[r, s, c, k] += left[y + r, x + s, c] * right[y, x, k], output-stationary
    extents = (3, 3, 32, 48, 8, 8)
    left = Operand((10 * 64, 64, 1, 0, 10 * 64, 64), 1)
    right = Operand((0, 0, 0, 16, 8 * 48 * 16, 48 * 16), 16)
    acc = Operand((3 * 32 * 48 * 64, 32 * 48 * 64, 48 * 64, 64, 0, 0), 64)
    found = accesses(Contraction(extents, acc, left, right, OUTPUT_STATIONARY, 1, False), engine)
    assert found.read_bits == macs // columns + macs // rows * 16 + weights * 64
    assert found.write_bits == weights * 64


def test_what_starts_fresh_is_not_read_first(small: Small) -> None:
    engine = Interpreter(small.linear()).target.engines["fp"]

    def found(fresh: bool) -> Accesses:
        """acc[o] += left[c] * right[c, o], output-stationary."""
        acc, left, right = Operand((32, 0), 32), Operand((0, 1), 1), Operand((16, 64), 16)
        return accesses(Contraction((4, 4), acc, left, right, OUTPUT_STATIONARY, 1, fresh), engine)

    assert found(True).write_bits == found(False).write_bits == 4 * 32
    assert found(False).read_bits - found(True).read_bits == 4 * 32


def test_modelled_traffic_says_that_it_is_modelled(small: Small) -> None:
    interpreter = Interpreter(small.linear())
    modelled = Modelled(interpreter.program, interpreter.target)
    interpreter.listen(modelled)
    interpreter.run("infer")
    traffic = modelled.take()
    assert traffic.basis == "modelled"
    assert list(traffic.by_layer()) == ["fc"] and list(traffic.by_phase()) == ["FP"]
    drained = 4 * 40 * 8
    assert traffic.total.scratchpad_read > drained
    assert not modelled.take().rows
