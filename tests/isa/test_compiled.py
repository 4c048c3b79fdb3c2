"""Compiled kernels give the bits of the NumPy forms: strided, overlapping operands, extremes, any number of columns."""

from __future__ import annotations

import ctypes
import shutil
from pathlib import Path
from sysconfig import get_path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from snnc.isa.kernels import compiled
from snnc.isa.kernels.contract import accumulated, contract, contract_exact, contract_ordered
from snnc.isa.kernels.driven import contraction
from snnc.isa.kernels.nest import Operand
from snnc.isa.kernels.sources import digest
from snnc.isa.kernels.tiled import TERMS, tiles_of
from snnc.numerics.formats import BF16, F16, F32, SPIKE, TERNARY, U2, U4, U8, X64, X128, Format, encode

Array = NDArray[Any]

VALUES = [0.0, -0.0, 2.0**-24, -(2.0**-24), 3 * 2.0**-20, 65504.0, -65504.0, 1.0, -1.5, 0.333251953125, 2.0**-14]
SPECIAL = [*VALUES, np.inf, -np.inf, np.nan]


def drawn(
    random: np.random.Generator,
    fmt: Format,
    count: int,
    density: float,
    size: float = 1.0,
    special: bool = False,
    extremes: bool = True,
) -> Array:
    """Storage, so many of its elements other than zero; floats of about *size*, and a few extreme ones among them."""
    if fmt.kind in ("bit", "unsigned"):
        values = random.integers(1, min(int(fmt.maximum), 5) + 1, count)
    elif fmt.kind == "sign":
        values = random.choice([-1, 1], count)
    else:
        chosen = random.choice(SPECIAL if special else VALUES, count)
        values = np.where(random.random(count) < 0.3 * extremes, chosen, random.standard_normal(count) * size)
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


def laid_sums(random: np.random.Generator, fmt: Format, extents: tuple[int, ...], kept: tuple[bool, ...]) -> Array:
    """Accumulators in a memory of their own, in any order of the axes, some of them flagged."""
    order: list[int] = random.permutation(len(extents)).tolist()
    shape = tuple(extent if keep else 1 for extent, keep in zip(extents, kept, strict=True))
    pair = (2,) if fmt == X128 else ()
    memory = np.zeros((*(shape[axis] for axis in order), *pair), fmt.dtype)
    sums = memory.transpose(*np.argsort(order), *(len(order) for _ in pair))
    if fmt == F32:
        sums[...] = random.choice(np.array([1.0, -0.0, 0.0, 2.0**-140, -3.5, np.inf], np.float32), shape)
    elif fmt == X64:
        sums[...] = random.choice(
            np.array([0, 5, -(1 << 40), (1 << 63) - 1, -(1 << 63), 1 - (1 << 63)], np.int64), shape
        )
    else:
        top, ones = 1 << 63, (1 << 64) - 1
        pairs = [(0, 0), (ones, 0), (ones, ones), (5, 1 << 30), (ones, top - 1), (0, top), (1, top)]
        pairs += [(ones - 1, top - 1 - (1 << 52)), (3, top + (1 << 52)), (ones, 1 << 62)]  # far, but no flags
        sums[...] = np.array(pairs, np.uint64)[random.integers(0, len(pairs), shape)]
    return sums


def by_numpy(
    sums: Array,
    fresh: bool,
    left: Operand | None,
    right: Operand,
    extents: tuple[int, ...],
    kept: tuple[bool, ...],
    fmt: Format,
) -> tuple[Array, int]:
    """What `contract` has to give."""
    if fmt == F32:
        return contract_ordered(None if fresh else sums, left, right, extents, kept, fmt)
    total, done = contract_exact(left, right, extents, kept, fmt)
    return (total if fresh else accumulated(sums, total, fmt)), done


