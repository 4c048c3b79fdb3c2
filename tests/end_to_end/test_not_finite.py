"""A NaN is noticed in the step that makes it, and traced to the first tensor in the order of the graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from snnc.compiler.ir.graph import Setting
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


def compilation(
    folder: Path, cores: int = 1, init: str = "kaiming_uniform", fusion: str = "off", **train: Setting
) -> Compilation:
    path = folder / "small.snn"
    path.write_text(NETWORK.replace("INIT", init))
    return Compilation(path, Options(target="quad", cores=cores, train=train, fusion=fusion, partition="in_turn"))


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


class Spoiling(Interpreter):
    """Leaves a NaN in c.w with the third training step."""

    steps = 0

    def run(self, entry_name: str, arguments: Mapping[str, float | int] | None = None) -> None:
        super().run(entry_name, arguments)
        self.steps += entry_name == "train_step"
        if self.steps == 3:
            self.write("c.w", np.full((16, 1, 3, 3), np.nan, np.float32))


def remedies(caught: pytest.ExceptionInfo[DataError]) -> list[str]:
    return list(caught.value.faults[0].hints)


def test_what_is_advised_can_be_done_and_is_not_done_already(tmp_path: Path) -> None:
    slower = "a lower learning rate"
    clip = "clip = norm(1.0) in the train section, or --clip"

    def advised(made: Compilation, samples: Dataset, **settings: float) -> list[str]:
        with pytest.raises(DataError) as caught:
            train(Interpreter(made.program), samples, Settings.of(made.program.settings, **settings))
        return remedies(caught)

    smaller = "first values of the parameters, or samples, that are smaller"
    assert advised(compilation(tmp_path, init="constant(value=65000)"), data()) == [smaller]
    scaled = compilation(tmp_path, init="normal(std=0.5)", loss_scale=2.0**17)
    assert advised(scaled, data()) == ["a lower loss scale, or loss_scale = dynamic"]
    assert advised(compilation(tmp_path), data(), learning_rate=1e30) == [slower, clip]
    clipped = compilation(tmp_path, clip=("norm", ("limit", 1.0)))
    assert advised(clipped, data(), learning_rate=1e30) == [slower]


def test_after_a_checkpoint_its_parameters_are_advised(tmp_path: Path) -> None:
    """Not to resume it: that would go on with the settings that it was made with, into the same NaN."""
    made, path = compilation(tmp_path), tmp_path / "run.ckpt"
    settings = Settings.of(made.program.settings, epochs=2)
    with pytest.raises(DataError) as caught:
        train(Spoiling(made.program), data(), settings, checkpoint=path)
    wanted = f"--weights {path}, the parameters after step 2, with what is changed"
    assert remedies(caught)[-1] == wanted
    slower = replace(settings, learning_rate=0.01)
    with pytest.raises(DataError) as caught:
        train(Interpreter(made.program), data(), slower, resume=path)
    assert str(caught.value) == (
        f"{path}: the run that wrote it had other settings: learning_rate = 0.1 (now 0.01)\n"
        f"  try: --weights {path}, which begins anew with its parameters"
    )
    assert train(Interpreter(made.program), data(), slower, initial=path).steps == 4


def test_weights_are_advised_only_where_all_of_them_fit(tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    made = compilation(tmp_path)
    train(Interpreter(made.program), data(), Settings.of(made.program.settings), checkpoint=path)
    other = compilation(tmp_path, batch=2)
    with pytest.raises(DataError) as caught:
        train(Interpreter(other.program), data(), Settings.of(other.program.settings), resume=path)
    assert str(caught.value) == (
        f"{path}: a checkpoint of another program\n  try: --weights {path}, which begins anew with its parameters"
    )
    assert train(Interpreter(other.program), data(), Settings.of(other.program.settings), initial=path).steps == 4
    (tmp_path / "small.snn").write_text(NETWORK.replace("INIT", "zeros").replace("out=16", "out=8"))
    narrow = Compilation(tmp_path / "small.snn", Options(cores=1))
    with pytest.raises(DataError) as caught:
        train(Interpreter(narrow.program), data(), Settings.of(narrow.program.settings), resume=path)
    assert str(caught.value) == f"{path}: a checkpoint of another program"


def test_what_is_gone_with_its_step_is_not_said_to_be_the_beginning(tmp_path: Path) -> None:
    """c overflows in the first of two steps; of c DRAM has the last step, which is finite."""
    path = tmp_path / "online.snn"
    path.write_text(
        """network online(x: f16[t, 4]) steps 2 {
            c = linear(x, out=3, w=parameter(init=constant(value=4)))
            s = lif(c, threshold=0.25)
            return linear(add(s, c), out=3)
        }
        train { rule = sltt; loss = cross_entropy_mse; optimizer = sgd(lr=0.1); batch = 4 }"""
    )
    images = np.zeros((4, 2, 4), np.float32)
    images[:, 0] = 60000.0
    split = Split(images, np.zeros(4, np.uint16))
    told = fault(Compilation(path, Options(target="quad", cores=1)), Dataset("large", split, split, 3))
    assert told.endswith("elements are not finite, unless in a time step that is gone from DRAM")
