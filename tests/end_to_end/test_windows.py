"""Windows of time on the machine: the laws for truncated back-propagation, and that its tape is that of a window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from laws import Bench, Case, Exported, Model, compiled, outcome_of

from snnc.compiler.cost.carried import carried_of
from snnc.compiler.cost.tape import tape_of
from snnc.compiler.ir.text import parse_setting
from snnc.compiler.pipeline import Compilation, Options
from snnc.isa.program import Program
from snnc.reports.tape_text import tape_json, tape_text

CASES = (
    ("bptt(window=2)", "digits", "tiny", 4),
    ("bptt(window=1)", "digits", "exact7", 4),
    ("bptt(window=2)", "csnn", "quad3", 4),
    ("bptt(window=3, update=batch)", "csnn", "f32x3", 6),
    ("bptt(window=1, update=batch)", "lenet", "exact7", 3),
    ("bptt(window=2)", "lenet", "li7", 4),
    ("bptt(window=3)", "joined", "tiny", 6),
    ("bptt(window=2, update=batch)", "csnn", "exact20", 4),
    ("bptt(window=2)", "recurrent", "exact7", 6),
    ("bptt(window=3, update=batch)", "recurrent", "tiny", 6),
    ("bptt(window=1)", "recurrent", "f32x3", 4),
    ("bptt(window=2)", "hourglass", "quad4", 4),
    ("bptt(window=2, update=batch)", "signals", "exact1", 4),
    ("bptt(window=2, update=batch)", "cells", "quad3", 4),
    ("bptt(window=4, update=batch)", "again", "quad1", 8),
)
"""Settings, networks, machines and steps."""


def case(rule: str, network: str, machine: str, steps: int) -> Case:
    """Optimizers that count their updates, once a batch or in each window, and one that does not."""
    counts = "batch" in rule or steps == 4
    optimizer = "adam(lr=1e-2)" if counts else "sgd(lr=0.05, momentum=0.9, weight_decay=0.01)"
    training = f"rule = {rule}; loss = cross_entropy_mse(lam=0.25); optimizer = {optimizer}"
    return Case(network, machine, reset="soft", surrogate="atan", training=training, steps=steps)


@pytest.mark.parametrize(("rule", "network", "machine", "steps"), CASES)
def test_the_program_is_the_oracle_and_moves_what_was_predicted(
    rule: str, network: str, machine: str, steps: int
) -> None:
    outcome = outcome_of(case(rule, network, machine, steps))
    assert not {entry: told for entry, told in outcome.differences.items() if told}
    assert outcome.learned and len(set(outcome.losses)) == len(outcome.losses)
    for entry, traffic in outcome.counted.items():
        assert traffic.to_json()["dram"] == outcome.program.predicted[entry]["dram"], entry


MODELS = (
    ("window=1", "srnn", "exact7"),
    ("window=2", "srnn", "quad3"),
    ("window=2, update=batch", "srnn", "quad3"),
    ("window=2", "vgg11", "quad3"),
    pytest.param("window=1", "srnn", "quad3", marks=pytest.mark.full),
    pytest.param("window=2", "srnn", "exact7", marks=pytest.mark.full),
    pytest.param("window=2, update=batch", "srnn", "exact7", marks=pytest.mark.full),
    pytest.param("window=1", "vgg11", "quad3", marks=pytest.mark.full),
    pytest.param("window=2, update=batch", "vgg11", "f32x3", marks=pytest.mark.full),
)


@pytest.mark.parametrize(("settings", "name", "machine"), MODELS)
def test_models_learn_in_windows_as_the_oracle_does(settings: str, name: str, machine: str) -> None:
    outcome = outcome_of(Model(name, machine, parse_setting(f"bptt({settings})")))
    assert not {entry: told for entry, told in outcome.differences.items() if told}
    for entry, traffic in outcome.counted.items():
        assert traffic.to_json()["dram"] == outcome.program.predicted[entry]["dram"], entry


LEARNED = """
network learned(x: f16[2, 6, 6]) steps 4 {
    c1 = batch_norm(conv2d(x, out=3, kernel=3, pad=1))
    s1 = lif(c1, threshold=0.5, reset=soft, learn_threshold=channel, amplitude=1.5)
    raw = parameter(init=kaiming_normal) : weight f16[4, 3, 3, 3]
    c2 = batch_norm(conv2d(avg_pool2d(s1, kernel=2), w=standardise(raw), out=4, kernel=3, pad=1), scope=separate)
    s2 = plif(scale(c2, each=step, factor=2), threshold=0.5, each=channel, surrogate=rect)
    s3 = lif(linear(dropout(flatten(s2), mask=step), out=8), threshold=0.5, reset=soft, reset_time=delayed)
    return linear(dropout(s3, p=0.25), out=3)
}
train { rule = RULE; loss = cross_entropy_mse(lam=0.25); optimizer = sgd(lr=0.5, momentum=0.5, weight_decay=0.01) }
"""
"""Whatever may be learned, words of single steps among them, and neurons that look back at the step before."""


@pytest.mark.parametrize(
    ("settings", "machine"), [("window=2", "quad3"), ("window=1", "tiny"), ("window=2, update=batch", "f32x3")]
)
def test_all_that_is_learned_is_what_the_oracle_learns(settings: str, machine: str, tmp_path: Path) -> None:
    path = tmp_path / "learned.snn"
    path.write_text(LEARNED.replace("RULE", f"bptt({settings})"), encoding="utf-8")
    outcome = outcome_of(Exported(str(path), machine))
    assert not {entry: told for entry, told in outcome.differences.items() if told}
    parameters = [symbol.name for symbol in outcome.program.symbols if symbol.role == "parameter"]
    assert outcome.learned == set(parameters)
    for entry, traffic in outcome.counted.items():
        assert traffic.to_json()["dram"] == outcome.program.predicted[entry]["dram"], entry


def test_what_sees_all_gradients_together_sees_those_of_all_windows() -> None:
    training = (
        "rule = bptt(window=2, update=batch); loss = cross_entropy_mse(lam=0.25); "
        "optimizer = adam; loss_scale = dynamic; clip = norm(0.01)"
    )
    bench = Bench(Case("csnn", "quad3", training=training, steps=4))
    bench.run("init", scalars={"clip": 0.01})
    before = bench.stored("c2.w.master")
    for step, loss_scale in enumerate((1024.0, 1e30, 1024.0)):
        bench.feed()
        bench.run("train_step", step, scalars={"clip": 0.01, "loss_scale": loss_scale})
        assert not bench.difference()
        assert (
            bool(bench.stored("overflow")) == (loss_scale > 1e6) == np.array_equal(before, bench.stored("c2.w.master"))
        )
        before = bench.stored("c2.w.master")


# Memory


def program(rule: str, network: str, steps: int, machine: str = "exact7") -> Program:
    return compiled(case(rule, network, machine, steps)).program


def tape(rule: str, network: str, steps: int) -> dict[str, int]:
    """Bytes of DRAM that the tape has, by value."""
    made = compiled(case(rule, network, "exact7", steps))
    sizes = {kept.value: made.program.symbol(kept.value).bytes for kept in tape_of(made.training)}
    assert sizes == {kept.value: kept.bytes for kept in tape_of(made.training)}
    return sizes


@pytest.mark.parametrize("network", ["digits", "csnn", "joined"])
def test_the_tape_has_room_for_a_window_and_not_for_all_steps(network: str) -> None:
    assert tape("bptt(window=4)", network, 16) == tape("bptt", network, 4)
    assert tape("bptt(window=4, update=batch)", network, 16) == tape("bptt", network, 4)
    whole, windows = tape("bptt", network, 16), tape("bptt(window=4)", network, 16)
    moving = {name for name, size in whole.items() if size != windows[name]}
    assert moving and all(whole[name] == 4 * windows[name] for name in moving)


@pytest.mark.parametrize("update", ["window", "batch"])
def test_more_windows_need_no_more_memory_and_no_longer_program(update: str) -> None:
    few, many = (program(f"bptt(window=4, update={update})", "csnn", steps) for steps in (8, 32))
    assert few.dram_bytes == many.dram_bytes
    assert few.instruction_count == many.instruction_count


def written(bench: Bench) -> dict[str, float]:
    """Bytes that a training step writes to each tensor, counted where they move."""
    bench.run("init")
    bench.feed()
    bench.machine.counters.take()
    bench.run("train_step")
    return {name: amounts.useful_write for name, amounts in bench.machine.counters.take().by_tensor().items()}


@pytest.mark.parametrize("network", ["csnn", "recurrent"])
def test_the_tape_is_written_anew_in_each_window(network: str) -> None:
    """Counted on the interpreter: each window fills the room once, whole, and nothing else is on the tape."""
    bench = Bench(case("bptt(window=2)", network, "quad1", 8), oracle=False)
    moved, table = written(bench), tape_of(bench.training)
    assert any(kept.room for kept in table)
    for kept in table:
        rooms = 4 if kept.room or not kept.type.timed else 1
        assert moved[kept.value] == rooms * kept.bytes == rooms * bench.symbols[kept.value].bytes, kept.value
    whole = {symbol.name for symbol in bench.program.symbols if symbol.steps == 8}
    assert whole == ({"s1", "s2"} if network == "recurrent" else set()), "delays read them in windows to come"
    for state in carried_of(bench.training):
        assert moved[state.value] == state.bytes * (4 if state.readers == ("the next window",) else 8), state.value


def test_the_table_of_the_tape_tells_of_windows() -> None:
    training = compiled(case("bptt(window=2)", "csnn", "quad1", 8)).training
    table, carried = tape_of(training), carried_of(training)
    size = sum(kept.bytes for kept in table if kept.room == 2)
    text = tape_text(table, "csnn", carried)
    assert f"; {size} of them are the room of 2 time steps, written anew in each window" in text.splitlines()[0]
    assert "written anew in each window and no part of the tape" in text and ", 2 steps" in text
    assert {each["room"] for each in tape_json(table, carried)["values"]} == {2}


def test_on_a_deep_network_windows_save_what_they_cut() -> None:
    """At eight steps, in full size, with windows of two: what samples leave on the tape is a fourth."""
    loss = ("cross_entropy_mse", ("lam", 0.05))
    train = {"loss": loss, "optimizer": "sgd"}
    options = {window: Options(steps=8, rule=("bptt", ("window", window)), train=train) for window in (0, 2)}
    tapes = {window: tape_of(Compilation("vgg11", given).training) for window, given in options.items()}
    moving = {
        window: {kept.value: kept.bytes for kept in table if kept.type.timed and kept.type.batched}
        for window, table in tapes.items()
    }
    assert {value: 4 * size for value, size in moving[2].items()} == moving[0]


def test_values_of_the_last_window_are_shown_as_such() -> None:
    made = program("bptt(window=2)", "csnn", 8)
    assert made.settings["window"] == 2
    assert {made.symbol(name).last_steps for name in ("s1", "s2", "d.cloth")} == {2}
    assert {made.symbol(name).last_steps for name in ("image", "loss", "c1.w")} == {0}
    bench = Bench(case("bptt(window=2)", "csnn", "quad1", 8))
    bench.run("init")
    bench.feed()
    bench.run("train_step")
    assert bench.oracle is not None
    spikes = bench.oracle.value("s1")
    assert np.array_equal(bench.stored("s1").reshape(spikes[6:].shape), spikes[6:])
