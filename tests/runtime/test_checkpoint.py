"""A checkpoint is refused whole unless every bit of it is right and it belongs to the program."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from snnc.runtime import checkpoint as checkpoints
from snnc.runtime.checkpoint import Progress
from snnc.runtime.interpreter import Interpreter
from snnc.source import DataError

if TYPE_CHECKING:
    from tests.runtime.conftest import Small

PROGRESS = Progress(7, 1, 2, 3, 8, (0.5, 0.25))


def content(small: Small) -> bytes:
    interpreter = Interpreter(small.learner())
    interpreter.write("fc.b", np.arange(4))
    held = checkpoints.capture(interpreter.program, interpreter.chip.dram, PROGRESS, {"seed": 3})
    return checkpoints.to_bytes(held)


def test_what_is_written_is_read_and_put_back(small: Small, tmp_path: Path) -> None:
    held = checkpoints.from_bytes(content(small))
    checkpoints.save(held, tmp_path / "a.ckpt")
    assert checkpoints.load(tmp_path / "a.ckpt") == held
    assert [path.name for path in tmp_path.iterdir()] == ["a.ckpt"]
    other = Interpreter(small.learner())
    assert checkpoints.restore(held, other.program, other.chip.dram) == PROGRESS
    np.testing.assert_array_equal(other.values("fc.b"), np.arange(4))


def test_a_flipped_bit_is_found_wherever_it_is(small: Small) -> None:
    data = content(small)
    for place in range(len(data)):
        spoilt = bytearray(data)
        spoilt[place] ^= 1 << place % 8
        with pytest.raises(DataError):
            checkpoints.from_bytes(bytes(spoilt), "run.ckpt")


@pytest.mark.parametrize("kept", [0, 5, 30, 100, -1])
def test_a_truncated_file_is_refused(small: Small, kept: int) -> None:
    with pytest.raises(DataError, match=r"run\.ckpt: (truncated|not a snnc checkpoint)"):
        checkpoints.from_bytes(content(small)[:kept], "run.ckpt")


def test_another_version_is_told_as_such(small: Small) -> None:
    data = bytearray(content(small))
    data[8] = 9
    with pytest.raises(DataError, match="checkpoint version 9; this snnc reads 1"):
        checkpoints.from_bytes(bytes(data))


def test_another_program_is_refused(small: Small) -> None:
    held = checkpoints.from_bytes(content(small))
    other = Interpreter(small.linear())
    with pytest.raises(DataError, match=r"a\.ckpt: a checkpoint of the same network, compiled otherwise"):
        checkpoints.restore(held, other.program, other.chip.dram, "a.ckpt")
    with pytest.raises(DataError, match=r"a\.ckpt: a checkpoint of another program"):
        checkpoints.restore(held, replace(other.program, graph_hash="1"), other.chip.dram, "a.ckpt")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        checkpoints.load(tmp_path / "none.ckpt")
