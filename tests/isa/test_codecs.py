"""Codecs: what is encoded comes back bit for bit, takes the bytes that the closed formula says, and never more."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnc.isa.codecs.codec import CODECS, Codec, numbered
from snnc.isa.grid import Grid, block_bytes, from_blocks, to_blocks
from snnc.numerics.formats import BF16, F16, F32, SPIKE, TERNARY, U4, U8, Format

BLOCKED = [name for name in CODECS if not CODECS[name].fixed]
FORMATS = (SPIKE, TERNARY, U4, U8, F16, BF16, F32)
HELD = [(name, fmt) for name in BLOCKED for fmt in FORMATS if CODECS[name].unit(fmt)]


def drawn(
    seed: int, density: float, shape: tuple[int, int], fmt: Format
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Blocks of that many bytes, whose elements are something with probability *density*."""
    draw = np.random.default_rng(seed)
    bytes_of = max(fmt.bits // 8, 1)
    if fmt.bits < 8:
        bits = draw.random((shape[0], shape[1] * 8 // fmt.bits)) < density
        return np.packbits(np.repeat(bits, fmt.bits, axis=1), axis=1, bitorder="little")
    kept = np.repeat(draw.random((shape[0], shape[1] // bytes_of)) < density, bytes_of, axis=1)
    return np.where(kept, draw.integers(1, 256, shape, np.uint8), np.uint8(0))


def test_codecs_have_numbers_of_their_own() -> None:
    assert set(CODECS) == {"raw", "bits", "events", "nonzero", "tiles"}
    assert len({CODECS[name].number for name in CODECS}) == len(CODECS)
    assert all(numbered(CODECS[name].number) is CODECS[name] for name in BLOCKED)
    with pytest.raises(ValueError, match="no codec of blocks has the number 0"):
        numbered(CODECS["raw"].number)


@pytest.mark.parametrize(("name", "fmt"), HELD, ids=str)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), density=st.sampled_from([0.0, 0.01, 0.2, 0.7, 1.0]), rows=st.integers(1, 40))
def test_what_is_encoded_comes_back(name: str, fmt: Format, seed: int, density: float, rows: int) -> None:
    codec, block = CODECS[name], rows * 8 * fmt.bits
    blocks = drawn(seed, density, (5, block), fmt)
    blocks[0] = 0
    stored, sizes = codec.encoded(blocks, fmt)
    garbage = np.where(np.arange(block) < sizes[:, None], stored, np.uint8(0xA5))
    assert np.array_equal(codec.decoded(garbage, sizes, block, fmt), blocks)
    assert sizes[0] == 0
    assert (sizes <= block).all()
    width = codec.unit(fmt) * fmt.bits
    bits = np.unpackbits(blocks, axis=1, bitorder="little").reshape(5, -1, width)
    assert np.array_equal(sizes, codec.size(bits.any(axis=2).sum(axis=1), block, fmt))


def test_a_bitmap_and_the_values_behind_it() -> None:
    """Elements 1 and 9 of ten, in f16: two bytes of bitmap, then 1.0 and minus zero, which is something."""
    block = np.zeros(16, np.float16)
    block[[1, 9]] = 1.0, -0.0
    stored, sizes = CODECS["nonzero"].encoded(block.view(np.uint8)[None], F16)
    assert sizes.tolist() == [6]
    assert stored[0, :6].tolist() == [0b10, 0b10, 0x00, 0x3C, 0x00, 0x80]


def test_tiles_have_eight_channels() -> None:
    """Of 24 spikes the middle eight: a bit of three, and a byte."""
    stored, sizes = CODECS["tiles"].encoded(np.array([[0, 0b1001, 0]], np.uint8), SPIKE)
    assert (sizes.tolist(), stored[0, :2].tolist()) == ([2], [0b010, 0b1001])


def test_events_are_coordinates() -> None:
    """Of 256 bits the numbers are bytes, of more they are two."""
    block = np.zeros((1, 32), np.uint8)
    block[0, [0, 31]] = 0b10, 0x80
    stored, sizes = CODECS["events"].encoded(block, SPIKE)
    assert stored[0, : sizes[0]].tolist() == [1, 255]
    wide = np.zeros((1, 64), np.uint8)
    wide[0, 63] = 0x80
    stored, sizes = CODECS["events"].encoded(wide, SPIKE)
    assert stored[0, : sizes[0]].tolist() == [0xFF, 0x01]


@pytest.mark.parametrize("name", BLOCKED)
def test_what_would_take_more_lies_as_it_is(name: str) -> None:
    fmt = SPIKE if CODECS[name].unit(SPIKE) else F16
    full = np.full((1, 32), 0xFF, np.uint8)
    stored, sizes = CODECS[name].encoded(full, fmt)
    assert sizes.tolist() == [32]
    assert np.array_equal(stored, full)


@pytest.mark.parametrize(
    ("name", "fmt", "stored", "size", "message"),
    [
        ("nonzero", F16, [0b11, 0, 0, 0, 0], 3, "a block of 3 bytes has a bitmap of others"),
        ("tiles", SPIKE, [0b1], 1, "a block of 1 bytes has a bitmap of others"),
        ("tiles", SPIKE, [0], 99, "a block of 16 bytes takes 99"),
        ("events", SPIKE, [7, 7], 2, "coordinates in a block of 128 elements do not ascend, or lie outside of it"),
        ("events", SPIKE, [200], 1, "coordinates in a block of 128 elements do not ascend, or lie outside of it"),
    ],
)
def test_what_is_no_block_is_refused(name: str, fmt: Format, stored: list[int], size: int, message: str) -> None:
    row = np.array([stored + [0] * (16 - len(stored))], np.uint8)
    with pytest.raises(ValueError, match=re.escape(message)):
        CODECS[name].decoded(row, np.array([size]), 16, fmt)


def test_coordinates_of_two_bytes_end_with_both() -> None:
    with pytest.raises(ValueError, match="coordinates of 2 bytes end inside of one"):
        CODECS["events"].decoded(np.zeros((1, 64), np.uint8), np.array([3]), 64, SPIKE)


def test_a_tensor_is_a_grid_of_blocks_in_slots_of_whole_bursts_and_a_directory() -> None:
    """7 x 20 f16 in blocks of 4 x 16: 2 x 2 blocks of 128 bytes, each in a slot of its own, and 4 entries behind."""
    grid = Grid.of("nonzero", F16, (7, 20), (4, 16), 64)
    assert (grid.counts, grid.strides, grid.block, grid.slot) == ((2, 2), (2, 1), 128, 128)
    assert (grid.directory, grid.bytes) == (512, 520)
    assert Grid.of("tiles", SPIKE, (3, 10), (1, 10), 32).slot == 32
    assert block_bytes((3, 10), SPIKE) == 4


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_elements_come_back_from_blocks(fmt: Format) -> None:
    most = 2 if fmt.bits == 1 else 4 if fmt.bits == 2 else 16
    values = np.random.default_rng(0).integers(0, most, (4, 6, 20)).astype(fmt.dtype)
    rows = to_blocks(values, (2, 3, 10), fmt)
    assert rows.shape == (2 * 2 * 2, block_bytes((2, 3, 10), fmt))
    back = from_blocks(rows, (2, 2, 2), (2, 3, 10), fmt)
    assert np.array_equal(back, values)
    first: Codec = CODECS["tiles"]
    assert first.there(rows, fmt).sum() == np.count_nonzero(rows.reshape(8, -1, fmt.bits).any(axis=-1))


@pytest.mark.parametrize(("name", "fmt"), HELD, ids=str)
@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 999),
    density=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    extents=st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 5), st.integers(1, 20)),
    cut=st.tuples(st.just(1), st.integers(1, 6), st.integers(1, 5), st.integers(1, 20)),
)
def test_a_whole_tensor_comes_back_from_its_grid(
    name: str, fmt: Format, seed: int, density: float, extents: tuple[int, ...], cut: tuple[int, ...]
) -> None:
    """Blocks of any size, also ones that end behind the tensor; what they take is what the codec says of each."""
    draw = np.random.default_rng(seed)
    most = 2 if fmt.bits == 1 else 4 if fmt.bits == 2 else 16
    values = np.where(draw.random(extents) < density, draw.integers(1, most, extents), 0).astype(fmt.dtype)
    grid = Grid.of(name, fmt, extents, tuple(map(min, cut, extents)), 64)
    stored, taken = grid.stored(values)
    assert len(stored) == grid.bytes
    assert np.array_equal(grid.elements(stored), values)
    there = [0]
    for corner in np.ndindex(grid.counts):
        places = tuple(slice(at * n, at * n + n) for at, n in zip(corner, grid.blocks, strict=True))
        box = np.zeros(grid.blocks, fmt.dtype)
        found = values[places]
        box[tuple(slice(0, n) for n in found.shape)] = found
        bits = np.append(box.ravel() != 0, [False] * 8)
        unit = grid.codec.unit(fmt)
        there.append(sum(bool(bits[at : at + unit].any()) for at in range(0, box.size, unit)))
    sizes = grid.codec.size(np.array(there), grid.block, fmt)
    assert taken == sizes.sum() + 2 * (len(there) - 1)
