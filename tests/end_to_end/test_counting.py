"""What a program counts without data is what it counts with them; only what zeros decide is predicted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
from float64 import benchmarks
from laws import Bench, Case, compiled, profiled

from snnc.cli._contents import contents_of
from snnc.isa.codecs.codec import CODECS
from snnc.isa.program import Program
from snnc.isa.traffic import Amounts, Key, Traffic
from snnc.runtime.counted import full
from snnc.runtime.counting import Count, counts_of
from snnc.runtime.interpreter import Interpreter
from snnc.runtime.orders import Shuffled
from snnc.runtime.recording import Record, Recorder
from snnc.runtime.settings import Settings


def training(rule: str) -> str:
    return f"rule = {rule}; loss = cross_entropy_mse(lam=0.25); optimizer = sgd(lr=0.05, momentum=0.9)"


CASES = [
    Case("digits", "tiny"),
    Case("csnn", "quad3", partition="in_turn", fusion="off"),
    Case("normed", "exact7"),
    Case("joined", "f32x3"),
    Case("csnn", "exact20", training=training("sltt"), overlap="always", steps=5),
    Case("recurrent", "quad3", training=training("bptt(window=2)"), steps=4),
    *(
        pytest.param(case, marks=pytest.mark.full)
        for case in (
            Case("hourglass", "li7"),
            Case("cells", "quad4", training=training("bptt(window=2, update=batch)"), steps=4),
            Case("again", "exact1", steps=4),
            Case("signals", "bf16x3"),
            Case("recurrent", "exact20", training=training("ottt_a"), overlap="always", steps=3),
            Case("lenet", "quad3", training=training("sltt_k(K=2)"), steps=5),
        )
    ),
]
"""One core and many, casts and sums over cores, stages side by side and in turn, steps that overlap, windows, moments,
steps that the host chooses, accumulators of all kinds."""


def counted(program: Program, density: float | str | None = None, seed: int | None = None) -> dict[str, Count]:
    contents = full if density is None else contents_of(program, density)
    order = None if seed is None else Shuffled(seed)
    machine = Interpreter(program, contents=contents, order=order)
    return {count.entry: count for count in counts_of(machine, Settings.of(program.settings, seed=3))}


def with_data(case: Case) -> Iterator[tuple[str, Traffic, Record, int]]:
    """The same entries with data, in the order of the program."""
    bench = Bench(case, oracle=False)
    for entry in bench.program.entries:
        recorder = Recorder(bench.machine.target)
        if entry.inputs:
            bench.feed()
        bench.machine.counters.take()
        bench.machine.listen(recorder)
        bench.run(entry.name)
        bench.machine.ignore(recorder)
        assert recorder.record is not None
        yield entry.name, bench.machine.counters.take(), recorder.record, bench.machine.executed(entry.name)


def moved(traffic: Traffic) -> dict[Key, Amounts]:
    """All but what the host does and what zeros decide, by phase, tensor and layer."""
    bare = {
        key: replace(row, host_read=0, host_write=0, gated=0, multiply=0, skipped=0)
        for key, row in traffic.rows.items()
    }
    return {key: row for key, row in bare.items() if row != Amounts()}


def products(traffic: Traffic) -> dict[Key, float]:
    """Products by phase and layer, be they done or saved."""
    dense = {key: row.gated + row.multiply + row.skipped for key, row in traffic.rows.items()}
    return {key: amount for key, amount in dense.items() if amount}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_all_but_zeros_is_counted_without_data(case: Case) -> None:
    found = counted(compiled(case).program)
    for entry, traffic, record, executed in with_data(case):
        count = found[entry]
        assert count.counted.basis == "counted" and count.predicted.basis == "predicted"
        assert moved(count.counted) == moved(traffic), entry
        assert traffic.total.dram > 0 and not moved(count.predicted)
        assert products(count.predicted) == products(traffic) and not products(count.counted), entry
        assert count.record == record, entry
        assert count.instructions == executed > 0


def test_the_order_of_streams_does_not_show() -> None:
    program = compiled(CASES[1]).program  # type: ignore[arg-type]
    by_turn, shuffled = counted(program), counted(program, seed=7)
    assert by_turn == shuffled


SPARSE = [
    Case("lenet", "tiny", surrogate="rect(alpha=4)"),
    pytest.param(Case("csnn", "quad3", surrogate="triangle(alpha=4)"), marks=pytest.mark.full),
]


@pytest.mark.parametrize("case", SPARSE, ids=str)
def test_what_zeros_decide_is_predicted_from_a_profile(case: Case) -> None:
    """Of the batch that was profiled: bytes of codecs within 6 %, products that are done within 20 % in each phase, and
    within 5 % of what the compiler predicts from the same profile by closed formulas."""
    known, _ = profiled(case)
    program = compiled(known).program
    assert isinstance(known.density, str)
    found = counted(program, known.density)["train_step"]
    bench = Bench(known, oracle=False)
    bench.run("init")
    bench.feed()
    bench.machine.counters.take()
    bench.run("train_step")
    traffic = bench.machine.counters.take()
    fixed = {key: row for key, row in traffic.rows.items() if CODECS[key.codec].fixed}
    blocks = {symbol.name for symbol in program.symbols if symbol.blocks}
    assert {key.tensor for key in found.predicted.rows if key.tensor} == blocks & {key.tensor for key in traffic.rows}
    for key, row in fixed.items():
        there = found.counted.rows.get(key, Amounts())
        assert (there.dram, there.network, there.element) == (row.dram, row.network, row.element), key
    ports = sum(row.scratchpad_read + row.scratchpad_write for row in found.counted.rows.values())
    assert ports == traffic.total.scratchpad_read + traffic.total.scratchpad_write
    coded = traffic.total.dram - sum(row.dram for row in fixed.values())
    assert found.predicted.total.dram == pytest.approx(coded, rel=0.06) and coded > 0
    assert sum(products(found.predicted).values()) == sum(products(traffic).values())
    done, expected, closed = traffic.by_phase(), found.predicted.by_phase(), program.predicted["train_step"]["by_phase"]
    for phase in ("FP", "BP", "WG"):
        assert 0 < expected[phase].skipped
        found_of = expected[phase].gated + expected[phase].multiply
        assert found_of == pytest.approx(done[phase].gated + done[phase].multiply, rel=0.2), phase
        work = closed[phase]["work"]
        assert found_of == pytest.approx(work["gated"] + work["multiply"], rel=0.05), phase


def test_one_density_for_all_that_can_be_sparse() -> None:
    """Spikes gate a tenth of the additions, images none of them."""
    case = Case("digits", "tiny")
    program = compiled(replace(case, density=0.125)).program
    found = counted(program, 0.125)["train_step"].predicted.by_phase()["FP"]
    once, moving = 5 * 64 * 40, 3 * 5 * 40 * 10
    assert (found.multiply, found.gated, found.skipped) == (once, moving / 8, moving * 7 / 8)


def test_memory_does_not_grow_with_dram() -> None:
    """A program of a petabyte: only its addresses are looked at."""
    program = replace(compiled(Case("digits", "tiny")).program, dram_bytes=1 << 50)
    machine = Interpreter(program, contents=full)
    assert machine.chip.dram.nbytes == 1 << 50
    assert sum(count.counted.total.dram for count in counts_of(machine, Settings.of(program.settings))) > 0
    with pytest.raises(ValueError, match="has no data"):
        machine.read("logits")
    with pytest.raises(ValueError, match="has no data"):
        machine.write("image", np.zeros((5, 1, 8, 8)))


@pytest.mark.full
@pytest.mark.parametrize("target", ["edge512", "li2024_exact"])
@pytest.mark.parametrize("model", ["vgg11", "resnet18"])
def test_networks_of_full_size_move_what_is_predicted(model: str, target: str) -> None:
    """Too large to compute here: 16 samples of 32 x 32 pixels, 4 time steps, up to 512 channels."""
    benchmarks()
    found = import_module("benchmarks.count_only").measure(model, target)
    for entry, each in found["entries"].items():
        assert each["counted"] == each["compiler"] and each["counted"]["total"] > 0, entry
        assert not each["predicted"]["total"], entry
    assert found["entries"]["train_step"]["instructions"] > 100_000
