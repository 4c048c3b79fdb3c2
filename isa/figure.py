"""Figures of target files: what each may be, and the evidence that it comes with."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any, cast

from ..catalog import unknown

TAGS = {
    "source": "read in the named source",
    "derived": "computed from figures of the named source",
    "recollected": "remembered, not checked; say how surely",
    "assumed": "a free choice; say why",
}
"""What the tag of a figure says of its evidence."""


@dataclass(frozen=True)
class Evidence:
    """Where a figure comes from: one of `TAGS`, and the source or the reason in words."""

    tag: str
    source: str


@dataclass(frozen=True)
class Figure:
    """What a figure may be.  *rule* says it in words; a figure without *evidence* is written as a bare value."""

    rule: str
    meaning: str
    minimum: float = 0
    maximum: float = float("inf")
    choices: tuple[str, ...] = ()
    evidence: bool = True

    def wrong(self, value: object) -> str | None:
        """What is wrong with *value*, in words; None where nothing is."""
        if self.rule in ("text", "choice", "list"):
            items = as_list(value) if self.rule == "list" else [value]
            wanted = "a list of texts" if self.rule == "list" else "a text"
            for item in items or (value,):
                if not items or not isinstance(item, str) or not item:
                    return f"expected {wanted}, found {shown(item)}"
                if self.choices and item not in self.choices:
                    return str(unknown("choice", item, self.choices))
            return None
        wanted = "a number" if self.rule == "number" else "a whole number"
        if isinstance(value, bool) or not isinstance(value, int if wanted == "a whole number" else (int, float)):
            return f"expected {wanted}, found {shown(value)}"
        if not self.minimum <= value <= self.maximum or not isfinite(value):
            return f"{value} is not {wanted} of {_range(self.minimum, self.maximum)}"
        if self.rule == "power of two" and int(value) & (int(value) - 1):
            return f"{value} is not a power of two"
        return None

    def value(self, value: Any) -> Any:
        """*value*, which is not wrong, as the field holds it."""
        return float(value) if self.rule == "number" else tuple(value) if self.rule == "list" else value

    @property
    def allowed(self) -> str:
        """The rule in full, for the manual."""
        if self.choices:
            return f"{'list of' if self.rule == 'list' else 'one of'} {', '.join(self.choices)}"
        words = {"text": "text", "list": "list of texts"}
        return words.get(self.rule, f"{self.rule} of {_range(self.minimum, self.maximum)}")


def as_list(value: object) -> list[object] | None:
    """*value* where it is a list."""
    return cast(list[object], value) if isinstance(value, list) else None


def shown(value: object) -> str:
    """*value* as an error tells of it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "a table" if isinstance(value, dict) else "a list" if value and isinstance(value, list) else repr(value)


def _range(minimum: float, maximum: float) -> str:
    return f"{minimum:.0f} to {maximum:.0f}" if isfinite(maximum) else f"at least {minimum:.0f}"
