"""Networks out of other tools' files train like any other: law 1 over three steps, one of them with a partial batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from laws import Bench, Exported, outcome_of
from numpy.typing import NDArray
from onnx import helper, numpy_helper


def written(path: Path, steps: int = 3) -> tuple[Path, dict[str, NDArray[Any]]]:
    """A convolution, a norm and neurons that leak, fire and are reset, spelled out; and the parameters."""
    rng = np.random.default_rng(2)
    known: dict[str, NDArray[Any]] = {
        "w": rng.normal(0, 0.5, (8, 1, 3, 3)).astype(np.float32),
        "gamma": rng.uniform(0.5, 1.5, 8).astype(np.float32),
        "beta": rng.normal(0, 0.25, 8).astype(np.float32),
        "mean": rng.normal(0, 0.25, 8).astype(np.float32),
        "var": rng.uniform(0.5, 1.5, 8).astype(np.float32),
        "v0": np.zeros((2, 8, 6, 6), np.float32),
        "one": np.array(1.0, np.float32),
        "decay": np.array(0.75, np.float32),
        "fc": rng.normal(0, 0.1, (10, 288)).astype(np.float32),
        "front": np.zeros(1, np.int64),
    }
    nodes: list[onnx.NodeProto] = []
    for t in range(steps):
        nodes += [
            helper.make_node("Conv", ["x", "w"], [f"c{t}"], f"conv{t}", pads=[1, 1, 1, 1]),
            helper.make_node("BatchNormalization", [f"c{t}", "gamma", "beta", "mean", "var"], [f"n{t}"], f"norm{t}"),
            helper.make_node("Mul", [f"v{t}", "decay"], [f"k{t}"]),
            helper.make_node("Add", [f"k{t}", f"n{t}"], [f"h{t}"]),
            helper.make_node("Greater", [f"h{t}", "one"], [f"b{t}"]),
            helper.make_node("Cast", [f"b{t}"], [f"s{t}"], f"fire{t}", to=1),
            helper.make_node("Sub", [f"h{t}", f"s{t}"], [f"v{t + 1}"]),
            helper.make_node("Flatten", [f"s{t}"], [f"f{t}"]),
            helper.make_node("Gemm", [f"f{t}", "fc"], [f"y{t}"], f"fc{t}", transB=1),
            helper.make_node("Unsqueeze", [f"y{t}", "front"], [f"u{t}"]),
        ]
    nodes.append(helper.make_node("Concat", [f"u{t}" for t in range(steps)], ["y"], axis=0))
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [2, 1, 6, 6])],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(array, name) for name, array in known.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path, known


@pytest.mark.parametrize("machine", ["tiny", "quad3", "exact7"])
def test_a_network_from_a_file_is_the_oracle(machine: str, tmp_path: Path) -> None:
    path, _ = written(tmp_path / "net.onnx")
    outcome = outcome_of(Exported(str(path), machine))
    assert {run: told for run, told in outcome.differences.items() if told} == {}


def test_the_parameters_of_the_file_are_in_the_program(tmp_path: Path) -> None:
    """Masters as they are; working copies and norms' statistics too, before anything has run."""
    path, known = written(tmp_path / "net.onnx")
    bench = Bench(Exported(str(path), "quad1"), oracle=False)
    stored = {
        name: bench.machine.values(name) for name in bench.symbols if name.endswith((".w.master", ".running_mean"))
    }
    assert len(stored) == 3
    for wanted in ("w", "fc", "mean"):
        assert any(
            array.shape == known[wanted].shape and np.array_equal(array, known[wanted]) for array in stored.values()
        )


def test_a_spiking_resnet_that_spikingjelly_exported_is_the_oracle(shared: Path) -> None:
    path = shared / "models" / "onnx" / "sj2_spiking_resnet18_narrow.ts_fallthrough.onnx"
    outcome = outcome_of(Exported(str(path), "exact7"))
    assert {run: told for run, told in outcome.differences.items() if told} == {}
