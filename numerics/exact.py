"""Exact accumulators: sums that do not depend on their order, and their one rounding at the end.

`x64` counts units of 2^-24 (f16 values gated by bits or small integers), `x128` units of 2^-48 (products of two f16),
in two's complement; an x128 array has a last axis of 2 words, [low, high]. Finite sums stay below 2^63 - 2^52 and
2^127 - 2^116 units, because the compiler refuses longer ones, so the outermost codes are free to say that an inf or a
NaN has come by. These flags stick: the sum of opposite infinities is NaN, and NaN stays NaN, in whatever order.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .formats import F16, F32, F64, X64, X128, Format, decode, encode

Array: TypeAlias = NDArray[Any]
Doubles: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
Pairs: TypeAlias = NDArray[np.uint64]

X64_UNIT_BITS = 24
X128_UNIT_BITS = 48
X64_TERMS, X128_TERMS = 1 << 23, 1 << 47
"""Terms that an accumulator holds whatever they are: 2^23 times the largest f16 stays below 2^63, 2^47 products of two
below 2^127."""

X64_NAN, X64_POS, X64_NEG = -(1 << 63), (1 << 63) - 1, -(1 << 63) + 1
X128_NAN, X128_POS, X128_NEG = -(1 << 127), (1 << 127) - 1, -(1 << 127) + 1

# Flags are two bits, ORed: 1 for +inf, 2 for -inf, both for NaN.
_FLAG_OF_OFFSET = np.array([1, 3, 2], np.uint8)  # by (code - X64_POS) modulo 2^64
_X64_OF_FLAG = np.array([0, X64_POS, X64_NEG, X64_NAN], np.int64)
_X128_OF_FLAG = np.array(
    [[code & (2**64 - 1), (code >> 64) & (2**64 - 1)] for code in (0, X128_POS, X128_NEG, X128_NAN)], np.uint64
)
_VALUE_OF_FLAG = np.array([0.0, np.inf, -np.inf, np.nan])
_TOP = np.uint64(X64_POS)
_PIECE_BITS = 29  # with a 24-bit scale, a product of 53 bits
_PIECE = (1 << _PIECE_BITS) - 1


def add_x64(acc: Integers, other: Integers) -> Integers:
    """acc + other, exactly, flags included; arrays broadcast."""
    acc, other = np.asarray(acc, np.int64), np.asarray(other, np.int64)
    total = acc + other
    flags = _x64_flags(acc) | _x64_flags(other)
    return np.where(flags, _X64_OF_FLAG[flags], total) if flags.any() else total


def add_x128(acc: Pairs, other: Pairs) -> Pairs:
    """acc + other, exactly, flags included; arrays broadcast."""
    total = _plain_sum(acc, other)
    flags = _x128_flags(acc) | _x128_flags(other)
    return np.where(flags[..., None], _X128_OF_FLAG[flags], total) if flags.any() else total


def x64_from_f16(storage: NDArray[np.float16]) -> Integers:
    """The accumulator of each f16 value."""
    return _x64_of(storage.astype(np.float32))


def x64_from_float(values: Doubles) -> Integers:
    """The accumulator of each value: a multiple of 2^-24 below 2^39 in magnitude, or inf, or NaN."""
    return _x64_of(np.asarray(values, np.float64))


def x128_from_float(values: Doubles) -> Pairs:
    """The accumulator of each value: a multiple of 2^-48 below 2^15 in magnitude, or inf, or NaN."""
    values = np.asarray(values, np.float64)
    flags = _flags_of(values)
    units = np.where(flags, 0.0, values) * 2.0**X128_UNIT_BITS
    assert not units.size or (np.abs(units).max() < 2.0**63 and np.array_equal(units, np.rint(units))), "inexact x128"
    return raise_flags(x128_from_parts([(units.astype(np.int64), 0)]), X128, values)


def x128_from_parts(parts: list[tuple[Integers, int]]) -> Pairs:
    """The sum of integers * 2^shift over all parts, in units of 2^-48, exactly; shifts from 0 to 127."""
    total: Pairs | None = None
    for integers, shift in parts:
        part = _shifted(np.asarray(integers, np.int64), shift)
        total = part if total is None else _plain_sum(total, part)
    if total is None:
        raise ValueError("a sum of no parts has no shape")
    return total


def raise_flags(acc: Array, fmt: Format, values: Doubles) -> Array:
    """`acc` with the flag of each inf and NaN among `values` ORed in; finite values change nothing."""
    flags = _flags_of(np.asarray(values, np.float64))
    if not flags.any():
        return acc
    return add_x64(acc, _X64_OF_FLAG[flags]) if fmt == X64 else add_x128(acc, _X128_OF_FLAG[flags])


def values_of(acc: Array, fmt: Format) -> Doubles:
    """The nearest float64 of each accumulator, to look at."""
    if fmt in (X64, X128):
        return finish(acc, fmt, 1.0, None, F64)
    return decode(acc, fmt).astype(np.float64)


def finish(acc: Array, fmt: Format, scale: float, bias: Doubles | None, out: Format) -> Array:
    """acc * scale + bias, rounded once, to nearest even, into the storage of `out`.

    `scale` is an f32 value; `bias` holds f16 or f32 values and broadcasts to the accumulators. An exact zero is +0;
    inf and NaN propagate. From an f32 or f16 accumulator, product and sum are f32 operations, each rounded, before
    the rounding to `out`. ValueError for other accumulators and for a scale that is not f32.

    Method: split the sum into three products of 53 bits, add them and the bias with error-free two-sums, round to
    odd, which leaves the final rounding the only one (after Boldo and Melquiond, IEEE TC 57(4), 2008, who round their
    sum of three to nearest). From 2^82 units on, and only there, Python's integers do it one by one.
    """
    scale = float(scale)
    with np.errstate(over="ignore"):
        if float(np.float32(scale)) != scale and not np.isnan(scale):
            raise ValueError(f"the scale {scale} is not an f32 value")
    if fmt in (F32, F16):
        return encode(_finish_float(decode(acc, fmt), scale, bias), out)
    if fmt not in (X64, X128):
        raise ValueError(f"{fmt.name} is not the format of an accumulator")
    acc = np.asarray(acc, fmt.dtype)
    flags = _x64_flags(acc) if fmt == X64 else _x128_flags(acc)
    added = None if bias is None else np.broadcast_to(np.asarray(bias, np.float64), flags.shape)
    special = flags != 0
    if added is not None:
        special = special | ~np.isfinite(added)
    if not np.isfinite(scale):
        special = np.ones_like(special)
    if not special.any():
        return encode(_finish_finite(acc, fmt, scale, added, out), out)
    finite = np.where(special if fmt == X64 else special[..., None], np.zeros((), fmt.dtype), acc)
    usual = _finish_finite(finite, fmt, 1.0 if not np.isfinite(scale) else scale, _only(added, special), out)
    sign = np.sign(acc if fmt == X64 else acc[..., 1].view(np.int64) | (acc[..., 0] != 0))
    with np.errstate(invalid="ignore"):
        unusual = np.where(flags, _VALUE_OF_FLAG[flags], sign) * scale + (0.0 if added is None else added)
    return encode(np.where(special, unusual, usual), out)


def units_of(acc: Array, fmt: Format) -> tuple[NDArray[np.object_], Doubles]:
    """(every accumulator as a Python integer of its units, inf or NaN where it carries a flag, else 0)."""
    if fmt not in (X64, X128):
        raise ValueError(f"{fmt.name} is no exact accumulator")
    acc = np.asarray(acc, fmt.dtype)
    flags = _x64_flags(acc) if fmt == X64 else _x128_flags(acc)
    special = np.where(flags != 0, _VALUE_OF_FLAG[flags], 0.0)
    if fmt == X64:
        return acc.astype(object), special
    low, high = acc[..., 0].astype(object), acc[..., 1].view(np.int64).astype(object)
    return np.asarray(high * (1 << 64) + low, object), special


def quotient(top: int, bottom: int) -> float:
    """top / bottom as a float64 from which one rounding, to nearest, gives any narrower format; *bottom* positive.

    Forty significant bits, and the last of them is 1 where anything is lost (rounded to odd).
    """
    shift = max(0, 40 - abs(top).bit_length() + bottom.bit_length())
    whole, rest = divmod(abs(top) << shift, bottom)
    lost = max(0, whole.bit_length() - 50)
    kept = whole >> lost
    if rest or kept << lost != whole:
        kept |= 1
    return math.copysign(math.ldexp(kept, lost - shift), top) if kept else 0.0


def _finish_float(acc: NDArray[np.float32], scale: float, bias: Doubles | None) -> NDArray[np.float32]:
    """acc * scale + bias in f32; a scale of 1 and a bias of None leave their operation out."""
    with np.errstate(all="ignore"):
        result = acc if scale == 1 else acc * np.float32(scale)
        return result if bias is None else result + np.asarray(bias).astype(np.float32)


def _finish_finite(acc: Array, fmt: Format, scale: float, bias: Doubles | None, out: Format) -> Doubles:
    """acc * scale + bias as float64: rounded to odd, or to nearest if that is what `out` wants."""
    unit = X64_UNIT_BITS if fmt == X64 else X128_UNIT_BITS
    factor = scale * 2.0**-unit
    low = acc if fmt == X64 else acc[..., 0].view(np.int64)
    high = low >> 63 if fmt == X64 else acc[..., 1].view(np.int64)
    beyond: NDArray[np.bool_] | None = None
    if (fmt == X64 or np.array_equal(high, low >> 63)) and _product_is_exact(low, scale):
        product, below = _times(low, factor), None
    else:
        beyond = (high >= 1 << 18) | (high < -(1 << 18))  # 2^82 units or more
        top = ((low >> 58) & 63) | (np.where(beyond, 0, high) << 6)
        middle = (low >> _PIECE_BITS) & _PIECE
        product, error = _two_sum(_times(top, factor * 2.0**58), _times(middle, factor * 2.0**_PIECE_BITS))
        product, below = _two_sum(product, _times(low & _PIECE, factor))
        product, below = _two_sum(product, error + below)
    nearest = out == F64
    result = _round_sum(product, below, bias, nearest)
    if beyond is not None and beyond.any():
        result = np.array(result)
        for at in np.argwhere(beyond):
            place = tuple(at)
            units = (int(high[place]) << 64) | (int(low[place]) & (2**64 - 1))
            result[place] = _round_integers(units, unit, scale, 0.0 if bias is None else float(bias[place]), nearest)
    return result


def _round_sum(high: Doubles, low: Doubles | None, bias: Doubles | None, nearest: bool) -> Doubles:
    """high + low + bias rounded once; low is at most half an ulp of high."""
    if bias is not None:
        high, error = _two_sum(high, bias)
        low = error if low is None else _odd(*_two_sum(error, low))
    if low is None:
        return high + 0.0  # an exact zero is +0
    total, rest = _two_sum(high, low)
    return (total if nearest else _odd(total, rest)) + 0.0


def _round_integers(units: int, unit: int, scale: float, bias: float, nearest: bool) -> float:
    """The same as the fast way, with Python's integers: units * 2^-unit * scale + bias."""
    (scale_top, scale_bottom), (bias_top, bias_bottom) = scale.as_integer_ratio(), bias.as_integer_ratio()
    bottom = scale_bottom << unit
    top, bottom = units * scale_top * bias_bottom + bias_top * bottom, bottom * bias_bottom
    lost = abs(top).bit_length() - 53
    if nearest or lost <= 0:
        return top / bottom
    odd = (abs(top) >> lost) | bool(abs(top) & ((1 << lost) - 1))
    return (odd << lost) / bottom * (1 if top > 0 else -1)


