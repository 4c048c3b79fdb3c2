"""What executing an ONNX file may take, and the words for a node that cannot be read.

A graph of a few bytes can ask for any amount of work: loops in loops, a tensor joined with itself forty times.  All of
it is counted here before it is done.  Nothing looks at a clock, so a file that is refused is refused everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from ...source import Place, SourceError

LARGEST_FILE = 2 << 30
LARGEST_TENSOR = 1 << 30
"""Bytes of a file, and of one tensor in it: a network of this size fits no machine that there is."""

MOST_ELEMENTS = LARGEST_TENSOR // 8
"""Elements of a tensor, whatever they are."""

MOST_OPERATIONS = 200_000
"""Operations that a graph may execute, repetitions counted: 64 steps of a network of a thousand layers fit."""

MOST_ROWS = 1_000_000
"""Rows along time that may be taken out of tensors and put together."""

MOST_IN_A_STEP = 10_000
"""Operations of a single step: a residual network of a thousand layers has as many."""

MOST_ENDS = 500
"""Inputs, and outputs, of a graph."""

MOST_COMPUTED = 1 << 30
"""Bytes of constants that a graph may compute beside those in the file, equal ones counted once."""

MOST_WORK = 1 << 33
"""Products and elements of all constants that are computed."""


class Unreadable(Exception):
    """A node that cannot be read, and the nearest way out; *about* names what is at fault, where it is not the node."""

    def __init__(self, message: str, hint: str = "", about: str = "") -> None:
        super().__init__(message)
        self.hint = f"{hint} instead" if hint else ""
        self.about = about


class Budget:
    """How much of all this one file has used; SourceError, at the place of the file, beyond."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._operations = self._rows = self._computed = self._work = 0

    def execute(self) -> None:
        """A node, or one more turn of a loop."""
        self._operations += 1
        if self._operations > MOST_OPERATIONS:
            self._refuse(f"executes more than {MOST_OPERATIONS:,} operations")

    def move(self, rows: int) -> None:
        """So many rows, which are about to be moved."""
        self._rows += rows
        if self._rows > MOST_ROWS:
            self._refuse(f"moves more than {MOST_ROWS:,} rows")

    def compute(self, work: int) -> None:
        """A constant that takes so many products and elements, and is about to be computed."""
        self._work += work
        if self._work > MOST_WORK:
            self._refuse(f"takes more than {MOST_WORK:,} products and elements to compute its constants")

    def hold(self, bytes: int) -> None:
        """A constant that was computed, and is kept."""
        self._computed += bytes
        if self._computed > MOST_COMPUTED:
            self._refuse(f"computes more than {MOST_COMPUTED >> 20} MiB of constants")

    def _refuse(self, message: str) -> None:
        raise SourceError.at(self._place, message)


def bounded(shape: Iterable[int]) -> None:
    """`Unreadable` for a tensor of more elements than are read."""
    count = math.prod(shape)
    if count > MOST_ELEMENTS:
        raise Unreadable(f"makes {count:,} elements, more than are read")


def checked(numbers: Sequence[int], count: int) -> list[int]:
    """Row *numbers* of *count*, those below 0 counted from the end; `Unreadable` where there is no such row."""
    for number in numbers:
        if not -count <= number < count:
            raise Unreadable(f"takes row {number} of {count}")
    return [number % count for number in numbers]
