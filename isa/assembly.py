"""Assembly: a program as text, and the text as the same program again.

A line says one thing and begins with the word that says which: the header, then ``argument``, ``symbol``, ``element``,
``setting``, ``predicted``, ``bound``, ``layer``, ``machine``, ``data``, and ``entry`` with its ``stream`` headings,
below which every line is an instruction.  What follows a `;` behind an instruction is where it came from (node, phase,
place), and is part of the language; lines that begin with `#`, and empty ones, are not:

    entry train_step arguments=[learning_rate] inputs=[image] results=[loss]
      stream core=0 unit=fp
        loop    l0, tile=4, total=10, argument=0               ; c1  FP  digits.snn:3:5
          gate    v2, v0, v1, fresh=1, inner=0, ones=0         ; c1  FP  digits.snn:3:5
        end     l0                                             ; c1  FP  digits.snn:3:5
        halt

Names that hold other than letters, digits and ``_.+-*/@'~`` are quoted as in JSON.  Lines that belong to the one
above (an element program, the target file, base64) begin with `|`.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, cast

from ..catalog import UnknownName, unknown
from ..numerics.formats import FORMATS
from ..source import NOWHERE, Faults, Place, SourceError
from .codecs.codec import CODECS
from .element import ElementProgram
from .instruction import UNITS, Instruction
from .instructions.control import Choose, End, Loop, Within
from .program import FORMAT_VERSION, Argument, Debug, Entry, Program, Stream, Symbol

_NAMES = ("network", "target", "target_hash", "graph_hash", "version")
_COUNTS = ("snnc", "cores", "contexts", "steps", "batch", "dram_bytes")
_HEADER = {name: "int" if name in _COUNTS else "str" for name in ("snnc", *_NAMES, *_COUNTS[1:])}
_JSON = {"setting": "settings", "predicted": "predicted", "bound": "bound", "layer": "layers"}
_SYMBOL = {part.name: str(part.type) for part in fields(Symbol) if part.name != "name"}
_ENTRY = {"arguments": "tuple[str, ...]", "inputs": "tuple[str, ...]", "results": "tuple[str, ...]"}
_WORDS = (*_HEADER, "argument", "symbol", "element", *_JSON, "machine", "data", "entry", "stream")

_COMMENT_COLUMN, _BASE64_WIDTH = 64, 112
_NAME = r"""(?:"(?:[^"\\]|\\.)*"|[\w.+\-*/@'~]+)"""
_WORD = re.compile(rf"\s*({_NAME})(?!\S)", re.ASCII)
_BARE = re.compile(r"[\w.+\-*/@'~]+", re.ASCII)
_ITEM = re.compile(rf"\s*({_NAME})\s*(,|$)", re.ASCII)
_PAIR = re.compile(rf"""\s*(\w+)=({_NAME}|\[(?:[^\]"]|"(?:[^"\\]|\\.)*")*\])(?!\S)""", re.ASCII)
_COMMENT = re.compile(rf"\s*({_NAME})\s+({_NAME})\s+({_NAME})(?::(\d+)(?::(\d+))?)?\s*", re.ASCII)


def to_text(program: Program) -> str:
    """The whole program as assembly; `from_text` is its exact inverse.  Equal programs have equal texts."""
    return "\n".join(_lines(program)) + "\n"


def from_text(text: str, file: str = "<assembly>") -> Program:
    """The program that *text* says; SourceError with every fault, each at its line and column of *file*."""
    return _Reader(text, file).program()


def _lines(program: Program) -> Iterator[str]:
    yield from (f"{key} {FORMAT_VERSION if key == 'snnc' else _said(getattr(program, key))}" for key in _HEADER)
    yield from (f"argument {_said(each.name)} kind={_said(each.kind)}" for each in program.arguments)
    yield ""
    yield from (f"symbol {_said(each.name)} {_pairs(each, _SYMBOL)}" for each in program.symbols)
    for number, element in enumerate(program.elements):
        yield from ("", f"element {number}", *_block(element.text.split("\n")))
    for word, part in _JSON.items():
        values: Mapping[str, Any] = getattr(program, part)
        yield ""
        yield from (f"{word} {_said(key)} {json.dumps(values[key], sort_keys=True)}" for key in sorted(values))
    yield from ("", "machine", *_block(program.target_text.split("\n")))
    for name in sorted(program.data):
        code = base64.b64encode(program.data[name]).decode()
        yield from ("", f"data {_said(name)}", *_block(re.findall(f".{{1,{_BASE64_WIDTH}}}", code)))
    for entry in program.entries:
        yield from ("", f"entry {_said(entry.name)} {_pairs(entry, _ENTRY)}")
        for stream in entry.streams:
            yield from ("", f"  stream core={stream.core} unit={_said(stream.unit)}", *_stream_lines(stream))


