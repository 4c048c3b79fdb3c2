"""Frozen layers: gradients, what is not made and kept for them, what they are called, and what cannot be frozen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stored import given_to, records, script

from snnc.compiler.cost.tape import tape_of
from snnc.compiler.evaluate import Numerics, Oracle
from snnc.compiler.frontends import snn
from snnc.compiler.ir.graph import Setting, Training
from snnc.compiler.ir.text import parse_training, print_training
from snnc.compiler.passes.differentiate import build_training, untaught
from snnc.compiler.passes.frozen import frozen_by
from snnc.compiler.passes.training_options import TrainingOptions
from snnc.compiler.pipeline import host_settings
from snnc.source import NOWHERE, SourceError

GOLDEN = Path(__file__).parent.parent / "golden"
ARGUMENTS: dict[str, float] = {
    "learning_rate": 0.5, "loss_scale": 1.0, "seed": 0, "step": 0, "correction1": 1.0, "correction2": 1.0,
}  # fmt: skip


def agree(source: str, given: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Spikes are equal, gradients and what lasts to 1e-9; what is frozen has no gradient, and the bits that it had."""
    network = snn.read(source)
    options = TrainingOptions.resolve(network)
    oracle = given_to(build_training(network, options), given)
    oracle.run("train_step", ARGUMENTS | {"valid": options.batch})
    for name, value in expected.items():
        found, told = oracle.read(name), np.asarray(value)
        if name.startswith("s"):
            assert np.array_equal(found, told), f"spikes of {name}"
        else:
            np.testing.assert_allclose(found, told, rtol=1e-9, atol=1e-9, err_msg=name)
    made = {name for node in oracle.training.procedure("train_step").nodes for name in node.results}
    learned = {variable.name for variable in oracle.training.variables if variable.role == "parameter"} & made
    assert {f"d.{name}" for name in learned} == {name for name in expected if name.startswith("d.")}
    assert {name for name in made if name.startswith("d.")} >= {f"d.{name}" for name in learned}
    for name in (variable.name for variable in oracle.training.variables if variable.role == "parameter"):
        if name not in learned:
            assert f"d.{name}" not in made and np.array_equal(oracle.read(f"{name}.master"), given[name]), name


@pytest.mark.parametrize("name", records("frozen"))
def test_frozen_layers_are_what_pytorch_makes_of_them(name: str) -> None:
    agree(**records("frozen")[name])


@pytest.mark.parametrize("name", records("frozen"))
def test_frozen_layers_are_what_pytorch_makes_of_them_now(name: str) -> None:
    pytest.importorskip("torch", reason="needs PyTorch (pip install snnc[torch]); stored references are tested anyway")
    maker = script("make_frozen_references")
    given = maker.draw(991)
    agree(maker.source(name), given, maker.expected(name, given))


# What is not made, and not kept


NET = """network net(image: f16[2, 6, 6]) steps 4 {
    c1 = conv2d(image, out=4, kernel=3, pad=1)
    s1 = NEURON
    c2 = conv2d(s1, out=4, kernel=3, pad=1)
    s2 = lif(batch_norm(c2), threshold=0.5, reset=soft)
    y = linear(flatten(s2), out=3)
    return y
} train { batch = 2; MORE }"""


def trained(more: str = "", neuron: str = "lif(c1, reset=soft)", **command: Setting) -> Training:
    network = snn.read(NET.replace("NEURON", neuron).replace("MORE", more))
    return build_training(network, TrainingOptions.resolve(network, command))


def test_before_the_first_layer_that_learns_nothing_goes_back_and_nothing_is_kept() -> None:
    """The way there stays as it was, and so do masters, for the day on which the layer learns again."""
    all_learn, frozen = trained(), trained("freeze = [c1, c2]")
    steps = [each.procedure("train_step") for each in (all_learn, frozen)]
    made = [{name for node in each.nodes for name in node.results} for each in steps]
    parameters = [f"c{layer}.{kind}" for layer in "12" for kind in "wb"]
    errors = {"d.s1", "d.c1", "d.c2", *(f"d.{name}" for name in parameters)}
    updated = {f"{name}{part}" for name in parameters for part in ("", ".master", ".m", ".v")}
    assert made[0] - made[1] == {"s1.h"} | errors | updated and made[1] < made[0]
    kept = [{each.value: each.bytes for each in tape_of(training)} for training in (all_learn, frozen)]
    assert kept[0].keys() - kept[1].keys() == {"s1", "s1.h"} and kept[1].items() < kept[0].items()
    gone = {each.name for each in all_learn.variables} - {each.name for each in frozen.variables}
    assert gone == {f"{name}.{state}" for name in parameters for state in "mv"}
    assert [each.procedure("infer") for each in (all_learn, frozen)].count(frozen.procedure("infer")) == 2


