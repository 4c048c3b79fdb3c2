"""What a stream has done, by instruction: plain lists, to which an action adds where it stands."""

from __future__ import annotations

WORK = ("gated", "multiply", "element", "skipped")
"""Kinds of operations: see `chip.Observer.work`."""


class Tally:
    """Counts of each of *count* instructions since the last `clear`.

    *work* are operations by kind; *reads* and *writes* bytes that passed a scratchpad port.
    """

    def __init__(self, count: int) -> None:
        self.work = {kind: [0] * count for kind in WORK}
        self.reads = [0] * count
        self.writes = [0] * count

    def clear(self) -> None:
        """Begin anew, in the same lists: actions hold them."""
        for counts in (*self.work.values(), self.reads, self.writes):
            counts[:] = [0] * len(counts)