def _times(units: Integers, factor: float) -> Doubles:
    """units * factor in float64; exact where the bits of both fit in 53."""
    return units.astype(np.float64) * factor


def _two_sum(a: Doubles, b: Doubles) -> tuple[Doubles, Doubles]:
    """(rounded a + b, its error), exactly (Knuth)."""
    total = a + b
    virtual = total - a
    return total, (a - (total - virtual)) + (b - virtual)


def _odd(total: Doubles, rest: Doubles) -> Doubles:
    """total + rest rounded to odd: of the two neighbours the odd one, where rest says that total is not exact."""
    if not rest.any():
        return total
    bits = total.view(np.int64)
    step = np.where((rest > 0) == (total > 0), 1, -1)
    return (bits + np.where((rest != 0) & (bits & 1 == 0), step, 0)).view(np.float64)


def _product_is_exact(units: Integers, scale: float) -> bool:
    """Whether float64 holds every units * scale: by the bits of the scale and of the largest sum."""
    significant = abs(scale.as_integer_ratio()[0])
    significant >>= max((significant & -significant).bit_length() - 1, 0)
    limit = 1 << (53 - significant.bit_length())
    return not units.size or (int(units.max()) < limit and int(units.min()) > -limit)


def _only(bias: Doubles | None, special: NDArray[np.bool_]) -> Doubles | None:
    """The bias, with 0 where something special goes on."""
    return None if bias is None else np.where(special, 0.0, bias)


