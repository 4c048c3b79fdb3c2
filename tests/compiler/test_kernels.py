"""Time to first spike: what networks compute, how their kernels are matched, and what is told about wrong networks.

References lie in ``tests/golden/references/kernels.json`` (see ``make_kernel_references.py``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from stored import given_to, records, script

from snnc.compiler.evaluate import Numerics, Oracle
from snnc.compiler.frontends import snn
from snnc.compiler.ir.graph import Training
from snnc.compiler.passes.differentiate import build_training, untaught
from snnc.compiler.passes.training_options import TrainingOptions
from snnc.source import SourceError

GOLDEN = Path(__file__).parent.parent / "golden"
ARGUMENTS: dict[str, float] = {
    "valid": 3, "learning_rate": 1.0, "loss_scale": 4.0, "seed": 0, "step": 0, "correction1": 1.0, "correction2": 1.0,
}  # fmt: skip


def graph(source: str, **more: Any) -> Training:
    network = snn.read(source)
    return build_training(network, TrainingOptions.resolve(network, more))


def trained(source: str, given: Mapping[str, Any], arguments: Mapping[str, float] = ARGUMENTS) -> Oracle:
    """The float64 oracle after a training step."""
    oracle = given_to(graph(source), given)
    oracle.run("train_step", arguments)
    return oracle


@pytest.mark.parametrize("name", ["mlp", "convolution"])
def test_spikes_activations_and_steps_are_those_of_the_reference(name: str) -> None:
    record = records("kernels")[name]
    oracle = trained(record["source"], record["given"])
    for value, wanted in record["expected"].items():
        scale = 4.0 if value.startswith("d.") else 1.0
        np.testing.assert_allclose(oracle.read(value) / scale, wanted, rtol=1e-9, atol=1e-12, err_msg=value)
    for word in ("tau1", "delay1"):
        step = np.subtract(record["given"][word], record["expected"][f"d.{word}"])
        np.testing.assert_allclose(oracle.read(f"{word}.master"), step, rtol=1e-9)


def test_the_references_are_of_the_networks_of_the_script() -> None:
    maker = script("make_kernel_references")
    assert maker.SOURCES == {name: record["source"] for name, record in records("kernels").items()}


ENCODER = """network encoder(image: f16[WORDS]) steps WINDOW {
    tau = parameter(init=constant(value=TAU)) : f32[]
    delay = parameter(init=constant(value=0.5)) : f32[]
    s = ttfs(image, tau, delay, window=WINDOW)
    return ttfs_kernel(linear(s, out=2, bias=false), tau, delay, window=WINDOW)
} train { rule = t2fsnn; loss_scale = 1; batch = BATCH; optimizer = sgd(lr=1.0) }"""


def encoder(words: int, batch: int, window: int = 12, tau: float = 4.0) -> str:
    named = {"WORDS": words, "BATCH": batch, "WINDOW": window, "TAU": tau}
    return re.sub("|".join(named), lambda found: str(named[found[0]]), ENCODER)


def steps(x: NDArray[Any], valid: int, window: int, tau: float, delay: float) -> tuple[float, float]:
    """Those of tau and delay, written down once more, in loops over samples and neurons."""
    positive: list[float] = []
    smallest: list[float] = []
    largest: list[float] = []
    for sample in x[:valid]:
        worths: list[float] = []
        for value in sample:
            times = [t for t in range(window) if value >= np.exp(-(t - delay) / tau)]
            worth = float(np.exp(-(times[0] - delay) / tau)) if times else 0.0
            step = (max(value, 0) - worth) * worth * (times[0] - delay) / tau**2 if times else 0.0
            positive += [step] if step > 0 else []
            worths.append(worth)
        smallest.append(max(min(sample), 0.0))
        largest.append(max(worths))
    end, begin = float(np.exp(-(window - delay) / tau)), float(np.exp(delay / tau))
    precise = sum(positive) / len(positive) if positive else 0.0
    reaching = (sum(smallest) / valid - end) * end * (window - delay) / tau**2
    return precise + reaching, sum((worth - begin) * begin for worth in largest) / valid / tau


@pytest.mark.parametrize(
    ("words", "batch", "valid"), [(5, 3, 3), (5, 3, 2), (64, 2, 2), (65, 66, 65), (4200, 2, 2), (3, 4200, 4190)]
)
def test_every_level_of_the_sums_and_every_valid_sample_counts(words: int, batch: int, valid: int) -> None:
    rng = np.random.default_rng(words)
    x = rng.uniform(0.05, 1.3, (batch, words))
    x[0] = 0.01  # no neuron fires
    given = {"image": x, "label": np.zeros(batch), "tau": 4.0, "delay": 0.5}
    oracle = trained(encoder(words, batch), given, ARGUMENTS | {"valid": valid, "loss_scale": 1.0})
    of_tau, of_delay = steps(x, valid, 12, 4.0, 0.5)
    assert of_tau and of_delay
    np.testing.assert_allclose(-oracle.read("d.tau"), of_tau, rtol=1e-9)
    np.testing.assert_allclose(-oracle.read("d.delay"), of_delay, rtol=1e-9)


def test_where_no_neuron_fires_only_the_borders_are_matched() -> None:
    x = np.full((2, 5), -0.25)
    oracle = trained(
        encoder(5, 2), {"image": x, "label": np.zeros(2), "tau": 4.0, "delay": 0.5}, ARGUMENTS | {"valid": 2}
    )
    of_tau, of_delay = steps(x, 2, 12, 4.0, 0.5)
    np.testing.assert_allclose(-oracle.read("d.tau") / 4, of_tau, rtol=1e-9)
    np.testing.assert_allclose(-oracle.read("d.delay") / 4, of_delay, rtol=1e-9)


@pytest.mark.parametrize("first", [2.5, 30.0])
def test_from_a_bad_kernel_spikes_come_to_tell_values(first: float) -> None:
    """Of values within its reach, what a spike is worth is nearer to the value than before."""
    x = np.random.default_rng(5).uniform(0.1, 1.0, (8, 40))
    oracle = Oracle(graph(encoder(40, 8, 20, first)), Numerics("f64"))
    oracle.run("init", ARGUMENTS)
    oracle.write("image", x)
    away: list[float] = []
    for _ in range(100):
        oracle.run("train_step", ARGUMENTS | {"valid": 8, "learning_rate": 40.0, "loss_scale": 1.0})
        tau, delay, time = oracle.read("tau"), oracle.read("delay"), oracle.read("s.time")
        away.append(float(np.mean(np.abs(x - np.where(time < 20, np.exp(-(time - delay) / tau), 0.0)))))
    assert away[-1] < 0.75 * away[0], (away[0], away[-1])


def test_a_neuron_fires_once_and_in_its_window_only() -> None:
    source = """network once(x: f16[t, 4]) steps 9 {
        s = ttfs(x, start=2, window=4, initial_tau=2.0)
        return linear(s, out=2, bias=false)
    } train { rule = bptt; freeze = s; batch = 1 }"""
    current = np.zeros((9, 1, 4))
    current[0, 0] = [0.2, 2.0, 0.0, 0.3]
    current[4, 0, 2] = 0.4
    current[6, 0, 3] = 5.0
    oracle = trained(source, {"x": current, "label": [0], "s.tau": 2.0, "s.delay": 0.0}, ARGUMENTS | {"valid": 1})
    wanted = np.zeros((9, 4))
    # exp(-t / 2) is 1, 0.61, 0.37 and 0.22 in the steps 2 to 5.
    wanted[2, 1] = wanted[4, 2] = wanted[5, 3] = 1
    np.testing.assert_array_equal(oracle.read("s")[:, 0], wanted)


# Nothing is trained but kernels


def test_weights_stay_and_nobody_is_warned() -> None:
    network = snn.read(records("kernels")["mlp"]["source"])
    training = build_training(network, TrainingOptions.resolve(network))
    assert not list(untaught(network, training))
    step = training.procedure("train_step")
    written = {name for node in step.nodes for name in node.results} & training.types.keys()
    assert written == {f"{name}{layer}{of}" for name in ("tau", "delay") for layer in (0, 1) for of in ("", ".master")}
    assert not [node.op for node in step.nodes if node.phase == "BP"]


def test_a_frozen_kernel_stays() -> None:
    training = graph(records("kernels")["convolution"]["source"], freeze=("tau", "delay1"))
    step = training.procedure("train_step")
    assert {name for node in step.nodes for name in node.results} & training.types.keys() == {
        "delay", "delay.master", "tau1", "tau1.master",
    }  # fmt: skip


# What is refused


NETWORK = """network wrong(image: f16[2, 4, 4]) steps 8 {{
    tau = parameter(init=constant(value=3.0)) : f32[]
    delay = parameter(init=constant(value=0.0)) : f32[]
    s = ttfs(image, tau, delay, window=4)
    {line}
    return y
}}"""
READ = "y = ttfs_kernel(linear({of}, out=2, bias=false), tau, delay, window=4)"


def read_behind(call: str) -> str:
    """What spikes are worth behind a *call* of them, called z."""
    return f"z = {call}\n    " + READ.format(of="flatten(z)")


WHOLE = READ.format(of="flatten(s)")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        *(
            (read_behind(call), f"z: what {name} makes of the steps does not add up to what it makes without time")
            for name, call in {
                "max_pool2d": "max_pool2d(s, kernel=2)", "delay": "delay(s)", "lif": "lif(s)", "relu": "relu(s)",
            }.items()
        ),
        (WHOLE.replace(", bias=false", ""), "y.linear adds its bias in every step, and without time once"),
        (WHOLE.replace("window=4", "window=3"), "y reads spikes of s in another window than they are fired in"),
        (WHOLE.replace("window=4", "start=1, window=4"),
         "y reads spikes of s in another window than they are fired in"),
        (WHOLE.replace("tau, delay", "tau, tau"),
         "y reads spikes of s by another tau or delay than they were fired by"),
        ("y = linear(flatten(s), out=2, bias=false)",
         "y, the result, is made of spikes of s, and no ttfs_kernel tells their worth"),
        (read_behind("ttfs_kernel(s, tau, delay, window=4)"),
         "y reads z, which tells already what spikes are worth"),
    ],
)  # fmt: skip
def test_what_is_not_the_same_without_time_is_refused(line: str, message: str) -> None:
    source = NETWORK.format(line=line)
    with pytest.raises(SourceError) as error:
        graph(source, rule="t2fsnn")
    (fault,) = error.value.faults
    assert fault.message == f"--rule t2fsnn cannot train wrong: {message}"
    assert fault.place.line in (5, 6)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("y = ttfs(linear(flatten(s), out=2, bias=false), tau, delay, start=4, window=4)",
         "y reads spikes of s, and no ttfs_kernel tells what they are worth"),
        ("y = ttfs(add(s, ttfs_kernel(s, tau, delay, window=4)), tau, delay, start=4, window=4)",
         "y reads spikes of s, and no ttfs_kernel tells what they are worth"),
        ("y = add(ttfs_kernel(s, tau, delay, window=4), image)",
         "y takes image in every step, and without time once"),
        ("y = ttfs(image, tau, delay, start=5, window=4)", "y may fire until 9 steps are over, and there are 8"),
        ("y = ttfs(image, delay, delay, window=4)",
         "y has delay as its tau and as its delay, which follow different things"),
    ],
)  # fmt: skip
def test_what_would_fire_otherwise_than_its_kernel_says_is_refused(line: str, message: str) -> None:
    with pytest.raises(SourceError) as error:
        graph(NETWORK.format(line=line), rule="t2fsnn")
    assert f"--rule t2fsnn cannot train wrong: {message}" in [fault.message for fault in error.value.faults]


def test_where_every_kernel_is_frozen_nothing_is_left_to_train() -> None:
    with pytest.raises(SourceError) as error:
        graph(NETWORK.format(line=WHOLE), rule="t2fsnn", freeze=("tau", "delay"))
    told = "every tau and delay is frozen, and nothing is left to train"
    assert [fault.message for fault in error.value.faults] == [f"--rule t2fsnn cannot train wrong: {told}"]


def test_a_network_without_kernels_and_an_input_that_moves_are_refused() -> None:
    with pytest.raises(SourceError) as error:
        graph("network none(x: f16[t, 4]) steps 3 { return linear(if(x), out=2, bias=false) }", rule="t2fsnn")
    told = [fault.message.removeprefix("--rule t2fsnn cannot train none: ") for fault in error.value.faults]
    assert told == [
        "it has no ttfs, whose kernel could be matched",
        "x has another content in each step, and is none without time",
        "linear.if: what if makes of the steps does not add up to what it makes without time",
    ]


def test_no_error_passes_a_first_spike() -> None:
    with pytest.raises(SourceError, match=r"s: no error passes ttfs, behind which tau is trained"):
        graph(NETWORK.format(line=READ.format(of="flatten(s)")), rule="bptt")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("start=-1", "start of ttfs is at least 0, not -1"),
        ("window=0", "window of ttfs is between 1 and 2048, not 0"),
        ("initial_tau=0.0", "initial_tau of ttfs is positive, not 0.0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(given: str, message: str) -> None:
    with pytest.raises(SourceError, match=re.escape(message)):
        snn.read(f"network wrong(x: f16[4]) steps 3 {{ return ttfs(x, {given}) }}")


def test_what_spikes_are_worth_is_read_of_spikes() -> None:
    with pytest.raises(SourceError, match=re.escape("ttfs_kernel reads what spikes make in each step, not f16[n, 4]")):
        snn.read("network wrong(x: f16[4]) steps 3 { return ttfs_kernel(x) }")


@pytest.mark.parametrize(("name", "what"), [("s.time", "when s fires"), ("s.activation", "s without time")])
def test_names_of_what_is_made_beside_are_taken(name: str, what: str) -> None:
    source = NETWORK.format(line=f"{name} = flatten(s)\n    " + READ.format(of=name))
    with pytest.raises(SourceError, match=re.escape(f"a value may not be called {name}: that is {what}")):
        graph(source, rule="t2fsnn")
