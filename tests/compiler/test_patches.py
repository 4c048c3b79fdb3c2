"""Patches: several loops shared by cores at once; what is predicted of all cores is what each of them moves."""

from __future__ import annotations

import math
from functools import cache

import pytest

from snnc.compiler.cost.predict import plain
from snnc.compiler.ir.on_core import OnCore
from snnc.compiler.ir.schedule import Stage, Step
from snnc.compiler.pipeline import Compilation, Options


@cache
def stages(partition: str) -> tuple[Compilation, tuple[Stage, ...]]:
    compilation = Compilation("csnn", Options("li2024_exact", batch=4, steps=2, partition=partition))
    return compilation, compilation.schedule.entries["train_step"]


def test_a_convolution_of_few_samples_is_cut_by_samples_and_rows() -> None:
    _, found = stages("patches")
    (stage,) = (stage for stage in found if stage.node == "s2.c" and stage.phase == "FP")
    assert {"n", "p"} == {*stage.mapping.parts}
    assert len(stage.active) == 20, "4 samples, and 5 parts of 14 rows"
    assert max(math.prod(OnCore(stage, core).share) for core in stage.active) == 3


def test_cores_with_the_same_part_of_what_an_operand_follows_take_it_from_one() -> None:
    _, found = stages("patches")
    cast = [(stage, use) for stage in found if stage.mapping.further for use in stage.mapping.cast]
    assert cast
    for stage, use in cast:
        groups = {stage.fellows(use, core) for core in stage.active}
        assert sorted(core for group in groups for core in group) == [*stage.active]
        for first, *others in groups:
            loads = [core for core in (first, *others) if any(s.writes == (use,) for s in loads_of(stage, core))]
            assert loads == [first]


def loads_of(stage: Stage, core: int) -> list[Step]:
    return [step for _, step in stage.steps_on(core) if step.kind == "load"]


@pytest.mark.parametrize("phase", ["FP", "BP", "WG"])
def test_what_all_cores_move_is_what_each_moves(phase: str) -> None:
    """The closed form over a product of parts, beside the same form core by core."""
    compilation, found = stages("patches")
    symbols = {symbol.name: symbol for symbol in compilation.program.symbols}
    granule, seen = compilation.target.dram.granule_bytes, 0
    for stage in (stage for stage in found if stage.mapping.further and stage.phase == phase):
        for _, step in stage.steps():
            buffer = stage.by_name[(*step.writes, *step.reads)[0]]
            if step.kind in ("load", "store") and step.value in symbols:
                cores = [OnCore(stage, core) for core in stage.active if stage.has(step, core)]
                alone = [plain(stage, [on], buffer, symbols[step.value], granule) for on in cores]
                together = plain(stage, cores, buffer, symbols[step.value], granule)
                assert tuple(together) == tuple(map(sum, zip(*alone, strict=True)))
                seen += 1
    assert seen


def test_cores_are_not_paid_for_with_bytes() -> None:
    (chosen, _), (in_turn, _) = stages("patches"), stages("in_turn")
    moved = [each.program.predicted["train_step"]["dram"]["total"] for each in (chosen, in_turn)]
    assert moved[0] < moved[1]
