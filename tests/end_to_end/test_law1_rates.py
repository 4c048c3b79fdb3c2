"""Law 1 for training on rates: what a compiled program computes is what the oracle computes, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from laws import Bench, Case, Exported, Outcome, compiled, outcome_of

from snnc.compiler.passes.differentiate import untaught
from snnc.runtime.orders import RoundRobin, Shuffled

ONCE = {
    "digits": ("li7", "tiny", "bf16x1"),
    "lenet": ("exact1", "quad3"),
    "csnn": ("f32x3", "exact7", "exact20"),
    "transposed, everything": ("quad3",),
    "depthwise of counts": ("exact7",),
    "spikes beside their counts": ("f32x3",),
    "what is static beside what moves": ("tiny",),
    "counts that are many": ("quad3",),
    "windows that differ": ("exact7",),
    "pools that tile": ("tiny",),
}
"""Networks whose layers keep means, and calls of which the same is true, with machines; the first is always tried."""

BY_STEP = {
    "normed": ("exact7", "f32x3"),
    "joined": ("tiny",),
    "hourglass": ("quad3",),
    "signals": ("f32x3", "exact7"),
}
"""Networks with statistics of each step and of all, factors and masks of each step, maxima, a read-out that leaks."""


def chosen(table: dict[str, tuple[str, ...]]) -> list[Any]:
    """Every network with each of its machines."""
    return [
        pytest.param(network, machine, marks=() if machine == machines[0] else pytest.mark.full)
        for network, machines in table.items()
        for machine in machines
    ]


def agrees(outcome: Outcome) -> None:
    """Bits are those of the oracle, traffic is as predicted, and something is learned."""
    assert outcome.differences
    assert not {entry: told for entry, told in outcome.differences.items() if told}
    for entry, traffic in outcome.counted.items():
        assert traffic.to_json()["dram"] == outcome.program.predicted[entry]["dram"], entry
    assert len(set(outcome.losses)) == len(outcome.losses), "nothing was learned"


def case(form: str, network: str, machine: str, loss: str) -> Case:
    training = f"rule = dsr(form={form}); loss = {loss}; optimizer = adam(lr=1e-2)"
    return Case(network, machine, reset="soft", training=training)


@pytest.mark.parametrize(("network", "machine"), chosen(ONCE))
def test_once_for_all_steps_the_program_is_the_oracle(network: str, machine: str) -> None:
    loss = ("cross_entropy", "mse_rate")[list(ONCE).index(network) % 2]
    agrees(outcome_of(case("collapsed", network, machine, loss)))


@pytest.mark.parametrize(("network", "machine"), chosen(BY_STEP))
def test_step_by_step_the_program_is_the_oracle(network: str, machine: str) -> None:
    loss = ("cross_entropy", "cross_entropy_mse(lam=0.25)")[list(BY_STEP).index(network) % 2]
    agrees(outcome_of(case("step", network, machine, loss)))


@pytest.mark.parametrize(("form", "network"), [("collapsed", "lenet"), ("step", "hourglass")])
def test_no_order_of_streams_changes_a_bit_and_nothing_races(form: str, network: str) -> None:
    bits: set[str] = set()
    for watched in (False, True):
        order = Shuffled(3) if watched else RoundRobin()
        bench = Bench(case(form, network, "quad3", "cross_entropy"), oracle=False, order=order, watched=watched)
        bench.run("init")
        bench.feed()
        bench.run("train_step", 0, 3)
        bits.add(bench.bits())
    assert len(bits) == 1


NEURONS = """
network neurons(image: f16[t, 1, 6, 6]) steps 5 {
    s0 = if(image, threshold=0.5, learn_threshold=channel, reset=soft)
    c1 = conv2d(s0, out=6, kernel=3, pad=1)
    s1 = lif(c1, decay=0.75, decay_input=true, threshold=0.125, amplitude=0.125, rest=0.0625, initial=0.0625,
             reset=soft, tape=recompute(every=5))
    p1 = avg_pool2d(s1, kernel=2)
    raw = parameter(init=kaiming_normal) : weight f16[6, 6, 3, 3]
    c2 = conv2d(p1, w=standardise(raw), out=6, kernel=3, pad=1)
    V  = parameter(init=constant(value=0.25)) : f32[]
    s2 = lif(c2, V, decay=0.75, threshold=0.25, learn_threshold=layer, reset=soft)
    b2 = add(scale(s2, w=V, each=layer), dropout(p1, p=0.25))
    l3 = linear(flatten(b2), out=20)
    s3 = if(l3, learn_threshold=channel, threshold=0.25, reset=soft)
    return vote(s3, size=2)
}
train { rule = dsr(form=FORM); loss = cross_entropy; optimizer = sgd(lr=0.05, momentum=0.9); loss_scale = dynamic }
"""
"""Every setting of a neuron that bears on its rate; spikes of s2 are worth the threshold that it learns."""


@pytest.mark.parametrize("machine", ["quad3", pytest.param("f32x3", marks=pytest.mark.full)])
@pytest.mark.parametrize("form", ["collapsed", "step"])
def test_thresholds_learn_and_the_program_is_the_oracle(form: str, machine: str, tmp_path: Path) -> None:
    path = tmp_path / "neurons.snn"
    path.write_text(NEURONS.replace("FORM", form), encoding="utf-8")
    model = Exported(str(path), machine)
    assert not list(untaught(compiled(model).network, compiled(model).training))
    agrees(outcome_of(model))
