"""Programs without data stand still, and fault, where those with data do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from snnc.isa.instructions.control import Post
from snnc.isa.presence import Box, Marks, Seen
from snnc.runtime.counted import Full, full
from snnc.runtime.faults import Deadlock, ExecutionError
from snnc.runtime.interpreter import Interpreter

if TYPE_CHECKING:
    from tests.runtime.conftest import Small


def test_a_deadlock_is_found_without_data(small: Small) -> None:
    program = small.changed(small.linear(), lambda stream, each: stream.unit != "fp" or not isinstance(each, Post))
    for contents in (None, full):
        with pytest.raises(Deadlock, match=r"load stream.* waits for semaphore 2 to be posted, by nobody"):
            Interpreter(program, contents=contents).run("infer")


def test_a_transfer_beyond_dram_faults_without_data(small: Small) -> None:
    program = replace(small.linear(), dram_bytes=4096 + 100)
    for contents in (None, full):
        with pytest.raises(ExecutionError, match=r"writes bits 32768\.\.\d+ of memory 0, which has 33568"):
            Interpreter(program, contents=contents).run("infer")


def test_tiles_go_from_core_to_core_without_data(small: Small) -> None:
    with_data, without = Interpreter(small.pair()), Interpreter(small.pair(), contents=full)
    for machine in (with_data, without):
        machine.run("infer")
    assert without.counters.by_link() == with_data.counters.by_link() == {(0, 1): 32, (1, 3): 32}
    assert without.counters.traffic() == with_data.counters.traffic()


def test_marks_say_what_was_written_last() -> None:
    box = Box((100,), (1,), (0,), (100,))
    marks, one, other = Marks(), Seen(Full(), box), Seen(Full(8), box)
    marks.put(1, 0, 100, one)
    marks.put(2, 50, 60, other)
    marks.put(1, 40, 60, other)
    found = [(0, one), (0, one), (40, other), (40, other), None]
    assert [marks.at(1, bit) for bit in (0, 39, 40, 59, 60)] == found
    marks.put(1, 50, 80, None)
    assert (marks.at(1, 45), marks.at(1, 50), marks.at(2, 55)) == ((40, other), None, (50, other))
    marks.put(1, 0, 1000, one)
    assert marks.at(1, 45) == (0, one) and marks.at(3, 0) is None


def test_what_is_read_of_a_padded_tile_is_counted_by_taps_and_pixels() -> None:
    """3 x 3 taps around 4 x 4 pixels of 8 channels, a pixel of padding on every side: 10 of 12 pairs a direction."""
    tile = Box((6, 6, 8), (6 * 128, 128, 16), (1, 1, 0), (4, 4, 8))
    everything = tile.inside(0, (4, 4, 3, 3, 5, 8), (768, 128, 768, 128, 0, 16))
    assert everything == pytest.approx((10 / 12) ** 2)
    assert tile.inside(768 + 128, (4, 4, 8), (768, 128, 16)) == 1.0
    assert tile.inside(768 + 8 * 8, (6, 4), (128, 16)) == pytest.approx(4 / 6)
