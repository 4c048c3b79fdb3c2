"""Law 1 for tandem learning: what a compiled program computes is what the oracle computes, bit for bit."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from laws import MACHINES, Bench, Exported, compiled, folder, outcome_of

from snnc.compiler.passes.differentiate import untaught
from snnc.runtime.orders import RoundRobin, Shuffled

SOURCES = {
    "plain": """
network plain(image: f16[1, 8, 8]) steps 5 {
    c1 = conv2d(image, out=8, kernel=3, pad=1)
    s1 = if(c1, threshold=0.25, amplitude=0.25, initial=0.125, reset=soft)
    p1 = avg_pool2d(s1, kernel=2)
    c2 = conv2d(dropout(p1, p=0.25), out=8, kernel=3, pad=1, groups=2)
    s2 = if(add(c2, p1), threshold=0.5, reset=soft)
    s3 = lif(linear(flatten(s2), out=24), decay=1.0, gain=0.5, threshold=0.25, reset=soft)
    return linear(s3, out=10)
}""",
    "normed": """
network normed(image: f16[t, 2, 6, 6]) steps 4 {
    n1 = batch_norm(conv2d(image, out=8, kernel=3, pad=1))
    s1 = if(n1, threshold=0.25, amplitude=0.25, reset=soft)
    d1 = dropout(s1, p=0.25)
    n2 = batch_norm(conv2d(sum_pool2d(d1, kernel=2), out=8, kernel=3, pad=1, bias=false), scope=window)
    s2 = if(add(n2, avg_pool2d(d1, kernel=2)), threshold=0.5, amplitude=1.5, reset=soft)
    wide = concat(upsample(s2, factor=2), s1)
    raw = parameter(init=kaiming_normal) : weight f16[8, 16, 3, 3]
    c3 = scale(conv2d(wide, w=standardise(raw), out=8, kernel=3, stride=2, pad=1), each=channel)
    s3 = if(batch_norm(c3, affine=false), threshold=0.25, reset=soft)
    l4 = batch_norm(linear(flatten(global_avg_pool2d(s3)), out=24, bias=false), shift=false)
    s4 = if(l4, threshold=0.5, reset=soft)
    return batch_norm(linear(s4, out=10))
}""",
}
"""Without a norm, and with them: on an image and on counts, in front of a sum, without parameters, behind the last."""

OPTIMIZERS = ("adam(lr=1e-2)", "sgd(lr=0.05, momentum=0.9); loss_scale = dynamic")

RUNS = [
    ("plain", "all", "tiny", ""),
    ("plain", "1", "exact7", ""),
    ("plain", "all", "quad3", "freeze = c1"),
    ("normed", "all", "exact7", ""),
    ("normed", "all", "tiny", ""),
    ("normed", "3", "quad3", "freeze = [n1, n2]"),
    ("normed", "2", "f32x3", ""),
    ("normed", "1", "bf16x1", ""),
    ("normed", "0", "quad3", ""),
]
MORE = [(network, spiking, machine, "") for network in SOURCES for spiking in ("all", "2", "0") for machine in MACHINES]


def counted(network: str, spiking: str, machine: str, more: str = "", steps: int | None = None) -> Exported:
    """A network of `SOURCES`, with so many layers that spike, on a machine; losses and optimizers vary."""
    loss = ("cross_entropy", "mse_rate")[len(spiking) % 2]
    optimizer = OPTIMIZERS[len(machine) % 2]
    train = f"rule = tandem(spiking={spiking}); loss = {loss}; optimizer = {optimizer}; {more}"
    path = folder() / f"{network}-{sha256(train.encode()).hexdigest()[:12]}.snn"
    path.write_text(f"{SOURCES[network]}\ntrain {{ {train} }}\n", encoding="utf-8")
    return Exported(str(path), machine, steps)


def cases() -> list[object]:
    marked = [pytest.param(*run, marks=pytest.mark.full) for run in MORE if run not in RUNS]
    return [*RUNS, *marked]


@pytest.mark.parametrize(("network", "spiking", "machine", "more"), cases())
def test_the_program_is_the_oracle(network: str, spiking: str, machine: str, more: str) -> None:
    outcome = outcome_of(counted(network, spiking, machine, more))
    assert outcome.differences
    assert not {entry: told for entry, told in outcome.differences.items() if told}
    for entry, traffic in outcome.counted.items():
        assert traffic.to_json()["dram"] == outcome.program.predicted[entry]["dram"], entry
    assert len(set(outcome.losses)) == len(outcome.losses), "nothing was learned"


@pytest.mark.parametrize("spiking", ["all", "1"])
def test_everything_learns(spiking: str) -> None:
    compilation = compiled(counted("normed", spiking, "quad3"))
    assert not list(untaught(compilation.network, compilation.training))


def test_no_order_of_streams_changes_a_bit_and_nothing_races() -> None:
    bits: set[str] = set()
    for watched in (False, True):
        order = Shuffled(3) if watched else RoundRobin()
        bench = Bench(counted("normed", "2", "quad3"), oracle=False, order=order, watched=watched)
        bench.run("init")
        bench.feed()
        bench.run("train_step", 0, 2)
        bits.add(bench.bits())
    assert len(bits) == 1


@pytest.mark.parametrize(("network", "spiking"), [("plain", "all"), ("plain", "1"), ("normed", "3")])
def test_neither_the_program_nor_its_memory_grows_with_the_number_of_steps(network: str, spiking: str) -> None:
    """Counts of 8 to 15 steps have 4 bits; of an image that stays the same nothing but spikes has steps."""
    few, many = (counted(network, spiking, "exact7", steps=steps).compilation().program for steps in (8, 15))
    grown = {symbol.name for symbol in many.symbols if symbol.bytes != few.by_name[symbol.name].bytes}
    assert grown == ({"image"} if network == "normed" else set())
    assert many.instruction_count == few.instruction_count


def operations(model: Exported) -> dict[str, float]:
    """Sums and products of a training step by phase, counted, those that gating skips included."""
    bench = Bench(model, oracle=False)
    bench.run("init")
    bench.feed()
    bench.machine.counters.take()
    bench.run("train_step")
    phases = bench.machine.counters.take().by_phase()
    return {phase: each.multiply + each.gated + each.skipped for phase, each in phases.items()}


def test_errors_and_weights_take_one_step_and_only_layers_with_norms_go_forward_once_more() -> None:
    """Beside `dsr`, whose errors pass layers step by step: 5 steps of the one network, and 4 of the other."""

    def by_step(model: Exported) -> Exported:
        path = model.path.replace(".snn", "-step.snn")
        text = Path(model.path).read_text("utf-8")
        Path(path).write_text(text.replace("rule = tandem(spiking=all)", "rule = dsr(form=step)"), "utf-8")
        return Exported(path, model.machine)

    plain, normed = (counted(network, "all", "exact7") for network in ("plain", "normed"))
    once, steps = operations(plain), operations(by_step(plain))
    assert (once["FP"], 5 * once["BP"]) == (steps["FP"], steps["BP"]) and once["WG"] < 0.3 * steps["WG"]
    once, steps = operations(normed), operations(by_step(normed))
    assert (4 * once["BP"], 4 * once["WG"]) == (steps["BP"], steps["WG"])
    assert steps["FP"] < once["FP"] <= 1.25 * steps["FP"]
    silent = operations(counted("normed", "0", "exact7"))
    assert (silent["BP"], silent["WG"]) == (once["BP"], once["WG"]) and silent["FP"] < 0.26 * steps["FP"]
