"""A value in blocks, as the mapping weighs it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stored:
    """*codec* and *blocks* (along the axes in memory, time and samples among them) of a value in DRAM.

    *moved* are the bytes of the bursts that fetch a mean block.
    """

    codec: str
    blocks: tuple[int, ...]
    moved: float
