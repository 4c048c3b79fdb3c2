"""Terms: what an ONNX graph computes, with control flow executed and time taken apart into rows.

A term is one operation on tensors whose shapes are known; equal operations on equal operands are one term, so that
steps of time that were spelled out can be compared.  What depends on no input is a constant.  A `Stack` is a tensor
whose rows along the first axis are terms; `row` and `part` pass through operations that treat the first axis alike
for all of its rows, so that step t of a whole sequence becomes the operation on step t.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._onnx_limits import Budget, Unreadable, bounded, checked
from .frontend import Array

ELEMENTWISE = frozenset(
    "Abs Add And Cast Clip Div Dropout Equal Exp Greater GreaterOrEqual Less LessOrEqual Log Max Min Mul Neg Not Or "
    "Pow Relu Sigmoid Sign Softplus Spike Sqrt Sub Tanh Where Xor".split()
)
"""Operations on each element, which broadcast."""

BY_ROWS = frozenset(
    "AveragePool BatchNormalization Conv ConvTranspose Flatten Gemm GlobalAveragePool GlobalMaxPool MatMul MaxPool "
    "Resize".split()
)
"""Operations on the first operand's rows along the first axis, each row for itself."""

Attributes = tuple[tuple[str, Any], ...]


@dataclass(frozen=True, eq=False)
class Term:
    """``op(args)``; *value* is there where nothing depends on an input; *origin* is the node of the file."""

    op: str
    args: tuple[Term, ...]
    attributes: Attributes
    shape: tuple[int, ...]
    origin: str
    value: Array | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The attributes by name."""
        return dict(self.attributes)

    def walk(self) -> Iterator[Term]:
        """Every term below and with this one, arguments first, each once."""
        seen: set[int] = set()
        stack: list[tuple[Term, bool]] = [(self, False)]
        while stack:
            term, ready = stack.pop()
            if id(term) in seen:
                continue
            if ready:
                seen.add(id(term))
                yield term
            else:
                stack.append((term, True))
                stack.extend((arg, False) for arg in reversed(term.args))


class Terms:
    """The terms of one file; equal ones are the same object."""

    def __init__(
        self, fold: Callable[[str, Sequence[Array], Attributes], Array], shape: Shapes, budget: Budget
    ) -> None:
        """*fold* computes an operation on constants, *shape* tells the shape of one on terms."""
        self._fold = fold
        self._shape = shape
        self._budget = budget
        self._known: dict[tuple[Any, ...], Term] = {}
        self._rows: dict[tuple[int, ...], Term] = {}

    def constant(self, value: Array, origin: str = "", given: bool = False) -> Term:
        """A constant; equal ones are one.  *given* says that it stands in the file."""
        value = np.asarray(value, order="C")
        key = ("constant", value.dtype.str, value.shape, hashlib.blake2b(value.tobytes()).digest())
        if key not in self._known:
            if not given:
                self._budget.hold(value.nbytes)
            self._known[key] = Term("constant", (), (), value.shape, origin, value)
        return self._known[key]

    def input(self, name: str, shape: tuple[int, ...]) -> Term:
        """An input of the graph."""
        return self._known.setdefault(("input", name), Term("input", (), (("name", name),), shape, name))

    def make(self, op: str, args: Sequence[Term], attributes: Attributes = (), origin: str = "") -> Term:
        """``op(args)``, or the constant that it is."""
        same = _same(op, args)
        if same is not None:
            return same
        if op == "Mul" and any(arg.value is not None and not arg.value.any() for arg in args):
            shape = self._shape(op, args, attributes)
            return self.constant(np.zeros(shape, np.float32), origin)
        values = [arg.value for arg in args if arg.value is not None]
        if len(values) == len(args) and op not in ("Stack", "Row", "Part"):
            return self.constant(self._fold(op, values, attributes), origin)
        key = (op, tuple(map(id, args)), repr(attributes))
        if key not in self._known:
            shape = self._shape(op, args, attributes)
            bounded(shape)
            self._known[key] = Term(op, tuple(args), attributes, shape, origin)
        return self._known[key]

    def stack(self, rows: Sequence[Term], origin: str = "") -> Term:
        """The tensor with these rows along a new first axis; `Unreadable` where there are none."""
        if not rows:
            raise Unreadable("leaves no row")
        self._budget.move(len(rows))
        bounded((len(rows), *rows[0].shape))
        if all(row.value is not None for row in rows):
            return self.constant(np.stack([row.value for row in rows if row.value is not None]), origin)
        key = ("Stack", tuple(map(id, rows)))
        shape = (len(rows), *rows[0].shape)
        return self._known.setdefault(key, Term("Stack", tuple(rows), (), shape, origin))

    def reshape(self, term: Term, shape: tuple[int, ...], origin: str = "") -> Term:
        """*term* in another shape."""
        if term.shape == shape:
            return term
        if term.op == "Reshape":
            return self.reshape(term.args[0], shape, origin)
        if term.value is not None:
            return self.constant(term.value.reshape(shape), origin)
        key = ("Reshape", id(term), shape)
        return self._known.setdefault(key, Term("Reshape", (term,), (("shape", shape),), shape, origin))

    def repeated(self, rows: Sequence[Term], times: int, origin: str = "") -> Term:
        """*rows*, again and again."""
        self._budget.move(len(rows) * max(times, 0))
        return self.stack([*rows] * times, origin)

    def rows(self, term: Term, numbers: Sequence[int], origin: str = "") -> Term:
        """The tensor of some rows of *term*; those below 0 count from the end."""
        self._budget.move(len(numbers))
        return self.stack([self.row(term, number) for number in checked(numbers, term.shape[0])], origin)

    def row(self, term: Term, number: int) -> Term:
        """Row *number* along the first axis, which is then gone."""
        key = (id(term), number)
        if key not in self._rows:
            self._budget.move(1)
            self._rows[key] = self._taken_row(term, number)
        return self._rows[key]

    def _taken_row(self, term: Term, number: int) -> Term:
        count, *rest = term.shape
        if term.value is not None:
            return self.constant(term.value[number], term.origin)
        if term.op == "Stack":
            return term.args[number]
        if term.op in ELEMENTWISE:
            rank = len(term.shape)
            args = [self._row_of(arg, number, rank) for arg in term.args]
            return self.make(term.op, args, term.attributes, term.origin)
        if term.op == "MatMul" and len(term.shape) > 2 and len(term.args[1].shape) <= 2:
            return self.make("MatMul", (self.row(term.args[0], number), term.args[1]), (), term.origin)
        if term.op == "Reshape":
            (inner,) = term.args
            if inner.shape[:1] == (count,):
                return self.reshape(self.row(inner, number), tuple(rest), term.origin)
            if inner.shape and rest and inner.shape[0] == count * rest[0]:
                return self.reshape(self.part(inner, number, count), tuple(rest), term.origin)
        if term.op == "Transpose" and term.settings["perm"][0] == 0:
            perm = tuple(axis - 1 for axis in term.settings["perm"][1:])
            return self.make("Transpose", (self.row(term.args[0], number),), (("perm", perm),), term.origin)
        if term.op in ("ReduceMean", "ReduceSum") and 0 not in term.settings["axes"]:
            axes = tuple(axis - 1 for axis in term.settings["axes"])
            changed = (("axes", axes), ("keepdims", term.settings["keepdims"]))
            return self.make(term.op, (self.row(term.args[0], number),), changed, term.origin)
        if "::" in term.op:  # a neuron that sees the whole sequence, in one of its steps
            sequence, *others = term.args
            attributes = (*term.attributes, ("of", id(term)))
            return self.make(term.op, (self.row(sequence, number), *others), attributes, term.origin)
        return self.make("Row", (term,), (("number", number),), term.origin)

    def part(self, term: Term, number: int, count: int) -> Term:
        """Part *number* of *count* equal parts along the first axis."""
        key = (id(term), number, count)
        if key not in self._rows:
            self._budget.move(1)
            self._rows[key] = self._taken_part(term, number, count)
        return self._rows[key]

    def _taken_part(self, term: Term, number: int, count: int) -> Term:
        size = term.shape[0] // count
        if count == 1:
            return term
        if term.value is not None:
            return self.constant(term.value[number * size : (number + 1) * size], term.origin)
        if term.op in ELEMENTWISE:
            rank = len(term.shape)
            args = [self._part_of(arg, number, count, rank) for arg in term.args]
            return self.make(term.op, args, term.attributes, term.origin)
        if term.op in BY_ROWS and not term.settings.get("transA"):
            first, *others = term.args
            attributes = term.attributes
            if term.op == "BatchNormalization":  # one set of statistics over all steps
                attributes = (*((k, v) for k, v in attributes if k != "scope"), ("scope", "window"))
            return self.make(term.op, (self.part(first, number, count), *others), attributes, term.origin)
        if term.op == "Reshape":
            (inner,) = term.args
            shape = (size, *term.shape[1:])
            if inner.shape[:1] == term.shape[:1]:
                return self.reshape(self.part(inner, number, count), shape, term.origin)
            if inner.shape[:2] == (count, size):
                return self.reshape(self.row(inner, number), shape, term.origin)
        whole = len(term.args) == count and all(arg.shape[0] == size for arg in term.args)
        if term.op == "Concat" and term.settings["axis"] == 0 and whole:
            return term.args[number]
        if term.op == "Concat" and term.settings["axis"] > 0:
            args = [self.part(arg, number, count) for arg in term.args]
            return self.make(term.op, args, term.attributes, term.origin)
        if term.op in ("ReduceMean", "ReduceSum") and 0 not in term.settings["axes"]:
            return self.make(term.op, (self.part(term.args[0], number, count),), term.attributes, term.origin)
        return self.make("Part", (term,), (("number", number), ("count", count)), term.origin)

    def _row_of(self, arg: Term, number: int, rank: int) -> Term:
        """The row of an operand that broadcasts."""
        if len(arg.shape) < rank:
            return arg
        return self.row(arg, 0 if arg.shape[0] == 1 else number)

    def _part_of(self, arg: Term, number: int, count: int, rank: int) -> Term:
        if len(arg.shape) < rank or arg.shape[0] == 1:
            return arg
        return self.part(arg, number, count)


def _same(op: str, args: Sequence[Term]) -> Term | None:
    """The operand that ``op(args)`` leaves as it is: a sum with 0, a product with 1."""
    if op not in ("Add", "Sub", "Mul", "Div"):
        return None
    left, right = args
    neutral = 0.0 if op in ("Add", "Sub") else 1.0
    for kept, other in ((left, right), (right, left)):
        if other.value is not None and (other is right or op in ("Add", "Mul")):
            small = np.broadcast_shapes(kept.shape, other.shape) == kept.shape
            if small and (other.value == neutral).all():
                return kept
    return None


Shapes = Callable[[str, Sequence[Term], Attributes], tuple[int, ...]]
