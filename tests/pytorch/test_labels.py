"""Elements of a state that wear labels are found again wherever they went, and nothing else is taken for one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from snnc.pytorch.give_back import placed
from snnc.pytorch.labels import Labels, Source, sources
from snnc.source import DataError, Faults, Place

SHAPES: dict[str, tuple[int, ...]] = {
    "fc.weight": (3, 4),
    "fc.bias": (3,),
    "0.square": (3, 3),
    "scale": (),
    "wide": (5000,),
}


def test_no_two_elements_wear_the_same_label() -> None:
    labels = Labels(SHAPES)
    every = np.concatenate([labels.of(entry).reshape(-1) for entry in SHAPES])
    assert every.dtype == np.float32
    assert np.unique(every).size == every.size == 3 * 4 + 3 + 9 + 1 + 5000
    assert (every > 0).all() and np.isfinite(every).all()


@pytest.mark.parametrize("entry", SHAPES)
def test_an_entry_is_read_in_any_shape_and_transposed(entry: str) -> None:
    labels = Labels(SHAPES)
    worn = labels.of(entry)
    assert labels.read(worn) == Source(entry)
    assert labels.read(worn.reshape(-1, 1)) == Source(entry)
    if worn.ndim == 2:
        assert labels.read(worn.T) == Source(entry, True)


def test_what_is_not_whole_or_was_computed_with_is_no_entry() -> None:
    labels = Labels(SHAPES)
    worn, bias = labels.of("fc.weight"), labels.of("fc.bias")
    wrong: list[NDArray[Any]] = [
        worn[:2], worn[::-1], worn * 2, worn + 1, np.roll(worn, 1, 0), np.concatenate([worn.reshape(-1)[:9], bias]),
        np.array([], np.float32),
    ]  # fmt: skip
    assert [labels.read(array) for array in wrong] == [None] * len(wrong)


@given(st.integers(-(2**11), 2**11), st.integers(-4, 20))
def test_a_number_of_few_digits_is_no_label(mantissa: int, exponent: int) -> None:
    """What a network holds for reasons of its own: 0, 1, 0.5, 20, 0.75."""
    labels = Labels({"all": (1 << 24,)})
    assert labels.read(np.array([mantissa * 2.0**exponent], np.float32)) is None


def test_names_tell_where_parameters_come_from() -> None:
    assert Source("layers.0.weight").name == "layers.0.weight"
    assert Source("0.weight").name == "n0.weight"
    assert Source("loss").name == "nloss"
    assert Source("a-b.repeat").name == "a_b.repeat"
    assert Source("repeat").name == "repeat_"
    assert Source("w", True).name == "w.transposed"
    known = sources(["0.weight", "n0.weight", "w"])
    assert known["n0.weight"] == (Source("0.weight"), Source("n0.weight"))
    assert known["w.transposed"] == (Source("w", True),)


@given(st.integers(1, 4), st.integers(1, 4), st.booleans())
def test_what_is_taken_out_is_put_back(rows: int, columns: int, transposed: bool) -> None:
    state = np.arange(rows * columns, dtype=np.float32).reshape(rows, columns)
    source = Source("w", transposed)
    shape = (columns, rows) if transposed else (rows * columns,)
    out = source.taken_out(state, shape)
    assert out.shape == shape
    assert np.array_equal(out.reshape(shape), state.T if transposed else state.reshape(-1))
    assert np.array_equal(source.put_back(out, state.shape), state)


def state_of(**shapes: tuple[int, ...]) -> dict[str, Any]:
    return {entry.replace("__", "."): SimpleNamespace(shape=shape) for entry, shape in shapes.items()}


def test_parameters_are_placed_by_their_names() -> None:
    state = state_of(fc__weight=(2, 3), fc__bias=(2,), beta=(), v=(4, 1, 1))
    w = np.arange(6.0).reshape(3, 2)
    faults = Faults(DataError)
    arrays = {
        "fc.weight.transposed": w,
        "fc.bias": np.ones(2),
        "fc.bias.again1": np.ones(2),
        "beta": np.array(0.5),
        "v": np.ones(4),
    }
    found = placed(arrays, state, Place("trained.npz"), faults)
    assert len(faults) == 0
    assert found["fc.weight"].tolist() == w.T.tolist()
    assert {entry: array.shape for entry, array in found.items()} == {
        "fc.weight": (2, 3), "fc.bias": (2,), "beta": (), "v": (4, 1, 1),
    }  # fmt: skip


def test_all_that_cannot_be_placed_is_told_together() -> None:
    state = state_of(fc__weight=(2, 3), fc__bias=(2,), n0__w=(2,))
    state["0.w"] = SimpleNamespace(shape=(2,))
    arrays = {
        "fc.weight": np.ones((2, 4)), "fc.bias": np.ones(2), "fc.bias.again1": np.zeros(2), "scale.factor": np.ones(()),
        "n0.w": np.ones(2), "fc.weight.transposed": np.full((3, 2), np.nan),
    }  # fmt: skip
    with pytest.raises(DataError) as error, Faults(DataError) as faults:
        placed(arrays, state, Place("trained.npz"), faults)
    assert str(error.value).splitlines() == [
        "trained.npz: fc.weight is [2, 4], and fc.weight of the module is [2, 3]",
        "trained.npz: fc.bias is used in several places, which were trained apart",
        "trained.npz: scale.factor is no entry of the module's state, nor one that was moved: it was computed, or is "
        "of another module",
        "trained.npz: n0.w may be any of n0.w, 0.w",
        "trained.npz: fc.weight.transposed has elements that are not finite",
    ]