def _stream_lines(stream: Stream) -> Iterator[str]:
    depth = 2
    comments: dict[Debug, str] = {Debug(): ""}
    for instruction, debug in zip(stream.instructions, stream.debug, strict=True):
        depth = max(2, depth - isinstance(instruction, End))
        if debug not in comments:
            comments[debug] = f" ; {_said(debug.node, '-')}  {_said(debug.phase, '-')}  {_place(debug.place)}"
        yield f"{'  ' * depth + str(instruction):{_COMMENT_COLUMN}}{comments[debug]}".rstrip()
        depth += instruction.opens


def _place(place: Place) -> str:
    point = f":{place.line}:{place.column}" if place.column else f":{place.line}" if place.line else ""
    return "-" if place == NOWHERE else (_said(place.file) if place.file != "-" else '"-"') + point


def _pairs(value: object, names: Iterable[str]) -> str:
    return " ".join(f"{name}={_said(getattr(value, name))}" for name in names)


def _said(value: object, empty: str = '""') -> str:
    """A number, a name or a tuple of them; *empty* stands for the empty name, and is quoted where it is a name."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(_said, cast(tuple[object, ...], value)))}]"
    if not isinstance(value, str):
        return repr(value)
    return empty if not value else value if _BARE.fullmatch(value) and value != empty else json.dumps(value)


def _meant(word: str, empty: str = "") -> str:
    """The inverse of `_said` for names; ValueError for an ill-quoted one."""
    if word.startswith('"'):
        return json.loads(word)
    return "" if word == empty else word


def _block(lines: Iterable[str]) -> Iterator[str]:
    return (f"    |{line}" for line in lines)


class _Wrong(Exception):
    """A fault at a column (from 0) of the line that is being read."""

    def __init__(self, column: int, message: object) -> None:
        super().__init__(str(message))
        self.column = column


@dataclass
class _OpenStream:
    """A stream that is being read, and the loops in it that are open: register, row, column."""

    core: int
    unit: str
    instructions: list[Instruction] = field(default_factory=list[Instruction])
    debug: list[Debug] = field(default_factory=list[Debug])
    loops: list[tuple[int, int, int]] = field(default_factory=list[tuple[int, int, int]])


def _closed(opened: Mapping[Any, _OpenStream]) -> tuple[Stream, ...]:
    return tuple(Stream(s.core, s.unit, tuple(s.instructions), tuple(s.debug)) for s in opened.values())


class _Reader:
    """Reads assembly line by line; a faulty line is noted and left out."""

    def __init__(self, text: str, file: str) -> None:
        self.lines = text.split("\n")
        self.file = file
        self.faults = Faults(SourceError, text)
        self.row = 0
        self.header: dict[str, Any] = {}
        self.arguments: dict[str, Argument] = {}
        self.symbols: dict[str, Symbol] = {}
        self.elements: dict[str, ElementProgram] = {}
        self.json: dict[str, dict[str, Any]] = {word: {} for word in _JSON}
        self.machine: dict[str, str] = {}
        self.data: dict[str, bytes] = {}
        self.entries: dict[str, tuple[dict[str, Any], dict[tuple[int, str], _OpenStream]]] = {}
        self.stream: _OpenStream | None = None
        self.instructions: dict[str, Instruction] = {}
        self.comments: dict[str, Debug] = {"": Debug()}

    def program(self) -> Program:
        """The program; SourceError if any line was faulty or something is missing."""
        while self.row < len(self.lines):
            line = self.lines[self.row]
            at = len(line) - len(line.lstrip())
            word = line[at:].split(maxsplit=1)[0] if line[at:] else "#"
            try:
                if word in _WORDS:
                    self.read(word, line, at, at + len(word))
                elif not word.startswith("#"):
                    self.read_instruction(word, line, at)
            except _Wrong as wrong:
                self.note(self.row, wrong.column, wrong)
            self.row += 1
        self.close_stream()
        for word in (*_HEADER, "machine"):
            if word not in self.header and word not in self.machine:
                self.note(0, 0, f"the line {word!r} is missing")
        self.faults.throw()
        del self.header["snnc"]
        return Program(
            **self.header,
            target_text=self.machine["machine"],
            entries=tuple(Entry(name, _closed(opened), **parts) for name, (parts, opened) in self.entries.items()),
            elements=tuple(self.elements.values()),
            symbols=tuple(self.symbols.values()),
            arguments=tuple(self.arguments.values()),
            data=self.data,
            settings=self.json["setting"],
            predicted=self.json["predicted"],
            bound=self.json["bound"],
            layers=self.json["layer"],
        )

    def note(self, row: int, column: int, message: object) -> None:
        self.faults.add(Place(self.file, row + 1, column + 1), str(message))

    def read(self, word: str, line: str, at: int, end: int) -> None:
        """A line that begins with *word*, from column *at* to *end*."""
        if word in ("entry", "stream"):
            self.close_stream()
        match word:
            case "machine":
                self.once(self.machine, word, word, at)
                self.finish(line, end)
                self.machine[word] = "\n".join(self.block())
            case "stream":
                self.open_stream(at, **self.pairs(line, end, {"core": "int", "unit": "str"}))
            case _ if word in _HEADER:
                self.once(self.header, word, word, at)
                self.header[word], end = self.value(line, end, _HEADER[word], f"the value of {word}")
                if word == "snnc" and self.header[word] != FORMAT_VERSION:
                    raise _Wrong(at, f"assembly of version {self.header[word]}; this snnc reads {FORMAT_VERSION}")
                self.finish(line, end)
            case _:
                name, after = self.value(line, end, "str", f"the name of the {word}")
                self.read_named(word, name, line, end + 1, after)

    def read_named(self, word: str, name: str, line: str, at: int, end: int) -> None:
        """A line whose word is followed by a *name*, from column *at* to *end*."""
        row = self.row
        match word:
            case "argument":
                self.once(self.arguments, word, name, at)
                self.arguments[name] = Argument(name, **self.pairs(line, end, {"kind": "str"}))
                if self.arguments[name].kind not in ("f32", "u32"):
                    raise _Wrong(end + 1, "an argument is of kind f32 or u32")
            case "symbol":
                self.once(self.symbols, word, name, at)
                self.symbols[name] = Symbol(name=name, **self.pairs(line, end, _SYMBOL))
                if self.symbols[name].format not in FORMATS:
                    raise _Wrong(end + 1, unknown("format", self.symbols[name].format, FORMATS))
                if self.symbols[name].codec not in CODECS:
                    raise _Wrong(end + 1, unknown("codec", self.symbols[name].codec, CODECS))
            case "element":
                text = "\n".join(self.block())
                if name != str(len(self.elements)):
                    self.note(row, at, f"the next element program is number {len(self.elements)}")
                self.finish(line, end)
                try:
                    self.elements[name] = ElementProgram.parse(text)
                except (ValueError, LookupError) as error:
                    self.note(row, at, f"element program {name}: {error}")
            case "data":
                code = "".join(self.block())
                if name not in self.symbols:
                    self.note(row, at, unknown("symbol", name, self.symbols))
                self.once(self.data, word, name, at)
                self.finish(line, end)
                try:
                    self.data[name] = base64.b64decode(code, validate=True)
                except binascii.Error as error:
                    self.note(row, at, f"the data of {name} is not base64: {error}")
            case "entry":
                self.once(self.entries, word, name, at)
                self.entries[name] = self.pairs(line, end, _ENTRY), {}
                for part, names in self.entries[name][0].items():
                    kind, known = ("argument", self.arguments) if part == "arguments" else ("symbol", self.symbols)
                    for each in set(names) - known.keys():
                        self.note(row, line.index(f"{part}="), unknown(kind, each, known))
            case _:
                self.once(self.json[word], word, name, at)
                try:
                    self.json[word][name] = json.loads(line[end:])
                except ValueError as error:
                    raise _Wrong(end + 1, f"not JSON: {error}") from None

    def once(self, table: dict[str, Any], word: str, name: str, at: int) -> None:
        """Claim *name*, so that it is known although the rest of its line may be faulty."""
        if name in table:
            raise _Wrong(at, f"a second {word}" if word == name else f"a second {word} {name!r}")
        table[name] = None

    def value(self, line: str, at: int, kind: str, what: str) -> tuple[Any, int]:
        """The next word of the line as a *kind*, and the column behind it."""
        found = _WORD.match(line, at)
        if found is None:
            raise _Wrong(min(at + 1, len(line)), f"expected {what}")
        return _converted(found[1], kind, found.start(1)), found.end()

    def pairs(self, line: str, at: int, kinds: Mapping[str, str]) -> dict[str, Any]:
        """The ``key=value`` pairs that the rest of the line consists of: each of *kinds*, in any order."""
        values: dict[str, Any] = {}
        while line[at:].strip():
            found = _PAIR.match(line, at)
            if found is None:
                missing = [f"{name}=" for name in kinds if name not in values]
                raise _Wrong(
                    at + len(line[at:]) - len(line[at:].lstrip()), f"expected {', '.join(missing) or 'no more'}"
                )
            if found[1] not in kinds:
                raise _Wrong(found.start(1), unknown("part", found[1], kinds))
            self.once(values, "part", found[1], found.start(1))
            values[found[1]], at = _converted(found[2], kinds[found[1]], found.start(2)), found.end()
        if missing := [f"{name}=" for name in kinds if name not in values]:
            raise _Wrong(len(line.rstrip()), f"expected {', '.join(missing)}")
        return values

    def finish(self, line: str, at: int) -> None:
        if rest := line[at:].strip():
            raise _Wrong(line.index(rest, at), f"expected the end of the line, found {rest!r}")

    def block(self) -> list[str]:
        """The lines below this one that begin with `|`, without it."""
        found: list[str] = []
        while self.row + 1 < len(self.lines) and (text := self.lines[self.row + 1].lstrip()).startswith("|"):
            found.append(text[1:])
            self.row += 1
        return found

    def open_stream(self, at: int, core: int, unit: str) -> None:
        self.stream = _OpenStream(core, unit)
        if not self.entries:
            raise _Wrong(at, "a stream outside of an entry")
        _, streams = list(self.entries.values())[-1]
        if (core, unit) in streams:
            raise _Wrong(at, f"a second {unit} stream of core {core}")
        streams[core, unit] = self.stream
        if unit not in UNITS:
            raise _Wrong(at, unknown("unit", unit, UNITS))

    def close_stream(self) -> None:
        for register, row, column in self.stream.loops if self.stream else ():
            self.note(row, column, f"loop l{register} is never closed")
        self.stream = None

    def read_instruction(self, word: str, line: str, at: int) -> None:
        if self.stream is None:
            raise _Wrong(at, unknown("line", word, _WORDS))
        code, _, comment = line.partition(";")
        code = code.strip()
        if code not in self.instructions:
            try:
                self.instructions[code] = Instruction.parse(code)
            except (ValueError, UnknownName, OverflowError) as error:
                raise _Wrong(at + _blamed(code), error) from None
        if comment not in self.comments:
            self.comments[comment] = _debug(comment, line.index(";") + 1)
        instruction = self.instructions[code]
        if self.stream.unit in UNITS and self.stream.unit not in instruction.units:
            raise _Wrong(at, f"{word} runs on {' or '.join(instruction.units)}, not on {self.stream.unit}")
        self.stream.instructions.append(instruction)
        self.stream.debug.append(self.comments[comment])
        if isinstance(instruction, Loop | Choose | Within):
            self.stream.loops.append((instruction.loop, self.row, at))
        elif isinstance(instruction, End) and (not self.stream.loops or self.stream.loops.pop()[0] != instruction.loop):
            raise _Wrong(at, f"l{instruction.loop} is not the innermost open loop")


def _converted(word: str, kind: str, at: int) -> Any:
    """A word as an int, float, str or tuple of them."""
    if kind.startswith("tuple"):
        if not word.startswith("["):
            raise _Wrong(at, f"expected a list in brackets, found {word}")
        items: list[Any] = []
        inside, position = word[1:-1], 0
        while inside[position:].strip():
            found = _ITEM.match(inside, position)
            if found is None:
                raise _Wrong(at + 1 + position, "expected items with commas between them")
            items.append(_converted(found[1], kind[6:].split(",")[0], at + 1 + found.start(1)))
            position = found.end()
        return tuple(items)
    try:
        return int(word) if kind == "int" else float(word) if kind == "float" else _meant(word)
    except ValueError:
        named = {"int": "a whole number", "float": "a number"}.get(kind, "a text as JSON quotes it")
        raise _Wrong(at, f"expected {named}, found {word}") from None


def _debug(comment: str, at: int) -> Debug:
    """What the comment behind an instruction says."""
    found = _COMMENT.fullmatch(comment)
    if found is None:
        raise _Wrong(at, "expected the node, its phase and its place (- for none): `; c1  FP  digits.snn:3:5`")
    node, phase, file, line, column = found.groups()
    where = NOWHERE if (file, line) == ("-", None) else Place(_meant(file), int(line or 0), int(column or 0))
    return Debug(_meant(node, "-"), _meant(phase, "-"), where)


def _blamed(code: str) -> int:
    """The column in *code* of the operand that does not parse; 0, the mnemonic, where it is none of them."""
    mnemonic, _, rest = code.partition(" ")
    kind, texts = Instruction.by_mnemonic.get(mnemonic), rest.split(",")
    at = len(mnemonic) + 1
    for (name, place), text in zip(
        kind.layout.items() if kind and len(kind.layout) == len(texts) else (), texts, strict=False
    ):
        try:
            if place.coding != "float" and not place.minimum <= place.value(name, text.strip()) <= place.maximum:
                raise ValueError
        except ValueError:
            return at + len(text) - len(text.lstrip())
        at += len(text) + 1
    return 0
