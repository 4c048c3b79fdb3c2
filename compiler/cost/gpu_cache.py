"""The cache of a GPU that forgets what was used longest ago, and what passes between it and DRAM.

It is fully associative, with lines as long as `LINE`; the last line of a tensor takes the room that it needs.  A kernel
walks all of its tensors at the same pace, from their first line to their last.  A line that is written is not fetched.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from .gpu_values import Kernel, Part

LINE = 128 * 1024
"""Bytes that come and go together: far fewer than a cache has, so that they decide little but the time to find out."""

Key = tuple[str, int, int]
"""A line: its tensor, step of time and number."""


@dataclass
class Cache:
    """*capacity* bytes, empty at first; *read* from DRAM and *written* to it so far."""

    capacity: int
    read: int = 0
    written: int = 0
    held: int = 0
    _lines: OrderedDict[Key, tuple[int, bool]] = field(default_factory=OrderedDict[Key, tuple[int, bool]])
    """Bytes of each line, and whether DRAM has something else; the one used longest ago first."""

    def touch(self, key: Key, size: int, writes: bool) -> None:
        """Read a line, or write it."""
        found = self._lines.get(key)
        self._lines[key] = size, writes or (found is not None and found[1])
        self._lines.move_to_end(key)
        if found is None:
            self.read += 0 if writes else size
            self.held += size
            while self.held > self.capacity:
                _, (gone, changed) = self._lines.popitem(last=False)
                self.held -= gone
                self.written += gone if changed else 0

    def drop(self, key: Key) -> None:
        """Forget a line, and write it nowhere."""
        found = self._lines.pop(key, None)
        self.held -= 0 if found is None else found[0]


def dram_bytes(kernels: Sequence[Kernel], lasting: Collection[str], capacity: int, vanish: bool) -> int:
    """Bytes between DRAM and the cache while *kernels* run once, with the cache as they left it before.

    Tensors that are *lasting* stay.  All others are dead behind the last kernel that touches them: they *vanish*, which
    costs nothing, or their lines lie in the cache until their turn to go, and are written then.
    """
    last = {part: number for number, kernel in enumerate(kernels) for part in (*kernel.reads, *kernel.writes)}
    dying: dict[int, list[Part]] = {}
    for part, number in last.items():
        if vanish and part.tensor not in lasting:
            dying.setdefault(number, []).append(part)
    cache = Cache(capacity)
    before = 0
    for run in range(2):
        before = cache.read + cache.written
        for number, kernel in enumerate(kernels):
            for key, size, writes in _walked(kernel, run, lasting):
                cache.touch(key, size, writes)
            for part in dying.get(number, ()):
                for key, _ in _lines(_named(part, run, lasting), [part]):
                    cache.drop(key)
    return cache.read + cache.written - before


def _walked(kernel: Kernel, run: int, lasting: Collection[str]) -> Iterator[tuple[Key, int, bool]]:
    """Every line that a kernel touches, in order, with its bytes and whether it is written."""
    met: list[tuple[float, bool, Key, int]] = []
    for parts, writes in ((kernel.reads, False), (kernel.writes, True)):
        for tensor, steps in groupby(parts, lambda part: _named(part, run, lasting)):
            lines = list(_lines(tensor, steps))
            met += [((place + 1) / len(lines), writes, key, size) for place, (key, size) in enumerate(lines)]
    for _, writes, key, size in sorted(met, key=lambda line: line[:2]):
        yield key, size, writes


def _lines(tensor: str, parts: Iterator[Part] | Sequence[Part]) -> Iterator[tuple[Key, int]]:
    """The lines of *parts* of a tensor, with their bytes."""
    for part in parts:
        for begin in range(0, part.bytes, LINE):
            yield (tensor, part.step, begin // LINE), min(LINE, part.bytes - begin)


def _named(part: Part, run: int, lasting: Collection[str]) -> str:
    """A tensor that does not last is another one in each run."""
    return part.tensor if part.tensor in lasting else f"{part.tensor} {run}"
