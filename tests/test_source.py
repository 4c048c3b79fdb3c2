"""Places and faults read as the user will read them, to the letter."""

from __future__ import annotations

import pickle
from typing import cast

import pytest

from snnc.source import NOWHERE, DataError, Fault, Faults, Place, SnncError, SourceError, TargetError, line_of

NETWORK = """network lenet(image: f16[1, 28, 28]) steps 4 {
    c1 = conv2d(image, out=6, kernel=5, pad=2)
    # spikes
    s1 = lif(c1 decay=0.5, threshold=1.0)
}
"""


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (Place("lenet.snn", 4, 17), "lenet.snn:4:17"),
        (Place("lenet.snn", 4), "lenet.snn:4"),
        (Place("lenet.snn"), "lenet.snn"),
        (NOWHERE, "<none>"),
    ],
)
def test_a_place_tells_what_it_knows(place: Place, text: str) -> None:
    assert str(place) == text


def test_a_fault_shows_its_line_and_points_at_its_column() -> None:
    fault = Fault.at(Place("lenet.snn", 4, 17), "expected ',' or ')'", NETWORK)
    assert str(fault) == (
        "lenet.snn:4:17: expected ',' or ')'\n      s1 = lif(c1 decay=0.5, threshold=1.0)\n                  ^"
    )


def test_a_fault_tells_what_would_help() -> None:
    fault = Fault(
        Place("lenet.snn", 4, 5),
        "the smallest tile of s1 needs 18.4 KiB",
        hints=("--batch 8", "a target with more neuron memory"),
    )
    assert str(fault) == (
        "lenet.snn:4:5: the smallest tile of s1 needs 18.4 KiB\n"
        "  try: --batch 8\n"
        "  try: a target with more neuron memory"
    )


@pytest.mark.parametrize(
    ("column", "line", "caret"),
    [
        (1, "x = y", "  ^"),
        (5, "x = y", "      ^"),
        (6, "x = y", "       ^"),  # just after the end: something is missing there
        (2, "\tx = y", "  \t^"),
    ],
)
def test_the_caret_stands_under_its_column(column: int, line: str, caret: str) -> None:
    assert str(Fault(Place("a.snn", 1, column), "wrong", line)) == f"a.snn:1:{column}: wrong\n  {line}\n{caret}"


def test_a_fault_without_a_column_has_no_caret() -> None:
    assert str(Fault(Place("a.snn", 1), "wrong", "x = y")) == "a.snn:1: wrong\n  x = y"


def test_a_fault_that_stands_nowhere_is_its_message() -> None:
    assert str(Fault(NOWHERE, "--batch 0 is less than 1")) == "--batch 0 is less than 1"


@pytest.mark.parametrize(("line", "expected"), [(0, None), (1, "a"), (2, "b"), (3, ""), (4, None)])
def test_lines_count_from_one_with_either_line_end(line: int, expected: str | None) -> None:
    assert line_of("a\r\nb\n", Place("a.snn", line)) == expected


def test_an_error_shows_all_of_its_faults() -> None:
    error = SourceError(Fault(Place("a.snn", 1), "first"), Fault(Place("a.snn", 2), "second", hints=("this",)))
    assert str(error) == "a.snn:1: first\na.snn:2: second\n  try: this"


@pytest.mark.parametrize("kind", [SourceError, TargetError, DataError])
def test_an_error_survives_the_way_between_processes(kind: type[SnncError]) -> None:
    error = kind.at(Place("a.snn", 1, 1), "wrong", "x", ["y"])
    copy = cast(SnncError, pickle.loads(pickle.dumps(error)))
    assert type(copy) is kind
    assert copy.faults == error.faults


def test_a_stage_shows_all_of_its_faults_in_the_order_of_the_text() -> None:
    with pytest.raises(SourceError) as caught, Faults(SourceError, "one\ntwo\nten\n") as faults:
        faults.add(Place("a.snn", 3, 1), "later")
        faults.add(Place("a.snn", 2, 2), "sooner", hints=["this"])
        faults.add(Place("a.snn", 3, 1), "later")
        assert len(faults) == 2
    assert str(caught.value) == "a.snn:2:2: sooner\n  two\n   ^\n  try: this\na.snn:3:1: later\n  ten\n  ^"


def test_a_stage_without_faults_raises_nothing() -> None:
    with Faults() as faults:
        pass
    faults.throw(DataError)
    assert not list(faults)


def test_throw_raises_the_family_that_it_is_asked_for() -> None:
    faults = Faults()
    faults.add(Place("labels.gz"), "label 10 is out of range")
    with pytest.raises(DataError, match=r"^labels\.gz: label 10 is out of range$"):
        faults.throw(DataError)
    with pytest.raises(SourceError):
        faults.throw()


def test_an_error_that_ends_a_stage_joins_what_was_found_before() -> None:
    with pytest.raises(SourceError) as caught, Faults(SourceError) as faults:
        faults.add(Place("a.snn", 9), "found")
        raise SourceError.at(Place("a.snn", 2), "the end")
    assert [fault.message for fault in caught.value.faults] == ["the end", "found"]


def test_what_is_ours_is_not_hidden_behind_what_is_the_users() -> None:
    with pytest.raises(AssertionError, match="ours"), Faults(SourceError) as faults:
        faults.add(Place("a.snn", 1), "the user's")
        raise AssertionError("ours")
