"""Codecs weighed in the search: bounds hold, what is weighed is what is predicted, the best of all tilings is found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from contractions import Case, machine

from snnc.compiler.cost.density import PARTS, Densities, Density, TileDensity
from snnc.compiler.ir.decision import Explanation
from snnc.compiler.ir.schedule import Coding, Schedule
from snnc.compiler.ops.op import lower
from snnc.compiler.passes.build_stage import build_stage
from snnc.compiler.passes.mapping import Mapped, choose, splits_of
from snnc.compiler.passes.pins import Pin
from snnc.compiler.passes.repeats import TURNS
from snnc.compiler.passes.request import Request
from snnc.compiler.passes.search import chosen
from snnc.compiler.passes.side_by_side import holds, wholes_of
from snnc.compiler.passes.space import orders_of, space_of
from snnc.compiler.passes.survey import Ordered, Survey
from snnc.compiler.passes.weighed import moved_by, stored_of
from snnc.isa.target import load_target
from snnc.source import NOWHERE

SPIKES = Case(2, 2, 16, 8, 1, 8, 3, 1, 1, 1, "spike", "", 1, "auto", 0, 5, phases=("FP",))
"""A convolution of two steps of two samples, 8 x 8 pixels of 16 channels, into 8 channels."""

ROW, SQUARE = (1, 8, 16), (4, 4, 16)
"""A row of pixels, and a square of them."""


def of_tiles(empty: dict[tuple[int, ...], float]) -> Density:
    """A density of which so many tiles of each size are empty, and all others full."""
    tiles: dict[tuple[int, ...], TileDensity] = {}
    for tile, share in empty.items():
        rows, columns, channels = tile
        counts = {unit: rows * columns * channels // unit for unit in (1, 8)}
        none = round(PARTS * share)
        tiles[tile] = TileDensity(
            share, {unit: (0.0,) * none + (float(n),) * (PARTS - none) for unit, n in counts.items()}
        )
    return Density(0.5, "spike", tiles=tiles)


def request(case: Case, codings: dict[str, Coding], densities: Densities) -> Request:
    """The forward pass of *case* over values that lie in blocks."""
    training, target = case.training(), load_target(case.target)
    (procedure,) = training.procedures
    (node,), types = procedure.regions[0].nodes, training.values(procedure)
    (statement,) = lower(node, types, case.steps, case.batch, "up", "f16")
    stored = stored_of(training, target, densities, codings)
    sizes = case.cores, case.steps, case.batch
    return Request("y", "c", "FP", statement, types, target, *sizes, "auto", Pin("*", "*"), NOWHERE, stored=stored)


def predicted(
    case: Case, asked: Request, survey: Survey, ordered: Ordered, tiles: dict[str, int], codings: dict[str, Coding]
) -> int:
    """The bytes that a stage with these tiles moves, as programs tell."""
    decision = chosen(survey, ordered, tiles).mapping
    stage = build_stage(Mapped(asked, decision, Explanation(0)))
    training = case.training()
    (procedure,) = training.procedures
    schedule = Schedule("case", {"train_step": (stage,)}, training.values(procedure), codings=codings)
    return moved_by(training, schedule, asked.target, DENSITIES)


CODINGS = {
    "rows": {"x": Coding("tiles", (1, 1, *ROW))},
    "squares": {"x": Coding("events", (1, 1, *SQUARE)), "y": Coding("nonzero", (1, 1, 1, 1, 8))},
    "results": {"y": Coding("nonzero", (1, 1, 1, 8, 8))},
}
SOME = ("rows", 1), ("squares", 3), ("results", 1)
DENSITIES = Densities({"x": of_tiles({ROW: 0.75, SQUARE: 0.25}), "y": Density(0.25, "count")})


@pytest.mark.parametrize(
    ("name", "cores"),
    [
        pytest.param(name, cores, marks=[] if (name, cores) in SOME else pytest.mark.full)
        for name in CODINGS
        for cores in (1, 3)
    ],
)
def test_what_is_weighed_is_what_is_predicted_and_no_bound_is_above_it(name: str, cores: int, tmp_path: Path) -> None:
    codings = CODINGS[name]
    case = replace(SPIKES, target=machine(tmp_path, 6000), cores=cores)
    asked = request(case, codings, DENSITIES)
    orders = [Ordered(*ordered) for ordered in orders_of(asked)]
    looked_at, least = 0, 1 << 62
    spaces = product(splits_of(asked), wholes_of(asked))
    for space in (space_of(asked, split, whole) for split, whole in spaces if holds(whole, split)):
        survey = Survey(space, 2)
        for front in survey.fronts(orders):
            for place, reach in zip(front.places, front.reach, strict=True):
                first, within = survey.within(front, int(place), int(reach))
                for number, bound in enumerate(within, first):
                    tiles = survey.grid.at(int(place), number)
                    if not survey.fits(tiles):
                        continue
                    cost = survey.cost(front.ordered.order, tiles)
                    assert bound <= cost
                    looked_at, least = looked_at + 1, min(least, cost)
                    if looked_at % 97 == 1:
                        told = predicted(case, asked, survey, front.ordered, tiles, codings)
                        assert cost // TURNS == pytest.approx(told, rel=0.02)
    assert looked_at > 50
    _, explanation = choose(asked)
    assert explanation.dram == least // TURNS


def test_a_tile_that_is_often_empty_is_worth_more_than_a_square_one(tmp_path: Path) -> None:
    """Nine rows of ten hold nothing, and every square holds something: so rows are stored, and rows are moved."""
    case = replace(SPIKES, size=32, target=machine(tmp_path, 5000))
    row, square = (1, 32, 16), (4, 4, 16)
    tiles: dict[str, tuple[Mapping[str, int], int]] = {}
    for name, blocks in (("", None), ("row", row), ("square", square)):
        density = Densities({"x": of_tiles({row: 0.875, square: 0.0})})
        codings = {} if blocks is None else {"x": Coding("tiles", (1, 1, *blocks))}
        decision, explanation = choose(request(case, codings, density))
        tiles[name] = decision.tiles, explanation.dram
    assert tiles["row"][1] < tiles["square"][1] and tiles["row"][1] < tiles[""][1]
    flat, squarish = tiles["row"][0], tiles[""][0]
    assert flat["q"] / flat["p"] > 4 * squarish["q"] / squarish["p"], tiles
