"""Formats: what the bits of a value mean, and the one rounding that brings a value to them.

A *storage* array holds one element an entry in `Format.dtype`; a *packed* row holds `Format.bits` bits an element,
little end first, as memory does. `encode` and `decode` go between numbers and storage, `pack` and `unpack` between
storage and bytes.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array: TypeAlias = NDArray[Any]
Kind: TypeAlias = Literal["bit", "unsigned", "sign", "float", "fixed"]

_STORAGE: dict[str, str] = {
    "spike": "uint8",
    "u2": "uint8",
    "ternary": "uint8",
    "u4": "uint8",
    "u8": "uint8",
    "u16": "uint16",
    "u32": "uint32",
    "f16": "float16",
    "bf16": "uint16",
    "f32": "float32",
    "f64": "float64",
    "x64": "int64",
    "x128": "uint64",
}


@dataclass(frozen=True, eq=False)
class Format:
    """The meaning of `bits` bits; `code` is its number in instructions and files.  The ones below are all there are."""

    name: str
    code: int
    bits: int
    kind: Kind

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """Type of a storage array: bf16 as its raw bits, x128 as pairs [low, high] on a last axis of 2."""
        return np.dtype(_STORAGE[self.name])

    @property
    def packed(self) -> bool:
        """Whether several elements share a byte of memory."""
        return self.bits < 8

    @property
    def whole(self) -> bool:
        """Whether it holds integers, which an engine takes as gates."""
        return self.kind in ("bit", "unsigned", "sign")

    @property
    def maximum(self) -> int:
        """Largest value of a format of integers; ValueError for the others."""
        if not self.whole:
            raise ValueError(f"{self.name} is not a format of integers")
        return 1 if self.kind == "sign" else (1 << self.bits) - 1

    @property
    def minimum(self) -> int:
        """Smallest value of a format of integers; ValueError for the others."""
        return -self.maximum if self.kind == "sign" else 0 * self.maximum

    def __str__(self) -> str:
        return self.name


SPIKE = Format("spike", 0, 1, "bit")
U2 = Format("u2", 1, 2, "unsigned")
U4 = Format("u4", 2, 4, "unsigned")
U8 = Format("u8", 3, 8, "unsigned")
U16 = Format("u16", 4, 16, "unsigned")
U32 = Format("u32", 5, 32, "unsigned")
F16 = Format("f16", 6, 16, "float")
BF16 = Format("bf16", 7, 16, "float")
F32 = Format("f32", 8, 32, "float")
F64 = Format("f64", 9, 64, "float")
X64 = Format("x64", 10, 64, "fixed")
X128 = Format("x128", 11, 128, "fixed")
TERNARY = Format("ternary", 12, 2, "sign")
"""1, 0 or -1.  The two bits stand side by side, not in planes of their own: so it is packed, moved and addressed as u2
is, and one read of an engine gates with both."""

_ALL = (SPIKE, U2, U4, U8, U16, U32, F16, BF16, F32, F64, X64, X128, TERNARY)
FORMATS: dict[str, Format] = {form.name: form for form in _ALL}
BY_CODE: dict[int, Format] = {form.code: form for form in FORMATS.values()}

# NumPy converts f16 one element after the other. A table of all values and, for many elements, sums with a
# well-chosen number give the same bits sooner.
with np.errstate(invalid="ignore"):
    _SINGLE_OF_HALF = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
_SIGNS = np.asarray([0.0, 1.0, 0.0, -1.0], np.float32)
_HALF_OVERFLOW = 65520.0  # from here on f16 rounds to inf
_MANY = 6000


class _Rounder(NamedTuple):
    """What rounds a float of so many bits to f16: a power of two, times 1.5, whose last bit is the last that f16 keeps.

    Adding it rounds to nearest even and taking it away again is exact. The power follows the *exponent* of the
    element, *up* above it, but is never below that of 2^-14 (*least*): the grid of subnormals stays as fine as it is.
    """

    exponent: np.unsignedinteger[Any]
    least: np.unsignedinteger[Any]
    up: np.unsignedinteger[Any]


_ROUNDERS = {
    4: _Rounder(np.uint32(0xFF << 23), np.uint32((127 - 14) << 23), np.uint32((13 << 23) + (1 << 22))),
    8: _Rounder(np.uint64(0x7FF << 52), np.uint64((1023 - 14) << 52), np.uint64((42 << 52) + (1 << 51))),
}


def format_named(name: str) -> Format:
    """The format called `name`; ValueError with the nearest name if there is none."""
    if name in FORMATS:
        return FORMATS[name]
    nearest = difflib.get_close_matches(name, FORMATS, n=1, cutoff=0.0)
    raise ValueError(f"there is no format {name!r}; did you mean {nearest[0]}?")


def unsigned_for(maximum: int) -> Format:
    """The narrowest of spike, u2, u4, u8, u16, u32 that holds 0..maximum; ValueError if none does."""
    for form in (SPIKE, U2, U4, U8, U16, U32):
        if 0 <= maximum <= form.maximum:
            return form
    raise ValueError(f"no unsigned format holds 0..{maximum}")


def decode(array: Array, fmt: Format) -> Array:
    """The numbers that a storage array means, exactly: float32, or float64 for f64 and u32.

    Of a ternary the low bit tells whether it is anything, and the high one that it is -1.
    """
    match fmt.name:
        case "ternary":
            return _SIGNS.take(np.asarray(array, np.uint8))
        case "bf16":
            return (np.asarray(array, np.uint16).astype(np.uint32) << np.uint32(16)).view(np.float32)
        case "f64" | "u32":
            return np.asarray(array, fmt.dtype).astype(np.float64)
        case "x64" | "x128":
            raise ValueError(f"{fmt.name} is an accumulator: read it with exact.values_of or exact.finish")
        case "f16":
            return np.asarray(_SINGLE_OF_HALF.take(np.asarray(array, np.float16).view(np.uint16)))
        case _:
            return np.asarray(array, fmt.dtype).astype(np.float32)


def encode(values: ArrayLike, fmt: Format) -> Array:
    """`values` rounded once, to nearest even, into the storage type of `fmt`.

    Subnormals are kept, overflow gives inf and every NaN the canonical quiet one. A format of integers takes those
    in its range (ValueError otherwise); of a spike, all that is not zero is 1.
    """
    array = np.asarray(values)
    match fmt.kind:
        case "bit":
            return (array != 0).astype(np.uint8)
        case "unsigned" | "sign":
            held = (array >= fmt.minimum) & (array <= fmt.maximum)
            if not held.all() or (array.dtype.kind == "f" and not np.array_equal(array, np.rint(array))):
                raise ValueError(f"{fmt.name} holds the integers {fmt.minimum}..{fmt.maximum} only")
            codes = array if fmt.kind == "unsigned" else np.where(array < 0, 3, array)
            return codes.astype(fmt.dtype)
        case "float":
            return _encode_float(array, fmt)
        case "fixed":
            raise ValueError(f"{fmt.name} is an accumulator: make it with exact.{fmt.name}_from_float")


def round_to(values: ArrayLike, fmt: Format) -> Array:
    """The nearest values on the grid of `fmt`, ties to even, as `decode` gives them."""
    array = np.asarray(values)
    if fmt is F16 and array.dtype == np.float32 and _are_halves(array):
        return _on_half_grid(array)
    return decode(encode(array, fmt), fmt)


def pack(array: Array, fmt: Format) -> NDArray[np.uint8]:
    """The bytes of a storage array along its last (logical) axis, first element in the lowest bits.

    A last part of a byte is filled with zeros. ValueError for elements beyond the range of a packed format.
    """
    storage = np.asarray(array, fmt.dtype)
    if fmt.bits == 1:
        return np.packbits(storage, axis=-1, bitorder="little")
    if not fmt.packed:
        little = np.ascontiguousarray(storage, fmt.dtype.newbyteorder("<"))
        if fmt.name == "x128":
            little = little.reshape(*storage.shape[:-2], storage.shape[-2] * 2)
        return little.view(np.uint8).copy()
    most = (1 << fmt.bits) - 1
    if storage.size and int(storage.max()) > most:
        raise ValueError(f"{fmt.name} holds the integers 0..{most} only")
    share = 8 // fmt.bits
    count = storage.shape[-1]
    whole = np.zeros((*storage.shape[:-1], -(-count // share) * share), np.uint8)
    whole[..., :count] = storage
    result = whole[..., ::share].copy()
    for place in range(1, share):
        result |= whole[..., place::share] << np.uint8(place * fmt.bits)
    return result


def unpack(bytes_array: NDArray[np.uint8], fmt: Format, count: int) -> Array:
    """The storage array of the first `count` elements of rows of bytes: `pack` undone.

    Bytes after those elements are ignored; ValueError if there are fewer.
    """
    rows = np.asarray(bytes_array, np.uint8)
    used = row_bytes(count, fmt)
    if rows.shape[-1] < used:
        raise ValueError(f"{count} elements of {fmt.name} take {used} bytes, the row has {rows.shape[-1]}")
    rows = rows[..., :used]
    if fmt.bits == 1:
        return np.unpackbits(rows, axis=-1, count=count, bitorder="little")
    if not fmt.packed:
        little = np.ascontiguousarray(rows).view(fmt.dtype.newbyteorder("<")).astype(fmt.dtype)
        return little.reshape(*rows.shape[:-1], count, *((2,) if fmt.name == "x128" else ()))
    share = 8 // fmt.bits
    result = np.empty((*rows.shape[:-1], used * share), np.uint8)
    for place in range(share):
        result[..., place::share] = (rows >> np.uint8(place * fmt.bits)) & np.uint8((1 << fmt.bits) - 1)
    return result[..., :count]


def row_bytes(count: int, fmt: Format, pad_bits: int = 8) -> int:
    """Bytes of a packed row of `count` elements, filled up to a multiple of `pad_bits` bits (itself whole bytes)."""
    return -(-count * fmt.bits // pad_bits) * pad_bits // 8


def _encode_float(array: Array, fmt: Format) -> Array:
    """One rounding into f16, bf16, f32 or f64, with canonical NaN."""
    if array.dtype.kind in "iub":
        array = _integers_as_float(array, fmt)
    elif array.dtype == np.float16:
        array = array.astype(np.float32)
    elif array.dtype != np.float32 and array.dtype != np.float64:
        raise ValueError(f"cannot encode values of type {array.dtype}")
    if fmt.name == "bf16":
        return _encode_bf16(array)
    if fmt is F16 and _are_halves(array):
        return _half_of_grid(_on_half_grid(array).astype(np.float32, copy=False))
    with np.errstate(all="ignore"):
        result = array.astype(fmt.dtype)
        if array.size and array.max() != array.max():  # NaN is the largest of all
            result = np.where(np.isnan(result), np.asarray(np.nan, fmt.dtype), result)
    return result


def _are_halves(array: Array) -> bool:
    """Whether the quick ways below serve: many elements, and none that f16 rounds to inf or NaN."""
    if array.size < _MANY:
        return False
    return bool(array.max() < _HALF_OVERFLOW) and bool(array.min() > -_HALF_OVERFLOW)


def _on_half_grid(array: Array) -> Array:
    """The f32 or f64 `array` rounded to the values of f16, to nearest even; see `_Rounder`."""
    rounder = _ROUNDERS[array.itemsize]
    magic = array.view(rounder.exponent.dtype) & rounder.exponent
    np.maximum(magic, rounder.least, out=magic)
    magic += rounder.up
    large = magic.view(array.dtype)
    result = array + large
    result -= large
    return np.copysign(result, array, out=result)


def _half_of_grid(singles: NDArray[np.float32]) -> NDArray[np.float16]:
    """f16 storage of values that f16 holds: scaled so that the exponents' biases agree, all bits lie side by side."""
    bits = (singles * np.float32(2.0**-112)).view(np.uint32)
    halves = (bits >> np.uint32(13)).astype(np.uint16)
    bits >>= np.uint32(16)
    bits &= np.uint32(0x8000)
    halves |= bits.astype(np.uint16)
    return halves.view(np.float16)


def _encode_bf16(array: Array) -> NDArray[np.uint16]:
    """Nearest bf16, as raw bits: float64 goes through f32 rounded to odd, which keeps the second rounding honest."""
    with np.errstate(all="ignore"):
        single = array.astype(np.float32)
    bits = single.view(np.uint32)
    if array.dtype == np.float64:
        back = single.astype(np.float64)
        bits = bits - (np.abs(back) > np.abs(array))  # toward zero ...
        bits = (bits | (back != array)).astype(np.uint32)  # ... and odd where something was lost
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    return np.where(np.isnan(array), np.uint16(0x7FC0), rounded.astype(np.uint16))


def _integers_as_float(array: Array, fmt: Format) -> NDArray[np.float64]:
    """Integers as float64 such that a further rounding to `fmt` is still the only one."""
    if array.itemsize == 8 and fmt.name != "f64" and array.size:
        low = array & np.asarray(0x3FF, array.dtype)
        sticky = (array - low) | ((low != 0).astype(array.dtype) << np.asarray(10, array.dtype))
        wide = (array > 1 << 53) | (array < -(1 << 53))
        array = np.where(wide, sticky, array)
    return array.astype(np.float64)
