"""Law 1: a compiled program computes what the oracle computes, bit for bit, whatever the mapping and the machine.

Compared are, after each of `init`, three training steps and `infer`: every value of that entry in the order of the
graph, and every parameter, master and optimizer state.
"""

from __future__ import annotations

from itertools import combinations, cycle
from pathlib import Path

import pytest
from laws import (
    CORNERS,
    FLOWS,
    MACHINES,
    NETWORKS,
    Bench,
    Case,
    Exported,
    Outcome,
    cases,
    compiled,
    outcome_of,
    target_of,
)
from pairwise import covering, everything

from snnc.compiler.ops.op import OPS
from snnc.compiler.ops.spiking import LIF
from snnc.isa.target import load_target


def test_the_program_is_the_oracle(outcome: Outcome) -> None:
    assert {run: told for run, told in outcome.differences.items() if told} == {}


@pytest.mark.parametrize(("name", "machine"), list(zip(CORNERS, cycle(("tiny", "quad3", "f32x3")))))
def test_the_program_is_the_oracle_in_corners(name: str, machine: str) -> None:
    outcome = outcome_of(Case(name, machine))
    assert {run: told for run, told in outcome.differences.items() if told} == {}
    for entry, traffic in outcome.counted.items():
        assert traffic.to_json()["dram"] == outcome.program.predicted[entry]["dram"], entry


@pytest.mark.parametrize("loss", ["cross_entropy", "cross_entropy_mse(lam=0.25)"])
def test_the_program_is_the_oracle_where_an_answer_moves_in_training_alone(loss: str, tmp_path: Path) -> None:
    path = tmp_path / "moved.snn"
    path.write_text(f"""
        network moved(x: f16[1, 2, 5]) steps 4 {{
            return linear(flatten(dropout(x, p=0.5, mask=step)), out=10)
        }}
        train {{ loss = {loss} }}""")
    outcome = outcome_of(Exported(str(path), "quad3"))
    assert {run: told for run, told in outcome.differences.items() if told} == {}


@pytest.mark.parametrize("machine", ["quad4", "exact7"])
def test_the_program_is_the_oracle_where_a_core_turns_once_around_what_it_loads_for_all(
    machine: str, tmp_path: Path
) -> None:
    """The spikes of one neuron: those of all samples are less than a granule, and each core has one sample."""
    path = tmp_path / "lone.snn"
    path.write_text("""
        network lone(image: f16[2, 3]) steps 4 {
            s = lif(linear(flatten(image), out=1), threshold=0.001)
            return linear(s, out=10, bias=false)
        }""")
    case = Exported(str(path), machine, batch=5)
    outcome = outcome_of(case)
    assert {run: told for run, told in outcome.differences.items() if told} == {}
    for entry, traffic in outcome.counted.items():
        assert traffic.to_json()["dram"] == outcome.program.predicted[entry]["dram"], entry
    held = [stage.mapping for stage in compiled(case).schedule.entries["infer"] if stage.mapping.whole]
    assert any(("left", mapping.split) in mapping.whole for mapping in held)


def test_training_moves(outcome: Outcome) -> None:
    """Losses may be equal by chance, since rates are few; a sparse surrogate is 0 a little way off the threshold."""
    assert isinstance(outcome.case, Case)
    assert outcome.learned or outcome.case.surrogate.startswith("sparse")
    assert all(0 < loss < 10 for loss in outcome.losses)


def test_the_selection_covers_every_pair() -> None:
    axes = {"a": range(7), "b": "xyz", "c": (0, 1), "d": (True, False, None)}
    chosen = covering(everything(axes))
    assert chosen == covering(everything(axes))
    for k, j in combinations(range(len(axes)), 2):
        values = list(axes.values())
        assert {(row[k], row[j]) for row in chosen} == {(x, y) for x in values[k] for y in values[j]}
    assert set(chosen) < set(everything(axes))
    assert len(chosen) < 30


def test_the_cases_of_ci_cover_every_pair() -> None:
    chosen, whole = cases(whole=False), cases(whole=True)
    assert len(whole) == len(NETWORKS) * len(MACHINES) * len(FLOWS) * 2
    for one, other in combinations(("network", "machine", "dataflow", "reset"), 2):
        if (one, other) != ("network", "machine"):
            found = [{(getattr(case, one), getattr(case, other)) for case in rows} for rows in (chosen, whole)]
            assert found[0] == found[1]
    for network in NETWORKS:
        machines = {case.machine for case in chosen if case.network == network}
        assert {MACHINES[machine][0] for machine in machines} == {target for target, _ in MACHINES.values()}
        used = {(load_target(target_of(target)).cores, cores) for target, cores in map(MACHINES.__getitem__, machines)}
        assert {cores == 1 or cores == there for there, cores in used} == {True, False}, "few cores"
        assert {cores == 1 for _, cores in used} == {True, False}, "one core"
        assert any(cores == there > 1 for there, cores in used), "all cores"
    for name in ("surrogate", "training"):
        assert {getattr(case, name) for case in chosen} == {getattr(case, name) for case in whole}
        for network in NETWORKS:
            assert len({getattr(case, name) for case in chosen if case.network == network}) >= 3, (name, network)


def test_the_networks_have_every_operator() -> None:
    used = {node.op for name in NETWORKS for node in compiled(Case(name, "quad1")).network.nodes} | {"poisson"}
    elsewhere = {"ttfs", "ttfs_kernel", "competing_lif"}  # see test_law1_kernels.py, test_law1_stdp.py
    known = {name for name, op in OPS.items() if op.family == "layer"} - elsewhere
    assert known <= used


def test_a_swapped_adjoint_term_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program is made with a wrong adjoint, the oracle runs with the right one."""
    case = Case("digits", "quad1")
    with monkeypatch.context() as patched:
        patched.setattr(LIF, "adjoint", LIF.adjoint_local)
        program = case.compilation().program
    bench = Bench(case, program)
    bench.run("init")
    assert not bench.difference()
    bench.feed()
    bench.run("train_step")
    assert bench.difference().startswith("d.hidden["), bench.difference()
