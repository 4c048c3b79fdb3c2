"""Writing NIR files: graphs of continuous-time neurons in HDF5, which `frontends/nir.py` reads back as they were.

A sum becomes edges that lead to one node, a delay of one step that closes a cycle a plain edge, where readers would
delay that very edge.  Step and steps go into the metadata.  What NIR cannot say is refused by its name, all of it.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from ...source import Faults, Place, SourceError
from ..frontends._nir_file import GRAPH, Edge
from ..frontends._nir_file import Written as NirNode
from ..frontends._nir_graph import DELAY, INPUT, OUTPUT, cuts
from ..frontends.frontend import Array, Kind, Note
from ..frontends.nir import DT
from ..ir.graph import Network, Node, Setting
from ..ir.values import text_of_setting
from ..ops.op import OPS, Op, Pair
from ..ops.spatial import numbers
from ._nir_neurons import NEURONS, SETTINGS, Fields, Unwritable, fields_of, unsaid
from .export import Options, Written

VERSION = "1.0.8"
"""The version of NIR's own library whose layout is written."""

LEFT_OUT = frozenset({"dropout"})
"""Operators that do nothing when inferring, so that a file may be without them."""


def write(network: Network, parameters: Mapping[str, Array], options: Options) -> Written:
    """The bytes of a NIR file with *network*; SourceError with all that NIR cannot say."""
    known = SETTINGS | LEFT_OUT
    if strange := sorted(options.lossy - known):
        told = f"NIR cannot do without {strange[0]}; what may be lost: {', '.join(sorted(known))}"
        raise SourceError.at(network.place, told)
    writer = _Writer(network, parameters, options.dt or DT, options.lossy)
    return Written(writer.content(), tuple(writer.notes))


def write_nir(
    network: Network, parameters: Mapping[str, Array], path: Path, dt: float = DT, lossy: Sequence[str] = ()
) -> tuple[Note, ...]:
    """`write` into the file *path*; what is not in it is told."""
    written = write(network, parameters, Options(dt, frozenset(lossy)))
    path.write_bytes(written.content)
    return written.notes


