"""Settings of what can be chosen and called: ``lif(decay=0.9)``, ``adam(lr=0.001)``, ``sltt_k(K=2)``.

A part that has settings is a frozen dataclass whose fields are its settings (`Configured`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias, cast, get_args, get_origin, get_type_hints

from ...catalog import unknown
from .graph import Setting, Settings

Pair: TypeAlias = tuple[int, int]
"""A setting for rows and columns; a single number stands for both."""

LARGEST_NUMBER = (2.0 - 2.0**-23) * 2.0**127
"""The largest f32: numbers of a program are no wider, so a setting beyond it would be infinite there."""


class SettingFault(ValueError):
    """A setting that an operator cannot take; *name* is the setting's.

    Where the setting is a call, *part* is the parameter at fault, and *offset* the character of it if it is a text.
    """

    def __init__(self, message: str, name: str, part: str = "", offset: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.name = name
        self.part = part
        self.offset = offset


@dataclass(frozen=True)
class SettingField:
    """One setting: *kind* is bool, int, float, str, pair or call; *choices* are the words that a str may be.

    *complete* gives a call with all of its parameters, or raises SettingFault.
    """

    name: str
    kind: str
    default: Setting | None
    choices: tuple[str, ...] = ()
    complete: Callable[[Setting], Setting] | None = None

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is None

    def check(self, value: Setting, op: str) -> Setting:
        """*value* in the field's type; SettingFault where it is none."""
        whole = isinstance(value, int) and not isinstance(value, bool)
        match self.kind:
            case "bool" if isinstance(value, bool):
                return value
            case "int" if whole:
                return value
            case "float" if whole or isinstance(value, float):
                if not abs(cast(float, value)) <= LARGEST_NUMBER:
                    wanted = "a finite number" if value != value else f"a number of at most {LARGEST_NUMBER:g}"
                    raise SettingFault(f"{self.name} of {op} is {wanted}, not {shown(value)}", self.name)
                return float(cast(float, value))
            case "str" if isinstance(value, str):
                if self.choices and value not in self.choices:
                    raise SettingFault(str(unknown(f"{self.name} of {op}", value, self.choices)), self.name)
                return value
            case "pair" if whole:
                return cast(int, value), cast(int, value)
            case "pair" if isinstance(value, tuple) and len(value) == 2:
                if all(isinstance(part, int) and not isinstance(part, bool) for part in value):
                    return value
            case "call" if self.complete is not None:
                try:
                    return self.complete(value)
                except SettingFault as fault:
                    raise SettingFault(fault.message, self.name, fault.part, fault.offset) from None
            case _:
                pass
        words = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": "a word"}
        wanted = words.get(self.kind, "a whole number or two, such as 3 or [3, 2]")
        raise SettingFault(f"{self.name} of {op} is {wanted}, not {shown(value)}", self.name)


class Configured:
    """What is made from settings; subclasses are frozen dataclasses and say their *name*."""

    name: ClassVar[str]

    @classmethod
    def settings(cls) -> dict[str, SettingField]:
        """The settings by name, in order."""
        hints = _hints(cls)
        found: dict[str, SettingField] = {}
        for field in dataclasses.fields(cast(Any, cls)):
            default = None if field.default is dataclasses.MISSING else cast(Setting, field.default)
            hint = hints[field.name]
            if get_origin(hint) is Annotated:
                found[field.name] = SettingField(field.name, "call", default, complete=hint.__metadata__[0])
                continue
            choices = cast(tuple[str, ...], get_args(hint)) if get_origin(hint) is Literal else ()
            kind = "str" if choices else "pair" if hint == Pair else cast(type, hint).__name__
            assert kind in ("bool", "int", "float", "str", "pair"), f"{cls.name}.{field.name}: {kind}"
            found[field.name] = SettingField(field.name, kind, default, choices)
        return found

    @classmethod
    def make(cls, settings: Settings | None = None) -> Self:
        """The operator with these settings; SettingFault for an unknown, missing or ill-typed one."""
        given, fields = dict(settings or {}), cls.settings()
        for name in given:
            if name not in fields:
                raise SettingFault(str(unknown(f"setting of {cls.name}", name, fields)), name)
        for field in fields.values():
            if field.required and field.name not in given:
                raise SettingFault(f"{cls.name} needs the setting {field.name}", field.name)
        checked = {name: fields[name].check(value, cls.name) for name, value in given.items()}
        return cast(Callable[..., Self], cls)(**checked)

    def require(self, holds: bool, name: str, wanted: str) -> None:
        """SettingFault unless *holds*: ``name of op is wanted, not value``."""
        if not holds:
            value = cast(Setting, getattr(self, name))
            raise SettingFault(f"{name} of {self.name} is {wanted}, not {shown(value)}", name)


def called(value: Setting) -> tuple[str, dict[str, Setting]]:
    """Name and settings of a call such as ``adam(lr=0.001)``, which is ``("adam", ("lr", 0.001))``, or of a name.

    SettingFault for anything else.
    """
    if isinstance(value, str):
        return value, {}
    if isinstance(value, tuple) and value and isinstance(value[0], str):
        pairs = [part for part in value[1:] if isinstance(part, tuple) and len(part) == 2 and isinstance(part[0], str)]
        if len(pairs) == len(value) - 1:
            return value[0], {cast(str, key): setting for key, setting in pairs}
    raise SettingFault(f"expected a name, or a call such as adam(lr=0.001), not {shown(value)}", "")


@cache
def _hints(kind: type) -> dict[str, Any]:
    """The types of a class' fields, which are read once; that of a call is annotated with what completes it."""
    return get_type_hints(kind, include_extras=True)


def shown(value: Setting) -> str:
    """A setting as it is written, more or less."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return f"[{', '.join(map(shown, value))}]"
    return repr(value) if isinstance(value, str) else str(value)
