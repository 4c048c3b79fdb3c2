"""Law 1 with frozen layers: bits are those of the oracle, what is frozen keeps its own, and less is done and moved."""

from __future__ import annotations

import numpy as np
import pytest
from laws import Bench, Case, compiled, outcome_of

from snnc.isa.traffic import Traffic

RUNS = [
    ("bptt", "normed", "tiny", '[c1, n1, "n2*"]'),
    ("bptt", "normed", "f32x3", '["n?.running_*", c2, "n3*"]'),
    ("bptt", "normed", "exact7", '["n?"]'),
    ("bptt", "recurrent", "quad3", "[r1, a1.batch_norm, a2]"),
    ("sltt", "recurrent", "quad3", '"a1.*.running*"'),
    ("ottt_a", "recurrent", "exact7", "[c1, a1]"),
    ("ottt_o", "lenet", "quad3", "c1"),
    ("opzo", "csnn", "f32x3", "[c2]"),
    ("dsr", "lenet", "exact7", "[c1, c2]"),
]
"""A rule, a network, a machine and what is frozen: a beginning, norms alone, their statistics alone, a middle."""


def case(rule: str, network: str, machine: str, more: str) -> Case:
    loss = "cross_entropy" if rule in ("bptt", "dsr") else "cross_entropy_mse(lam=0.25)"
    training = f"rule = {rule}; loss = {loss}; optimizer = sgd(lr=0.1, momentum=0.9){more}"
    return Case(network, machine, reset="soft", training=training)


@pytest.mark.parametrize(("rule", "network", "machine", "freeze"), RUNS)
def test_the_program_is_the_oracle(rule: str, network: str, machine: str, freeze: str) -> None:
    outcome = outcome_of(case(rule, network, machine, f"; freeze = {freeze}"))
    assert outcome.differences
    assert not {entry: told for entry, told in outcome.differences.items() if told}
    for entry, traffic in outcome.counted.items():
        assert traffic.to_json()["dram"] == outcome.program.predicted[entry]["dram"], entry
    assert len(set(outcome.losses)) == len(outcome.losses), "nothing was learned"


def counted(more: str) -> tuple[Bench, Traffic, dict[str, bytes]]:
    """A training step of a network of three layers, counted, with the bits that lasted through it."""
    bench = Bench(case("bptt", "lenet", "exact7", more), oracle=False)
    bench.run("init")
    bench.feed()
    bench.machine.counters.take()
    before = {name: bench.machine.values(name).tobytes() for name in lasting(bench)}
    bench.run("train_step")
    same = {name: bits for name, bits in before.items() if bench.machine.values(name).tobytes() == bits}
    return bench, bench.machine.counters.take(), same


def lasting(bench: Bench) -> list[str]:
    return [each.name for each in bench.training.variables if each.role in ("parameter", "master", "statistic")]


def test_what_is_frozen_keeps_its_bits_and_neither_work_nor_traffic_is_spent_on_it() -> None:
    """Of the three layers of `lenet` two are frozen: errors stop behind them, and no gradient of theirs is made."""
    whole, all_of_it, changed = counted("")
    part, less, same = counted("; freeze = [c1, c2]")
    frozen = {f"{layer}.{kind}" for layer in ("c1", "c2") for kind in ("w", "b")}
    assert same.keys() == frozen | {f"{name}.master" for name in frozen} and not changed
    phases = [each.by_phase() for each in (all_of_it, less)]
    assert phases[1]["FP"].useful_write < phases[0]["FP"].useful_write, "membranes are no tape"
    for phase, layers in (("BP", 0), ("WG", 1)):
        work = [each[phase].multiply + each[phase].gated + each[phase].skipped for each in phases]
        assert work[1] < work[0] and bool(work[1]) == bool(layers)
    written = {name for name, amounts in less.by_tensor().items() if amounts.useful_write}
    assert "digit.w" in written and not {name for name in written if "c1" in name or "c2" in name} - {
        "c1", "c2",
    }  # fmt: skip
    sizes = [sum(each.bytes for each in bench.program.symbols if each.role == "optimizer") for bench in (whole, part)]
    digits = sum(part.program.symbol(name).bytes for name in ("digit.w.m", "digit.b.m"))
    assert sizes[1] == digits < sizes[0]
    assert part.program.dram_bytes < whole.program.dram_bytes


def test_answers_do_not_depend_on_what_is_frozen() -> None:
    programs = [compiled(case("bptt", "normed", "quad3", more)) for more in ("", '; freeze = ["n?", c1]')]
    benches = [Bench(case("bptt", "normed", "quad3", more), oracle=False) for more in ("", '; freeze = ["n?", c1]')]
    assert programs[0].training.hash != programs[1].training.hash
    for bench in benches:
        bench.run("init")
        bench.feed()
        bench.run("infer")
    logits = [bench.machine.values("logits") for bench in benches]
    assert np.any(logits[0]) and np.array_equal(logits[0], logits[1])
