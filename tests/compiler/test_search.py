"""The search finds the best of all tilings: none that can be pinned moves fewer bytes when it runs.

Expected values are what the interpreter counts.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from contractions import DENSE, Case, machine

from snnc.compiler.dataflows.dataflow import DATAFLOWS
from snnc.compiler.passes.build_schedule import MappingOptions, build_schedule
from snnc.compiler.passes.request import Whole
from snnc.compiler.passes.space import different
from snnc.isa.target import load_target
from snnc.isa.traffic import Traffic
from snnc.runtime.interpreter import Interpreter
from snnc.source import TargetError

CONVOLUTION = replace(DENSE, inputs=2, outputs=3, size=5, kernel=3, pad=1)


def counted(case: Case) -> Traffic:
    """What a run of *case* moves."""
    program = case.program()
    interpreter = Interpreter(program)
    for name, values in case.operands().items():
        interpreter.write(name, values)
    interpreter.counters.take()
    interpreter.run("train_step")
    return interpreter.counters.take()


def least_of_all(case: Case, phase: str, loops: dict[str, int]) -> int:
    """The fewest bytes that the phase moves under any dataflow and any tiles, all integers, by running each."""
    found: list[int] = []
    for flow, *sizes in product(DATAFLOWS, *(range(1, extent + 1) for extent in loops.values())):
        tiles = ",".join(f"tile.{name}={size}" for name, size in zip(loops, sizes, strict=True))
        pinned = replace(case, pins=(f"c.{phase.lower()}={flow},{tiles},buffers=double",))
        try:
            found.append(int(counted(pinned).by_phase()[phase].dram))
        except TargetError:
            continue
    assert len(found) > 30
    return min(found)


@pytest.mark.parametrize(
    ("phase", "size", "loops"),
    [
        ("FP", 192, {"n": 2, "o": 3, "c": 5}),
        pytest.param("BP", 256, {"n": 2, "o": 3, "c": 7}, marks=pytest.mark.full),
    ],
)
def test_no_pin_moves_fewer_bytes_than_what_is_chosen(
    phase: str, size: int, loops: dict[str, int], tmp_path: Path
) -> None:
    case = replace(DENSE, inputs=loops["c"], target=machine(tmp_path, size), phases=(phase,))
    case = replace(case, pins=("c.*=buffers=double",))
    assert int(counted(case).by_phase()[phase].dram) == least_of_all(case, phase, loops)


@pytest.mark.full
def test_no_tiles_of_a_convolution_move_fewer_bytes_than_those_that_are_chosen(tmp_path: Path) -> None:
    case = replace(CONVOLUTION, target=machine(tmp_path, 600), phases=("FP",), pins=("c.*=buffers=double",))
    assert int(counted(case).by_phase()["FP"].dram) == least_of_all(case, "FP", {"n": 2, "o": 3, "p": 5, "q": 5})


@pytest.mark.parametrize("extent", [1, 2, 7, 64, 1000, 6272])
def test_sizes_cover_a_loop_in_every_number_of_tiles(extent: int) -> None:
    wanted = {-(-extent // parts) for parts in range(1, extent + 1)}
    assert different(extent) == wanted
    for unit in (8, 16):
        units = -(-extent // unit)
        assert different(extent, unit) == {min(extent, unit * -(-units // parts)) for parts in range(1, units + 1)}


def test_a_rounding_sum_is_the_same_wherever_its_blocks_lie(tmp_path: Path) -> None:
    """With little memory blocks of channels pass by one by one, with more all of them lie side by side in a buffer."""
    held: set[Whole] = set()
    found: list[dict[str, np.ndarray]] = []
    wide = replace(DENSE, inputs=200, outputs=150, size=4, kernel=3, pad=1, left="spike", phases=("FP", "BP"))
    for size in (48 << 10, 96 << 10, 160 << 10, 512 << 10):
        case = replace(wide, target=machine(tmp_path, size, "edge512"))
        options = MappingOptions(load_target(case.target), 1)
        stages = build_schedule(case.training(), options).entries["train_step"]
        held |= {stage.mapping.whole for stage in stages}
        program = case.program()
        interpreter = Interpreter(program, watched=True)
        for name, values in case.operands().items():
            interpreter.write(name, values)
        interpreter.counters.take()
        interpreter.run("train_step")
        assert interpreter.counters.take().total.to_json()["dram"] == program.predicted["train_step"]["dram"]
        found.append({name: interpreter.values(name) for name in ("y", "d.x")})
    assert len(held) > 1
    for values in found[1:]:
        for name, expected in found[0].items():
            np.testing.assert_array_equal(values[name], expected, err_msg=name)


def test_several_steps_of_time_may_be_in_a_tile(tmp_path: Path) -> None:
    """What does not change with time is then read once for them; a loop that walks down keeps whole tiles."""
    case = replace(DENSE, steps=4, batch=1, inputs=64, outputs=64, target=machine(tmp_path, 6000), phases=("FP",))
    several = counted(replace(case, pins=("c.fp=time_parallel,tile.t=4",)))
    alone = counted(replace(case, pins=("c.fp=output_stationary",)))
    chosen = counted(case)
    assert several.by_tensor()["w"].dram_read == 64 * 64 * 2
    assert alone.by_tensor()["w"].dram_read == 4 * 64 * 64 * 2
    assert chosen.total.dram <= min(several.total.dram, alone.total.dram)
