"""`.snnb`: a program as bytes, the same bytes for equal programs, and refused whole if a single bit is wrong.

The file is a head of 56 bytes, a table of sections, and the sections (integers little-endian):

    magic    8 bytes    89 53 4e 4e 42 0d 0a 1a: tells a copy that was made as text
    version  u32        of the format
    sections u32        rows of the table
    length   u64        of the whole file
    digest   32 bytes   SHA-256 of everything else
    table               a row a section: name (8 bytes, zero-padded), offset u64, length u64

``meta`` is JSON: header, symbols, arguments, entries with the lengths of their streams, settings, target.  ``elements``
holds element programs, each behind its length (u32); ``code`` the words of all streams; ``debug`` a JSON table of
distinct debug records behind its length (u32) and then runs (record u32, count u32) over all instructions; ``data``
the contents of symbols.  Sections are not compressed: compressors differ from host to host, and programs would.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain, groupby
from pathlib import Path
from typing import Any, cast

from ..source import DataError, Place
from . import instructions
from .codecs.codec import CODECS
from .element import ElementProgram
from .files import read_whole, write_whole
from .instruction import WORD_BYTES, Instruction
from .program import FORMAT_VERSION, Argument, Debug, Entry, Program, Stream, Symbol

MAGIC = b"\x89SNNB\r\n\x1a"
_HEAD = struct.Struct("<8sIIQ")
_DIGEST = slice(_HEAD.size, _HEAD.size + 32)
_ROW = struct.Struct("<8sQQ")
_SECTIONS = ("meta", "elements", "code", "debug", "data")
_PLAIN = (
    "network",
    "target",
    "target_text",
    "target_hash",
    "graph_hash",
    "cores",
    "contexts",
    "steps",
    "batch",
    "dram_bytes",
)
_MAPPINGS = ("settings", "predicted", "bound", "layers")


def to_bytes(program: Program) -> bytes:
    """The bytes of the `.snnb`; `from_bytes` is the exact inverse.  Equal programs have equal bytes."""
    sections = [_meta(program), _elements(program), _code(program), _debug(program), _data(program)]
    offset = _DIGEST.stop + _ROW.size * len(sections)
    table = b""
    for name, section in zip(_SECTIONS, sections, strict=True):
        table += _ROW.pack(name.encode(), offset, len(section))
        offset += len(section)
    head = _HEAD.pack(MAGIC, FORMAT_VERSION, len(sections), offset)
    body = b"".join([table, *sections])
    return head + hashlib.sha256(head + body).digest() + body


def from_bytes(data: bytes, file: str = "<bytes>") -> Program:
    """The program in *data*; DataError, naming *file*, unless every bit is as it was written."""
    _check(data, Place(file))
    try:
        return _program(_split(data))
    except (ValueError, LookupError, TypeError, struct.error) as error:
        raise DataError.at(Place(file), f"its checksum is right but its content is not a program: {error}") from None


def fingerprint(program: Program) -> str:
    """SHA-256 of the program in hexadecimal: the digest that its `.snnb` carries."""
    return to_bytes(program)[_DIGEST].hex()


def save(program: Program, path: str | Path) -> None:
    """Write the `.snnb` so that *path* holds either what it held before or all of it; DataError if that fails."""
    write_whole(Path(path), to_bytes(program))


def load(source: str | Path | bytes) -> Program:
    """The program in a `.snnb` file, or in its bytes; DataError tells what is wrong with it before anything runs."""
    if isinstance(source, bytes):
        return from_bytes(source)
    return from_bytes(read_whole(Path(source)), str(source))


def _check(data: bytes, place: Place) -> None:
    """DataError unless *data* is a whole, undamaged file of this version."""
    if data[: len(MAGIC)] != MAGIC[: len(data)] or not data:
        raise DataError.at(place, "not a snnc program (.snnb)")
    if len(data) < _DIGEST.stop:
        raise DataError.at(place, f"truncated: {len(data)} bytes, less than a head")
    _, version, _, length = _HEAD.unpack_from(data)
    if version != FORMAT_VERSION:
        hint = "compile the model again"
        raise DataError.at(place, f"format version {version}; this snnc reads {FORMAT_VERSION}", hints=[hint])
    if len(data) < length:
        raise DataError.at(place, f"truncated: {len(data)} of {length} bytes")
    if len(data) > length:
        raise DataError.at(place, f"{len(data) - length} bytes too many behind its {length}")
    if hashlib.sha256(data[: _HEAD.size] + data[_DIGEST.stop :]).digest() != data[_DIGEST]:
        raise DataError.at(place, "damaged: its checksum does not match its content")


def _split(data: bytes) -> dict[str, bytes]:
    """The sections by name."""
    _, _, count, _ = _HEAD.unpack_from(data)
    sections: dict[str, bytes] = {}
    for number in range(count):
        name, offset, length = _ROW.unpack_from(data, _DIGEST.stop + number * _ROW.size)
        if offset + length > len(data):
            raise ValueError("a section ends behind the file")
        sections[name.rstrip(b"\0").decode()] = data[offset : offset + length]
    return sections


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _streams(program: Program) -> Iterator[Stream]:
    return chain.from_iterable(entry.streams for entry in program.entries)


def _meta(program: Program) -> bytes:
    meta: dict[str, Any] = {name: getattr(program, name) for name in (*_PLAIN, "version", *_MAPPINGS)}
    for name in _MAPPINGS:
        meta[name] = dict(meta[name])
    meta["symbols"] = [asdict(symbol) for symbol in program.symbols]
    meta["arguments"] = [asdict(argument) for argument in program.arguments]
    meta["data"] = [[name, len(program.data[name])] for name in sorted(program.data)]
    meta["entries"] = [
        {
            "name": entry.name,
            "arguments": entry.arguments,
            "inputs": entry.inputs,
            "results": entry.results,
            "streams": [[stream.core, stream.unit, len(stream.instructions)] for stream in entry.streams],
        }
        for entry in program.entries
    ]
    return _json(meta)


def _elements(program: Program) -> bytes:
    encoded = [element.encode() for element in program.elements]
    return b"".join(struct.pack("<I", len(each)) + each for each in encoded)


def _code(program: Program) -> bytes:
    return b"".join(instruction.encode() for stream in _streams(program) for instruction in stream.instructions)


def _debug(program: Program) -> bytes:
    numbers: dict[Debug, int] = {}
    records = chain.from_iterable(stream.debug for stream in _streams(program))
    indices = (numbers.setdefault(debug, len(numbers)) for debug in records)
    runs = b"".join(struct.pack("<II", index, len(list(group))) for index, group in groupby(indices))
    places = ((debug, debug.place) for debug in numbers)
    table = _json([[debug.node, debug.phase, place.file, place.line, place.column] for debug, place in places])
    return struct.pack("<I", len(table)) + table + runs


def _data(program: Program) -> bytes:
    return b"".join(program.data[name] for name in sorted(program.data))


def _program(sections: dict[str, bytes]) -> Program:
    meta: dict[str, Any] = json.loads(sections["meta"])
    words, debug = _read_words(sections["code"]), _read_debug(sections["debug"])
    if len(words) != len(debug):
        raise ValueError(f"{len(words)} instructions have {len(debug)} debug records")
    at = 0
    entries: list[Entry] = []
    for entry in meta["entries"]:
        streams: list[Stream] = []
        for core, unit, length in entry["streams"]:
            part = slice(at, at + length)
            streams.append(Stream(core, unit, tuple(words[part]), tuple(debug[part])))
            at += length
        names = (tuple(cast(list[str], entry[part])) for part in ("arguments", "inputs", "results"))
        entries.append(Entry(entry["name"], tuple(streams), *names))
    if at != len(words):
        raise ValueError(f"{len(words)} instructions for streams of {at}")
    return Program(
        **{name: meta[name] for name in (*_PLAIN, "version", *_MAPPINGS)},
        entries=tuple(entries),
        elements=tuple(_read_elements(sections["elements"])),
        symbols=tuple(_read_symbol(symbol) for symbol in meta["symbols"]),
        arguments=tuple(Argument(**argument) for argument in meta["arguments"]),
        data=dict(_read_data(sections["data"], meta["data"])),
    )


def _read_words(code: bytes) -> list[Instruction]:
    if len(code) % WORD_BYTES:
        raise ValueError("the code ends inside an instruction")
    assert instructions.__all__, "imported, so that every opcode is known"
    known: dict[bytes, Instruction] = {}
    words: list[Instruction] = []
    for at in range(0, len(code), WORD_BYTES):
        word = code[at : at + WORD_BYTES]
        if word not in known:
            known[word] = Instruction.decode(word)
        words.append(known[word])
    return words


def _read_debug(section: bytes) -> list[Debug]:
    (length,) = struct.unpack_from("<I", section)
    table = [Debug(node, phase, Place(*place)) for node, phase, *place in json.loads(section[4 : 4 + length])]
    debug: list[Debug] = []
    for index, count in struct.iter_unpack("<II", section[4 + length :]):
        debug += [table[index]] * count
    return debug


def _read_elements(section: bytes) -> Iterator[ElementProgram]:
    at = 0
    while at < len(section):
        (length,) = struct.unpack_from("<I", section, at)
        at += 4 + length
        yield ElementProgram.decode(section[at - length : at])


def _read_symbol(written: dict[str, Any]) -> Symbol:
    lists = {name: tuple(cast(list[int], written[name])) for name in ("shape", "factors", "order", "blocks")}
    _ = CODECS[written["codec"]]  # UnknownName where there is none
    merged: dict[str, Any] = {**written, **lists}
    return Symbol(**merged)


def _read_data(section: bytes, lengths: list[tuple[str, int]]) -> Iterator[tuple[str, bytes]]:
    at = 0
    for name, length in lengths:
        yield name, section[at : at + length]
        at += length
    if at != len(section):
        raise ValueError("the data has another length than its symbols")
