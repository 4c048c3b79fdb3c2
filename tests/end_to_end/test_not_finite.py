"""A NaN is noticed in the step that makes it, and traced to the first tensor in the order of the graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snnc.compiler.ops.op import alias_of
from snnc.compiler.pipeline import Compilation, Options
from snnc.models.data import Dataset, Split
from snnc.runtime.finite import first_not_finite, written
from snnc.runtime.host import train
from snnc.runtime.interpreter import Interpreter
from snnc.runtime.settings import Settings
from snnc.source import DataError

NETWORK = """network small(image: f16[1, 4, 4]) steps 2 {
    c = conv2d(image, out=16, kernel=3, pad=1)
    s = lif(c, threshold=0.25)
    y = linear(flatten(s), out=3, w=parameter(init=INIT))
    z = li(y)
    return z
}
train { optimizer = sgd(lr=0.1); batch = 4 }
"""
CORES = (1, 3)


def compilation(folder: Path, cores: int = 1, init: str = "kaiming_uniform", **train: float) -> Compilation:
    path = folder / "small.snn"
    path.write_text(NETWORK.replace("INIT", init))
    return Compilation(path, Options(target="quad", cores=cores, train=train))


def data(times: float = 1.0) -> Dataset:
    rng = np.random.default_rng(0)
    images = (times * rng.random((8, 1, 4, 4))).astype(np.float32)
    split = Split(images, rng.integers(0, 3, 8).astype(np.uint16))
    return Dataset("noise", split, split, 3)


def fault(made: Compilation, samples: Dataset, **settings: float) -> str:
    """The first line of what a run ends with."""
    with pytest.raises(DataError) as caught:
        train(Interpreter(made.program), samples, Settings.of(made.program.settings, **settings))
    return str(caught.value).splitlines()[0]


@pytest.mark.parametrize("cores", CORES)
def test_a_forward_overflow_is_traced_to_its_layer(tmp_path: Path, cores: int) -> None:
    """Weights of 65,000 on 256 spikes: y overflows, and with it the loss."""
    told = fault(compilation(tmp_path, cores, "constant(value=65000)"), data())
    assert told.startswith(
        "small.snn:4:9: the loss is nan in step 1 (epoch 1, batch 1); it began in y (forward of y): "
    )


@pytest.mark.parametrize("cores", CORES)
def test_an_error_that_overflows_is_traced_to_where_it_does(tmp_path: Path, cores: int) -> None:
    """Loss and error of y are finite under this scale; times large weights some are not, behind the neuron s."""
    told = fault(compilation(tmp_path, cores, "normal(std=0.5)", loss_scale=2.0**17), data())
    assert told == (
        "small.snn:3:9: c.w is not finite in step 1 (epoch 1, batch 1); it began in d.c (backward of s): "
        "12 of 1024 elements are not finite"
    )


@pytest.mark.parametrize("cores", CORES)
def test_an_update_that_overflows_is_traced_to_its_parameter(tmp_path: Path, cores: int) -> None:
    """Gradients are finite, the rate is not for this world: no working copy holds what comes of it."""
    assert fault(compilation(tmp_path, cores), data(), learning_rate=1e30) == (
        "small.snn:2:9: c.w is not finite in step 1 (epoch 1, batch 1); it began in c.w (update of c): "
        "144 of 144 elements are not finite"
    )


@pytest.mark.parametrize("cores", CORES)
def test_a_nan_of_one_hidden_neuron_does_not_hide(tmp_path: Path, cores: int) -> None:
    """It fires no spike, so that no loss tells; the parameter itself does, in the same step."""
    made = compilation(tmp_path, cores)
    interpreter = Interpreter(made.program)
    train(interpreter, data(), Settings.of(made.program.settings, max_steps=1))
    weights = interpreter.values("c.w")
    weights[5] = np.nan
    interpreter.write("c.w", weights)
    interpreter.run("train_step", dict.fromkeys(made.program.entry("train_step").arguments, 1))
    assert np.isfinite(interpreter.values("loss")).all()
    found = first_not_finite(interpreter, made.program.entry("train_step"))
    assert found is not None and str(found) == "c (forward of c): 64 of 1024 elements are not finite"
    assert (found.place.line, found.layer) == (2, "c")


def test_a_parameter_that_begins_so_is_told(tmp_path: Path) -> None:
    assert fault(compilation(tmp_path, 1, "constant(value=70000)"), data()) == (
        "y.w is not finite before the first step"
    )


@pytest.mark.parametrize("cores", (1, 2, 3, 4))
def test_tensors_are_looked_at_in_the_order_of_the_graph(tmp_path: Path, cores: int) -> None:
    made = compilation(tmp_path, cores)
    graph = made.training.procedure("train_step")
    expected = [name for node in graph.nodes if alias_of(node) is None for name in node.results if name]
    program = made.program
    assert [symbol.name for symbol, _ in written(program, program.entry("train_step"))] == expected
