"""The vector unit: element programs, draining of accumulators, and windows."""

from __future__ import annotations

from typing import TypeAlias

from ..instruction import Action, Instruction, bits
from ..state import Stream


class Drain(Instruction, opcode=0x40, mnemonic="drain", units=("vector",)):
    """out = round(acc * scale + bias): an accumulator leaves as a value of the edge, rounded once.

    Extents are those of *out*.  *biased* = 0 leaves the bias out (and ignores its view).
    """

    out: int = bits(8, 13, "v")
    acc: int = bits(14, 19, "v")
    bias: int = bits(20, 25, "v")
    biased: int = bits(26, 26)
    scale: float = bits(32, 63, coding="float")

    def bind(self, stream: Stream) -> Action:
        return stream.drain(self.out, self.acc, self.bias if self.biased else None, self.scale)


class Run(Instruction, opcode=0x41, mnemonic="run", units=("vector",)):
    """Run element program *program* over a tile; its operand k is view *first* + k.  Extents are those of operand 0.

    All operands have the same axes; one that an axis does not index has stride 0 there.  Reductions of the program
    run over the last *reduced* axes, ascending, the last one fastest.  *fresh* is a mask of loop registers: where all
    of them are in their first turn, the program's ``carry`` operations give their initial values instead of what the
    operand holds.
    """

    program: int = bits(8, 23, "e")
    first: int = bits(24, 29, "v")
    fresh: int = bits(30, 45)
    reduced: int = bits(46, 48, default=1)

    def bind(self, stream: Stream) -> Action:
        return stream.run(self.program, self.first, self.fresh, self.reduced)


class PoolMax(Instruction, opcode=0x42, mnemonic="poolmax", units=("vector",)):
    """out, tap = the largest value in each window of *source*, and the number of its tap; ties take the first.

    The axes of *source* are those of *out* and then *window* more (1 or 2), which walk the taps; the tap number counts
    them with the last one fastest.  Extents of the outer axes are those of *out*.  Window axis j belongs to the outer
    axis ``rank(out) - 1 - window + j`` (channels are last).  Where the window axis has a bound, its taps only exist at
    positions ``begin + (k * stride of the outer axis + r * stride of the window axis) / unit_j`` within the bound.
    NaN is larger than all and the first NaN wins; a window without any tap gives 0 and tap 0.
    """

    out: int = bits(8, 13, "v")
    tap: int = bits(14, 19, "v")
    source: int = bits(20, 25, "v")
    window: int = bits(26, 27)
    unit0: int = bits(28, 67)
    unit1: int = bits(68, 107)

    def bind(self, stream: Stream) -> Action:
        return stream.pool_max(self.out, self.tap, self.source, self.window, (self.unit0, self.unit1))


class PoolSum(Instruction, opcode=0x43, mnemonic="poolsum", units=("vector",)):
    """out = scale * the sum over each window of *source*: exact for bits and counts, else f32 in ascending tap order.

    The sum begins at +0; its product with *scale* is rounded once, to the format of *out*.  Axes as in ``poolmax``.
    Integers come out unscaled where *out* is an unsigned format (*scale* must then be 1).
    """

    out: int = bits(8, 13, "v")
    source: int = bits(14, 19, "v")
    window: int = bits(20, 22)
    scale: float = bits(32, 63, coding="float")

    def bind(self, stream: Stream) -> Action:
        return stream.pool_sum(self.out, self.source, self.window, self.scale)


class Unpool(Instruction, opcode=0x44, mnemonic="unpool", units=("vector",)):
    """out = the sum of those errors whose window chose this element: f32, ascending tap order, rounded once.

    *source* (errors) and *tap* have the axes of *out* and then *window* more.  The element with window position
    ``(i, j)`` is taken where ``tap == first + i * step0 + j * step1``.
    """

    out: int = bits(8, 13, "v")
    tap: int = bits(14, 19, "v")
    source: int = bits(20, 25, "v")
    window: int = bits(26, 28)
    first: int = bits(29, 44, coding="signed")
    step0: int = bits(45, 60, coding="signed")
    step1: int = bits(61, 76, coding="signed")

    def bind(self, stream: Stream) -> Action:
        return stream.unpool(self.out, self.tap, self.source, self.window, self.first, (self.step0, self.step1))


class Mean(Instruction, opcode=0x45, mnemonic="mean", units=("vector",)):
    """out = round(scale * acc / N): the mean of the N terms of an exact accumulator, rounded once.

    Of an f64 accumulator every operation rounds to f64, from left to right: ``acc / N * scale``.
    N is *count*, times entry argument k - 1 (a whole number) where *argument* is k > 0.  Extents are those of *out*.
    """

    out: int = bits(8, 13, "v")
    acc: int = bits(14, 19, "v")
    argument: int = bits(32, 39, default=0)
    count: int = bits(40, 79, default=1)
    scale: float = bits(80, 111, coding="float", default=1.0)

    def bind(self, stream: Stream) -> Action:
        return stream.mean(self.out, self.acc, self.argument, self.count, self.scale)


class Comoment(Instruction, opcode=0x46, mnemonic="comoment", units=("vector",)):
    """out = round(scale * (N * cross - left * right) / N^2), exact up to its one rounding: the covariance of N pairs.

    *cross* holds x128 sums of products, *left* and *right* x64 sums of the factors; the variance is where both are the
    same.  All three may be f64 instead: then every operation rounds to f64, and what has the same view for *left* and
    *right* is a variance and at least 0.  N as in ``mean``.  Extents are those of *out*.
    """

    out: int = bits(8, 13, "v")
    cross: int = bits(14, 19, "v")
    left: int = bits(20, 25, "v")
    right: int = bits(26, 31, "v")
    argument: int = bits(32, 39, default=0)
    count: int = bits(40, 79, default=1)
    scale: float = bits(80, 111, coding="float", default=1.0)

    def bind(self, stream: Stream) -> Action:
        return stream.comoment(self.out, (self.cross, self.left, self.right), self.argument, self.count, self.scale)


Vector: TypeAlias = Drain | Run | PoolMax | PoolSum | Unpool | Mean | Comoment
"""Every instruction that computes in the vector unit."""
