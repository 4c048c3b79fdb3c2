"""Spikes and packed counts that kernels read as they are in memory: any place, any order, and the taps of windows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from snnc.isa.kernels import compiled
from snnc.isa.kernels.boxes import window_of
from snnc.isa.kernels.contract import Contraction, accumulated, contract, contract_exact, contract_ordered
from snnc.isa.kernels.driven import contraction
from snnc.isa.kernels.nest import Operand, PackedOperand
from snnc.numerics.formats import BF16, F16, F32, SPIKE, TERNARY, U2, U4, X64, X128, Format, encode, pack

Array = NDArray[Any]
Shape = tuple[int, ...]


class Lying(NamedTuple):
    """An operand as it lies packed, and the same an element a byte."""

    packed: PackedOperand
    bytes: Operand


def lying(elements: Array, fmt: Format, first: int, shape: Shape, steps: Shape) -> Lying:
    """*elements* are those of the memory; loops begin at number *first*."""
    memory = pack(elements[None], fmt).reshape(-1)
    seen = np.ndarray(shape, np.uint8, elements.data, first, steps)
    return Lying(PackedOperand(memory, first, shape, steps, fmt), Operand(seen, fmt))


def bits(random: np.random.Generator, count: int, density: float) -> Array:
    """So many elements, a share of them set; with as many more that a last byte is full."""
    return (random.random(count + -count % 8) < density).astype(np.uint8)


def sums_of(random: np.random.Generator, fmt: Format, shape: Shape, zeros: bool) -> Array:
    """Accumulators; rounding ones with a -0 among them, or without."""
    if fmt == F32:
        return random.choice(np.array([1.0, -3.5, 2.0**-140, -0.0 if zeros else 0.25], np.float32), shape)
    if fmt == X64:
        return random.integers(-(1 << 40), 1 << 40, shape)
    return np.stack([random.integers(0, 1 << 62, shape), random.integers(0, 1 << 30, shape)], -1).astype(np.uint64)


def check(
    sums: Array, fresh: bool, left: Lying, right: Operand, extents: Shape, kept: tuple[bool, ...], acc: Format
) -> None:
    """The NumPy forms say what there has to be."""
    if acc == F32:
        expected, counted = contract_ordered(None if fresh else sums, left.bytes, right, extents, kept, acc)
    else:
        expected, counted = contract_exact(left.bytes, right, extents, kept, acc)
        expected = expected if fresh else accumulated(sums, expected, acc)
    for operand in left:
        found = sums.copy()
        assert contract(found, fresh, operand, right, extents, kept, acc) == counted
        assert found.tobytes() == np.broadcast_to(expected, found.shape).tobytes()


SIZES = st.sampled_from([2.0**-12, 1.0, 40.0, 3000.0])
DENSITIES = st.sampled_from([0.0, 0.02, 0.1, 0.4, 1.0])


@pytest.mark.compiled
@given(
    st.integers(0, 9999),
    st.tuples(*(st.sampled_from([1, 2, 3, 8, 17, 40, 64, 70]) for _ in range(3)), st.sampled_from([1, 16, 19, 150])),
    st.tuples(*(st.integers(-70, 70) for _ in range(3))),
    st.tuples(DENSITIES, SIZES),
    st.sampled_from([F32, X64, X128]),
    st.sampled_from([SPIKE, SPIKE, SPIKE, U2, U4, TERNARY]),
    st.booleans(),
)
@settings(max_examples=120, deadline=None)
def test_packed_elements_are_read_where_they_lie(
    seed: int, extents: Shape, steps: Shape, how: tuple[float, float], acc: Format, fmt: Format, fresh: bool
) -> None:
    """Loops (m, k, k, n), the left operand without the last one."""
    random = np.random.default_rng(seed)
    while np.prod(extents) > 60000:
        extents = tuple(max(extent // 2, 1) for extent in extents)
    density, size = how
    l_shape = (*extents[:3], 1)
    reach = [step * (extent - 1) for step, extent in zip(steps, l_shape, strict=False)]
    first = -sum(min(far, 0) for far in reach) + int(random.integers(0, 20))
    elements = bits(random, first + sum(max(far, 0) for far in reach) + 1, density)
    if fmt != SPIKE:
        elements *= random.choice(np.array([1, 3, 12, 15] if fmt == U4 else [1, 3], np.uint8), elements.size)
    r_shape = (1, *extents[1:])
    right = Operand(encode(random.standard_normal(r_shape) * size, F16), F16)
    kept = (True, False, False, True)
    sums = sums_of(random, acc, (extents[0], 1, 1, extents[3]), bool(random.integers(2)))
    check(sums, fresh, lying(elements, fmt, first, l_shape, (*steps, 0)), right, extents, kept, acc)


@st.composite
def gradients(draw: st.DrawFn) -> dict[str, Any]:
    """A weight gradient: the taps of a window over pixels of channels, and errors of other channels."""
    taps = draw(st.tuples(st.integers(1, 5), st.integers(1, 4)))
    return {
        "channels": draw(st.sampled_from([3, 8, 12, 40, 130])),
        "columns": draw(st.sampled_from([1, 3, 16, 17, 32, 50])),
        "taps": taps,
        "stride": draw(st.integers(1, 2)),
        "outputs": draw(st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 12))),
        "gap": draw(st.sampled_from([0, 0, 5, 8])),  # channels of the memory that the tile has not got
        "first": draw(st.integers(0, 9)),
    }


@pytest.mark.compiled
@given(gradients(), st.integers(0, 9999), DENSITIES, SIZES, st.sampled_from([F32, X64]), st.booleans(), st.booleans())
@settings(max_examples=120, deadline=None)
def test_gradients_of_windows_are_those_of_numpy(
    of: dict[str, Any], seed: int, density: float, size: float, acc: Format, fresh: bool, zeros: bool
) -> None:
    random = np.random.default_rng(seed)
    times, height, width = of["outputs"]
    down, across, stride, pitch = *of["taps"], of["stride"], of["channels"] + of["gap"]
    rows, columns = (height - 1) * stride + down, (width - 1) * stride + across
    extents = (of["columns"], of["channels"], down, across, times, height, width)
    steps = (0, 1, columns * pitch, pitch, rows * columns * pitch, columns * pitch * stride, pitch * stride)
    left = lying(
        bits(random, of["first"] + times * rows * columns * pitch, density),
        SPIKE,
        of["first"],
        (1, *extents[1:]),
        steps,
    )
    values = random.standard_normal((extents[0], 1, 1, 1, *extents[4:])) * size
    if acc == F32:
        values = np.where(random.random(values.shape) < 0.002, random.choice([np.inf, -np.inf, np.nan, -0.0]), values)
    right = Operand(encode(values, F16), F16)
    kept = (True,) * 4 + (False,) * 3
    check(sums_of(random, acc, (*extents[:4], 1, 1, 1), zeros), fresh, left, right, extents, kept, acc)


@pytest.mark.compiled
@pytest.mark.parametrize("form", [F16, BF16, F32], ids=str)
def test_gradients_of_windows_take_errors_of_any_float(form: Format) -> None:
    random = np.random.default_rng(1)
    extents, steps = (20, 16, 3, 3, 6, 7), (0, 1, 144, 16, 144, 16)
    left = lying(bits(random, 9 * 9 * 16, 0.3), SPIKE, 0, (1, *extents[1:]), steps)
    right = Operand(encode(random.standard_normal((20, 1, 1, 1, 6, 7)), form), form)
    check(np.zeros((20, 16, 3, 3, 1, 1), np.float32), True, left, right, extents, (True,) * 4 + (False,) * 2, F32)


def test_windows_are_found() -> None:
    """So that the tests above do not compare other kernels: loops (extent, step) of rows and of terms in a box."""
    pixels = ((14, 16 * 32), (14, 32))
    window = window_of(((3, 16 * 32), (3, 32), (32, 1)), pixels, 0, 16 * 16 * 32, 16)
    assert window is not None
    assert window.channels == 32
    assert window.shifts.tolist() == [0, 1, 2, 16, 17, 18, 32, 33, 34]  # pixels, from the corner
    assert window.terms.tolist() == [16 * row + column for row in range(14) for column in range(14)]
    assert window_of(((3, 32), (32, 1)), ((14, 64),), 0, 30 * 32, 16) is not None  # stride 2
    assert window_of(((3, 32), (32, 1)), ((14, -32),), 13 * 32, 16 * 32, 16) is None  # terms go backwards
    assert window_of(((4, 128), (128, 1)), ((64, 512),), 0, 64 * 512, 16) is None  # no taps: all are channels
    assert window_of(((3, 33), (32, 1)), ((14, 33),), 0, 16 * 33, 16) is None  # no pixels of 32


@pytest.mark.compiled
def test_bits_are_served_and_read_anew_each_time() -> None:
    random = np.random.default_rng(2)
    elements = bits(random, 6 * 80, 0.4)
    left = lying(elements, SPIKE, 0, (6, 1, 80), (80, 0, 1)).packed
    right = Operand(encode(random.standard_normal((1, 20, 80)), F16), F16)
    sums = np.zeros((6, 20, 1), np.float32)
    extents, kept = (6, 20, 80), (True, True, False)
    assert contraction(sums, left, right, extents, kept, F32) is not None
    call = Contraction(sums, left, right, extents, kept, F32)
    assert call.add(True) == 20 * int(elements.sum())
    left.bytes[...] = 0xFF
    assert call.add(True) == 20 * 480
    expected, _ = contract_ordered(None, Operand(np.ones((6, 1, 80), np.uint8), SPIKE), right, extents, kept, F32)
    assert np.array_equal(sums, expected)


def test_versions_for_other_machines_give_the_same_bits(other_version: str) -> None:
    assert compiled.vectors() == other_version
    test_packed_elements_are_read_where_they_lie()
    test_gradients_of_windows_are_those_of_numpy()
