"""Laws 1, 3 and 4 where cores share several loops of a stage at once."""

from __future__ import annotations

import pytest
from laws import Bench, Case, compiled, outcome_of

from snnc.runtime.orders import RoundRobin, Shuffled

CASES = [
    Case("csnn", "exact7", partition="patches"),
    Case("normed", "exact20", partition="patches"),
    Case("recurrent", "quad3", partition="patches"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_bits_are_those_of_the_oracle_and_bytes_those_predicted(case: Case) -> None:
    if case.network == "normed":
        stages = compiled(case).schedule.entries["train_step"]
        assert any(stage.mapping.further for stage in stages)
    outcome = outcome_of(case)
    assert {run: told for run, told in outcome.differences.items() if told} == {}
    for entry, traffic in outcome.counted.items():
        assert traffic.to_json()["dram"] == outcome.program.predicted[entry]["dram"], entry


def test_no_order_of_streams_shows_and_nothing_races() -> None:
    found: list[str] = []
    for order in (RoundRobin(), Shuffled(1)):
        bench = Bench(CASES[0], oracle=False, watched=True, order=order)
        bench.run("init")
        bench.feed()
        bench.run("train_step")
        found.append(bench.bits())
    assert found[0] == found[1]
