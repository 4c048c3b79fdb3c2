"""Round trip: text and bytes say the whole program, and wrong text is told by line and column."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnc.isa import assembly, binary
from snnc.isa.element import ElementProgram, Lane
from snnc.isa.instruction import UNITS, Instruction
from snnc.isa.instructions.control import End, Halt, Loop, Wait
from snnc.isa.instructions.engine import Gate
from snnc.isa.instructions.move import Load
from snnc.isa.program import Argument, Debug, Entry, Program, Stream, Symbol
from snnc.source import NOWHERE, Place, SourceError

HERE = Debug("c1", "FP", Place("digits.snn", 3, 5))

ELEMENT = ElementProgram(
    "halve.step",
    ("x", "y"),
    (Lane("load", 0, 0), Lane("const", 1, value=0.5), Lane("mul", 2, 0, 1), Lane("store", a=2, b=1)),
)

SYMBOLS = (
    Symbol("c1.w", "f16", (6, 1, 5, 5), (6, 1, 5, 5), (2, 3, 1, 0), 0, 0, "parameter", "c1", 0),
    Symbol("s1", "spike", (6, 28, 28), (6, 28, 28), (1, 2, 0), 4, 2, "tape", "s1", 320, 0.1),
    Symbol("loss", "f32", (), (), (), 0, 2, "result", "", 6592),
)

SMALL = Program(
    network="digits",
    target="tiny",
    target_text='name = "tiny"\n\n# ; not an instruction\n',
    target_hash="ab" * 32,
    graph_hash="cd" * 32,
    cores=1,
    steps=4,
    batch=2,
    entries=(
        Entry(
            "train_step",
            (
                Stream(0, "load", (Load(target=0, source=1), Halt()), (HERE, Debug())),
                Stream(
                    0,
                    "fp",
                    (Loop(0, 4, 10, 1), Wait(3), Gate(acc=2, left=0, right=1, fresh=1), End(0), Halt()),
                    (HERE, Debug("s 1", "", NOWHERE), Debug("", "BP", Place("a b.snn", 7)), HERE, HERE),
                ),
            ),
            ("learning_rate",),
            ("s1",),
            ("loss",),
        ),
        Entry("infer", (), (), (), ("loss", "s1")),
    ),
    elements=(ELEMENT,),
    symbols=SYMBOLS,
    arguments=(Argument("learning_rate", "f32"), Argument("step", "u32")),
    dram_bytes=8192,
    settings={"loss_scale": 1024, "optimizer": {"name": "adam", "betas": [0.9, 0.999]}},
    predicted={"train_step": {"basis": "predicted", "rows": []}},
    bound={"train_step": 12345},
    data={"c1.w": bytes(range(150)) * 2, "loss": b""},
    version="0.1.0",
)

names = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(
    ["", "-", "c1.w", "d.c1[2]", 'a"b', "<none>"]
)
counts = st.integers(0, 1 << 32)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=4,
)
places = st.builds(Place, names, st.integers(0, 99), st.integers(0, 99)) | st.just(NOWHERE)
debugs = st.builds(Debug, names, st.sampled_from(["", "FP", "BP", "WG", "UP"]), places)
tuples = st.lists(counts, max_size=4).map(tuple)
forms = st.sampled_from(["spike", "f16", "f32"])
scales = st.floats(allow_nan=False)
symbols = st.builds(Symbol, names, forms, tuples, tuples, tuples, counts, counts, names, names, counts, scales)
arguments = st.builds(Argument, names, st.sampled_from(["f32", "u32"]))


@st.composite
def instructions(draw: st.DrawFn, unit: str) -> Instruction:
    known = Instruction.by_opcode.values()
    kinds = [kind for kind in known if unit in kind.units and not kind.opens and kind is not End]
    kind = draw(st.sampled_from(kinds))
    values: dict[str, Any] = {}
    for name, place in kind.layout.items():
        numbers = st.floats(width=32, allow_nan=False), st.integers(place.minimum, place.maximum)
        values[name] = draw(numbers[0] if place.coding == "float" else numbers[1])
    return kind(**values)


@st.composite
def streams(draw: st.DrawFn, unit: str) -> Stream:
    body = draw(st.lists(instructions(unit), max_size=4))
    for register in range(draw(st.integers(0, 3))):
        cut = draw(st.integers(0, len(body)))
        body = [Loop(register, draw(st.integers(0, 9)), 9), *body[:cut], End(register), *body[cut:]]
    body = body if nested(body) else []
    return Stream(draw(st.integers(0, 19)), unit, tuple(body), tuple(draw(debugs) for _ in body))


def nested(body: list[Instruction]) -> bool:
    """Whether loops close in the order in which they were opened, the last one first."""
    loops: list[int] = []
    for each in body:
        if isinstance(each, Loop):
            loops.append(each.loop)
        elif isinstance(each, End) and (not loops or loops.pop() != each.loop):
            return False
    return not loops


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Any well-formed program."""
    map_of = draw(st.lists(symbols, max_size=3, unique_by=lambda symbol: symbol.name))
    taken = draw(st.lists(arguments, max_size=3, unique_by=lambda argument: argument.name))
    known = st.lists(st.sampled_from([symbol.name for symbol in map_of]), max_size=3) if map_of else st.just([])
    handed = st.lists(st.sampled_from([argument.name for argument in taken]), max_size=3) if taken else st.just([])
    entries: list[Entry] = []
    for name in draw(st.lists(names, max_size=2, unique=True)):
        units = draw(st.lists(st.sampled_from(UNITS), max_size=2, unique=True))
        made = tuple(draw(streams(unit)) for unit in units)
        entries.append(Entry(name, made, tuple(draw(handed)), tuple(draw(known)), tuple(draw(known))))
    texts = [draw(names) for _ in range(6)]
    mappings = [draw(st.dictionaries(names, plain, max_size=2)) for _ in range(3)]
    data = {symbol.name: draw(st.binary(max_size=100)) for symbol in map_of if draw(st.booleans())}
    return Program(
        network=texts[0],
        target=texts[1],
        target_text=texts[2],
        target_hash=texts[3],
        graph_hash=texts[4],
        version=texts[5],
        cores=draw(counts),
        steps=draw(counts),
        batch=draw(counts),
        dram_bytes=draw(counts),
        entries=tuple(entries),
        elements=(ELEMENT,) * draw(st.integers(0, 2)),
        symbols=tuple(map_of),
        arguments=tuple(taken),
        settings=mappings[0],
        predicted=mappings[1],
        bound=mappings[2],
        data=data,
    )


