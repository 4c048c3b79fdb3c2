"""What two things have in common for which something need be found only once."""

from __future__ import annotations


class Likeness:
    """A value of many parts, which is asked for more often than it is made: its hash is found once."""

    def __init__(self, parts: object) -> None:
        self._parts = parts
        self._hash = hash(parts)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Likeness) and self._hash == other._hash and self._parts == other._parts