class _Writer:
    """Nodes of NIR by name; *ends* are the nodes whose results are summed to a value of the network."""

    def __init__(self, network: Network, parameters: Mapping[str, Array], dt: float, lossy: frozenset[str]) -> None:
        self.network = network
        self.parameters = parameters
        self.dt = dt
        self.lossy = lossy
        self.types = network.types
        self.faults = Faults(SourceError)
        self.notes: list[Note] = []
        self.nodes: dict[str, Fields] = {}
        self.edges: list[Edge] = []
        self.ends: dict[str, tuple[str, ...]] = {}
        self.place = {name: number for number, node in enumerate(network.nodes) for name in node.results}
        self.closing = {
            node.results[0]: node
            for number, node in enumerate(network.nodes)
            if node.op == "delay" and self.place.get(node.operands[0], -1) >= number
        }

    def content(self) -> bytes:
        """The file."""
        self._fill(plain=True)
        self.faults.throw()
        if self.closing and not self._reads_back():
            self._fill(plain=False)
        return _hdf5(self.nodes, self.edges, {"dt": self.dt, "steps": self.network.steps})

    def _fill(self, plain: bool) -> None:
        """All nodes and edges; *plain* writes delays that close a cycle as edges, where that can be tried."""
        self.nodes, self.edges, self.ends, self.notes = {}, [], {}, []
        self.plain = {name for name, node in self.closing.items() if plain and self._is_plain(node)}
        for port in self.network.ports:
            self.nodes[port.name] = {"type": INPUT, "shape": np.array(port.type.shape)}
            self.ends[port.name] = (port.name,)
            if not port.type.timed:
                told = f"{port.name} is the same in all steps; NIR's inputs have a value in each"
                self._note("assumption", port.place, told)
        for node in self.network.nodes:
            if node.results[0] in self.closing and node.results[0] not in self.plain:
                self.ends[node.results[0]] = (node.results[0],)
        for node in self.network.nodes:
            if node.op != "parameter":
                self._node(node)
        for name, node in self.closing.items():
            if name not in self.plain:
                self._lead(self._sources(node.operands[0], node.place), name, node.place)
        for result in self.network.results:
            name, number = "output", 0
            while name in self.nodes or name in self.place:
                number += 1
                name = f"output_{number}"
            self.nodes[name] = {"type": OUTPUT, "shape": np.array(self.types[result].shape)}
            self._lead(self._sources(result, self.network.place), name, self.network.place)
        if self.network.train:
            self._note("assumption", self.network.place, "NIR has no train section; it stays behind (--train)")

    def _is_plain(self, node: Node) -> bool:
        """Whether a delay that closes a cycle could be an edge: one step, of one node."""
        maker = self.network.producer(node.operands[0])
        return node.settings["steps"] == 1 and maker is not None and maker.op not in ("add", "delay", *LEFT_OUT)

    def _reads_back(self) -> bool:
        """Whether a reader of the file would delay just the edges that are delayed here."""
        delayed: set[Edge] = set()
        for name in self.plain:
            source = self.closing[name].operands[0]
            delayed |= {(source, target) for target in self._readers(name)}
        kinds = {name: NirNode(name, str(fields["type"]), _numbers(fields)) for name, fields in self.nodes.items()}
        found, _ = cuts(kinds, self.edges, lambda node: True)
        return set(found) == delayed and len(set(self.edges)) == len(self.edges)

    def _readers(self, value: str) -> list[str]:
        """Nodes of NIR that read *value*, be it in a sum."""
        found: list[str] = []
        for node in self.network.nodes:
            if value in node.operands:
                found += self._readers(node.results[0]) if node.op == "add" else [node.results[0]]
        return found

    def _sources(self, value: str, place: Place) -> tuple[str, ...]:
        """The nodes that are summed to *value*."""
        if value in self.plain:
            value = self.closing[value].operands[0]
            return (value,)
        if value not in self.ends:
            maker = self.network.producer(value)
            if maker is not None and value in maker.results[1:]:
                self.faults.add(place, f"NIR has no word for {value}, beside the result of {maker.results[0]}")
            return ()
        return self.ends[value]

    def _lead(self, sources: Sequence[str], target: str, place: Place) -> None:
        """Edges from all of *sources*."""
        if len(set(sources)) < len(sources):
            self.faults.add(place, f"NIR has no word for the sum of a value with itself, which {target} reads")
        self.edges += [(source, target) for source in sources]

    def _node(self, node: Node) -> None:
        """One operator."""
        op = OPS[node.op].make(node.settings)
        count = len(op.operands)
        if node.results[0] in self.plain:
            return
        name = node.results[0]
        read = () if name in self.closing else node.operands[:count]  # what is made further on is led in at the end
        sources = tuple(source for value in read for source in self._sources(value, node.place))
        if node.op == "add":
            self.ends[name] = sources
            return
        if node.op in LEFT_OUT and node.op in self.lossy:
            self._note("warning", node.place, f"{node.op} of {name} is left out")
            self.ends[name] = sources
            return
        self.ends[name] = (name,)
        fields = self._fields(node, op)
        if fields is not None:
            self.nodes[name] = fields
            self._lead(sources, name, node.place)

    def _fields(self, node: Node, op: Op) -> Fields | None:
        """The node of NIR; None and a fault where there is none."""
        given = self._given(node, op)
        if node.op in LEFT_OUT:
            self.faults.add(node.place, f"NIR has no {node.op}", hints=[f"--lossy {node.op}, which leaves it out"])
            return None
        if node.op not in NEURONS and node.op not in LAYERS:
            self.faults.add(node.place, f"NIR has no {node.op}")
            return None
        for loss in unsaid(op) if node.op in NEURONS else ():
            if loss.name in self.lossy:
                told = f"{loss.name} of {node.results[0]} is not in the file, which means {loss.instead}"
                self._note("warning", node.place, told)
                continue
            hints = [f"--lossy {loss.name}; readers then take {loss.instead}"]
            shown = text_of_setting(cast(Setting, getattr(op, loss.name)))
            self.faults.add(node.place, f"NIR cannot say {loss.name}={shown} of {node.op}", hints=hints)
        if given is None:
            return None
        shape = self.types[node.operands[0]].shape
        if node.op in LAYERS:
            return LAYERS[node.op](self, node, given, shape)
        try:
            return fields_of(op, given, shape, self.dt)
        except Unwritable as error:
            self.faults.add(node.place, f"NIR has no word for {error}")
            return None

    def _given(self, node: Node, op: Op) -> dict[str, Array] | None:
        """The parameters of a node by role, in the shapes that they have; None and a fault where one is missing."""
        count = len(op.operands)
        roles = op.parameter_types(*(self.types[name] for name in node.operands[:count]))
        found: dict[str, Array] = {}
        for role, name in zip(roles, node.operands[count:], strict=True):
            array = self.parameters.get(name)
            if array is None or array.shape != self.types[name].shape:
                shape = list(self.types[name].shape)
                there = "are none" if array is None else f"are {list(array.shape)}"
                self.faults.add(node.place, f"the numbers of {name} {shape} are missing: there {there}")
            else:
                found[role] = array
        return found if len(found) == len(roles) else None

    def _note(self, kind: Kind, place: Place, message: str) -> None:
        note = Note(kind, place, message)
        if note not in self.notes:
            self.notes.append(note)

    # Layers

    def linear(self, node: Node, given: Mapping[str, Array], shape: Sequence[int]) -> Fields:
        """Affine, or Linear where there is no bias."""
        if "b" not in given:
            return {"type": "Linear", "weight": given["w"]}
        return {"type": "Affine", "weight": given["w"], "bias": given["b"]}

    def convolution(self, node: Node, given: Mapping[str, Array], shape: Sequence[int]) -> Fields:
        """Conv1d or Conv2d, which always have a bias."""
        if "b" not in given:
            told = f"convolutions of NIR have a bias; that of {node.results[0]} is 0"
            self._note("assumption", node.place, told)
        setting = node.settings
        whole = {name: _extents(setting[word]) for name, word in CONVOLUTION.items()}
        extents = np.array(shape[1:]) if len(shape) > 2 else np.array(shape[1])
        bias = given["b"] if "b" in given else np.zeros(given["w"].shape[0], np.float32)
        kind = {"conv1d": "Conv1d", "conv2d": "Conv2d"}[node.op]
        return {"type": kind, "input_shape": extents, "weight": given["w"], "bias": bias, **whole}

    def pool(self, node: Node, given: Mapping[str, Array], shape: Sequence[int]) -> Fields:
        """A sum or a mean."""
        kind = {"avg_pool2d": "AvgPool2d", "sum_pool2d": "SumPool2d"}[node.op]
        kernel, stride, pad = (numbers(cast(Pair, node.settings[name])) for name in ("kernel", "stride", "pad"))
        moves = tuple(step or taps for step, taps in zip(stride, kernel, strict=True))
        return {"type": kind, "kernel_size": np.array(kernel), "stride": np.array(moves), "padding": np.array(pad)}

    def flatten(self, node: Node, given: Mapping[str, Array], shape: Sequence[int]) -> Fields:
        """All axes."""
        return {"type": "Flatten", "start_dim": np.array(0), "end_dim": np.array(-1), "input_type": np.array(shape)}

    def scale(self, node: Node, given: Mapping[str, Array], shape: Sequence[int]) -> Fields | None:
        """A factor for all elements, each channel or each element."""
        if node.settings["each"] == "step":
            self.faults.add(node.place, "NIR cannot say each=step of scale")
            return None
        w = given["w"] * np.float32(cast(float, node.settings["factor"]))
        if w.ndim == 1 and len(shape) > 1:
            w = w.reshape(-1, *(1,) * (len(shape) - 1))
        return {"type": "Scale", "scale": w}

    def delay(self, node: Node, given: Mapping[str, Array], shape: Sequence[int]) -> Fields:
        """Whole steps."""
        return {"type": DELAY, "delay": np.full(shape, cast(int, node.settings["steps"]) * self.dt)}


