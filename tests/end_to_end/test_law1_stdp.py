"""Law 1 for weights that learn from spikes, and what that costs: no errors, no multiplier, no memory of steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from laws import Bench, Exported, compiled, outcome_of

from snnc.compiler.cost.carried import carried_of
from snnc.compiler.cost.tape import tape_of
from snnc.compiler.passes.differentiate import untaught
from snnc.isa.program import Program
from snnc.runtime import checkpoint
from snnc.runtime.checkpoint import Progress
from snnc.runtime.orders import RoundRobin, Shuffled

CLUSTERS = """network clusters(image: f16[1, 6, 6]) steps STEPS {
    w  = parameter(init=uniform(bound=0.5))
    s1 = competing_lif(linear(flatten(image), w=w, out=20, bias=false), threshold=0.5, inhibition=1.0, jump=0.5)
    s2 = lif(linear(s1, out=12, bias=false), threshold=0.25)
    return s2
}
train { rule = stdp(RULE); coding = poisson }
"""
"""Images of random spikes, and neurons that compete for them."""

PLACES = """network places(events: spike[t, 2, 8, 8]) steps STEPS {
    w1 = parameter(init=uniform(bound=0.5))
    c1 = conv2d(events, w=w1, out=8, kernel=3, pad=1, stride=2, bias=false)
    s1 = competing_lif(c1, decay=0.75, threshold=0.25, inhibition=0.25, jump=0.25, excess_decay=0.75, reset=soft)
    c2 = conv2d(avg_pool2d(s1, kernel=2), out=16, kernel=3, pad=1, groups=2, bias=false)
    s2 = if(c2, threshold=0.25)
    u  = conv_transpose2d(concat(max_pool2d(s1, kernel=2), s2), out=4, kernel=2, stride=2, bias=false)
    s3 = alif(u, threshold=0.25, amplitude=2.0)
    back = delay(s4) : spike[20]
    s4 = lif(add(linear(flatten(s3), out=20, bias=false), linear(back, out=20, bias=false)), threshold=0.25, reset=soft)
    return s4
}
train { rule = stdp(RULE) }
"""
"""Convolutions, counts, amplitudes, shared neurons, a recurrent connection."""

STILL = """network still(image: spike[10]) steps STEPS {
    s1 = lif(linear(image, out=20, bias=false), decay=0.75, threshold=0.5)
    return competing_lif(linear(s1, out=18, bias=false), threshold=0.25, winner=false, jump=0.25)
}
train { rule = stdp(RULE) }
"""
"""Bits that stay the same in all steps."""

SOURCES = {"clusters": CLUSTERS, "places": PLACES, "still": STILL}

POSITIVE = "potentiation=0.25, depression=0.125, tau_pre=4, tau_post=2"
PAIR = f"{POSITIVE}, w_min=-0.5"
CASES = (
    ("clusters", "tiny", PAIR),
    ("clusters", "exact7", f"{POSITIVE}, mu=1, normalise=3, trace=nearest"),
    ("clusters", "quad3", "form=fspinn, every=2, potentiation=0.25, mu=1, normalise=3"),
    ("places", "quad3", f"{PAIR}, every=2, mu=0.5"),
    ("places", "exact7", "form=fspinn, every=4, threshold=2, mu=0.5, trace=nearest, normalise=2"),
    ("places", "tiny", f"{PAIR}, trace=nearest"),
    ("places", "f32x3", f"{POSITIVE}, normalise=2"),
    ("still", "quad4", PAIR),
    ("still", "bf16x3", f"{POSITIVE}, mu=0.5, normalise=1"),
    ("still", "exact1", "form=fspinn, potentiation=0.25"),
)
"""Networks with machines and settings of the rule."""


def model(tmp_path: Path, network: str, machine: str, rule: str, steps: int = 4) -> Exported:
    path = tmp_path / f"{network}{steps}.snn"
    path.write_text(SOURCES[network].replace("RULE", rule).replace("STEPS", str(steps)), encoding="utf-8")
    return Exported(str(path), machine)


@pytest.mark.parametrize(("network", "machine", "rule"), CASES)
def test_the_program_is_the_oracle_and_needs_no_multiplier(
    network: str, machine: str, rule: str, tmp_path: Path
) -> None:
    made = model(tmp_path, network, machine, rule)
    assert not list(untaught(compiled(made).network, compiled(made).training))
    outcome = outcome_of(made)
    assert outcome.differences
    assert not {entry: told for entry, told in outcome.differences.items() if told}
    weights = {variable.name for variable in compiled(made).training.variables if variable.role == "parameter"}
    assert outcome.learned == weights
    for entry, traffic in outcome.counted.items():
        assert traffic.to_json()["dram"] == outcome.program.predicted[entry]["dram"], entry
    phases = outcome.counted["train_step"].by_phase()
    assert set(phases) <= {"", "FP", "WG", "UP"}, "nothing passes back"
    assert phases["WG"].gated > 0 and not any(amounts.multiply for amounts in phases.values())


def test_no_order_of_streams_changes_a_bit_and_nothing_races(tmp_path: Path) -> None:
    bits: set[str] = set()
    for watched in (False, True):
        order = Shuffled(3) if watched else RoundRobin()
        made = model(tmp_path, "places", "quad3", f"{POSITIVE}, normalise=2")
        bench = Bench(made, oracle=False, order=order, watched=watched)
        bench.run("init")
        bench.feed()
        bench.run("train_step", 0, 3)
        bits.add(bench.bits())
    assert len(bits) == 1


def program(tmp_path: Path, network: str, rule: str, steps: int) -> Program:
    return compiled(model(tmp_path, network, "exact7", rule, steps)).program


@pytest.mark.parametrize("rule", [PAIR, f"{PAIR}, every=2", "form=fspinn, every=4"])
def test_more_steps_need_no_more_memory(rule: str, tmp_path: Path) -> None:
    few, many = (program(tmp_path, "clusters", rule, steps) for steps in (4, 16))
    assert (few.dram_bytes, few.instruction_count) == (many.dram_bytes, many.instruction_count)
    tables = [compiled(model(tmp_path, "clusters", "exact7", rule, steps)).training for steps in (4, 16)]
    tapes = [tape_of(training) for training in tables]
    states = [{state.value: state.bytes for state in carried_of(training)} for training in tables]
    assert {kept.value: kept.bytes for kept in tapes[0]} == {kept.value: kept.bytes for kept in tapes[1]}
    assert states[0] == states[1]
    assert all(kept.bits == 1 and kept.momentary for kept in tapes[0])


def test_a_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    bench = Bench(model(tmp_path, "clusters", "quad1", f"{POSITIVE}, normalise=3"), oracle=False)
    bench.run("init")
    bench.feed()
    bench.run("train_step", 0)
    dram = bench.machine.chip.dram
    before = Progress(1, classes=(3, -1, 0), labelled=9)
    held = checkpoint.capture(bench.program, dram, before, {})
    assert {symbol.name for symbol in held.symbols} == {
        "w", "w.master", "s2.linear.w", "s2.linear.w.master", "s1.excess",
    }  # fmt: skip
    bench.feed()
    bench.run("train_step", 1)
    later = checkpoint.capture(bench.program, dram, Progress(2), {})
    assert np.any(bench.stored("s1.excess")) and later.contents != held.contents
    for symbol in held.symbols:
        bench.machine.write(symbol.name, 7 * (bench.stored(symbol.name) == 0))
    assert checkpoint.restore(checkpoint.from_bytes(checkpoint.to_bytes(held)), bench.program, dram) == before
    bench.run("train_step", 1)
    assert checkpoint.capture(bench.program, dram, Progress(2), {}) == later
