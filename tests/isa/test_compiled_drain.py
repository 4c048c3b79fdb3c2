"""Drains by the compiled kernel give the bits of the NumPy form, at ties, flags, longest sums and in any layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from snnc.isa.kernels import compiled, drained
from snnc.isa.kernels.drain import drain
from snnc.numerics.exact import X64_NAN, X64_NEG, X64_POS
from snnc.numerics.formats import BF16, F16, F32, F64, X64, X128, Format, encode

Array = NDArray[Any]

VALUES = [0.0, -0.0, 1.0, -1.5, 65504.0, 65519.99, 65520.0, -65536.0, 2.0**-14, 2.0**-24, 2.0**-25, 3e38, 1e-45]
SPECIAL = [*VALUES, np.inf, -np.inf, np.nan]
SINGLES: list[float] = np.array([0.1, 1 / 49, 3e38], np.float32).tolist()
SCALES = [1.0, -1.0, 0.25, 2.0**-24, 2.0**-120, 2.0**100, 0.0, -0.0, np.inf, np.nan, *SINGLES]


def accumulators(random: np.random.Generator, fmt: Format, count: int, special: bool) -> Array:
    """Sums of any length, some in the middle between two values of f16 or next to it."""
    if fmt in (F16, F32):
        values = random.standard_normal(count) * 2.0 ** random.integers(-30, 18, count)
        return encode(np.where(random.random(count) < 0.3, random.choice(SPECIAL, count), values), fmt)
    longest = 61 if fmt == X64 else int(random.choice([50, 80, 100]))
    bits = random.integers(0, longest, count)
    middle = (2 * random.integers(1 << 10, 1 << 11, count) + 1).astype(object) * 2 ** bits.astype(object)
    near = middle + random.integers(-1, 2, count)
    units = np.where(random.random(count) < 0.4, near, random.integers(0, 1 << 62, count).astype(object) << bits >> 62)
    units = units % (1 << longest) * random.choice([-1, 1], count)
    if fmt == X64:
        flags = np.where(random.random(count) < 0.01, random.choice(np.array([X64_POS, X64_NEG, X64_NAN]), count), 0)
        units = np.where(special & (flags != 0), flags.astype(object), units)
        return units.astype(np.int64)
    words = [[int(unit) & (2**64 - 1), int(unit) >> 64 & (2**64 - 1)] for unit in units]
    return np.array(words, np.uint64)


def laid(random: np.random.Generator, storage: Array, pair: tuple[int, ...], extents: tuple[int, ...]) -> Array:
    """Axes in any order, some of size 1, the last ones with gaps."""
    order: list[int] = random.permutation(len(extents)).tolist()
    shape = [extents[axis] if random.random() < 0.8 else 1 for axis in order]
    gap = 1 + int(random.random() < 0.3)
    wide = storage[: int(np.prod(shape)) * gap].reshape((*shape, gap, *pair))
    back: list[int] = np.argsort(order).tolist()
    narrow = wide[(..., 0, *[slice(None)] * len(pair))]
    return narrow.transpose(*back, *[len(order)] * len(pair))


@pytest.mark.compiled
@given(
    st.integers(0, 1 << 20),
    st.lists(st.sampled_from([1, 2, 3, 8, 17, 40, 600]), max_size=4),
    st.sampled_from([X64, X128, F32, F16]),
    st.sampled_from(SCALES),
    st.sampled_from([None, F16, BF16, F32]),
    st.sampled_from([F16, BF16, F32, F64]),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_drains_are_those_of_numpy(
    seed: int, sizes: list[int], fmt: Format, scale: float, bias: Format | None, out: Format, special: bool
) -> None:
    random = np.random.default_rng(seed)
    extents = tuple(sizes)
    while np.prod(extents) > 2000:
        extents = tuple(max(extent // 2, 1) for extent in extents)
    count = 2 * int(np.prod(extents))
    acc = laid(random, accumulators(random, fmt, count, special), (2,) if fmt == X128 else (), extents)
    added = None
    if bias is not None:
        chosen = random.choice(SPECIAL if special else VALUES, count)
        values = np.where(random.random(count) < 0.2, chosen, random.standard_normal(count))
        added = laid(random, encode(values, bias), (), extents), bias
    arguments = acc, fmt, scale, added, out, extents
    found = drain(*arguments)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drained, "library", lambda: None)
        expected = drain(*arguments)
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    assert found.tobytes() == expected.tobytes()


@pytest.mark.compiled
@pytest.mark.parametrize("fmt", [X64, X128, F32, F16], ids=str)
@pytest.mark.parametrize("out", [F16, BF16, F32], ids=str)
def test_the_kernel_serves(fmt: Format, out: Format) -> None:
    """So the test above has compared two forms."""
    acc = np.ones((20, 2) if fmt == X128 else 20, fmt.dtype)
    if fmt == X128:
        acc[:, 1] = 0
    bias = np.ones(20, np.float16), F16
    assert drained.drained(acc, fmt, 0.5, bias, out, (20,)) is not None


def test_the_version_for_every_machine_gives_the_same_bits(portable: None) -> None:
    assert compiled.vectors() == "portable"
    test_drains_are_those_of_numpy()
