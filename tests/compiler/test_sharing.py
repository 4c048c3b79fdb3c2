"""Stages at work at once: how quick each is, and what is left of the others when one ends."""

from __future__ import annotations

import pytest

from snnc.compiler.cost.duration import Duration
from snnc.compiler.cost.sharing import TURN, Sharing, asked


def lasting(alone: float, channel: float = 0.0, **units: float) -> Duration:
    """A stage of so many cycles alone, its wait at the beginning included."""
    return Duration(alone - TURN, channel, 0.0, units=units)


def test_what_shares_nothing_is_as_quick_as_alone() -> None:
    sharing = Sharing()
    sharing.begin(1, lasting(10_000, fp=10_000))
    sharing.begin(2, lasting(4_000, wg=4_000))
    assert sharing.speed == 2
    assert (sharing.end(), sharing.now) == (2, 4_000)
    assert (sharing.end(), sharing.now) == (1, 10_000)


def test_two_that_need_all_of_a_unit_have_half_of_it_each() -> None:
    """Until the shorter ends, after 8,000 cycles; the longer has 6,000 left then, for itself."""
    sharing = Sharing()
    sharing.begin(1, lasting(10_000, vector=10_000))
    sharing.begin(2, lasting(4_000, vector=4_000))
    assert sharing.speed == pytest.approx(1)
    assert (sharing.end(), sharing.now) == (2, pytest.approx(8_000))
    assert (sharing.end(), sharing.now) == (1, pytest.approx(14_000))


def test_who_asks_for_little_has_all_of_it() -> None:
    """A fifth of the vector unit; the others share four fifths alike, though one asks for less than the other."""
    sharing = Sharing()
    sharing.begin(1, lasting(10_000, fp=10_000, vector=2_000))
    sharing.begin(2, lasting(10_000, vector=10_000))
    assert sharing.speed == pytest.approx(1 + 0.8)
    assert sharing.with_another(asked(lasting(10_000, vector=5_000))) == pytest.approx(1 + 0.4 + 0.4 / 0.5)


def test_a_stage_is_as_slow_as_what_it_has_the_least_of() -> None:
    """Half of the channel, or of the engine, of either of which the first asks for nine tenths."""
    sharing = Sharing()
    sharing.begin(1, lasting(10_000, 9_000, fp=9_000))
    assert sharing.with_another(asked(lasting(10_000, 9_000))) == pytest.approx(2 * 0.5 / 0.9)
    assert sharing.with_another(asked(lasting(10_000, fp=10_000))) == pytest.approx(0.5 / 0.9 + 0.5)


def test_moves_of_a_core_are_its_own_but_for_the_channel() -> None:
    assert set(asked(lasting(10_000, 500, load=9_000, router=800, bp=100))) == {"bp", "channel"}
