"""Programs give the numbers that they mean, in any order, or tell by name what stops them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from snnc.catalog import UnknownName
from snnc.isa.instructions.control import Barrier, Post, Wait
from snnc.isa.instructions.engine import Gate
from snnc.isa.instructions.move import Load
from snnc.isa.instructions.route import Multicast, Receive, Send
from snnc.isa.program import Stream
from snnc.isa.target import load_target
from snnc.runtime.faults import Deadlock, ExecutionError
from snnc.runtime.interpreter import Interpreter
from snnc.runtime.orders import Order, Reverse, RoundRobin, Shuffled
from snnc.source import DataError

if TYPE_CHECKING:
    from tests.runtime.conftest import Small

ORDERS: list[Any] = [RoundRobin, Reverse, *(lambda seed=seed: Shuffled(seed) for seed in range(6))]


def spikes_and_weights() -> tuple[NDArray[Any], NDArray[Any]]:
    generator = np.random.default_rng(5)
    spikes = (generator.random((4, 24)) < 0.4).astype(np.float32)
    weights = generator.integers(-64, 64, (40, 24)) / 16  # sums are exact in f16
    return spikes, weights


def run_linear(small: Small, order: Order | None = None, watched: bool = True) -> Interpreter:
    interpreter = Interpreter(small.linear(), order=order, watched=watched)
    spikes, weights = spikes_and_weights()
    interpreter.write("x", spikes)
    interpreter.write("fc.w", weights)
    interpreter.run("infer")
    return interpreter


def test_tiles_through_double_buffers_give_the_product(small: Small) -> None:
    spikes, weights = spikes_and_weights()
    y = run_linear(small).read("y")
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, spikes @ weights.T * 0.5)


def test_a_name_that_the_program_does_not_have_is_told(small: Small) -> None:
    interpreter = Interpreter(small.linear())
    with pytest.raises(UnknownName, match=r"^no entry is called 'train_step'; there are: infer$"):
        interpreter.run("train_step")
    meant = r"^no tensor is called 'fc\.v'; did you mean fc\.w\?$"
    for ask in (interpreter.read, interpreter.values, interpreter.was_read):
        with pytest.raises(UnknownName, match=meant):
            ask("fc.v")
    with pytest.raises(UnknownName, match=meant):
        interpreter.write("fc.v", 0.0)
    with pytest.raises(UnknownName, match=r"^no tensor is called 'membrane'; there are: fc\.w, x, y$"):
        interpreter.read("membrane")


def test_hand_overs_between_cores_bring_the_tile_back(small: Small) -> None:
    interpreter = Interpreter(small.pair(), watched=True)
    x = np.arange(8, dtype=np.float32) - 3.5
    interpreter.write("x", x)
    for _ in range(2):
        interpreter.run("infer")
    np.testing.assert_array_equal(interpreter.read("back"), x * 2)


@pytest.mark.parametrize("order", ORDERS)
def test_any_order_gives_the_same_bits_and_counts(small: Small, order: Any) -> None:
    first, other = run_linear(small), run_linear(small, order())
    assert first.chip.dram.tobytes() == other.chip.dram.tobytes()
    assert first.counters.traffic() == other.counters.traffic()
    pairs = [Interpreter(small.pair(), order=order(), watched=watched) for watched in (True, False)]
    for pair in pairs:
        pair.write("x", np.ones(8))
        pair.run("infer")
        np.testing.assert_array_equal(pair.values("back"), np.full(8, 2))


def test_an_entry_can_run_again_and_again(small: Small) -> None:
    interpreter = run_linear(small)
    before = interpreter.read("y")
    interpreter.run("infer")
    np.testing.assert_array_equal(interpreter.read("y"), before)


def test_a_deadlock_is_told_by_name(small: Small) -> None:
    program = small.changed(small.linear(), lambda s, i: not (isinstance(i, Post) and s.unit == "store"))
    with pytest.raises(Deadlock) as caught:
        Interpreter(program).run("infer")

    def line(unit: str, pc: int, semaphore: int, poster: str) -> str:
        place = f"core 0, {unit} stream, instruction {pc} (fc, small.snn:3)"
        return f"  {place}: waits for semaphore {semaphore} to be posted, by {poster}"

    assert str(caught.value).splitlines() == [
        "deadlock: 4 of 4 streams wait, and nobody is left who could wake them",
        line("load", 22, 2, "core 0 fp"),
        line("store", 9, 5, "core 0 vector"),
        line("fp", 20, 4, "core 0 vector"),
        line("vector", 13, 6, "nobody"),
        "  halted: none",
    ]


def test_a_deadlock_tells_of_tiles_and_barriers_that_nobody_comes_to(small: Small) -> None:
    def kept(stream: Stream, instruction: object) -> bool:
        return not isinstance(instruction, Send) and not (isinstance(instruction, Barrier) and stream.core == 2)

    with pytest.raises(Deadlock) as caught:
        Interpreter(small.changed(small.pair(), kept)).run("infer")
    text = str(caught.value)
    receiver = "  core 3, router stream, instruction 2 (fc, small.snn:3): "
    guest = "  core 1, vector stream, instruction 0 (fc, small.snn:3): "
    assert f"{receiver}waits for a tile from core 0 on channel 1, which has halted\n" in text
    assert f"{guest}waits for the barrier of 4 cores, where core 2 has not arrived\n" in text
    assert text.endswith("halted: core 0 router, core 2 vector")


def test_a_semaphore_that_is_not_zero_at_the_end_is_named(small: Small) -> None:
    seen: list[object] = []

    def kept(stream: Stream, instruction: object) -> bool:
        if isinstance(instruction, Wait) and stream.unit == "fp":
            seen.append(instruction)
        return len(seen) < 5 or not isinstance(instruction, Wait) or stream.unit != "fp"

    with pytest.raises(ExecutionError) as caught:
        Interpreter(small.changed(small.linear(), kept)).run("infer")
    assert str(caught.value) == "core 0: semaphore 4 is 1 at the end of infer, not 0"


def test_an_illegal_access_is_told_with_its_place(small: Small) -> None:
    program = small.changed(small.linear(), lambda s, i: not (s.unit == "fp" and type(i).__name__ == "View"))
    with pytest.raises(ExecutionError) as caught:
        Interpreter(program).run("infer")
    assert str(caught.value) == "core 0, fp stream, instruction 2 (small.snn:3): view 0 is not defined"


def test_what_no_unit_may_run_is_refused_before_anything_runs(small: Small) -> None:
    program = small.linear()
    entry = program.entries[0]
    wrong = small.stream(
        0, "load", [Gate(0, 0, 0, 0), Post(9999, 0), Receive(0, 7, 0), Post(3, 0), Multicast(0, 0, 0, 9)], line=8
    )
    entry = replace(entry, streams=(wrong, *entry.streams[1:]))
    with pytest.raises(ExecutionError) as caught:
        Interpreter(replace(program, entries=(entry,))).run("infer")
    text = str(caught.value)
    assert "core 0, load stream, instruction 0 (small.snn:8): gate belongs to fp" in text
    assert "semaphore 9999 is not one of the" in text
    assert "there is no core 7" in text and "there is no core 8" in text
    assert "semaphore 3 of core 0 is posted by core 0 load already" in text


def test_a_program_for_another_machine_is_refused(small: Small) -> None:
    with pytest.raises(DataError, match="another machine than quad"):
        Interpreter(small.linear(), target=load_target("quad"))


def test_arguments_must_be_those_of_the_entry(small: Small) -> None:
    interpreter = Interpreter(small.learner())
    with pytest.raises(TypeError, match="train_step takes the arguments"):
        interpreter.run("train_step", {"rate": 1.0})


def test_a_tensor_of_another_shape_is_not_written(small: Small) -> None:
    with pytest.raises(ValueError, match=r"fc\.w has the shape \[40, 24\], not \[24, 40\]"):
        Interpreter(small.linear()).write("fc.w", np.zeros((24, 40)))


def test_a_load_reaches_no_bytes_outside_of_dram(small: Small) -> None:
    program = replace(small.linear(), dram_bytes=300)
    with pytest.raises(ExecutionError, match=r"core 0, load stream, instruction \d+ \(small\.snn:3\)"):
        Interpreter(program).run("infer")
    assert any(isinstance(i, Load) for i in program.entries[0].streams[0].instructions)
