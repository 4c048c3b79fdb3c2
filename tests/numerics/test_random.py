"""Random numbers: the published words, and numbers that depend on the logical element alone."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pytest

from snnc.numerics import random

# Known-answer vectors of Random123, philox4x32 with 10 rounds: counter, key, result.
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "result"), KNOWN)
def test_philox_gives_the_published_words(counter: str, key: str, result: str) -> None:
    c0, c1, c2, c3 = (np.array([word, word], np.uint32) for word in words(counter))
    k0, k1 = words(key)
    for block, word in zip(random.philox((c0, c1, c2, c3), (k0, k1)), words(result), strict=True):
        assert block.dtype == np.uint32
        assert block.tolist() == [word, word]


def test_uniform_is_the_top_of_the_first_word() -> None:
    assert random.uniform(np.array([0]), 0, 0, 0)[0] == 0x6627E8 * 2.0**-24
    c0, c1 = 0x243F6A88, 0x85A308D3 - 2**31  # a 63-bit element, checked against philox on the same counter
    word = random.philox((c0, c1, 0x13198A2E, 0), (0xA4093822, 0x299F31D0))[0]
    drawn = random.uniform(np.array([(c1 << 32) | c0]), 0xA4093822, 0x299F31D0, 0x13198A2E)
    assert drawn[0] == (int(word) >> 8) * 2.0**-24


@pytest.mark.parametrize("draw", [random.uniform, random.normal])
def test_a_number_depends_on_its_element_and_not_on_the_tile(draw: random.Draw) -> None:
    whole = draw(np.arange(1000).reshape(20, 50), 7, 11, 3)
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(draw(np.arange(999, -1, -1), 7, 11, 3)[::-1], whole.ravel())
    np.testing.assert_array_equal(draw(np.arange(1000).reshape(20, 50)[5:9, 10:20], 7, 11, 3), whole[5:9, 10:20])


@pytest.mark.parametrize("draw", [random.uniform, random.normal])
@pytest.mark.parametrize("other", [(8, 11, 3), (7, 12, 3), (7, 11, 4)])
def test_seed_stream_and_step_each_give_other_numbers(draw: random.Draw, other: tuple[int, int, int]) -> None:
    index = np.arange(100)
    assert np.count_nonzero(draw(index, *other) == draw(index, 7, 11, 3)) < 3


def test_uniform_fills_its_interval_evenly() -> None:
    drawn = random.uniform(np.arange(200_000), 1, 2, 3).astype(np.float64)
    assert drawn.min() >= 0
    assert drawn.max() < 1
    shares = np.histogram(drawn, 50, (0, 1))[0]
    chi_squared = float((((shares - 4000) ** 2) / 4000).sum())
    assert chi_squared < 100  # 49 degrees of freedom: mean 49, deviation 10


def test_normal_has_the_moments_and_tails_of_the_normal() -> None:
    drawn = random.normal(np.arange(200_000), 1, 2, 3).astype(np.float64)
    assert abs(drawn.mean()) < 5 / math.sqrt(200_000)
    assert abs(drawn.var() - 1) < 5 * math.sqrt(2 / 200_000)
    assert abs((np.abs(drawn) < 1).mean() - math.erf(math.sqrt(0.5))) < 0.006
    assert abs((drawn**4).mean() - 3) < 0.15
    assert 4 < np.abs(drawn).max() < 6
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 0.012


def test_normal_is_box_muller_of_the_first_two_words() -> None:
    first, second = words(KNOWN[0][2])[:2]
    expected = math.sqrt(-2 * math.log(((first >> 8) + 1) / 2**24)) * math.cos(2 * math.pi * (second >> 8) / 2**24)
    assert float(random.normal(0, 0, 0, 0)) == pytest.approx(expected, rel=1e-5)


def test_the_stream_of_a_name_is_its_crc() -> None:
    assert random.stream_of("123456789") == 0xCBF43926  # the check value of CRC-32/ISO-HDLC
    assert random.stream_of("c1.w") == zlib.crc32(b"c1.w")


def test_a_choice_is_ascending_differs_from_step_to_step_and_favours_nobody() -> None:
    drawn = [random.choice(3, 8, 5, step).tolist() for step in range(400)]
    assert all(sorted(set(each)) == each and len(each) == 3 for each in drawn)
    counts = np.bincount(np.concatenate(drawn), minlength=8)
    assert counts.min() > 110 and counts.max() < 190, "150 are to be expected"
    assert drawn[0] == random.choice(3, 8, 5, 0).tolist() and len({tuple(each) for each in drawn}) > 40
    assert random.choice(8, 8, 5, 0).tolist() == list(range(8))


def test_a_permutation_holds_every_number_once_and_changes_with_seed_and_epoch() -> None:
    orders = [random.permutation(500, seed, epoch) for seed, epoch in ((1, 0), (1, 1), (2, 0))]
    for order in orders:
        assert order.dtype == np.int64
        np.testing.assert_array_equal(np.sort(order), np.arange(500))
    assert np.count_nonzero(orders[0] == orders[1]) < 20
    assert np.count_nonzero(orders[0] == orders[2]) < 20
    np.testing.assert_array_equal(orders[0], random.permutation(500, 1, 0))
    assert random.permutation(0, 1, 1).shape == (0,)


@pytest.mark.parametrize("wrong", [(-1, 0, 0), (0, 2**32, 0), (0, 0, -1)])
def test_a_key_that_does_not_fit_is_refused(wrong: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="not in 0"):
        random.uniform(np.arange(3), *wrong)
