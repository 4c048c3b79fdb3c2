"""The three engines: contractions of one tile, all kernel taps, one time step, into an accumulator.

Axis k of the three views is the same loop of the contraction: a view that the loop does not index has stride 0
there.  Extents are those of the accumulator's view.  Loops that the accumulator does not index are summed.  In
rounding accumulators (f64, f32, f16) the order of the sum is the order of the axes, the last one fastest; an exact
accumulator has no order.  A zero left operand contributes nothing, also beside inf and NaN.  An f32 accumulator
adds in f32; an f16 one adds the product (f32, exact for f16 operands) and rounds the sum once, to f16.  An f64
accumulator, for moments, adds the exact product in f64.
"""

from __future__ import annotations

from ..instruction import Action, Instruction, bits
from ..state import Stream


class Gate(Instruction, opcode=0x30, mnemonic="gate", units=("fp",)):
    """acc += left gates right: forward propagation.  *left* is bits, small counts, or words on a multiplier path.

    *fresh* is a mask of loop registers: where all of them are in their first turn the sum begins at zero.  The bit
    behind those of all registers stands for a loop that never is in its first turn: the sum goes on with what is there.
    *inner* is the dataflow inside the array (0 weight-stationary, 1 output-stationary); it changes no value, only
    the modelled accesses.  *ones* = 1 takes 1 for every left element (sums of errors), and *left* is ignored.
    *skip* is a mask of operands (1 left, 2 right): turns of the array in which all that it takes of one of them is zero
    are left out, as `skipping` says; it changes no value, only cycles and accesses.  Of the right operand only where
    sums do not round to f16 and the left one holds integers.
    """

    acc: int = bits(8, 13, "v")
    left: int = bits(14, 19, "v")
    right: int = bits(20, 25, "v")
    fresh: int = bits(26, 42)
    inner: int = bits(43, 44, default=0)
    ones: int = bits(45, 45, default=0)
    skip: int = bits(46, 47, default=0)

    def bind(self, stream: Stream) -> Action:
        return stream.contract(self.acc, self.left, self.right, self.fresh, self.inner, bool(self.ones), self.skip)


class Dense(Instruction, opcode=0x31, mnemonic="dense", units=("bp",)):
    """acc += left * right: back-propagation, errors times weights.  Fields as in ``gate``.

    A ternary error multiplies nothing: its sign tells whether a weight is added or taken away.
    """

    acc: int = bits(8, 13, "v")
    left: int = bits(14, 19, "v")
    right: int = bits(20, 25, "v")
    fresh: int = bits(26, 42)
    inner: int = bits(43, 44, default=0)
    ones: int = bits(45, 45, default=0)
    skip: int = bits(46, 47, default=0)

    def bind(self, stream: Stream) -> Action:
        return stream.contract(self.acc, self.left, self.right, self.fresh, self.inner, bool(self.ones), self.skip)


class Outer(Instruction, opcode=0x32, mnemonic="outer", units=("wg",)):
    """acc += left (x) right: weight gradient, spikes gate errors.  Fields as in ``gate``."""

    acc: int = bits(8, 13, "v")
    left: int = bits(14, 19, "v")
    right: int = bits(20, 25, "v")
    fresh: int = bits(26, 42)
    inner: int = bits(43, 44, default=0)
    ones: int = bits(45, 45, default=0)
    skip: int = bits(46, 47, default=0)

    def bind(self, stream: Stream) -> Action:
        return stream.contract(self.acc, self.left, self.right, self.fresh, self.inner, bool(self.ones), self.skip)
