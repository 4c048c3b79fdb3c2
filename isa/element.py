"""Element programs: straight-line lane code of the vector unit.

Every lane is a float32; each operation is rounded once, to nearest even, and nothing is fused.  Registers ``r0`` to
``r255`` are written once, before they are read.  All loads see the operands as they were before the first store.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..catalog import unknown
from ..numerics import random
from ..numerics.formats import Format, decode, encode
from .kernels.axes import Lying
from .kernels.element import Blocks, Plan
from .lanes import BINARY, BY_CODE, OPERATIONS, TESTS, UNARY, Operation, Singles, reduce_last

Array = NDArray[Any]

REGISTERS = 256
InPlace = tuple[Plan, Plan]

_HEADER = struct.Struct("<IHHI")  # lanes, operands, bytes of the name, bytes of all operand names
_LANE = struct.Struct("<BBBBB3xI4x")


@dataclass(frozen=True)
class Lane:
    """One operation: its name, the register it writes, and what it reads.

    *a*, *b*, *c* are registers but for: ``load`` and ``carry`` (*a* an operand, *value* the initial value),
    ``scalar`` and ``uscalar`` (*a* an argument), ``const`` (*value*), ``uniform`` and ``normal`` (*a* an operand that
    gives the logical index, *b* and *c* the arguments seed and step, *value* the stream), ``store`` (*a* a register,
    *b* an operand).  ``select`` is ``a`` where ``c`` is not zero, else ``b``.
    """

    op: str
    dst: int = 0
    a: int = 0
    b: int = 0
    c: int = 0
    value: float = 0.0

    def __post_init__(self) -> None:
        form = self.operation.form
        for name in ("dst", "a", "b", "c"):
            if not 0 <= getattr(self, name) < REGISTERS:
                raise ValueError(f"{self.op}: {name}={getattr(self, name)} is outside 0..{REGISTERS - 1}")
        if form == "random":
            if int(self.value) != self.value or not 0 <= self.value < 1 << 32:
                raise ValueError(f"{self.op}: stream={self.value} is not in 0..2^32-1")
            object.__setattr__(self, "value", int(self.value))
        else:
            with np.errstate(over="ignore"):
                object.__setattr__(self, "value", float(np.float32(self.value)))

    @property
    def operation(self) -> Operation:
        """What the operation's name stands for; UnknownName if for nothing."""
        if self.op not in OPERATIONS:
            raise unknown("lane operation", self.op, OPERATIONS)
        return OPERATIONS[self.op]

    @property
    def registers(self) -> tuple[int, ...]:
        """Registers that the operation reads."""
        match self.operation.form:
            case "unary" | "reduce" | "store":
                return (self.a,)
            case "binary":
                return (self.a, self.b)
            case "select":
                return (self.a, self.b, self.c)
            case _:
                return ()

    @property
    def operand_read(self) -> int | None:
        """The operand that the operation reads, if any."""
        return self.a if self.operation.form in ("load", "carry", "random") else None

    def encode(self) -> bytes:
        """The operation as its 16 bytes."""
        if self.operation.form == "random":
            raw = int(self.value)
        else:
            raw = int(np.asarray(self.value, np.float32).view(np.uint32))
        return _LANE.pack(self.operation.code, self.dst, self.a, self.b, self.c, raw)

    @staticmethod
    def decode(data: bytes) -> Lane:
        """The operation in 16 bytes; ValueError where they are none."""
        code, dst, a, b, c, raw = _LANE.unpack(data)
        if code not in BY_CODE:
            raise ValueError(f"no lane operation has number {code}")
        operation = BY_CODE[code]
        value = raw if operation.form == "random" else float(np.uint32(raw).view(np.float32))
        lane = Lane(operation.name, dst, a, b, c, value)
        if lane.encode() != data:
            raise ValueError(f"{operation.name}: bits are set that mean nothing")
        return lane


