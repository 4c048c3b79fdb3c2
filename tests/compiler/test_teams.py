"""Teams: an order that no dependency forbids, groups of cores that hold all work, and no more of DRAM than in turn."""

from __future__ import annotations

import math
import re
from functools import cache
from pathlib import Path

import pytest

from snnc.catalog import UnknownName
from snnc.compiler.cost.room import aliases_of
from snnc.compiler.ir.schedule import Stage, teams
from snnc.compiler.passes.dependencies import touches, waits
from snnc.compiler.pipeline import Compilation, Options
from snnc.reports.schedule_text import schedule_text

SOURCE = """
network branches(image: f16[3, 8, 8]) steps 4 {
    c1 = conv2d(image, out=16, kernel=3, pad=1)
    s1 = lif(batch_norm(c1), threshold=0.25)
    c2 = conv2d(s1, out=32, kernel=3, pad=1, stride=2)
    c3 = conv2d(s1, out=32, kernel=1, stride=2)
    s2 = lif(add(batch_norm(c2), batch_norm(c3)), threshold=0.25)
    return linear(flatten(s2), out=10)
}
train { batch = 6 }
"""
RULES = {
    "bptt": "loss = cross_entropy",
    "windows": "rule = bptt(window=2); loss = cross_entropy_mse; optimizer = sgd",
    "sltt": "rule = sltt; loss = cross_entropy_mse",
    "chosen steps": "rule = sltt_k(K=2); loss = cross_entropy_mse",
    "opzo": "rule = opzo; loss = cross_entropy_mse",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("teams")


@cache
def compilation(folder: Path, rule: str, partition: str = "chosen", cores: int = 20) -> Compilation:
    """The network without batch norms where the rule wants all steps at once; steps follow one another."""
    text = SOURCE if rule == "bptt" else SOURCE.replace("batch_norm", "relu")
    path = folder / f"{rule.replace(' ', '_')}.snn"
    path.write_text(text.replace("batch = 6", f"batch = 6; {RULES[rule]}"))
    return Compilation(path, Options("li2024_exact", cores, partition=partition, overlap="off"))


def entries(compilation: Compilation) -> dict[str, tuple[Stage, ...]]:
    return dict(compilation.schedule.entries)


def label(stage: Stage) -> str:
    return f"{stage.phase} {stage.node}"


@pytest.mark.parametrize("rule", RULES)
def test_all_stages_are_there_and_none_comes_before_or_beside_what_it_waits_for(folder: Path, rule: str) -> None:
    aliases = aliases_of(compilation(folder, rule).training)
    for name, planned in entries(compilation(folder, rule, "in_turn")).items():
        arranged = entries(compilation(folder, rule))[name]
        assert sorted(map(label, arranged)) == sorted(map(label, planned))
        place = {label(stage): number for number, team in enumerate(teams(arranged)) for stage in team}
        for stage, before in zip(planned, waits([tuple(touches(stage, aliases)) for stage in planned]), strict=True):
            assert all(place[label(planned[other])] < place[label(stage)] for other in before), label(stage)


@pytest.mark.parametrize("rule", RULES)
def test_a_cycle_a_window_and_chosen_steps_stay_together(folder: Path, rule: str) -> None:
    """In the order in which they come; and so do the members of a team, which has a number of its own."""
    for name, planned in entries(compilation(folder, rule, "in_turn")).items():
        arranged = entries(compilation(folder, rule))[name]
        there, before = (
            [(stage.windows, stage.cycle, stage.turns) for stage in stages if stage.windows or stage.cycle]
            for stages in (arranged, planned)
        )
        assert there == before
        found = [team for team in teams(arranged) if len(team) > 1]
        assert len({team[0].team for team in found}) == len(found)
        assert all(len({(stage.windows, stage.cycle, stage.turns) for stage in team}) == 1 for team in found)
        assert all(stage.team == 0 for team in teams(arranged) if len(team) == 1 for stage in team)


@pytest.mark.parametrize("rule", RULES)
def test_a_group_of_neighbours_shares_all_of_a_stage(folder: Path, rule: str) -> None:
    for stages in entries(compilation(folder, rule)).values():
        for stage in stages:
            mapping = stage.mapping
            assert len(mapping.shares) == 20
            parts = mapping.parts or {"": mapping.shares}
            for name, shares in parts.items():
                held = [*dict.fromkeys(shares[core] for core in stage.active)]
                whole = stage.statement.extents[name] if name else 1
                assert [low for low, _ in held] == [sum(extent for _, extent in held[:k]) for k in range(len(held))]
                assert sum(extent for _, extent in held) == whole
            patches = {tuple(shares[core] for shares in parts.values()) for core in stage.active}
            counts = [len({shares[core] for core in stage.active}) for shares in parts.values()]
            assert len(patches) == len(stage.active) == math.prod(counts)
            if stage.team:
                assert stage.active == tuple(range(stage.active[0], stage.active[-1] + 1))


def test_gradients_updates_and_branches_run_beside_one_another(folder: Path) -> None:
    """All draws of parameters at once; both ways to s2, and back; gradients; all that is left to update."""
    found = entries(compilation(folder, "bptt"))
    together = [{label(stage) for stage in team} for team in teams(found["train_step"]) if len(team) > 1]
    assert {len(list(teams(found["init"])))} == {1}
    assert any({"FP s2.add.batch_norm#0", "FP s2.add.batch_norm.1#1"} <= team for team in together)
    assert any({"BP d.c2#0", "BP d.c3#0"} <= team for team in together)
    assert any({"WG d.c2.w", "WG d.c3.w"} <= team for team in together)
    assert any(sum(name.startswith("UP ") for name in team) >= 4 for team in together)


@pytest.mark.parametrize("cores", [20, pytest.param(3, marks=pytest.mark.full)])
@pytest.mark.parametrize("rule", RULES)
def test_no_entry_moves_more_of_dram_than_in_turn(folder: Path, rule: str, cores: int) -> None:
    there, before = (
        compilation(folder, rule, partition, cores).program.predicted for partition in ("chosen", "in_turn")
    )
    for entry, traffic in before.items():
        assert there[entry]["dram"]["total"] <= traffic["dram"]["total"], entry


def test_one_core_of_one_context_takes_all_in_turn(folder: Path) -> None:
    path = compilation(folder, "bptt").source
    there, before = (Compilation(path, Options("quad", 1, partition=partition)) for partition in ("chosen", "in_turn"))
    assert schedule_text(there.schedule) == schedule_text(before.schedule)


def test_the_dump_tells_who_runs_beside_whom_and_where(folder: Path) -> None:
    found = compilation(folder, "bptt")
    text = schedule_text(found.schedule, found.target)
    team = next(team for team in teams(entries(found)["train_step"]) if "BP d.c3#1" in map(label, team))
    (stage,) = (stage for stage in team if stage.node == "d.c3#1")
    others = [label(other) for other in team if other is not stage]
    assert 0 < len(others) <= 8
    section = text[text.index("entry train_step") :]
    lines = section[section.index("  d.c3#1 = ") :].splitlines()
    assert f"    beside {', '.join(others)}" in lines[:5]
    first, last = stage.active[0], stage.active[-1]
    where = f"on core {first}" if first == last else f"over cores {first}..{last}: "
    assert any(where in line for line in lines[:4])
    assert re.search(r"^    beside (UP [^ ,]+, ){7}UP [^ ,]+ and \d+ more$", text, re.MULTILINE), "all draws of `init`"
    in_turn = compilation(folder, "bptt", "in_turn")
    assert "beside" not in schedule_text(in_turn.schedule, in_turn.target)


def test_an_unknown_partition_has_a_nearest_name(folder: Path) -> None:
    with pytest.raises(UnknownName) as caught:
        _ = compilation(folder, "bptt", "in_turns").schedule
    assert str(caught.value) == "no partition is called 'in_turns'; did you mean in_turn?"
