"""Parse, print, parse is the identity; what does not parse is told to the letter."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnc.compiler.ir.graph import Network, Node, Port, Procedure, Region, Setting, Sweep, Training, Variable
from snnc.compiler.ir.text import parse, parse_network, parse_setting, parse_training, print_network, print_training
from snnc.compiler.ir.types import Type
from snnc.compiler.ir.values import RESERVED, WORDS, is_name, setting_of, text_of_setting
from snnc.numerics.formats import FORMATS
from snnc.source import Place, SourceError

Item = TypeVar("Item")

# Words that are keywords somewhere are names elsewhere.
WORD = st.one_of(
    st.sampled_from(
        "block network train training steps batch as weight argument settings entry once sweep t up n".split()
    ),
    st.from_regex(r"[A-Za-z_][A-Za-z_0-9]{0,5}", fullmatch=True),
).filter(is_name)
NAME = st.one_of(WORD, st.builds("{}.{}".format, WORD, st.from_regex(r"[a-z_0-9]{1,3}", fullmatch=True)))
FLOAT = st.one_of(st.floats(allow_nan=False), st.sampled_from([0.5, -0.0, 1e-300, math.inf]))
LEAF = st.one_of(st.booleans(), st.integers(), FLOAT, st.text(max_size=6), WORD, st.sampled_from(sorted(WORDS)))
PAIR = st.tuples(WORD, LEAF)
SETTING: st.SearchStrategy[Setting] = st.recursive(
    LEAF,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple),
        st.tuples(WORD, PAIR),
        st.tuples(WORD, st.tuples(WORD, inner), PAIR),
    ),
    max_leaves=6,
)
SETTINGS = st.dictionaries(WORD, SETTING, max_size=3)
EXTENT = st.integers(1, 600)
TYPE = st.builds(
    Type,
    st.sampled_from(sorted(FORMATS)),
    st.lists(st.lists(EXTENT, min_size=1, max_size=3).map(tuple), max_size=4).map(tuple),
    st.booleans(),
    st.booleans(),
    st.one_of(st.just(1.0), st.floats(1e-6, 1e6)),
    st.booleans(),
).flatmap(lambda type: st.integers(1, 20 if type.timed else 1).map(lambda every: type.with_(every=every)))
PLACE = st.builds(Place, st.just("a file.snn"), st.integers(1, 99), st.integers(1, 99))


def names(least: int = 0, most: int = 3, name: st.SearchStrategy[str] = NAME) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(name, min_size=least, max_size=most).map(tuple)


@st.composite
def nodes(draw: st.DrawFn, training: bool = False) -> Node:
    results = draw(names(1, 3, st.one_of(NAME, st.just("")) if training else NAME))
    return Node(
        results=results,
        op=draw(NAME),
        operands=draw(names()),
        settings=draw(SETTINGS),
        types=tuple(draw(TYPE) for _ in results),
        layer=draw(st.one_of(st.just(""), NAME)) if training else "",
        phase=draw(st.sampled_from(["", "FP", "BP", "WG", "UP"])) if training else "",
        place=draw(PLACE),
    )


NETWORK = st.builds(
    Network,
    NAME,
    st.lists(st.builds(Port, NAME, TYPE), max_size=2).map(tuple),
    st.integers(1, 64),
    st.lists(nodes(), max_size=4).map(tuple),
    names(),
    SETTINGS,
)
SWEEP: st.SearchStrategy[Sweep] = st.sampled_from(["once", "up", "down"])
NODES = st.lists(nodes(True), max_size=2).map(tuple)
CHOSEN = st.builds(Region, st.just("chosen"), NODES, st.just(True), st.integers(1, 40))
REGION = st.builds(Region, SWEEP, NODES) | CHOSEN
ROLE = st.sampled_from("input label parameter master optimizer constant".split())
TRAINING = st.builds(
    Training,
    NAME,
    st.integers(1, 64),
    st.integers(1, 64),
    st.lists(st.builds(Variable, NAME, TYPE, ROLE, st.one_of(st.just(""), NAME)), max_size=3).map(tuple),
    st.lists(st.tuples(NAME, st.sampled_from(["f32", "u32"])), max_size=2).map(tuple),
    st.lists(st.builds(Procedure, NAME, names(), st.lists(REGION, max_size=2).map(tuple), names()), max_size=2).map(
        tuple
    ),
    SETTINGS,
)


@given(NETWORK)
@settings(max_examples=50, deadline=None)
def test_a_network_reads_back_as_it_was_printed(network: Network) -> None:
    text = print_network(network)
    again = parse_network(text)
    assert again == network
    assert print_network(again, places=False) == print_network(network, places=False)
    assert repr(again.train) == repr(network.train)


@given(TRAINING)
@settings(max_examples=50, deadline=None)
def test_a_training_graph_reads_back_as_it_was_printed(training: Training) -> None:
    again = parse_training(print_training(training, places=True))
    assert again == training
    assert again.hash == training.hash


@given(SETTING)
@settings(max_examples=80, deadline=None)
def test_a_setting_reads_back_with_its_type(setting: Setting) -> None:
    (section,) = parse(f"train {{ x = {text_of_setting(setting)} }}").items
    ((_, value),) = section.settings  # type: ignore[union-attr]
    assert repr(setting_of(value, {})) == repr(setting)  # pyright: ignore


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("adam(lr=1", ["optimizer:1:10: expected ',' or ')'", "  adam(lr=1", "           ^"]),
        ("adam(,)", ["optimizer:1:6: expected a value or ')'", "  adam(,)", "       ^"]),
        ("adam(\n1 2)", ["optimizer:2:3: expected ',' or ')'", "  1 2)", "    ^"]),
    ],
)
def test_a_setting_alone_is_shown_as_it_was_written(text: str, expected: list[str]) -> None:
    with pytest.raises(SourceError) as error:
        parse_setting(text, "optimizer")
    assert str(error.value).splitlines() == expected


SPACED = """\
network \x01 net \x01 ( \x01 image \x01 : \x01 f16 \x01 [ \x01 1 \x01 , \x01 2 \x01 ] \x01 ) \x01 steps \x01 4 \x01
{ \x01 c \x01 , \x01 c.h \x01 = \x01 lif \x01 ( \x01 image \x01 , \x01 decay \x01 = \x01 - \x01 0.5 \x01 ) \x01
return \x01 c \x01 } \x01 train \x01 { \x01 a \x01 = \x01 f \x01 ( \x01 b \x01 = \x01 "# no" \x01 ) \x01 } \x01"""


@given(st.lists(st.sampled_from([" ", "\n", "\t", "\r\n", ' # comment ) } "\n', "#\n"]), min_size=53, max_size=53))
@settings(max_examples=40, deadline=None)
def test_white_space_and_comments_mean_nothing(gaps: list[str]) -> None:
    pieces = SPACED.split("\x01")
    text = "".join(piece + gap for piece, gap in zip(pieces, [*gaps, ""] * 2, strict=False))
    assert parse(text) == parse(SPACED.replace("\x01", " "))


def test_semicolons_may_end_statements() -> None:
    assert parse("train { a = 1; b = 2;; }") == parse("train { a = 1 b = 2 }") == parse("train {\n a = 1\n b = 2\n}")


def test_the_hash_does_not_depend_on_where_the_file_lies() -> None:
    def training(file: str) -> Training:
        node = Node(("y",), "lif", types=(Type.of("spike", 3),), place=Place(file, 3, 4))
        return Training("a", 1, 1, (), (), (Procedure("init", (), (Region("once", (node,)),), ()),))

    assert training("here.snn").hash == training("there.snn").hash


def test_the_dump_of_a_training_graph_reads_like_this(golden: Callable[[str, str], None]) -> None:
    weight = Type.of("f16", 2, 3, weight=True)
    image, error = Type("f16", ((3,),), batched=True), Type("f16", ((2,),), True, True)
    nodes = (
        Node(("y",), "linear", ("image", "y.w"), {"out": 2, "bias": False}, (error,), "y", "FP"),
        Node(
            ("s", ""), "lif", ("y",), {"decay": 0.5, "reset": "hard"}, (error.with_(format="spike"), error), "s", "FP"
        ),
    )
    gradient = Node(("d.y.w",), "linear.d_w", ("image", "d.y"), {"out": 2}, (weight.with_(format="f32"),), "y", "WG")
    step = Procedure(
        "train_step", ("image", "label"), (Region("up", nodes, True), Region("down", (gradient,))), ("loss",)
    )
    training = Training(
        "tiny", 4, 64,
        (
            Variable("image", image, "input"),
            Variable("y.w", weight, "parameter", "y"),
            Variable("count", Type("u4", ((2,),), True, True, 0.25), "constant"),
        ),
        (("learning_rate", "f32"), ("seed", "u32")),
        (Procedure("init", (), (Region("once", ()),), ()), step),
        {"loss": "cross_entropy", "optimizer": ("adam", ("lr", 0.001)), "note": "two words"},
    )  # fmt: skip
    golden("text/training.snn", print_training(training))


def told(read: Callable[[str, str], object], text: str) -> str:
    with pytest.raises(SourceError) as caught:
        read(text, "a.snn")
    return str(caught.value)


NET = "network a(x: f16[1]) steps 4 {"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            NET + "\n    s1 = lif(c1 decay=0.5)\n}",
            "2:17: expected ',' or ')'\n      s1 = lif(c1 decay=0.5)\n                  ^",
        ),
        (
            NET + "\n    s1 = lif(c1  # so\n    s2 = x\n}",
            "2:16: expected ',' or ')'\n      s1 = lif(c1  # so\n                 ^",
        ),
        ("network a(x: f16[1) {", "1:19: expected ',' or ']'\n  network a(x: f16[1) {\n                    ^"),
        ("network a(x) {", "1:12: expected ':' or '='\n  network a(x) {\n             ^"),
        ("network a(", "1:11: expected a name or ')', and the text ends here\n  network a(\n            ^"),
        ("net a", "1:1: expected 'block', 'network', 'train' or 'training'\n  net a\n  ^"),
        (NET + "\n  y = $\n}", "2:7: the character '$' has no meaning here\n    y = $\n        ^"),
        (NET + '\n  y = f(a="b)\n}', '2:11: this string does not end\n    y = f(a="b)\n            ^'),
        (NET + "\n  y = f(x))\n}", "2:11: expected a statement or '}'\n    y = f(x))\n            ^"),
        (NET + "\n  y = f(a=)\n}", "2:11: expected a value\n    y = f(a=)\n            ^"),
        (NET + "\n  y f(x)\n}", "2:5: expected ',' or '='\n    y f(x)\n      ^"),
        (NET + "\n  repeat 3 assume { }\n}", "2:12: expected 'as' or '{'\n    repeat 3 assume { }\n             ^"),
        (NET + "\n  y = x\n  as = x\n}", "3:3: as is a word of the language and cannot be a name\n    as = x\n    ^"),
        (
            NET + "\n  return x",
            "2:11: expected ',', a statement or '}', and the text ends here\n    return x\n            ^",
        ),
        ("train { a = 3 +", "1:16: expected a value, and the text ends here\n  train { a = 3 +\n                 ^"),
        ("train {\n\ta = b = c\n}", "2:8: expected a name or '}'\n  \ta = b = c\n  \t      ^"),
        (
            'train { a = "\\x" }',
            "1:13: a string knows the escapes of JSON only, such as \\n and \\u0041\n"
            '  train { a = "\\x" }\n              ^',
        ),
    ],
)
def test_what_does_not_parse_is_told_with_line_column_and_caret(text: str, message: str) -> None:
    assert told(parse, text) == f"a.snn:{message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a.snn: a dump holds one network; here are 0"),
        (
            NET + "\n  y = f(g(x)) : f16[1]\n}",
            "a.snn:2:9: a dump names every value\n    y = f(g(x)) : f16[1]\n          ^",
        ),
        (
            NET + "\n  y = f(x) : f15[1]\n}",
            "a.snn:2:14: no format is called 'f15'; did you mean f16?\n    y = f(x) : f15[1]\n               ^",
        ),
        (
            NET + "\n  repeat 2 { }\n}",
            "a.snn:2:3: a dump repeats nothing, and returns at its end\n    repeat 2 { }\n    ^",
        ),
    ],
)
def test_what_is_no_dump_is_refused(text: str, message: str) -> None:
    assert told(parse_network, text) == message


def test_deep_nesting_is_refused_and_does_not_crash() -> None:
    text = "train { a = " + "(" * 5_000 + "1" + ")" * 5_000 + " }"
    assert len(parse(text).items) == 1
    text = "train { a = " + "-" * 5_000 + "1 }"
    assert told(parse, text) == "a.snn: this is nested too deeply to be read"


def test_every_keyword_that_competes_with_names_is_reserved() -> None:
    from snnc.compiler.ir import grammar

    lark = grammar._parser()  # pyright: ignore
    keywords = {t.name: t.pattern.value.split("(")[0] for t in lark.terminals if "(?![" in t.pattern.value}
    table = lark.parser.parser._parse_table  # type: ignore[union-attr]  # pyright: ignore
    states: list[set[str]] = [set(state) for state in table.states.values()]  # pyright: ignore
    competing = {keywords[name] for state in states if "NAME" in state for name in state & keywords.keys()}
    assert competing == {*RESERVED, "weight"} - {"_"}, "after a colon, where `weight` stands, a name is a format's"
