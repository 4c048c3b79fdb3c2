"""Index notation: what a line means, and that exchanging roles keeps the same products."""

from __future__ import annotations

import pytest

from snnc.compiler.ir.notation import parse, substitute
from snnc.compiler.ir.statement import Index, loop

CONVOLUTION = "y[g*O + o, p] += x[g*C + c, p*stride + r*dilation - pad] * w[g*O + o, c, r] + b[g*O + o]"
CONSTANTS = {"O": 3, "C": 2, "stride": 2, "dilation": 4, "pad": 1}


def test_a_line_becomes_indices_with_its_constants_filled_in() -> None:
    equation = parse(CONVOLUTION, CONSTANTS)
    assert str(equation) == "y[3*g+o, p] += x[2*g+c, 2*p+4*r-1] * w[3*g+o, c, r] + b[3*g+o]"
    assert equation.loops == ("g", "o", "p", "c", "r")
    assert equation.summed == ("c", "r")


def test_a_constant_of_zero_removes_its_loop() -> None:
    assert str(parse(CONVOLUTION, CONSTANTS | {"g": 0})).startswith("y[o, p] += x[c, 2*p+4*r-1] * w[o, c, r]")


def test_gradients_exchange_roles() -> None:
    equation = parse("y[o, p] += x[c, p + r] * w[o, c, r] + b[o]")
    assert str(equation.gradient("x")) == "x[c, p+r] += y[o, p] * w[o, c, r]"
    assert str(equation.gradient("w")) == "w[o, c, r] += x[c, p+r] * y[o, p]"
    assert str(equation.gradient("b")) == "b[o] += y[o, p]"
    assert equation.gradient("x").summed == ("o",)
    with pytest.raises(KeyError):
        equation.gradient("z")


def test_extents_are_those_of_factors_that_a_loop_walks_alone() -> None:
    equation = parse(CONVOLUTION, CONSTANTS)
    shapes = {"y": (6, 5), "x": (4, 14), "w": (6, 2, 3)}
    assert equation.extents(shapes, {"g": 2, "o": 3}) == {"g": 2, "o": 3, "p": 5, "c": 2, "r": 3}


def test_loops_are_replaced_all_at_once() -> None:
    index = Index((("p", 2), ("r", 3)), 1)
    swapped = substitute(index, {"p": loop("r", 1, 5), "r": loop("p")})
    assert swapped.coefficient("r") == 2
    assert swapped.coefficient("p") == 3
    assert swapped.offset == 11
    assert substitute(index, {"p": loop("r", -3), "r": loop("r", 2)}) == Index((), 1)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("y[o] = x[o]", "no '\\+=' in"),
        ("y[o] += x[o] * w[o] * v[o]", "one or two factors are multiplied, not 3"),
        ("y[o] += x[o] + b[o] + c[o]", "only one bias can be added"),
        ("y[o] += x(o)", "expected NAME\\[index, ...\\], found 'x\\(o\\)'"),
        ("y[o] += x[o*p]", "two loops are multiplied: 'o\\*p'"),
        ("y[o] += x[o/2]", "not an affine index: 'o/2'"),
    ],
)
def test_what_is_no_sum_of_products_is_refused(line: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(line)
