"""An instruction is declared once; bits, text and class agree, and wrong words and lines are refused."""

from __future__ import annotations

import struct
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnc.catalog import UnknownName
from snnc.isa.instruction import OPCODE_BITS, UNITS, WORD_BITS, Bits, Instruction
from snnc.isa.instructions import engine, move
from snnc.isa.instructions.control import Barrier, Post
from snnc.isa.target import TargetError, load_target, with_mesh

KINDS = [kind for _, kind in sorted(Instruction.by_opcode.items())]
assert engine and move


def operand(place: Bits) -> st.SearchStrategy[Any]:
    """Any value that the operand can hold; floats are those of 32 bits."""
    if place.coding == "float":
        return st.floats(width=32, allow_nan=False)
    return st.sampled_from([place.minimum, place.maximum]) | st.integers(place.minimum, place.maximum)


def instances(kind: type[Instruction]) -> st.SearchStrategy[Instruction]:
    return st.builds(kind, **{name: operand(place) for name, place in kind.layout.items()})


by_kind = pytest.mark.parametrize("kind", KINDS, ids=[kind.mnemonic for kind in KINDS])


@by_kind
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_decoding_undoes_encoding(kind: type[Instruction], data: st.DataObject) -> None:
    made = data.draw(instances(kind))
    assert Instruction.decode(made.encode()) == made
    assert len(made.encode()) * 8 == WORD_BITS


@by_kind
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_parsing_undoes_printing(kind: type[Instruction], data: st.DataObject) -> None:
    made = data.draw(instances(kind))
    assert Instruction.parse(str(made)) == made
    assert Instruction.parse(str(made)).encode() == made.encode()


@by_kind
def test_operands_share_no_bit_and_leave_the_opcode_alone(kind: type[Instruction]) -> None:
    places = list(kind.layout.values())
    for place in places:
        assert OPCODE_BITS <= place.low <= place.high < WORD_BITS
    for one, other in combinations(places, 2):
        assert one.high < other.low or other.high < one.low


@by_kind
def test_a_bit_that_no_operand_owns_is_refused(kind: type[Instruction]) -> None:
    word = int.from_bytes(smallest(kind).encode(), "little")
    owned = {bit for place in kind.layout.values() for bit in range(place.low, place.high + 1)}
    for bit in set(range(OPCODE_BITS, WORD_BITS)) - owned:
        with pytest.raises(ValueError, match=f"{kind.mnemonic}: bits are set that belong to no operand"):
            Instruction.decode((word | 1 << bit).to_bytes(16, "little"))


@by_kind
def test_every_bit_of_an_operand_matters(kind: type[Instruction]) -> None:
    word = int.from_bytes(smallest(kind).encode(), "little")
    seen = {word}
    for place in kind.layout.values():
        for bit in range(place.low, place.high + 1):
            seen.add(int.from_bytes(Instruction.decode((word ^ 1 << bit).to_bytes(16, "little")).encode(), "little"))
    assert len(seen) == 1 + sum(place.width for place in kind.layout.values())


@by_kind
def test_a_value_outside_of_its_bits_is_refused(kind: type[Instruction]) -> None:
    values = dict.fromkeys(kind.layout, 0)
    for name, place in kind.layout.items():
        if place.coding != "float":
            for value in (place.minimum - 1, place.maximum + 1):
                message = f"{kind.mnemonic}: {name}={value} is outside {place.minimum}..{place.maximum}"
                with pytest.raises(ValueError, match=message):
                    kind(**{**values, name: value})


@by_kind
def test_an_instruction_says_what_it_does_and_where_it_runs(kind: type[Instruction]) -> None:
    assert kind.__doc__ and not kind.__doc__.startswith(f"{kind.__name__}(")
    assert kind.units and set(kind.units) <= set(UNITS)


def smallest(kind: type[Instruction]) -> Instruction:
    return kind(**dict.fromkeys(kind.layout, 0))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("load v0", r"load takes 2 operands \(target, source\), found 1"),
        ("halt v0", r"halt takes 0 operands \(none\), found 1"),
        ("load v0, m1", "source is a register vN, not 'm1'"),
        ("load v0, v64", "load: source=64 is outside 0..63"),
        ("loop l0, 4, total=8, argument=0, bound=0, first=0", "expected tile=NUMBER, found '4'"),
        ("loop l0, total=4, tile=8, argument=0, bound=0, first=0", "expected tile=NUMBER, found 'total=4'"),
        ("loop l0, tile=four, total=8, argument=0, bound=0, first=0", "tile=four is not a number"),
    ],
)
def test_a_wrong_operand_is_named(line: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Instruction.parse(line)


def test_a_wrong_mnemonic_gets_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"no instruction is called 'laod'; did you mean load\?"):
        Instruction.parse("laod v0, v1")


def test_an_unknown_opcode_is_refused() -> None:
    assert 0xFF not in Instruction.by_opcode
    with pytest.raises(ValueError, match="no instruction has opcode 0xff"):
        Instruction.decode(b"\xff" + bytes(15))


def test_bits_are_where_the_declaration_says() -> None:
    word = int.from_bytes(engine.Gate(acc=5, left=6, right=7, fresh=0x18001, inner=2, ones=1).encode(), "little")
    assert word == 0x30 | 5 << 8 | 6 << 14 | 7 << 20 | 0x18001 << 26 | 2 << 43 | 1 << 45
    drained = Instruction.parse("drain v1, v2, v3, biased=1, scale=0.25").encode()
    assert drained[4:8] == struct.pack("<f", 0.25)


def test_words_reach_every_core_of_the_largest_chip_and_count_them() -> None:
    cores = with_mesh(load_target("quad"), 64, 64).cores
    with pytest.raises(TargetError):
        with_mesh(load_target("quad"), 64, 65)
    for word in (Post(core=cores - 1, semaphore=0), Barrier(cores=cores)):
        assert Instruction.decode(word.encode()) == word
