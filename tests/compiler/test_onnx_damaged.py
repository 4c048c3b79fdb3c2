"""Graphs that cannot be read: each is refused with its node, what is wrong, and nothing lost; so are greedy ones.

Files that are damaged as bytes, and mutated ones, are in `test_onnx.py` and `test_mutated.py`, which reads greedy ones,
too, in a process whose memory it measures; damaged NIR files in `test_nir_damaged.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx_files import Writer

from snnc.compiler.frontends.frontend import read_model
from snnc.source import SourceError

EYE = np.eye(5)
LAYERLESS = "no layer computes it"

CASES: dict[str, tuple[list[Any], Callable[[Writer], str], list[str]]] = {
    "sums of unlike shapes": (
        [2, 5],
        lambda w: w("Gemm", "x", w.constant(np.eye(4))),
        ["Gemm_2: Gemm cannot be read: Dimension mismatch in unification between 4 and 5"],
    ),
    "a product of inputs": (
        [2, 5],
        lambda w: w("MatMul", "x", w("Transpose", "x", perm=[1, 0])),
        [
            "MatMul_2: MatMul: multiplies two values that change, or more than a matrix",
            f"Transpose_1: Transpose: {LAYERLESS} here",
        ],
    ),
    "a filter that changes": (
        [2, 1, 5, 5],
        lambda w: w("Conv", "x", "x"),
        ["Conv_1: Conv: its weights change with the data"],
    ),
    "uneven padding": (
        [2, 1, 5, 5],
        lambda w: w("Conv", "x", w.constant(np.ones((2, 1, 3, 3))), pads=[0, 1, 1, 0]),
        ["Conv_2: Conv: pads [0, 1, 1, 0] differ between the ends"],
    ),
    "padding by name": (
        [2, 1, 5, 5],
        lambda w: w("Conv", "x", w.constant(np.ones((2, 1, 3, 3))), auto_pad="SAME_UPPER"),
        ["Conv_2: Conv: auto_pad=SAME_UPPER: only padding in numbers can be read"],
    ),
    "volumes": (
        [2, 1, 5, 5, 5],
        lambda w: w("Conv", "x", w.constant(np.ones((2, 1, 3, 3, 3)))),
        ["Conv_2: Conv: has 3 axes besides channels; 1 or 2 can be read"],
    ),
    "wrong channels": (
        [2, 1, 5, 5],
        lambda w: w("Conv", "x", w.constant(np.ones((2, 3, 3, 3)))),
        ["Conv_2: w of conv2d is [2, 1, 3, 3], not [2, 3, 3, 3]"],
    ),
    "a shape that does not fit": (
        [2, 6],
        lambda w: w("Reshape", "x", w.constant([2, 4], np.int64)),
        ["Reshape_2: Reshape: cannot make [2, 4] of [2, 6]"],
    ),
    "a shape across samples": (
        [2, 6],
        lambda w: w("Reshape", "x", w.constant([4, 3], np.int64)),
        ["Reshape_2: Reshape: makes [4, 3] of [2, 6]; a layer can only flatten a sample"],
    ),
    "a row that is not there": (
        [4, 2, 5],
        lambda w: w("Gather", "x", w.constant(9, np.int64), axis=0),
        ["Gather_2: Gather: takes row 9 of 4"],
    ),
    "a row that the data choose": (
        [4, 2, 5],
        lambda w: w("Gather", "x", w("Cast", w("ReduceMean", "x", keepdims=0), to=7), axis=0),
        ["Gather_3: Gather: depends on the data where it must not"],
    ),
    "columns": (
        [2, 5],
        lambda w: w("Gather", "x", w.constant([0, 1], np.int64), axis=1),
        ["Gather_2: Gather: takes elements along axis 1; only the first can be taken apart"],
    ),
    "a slice of columns": (
        [2, 5],
        lambda w: w("Slice", "x", *(w.constant([k], np.int64) for k in (0, 2, 1))),
        ["Slice_4: Slice: cuts along axis 1; only the first can be taken apart"],
    ),
    "a norm without statistics": (
        [2, 3, 4, 4],
        lambda w: w("BatchNormalization", "x", w.constant(np.ones(3)), w.constant(np.ones(3))),
        ["BatchNormalization_3: BatchNormalization: has 3 operands; it takes 5 to 5"],
    ),
    "a pool that rounds up": (
        [2, 1, 5, 5],
        lambda w: w("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        ["MaxPool_1: MaxPool: pools over other than one or two axes, rounds up, or pads the ends differently"],
    ),
    "a pool with smaller windows at the edge": (
        [2, 1, 5, 5],
        lambda w: w("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        ["AveragePool_1: AveragePool: divides windows at the edge by fewer elements"],
    ),
    "a constant beside the input": (
        [2, 5],
        lambda w: w("Add", "x", w.constant(np.ones(5))),
        ["Add_2: Add: adds a constant to what is no sum of products"],
    ),
    "an exponential": (
        [2, 5],
        lambda w: w("Exp", w("MatMul", "x", w.constant(EYE))),
        [f"Exp_3: Exp: is no part of a neuron that was recognised, and {LAYERLESS}"],
    ),
    "a recurrent operator": (
        [4, 2, 5],
        lambda w: w("LSTM", "x", w.constant(np.ones((1, 16, 5))), w.constant(np.ones((1, 16, 4))), hidden_size=4),
        ["LSTM_3: LSTM: is no operator that can be read\n  try: spiking layers of this language instead"],
    ),
    "an unknown domain": (
        [2, 5],
        lambda w: w("Fire", "x", domain="com.example"),
        ["Fire_1: Fire: of the domain com.example is no operator that can be read"],
    ),
    "an unknown neuron": (
        [4, 2, 5],
        lambda w: w("Izhikevich", "x", domain="snn"),
        ["Izhikevich_1: snn::Izhikevich: no neuron that is known has this name"],
    ),
    "an operator without operands": (
        [2, 5],
        lambda w: w("Relu"),
        ["Relu_1: Relu: has 0 operands; it takes 1 to 1"],
    ),
    "attention": (
        [2, 5, 5],
        lambda w: w("Softmax", w("MatMul", "x", w.constant(EYE))),
        ["MatMul_2: linear reads one axis, not f16[t, n, 5, 5]; flatten() makes it one"],
    ),
    "an input without extents": ([], lambda w: w("Relu", "x"), ["x: an input of shape [] cannot be read"]),
    "an enormous input": (
        [1 << 20, 1 << 20],
        lambda w: w("Relu", "x"),
        ["x: an input of shape [1048576, 1048576] cannot be read"],
    ),
    "an enormous repetition": (
        [2, 5],
        lambda w: w("Tile", w.constant(np.ones((1 << 14, 1 << 6))), w.constant([1 << 14, 1], np.int64)),
        ["Tile_3: Tile: makes 17,179,869,184 elements, more than are read"],
    ),
    "an enormous constant": (
        [2, 5],
        lambda w: w("ConstantOfShape", w.constant([1 << 20, 1 << 20], np.int64)),
        ["ConstantOfShape_2: ConstantOfShape: makes 1,099,511,627,776 elements, more than are read"],
    ),
    "time that is left open": (
        ["T", 2, 5],
        lambda w: w("Gather", "x", w.constant(0, np.int64), axis=0),
        ["x: the input leaves the number of time steps open (T)\n  try: --steps T"],
    ),
}


GREEDY: dict[str, tuple[list[Any], Callable[[Writer], str], str]] = {
    "a constant that doubles forty times": (
        [2, 5],
        lambda w: w("Add", "x", doubled(w, w.constant(np.ones(1 << 16)), 40)),
        ", node Concat_13: Concat: makes 268,435,456 elements, more than are read",
    ),
    "rows that double forty times": (
        [2, 5],
        lambda w: doubled(w, "x", 40),
        ", node Concat_24: Concat: makes 167,772,160 elements, more than are read",
    ),
    "columns that double forty times": (
        [2, 5],
        lambda w: doubled(w, "x", 40, axis=1),
        ", node Concat_24: Concat: makes 167,772,160 elements, more than are read",
    ),
    "more rows than there are": (
        [2, 5],
        lambda w: w("Tile", "x", w.constant([1 << 40, 1], np.int64)),
        ": moves more than 1,000,000 rows",
    ),
    "one row for ever": (
        [2, 5],
        lambda w: w("Expand", w("Unsqueeze", "x", whole(w, 0)), whole(w, 1 << 40, 2, 5)),
        ": moves more than 1,000,000 rows",
    ),
    "many rows of one": (
        [4, 2, 5],
        lambda w: w("Gather", "x", w("ConstantOfShape", whole(w, 1 << 24), value=ZERO), axis=0),
        ": moves more than 1,000,000 rows",
    ),
    "an outer product": (
        [2, 5],
        lambda w: w("Mul", w.constant(np.ones((1 << 17, 1))), w.constant(np.ones((1, 1 << 17)))),
        ", node Mul_3: Mul: makes 17,179,869,184 elements, more than are read",
    ),
    "a range": (
        [2, 5],
        lambda w: w("Range", *(w.constant(value, np.int64) for value in (0, 1 << 40, 1))),
        ", node Range_4: Range: makes 1,099,511,627,776 elements, more than are read",
    ),
    "padding": (
        [2, 5],
        lambda w: w("Pad", w.constant(np.ones(5)), whole(w, 1 << 40, 0)),
        ", node Pad_3: Pad: makes 1,099,511,627,781 elements, more than are read",
    ),
    "padding of a layer": (
        [2, 1, 5, 5],
        lambda w: w("Conv", "x", w.constant(np.ones((1, 1, 3, 3))), pads=[1 << 20] * 4),
        ", node Conv_2: Conv: makes 8,796,118,188,050 elements, more than are read",
    ),
    "a product over everything": (
        [2, 5],
        lambda w: w("Einsum", *[w.constant(np.ones((200, 200)))] * 4, equation="ab,cd,ef,gh->abcdefgh"),
        ", node Einsum_2: Einsum: is not computed on constants",
    ),
    "random numbers": (
        [2, 5],
        lambda w: w("Add", "x", w("RandomNormal", shape=[2, 5])),
        ", node RandomNormal_1: RandomNormal: is not computed on constants\n  try: an initializer instead",
    ),
    "a filter over a large constant": (
        [2, 5],
        lambda w: w(
            "Conv",
            w("ConstantOfShape", whole(w, 1, 64, 512, 512)),
            w.constant(np.ones((64, 64, 3, 3))),
        ),
        ": takes more than 8,589,934,592 products and elements to compute its constants",
    ),
    "one large constant after another": (
        [2, 5],
        lambda w: summed(w, w("ConstantOfShape", whole(w, 1 << 26)), 10),
        ": computes more than 1024 MiB of constants",
    ),
    "a step of many operations": (
        [2, 5],
        lambda w: chained(w, "x", 10_001),
        ": has more than 10,000 operations in a time step",
    ),
    "a deep chain over all steps": (
        [4, 2, 5],
        lambda w: w("Gather", chained(w, "x", 3000), w.constant(0, np.int64), axis=0),
        ", node Gather_3002: Gather: too many operations on whole sequences lie before it",
    ),
    "loops in loops": (
        [2, 5],
        lambda w: w("Loop", w.constant(1000, np.int64), w.constant(True, np.bool_), "x", body=loop(3)),
        ": executes more than 200,000 operations",
    ),
    "a loop of several counts": (
        [2, 5],
        lambda w: w("Loop", whole(w, 1, 2), w.constant(True, np.bool_), "x", body=loop(0)),
        ", node Loop_3: Loop: takes one number where [2] are",
    ),
    "a loop that does nothing": (
        [2, 5],
        lambda w: w("Loop", w.constant(1 << 60, np.int64), w.constant(True, np.bool_), "x", body=loop(-1)),
        ": executes more than 200,000 operations",
    ),
    "a row that is written and not there": (
        [2, 5],
        lambda w: w("ScatterND", "x", w.constant([[7]], np.int64), w.constant(np.ones((1, 5)))),
        ", node ScatterND_3: ScatterND: takes row 7 of 2",
    ),
    "an axis that is kept and not there": (
        [2, 5],
        lambda w: w("Reshape", "x", whole(w, 0, 0, 0)),
        ", node Reshape_2: Reshape: keeps axis 2 of [2, 5], and there is none",
    ),
    "a shape whose product comes round": (
        [2, 5],
        lambda w: w("Reshape", "x", whole(w, 1 << 32, 1 << 32, 10)),
        ", node Reshape_2: Reshape: cannot make [4294967296, 4294967296, 10] of [2, 5]",
    ),
    "a part of no rows": (
        [2, 5],
        lambda w: w("Slice", "x", whole(w, 1), whole(w, 1), whole(w, 0)),
        ", node Slice_4: Slice: leaves no row",
    ),
    "a graph that reads itself": (
        [2, 5],
        lambda w: w("Add", "x", "v1"),
        ", node Add_1: reads v1, which nothing before it makes",
    ),
}

ZERO = numpy_helper.from_array(np.zeros(1, np.int64))


def whole(write: Writer, *numbers: int) -> str:
    """Whole numbers as a constant."""
    return write.constant(numbers, np.int64)


def doubled(write: Writer, value: str, times: int, axis: int = 0) -> str:
    for _ in range(times):
        value = write("Concat", value, value, axis=axis)
    return value


def summed(write: Writer, value: str, times: int) -> str:
    for _ in range(times):
        value = write("Add", value, write.constant(1.0))
    return value


def chained(write: Writer, value: str, times: int) -> str:
    for _ in range(times):
        value = write("Relu", value)
    return value


def loop(depth: int) -> onnx.GraphProto:
    """A body of *depth* loops of 1000 turns in one another; of no node at all where it is below 0."""
    write = Writer()
    if depth > 0:
        made = write("Loop", whole(write, 1000), write.constant(True, np.bool_), f"s{depth}", body=loop(depth - 1))
    else:
        made = f"s{depth}" if depth < 0 else write("Identity", f"s{depth}")
    inputs: list[tuple[str, int, list[int]]] = [("i", 7, []), ("c", 9, []), ("s", 1, [2, 5])]
    return helper.make_graph(
        write.nodes,
        "body",
        [helper.make_tensor_value_info(f"{name}{depth}", kind, shape) for name, kind, shape in inputs],
        [helper.make_empty_tensor_value_info(name) for name in (f"c{depth}", made)],
        write.tensors,
    )


def _outside(model: onnx.ModelProto) -> None:
    _external(model, "w.bin", offset=16, length=90)


def _no_number(model: onnx.ModelProto) -> None:
    _external(model, "w.bin", offset="here")


def _short(model: onnx.ModelProto) -> None:
    _external(model, "w.bin", offset=0, length=40)


def _absolute(model: onnx.ModelProto) -> None:
    _external(model, "/etc/passwd")


def _linked(model: onnx.ModelProto) -> None:
    _external(model, "link.bin")


def _external(model: onnx.ModelProto, location: str, **places: Any) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": location, **places}.items():
        tensor.external_data.add(key=key, value=str(value))


def _twice(model: onnx.ModelProto) -> None:
    model.graph.node.append(model.graph.node[0])


def _of_strings(model: onnx.ModelProto) -> None:
    texts: Any = [b"one"] * 25
    model.graph.initializer[0].CopyFrom(helper.make_tensor("c1", onnx.TensorProto.STRING, [5, 5], texts))


def _of_no_type(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_type = 77


def _attribute_of_another_type(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("transB", "yes"))


def _many_inputs(model: onnx.ModelProto) -> None:
    for number in range(600):
        model.graph.input.append(helper.make_tensor_value_info(f"i{number}", onnx.TensorProto.FLOAT, [2, 5]))


DAMAGE: dict[str, tuple[Callable[[onnx.ModelProto], None], list[str]]] = {
    "data that end behind their file": (_outside, [", tensor c1: its data end behind the end of 'w.bin'"]),
    "data that are too short": (
        _short,
        [", node c1: the tensor c1 cannot be read: cannot reshape array of size 10 into shape (5,5)"],
    ),
    "data at no place": (_no_number, [", tensor c1: the place of its data is no number"]),
    "data anywhere": (
        _absolute,
        [", tensor c1: its data lie in '/etc/passwd'; they are read from beside the model only"],
    ),
    "data behind a link": (
        _linked,
        [", tensor c1: its data lie in 'link.bin'; they are read from beside the model only"],
    ),
    "a node that stands twice": (_twice, [", node Gemm_2: makes v2, which is there already"]),
    "weights of texts": (_of_strings, [", node c1: the tensor c1 holds no numbers"]),
    "weights of no type": (
        _of_no_type,
        [", node c1: the tensor c1 has elements of the type 77, which ONNX does not have"],
    ),
    "an attribute of another type": (
        _attribute_of_another_type,
        [", node Gemm_2: Gemm: its attribute transB is of another type than INT"],
    ),
    "more inputs than a network has": (_many_inputs, [": has 601 inputs; up to 500 are read"]),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_file_is_refused_with_its_place(name: str, tmp_path: Path) -> None:
    damage, messages = DAMAGE[name]
    write = Writer()
    weight = write.constant(EYE)
    path = write.save(tmp_path / "net.onnx", [2, 5], [write("Gemm", "x", weight)])
    (tmp_path / "w.bin").write_bytes(bytes(100))
    (tmp_path / "link.bin").symlink_to("/etc/passwd")
    model = onnx.load_model_from_string(path.read_bytes())
    damage(model)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(SourceError) as fault:
        read_model(path)
    assert str(fault.value) == "\n".join(f"{path}{message}" for message in messages)


def test_a_value_that_is_added_to_itself_many_times_is_read_at_once(tmp_path: Path) -> None:
    """Its rows are the rows of 2^60 paths."""
    write = Writer()
    value = "x"
    for _ in range(60):
        value = write("Add", value, value)
    rows = [write("Gather", value, write.constant(number, np.int64), axis=0) for number in range(4)]
    made = [write("Unsqueeze", write("MatMul", row, write.constant(EYE)), whole(write, 0)) for row in rows]
    path = write.save(tmp_path / "net.onnx", [4, 2, 5], [write("Concat", *made, axis=0)])
    assert sum(node.op == "add" for node in read_model(path).network.nodes) == 60


@pytest.mark.parametrize("name", CASES)
def test_a_graph_that_cannot_be_read_is_refused_with_its_place(name: str, tmp_path: Path) -> None:
    shape, make, messages = CASES[name]
    write = Writer()
    path = write.save(tmp_path / "net.onnx", shape, [make(write)])
    with pytest.raises(SourceError) as fault:
        read_model(path)
    assert str(fault.value) == "\n".join(f"{path}, node {message}" for message in messages)
