"""What training makes beside the network has names; a value that is called so is told, never mixed up with it."""

from __future__ import annotations

import re

import pytest

from snnc.compiler.frontends import snn
from snnc.compiler.ir.text import print_training
from snnc.compiler.passes.differentiate import build_training
from snnc.compiler.passes.training_options import TrainingOptions
from snnc.source import SourceError

NETWORK = """network net(image: f16[1, 6, 6]) steps 2 {
    c = batch_norm(conv2d(image, out=4, kernel=3), scope=separate)
    s = lif(c)
    f = flatten(dropout(s))
    twice = add(f, relu(f))
    OTHER = relu(twice)
    y = linear(OTHER, out=5)
    return y
}
train { optimizer = adam; loss_scale = dynamic; clip = norm(1.0); coding = poisson; batch = 4 }
"""


def made(other: str) -> set[str]:
    """Names of all values and variables of the training graph, where one value is called *other*."""
    network = snn.read(NETWORK.replace("OTHER", other))
    training = build_training(network, TrainingOptions.resolve(network))
    names = {variable.name for variable in training.variables}
    return names | {name for entry in training.procedures for node in entry.nodes for name in node.results if name}


FURTHER = sorted(
    name
    for name in made("free") - set(snn.read(NETWORK.replace("OTHER", "free")).types)
    if "free" not in name.split(".")  # what is made of the very value that takes the name
)


def test_training_makes_names_of_every_kind() -> None:
    kinds = {"d.c", "y.w.master", "y.w.m", "y.w.v", "loss", "label", "logits", "loss.seed", "overflow"}
    assert kinds | {"gradients.factor", "image.spikes", "f.infer", "d.y.w.row", "d.f.part1"} <= set(FURTHER)


@pytest.mark.parametrize("name", FURTHER)
def test_no_value_may_have_such_a_name(name: str) -> None:
    with pytest.raises(SourceError, match=r"^<text>:6:[0-9]+: a value may not be called "):
        made(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("y.w.m", "a value may not be called y.w.m: that is what adam keeps for the parameter y.w"),
        ("y.w.master", "a value may not be called y.w.master: that is the f32 copy of the parameter y.w"),
        ("d.s", "a value may not be called d: with s in the network, d.s belongs to the gradient of s"),
        ("d.y.w.row", "a value may not be called d: with y in the network, d.y.w.row belongs to the gradient of y"),
        ("label", "a value may not be called label: that is what the host hands in beside the samples, the label"),
        ("f.infer", "a value may not be called f.infer: that is f when inferring"),
        ("image.spikes", "a value may not be called image.spikes: that is what poisson coding makes of image"),
    ],
)
def test_a_clash_is_told_with_the_name_that_the_user_wrote(name: str, message: str) -> None:
    with pytest.raises(SourceError) as error:
        made(name)
    assert [fault.message for fault in error.value.faults] == [message]


LAYERS = "network a(x: f16[8]) steps 2 {\n    e = linear(x, out=6)\n    return linear(lif(e), out=4)\n}\n"


def test_a_layer_may_be_called_d() -> None:
    """Its gradients are d.d and d.d.w, and all is as under another name."""
    texts: list[str] = []
    for source in (LAYERS, re.sub(r"\be\b", "d", LAYERS)):
        network = snn.read(source)
        texts.append(
            print_training(build_training(network, TrainingOptions.resolve(network, {"loss_scale": ("dynamic",)})))
        )
    assert texts[1] == re.sub(r"(?<![\w.])(d\.)?e(?![\w])", r"\1d", texts[0]) != texts[0]


def test_a_layer_called_d_is_told_once_and_by_its_name_where_it_cannot_be() -> None:
    source = "network a(w: f16[8]) steps 2 {\n    d = linear(w, out=6)\n    return linear(lif(d), out=4)\n}\n"
    network = snn.read(source)
    with pytest.raises(SourceError) as error:
        build_training(network, TrainingOptions.resolve(network))
    told = "a value may not be called d: with w in the network, d.w belongs to the gradient of w"
    assert str(error.value) == f"<text>:2:9: {told}"


def test_what_another_optimizer_would_keep_is_a_free_name() -> None:
    network = snn.read(
        "network a(x: f16[8]) steps 2 { c.w.m = lif(linear(x, out=6)); c = linear(c.w.m, out=4); return c }"
    )
    build_training(network, TrainingOptions.resolve(network, {"optimizer": "sgd"}))
    with pytest.raises(SourceError, match=r"a value may not be called c\.w\.m: that is what adam keeps for"):
        build_training(network, TrainingOptions.resolve(network, {"optimizer": "adam"}))
