"""Kernels of first spikes matched to what a network without time would compute (Park et al. 2020, T2FSNN).

With the activation x of a neuron, the step t in which it fired and ``xhat = exp(-(t - delay) / tau)``, 0 if it never
did, three squares become smaller:

    of x - xhat,      by tau:    mean of (x - xhat) * xhat * (t - delay) / tau**2
    of the smallest,  by tau:    (xmin - end) * end * (window - delay) / tau**2,  end = exp(-(window - delay) / tau)
    of the largest,   by delay:  mean of (xmax - begin) * begin / tau,            begin = exp(delay / tau)

As its authors have coded it, the first mean is that of the positive ones alone; xmin is the smallest activation of a
sample, which is not negative, in the mean over samples; xmax is that of the earliest spike of a sample, and their mean
is over samples.  These are steps upwards: a gradient is minus what is written here.

Rows of 64 words are combined 64 by 64 until one value of each sample is left, and then the samples: no tiling and no
split shows in an f32 sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from ..ir.expression import Expression, argument, exp, index, lift, maximum, read, state, unary, where
from ..ir.statement import Access, Elementwise, Index, State, Statement, Write, loop
from ..ir.types import Type
from .first_spike import kernel
from .gradients import BLOCK, blocks
from .op import Op
from .site import Site

SUMS = ("sum", "count", "first", "smallest")
"""Of rows: the sum of positive steps and their number, what the earliest spike is worth, the smallest activation."""

FAR = 3.0e38
"""More than anything that is compared with it."""


@dataclass(frozen=True, kw_only=True)
class SpikeTime(Op):
    """The step after *start* in which a neuron fired, *window* if it did not."""

    name: ClassVar = "spike_time"
    family: ClassVar = "adjoint"
    operands: ClassVar = ("s",)

    start: int
    window: int

    @staticmethod
    def made(s: Type) -> Type:
        """f32, which has all whole numbers that there may be."""
        return s.with_(format="f32", timed=False, scale=1.0)

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """Every neuron, after the last step."""
        time = where(read("s"), index("t") - float(self.start), state("time"))
        kept = State("time", "f32", float(self.window), time)
        return at.elementwise({"s": at.operand(0)}, [(at.result(), time, True)], (kept,))


class _Rows(Op):
    """``sum, count, first, smallest`` of 64 words each, or of at most 64, which is all of them."""

    family: ClassVar = "adjoint"
    results: ClassVar = SUMS

    def named(self, at: Site) -> dict[str, str]:
        """The operands by what they are called in expressions."""
        return dict(zip(self.operands, at.node.operands, strict=True))

    def blocked(
        self, at: Site, words: int, reads: Mapping[str, str], values: Sequence[Expression]
    ) -> tuple[Statement, ...]:
        """A statement that makes *values* of every 64 of *words* words; *reads* names rows, and scalars of all rows."""
        there = Index((("b", BLOCK), ("c", 1)))
        found = {name: self._access(at, value, there) for name, value in reads.items()}
        made = [self._access(at, value, loop("b")) for value in at.node.results]
        writes = tuple(Write(access, value) for access, value in zip(made, values, strict=True))
        samples = (("n", at.batch),) if any("n" in access.loops for access in found.values()) else ()
        return (Elementwise((*samples, ("b", blocks(words)), ("c", BLOCK)), 0, found, (), writes),)

    def _access(self, at: Site, value: str, place: Index) -> Access:
        type = at.type(value)
        return Access(value, (*((loop("n"),) if type.batched else ()), place if type.factors else Index()))


@dataclass(frozen=True, kw_only=True)
class MatchedWords(_Rows):
    """From rows of activations x and spike times: see `SUMS`.  Samples beyond `valid` have no steps."""

    name: ClassVar = "matched_words"
    operands: ClassVar = ("x", "time", "tau", "delay")

    window: int

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """One pass over both rows."""
        x, time, tau, delay = at.node.operands
        (words,) = at.type(x).factors
        fired = read("time") < float(self.window)
        worth = where(fired, kernel(read("time")), 0.0)
        step = (at.value("x", 0) - worth) * worth * (read("time") - read("delay"))
        counts = Expression("and", (_there(words), index("n") < argument("valid")))
        positive = Expression("and", (step > 0.0, counts))
        values = (
            unary("rsum", where(positive, step, 0.0)),
            unary("rsum", where(positive, 1.0, 0.0)),
            unary("rmax", where(_there(words), worth, 0.0)),
            unary("rmin", where(_there(words), maximum(at.value("x", 0), 0.0), FAR)),
        )
        return self.blocked(at, words, {"x": x, "time": time, "tau": tau, "delay": delay}, values)


@dataclass(frozen=True, kw_only=True)
class MatchedBlocks(_Rows):
    """The same of 64 blocks."""

    name: ClassVar = "matched_blocks"
    operands: ClassVar = SUMS

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """Sums of sums, the largest and the smallest of all."""
        reads = self.named(at)
        (words,) = at.type(at.operand(0)).factors
        smallest = unary("rmin", where(_there(words), read("smallest"), FAR))
        largest = unary("rmax", where(_there(words), read("first"), 0.0))
        values = (unary("rsum", read("sum")), unary("rsum", read("count")), largest, smallest)
        return self.blocked(at, words, reads, values)


@dataclass(frozen=True, kw_only=True)
class MatchedSamples(_Rows):
    """From one word of each valid sample their sums, with ``(xmax - begin) * begin`` for *first*."""

    name: ClassVar = "matched_samples"
    operands: ClassVar = (*SUMS, "tau", "delay")

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """Rows are those of the samples."""
        reads = self.named(at)
        (samples,) = at.type(at.operand(0)).factors
        valid = index("b") * float(BLOCK) + index("c") < argument("valid")
        begin = exp(read("delay") / read("tau"))
        away = where(valid, (read("first") - begin) * begin, 0.0)
        values = (read("sum"), read("count"), away, where(valid, read("smallest"), 0.0))
        return self.blocked(at, samples, reads, [unary("rsum", value) for value in values])


@dataclass(frozen=True, kw_only=True)
class MatchedSums(_Rows):
    """Sums of 64 sums each."""

    name: ClassVar = "matched_sums"
    operands: ClassVar = SUMS

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """All four are sums now."""
        reads = self.named(at)
        (words,) = at.type(at.operand(0)).factors
        return self.blocked(at, words, reads, [unary("rsum", read(name)) for name in SUMS])


@dataclass(frozen=True, kw_only=True)
class KernelGradient(_Rows):
    """``d.tau, d.delay`` of a kernel from the sums of all samples, times the loss scale."""

    name: ClassVar = "kernel_gradient"
    operands: ClassVar = (*SUMS, "tau", "delay")
    results: ClassVar = ("", "delay")

    window: int

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """Of at most 64 sums."""
        reads = self.named(at)
        (words,) = at.type(at.operand(0)).factors
        total, count, away, smallest = (unary("rsum", read(name)) for name in SUMS)
        tau, scale, valid = read("tau"), argument("loss_scale"), argument("valid")
        end = kernel(lift(float(self.window)))
        of_end = (smallest / valid - end) * end * (float(self.window) - read("delay"))
        steps = (total / maximum(count, 1.0) + of_end) / (tau * tau), away / valid / tau
        wanted = [(name, -step * scale) for name, step in zip(at.node.results, steps, strict=True) if name]
        found = replace(at, node=replace(at.node, results=tuple(name for name, _ in wanted)))
        return self.blocked(found, words, reads, [value for _, value in wanted])


def _there(words: int) -> Expression:
    """Whether an element of a row is one, and does not lie behind its end."""
    return index("b") * float(BLOCK) + index("c") < float(words)
