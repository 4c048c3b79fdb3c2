"""What is made of nothing in memory lies nowhere: the contraction that reads it draws it, tile by tile."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from snnc.compiler.ir.expression import Expression, argument, index, read, uniform
from snnc.compiler.ir.graph import Node, Region
from snnc.compiler.ir.statement import Access, Contraction, Elementwise, Index, Statement, Write, loop
from snnc.compiler.passes.drawn import Taken, drawn_in, in_loops_of
from snnc.compiler.pipeline import Compilation, Options
from snnc.isa.instructions.vector import Run

Z = Access("z", (loop("t"), loop("n"), loop("p"), loop("c")))
VALUE = (uniform("layer") >= 0.5) * argument("valid") + index("t") + index("p")
KEY = Index((("t", 120), ("n", 30), ("c", 6), ("p", 1)), 5)
LOOPS = (("n", 4), ("p", 6), ("c", 5))


def made(
    expression: Expression = VALUE, target: Access = Z, reads: dict[str, Access] | None = None, last: bool = False
) -> Elementwise:
    return Elementwise(LOOPS, 3, reads or {}, (), (Write(target, expression, last),), {"layer": KEY})


def reader(*index: Index, right: str = "y", k1: int = 6) -> Contraction:
    """Of z at *index*, its own axes where there is none: rows k1, channels k0."""
    place = index or (loop("t"), loop("n"), loop("k1"), loop("k0"))
    loops = (("t", 3), ("n", 4), ("o", 10), ("k0", 5), ("k1", k1))
    target = Access("m", (loop("t"), loop("k1"), loop("k0"), loop("o")))
    errors = Access(right, (loop("t"), loop("n"), loop("o")))
    return Contraction("wg", loops, target, Access("z", place), errors, ("n",))


def test_it_is_made_as_before_in_the_loops_of_the_stage_that_reads_it() -> None:
    found = in_loops_of(reader(), made())
    assert found is not None
    assert found.loops == (("n", 4), ("k1", 6), ("k0", 5)) and found.steps == 3
    assert found.random == {"layer": Index((("t", 120), ("n", 30), ("k0", 6), ("k1", 1)), 5)}
    (write,) = found.writes
    assert str(write.target) == "z[t, n, k1, k0]"
    names = [(node.op, node.name) for node in write.expression.walk() if node.name]
    assert names == [("uniform", "layer"), ("argument", "valid"), ("index", "t"), ("index", "k1")]


@pytest.mark.parametrize(
    "statement",
    [
        reader(loop("t"), loop("n"), Index((("k1", 1), ("r", 1))), loop("k0")),
        reader(loop("t"), loop("n"), loop("k1", 2), loop("k0")),
        reader(loop("t", -1, 2), loop("n"), loop("k1"), loop("k0")),
        reader(loop("t"), loop("n"), loop("k1", 1, -1), loop("k0")),
        reader(loop("t"), loop("n"), loop("k1"), Index()),
        reader(k1=3),
        reader(right="z"),
        made(target=Access("other", Z.index), reads={"z": Z}),
    ],
    ids=["taps", "stride", "downwards", "padding", "one channel", "some rows", "both sides", "elements"],
)
def test_where_tiles_would_not_fit_it_lies_in_memory(statement: Statement) -> None:
    assert in_loops_of(statement, made()) is None
    assert not list(drawn_in(taken([made()], [statement]), ()))


def taken(*statements: list[Statement], regions: int = 1) -> list[Taken]:
    """A node for each list of statements; the last one is in another of so many *regions*."""
    sweeps = [Region("up", ()), Region("up", (), stepwise=True)]
    return [
        Taken(Node((f"v{number}",), "op"), sweeps[regions > 1 and number == len(statements) - 1], tuple(each), 0)
        for number, each in enumerate(statements)
    ]


def test_it_lies_nowhere_where_contractions_of_its_sweep_alone_read_it() -> None:
    ((value, node, statement),) = drawn_in(taken([made()], [reader()], [reader()]), ())
    assert value == "z" and node.results == ("v0",) and str(statement) == str(made())
    assert not list(drawn_in(taken([made()], [reader()]), ("z",))), "kept for another entry, or for the host"
    assert not list(drawn_in(taken([made()], [reader()], regions=2), ())), "read in another sweep"
    assert not list(drawn_in(taken([made()]), ())), "read by nobody"
    assert not list(drawn_in(taken([made(read("x"), reads={"x": Access("x", Z.index)})], [reader()]), ()))
    assert not list(drawn_in(taken([made(last=True)], [reader()]), ()))


SOURCE = """network net(image: f16[1, 6, 6]) steps 3 {
    s = lif(conv2d(image, out=8, kernel=3), reset=soft)
    return linear(flatten(s), out=3)
}
train { rule = opzo(NOISE); loss = cross_entropy_mse; batch = 4 }"""


@pytest.mark.parametrize("noise", ["rademacher", "gaussian", "uniform"])
def test_noise_takes_no_room_and_moves_no_bytes(noise: str, tmp_path: Path) -> None:
    path = tmp_path / "net.snn"
    path.write_text(SOURCE.replace("NOISE", f"noise={noise}"), "utf-8")
    compilation = Compilation(str(path), Options("tiny", fusion="off"))
    program = compilation.program
    assert compilation.schedule.nowhere("train_step") == {"s.noise"}
    assert "s.noise" not in program.by_name
    assert "s.noise" not in program.predicted["train_step"]["by_tensor"]
    stages = {stage.node: stage for stage in compilation.schedule.entries["train_step"]}
    assert "s.noise" not in stages
    stage = stages["s.feedback.sum"]
    assert [step.kind for _, step in stage.steps() if "left" in step.writes] == ["run"]
    assert [step.value for _, step in stage.steps() if step.kind == "load"] == ["loss.answers"]
    entry = program.entry("train_step")
    runs = {word.program for stream in entry.streams for word in stream.instructions if isinstance(word, Run)}
    drawing = [program.elements[number] for number in runs if program.elements[number].name == "noise"]
    assert len(drawing) == 1 and not [name for name in drawing[0].operands if name not in ("out0", "random:s")]
    assert {"seed", "step"} <= set(entry.arguments)


def test_what_a_stage_draws_counts_in_no_bound() -> None:
    """The layer bound of the sums is that of what they read and write."""
    train = {"rule": "opzo", "loss": ("cross_entropy_mse", ("lam", 0.05))}
    program = Compilation("digits", Options("tiny", batch=8, steps=2, train=train, fusion="off")).program
    (name,) = [name for name in program.bound["train_step"]["by_stage"] if name.endswith(".feedback.sum")]
    matrix, answers = program.symbol(f"{name.split()[1]}"), program.symbol("loss.answers")
    assert program.bound["train_step"]["by_stage"][name] == 2 * math.prod(matrix.shape) * 4 + 2 * 8 * 10 * 2
    assert answers.kind.bits == 16