@pytest.mark.parametrize("name", ["", "-", '"-"', "<none>", "a:1", "a b", "c1"])
@pytest.mark.parametrize(("line", "column"), [(0, 0), (3, 0), (3, 5), (0, 5)])
def test_every_debug_record_survives(name: str, line: int, column: int) -> None:
    debug = Debug(name, name, Place(name, line, column)), Debug("", "", Place(name, line, column))
    entry = Entry("infer", (Stream(0, "fp", (Wait(1), Halt()), debug),), (), (), ())
    program = replace(SMALL, entries=(entry,))
    assert assembly.from_text(assembly.to_text(program)) == program
    assert binary.from_bytes(binary.to_bytes(program)) == program


@settings(max_examples=60, deadline=None)
@given(programs())
def test_reading_undoes_writing_of_any_program(program: Program) -> None:
    text, data = assembly.to_text(program), binary.to_bytes(program)
    assert assembly.from_text(text) == program
    assert binary.from_bytes(data) == program
    assert assembly.to_text(binary.from_bytes(data)) == text
    assert binary.to_bytes(assembly.from_text(text)) == data


def test_a_program_with_a_bit_of_everything_survives() -> None:
    assert assembly.from_text(assembly.to_text(SMALL)) == SMALL
    assert binary.from_bytes(binary.to_bytes(SMALL)) == SMALL


def test_a_stream_reads_as_a_person_would_write_it() -> None:
    assert assembly.to_text(SMALL).split("\n\n")[-2:] == [
        """\
  stream core=0 unit=fp
    loop    l0, tile=4, total=10, argument=1, bound=0, first=0   ; c1  FP  digits.snn:3:5
      wait    s3                                                 ; "s 1"  -  -
      gate    v2, v0, v1, fresh=1, inner=0, ones=0, skip=0       ; -  BP  "a b.snn":7
    end     l0                                                   ; c1  FP  digits.snn:3:5
    halt                                                         ; c1  FP  digits.snn:3:5""",
        "entry infer arguments=[] inputs=[] results=[loss, s1]\n",
    ]


def test_blank_lines_remarks_and_indentation_say_nothing() -> None:
    text = assembly.to_text(SMALL)
    body = text[text.index("entry train_step") :]
    ragged = "\n".join(f"\n# remark\n\t{line.strip()}  " for line in body.split("\n"))
    assert assembly.from_text(text.replace(body, ragged)) == SMALL


