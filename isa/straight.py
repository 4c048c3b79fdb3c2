"""Instructions behind each other as one function: semaphores and loops without calls, and nothing to look up between.

Whoever wants to hear of every semaphore or every instruction, or to step a few of them at a time, has them run one by
one: nothing but the time that they take tells which it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .affine import Function
from .instruction import Action

if TYPE_CHECKING:
    from .state import Stream

MOST = 64
"""Instructions of one function."""


class Line(Function):
    """The function of the instructions of *stream* from *first* on, being written.

    It ends early where one of them waits: ``stream.stopped`` is then true and ``stream.current`` that one.
    """

    def __init__(self, stream: Stream, first: int) -> None:
        super().__init__()
        self.stream, self.first, self.end = stream, first, first

    def call(self, number: int) -> None:
        """Write that instruction *number* does what it does when it runs alone."""
        self.add(f"{self.name(self.stream)}.current = {self.name(number)}")
        self.add(f"{self.name(self.stream.actions[number])}()")

    def go(self, number: str) -> None:
        """Write where the stream goes on."""
        self.add(f"{self.name(self.stream)}.pc = {number}")


def straight(stream: Stream, first: int) -> tuple[Action, int] | None:
    """What runs the instructions from *first* on in one go, and how many these are; None where it is one alone.

    They end with the first ``end``, and in front of those that wait for others, jump, or define view registers.  None,
    too, as long as one of them has not run yet.
    """
    line = Line(stream, first)
    for number, word in enumerate(stream.instructions[first : first + MOST], start=first):
        if not word.goes_on or number in stream.definitions:
            break
        if stream.actions[number] is None:
            return None
        word.written(line, number)
        line.end = number + 1
        if word.mnemonic == "end":
            break
    else:
        word = None
    if line.end - first < 2:
        return None
    if word is None or word.mnemonic != "end":
        line.go(line.name(line.end))
    return line.made(), line.end - first
