"""A `.snnb` is the program, bit for bit, or it is refused."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnc.isa import binary
from snnc.isa.instructions.control import Halt, Loop
from snnc.isa.program import Debug, Entry, Program, Stream, Symbol
from snnc.source import DataError, Place

HERE = Debug("c1", "FP", Place("digits.snn", 3, 5))
PROGRAM = Program(
    network="digits",
    target="tiny",
    target_text="",
    target_hash="ab",
    graph_hash="cd",
    cores=1,
    steps=4,
    batch=2,
    entries=(Entry("infer", (Stream(0, "fp", (Loop(0, 4, 10), Halt()), (HERE, HERE)),), (), (), ("w",)),),
    elements=(),
    symbols=(Symbol("w", "f32", (2,), (2,), (0,), 0, 0, "parameter", "c1", 0),),
    arguments=(),
    dram_bytes=64,
    data={"w": bytes(range(8))},
)
BYTES = binary.to_bytes(PROGRAM)


def refusal(data: bytes) -> str:
    with pytest.raises(DataError) as caught:
        binary.from_bytes(data, "digits.snnb")
    assert len(caught.value.faults) == 1
    return str(caught.value)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, len(BYTES) * 8 - 1))
def test_a_flipped_bit_is_refused(bit: int) -> None:
    damaged = bytearray(BYTES)
    damaged[bit // 8] ^= 1 << bit % 8
    assert refusal(bytes(damaged)).startswith("digits.snnb: ")


def test_every_truncation_is_refused() -> None:
    for length in range(len(BYTES)):
        message = refusal(BYTES[:length])
        assert ("truncated" in message) == (length > 0), message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "digits.snnb: not a snnc program (.snnb)"),
        (b"PK\x03\x04" + bytes(100), "digits.snnb: not a snnc program (.snnb)"),
        (BYTES[:40], "digits.snnb: truncated: 40 bytes, less than a head"),
        (BYTES[:-1], f"digits.snnb: truncated: {len(BYTES) - 1} of {len(BYTES)} bytes"),
        (BYTES + b"\0", f"digits.snnb: 1 bytes too many behind its {len(BYTES)}"),
        (BYTES[:-1] + b"\xff", "digits.snnb: damaged: its checksum does not match its content"),
        (
            BYTES[:8] + struct.pack("<I", 99) + BYTES[12:],
            "digits.snnb: format version 99; this snnc reads 2\n  try: compile the model again",
        ),
    ],
    ids=["empty", "foreign", "head", "short", "long", "damaged", "version"],
)
def test_a_refusal_names_the_file_and_what_is_wrong(data: bytes, message: str) -> None:
    assert refusal(data) == message


def test_content_that_is_no_program_is_refused_although_its_checksum_is_right() -> None:
    meta = BYTES.index(b'{"arguments"')
    body = BYTES[56:meta] + b"[" + BYTES[meta + 1 :]
    forged = BYTES[:24] + hashlib.sha256(BYTES[:24] + body).digest() + body
    assert refusal(forged).startswith("digits.snnb: its checksum is right but its content is not a program: ")


def test_equal_programs_have_equal_bytes() -> None:
    shuffled = replace(PROGRAM, settings={"b": 1, "a": {"d": 2, "c": 3}})
    sorted_ = replace(PROGRAM, settings={"a": {"c": 3, "d": 2}, "b": 1})
    assert binary.to_bytes(shuffled) == binary.to_bytes(sorted_)


def test_the_fingerprint_is_the_digest_in_the_file_and_sees_every_change() -> None:
    assert binary.fingerprint(PROGRAM) == hashlib.sha256(BYTES[:24] + BYTES[56:]).hexdigest()
    assert binary.fingerprint(PROGRAM) == BYTES[24:56].hex()
    for change in ({"steps": 5}, {"data": {"w": bytes(8)}}, {"target_text": "x"}, {"entries": ()}):
        assert binary.fingerprint(replace(PROGRAM, **change)) != binary.fingerprint(PROGRAM)


def test_loading_undoes_saving_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "digits.snnb"
    path.write_bytes(b"what was here before")
    binary.save(PROGRAM, path)
    assert binary.load(path) == binary.load(str(path)) == binary.load(path.read_bytes()) == PROGRAM
    assert list(tmp_path.iterdir()) == [path]


def test_a_save_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "digits.snnb"
    path.mkdir()
    with pytest.raises(DataError, match="cannot be written"):
        binary.save(PROGRAM, path)
    with pytest.raises(DataError, match="cannot be written: No such file or directory"):
        binary.save(PROGRAM, tmp_path / "none" / "digits.snnb")
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.snnb: cannot be read: No such file or directory"):
        binary.load(tmp_path / "none.snnb")
