"""What a compute instruction that has just run looked like: its tile for the array, or its elements and views."""

from __future__ import annotations

from math import prod

from ..isa.array import Contraction, Operand, Shape, tile_of
from ..isa.instructions.engine import Dense, Gate, Outer
from ..isa.instructions.vector import Comoment, Drain, Mean, PoolMax, PoolSum, Run, Unpool, Vector
from ..isa.registers import IDENTITY, ViewRegister
from ..isa.state import Stream


def contraction(stream: Stream, instruction: Gate | Dense | Outer) -> Contraction:
    """The tile of an engine's instruction."""
    acc, right = _view(stream, instruction.acc), _view(stream, instruction.right)
    left = None if instruction.ones else _view(stream, instruction.left)
    first = all(not loop.counter for k, loop in enumerate(stream.loops) if instruction.fresh >> k & 1)
    return tile_of(acc, left, right, acc.extents(), instruction.inner, first)


def vector_accesses(stream: Stream, instruction: Vector) -> tuple[int, int, int, int]:
    """(elements, operations an element, bits read, bits written) of an instruction of the vector unit."""
    match instruction:
        case Run():
            program = stream.chip.elements[instruction.program]
            extents = _extents(stream, instruction.first)
            read = sum(_bits(stream, instruction.first + k, extents) for k in program.reads)
            written = sum(_bits(stream, instruction.first + k, extents) for k in program.writes)
            return prod(extents), max(program.work, 1), read, written
        case Drain():
            extents = _extents(stream, instruction.out)
            read = _bits(stream, instruction.acc, extents)
            read += _bits(stream, instruction.bias, extents) if instruction.biased else 0
            return prod(extents), 1, read, _bits(stream, instruction.out, extents)
        case Mean() | Comoment():
            extents = _extents(stream, instruction.out)
            single = isinstance(instruction, Mean)
            sums = (instruction.acc,) if single else (instruction.cross, instruction.left, instruction.right)
            read = sum(_bits(stream, number, extents) for number in dict.fromkeys(sums))
            return prod(extents), 1 if single else 4, read, _bits(stream, instruction.out, extents)
        case PoolMax() | PoolSum() | Unpool():
            outer = _extents(stream, instruction.out)
            extents = outer + _extents(stream, instruction.source)[len(outer) :]
            read = _bits(stream, instruction.source, extents)
            written = _bits(stream, instruction.out, outer)
            if isinstance(instruction, Unpool):
                read += _bits(stream, instruction.tap, extents)
            elif isinstance(instruction, PoolMax):
                written += _bits(stream, instruction.tap, outer)
            return prod(outer), prod(extents[len(outer) :]), read, written


def _view(stream: Stream, number: int) -> ViewRegister:
    """A view that an instruction has just used."""
    view = stream.views[number]
    assert view is not None
    return view


def _extents(stream: Stream, number: int) -> Shape:
    return _view(stream, number).extents()


def _bits(stream: Stream, number: int, extents: Shape) -> int:
    """Bits of the different elements that a view shows; none of the identity space, which is no memory."""
    view = _view(stream, number)
    return 0 if view.space == IDENTITY else Operand(view.strides, view.format.bits).elements(extents) * view.format.bits
