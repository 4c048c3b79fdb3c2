"""What the elaborator makes of a text, and what it tells of a wrong one, to the letter."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from snnc.compiler.frontends.frontend import FRONTENDS, Options, read_model
from snnc.compiler.frontends.snn import read
from snnc.compiler.ir.graph import Network
from snnc.compiler.ir.text import parse_network, parse_training, print_network, print_training
from snnc.compiler.ir.types import Type
from snnc.compiler.ops.losses import LOSSES
from snnc.compiler.ops.optimizers import OPTIMIZERS
from snnc.compiler.passes.training_options import CLIPS, CODINGS, DYNAMIC, SCHEDULES, TrainingOptions
from snnc.compiler.training.rule import RULES
from snnc.models import MODELS
from snnc.source import Fault, SourceError

LANGUAGE = Path(__file__).parents[2] / "docs" / "language.md"
EXAMPLES = re.findall(r"```snn\n(.*?)```", LANGUAGE.read_text(encoding="utf-8"), re.DOTALL)

LENET = """\
block conv_lif(x, out, kernel=3, decay=0.5) {
    c = conv2d(x, out=out, kernel=kernel, pad=1)
    s = lif(c, decay=decay)
    return s
}
network lenet(image: f16[1, 28, 28], width=6) steps 4 {
    s1 = conv_lif(image, out=width)
    x = s1
    repeat 3 as i { x = conv_lif(x, out=width * (i + 1)) }
    y = linear(flatten(avg_pool2d(x, kernel=2)), out=10)
    return y
}
train { loss = cross_entropy; optimizer = adam(lr=1e-3); schedule = cosine; batch = 64 }
"""


def network(body: str, options: Options | None = None) -> Network:
    return read(f"network a(image: f16[1, 8, 8], width=4) steps 4 {{\n{body}\n}}\n", options)


def made(net: Network) -> list[str]:
    return [name for node in net.nodes if node.op != "parameter" for name in node.results]


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: re.findall(r"(?:network|training) (\w+)", text)[0])
def test_every_example_of_the_page_reads_and_its_dump_reads_back(text: str) -> None:
    if text.startswith("training"):
        training = parse_training(text)
        assert parse_training(print_training(training)) == training
        assert print_training(training) == text
        return
    net = read(text)
    dump = print_network(net)
    assert parse_network(dump) == net
    assert read(dump) == net, "a dump is source"


def test_the_dump_of_a_network_reads_like_this(golden: Callable[[str, str], None]) -> None:
    golden("text/lenet.snn", print_network(read(LENET)))


def test_blocks_and_repetitions_give_stable_names() -> None:
    net = read(LENET)
    assert made(net) == [
        *("s1.c", "s1", "s1.h", "s1.mask", "x.c", "x", "x.h", "x.mask"),
        *("x.1.c", "x.1", "x.1.h", "x.1.mask", "x.2.c", "x.2", "x.2.h", "x.2.mask"),
        *("y.flatten.avg_pool2d", "y.flatten", "y"),
    ]
    assert [node.results[0] for node in net.nodes if node.op == "parameter"][-4:] == [
        "x.2.c.w",
        "x.2.c.b",
        "y.w",
        "y.b",
    ]
    assert net.train["optimizer"] == ("adam", ("lr", 0.001))


def test_places_are_those_of_the_operators() -> None:
    node = read(LENET).producer("s1")
    assert node is not None
    assert str(node.place) == "<text>:3:9"


def test_what_a_block_returns_from_a_repetition_keeps_its_name() -> None:
    net = read(
        "block deep(x) { repeat 2 { x = lif(x) } return x }\n"
        "network a(image: f16[8]) steps 2 { y = deep(image); z = lif(y); return z, y, y.h }"
    )
    assert made(net) == ["y.x", "y.x.h", "y.x.mask", "y.x.1", "y.x.1.h", "y.x.1.mask", "z", "z.h", "z.mask"]
    assert net.results == ("z", "y.x.1", "y.x.1.h")


def test_names_made_for_nested_calls_do_not_collide() -> None:
    net = network("y = add(lif(image), lif(image))\nreturn y")
    assert made(net) == ["y.lif", "y.lif.h", "y.lif.mask", "y.lif.1", "y.lif.1.h", "y.lif.1.mask", "y"]


def test_inputs_have_a_batch_and_may_be_timed() -> None:
    net = read("network a(events: spike[t, 2, s, s], image: f16[n, s], s=3) steps 2 { return events }")
    assert [port.type for port in net.ports] == [
        Type.of("spike", 2, 3, 3, timed=True, batched=True),
        Type.of("f16", 3, batched=True),
    ]


def test_written_parameters_take_over_what_they_leave_out() -> None:
    net = network(
        "w = parameter([2, 1, 3, 3])\nc = conv2d(image, w=w, b=parameter(init=ones), out=2, kernel=3)\nreturn c"
    )
    assert [(n.results, n.settings, n.types) for n in net.nodes[:2]] == [
        (("w",), {"init": "kaiming_uniform"}, (Type.of("f16", 2, 1, 3, 3, weight=True),)),
        (("c.b",), {"init": "ones"}, (Type.of("f16", 2),)),
    ]


def test_options_come_before_what_is_written() -> None:
    net = network("c = conv2d(image, out=width, kernel=3)\nreturn c", Options(steps=9, settings={"width": 7}))
    assert net.steps == 9
    assert net.types["c"].shape == (7, 6, 6)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("2 ** 3", 8),
        ("2 ** 3 ** 2", 512),
        ("-2 ** 2", -4),
        ("2 ** -1", 0.5),
        ("4 ** 0.5 * 3", 6.0),
        ("1 / 1.04 ** 0.5", 1 / 1.04**0.5),
    ],
)
def test_powers_bind_tighter_than_products_and_from_the_right(written: str, value: float) -> None:
    net = network(f"s = lif(image, threshold={written})\nreturn s")
    assert net.nodes[-1].settings["threshold"] == value


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("(1 - 2) ** 0.5", "2:34: -1 has no real power 0.5"),
        ("0 ** -1", "2:28: division by zero"),
        ("9 ** 9 ** 9", "2:28: the number is too large"),
    ],
)
def test_a_power_that_is_no_number_is_told(written: str, message: str) -> None:
    with pytest.raises(SourceError) as fault:
        network(f"s = lif(image, threshold={written})\nreturn s")
    assert [f"{f.place.line}:{f.place.column}: {f.message}" for f in fault.value.faults] == [message]


def test_arithmetic_stays_whole_where_it_comes_out_even() -> None:
    net = network("half = width / 2\nc = conv2d(image, out=half * (1 + 2) - width // 3, kernel=3)\nreturn c")
    assert net.types["c"].shape == (5, 6, 6)


def test_unused_values_are_warned_of() -> None:
    warned: list[Fault] = []
    network("c = lif(image)\nd = lif(image)\nreturn d", Options(warn=warned.append))
    assert list(map(str, warned)) == ["<text>:2:5: c is never used\n  c = lif(image)\n      ^"]


def told(text: str, options: Options | None = None) -> list[str]:
    """Every fault without its line of source, whose caret is the column that is told."""
    with pytest.raises(SourceError) as caught:
        read(text, options)
    for fault in caught.value.faults:
        assert not fault.place.line or fault.source_line == text.split("\n")[fault.place.line - 1]
    return [f"{fault.place.line}:{fault.place.column}: {fault.message}" for fault in caught.value.faults]


def test_a_fault_of_shapes_shows_both_shapes_both_places_and_the_line() -> None:
    text = (
        "network a(image: f16[1, 8, 8]) steps 4 {\n    a1 = conv2d(image, out=3, kernel=3)\n"
        "    a2 = conv2d(image, out=4, kernel=3)\n    c = add(a1, a2)\n    return c\n}"
    )
    with pytest.raises(SourceError) as caught:
        read(text)
    assert str(caught.value) == (
        "<text>:4:9: add takes equal shapes, not f16[n, 3, 6, 6] and f16[n, 4, 6, 6]: "
        "a1 is f16[n, 3, 6, 6] (<text>:2:10); a2 is f16[n, 4, 6, 6] (<text>:3:10)\n"
        "      c = add(a1, a2)\n"
        "          ^"
    )


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ("c = conv2s(image)\nreturn c", ["2:5: no operator or block is called 'conv2s'; did you mean conv2d?"]),
        ("c = sgd(image)\nreturn c", ["2:5: sgd is an optimizer; a network is made of layers"]),
        (
            "c = conv2d(image, out=3, kernal=3, pad=true)\nreturn c",
            [
                "2:26: no setting of conv2d is called 'kernal'; did you mean kernel?",
                "2:40: pad of conv2d is a whole number or two, such as 3 or [3, 2], not true",
            ],
        ),
        (
            "c = lif(image, tau=2)\nreturn c",
            [
                "2:16: no setting of lif is called 'tau'; there are: amplitude, compare, decay, decay_input, "
                "detach_reset, gain, initial, learn_threshold, reset, reset_time, rest, surrogate, tape, threshold, "
                "v_reset"
            ],
        ),
        ("c = lif(image, thetta=2)\nreturn c", ["2:16: no setting of lif is called 'thetta'; did you mean theta?"]),
        ("c = conv2d(image, out=3)\nreturn c", ["2:5: conv2d needs the setting kernel"]),
        ("c = lif(image, reset=hart)\nreturn c", ["2:22: no reset of lif is called 'hart'; did you mean hard?"]),
        ("c = lif(image, decay=0.5, decay=1)\nreturn c", ["2:27: decay is given twice"]),
        ("c = lif(decay=0.5, image)\nreturn c", ["2:20: operands stand before settings"]),
        ("c = lif(imgae)\nd = lif(c)\nreturn d", ["2:9: no value is called 'imgae'; did you mean image?"]),
        (
            "spikes = lif(image, reset=hart)\nd = lif(spike)\nreturn d",
            [
                "2:27: no reset of lif is called 'hart'; did you mean hard?",
                "3:9: no value is called 'spike'; did you mean spikes?",
            ],
        ),
        (
            "c = linear(image, out=3)\nreturn c",
            [
                "2:12: linear reads one axis, not f16[n, 1, 8, 8]; flatten() makes it one: "
                "image is f16[n, 1, 8, 8] (<text>:1:11)"
            ],
        ),
        (
            "s = lif(c)\nc = lif(image)\nreturn s",
            ["2:9: c is used before it is made (line 3); what it was in the step before is delay(c)"],
        ),
        (
            "b = delay(s)\ns = lif(add(image, b))\nreturn s",
            [
                "2:5: s is made further on, and its type is not known here; write it, for example "
                "`back = delay(s) : spike[128]` where it is 128 spikes",
            ],
        ),
        (
            "b = delay(s) : f16[1, 8, 8]\ns = lif(add(image, b))\nreturn s",
            ["2:5: b is written as f16[t, n, 1, 8, 8]; s is spike[t, n, 1, 8, 8] (<text>:3:5)"],
        ),
        (
            "b = delay(s, stepps=2) : spike[1, 8, 8]\ns = lif(add(image, b))\nreturn s",
            ["2:14: no setting of delay is called 'stepps'; did you mean steps?"],
        ),
        (
            "b = delay(s, steps=0) : spike[1, 8, 8]\ns = lif(add(image, b))\nreturn s",
            ["2:14: steps of delay is at least 1, not 0"],
        ),
        ("b = delay(b) : f16[4]\nreturn b", ["2:5: b delays nothing but itself, which is 0 for ever"]),
        ("s = lif(image, amplitude=0)\nreturn s", ["2:16: amplitude of lif is positive, not 0.0"]),
        (
            "w = parameter([8, 1, 3, 3])\nc = conv2d(image, w=standardise(w), out=8, kernel=3)\nreturn c",
            ["3:33: the type of w is not known here; write it: `: weight f16[8, 2, 3, 3]` behind it"],
        ),
        ("b = delay(r) : spike[4]\nreturn image", ["2:11: no value is called 'r'; there are: image"]),
        (
            "b = delay(image)\nreturn b",
            ["2:11: delay reads what changes with time, not f16[n, 1, 8, 8]: image is f16[n, 1, 8, 8] (<text>:1:11)"],
        ),
        ("s = lif(image)\ns = lif(s)\nreturn s", ["3:1: s is made twice; the first is in line 2"]),
        ("s = lif(image)", ["1:9: a returns nothing; end it with `return NAME`"]),
        ("return image\ns = lif(image)", ["2:1: nothing can stand behind return"]),
        (
            "repeat 2 { return image }",
            [
                "1:9: a returns nothing; end it with `return NAME`",
                "2:12: return stands at the end of a network or a block",
            ],
        ),
        (
            "repeat 2 { c = lif(image) }\nreturn c",
            ["3:8: c is made inside of a repetition and stays there; only names made before it are carried out"],
        ),
        ("repeat widht { }\nreturn image", ["2:8: no setting is called 'widht'; did you mean width?"]),
        ("repeat 1.5 { }\nreturn image", ["2:8: the number of repetitions is a whole number from 0, not 1.5"]),
        ("repeat 20000 { }\nreturn image", ["2:8: 20000 repetitions are more than 10000"]),
        ("repeat 2 as width { }\nreturn image", ["2:13: width is made already"]),
        ("entry = lif(image)\nreturn image", ["2:1: entry is a word of the language and cannot be a name"]),
        ("a, b = lif(image)\nreturn a", ["2:8: lif makes 3 values, not 2"]),
        ("c = lif(width)\nreturn c", ["2:9: width is a setting here, not a value"]),
        ("c = lif(3)\nreturn c", ["2:9: a value is expected here: a name, or a call"]),
        ("c = conv2d(image, out=1 / 0, kernel=3)\nreturn c", ["2:25: division by zero"]),
        ("c = add(image)\nreturn c", ["2:5: add takes 2 operands (a, b); b is missing"]),
        ("c = lif(image) : f16[t, n, 1, 8, 8]\nreturn c", ["2:18: c is spike[t, n, 1, 8, 8], not f16[t, n, 1, 8, 8]"]),
        (
            "w = parameter([4, 2, 3, 3])\nc = conv2d(image, w=w, out=4, kernel=3)\nreturn c",
            ["3:21: w of conv2d is weight f16[4, 1, 3, 3]; w is [4, 2, 3, 3] (<text>:2:5)"],
        ),
        ("w = parameter([3])\nreturn image", ["2:5: w is the parameter of no operator, and its type is not written"]),
        ("w = parameter(init=nomal)\nreturn image", ["2:20: no initialiser is called 'nomal'; did you mean normal?"]),
        (
            "w = parameter([0])\nreturn image",
            ["2:15: a shape is a list of whole numbers above 0, such as [6, 1, 5, 5]"],
        ),
    ],
)
def test_what_is_wrong_in_a_network_is_told(body: str, faults: list[str]) -> None:
    assert told(f"network a(image: f16[1, 8, 8], width=4) steps 4 {{\n{body}\n}}\n") == faults


BLOCK = "block b(x, out) { y = linear(x, out=out); return y }\n"


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        (
            "block b(x) { y = b(x); return y }\nnetwork a(i: f16[2]) steps 1 { return b(i) }",
            ["1:18: b calls itself: b -> b"],
        ),
        (
            BLOCK + "network a(i: f16[2, 3]) steps 1 { return b(i, 3) }",
            [
                "1:30: linear reads one axis, not f16[n, 2, 3]; flatten() makes it one: "
                "i is f16[n, 2, 3] (<text>:2:11) (in b, called in line 2)"
            ],
        ),
        (BLOCK + "network a(i: f16[2]) steps 1 { return b(i, i) }", ["1:37: out is a value here (i), not a setting"]),
        (BLOCK + "network a(i: f16[2]) steps 1 { return b(j, out=1) }", ["2:41: no value is called 'j'; there are: i"]),
        (BLOCK + "network a(i: f16[2]) steps 1 { return b(i) }", ["2:39: b needs out"]),
        (
            BLOCK + "network a(i: f16[2]) steps 1 { return b(i, ot=1, out=2) }",
            ["2:44: no parameter of b is called 'ot'; did you mean out?"],
        ),
        (BLOCK + "network a(i: f16[2]) steps 1 { p, q = b(i, 3); return p }", ["2:39: b returns 1 value, not 2"]),
        (
            "block lif(x) { return x }\nnetwork a(i: f16[2]) steps 1 { return i }",
            ["1:7: lif is an operator; a block needs another name"],
        ),
        (
            "network a(i: f17[2]) { return i }",
            [
                "1:9: a does not say its time steps: `steps 4` before the '{'",
                "1:14: no format is called 'f17'; did you mean f16?",
            ],
        ),
        (
            "network a(i: f16[2], i: f16[3]) steps 0 { return i }",
            [
                "1:22: i is made twice; the first is in line 1",
                "1:39: the number of steps is a whole number from 1, not 0",
            ],
        ),
        (f"network a(i: f16[{'9' * 5000}]) steps 1 {{ return i }}", ["1:18: the number is too large"]),
        ("network a(i: f16[0, 2]) steps 1 { return i }", ["1:14: a size is a whole number above 0, not 0"]),
        ("network a(i: f16[2]) steps 1 { return i } train { rule = bptt; rule = sltt }", ["1:64: rule is given twice"]),
        ("train { rule = bptt }", ["0:0: a file holds one network, not 0"]),
    ],
)
def test_what_is_wrong_in_a_file_is_told(text: str, faults: list[str]) -> None:
    assert told(text) == faults


def test_a_setting_that_the_network_lacks_is_told() -> None:
    assert told("network a(i: f16[2], width=3) steps 1 { return i }", Options(settings={"widht": 3})) == [
        "0:0: no setting of a is called 'widht'; did you mean width?"
    ]


def test_a_file_is_read_by_its_suffix(tmp_path: Path) -> None:
    path = tmp_path / "net.snn"
    path.write_text("\ufeff" + LENET.replace("\n", "\r\n"), encoding="utf-8")
    assert read_model(path).network == read(LENET)
    assert "snn" in FRONTENDS
    with pytest.raises(SourceError, match=r"no frontend reads files that end in '\.pt'; there are: .*\.snn"):
        read_model(tmp_path / "net.pt")
    with pytest.raises(SourceError, match=r"none\.snn: cannot be read: No such file or directory"):
        read_model(tmp_path / "none.snn")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SourceError, match=r"net\.snn: is no UTF-8 text \(byte 0\)"):
        read_model(path)


def test_a_delay_reads_what_is_made_further_on_in_its_own_body() -> None:
    """In a network, in a block, and in each round of a repetition."""
    text = """
    block cell(x, out) {
        back = delay(s.s1) : spike[out]
        s.s1 = lif(add(linear(x, out=out), linear(back, out=out)))
        return s.s1
    }
    network a(x: f16[t, 8]) steps 4 {
        first = delay(c) : spike[6]
        c = cell(add(x, linear(first, out=8)), out=6)
        repeat 2 as i {
            old = delay(r.h) : f16[5]
            r = lif(add(linear(c, out=5), old))
        }
        return linear(c, out=3)
    }
    """
    net = read(text)
    delays = {node.results[0]: node.operands[0] for node in net.nodes if node.op == "delay"}
    assert delays == {"first": "c", "c.back": "c", "old": "r.h", "old.1": "r.1.h"}
    assert read(print_network(net)) == net


def test_the_tables_of_training_have_every_setting_with_its_default() -> None:
    """Rows of the page begin with the name; each setting of a call stands there as one writes it."""
    tables = LANGUAGE.read_text("utf-8").split("| loss, optimizer or schedule |")
    rows, words = (dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.MULTILINE)) for table in tables)
    known = {entry.name: entry.default for entry in dataclasses.fields(TrainingOptions) if entry.name != "origins"}
    for name, default in known.items():
        written = "[]" if default == () else default
        assert rows[name].endswith("the network's" if name == "steps" else f"`{written}`"), name
    calls = {name: tuple(kind.settings().values()) for kinds in (LOSSES, OPTIMIZERS) for name, kind in kinds.items()}
    for name, entries in {**calls, **SCHEDULES}.items():
        for entry in entries:
            assert f"`{entry.name}={entry.default}`" in words[name], (name, entry.name)
            assert all(choice in words[name] for choice in entry.choices), (name, entry.name)
    assert f"`dynamic({', '.join(f'{entry.name}={entry.default}' for entry in DYNAMIC)})`" in rows["loss_scale"]
    assert all(f"`{word}`" in rows["coding"] for word in CODINGS) and all(f"`{rule}`" in rows["rule"] for rule in RULES)
    assert all(f"`{word}(LIMIT)`" in rows["clip"] for word in CLIPS)


def test_the_header_of_vgg11_dvs_says_which_sizes_fit() -> None:
    for size in (32, 34, 48):
        assert read_model(MODELS["vgg11_dvs"], Options(settings={"size": size})).network.nodes
    with pytest.raises(SourceError, match=r"a window of 2 does not fit into 1 rows .*\n +p8 = "):
        read_model(MODELS["vgg11_dvs"], Options(settings={"size": 31}))


@pytest.mark.parametrize(
    ("line", "column", "message"),
    [
        ("z = s + c", 9, "s is a value, and arithmetic is for settings; values are added by add(s, c)"),
        ("z = lif(s + c)", 13, "s is a value, and arithmetic is for settings; values are added by add(s, c)"),
        ("z = linear(s, out=2 * c)", 27, "c is a value, and arithmetic is for settings"),
        ("z = -s", 10, "s is a value, and arithmetic is for settings"),
        ("z = s + 1", 9, "s is a value, and arithmetic is for settings; values are added by add(s, ...)"),
        ("z = size + 1; y = lif(s, threshold=z + widht)", 44, "no setting is called 'widht'; there are: size, z"),
    ],
)
def test_arithmetic_of_values_is_told_as_such(line: str, column: int, message: str) -> None:
    source = (
        "network a(x: f16[8], size=3) steps 2 {\n    c = linear(x, out=8)\n    s = lif(c)\n"
        f"    {line}\n    return linear(s, out=10)\n}}\n"
    )
    with pytest.raises(SourceError) as caught:
        read(source)
    assert str(caught.value) == f"<text>:4:{column}: {message}\n      {line}\n  {' ' * (column - 1)}^"


def test_a_word_may_be_called_as_a_value_is() -> None:
    network = read("network a(x: f16[8]) steps 2 { batch = lif(x); return linear(dropout(batch, mask=batch), out=4) }")
    assert network.nodes[1].settings["mask"] == "batch"
