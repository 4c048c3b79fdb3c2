"""Laws 1 and 4 for kernels of first spikes: bits are the oracle's, traffic as predicted, on every machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from laws import MACHINES, Bench, Exported, compiled, outcome_of

from snnc.runtime.orders import RoundRobin, Shuffled

DENSE = """
network dense(image: f16[70, 10, 7]) steps 26 {
    tau0 = parameter(init=constant(value=4.0)) : f32[]
    delay0 = parameter(init=constant(value=0.25)) : f32[]
    tau1 = parameter(init=constant(value=3.0)) : f32[]
    delay1 = parameter(init=constant(value=0.5)) : f32[]
    s0 = ttfs(image, tau0, delay0, start=0, window=10)
    i1 = ttfs_kernel(linear(flatten(s0), out=90, bias=false), tau0, delay0, start=0, window=10)
    s1 = ttfs(i1, tau1, delay1, start=8, window=12)
    return ttfs_kernel(linear(s1, out=10, bias=false), tau1, delay1, start=8, window=12)
}
"""
"""4900 neurons, which take two levels of sums; the second layer begins to fire while it still integrates."""

CONVOLVED = """
network convolved(image: f16[2, 8, 8]) steps 24 {
    tau = parameter(init=constant(value=3.0)) : f32[]
    delay = parameter(init=constant(value=0.0)) : f32[]
    tau1 = parameter(init=constant(value=2.5)) : f32[]
    delay1 = parameter(init=constant(value=0.75)) : f32[]
    s0 = ttfs(conv2d(image, out=5, kernel=3, pad=1, bias=false), tau, delay, start=0, window=8)
    c1 = conv2d(avg_pool2d(s0, kernel=2), out=6, kernel=3, pad=1, bias=false)
    k1 = scale(ttfs_kernel(c1, tau, delay, start=0, window=8), each=channel, factor=2.0)
    s1 = ttfs(k1, tau1, delay1, start=8, window=8)
    c2 = linear(flatten(concat(s1, s1)), out=20, bias=false)
    s2 = ttfs(ttfs_kernel(c2, tau1, delay1, start=8, window=8), tau, delay, start=16, window=8)
    return ttfs_kernel(linear(s2, out=10, bias=false), tau, delay, start=16, window=8)
}
"""
"""Layers that share a kernel, and what lies between weights and neurons."""

NETWORKS = {"dense": DENSE, "convolved": CONVOLVED}
TRAINED = {
    "dense": "rule = t2fsnn; loss = cross_entropy; optimizer = sgd(lr=1.0)",
    "convolved": "rule = t2fsnn; loss = mse_rate; optimizer = adam(lr=0.05); loss_scale = dynamic",
}
FIRST = {("dense", "tiny"), ("convolved", "quad3"), ("convolved", "exact7")}


def model(name: str, machine: str, folder: Path) -> Exported:
    path = folder / f"{name}.snn"
    path.write_text(f"{NETWORKS[name]}train {{ {TRAINED[name]} }}\n", encoding="utf-8")
    return Exported(str(path), machine)


@pytest.mark.parametrize(
    ("name", "machine"),
    [
        pytest.param(name, machine, marks=() if (name, machine) in FIRST else pytest.mark.full)
        for name in NETWORKS
        for machine in MACHINES
    ],
)
def test_the_program_is_the_oracle(name: str, machine: str, tmp_path: Path) -> None:
    outcome = outcome_of(model(name, machine, tmp_path))
    assert outcome.differences
    assert not {entry: told for entry, told in outcome.differences.items() if told}
    for entry, traffic in outcome.counted.items():
        assert traffic.to_json()["dram"] == outcome.program.predicted[entry]["dram"], entry
    assert len(set(outcome.losses)) == len(outcome.losses), "nothing was learned"


def test_no_order_of_streams_changes_a_bit_and_nothing_races(tmp_path: Path) -> None:
    bits: set[str] = set()
    for watched in (False, True):
        order = Shuffled(3) if watched else RoundRobin()
        bench = Bench(model("convolved", "quad3", tmp_path), oracle=False, order=order, watched=watched)
        bench.run("init")
        bench.feed()
        bench.run("train_step", 0, 3)
        bits.add(bench.bits())
    assert len(bits) == 1


def test_no_error_passes_and_no_room_grows_with_time(tmp_path: Path) -> None:
    found = compiled(model("convolved", "exact7", tmp_path))
    stages = found.schedule.entries["train_step"]
    assert not [stage.node for stage in stages if stage.phase == "BP"]
    assert not [symbol.name for symbol in found.program.symbols if symbol.steps > 1]
