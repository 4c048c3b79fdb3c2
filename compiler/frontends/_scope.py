"""What names mean at one point of a text, and the graph that grows as the text is followed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ...catalog import unknown
from ...source import Place
from ..ir import syntax
from ..ir.graph import Node, Port, Setting
from ..ir.syntax import Arithmetic, Name, Negative
from ..ir.types import Type
from ..ir.values import Wrong, is_name, text_of_type

NODES = 100_000
"""More nodes than this are taken for a mistake in a repetition."""


class Silent(Exception):
    """Something depends on what an error, told before, kept from being made."""


@dataclass(frozen=True)
class Made:
    """A value of the graph by its full name; *handed*: it came in as an argument of a block."""

    name: str
    handed: bool = False


@dataclass(frozen=True)
class Given:
    """A setting."""

    value: Setting


@dataclass(frozen=True)
class Word:
    """An argument of a block that nothing is called: a setting's plain word, or a mistyped value.

    *fault* is what to tell where a value is expected.
    """

    text: str
    fault: Wrong


@dataclass(frozen=True)
class Lost:
    """What an error kept from being made; uses of it are not told again."""


Binding = Made | Given | Word | Lost


class _Settings(Mapping[str, Setting]):
    """The settings among *names*, without a copy: a long dump asks for them at every word."""

    def __init__(self, names: Mapping[str, Binding]) -> None:
        self.names = names

    def __getitem__(self, name: str) -> Setting:
        match self.names.get(name):
            case Given(value=setting):
                return setting
            case Word(text=text):
                return text
            case _:
                raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (name for name, binding in self.names.items() if isinstance(binding, Given | Word))

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass
class Scope:
    """The names that can be used at one point.

    *prefix* begins the full name of what is made here; *renames* gives the full names of values that a block
    returns.  *made* are the names made in this very body (each only once), *body* are all that it will make,
    *inner* those that stayed inside of a repetition.
    """

    prefix: str = ""
    renames: dict[str, str] = field(default_factory=dict[str, str])
    names: dict[str, Binding] = field(default_factory=dict[str, Binding])
    made: dict[str, Place] = field(default_factory=dict[str, Place])
    body: syntax.Body = ()
    inner: set[str] = field(default_factory=set[str])
    repeated: bool = False

    def inside(self, body: syntax.Body) -> Scope:
        """The scope of one round of a repetition."""
        return Scope(self.prefix, self.renames, dict(self.names), {}, body, set(self.inner), True)

    def bind(self, name: Name, binding: Binding) -> None:
        """Give *name* a meaning; `Wrong` where it has one already."""
        self.check(name)
        self.made[name.text] = name.place
        self.names[name.text] = binding

    def check(self, name: Name) -> None:
        """`Wrong` where *name* cannot be made here."""
        if not is_name(name.text):
            raise Wrong(name.place, f"{name.text} is a word of the language and cannot be a name")
        first = self.made.get(name.text)
        if first is not None:
            raise Wrong(name.place, f"{name.text} is made twice; the first is in line {first.line}")

    def values(self) -> Iterator[str]:
        """Names of values, those with which something else is wrong among them."""
        return (name for name, binding in self.names.items() if isinstance(binding, Made | Lost))

    def settings(self, value: syntax.Value) -> Mapping[str, Setting]:
        """The settings that *value* may mention; `Wrong` where it mentions a value as one."""
        for part in syntax.arithmetic(value):
            self._check_arithmetic(part)
        for word in syntax.words(value):
            match self.names.get(word.text):
                case Made(name=full, handed=True):
                    raise Wrong(word.place, f"{word.text} is a value here ({full}), not a setting")
                case Lost():
                    raise Silent
                case _:
                    pass
        return _Settings(self.names)

    def _check_arithmetic(self, part: Arithmetic | Negative) -> None:
        """`Wrong` where arithmetic, which is for numbers, mentions a value of the network."""
        for word in syntax.words(part):
            if isinstance(self.names.get(word.text), Made):
                told = f"{word.text} is a value, and arithmetic is for settings"
                if isinstance(part, Arithmetic) and part.operator == "+":
                    terms = [term.text if isinstance(term, Name) else "..." for term in (part.left, part.right)]
                    told += f"; values are added by add({', '.join(terms)})"
                raise Wrong(word.place, told)

    def unknown(self, name: Name) -> Wrong:
        """The fault that no value is called *name* here, with the likeliest reason."""
        later = next((target.place for target, _ in syntax.targets(self.body) if target.text == name.text), None)
        if name.text in self.inner:
            reason = "is made inside of a repetition and stays there; only names made before it are carried out"
            return Wrong(name.place, f"{name.text} {reason}")
        if later is not None:
            what = f"{name.text} is used before it is made (line {later.line})"
            return Wrong(name.place, f"{what}; what it was in the step before is delay({name.text})")
        return Wrong(name.place, str(unknown("value", name.text, self.values())))


@dataclass
class Draft:
    """A node whose type may still be found out: that of a parameter comes from where it is used."""

    results: tuple[str, ...]
    op: str
    operands: tuple[str, ...]
    settings: dict[str, Setting]
    types: tuple[Type, ...]
    place: Place
    shape: tuple[int, ...] | None = None
    phase: str = ""
    layer: str = ""


@dataclass
class Graph:
    """All that was made so far, by full name."""

    ports: dict[str, Port] = field(default_factory=dict[str, Port])
    drafts: list[Draft] = field(default_factory=list[Draft])
    makers: dict[str, Draft] = field(default_factory=dict[str, Draft])
    taken: dict[str, Place] = field(default_factory=dict[str, Place])
    used: set[str] = field(default_factory=set[str])
    again: dict[str, int] = field(default_factory=dict[str, int])

    def claim(self, name: str, place: Place, again: bool = True) -> str:
        """A full name for what is made at *place*: *name*, or ``name.1``, ``name.2`` ... where it is made *again*."""
        if name in self.taken and not again:
            raise Wrong(place, f"{name} is made twice; the first is in line {self.taken[name].line}")
        free = name
        while free in self.taken:
            self.again[name] = self.again.get(name, 0) + 1
            free = f"{name}.{self.again[name]}"
        self.taken[free] = place
        return free

    def add(self, draft: Draft) -> Draft:
        """The next node."""
        if len(self.drafts) >= NODES:
            raise Wrong(draft.place, f"the network has more than {NODES:,} nodes")
        self.drafts.append(draft)
        self.makers.update(dict.fromkeys(draft.results, draft))
        return draft

    def type(self, name: str) -> Type | None:
        """Type of a value; None for a parameter whose type is not known yet."""
        if name in self.ports:
            return self.ports[name].type
        maker = self.makers[name]
        return maker.types[maker.results.index(name)] if maker.types else None

    def place(self, name: str) -> Place:
        """Where a value is made."""
        return self.ports[name].place if name in self.ports else self.makers[name].place

    def describe(self, name: str) -> str:
        """``s1 is spike[t, n, 6, 28, 28] (lenet.snn:4:10)``."""
        type = self.type(name)
        return f"{name} is {text_of_type(type) if type else 'a parameter'} ({self.place(name)})"

    def nodes(self) -> tuple[Node, ...]:
        """The finished nodes."""
        return tuple(
            Node(d.results, d.op, d.operands, d.settings, d.types, d.layer, d.phase, d.place) for d in self.drafts
        )
