"""Formats: one rounding, to nearest even; bytes that come back as they went."""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnc.numerics import formats
from snnc.numerics.formats import BF16, F16, F32, F64, FORMATS, SPIKE, TERNARY, U2, U4, U8, U16, U32, X64, X128, Format

# (precision, least exponent of a unit in the last place, greatest finite) from IEEE 754 and the bfloat16 white paper.
GRIDS = {"f16": (11, -24, 65504.0), "bf16": (8, -133, 3.3895313892515355e38), "f32": (24, -149, 3.4028234663852886e38)}


def nearest(value: Fraction, fmt: Format) -> float:
    """`value` rounded to nearest even on the grid of `fmt`, from the definition."""
    precision, least, greatest = GRIDS[fmt.name]
    if value == 0:
        return 0.0
    exponent = 0
    while abs(value) >= Fraction(2) ** (exponent + 1):
        exponent += 1
    while abs(value) < Fraction(2) ** exponent:
        exponent -= 1
    ulp = Fraction(2) ** max(exponent - precision + 1, least)
    rounded = round(value / ulp) * ulp  # Fraction rounds half to even
    return float("inf") * (1 if value > 0 else -1) if abs(rounded) > Fraction(greatest) else float(rounded)


@st.composite
def hard_to_round(draw: st.DrawFn) -> tuple[Format, float]:
    """A float64 on a tie of a format, or one float64 step beside it, or anything."""
    fmt = draw(st.sampled_from([F16, BF16, F32]))
    precision, least, _ = GRIDS[fmt.name]
    unit = draw(st.integers(least, least + 30) | st.integers(-40, 10))
    tie = (2 * draw(st.integers(-(2**precision), 2**precision)) + 1) * 2.0 ** (unit - 1)
    value = draw(
        st.sampled_from([tie, float(np.nextafter(tie, np.inf)), float(np.nextafter(tie, -np.inf))])
        | st.floats(allow_nan=False, allow_infinity=False)
    )
    return fmt, value


@settings(max_examples=600, deadline=None)
@given(hard_to_round())
def test_encode_rounds_once_to_nearest_even(case: tuple[Format, float]) -> None:
    fmt, value = case
    result = formats.decode(formats.encode(np.array([value]), fmt), fmt)
    assert result[0] == nearest(Fraction(value), fmt)


@settings(max_examples=300, deadline=None)
@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from([F16, BF16, F32]))
def test_integers_are_rounded_once_too(value: int, fmt: Format) -> None:
    assert formats.round_to(np.array([value]), fmt)[0] == nearest(Fraction(value), fmt)


@pytest.mark.parametrize("fmt", [F16, BF16])
def test_every_code_of_a_16_bit_float_comes_back(fmt: Format) -> None:
    codes = np.arange(1 << 16, dtype=np.uint16)
    values = formats.decode(codes.view(fmt.dtype), fmt)
    again = formats.encode(values, fmt).view(np.uint16)
    canonical = np.uint16({"f16": 0x7E00, "bf16": 0x7FC0}[fmt.name])
    np.testing.assert_array_equal(again, np.where(np.isnan(values), canonical, codes))
    with np.errstate(invalid="ignore"):  # signalling NaNs
        wide = values.astype(np.float64)
    np.testing.assert_array_equal(formats.encode(wide, fmt).view(np.uint16), again)


@pytest.mark.parametrize(
    ("fmt", "bits"),
    [(F16, 0x7E00), (BF16, 0x7FC0), (F32, 0x7FC00000), (F64, 0x7FF8000000000000)],
)
@pytest.mark.parametrize("source", [0x7FF0000000000001, 0xFFF8000000000123, 0x7FFFFFFFFFFFFFFF])
def test_every_nan_becomes_the_canonical_one(fmt: Format, bits: int, source: int) -> None:
    value = np.array([source], np.uint64).view(np.float64)
    stored = formats.encode(value, fmt)
    assert int(stored.view(f"u{fmt.bits // 8}")[0]) == bits
    with np.errstate(invalid="ignore"):
        narrow = value.astype(np.float32)
    assert int(formats.encode(narrow, fmt).view(f"u{fmt.bits // 8}")[0]) == bits


@pytest.mark.parametrize("fmt", [F16, BF16, F32])
def test_overflow_gives_inf_of_its_sign(fmt: Format) -> None:
    np.testing.assert_array_equal(formats.round_to(np.array([1e300, -1e300]), fmt), [np.inf, -np.inf])


@pytest.mark.parametrize("fmt", [U2, U4, U8, U16, U32])
def test_unsigned_formats_take_the_integers_in_their_range_only(fmt: Format) -> None:
    top = 2**fmt.bits - 1
    np.testing.assert_array_equal(formats.round_to(np.array([0.0, 1.0, top]), fmt), [0, 1, top])
    for wrong in (-1, top + 1, 0.5, np.nan, np.inf):
        with pytest.raises(ValueError, match=fmt.name):
            formats.encode(np.array([wrong]), fmt)


def test_a_spike_is_whatever_is_not_zero() -> None:
    np.testing.assert_array_equal(formats.encode(np.array([0.0, -0.0, 0.1, -3.0]), SPIKE), [0, 0, 1, 1])


