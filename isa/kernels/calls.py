"""Calls of kernels, noted while they are made and made again later: without a line of Python between them.

Where Python's headers were not there when snnc was installed, nothing can be noted.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .compiled import at, of_python, room, room_size

Numbers = NDArray[np.int64]

_WORDS = 9
"""Of a call; `_python.c` has it, too."""


class Calls:
    """The calls that the thread makes while they are `noted`, in their order: those that were served.

    What they are told stays as long as this does; what they read and write has to stay where it lies.
    """

    def __init__(self) -> None:
        self._noted, self._kept = bytearray(), list[bytes]()
        self._room = 0

    def __len__(self) -> int:
        return len(self._noted) // (8 * _WORDS)

    @staticmethod
    def possible() -> bool:
        """Whether calls can be noted here."""
        return of_python() is not None

    @contextmanager
    def noted(self) -> Generator[None]:
        """What the thread calls meanwhile is noted."""
        note = of_python().snnc_note
        note(self._noted, self._kept)
        try:
            yield
        finally:
            note(None, None)
            self._room = max(self._room, room_size())

    def forget(self) -> None:
        """Note nothing more, and keep nothing of what was noted."""
        of_python().snnc_note(None, None)
        self._noted, self._kept = bytearray(), []

    def chosen(self, numbers: Sequence[int], sums: Sequence[int]) -> Again:
        """The calls *numbers*; a contraction adds its products to the one of `Again.sums` that *sums* says."""
        words = np.frombuffer(self._noted, np.int64).reshape(-1, _WORDS)[np.array(numbers, np.int64)]
        words[:, -1] = sums
        return Again(words, max(sums, default=0) + 1, self._kept, self._room)


class Again:
    """Calls to be made again, from the first to the last of *words*, with *room* bytes to work in.

    A contraction adds to its one of *sums*, so many there are, how many products had a left operand other than zero.
    """

    def __init__(self, words: Numbers, sums: int, kept: Sequence[bytes], room: int) -> None:
        self.sums = np.zeros(sums, np.int64)
        self._words, self._kept, self._room = words, tuple(kept), room
        self._words_at, self._sums_at = at(words), at(self.sums)
        self._run: Any = of_python().snnc_run

    def __len__(self) -> int:
        return len(self._words)

    def run(self, first: int, last: int) -> int:
        """Make calls from *first* to before *last*; the one that was not served, and has done nothing, or *last*."""
        return self._run(self._words_at, first, last, self._sums_at, room(self._room))
