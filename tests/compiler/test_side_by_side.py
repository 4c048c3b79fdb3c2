"""Buffers that hold all tiles of a loop side by side: the same bits, the bytes that are predicted, and fewer of them.

Expected values are those of a plain sum over taps, expected bytes those that the interpreter counts.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from contractions import DENSE, Case, machine

from snnc.compiler.ir.schedule import Stage
from snnc.compiler.passes import mapping
from snnc.compiler.passes.build_schedule import MappingOptions, build_schedule
from snnc.compiler.passes.request import Request, Whole
from snnc.isa.target import load_target
from snnc.reports.schedule_text import schedule_text
from snnc.runtime.interpreter import Interpreter
from snnc.runtime.orders import Shuffled

CASE = replace(DENSE, inputs=40, outputs=48, size=6, kernel=3, pad=1, left="spike", target="quad", seed=3)
HELD = [
    (1, 14000, "f16", {"FP": (("left", "c"),), "BP": (("right", "o"),)}),
    (1, 40000, "f16", {"FP": (("right", "o"),), "BP": (("left", "o"), ("out", "c"))}),
    (3, 9000, "spike", {"FP": (("left", "c"),), "BP": (("left", "o"), ("out", "c"))}),
    (3, 20000, "spike", {"BP": (("out", "c"),), "WG": (("left", "c"),)}),
]


def case_of(folder: Path, cores: int, size: int, left: str) -> Case:
    """The convolution on `quad` with so many bytes of scratchpad a core."""
    return replace(CASE, cores=cores, target=machine(folder, size, "quad"), left=left)


def stages(case: Case) -> dict[str, Stage]:
    options = MappingOptions(load_target(case.target), case.cores)
    found = build_schedule(case.training(), options).entries["train_step"]
    return {stage.phase: stage for stage in found if stage.node != "d.b"}


@pytest.mark.parametrize(("cores", "size", "left", "held"), HELD)
def test_bits_are_the_same_and_bytes_are_those_predicted(
    cores: int, size: int, left: str, held: dict[str, Whole], tmp_path: Path
) -> None:
    case = case_of(tmp_path, cores, size, left)
    assert {phase: stage.mapping.whole for phase, stage in stages(case).items() if stage.mapping.whole} == held
    program = case.program()
    given = case.operands()
    machine = Interpreter(program, watched=True, order=Shuffled(7))
    for name, values in given.items():
        machine.write(name, values)
    machine.counters.take()
    machine.run("train_step")
    for name, expected in case.reference(given).items():
        np.testing.assert_array_equal(machine.values(name), expected, err_msg=name)
    counted, predicted = machine.counters.take().to_json(), program.predicted["train_step"]
    for figure in ("dram", "network", "scratchpad"):
        assert counted[figure] == predicted[figure], figure


def test_what_cores_share_is_loaded_once_for_all(tmp_path: Path) -> None:
    """Of the channels of spikes each core needs its own only, but a granule has those of all."""
    stage = stages(case_of(tmp_path, 3, 20000, "spike"))["WG"]
    assert stage.mapping.split == "c" and "left" in stage.mapping.cast
    assert stage.by_name["left"].extents[-1] == CASE.inputs
    shares = [extent for _, extent in stage.mapping.shares if extent]
    assert max(shares) < CASE.inputs and stage.by_name["acc"].extents.count(CASE.inputs) == 0


@pytest.mark.parametrize(("cores", "size", "left", "held"), HELD)
def test_without_them_more_bytes_are_moved(
    cores: int, size: int, left: str, held: dict[str, Whole], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = case_of(tmp_path, cores, size, left)
    there = stages(case)

    def nothing(_: Request) -> list[Whole]:
        return [()]

    monkeypatch.setattr(mapping, "wholes_of", nothing)
    for phase, stage in stages(case).items():
        less, more = there[phase].explanation.dram, stage.explanation.dram
        assert less < more if phase in held else less == more, phase


def test_the_dump_tells_what_lies_side_by_side(tmp_path: Path) -> None:
    case = case_of(tmp_path, 1, 40000, "f16")
    options = MappingOptions(load_target(case.target), case.cores)
    text = schedule_text(build_schedule(case.training(), options), options.target)
    assert "all tiles of left along o and out along c side by side; on core 0" in text
