"""Elementary functions: within one ulp of the true value, which the host's float64 library gives to 2^-50."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from snnc.numerics import elementary

PI = Fraction("3.1415926535897932384626433832795028841971693993751058209749445923078164062862089986280348253421170679")
EXTREMES = [0.0, -0.0, 1e-45, -1e-45, 1.1754944e-38, 3.4028235e38, -3.4028235e38, 88.72284, 88.72283, -87.3365, -103.97]


def points(low: float, high: float, seed: int) -> NDArray[np.float32]:
    """f32 arguments: spread evenly, spread over all exponents, around 1, and the extremes."""
    draw = np.random.default_rng(seed)
    even = draw.uniform(low, high, 15_000)
    bits = draw.integers(0, 0x7F800000, 15_000).astype(np.uint32).view(np.float32)
    near_one = (np.arange(-500, 500) + 0x3F800000).astype(np.uint32).view(np.float32)
    return np.concatenate([even, bits, -bits, near_one, -near_one, EXTREMES]).astype(np.float32)


def ulps_apart(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.int64]:
    """How many f32 numbers lie from a to b; zeros of both signs are one."""

    def rank(x: NDArray[np.float32]) -> NDArray[np.int64]:
        bits = x.view(np.int32).astype(np.int64)
        return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)

    return np.abs(rank(a) - rank(b))


def cos_of_huge(x: float) -> float:
    """Cosine by exact reduction with a hundred digits of pi."""
    quarters = round(Fraction(x) / (PI / 2))
    rest = float(Fraction(x) - quarters * PI / 2)
    return (math.cos(rest), -math.sin(rest), -math.cos(rest), math.sin(rest))[quarters % 4]


def check(name: str, x: NDArray[np.float32], truth: Callable[[float], float]) -> None:
    expected = np.array([truth(float(value)) for value in x])
    with np.errstate(over="ignore"):
        rounded = expected.astype(np.float32)
    result = elementary.FUNCTIONS[name](x)
    assert result.dtype == np.float32
    apart = ulps_apart(result, rounded)
    assert apart.max() <= 1, x[apart.argmax()]
    assert np.count_nonzero(apart) <= 1  # in fact nearly always the correctly rounded one


def test_exp_is_within_an_ulp() -> None:
    check("exp", points(-110, 95, 1), lambda x: math.exp(x) if x < 700 else math.inf)


def test_log_is_within_an_ulp() -> None:
    x = np.abs(points(0, 10, 2))
    check("log", x[x > 0], math.log)


def test_tanh_is_within_an_ulp() -> None:
    check("tanh", points(-10, 10, 3), math.tanh)


def test_cos_is_within_an_ulp_up_to_ten_thousand() -> None:
    x = points(-10_000, 10_000, 4)
    halves = ((np.arange(-6000, 6000) + 0.5) * math.pi).astype(np.float32)  # close to its zeros
    x = np.concatenate([x[np.abs(x) <= 1e4], halves])
    check("cos", x, math.cos)


def test_cos_is_within_an_ulp_of_huge_arguments_too() -> None:
    x = points(-1e7, 1e7, 5)[::97]
    check("cos", x, cos_of_huge)


def test_sqrt_is_correctly_rounded() -> None:
    x = np.abs(points(0, 100, 6))
    np.testing.assert_array_equal(elementary.sqrt(x), np.array([math.sqrt(float(v)) for v in x]).astype(np.float32))


@pytest.mark.parametrize(
    ("name", "argument", "bits"),
    [
        ("exp", np.inf, 0x7F800000),
        ("exp", -np.inf, 0),
        ("exp", 0.0, 0x3F800000),
        ("log", 0.0, 0xFF800000),
        ("log", -0.0, 0xFF800000),
        ("log", np.inf, 0x7F800000),
        ("log", 1.0, 0),
        ("log", -1.0, 0x7FC00000),
        ("log", -1e-45, 0x7FC00000),
        ("log", -np.inf, 0x7FC00000),
        ("tanh", np.inf, 0x3F800000),
        ("tanh", -np.inf, 0xBF800000),
        ("tanh", -0.0, 0x80000000),
        ("cos", 0.0, 0x3F800000),
        ("cos", np.inf, 0x7FC00000),
        ("cos", -np.inf, 0x7FC00000),
        ("sqrt", -1.0, 0x7FC00000),
        ("sqrt", -0.0, 0x80000000),
        ("sqrt", np.inf, 0x7F800000),
    ],
)
def test_the_edges_have_their_values(name: str, argument: float, bits: int) -> None:
    result = elementary.FUNCTIONS[name](np.array([argument], np.float32))
    assert hex(int(result.view(np.uint32)[0])) == hex(bits)


@pytest.mark.parametrize("name", sorted(elementary.FUNCTIONS))
@pytest.mark.parametrize("nan", [0x7F800001, 0xFFC01234])
def test_nan_stays_nan_and_becomes_canonical(name: str, nan: int) -> None:
    result = elementary.FUNCTIONS[name](np.array([nan], np.uint32).view(np.float32))
    assert int(result.view(np.uint32)[0]) == 0x7FC00000


@pytest.mark.parametrize("name", sorted(elementary.FUNCTIONS))
def test_an_element_does_not_depend_on_its_neighbours(name: str) -> None:
    x = points(-20, 20, 7)[::331]
    function = elementary.FUNCTIONS[name]
    alone = np.array([function(value) for value in x], np.float32)
    np.testing.assert_array_equal(alone.view(np.uint32), function(x).view(np.uint32))
