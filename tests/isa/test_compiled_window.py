"""Sums of windows by the compiled kernel have the bits of the NumPy form: overlapping windows, any format, extremes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnc.isa.kernels import compiled, pooled
from snnc.isa.kernels.window import pool_sum
from snnc.numerics.formats import BF16, F16, F32, SPIKE, U2, U4, U8, U16, Format, encode

SPECIAL = [0.0, -0.0, 65504.0, 65520.0, -65504.0, 2.0**-24, -(2.0**-25), 3e38, np.inf, -np.inf, np.nan]
SINGLES: list[float] = np.array([0.25, 1 / 9, -1.0, 1.0, 2.0**-60, 3e38, 0.0, np.inf], np.float32).tolist()


@pytest.mark.compiled
@given(
    st.integers(0, 1 << 20),
    st.sampled_from([F16, BF16, F32, SPIKE, U2, U4, U8, U16]),
    st.sampled_from([F16, BF16, F32, F16, BF16, F32, SPIKE, U2, U4, U8, U16]),
    st.sampled_from(SINGLES),
    st.tuples(st.integers(1, 9), st.integers(1, 40), st.integers(1, 20)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.integers(1, 3),
)
@settings(max_examples=100, deadline=None)
def test_sums_of_windows_are_those_of_numpy(
    seed: int,
    fmt: Format,
    out: Format,
    scale: float,
    outer: tuple[int, int, int],
    window: tuple[int, int],
    stride: int,
) -> None:
    """Rows, columns and channels; the storage has them in any order."""
    random = np.random.default_rng(seed)
    if out.whole:
        fmt, scale = fmt if fmt.whole else SPIKE, 1.0
    rows, columns, channels = outer
    image = (rows * stride + window[0], columns * stride + window[1], channels)
    if fmt.whole:
        most = min(fmt.maximum, out.maximum // 4 + 1) if out.whole else fmt.maximum
        storage = encode(random.integers(0, most + 1, image), fmt)
    else:
        chosen = random.choice(SPECIAL, image)
        storage = encode(np.where(random.random(image) < 0.1, chosen, random.standard_normal(image)), fmt)
    order: list[int] = random.permutation(3).tolist()
    memory = np.ascontiguousarray(storage.transpose(order))
    down, along, near = memory.transpose(np.argsort(order)).strides
    strides = down * stride, along * stride, near, down, along
    source = np.ndarray(outer + window, storage.dtype, memory.data, 0, strides)
    if random.random() < 0.2:
        source = source[:, :, :1]
    arguments = source, fmt, outer, window, scale, out
    found = outcome(*arguments)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pooled, "library", lambda: None)
        assert found == outcome(*arguments)


def outcome(*arguments: Any) -> tuple[tuple[int, ...], str, bytes] | str:
    """What there is of sums of windows, or why there is nothing."""
    try:
        found = pool_sum(*arguments)
    except ValueError as problem:
        return str(problem)
    return found.shape, found.dtype.str, found.tobytes()


@pytest.mark.compiled
def test_the_kernel_serves() -> None:
    """So the test above has compared two forms."""
    spikes = np.ones((4, 2, 2), np.uint8)
    assert pooled.pooled(spikes, SPIKE, (4,), (2, 2), 0.25, F16) is not None
    assert pooled.pooled(spikes, SPIKE, (4,), (2, 2), 1.0, U8) is not None
    assert pooled.pooled(spikes, SPIKE, (4,), (2, 2), 1.0, U2) is None  # it has not got 4
    assert pooled.pooled(spikes, SPIKE, (4,), (2, 2), 0.25, U8) is None


def test_the_version_for_every_machine_gives_the_same_bits(portable: None) -> None:
    assert compiled.vectors() == "portable"
    test_sums_of_windows_are_those_of_numpy()
