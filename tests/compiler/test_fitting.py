"""Fitted windows: every element is met by the windows that hold it, and by no other; every part is written once."""

from __future__ import annotations

import math
from collections import Counter
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnc.compiler.ir.graph import Node, Setting
from snnc.compiler.ir.statement import Access, Elementwise, Window
from snnc.compiler.ir.types import Type
from snnc.compiler.ops.fitting import Fit
from snnc.compiler.ops.op import OPS, lower


def window(extent: int, outputs: int, number: int) -> range:
    """Elements of a window of adaptive pooling, as PyTorch documents it."""
    return range(math.floor(number * extent / outputs), math.ceil((number + 1) * extent / outputs))


@settings(max_examples=200, deadline=None)
@given(extent=st.integers(1, 40), outputs=st.integers(1, 40))
def test_spans_and_runs_are_the_windows_and_what_lies_in_them(extent: int, outputs: int) -> None:
    fit = Fit(extent, outputs)
    windows: dict[int, list[int]] = {}
    holders: dict[int, list[int]] = {}
    for again in range(fit.times):
        for span in fit.spans:
            first = again * fit.period
            windows[again * len(fit.spans) + span.number] = list(range(first + span.start, first + span.stop))
        for run in fit.runs:
            for element in range(run.start, run.stop):
                assert again * fit.period + element not in holders, "runs are disjoint"
                numbers = [again * len(fit.spans) + span.number for span in run.spans]
                holders[again * fit.period + element] = numbers
    assert windows == {number: list(window(extent, outputs, number)) for number in range(outputs)}
    assert holders == {
        element: [number for number in range(outputs) if element in window(extent, outputs, number)]
        for element in range(extent)
    }
    assert fit.even == (len({len(elements) for elements in windows.values()}) == 1 and extent % outputs == 0)


@pytest.mark.parametrize("sizes", [(6, 5, 3, 5), (6, 5, 4, 2), (5, 4, 3, 7), (4, 6, 1, 1)])
@pytest.mark.parametrize("kind", ["avg", "max"])
def test_what_goes_forward_comes_back(kind: str, sizes: tuple[int, int, int, int]) -> None:
    rows, columns, *out = sizes
    batch, channels = 2, 3
    x = Type.of("f16", channels, rows, columns, batched=True)
    given: dict[str, Setting] = {"out": (out[0], out[1])}
    y, *taps = OPS[f"adaptive_{kind}_pool2d"].make(given).infer(x)
    types = {"x": x, "y": y, "d.x": x, "d.y": y, "tap": taps[0] if taps else y}
    expected = Counter(
        ((n, i, j, c), (n, p, q, c))
        for n, c, p, q in product(range(batch), range(channels), range(out[0]), range(out[1]))
        for i, j in product(window(rows, out[0], p), window(columns, out[1], q))
    )
    met: Counter[tuple[tuple[int, ...], ...]] = Counter()
    results = ("y", "tap") if taps else ("y",)
    for part in lower(Node(results, f"adaptive_{kind}_pool2d", ("x",), given), types, 1, batch):
        assert isinstance(part, Window)
        met.update((at(part.source, where), at(part.target, where)) for where in points(part.loops))
    assert met == expected
    operands = ("d.y", "tap") if taps else ("d.y",)
    back: Counter[tuple[tuple[int, ...], ...]] = Counter()
    written: Counter[tuple[int, ...]] = Counter()
    for part in lower(Node(("d.x",), f"adaptive_{kind}_pool2d.d_x", operands, given), types, 1, batch):
        assert isinstance(part, Elementwise)
        for where in points(part.loops):
            element = at(part.writes[0].target, where)
            written[element] += 1
            back.update((element, at(read, where)) for read in part.reads.values() if read.value == "d.y")
    assert back == expected
    assert written == Counter(product(range(batch), range(rows), range(columns), range(channels)))


def at(access: Access, where: dict[str, int]) -> tuple[int, ...]:
    return tuple(index.offset + sum(c * where[name] for name, c in index.terms) for index in access.index)


def points(loops: tuple[tuple[str, int], ...]) -> list[dict[str, int]]:
    names = [name for name, _ in loops]
    return [dict(zip(names, turn, strict=True)) for turn in product(*(range(extent) for _, extent in loops))]


@pytest.mark.parametrize("rows", range(1, 65))
def test_counts_are_summed_as_they_are(rows: int) -> None:
    """The scale of the sum and that of its type are the same number: 49 sums of 1/49 are no 0.999."""
    x = Type.of("spike", 2, rows, 1, batched=True)
    (y,) = OPS["global_avg_pool2d"].make({}).infer(x)
    node = Node(("y",), "global_avg_pool2d", ("x",), {}, (y,))
    (window,) = lower(node, {"x": x, "y": y}, 1, 1)
    assert isinstance(window, Window) and window.scale == 1.0
