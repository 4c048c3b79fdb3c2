"""Truncated back-propagation: constructions in PyTorch, identities that hold exactly, and what a window refuses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from stored import records, script

from snnc.compiler.evaluate import Numerics, Oracle
from snnc.compiler.frontends import snn
from snnc.compiler.ir.graph import Setting, Training
from snnc.compiler.ir.text import parse_setting, parse_training, print_training
from snnc.compiler.passes.differentiate import build_training, untaught
from snnc.compiler.passes.training_options import TrainingOptions
from snnc.source import Fault, SourceError

Array = NDArray[Any]
GOLDEN = Path(__file__).parent.parent / "golden"
REFERENCES: dict[str, Any] = records("windows")
CASES = [(network, settings) for network, record in REFERENCES.items() for settings in record["expected"]]
ARGUMENTS: dict[str, float] = {
    "valid": 2, "learning_rate": 0.1, "loss_scale": 1.0, "seed": 0, "step": 0, "correction1": 1.0, "correction2": 1.0,
}  # fmt: skip


def graph(source: str, rule: str, **more: Setting) -> Training:
    network = snn.read(source)
    return build_training(network, TrainingOptions.resolve(network, {"rule": parse_setting(rule), **more}))


def trained(training: Training, given: Mapping[str, Any], numerics: str = "f64", rate: float = 0.1) -> Oracle:
    """The oracle after one training step from *given* variables; variances that are tracked begin at 1."""
    oracle = Oracle(training, Numerics(numerics))  # type: ignore[arg-type]
    for variable in training.variables:
        name = variable.name.removesuffix(".master")
        if name in given:
            oracle.write(variable.name, np.asarray(given[name], np.float64))
        elif name.endswith(".running_var"):
            oracle.write(name, np.ones(variable.type.shape))
    oracle.run("train_step", ARGUMENTS | {"learning_rate": rate})
    return oracle


# Independent constructions


def agree(source: str, settings: str, given: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Spikes are equal; gradients, new parameters and statistics to 1e-9."""
    oracle = trained(graph(source, f"bptt({settings})"), given)
    for name, value in expected.items():
        if name in ("s1", "s2", "s3"):
            assert np.array_equal(oracle.read(name), np.asarray(value)), f"spikes of {name}"
        else:
            np.testing.assert_allclose(oracle.read(name), np.asarray(value), rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize(("network", "settings"), CASES)
def test_a_window_is_what_its_construction_in_pytorch_says(network: str, settings: str) -> None:
    record = REFERENCES[network]
    agree(record["source"], settings, record["given"], record["expected"][settings])


@pytest.mark.parametrize(("network", "settings"), CASES)
def test_a_window_is_what_its_construction_in_pytorch_says_now(network: str, settings: str) -> None:
    pytest.importorskip("torch", reason="needs PyTorch (pip install snnc[torch]); stored references are tested anyway")
    maker = script("make_window_references")
    given = maker.draw(network, 991)
    window, update = (part.partition("=")[2] for part in settings.split(", "))
    agree(maker.source(network), settings, given, maker.expected(network, int(window), update, given))


def test_windows_and_their_updates_are_no_two_the_same() -> None:
    """Where weights change between windows the later spikes may differ, and in any case what becomes of weights."""
    for record in REFERENCES.values():
        weights = [str(expected["linear.w.master"]) for expected in record["expected"].values()]
        first = next(name for name in record["given"] if name not in ("x", "label"))
        deep = [str(expected[f"{first}.master"]) for expected in record["expected"].values()]
        assert len(set(deep)) == len(deep) and len(set(weights)) >= len(weights) / 2


# Identities that hold exactly


DEEP = """network deep(image: f16[1, 6, 6]) steps 6 {
    c1 = conv2d(image, out=4, kernel=3, pad=1)
    s1 = lif(c1, threshold=0.5, NEURON)
    p1 = avg_pool2d(s1, kernel=2)
    s2 = lif(batch_norm(conv2d(p1, out=4, kernel=3, pad=1)), threshold=0.5, NEURON)
    back = delay(s3) : spike[8]
    in = add(linear(flatten(add(s2, p1)), out=8), linear(back, out=8, bias=false))
    s3 = lif(in, threshold=0.5, NEURON)
    return linear(s3, out=3)
} train { loss = cross_entropy_mse(lam=0.25); optimizer = sgd(momentum=0.9); batch = 2 }"""


def deep(rule: str, numerics: str = "f64", rate: float = 0.1, neuron: str = "reset=soft", **more: Setting) -> Oracle:
    source = DEEP.replace("NEURON", neuron)
    rng = np.random.default_rng(5)
    given: dict[str, Any] = {"image": rng.random((2, 1, 6, 6)), "label": [0, 2]}
    for node in snn.read(source).nodes:
        if node.op == "parameter":
            given[node.results[0]] = rng.uniform(-0.5, 0.625, node.types[0].shape)
    oracle = trained(graph(source, rule, **more), given, numerics, rate)
    assert 0.02 < oracle.read("s3").mean() < 0.98
    return oracle


def learned(oracle: Oracle, *roles: str) -> dict[str, Array]:
    return {each.name: oracle.read(each.name) for each in oracle.training.variables if each.role in roles}


def gradients(oracle: Oracle) -> dict[str, Array]:
    return {name: oracle.read(f"d.{name}") for name in learned(oracle, "parameter")}


def equal(ours: Mapping[str, Array], theirs: Mapping[str, Array]) -> None:
    assert ours.keys() == theirs.keys() and any(np.any(value) for value in ours.values())
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name], rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("settings", ["window=6", "window=6, update=batch"])
def test_one_window_of_all_steps_is_back_propagation_bit_for_bit(settings: str) -> None:
    ours, theirs = (graph(DEEP.replace("NEURON", "reset=soft"), rule) for rule in (f"bptt({settings})", "bptt"))
    assert (ours.procedures, ours.variables, ours.arguments) == (theirs.procedures, theirs.variables, theirs.arguments)
    one, other = deep(f"bptt({settings})", "exact"), deep("bptt", "exact")
    for name, value in learned(other, "parameter", "master", "optimizer", "statistic").items():
        assert np.array_equal(one.read(name), value), name


