"""What stages wait for: whoever touches the same value in DRAM, unless all of them read, or elements never meet."""

from __future__ import annotations

from pathlib import Path

import pytest

from snnc.compiler.cost.room import aliases_of
from snnc.compiler.ir.statement import Access, Index, loop
from snnc.compiler.passes.dependencies import Touch, touches, waits
from snnc.compiler.pipeline import Compilation, Options

ROW, CHANNEL = loop("p"), loop("c")


def reads(value: str, *index: Index, home: str = "") -> Touch:
    return Touch(home or value, Access(value, index or (ROW, CHANNEL)), writes=False)


def writes(value: str, *index: Index, home: str = "") -> Touch:
    return Touch(home or value, Access(value, index or (ROW, CHANNEL)), writes=True)


def waiting(*items: list[Touch]) -> list[list[int]]:
    return [sorted(before) for before in waits(items)]


def test_a_reader_waits_for_its_writers_and_not_for_other_readers() -> None:
    assert waiting([writes("x")], [reads("x"), writes("y")], [reads("x"), writes("z")]) == [[], [0], [0]]


def test_a_writer_waits_for_those_who_read_or_wrote_before() -> None:
    assert waiting([writes("x")], [reads("x")], [writes("x")], [reads("x")]) == [[], [0], [0, 1], [0, 2]]


def test_nobody_waits_for_itself() -> None:
    assert waiting([reads("w"), writes("w")], [reads("w"), writes("w")]) == [[], [0]]


def test_who_has_nothing_in_common_does_not_wait() -> None:
    """Two layers: errors go back through the weights, both gradients wait for the errors, updates for all readers."""
    back = [reads("d.y2"), reads("w2"), writes("d.y1")]
    gradients = [[reads("s1"), reads("d.y2"), writes("d.w2")], [reads("x"), reads("d.y1"), writes("d.w1")]]
    updates = [[reads("d.w2"), reads("w2"), writes("w2")], [reads("d.w1"), reads("w1"), writes("w1")]]
    assert waiting([writes("d.y2")], back, *gradients, *updates) == [[], [0], [0], [1], [1, 2], [3]]


def test_a_value_under_another_name_is_the_same_memory() -> None:
    assert waiting([writes("x")], [reads("flat", CHANNEL, home="x")], [writes("flat", CHANNEL, home="x")]) == [
        [],
        [0],
        [0, 1],
    ]


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ((loop("p", 2), CHANNEL), (loop("p", 2, 1), CHANNEL), True),
        ((loop("p", 2), CHANNEL), (loop("q", 2, 2), CHANNEL), False),
        ((loop("p", 4), CHANNEL), (loop("p", 6, 1), CHANNEL), True),
        ((loop("p", 4), CHANNEL), (loop("p", 6, 4), CHANNEL), False),
        ((Index((("p", 2), ("r", 1))), CHANNEL), (loop("p", 2, 1), CHANNEL), False),
        ((ROW, CHANNEL), (loop("p", 1, 7), CHANNEL), False),
        ((ROW, loop("c", 2)), (ROW, loop("c", 2, 1)), False),
        ((loop("t", 2), ROW, CHANNEL), (loop("t", 2, 1), ROW, CHANNEL), False),
        ((Index((), 0), CHANNEL), (Index((), 1), CHANNEL), False),
    ],
    ids=[
        "even and odd rows",
        "even rows twice",
        "steps of four and six, one off",
        "steps of four and six meet",
        "a window covers both",
        "all rows",
        "channels, which may share a byte",
        "steps of time, which may share their room",
        "places that nobody steps over",
    ],
)
def test_residue_classes_of_rows_do_not_wait(one: tuple[Index, ...], other: tuple[Index, ...], apart: bool) -> None:
    assert waiting([writes("x", *one)], [writes("x", *other)]) == [[], [] if apart else [0]]


SOURCE = """
network pooled(image: f16[1, 8, 8]) steps 2 {
    s = lif(conv2d(image, out=16, kernel=3, pad=1, stride=2))
    top = max_pool2d(s, kernel=2)
    return linear(flatten(top), out=2)
}
train { batch = 2 }
"""


def test_a_stage_touches_all_that_it_moves(tmp_path: Path) -> None:
    """The tap of a maximum is written on the way there, and read on the way back; an alias has its home."""
    path = tmp_path / "pooled.snn"
    path.write_text(SOURCE)
    compilation = Compilation(path, Options("quad", 1, fusion="off"))
    stages = compilation.schedule.entries["train_step"]
    aliases = aliases_of(compilation.training)
    found = {stage.node: {(t.home, t.writes) for t in touches(stage, aliases)} for stage in stages}
    assert found["top"] == {("s", False), ("top", True), ("top.tap", True)}
    assert found["d.s"] == {("d.linear.flatten", False), ("top.tap", False), ("d.s", True)}
    assert found["linear"] == {("top", False), ("linear.w", False), ("linear.b", False), ("linear", True)}