def _x64_of(values: NDArray[np.floating]) -> Integers:
    """Values times 2^24 as integers, flags for inf and NaN."""
    flags = _flags_of(values)
    any_flag = bool(flags.any())
    units = (np.where(flags, 0, values) if any_flag else values) * values.dtype.type(2.0**X64_UNIT_BITS)
    result = units.astype(np.int64)
    assert np.array_equal(result, units), "inexact x64"
    return np.where(flags, _X64_OF_FLAG[flags], result) if any_flag else result


def _flags_of(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """The flag of each float: 0 for a finite one."""
    return np.isposinf(values) * np.uint8(1) | np.isneginf(values) * np.uint8(2) | np.isnan(values) * np.uint8(3)


def _x64_flags(acc: Integers) -> NDArray[np.uint8]:
    """The flag of each accumulator."""
    offset = acc.view(np.uint64) - _TOP
    flagged = offset <= 2
    if not flagged.any():
        return np.zeros(acc.shape, np.uint8)
    return np.where(flagged, _FLAG_OF_OFFSET[np.where(flagged, offset, 0).astype(np.intp)], np.uint8(0))


def _x128_flags(acc: Pairs) -> NDArray[np.uint8]:
    """The flag of each accumulator: a high word of 2^63-1 or -2^63 is never a finite sum."""
    high = acc[..., 1]
    flagged = high - _TOP <= 1
    if not flagged.any():
        return np.zeros(high.shape, np.uint8)
    negative = np.where(acc[..., 0] == 0, np.uint8(3), np.uint8(2))
    return np.where(flagged, np.where(high == _TOP, np.uint8(1), negative), np.uint8(0))


def _plain_sum(a: Pairs, b: Pairs) -> Pairs:
    """a + b modulo 2^128."""
    low = a[..., 0] + b[..., 0]
    return np.stack([low, a[..., 1] + b[..., 1] + (low < a[..., 0])], axis=-1)


def _shifted(integers: Integers, shift: int) -> Pairs:
    """integers * 2^shift modulo 2^128."""
    if shift >= 64:
        low, high = np.zeros_like(integers), integers << (shift - 64)
    else:
        low, high = integers << shift, integers >> min(64 - shift, 63)
    return np.stack([low, high], axis=-1).view(np.uint64)