CONVOLUTION = {"stride": "stride", "padding": "pad", "dilation": "dilation", "groups": "groups"}
"""NIR's words for the settings of a convolution."""

Layer = Callable[[_Writer, Node, Mapping[str, Array], Sequence[int]], Fields | None]
LAYERS: Mapping[str, Layer] = {
    "linear": _Writer.linear,
    "conv1d": _Writer.convolution,
    "conv2d": _Writer.convolution,
    "avg_pool2d": _Writer.pool,
    "sum_pool2d": _Writer.pool,
    "flatten": _Writer.flatten,
    "scale": _Writer.scale,
    "delay": _Writer.delay,
}
"""Operators without a state of their own that NIR has; `add` is edges that meet."""


def _extents(setting: Setting) -> Array:
    """A setting of one number or two as NIR has it."""
    return np.array(setting, np.int64)


def _numbers(fields: Fields) -> dict[str, Array]:
    return {name: value for name, value in fields.items() if not isinstance(value, str)}


def _hdf5(nodes: Mapping[str, Fields], edges: Sequence[Edge], metadata: Mapping[str, float]) -> bytes:
    """The file; nodes keep their order."""
    import h5py

    h5: Any = h5py
    buffer = io.BytesIO()
    text = h5.string_dtype()
    with h5.File(buffer, "w", track_order=True) as file:
        file.create_dataset("version", data=VERSION, dtype=text)
        top = file.create_group("node", track_order=True)
        top.create_dataset("type", data=GRAPH, dtype=text)
        pairs = np.array([[end.encode() for end in edge] for edge in edges], dtype=object).reshape(-1, 2)
        top.create_dataset("edges", data=pairs, dtype=text)
        told = top.create_group("metadata")
        for name, value in metadata.items():
            told.create_dataset(name, data=value)
        group = top.create_group("nodes", track_order=True)
        for name, fields in nodes.items():
            node = group.create_group(name)
            for field, value in fields.items():
                if isinstance(value, str):
                    node.create_dataset(field, data=value, dtype=text)
                else:
                    node.create_dataset(field, data=value)
    return buffer.getvalue()