@pytest.mark.parametrize("rule", ["bptt", "sltt", "ottt_a", "ottt_o", "opzo", "dsr"])
def test_under_every_rule_what_is_frozen_has_no_gradient_and_no_update(rule: str) -> None:
    loss = "cross_entropy" if rule == "dsr" else "cross_entropy_mse"
    more = f"rule = {rule}; loss = {loss}; optimizer = sgd(momentum=0.9); freeze = [c1, s2.batch_norm]"
    training = trained(more)
    nodes = list(training.procedure("train_step").nodes)
    read = {name for node in nodes for name in node.operands}
    served = {name for node in nodes if node.phase == "WG" for name in node.results}
    assert {"d.c2.w", "d.y.w"} <= served and not [name for name in served if "c1" in name or "gamma" in name]
    updated = {name for node in nodes if node.phase == "UP" for name in node.results}
    assert updated >= {"c2.w", "y.w.m"} and not [name for name in updated if "c1" in name or "running" in name]
    assert not [name for name in read if name.startswith(("c1.w.", "c1.b."))]


def test_a_frozen_layer_may_have_what_no_error_passes() -> None:
    """An online rule asks weights that learn what they read, and dsr wants a rate where an error passes alone."""
    for rule, loss in (("ottt_a", "cross_entropy_mse"), ("dsr", "cross_entropy")):
        with pytest.raises(SourceError, match="plif"):
            trained(f"rule = {rule}; loss = {loss}; freeze = s2.batch_norm", "plif(c1)")
        assert trained(f"rule = {rule}; loss = {loss}; freeze = [c1, s1, c2, s2.batch_norm]", "plif(c1)")


def test_weights_that_do_not_change_are_not_read_anew_in_each_step() -> None:
    """Under ottt_o weights change with time, and with them the first layer of an image; frozen ones do not."""
    more = "rule = ottt_o; loss = cross_entropy_mse; optimizer = sgd"
    for freeze, once in (("y", []), ("c1", ["c1"])):
        regions = trained(f"{more}; freeze = {freeze}").procedure("train_step").regions
        nodes = [node for region in regions if region.sweep == "once" for node in region.nodes]
        assert [node.results[0] for node in nodes if node.op == "conv2d"] == once


def test_nobody_is_warned_of_what_was_frozen() -> None:
    network = snn.read(NET.replace("NEURON", "lif(c1)").replace("MORE", "freeze = [c1, y.b]"))
    assert not list(untaught(network, build_training(network, TrainingOptions.resolve(network))))


def test_a_norm_that_is_frozen_keeps_means_and_lets_a_way_back_on_rates_run_once() -> None:
    """`dsr` refuses it only where each step has statistics of its own; both forms give the same gradients."""
    more = "rule = dsr(form=FORM); loss = cross_entropy; optimizer = sgd; freeze = [c1, s2.batch_norm.running_mean, "
    more += '"s2.*.running_var"]'
    found: list[dict[str, Any]] = []
    for form in ("collapsed", "step"):
        oracle = Oracle(trained(more.replace("FORM", form)), Numerics("f64"))
        rng = np.random.default_rng(3)
        oracle.run("init", ARGUMENTS | {"valid": 2})
        for name, shape in (("image", (2, 2, 6, 6)), ("s2.batch_norm.running_mean", (4,))):
            oracle.write(name, rng.random(shape))
        oracle.write("label", np.asarray([0, 2]))
        oracle.run("train_step", ARGUMENTS | {"valid": 2})
        found.append({name: oracle.read(f"d.{name}") for name in ("c2.w", "s2.batch_norm.gamma", "s2.batch_norm.beta")})
    for name, value in found[0].items():
        assert np.any(value)
        np.testing.assert_allclose(value, found[1][name], rtol=1e-11, atol=1e-14, err_msg=name)
    source = NET.replace("NEURON", "if(c1, reset=soft)").replace("batch_norm(c2)", "batch_norm(c2, scope=separate)")
    network = snn.read(source.replace("MORE", "rule = dsr; freeze = s2.batch_norm"))
    with pytest.raises(SourceError, match=r"batch_norm\(scope=separate\) has other statistics in each step"):
        build_training(network, TrainingOptions.resolve(network))


