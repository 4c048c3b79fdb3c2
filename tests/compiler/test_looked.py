"""What a search leaves out without a survey is no better than what it finds, and there is some."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from snnc.compiler.ir.statement import Contraction
from snnc.compiler.passes import mapping, tables
from snnc.compiler.passes.grid import Grid
from snnc.compiler.passes.least import Once
from snnc.compiler.passes.looked import Looked
from snnc.compiler.passes.objective import Objective
from snnc.compiler.passes.objectives import OBJECTIVES
from snnc.compiler.passes.operands import Operand
from snnc.compiler.passes.request import Request
from snnc.compiler.passes.side_by_side import holds, wholes_of
from snnc.compiler.passes.space import orders_of, space_of
from snnc.compiler.passes.survey import Front, Ordered, Survey
from snnc.compiler.passes.weighing import ranked
from snnc.compiler.pipeline import Compilation, Options


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """Sums of `mlp` on 20 cores, with and without epilogues."""
    found: list[Request] = []
    choose = mapping.choose

    def heard(request: Request, objective: Objective | None = None) -> object:
        found.append(request)
        return choose(request, objective)

    monkeypatch.setattr(mapping, "choose", heard)
    _ = Compilation("mlp", Options("li2024_exact", batch=16)).schedule
    return [request for request in found if isinstance(request.statement, Contraction)]


def test_what_is_left_out_is_no_better(requests: list[Request], monkeypatch: pytest.MonkeyPatch) -> None:
    surveyed: list[Survey] = []
    fronts = Survey.fronts

    def counted(survey: Survey, orders: Sequence[Ordered]) -> list[Front]:
        surveyed.append(survey)
        return list(fronts(survey, orders))

    monkeypatch.setattr(Survey, "fronts", counted)
    few = many = 0
    for request in requests:
        orders = [Ordered(*ordered) for ordered in orders_of(request)]
        splits, (first, *more) = mapping.splits_of(request), wholes_of(request)
        plain = [space_of(request, split, first) for split in splits]
        others = [space_of(request, split, whole) for split in splits for whole in more if holds(whole, split)]
        surveyed.clear()
        found = [choice for spaces in (plain, others) for choice in Looked(orders).all(spaces, 2)[0]]
        many += len(surveyed)
        surveyed.clear()
        looked = Looked(orders)
        best = looked.best(plain, 2)
        better = looked.best(others, 2, best.cost if best else math.inf)
        few += len(surveyed)
        assert (better or best) == min(found, key=lambda choice: choice.cost, default=None)
    assert 0 < few < many


def test_what_needs_no_search_needs_no_tables(requests: list[Request], monkeypatch: pytest.MonkeyPatch) -> None:
    """And is as good as what the tables of all tilings would have found."""
    made: list[Operand] = []
    known = tables.once_of

    def counted(grid: Grid, operand: Operand) -> Once:
        made.append(operand)
        return known(grid, operand)

    monkeypatch.setattr(tables, "once_of", counted)
    searched = spared = 0
    for request in requests:
        orders = [Ordered(*ordered) for ordered in orders_of(request)]
        spaces = [space for split in mapping.splits_of(request) if (space := space_of(request, split)).count]
        surveys = [Survey(space, 2) for space in spaces]
        wholes = [(survey, whole) for survey in surveys if (whole := survey.whole(orders)) is not None]
        made.clear()
        best = Looked(orders).best(spaces, 2)
        if len(wholes) < len(surveys):
            searched += bool(made)
            continue
        assert not made
        assert best is not None
        assert best.cost == min(survey.cost(ordered.order, tiles) for survey, (ordered, tiles) in wholes)
        assert all(survey.fewest <= survey.cost(ordered.order, tiles) for survey, (ordered, tiles) in wholes)
        spared += 1
    assert searched
    assert spared


def test_on_fewer_cores_the_best_is_found_that_is_like_the_one_on_all(requests: list[Request]) -> None:
    found, none = 0, 0
    mapper = mapping.Mapper()
    for request in requests:
        wide = mapper.choose(request)
        like, most = wide.decision, wide.explanation.dram
        for cores in (10, 4, 1):
            few = request.on(cores)
            orders = [Ordered(*ordered) for ordered in orders_of(few)]
            splits = [split for split in mapping.splits_of(few) if split.loop == (like.split if cores > 1 else None)]
            spaces = [space_of(few, split, like.whole) for split in splits if holds(like.whole, split)]
            choices, _ = Looked(orders).all(spaces, like.rings)
            best = min(choices, key=lambda choice: choice.cost, default=None)
            near = mapper.near(few, wide)
            if best is None or best.dram > most:
                assert near is None
                none += 1
            else:
                assert near is not None
                assert (near.decision, near.explanation.dram) == (best.mapping, best.dram)
                assert near.decision.split in (like.split, None)
                assert (near.decision.whole, near.decision.rings) == (like.whole, like.rings)
                found += 1
    assert found > 3
    assert none > 3


@pytest.mark.parametrize("name", ["cycles", "energy"])
def test_so_it_is_by_another_objective(requests: list[Request], name: str) -> None:
    objective = OBJECTIVES[name]
    assert objective is not None
    found, none = 0, 0
    mapper = mapping.Mapper(objective)
    for request in requests[:6]:
        wide = mapper.choose(request)
        like, most = wide.decision, wide.explanation.dram
        for cores in (10, 2):
            few = request.on(cores)
            orders = [Ordered(*ordered) for ordered in orders_of(few)]
            splits = [split for split in mapping.splits_of(few) if split.loop == like.split]
            ranking = ranked(objective, few, [space_of(few, split, like.whole) for split in splits], orders)
            near = mapper.near(few, wide)
            if ranking is None or ranking.best.dram > most:
                assert near is None
                none += 1
            else:
                assert near is not None
                assert (near.decision, near.explanation.cost) == (ranking.best.mapping, ranking.best.measure)
                found += 1
    assert found > 1
    assert none > 1
