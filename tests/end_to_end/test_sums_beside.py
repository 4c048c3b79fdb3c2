"""Sums beside others: a bias's gradient in the stage of its weight's, whatever turns there and whatever cores share.

Laws 1 and 4 where tiles of errors come again (channels and taps are cut, inside or outside of the errors' own loops),
where cores share loops that a bias does not have, and where they share its samples.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, cast

import pytest
from laws import Bench, changed_target, compiled, folder

from snnc.compiler.ir.schedule import Stage, Step
from snnc.compiler.ir.statement import Contraction
from snnc.compiler.pipeline import Compilation, Options

CLIPPED = "; clip = norm(1.0)"
SOURCE = """network net(image: f16[2, 6, 6]) steps 3 {{
    s1 = lif(conv2d(image, out=32, kernel=3, pad=1), threshold=0.25)
    c2 = conv2d(s1, out=48, kernel=3, pad=1)
    s2 = lif(c2, threshold=0.25, reset=soft)
    return linear(flatten(s2), out=10)
}}
train {{ loss = cross_entropy; optimizer = {optimizer}; batch = 5 }}"""

LINEAR = """network net(image: f16[8]) steps 2 {{
    return lif(linear(image, out=16), threshold=0.25)
}}
train {{ loss = mse_rate; optimizer = {optimizer}; batch = 4 }}"""


@dataclass(frozen=True)
class Mapped:
    """A network on some cores of `quad`, with a pin of its second layer's gradients."""

    pin: str = ""
    cores: int = 1
    accumulators: str = "exact"
    optimizer: str = "adam(lr=1e-2)"
    fusion: str = "auto"
    partition: str = "in_turn"
    density: float = 1.0
    objective: str = "dram"
    source: str = SOURCE

    def compilation(self) -> Compilation:
        """Not yet made."""
        text = self.source.format(optimizer=self.optimizer)
        path = folder() / f"beside-{hashlib.sha256(text.encode()).hexdigest()[:12]}.snn"
        path.write_text(text)
        target = changed_target("quad", f"quad_{self.accumulators}", self.accumulators)
        chosen: dict[str, Any] = {"pins": (f"c2.wg={self.pin}",) if self.pin else (), "fusion": self.fusion}
        chosen |= {"partition": self.partition, "density": self.density, "objective": self.objective}
        return Compilation(path, Options(target, self.cores, **chosen))


def stages_of(case: Mapped) -> dict[str, Stage]:
    """The stages of a training step by node."""
    return {stage.node: stage for stage in compiled(cast(Any, case)).schedule.entries["train_step"]}


def weight_of(case: Mapped) -> Stage:
    """The stage of the second layer's weight, which has the sum of its bias beside its own."""
    stage = stages_of(case)["d.c2.w"]
    assert [each.node for each in stage.beside] == ["d.c2.b"]
    return stage


def forming(stage: Stage) -> tuple[int, Step]:
    """The step that forms the sum beside, with its depth."""
    return next((depth, step) for depth, step in stage.steps() if step.kind == "contract" and step.part == 1)


def hold(case: Mapped) -> None:
    """Every entry gives the oracle's bits and moves and computes what is predicted."""
    bench = Bench(cast(Any, case))
    for entry in ("init", "train_step", "train_step"):
        if entry != "init":
            bench.feed()
        bench.machine.counters.take()
        bench.run(entry, scalars={"clip": 1.0} if CLIPPED in case.optimizer else None)
        assert bench.difference() == "", entry
        counted, predicted = bench.machine.counters.take().to_json(), bench.program.predicted[entry]
        assert counted["dram"] == predicted["dram"], entry
        assert counted["network"] == predicted["network"], entry
        assert products(counted) == products(predicted), entry


def products(traffic: dict[str, Any]) -> int:
    return sum(traffic["work"][name] for name in ("gated", "multiply", "skipped"))


def test_errors_are_read_once_for_weight_and_bias() -> None:
    together, apart = (
        compiled(cast(Any, Mapped(fusion=fusion))).program.predicted["train_step"]["by_tensor"]["d.c2"]["dram"]
        for fusion in ("auto", "off")
    )
    assert apart["useful_read"] - together["useful_read"] == 2 * 3 * 5 * 6 * 6 * 48
    assert weight_of(Mapped()).by_name["1.acc"].format == "x64"
    hold(Mapped())


