"""Formulas: what they are worth, what is computed from numbers alone, and what is told of wrong ones."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from snnc.compiler.evaluate import Numerics, evaluate_statements
from snnc.compiler.ir.expression import Expression, read
from snnc.compiler.ir.formula import FormulaFault, formula, names_in
from snnc.compiler.ir.statement import Access, Elementwise, Write, loop
from snnc.compiler.ir.types import Type

POINTS = [-2.25, -1.0, -0.125, 0.0, 0.375, 1.0, 3.5]


def worth(text: str, **numbers: float) -> list[float]:
    """The formula at `POINTS`, in float64."""
    at = Access("x", (loop("c"),))
    write = Write(Access("y", (loop("c"),)), formula(text, {"x": read("x"), **numbers}))
    types = {"x": Type.of("f32", len(POINTS)), "y": Type.of("f32", len(POINTS))}
    statement = Elementwise((("c", len(POINTS)),), 0, {"x": at}, (), (write,))
    return evaluate_statements([statement], {"x": np.array(POINTS)}, types, Numerics("f64"), {}, (1, 1))["y"].tolist()


MEANINGS: dict[str, Callable[[float], float]] = {
    "1 - x - 2": lambda x: 1 - x - 2,
    "8 / 2 / (x * x + 1)": lambda x: 4 / (x * x + 1),
    "1 + 2 * x ^ 2": lambda x: 1 + 2 * x**2,
    "-x^2": lambda x: -(x**2),
    "--x": lambda x: x,
    "(x + 5)^-2": lambda x: (x + 5) ** -2,
    "(x + 5)^2^3": lambda x: (x + 5) ** 8,
    "(x + 5)^0": lambda x: 1.0,
    "(x + 5)^1.5": lambda x: (x + 5) ** 1.5,
    "(x + 5)^(a - 1)": lambda x: (x + 5) ** 2,
    "x >= 0": lambda x: float(x >= 0),
    "(x > 0) + (x < 0) * 2 + (x <= -1) * 4 + (x == 1) * 8 + (x != 1) * 16": lambda x: (
        (x > 0) + (x < 0) * 2 + (x <= -1) * 4 + (x == 1) * 8 + (x != 1) * 16
    ),
    "not x > 0 and x > -1 or x == 1": lambda x: float((not x > 0 and x > -1) or x == 1),
    "where(abs(x) < 1, a, max(x, min(-x, -2)))": lambda x: 3.0 if abs(x) < 1 else max(x, min(-x, -2)),
    "exp(x) + tanh(x) + cos(x) + sqrt(abs(x)) + floor(x) + log(x + 5)": lambda x: (
        math.exp(x) + math.tanh(x) + math.cos(x) + math.sqrt(abs(x)) + math.floor(x) + math.log(x + 5)
    ),
    "y = x + 1; z = y * y; z - y": lambda x: (x + 1) ** 2 - (x + 1),
    "sum(i, 1, a, i * cos(i * x))": lambda x: sum(i * math.cos(i * x) for i in (1, 2, 3)),
    "sum(i, 0, 1, sum(j, 0, i, i + j + x))": lambda x: (0 + x) + (1 + x) + (2 + x),
    "2.5e-1 * pi + .5 + 1. + x": lambda x: 0.25 * math.pi + 1.5 + x,
}


@pytest.mark.parametrize("text", MEANINGS)
def test_a_formula_is_worth_what_it_says(text: str) -> None:
    np.testing.assert_allclose(worth(text, a=3.0), list(map(MEANINGS[text], POINTS)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("(1 + 2) * 3 - 4 / 2", 7.0),
        ("2^-2 + 9^0.5", 3.25),
        ("max(1, 2) + min(1, 2) + abs(-3) + floor(-0.5)", 5.0),
        ("where(1 < 2 and not 0, 5, 6) + (1 == 1) + (2 >= 3 or 1 != 1)", 6.0),
        ("exp(0) + log(1) + tanh(0) + cos(0) + sqrt(4)", 4.0),
        ("1 / sqrt(pi)", 1 / math.sqrt(math.pi)),
    ],
)
def test_numbers_alone_are_computed_while_reading(text: str, value: float) -> None:
    found = formula(text, {})
    assert found.op == "constant"
    assert math.isclose(found.value, value, rel_tol=1e-15)


def test_a_value_that_stands_twice_is_computed_once() -> None:
    square: Expression = formula("(x + 1)^2", {"x": read("x")})
    assert square.op == "mul"
    assert square.args[0] is square.args[1]


def test_uniform_is_the_number_of_the_element_wherever_it_stands() -> None:
    drawn = formula("uniform() - uniform()", {}, "s.h")
    assert drawn.args[0] is drawn.args[1]
    assert (drawn.args[0].op, drawn.args[0].name) == ("uniform", "s.h")


def test_names_are_those_of_values_and_functions() -> None:
    assert names_in("y = a * x; where(y < 2.5e1, b, 0)") == {"y", "a", "x", "where", "b"}


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("", 0, "expected a value, and the formula ends here"),
        ("1 +", 3, "expected a value, and the formula ends here"),
        ("1 + )", 4, "expected a value, not ')'"),
        ("(x + 1", 6, "expected ')', and the formula ends here"),
        ("max(x 3)", 6, "expected ',' or ')'"),
        ("x y", 2, "expected an operator or the end, not 'y'"),
        ("x; 1", 1, "expected an operator or the end, not ';'"),
        ("x = 1; x", 0, "x has a meaning already"),
        ("abs = 1; x", 0, "abs has a meaning already"),
        ("y = 1", 5, "expected ';', and the formula ends here"),
        ("x $ 2", 2, "the character '$' has no meaning in a formula"),
        ("x ** 2", 2, "a power is written a ^ b"),
        ("2 ^ x", 2, "a power is a number; write exp(b * log(a))"),
        ("-1 < x < 1", 7, "comparisons do not chain; write a < b and b < c"),
        ("1 + bas(x)", 4, "no function is called 'bas'; did you mean abs?"),
        ("1 + alpa", 4, "no value is called 'alpa'; did you mean alpha?"),
        ("abs", 0, "abs is a function: abs(...)"),
        ("x(3)", 0, "x is no function"),
        ("and x", 0, "expected a value, not 'and'"),
        ("where(x, 1)", 0, "where takes 3 values, not 2"),
        ("uniform(x)", 0, "uniform takes 0 values, not 1"),
        ("1 / (2 - 2)", 2, "division by zero"),
        ("x / 0", 2, "division by zero"),
        ("0^-1", 1, "division by zero"),
        ("log(0 - 1)", 0, "log of -1 is no number"),
        ("sqrt(-2)", 0, "sqrt of -2 is no number"),
        ("exp(1000) * x", 0, "the number is too large"),
        ("1e39 * x", 0, "the number is too large"),
        ("1e30 * 1e30 * x", 5, "the number is too large"),
        ("sum(i, 1, x, i)", 0, "a sum counts from one whole number up to another"),
        ("sum(i, 2, 1, i)", 0, "a sum counts from one whole number up to another, at most 128 of them"),
        ("sum(x, 1, 2, x)", 4, "x has a meaning already"),
        ("sum(1, 1, 2, x)", 4, "expected a name"),
        ("sum(i, 1, 100, x^2 * i)", 16, "the formula has more than 128 operations"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, offset: int, message: str) -> None:
    with pytest.raises(FormulaFault) as caught:
        formula(text, {"x": read("x"), "alpha": 2.0})
    assert (caught.value.message, caught.value.offset) == (message, offset)
