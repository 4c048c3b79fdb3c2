"""Right operands that come back, changed or not: what was made of them serves as long as they are what they were."""

from __future__ import annotations

from collections.abc import Iterator
from mmap import PAGESIZE
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from snnc.isa.kernels import compiled
from snnc.isa.kernels.boxes import offsets, spans_of
from snnc.isa.kernels.contract import Contraction, accumulated, contract_exact, contract_ordered
from snnc.isa.kernels.nest import Operand
from snnc.numerics.formats import BF16, F16, F32, SPIKE, X64, X128, Format, encode

Array = NDArray[Any]

FORMS = [(SPIKE, F16, F32), (F16, F16, F32), (SPIKE, BF16, F32), (F32, F32, F32), (SPIKE, F16, X64), (F16, F16, X128)]
TERMS = 80
STATM = Path("/proc/self/statm")


@pytest.fixture(params=["never", "wherever it serves"])
def matrix(request: pytest.FixtureRequest) -> Iterator[None]:
    """When the unit for matrices is used, if there is one."""
    if not compiled.use_matrix(request.param) and request.param != "never":
        pytest.skip("this machine has no unit for matrices")
    yield
    compiled.use_matrix("where it pays")


def by_numpy(sums: Array, left: Operand, right: Operand, columns: int, rows: int, acc: Format) -> tuple[Array, int]:
    """The sums and the number of products that the NumPy form makes."""
    nest = (rows, columns, TERMS), (True, True, False), acc
    if acc == F32:
        return contract_ordered(sums, left, right, *nest)
    total, done = contract_exact(left, right, *nest)
    return accumulated(sums, total, acc), done


@pytest.mark.compiled
@given(
    st.integers(0, 9999),
    st.sampled_from(FORMS),
    st.tuples(st.sampled_from([1, 5, 40]), st.sampled_from([16, 27, 48, 140]), st.booleans()),
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.sampled_from(["nothing", "nothing", "nothing", "one", "last", "beside", "all", "special"]),
            st.sampled_from([0.1, 0.9]),
        ),
        min_size=8,
        max_size=24,
    ),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.usefixtures("matrix")
def test_an_operand_is_read_anew_as_soon_as_it_changes(
    seed: int, forms: tuple[Format, Format, Format], shape: tuple[int, int, bool], actions: list[tuple[int, str, float]]
) -> None:
    """*actions*: which operand of one memory comes next, what of it changes before, and how much of the left one is not
    zero.  The last operand is a part of the first, and begins where it does."""
    random = np.random.default_rng(seed)
    (left, right, acc), (rows, columns, terms_beside) = forms, shape
    gap = 3
    memory = encode(random.standard_normal((3, columns + gap, TERMS + gap)), right)
    if not terms_beside:
        memory = memory.transpose(0, 2, 1).copy().transpose(0, 2, 1)
    pair = (2,) if acc == X128 else ()
    sums = np.zeros((rows, columns, 1, *pair), acc.dtype)
    l_values = np.zeros((rows, 1, TERMS), left.dtype)
    widths = [columns, columns, columns, columns - 7]
    tiles = [memory[which % 3, :width, :TERMS][None] for which, width in enumerate(widths)]
    kernels = [
        Contraction(
            sums[:, :width],
            Operand(l_values, left),
            Operand(tile, right),
            (rows, width, TERMS),
            (True, True, False),
            acc,
        )
        for width, tile in zip(widths, tiles, strict=True)
    ]
    for which, change, density in actions:
        tile, width = tiles[which], widths[which]
        place = 0, int(random.integers(width)), int(random.integers(TERMS))
        if change == "last":
            place = 0, width - 1, TERMS - 1
        if change in ("one", "last"):
            tile[place] = encode(np.array(random.standard_normal()), right)
        elif change == "beside":
            memory[which % 3, width:] = encode(np.array(random.standard_normal()), right)
            memory[which % 3, :, TERMS:] = encode(np.array(random.standard_normal()), right)
        elif change == "all":
            tile[...] = encode(random.standard_normal(tile.shape), right)
        elif change == "special":
            tile[place] = encode(np.array(random.choice([np.inf, -np.inf, np.nan, -0.0])), right)
        values = np.ones(l_values.shape) if left == SPIKE else random.standard_normal(l_values.shape)
        l_values[...] = encode(np.where(random.random(l_values.shape) < density, values, 0.0), left)
        here = sums[:, :width]
        expected, counted = by_numpy(here, Operand(l_values, left), Operand(tile, right), width, rows, acc)
        assert kernels[which].add(False) == counted
        assert here.tobytes() == np.broadcast_to(expected, here.shape).tobytes()


