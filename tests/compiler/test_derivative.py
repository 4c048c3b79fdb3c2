"""Derivatives of element expressions: against central differences, and what a slope or a detached copy changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from snnc.compiler.ir.derivative import pull_back
from snnc.compiler.ir.expression import Expression, edge, exp, lift, read, where
from snnc.compiler.oracle.elementwise import Evaluator, Moment
from snnc.compiler.oracle.numbers import Numerics

A, B, G = read("a"), read("b"), read("g")
MADE: tuple[Callable[[Expression, Expression], Expression], ...] = (
    lambda a, b: a + b,
    lambda a, b: a - b * a,
    lambda a, b: (b - a) - (a - 2.0),
    lambda a, b: a / b - b / a,
    lambda a, b: -(a * b) * 3.0,
    lambda a, b: where(a >= b, a * b, b),
    lambda a, b: where(b >= a, a * b, 0.0) - edge(a, "f16") * b,
    lambda a, b: (2.0 - a) * (2.0 - a) + b,
)
POINT = {"a": 0.75, "b": -1.25, "g": 1.5, "c": 1.0}


def number(expression: Expression, given: Mapping[str, float]) -> float:
    inputs = {name: np.asarray(value) for name, value in given.items()}
    known = Evaluator(Numerics("f64"), ()).values(expression.walk(), Moment(inputs, {}, {}, {}, {}))
    return float(known[id(expression)])


def slope(expression: Expression, name: str) -> float:
    """A central difference."""
    step = 1e-6
    high, low = (number(expression, POINT | {name: POINT[name] + sign * step}) for sign in (1, -1))
    return (high - low) / (2 * step)


@pytest.mark.parametrize("made", MADE)
def test_a_derivative_is_the_limit_of_differences(made: Callable[[Expression, Expression], Expression]) -> None:
    root = made(A, B)
    for name, found in zip("ab", pull_back([(root, G)], [A, B], {}), strict=True):
        assert found is not None
        assert abs(number(found, POINT) - POINT["g"] * slope(root, name)) < 1e-6


def test_gradients_of_several_roots_add_up_and_a_root_may_be_a_leaf() -> None:
    found = pull_back([(A, G), (A * B, lift(2.0))], [A, B], {})
    assert [None if part is None else number(part, POINT) for part in found] == [1.5 + 2.0 * -1.25, 2.0 * 0.75]


def test_nothing_is_said_of_what_nothing_reaches() -> None:
    assert pull_back([(A + 1.0, G)], [A, B], {})[1] is None
    assert pull_back([(where(A >= B, 1.0, 0.0), G)], [A, B], {}) == [None, None], "a comparison is flat"


def test_a_slope_stands_in_for_a_comparison_and_a_copy_of_it_is_detached() -> None:
    s = A >= B
    slopes = {id(s): (A - B, lift(0.25))}
    reset = where(s, 5.0, A)
    of_a, of_b = pull_back([(reset, G)], [A, B], slopes)
    assert of_a is not None
    assert of_b is not None
    assert number(of_a, POINT) == 0.0 + 1.5 * (5.0 - 0.75) * 0.25
    assert number(of_b, POINT) == -1.5 * (5.0 - 0.75) * 0.25
    of_a, of_b = pull_back([(where(replace(s), 5.0, A), G)], [A, B], slopes)
    assert of_a is not None
    assert (number(of_a, POINT), of_b) == (0.0, None)


def test_nothing_behind_a_leaf_is_looked_at() -> None:
    h = A * B
    (of_h,) = pull_back([(h * h, G)], [h], {})
    assert of_h is not None
    assert number(of_h, POINT) == 1.5 * 2 * 0.75 * -1.25
    assert pull_back([(h * h, G)], [h, A], {})[1] is None


def test_a_function_without_a_rule_is_named() -> None:
    with pytest.raises(AssertionError, match="no rule says the derivative of exp"):
        pull_back([(exp(A), G)], [A], {})
