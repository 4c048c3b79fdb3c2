"""Compiled kernels give the bits of the NumPy forms: strided, overlapping operands, extremes, any number of columns."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from snnc.isa.kernels import compiled, contract
from snnc.isa.kernels.contract import contract_exact, contract_ordered
from snnc.isa.kernels.nest import Operand
from snnc.numerics.formats import BF16, F16, F32, SPIKE, TERNARY, U2, U4, U8, X64, Format, encode

Array = NDArray[Any]

needs_compiled = pytest.mark.skipif(compiled.library() is None, reason=compiled.why_none())

VALUES = [0.0, -0.0, 2.0**-24, -(2.0**-24), 3 * 2.0**-20, 65504.0, -65504.0, 1.0, -1.5, 0.333251953125, 2.0**-14]
SPECIAL = [*VALUES, np.inf, -np.inf, np.nan]


def drawn(random: np.random.Generator, fmt: Format, count: int, density: float, special: bool) -> Array:
    """Storage, so many of its elements other than zero."""
    if fmt.kind in ("bit", "unsigned"):
        values = random.integers(1, min(int(fmt.maximum), 5) + 1, count)
    elif fmt.kind == "sign":
        values = random.choice([-1, 1], count)
    else:
        chosen = random.choice(SPECIAL if special else VALUES, count)
        values = np.where(random.random(count) < 0.3, chosen, random.standard_normal(count))
    return encode(np.where(random.random(count) < density, values, 0), fmt)


def laid(
    random: np.random.Generator, fmt: Format, extents: tuple[int, ...], axes: tuple[bool, ...], **how: Any
) -> Array:
    """An operand as engines see it: an axis a loop, of size 1 where it has none; others overlap, or go backwards."""
    order: list[int] = random.permutation(len(extents)).tolist()
    strides, reach = [0] * len(extents), 1
    for axis in order:
        if axes[axis] and extents[axis] > 1:
            strides[axis] = reach
            reach += 1 if random.random() < 0.2 else (extents[axis] - 1) * reach + (extents[axis] - 1)
    span = sum(stride * (extent - 1) for stride, extent in zip(strides, extents, strict=True)) + 1
    base = drawn(random, fmt, span, **how)
    size, start = base.itemsize, 0
    for axis in range(len(extents)):
        if strides[axis] and random.random() < 0.2:
            start += strides[axis] * (extents[axis] - 1)
            strides[axis] = -strides[axis]
    shape = tuple(extent if there else 1 for extent, there in zip(extents, axes, strict=True))
    return np.ndarray(shape, base.dtype, base.data, start * size, [stride * size for stride in strides])


Nest = tuple[int, tuple[int, ...], tuple[bool, ...], tuple[bool, ...], tuple[bool, ...]]


@st.composite
def nests(draw: st.DrawFn) -> Nest:
    """A seed, extents, which loops sums have, and which of them the left and the right operand have."""
    count = draw(st.integers(1, 5))
    extents = tuple(draw(st.sampled_from([1, 2, 3, 4, 7, 9, 16, 17, 70])) for _ in range(count))
    while np.prod(extents) > 40000:
        extents = tuple(max(extent // 2, 1) for extent in extents)
    flags = [tuple(draw(st.booleans()) for _ in range(count)) for _ in range(3)]
    return draw(st.integers(0, 9999)), extents, flags[0], flags[1], flags[2]


def numpy_form(call: Any, *arguments: Any) -> tuple[Array, int]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contract, "library", lambda: None)
        return call(*arguments)


@needs_compiled
@given(
    nests(),
    st.sampled_from([None, SPIKE, U2, U4, U8, TERNARY, F16, BF16, F32]),
    st.sampled_from([F16, BF16, F32]),
    st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_sums_in_f32_are_those_of_numpy(
    nest: Nest, left: Format | None, right: Format, density: float, special: bool, fresh: bool
) -> None:
    seed, extents, kept, in_left, in_right = nest
    random = np.random.default_rng(seed)
    how = {"density": density, "special": special}
    l_operand = None if left is None else Operand(laid(random, left, extents, in_left, **how), left)
    r_operand = Operand(laid(random, right, extents, in_right, density=0.9, special=special), right)
    shape = tuple(extent if keep else 1 for extent, keep in zip(extents, kept, strict=True))
    acc = None if fresh else random.choice(np.array([1.0, -0.0, 0.0, 2.0**-140, -3.5], np.float32), shape)
    arguments = acc, l_operand, r_operand, extents, kept, F32
    found, done = contract_ordered(*arguments)
    expected, counted = numpy_form(contract_ordered, *arguments)
    assert found.shape == expected.shape
    assert found.tobytes() == expected.tobytes()
    assert done == counted


@needs_compiled
@pytest.mark.parametrize("left", [F16, BF16, F32], ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("right", [F16, BF16, F32], ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("density", [0.1, 1.0])
@pytest.mark.parametrize("scale", [1.0, 2.0**-125, 2.0**-133])
def test_products_round_before_they_are_summed(left: Format, right: Format, density: float, scale: float) -> None:
    """Pairs whose products f32 does not hold, because of their length or because they are subnormal."""
    random = np.random.default_rng(1)
    rows = np.where(random.random((8, 100, 1)) < density, random.standard_normal((8, 100, 1)), 0)
    columns = random.standard_normal((1, 100, 48)) * (1.0 if right == F16 else scale)
    operands = Operand(encode(rows, left), left), Operand(encode(columns, right), right)
    arguments = None, *operands, (8, 100, 48), (True, False, True), F32
    found, done = contract_ordered(*arguments)
    expected, counted = numpy_form(contract_ordered, *arguments)
    assert found.tobytes() == expected.tobytes()
    assert done == counted


@needs_compiled
@given(nests(), st.sampled_from([None, SPIKE]), st.sampled_from([0.0, 0.05, 0.5, 1.0]), st.booleans())
@settings(max_examples=100, deadline=None)
def test_exact_sums_are_those_of_numpy(nest: Nest, left: Format | None, density: float, special: bool) -> None:
    seed, extents, kept, in_left, in_right = nest
    random = np.random.default_rng(seed)
    how = {"density": density, "special": special}
    l_operand = None if left is None else Operand(laid(random, left, extents, in_left, **how), left)
    r_operand = Operand(laid(random, F16, extents, in_right, density=0.9, special=special), F16)
    found, done = contract_exact(l_operand, r_operand, extents, kept, X64)
    expected, counted = numpy_form(contract_exact, l_operand, r_operand, extents, kept, X64)
    assert found.shape == expected.shape
    assert np.array_equal(found, expected)
    assert done == counted


@needs_compiled
def test_every_half_is_read_as_it_is() -> None:
    halves = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16).view(np.float16)
    one = Operand(np.ones((1, 1), np.float16), F16)
    found, _ = contract_ordered(None, Operand(halves[:, None], F16), one, (1 << 16, 1), (True, False), F32)
    with np.errstate(invalid="ignore"):
        numbers = halves.astype(np.float32)[:, None] + np.float32(0)
    assert np.array_equal(found, numbers, equal_nan=True)


def test_the_version_for_every_machine_gives_the_same_bits(portable: None) -> None:
    assert compiled.vectors() == "portable"
    test_sums_in_f32_are_those_of_numpy()
    test_exact_sums_are_those_of_numpy()


def test_the_environment_may_ask_for_the_forms_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(compiled.CHOICE, "numpy")
    compiled.library.cache_clear()
    assert compiled.library() is None
    assert compiled.why_none() == "SNNC_KERNELS=numpy says so"
    assert compiled.vectors() == ""
    compiled.library.cache_clear()


def test_without_a_compiled_file_numpy_serves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No file; a file that is no library; a library without these kernels."""
    monkeypatch.delenv(compiled.CHOICE, raising=False)
    monkeypatch.setattr(compiled, "__file__", str(tmp_path / "compiled.py"))
    compiled.library.cache_clear()
    assert compiled.library() is None
    (tmp_path / f"_compiled{compiled.EXTENSION_SUFFIXES[0]}").write_bytes(b"nothing of the kind")
    compiled.library.cache_clear()
    assert compiled.library() is None
    assert "takes a C compiler" in compiled.why_none()
    monkeypatch.setattr(ctypes, "CDLL", type("Empty", (), {"__init__": lambda self, path: None}))  # pyright: ignore
    compiled.library.cache_clear()
    assert compiled.library() is None
    compiled.library.cache_clear()
