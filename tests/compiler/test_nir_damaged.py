"""NIR files that cannot be read: each is refused with its node and what is wrong, whatever it claims to hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnc.compiler.frontends.frontend import Options, Unsaid, read_model
from snnc.source import SourceError

WriteNir = Callable[..., Path]
h5py: Any = import_module("h5py")

FOUR = np.ones(4)
IN: dict[str, Any] = {"type": "Input", "shape": np.array([4])}
OUT: dict[str, Any] = {"type": "Output", "shape": np.array([4])}
SCALE: dict[str, Any] = {"type": "Scale", "scale": FOUR}
LIF: dict[str, Any] = {"type": "LIF", "tau": FOUR, "r": FOUR, "v_leak": 0 * FOUR, "v_threshold": FOUR}
GOOD: dict[str, Any] = {"input": IN, "s": SCALE, "n": LIF, "output": OUT}
CHAIN = "input s n output"
S, N = "node/nodes/s", "node/nodes/n"


def faults(path: Path) -> list[str]:
    with pytest.raises(SourceError) as error:
        read_model(path, Options(steps=4, unsaid=Unsaid(dt=0.5)))
    return [str(fault).removeprefix(f"{path}, ").removeprefix(f"{path}: ") for fault in error.value.faults]


def replaced(path: str, value: Any, **options: Any) -> Callable[[Any], None]:
    """Another value at *path* of a good file."""

    def damage(file: Any) -> None:
        del file[path]
        if isinstance(value, tuple):
            file.create_dataset(path, value, **options)
        elif value is not None:
            file[path] = value

    return damage


def _graphs_in_graphs(file: Any) -> None:
    group = file["node/nodes"]
    for _ in range(40):
        group = group.create_group("g")
        group["type"] = "NIRGraph"
        group.create_dataset("edges", (0, 2), h5py.string_dtype())
        group = group.create_group("nodes")


def _doubling(file: Any) -> None:
    """Thirty graphs, each of which holds the one before twice: 2^30 nodes in a few kilobytes."""
    inner = file["node/nodes/s"]
    for number in range(30):
        outer = file.create_group(f"z{number}")
        outer["type"] = "NIRGraph"
        outer.create_dataset("edges", (0, 2), h5py.string_dtype())
        outer["nodes/a"] = outer["nodes/b"] = inner
        inner = outer
    file["node/nodes/a"] = inner


def _many_nodes(file: Any) -> None:
    for number in range(2100):
        file[f"node/nodes/x{number}/type"] = "Scale"


def _many_fields(file: Any) -> None:
    for number in range(200):
        file[f"{S}/x{number}"] = 0.0


def _number_for_a_node(file: Any) -> None:
    file["node/nodes/m"] = 3.0


def _soft_link(file: Any) -> None:
    file["node/nodes/m"] = h5py.SoftLink("/node/nodes/s")


def _external_graph(file: Any) -> None:
    del file["node"]
    file["node"] = h5py.ExternalLink("../secret.nir", "node")


def _external_storage(file: Any) -> None:
    del file[f"{S}/scale"]
    file[S].create_dataset("scale", (4,), "f8", external=[("/etc/passwd", 0, 32)])


def _virtual(file: Any) -> None:
    del file[f"{S}/scale"]
    layout = h5py.VirtualLayout((4,), "f8")
    layout[:] = h5py.VirtualSource("secret.h5", "w", (4,))
    file[S].create_virtual_dataset("scale", layout)


LOST = "node s: this Scale has no scale"
TOO_MUCH = "and with it the arrays of the file take more than 1024 MiB"
UNFED = "node output: nothing leads into this Output"

CASES: Mapping[str, tuple[Callable[[Any], None], list[str]]] = {
    "no graph": (replaced("node", None), ["has no group `node`, so it is no NIR file"]),
    "a number for the graph": (replaced("node", 3.0), ["has no group `node`, so it is no NIR file"]),
    "no nodes": (
        replaced("node/nodes", None),
        ["this graph has no group `nodes`"],
    ),
    "no edges": (
        replaced("node/edges", None),
        ["this graph has no edges", UNFED],
    ),
    "edges that are no pairs": (
        replaced("node/edges", np.array([[b"input", b"s", b"n"]])),
        ["edges are pairs of names, not [1, 3] of |S5", UNFED],
    ),
    "edges of numbers": (
        replaced("node/edges", np.ones((2, 2))),
        ["edges are pairs of names, not [2, 2] of float64", UNFED],
    ),
    "more edges than are read": (
        replaced("node/edges", (30_000, 2), dtype="S4"),
        ["there are 30000 edges, more than 20000", UNFED],
    ),
    "a node of an unknown kind": (
        replaced(f"{N}/type", "LIFE"),
        ["node n: no primitive of NIR is called 'LIFE'; did you mean LIF?"],
    ),
    "a node that says no kind": (replaced(f"{S}/type", None), ["node s: says no type"]),
    "a number for a kind": (replaced(f"{S}/type", 7), ["node s: says no type"]),
    "a kind without end": (
        replaced(f"{S}/type", "x" * 5000),
        ["node s: is damaged: a name of 5000 letters"],
    ),
    "a number for a node": (_number_for_a_node, ["node m: is a number or a text where a node is expected"]),
    "texts for numbers": (replaced(f"{S}/scale", "two"), [LOST]),
    "records for numbers": (
        replaced(f"{S}/scale", np.zeros(4, [("a", "f4"), ("b", "f4")])),
        ["node s: scale is of the type [('a', '<f4'), ('b', '<f4')], which is no number", LOST],
    ),
    "complex numbers": (
        replaced(f"{S}/scale", np.zeros(4, np.complex64)),
        ["node s: scale is of the type complex64, which is no number", LOST],
    ),
    "an array of another shape": (
        replaced(f"{S}/scale", np.ones(5)),
        ["node s: scale is [5], and what comes in is [4]"],
    ),
    "an array of no elements": (
        replaced(f"{S}/scale", np.ones(0)),
        ["node s: scale is [0], and what comes in is [4]"],
    ),
    "what is no number": (replaced(f"{N}/r", FOUR * np.nan), ["node n: r has elements that are not finite"]),
    "what is infinite": (
        replaced(f"{N}/v_threshold", FOUR * np.inf),
        ["node n: v_threshold has elements that are not finite"],
    ),
    "an array without storage": (
        replaced(f"{S}/scale", (1 << 20, 1 << 20), dtype="f4", chunks=True),
        [
            f"node s: scale is [1048576, 1048576] of float32, {TOO_MUCH}",
            LOST,
        ],
    ),
    "a compressed array of zeros": (
        replaced(f"{S}/scale", (1 << 28, 2), dtype="f4", compression="gzip", chunks=(1 << 20, 1)),
        [
            f"node s: scale is [268435456, 2] of float32, {TOO_MUCH}",
            LOST,
        ],
    ),
    "an enormous input": (
        replaced("node/nodes/input/shape", np.array([1 << 40, 1 << 40])),
        ["node input: makes a value of 1,208,925,819,614,629,174,706,176 elements; up to 16,777,216 are read"],
    ),
    "an input of less than nothing": (
        replaced("node/nodes/input/shape", np.array([-4])),
        ["node input: shape is [-4], which no value has"],
    ),
    "a link to another node": (_soft_link, ["node m: m is a link to somewhere else, which is not followed"]),
    "a link to another file": (
        replaced(f"{S}/scale", h5py.ExternalLink("/etc/passwd", "x")),
        ["node s: scale is a link to somewhere else, which is not followed", LOST],
    ),
    "a graph in another file": (
        _external_graph,
        ["node is a link to somewhere else, which is not followed", "has no group `node`, so it is no NIR file"],
    ),
    "data in another file": (
        _external_storage,
        ["node s: the data of scale lie in another file, which is not read", LOST],
    ),
    "data put together from other files": (
        _virtual,
        ["node s: the data of scale lie in another file, which is not read", LOST],
    ),
    "graphs in graphs": (
        _graphs_in_graphs,
        [f"node {'/'.join('g' * 32)}: graphs lie more than 32 deep in one another"],
    ),
    "graphs that double": (_doubling, ["has more than 2000 nodes"]),
    "too many nodes": (_many_nodes, ["has more than 2000 nodes"]),
    "too many fields": (_many_fields, ["node s: /node/nodes/s has 202 fields, more than 100", LOST]),
}


@pytest.mark.parametrize("name", CASES)
def test_a_file_that_cannot_be_read_is_refused_with_its_place(name: str, write_nir: WriteNir) -> None:
    damage, messages = CASES[name]
    path = write_nir(GOOD, CHAIN)
    with h5py.File(path, "r+") as file:
        damage(file)
    assert faults(path) == messages


def test_a_cycle_of_sums_alone_is_closed_over_a_step_and_told(write_nir: WriteNir) -> None:
    path = write_nir({"input": IN, "a": SCALE, "b": SCALE, "output": OUT}, "input a b output, b a")
    notes = [note.message for note in read_model(path, Options(steps=4, unsaid=Unsaid(dt=0.5))).notes]
    assert notes == ["the edge b -> a closes a cycle; it is delayed by one step"]


def test_all_nodes_wait_for_all_others_and_are_read_in_time(write_nir: WriteNir) -> None:
    """As many edges as are read: 140 neurons, each of which hears each."""
    names = [f"n{number}" for number in range(140)]
    nodes = {"input": IN, **dict.fromkeys(names, LIF), "output": OUT}
    edges = [*((one, other) for one in names for other in names), ("input", "n0"), ("n139", "output")]
    imported = read_model(write_nir(nodes, edges), Options(steps=4, unsaid=Unsaid(dt=0.5)))
    assert sum(node.op == "delay" for node in imported.network.nodes) == 140