def test_what_is_made_again_under_a_name_is_no_part_of_what_had_it_before() -> None:
    """Rounds of a repetition, and calls beside one another, are ``x``, ``x.1``, ``x.2``."""
    network = snn.read("""
        block layer(x) { return lif(linear(x, out=4)) }
        network again(image: f16[4]) steps 2 {
            x = layer(image)
            repeat 2 { x = layer(x) }
            return linear(x, out=2)
        }""")
    every = {name for node in network.nodes if node.op == "parameter" for name in node.results}
    assert frozen_by(network, ["x"]) == {"x.linear.w", "x.linear.b"}
    assert frozen_by(network, ["x.1"]) == {"x.1.linear.w", "x.1.linear.b"}
    assert frozen_by(network, ["x*"]) == {name for name in every if name.startswith("x")} and len(every) == 8


# What is frozen may be written in many ways


NAMED: list[tuple[str, Any, Setting | None, set[str]]] = [
    ("freeze = c1", None, "c1", {"c1.w", "c1.b"}),
    ("freeze = [c1, y.w]", None, ("c1", "y.w"), {"c1.w", "c1.b", "y.w"}),
    ('freeze = "c*"', None, "c*", {"c1.w", "c1.b", "c2.w", "c2.b"}),
    ('freeze = "?2.w"', None, "?2.w", {"c2.w"}),
    ("freeze = s2", None, "s2", {"s2.batch_norm.gamma", "s2.batch_norm.beta"}),
    ("freeze = c1", ("c2",), "c2", {"c2.w", "c2.b"}),
    ("freeze = c1", (), None, set()),
    ("freeze = []", None, None, set()),
]


@pytest.mark.parametrize(("written", "command", "setting", "frozen"), NAMED)
def test_layers_are_named(written: str, command: Any, setting: Setting | None, frozen: set[str]) -> None:
    training = trained(written, **({} if command is None else {"freeze": command}))
    names = {each.name for each in training.variables if each.role == "parameter"}
    assert names - {each.name.removesuffix(".m") for each in training.variables if each.role == "optimizer"} == frozen
    assert training.settings.get("freeze") == setting
    assert parse_training(print_training(training)) == training
    host = host_settings(training.settings)
    assert host.get("freeze") == setting and host["optimizer"]["name"] == "adam"


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("freeze = s2.batch_nrm", "no layer with parameters is called 's2.batch_nrm'; did you mean s2.batch_norm?"),
        ('freeze = "z*"', "no layer with parameters is called 'z*'; there are: c1, c2, s2.batch_norm, y"),
        ("freeze = s1", "no layer with parameters is called 's1'; there are: c1, c2, s2.batch_norm, y"),
        ('freeze = "*"', "every parameter of net is frozen, and nothing is left to train"),
        ("freeze = [c1, c2, s2, y]", "every parameter of net is frozen, and nothing is left to train"),
        (
            "freeze = s2.batch_norm.running_var",
            "s2.batch_norm.running_var is frozen and s2.batch_norm.running_mean is not: "
            "batch_norm follows all of its statistics, or none",
        ),
        ("freeze = 3", 'freeze of train has names of layers, such as conv1 or [conv1, "norm*"], not 3'),
        ("freeze = [c1, 3]", 'freeze of train has names of layers, such as conv1 or [conv1, "norm*"], not [c1, 3]'),
    ],
)  # fmt: skip
def test_what_cannot_be_frozen_is_told(written: str, told: str) -> None:
    with pytest.raises(SourceError) as error:
        trained(f"\n{written}")
    (fault,) = error.value.faults
    assert (fault.place.line, fault.message) == (9, told)
    with pytest.raises(SourceError) as error:
        trained(freeze=snn.read(f"network n(x: f16[1]) steps 1 {{ return x }} train {{ {written} }}").train["freeze"])
    (fault,) = error.value.faults
    assert (fault.place, fault.message) == (NOWHERE, f"--freeze: {told}")