def test_a_ternary_is_nothing_or_a_sign() -> None:
    """The low bit tells whether it is anything, the high one that it is -1; what both bits may be, they mean."""
    numbers = np.array([0.0, 1.0, -1.0, -0.0])
    assert formats.encode(numbers, TERNARY).tolist() == [0b00, 0b01, 0b11, 0b00]
    assert formats.encode(np.array([-1, 1], np.int64), TERNARY).tolist() == [0b11, 0b01]
    assert formats.decode(np.arange(4, dtype=np.uint8), TERNARY).tolist() == [0, 1, 0, -1]
    np.testing.assert_array_equal(formats.round_to(numbers, TERNARY), numbers)
    assert (TERNARY.minimum, TERNARY.maximum, TERNARY.whole, F16.whole) == (-1, 1, True, False)
    for wrong in (2, -2, 0.5, np.nan):
        with pytest.raises(ValueError, match=re.escape("ternary holds the integers -1..1 only")):
            formats.encode(np.array([wrong]), TERNARY)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(FORMATS)), st.integers(0, 21), st.integers(0, 3), st.integers(0, 2**32))
def test_unpack_undoes_pack(name: str, count: int, rows: int, seed: int) -> None:
    fmt = FORMATS[name]
    shape = (rows, count, 2) if name == "x128" else (rows, count)
    draw = np.random.default_rng(seed)
    if fmt.packed:
        storage = draw.integers(0, 2**fmt.bits, shape).astype(np.uint8)
    else:
        storage = draw.integers(0, 256, (*shape, fmt.dtype.itemsize)).astype(np.uint8).view(fmt.dtype)[..., 0]
    packed = formats.pack(storage, fmt)
    assert packed.shape == (rows, formats.row_bytes(count, fmt))
    back = formats.unpack(packed, fmt, count)
    assert (back.dtype, back.shape) == (fmt.dtype, shape)
    assert back.tobytes() == np.ascontiguousarray(storage).tobytes()


def test_the_first_element_lies_in_the_lowest_bits() -> None:
    assert formats.pack(np.array([1, 0, 1, 1, 0, 0, 0, 0, 1], np.uint8), SPIKE).tolist() == [0b00001101, 0b1]
    assert formats.pack(np.array([1, 2, 3, 0, 2], np.uint8), U2).tolist() == [0b00111001, 0b10]
    signs = formats.encode(np.array([1, -1, 0, 0, -1]), TERNARY)
    assert formats.pack(signs, TERNARY).tolist() == [0b00001101, 0b11]
    assert formats.pack(np.array([1, 2, 15], np.uint8), U4).tolist() == [0x21, 0x0F]
    assert formats.pack(np.array([0x0102], np.uint16), U16).tolist() == [2, 1]
    assert formats.pack(np.array([[1, 2]], np.uint64), X128).tolist() == [1] + [0] * 7 + [2] + [0] * 7


def test_an_element_beyond_its_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="u2 holds"):
        formats.pack(np.array([4], np.uint8), U2)
    with pytest.raises(ValueError, match="9 elements of spike take 2 bytes"):
        formats.unpack(np.zeros(1, np.uint8), SPIKE, 9)


def test_a_row_is_padded_to_whole_groups_of_bits() -> None:
    assert [formats.row_bytes(n, SPIKE, 64) for n in (0, 1, 64, 65)] == [0, 8, 8, 16]
    assert formats.row_bytes(3, F16, 64) == 8


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    assert formats.format_named("bf16") is BF16
    with pytest.raises(ValueError, match="did you mean f32"):
        formats.format_named("fp32")


def test_a_maximum_gets_the_narrowest_format_that_holds_it() -> None:
    names = [formats.unsigned_for(n).name for n in (0, 1, 2, 3, 4, 15, 16, 255, 256, 65535, 65536, 2**32 - 1)]
    assert names == ["spike", "spike", "u2", "u2", "u4", "u4", "u8", "u8", "u16", "u16", "u32", "u32"]
    for wrong in (-1, 2**32):
        with pytest.raises(ValueError, match="no unsigned format"):
            formats.unsigned_for(wrong)


def test_accumulators_are_not_rounded_here() -> None:
    with pytest.raises(ValueError, match="exact"):
        formats.encode(np.zeros(1), X64)
    with pytest.raises(ValueError, match="exact"):
        formats.decode(np.zeros((1, 2), np.uint64), X128)


def test_many_numbers_at_once_round_to_f16_as_one_at_a_time_does() -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    for kind in (np.float32, np.float64):
        grid = np.sort(halves.astype(kind))
        exact = np.concatenate([grid, (grid[:-1] + grid[1:]) / 2, np.array([-0.0, 1e-40, -1e-40], kind)])
        values = np.concatenate([exact, np.nextafter(exact, kind(np.inf)), np.nextafter(exact, kind(-np.inf))])
        wanted = values.astype(np.float16)
        assert np.array_equal(formats.encode(values, F16).view(np.uint16), wanted.view(np.uint16))
        assert np.array_equal(formats.round_to(values, F16).view(np.uint32), wanted.astype(np.float32).view(np.uint32))
        beyond = np.append(values, np.array([65519.996, 65520, -65520, np.inf, -np.inf], kind))
        with np.errstate(over="ignore"):
            wanted = beyond.astype(np.float16)
        assert np.array_equal(formats.encode(beyond, F16).view(np.uint16), wanted.view(np.uint16))
        assert formats.encode(np.append(values, kind(np.nan)), F16)[-1:].view(np.uint16).tolist() == [0x7E00]
