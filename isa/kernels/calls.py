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

    def chosen(self, numbers: Sequence[int], sums: Sequence[int]) -> Again:
        """The calls *numbers*; a contraction adds its products to the one of some *sums*."""
        words = np.frombuffer(self._noted, np.int64).reshape(-1, _WORDS)[np.array(numbers, np.int64)]
        words[:, -1] = sums
        return Again(words, tuple(self._kept), self._room)


class Again:
    """Calls to be made again, from the first to the last of *words*."""

    def __init__(self, words: Numbers, kept: tuple[bytes, ...], room: int) -> None:
        self._words, self._kept, self._room = words, kept, room
        self._run: Any = of_python().snnc_run

    def __len__(self) -> int:
        return len(self._words)

    def run(self, first: int, last: int, sums: Numbers) -> int:
        """Make the calls from *first* to before *last*; the one that was not served, and has done nothing, or *last*.

        A contraction adds to its one of *sums* how many products had a left operand other than zero.
        """
        return self._run(at(self._words), first, last, at(sums), room(self._room))