@pytest.mark.parametrize("accumulators", ["exact", "f32"])
def test_tiles_that_come_again_count_once(accumulators: str) -> None:
    case = Mapped("output_stationary,tile.o=16,tile.c=8,buffers=single", accumulators=accumulators)
    stage = weight_of(case)
    depth, forms = forming(stage)
    assert forms.once == ("c",), "which turns inside the loop of the accumulator"
    assert depth > stage.by_name["acc"].depth > stage.by_name["1.acc"].depth
    hold(case)


@pytest.mark.parametrize("accumulators", ["exact", "f32"])
def test_a_sum_inside_other_loops_is_formed_again(accumulators: str) -> None:
    """Nothing goes on with it, since a clip asks for all gradients first."""
    case = Mapped("spike_stationary,tile.o=16,tile.c=8", accumulators=accumulators, optimizer=f"sgd(lr=0.1){CLIPPED}")
    stage = weight_of(case)
    assert stage.loops.index("c") < stage.loops.index("o") < stage.by_name["1.acc"].depth
    assert not stage.epilogue
    hold(case)
    phase = compiled(cast(Any, case)).program.predicted["train_step"]["by_phase"]["WG"]
    errors = 3 * 5 * 6 * 6 * 48
    c2, first, last = errors * (9 * 32 + 32 // 8), 5 * 6 * 6 * 32 * (9 * 2 + 1), 3 * 5 * 10 * (6 * 6 * 48 + 1)
    assert products(phase) == c2 + first + last, "once for each tile of inputs"


@pytest.mark.parametrize(("pin", "updates"), [("output_stationary", {"c2.w", "c2.b"}), ("spike_stationary", {"c2.w"})])
def test_what_goes_on_with_it_is_done_once(pin: str, updates: set[str]) -> None:
    """In an order in which the update of the bias would be done again, it is a stage of its own."""
    case = Mapped(f"{pin},tile.o=16,tile.c=8,buffers=single")
    stage = weight_of(case)
    assert {fused.node for fused in stage.epilogue} == updates
    around = stage.loops[: stage.by_name["1.acc"].depth]
    assert ("c" in around) == ("c2.b" not in updates)
    hold(case)


@pytest.mark.parametrize("cores", [2, 3])
def test_cores_that_share_inputs_leave_it_to_the_first(cores: int) -> None:
    case = Mapped("split=c", cores)
    stage = weight_of(case)
    assert stage.mapping.split == "c"
    assert [stage.forms(1, core) for core in stage.active] == [True, False]
    hold(case)


@pytest.mark.parametrize("loop", ["o", "r"])
def test_cores_share_other_loops(loop: str) -> None:
    case = Mapped(f"split={loop}", 4)
    stage = weight_of(case)
    assert stage.mapping.split == loop
    assert sum(stage.forms(1, core) for core in stage.active) == {"o": 3, "r": 1}[loop]
    hold(case)


def test_cores_that_share_samples_add_both_sums() -> None:
    case = Mapped("split=batch", 3)
    stage = weight_of(case)
    assert stage.gathers
    assert {step.reads[0] for _, step in stage.steps() if step.kind == "gather"} == {"acc", "1.acc"}
    hold(case)


@pytest.mark.parametrize("partition", ["chosen", "patches"])
def test_however_stages_share_the_cores(partition: str) -> None:
    case = Mapped(cores=4, partition=partition)
    assert any(stage.beside for stage in stages_of(case).values())
    hold(case)


@pytest.mark.parametrize("objective", [pytest.param("cycles", marks=pytest.mark.full), "energy"])
def test_whatever_is_made_least(objective: str) -> None:
    case = Mapped(cores=3, source=LINEAR, objective=objective)
    assert any(stage.beside for stage in stages_of(case).values())
    hold(case)


def test_a_sum_that_rounds_keeps_its_order() -> None:
    """Whatever loops turn, both sums go through those of the errors in one order."""
    for stage in stages_of(Mapped(accumulators="f32")).values():
        for each in stage.beside:
            own = cast(Contraction, stage.statement).summed
            assert each.statement.summed == tuple(name for name in own if name in each.statement.extents)


def test_zeros_on_the_right_are_left_out_of_both() -> None:
    """What is expected to be empty gates the errors of either sum."""
    case = Mapped(density=0.1)
    stage = weight_of(case)
    assert stage.gating_of(0).skip and stage.gating_of(1).skip
    bench = Bench(cast(Any, case))
    for entry in ("init", "train_step"):
        if entry != "init":
            bench.feed()
        bench.run(entry)
        assert bench.difference() == "", entry
