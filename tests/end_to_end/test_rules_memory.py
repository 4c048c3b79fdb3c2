"""Memory of learning rules: what grows with the number of steps, and what does not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from laws import Bench, Case, compiled

from snnc.compiler.cost.carried import carried_of
from snnc.compiler.cost.tape import tape_of
from snnc.compiler.pipeline import Compilation, Options
from snnc.compiler.training.rule import RULES
from snnc.isa.program import Program, Symbol

ONLINE = [name for name, rule in RULES.items() if rule.template == "up" and rule().plasticity is None]
"""But for `stdp`, which trains other networks (test_law1_stdp.py)."""

NETWORK = "csnn"

FEWER = {"p1.trace": 8, "cloth.flatten.trace": 4}
"""Bits of a history of four steps: of counts of up to 3, and of spikes."""


def training_of(rule: str) -> str:
    """A train section that every rule takes."""
    return f"rule = {rule}; loss = cross_entropy_mse(lam=0.25); optimizer = sgd"


def program(rule: str, steps: int) -> Program:
    """Steps overlap, however few they are."""
    return compiled(Case(NETWORK, "exact7", training=training_of(rule), steps=steps, overlap="always")).program


def taken(made: Program, *roles: str) -> int:
    return sum(symbol.bytes for symbol in made.symbols if symbol.role in roles)


def histories(made: Program) -> int:
    """Bytes of traces, each in its place in DRAM."""
    return sum(-(-symbol.bytes // 64) * 64 for symbol in made.symbols if symbol.name.endswith(".trace"))


@pytest.mark.parametrize("rule", ONLINE)
def test_a_rule_that_learns_in_each_step_needs_no_more_memory_for_more_steps(rule: str) -> None:
    """But for histories of spikes: a word of so many bits, until f16 takes its place."""
    few, long, many = program(rule, 4), program(rule, 9), program(rule, 16)
    assert long.dram_bytes == many.dram_bytes
    assert long.instruction_count == many.instruction_count
    assert many.dram_bytes - few.dram_bytes == histories(many) - histories(few)
    assert (histories(few) < histories(many)) == rule.startswith(("ottt", "opzo"))
    tape = [symbol for symbol in many.symbols if symbol.role == "tape"]
    assert all(symbol.steps == 0 for symbol in tape), "tape is of what does not change with time"


@pytest.mark.parametrize("rule", ONLINE)
def test_the_table_of_the_tape_tells_the_room_of_one_step(rule: str) -> None:
    case = Case(NETWORK, "exact7", training=training_of(rule), steps=4, overlap="off")
    made, table = compiled(case).program, tape_of(compiled(case).training)
    moving = [kept for kept in table if kept.type.timed]
    assert moving and all(kept.momentary for kept in moving)
    assert {kept.value: kept.bytes for kept in table} == {kept.value: made.symbol(kept.value).bytes for kept in table}


@pytest.mark.parametrize("rule", ONLINE)
def test_where_steps_overlap_what_one_hands_on_has_room_for_two_and_nothing_else_has_more(rule: str) -> None:
    """In bytes: those that are told, and of each value its own, as far apart as symbols are."""
    case = Case(NETWORK, "exact7", training=training_of(rule), steps=4, overlap="off")
    apart, found = compiled(case).program, compiled(replace(case, overlap="always"))
    (overlap,) = found.schedule.overlaps["train_step"]
    rooms = {symbol.name: symbol for symbol in apart.symbols}
    for symbol in found.program.symbols:
        once = rooms[symbol.name].bytes
        assert symbol.bytes - once == (-(-once // 64) * 64 if symbol.name in overlap.handed else 0)
        assert symbol.gone == (2 if symbol.name in overlap.handed else rooms[symbol.name].gone)
    assert overlap.bytes == found.program.dram_bytes - apart.dram_bytes
    assert bool(overlap.handed) == bool(overlap.behind) == (rule != "ottt_o")


def counted(case: Case) -> dict[str, float]:
    """Bytes written to each tensor in a training step."""
    bench = Bench(case, oracle=False)
    bench.run("init")
    bench.feed()
    bench.machine.counters.take()
    bench.run("train_step")
    return {name: amounts.useful_write for name, amounts in bench.machine.counters.take().by_tensor().items()}


@pytest.mark.parametrize("network", ["csnn", "recurrent"])
@pytest.mark.parametrize("rule", ["bptt", *ONLINE])
def test_tape_and_carried_state_are_written_as_the_tables_say(rule: str, network: str) -> None:
    """What has room for one step is written once in each that makes it, and nothing stands in both tables."""
    case = Case(network, "quad1", training=training_of(rule), steps=4)
    training, written = compiled(case).training, counted(case)
    tape, carried = tape_of(training), carried_of(training)
    assert tape
    for kept in tape:
        assert written[kept.value] == kept.bytes * (4 if kept.momentary else 1), kept.value
    regions = training.procedure("train_step").regions
    chosen = {name: region.turns for region in regions for node in region.nodes for name in node.results}
    for state in carried:
        steps = chosen.get(state.value.partition(".carry.")[0], 0) or 4
        assert written[state.value] == steps * state.bytes, state.value
    states = {name for name in written if ".carry." in name or name.endswith(".trace")}
    assert {state.value for state in carried} == states
    assert not states & {kept.value for kept in tape}


def tables(rule: str, steps: int) -> tuple[dict[str, int], dict[str, int]]:
    """Bytes of the tape and of carried state, by value."""
    training = compiled(Case(NETWORK, "exact7", training=training_of(rule), steps=steps)).training
    tape, carried = tape_of(training), carried_of(training)
    return {kept.value: kept.bytes for kept in tape}, {state.value: state.bytes for state in carried}


@pytest.mark.parametrize("rule", ONLINE)
def test_neither_the_tape_nor_carried_state_grows_with_the_steps(rule: str) -> None:
    """What a history has more in 16 steps than in 4 is what f16 has more than 4 bits."""
    (few, carried), (many, later) = tables(rule, 4), tables(rule, 16)
    assert few == many
    assert carried == {
        name: size if not name.endswith(".trace") else FEWER[name] * size // 16 for name, size in later.items()
    }


def test_a_trace_is_carried_and_takes_the_place_of_spikes_on_the_tape() -> None:
    (ours, carried), (theirs, _) = tables("ottt_a", 4), tables("sltt", 4)
    assert ours.items() < theirs.items()
    assert set(theirs) - set(ours) == {"p1", "s2"}
    assert {name for name in carried if name.endswith(".trace")} == {"p1.trace", "cloth.flatten.trace"}


@pytest.mark.parametrize("model", ["vgg11", "resnet18"])
def test_on_deep_networks_sltt_saves_most_of_the_tape(model: str) -> None:
    """At six steps, in full size: what samples leave on it in every step is that of one."""
    loss = ("cross_entropy_mse", ("lam", 0.05))
    options = {rule: Options(steps=6, rule=rule, train={"loss": loss}) for rule in ("bptt", "sltt")}
    tapes = {rule: tape_of(Compilation(model, given).training) for rule, given in options.items()}
    sizes = {rule: sum(kept.bytes for kept in tape) for rule, tape in tapes.items()}
    assert sizes["sltt"] < 0.3 * sizes["bptt"]
    steady, growing = (
        {kept.value: kept.bytes for kept in tapes[rule] if kept.type.timed and kept.type.batched}
        for rule in ("sltt", "bptt")
    )
    assert {value: 6 * size for value, size in steady.items()} == growing


def test_what_bptt_keeps_grows_with_the_steps() -> None:
    def moving(symbol: Symbol) -> int:
        return symbol.bytes if symbol.role == "tape" and symbol.steps else 0

    few, many = (sum(map(moving, program("bptt", steps).symbols)) for steps in (4, 16))
    assert few and many == 4 * few


@pytest.mark.parametrize("rule", ONLINE)
def test_what_a_delay_brings_back_has_room_for_one_step_where_that_is_the_step_before(rule: str) -> None:
    """It is read before it is made anew; what other steps read, further back, has room for all."""
    made = compiled(
        Case("recurrent", "quad3", training=training_of(rule), steps=4, fusion="off", overlap="off")
    ).program
    rooms = {symbol.name: symbol.steps for symbol in made.symbols}
    one, two = (rooms.get(f"{name}.noisy", rooms[name]) for name in ("s2", "s1"))
    assert (one, two) == (1, 4), "s1 comes back after two steps, too"
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
