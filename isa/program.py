"""A program: what `.snnb` holds and assembly shows.

Streams per entry, core and unit; element programs; the DRAM map with a symbol a tensor; entry arguments and results;
the resolved settings of the host; predicted traffic; places in the source.  Everything the runtime knows is in here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..catalog import unknown
from ..numerics.formats import FORMATS, Format, row_bytes
from ..source import NOWHERE, Place
from .codecs.codec import named
from .element import ElementProgram
from .grid import Grid
from .instruction import Instruction

FORMAT_VERSION = 2


@dataclass(frozen=True)
class Symbol:
    """A tensor in DRAM.

    *shape* is the logical shape as the user wrote it (PyTorch's order of axes); *factors* splits its axes further
    (a flattened ``16*5*5``) and *order* says in which order the factors lie in memory, the last one contiguous.
    *steps* and *samples* are the leading axes ``[time][sample]`` (0 where there is none).  Rows of the last axis are
    padded to whole bytes.  *role* is one of input, label, parameter, master, optimizer, statistic, feedback,
    gradient, value, tape, result, scratch.  A stored element times *scale* is the value.  *codec* says how it lies
    there; one that stores blocks has their extents along the axes of `extents` in *blocks*, in slots of *slot* bytes.
    Of time, DRAM may hold the last *steps* steps alone: then so many are *gone*, and step t lies at ``t mod steps``.
    Where steps lie further apart than they are long, *pitch* is the bytes from one to the next.
    """

    name: str
    format: str
    shape: tuple[int, ...]
    factors: tuple[int, ...]
    order: tuple[int, ...]
    steps: int
    samples: int
    role: str
    layer: str
    address: int
    scale: float = 1.0
    codec: str = "raw"
    blocks: tuple[int, ...] = ()
    slot: int = 0
    gone: int = 0
    pitch: int = 0

    @cached_property
    def grid(self) -> Grid | None:
        """The grid of its blocks; None where each element lies at its place."""
        return Grid(named(self.codec), self.kind, self.extents, self.blocks, self.slot) if self.blocks else None

    @property
    def kind(self) -> Format:
        """The number format of the elements."""
        return FORMATS[self.format]

    @cached_property
    def extents(self) -> tuple[int, ...]:
        """Extents of the axes in memory: time and sample where there are any, then the factors in *order*."""
        lead = tuple(n for n in (self.steps, self.samples) if n)
        return lead + (tuple(self.factors[k] for k in self.order) or (1,))

    @property
    def strides(self) -> tuple[int, ...]:
        """Distance in bits between neighbours along each axis of `extents`."""
        *outer, last = self.extents
        stride = row_bytes(last, self.kind) * 8
        strides = [self.kind.bits]
        for extent in reversed(outer):
            strides.insert(0, stride)
            stride *= extent
        if self.pitch:
            strides[0] = self.pitch * 8
        return tuple(strides)

    @property
    def last_steps(self) -> int:
        """How many steps of time, the last ones, DRAM holds; 0 where it holds all that there are."""
        return self.steps if self.gone else 0

    @cached_property
    def bytes(self) -> int:
        """Bytes that the tensor occupies, padding included; of blocks, slots and directory."""
        if (grid := self.grid) is not None:
            return grid.bytes
        *outer, last = self.extents
        dense = int(np.prod(outer, dtype=np.int64)) * row_bytes(last, self.kind)
        return (self.steps - 1) * self.pitch + dense // self.steps if self.pitch else dense


@dataclass(frozen=True)
class Argument:
    """A scalar that the host hands to an entry.  *kind* is ``f32`` or ``u32``; its index is its place in the list."""

    name: str
    kind: str


@dataclass(frozen=True)
class Debug:
    """What an instruction is for: the graph node it came from, its phase (FP, BP, WG, UP) and the user's line."""

    node: str = ""
    phase: str = ""
    place: Place = NOWHERE


@dataclass(frozen=True)
class Stream:
    """The instructions of one unit of one core, or of one of its contexts, in one entry, with a debug record each.

    Instructions number contexts: of a program for n cores, *core* k is context ``k // n`` of core ``k % n``.
    """

    core: int
    unit: str
    instructions: tuple[Instruction, ...]
    debug: tuple[Debug, ...]


@dataclass(frozen=True)
class Entry:
    """A procedure that the host calls (`init`, `train_step`, `infer`): its streams and what goes in and out.

    *arguments* are names of program arguments, *inputs* and *results* names of symbols that the host writes before
    and reads after the call.
    """

    name: str
    streams: tuple[Stream, ...]
    arguments: tuple[str, ...]
    inputs: tuple[str, ...]
    results: tuple[str, ...]


@dataclass(frozen=True)
class Program:
    """A compiled network: all that `snnc run` needs beside data.

    *target* and *target_hash* name the machine (*target_text* is its canonical description, so that the runtime needs
    no file), of which it takes so many *cores*, and so many *contexts* of each; *graph_hash* is the hash of the
    training graph that it computes; *settings* are the host's resolved settings (loss, optimizer, schedule, loss
    scale, coding ..., and ``window``, the steps that are taken together where these are not all) as plain JSON values;
    *predicted* the compiler's prediction of traffic and *bound* the floors (see `traffic`), by entry; *layers* the
    layer of each node whose value has no place in DRAM, and hence no symbol to tell it; *data* the initial contents of
    symbols (imported parameters and constants) as the bytes of their canonical layout.
    """

    network: str
    target: str
    target_text: str
    target_hash: str
    graph_hash: str
    cores: int
    steps: int
    batch: int
    entries: tuple[Entry, ...]
    elements: tuple[ElementProgram, ...]
    symbols: tuple[Symbol, ...]
    arguments: tuple[Argument, ...]
    dram_bytes: int
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    predicted: Mapping[str, Any] = field(default_factory=dict[str, Any])
    bound: Mapping[str, Any] = field(default_factory=dict[str, Any])
    layers: Mapping[str, str] = field(default_factory=dict[str, str])
    data: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    version: str = ""
    contexts: int = 1

    def symbol(self, name: str) -> Symbol:
        """The symbol called *name*; UnknownName when there is none."""
        known = self.by_name
        if name not in known:
            raise unknown("tensor", name, known)
        return known[name]

    @property
    def numbered(self) -> int:
        """How many contexts of cores instructions number."""
        return self.cores * self.contexts

    @property
    def by_name(self) -> dict[str, Symbol]:
        """Symbols by name."""
        return {symbol.name: symbol for symbol in self.symbols}

    def entry(self, name: str) -> Entry:
        """The entry called *name*; UnknownName when there is none."""
        known = {entry.name: entry for entry in self.entries}
        if name not in known:
            raise unknown("entry", name, known)
        return known[name]

    @property
    def instruction_count(self) -> int:
        """Instructions of all streams of all entries."""
        return sum(len(stream.instructions) for entry in self.entries for stream in entry.streams)


def to_logical(symbol: Symbol, memory: NDArray[Any]) -> NDArray[Any]:
    """Storage elements in memory order (shape `extents`) as an array ``[time][sample]`` + logical shape."""
    lead = memory.ndim - max(len(symbol.order), 1)
    inverse = np.argsort(symbol.order) if symbol.order else np.zeros(1, np.int64)
    moved = memory.transpose(*range(lead), *(lead + int(k) for k in inverse))
    return np.ascontiguousarray(moved).reshape(*memory.shape[:lead], *symbol.shape)


def in_memory_order(symbol: Symbol, logical: NDArray[Any]) -> NDArray[Any]:
    """An array of logical shape (behind any leading axes), with axes as the tensor has them in memory: a view where it
    can be."""
    lead = logical.ndim - len(symbol.shape)
    split = logical.reshape(*logical.shape[:lead], *(symbol.factors or (1,)))
    return split.transpose(*range(lead), *(lead + k for k in symbol.order or (0,)))


def to_memory(symbol: Symbol, logical: NDArray[Any]) -> NDArray[Any]:
    """The inverse of `to_logical`."""
    return np.ascontiguousarray(in_memory_order(symbol, logical))