@dataclass(frozen=True)
class ElementProgram:
    """Lane code over named operands: operand k is view ``first + k`` of a ``run`` instruction."""

    name: str
    operands: tuple[str, ...]
    lanes: tuple[Lane, ...]

    def __post_init__(self) -> None:
        written: set[int] = set()
        if len(self.lanes) >= 1 << 16 or len(set(self.operands)) != len(self.operands):
            raise ValueError(f"{self.name}: too many operations, or two operands of one name")
        for number, lane in enumerate(self.lanes):
            missing = [register for register in lane.registers if register not in written]
            if missing:
                raise ValueError(f"{self.name}: operation {number} reads r{missing[0]}, which nobody wrote")
            operand = lane.b if lane.op == "store" else lane.operand_read
            if operand is not None and operand >= len(self.operands):
                raise ValueError(f"{self.name}: operation {number} names operand {operand} of {len(self.operands)}")
            if lane.op != "store":
                if lane.dst in written:
                    raise ValueError(f"{self.name}: operation {number} writes r{lane.dst} again")
                written.add(lane.dst)

    @cached_property
    def reads(self) -> tuple[int, ...]:
        """Operands that are read, ascending."""
        return tuple(sorted({lane.operand_read for lane in self.lanes if lane.operand_read is not None}))

    @cached_property
    def writes(self) -> tuple[int, ...]:
        """Operands that are written, ascending."""
        return tuple(sorted({lane.b for lane in self.lanes if lane.op == "store"}))

    @cached_property
    def reduces(self) -> bool:
        """Whether whole last axes are reduced."""
        return any(lane.operation.form == "reduce" for lane in self.lanes)

    @cached_property
    def work(self) -> int:
        """Operations that compute, for each element."""
        return sum(lane.operation.computes for lane in self.lanes)

    @cached_property
    def _active(self) -> tuple[tuple[Lane, str], ...]:
        """What evaluation does; comparisons stay truths until somebody wants their numbers."""
        active = ((lane, lane.operation.form) for lane in self.lanes)
        return tuple((lane, "test" if lane.op in TESTS else form) for lane, form in active)

    @cached_property
    def _numbers(self) -> frozenset[int]:
        """Registers that somebody reads as numbers, not only to select."""
        return frozenset(
            number for lane in self.lanes for number in ((lane.a, lane.b) if lane.op == "select" else lane.registers)
        )

    @cached_property
    def _blocks(self) -> Blocks:
        return Blocks(b"".join(lane.encode() for lane in self.lanes))

    def _constants(self, rank: int) -> dict[int, Singles]:
        """The registers that are constants, as arrays of one element with *rank* axes."""
        if rank not in self._constants_of_rank:
            self._constants_of_rank[rank] = {
                lane.dst: np.full((1,) * rank, lane.value, np.float32) for lane in self.lanes if lane.op == "const"
            }
        return dict(self._constants_of_rank[rank])

    @cached_property
    def _constants_of_rank(self) -> dict[int, dict[int, Singles]]:
        return {}

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of the code, whatever the names."""
        code = struct.pack("<I", len(self.operands)) + b"".join(lane.encode() for lane in self.lanes)
        return hashlib.sha256(code).hexdigest()

    def encode(self) -> bytes:
        """The program as bytes that know their own end."""
        name = self.name.encode()
        operands = b"".join(struct.pack("<H", len(text)) + text for text in map(str.encode, self.operands))
        header = _HEADER.pack(len(self.lanes), len(self.operands), len(name), len(operands))
        return header + name + operands + b"".join(lane.encode() for lane in self.lanes)

    @staticmethod
    def decode(data: bytes) -> ElementProgram:
        """The program in *data*, all of it; ValueError otherwise."""
        program, end = ElementProgram.decode_from(data, 0)
        if end != len(data):
            raise ValueError(f"{len(data) - end} bytes follow the element program {program.name}")
        return program

    @staticmethod
    def decode_from(data: bytes, offset: int) -> tuple[ElementProgram, int]:
        """(the program at *offset*, the offset behind it); ValueError where there is none."""
        if len(data) < offset + _HEADER.size:
            raise ValueError("an element program is cut short")
        count, operand_count, name_bytes, operand_bytes = _HEADER.unpack_from(data, offset)
        at = offset + _HEADER.size
        end = at + name_bytes + operand_bytes + count * _LANE.size
        if len(data) < end:
            raise ValueError("an element program is cut short")
        name = data[at : at + name_bytes].decode()
        at += name_bytes
        code = at + operand_bytes
        operands: list[str] = []
        while at + 2 <= code:
            (length,) = struct.unpack_from("<H", data, at)
            operands.append(data[at + 2 : at + 2 + length].decode())
            at += 2 + length
        if at != code or len(operands) != operand_count:
            raise ValueError(f"the operand names of element program {name} are damaged")
        lanes = tuple(Lane.decode(data[place : place + _LANE.size]) for place in range(code, end, _LANE.size))
        return ElementProgram(name, tuple(operands), lanes), end

    @property
    def text(self) -> str:
        """The program as assembly shows it; see `element_text`."""
        from .element_text import write

        return write(self)

    @staticmethod
    def parse(text: str) -> ElementProgram:
        """The program that *text* writes; ValueError or UnknownName, with the line, for what is wrong."""
        from .element_text import read

        return read(text)

    def in_place(self, lying: Sequence[Lying], extents: tuple[int, ...], reduced: int = 1) -> InPlace | None:
        """How a kernel runs it on operands where they lie: (later on, in the first turn); None where none does."""
        operands = [one if k in self.reads or k in self.writes else None for k, one in enumerate(lying)]
        into = {number: number for number in self.writes}
        later, first = (self._blocks.plan(operands, into, fresh, extents, reduced) for fresh in (False, True))
        if later is None or first is None or not (later.sure or set(self.reads).isdisjoint(self.writes)):
            return None
        return later, first

    def evaluate(
        self,
        operands: Sequence[Array | None],
        formats: Sequence[Format | None],
        scalars: NDArray[np.uint32],
        fresh: bool,
        extents: tuple[int, ...],
        shapes: Sequence[tuple[int, ...]] | None = None,
        reduced: int = 1,
    ) -> dict[int, Array]:
        """Storage of every written operand, by its number.

        *operands* are storage arrays (int64 for an index, its format is ignored), None where nothing is read; an axis
        that an operand does not index has size 1, there and in *shapes* (default: *extents* for all), and is written
        from its first element.  *scalars* is the argument file.  Reductions run over the last *reduced* axes.
        ValueError for a value that an unsigned format cannot hold.
        """
        made = self._blocks.evaluate(operands, formats, scalars, fresh, extents, shapes, reduced)
        return self._evaluate(operands, formats, scalars, fresh, extents, shapes, reduced) if made is None else made

    def _evaluate(
        self,
        operands: Sequence[Array | None],
        formats: Sequence[Format | None],
        scalars: NDArray[np.uint32],
        fresh: bool,
        extents: tuple[int, ...],
        shapes: Sequence[tuple[int, ...]] | None,
        reduced: int,
    ) -> dict[int, Array]:
        """The same with NumPy, whole operands at a time."""
        registers = self._constants(len(extents))
        truths: dict[int, NDArray[np.bool_]] = {}
        results: dict[int, Array] = {}
        point = (1,) * len(extents)
        with np.errstate(all="ignore"):
            for lane, form in self._active:
                match form:
                    case "binary":
                        made = BINARY[lane.op](registers[lane.a], registers[lane.b])
                    case "unary":
                        made = UNARY[lane.op](registers[lane.a])
                    case "test":
                        truths[lane.dst] = TESTS[lane.op](registers[lane.a], registers[lane.b])
                        if lane.dst not in self._numbers:
                            continue
                        made = truths[lane.dst].astype(np.float32)
                    case "select":
                        chosen = truths[lane.c] if lane.c in truths else registers[lane.c] != 0
                        made = np.where(chosen, registers[lane.a], registers[lane.b])
                    case "carry" if fresh:
                        made = np.full(point, lane.value, np.float32)
                    case "load" | "carry":
                        made = _lanes(_given(operands, lane.a), formats[lane.a])
                    case "argument":
                        word = scalars[lane.a : lane.a + 1]
                        single = word.view(np.float32) if lane.op == "scalar" else word.astype(np.float32)
                        made = single.reshape(point)
                    case "reduce":
                        made = reduce_last(lane.op, registers[lane.a], extents[len(extents) - reduced :])
                    case "random":
                        draw = random.uniform if lane.op == "uniform" else random.normal
                        index = _given(operands, lane.a)
                        made = draw(index, int(scalars[lane.b]), int(lane.value), int(scalars[lane.c]))
                    case "store":
                        shape = extents if shapes is None else shapes[lane.b]
                        results[lane.b] = _stored(registers[lane.a], formats[lane.b], extents, shape)
                        continue
                    case _:
                        continue  # a constant is there from the beginning
                registers[lane.dst] = made
        return results


def _given(operands: Sequence[Array | None], number: int) -> Array:
    """The operand, which must be there."""
    operand = operands[number]
    if operand is None:
        raise ValueError(f"operand {number} is read but not given")
    return operand


def _lanes(storage: Array, fmt: Format | None) -> Singles:
    """Storage as float32 lanes; wider formats are rounded, an index as well."""
    if storage.dtype == np.int64 or fmt is None:
        return storage.astype(np.float32)
    return decode(storage, fmt).astype(np.float32, copy=False)


def _stored(lanes: Singles, fmt: Format | None, extents: tuple[int, ...], shape: tuple[int, ...]) -> Array:
    """Lanes rounded into the format, of the operand's shape."""
    if fmt is None:
        raise ValueError("a stored operand needs a format")
    if shape != extents:
        sizes = zip(shape, extents, strict=True)
        lanes = lanes[tuple(slice(size) if size < extent else slice(None) for size, extent in sizes)]
    stored = encode(lanes, fmt)
    return stored if stored.shape == shape else np.broadcast_to(stored, shape)
