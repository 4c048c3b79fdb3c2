"""The oracle's arithmetic, statement by statement, against plain loops over fractions and single numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from snnc.compiler import evaluate
from snnc.compiler.evaluate import Difference, Numerics, Record, evaluate_statements, first_difference
from snnc.compiler.ir.expression import (
    argument,
    edge,
    exp,
    index,
    log,
    maximum,
    minimum,
    read,
    sqrt,
    state,
    unary,
    uniform,
    where,
)
from snnc.compiler.ir.statement import Access, Contraction, Elementwise, Index, State, Statement, Window, Write, loop
from snnc.compiler.ir.types import Type
from snnc.compiler.oracle import contraction
from snnc.compiler.oracle.layout import from_memory, to_memory
from snnc.numerics import random as draws
from snnc.source import Place

Array = NDArray[Any]
INF, NAN = math.inf, math.nan
EXACT = Numerics("exact")
WIDE = [0.0, 1.0, -1.5, 0.333251953125, 2.0**-24, -3 * 2.0**-24, 65504.0, -65504.0, 2.0**-14]
ODD = [*WIDE, INF, -INF, NAN, -0.0]


def run(
    statements: list[Statement],
    values: Mapping[str, Array],
    types: Mapping[str, Type],
    numerics: Numerics = EXACT,
    arguments: Mapping[str, float] | None = None,
    extents: tuple[int, int] = (1, 1),
) -> dict[str, Array]:
    return evaluate_statements(statements, values, types, numerics, arguments or {}, extents)


def to_f16(exact: Fraction | float) -> float:
    """The nearest f16, ties to even, by the definition of the grid."""
    if isinstance(exact, float):
        return exact
    magnitude = abs(exact)
    exponent = -14
    while magnitude >= Fraction(2) ** (exponent + 1):
        exponent += 1
    unit = Fraction(2) ** (exponent - 10)
    count = magnitude / unit
    whole = count.numerator // count.denominator
    rest = count - whole
    whole += rest > Fraction(1, 2) or (rest == Fraction(1, 2) and whole % 2 == 1)
    rounded = whole * unit
    number = INF if rounded > 65504 else float(rounded)
    return -number if exact < 0 else number


def total_of(terms: list[tuple[float, float]]) -> Fraction | float:
    """The exact sum of products: a fraction, or inf, -inf, NaN; a zero left factor counts for nothing."""
    total, odd = Fraction(0), 0.0
    for left, right in terms:
        if left != 0 and math.isfinite(left) and math.isfinite(right):
            total += Fraction(left) * Fraction(right)
        elif left != 0:
            odd += left * right
    return odd if odd != 0 or math.isnan(odd) else total


def same(found: ArrayLike, expected: ArrayLike) -> bool:
    """Whether all are the same numbers, signs of zeros included."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    return found.shape == expected.shape and found.tobytes() == np.where(np.isnan(expected), np.nan, expected).tobytes()


# Convolutions, written out by hand.


