"""What the tape table says of neurons: what is kept, why, and what it would cost to keep something else."""

from __future__ import annotations

import pytest

from snnc.compiler.cost.carried import carried_of
from snnc.compiler.cost.tape import Alternative, Kept, tape_of
from snnc.compiler.frontends.snn import read
from snnc.compiler.ir.graph import Training
from snnc.compiler.passes.differentiate import build_training
from snnc.compiler.passes.training_options import TrainingOptions
from snnc.reports.tape_text import tape_json, tape_text


def graph(settings: str, training: str = "") -> Training:
    """16 neurons behind a first layer, 4 steps and 2 samples."""
    network = read(f"""
    network a(x: f16[t, 8]) steps 4 {{
        s = lif(linear(x, out=16), {settings})
        y = linear(s, out=4)
        return y
    }}
    train {{ batch = 2; {training} }}""")
    return build_training(network, TrainingOptions.resolve(network))


def kept(settings: str) -> dict[str, Kept]:
    """Its tape by value."""
    return {each.value: each for each in tape_of(graph(settings))}


AGAIN = "tape=recompute(every=4) keeps them, and reads x again; gradients have the same bits"
SPIKES, BITS, WORDS = "s", 4 * 2 * 16 // 8, 4 * 2 * 16 * 2


@pytest.mark.parametrize(
    ("settings", "value", "size", "reason", "alternative"),
    [
        (
            "surrogate=rect, reset=soft",
            "s.mask",
            BITS,
            "the surrogate has two values, and the mask of the rounded membrane tells them apart",
            Alternative("the membrane", WORDS, "tape=membrane keeps it; gradients have the same bits"),
        ),
        (
            "surrogate=rect, reset=soft, tape=membrane",
            "s.h",
            WORDS,
            "tape=membrane asks for it",
            Alternative("a mask", BITS, "tape=auto keeps it; gradients have the same bits"),
        ),
        (
            "surrogate=atan, reset=soft",
            "s.h",
            WORDS,
            "the surrogate has more than two values, which follow from the membrane",
            Alternative("a mask", None, "the surrogate has more than two values, which follow from the membrane"),
        ),
        (
            "surrogate=rect, reset=hard",
            "s.h",
            WORDS,
            "the gradient of a hard reset reads the membrane",
            Alternative("a mask", None, "the gradient of a hard reset reads the membrane"),
        ),
    ],
)  # fmt: skip
def test_what_is_kept_of_a_neuron_and_why(
    settings: str, value: str, size: int, reason: str, alternative: Alternative
) -> None:
    tape = kept(settings)
    assert set(tape) == {SPIKES, value, "loss.seed"}
    again = Alternative("states every 4 steps", WORDS // 4, AGAIN)
    assert (tape[value].bytes, tape[value].reason) == (size, reason)
    assert tape[value].alternatives == (alternative, again)
    assert tape[SPIKES].bytes == BITS
    assert (tape[SPIKES].readers, tape[SPIKES].reason) == (("WG of y",), "left operand of the weight gradient")


def test_spikes_that_a_hard_reset_needs_are_told_once_with_all_their_readers() -> None:
    tape = kept("surrogate=rect, reset=hard, detach_reset=true")
    assert set(tape) == {SPIKES, "s.mask", "loss.seed"}
    assert tape[SPIKES].readers == ("WG of y", "BP of s")
    assert tape[SPIKES].reason == ("left operand of the weight gradient; the reset follows the spikes")


def test_steps_that_are_computed_again_keep_their_states_and_their_input() -> None:
    tape = kept("surrogate=rect, reset=hard, tape=recompute(every=2)")
    assert set(tape) == {SPIKES, "s.v.kept", "s.linear", "loss.seed"}
    assert (tape["s.v.kept"].bytes, tape["s.linear"].bytes) == (WORDS // 2, WORDS)
    assert str(tape["s.v.kept"].type) == "f16[t/2, n, 16]"
    assert tape["s.linear"].reason == "2 steps at once are computed again from it"
    assert [(other.what, other.bytes) for other in tape["s.v.kept"].alternatives] == [
        ("the membrane", WORDS),
        ("a mask", None),
    ]


def test_the_table_adds_up() -> None:
    tape = list(kept("surrogate=rect, reset=soft").values())
    text = tape_text(tape, "a")
    total = sum(each.bytes for each in tape)
    assert text.splitlines()[0] == f"tape of a training step of a: {total} bytes, written once and read by the way back"
    assert "else: the membrane, 256 B: tape=membrane keeps it; gradients have the same bits" in text


def test_what_each_step_carries_to_the_next_stands_apart_from_the_tape() -> None:
    """16 words of f16 a sample for the membrane, 16 of four bits for the history; 4 of f32 for each sum of the loss."""
    training = graph("surrogate=rect, reset=soft", "rule = ottt_a; loss = cross_entropy_mse")
    tape, carried = tape_of(training), carried_of(training)
    assert {each.value: each.bytes for each in tape} == {"s.mask": 2 * 16 // 8, "y": 2 * 4 * 2}
    words, histories, sums = 2 * 16 * 2, 2 * 16 * 4 // 8, 2 * 4 * 4
    assert {state.value: (state.bytes, state.readers) for state in carried} == {
        "s.trace": (histories, ("WG of y", "the next step")),
        "s.carry.v": (words, ("the next step",)),
        "logits.carry.total": (sums, ("the next step",)),
        "logits.carry.loss": (sums, ("the next step",)),
    }
    lines = tape_text(tape, "a", carried).splitlines()
    assert lines[0] == (
        "tape of a training step of a: 20 bytes, written once and read by the way back; 20 of them are the room of one "
        "time step, written anew in each"
    )
    assert "carried state: 144 bytes, written anew in each time step and no part of the tape" in lines
    told = tape_json(tape, carried)
    assert (told["bytes"], told["carried"]["bytes"]) == (20, words + histories + 2 * sums)


def test_stages_that_walk_through_all_steps_alone_carry_nothing_in_dram() -> None:
    training = graph("surrogate=rect, reset=soft")
    assert carried_of(training) == ()
    assert "carried state" not in tape_text(tape_of(training), "a")
