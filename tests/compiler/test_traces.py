"""Traces: of bits and counts they are histories, words of as many bits as it takes to forget nothing."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stored import trained

from snnc.compiler.frontends import snn
from snnc.compiler.ir.graph import Training
from snnc.compiler.ir.types import Type
from snnc.compiler.ops.trace import Trace
from snnc.compiler.passes.differentiate import build_training
from snnc.compiler.passes.training_options import TrainingOptions

BITS = Type.of("spike", 4, timed=True, batched=True)
QUARTERS = BITS.with_(format="u2", scale=0.25)


@pytest.mark.parametrize(
    ("of", "decay", "additive", "steps", "format", "scale"),
    [
        (BITS, 0.5, True, 1, "spike", 1.0),
        (BITS, 0.5, True, 2, "u2", 1 / 2),
        (BITS, 0.5, True, 3, "u4", 1 / 4),
        (BITS, 0.5, True, 4, "u4", 1 / 8),
        (BITS, 0.5, True, 5, "u8", 1 / 16),
        (BITS, 0.5, True, 8, "u8", 1 / 128),
        (QUARTERS, 0.5, True, 2, "u4", 1 / 8),
        (QUARTERS, 0.5, True, 6, "u8", 1 / 128),
        (BITS, 0.25, True, 4, "u8", 1 / 64),
        (BITS, 1.0, True, 15, "u4", 1.0),
        (BITS, 1.0, True, 255, "u8", 1.0),
        (QUARTERS, 0.0, True, 1000, "u2", 1 / 4),
        (BITS, 0.5, False, 4, "u4", 1 / 8),
    ],
)
def test_a_history_has_the_narrowest_word_that_gates(
    of: Type, decay: float, additive: bool, steps: int, format: str, scale: float
) -> None:
    assert Trace(decay=decay, additive=additive).history_of(of, steps) == of.with_(format=format, scale=scale)


@pytest.mark.parametrize(
    ("of", "decay", "steps"),
    [
        (BITS, 0.5, 9),  # a word that no engine takes
        (BITS, 0.5, 5000),  # a unit that no number holds
        (QUARTERS, 0.5, 7),
        (BITS, 1.0, 256),
        (BITS, 0.75, 2),  # digits that never end
        (BITS, 2.0, 2),
        (BITS.with_(format="f16"), 0.5, 2),
        (BITS.with_(format="ternary"), 0.5, 2),
    ],
)
def test_what_needs_more_or_is_no_whole_number_has_none(of: Type, decay: float, steps: int) -> None:
    assert Trace(decay=decay).history_of(of, steps) is None


NETWORK = """network net(x: f16[t, 6]) steps {steps} {{
    s = {neuron}
    return linear(s, out=2)
}}
train {{ rule = ottt_a; batch = 3; loss = cross_entropy_mse; optimizer = sgd }}"""


@given(
    drawn=st.sampled_from([(0.0, 20), (0.25, 4), (0.5, 11), (1.0, 20)]).flatmap(
        lambda kind: st.tuples(st.just(kind[0]), st.integers(1, kind[1]))
    ),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=30, deadline=None)
def test_in_every_step_a_trace_is_the_sum_of_all_spikes_with_their_powers(drawn: tuple[float, int], seed: int) -> None:
    """In the formats of a machine, as long as there is a history, or f16 has as many digits."""
    decay, steps = drawn
    neuron = f"lif(x, decay={decay}, threshold=0.5, reset=soft)" if decay < 1.0 else "if(x, threshold=0.5, reset=soft)"
    x = np.random.default_rng(seed).random((steps, 3, 6)).round(2)
    oracle = trained(NETWORK.format(steps=steps, neuron=neuron), {"x": x, "label": [0, 1, 1]}, "exact")
    spikes, traces = oracle.read("s"), oracle.read("s.trace")
    for t, *place in np.ndindex(traces.shape):
        told = [Fraction(decay) ** (t - i) * int(spikes[(i, *place)]) for i in range(t + 1)]
        assert Fraction(float(traces[(t, *place)])) == sum(told)


def graph(source: str, **command: int) -> Training:
    network = snn.read(source)
    return build_training(network, TrainingOptions.resolve(network, command))


def types(training: Training) -> dict[str, str]:
    values = training.values(training.procedure("train_step"))
    return {name: str(type) for name, type in values.items() if name.endswith(".trace")}


def no_history(trace: Trace, x: Type, steps: int) -> None:
    """As if no word held what *trace* of *x* remembers."""


def test_a_gradient_has_the_bits_that_traces_of_f16_give_it(monkeypatch: pytest.MonkeyPatch) -> None:
    source = """network net(x: f16[t, 1, 6, 6]) steps 4 {
        c = avg_pool2d(if(conv2d(x, out=5, kernel=3), threshold=0.25), kernel=2)
        s = lif(linear(flatten(c), out=7), decay=0.5, threshold=0.25)
        return linear(s, out=3)
    }
    train { rule = ottt_a; batch = 2; loss = cross_entropy_mse; optimizer = sgd }"""
    rng = np.random.default_rng(1)
    given = {"x": rng.random((4, 2, 1, 6, 6)).round(2), "label": [2, 0]}
    made = {node.results[0]: node.types[0] for node in snn.read(source).nodes if node.op == "parameter"}
    given |= {name: rng.normal(0, 0.5, type.shape).round(2) for name, type in made.items()}
    layer = "s.linear.flatten.trace"
    assert types(graph(source)) == {layer: "u8[t, n, 5*2*2] * 0.25", "s.trace": "u4[t, n, 7] * 0.125"}
    histories = trained(source, given, "exact")
    monkeypatch.setattr(Trace, "history_of", no_history)
    assert types(graph(source)) == {layer: "f16[t, n, 5*2*2] * 0.25", "s.trace": "f16[t, n, 7]"}
    numbers = trained(source, given, "exact")
    for name in made:
        assert histories.read(f"d.{name}").any()
        np.testing.assert_array_equal(histories.read(f"d.{name}"), numbers.read(f"d.{name}"), name)


def test_a_history_whose_sums_no_exact_accumulator_holds_is_none() -> None:
    """32 samples of 32 * 32 places, times 255, stay below 2^23; 33 do not."""
    source = """network net(x: f16[t, 1, 32, 32]) steps 8 {
        s = lif(conv2d(lif(x, decay=0.5), out=4, kernel=3, pad=1), decay=0.75)
        return linear(flatten(s), out=4)
    }
    train { rule = ottt_a; loss = cross_entropy_mse }"""
    (word, *_), (number, *_) = (types(graph(source, batch=batch)).values() for batch in (32, 33))
    assert (word, number) == ("u8[t, n, 1, 32, 32] * 0.0078125", "f16[t, n, 1, 32, 32]")
