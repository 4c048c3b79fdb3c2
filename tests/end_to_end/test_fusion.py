"""Epilogues: what they keep on the core lies nowhere, nothing is computed otherwise, and no entry moves more for them.

That fused stages compute the oracle's bits is law 1, that nothing is read too early law 3, that their bytes are those
predicted law 4: all cases there have epilogues.  Here are the same networks without, and what may not be fused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from laws import NETWORKS, Case, Model, compiled, outcome_of

from snnc.compiler.frontends import snn
from snnc.compiler.ir.schedule import Stage
from snnc.compiler.passes.build_schedule import MappingOptions, build_schedule
from snnc.compiler.passes.differentiate import build_training
from snnc.compiler.passes.pins import parse_pins
from snnc.compiler.passes.training_options import TrainingOptions
from snnc.compiler.pipeline import assemble
from snnc.isa.target import load_target
from snnc.runtime.finite import stored_by

SGD = "loss = cross_entropy; optimizer = sgd(lr=0.1)"
RULES = ("bptt", "bptt(window=1)", "sltt", "ottt_a", "ottt_o", "opzo", "dsr")


@pytest.mark.parametrize(("network", "machine"), [("csnn", "quad3"), ("joined", "exact7"), ("normed", "f32x3")])
def test_without_epilogues_the_program_is_the_oracle_too(network: str, machine: str) -> None:
    outcome = outcome_of(Case(network, machine, fusion="off"))
    assert {run: told for run, told in outcome.differences.items() if told} == {}
    assert not any(stage.epilogue for stage in stages_of(Case(network, machine, fusion="off")))


def stages_of(case: Case | Model) -> Iterator[Stage]:
    return (stage for entry in compiled(case).schedule.entries.values() for stage in entry)


@pytest.mark.parametrize("machine", ["tiny", "exact7"])
@pytest.mark.parametrize("network", NETWORKS)
def test_epilogues_move_fewer_bytes(network: str, machine: str) -> None:
    fused, alone = (
        compiled(Case(network, machine, fusion=fusion, partition="in_turn")).program.predicted
        for fusion in ("auto", "off")
    )
    for entry in fused:
        assert fused[entry]["dram"]["total"] <= alone[entry]["dram"]["total"], entry
    assert fused["train_step"]["dram"]["total"] < alone["train_step"]["dram"]["total"]


@pytest.mark.parametrize("rule", RULES)
def test_they_do_so_under_every_rule(rule: str) -> None:
    training = f"rule = {rule}; loss = {'cross_entropy' if rule == 'dsr' else 'cross_entropy_mse'}"
    case = Case("csnn", "exact7", reset="soft", training=f"{training}; optimizer = sgd", partition="in_turn", steps=4)
    alone = replace(case, fusion="off")
    fused, apart = (compiled(each).program.predicted["train_step"]["dram"]["total"] for each in (case, alone))
    assert fused < apart


SOURCE = """network net(image: f16[1, 8, 8]) steps 3 {{
    s = lif(conv2d(image, out=16, kernel=3), {neuron})
    u = lif(conv2d(s, out=16, kernel=3), {neuron})
    return linear(flatten(u), out=4)
}}
train {{ {training}; batch = 4 }}"""


def fused_in(
    neuron: str = "reset=soft", training: str = SGD, pins: tuple[str, ...] = (), source: str = SOURCE
) -> dict[str, tuple[str, ...]]:
    """The nodes in the epilogue of each stage of a training step of two layers and a readout, on one core."""
    network = snn.read(source.format(neuron=neuron, training=training))
    training_graph = build_training(network, TrainingOptions.resolve(network))
    options = MappingOptions(load_target("edge512"), 1, pins=parse_pins(pins))
    schedule = build_schedule(training_graph, options)
    program = assemble(training_graph, options, schedule, {})
    for stage in schedule.entries["train_step"]:
        assert not stage.inside & {symbol.name for symbol in program.symbols}, "what stays on the core has no place"
    return {
        stage.node: tuple(fused.node for fused in stage.epilogue)
        for stage in schedule.entries["train_step"]
        if stage.epilogue
    }


def test_neurons_errors_and_updates_go_on_where_their_tiles_are_made() -> None:
    assert fused_in() == {
        "s.conv2d": ("s",),
        "u.conv2d": ("u",),
        "d.linear.flatten": ("d.u.conv2d",),
        "d.s": ("d.s.conv2d",),
        **{f"d.{layer}.w": (f"{layer}.w", f"{layer}.b") for layer in ("linear", "u.conv2d", "s.conv2d")},
    }


WEIGHTS = ("u.conv2d.w", "u.conv2d.b", "s.conv2d.w", "s.conv2d.b")


POOLED = """network net(image: f16[1, {size}, {size}]) steps 3 {{{{
    s = lif(conv2d(image, out=16, kernel=3, pad=1), {{neuron}})
    p = {pool}
    u = lif(conv2d(p, out=16, kernel=3, pad=1), {{neuron}})
    return linear(flatten(u), out=4)
}}}}
train {{{{ {{training}}; batch = 4 }}}}"""


@pytest.mark.parametrize("pool", ["avg_pool2d(s, kernel=2)", "max_pool2d(s, kernel=2)", "avg_pool2d(s, kernel=4)"])
def test_an_error_that_a_pool_spreads_lies_nowhere(pool: str) -> None:
    """Its windows are two loops more of the stage; the neurons in front of the pool walk both as one."""
    assert fused_in(source=POOLED.format(pool=pool, size=8))["d.p"] == ("d.s", "d.s.conv2d")


@pytest.mark.parametrize(("pool", "size"), [("avg_pool2d(s, kernel=3, stride=2)", 9), ("avg_pool2d(s, kernel=2)", 9)])
def test_windows_that_overlap_or_leave_a_rest_stay_stages_of_their_own(pool: str, size: int) -> None:
    """No element belongs to one window alone, or some to none: several statements make the error."""
    nodes = fused_in(source=POOLED.format(pool=pool, size=size))
    assert not any("d.s.conv2d" in epilogue for epilogue in nodes.values())


def test_gradients_that_somebody_reads_together_are_not_updates_yet() -> None:
    """A clip by the norm of all reads every gradient before the first update."""
    nodes = fused_in(training=f"{SGD}; clip = norm(1.0)")
    assert not {"linear.w", *WEIGHTS} & {node for epilogue in nodes.values() for node in epilogue}


def test_a_pin_of_its_own_keeps_a_stage_apart() -> None:
    assert "s.conv2d" not in fused_in(pins=("s.fp=tile.c=16",))
    assert fused_in(pins=("s.conv2d.fp=tile.o=16",))["s.conv2d"] == ("s",)


def test_what_another_entry_has_left_is_nothing_that_this_one_stores() -> None:
    """Inference stores what batch norm makes of an image, training does not: DRAM has a place, with old numbers."""
    compilation = compiled(Case("normed", "tiny"))
    program, nowhere = compilation.program, compilation.schedule.nowhere("train_step")
    stored = stored_by(program, program.entry("train_step"))
    assert nowhere & program.by_name.keys()
    assert not nowhere & stored
    assert {symbol.name for symbol in program.symbols} - nowhere <= stored | stored_by(program, program.entry("infer"))
    assert {"image", "label", "c2.w", "c2.w.master", "logits", "s4"} <= stored
