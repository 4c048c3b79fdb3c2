"""Law 4: what the compiler predicts is what the interpreter counts, to the byte, by phase and by tensor."""

from __future__ import annotations

from typing import Any

import pytest
from laws import Bench, Case, Outcome, compiled

from snnc.isa.traffic import Amounts


def moved(traffic: dict[str, Any], by: str) -> dict[str, dict[str, float]]:
    """DRAM bytes by phase or tensor, those that are all zero left out."""
    return {name: amounts["dram"] for name, amounts in traffic[by].items() if any(amounts["dram"].values())}


def test_predicted_is_counted(outcome: Outcome) -> None:
    for entry, traffic in outcome.counted.items():
        predicted, counted = outcome.program.predicted[entry], traffic.to_json()
        assert counted["dram"]["total"] > 0
        for by in ("by_phase", "by_tensor"):
            assert moved(counted, by) == moved(predicted, by), (entry, by)
        assert counted["dram"] == predicted["dram"], entry


def test_work_is_predicted_dense(outcome: Outcome) -> None:
    """In every phase, what is done and what is skipped are what was predicted, and neither kind exceeds it.

    All of it belongs to a layer.
    """
    for entry, traffic in outcome.counted.items():
        nobodys = traffic.by_layer().get("", Amounts())
        assert nobodys.gated == nobodys.multiply == nobodys.element == nobodys.skipped == 0, entry
        predicted, counted = outcome.program.predicted[entry]["by_phase"], traffic.to_json()["by_phase"]
        for phase in predicted.keys() | counted.keys() - {""}:
            dense, work = predicted[phase]["work"], counted[phase]["work"]
            done = work["gated"] + work["multiply"] + work["skipped"]
            assert done == dense["gated"] + dense["multiply"], (entry, phase)
            assert work["gated"] <= dense["gated"] and work["multiply"] <= dense["multiply"], (entry, phase)


@pytest.mark.parametrize("machine", ["quad3", "li7", "f32x3"])
def test_what_is_gated_and_what_is_multiplied_depends_on_the_network_alone(machine: str) -> None:
    """5 samples, 3 steps, 64 pixels in f16 that stand still, 40 neurons, 10 classes; a bias adds errors up."""
    case = Case("digits", machine)
    phases = compiled(case).program.predicted["train_step"]["by_phase"]
    work = {phase: (phases[phase]["work"]["gated"], phases[phase]["work"]["multiply"]) for phase in ("FP", "BP", "WG")}
    once, moving = 5 * 64 * 40, 3 * 5 * 40 * 10
    assert work == {"FP": (moving, once), "BP": (0, moving), "WG": (moving + 5 * 40 + 3 * 5 * 10, once)}
    bench = Bench(case, oracle=False)
    bench.run("init")
    bench.feed()
    bench.machine.counters.take()
    bench.run("train_step")
    counted = bench.machine.counters.take().by_phase()
    for phase, (gated, multiply) in work.items():
        found = counted[phase]
        assert 0 < found.multiply <= multiply or multiply == found.multiply == 0
        assert 0 < found.gated <= gated or gated == found.gated == 0
        assert found.gated + found.multiply + found.skipped == gated + multiply
