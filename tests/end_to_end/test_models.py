"""The models that come with snnc, narrow: law 1 over three training steps, and what their sizes promise."""

from __future__ import annotations

import pytest
from laws import NARROW, Model, Outcome, outcome_of

from snnc.compiler.pipeline import models

MACHINES = ("quad3", "tiny", "exact7")
CASES = [
    pytest.param(Model(name, machine), id=f"{name}-{machine}", marks=[] if turn else [pytest.mark.full])
    for k, name in enumerate(NARROW)
    for j, machine in enumerate(MACHINES)
    for turn in [(k - j) % len(MACHINES) == 0]
]


@pytest.fixture(scope="module", params=CASES)
def trained(request: pytest.FixtureRequest) -> Outcome:
    return outcome_of(request.param)


def test_a_narrow_model_is_the_oracle(trained: Outcome) -> None:
    assert {run: told for run, told in trained.differences.items() if told} == {}


def test_what_a_narrow_model_moves_is_predicted(trained: Outcome) -> None:
    for entry, traffic in trained.counted.items():
        assert traffic.to_json()["dram"] == trained.program.predicted[entry]["dram"], entry


def test_every_deep_model_is_here() -> None:
    assert set(NARROW) == set(models()) - {"digits", "mlp", "csnn", "lenet"}