def check(sums: Array, *how: Any) -> None:
    """With the unit for matrices wherever it serves, and without it."""
    expected, counted = by_numpy(sums, *how)
    before = sums.copy()
    for when in ("wherever it serves", "never") if how[-1] != F32 else ("where it pays",):
        compiled.use_matrix(when)
        sums[...] = before
        done = contract(sums, *how)
        compiled.use_matrix("where it pays")
        assert sums.tobytes() == np.broadcast_to(expected, sums.shape).tobytes()
        assert done == counted


LEFT: list[Format | None] = [None, SPIKE, U2, U4, U8, TERNARY]
FORMS: list[tuple[Format, Format | None, Format]] = [
    *((F32, left, right) for left in (*LEFT, F16, BF16, F32) for right in (F16, BF16, F32)),
    *((X64, left, F16) for left in LEFT),
    *((X128, left, F16) for left in (*LEFT, F16)),
]
"""Formats of sums, left and right operands that the kernels have; None on the left means ones."""


@pytest.mark.compiled
@given(
    nests(),
    st.sampled_from(FORMS),
    st.sampled_from([0.0, 0.05, 0.3, 1.0]),
    st.sampled_from([2.0**-12, 1.0, 40.0]),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_sums_are_those_of_numpy(
    nest: Nest, form: tuple[Format, Format | None, Format], density: float, size: float, special: bool, fresh: bool
) -> None:
    seed, extents, kept, in_left, in_right = nest
    acc, left, right = form
    random = np.random.default_rng(seed)
    how = {"size": size, "special": special}
    l_operand = None if left is None else Operand(laid(random, left, extents, in_left, density=density, **how), left)
    r_operand = Operand(laid(random, right, extents, in_right, density=0.9, **how), right)
    check(laid_sums(random, acc, extents, kept), fresh, l_operand, r_operand, extents, kept, acc)


class Window(NamedTuple):
    """A layer's contraction: its left operand walks along *axes* of a tensor of *shape*, by *steps*; the right one has
    the loops *right*, the first *kept* loops are those of sums."""

    extents: tuple[int, ...]
    kept: int
    shape: tuple[int, ...]
    axes: tuple[int | None, ...]
    steps: tuple[int, ...]
    right: tuple[int, ...]


WINDOWS = {
    "forward": Window((2, 18, 6, 5, 3, 3, 16), 4, (2, 8, 7, 16), (0, None, 1, 2, 1, 2, 3), (1,) * 7, (1, 4, 5, 6)),
    "strided": Window(
        (2, 40, 3, 4, 3, 3, 10), 4, (2, 7, 9, 10), (0, None, 1, 2, 1, 2, 3), (1, 0, 2, 2, 1, 1, 1), (1, 4, 5, 6)
    ),
    "backward": Window(
        (2, 65, 6, 5, 3, 3, 16), 4, (2, 8, 7, 16), (0, None, 1, 2, 1, 2, 3), (1, 0, 1, 1, -1, -1, 1), (1, 4, 5, 6)
    ),
    "gradient": Window((70, 16, 3, 3, 2, 6, 5), 4, (2, 8, 7, 16), (None, 3, 1, 2, 0, 1, 2), (1,) * 7, (0, 4, 5, 6)),
    "image": Window((24, 6, 5, 3, 3), 3, (8, 7), (None, 0, 1, 0, 1), (1,) * 5, (0, 3, 4)),
    "moments": Window((20, 3, 7, 9), 1, (3, 7, 9, 20), (3, 0, 1, 2), (1,) * 4, (0, 1, 2, 3)),
    "runs": Window((7, 20, 2, 500), 2, (9, 600), (0, None, 0, 1), (1,) * 4, (1, 2, 3)),
    "rows": Window((5, 48, 30), 2, (5, 30), (0, None, 1), (1,) * 3, (1, 2)),
}


@pytest.mark.compiled
@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("density", [0.1, 0.9])
@pytest.mark.parametrize("acc", [F32, X64, X128], ids=str)
def test_windows_of_layers_are_those_of_numpy(name: str, acc: Format, density: float) -> None:
    window = WINDOWS[name]
    random = np.random.default_rng(3)
    sizes = tuple(1 if axis is None else extent for axis, extent in zip(window.axes, window.extents, strict=True))
    r_shape = [extent if axis in window.right else 1 for axis, extent in enumerate(window.extents)]
    kept = tuple(axis < window.kept for axis in range(len(sizes)))
    for left, right in ((left, right) for form, left, right in FORMS if form == acc):
        tensor = drawn(random, left or SPIKE, int(np.prod(window.shape)), density=density).reshape(window.shape)
        pairs = zip(window.axes, window.steps, strict=True)
        walk = [0 if axis is None else tensor.strides[axis] * step for axis, step in pairs]
        start = -sum(min(step, 0) * (extent - 1) for step, extent in zip(walk, window.extents, strict=True))
        l_storage = np.ndarray(sizes, tensor.dtype, tensor.data, start, walk)
        r_storage = drawn(random, right, int(np.prod(r_shape)), density=0.9).reshape(r_shape)
        operands = None if left is None else Operand(l_storage, left), Operand(r_storage, right)
        for fresh in (True, False):
            check(laid_sums(random, acc, window.extents, kept), fresh, *operands, window.extents, kept, acc)


@pytest.mark.compiled
@pytest.mark.parametrize("form", FORMS, ids=lambda form: "_".join(str(fmt) for fmt in form))
def test_finite_operands_of_usual_size_are_served(form: tuple[Format, Format | None, Format]) -> None:
    """So that the tests above do not compare the NumPy forms with themselves."""
    acc, left, right = form
    random = np.random.default_rng(5)
    l_operand = (
        None if left is None else Operand(drawn(random, left, 60, density=0.5, extremes=False).reshape(6, 1, 10), left)
    )
    r_operand = Operand(drawn(random, right, 170, density=0.9, extremes=False).reshape(1, 17, 10), right)
    extents, kept = (6, 17, 10), (True, True, False)
    sums = laid_sums(random, acc, extents, kept)
    call = contraction(sums, l_operand, r_operand, extents, kept, acc)
    assert call is not None and call(True) >= 0


@pytest.mark.compiled
@pytest.mark.parametrize(
    "form", [form for form in FORMS if form[1]], ids=lambda form: "_".join(str(fmt) for fmt in form)
)
@pytest.mark.parametrize("fresh", [True, False])
def test_zeros_add_nothing_whatever_they_meet(form: tuple[Format, Format, Format], fresh: bool) -> None:
    """And kernels serve for that: errors of whole tiles are zero where the windows of neurons are closed."""
    acc, left, right = form
    random = np.random.default_rng(6)
    l_operand = Operand(drawn(random, left, 60, density=0.0).reshape(6, 1, 10), left)
    r_operand = Operand(drawn(random, right, 170, density=0.9, special=True).reshape(1, 17, 10), right)
    extents, kept = (6, 17, 10), (True, True, False)
    sums = laid_sums(random, acc, extents, kept)
    expected = np.zeros_like(sums) if fresh else sums.copy()
    if acc == F32:
        expected[np.isnan(expected)] = np.nan
    call = contraction(sums, l_operand, r_operand, extents, kept, acc)
    assert call is not None and call(fresh) == 0
    assert sums.tobytes() == expected.tobytes()


@pytest.mark.compiled
@pytest.mark.parametrize("form", FORMS, ids=lambda form: "_".join(str(fmt) for fmt in form))
@pytest.mark.parametrize("extents", [(6, 0, 17), (3, 0, 40), (1, 0, 1)])
def test_where_there_are_no_terms_sums_stay_or_are_zero(
    form: tuple[Format, Format | None, Format], extents: tuple[int, int, int]
) -> None:
    """A window of which nothing is there; a kernel serves."""
    acc, left, right = form
    m, k, n = extents
    l_operand = None if left is None else Operand(np.zeros((m, k, 1), left.dtype), left)
    r_operand = Operand(np.zeros((1, k, n), right.dtype), right)
    kept = (True, False, True)
    for fresh in (True, False):
        sums = laid_sums(np.random.default_rng(7), acc, extents, kept)
        others = sums.copy()
        call = contraction(others, l_operand, r_operand, extents, kept, acc)
        assert call is not None and call(fresh) == 0
        check(sums, fresh, l_operand, r_operand, extents, kept, acc)


@pytest.mark.compiled
@pytest.mark.parametrize("left", [F16, BF16, F32], ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("right", [F16, BF16, F32], ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("density", [0.1, 1.0])
@pytest.mark.parametrize("scale", [1.0, 2.0**-125, 2.0**-133])
def test_products_round_before_they_are_summed(left: Format, right: Format, density: float, scale: float) -> None:
    """Pairs whose products f32 does not hold, because of their length or because they are subnormal."""
    random = np.random.default_rng(1)
    rows = np.where(random.random((8, 1, 100)) < density, random.standard_normal((8, 1, 100)), 0)
    columns = random.standard_normal((1, 48, 100)) * (1.0 if right == F16 else scale)
    operands = Operand(encode(rows, left), left), Operand(encode(columns, right), right)
    check(np.zeros((8, 48, 1), np.float32), True, *operands, (8, 48, 100), (True, True, False), F32)


@pytest.mark.compiled
@pytest.mark.parametrize("size", [2.0**-24, 2.0**-10, 0.4, 3.0, 127.9, 128.0, 1000.0, 65504.0])
@pytest.mark.parametrize("left", [None, SPIKE, U8, F16], ids=str)
@pytest.mark.parametrize("along", ["rows", "columns"])
def test_exact_sums_of_any_size_fit_the_words_they_are_formed_in(size: float, left: Format | None, along: str) -> None:
    """All terms have one sign and the largest magnitude: partial sums are widened before they leave their words."""
    extents = (3, 70, 300) if along == "rows" else (16, 70, 300)
    kept = (True, True, False)
    l_values = np.full((extents[0], 1, 300), 1.0 if left == SPIKE else 255.0 if left == U8 else size)
    if along == "columns":  # of the left operand, rows stand side by side
        l_values = l_values.transpose(2, 1, 0).copy().transpose(2, 1, 0)
    l_operand = None if left is None else Operand(encode(l_values, left), left)
    if left is None:
        extents = (1, *extents[1:])
    r_operand = Operand(encode(np.full((1, 70, 300), -size), F16), F16)
    acc = X128 if left == F16 else X64
    shape = (extents[0], 70, 1) + ((2,) if acc == X128 else ())
    check(np.zeros(shape, acc.dtype), True, l_operand, r_operand, extents, kept, acc)


@pytest.mark.compiled
@given(
    st.integers(0, 9999),
    st.tuples(st.sampled_from([1, 2, 3, 5, 9, 17, 23, 40]), st.sampled_from([1, 30, 40, 64, 75, 90, 150])),
    st.sampled_from([7, 128, 129, 300]),
    st.sampled_from([(F32, F16), (F32, SPIKE), (F32, U8), (X64, SPIKE), (X64, U8), (X128, F16), (X128, U8)]),
    st.tuples(st.sampled_from(["rows", "runs", "terms"]), st.booleans()),
    st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_panels_go_over_parts_of_all_terms(
    seed: int, sides: tuple[int, int], terms: int, form: tuple[Format, Format], beside: tuple[str, bool], infinite: bool
) -> None:
    """Rows, or terms, of the left operand stand side by side, in runs of eleven rows or in one; of the right one it is
    columns or terms; one of its elements may be infinite beside zeros."""
    random = np.random.default_rng(seed)
    acc, left = form
    rows, columns = sides
    l_values = drawn(random, left, rows * terms, density=0.95, extremes=False).reshape(rows, 1, terms)
    if beside[0] == "rows":
        l_values = l_values.transpose(2, 1, 0).copy().transpose(2, 1, 0)
    elif beside[0] == "runs":
        padded = np.zeros((-(-rows // 11), terms, 13), l_values.dtype)
        for row in range(rows):
            padded[row // 11, :, row % 11] = l_values[row, 0]
        l_values = padded[:, :, :11].transpose(0, 2, 1)[:, :, None]
    loops = l_values.shape[:-2]
    r_values = drawn(random, F16, terms * columns, density=0.9, extremes=False).reshape(terms, columns)
    if infinite:
        r_values[terms - 1, columns // 2] = encode(np.array(np.inf), F16)
    r_values = r_values if beside[1] else r_values.T.copy().T
    r_storage = r_values.T.reshape(*(1 for _ in loops), columns, terms)
    extents, kept = (*loops, columns, terms), (*(True for _ in loops), True, False)
    for fresh in (True, False):
        sums = laid_sums(random, acc, extents, kept)
        if acc == F32:
            sums[...] = random.choice(np.array([1.0, 0.5, 2.0**-140], np.float32), sums.shape)
        check(sums, fresh, Operand(l_values, left), Operand(r_storage, F16), extents, kept, acc)


@pytest.mark.compiled
@pytest.mark.parametrize("left", [SPIKE, TERNARY, U4, F16], ids=str)
@pytest.mark.parametrize("beside", ["terms", "rows"])
@pytest.mark.parametrize("size", [2.0**-12, 0.3, 20.0])
def test_units_for_matrices_go_over_parts_of_all_terms(left: Format, beside: str, size: float) -> None:
    """More terms than are taken together, rows that are no whole blocks, numbers of two to four digits."""
    random = np.random.default_rng(11)
    rows, columns, terms = 37, 40, 2300
    l_values = drawn(random, left, rows * terms, density=0.7, size=size, extremes=False).reshape(rows, 1, terms)
    if beside == "rows":
        l_values = l_values.transpose(2, 1, 0).copy().transpose(2, 1, 0)
    r_values = drawn(random, F16, columns * terms, density=0.9, size=size, extremes=False).reshape(1, columns, terms)
    operands = Operand(l_values, left), Operand(r_values, F16)
    sums = np.zeros((rows, columns, 1, 2), X128.dtype)
    for fresh in (True, False):
        check(sums, fresh, *operands, (rows, columns, terms), (True, True, False), X128)


@pytest.mark.compiled
def test_every_half_is_read_as_it_is() -> None:
    halves = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16).view(np.float16)
    one = Operand(np.ones((1, 1), np.float16), F16)
    found = np.empty((1 << 16, 1), np.float32)
    contract(found, True, Operand(halves[:, None], F16), one, (1 << 16, 1), (True, False), F32)
    with np.errstate(invalid="ignore"):
        numbers = halves.astype(np.float32)[:, None] + np.float32(0)
    assert np.array_equal(found, numbers, equal_nan=True)


def test_versions_for_other_machines_give_the_same_bits(other_version: str) -> None:
    assert compiled.vectors() == other_version
    test_sums_are_those_of_numpy()
    test_panels_go_over_parts_of_all_terms()
    for acc in (X64, X128):
        test_windows_of_layers_are_those_of_numpy("runs", acc, 0.1)


@pytest.mark.compiled
@pytest.mark.skipif(not Path(get_path("include"), "Python.h").exists(), reason="needs the headers of Python")
def test_kernels_are_functions_of_python_where_its_headers_were_there() -> None:
    library = compiled.library()
    assert library is not None
    with pytest.raises(TypeError, match=r"^1 arguments, but 3 are taken$"):
        library.snnc_move(b"")
    with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
        library.snnc_drain(b"", "")


def test_the_environment_may_ask_for_the_forms_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(compiled.CHOICE, "numpy")
    compiled.library.cache_clear()
    assert compiled.library() is None
    assert compiled.why_none() == "SNNC_KERNELS=numpy says so"
    assert compiled.vectors() == ""
    compiled.library.cache_clear()


@pytest.mark.compiled
def test_the_environment_may_ask_for_vectors_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(compiled.CHOICE, raising=False)
    compiled.library.cache_clear()
    exact = "contract: exact sums of products of two f16"
    assert dict(compiled.listed())[exact].endswith(" and AMX") == compiled.use_matrix("where it pays")
    monkeypatch.setenv(compiled.CHOICE, "vectors")
    compiled.library.cache_clear()
    assert dict(compiled.listed())[exact] == f"compiled, {compiled.vectors()}"
    monkeypatch.delenv(compiled.CHOICE)
    compiled.library.cache_clear()


@given(st.data())
def test_tiles_hold_each_term_once(data: st.DataObject) -> None:
    """Where a tile begins in the box, and a slot behind that, stands the element of the slot's term, turned or not."""
    size = data.draw(st.sampled_from([64, 700, 4096]))
    apart = data.draw(st.sampled_from([1, 3, 16, 32]))
    places = np.array(sorted(data.draw(st.sets(st.integers(0, size // apart - 1), min_size=1))), np.int64) * apart
    order = np.array(data.draw(st.permutations(range(places.size))))
    rows = np.arange(max(size - int(places.max()), 1), dtype=np.int64)
    tiles = tiles_of(rows, places[order], size, 1 if apart > 1 else 64)
    assert tiles is not None
    assert sorted(tiles.slots[tiles.slots >= 0].tolist()) == list(range(places.size))
    for slot in np.flatnonzero(tiles.slots >= 0).tolist():
        term = int(tiles.slots[slot])
        at = tiles.rows + tiles.places[slot // TERMS] + slot % TERMS
        if tiles.turned:
            at = at % tiles.pitch * tiles.turned + at // tiles.pitch
        assert np.array_equal(at, rows + places[order][term])


def test_terms_that_share_an_element_are_no_tiles() -> None:
    assert tiles_of(np.zeros(1, np.int64), np.array([0, 1, 1]), 2, 2) is None


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


@pytest.mark.compiled
@pytest.mark.skipif(
    digest(Path(compiled.__file__).parent) is None, reason="there are no C files beside what is installed"
)
def test_kernels_of_other_sources_are_not_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a pull leaves of an editable install: C files that are new, and what was compiled from those before."""
    here = Path(compiled.__file__).parent
    for path in [*here.glob("_*.[ch]"), *here.glob("_compiled*.so")]:
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(compiled, "__file__", str(tmp_path / "compiled.py"))
    compiled.library.cache_clear()
    assert compiled.library() is not None
    with (tmp_path / "_taps.h").open("a") as header:
        header.write("/* another */\n")
    compiled.library.cache_clear()
    assert compiled.library() is None
    anew = "those here were compiled from other C files or for another machine; `pip install -e .` compiles them anew"
    assert compiled.why_none() == anew
    assert {by for _, by in compiled.listed()} == {f"NumPy: {anew}"}
    monkeypatch.setattr(ctypes, "CDLL", type("Before", (), {"__init__": lambda self, path: None}))  # pyright: ignore
    compiled.library.cache_clear()
    assert compiled.library() is None  # made before it could tell its sources
    compiled.library.cache_clear()


def test_a_digest_of_sources_is_of_names_and_bytes(tmp_path: Path) -> None:
    assert digest(tmp_path) is None
    found: set[int | None] = set()
    for name, text in [("_a.c", "x"), ("_a.c", "y"), ("_b.h", "x"), ("_b.h", ""), ("_c.h", "")]:
        (tmp_path / name).write_text(text)
        found.add(digest(tmp_path))
    (tmp_path / "other.py").write_text("x")
    assert len(found) == 5 and digest(tmp_path) in found
