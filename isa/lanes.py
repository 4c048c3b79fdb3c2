"""What one lane operation means: float32 in, float32 out, one rounding each, the same bits on every host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..numerics import elementary
from ..numerics.formats import BF16, F16, round_to

Singles = NDArray[np.float32]
Form = Literal["load", "carry", "argument", "const", "unary", "binary", "select", "reduce", "random", "store"]


@dataclass(frozen=True)
class Operation:
    """A lane operation: its number in files, how it is written, and whether it computes (and so counts as work)."""

    name: str
    code: int
    form: Form

    @property
    def computes(self) -> bool:
        """Whether the operation is work: moving values and naming constants is none."""
        return self.form in ("unary", "binary", "select", "reduce", "random")


_FORMS: dict[Form, str] = {
    "load": "load",
    "carry": "carry",
    "argument": "scalar uscalar",
    "const": "const",
    "binary": "add sub mul div min max ge gt le lt eq ne and or",
    "unary": "not sqrt neg abs floor rint exp log tanh cos to_f16 to_bf16",
    "select": "select",
    "reduce": "rsum rmax rmin",
    "random": "uniform normal",
    "store": "store",
}
_NAMED: list[tuple[str, Form]] = [(name, form) for form, names in _FORMS.items() for name in names.split()]
OPERATIONS: dict[str, Operation] = {
    name: Operation(name, code, form) for code, (name, form) in enumerate(_NAMED, start=1)
}
BY_CODE: dict[int, Operation] = {operation.code: operation for operation in OPERATIONS.values()}


def least(a: Singles, b: Singles) -> Singles:
    """a where a <= b or a is NaN, else b: the first of equals, NaN if either is."""
    return np.where((a <= b) | (a != a), a, b)


def greatest(a: Singles, b: Singles) -> Singles:
    """a where a >= b or a is NaN, else b: the first of equals, NaN if either is."""
    return np.where((a >= b) | (a != a), a, b)


def _mask(array: NDArray[np.bool_]) -> Singles:
    """1.0 where true, 0.0 where false."""
    return array.astype(np.float32)


UNARY: dict[str, Callable[[Singles], Singles]] = {
    "not": lambda a: _mask(a == 0),
    "sqrt": elementary.sqrt,
    "neg": np.negative,
    "abs": np.abs,
    "floor": np.floor,
    "rint": np.rint,
    "exp": elementary.exp,
    "log": elementary.log,
    "tanh": elementary.tanh,
    "cos": elementary.cos,
    "to_f16": lambda a: round_to(a, F16),
    "to_bf16": lambda a: round_to(a, BF16),
}

BINARY: dict[str, Callable[[Singles, Singles], Singles]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "min": least,
    "max": greatest,
    "and": lambda a, b: _mask((a != 0) & (b != 0)),
    "or": lambda a, b: _mask((a != 0) | (b != 0)),
}

TESTS: dict[str, Callable[[Singles, Singles], NDArray[np.bool_]]] = {
    "ge": np.greater_equal,
    "gt": np.greater,
    "le": np.less_equal,
    "lt": np.less,
    "eq": np.equal,
    "ne": np.not_equal,
}
"""Operations that give 1 where they hold, else 0."""


def reduce_last(name: str, a: Singles, extents: tuple[int, ...]) -> Singles:
    """The last axes (each of size 1 or its extent) reduced, the last one fastest; they are kept with size 1.

    ``rsum`` begins at +0; ``rmax`` and ``rmin`` are `greatest` and `least` in turn.  Without elements they give
    0, -inf and inf.
    """
    outer, extent = a.shape[: a.ndim - len(extents)], prod(extents)
    shape = (*outer, *(1 for _ in extents))
    rows = np.broadcast_to(a, (*outer, *extents)).reshape(prod(outer), extent)
    if name == "rsum":
        if extent == 0:
            return np.zeros(shape, np.float32)
        return np.add.accumulate(rows, axis=-1, dtype=np.float32)[:, -1].reshape(shape) + np.float32(0)
    if extent == 0:
        return np.full(shape, -np.inf if name == "rmax" else np.inf, np.float32)
    # As `greatest` and `least` do, NumPy takes the first NaN, else the first of equals.
    places = rows.argmax(axis=-1) if name == "rmax" else rows.argmin(axis=-1)
    return rows[np.arange(len(rows)), places].reshape(shape)
