"""Versions of ONNX's operators: each that is read spells a network in its own way, and it is the same network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from snnc.compiler.frontends._onnx_file import OPSETS
from snnc.compiler.frontends.frontend import Imported, read_model
from snnc.compiler.ir.text import print_network
from snnc.compiler.proof import prove
from snnc.source import SourceError

STEPS, BATCH, INPUTS, HIDDEN = 4, 2, 6, 4


class Spelling:
    """Nodes as one version of the operators writes them; names do not depend on it."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: dict[str, onnx.TensorProto] = {}

    def node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], output, **attributes))
        return output

    def constant(self, value: Any, name: str, dtype: Any = np.float32) -> str:
        self.tensors[name] = numpy_helper.from_array(np.asarray(value, dtype), name)
        return name

    def whole(self, *numbers: int) -> str:
        return self.constant(numbers, f"n{'_'.join(map(str, numbers))}", np.int64)

    def along(self, op: str, x: str, output: str, axis: int, since: int, **attributes: Any) -> str:
        """An operator whose axes are an operand *since* a version, and were an attribute."""
        if self.version < since:
            return self.node(op, [x], output, axes=[axis], **attributes)
        return self.node(op, [x, self.whole(axis)], output, **attributes)

    def sliced(self, x: str, output: str, number: int) -> str:
        if self.version < 10:
            return self.node("Slice", [x], output, starts=[number], ends=[number + 1], axes=[0])
        return self.node("Slice", [x, self.whole(number), self.whole(number + 1), self.whole(0)], output)

    def halves(self, x: str, outputs: list[str]) -> None:
        """Two parts of half the rows each: sizes are an attribute, an operand, or follow from the number of parts."""
        inputs, attributes = [x], dict[str, Any]()
        if self.version < 13:
            attributes["split"] = [STEPS // 2] * 2
        elif self.version < 18:
            inputs.append(self.whole(STEPS // 2, STEPS // 2))
        else:
            attributes["num_outputs"] = 2
        self.nodes.append(helper.make_node("Split", inputs, outputs, outputs[0], axis=0, **attributes))

    def clipped(self, x: str, output: str) -> str:
        """Between 0 and 1: limits are attributes, or operands."""
        if self.version < 11:
            return self.node("Clip", [x], output, min=0.0, max=1.0)
        return self.node("Clip", [x, self.constant(0.0, "zero"), self.constant(1.0, "one")], output)

    def dropped(self, x: str, output: str) -> str:
        if self.version < 12:
            return self.node("Dropout", [x], output, ratio=0.25)
        return self.node("Dropout", [x, self.constant(0.25, "ratio")], output)

    def normed(self, x: str, output: str) -> str:
        values = {"gamma": [1, 2, 1, 2], "beta": [0, 1, 0, 1], "mean": [0, 0, 1, 1], "variance": [1, 2, 3, 4]}
        return self.node("BatchNormalization", [x, *(self.constant(v, name) for name, v in values.items())], output)

    def summed(self, x: str, output: str) -> str:
        rng = np.random.default_rng(3)
        weight = self.constant(rng.normal(0.5, 1, (INPUTS, HIDDEN)), "w")
        return self.node("Gemm", [x, weight, self.constant(rng.normal(0, 0.1, HIDDEN), "b")], output)

    def save(self, path: Path, output: str) -> Path:
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [STEPS, BATCH, INPUTS])],
            [helper.make_empty_tensor_value_info(output)],
            list(self.tensors.values()),
        )
        opset = helper.make_opsetid("", self.version)
        path.write_bytes(helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString())
        return path


REDUCTIONS = {"ReduceSum": 13, "ReduceMean": 18}
"""Since when their axes are an operand."""


def network(path: Path, version: int, reduction: str = "ReduceSum") -> Path:
    """Neurons whose spikes go through a norm, and are summed, or averaged, over time."""
    write = Spelling(version)
    write.halves("x", ["early", "late"])
    one, half = write.constant(1.0, "one"), write.constant(0.5, "half")
    potential = write.constant(np.zeros((BATCH, HIDDEN)), "v")
    rows: list[str] = []
    for step in range(STEPS):
        part = "early" if step < STEPS // 2 else "late"
        row = write.along("Squeeze", write.sliced(part, f"s{step}", step % (STEPS // 2)), f"x{step}", 0, 13)
        drive = write.summed(row, f"fc{step}")
        charged = write.node("Add", [write.node("Mul", [potential, half], f"m{step}"), drive], f"h{step}")
        spikes = write.node(
            "Cast",
            [
                write.node("Greater", [charged, one], f"g{step}"),
            ],
            f"fire{step}",
            to=1,
        )
        potential = write.node("Sub", [charged, spikes], f"u{step}")
        top = write.normed(write.dropped(write.clipped(spikes, f"clip{step}"), f"d{step}"), f"bn{step}")
        rows.append(write.along("Unsqueeze", top, f"row{step}", 0, 13))
    sequence = write.node("Concat", rows, "sequence", axis=0)
    return write.save(path, write.along(reduction, sequence, "y", 0, REDUCTIONS[reduction], keepdims=0))


def text_of(imported: Imported) -> str:
    """The network as text, in which comments say the places of nodes in the file."""
    return print_network(imported.network).replace(imported.network.place.file, "net.onnx")


@pytest.fixture(scope="module")
def newest(tmp_path_factory: pytest.TempPathFactory) -> Imported:
    return read_model(network(tmp_path_factory.mktemp("newest") / "net.onnx", OPSETS[1]))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("version", range(OPSETS[0], OPSETS[1] + 1))
def test_each_version_spells_the_same_network(version: int, reduction: str, newest: Imported, tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx", version, reduction)
    evaluator: Any = ReferenceEvaluator(onnx.load_model_from_string(path.read_bytes()))
    x = np.random.default_rng(5).normal(0, 1, (STEPS, BATCH, INPUTS)).astype(np.float32)
    assert evaluator.run(None, {"x": x})[0].shape == (BATCH, HIDDEN), "the file is what its version allows"
    imported = read_model(path)
    layers = [node.op for node in imported.network.nodes if node.op != "parameter"]
    assert layers == ["linear", "lif", "batch_norm"]
    assert text_of(imported) == text_of(newest)
    assert imported.parameters.keys() == newest.parameters.keys()
    assert all(np.array_equal(value, newest.parameters[name]) for name, value in imported.parameters.items())
    proof = prove(imported)
    assert proof is not None and proof.different == 0


def test_versions_before_and_behind_these_are_refused(tmp_path: Path) -> None:
    assert OPSETS == (9, 24), "docs/onnx.md says so"
    for version in (8, 25):
        path = network(tmp_path / "net.onnx", version)
        with pytest.raises(SourceError) as fault:
            read_model(path)
        assert str(fault.value) == f"{path}: uses ONNX's operators of version {version}; 9 to 24 are read"
