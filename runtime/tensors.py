"""Tensors in the DRAM image: canonical layouts to and from arrays of logical shape."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..isa.laying import laid
from ..isa.program import Symbol, in_memory_order, to_logical, to_memory
from ..numerics import exact
from ..numerics.formats import decode, encode, pack, row_bytes, unpack
from .network import Bytes


def lead_of(symbol: Symbol) -> tuple[int, ...]:
    """The axes that stand before the logical shape: time and sample, where there are any."""
    return tuple(extent for extent in (symbol.steps, symbol.samples) if extent)


def bytes_of(symbol: Symbol, dram: Bytes) -> Bytes:
    """The tensor's own bytes, as they lie in DRAM: writing to the array writes to DRAM."""
    return dram[symbol.address : symbol.address + symbol.bytes]


def write(symbol: Symbol, dram: Bytes, values: ArrayLike) -> int:
    """Numbers of shape ``lead + shape``, rounded once to the symbol's format, into its place; how many bytes they take.

    *values* are what the elements mean: they are divided by the symbol's scale.  ValueError for another shape.
    """
    array = np.asarray(values)
    wanted = lead_of(symbol) + symbol.shape
    if array.shape != wanted:
        raise ValueError(f"{symbol.name} has the shape {list(wanted)}, not {list(array.shape)}")
    if symbol.scale != 1.0:
        array = array / symbol.scale
    elif symbol.grid is None:
        strides = tuple([stride // 8 for stride in symbol.strides])
        if laid(in_memory_order(symbol, array), bytes_of(symbol, dram), symbol.kind, strides):
            return symbol.bytes
    storage = to_memory(symbol, encode(array, symbol.kind)).reshape(symbol.extents)
    if (grid := symbol.grid) is not None:
        bytes_of(symbol, dram)[...], taken = grid.stored(storage)
        return taken
    places = _places(symbol, dram)
    places[...] = pack(storage, symbol.kind).reshape(places.shape)
    return symbol.bytes


def elements(symbol: Symbol, dram: Bytes) -> NDArray[Any]:
    """Storage elements in memory order, shape ``extents``; those of blocks are decoded.

    Of a tensor of the last steps alone these stand in the order of time.
    """
    if (grid := symbol.grid) is not None:
        found = grid.elements(bytes_of(symbol, dram))
    else:
        last = symbol.extents[-1]
        rows = _places(symbol, dram).reshape(*symbol.extents[:-1], row_bytes(last, symbol.kind))
        found = unpack(rows, symbol.kind, last)
    return np.roll(found, -symbol.gone, axis=0) if symbol.gone else found


def _places(symbol: Symbol, dram: Bytes) -> Bytes:
    """The bytes that elements take, a row a step where steps lie apart."""
    found = bytes_of(symbol, dram)
    if not symbol.pitch:
        return found
    length = symbol.bytes - (symbol.steps - 1) * symbol.pitch
    return np.ndarray((symbol.steps, length), np.uint8, found.data, 0, (symbol.pitch, 1))


def read(symbol: Symbol, dram: Bytes) -> NDArray[Any]:
    """Stored numbers, exactly, of shape ``lead + shape``; see `values` for what they mean."""
    storage = elements(symbol, dram)
    if symbol.kind.kind == "fixed":
        numbers: NDArray[Any] = exact.values_of(storage, symbol.kind)
    else:
        numbers = decode(storage, symbol.kind)
    if not symbol.order:
        return numbers.reshape(lead_of(symbol) + symbol.shape)
    return to_logical(symbol, numbers)


def values(symbol: Symbol, dram: Bytes) -> NDArray[Any]:
    """What the stored elements mean: stored numbers times the symbol's scale."""
    numbers = read(symbol, dram)
    return numbers if symbol.scale == 1.0 else numbers * numbers.dtype.type(symbol.scale)
