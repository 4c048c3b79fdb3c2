"""A NIR file as it lies in HDF5: nodes with their fields, and edges.  Nothing in it is trusted.

``node`` is a graph: ``nodes/NAME`` are groups with a ``type`` and fields, ``edges`` pairs of names.  A node of the type
NIRGraph is a graph again.  Sizes are looked at before anything is read; links and data outside of the file are refused.

The library of HDF5 trusts what it reads: a wrong byte can keep it busy for ever, or end the process.  So `_nir_apart`
has this done by a process of its own, and this module imports little.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

MOST_BYTES = 1 << 30
"""What all arrays of a file may take together, unpacked."""

MOST_NODES = 2_000
MOST_EDGES = 20_000
MOST_FIELDS = 100
"""Of a node, of its metadata, and of a group inside it."""

MOST_LETTERS = 4096
DEEPEST = 32
ROWS = 4096
"""Edges that are read at once."""

GRAPH = "NIRGraph"
DAMAGED = (OSError, RuntimeError, KeyError, ValueError, TypeError, IndexError, OverflowError)
"""What h5py raises where a file is not what it says."""

Edge = tuple[str, str]


@dataclass(frozen=True)
class Written:
    """A node: its full *name*, what *kind* it is, numbers and words by field, and its graph where it is one."""

    name: str
    kind: str
    numbers: Mapping[str, Array] = field(default_factory=dict[str, Array])
    words: Mapping[str, str] = field(default_factory=dict[str, str])
    inside: WrittenGraph | None = None


@dataclass(frozen=True)
class WrittenGraph:
    """Nodes by the names that edges give them, in the order of the file; *metadata* are its plain entries.

    *lost* are the names of nodes that are there and could not be read, which was told.
    """

    nodes: Mapping[str, Written]
    edges: tuple[Edge, ...]
    metadata: Mapping[str, float | str] = field(default_factory=dict[str, float | str])
    lost: frozenset[str] = frozenset()


@dataclass
class Report:
    """What is wrong with a file, and what was repaired: the full name of the node, "" for the file, and the words."""

    faults: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    repairs: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def fault(self, node: str, message: str) -> None:
        """Something that cannot be read."""
        self.faults.append((node, message))

    def repair(self, node: str, message: str) -> None:
        """Something that has one meaning in spite of the file."""
        self.repairs.append((node, message))


def read_file(path: Path, report: Report) -> WrittenGraph | None:
    """The graph of the file *path*; None where there is no graph to speak of."""
    import h5py

    h5: Any = h5py
    try:
        if not path.is_file():
            report.fault("", "cannot be read: there is no such file")
            return None
        if not h5.is_hdf5(path):
            report.fault("", "is no HDF5 file, which every NIR file is")
            return None
        with h5.File(path, "r") as file:
            return _File(report, h5).graph_of(file)
    except _TooMuch as reason:
        report.fault("", str(reason))
    except PermissionError:
        report.fault("", "cannot be read: Permission denied")
    except DAMAGED as error:
        report.fault("", f"is damaged: {_first_line(error)}")
    return None


class _TooMuch(Exception):
    """A file of which nothing more is read."""


class _File:
    """One reading of a file: how much of it was read, and which groups are being read just now."""

    def __init__(self, report: Report, h5: Any) -> None:
        self.report = report
        self.h5 = h5
        self.bytes = 0
        self.nodes = 0
        self.open: list[Any] = []

    def graph_of(self, file: Any) -> WrittenGraph | None:
        """What the whole file holds."""
        here = ""
        if "version" not in file:
            self.report.repair(here, "says no version of NIR; it is read as 1.0")
        top = self._member(file, "node", "")
        if top is None and "nodes" in file:
            self.report.repair(here, "has its nodes at the top instead of in `node`")
            top = file
        if top is None or not isinstance(top, self.h5.Group):
            self.report.fault(here, "has no group `node`, so it is no NIR file")
            return None
        kind = GRAPH if "nodes" in top else self._kind(top, "")
        if kind == GRAPH:
            return self._graph(top, "")
        if kind is None:
            return None
        self.report.repair(here, f"holds a single {kind} without a graph; input and output are put around it")
        node = self._node(top, "node", kind)
        ends = {"input": Written("input", "Input"), "output": Written("output", "Output")}
        return (
            None
            if node is None
            else WrittenGraph(
                {"input": ends["input"], "node": node, "output": ends["output"]},
                (("input", "node"), ("node", "output")),
            )
        )

    def _graph(self, group: Any, name: str) -> WrittenGraph | None:
        """The graph in *group*, which is node *name*; "" for that of the whole file."""
        if any(group == other for other in self.open):
            self.report.fault(name, "this graph contains itself")
            return None
        if len(self.open) >= DEEPEST:
            self.report.fault(name, f"graphs lie more than {DEEPEST} deep in one another")
            return None
        self.open.append(group)
        nodes: dict[str, Written] = {}
        written = self._member(group, "nodes", name)
        if not isinstance(written, self.h5.Group):
            self.report.fault(name, "this graph has no group `nodes`")
            self.open.pop()
            return None
        for key in written:
            self.nodes += 1
            if self.nodes > MOST_NODES:
                raise _TooMuch(f"has more than {MOST_NODES} nodes")
            full = f"{name}/{key}" if name else key
            try:
                node = self._written(written, key, full)
            except DAMAGED as error:
                self.report.fault(full, f"is damaged: {_first_line(error)}")
                continue
            if node is not None:
                nodes[key] = node
        edges = self._edges(group, name)
        self.open.pop()
        lost = frozenset(written) - nodes.keys()
        return WrittenGraph(nodes, edges, self._metadata(group, name), lost)

    def _written(self, group: Any, key: str, name: str) -> Written | None:
        """The node *key* of *group*, whose full name is *name*."""
        told = len(self.report.faults)
        member = self._member(group, key, name)
        if member is None:
            if len(self.report.faults) == told:
                self.report.fault(name, "is damaged: it is listed, and cannot be found")
            return None
        if not isinstance(member, self.h5.Group):
            self.report.fault(name, "is a number or a text where a node is expected")
            return None
        kind = self._kind(member, name)
        return None if kind is None else self._node(member, name, kind)

    def _node(self, group: Any, name: str, kind: str) -> Written | None:
        if kind == GRAPH:
            graph = self._graph(group, name)
            return None if graph is None else Written(name, kind, inside=graph)
        numbers: dict[str, Array] = {}
        words: dict[str, str] = {}
        for key, data in self._fields(group, name):
            if key == "type":
                continue
            if self._is_text(data):
                words[key] = self._text(data)
            elif (found := self._numbers(data, key, name)) is not None:
                numbers[key] = found
        return Written(name, kind, numbers, words)

    def _fields(self, group: Any, name: str) -> Iterator[tuple[str, Any]]:
        """Data of a node; that of a group inside it is called after the data (``input_type/input``)."""
        for key in self._keys(group, name):
            if key == "metadata":
                continue
            member = self._member(group, key, name)
            if isinstance(member, self.h5.Dataset):
                yield key, member
            elif isinstance(member, self.h5.Group):
                for inner in self._keys(member, name):
                    data = self._member(member, inner, name)
                    if isinstance(data, self.h5.Dataset):
                        yield f"{key}/{inner}", data

    def _keys(self, group: Any, name: str) -> Iterator[str]:
        """The names in a group, if they are not too many."""
        if len(group) > MOST_FIELDS:
            self.report.fault(name, f"{group.name} has {len(group)} fields, more than {MOST_FIELDS}")
            return iter(())
        return iter(group)

    def _kind(self, group: Any, name: str) -> str | None:
        """The type of a node."""
        data = self._member(group, "type", name)
        if data is None and "type" in group.attrs:
            return _decoded(group.attrs["type"])
        if not isinstance(data, self.h5.Dataset) or not self._is_text(data):
            self.report.fault(name, "says no type")
            return None
        return self._text(data)

    def _member(self, group: Any, key: str, name: str) -> Any:
        """What *group* holds under *key*; None where it holds nothing, or something outside of it."""
        link = group.get(key, getlink=True) if key in group or self._dangles(group, key) else None
        if link is None:
            return None
        if not isinstance(link, self.h5.HardLink):
            self.report.fault(name, f"{key} is a link to somewhere else, which is not followed")
            return None
        member = group.get(key)
        if isinstance(member, self.h5.Dataset) and (member.is_virtual or member.external):
            self.report.fault(name, f"the data of {key} lie in another file, which is not read")
            return None
        return member

    def _dangles(self, group: Any, key: str) -> bool:
        """Whether *key* is a link that leads nowhere."""
        return isinstance(group.get(key, getlink=True, default=None), self.h5.SoftLink | self.h5.ExternalLink)

    def _edges(self, group: Any, name: str) -> tuple[Edge, ...]:
        """Pairs of names, each once."""
        data = self._member(group, "edges", name)
        if data is None or not isinstance(data, self.h5.Dataset):
            self.report.fault(name, "this graph has no edges")
            return ()
        if not data.size:
            return ()
        if len(data.shape) != 2 or data.shape[1] != 2 or not self._is_text(data):
            self.report.fault(name, f"edges are pairs of names, not {list(data.shape)} of {data.dtype}")
            return ()
        if len(data) > MOST_EDGES:
            self.report.fault(name, f"there are {len(data)} edges, more than {MOST_EDGES}")
            return ()
        found: dict[Edge, None] = {}
        twice = 0
        for start in range(0, len(data), ROWS):
            for row in data[start : start + ROWS]:
                source, target = map(_decoded, row)
                twice += (source, target) in found
                found[source, target] = None
        if twice:
            self.report.repair(name, f"{twice} of the edges stand here twice, and count once")
        return tuple(found)

    def _metadata(self, group: Any, name: str) -> dict[str, float | str]:
        """Plain numbers and words of the group ``metadata``; all else in it is passed over."""
        found: dict[str, float | str] = {}
        members = self._member(group, "metadata", name)
        for key in self._keys(members, name) if isinstance(members, self.h5.Group) else ():
            data = self._member(members, key, name)
            if isinstance(data, self.h5.Dataset) and data.shape == ():
                if self._is_text(data):
                    found[key] = self._text(data)
                elif data.dtype.kind in "iuf":
                    found[key] = float(data[()])
        return found

    def _is_text(self, data: Any) -> bool:
        return data.dtype.kind == "S" or self.h5.check_string_dtype(data.dtype) is not None

    def _text(self, data: Any) -> str:
        """One text, also where it lies in an array of one."""
        return _decoded(data[()] if data.shape == () else data[:1].reshape(-1)[0])

    def _numbers(self, data: Any, key: str, name: str) -> Array | None:
        """An array, if it is one of numbers and small enough; None for one that says nothing."""
        if data.shape is None:  # HDF5's own nothing
            return None
        if data.dtype.kind not in "iufb":
            self.report.fault(name, f"{key} is of the type {data.dtype}, which is no number")
            return None
        self.bytes += int(data.size) * int(data.dtype.itemsize)
        if self.bytes > MOST_BYTES:
            told = f"{key} is {list(data.shape)} of {data.dtype}, and with it the arrays of the file take more than"
            self.report.fault(name, f"{told} {MOST_BYTES >> 20} MiB")
            return None
        return np.asarray(data[()])


def _decoded(value: object) -> str:
    """A text of HDF5, whose length is bounded."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    if len(text) > MOST_LETTERS:
        raise ValueError(f"a name of {len(text)} letters")
    return text


def _first_line(error: BaseException) -> str:
    """What an exception says, on one line."""
    told = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    return told.partition("\n")[0] or type(error).__name__