WRONG = [
    ("load    v0, v1 ", "laod    v0, v1 ", "5: no instruction is called 'laod'; did you mean load?"),
    ("load    v0, v1 ", "load    v0, m1 ", "17: source is a register vN, not 'm1'"),
    ("load    v0, v1 ", "load    v0 ", "5: load takes 2 operands (target, source), found 1"),
    ("wait    s3", "wait    s70000", "15: wait: semaphore=70000 is outside 0..65535"),
    ("wait    s3", "load    v0, v1", "7: load runs on load, not on fp"),
    ("end     l0", "end     l1", "5: l1 is not the innermost open loop"),
    ("; c1  FP  digits.snn:3:5", "; c1", "67: expected the node, its phase and its place (- for none)"),
    ("cores 1", "cores one", "7: expected a whole number, found one"),
    ("cores 1", "cores 1 2", "9: expected the end of the line, found '2'"),
    ("cores 1", "coers 1", "1: no line is called 'coers'; did you mean cores?"),
    ("snnc 2", "snnc 9", "1: assembly of version 9; this snnc reads 2"),
    ("steps=4", "stepps=4", "78: no part is called 'stepps'; did you mean steps?"),
    ("steps=4 ", "", "170: expected steps="),
    ("codec=raw", "codec=row", "13: no codec is called 'row'; did you mean raw?"),
    ("format=spike", "format=spikes", "11: no format is called 'spikes'; did you mean spike?"),
    ("kind=u32", "kind=u64", "15: an argument is of kind f32 or u32"),
    ("inputs=[s1]", "inputs=[s7]", "44: no symbol is called 's7'; there are: c1.w, loss, s1"),
    ("setting loss_scale 1024", "setting loss_scale {", "20: not JSON: "),
    ("unit=fp", "unit=fq", "3: no unit is called 'fq'; there are: bp, fp, load, router, store, vector, wg"),
    ("unit=fp", "unit=load", "3: a second load stream of core 0"),
    ("argument step", "argument learning_rate", "10: a second argument 'learning_rate'"),
    ("element 0", "element 1", "9: the next element program is number 0"),
    ("data loss", "data lost", "6: no symbol is called 'lost'; did you mean loss?"),
]


@pytest.mark.parametrize(("right", "wrong", "message"), WRONG, ids=[wrong for _, wrong, _ in WRONG])
def test_wrong_text_is_told_with_line_column_and_caret(right: str, wrong: str, message: str) -> None:
    text = assembly.to_text(SMALL)
    at = text.index(right)
    line = text[:at].count("\n") + 1
    with pytest.raises(SourceError) as caught:
        assembly.from_text(text.replace(right, wrong, 1), "small.s")
    first = str(caught.value).split("\n")
    fault = next(k for k, each in enumerate(first) if each.startswith(f"small.s:{line}:{message}"))
    column = int(message.split(":")[0])
    assert first[fault + 2] == " " * (column + 1) + "^"


def test_all_faults_are_told_together() -> None:
    text = assembly.to_text(SMALL).replace("cores 1", "cores x").replace("wait    s3", "wiat    s3")
    with pytest.raises(SourceError) as caught:
        assembly.from_text(text)
    messages = [fault.message for fault in caught.value.faults]
    assert "expected a whole number, found x" in messages
    assert "no instruction is called 'wiat'; did you mean wait?" in messages


def test_what_is_missing_is_told() -> None:
    with pytest.raises(SourceError) as caught:
        assembly.from_text("")
    missing = {fault.message for fault in caught.value.faults}
    assert {"the line 'snnc' is missing", "the line 'cores' is missing", "the line 'machine' is missing"} <= missing


def test_an_open_loop_is_told() -> None:
    text = assembly.to_text(SMALL)
    end = next(line for line in text.split("\n") if line.strip().startswith("end"))
    with pytest.raises(SourceError, match="loop l0 is never closed"):
        assembly.from_text(text.replace(end + "\n", ""))


def test_a_faulty_line_is_told_once_and_its_name_stays_known() -> None:
    text = assembly.to_text(SMALL).replace("format=spike", "format=spikes").replace("cores 1", "cores x")
    with pytest.raises(SourceError) as caught:
        assembly.from_text(text)
    assert len(caught.value.faults) == 2