@dataclass(frozen=True)
class Conv:
    """One axis of space is enough for stride, padding and dilation; the other checks that two do not meet."""

    samples: int = 1
    groups: int = 1
    inputs: int = 1
    outputs: int = 1
    rows: int = 3
    columns: int = 2
    kernel: int = 2
    stride: int = 1
    pad: int = 0
    dilation: int = 1
    scale: float = 1.0

    @property
    def out_rows(self) -> int:
        return (self.rows + 2 * self.pad - self.dilation * (self.kernel - 1) - 1) // self.stride + 1

    @property
    def types(self) -> dict[str, Type]:
        wide = self.groups * self.outputs
        return {
            "x": Type.of("f16", self.groups * self.inputs, self.rows, self.columns, batched=True),
            "w": Type.of("f16", wide, self.inputs, self.kernel, 1, weight=True),
            "b": Type.of("f16", wide),
            "y": Type.of("f16", wide, self.out_rows, self.columns, batched=True),
            "dw": Type.of("f32", wide, self.inputs, self.kernel, 1, weight=True),
            "dx": Type.of("f16", self.groups * self.inputs, self.rows, self.columns, batched=True),
        }

    @property
    def loops(self) -> dict[str, int]:
        return {
            "n": self.samples,
            "p": self.out_rows,
            "q": self.columns,
            "g": self.groups,
            "o": self.outputs,
            "r": self.kernel,
            "c": self.inputs,
        }

    def access(self, value: str) -> Access:
        out = Index((("g", self.outputs), ("o", 1)))
        taken = Index((("p", self.stride), ("r", self.dilation)), -self.pad)
        match value:
            case "x":
                return Access("x", (loop("n"), taken, loop("q"), Index((("g", self.inputs), ("c", 1)))))
            case "w" | "dw":
                return Access(value, (loop("r"), Index(), loop("c"), out))
            case "b":
                return Access("b", (out,))
            case _:
                return Access("y", (loop("n"), loop("p"), loop("q"), out))

    def nest(self, *names: str) -> tuple[tuple[str, int], ...]:
        return tuple((name, self.loops[name]) for name in names)

    def forward(self) -> Contraction:
        loops = self.nest("n", "p", "q", "g", "o", "c", "r")
        x, w, b, y = (self.access(name) for name in ("x", "w", "b", "y"))
        return Contraction("fp", loops, y, x, w, ("r", "c"), "c", self.scale, b)

    def weight_gradient(self) -> Contraction:
        loops = self.nest("g", "o", "c", "r", "n", "p", "q")
        x, dw, y = (self.access(name) for name in ("x", "dw", "y"))
        return Contraction("wg", loops, dw, x, y, ("n", "p", "q"), None, self.scale)

    def input_gradient(self) -> Iterator[Contraction]:
        """One statement a residue class of rows: row ``stride * k + rho`` meets the taps that fall onto it."""
        for rho in range(min(self.stride, self.rows)):
            taps = [r for r in range(self.kernel) if (rho + self.pad - self.dilation * r) % self.stride == 0]
            first, step = (taps[0], taps[1] - taps[0]) if len(taps) > 1 else (taps[0] if taps else 0, 1)
            turns = -(-(self.rows - rho) // self.stride)
            begin = (rho + self.pad - self.dilation * first) // self.stride
            row = Index((("k", 1), ("j", -(self.dilation * step) // self.stride)), begin)
            out = Index((("g", self.outputs), ("o", 1)))
            channel = Index((("g", self.inputs), ("c", 1)))
            yield Contraction(
                "bp",
                (("n", self.samples), ("k", turns), *self.nest("q", "g", "c", "o"), ("j", len(taps))),
                Access("dx", (loop("n"), loop("k", self.stride, rho), loop("q"), channel)),
                Access("y", (loop("n"), row, loop("q"), out)),
                Access("w", (loop("j", step, first), Index(), loop("c"), out)),
                ("j", "o"),
                "o",
                self.scale,
            )

    def every(self) -> Iterator[tuple[dict[str, int], tuple[int, ...] | None, tuple[int, ...], tuple[int, ...]]]:
        """(loops, place of x in memory or None for padding, of w, of y) for each multiplication of the convolution."""
        names = tuple(self.loops)
        for turn in product(*(range(extent) for extent in self.loops.values())):
            at = dict(zip(names, turn, strict=True))
            row = at["p"] * self.stride + at["r"] * self.dilation - self.pad
            out = at["g"] * self.outputs + at["o"]
            x = (at["n"], row, at["q"], at["g"] * self.inputs + at["c"]) if 0 <= row < self.rows else None
            yield at, x, (at["r"], 0, at["c"], out), (at["n"], at["p"], at["q"], out)


@st.composite
def convolutions(draw: st.DrawFn) -> Conv:
    small = st.integers(1, 3)
    conv = Conv(
        *(draw(st.integers(1, 2)) for _ in range(2)),
        *(draw(small) for _ in range(2)),
        rows=draw(st.integers(2, 6)),
        kernel=draw(small),
        stride=draw(small),
        pad=draw(st.integers(0, 2)),
        dilation=draw(st.integers(1, 2)),
        scale=draw(st.sampled_from([1.0, 0.25, float(np.float32(1 / 9))])),
    )
    return conv if conv.out_rows > 0 else replace(conv, kernel=1)


def filled(conv: Conv, seed: int, kinds: list[float], *names: str) -> dict[str, Array]:
    """Random values in memory order: some from *kinds*, others ordinary."""
    rng = np.random.default_rng(seed)
    values: dict[str, Array] = {}
    for name in names:
        type = conv.types[name]
        shape = ((conv.samples,) if type.batched else ()) + type.memory
        plain = rng.standard_normal(shape).astype(np.float16).astype(np.float32)
        strange = rng.choice(np.array(kinds, np.float32), shape)
        values[name] = np.where(rng.random(shape) < 0.3, strange, plain)
    return values


def enumerated(conv: Conv, values: Mapping[str, Array], target: str) -> dict[tuple[int, ...], Fraction | float]:
    """The exact sums behind the elements of y, dw or dx, one multiplication after the other."""
    terms: dict[tuple[int, ...], list[tuple[float, float]]] = {}
    for _, x, w, y in conv.every():
        place = {"y": y, "dw": w, "dx": x}[target]
        if place is None:
            continue
        known = terms.setdefault(place, [])
        if x is not None:
            pair = {"y": ("x", "w"), "dw": ("x", "y"), "dx": ("y", "w")}[target]
            where_ = {"x": x, "w": w, "y": y}
            known.append((float(values[pair[0]][where_[pair[0]]]), float(values[pair[1]][where_[pair[1]]])))
    return {place: total_of(pairs) for place, pairs in terms.items()}


@settings(max_examples=60, deadline=None)
@given(convolutions(), st.integers(0, 2**32 - 1), st.sampled_from([WIDE, ODD]))
def test_a_convolution_is_the_rounded_sum_of_its_fractions(conv: Conv, seed: int, kinds: list[float]) -> None:
    values = filled(conv, seed, kinds, "x", "w", "b")
    made = run([conv.forward()], values, conv.types, extents=(1, conv.samples))["y"]
    for place, total in enumerated(conv, values, "y").items():
        bias = float(values["b"][place[-1]])
        if isinstance(total, float) or not math.isfinite(bias):
            expected: Fraction | float = float(total) * conv.scale + bias
        else:
            expected = total * Fraction(conv.scale) + Fraction(bias)
        assert same(made[place], np.float64(to_f16(expected)))


@settings(max_examples=40, deadline=None)
@given(convolutions(), st.integers(0, 2**32 - 1), st.sampled_from([WIDE, ODD]))
def test_both_gradients_are_the_enumerated_sums(conv: Conv, seed: int, kinds: list[float]) -> None:
    values = filled(conv, seed, kinds, "x", "w", "y")
    statements: list[Statement] = [conv.weight_gradient(), *conv.input_gradient()]
    made = run(statements, values, conv.types, extents=(1, conv.samples))
    for place, total in enumerated(conv, values, "dw").items():
        expected = total * conv.scale if isinstance(total, float) else np.float64(total * Fraction(conv.scale))
        with np.errstate(over="ignore"):
            assert same(made["dw"][place], np.float64(np.float32(expected)))
    dx = enumerated(conv, values, "dx")
    for place in np.ndindex(*made["dx"].shape):
        total = dx.get(place, Fraction(0))
        expected = total * conv.scale if isinstance(total, float) else total * Fraction(conv.scale)
        assert same(made["dx"][place], np.float64(to_f16(expected)))


def test_a_sum_beyond_float64_is_still_exact() -> None:
    """Terms of 2^32 beside one of 2^-48: the absolute sum passes 2^53 units, and limbs take over."""
    count = 200
    left = np.full((1, count), 65504.0, np.float32)
    right = np.where(np.arange(count) % 2, 65504.0, -65504.0).astype(np.float32)[:, None]
    left[0, 0], right[0, 0], right[1, 0] = 2.0**-24, 2.0**-24, 0.0
    types = {"l": Type.of("f16", 1, count), "r": Type.of("f16", count, 1), "y": Type.of("f32", 1, 1)}
    loops = (("m", 1), ("k", count), ("o", 1))
    product_ = Contraction(
        "bp", loops, Access("y", (loop("m"), loop("o"))), Access("l", (loop("m"), loop("k"))),
        Access("r", (loop("k"), loop("o"))), ("k",),
    )  # fmt: skip
    assert float(run([product_], {"l": left, "r": right}, types)["y"][0, 0]) == 2.0**-48


@pytest.mark.parametrize("numerics", ["exact", "f64"])
def test_large_operands_are_cut_into_pieces_that_change_nothing(
    numerics: evaluate.Accumulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    conv = Conv(samples=2, groups=2, inputs=3, outputs=2, rows=6, kernel=3, stride=2, pad=1)
    values = filled(conv, 7, [1.0], "x", "w", "b", "y")
    statements: list[Statement] = [conv.forward() if numerics == "f64" else conv.weight_gradient()]
    whole = run(statements, values, conv.types, Numerics(numerics), extents=(1, 2))
    monkeypatch.setattr(contraction, "_MOST", 8)
    cut = run(statements, values, conv.types, Numerics(numerics), extents=(1, 2))
    for name in whole:
        np.testing.assert_allclose(cut[name], whole[name], rtol=1e-14 if numerics == "f64" else 0)


@pytest.mark.parametrize("numerics", ["f32", "f16"])
@pytest.mark.parametrize("facet", ["y", "dw"])
def test_rounding_accumulators_add_in_canonical_order(numerics: evaluate.Accumulators, facet: str) -> None:
    conv = Conv(samples=2, inputs=130, outputs=2, rows=3, columns=1, kernel=2, pad=1, scale=0.25)
    values = filled(conv, 11, [0.0, 30.0], "x", "w", "b", "y")
    values["x"][0, :, 0, :4] = 0.0
    kind = np.float32 if numerics == "f32" else np.float16
    statement = conv.forward() if facet == "y" else conv.weight_gradient()
    made = run([statement], values, conv.types, Numerics(numerics), extents=(1, 2))[facet]
    expected = np.zeros(made.shape, np.float32)
    with np.errstate(all="ignore"):
        if facet == "y":
            for n, p, o in np.ndindex(2, conv.out_rows, 2):
                acc = kind(0)
                for block in range(0, 130, 64):
                    for r in range(2):
                        for c in range(block, min(block + 64, 130)):
                            row = p + r - 1
                            left = values["x"][n, row, 0, c] if 0 <= row < 3 else np.float32(0)
                            if left != 0:
                                acc = kind(np.float64(acc) + np.float64(left * values["w"][r, 0, c, o]))
                result = np.float32(acc) * np.float32(0.25) + values["b"][o]
                expected[n, p, 0, o] = np.float16(result)
        else:
            for r, c, o in np.ndindex(2, 130, 2):
                acc = kind(0)
                for n, p in np.ndindex(2, conv.out_rows):
                    row = p + r - 1
                    left = values["x"][n, row, 0, c] if 0 <= row < 3 else np.float32(0)
                    if left != 0:
                        acc = kind(np.float64(acc) + np.float64(left * values["y"][n, p, 0, o]))
                expected[r, 0, c, o] = np.float32(acc) * np.float32(0.25)
    assert same(made, expected)
    exact = run([statement], values, conv.types, EXACT, extents=(1, 2))[facet]
    assert same(made, exact) == (facet == "y" and numerics == "f32"), "only there does the edge hide the order"


@pytest.mark.parametrize("numerics", get_args(evaluate.Accumulators))
def test_a_zero_left_operand_contributes_nothing_even_beside_infinity(numerics: evaluate.Accumulators) -> None:
    types = {"l": Type.of("spike", 3), "r": Type.of("f16", 3), "y": Type.of("f16", 1)}
    at = (loop("k"),)
    statement = Contraction("fp", (("k", 3),), Access("y", (Index(),)), Access("l", at), Access("r", at), ("k",))
    right = np.array([INF, 2.0, NAN], np.float32)
    for left, expected in (([0, 1, 0], 2.0), ([1, 1, 0], INF), ([0, 1, 1], NAN)):
        values = {"l": np.array(left, np.float32), "r": right}
        assert same(run([statement], values, types, Numerics(numerics))["y"], np.array([expected]))


def time_sum(index: Index) -> tuple[Contraction, dict[str, Type]]:
    """y = sum over time of ones * x."""
    types = {"x": Type.of("f16", 1, timed=True), "y": Type.of("f32", 1)}
    return Contraction("wg", (("t", 3),), Access("y", (Index(),)), None, Access("x", (index, Index())), ("t",)), types


@pytest.mark.parametrize(("index", "expected"), [(loop("t"), 0.0), (loop("t", -1, 2), 2.0**-20)])
def test_time_is_summed_in_the_direction_that_the_index_says(index: Index, expected: float) -> None:
    statement, types = time_sum(index)
    values = {"x": np.array([[2.0**-20], [60000.0], [-60000.0]], np.float32)}
    made = run([statement], values, types, Numerics("f32"), extents=(3, 1))["y"]
    assert float(made[0]) == expected


def test_a_summed_loop_of_nothing_leaves_the_bias() -> None:
    types = {"x": Type.of("f16", 2, 3), "b": Type.of("f16", 2), "y": Type.of("f16", 2)}
    ones = Contraction(
        "fp", (("o", 2), ("k", 0)), Access("y", (loop("o"),)), None, Access("x", (loop("k"), loop("o"))), ("k",),
        bias=Access("b", (loop("o"),)),
    )  # fmt: skip
    values = {"x": np.ones((3, 2), np.float32), "b": np.array([1.0, -2.0], np.float32)}
    for numerics in ("exact", "f32", "f16", "f64"):
        assert run([ones], values, types, Numerics(numerics))["y"].tolist() == [1.0, -2.0]


@pytest.mark.parametrize("format", ["bf16", "f32"])
def test_exact_accumulators_refuse_formats_that_they_cannot_hold(format: str) -> None:
    statement, types = time_sum(loop("t"))
    types["x"] = replace(types["x"], format=format)
    with pytest.raises(ValueError, match=f"not {format}; use f32 accumulators"):
        run([statement], {"x": np.ones((3, 1), np.float32)}, types, extents=(3, 1))


def test_numerics_are_known_by_name() -> None:
    with pytest.raises(ValueError, match="accumulators are exact, f32, f16, f64, not 'f8'"):
        Numerics("f8")  # type: ignore[arg-type]


@settings(max_examples=30, deadline=None)
@given(convolutions(), st.integers(0, 2**32 - 1))
def test_the_mathematical_mode_rounds_nothing(conv: Conv, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = {name: rng.standard_normal(array.shape) for name, array in filled(conv, 0, [1.0], "x", "w", "b").items()}
    made = run([conv.forward()], values, conv.types, Numerics("f64"), extents=(1, conv.samples))["y"]
    for place, total in enumerated(conv, values, "y").items():
        expected = float(total * Fraction(conv.scale) + Fraction(float(values["b"][place[-1]])))
        assert math.isclose(made[place], expected, rel_tol=1e-12, abs_tol=1e-12)


# Elements.

LINE = Type.of("f16", 3, timed=True, batched=True)


def lif(decay: float, backwards: bool = False) -> tuple[Elementwise, dict[str, Type]]:
    """h = decay * v + x; s = h >= 1; v = h - s, kept in f16, and its sum over time in f32."""
    time = loop("t", -1, 3) if backwards else loop("t")
    at = (time, loop("n"), loop("c"))
    h = edge(state("v") * decay + read("x"), "f16")
    s = h >= 1.0
    total = state("sum") + h
    statement = Elementwise(
        (("n", 2), ("c", 3)),
        4,
        {"x": Access("x", at)},
        (State("v", "f16", 0.5, h - s), State("sum", "f32", 0.0, total)),
        (
            Write(Access("s", at), s),
            Write(Access("h", at), h),
            Write(Access("sum", (loop("n"), loop("c"))), total, last=True),
        ),
    )
    types = {
        "x": LINE,
        "h": LINE,
        "s": replace(LINE, format="spike"),
        "sum": Type.of("f32", 3, batched=True),
    }
    return statement, types


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("mathematical", [False, True])
def test_states_are_carried_in_their_format(backwards: bool, mathematical: bool) -> None:
    statement, types = lif(0.3, backwards)
    x = np.random.default_rng(3).standard_normal((4, 2, 3)).astype(np.float16)
    numerics = Numerics("f64") if mathematical else EXACT
    made = run([statement], {"x": x.astype(numerics.lane)}, types, numerics, extents=(4, 2))
    single, half = (np.float64, np.float64) if mathematical else (np.float32, np.float16)
    fired: set[float] = set()
    for n, c in np.ndindex(2, 3):
        v, total = half(0.5), single(0)
        for step in range(4):
            t = 3 - step if backwards else step
            h = half(single(single(single(v) * single(0.3)) + single(x[t, n, c])))
            s = 1.0 if h >= 1 else 0.0
            v = half(single(h) - single(s))
            total = single(total + single(h))
            fired.add(s)
            assert (made["h"][t, n, c], made["s"][t, n, c]) == (h, s)
        assert made["sum"][n, c] == total
    assert fired == {0.0, 1.0}


def test_every_operation_is_ieee_single_precision_or_ours() -> None:
    x = np.array([0.7, -2.5, 0.0, 3.5, INF, NAN], np.float32)
    y = np.array([0.3, 1.5, -0.0, 3.5, -INF, 1.0], np.float32)
    a, b = read("x"), read("y")
    f = np.float32
    with np.errstate(all="ignore"):
        cases = {
            "neg": (-a, -x),
            "abs": (abs(a), np.abs(x)),
            "sum": (a + b, x + y),
            "difference": (1.0 - b, f(1) - y),
            "product": (0.1 * a, f(0.1) * x),
            "ratio": (a / b, x / y),
            "root": (sqrt(abs(a)), np.sqrt(np.abs(x))),
            "floor": (unary("floor", a), np.floor(x)),
            "rint": (unary("rint", a), np.rint(x)),
            "least": (minimum(a, b), np.minimum(x, y)),
            "most": (maximum(a, b), np.array([0.7, 1.5, 0.0, 3.5, INF, NAN], f)),
            "chosen": (where(a.equals(b), 2.0, a < b), np.where(x == y, f(2), (x < y).astype(f))),
            "ordered": (
                (a >= b) + (a > b) * 10.0 + (a <= b) * 100.0,
                f(1) * (x >= y) + f(10) * (x > y) + 100 * (x <= y),
            ),
            "power": (exp(a), np.array([2.0137527, 0.082085, 1.0, 33.115452, INF, NAN], f)),
            "logarithm": (log(abs(a)), np.array([-0.35667497, 0.9162907, -INF, 1.2527629, INF, NAN], f)),
        }
    types = {name: Type.of("f32", 6) for name in ("x", "y", *cases)}
    at = (loop("c"),)
    writes = tuple(Write(Access(name, at), expression) for name, (expression, _) in cases.items())
    reads = {"x": Access("x", at), "y": Access("y", at)}
    made = run([Elementwise((("c", 6),), 0, reads, (), writes)], {"x": x, "y": y}, types)
    for name, (_, expected) in cases.items():
        np.testing.assert_array_max_ulp(
            made[name], expected.astype(f), maxulp=1 if name in ("power", "logarithm") else 0
        )


def test_reductions_run_up_the_channels_and_may_leave_one_word_a_sample() -> None:
    x = np.array([[2.0**-24, 1.0, -1.0], [1.0, -1.0, 2.0**-24]], np.float32)
    types = {
        "x": Type.of("f32", 3, batched=True),
        "total": Type.of("f32", batched=True),
        "y": Type.of("f32", 3, batched=True),
    }
    at = (loop("n"), loop("c"))
    total = unary("rsum", read("x"))
    statement = Elementwise(
        (("n", 2), ("c", 3)),
        0,
        {"x": Access("x", at)},
        (),
        (Write(Access("total", (loop("n"), Index())), total), Write(Access("y", at), total + unary("rmax", read("x")))),
    )
    made = run([statement], {"x": x}, types, extents=(1, 2))
    assert made["total"].tolist() == [[0.0], [2.0**-24]], "2^-24 + 1 loses its low bits, in this order"
    assert made["y"].tolist() == [[1.0] * 3, [float(np.float32(1 + 2.0**-24))] * 3]
    exact = run([statement], {"x": x.astype(np.float64)}, types, Numerics("f64"), extents=(1, 2))
    assert exact["total"].tolist() == [[2.0**-24], [2.0**-24]]


def test_random_numbers_belong_to_logical_elements() -> None:
    """The draw of a weight does not depend on how weights lie in memory."""
    types = {"w": Type.of("f32", 3, 2, weight=True)}
    logical = {"w": Index((("o", 2), ("k", 1)))}
    write = Write(Access("w", (loop("k"), loop("o"))), uniform("w"))
    statement = Elementwise((("k", 2), ("o", 3)), 0, {}, (), (write,), logical)
    made = run([statement], {}, types, arguments={"seed": 5, "step": 9})["w"]
    expected = draws.uniform(np.arange(6), 5, draws.stream_of("w"), 9).reshape(3, 2)
    assert same(from_memory(made, types["w"], ()), expected)


def test_a_sweep_downwards_meets_the_random_numbers_of_its_step() -> None:
    types = {"s": Type.of("f32", 2, timed=True)}
    at, key = Access("s", (loop("t", -1, 2), loop("c"))), Index((("t", -2), ("c", 1)), 4)
    count = State("count", "f32", 0.0, state("count") + 1.0)
    for states in ((), (count,)):
        made = run(
            [Elementwise((("c", 2),), 3, {}, states, (Write(at, uniform("s")),), {"s": key})],
            {},
            types,
            arguments={"seed": 5, "step": 9},
            extents=(3, 1),
        )["s"]
        assert same(made, draws.uniform(np.arange(6), 5, draws.stream_of("s"), 9).reshape(3, 2))


def test_arguments_and_positions_are_numbers_too() -> None:
    types = {"y": Type.of("f32", 2, batched=True)}
    at = (loop("n"), loop("c"))
    value = argument("rate") * index("n") + index("c")
    made = run([Elementwise((("n", 3), ("c", 2)), 0, {}, (), (Write(Access("y", at), value),))], {}, types, EXACT,
               {"rate": 0.5}, (1, 3))  # fmt: skip
    assert made["y"].tolist() == [[0.0, 1.0], [0.5, 1.5], [1.0, 2.0]]


def test_what_is_not_written_as_a_whole_is_refused() -> None:
    types = {"y": Type.of("f32", 3)}
    part = Elementwise((("c", 2),), 0, {}, (), (Write(Access("y", (loop("c"),)), index("c")),))
    with pytest.raises(ValueError, match=r"y: element \(2,\) in memory is never written"):
        run([part], {}, types)
    beyond = Elementwise((("c", 4),), 0, {}, (), (Write(Access("y", (loop("c"),)), index("c")),))
    with pytest.raises(ValueError, match=r"y\[c\] writes at 0..3 of an axis of 3"):
        run([beyond], {}, types)


# Windows.


def pooling(kind: str, rows: int, kernel: int, stride: int, pad: int, format: str, scale: float = 1.0) -> Window:
    """Over rows alone; x[n][row][channel]."""
    out = (rows + 2 * pad - kernel) // stride + 1
    row = Index((("p", stride), ("r", 1)), -pad)
    at = (loop("n"), loop("p"), loop("c"))
    return Window(
        kind,
        (("n", 2), ("p", out), ("c", 2), ("r", kernel)),
        ("r",),
        Access("y", at),
        Access("x", (loop("n"), row, loop("c"))),
        Access("tap", at) if kind == "max" else None,
        scale,
    )


def pooled_types(rows: int, out: int, format: str, result: str) -> dict[str, Type]:
    x = Type("f16", ((2,), (rows,)), batched=True)
    y = Type("f16", ((2,), (out,)), batched=True)
    return {
        "x": replace(x, format=format),
        "y": replace(y, format=result),
        "tap": replace(y, format="u4"),
        "dx": x,
        "dy": y,
    }


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 2),
    st.sampled_from(["f16", "spike"]),
    st.integers(0, 2**32 - 1),
)
def test_windows_are_what_plain_loops_make_of_them(kernel: int, stride: int, pad: int, format: str, seed: int) -> None:
    rows = 6
    window = pooling("max", rows, kernel, stride, pad, format)
    out = window.extents["p"]
    rng = np.random.default_rng(seed)
    x = rng.choice(
        np.array([-1.0, 0.5, 0.5, 2.0, NAN, INF] if format == "f16" else [0.0, 1.0], np.float32), (2, rows, 2)
    )
    types = pooled_types(rows, out, format, format)
    made = run([window], {"x": x}, types, extents=(1, 2))
    sums = pooled_types(rows, out, format, "f16")
    total = run([replace(window, kind="sum", tap=None, scale=0.25)], {"x": x}, sums, extents=(1, 2))["y"]
    errors = rng.standard_normal((2, out, 2)).astype(np.float16).astype(np.float32)
    gradient = np.zeros((2, rows, 2), np.float32)
    for n, p, c in np.ndindex(2, out, 2):
        inside = [(r, float(x[n, p * stride + r - pad, c])) for r in range(kernel) if 0 <= p * stride + r - pad < rows]
        best, tap = (0.0, 0)
        if inside:
            odd = [pair for pair in inside if math.isnan(pair[1])]
            tap, best = odd[0] if odd else max(inside, key=lambda pair: (pair[1], -pair[0]))
            if pair_in(tap, p, stride, pad, rows):
                gradient[n, p * stride + tap - pad, c] += errors[n, p, c]
        assert same(made["y"][n, p, c], np.float64(best)) and made["tap"][n, p, c] == tap
        expected = np.float32(0)
        for _, value in inside:
            expected = np.float32(expected + np.float32(value))
        assert same(total[n, p, c], np.float64(np.float16(expected * np.float32(0.25))))
    chosen = chosen_back(rows, kernel, stride, pad, out)
    back = run(chosen, {"dy": errors, "tap": made["tap"]}, types, extents=(1, 2))["dx"]
    np.testing.assert_allclose(back, gradient, rtol=2e-3, atol=2e-3)
    sharp = run(chosen, {"dy": errors.astype(np.float64), "tap": made["tap"]}, types, Numerics("f64"), extents=(1, 2))
    np.testing.assert_allclose(sharp["dx"], gradient, rtol=1e-6, atol=1e-6)


def pair_in(tap: int, p: int, stride: int, pad: int, rows: int) -> bool:
    return 0 <= p * stride + tap - pad < rows


def chosen_back(rows: int, kernel: int, stride: int, pad: int, out: int) -> list[Statement]:
    """dx of row ``stride * k + rho``: windows ``begin - j`` meet it with tap ``first + stride * j``."""
    statements: list[Statement] = []
    for rho in range(min(stride, rows)):
        first = (rho + pad) % stride
        taps = len(range(first, kernel, stride))
        begin = (rho + pad - first) // stride
        source = (loop("n"), Index((("k", 1), ("j", -1)), begin), loop("c"))
        target = Access("dx", (loop("n"), loop("k", stride, rho), loop("c")))
        loops = (("n", 2), ("k", -(-(rows - rho) // stride)), ("c", 2), ("j", taps))
        statements.append(
            Window("unmax", loops, ("j",), target, Access("dy", source), Access("tap", source), 1.0, first, (stride,))
        )
    return statements


def test_chosen_errors_are_added_in_ascending_order_of_the_tap() -> None:
    """Three windows choose row 2; the one that seeks tap 0 is the last of them."""
    types = pooled_types(6, 4, "f16", "f16")
    errors, taps = np.zeros((2, 4, 2), np.float32), np.full((2, 4, 2), 9.0, np.float32)
    errors[0, :3, 0] = [1.0, 2.0**-24, 2.0**-24]
    taps[0, :3, 0] = [2.0, 1.0, 0.0]
    types["dx"] = replace(types["dx"], format="f32")
    back = run(chosen_back(6, 3, 1, 0, 4), {"dy": errors, "tap": taps}, types, extents=(1, 2))["dx"]
    ascending = np.float32(1.0 + 2.0**-23)
    assert same(back[0, 2, 0], ascending)
    assert np.float32(1.0) + np.float32(2.0**-24) == 1.0, "downwards, both would be lost"


def test_counts_are_summed_without_their_scale() -> None:
    window = pooling("sum", 6, 2, 2, 0, "spike")
    types = pooled_types(6, 3, "spike", "u2")
    x = np.ones((2, 6, 2), np.float32)
    assert set(run([window], {"x": x}, types, extents=(1, 2))["y"].ravel().tolist()) == {2.0}


# Layouts, and the first difference.


@pytest.mark.parametrize(
    ("type", "memory"),
    [
        (Type.of("f16", 6, 28, 27), (28, 27, 6)),
        (Type.of("f16", 6, 5, 4, 3, weight=True), (4, 3, 5, 6)),
        (Type("f16", ((10,), (16, 5, 4)), weight=True), (5, 4, 16, 10)),
        (Type("f16", ((16, 5, 4),)), (5, 4, 16)),
        (Type.of("f32"), (1,)),
    ],
)
def test_logical_arrays_come_back_from_memory(type: Type, memory: tuple[int, ...]) -> None:
    logical = np.arange(2 * type.elements, dtype=np.float64).reshape(2, *type.shape)
    there = to_memory(logical, replace(type, batched=True), (2,))
    assert there.shape == (2, *memory)
    assert np.array_equal(from_memory(there, type, (2,)), logical)
    if len(type.factors) > 1:
        last = there.reshape(2, -1)[0]
        step = np.prod(type.factors[1:], dtype=int)
        assert last[1] - last[0] == step, "channels, or outputs, are next to each other"


def test_a_flattened_image_lies_as_the_image_does() -> None:
    image, flat = Type.of("f16", 3, 2, 2), Type("f16", ((3, 2, 2),))
    logical = np.arange(12.0).reshape(3, 2, 2)
    assert np.array_equal(to_memory(logical, image, ()), to_memory(logical.reshape(12), flat, ()))


def test_the_first_difference_is_told_with_its_place() -> None:
    place = Place("a.snn", 3, 5)
    ours = np.zeros((2, 2, 3))
    records = [Record("absent", LINE, ours), Record("h", LINE, ours, place), Record("s", LINE, ours)]
    theirs = ours.copy()
    assert first_difference(records, {"h": theirs, "s": theirs}) is None
    theirs[1, 0, 2] = -0.0
    found = first_difference(records, {"h": theirs, "s": ours + 1})
    assert found == Difference("h", 1, 0, (2,), 0.0, -0.0, place)
    assert str(found) == "h[2] of sample 0 at step 1 (a.snn:3:5): the oracle has 0.0, the program -0.0"
    undefined = np.full((2, 2, 3), np.nan)
    assert first_difference([Record("h", LINE, undefined)], {"h": undefined}) is None
    with pytest.raises(ValueError, match="h has shape"):
        first_difference(records, {"h": theirs[0]})