@pytest.mark.compiled
def test_more_operands_than_are_kept_take_turns() -> None:
    """Two rounds of 200 operands, of which the second finds each of them changed."""
    random = np.random.default_rng(1)
    left = Operand(encode(random.standard_normal((4, 1, TERMS)), F16), F16)
    memory = encode(random.standard_normal((200, 32, TERMS)), F16)
    sums = np.zeros((4, 32, 1), np.float32)
    nest = (4, 32, TERMS), (True, True, False), F32
    for _ in range(2):
        for tile in memory:
            right = Operand(tile[None], F16)
            kernel = Contraction(sums, left, right, *nest)
            for _ in range(2):
                expected, _ = contract_ordered(None, left, right, *nest)
                kernel.add(True)
                assert sums.tobytes() == expected.tobytes()
        memory[...] = encode(random.standard_normal(memory.shape), F16)


@pytest.mark.compiled
def test_what_comes_back_is_decoded_once_and_little_is_kept() -> None:
    """Of ten calls with one operand nine find it unchanged; of forty operands not all stay.

    In a thread of its own, which has kept nothing before.
    """
    random = np.random.default_rng(2)
    rows, columns, terms = 4, 32, 2000
    left = Operand(encode(random.standard_normal((rows, 1, terms)), F16), F16)
    memory = encode(random.standard_normal((40, 1, columns, terms)), F16)
    sums = np.zeros((rows, columns, 1), np.float32)
    kernels = [
        Contraction(sums, left, Operand(tile, F16), (rows, columns, terms), (True, True, False), F32) for tile in memory
    ]
    kept = list[tuple[int, int]]()

    def calls() -> None:
        kept.append(compiled.kept())
        for _ in range(10):
            kernels[0].add(True)
        kept.append(compiled.kept())
        memory[0, 0, 1, 1] = encode(np.array(5.0), F16)
        kernels[0].add(True)
        kept.append(compiled.kept())
        for kernel in kernels:
            kernel.add(True)
        kept.append(compiled.kept())

    thread = Thread(target=calls)
    thread.start()
    thread.join()
    copy, words = columns * terms * 2, columns * (terms + 1) * 4
    assert kept[:3] == [(0, 0), (copy + words, 9), (copy + words, 9)]
    assert (2 << 20) < kept[3][0] <= (4 << 20) and kept[3][1] == 10


@pytest.mark.compiled
@pytest.mark.skipif(not STATM.exists(), reason="nobody here tells how much memory a process has")
def test_what_a_thread_has_kept_goes_when_it_ends() -> None:
    random = np.random.default_rng(3)
    left, right = (Operand(encode(random.standard_normal(shape), F16), F16) for shape in ((8, 1, 512), (1, 512, 512)))
    kept, resident = list[int](), list[int]()

    def calls() -> None:
        kernel = Contraction(np.zeros((8, 512, 1), np.float32), left, right, (8, 512, 512), (True, True, False), F32)
        for _ in range(3):
            kernel.add(True)
        kept.append(compiled.kept()[0])

    for _ in range(60):
        thread = Thread(target=calls)
        thread.start()
        thread.join()
        resident.append(int(STATM.read_text().split()[1]) * PAGESIZE)
    assert min(kept) > 1 << 20
    assert resident[-1] - resident[9] < sum(kept[10:]) / 4


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(-40, 40)), min_size=1, max_size=4), st.sampled_from([2, 4]))
def test_spans_hold_all_elements(axes: list[tuple[int, int]], size: int) -> None:
    steps = tuple(step if extent > 1 else 0 for extent, step in axes)
    spans = spans_of(tuple(extent for extent, _ in axes), steps, size)
    if spans is None:
        return
    places = {int(place) * size for place in offsets(tuple(zip((extent for extent, _ in axes), steps, strict=True)))}
    within = {int(start) + at for start in spans.starts for at in range(0, spans.length, size)}
    assert places <= within
    assert min(within) == min(places) and max(within) == max(places)
