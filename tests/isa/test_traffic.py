"""Traffic adds up, whatever way it is looked at, and never mixes what was counted with what was guessed."""

from __future__ import annotations

import json
from dataclasses import fields
from functools import reduce
from operator import add
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnc.isa.traffic import Amounts, Key, Traffic

keys = st.builds(
    Key,
    st.sampled_from(["FP", "BP", "WG", "UP", ""]),
    st.sampled_from(["c1.w", "s1", ""]),
    st.sampled_from(["c1", "s1", ""]),
    st.sampled_from(["raw", "bits"]),
)
amounts = st.lists(st.integers(0, 1 << 50), min_size=14, max_size=14).map(lambda numbers: Amounts(*numbers))
traffic = st.lists(st.tuples(keys, amounts), max_size=6).map(lambda rows: Traffic.of("counted", rows))

ROWS = [
    (Key("BP", "c1.w", "c1"), Amounts(dram_read=64, useful_read=50, multiply=7, element=1)),
    (Key("FP", "s1", "s1", "bits"), Amounts(dram_write=32, useful_write=4, scratchpad_read=4, gated=9, skipped=3)),
    (Key("FP", "c1.w", "c1"), Amounts(dram_read=64, useful_read=50, scratchpad_write=50, fetch=16)),
    (Key("", "image", ""), Amounts(host_write=784, host_read=4, network=5)),
]


def test_the_json_has_the_promised_shape() -> None:
    shown = Traffic.of("counted", ROWS).to_json()
    by_phase, by_tensor, by_codec = (shown.pop(f"by_{part}") for part in ("phase", "tensor", "codec"))
    assert shown == {
        "dram": {"read": 128, "write": 32, "total": 160, "useful_read": 100, "useful_write": 4},
        "network": 5,
        "scratchpad": {"read": 4, "write": 50, "total": 54},
        "fetch": 16,
        "host": {"read": 4, "write": 784, "total": 788},
        "work": {"gated": 9, "multiply": 7, "element": 1, "skipped": 3},
    }
    assert list(by_phase) == ["FP", "BP", ""]
    assert list(by_tensor) == ["c1.w", "image", "s1"]
    assert list(by_codec) == ["bits", "raw"]
    assert by_phase["FP"]["dram"]["total"] == 96
    assert by_tensor["c1.w"]["dram"]["read"] == 128
    assert all(part.keys() == shown.keys() for part in [*by_phase.values(), *by_tensor.values(), *by_codec.values()])


@settings(max_examples=25, deadline=None)
@given(traffic)
def test_each_breakdown_adds_up_to_the_total(moved: Traffic) -> None:
    for parts in (moved.by_phase(), moved.by_tensor(), moved.by_layer(), moved.by_codec()):
        assert reduce(add, parts.values(), Amounts()) == moved.total


@settings(max_examples=25, deadline=None)
@given(traffic, traffic, traffic)
def test_addition_is_commutative_and_associative_and_order_is_fixed(a: Traffic, b: Traffic, c: Traffic) -> None:
    assert list((a + b).rows.items()) == list((b + a).rows.items())
    assert (a + b) + c == a + (b + c)
    assert a + Traffic.of("counted") == a


@settings(max_examples=25, deadline=None)
@given(traffic, st.integers(1, 9))
def test_scaling_is_repeated_addition_and_division_undoes_it(moved: Traffic, times: int) -> None:
    assert moved * times == reduce(add, [moved] * times)
    assert times * moved / times == moved


def test_a_part_of_what_does_not_divide_is_a_fraction() -> None:
    assert (Traffic.of("counted", [(Key(), Amounts(fetch=3, network=4))]) / 2).total == Amounts(fetch=1.5, network=2)


@settings(max_examples=25, deadline=None)
@given(traffic)
def test_rows_survive_json(moved: Traffic) -> None:
    assert Traffic.from_rows(json.loads(json.dumps(moved.to_rows()))) == moved


@settings(max_examples=25, deadline=None)
@given(st.permutations(ROWS))
def test_the_order_of_counting_does_not_show(rows: list[tuple[Key, Amounts]]) -> None:
    assert json.dumps(Traffic.of("counted", rows).to_json()) == json.dumps(Traffic.of("counted", ROWS).to_json())


def test_counted_and_predicted_are_not_added() -> None:
    with pytest.raises(ValueError, match="counted traffic and predicted traffic cannot be added"):
        _ = Traffic.of("counted") + Traffic.of("predicted")


def test_rows_of_nothing_are_dropped() -> None:
    assert Traffic.of("counted", [(Key("FP"), Amounts())]) == Traffic.of("counted")


@pytest.mark.parametrize(
    "rows",
    [
        {},
        {"basis": "guessed", "rows": []},
        {"basis": "counted"},
        {"basis": "counted", "rows": [["FP", "", "", "", {"x": 1}]]},
    ],
)
def test_what_is_no_traffic_is_refused(rows: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="traffic"):
        Traffic.from_rows(rows)


def test_every_amount_is_shown() -> None:
    ones = Amounts(*[1] * len(fields(Amounts)))

    def leaves(value: object) -> float:
        return sum(map(leaves, cast(dict[str, object], value).values())) if isinstance(value, dict) else 1

    sums = 3  # the totals of dram, scratchpad and host
    assert leaves(ones.to_json()) == len(fields(Amounts)) + sums
