"""Gather form: every product of the scatter is met exactly once, and every element is written exactly once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnc.compiler.ir.gather import gather, residues
from snnc.compiler.ir.graph import Node, Setting
from snnc.compiler.ir.notation import parse
from snnc.compiler.ir.statement import Access, Contraction, Elementwise, Index, Statement, Window
from snnc.compiler.ir.types import Type
from snnc.compiler.ops.op import OPS, lower

ROWS, COLUMNS, CHANNELS = 6, 5, 2
IMAGE = Type.of("f16", CHANNELS, ROWS, COLUMNS, batched=True)


def value(index: Index, at: dict[str, int]) -> int:
    return index.offset + sum(c * at[name] for name, c in index.terms)


@settings(max_examples=200, deadline=None)
@given(
    stride=st.integers(1, 5),
    dilation=st.integers(1, 5),
    pad=st.integers(0, 6),
    taps=st.integers(1, 6),
    extent=st.integers(1, 14),
)
def test_classes_meet_every_pair_of_output_and_tap_once(
    stride: int, dilation: int, pad: int, taps: int, extent: int
) -> None:
    outputs = (extent + 2 * pad - dilation * (taps - 1) - 1) // stride + 1
    scatter = Counter(
        (x, p, r)
        for p in range(max(outputs, 0))
        for r in range(taps)
        if 0 <= (x := p * stride + r * dilation - pad) < extent
    )
    found: Counter[tuple[int, int, int]] = Counter()
    written: list[int] = []
    for part in residues(Index((("p", stride), ("r", dilation)), -pad), "p", "r", taps, extent):
        for j in range(part.positions):
            written.append(value(part.position, {"p": j}))
            previous = -1
            for i in range(part.taps):
                at = {"p": j, "r": i}
                tap = value(part.tap_index, at)
                assert previous < tap < taps, "taps ascend and exist"
                previous = tap
                if 0 <= (output := value(part.output_index, at)) < outputs:
                    found[written[-1], output, tap] += 1
    assert found == scatter
    assert sorted(written) == list(range(extent))


def test_there_are_as_many_classes_as_strides_and_no_inserted_zeros() -> None:
    equation = parse("x[c, 2*p + r - 1, 3*q + s] += y[o, p, q] * w[o, c, r, s]")
    extents = {"c": 2, "p": 4, "q": 3, "o": 5, "r": 3, "s": 2}
    parts = list(gather(equation, extents, (2, 8, 9)))
    assert len(parts) == 6
    taps = [(sizes["r"], sizes["s"]) for _, sizes in parts]
    assert taps == list(product((1, 2), (1, 1, 0)))
    assert sum(r * s for r, s in taps) == 3 * 2
    assert str(parts[0][0]) == "x[c, 2*p, 3*q] += y[o, p-r, q-s] * w[o, c, 2*r+1, 3*s]"
    assert str(parts[3][0]) == "x[c, 2*p+1, 3*q] += y[o, p-r+1, q-s] * w[o, c, 2*r, 3*s]"


def test_grouped_channels_stay_as_they_are() -> None:
    equation = parse("x[2*g + c, p + r] += y[3*g + o, p] * w[3*g + o, c, r]")
    ((part, sizes),) = gather(equation, {"g": 2, "c": 2, "o": 3, "p": 4, "r": 3}, (4, 6))
    assert str(part) == "x[2*g+c, p] += y[3*g+o, p-r] * w[3*g+o, c, r]"
    assert sizes == {"g": 2, "c": 2, "p": 6, "o": 3, "r": 3}


Element = tuple[int, ...]


def at(access: Access, where: Mapping[str, int]) -> Element:
    return tuple(i.offset + sum(c * where[name] for name, c in i.terms) for i in access.index)


def points(loops: tuple[tuple[str, int], ...]) -> Iterator[dict[str, int]]:
    names = [name for name, _ in loops]
    return (dict(zip(names, where, strict=True)) for where in product(*(range(extent) for _, extent in loops)))


def inside(element: Element, type: Type) -> bool:
    lead = len(element) - len(type.memory)
    return all(0 <= k < extent for k, extent in zip(element[lead:], type.memory, strict=True))


def triples(statements: tuple[Statement, ...], types: Mapping[str, Type]) -> Counter[frozenset[tuple[str, Element]]]:
    """Products that statements add up: which element of which value meets which, counted."""
    found: Counter[frozenset[tuple[str, Element]]] = Counter()
    for statement in statements:
        assert isinstance(statement, Contraction)
        operands = [a for a in (statement.target, statement.left, statement.right) if a is not None]
        for where in points(statement.loops):
            met = [(a.value.removeprefix("d."), at(a, where)) for a in operands]
            if all(inside(element, types[name]) for name, element in met):
                found[frozenset(met)] += 1
    return found


def convolved(sizes: dict[str, Setting], kind: str = "conv2d") -> tuple[dict[str, Type], Node, dict[str, Node]]:
    op = OPS[kind].make(sizes)
    weight = op.parameter_types(IMAGE)["w"][0]
    (y,) = op.infer(IMAGE, weight)
    types = {"x": IMAGE, "w": weight, "y": y, "d.x": IMAGE, "d.w": weight.with_(format="f32"), "d.y": y}
    nodes = {
        "d_x": Node(("d.x",), f"{kind}.d_x", ("d.y", "w"), sizes),
        "d_w": Node(("d.w",), f"{kind}.d_w", ("x", "d.y"), sizes),
    }
    return types, Node(("y",), kind, ("x", "w"), sizes), nodes


@settings(max_examples=20, deadline=None)
@given(
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pad=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    groups=st.sampled_from((1, 2)),
)
def test_a_convolution_and_its_gradients_meet_the_same_products(
    kernel: tuple[int, int], stride: tuple[int, int], pad: tuple[int, int], dilation: tuple[int, int], groups: int
) -> None:
    sizes: dict[str, Setting] = {"out": 4, "kernel": kernel, "stride": stride, "pad": pad, "dilation": dilation}
    types, forward, backward = convolved(sizes | {"groups": groups, "bias": False})
    (rows, columns), channels, batch = types["y"].shape[1:], CHANNELS // groups, 2
    expected: Counter[frozenset[tuple[str, Element]]] = Counter()
    for n, o, p, q, c, r, s in product(*map(range, (batch, 4, rows, columns, channels, *kernel))):
        i, j = p * stride[0] - pad[0] + r * dilation[0], q * stride[1] - pad[1] + s * dilation[1]
        if 0 <= i < ROWS and 0 <= j < COLUMNS:
            k = o // (4 // groups) * channels + c
            expected[frozenset({("y", (n, p, q, o)), ("x", (n, i, j, k)), ("w", (r, s, c, o))})] += 1
    assert triples(lower(forward, types, 3, batch), types) == expected
    for node in backward.values():
        assert triples(lower(node, types, 3, batch), types) == expected


@settings(max_examples=20, deadline=None)
@given(
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pad=st.tuples(st.integers(0, 1), st.integers(0, 2)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    more=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    groups=st.sampled_from((1, 2)),
    out=st.sampled_from((2, 4)),
)
def test_a_transposed_convolution_and_its_gradients_meet_the_same_products(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    pad: tuple[int, int],
    dilation: tuple[int, int],
    more: tuple[int, int],
    groups: int,
    out: int,
) -> None:
    more = min(more[0], max(stride[0], dilation[0]) - 1), min(more[1], max(stride[1], dilation[1]) - 1)
    sizes: dict[str, Setting] = {"out": out, "kernel": kernel, "stride": stride, "pad": pad, "dilation": dilation}
    sizes |= {"groups": groups, "output_pad": more, "bias": False}
    types, forward, backward = convolved(sizes, "conv_transpose2d")
    (rows, columns), inputs, outputs, batch = types["y"].shape[1:], CHANNELS // groups, out // groups, 2
    assert rows == (ROWS - 1) * stride[0] - 2 * pad[0] + dilation[0] * (kernel[0] - 1) + more[0] + 1
    expected: Counter[frozenset[tuple[str, Element]]] = Counter()
    for n, k, i, j, o, r, s in product(*map(range, (batch, CHANNELS, ROWS, COLUMNS, outputs, *kernel))):
        p, q = i * stride[0] + r * dilation[0] - pad[0], j * stride[1] + s * dilation[1] - pad[1]
        if 0 <= p < rows and 0 <= q < columns:
            y = (n, p, q, k // inputs * outputs + o)
            expected[frozenset({("y", y), ("x", (n, i, j, k)), ("w", (r, s, o, k))})] += 1
    parts = lower(forward, types, 3, batch)
    assert triples(parts, types) == expected
    written = Counter(
        at(part.target, where)
        for part in parts
        if isinstance(part, Contraction)
        for where in points(tuple((name, extent) for name, extent in part.loops if name not in part.summed))
    )
    assert written == Counter(product(range(batch), range(rows), range(columns), range(out)))
    for node in backward.values():
        assert triples(lower(node, types, 3, batch), types) == expected


def test_the_gradient_of_the_input_is_one_statement_a_residue_class() -> None:
    types, _, backward = convolved({"out": 4, "kernel": 3, "stride": (2, 3), "bias": False})
    statements = lower(backward["d_x"], types, 3, 2)
    assert len(statements) == 6
    written = Counter(
        at(s.target, where)
        for s in statements
        if isinstance(s, Contraction)
        for where in points(tuple((name, extent) for name, extent in s.loops if name not in s.summed))
    )
    assert written == Counter(dict.fromkeys(product(range(2), range(ROWS), range(COLUMNS), range(CHANNELS)), 1))


@pytest.mark.parametrize("kind", ["max_pool2d", "avg_pool2d"])
@pytest.mark.parametrize("sizes", [(2, 2, 0), (3, 2, 1), (2, 3, 0), (3, 1, 1)])
def test_the_adjoint_of_a_pool_meets_the_windows_that_hold_the_element(kind: str, sizes: tuple[int, int, int]) -> None:
    kernel, stride, pad = sizes
    given: dict[str, Setting] = {"kernel": kernel, "stride": stride, "pad": pad}
    op = OPS[kind].make(given)
    y, *taps = op.infer(IMAGE)
    types = {"x": IMAGE, "y": y, "tap": taps[0] if taps else y, "d.x": IMAGE, "d.y": y}
    (rows, columns), batch = y.shape[1:], 2
    expected = Counter(
        ((n, i, j, c), (n, p, q, c), r * kernel + s)
        for n, c, p, q, r, s in product(
            range(batch), range(CHANNELS), range(rows), range(columns), *[range(kernel)] * 2
        )
        if 0 <= (i := p * stride + r - pad) < ROWS and 0 <= (j := q * stride + s - pad) < COLUMNS
    )
    results = ("y", "tap") if taps else ("y",)
    (forward,) = lower(Node(results, kind, ("x",), given), types, 3, batch)
    assert isinstance(forward, Window)
    met = Counter(
        (at(forward.source, w), at(forward.target, w), w["r"] * kernel + w["s"])
        for w in points(forward.loops)
        if inside(at(forward.source, w), IMAGE)
    )
    assert met == expected
    operands = ("d.y", "tap") if taps else ("d.y",)
    back: Counter[tuple[Element, Element, int]] = Counter()
    written: Counter[Element] = Counter()
    for part in lower(Node(("d.x",), f"{kind}.d_x", operands, given), types, 3, batch):
        if isinstance(part, Elementwise):
            nothing = part.writes[0].expression
            assert (nothing.op, nothing.value) == ("constant", 0.0), "between the windows"
            written.update(at(part.writes[0].target, w) for w in points(part.loops))
            continue
        assert isinstance(part, Window)
        written.update(at(part.target, w) for w in points(part.loops) if not any(w[name] for name in part.taps))
        for w in points(part.loops):
            if inside(at(part.source, w), y):
                step = part.step or (0, 0)
                back[at(part.target, w), at(part.source, w), part.first + step[0] * w["r"] + step[1] * w["s"]] += 1
    assert written == Counter(product(range(batch), range(ROWS), range(COLUMNS), range(CHANNELS)))
    if taps:
        assert back == expected
    else:
        assert Counter({pair[:2]: 0 for pair in back}) == Counter({pair[:2]: 0 for pair in expected})
        assert sum(back.values()) == sum(expected.values())
