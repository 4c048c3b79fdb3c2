"""Which element of a module's state went where: elements wear numbers, and are looked for in what was read.

A network is read from a module whose weights are labels: every element is another number in float32, and no number that
a file would hold for a reason of its own.  What comes out tells by itself where it came from, whatever moved it about;
an element that was computed with is no label any more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compiler.ir.values import is_name

Array = NDArray[Any]

_LEAST = 0x3F000000
"""The bits of 0.5 in float32: labels ascend from there."""
_ROUND = 4096
"""Numbers of so few digits that their last 12 bits are 0 (0.5, 1, 1.25) may stand in a file for other reasons."""
MOST = (0x7F000000 - _LEAST) // _ROUND * (_ROUND - 1)
"""Elements that can be told apart."""

TRANSPOSED, AGAIN = "transposed", "again"
"""Last parts of names: of an entry that was transposed, and of one that is used once more (``again1``)."""
_MEANT_OTHERWISE = frozenset("d correct label learning_rate logits loss loss_scale seed step valid".split())
"""First parts of names that mean something else in a training graph."""


@dataclass(frozen=True)
class Source:
    """All elements of the state's *entry*, in their order or *transposed*."""

    entry: str
    transposed: bool = False

    @property
    def name(self) -> str:
        """What a parameter of the network is called that came from there; `sources` reads it."""
        name = _spelled(self.entry)
        return f"{name}.{TRANSPOSED}" if self.transposed else name

    def taken_out(self, state: Array, shape: tuple[int, ...]) -> Array:
        """The parameter of this *shape* that the *state* is."""
        return state.reshape(shape[::-1]).T if self.transposed else state.reshape(shape)

    def put_back(self, parameter: Array, shape: tuple[int, ...]) -> Array:
        """The inverse of `taken_out`: the state of this *shape*."""
        return (parameter.T if self.transposed else parameter).reshape(shape)


def sources(entries: Iterable[str]) -> dict[str, tuple[Source, ...]]:
    """By the name of a parameter, where it may have come from; several where two entries are called alike."""
    found: dict[str, tuple[Source, ...]] = {}
    for entry in entries:
        for source in (Source(entry), Source(entry, True)):
            found[source.name] = (*found.get(source.name, ()), source)
    return found


class Labels:
    """The numbers of the elements of some *entries*, which are given by name and shape."""

    def __init__(self, entries: Mapping[str, tuple[int, ...]]) -> None:
        self._shapes = dict(entries)
        self._first: dict[str, int] = {}
        count = 0
        for name, shape in self._shapes.items():
            self._first[name] = count
            count += prod(shape)
        if count > MOST:
            raise ValueError(f"{count:,} elements are more than can be told apart")
        self._count = count

    def __contains__(self, entry: object) -> bool:
        return entry in self._first

    def of(self, entry: str) -> Array:
        """The labels of an entry, in its shape."""
        shape = self._shapes[entry]
        numbers = np.arange(prod(shape), dtype=np.int64) + self._first[entry]
        bits = _LEAST + numbers + numbers // (_ROUND - 1) + 1
        return bits.astype(np.uint32).view(np.float32).reshape(shape)

    def read(self, found: Array) -> Source | None:
        """Where all elements of *found* came from, if from one entry, whole."""
        bits = np.ascontiguousarray(found, np.float32).view(np.uint32).astype(np.int64) - _LEAST
        numbers = bits - bits // _ROUND - 1
        if bits.size == 0 or bits.min() < 0 or numbers.max() >= self._count or (bits % _ROUND == 0).any():
            return None
        flat = numbers.reshape(-1)
        entry = next((name for name, first in self._first.items() if self._holds(name, first, flat)), None)
        if entry is None:
            return None
        ordered = np.arange(flat.size) + self._first[entry]
        if np.array_equal(flat, ordered):
            return Source(entry)
        return Source(entry, True) if found.ndim == 2 and np.array_equal(numbers.T.reshape(-1), ordered) else None

    def _holds(self, name: str, first: int, numbers: Array) -> bool:
        size = prod(self._shapes[name])
        return numbers.size == size and first <= numbers.min() and numbers.max() < first + size


def _spelled(entry: str) -> str:
    """*entry* as a name of the language: ``0.weight`` is ``n0.weight``."""
    parts = [re.sub(r"\W", "_", part, flags=re.ASCII) or "_" for part in entry.split(".")]
    if not re.match(r"[A-Za-z_]", parts[0]) or parts[0] in _MEANT_OTHERWISE:
        parts[0] = f"n{parts[0]}"
    name = ".".join(parts)
    return name if is_name(name) else f"{name}_"
