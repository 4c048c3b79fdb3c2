"""Learned factors of spikes join the weights that read them: spikes stay bits, and all that learns learns the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stored import ARGUMENTS, given_to

from snnc.compiler.frontends import snn
from snnc.compiler.ir.graph import Network, Training
from snnc.compiler.passes.differentiate import build_training
from snnc.compiler.passes.folded import folded
from snnc.compiler.passes.training_options import TrainingOptions
from snnc.compiler.pipeline import Compilation, Options

SOURCE = """network net(x: f16[1, 6, 6]) steps 4 {
    V  = parameter(init=constant(value=0.75)) : f32[]
    s1 = lif(conv2d(x, out=3, kernel=3, pad=1), threshold=0.5, reset=soft)
    y1 = scale(s1, w=V, each=layer, factor=1.5)
    c2 = conv2d(avg_pool2d(y1, kernel=2), out=4, kernel=3, pad=1)
    k2 = conv2d(y1, out=4, kernel=2, stride=2, bias=false)
    s2 = lif(add(c2, k2), threshold=0.25, reset=soft)
    y2 = scale(s2, w=V, each=layer)
    return linear(flatten(dropout(y2, p=0.25)), out=3)
}
train { loss = LOSS; optimizer = sgd(lr=0.1, momentum=0.9); loss_scale = 1; batch = 2; rule = RULE }"""


def source(rule: str) -> str:
    return SOURCE.replace("RULE", rule).replace("LOSS", "cross_entropy" if rule == "dsr" else "cross_entropy_mse")


def graph(text: str) -> Training:
    network = snn.read(text)
    return build_training(network, TrainingOptions.resolve(network))


def as_it_is(network: Network) -> Network:
    return network


def calls(network: Network) -> dict[str, str]:
    return {node.results[0]: f"{node.op}({', '.join(node.operands)}) : {node.types[0]}" for node in network.nodes}


def test_spikes_stay_bits_up_to_the_weights() -> None:
    found = calls(folded(snn.read(source("bptt"))))
    assert not [name for name, call in found.items() if call.startswith("scale(")]
    assert found["c2.avg_pool2d"] == "avg_pool2d(s1) : u4[t, n, 3, 3, 3] * 0.25"
    assert found["c2"].startswith("conv2d(c2.avg_pool2d, c2.w.scaled, c2.b)")
    assert found["k2"].startswith("conv2d(s1, k2.w.scaled)")
    assert found["k2.w.scaled"] == "scaled_weight(k2.w, V) : f16[4, 3, 2, 2]"
    assert found["linear.flatten.dropout"] == "dropout(s2) : spike[t, n, 4, 3, 3] * 1.3333333333333333"
    assert found["linear"].startswith("linear(linear.flatten, linear.w.scaled, linear.b)")


@pytest.mark.parametrize("rule", ["bptt", "bptt(window=2)", "bptt(window=2, update=batch)", "sltt", "dsr"])
def test_all_that_learns_learns_what_it_would_from_words(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In float64, two steps from the same parameters; SLTT takes windows, whose steps are more than one."""
    rng = np.random.default_rng(3)
    text = source(rule).replace("lif(", "if(") if rule == "dsr" else source(rule)
    together = graph(text)
    monkeypatch.setattr("snnc.compiler.passes.differentiate.folded", as_it_is)
    apart = graph(text)
    assert "scaled_weight" in {node.op for node in together.procedure("train_step").nodes}
    assert "scale" in {node.op for node in apart.procedure("train_step").nodes}
    names = [variable for variable in apart.variables if variable.role == "parameter"]
    given: dict[str, Any] = {each.name: rng.normal(0.1, 0.6, each.type.shape) for each in names}
    given |= {"x": rng.uniform(0, 2, (2, 1, 6, 6)), "label": [0, 2], "V": 0.8}
    first, second = given_to(together, given), given_to(apart, given)
    for step in range(2):
        for oracle in (first, second):
            oracle.run("train_step", ARGUMENTS | {"valid": 2, "step": step})
    assert first.read("s1").any() and first.read("s2").any()
    for name in ("loss", *(f"{each.name}.master" for each in names)):
        np.testing.assert_allclose(first.read(name), second.read(name), rtol=0, atol=1e-12, err_msg=name)
    assert abs(float(first.read("V.master")) - 0.8) > 1e-4


@pytest.mark.parametrize(
    "body",
    [
        "y = scale(s, w=V, each=layer); return vote(y, size=2)",
        "y = scale(s, w=V, each=layer); return linear(add(y, s), out=2)",
        "y = scale(s, w=V, each=layer); return linear(delay(y), out=2)",
        "y = scale(s, each=channel); return linear(y, out=2)",
        "y = scale(s, each=step); return linear(y, out=2)",
        "y = scale(li(s), w=V, each=layer); return linear(y, out=2)",
        "y = scale(s, w=V, each=layer); r = linear(y, out=4); return linear(lif(add(r, y)), out=2)",
    ],
)
def test_what_others_read_or_is_no_bit_stays_words(body: str) -> None:
    text = f"""network net(x: f16[4]) steps 2 {{
        V = parameter(init=ones) : f32[]
        s = lif(x)
        {body}
    }}"""
    network = snn.read(text)
    assert folded(network) is network


def test_counts_that_need_more_than_8_bits_stay_words() -> None:
    text = """network net(x: f16[2, 16, 16]) steps 2 {
        V = parameter(init=ones) : f32[]
        y = scale(lif(x), w=V, each=layer)
        return linear(flatten(avg_pool2d(y, kernel=KERNEL)), out=2)
    }"""
    wide, narrow = (snn.read(text.replace("KERNEL", kernel)) for kernel in ("16", "8"))
    assert folded(wide) is wide and folded(narrow) is not narrow


def test_a_name_that_the_network_has_is_left_to_it() -> None:
    text = source("bptt").replace("k2", "c2.w.scaled")
    assert {"c2.w.scaled", "c2.w.scaled.1"} <= set(calls(folded(snn.read(text))))


def test_a_factor_that_changes_within_a_batch_is_multiplied_anew() -> None:
    training = graph(source("bptt(window=2)"))
    (region,) = (
        region
        for region in training.procedure("train_step").regions
        if "scaled_weight" in {node.op for node in region.nodes}
    )
    assert (region.sweep, region.window) == ("once", 2)


def test_weights_gate(tmp_path: Path) -> None:
    """What is gated where the factor is known is gated where it is learned."""
    path = tmp_path / "net.snn"
    path.write_text(source("dsr").replace("lif(", "if("), "utf-8")
    work = Compilation(str(path), Options("quad")).program.predicted["train_step"]["by_phase"]["FP"]["work"]
    assert work["multiply"] == 2 * 3 * 36 * 9, "the first layer, once, of words"
    assert work["gated"] == 4 * 2 * (4 * 9 * 3 * 9 + 4 * 9 * 3 * 4 + 3 * 36)
