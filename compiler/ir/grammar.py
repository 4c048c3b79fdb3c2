"""From a text to its syntax tree, by the grammar in `snn.lark`.

Imported only when something is parsed, since Lark takes a while.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, cast

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedInput, UnexpectedToken
from lark.exceptions import VisitError

from ...source import Place, SourceError
from . import syntax
from .syntax import Argument, Assign, Name, Value, WrittenType
from .values import RESERVED, Wrong

Children = list[Any]


def _of(kind: type, items: Children) -> Children:
    """Those of the *items* that are a *kind*."""
    return [item for item in items if isinstance(item, kind)]


def parse(text: str, file: str) -> syntax.File:
    """The syntax tree of *text*; raises `SourceError` at the first thing that does not fit."""
    try:
        tree = _parser().parse(text)  # pyright: ignore[reportUnknownMemberType]
        return _Builder(file).transform(tree)
    except VisitError as fault:
        if not isinstance(fault.orig_exc, Wrong):
            raise
        raise SourceError.at(fault.orig_exc.place, fault.orig_exc.message, text) from None
    except UnexpectedInput as fault:
        place, message = _explain(fault, text, file)
        raise SourceError.at(place, message, text) from None
    except RecursionError:
        raise SourceError.at(Place(file), "this is nested too deeply to be read") from None


@cache
def _parser() -> Lark:
    grammar = Path(__file__).with_name("snn.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr")


class _Builder(Transformer[Token, syntax.File]):
    """One method a rule of the grammar; the parts of the rule are its children."""

    def __init__(self, file: str) -> None:
        super().__init__()
        self.file = file

    def place(self, token: Token) -> Place:
        return Place(self.file, token.line or 0, token.column or 0)

    def word(self, token: Token) -> Name:
        return Name(str(token), self.place(token))

    def start(self, items: Children) -> syntax.File:
        return syntax.File(tuple(items))

    # Definitions

    def block(self, items: Children) -> syntax.Block:
        name, *formals, body = items
        return syntax.Block(self.word(name), tuple(formals), body)

    def formal(self, items: Children) -> syntax.Formal:
        return syntax.Formal(self.word(items[0]), items[1] if len(items) > 1 else None)

    def network(self, items: Children) -> syntax.WrittenNetwork:
        name, *header, body = items
        settings = _of(Argument, header)
        formals = tuple(syntax.Formal(Name(item.name, item.place), item.value) for item in settings)
        steps = _of(list, header)
        ports = tuple(_of(syntax.WrittenPort, header))
        return syntax.WrittenNetwork(self.word(name), ports, formals, steps[0][0] if steps else None, body)

    def port(self, items: Children) -> syntax.WrittenPort:
        return syntax.WrittenPort(self.word(items[0]), items[1])

    def steps(self, items: Children) -> Children:
        return items

    def setting(self, items: Children) -> Argument:
        return Argument(str(items[0]), items[1], self.place(items[0]))

    def train(self, items: Children) -> syntax.SettingList:
        keyword, *settings = items
        pairs = tuple((Name(item.name or "", item.place), item.value) for item in settings)
        return syntax.SettingList(pairs, self.place(keyword))

    settings = train

    # Statements

    def body(self, items: Children) -> syntax.Body:
        return tuple(items)

    def assign(self, items: Children) -> Assign:
        targets, value, *rest = items
        types = next(iter(_of(tuple, rest)), ())
        phase, layer = next(iter(_of(list, rest)), ["", ""])
        return Assign(targets, value, types, phase, layer)

    def names(self, items: Children) -> tuple[Name, ...]:
        return tuple(map(self.word, items))

    def repeat(self, items: Children) -> syntax.Repeat:
        keyword, times, *variable, body = items
        return syntax.Repeat(times, self.word(variable[0]) if variable else None, body, self.place(keyword))

    def give(self, items: Children) -> syntax.Return:
        return syntax.Return(tuple(items[1:]), self.place(items[0]))

    def types(self, items: Children) -> tuple[WrittenType, ...]:
        return tuple(items)

    def phase(self, items: Children) -> list[str]:
        return [str(items[0]), str(items[1]) if len(items) > 1 else ""]

    def layer(self, items: Children) -> list[str]:
        return ["", str(items[0])]

    # Types

    def type(self, items: Children) -> WrittenType:
        weight = items[0].type == "WEIGHT"
        word, *rest = items[weight:]
        scale = float(next(iter(_of(Token, rest)), 1.0))
        times = _of(list, rest)
        axes = (*(tuple(part[:1]) for part in times), *_of(tuple, rest))
        every, steps = next((tuple(part[1:]) for part in times), (1, 0))
        return WrittenType(str(word), axes, weight, scale, every, steps, self.place(word))

    def every(self, items: Children) -> list[Any]:
        return [self.word(items[0]), self.whole(items[1]), 0]

    def own(self, items: Children) -> list[Any]:
        return [self.word(items[0]), 1, self.whole(items[1])]

    def axis(self, items: Children) -> tuple[int | Name, ...]:
        return tuple(self.whole(item) if item.type == "INTEGER" else self.word(item) for item in items)

    # Values

    def whole(self, token: Token) -> int:
        """The number that *token* is; `Wrong` beyond what Python reads."""
        try:
            return int(token)
        except ValueError:
            raise Wrong(self.place(token), "the number is too large") from None

    def integer(self, items: Children) -> Value:
        return syntax.Literal(self.whole(items[0]), self.place(items[0]))

    def real(self, items: Children) -> Value:
        return syntax.Literal(float(items[0]), self.place(items[0]))

    def string(self, items: Children) -> Value:
        place = self.place(items[0])
        try:
            return syntax.Literal(json.loads(items[0], strict=False), place, str(items[0]))
        except json.JSONDecodeError:
            raise Wrong(place, "a string knows the escapes of JSON only, such as \\n and \\u0041") from None

    def name(self, items: Children) -> Value:
        return self.word(items[0])

    def items(self, items: Children) -> Value:
        return syntax.Items(tuple(items[1:]), self.place(items[0]))

    def call(self, items: Children) -> Value:
        name, *arguments = items
        return syntax.Call(str(name), tuple(map(self.argument, arguments)), self.place(name))

    def argument(self, item: Argument | Value) -> Argument:
        return item if isinstance(item, Argument) else Argument(None, item, item.place)

    def negative(self, items: Children) -> Value:
        return syntax.Negative(items[1], self.place(items[0]))

    def binary(self, items: Children) -> Value:
        left, operator, right = items
        return syntax.Arithmetic(str(operator), left, right, self.place(operator))

    # Training graphs

    def training(self, items: Children) -> syntax.WrittenTraining:
        name, steps, batch, *parts = items
        return syntax.WrittenTraining(
            self.word(name),
            self.whole(steps),
            self.whole(batch),
            tuple(_of(syntax.WrittenVariable, parts)),
            tuple(_of(tuple, parts)),
            tuple(_of(syntax.WrittenEntry, parts)),
            tuple(_of(syntax.SettingList, parts)),
        )

    def variable(self, items: Children) -> syntax.WrittenVariable:
        role, name, type, *serves = items
        return syntax.WrittenVariable(str(role), self.word(name), type, serves[0][1] if serves else "")

    def scalar(self, items: Children) -> tuple[str, str]:
        return str(items[0]), str(items[1])

    def entry(self, items: Children) -> syntax.WrittenEntry:
        name, *parts = items
        inputs = next(iter(_of(tuple, parts)), ())
        each = [item for part in parts for item in (cast(Children, part) if isinstance(part, list) else [part])]
        return syntax.WrittenEntry(
            self.word(name),
            tuple(name.text for name in inputs),
            tuple(_of(syntax.WrittenRegion, each)),
            tuple(_of(str, each)),
        )

    def window(self, items: Children) -> list[syntax.WrittenRegion]:
        size, *regions = items
        return [replace(region, window=self.whole(size)) for region in regions]

    def once(self, items: Children) -> syntax.WrittenRegion:
        return syntax.WrittenRegion("once", tuple(items))

    def sweep(self, items: Children) -> syntax.WrittenRegion:
        words, nodes = [str(item) for item in items if isinstance(item, Token)], _of(syntax.Assign, items)
        numbers = [int(word) for word in words if word.isdecimal()]
        turns, steps = (sum(numbers), 0) if words[0] == "chosen" else (0, sum(numbers))
        return syntax.WrittenRegion(words[0], tuple(nodes), words[-1] == "stepwise" or bool(turns), turns, steps)

    def results(self, items: Children) -> list[str]:
        return list(map(str, items[1:]))


_TERMINALS = {
    "NAME": "a name",
    "INTEGER": "a number",
    "REAL": "a number",
    "STRING": "a string",
    "LPAR": "'('",
    "RPAR": "')'",
    "LBRACE": "'{'",
    "RBRACE": "'}'",
    "LEFT_BRACKET": "'['",
    "RSQB": "']'",
    "COMMA": "','",
    "COLON": "':'",
    "EQUAL": "'='",
    "AT": "'@'",
    "_SEMICOLON": "';'",
    "$END": "the end of the text",
}
_OPERATORS = {"PLUS", "MINUS", "STAR", "SLASH", "DOUBLE_SLASH", "DOUBLE_STAR"}
_MINOR = ({"AT", "_SEMICOLON", "$END"}, _OPERATORS, {"LPAR"})
"""Kinds of terminals that a message leaves out where it can name something else: they continue what may as well end."""
_TOGETHER = (
    ({"NAME", "INTEGER", "REAL", "STRING", "LPAR", "LEFT_BRACKET", "MINUS"}, "a value"),
    ({"NAME", "REPEAT", "RETURN"}, "a statement"),
)


def _explain(fault: UnexpectedInput, text: str, file: str) -> tuple[Place, str]:
    """Where parsing stopped, and what could have stood there, in words."""
    if isinstance(fault, UnexpectedCharacters):
        place = Place(file, fault.line, fault.column)
        found = cast(str, fault.char)  # pyright: ignore[reportUnknownMemberType]
        return place, "this string does not end" if found == '"' else f"the character {found!r} has no meaning here"
    assert isinstance(fault, UnexpectedToken), fault
    token = cast(Token, fault.token)  # pyright: ignore[reportUnknownMemberType]
    accepted = set(fault.accepts or fault.expected)
    message = f"expected {_expected(accepted)}"
    if "NAME" in accepted and str(token) in RESERVED:
        return Place(file, fault.line, fault.column), f"{token} is a word of the language and cannot be a name"
    end = token.type == "$END"
    start = len(text) if end else (token.start_pos or 0)
    before = _code_before(text, start)
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    if before and (end or "\n" in text[len(before) : start]):
        # What is missing is missing at the end of the line before.
        return Place(file, line, column), message + (", and the text ends here" if end else "")
    return Place(file, fault.line, fault.column), message


def _code_before(text: str, end: int) -> str:
    """`text[:end]` without the comments and white space at its end."""
    before = text[:end].rstrip()
    while (hash := _comment(before)) is not None:
        before = before[:hash].rstrip()
    return before


def _comment(text: str) -> int | None:
    """Where the comment begins that ends *text*; None where its last line ends in no comment."""
    start, quoted = text.rfind("\n") + 1, False
    for index in range(start, len(text)):
        if text[index] == '"' and (index == start or text[index - 1] != "\\"):
            quoted = not quoted
        if text[index] == "#" and not quoted:
            return index
    return None


def _expected(terminals: set[str]) -> str:
    words: set[str] = set()
    for group, word in _TOGETHER:
        if group <= terminals:
            terminals, words = terminals - group, words | {word}
    if "RPAR" in terminals and "COMMA" in terminals:
        terminals = terminals - {"EQUAL"}
    if "RBRACE" in terminals:
        terminals = terminals - {"COLON"}
    for minor in _MINOR:
        if words or terminals - minor:
            terminals = terminals - minor
    words |= {_TERMINALS.get(name, f"'{name.lstrip('_').lower()}'") for name in terminals}
    *first, last = sorted(words, key=lambda word: (word in ("')'", "']'", "'}'"), word))
    return f"{', '.join(first)} or {last}" if first else last
