"""Law 1 for every learning rule: what a compiled program computes is what the oracle computes, bit for bit."""

from __future__ import annotations

import pytest
from laws import NETWORKS, Case, Model, compiled, outcome_of

from snnc.compiler.passes.differentiate import untaught
from snnc.compiler.training.rule import RULES

TRAINABLE = {
    "sltt": ("digits", "lenet", "joined", "recurrent", "hourglass", "signals", "cells"),
    "ottt_a": ("digits", "lenet", "csnn", "recurrent"),
}
"""Networks of the laws that each rule can train; `bptt` trains them all, in the tests of the other laws."""

MACHINES = ("tiny", "quad3", "exact7", "f32x3")


def case(rule: str, network: str, machine: str) -> Case:
    """A rule with a loss whose error is known in each step, and a reset that differs from network to network."""
    number = list(NETWORKS).index(network) + MACHINES.index(machine)
    training = f"rule = {rule}; loss = cross_entropy_mse(lam=0.25); optimizer = adam(lr=1e-2)"
    surrogate = ("sigmoid(alpha=4)", "triangle", "rect", "atan")[number % 4]
    return Case(network, machine, reset=("soft", "hard")[number % 2], surrogate=surrogate, training=training)


CHOSEN = {
    (rule, network, MACHINES[(place + len(rule)) % len(MACHINES)])
    for rule, names in TRAINABLE.items()
    for place, network in enumerate(names)
}


def test_every_rule_is_looked_at() -> None:
    assert {"bptt", *TRAINABLE} == set(RULES)


@pytest.mark.parametrize(
    ("rule", "network", "machine"),
    [
        pytest.param(rule, network, machine, marks=() if (rule, network, machine) in CHOSEN else pytest.mark.full)
        for rule, names in TRAINABLE.items()
        for network in names
        for machine in MACHINES
    ],
)
def test_the_program_is_the_oracle(rule: str, network: str, machine: str) -> None:
    outcome = outcome_of(case(rule, network, machine))
    assert outcome.differences
    assert not {entry: told for entry, told in outcome.differences.items() if told}
    assert len(set(outcome.losses)) == len(outcome.losses), "nothing was learned"


@pytest.mark.parametrize("machine", ["quad3", "f32x3"])
@pytest.mark.parametrize("rule", TRAINABLE)
def test_recurrent_weights_learn_and_the_program_is_the_oracle(rule: str, machine: str) -> None:
    """All weights of `srnn` learn: its neurons are read in the same step too."""
    model = Model("srnn", machine, rule)
    assert not list(untaught(compiled(model).network, compiled(model).training))
    outcome = outcome_of(model)
    assert not {entry: told for entry, told in outcome.differences.items() if told}
    for entry, traffic in outcome.counted.items():
        assert traffic.to_json()["dram"] == outcome.program.predicted[entry]["dram"], entry
