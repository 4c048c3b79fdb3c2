"""Windows that are fitted to a number of outputs, as adaptive pooling has them, and the ways through them.

Of *extent* elements, output i sees those from ``floor(i * extent / outputs)`` up to
``ceil((i + 1) * extent / outputs)``.  With ``g = gcd(extent, outputs)`` the pattern repeats g times, after
``outputs / g`` windows and ``extent / g`` elements, and no window crosses from one repetition into the next.  So every
window of a repetition is affine in the number of the repetition, and so is every *run*: elements in the same windows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product

from ..ir.expression import Expression, index, read, where
from ..ir.statement import Index, Statement, Window, loop
from .placement import placed
from .site import Site
from .spatial import OUTPUTS, TAPS


@dataclass(frozen=True)
class Span:
    """Window *number* of a repetition: its elements *start* up to *stop*."""

    number: int
    start: int
    stop: int

    @property
    def taps(self) -> int:
        """Elements of the window."""
        return self.stop - self.start


@dataclass(frozen=True)
class Run:
    """Elements *start* up to *stop* of a repetition; all lie in the same windows, *spans*."""

    start: int
    stop: int
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Fit:
    """The windows along one axis."""

    extent: int
    outputs: int

    @property
    def times(self) -> int:
        """How often the pattern repeats."""
        return math.gcd(self.extent, self.outputs)

    @property
    def period(self) -> int:
        """Elements of a repetition."""
        return self.extent // self.times

    @property
    def even(self) -> bool:
        """Whether all windows are alike: there is one to a repetition."""
        return self.outputs == self.times

    @property
    def copies(self) -> int:
        """Outputs that see one element and nothing else, where that is so for all of them; else 0."""
        return self.outputs // self.extent if self.period == 1 else 0

    @property
    def crowd(self) -> int:
        """The most windows that one element lies in, where those are looked at one by one."""
        return max(len(run.spans) for run in self.runs)

    @property
    def spans(self) -> tuple[Span, ...]:
        """The windows of a repetition."""
        elements, count = self.period, self.outputs // self.times
        return tuple(Span(k, k * elements // count, -(-(k + 1) * elements // count)) for k in range(count))

    @property
    def runs(self) -> tuple[Run, ...]:
        """The elements of a repetition, cut wherever a window begins or ends."""
        spans = self.spans
        cuts = sorted({edge for span in spans for edge in (span.start, span.stop)})
        return tuple(Run(a, b, tuple(s for s in spans if s.start <= a < s.stop)) for a, b in pairwise(cuts))

    def output(self, repetition: str, span: Span) -> Index:
        """Which output *span* makes in the repetition that a loop counts."""
        return loop(repetition, self.outputs // self.times, span.number)

    def element(self, repetition: str, within: str, start: int) -> Index:
        """The element that lies *start* and what a loop counts behind the beginning of a repetition."""
        return Index(((repetition, self.period), (within, 1)), start)


def fitted(at: Site, kind: str, source: str, target: str, tap: str, fits: Sequence[Fit]) -> tuple[Statement, ...]:
    """``max`` (with *tap*, where it has a name) or mean of every window: one statement a window of a repetition.

    A mean has the scale that the types leave to it: where the target counts, its own scale divides.
    """
    types = at.type(source), at.type(target)
    found: list[Statement] = []
    for spans in product(*(fit.spans for fit in fits)):
        walk, here, sizes = [loop("c")], [loop("c")], {"c": types[0].factors[0]}
        for p, r, fit, span in zip(OUTPUTS, TAPS, fits, spans, strict=False):
            walk.append(fit.element(p, r, span.start))
            here.append(fit.output(p, span))
            sizes |= {p: fit.times, r: span.taps}
        terms = math.prod(span.taps for span in spans)
        scale = types[0].scale / terms / types[1].scale if kind == "sum" else 1.0  # in the order of `counted`
        best = at.access(tap, here) if tap else None
        loops = (*at.lead_loops(source), *sizes.items())
        taps = TAPS[: len(fits)]
        found.append(Window(kind, loops, taps, at.access(target, here), at.access(source, walk), best, scale))
    return tuple(found)


def spread(
    at: Site, error: str, tap: str, target: str, fits: Sequence[Fit], mean: bool = True
) -> tuple[Statement, ...]:
    """The errors of all windows that hold an element: one statement a run.

    With *tap*, the errors of those windows that chose the element; without, each over the taps of its window, if
    windows have their *mean*, or as it is.  Where every window is one element, the errors of its copies are themselves
    a window.
    """
    channels = at.type(target).factors[0]
    if all(fit.copies for fit in fits):
        sizes = {"c": channels}
        here, walk = [loop("c")], [loop("c")]
        for p, r, fit in zip(OUTPUTS, TAPS, fits, strict=False):
            sizes |= {p: fit.extent, r: fit.copies}
            here.append(loop(p))
            walk.append(Index(((p, fit.copies), (r, 1))))
        loops = (*at.lead_loops(error, target), *sizes.items())
        taps = TAPS[: len(fits)]
        return (Window("sum", loops, taps, at.access(target, here), at.access(error, walk)),)
    found: list[Statement] = []
    for runs in product(*(fit.runs for fit in fits)):
        axes, element = [{"c": channels}], [loop("c")]
        for p, r, fit, run in zip(OUTPUTS, TAPS, fits, runs, strict=False):
            axes.append({p: fit.times, r: run.stop - run.start})
            element.append(fit.element(p, r, run.start))
        reads: dict[str, tuple[str, list[Index]]] = {}
        total: Expression | None = None
        for number, spans in enumerate(product(*(run.spans for run in runs))):
            here = [loop("c"), *(fit.output(p, span) for p, fit, span in zip(OUTPUTS, fits, spans, strict=False))]
            reads[f"error{number}"] = (error, here)
            if tap:
                reads[f"tap{number}"] = (tap, here)
                chosen = read(f"tap{number}").equals(_number(runs, spans))
                part = where(chosen, read(f"error{number}"), 0.0)
            else:
                part = read(f"error{number}")
                part = part * (1.0 / math.prod(span.taps for span in spans)) if mean else part
            total = part if total is None else total + part
        assert total is not None, "every element lies in a window"
        found.append(placed(at, axes, reads, target, element, total))
    return tuple(found)


def _number(runs: Sequence[Run], spans: Sequence[Span]) -> Expression:
    """The number of this element among the taps of a window, the last axis fastest."""
    number: Expression | None = None
    for r, run, span in zip(TAPS, runs, spans, strict=False):
        tap = index(r) + float(run.start - span.start)
        number = tap if number is None else number * float(span.taps) + tap
    assert number is not None, "a window has an axis"
    return number
