"""What a learning rule keeps from step to step is in a checkpoint, and a run goes on from it bit for bit."""

from __future__ import annotations

import pytest
from laws import Bench, Case

from snnc.compiler.training.rule import RULES
from snnc.runtime import checkpoint
from snnc.runtime.checkpoint import Progress

TRAINING = [rule for rule in RULES if rule not in ("t2fsnn", "stdp")]
"""Those under which the network of this test is trained: of the others see test_law1_stdp.py; `t2fsnn` keeps nothing
but parameters."""

WINDOWS = ["bptt(window=2)", "bptt(window=2, update=batch)"]


@pytest.mark.parametrize("rule", TRAINING + WINDOWS)
def test_a_run_goes_on_bit_for_bit(rule: str) -> None:
    name, _, window = rule.partition("(")
    loss = "cross_entropy_mse" if RULES[name].template == "up" or window else "cross_entropy"
    several = RULES[name].update == "step" or rule == WINDOWS[0]
    optimizer = "adam(lr=0.01)" if several else "sgd(lr=0.1, momentum=0.9)"  # of which the program counts the updates
    training = f"rule = {rule}; loss = {loss}; optimizer = {optimizer}"
    reset = "soft, decay=1.0" if RULES[name].carry == "count" else "soft"
    bench = Bench(Case("digits", "quad1", reset=reset, training=training, steps=4), oracle=False)
    bench.run("init")
    bench.feed()
    bench.run("train_step", 0)
    dram = bench.machine.chip.dram
    held = checkpoint.capture(bench.program, dram, Progress(1), {})
    names = {symbol.name for symbol in held.symbols}
    assert names == {each.name for each in bench.training.variables if each.role not in ("input", "label")}
    bench.feed()
    bench.run("train_step", 1)
    later = checkpoint.capture(bench.program, dram, Progress(2), {})
    assert later.contents != held.contents
    for name in names:
        bench.machine.write(name, 7 * (bench.stored(name) == 0))
    assert checkpoint.restore(checkpoint.from_bytes(checkpoint.to_bytes(held)), bench.program, dram) == Progress(1)
    bench.run("train_step", 1)
    assert checkpoint.capture(bench.program, dram, Progress(2), {}) == later
