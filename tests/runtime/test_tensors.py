"""What the host writes lies in DRAM in the order of the tensor, rounded once; by a kernel or by NumPy, no bit tells."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnc.isa import laying
from snnc.isa.program import Symbol
from snnc.numerics.formats import BF16, F16, F32, FORMATS, Format, encode
from snnc.runtime import tensors

EXTREMES = [
    *(0.0, -0.0, 65504.0, 65519.996, 65520.0, -1e9, np.inf, -np.inf, np.nan, -np.nan),
    *(
        2.0**-24,
        2.0**-25,
        -1.5 * 2.0**-24,
        2.5 * 2.0**-24,
        2.0**-14 - 2.0**-25,
        2.0**-140,
        3.4e38,
        1 + 2.0**-11,
        1 + 3 * 2.0**-11,
    ),
]
"""Zeros, the end of f16, subnormals and ties."""

BESIDE = 0xA5


@given(
    st.integers(0, 1 << 20),
    st.lists(st.sampled_from([1, 2, 3, 7, 16, 40]), min_size=1, max_size=4),
    st.sampled_from([0, 1, 3]),
    st.sampled_from([0, 2, 5]),
    st.sampled_from([0, 6, 64]),
    st.sampled_from([F16, F16, BF16, F32]),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=120, deadline=None)
def test_numbers_lie_where_they_belong(
    seed: int, shape: list[int], steps: int, samples: int, gap: int, fmt: Format, strided: bool, kernel: bool
) -> None:
    """A tensor with its axes in any order, behind steps that lie together or apart; numbers side by side or not."""
    random = np.random.default_rng(seed)
    order = tuple(random.permutation(len(shape)).tolist())
    lead = tuple(extent for extent in (steps, samples) if extent)
    size = prod(shape) * (samples or 1) * fmt.bits // 8  # of a step
    pitch = size + gap if steps > 1 and gap else 0
    symbol = Symbol("x", fmt.name, tuple(shape), tuple(shape), order, steps, samples, "input", "", 8, pitch=pitch)
    drawn = random.standard_normal((*lead, *shape)) * 10.0 ** random.integers(-8, 6)
    numbers = np.where(random.random(drawn.shape) < 0.2, random.choice(EXTREMES, drawn.shape), drawn)
    numbers = numbers.astype(np.float32)
    given_ = np.repeat(numbers, 2, axis=-1)[..., ::2] if strided else numbers
    dram = np.full(8 + max(steps, 1) * (pitch or size) + 8, BESIDE, np.uint8)
    expected = dram.copy()
    stored = encode(numbers, fmt).reshape(-1, *shape).transpose(0, *(1 + axis for axis in order))
    for step, content in enumerate(np.split(np.ascontiguousarray(stored), max(steps, 1))):
        first = 8 + step * (pitch or size)
        expected[first : first + size] = np.frombuffer(content.tobytes(), np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        if not kernel:
            patch.setattr(laying, "library", lambda: None)
        written = tensors.write(symbol, dram, given_)
    assert dram.tobytes() == expected.tobytes()
    assert written == symbol.bytes


@pytest.mark.compiled
@pytest.mark.parametrize("fmt", FORMATS.values(), ids=str)
def test_the_kernel_serves_for_formats_that_hold_any_number(fmt: Format) -> None:
    """So the test above has compared two forms; a format of integers says which numbers it does not hold."""
    memory = np.zeros(64, np.uint8)
    single, double = np.ones(3, np.float32), np.ones(3, np.float64)
    assert laying.laid(single, memory, fmt, (8,)) == (fmt in (F16, BF16, F32))
    assert not laying.laid(double, memory, fmt, (8,))
