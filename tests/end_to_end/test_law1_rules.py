"""Law 1 for every learning rule: what a compiled program computes is what the oracle computes, bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest
from laws import NETWORKS, Case, Exported, Model, compiled, outcome_of

from snnc.compiler.passes.differentiate import untaught
from snnc.compiler.training.rule import RULES

TRAINABLE = {
    "sltt": ("digits", "lenet", "joined", "recurrent", "hourglass", "signals", "cells"),
    "sltt_k": ("digits", "lenet", "joined", "recurrent", "hourglass", "signals", "cells"),
    "ottt_a": ("digits", "lenet", "csnn", "recurrent"),
    "ottt_o": ("digits", "lenet", "csnn", "recurrent"),
    "opzo": ("digits", "lenet", "csnn", "recurrent"),
}
"""Networks of the laws that each rule can train; `bptt` trains them all, in the tests of the other laws."""

ELSEWHERE = {"bptt", "dsr", "spide", "tandem", "t2fsnn", "stdp"}
"""Rules that are looked at by themselves (test_law1_rates.py, _equilibrium.py, _counts.py, _kernels.py, _stdp.py)."""

MACHINES = ("tiny", "quad3", "exact7", "f32x3")


def case(rule: str, network: str, machine: str) -> Case:
    """A rule with a loss whose error is known in each step; reset and optimizer differ from network to network."""
    number = list(NETWORKS).index(network) + MACHINES.index(machine)
    counts = RULES[rule].update == "batch" or number % 2
    optimizer = "adam(lr=1e-2)" if counts else "sgd(lr=0.05, momentum=0.9)"
    training = f"rule = {rule}; loss = cross_entropy_mse(lam=0.25); optimizer = {optimizer}"
    surrogate = ("sigmoid(alpha=4)", "triangle", "rect", "atan")[number % 4]
    return Case(network, machine, reset=("soft", "hard")[number % 2], surrogate=surrogate, training=training)


CHOSEN = {
    (rule, network, MACHINES[(place + len(rule)) % len(MACHINES)])
    for rule, names in TRAINABLE.items()
    for place, network in enumerate(names)
}


def test_every_rule_is_looked_at() -> None:
    assert ELSEWHERE | TRAINABLE.keys() == set(RULES)


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
    assert outcome.learned


SETTINGS = (
    ("opzo(feedback=dfa)", "csnn", "quad3"),
    ("opzo(feedback=zo, antithetic=true)", "lenet", "f32x3"),
    ("opzo(feedback=zo, perturb=before, noise=uniform)", "recurrent", "exact7"),
    ("opzo(noise=gaussian, perturb=before)", "csnn", "f32x3"),
    ("opzo(noise=gaussian, antithetic=true, feedback_update=batch)", "recurrent", "quad3"),
    ("opzo(noise=uniform, antithetic=true, inverse_alpha=false)", "lenet", "exact7"),
    ("opzo(perturb=before, feedback_update=batch, init=zeros)", "digits", "tiny"),
)
"""Rules with settings that change their graphs, each with a network and a machine."""


@pytest.mark.parametrize(("rule", "network", "machine"), SETTINGS)
def test_whatever_is_set_the_program_is_the_oracle(rule: str, network: str, machine: str) -> None:
    training = f"rule = {rule}; loss = cross_entropy_mse(lam=0.25); optimizer = sgd(lr=0.05)"
    outcome = outcome_of(Case(network, machine, reset="soft", surrogate="atan", training=training))
    assert not {entry: told for entry, told in outcome.differences.items() if told}
    assert len(set(outcome.losses)) == len(outcome.losses), "nothing was learned"
    for entry, traffic in outcome.counted.items():
        assert traffic.to_json()["dram"] == outcome.program.predicted[entry]["dram"], entry


LEARNED = """
network learned(x: f16[2, 6, 6]) steps 4 {
    c1 = batch_norm(conv2d(x, out=3, kernel=3, pad=1))
    s1 = lif(c1, threshold=0.5, reset=soft, learn_threshold=channel, amplitude=1.5)
    raw = parameter(init=kaiming_normal) : weight f16[4, 3, 3, 3]
    c2 = conv2d(avg_pool2d(s1, kernel=2), w=standardise(raw), out=4, kernel=3, pad=1)
    s2 = lif(scale(c2, each=channel, factor=2), threshold=0.5, learn_threshold=layer, surrogate=rect)
    s3 = lif(linear(flatten(s2), out=8), threshold=0.5)
    return linear(dropout(s3, p=0.25), out=3)
}
train { rule = RULE; loss = cross_entropy_mse(lam=0.25); optimizer = sgd(lr=0.5, momentum=0.5, weight_decay=0.01) }
"""
"""Whatever may be learned, of an image that stays the same."""


@pytest.mark.parametrize("machine", ["quad3", pytest.param("f32x3", marks=pytest.mark.full)])
@pytest.mark.parametrize("rule", TRAINABLE)
def test_all_that_is_learned_is_what_the_oracle_learns(rule: str, machine: str, tmp_path: Path) -> None:
    path = tmp_path / "learned.snn"
    path.write_text(LEARNED.replace("RULE", rule), encoding="utf-8")
    model = Exported(str(path), machine)
    assert not list(untaught(compiled(model).network, compiled(model).training))
    outcome = outcome_of(model)
    assert not {entry: told for entry, told in outcome.differences.items() if told}
    for entry, traffic in outcome.counted.items():
        assert traffic.to_json()["dram"] == outcome.program.predicted[entry]["dram"], entry


DEEP = {("sltt", "quad3"), ("opzo", "quad3")}
"""Rules under which `vgg11` is looked at in every run: errors go through all layers, or straight to each."""


@pytest.mark.parametrize(
    ("rule", "name", "machine"),
    [
        pytest.param(rule, name, machine, marks=() if name == "srnn" or (rule, machine) in DEEP else pytest.mark.full)
        for rule in TRAINABLE
        for name in ("srnn", "vgg11")
        for machine in ("quad3", "f32x3")
    ],
)
def test_all_weights_of_a_model_learn_and_the_program_is_the_oracle(rule: str, name: str, machine: str) -> None:
    """Recurrent ones of `srnn` too, since its neurons are read in the same step; those of `vgg11` are standardised."""
    model = Model(name, machine, rule)
    assert not list(untaught(compiled(model).network, compiled(model).training))
    outcome = outcome_of(model)
    assert not {entry: told for entry, told in outcome.differences.items() if told}
    for entry, traffic in outcome.counted.items():
        assert traffic.to_json()["dram"] == outcome.program.predicted[entry]["dram"], entry
