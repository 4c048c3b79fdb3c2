"""Plasticity by the times of spikes: what independent constructions say, what is made for it, and what is refused.

References lie in ``tests/golden/references/stdp.json`` (see ``make_stdp_references.py``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stored import records, script

from snnc.compiler.cost.carried import carried_of
from snnc.compiler.cost.tape import tape_of
from snnc.compiler.evaluate import Numerics, Oracle
from snnc.compiler.frontends import snn
from snnc.compiler.ir.graph import Setting, Training
from snnc.compiler.ops.plasticity import MostFired
from snnc.compiler.passes.differentiate import build_training, untaught
from snnc.compiler.passes.training_options import TrainingOptions
from snnc.compiler.training.rule import RULES
from snnc.source import SourceError

PAGE = (Path(__file__).parents[2] / "docs" / "rules.md").read_text("utf-8")
GOLDEN = Path(__file__).parent.parent / "golden"
ARGUMENTS: dict[str, float] = {
    "valid": 2, "learning_rate": 1.0, "loss_scale": 1.0, "seed": 0, "step": 0, "correction1": 1.0, "correction2": 1.0,
}  # fmt: skip


def training_of(source: str, **command: Setting) -> Training:
    network = snn.read(source)
    return build_training(network, TrainingOptions.resolve(network, command))


def trained(record: Mapping[str, Any]) -> Oracle:
    """The float64 oracle after all batches of a reference."""
    oracle = Oracle(training_of(record["source"]), Numerics("f64"))
    given = ARGUMENTS | {"valid": record["valid"], "learning_rate": record["learning_rate"]}
    oracle.run("init", given)
    for name, value in record["given"].items():
        if name != "x":
            for each in (name, f"{name}.master"):
                oracle.write(each, np.asarray(value))
    for step, batch in enumerate(record["given"]["x"]):
        oracle.write("x", np.asarray(batch))
        oracle.run("train_step", given | {"step": step})
    return oracle


@pytest.mark.parametrize("name", records("stdp"))
def test_weights_learn_what_the_reference_says(name: str) -> None:
    record = records("stdp")[name]
    oracle, valid = trained(record), record["valid"]
    for value, expected in record["expected"].items():
        found = oracle.read(value)
        if value in ("s1", "s2", "s3"):
            assert np.array_equal(found[:, :valid], np.asarray(expected)), value
        else:
            found = found[:valid] if value == "logits" else found
            np.testing.assert_allclose(found, np.asarray(expected), rtol=1e-9, atol=1e-12, err_msg=value)


def test_the_references_are_those_of_the_script() -> None:
    module = script("make_stdp_references")
    wanted = {f"{of}: {case}": module.source(of, module.CASES[case]) for of in module.NETWORKS for case in module.CASES}
    assert {name: record["source"] for name, record in records("stdp").items()} == wanted


def test_the_network_of_the_page_learns_as_it_says() -> None:
    (text,) = re.findall(r"```snn\n(network clusters.*?)```", PAGE, re.DOTALL)
    step = training_of(text).procedure("train_step")
    measured = (Path(__file__).parents[2] / "benchmarks" / "clusters.snn").read_text("utf-8")
    assert snn.read(measured).nodes == snn.read(text).nodes and snn.read(measured).train == snn.read(text).train
    assert [node.op for node in step.nodes if node.phase == "UP"] == [
        "plastic_update", "competing_lif.follow", "constant_sum",
    ]  # fmt: skip


def test_the_page_has_every_setting_with_its_default() -> None:
    page = PAGE.replace("`, `", " ").replace("`", " ")
    for name, field in RULES["stdp"].settings().items():
        assert f" {name} = {field.default} " in page, name


# What is made, and what is not


NET = """network net(image: f16[8]) steps 4 {
    c1 = linear(image, out=6)
    s1 = lif(c1, threshold=0.5, amplitude=2.0)
    s2 = competing_lif(linear(s1, out=5, bias=false))
    return s2
}
train { rule = stdp; coding = poisson; batch = 2 }"""


def test_nothing_passes_back_and_weights_read_spikes_on_their_left() -> None:
    training = training_of(NET)
    step = training.procedure("train_step")
    assert [region.sweep for region in step.regions] == ["up", "once"]
    assert {node.phase for node in step.nodes} == {"FP", "WG", "UP"}
    assert not [node.op for node in step.nodes if ".d_x" in node.op or "error" in node.op]
    types = training.values(step)
    gates = {
        node.op: types[node.operands[1 if node.op.endswith("gated") else 0]].format
        for node in step.nodes
        if ".d_w" in node.op
    }
    assert gates == {"linear.d_w_gated": "spike", "linear.d_w": "spike"}
    assert step.results == ("logits",) and "label" not in training.types


def test_what_a_spike_is_worth_counts_where_it_is_read_and_not_where_it_is_fired() -> None:
    oracle = Oracle(training_of(NET), Numerics("f64"))
    oracle.run("init", ARGUMENTS)
    for name in ("c1.w", "c1.w.master"):
        oracle.write(name, np.full((6, 8), 1.0))
    oracle.write("image", np.ones((2, 8)))
    oracle.run("train_step", ARGUMENTS)
    assert oracle.read("s1").max() == 2.0 and oracle.read("s1.fired").max() == 1.0
    assert oracle.read("s1.trace")[0].max() == 2.0 and oracle.read("s1.fired.trace")[0].max() == 1.0


def test_the_tape_says_what_spikes_are_kept_for() -> None:
    kept = {each.value: each.reason for each in tape_of(training_of(NET))}
    assert kept == {
        "image.spikes": "weights learn from its trace; left operand of the weight gradient",
        "s1": "weights learn where their neurons fire; weights learn from its trace; "
        "left operand of the weight gradient",
        "s2": "weights learn where their neurons fire",
    }


def test_the_traces_of_both_sides_are_carried_from_step_to_step() -> None:
    """One step of f16 each, with samples: what weights read and what their neurons fire."""
    traces = {state.value: state for state in carried_of(training_of(NET)) if state.value.endswith(".trace")}
    assert {name: state.bytes for name, state in traces.items()} == {
        "image.spikes.trace": 2 * 8 * 2, "s1.fired.trace": 2 * 6 * 2, "s1.trace": 2 * 6 * 2,
        "s2.fired.trace": 2 * 5 * 2,
    }  # fmt: skip
    assert {state.readers for state in traces.values()} == {
        ("WG of c1", "the next step"), ("WG of s2.linear", "the next step"),
    }  # fmt: skip


def test_what_is_no_weight_between_spikes_is_told() -> None:
    network = snn.read(NET)
    (told,) = untaught(network, build_training(network, TrainingOptions.resolve(network)))
    assert (told.place.line, told.message) == (2, "c1.b learns nothing under stdp: it is no weight between spikes")


def test_a_threshold_that_errors_would_teach_stays_as_it_is() -> None:
    """Nothing goes back, so no neuron fires a step again with a threshold that has changed since."""
    source = NET.replace("lif(c1, threshold=0.5, amplitude=2.0)", "plif(c1, threshold=0.5, learn_threshold=layer)")
    told = [fault.message for fault in untaught(snn.read(source), training_of(source))]
    assert told == [
        f"{name} learns nothing under stdp: it is no weight between spikes" for name in ("c1.b", "s1.w", "s1.theta")
    ]


@pytest.mark.parametrize(
    ("every", "threshold", "format"), [(1, 1, "spike"), (4, 2, "u2"), (9, 1, "u4"), (255, 1, "u8")]
)
def test_the_factor_of_a_potentiation_is_a_count(every: int, threshold: int, format: str) -> None:
    spikes = training_of(NET).values(training_of(NET).procedure("train_step"))["s1"]
    assert MostFired(every=every, threshold=threshold).type_of(spikes).format == format


def test_frozen_weights_stay_and_need_no_spikes() -> None:
    source = NET.replace("rule = stdp; coding = poisson", 'rule = stdp; freeze = [c1, "s2.excess"]')
    training = training_of(source)
    made = {name for node in training.procedure("train_step").nodes for name in node.results}
    assert {name for name in training.types if name in made} == {"s2.linear.w", "s2.linear.w.master"}


def refused(source: str, **command: Setting) -> list[tuple[int, str, tuple[str, ...]]]:
    with pytest.raises(SourceError) as error:
        training_of(source, **command)
    return [(fault.place.line, fault.message, fault.hints) for fault in error.value.faults]


POISSON = ("coding = poisson, where values from 0 to 1 are rates of random spikes",)


@pytest.mark.parametrize(
    ("body", "told", "hints"),
    [
        ("s = lif(linear(x, out=3)); return s", "s.linear reads x, which is f16 and no spikes", POISSON),
        ("s = lif(linear(flatten(x), out=3)); return s", "s.linear reads s.linear.flatten, which is f16 and no spikes",
         POISSON),
        ("return lif(linear(m, out=3))", "lif.linear reads m, which is f16 and no spikes", ()),
        ("s = lif(linear(e, out=3)); return lif(linear(relu(s), out=2))",
         "lif.linear reads lif.linear.relu, which is f16 and no spikes", ()),
        ("s = lif(e); return linear(s, out=2)",
         "linear is not the current, or part of it, of one neuron that spikes alone", ()),
        ("s = lif(e); return lif(batch_norm(linear(s, out=2)))",
         "lif.batch_norm.linear is not the current, or part of it, of one neuron that spikes alone", ()),
        ("c = linear(e, out=2); return add(lif(c), lif(c, decay=0.75))",
         "c is not the current, or part of it, of one neuron that spikes alone", ()),
        ("raw = parameter(init=ones) : weight f16[2, 4]; return lif(linear(e, w=standardise(raw), out=2))",
         "lif.linear reads lif.linear.w, which standardise makes, and what learns from spikes is a weight "
         "itself", ()),
        ("return lif(scale(e, each=element))", "no weight of net stands between spikes", ()),
    ],
)  # fmt: skip
def test_weights_that_do_not_stand_between_spikes_are_refused(body: str, told: str, hints: tuple[str, ...]) -> None:
    port = "x: f16[4]" if "(x" in body else "m: f16[t, 4]" if "(m" in body else "e: spike[t, 4]"
    source = f"network net({port}) steps 3 {{ {body} }} train {{ rule = stdp }}"
    assert [(message, hint) for _, message, hint in refused(source)] == [(f"stdp cannot train net: {told}", hints)]


def test_a_weight_that_two_layers_read_is_refused() -> None:
    source = """network net(e: spike[t, 4]) steps 3 {
    w = parameter(init=ones) : weight f16[4, 4]
    s = lif(linear(e, w=w, out=4, bias=false))
    return lif(linear(s, w=w, out=4, bias=false))
} train { rule = stdp }"""
    told = "stdp cannot train net: w is read by {} and {}, and a weight learns from the spikes beside one layer"
    assert refused(source) == [
        (3, told.format("s.linear", "lif.linear"), ()),
        (4, told.format("lif.linear", "s.linear"), ()),
    ]


@pytest.mark.parametrize(
    ("train", "told", "hint"),
    [
        ("rule = stdp; loss = mse_rate", "stdp learns without a loss, and mse_rate is one", "loss = rates, or nothing"),
        ("rule = stdp; optimizer = adam", "stdp adds what it learns to a weight, and adam does otherwise",
         "optimizer = sgd(lr=1.0)"),
        ("rule = stdp; optimizer = sgd(momentum=0.9)",
         "stdp adds what it learns to a weight, and momentum of sgd does otherwise", "optimizer = sgd(lr=1.0)"),
        ("rule = stdp; loss_scale = dynamic", "stdp has no errors to scale", "loss_scale = 1.0, or nothing"),
        ("rule = stdp; clip = value(1.0)", "stdp has no gradients to clip: weights keep to w_min and w_max",
         "clip = none"),
        ("loss = rates", "bptt learns from the errors of a loss, and rates is none", "loss = cross_entropy"),
    ],
)  # fmt: skip
def test_options_that_speak_of_errors_are_refused_where_there_are_none(train: str, told: str, hint: str) -> None:
    source = f"network net(e: spike[t, 4]) steps 3 {{ return lif(linear(e, out=2)) }}\ntrain {{ {train} }}"
    assert refused(source) == [(2, told, (hint,))]


def test_a_rule_of_the_command_line_comes_with_what_it_implies_before_what_the_file_says() -> None:
    network = snn.read(
        """network net(e: spike[t, 4]) steps 3 { return lif(linear(e, out=2)) }
    train { loss = mse_rate; optimizer = adam; clip = norm(1.0); loss_scale = dynamic; schedule = cosine; batch = 3 }"""
    )
    options = TrainingOptions.resolve(network, {"rule": "stdp"})
    assert (options.loss, options.clip, options.loss_scale, options.batch) == (("rates",), "none", 1.0, 3)
    assert options.the_optimizer.name == "sgd" and options.the_optimizer.lr == 1.0
    assert {name for name, origin in options.origins.items() if origin == "rule"} == {
        "loss", "optimizer", "clip", "loss_scale",
    }  # fmt: skip
    build_training(network, options)
    found = refused(
        "network net(e: spike[t, 4]) steps 3 { return lif(linear(e, out=2)) }", rule="stdp", loss="mse_rate"
    )
    told = "stdp learns without a loss, and --loss mse_rate is one"
    assert [(message, hints) for _, message, hints in found] == [(told, ("loss = rates, or nothing",))]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"tau_pre": 0.5}, "tau_pre of stdp is at least 1, not 0.5"),
        ({"w_min": 1.0}, "w_min of stdp is below w_max, 1, not 1.0"),
        ({"w_min": -0.5, "normalise": 5.0}, "normalise of stdp is 0 where w_min lets weights cancel out, not 5.0"),
        ({"every": 256}, "every of stdp is at most 255, not 256"),
        ({"potentiation": -1.0}, "potentiation of stdp is at least 0, not -1.0"),
        ({"form": "fspinn", "depression": 0.5}, "depression of stdp means nothing with form=fspinn"),
        ({"threshold": 2}, "threshold of stdp means nothing with form=pair"),
        ({"every": 2}, "every of stdp is a divisor of the number of steps, 3, not 2"),
    ],
)
def test_settings_that_mean_nothing_are_refused(given: dict[str, Setting], told: str) -> None:
    source = "network net(e: spike[t, 4]) steps 3 { return lif(linear(e, out=2)) }"
    assert [message for _, message, _ in refused(source, rule=("stdp", *given.items()))] == [f"--rule: {told}"]
