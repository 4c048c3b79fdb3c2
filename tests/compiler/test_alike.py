"""Operands that move alike are weighed once, and buffers of one memory together: it comes to what each has."""

from __future__ import annotations

import numpy as np
import pytest

from snnc.compiler.cost.boxes import bursts_of, moved
from snnc.compiler.passes import mapping
from snnc.compiler.passes.grid import (
    Row,
    _fit,  # pyright: ignore[reportPrivateUsage]
    _together,  # pyright: ignore[reportPrivateUsage]
)
from snnc.compiler.passes.mapping import Mapper
from snnc.compiler.passes.objective import Objective, moves_of
from snnc.compiler.passes.repeats import TURNS, turns_of, worth
from snnc.compiler.passes.request import Request
from snnc.compiler.passes.space import Space, orders_of, space_of
from snnc.compiler.passes.survey import Survey
from snnc.compiler.pipeline import Compilation, Options
from snnc.isa.target import load_target


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """All that is searched for `mlp` on 20 cores."""
    found: list[Request] = []
    choose = mapping.choose

    def heard(request: Request, objective: Objective | None = None) -> object:
        found.append(request)
        return choose(request, objective)

    monkeypatch.setattr(mapping, "choose", heard)
    _ = Compilation("mlp", Options("li2024_exact", batch=16)).schedule
    return list(found)


def spaces(request: Request) -> list[Space]:
    return [space for split in mapping.splits_of(request) if (space := space_of(request, split)).count]


def test_kinds_have_every_operand_that_moves_and_an_optimizer_has_few(requests: list[Request]) -> None:
    fewer = 0
    for request in requests:
        for space in spaces(request):
            survey = Survey(space, 2)
            assert sum(many for _, many in survey.kinds) == len(survey.moving)
            assert {operand.motion for operand, _ in survey.kinds} == {operand.motion for operand in survey.moving}
            fewer += len(survey.kinds) <= len(survey.moving) // 2
    assert fewer


def test_a_tiling_costs_what_its_operands_move_one_by_one(requests: list[Request]) -> None:
    for request in requests:
        decision = Mapper().choose(request).decision
        split = next(split for split in mapping.splits_of(request) if split.loop == decision.split)
        survey = Survey(space_of(request, split, decision.whole), decision.rings)
        order, tiles = decision.order, dict(decision.tiles)
        loops, granule = survey.loops_of(order, tiles), request.target.dram.granule_bytes
        dram = cost = 0
        for each in survey.moving:
            turning = survey.turning_of(loops, each, tiles)
            own = moved(each.axes, each.dram_strides, each.format.bits, turning, 0, granule).dram
            assert own == bursts_of(each.axes, each.dram_strides, each.format.bits, turning, granule)
            dram, cost = dram + own, cost + int(worth(survey.space, each, own))
        assert moves_of(survey, order, tiles).dram == dram
        turns = int(turns_of(survey.space, order, tiles))
        assert survey.cost(order, tiles) == cost + turns < (dram + 1) * TURNS


def test_orders_of_a_space_are_bounded_by_what_their_tilings_cost(requests: list[Request]) -> None:
    fronts = 0
    for request in requests:
        orders = [mapping.Ordered(*ordered) for ordered in orders_of(request)]
        for space in spaces(request)[:1]:
            survey = Survey(space, 2)
            for front in survey.fronts(orders):
                fronts += 1
                group = int(front.bound.argmin())
                place, reach = int(front.places[group]), int(front.reach[group])
                first, within = survey.within(front, place, reach)
                assert survey.fewest <= front.bound[group] <= within.min()
                for number, bound in enumerate(within.tolist()):
                    assert bound <= survey.cost(front.ordered.order, survey.grid.at(place, first + number))
    assert fronts


@pytest.mark.parametrize("seed", range(20))
def test_buffers_fit_together_where_they_fit_one_after_the_other(seed: int) -> None:
    random = np.random.default_rng(seed)
    target = load_target("li2024_exact")
    homes = [(0,), (1,), (0, 1), (1, 0)]
    rows: list[Row] = []
    for _ in range(8):
        shape = (6, 1, 5) if random.random() < 0.5 else (4, 5)
        most = max(target.memories[0].bytes, target.memories[1].bytes)
        rows.append((random.integers(0, most // 3, shape), homes[int(random.integers(0, 4))]))
    reach = np.broadcast_to(random.integers(0, 5, (6, 4)), (3, 6, 4))[..., None]
    fits = np.broadcast_to(_fit(target, rows, reach), reach.shape)
    assert len(_together(rows)) <= len(rows)
    np.testing.assert_array_equal(np.broadcast_to(_fit(target, _together(rows), reach), reach.shape), fits)