def test_windows_of_one_step_are_sltt() -> None:
    """Without an update behind each: no error leaves its step.  In a delay it is cut too."""
    one, other = deep("bptt(window=1, update=batch)"), deep("sltt")
    equal(gradients(one), gradients(other))
    kept = "parameter", "master", "optimizer", "statistic"
    equal(learned(one, *kept), learned(other, *kept))


@pytest.mark.parametrize("update", ["window", "batch"])
def test_a_window_cuts_what_passes_back_and_nothing_that_passes_on(update: str) -> None:
    """Where nothing is learned, values of all steps are those of the whole; errors are others, for they are cut."""
    cut, whole = deep(f"bptt(window=2, update={update})", rate=0.0), deep("bptt", rate=0.0)
    for name in ("s1", "s2", "s3", "linear", "loss", "logits", "s2.batch_norm.running_mean"):
        np.testing.assert_array_equal(cut.read(name), whole.read(name), name)
    last = [cut.read(name)[4:] for name in ("d.s3", "d.s2")]
    for name, value in zip(("d.s3", "d.s2"), last, strict=True):
        np.testing.assert_allclose(value, whole.read(name)[4:], rtol=1e-9, err_msg=name)
        assert not np.allclose(cut.read(name)[:4], whole.read(name)[:4], rtol=1e-3), name


def test_without_memory_of_a_neuron_windows_are_back_propagation() -> None:
    source = """network net(x: f16[t, 5]) steps 6 {
        s = lif(linear(x, out=8), decay=0.0, threshold=0.25)
        return linear(lif(linear(s, out=8), decay=0.0, threshold=0.25), out=3)
    } train { loss = cross_entropy_mse; optimizer = sgd; batch = 2 }"""
    rng = np.random.default_rng(2)
    given: dict[str, Any] = {"x": rng.random((6, 2, 5)), "label": [0, 2]}
    given |= {
        node.results[0]: rng.normal(0, 0.6, node.types[0].shape)
        for node in snn.read(source).nodes
        if node.op == "parameter"
    }
    windows, whole = (trained(graph(source, rule), given) for rule in ("bptt(window=2, update=batch)", "bptt"))
    assert 0.02 < whole.read("s").mean() < 0.98
    equal(gradients(windows), gradients(whole))


def test_random_numbers_are_those_of_their_step_whatever_the_window() -> None:
    source = """network net(x: f16[5]) steps 6 {
        s = lif(dropout(linear(x, out=8), p=0.5, mask=step), threshold=0.25)
        return linear(s, out=3)
    } train { loss = cross_entropy_mse; optimizer = sgd; batch = 2; coding = poisson }"""
    rng = np.random.default_rng(1)
    given = {"x": rng.random((2, 5)), "label": [0, 2], "s.dropout.linear.w": rng.normal(0, 1, (8, 5))}
    oracles = [trained(graph(source, rule), given) for rule in ("bptt", "bptt(window=2, update=batch)")]
    spikes, drawn = ([oracle.read(name) for oracle in oracles] for name in ("s", "x.spikes"))
    assert 0 < spikes[0].mean() < 1 and np.array_equal(spikes[0], spikes[1])
    assert len({str(step) for step in drawn[0]}) > 1 and np.array_equal(drawn[0], drawn[1])


