"""Sums over loop registers as functions: written out once for each form, so that a turn makes no list and asks no loop.

What a view register says of a turn is the same few additions every time; only its numbers and its loops differ from
those of other views.  So forms are few, and each is compiled once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .registers import LoopRegister


class Function:
    """A function without arguments that is being written, line by line.

    Loops, numbers and whatever else it holds stand in its text by names, so that functions which differ in these alone
    have one text.
    """

    def __init__(self) -> None:
        self._held: list[Any] = []
        self._lines: list[str] = []

    def name(self, value: Any) -> str:
        """What stands for *value* in the text: a new name for a number, so that equal ones do not show in it."""
        for place, known in enumerate(self._held):
            if known is value and not isinstance(value, int):
                return f"v{place}"
        self._held.append(value)
        return f"v{len(self._held) - 1}"

    def times(self, coefficient: int, factor: str) -> str:
        """A product, where it is one."""
        return factor if coefficient == 1 else f"{self.name(coefficient)} * {factor}"

    def place(self, loop: LoopRegister, up: bool) -> str:
        """Where a loop stands: its low end, where it walks down."""
        name = self.name(loop)
        return f"{name}.start" if up else f"({name}.start + {name}.extent - 1)"

    def tuple_of(self, texts: Sequence[str]) -> str:
        """A tuple."""
        return f"({', '.join(texts)}{',' * (len(texts) == 1)})"

    def add(self, line: str) -> None:
        """Write another line."""
        self._lines.append(line)

    def made(self) -> Callable[[], Any]:
        """The function."""
        return _maker(len(self._held), tuple(self._lines))(*self._held)


@lru_cache(maxsize=4096)
def _maker(count: int, lines: tuple[str, ...]) -> Callable[..., Callable[[], Any]]:
    """What makes functions of this text, given what they hold."""
    held = ", ".join(f"v{place}" for place in range(count))
    body = "\n".join(f"        {line}" for line in lines)
    space: dict[str, Any] = {}
    exec(f"def make({held}):\n    def function():\n{body}\n    return function\n", space)
    return space["make"]
