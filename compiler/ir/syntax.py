"""Syntax trees: what is written in a text, before anything is looked up.

`grammar` makes them; the frontend elaborates a network's into a graph, and `text` reads dumps from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from ...source import NOWHERE, Place

_CHARACTER = re.compile(r"\\u[0-9A-Fa-f]{4}|\\.|.", re.DOTALL)


@dataclass(frozen=True)
class Name:
    """A word: the name of a value or a setting, or a setting's plain word such as ``cosine``."""

    text: str
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class Literal:
    """A number or a quoted string; *written* is the string with its quotes and escapes."""

    value: int | float | str
    place: Place = field(default=NOWHERE, compare=False)
    written: str = field(default="", compare=False)

    def inside(self, offset: int) -> Place:
        """Where character *offset* of the string is written: an escape is longer than what it stands for."""
        pieces = _CHARACTER.findall(self.written[1:-1])[:offset]
        return replace(self.place, column=self.place.column + 1 + sum(map(len, pieces)))


@dataclass(frozen=True)
class Items:
    """``[a, b]``."""

    items: tuple[Value, ...]
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class Call:
    """``name(arguments)``: an operator, a block, or a setting that has settings."""

    name: str
    arguments: tuple[Argument, ...]
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class Argument:
    """``value``, or ``name=value``."""

    name: str | None
    value: Value
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class Arithmetic:
    """``left operator right``; the operator is one of ``+ - * / //``."""

    operator: str
    left: Value
    right: Value
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class Negative:
    """``-value``."""

    value: Value
    place: Place = field(default=NOWHERE, compare=False)


Value: TypeAlias = Name | Literal | Items | Call | Arithmetic | Negative


@dataclass(frozen=True)
class WrittenType:
    """``weight f16[t, n, 16*5*5] * 0.25``; every axis as its factors, each a number or a name.

    *every* is the 4 of ``f16[t/4, n, 128]``, *steps* the 250 of ``f16[t:250, n, 128]``; their t is an axis like the
    others here.
    """

    format: str
    axes: tuple[tuple[int | Name, ...], ...]
    weight: bool = False
    scale: float = 1.0
    every: int = 1
    steps: int = 0
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class Assign:
    """``targets = value : types @ phase(layer)``."""

    targets: tuple[Name, ...]
    value: Value
    types: tuple[WrittenType, ...] = ()
    phase: str = ""
    layer: str = ""


@dataclass(frozen=True)
class Repeat:
    """``repeat times as variable { body }``."""

    times: Value
    variable: Name | None
    body: Body
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class Return:
    """``return values``."""

    values: tuple[Value, ...]
    place: Place = field(default=NOWHERE, compare=False)


Statement: TypeAlias = Assign | Repeat | Return
Body: TypeAlias = tuple[Statement, ...]


@dataclass(frozen=True)
class Formal:
    """A parameter of a block, or a setting of a network, with its default."""

    name: Name
    default: Value | None


@dataclass(frozen=True)
class Block:
    """``block name(formals) { body }``."""

    name: Name
    formals: tuple[Formal, ...]
    body: Body


@dataclass(frozen=True)
class WrittenPort:
    """``name: type``."""

    name: Name
    type: WrittenType


@dataclass(frozen=True)
class WrittenNetwork:
    """``network name(ports, settings) steps T { body }``."""

    name: Name
    ports: tuple[WrittenPort, ...]
    formals: tuple[Formal, ...]
    steps: Value | None
    body: Body


@dataclass(frozen=True)
class SettingList:
    """``train { name = value ... }``, or the ``settings { }`` of a training graph."""

    settings: tuple[tuple[Name, Value], ...]
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class WrittenVariable:
    """``role name : type @ (layer)``."""

    role: str
    name: Name
    type: WrittenType
    layer: str


@dataclass(frozen=True)
class WrittenRegion:
    """``once { }``, ``sweep t up { }``, ``sweep t down { }``, ``sweep t chosen 2 { }``.

    A sweep upwards may have more words, ``sweep t up 250 stepwise { }``: its own number of steps, and ``stepwise``.
    *window* is that of ``window 4 { }`` around it, 0 for none.
    """

    sweep: str
    nodes: tuple[Assign, ...]
    stepwise: bool = False
    turns: int = 0
    steps: int = 0
    window: int = 0


@dataclass(frozen=True)
class WrittenEntry:
    """``entry name(inputs) { regions return results }``."""

    name: Name
    inputs: tuple[str, ...]
    regions: tuple[WrittenRegion, ...]
    results: tuple[str, ...]


@dataclass(frozen=True)
class WrittenTraining:
    """``training name steps T batch B { variables, arguments, entries, settings }``."""

    name: Name
    steps: int
    batch: int
    variables: tuple[WrittenVariable, ...]
    arguments: tuple[tuple[str, str], ...]
    entries: tuple[WrittenEntry, ...]
    settings: tuple[SettingList, ...]


Item: TypeAlias = Block | WrittenNetwork | SettingList | WrittenTraining


@dataclass(frozen=True)
class File:
    """All that one text defines."""

    items: tuple[Item, ...]


def words(value: Value) -> Iterator[Name]:
    """Every plain word in *value*, from left to right; the names of calls are none."""
    match value:
        case Name():
            yield value
        case Items(items=items):
            for item in items:
                yield from words(item)
        case Call(arguments=arguments):
            for argument in arguments:
                yield from words(argument.value)
        case Arithmetic(left=left, right=right):
            yield from words(left)
            yield from words(right)
        case Negative(value=inner):
            yield from words(inner)
        case Literal():
            pass


def arithmetic(value: Value) -> Iterator[Arithmetic | Negative]:
    """The outermost of all that is computed in *value*, from left to right."""
    match value:
        case Arithmetic() | Negative():
            yield value
        case Items(items=items):
            for item in items:
                yield from arithmetic(item)
        case Call(arguments=arguments):
            for argument in arguments:
                yield from arithmetic(argument.value)
        case Name() | Literal():
            pass


def targets(body: Body) -> Iterator[tuple[Name, bool]]:
    """Every name that *body* makes, and whether inside of a repetition."""
    for statement in body:
        match statement:
            case Assign(targets=names):
                yield from ((name, False) for name in names)
            case Repeat(body=inner):
                yield from ((name, True) for name, _ in targets(inner))
            case Return():
                pass