# The graph


def test_what_is_made_of_parameters_alone_is_made_in_each_window_where_these_change() -> None:
    source = """network net(x: f16[1, 4, 4]) steps 4 {
        p = avg_pool2d(x, kernel=2)
        raw = parameter(init=kaiming_normal) : weight f16[5, 1*2*2]
        w = standardise(raw)
        c = linear(flatten(p), w=w, out=5)
        return linear(lif(c), out=2)
    } train { loss = cross_entropy_mse; optimizer = sgd }"""
    renewed, batch = (graph(source, f"bptt(window=2, update={update})") for update in ("window", "batch"))

    def made(training: Training) -> list[tuple[int, str, list[str]]]:
        regions = training.procedure("train_step").regions
        return [(region.window, region.sweep, [node.results[0] for node in region.nodes]) for region in regions]

    first, second, up, down, once = made(renewed)
    assert first == (0, "once", ["p", "c.flatten"]) and second == (2, "once", ["w", "c"])
    assert [(window, sweep) for window, sweep, _ in (up, down, once)] == [(2, "up"), (2, "down"), (2, "once")]
    assert once[2][-1] == "linear.b" and "raw" in once[2]
    first, up, down, sums, once = made(batch)
    assert first == (0, "once", ["p", "w", "c.flatten", "c"])
    assert [(window, sweep) for window, sweep, _ in (up, down, sums)] == [(2, "up"), (2, "down"), (2, "once")]
    assert sums[2] == ["d.linear.w", "d.linear.b", "d.c"] and once[:2] == (0, "once")
    for training in (renewed, batch):
        assert parse_training(print_training(training)) == training
        assert [region.window for region in training.procedure("infer").regions] == [0, 2]


@pytest.mark.parametrize(("window", "told"), [(1, True), (2, True), (3, False)])
def test_parameters_that_act_behind_every_window_are_told(window: int, told: bool) -> None:
    source = """network net(x: f16[t, 4]) steps 6 {
        s = lif(linear(x, out=5))
        return linear(lif(delay(s, steps=2)), out=2)
    } train { loss = cross_entropy_mse; optimizer = sgd }"""
    faults = list(untaught(snn.read(source), graph(source, f"bptt(window={window})")))
    names = ("s.linear.w", "s.linear.b") if told else ()
    assert [fault.message for fault in faults] == [
        f"{name} learns nothing under bptt: no error of the same window reaches it" for name in names
    ]


# What a window refuses


def refused(body: str, rule: str, train: str = "", steps: int = 6, port: str = "x: f16[t, 4]") -> list[Fault]:
    network = snn.read(
        f"network net({port}) steps {steps} {{ {body} }}\n"
        f"train {{ rule = {rule}\n{train or 'loss = cross_entropy_mse; optimizer = sgd'} }}"
    )
    with pytest.raises(SourceError) as error:
        build_training(network, TrainingOptions.resolve(network))
    return list(error.value.faults)


NET = "return linear(lif(x), out=2)"


@pytest.mark.parametrize(
    ("body", "rule", "line", "told", "hints"),
    [
        (
            NET, "bptt(window=4)", 2, "window of bptt is one that divides 6 steps: 1, 2, 3, 6, not 4", (),
        ),
        (
            NET, "bptt(window=12)", 2, "window of bptt is one that divides 6 steps: 1, 2, 3, 6, not 12", (),
        ),
        (
            "c = batch_norm(linear(x, out=3), scope=window); return linear(lif(c), out=2)", "bptt(window=2)", 1,
            "c takes statistics over all time steps, and bptt(window=2) sees 2 of them at a time: "
            "scope=step does not wait", (),
        ),
        (
            "s = lif(x, tape=recompute(every=2)); return linear(lif(linear(s, out=3)), out=2)", "bptt(window=3)", 1,
            "s keeps states every 2 steps, which do not divide a window of 3: 3 would", (),
        ),
        (
            "s = lif(x, tape=recompute(every=2)); return linear(lif(linear(s, out=3)), out=2)", "bptt(window=1)", 1,
            "s keeps states every 2 steps, which do not divide a window of 1; tape=auto needs none", (),
        ),
        (
            "s = plif(x, learn_threshold=layer); return linear(s, out=2)", "bptt(window=2)", 1,
            "on its way back s fires the step before again with theta, which bptt(window=2) has changed since",
            ("update = batch",),
        ),
    ],
)  # fmt: skip
def test_what_a_window_cannot_train_is_told(body: str, rule: str, line: int, told: str, hints: tuple[str, ...]) -> None:
    (fault,) = refused(body, rule)
    assert (fault.place.line, fault.message, fault.hints) == (line, told, hints)


