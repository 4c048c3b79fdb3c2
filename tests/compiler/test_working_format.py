"""A machine's working format takes the place of f16 in training graphs and statements, and changes nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from snnc.compiler.evaluate import Numerics, Oracle, evaluate_statements
from snnc.compiler.frontends.snn import read
from snnc.compiler.ir.expression import Expression, edge, state
from snnc.compiler.ir.expression import read as operand
from snnc.compiler.ir.graph import Training
from snnc.compiler.ir.statement import Access, Elementwise, Moments, State, Statement, Write, loop
from snnc.compiler.ir.text import parse_training, print_training
from snnc.compiler.ir.types import Type
from snnc.compiler.ir.working import statement_in, type_in
from snnc.compiler.ops.op import lower
from snnc.compiler.passes.differentiate import build_training
from snnc.compiler.passes.training_options import TrainingOptions
from snnc.compiler.passes.working_format import in_working_format
from snnc.numerics.formats import BF16, round_to

SOURCE = """
network small(image: f16[2, 4, 4]) steps 2 {
    c = conv2d(image, out=4, kernel=3, pad=1)
    n = batch_norm(c)
    s = lif(n, threshold=0.25)
    p = avg_pool2d(s, kernel=2)
    y = linear(flatten(p), out=3)
    return li(y)
}
train { loss = cross_entropy; optimizer = adam(lr=1e-2); batch = 3 }
"""
OTHERS = ("bf16", "f32")


def graph(working: str = "f16", source: str = SOURCE) -> Training:
    network = read(source)
    return in_working_format(build_training(network, TrainingOptions.resolve(network)), working)


def types_of(training: Training) -> Iterator[Type]:
    yield from training.types.values()
    for procedure in training.procedures:
        yield from training.values(procedure).values()


def statements_of(training: Training) -> Iterator[Statement]:
    for procedure in training.procedures:
        values = training.values(procedure)
        for region in procedure.regions:
            for node in region.nodes:
                yield from lower(node, values, training.steps, training.batch, region.sweep, training.working)


def test_a_graph_in_f16_stays_as_it_is() -> None:
    plain = graph()
    assert in_working_format(plain, "f16") is plain
    assert plain.working == "f16"
    assert "working_format" not in plain.settings


@pytest.mark.parametrize("working", OTHERS)
def test_every_f16_becomes_the_working_format_and_nothing_else_changes(working: str) -> None:
    plain, other = graph(), graph(working)
    assert other.working == working
    assert [type_in(type, working) for type in types_of(plain)] == list(types_of(other))
    assert {type.format for type in types_of(plain)} == {"f16", "f32", "spike", "u4", "u8", "u16"}
    assert all(type.format != "f16" for type in types_of(other))
    words = [v for v in other.variables if v.role in ("input", "parameter") and v.layer != "n"]
    assert {v.type.format for v in words} == {working}
    assert {v.type.format for v in other.variables if v.role in ("master", "optimizer", "statistic")} == {"f32"}
    for before, after in zip(plain.procedures, other.procedures, strict=True):
        assert [(node.results, node.op, node.operands) for node in before.nodes] == [
            (node.results, node.op, node.operands) for node in after.nodes
        ]


@pytest.mark.parametrize("working", OTHERS)
def test_no_statement_rounds_or_carries_f16(working: str) -> None:
    edges: set[str] = set()
    states: set[str] = set()
    for statement in statements_of(graph(working)):
        if isinstance(statement, Elementwise):
            states |= {state.format for state in statement.states}
            for root in [write.expression for write in statement.writes] + [each.next for each in statement.states]:
                edges |= {part.name for part in root.walk() if part.op == "edge"}
    assert edges == {working}
    assert states == {working, "f32"}


def test_what_expressions_share_they_still_share() -> None:
    h = edge(operand("x") + state("v"), "f16")
    untouched = operand("x") * 2.0
    target = Access("y", (loop("c"),))
    writes = (Write(target, h * h), Write(target, edge(h, "f32")), Write(target, untouched))
    given = Elementwise((("c", 3),), 2, {"x": target}, (State("v", "f16", 0.5, h), State("s", "f32", 0.0, h)), writes)
    made = statement_in(given, "bf16")
    assert isinstance(made, Elementwise)
    square, wide, plain = (write.expression for write in made.writes)
    carried, summed = made.states
    assert (carried.format, carried.initial, summed.format) == ("bf16", 0.5, "f32")
    assert square.args[0] is square.args[1] is wide.args[0] is carried.next is summed.next
    assert (carried.next.op, carried.next.name, carried.next.args) == ("edge", "bf16", h.args)
    assert (wide.op, wide.name) == ("edge", "f32")
    assert plain is untouched
    assert (made.loops, made.steps, made.reads) == (given.loops, given.steps, given.reads)
    assert statement_in(given, "f16") is given


def test_a_long_expression_is_rewritten_without_recursion() -> None:
    total: Expression = operand("x")
    for _ in range(5000):
        total = edge(total + 1.0, "f16")
    made = statement_in(Elementwise((), 0, {}, (), (Write(Access("y", ()), total),)), "f32")
    assert isinstance(made, Elementwise)
    assert {part.name for part in made.writes[0].expression.walk() if part.op == "edge"} == {"f32"}


@pytest.mark.parametrize("working", OTHERS)
def test_a_graph_survives_its_text(working: str) -> None:
    training = graph(working)
    again = parse_training(print_training(training))
    assert again == training
    assert again.working == working
    assert again.hash == training.hash != graph().hash


def test_the_dump_of_a_graph_in_bf16_reads_like_this(golden: Callable[[str, str], None]) -> None:
    source = """
        network brief(x: f16[3]) steps 2 { return linear(lif(linear(x, out=2, bias=false)), out=2, bias=false) }
        train { loss = cross_entropy; optimizer = sgd(lr=0.5); batch = 1 }"""
    golden("text/training_bf16.snn", print_training(graph("bf16", source)))


def test_mathematics_knows_no_formats() -> None:
    rng = np.random.default_rng(0)
    plain = graph()
    given = {v.name: rng.normal(size=v.type.shape) for v in plain.variables if v.role in ("parameter", "master")}
    image, label = rng.random((3, 2, 4, 4)), rng.integers(0, 3, 3)
    arguments = {"valid": 3, "learning_rate": 1e-2, "loss_scale": 64.0, "seed": 1, "step": 0}
    arguments |= {"correction1": 0.1, "correction2": 0.001}
    found: list[dict[str, list[float]]] = []
    for working in ("f16", *OTHERS):
        oracle = Oracle(graph(working), Numerics("f64"))
        for name, value in {**given, "image": image, "label": label}.items():
            oracle.write(name, value)
        oracle.write("n.running_var", np.ones(4))
        oracle.run("train_step", arguments)
        found.append({record.name: record.elements.ravel().tolist() for record in oracle.records()})
    assert len(found[0]) > 20
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("working", OTHERS)
def test_moments_add_in_f64_one_term_after_the_other(working: str) -> None:
    """The loops are written out with Python's floats, which are f64; 2^60 hides what comes behind it."""
    x = Type(working, ((2,), (3,)), True, True)
    one = Type("f32", ((2,),))
    rng = np.random.default_rng(2)
    left, right = (round_to(rng.normal(size=(2, 2, 3, 2)).astype(np.float32), BF16) for _ in range(2))
    left[0, 1, 2, 0], left[1, 0, 0, 0], left[1, 1, 1, 1] = 2.0**60, -(2.0**60), 0.0
    right[1, 1, 1, 1] = 2.0**40
    access = {name: Access(name, (loop("t"), loop("n"), loop("p"), loop("c"))) for name in ("l", "r")}
    here = {name: Access(name, (loop("c"),)) for name in ("mean", "co", "var")}
    loops = (("t", 2), ("n", 2), ("c", 2), ("p", 3))
    shared = (loops, ("t", "n", "p"))
    both = Moments(*shared, here["mean"], here["co"], access["l"], access["r"], scale=0.5, product_scale=0.25)
    variance = Moments(*shared, Access("", ()), here["var"], access["r"], access["r"])
    types = {"l": x, "r": x, "mean": one, "co": one, "var": one}
    values = {"l": left, "r": right}
    made = evaluate_statements((both, variance), values, types, Numerics("f32"), {}, (2, 2))
    for c in range(2):
        sums = [0.0] * 4
        for t in range(2):
            for n in range(2):
                for p in range(3):
                    a, b = float(left[t, n, p, c]), float(right[t, n, p, c])
                    sums = [sums[0] + a, sums[1] + b, sums[2] + a * b, sums[3] + b * b]
        assert made["mean"][c] == np.float32(sums[0] / 12 * 0.5)
        assert made["co"][c] == np.float32((12 * sums[2] - sums[0] * sums[1]) / 144 * 0.25)
        assert made["var"][c] == np.float32(max((12 * sums[3] - sums[1] * sums[1]) / 144, 0.0))
    assert made["mean"][0] != np.float32(left[..., 0].astype(np.float64).mean() * 0.5), "the order does not show"


def test_moments_of_f16_are_exact_even_where_the_machine_rounds() -> None:
    """A product of 2^-48 between two of 2^32 that cancel: an exact sum has it, an f64 sum has lost it."""
    big, small = 65280.0, 2.0**-24
    left = np.array([[big], [small], [-big], [0.0], [0.0]], np.float32)
    right = np.array([[big], [small], [big], [-big], [-big]], np.float32)
    left_at, right_at = (Access(name, (loop("p"), loop("c"))) for name in ("l", "r"))
    statement = Moments((("c", 1), ("p", 5)), ("p",), Access("", ()), Access("co", (loop("c"),)), left_at, right_at)
    found: dict[str, float] = {}
    for format in ("f16", *OTHERS):
        each = Type(format, ((1,), (5,)))
        types = {"l": each, "r": each, "co": Type("f32", ((1,),))}
        made = evaluate_statements((statement,), {"l": left, "r": right}, types, Numerics("f32"), {}, (1, 1))
        found[format] = float(made["co"][0])
    exact = float(np.float32((5 * small * small - small * small) / 25))
    rounded = float(np.float32((0.0 - small * small) / 25))
    assert found == {"f16": exact, "bf16": rounded, "f32": rounded}
