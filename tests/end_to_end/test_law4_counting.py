"""Law 4: what the compiler predicts is what the interpreter counts, to the byte, by phase and by tensor."""

from __future__ import annotations

from typing import Any

from laws import Outcome


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
    for entry, traffic in outcome.counted.items():
        predicted, counted = outcome.program.predicted[entry]["work"], traffic.to_json()["work"]
        done = counted["gated"] + counted["multiply"] + counted["skipped"]
        assert done == predicted["gated"] + predicted["multiply"], entry
        assert counted["gated"] <= predicted["gated"] and counted["multiply"] <= predicted["multiply"], entry
