"""What a stream has done, by instruction: plain lists, to which an action adds where it stands."""

from __future__ import annotations

WORK = ("gated", "multiply", "element", "skipped")
"""Kinds of operations: see `chip.Observer.work`."""


class Tally:
    """Counts of each of *count* instructions since the last `clear`.

    *work* are operations by kind; *reads* and *writes* bytes that passed a scratchpad port.  *products* is the kind of
    those operations of a contraction that zeros do not save.
    """

    def __init__(self, count: int) -> None:
        self.work = {kind: [0] * count for kind in WORK}
        self.reads = [0] * count
        self.writes = [0] * count
        self.products: dict[int, str] = {}

    def lists(self) -> tuple[list[int], ...]:
        """All counts: the kinds of work as in `WORK`, reads, writes."""
        return *self.work.values(), self.reads, self.writes

    def multiplied(self, pc: int, dense: int, done: int) -> None:
        """A contraction has done so many of *dense* products."""
        self.work[self.products[pc]][pc] += done
        self.work["skipped"][pc] += dense - done

    def clear(self) -> None:
        """Begin anew, in the same lists: actions hold them."""
        for counts in self.lists():
            counts[:] = [0] * len(counts)
