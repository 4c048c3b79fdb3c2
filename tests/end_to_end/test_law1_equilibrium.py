"""Law 1 for errors at equilibrium: what a compiled program computes is what the oracle computes, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from laws import Bench, Exported, Outcome, compiled, folder, outcome_of

from snnc.compiler.cost.carried import carried_of
from snnc.compiler.cost.tape import tape_of
from snnc.compiler.evaluate import Oracle
from snnc.compiler.passes.differentiate import untaught
from snnc.compiler.passes.signs import with_signs
from snnc.isa.program import Program
from snnc.isa.traffic import Amounts
from snnc.runtime.orders import RoundRobin, Shuffled

NETWORKS = {
    "ring": """network ring(image: f16[12]) steps 9 {
        back = delay(s2) : spike[20] * 0.75
        s1 = if(add(linear(image, out=24), linear(back, out=24, bias=false)), threshold=0.5, initial=0.25, reset=soft)
        s2 = lif(linear(s1, out=20), decay=0.75, gain=0.5, threshold=0.5, amplitude=0.75, reset=soft)
        return linear(s2, out=10)
    }""",
    "folded": """network folded(image: f16[t, 2, 8, 8]) steps 7 {
        back = delay(s3) : spike[16, 4, 4]
        up = conv_transpose2d(back, out=8, kernel=2, stride=2, bias=false)
        s1 = if(add(conv2d(image, out=8, kernel=3, pad=1), up), threshold=0.5, amplitude=0.5, reset=soft)
        d1 = dropout(s1, p=0.25)
        s2 = if(conv2d(d1, out=16, kernel=3, pad=1, stride=2), threshold=0.25, reset=soft)
        c3 = add(conv2d(s2, out=16, kernel=3, pad=1), avg_pool2d(conv2d(d1, out=16, kernel=1), kernel=2))
        s3 = lif(c3, decay=0.875, threshold=0.25, initial=0.125, reset=soft)
        again = delay(avg_pool2d(s3, kernel=2), steps=2)
        both = add(linear(flatten(s3), out=10), linear(flatten(again), out=10))
        return both
    }""",
    "chain": """network chain(image: f16[1, 6, 6]) steps 5 {
        s1 = if(conv2d(image, out=8, kernel=3, pad=1), threshold=0.25, reset=soft)
        s2 = if(linear(flatten(sum_pool2d(s1, kernel=2)), out=20), threshold=1.5, reset=soft)
        return s2
    }""",
}
"""Feedback through a layer and through the adjoint of one, with pools, dropout, a shortcut and delays around; none."""

TRAIN = "train { rule = spide(RULE); loss = LOSS; optimizer = sgd(lr=0.05, momentum=0.9); loss_scale = 1024 }"
CASES = [
    ("ring", "spikes", "tiny"),
    ("ring", "fixed_point", "exact7"),
    ("folded", "spikes", "quad3"),
    ("folded", "fixed_point", "tiny"),
    ("chain", "spikes", "exact20"),
    ("chain", "fixed_point", "f32x3"),
    ("folded", "spikes", "f32x3"),
    ("ring", "spikes", "bf16x3"),
    ("folded", "spikes", "exact7"),
    ("ring", "spikes", "quad1"),
]


def settings(solver: str, steps: int) -> str:
    """Those of the rule; errors are large, and so is what fires them."""
    return f"solver={solver}, steps={steps}" + (", threshold=64" if solver == "spikes" else "")


def model(network: str, rule: str, machine: str) -> Exported:
    loss = "mse_rate" if network == "chain" else "cross_entropy"
    text = f"{NETWORKS[network]}\n{TRAIN.replace('RULE', rule).replace('LOSS', loss)}\n"
    path = folder() / f"{network}-{rule.replace('=', '-')}.snn"
    path.write_text(text, encoding="utf-8")
    return Exported(str(path), machine)


def agrees(outcome: Outcome) -> None:
    """Bits are those of the oracle, traffic is as predicted, and something is learned."""
    assert outcome.differences
    assert not {entry: told for entry, told in outcome.differences.items() if told}
    for entry, traffic in outcome.counted.items():
        assert traffic.to_json()["dram"] == outcome.program.predicted[entry]["dram"], entry
    assert len(set(outcome.losses)) == len(outcome.losses), "nothing was learned"


@pytest.mark.parametrize(
    ("network", "solver", "machine"),
    [pytest.param(*case, marks=() if number < 6 else pytest.mark.full) for number, case in enumerate(CASES)],
)
def test_a_program_settles_as_the_oracle_does(network: str, solver: str, machine: str) -> None:
    given = model(network, settings(solver, 12), machine)
    assert not list(untaught(compiled(given).network, compiled(given).training))
    agrees(outcome_of(given))


@pytest.mark.parametrize("solver", ["spikes", "fixed_point"])
def test_no_order_of_streams_changes_a_bit_and_nothing_races(solver: str) -> None:
    bits: set[str] = set()
    for watched in (False, True):
        order = Shuffled(3) if watched else RoundRobin()
        given = model("folded", settings(solver, 4), "quad3")
        bench = Bench(given, oracle=False, order=order, watched=watched)
        bench.run("init")
        bench.feed()
        bench.run("train_step", 0, 2)
        bits.add(bench.bits())
    assert len(bits) == 1


# Memory


def program(steps: int, settling: int, solver: str = "spikes") -> Program:
    """The ring over so many steps, and a sweep of so many in which errors settle."""
    text = NETWORKS["ring"].replace("steps 9", f"steps {steps}")
    train = TRAIN.replace("RULE", f"solver={solver}, steps={settling}").replace("LOSS", "cross_entropy")
    path = folder() / f"ring-{steps}-{settling}-{solver}.snn"
    path.write_text(f"{text}\n{train}\n", encoding="utf-8")
    return compiled(Exported(str(path), "exact7")).program


@pytest.mark.parametrize("solver", ["spikes", "fixed_point"])
def test_neither_more_steps_nor_more_steps_to_settle_need_more_memory(solver: str) -> None:
    """But for the width of counts: here those of spikes have 8 bits, and those of errors 11."""
    few, many = program(64, 16, solver), program(250, 256, solver)
    assert few.dram_bytes == many.dram_bytes
    assert few.instruction_count == many.instruction_count
    assert {symbol.steps for symbol in many.symbols} <= {0, 1}


def test_the_tape_and_what_is_carried_are_those_of_one_step() -> None:
    training = compiled(model("ring", "solver=spikes, steps=12", "quad1")).training
    tape = {kept.value: (kept.bytes, kept.reason) for kept in tape_of(training)}
    passes = "an error passes where the neuron fires in some steps and rests in others"
    weighs = "left operand of the weight gradient"
    assert tape == {
        "s1.between": (3 * 3, passes),
        "s2.between": (3 * 3, passes),
        "s1.rate": (3 * 24 // 2, weighs),
        "s2.rate": (3 * 20 // 2, weighs),
        "loss.seed": (3 * 10 * 2, "cross_entropy reads it on the way back"),
    }
    potentials = {"s1.carry.v": 3 * 24 * 2, "s2.carry.v": 3 * 20 * 2}
    bits = {f"{name}.between.carry.{kind}": 3 * 3 for name in ("s1", "s2") for kind in ("fired", "rested")}
    errors = {"d.s1.add.turn.carry.v": 3 * 24 * 2, "d.s2.linear.turn.carry.v": 3 * 20 * 2}
    carried = {state.value: state.bytes for state in carried_of(training)}
    assert {name: size for name, size in carried.items() if not name.startswith("logits")} == potentials | bits | errors


# Signs


def test_errors_are_signs_where_the_engine_takes_them_and_words_elsewhere() -> None:
    """Two bits in DRAM in the place of sixteen, where layers alone read them."""
    on_quad, on_exact = (
        {symbol.name: symbol for symbol in compiled(model("folded", "steps=4, threshold=64", name)).program.symbols}
        for name in ("quad1", "exact7")
    )
    fired = {"d.s1.add.turn", "d.s2.conv2d.turn"}
    assert {name for name, symbol in on_quad.items() if symbol.format == "ternary"} == fired
    assert {on_exact[name].format for name in fired} == {"f16"}
    scales = {name: on_quad[name].scale for name in fired}
    assert scales == {"d.s1.add.turn": 128 / 0.5, "d.s2.conv2d.turn": 128 / 0.25}
    assert on_quad["d.s1.add.turn"].bytes * 8 == on_exact["d.s1.add.turn"].bytes
    assert on_quad["d.c3.turn"].format == "f16", "a pool spreads it"


def work(machine: str) -> dict[str, Amounts]:
    """What BP does in a training step of the ring, counted by layer: operations that zeros save have no kind."""
    bench = Bench(model("ring", "steps=12, threshold=64", machine), oracle=False)
    bench.run("init")
    bench.feed()
    bench.machine.counters.take()
    bench.run("train_step")
    counted = bench.machine.counters.take()
    found: dict[str, Amounts] = {}
    for key, amounts in counted.rows.items():
        if key.phase == "BP" and not key.tensor and amounts.gated + amounts.multiply:
            found[key.layer] = found.get(key.layer, Amounts()) + amounts
    predicted, total = bench.program.predicted["train_step"]["by_phase"]["BP"]["work"], counted.by_phase()["BP"]
    assert total.gated + total.multiply + total.skipped == predicted["gated"] + predicted["multiply"]
    assert total.gated <= predicted["gated"] and total.multiply <= predicted["multiply"]
    return found


def test_layers_between_neurons_add_weights_and_multiply_nothing() -> None:
    """The read-out alone, which no neuron is behind, multiplies its error, once."""
    signs, words = work("quad1"), work("exact7")
    between = {"s1.add.linear.1", "s2.linear"}
    assert signs.keys() == words.keys() == {*between, "linear"}
    for layer in between:
        assert signs[layer].multiply == words[layer].gated == 0 < signs[layer].gated, layer
        assert signs[layer].gated == words[layer].multiply, "zeros save as much"
        assert signs[layer].gated + signs[layer].skipped == 12 * 3 * 24 * 20
    assert (signs["linear"].gated, signs["linear"].multiply) == (0, 3 * 20 * 10)


def test_signs_are_worth_what_words_are() -> None:
    """Where a spike brings a power of two, which a word holds, all that is made of it has the same bits."""
    training = compiled(model("ring", "steps=12, threshold=64", "exact7")).training
    gradients: list[dict[str, Any]] = []
    for graph in (training, with_signs(training)):
        oracle = Oracle(graph)
        rng = np.random.default_rng(3)
        oracle.run("init", {"seed": 5, "step": 0} | dict.fromkeys(set(dict(graph.arguments)) - {"seed", "step"}, 1))
        oracle.write("image", rng.random((3, 12)))
        oracle.write("label", [1, 0, 2])
        scalars = {"valid": 3, "loss_scale": 1024.0, "learning_rate": 0.1, "seed": 5, "step": 0}
        oracle.run("train_step", scalars | {"correction1": 1.0, "correction2": 1.0})
        names = [variable.name for variable in graph.variables if variable.role == "parameter"]
        gradients.append({name: oracle.read(f"d.{name}") for name in names})
        assert np.any(oracle.read("d.s1.add.turn") < 0) and np.any(oracle.read("d.s1.add.turn") > 0)
    words, signs = gradients
    for name, value in words.items():
        assert np.any(value) and np.array_equal(value, signs[name]), name
