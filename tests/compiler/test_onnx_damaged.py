"""Graphs that cannot be read: each is refused with its node, what is wrong, and nothing lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
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
        ["Gather_2: Gather: takes elements along another axis than the first"],
    ),
    "a slice of columns": (
        [2, 5],
        lambda w: w("Slice", "x", *(w.constant([k], np.int64) for k in (0, 2, 1))),
        ["Slice_4: Slice: cuts along another axis than the first"],
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


@pytest.mark.parametrize("name", CASES)
def test_a_graph_that_cannot_be_read_is_refused_with_its_place(name: str, tmp_path: Path) -> None:
    shape, make, messages = CASES[name]
    write = Writer()
    path = write.save(tmp_path / "net.onnx", shape, [make(write)])
    with pytest.raises(SourceError) as fault:
        read_model(path)
    assert str(fault.value) == "\n".join(f"{path}, node {message}" for message in messages)