def test_statistics_of_all_steps_are_refused_where_weights_change_though_the_image_does_not() -> None:
    body = "c = batch_norm(linear(x, out=3), scope=window); return linear(lif(c), out=2)"
    (fault,) = refused(body, "bptt(window=2)", port="x: f16[4]")
    assert fault.message.startswith("c takes statistics over all time steps, and bptt(window=2) sees 2 of them")
    network = snn.read(f"network net(x: f16[4]) steps 6 {{ {body} }} train {{ loss = cross_entropy_mse }}")
    rule = parse_setting("bptt(window=2, update=batch)")
    assert build_training(network, TrainingOptions.resolve(network, {"rule": rule}))


@pytest.mark.parametrize(
    ("train", "told", "hints"),
    [
        (
            "loss = cross_entropy; optimizer = sgd",
            "bptt(window=3) needs the error of a step in that step, and cross_entropy knows it after the last",
            ("loss = cross_entropy_mse(lam=0.0), the loss of each step",),
        ),
        (
            "loss = cross_entropy_mse; optimizer = sgd; loss_scale = dynamic",
            "bptt updates in each window, and a dynamic loss scale skips whole batches",
            ("loss_scale = 1024.0", "rule = bptt(window=3, update=batch)"),
        ),
        (
            "loss = cross_entropy_mse; optimizer = sgd; clip = norm(1.0)",
            "bptt updates in each window, and norm is that of the gradients of a batch",
            ("clip = value(LIMIT)", "rule = bptt(window=3, update=batch)"),
        ),
    ],
)  # fmt: skip
def test_what_sees_a_whole_batch_does_not_go_with_windows_that_update(
    train: str, told: str, hints: tuple[str, ...]
) -> None:
    (fault,) = refused(NET, "bptt(window=3)", train)
    assert (fault.place.line, fault.message, fault.hints) == (3, told, hints)
    if "cross_entropy;" not in train:
        network = snn.read(f"network net(x: f16[t, 4]) steps 6 {{ {NET} }} train {{ {train} }}")
        rule = parse_setting("bptt(window=3, update=batch)")
        assert build_training(network, TrainingOptions.resolve(network, {"rule": rule}))


def test_all_options_that_do_not_go_with_windows_are_told_together() -> None:
    train = "loss = cross_entropy; optimizer = sgd\nloss_scale = dynamic\nclip = norm(1.0)"
    found = refused(NET, "bptt(window=3)", train)
    assert [(fault.place.line, fault.message) for fault in found] == [
        (3, "bptt(window=3) needs the error of a step in that step, and cross_entropy knows it after the last"),
        (4, "bptt updates in each window, and a dynamic loss scale skips whole batches"),
        (5, "bptt updates in each window, and norm is that of the gradients of a batch"),
    ]


def test_a_threshold_that_is_frozen_may_fire_a_step_again() -> None:
    source = """network net(x: f16[t, 4]) steps 6 {
        s = plif(linear(x, out=4), learn_threshold=layer)
        return linear(s, out=2)
    } train { loss = cross_entropy_mse; optimizer = sgd }"""
    assert graph(source, "bptt(window=2)", freeze="s.theta").procedure("train_step")


def test_a_rule_that_updates_in_each_step_fires_nothing_again_with_what_has_changed() -> None:
    body = "s = lif(x, learn_threshold=layer, reset=soft, reset_time=delayed); return linear(s, out=2)"
    (fault,) = refused(body, "ottt_o")
    told = "on its way back s fires the step before again with theta, which ottt_o has changed since"
    assert (fault.message, fault.hints) == (told, ())


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("bptt(update=batch)", "update of bptt means nothing without a window"),
        ("bptt(window=-1)", "window of bptt is at least 0, not -1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(rule: str, told: str) -> None:
    network = snn.read("network net(x: f16[t, 4]) steps 3 { return linear(lif(x), out=2) }")
    with pytest.raises(SourceError) as error:
        TrainingOptions.resolve(network, {"rule": parse_setting(rule)})
    assert [fault.message for fault in error.value.faults] == [f"--rule: {told}"]
