"""What a group of cores takes at least, before a mapping on it is searched."""

from __future__ import annotations

import pytest

from snnc.compiler.cost.duration import duration, least_of
from snnc.compiler.ir.statement import Contraction
from snnc.compiler.pipeline import Compilation, Options


@pytest.mark.parametrize("cores", [1, 3, 10])
def test_no_group_of_cores_takes_fewer_cycles_than_its_products(cores: int) -> None:
    def schedule(count: int) -> Compilation:
        return Compilation("digits", Options("li2024_exact", cores=count, fusion="off", partition="in_turn"))

    wide, narrow = schedule(20), schedule(cores)
    sums = 0
    for stage, like in zip(*(each.schedule.entries["train_step"] for each in (wide, narrow)), strict=True):
        assert stage.node == like.node
        least = least_of(stage, wide.target, cores, dense=True)
        assert (least > 0) == isinstance(stage.statement, Contraction)
        assert least <= duration(like, wide.target).core
        sums += least > 0
    assert sums > 3
