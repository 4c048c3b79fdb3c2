"""What training makes beside the network has names; a value that is called so is told, never mixed up with it."""

from __future__ import annotations

import pytest

from snnc.compiler.frontends import snn
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


FURTHER = sorted(made("free") - set(snn.read(NETWORK.replace("OTHER", "free")).types))


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
        ("d", "a value may not be called d: d.NAME is the gradient of NAME"),
        ("d.free", "a value may not be called d: d.NAME is the gradient of NAME"),
        ("label", "a value may not be called label: that is what the host hands in beside the samples, the label"),
        ("f.infer", "a value may not be called f.infer: that is f when inferring"),
        ("image.spikes", "a value may not be called image.spikes: that is what poisson coding makes of image"),
    ],
)
def test_a_clash_is_told_with_the_name_that_the_user_wrote(name: str, message: str) -> None:
    with pytest.raises(SourceError) as error:
        made(name)
    assert [fault.message for fault in error.value.faults] == [message]


def test_a_layer_called_d_is_told_once_and_by_its_name() -> None:
    source = "network a(x: f16[8]) steps 2 {\n    d = linear(x, out=6)\n    return linear(lif(d), out=4)\n}\n"
    network = snn.read(source)
    with pytest.raises(SourceError) as error:
        build_training(network, TrainingOptions.resolve(network))
    assert str(error.value) == "<text>:2:9: a value may not be called d: d.NAME is the gradient of NAME"


def test_what_another_optimizer_would_keep_is_a_free_name() -> None:
    network = snn.read(
        "network a(x: f16[8]) steps 2 { c.w.m = lif(linear(x, out=6)); c = linear(c.w.m, out=4); return c }"
    )
    build_training(network, TrainingOptions.resolve(network, {"optimizer": "sgd"}))
    with pytest.raises(SourceError, match=r"a value may not be called c\.w\.m: that is what adam keeps for"):
        build_training(network, TrainingOptions.resolve(network, {"optimizer": "adam"}))
