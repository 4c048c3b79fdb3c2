"""What a written setting or type is, and how it is written so that exactly it is read again."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from ...catalog import unknown
from ...numerics.formats import FORMATS
from ...source import Place
from .graph import Setting
from .syntax import Argument, Arithmetic, Call, Items, Literal, Name, Negative, SettingList, Value, WrittenType
from .types import Type

_NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9]*(\.[A-Za-z_0-9]+)*")
RESERVED = ("_", "argument", "as", "entry", "repeat", "return", "settings")
"""Keywords that stand where a name may stand too, and ``_``; the other keywords are good names."""


def is_name(text: str) -> bool:
    """Whether *text* can be the name of a value, or a word, in the language; a frontend makes its names so."""
    return bool(_NAME.fullmatch(text)) and text not in WORDS and text not in RESERVED


class Wrong(Exception):
    """What is written cannot be computed; whoever asked for the value tells the user."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.place = place
        self.message = message


WORDS: Mapping[str, bool | float] = {"true": True, "false": False, "inf": float("inf"), "nan": float("nan")}
"""Words that are values wherever they stand; nothing can be called so."""


def setting_of(value: Value, known: Mapping[str, Setting]) -> Setting:
    """The setting that *value* is, where the settings *known* have names; raises `Wrong`.

    ``adam(lr=1e-3)`` is ``("adam", ("lr", 0.001))``; a word that is not known stands for itself.
    """
    match value:
        case Literal(value=literal):
            return literal
        case Name(text=text):
            return WORDS[text] if text in WORDS else known.get(text, text)
        case Items(items=items):
            return tuple(setting_of(item, known) for item in items)
        case Call(name=name, arguments=arguments):
            return (name, *(_argument(argument, known) for argument in arguments))
        case Negative(value=inner):
            return -_number(inner, known)
        case Arithmetic():
            return _arithmetic(value, known)


def places_of(section: SettingList) -> dict[str, Place]:
    """Where each setting of *section* is written, and each setting of a call: ``schedule``, ``schedule.every``."""
    found: dict[str, Place] = {}
    for name, value in section.settings:
        found[name.text] = name.place
        for argument in value.arguments if isinstance(value, Call) else ():
            if argument.name is not None:
                found[f"{name.text}.{argument.name}"] = argument.place
    return found


def _argument(argument: Argument, known: Mapping[str, Setting]) -> Setting:
    value = setting_of(argument.value, known)
    return value if argument.name is None else (argument.name, value)


def _number(value: Value, known: Mapping[str, Setting]) -> int | float:
    number = setting_of(value, known)
    if isinstance(number, str) and isinstance(value, Name) and value.text not in known:
        raise Wrong(value.place, str(unknown("setting", value.text, known)))
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise Wrong(value.place, "arithmetic needs numbers")
    return number


def _arithmetic(value: Arithmetic, known: Mapping[str, Setting]) -> int | float:
    """Integers stay integers; ``/`` gives one where it comes out even, ``**`` where the exponent is not negative."""
    left, right = _number(value.left, known), _number(value.right, known)
    try:
        match value.operator:
            case "+":
                return left + right
            case "-":
                return left - right
            case "*":
                return left * right
            case "//":
                return left // right
            case "**":
                return _power(value.place, left, right)
            case _:
                if isinstance(left, int) and isinstance(right, int) and left % right == 0:
                    return left // right
                return left / right
    except ZeroDivisionError:
        raise Wrong(value.place, "division by zero") from None
    except OverflowError:
        raise Wrong(value.place, "the number is too large") from None


def _power(place: Place, base: int | float, exponent: int | float) -> int | float:
    """A whole number where both are and the exponent is not negative; `Wrong` where there is no real one."""
    if base < 0 and exponent != int(exponent):
        raise Wrong(place, f"{base} has no real power {exponent}")
    if isinstance(base, int) and isinstance(exponent, int) and abs(exponent) * max(base.bit_length(), 1) > 1024:
        raise Wrong(place, "the number is too large")
    power: int | float = base**exponent
    return power


def type_of(written: WrittenType, known: Mapping[str, Setting]) -> Type:
    """The type that is written, where sizes may be the settings *known*; raises `Wrong`."""
    if written.format not in FORMATS:
        raise Wrong(written.place, str(unknown("format", written.format, FORMATS)))
    axes, lead = list(written.axes), {"t": False, "n": False}
    for letter in lead:
        if axes and len(axes[0]) == 1 and isinstance(axes[0][0], Name) and axes[0][0].text == letter:
            lead[letter] = True
            del axes[0]
    sizes = tuple(tuple(_extent(extent, known) for extent in axis) for axis in axes)
    if any(extent < 1 for axis in sizes for extent in axis):
        raise Wrong(written.place, "a size is a whole number above 0, not 0")
    if written.every < 1 or (written.every > 1 and not lead["t"]):
        raise Wrong(written.place, "only t has content in every so many steps: f16[t/4, n, 128]")
    if written.steps and not lead["t"]:
        raise Wrong(written.place, "only t has steps of its own: f16[t:250, n, 128]")
    timed, batched = lead["t"], lead["n"]
    return Type(written.format, sizes, timed, batched, written.scale, written.weight, written.every, written.steps)


def _extent(extent: int | Name, known: Mapping[str, Setting]) -> int:
    if isinstance(extent, Name):
        if extent.text in ("t", "n"):
            raise Wrong(extent.place, "t and n come first, in this order")
        try:
            size = known[extent.text]
        except KeyError:
            raise Wrong(extent.place, str(unknown("setting", extent.text, known))) from None
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise Wrong(extent.place, f"a size is a whole number above 0, not {size!r}")
        return size
    return extent


def text_of_setting(value: Setting) -> str:
    """The text from which `setting_of` makes exactly *value*.

    >>> text_of_setting(("adam", ("lr", 0.001)))
    'adam(lr=0.001)'
    """
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return value if is_name(value) else json.dumps(value)
        case (str() as name, *arguments) if is_name(name) and all(_is_named(argument) for argument in arguments):
            return f"{name}({', '.join(f'{key}={text_of_setting(item)}' for key, item in map(_pair, arguments))})"
        case tuple():
            return f"[{', '.join(map(text_of_setting, value))}]"


def _is_named(argument: Setting) -> bool:
    return isinstance(argument, tuple) and len(argument) == 2 and isinstance(argument[0], str) and is_name(argument[0])


def _pair(argument: Setting) -> tuple[str, Setting]:
    assert isinstance(argument, tuple) and isinstance(argument[0], str), argument
    return argument[0], argument[1]


def text_of_type(type: Type) -> str:
    """The text from which `type_of` makes exactly *type*: ``weight f16[6, 1, 5, 5]``."""
    return f"weight {type}" if type.weight else str(type)
