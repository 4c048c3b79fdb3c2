"""What a group of cores takes at least, before a mapping on it is searched."""

from __future__ import annotations

import math

import pytest

from snnc.compiler.cost.duration import duration, least_work
from snnc.compiler.ir.schedule import Stage
from snnc.compiler.ir.statement import Contraction, Elementwise, Moments
from snnc.compiler.pipeline import Compilation, Options
from snnc.isa.target import load_target


def stages(cores: int, fusion: str = "auto") -> tuple[Stage, ...]:
    compilation = Compilation("digits", Options("li2024_exact", cores=cores, fusion=fusion, partition="in_turn"))
    return compilation.schedule.entries["train_step"]


TARGET = load_target("li2024_exact")


@pytest.mark.parametrize("cores", [1, 3, 10])
def test_no_group_of_cores_takes_fewer_cycles_than_its_work(cores: int) -> None:
    seen = {Contraction: 0, Elementwise: 0}
    for stage, like in zip(stages(20, fusion="off"), stages(cores, fusion="off"), strict=True):
        assert stage.node == like.node
        least = least_work(stage, TARGET, dense=True)
        assert (least > 0) == (not isinstance(stage.statement, Moments))
        assert least / cores <= duration(like, TARGET).core
        seen = {kind: count + isinstance(stage.statement, kind) for kind, count in seen.items()}
    assert min(seen.values()) > 3


@pytest.mark.parametrize("cores", [1, 10])
def test_nor_does_it_with_epilogues(cores: int) -> None:
    fused = [stage for stage in stages(cores) if stage.epilogue]
    assert fused
    for stage in fused:
        assert least_work(stage, TARGET, dense=True) / cores <= duration(stage, TARGET).core


def test_the_work_of_an_array_is_what_its_loops_can_fill() -> None:
    """The last layer has 10 classes, and an array 16 columns: at best 10 of them are in use."""
    (last,) = (
        stage
        for stage in stages(1, fusion="off")
        if stage.phase == "FP" and stage.layer == "digit" and isinstance(stage.statement, Contraction)
    )
    extents = last.statement.extents
    engine = TARGET.engines["fp"]
    assert (engine.rows, engine.columns) == (16, 16)
    assert least_work(last, TARGET, dense=True) == math.prod(extents.values()) / (16 * 10)
