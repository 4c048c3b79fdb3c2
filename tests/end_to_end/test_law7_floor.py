"""Law 7: no program moves fewer bytes than the floor, which knows no schedule."""

from __future__ import annotations

from laws import Outcome


def test_counted_bytes_are_not_below_the_floor(outcome: Outcome) -> None:
    for entry, traffic in outcome.counted.items():
        floor, moved = outcome.program.bound[entry]["dram"]["floor"], traffic.total
        assert floor > 0
        assert moved.useful_read + moved.useful_write >= floor, entry
        assert moved.dram >= floor, entry


def test_the_floor_is_no_trifle(outcome: Outcome) -> None:
    """Every master weight, gradient's owner, is read and written by a training step."""
    masters = sum(symbol.bytes for symbol in outcome.program.symbols if symbol.role == "master")
    assert outcome.program.bound["train_step"]["dram"]["floor"] >= 2 * masters
