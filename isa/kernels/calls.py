"""Calls of kernels, noted while they are made and made again later: without a line of Python between them.

Where Python's headers were not there when snnc was installed, nothing can be noted.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .compiled import at, of_python, room, room_size

Numbers = NDArray[np.int64]

_WORDS = 9
"""Of a call; `_python.c` has it, too."""

_LINE = 8
"""Words of a line of the host's cache: threads that count in the same line wait for each other."""


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

    def again(self, lists: Sequence[Sequence[Said]], sums: int) -> list[Again]:
        """Lists of calls to be made again, each by a thread of its own; their contractions add to so many sums."""
        noted = np.frombuffer(self._noted, np.int64).reshape(-1, _WORDS)
        done = np.zeros((len(lists), _LINE), np.int64)
        stop = np.zeros(1, np.int64)
        return [
            Again(_words(said, noted, done, stop), sums, done[k], stop, (*self._kept, done), self._room)
            for k, said in enumerate(lists)
        ]


class Call(NamedTuple):
    """Call *number* of those noted; a contraction adds its products to the one of `Again.sums` that *sum* says."""

    number: int
    sum: int = 0


class Wait(NamedTuple):
    """Until list *thread* has come to its place *value*."""

    thread: int
    value: int


class Other(NamedTuple):
    """Something that is no call, and that the list stops at."""


Said: TypeAlias = Call | Wait | Other


def _words(said: Sequence[Said], noted: Numbers, done: Numbers, stop: Numbers) -> Numbers:
    """What the kernels' list says, a row for each."""
    module = of_python()
    words = np.zeros((len(said), _WORDS), np.int64)
    for row, one in zip(words, said, strict=True):
        match one:
            case Call():
                row[:] = noted[one.number]
                row[-1] = one.sum
            case Wait():
                row[:4] = module.WAIT, at(done[one.thread]), one.value, at(stop)
            case Other():
                row[0] = module.OTHER
    return words


class Again:
    """A list of calls to be made again, with *room* bytes to work in.

    A contraction adds to its one of *sums*, so many there are, how many products had a left operand other than zero.
    *done* counts how many have been made, for the threads that have the other lists; all of them *stop* where it is 1.
    """

    def __init__(
        self, words: Numbers, sums: int, done: Numbers, stop: Numbers, kept: Sequence[object], room: int
    ) -> None:
        self.sums = np.zeros(sums, np.int64)
        self.done, self.stop = done, stop
        self._words, self._kept, self._room = words, kept, room
        self._words_at, self._sums_at, self._done_at = at(words), at(self.sums), at(done)
        self._run: Any = of_python().snnc_run

    def __len__(self) -> int:
        return len(self._words)

    def run(self, first: int, last: int) -> int:
        """Make calls from *first* to before *last*; the one that was not served, and has done nothing, or *last*."""
        return self._run(self._words_at, first, last, self._sums_at, room(self._room), self._done_at)
