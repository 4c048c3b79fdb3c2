"""Memory of learning rules: what grows with the number of steps, and what does not."""

from __future__ import annotations

import pytest
from laws import Bench, Case, compiled

from snnc.compiler.cost.tape import tape_of
from snnc.compiler.training.rule import RULES
from snnc.isa.program import Program, Symbol

ONLINE = [name for name, rule in RULES.items() if rule.template == "up"]
NETWORK = "csnn"


def program(rule: str, steps: int) -> Program:
    training = f"rule = {rule}; loss = cross_entropy_mse(lam=0.25); optimizer = sgd"
    return compiled(Case(NETWORK, "exact7", training=training, steps=steps)).program


def taken(made: Program, *roles: str) -> int:
    return sum(symbol.bytes for symbol in made.symbols if symbol.role in roles)


@pytest.mark.parametrize("rule", ONLINE)
def test_a_rule_that_learns_in_each_step_needs_no_more_memory_for_more_steps(rule: str) -> None:
    few, many = program(rule, 4), program(rule, 16)
    assert few.dram_bytes == many.dram_bytes
    assert few.instruction_count == many.instruction_count
    tape = [symbol for symbol in many.symbols if symbol.role == "tape"]
    assert all(symbol.steps == 0 for symbol in tape), "tape is of what does not change with time"


@pytest.mark.parametrize("rule", ONLINE)
def test_the_table_of_the_tape_tells_the_room_of_one_step(rule: str) -> None:
    case = Case(
        NETWORK, "exact7", training=f"rule = {rule}; loss = cross_entropy_mse(lam=0.25); optimizer = sgd", steps=4
    )
    made, table = compiled(case).program, tape_of(compiled(case).training)
    moving = [kept for kept in table if kept.type.timed]
    assert moving and all(kept.momentary for kept in moving)
    assert {kept.value: kept.bytes for kept in table} == {kept.value: made.symbol(kept.value).bytes for kept in table}


def test_what_bptt_keeps_grows_with_the_steps() -> None:
    def moving(symbol: Symbol) -> int:
        return symbol.bytes if symbol.role == "tape" and symbol.steps else 0

    few, many = (sum(map(moving, program("bptt", steps).symbols)) for steps in (4, 16))
    assert few and many == 4 * few


@pytest.mark.parametrize("rule", ONLINE)
def test_values_that_another_step_or_the_host_reads_have_room_for_all_steps(rule: str) -> None:
    training = f"rule = {rule}; loss = cross_entropy_mse(lam=0.25); optimizer = sgd"
    made = compiled(Case("recurrent", "quad3", training=training, steps=4)).program
    rooms = {symbol.name: symbol.steps for symbol in made.symbols}
    assert {rooms["s1"], rooms["s2"]} == {4}, "delays read them in the steps that come"
    assert rooms["c1"] == (0 if RULES[rule].update == "batch" else 1), "what an image is worth to weights that change"
    assert rooms["a1"] == rooms["l2"] == rooms["y"] == rooms["d.y"] == 1


def work(rule: str) -> dict[str, float]:
    """Sums and products of a training step by phase, counted, those that gating skips included."""
    training = f"rule = {rule}; loss = cross_entropy_mse(lam=0.25); optimizer = sgd"
    bench = Bench(Case(NETWORK, "exact7", training=training, steps=6), oracle=False)
    bench.run("init")
    bench.feed()
    bench.machine.counters.take()
    bench.run("train_step")
    found: dict[str, float] = {}
    for key, amounts in bench.machine.counters.take().rows.items():
        found[key.phase] = found.get(key.phase, 0) + amounts.gated + amounts.multiply + amounts.skipped
    return found


def test_steps_that_are_not_chosen_are_passed_through_forwards_only() -> None:
    one, two, six = work("sltt_k(K=1)"), work("sltt_k(K=2)"), work("sltt")
    assert one["FP"] == two["FP"] == six["FP"]
    assert 3 * two["BP"] == six["BP"] > 0
    assert two["WG"] < six["WG"] / 2
    assert six["WG"] - two["WG"] == 4 * (two["WG"] - one["WG"]), "but for the first layer, whose image is one for all"


def test_training_on_rates_once_for_all_steps_needs_no_more_memory_for_more_steps() -> None:
    """But for the width of counts: here those of spikes have 8 bits, and those of pools have become numbers."""
    sizes: dict[int, Program] = {}
    for steps in (4, 32, 64):
        training = "rule = dsr; loss = cross_entropy; optimizer = sgd"
        sizes[steps] = compiled(Case(NETWORK, "exact7", reset="soft", training=training, steps=steps)).program
    assert sizes[32].dram_bytes == sizes[64].dram_bytes and sizes[4].dram_bytes < sizes[32].dram_bytes
    assert sizes[32].instruction_count == sizes[64].instruction_count
    tape = {symbol.name: symbol for symbol in sizes[64].symbols if symbol.role == "tape"}
    assert set(tape) == {"c1", "s1.window", "p1.rate", "s2.window", "cloth.flatten.rate", "loss.seed"}
    assert all(symbol.steps == 0 for symbol in tape.values()), "tape is of all steps together"


def test_training_on_rates_step_by_step_keeps_all_steps() -> None:
    def moving(steps: int) -> int:
        training = "rule = dsr(form=step); loss = cross_entropy; optimizer = sgd"
        made = compiled(Case(NETWORK, "exact7", reset="soft", training=training, steps=steps)).program
        return sum(symbol.bytes for symbol in made.symbols if symbol.role == "tape" and symbol.steps)

    few = moving(4)
    assert few and moving(16) == 4 * few
