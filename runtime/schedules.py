"""Learning rates as values that the host hands in: a factor of the base rate by step and epoch.

    constant   1
    cosine     (1 + cos(pi * e / E)) / 2, for epoch e of E; with per = "step", for step s of all steps
    steps      factor ** (e // every)

*warmup* multiplies the first w steps by (s + 1) / w.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import cos, inf, pi
from typing import Any, TypeAlias, cast

from ..catalog import unknown
from ..source import NOWHERE, DataError, Faults


@dataclass(frozen=True)
class Moment:
    """A step of training: *step* counts from 0 over all epochs, *epoch* from 0."""

    step: int
    epoch: int
    epochs: int
    steps_per_epoch: int


Factor: TypeAlias = Callable[[Moment, Mapping[str, Any]], float]


def constant(moment: Moment, options: Mapping[str, Any]) -> float:
    """The base rate in every step."""
    return 1.0


def cosine(moment: Moment, options: Mapping[str, Any]) -> float:
    """Down to 0 along a cosine, (1 + cos(pi * e / E)) / 2 in epoch e of E, or by step."""
    if options.get("per", "epoch") == "step":
        return 0.5 * (1 + cos(pi * moment.step / max(moment.epochs * moment.steps_per_epoch, 1)))
    return 0.5 * (1 + cos(pi * moment.epoch / moment.epochs))


def steps(moment: Moment, options: Mapping[str, Any]) -> float:
    """Times *factor* after *every* epochs, factor ** (e // every) in epoch e."""
    return float(options.get("factor", 0.1)) ** (moment.epoch // int(options.get("every", 30)))


SCHEDULES: dict[str, Factor] = {"constant": constant, "cosine": cosine, "steps": steps}
OPTIONS: dict[str, tuple[str, ...]] = {"constant": (), "cosine": ("per",), "steps": ("every", "factor")}
"""What each schedule may be told, beside ``warmup``."""


def called(written: object) -> tuple[str, dict[str, Any]]:
    """Name and options of a call as settings write it; ValueError for anything else.

    ``"cosine"``; ``["steps", ["every", 5], ["factor", 0.1]]`` (lists or tuples: what ``steps(every=5, factor=0.1)`` is
    in a program); or a mapping with the key ``name``.
    """
    if isinstance(written, str):
        return written, {}
    if isinstance(written, Mapping):
        options = dict(cast(Mapping[str, Any], written))
        return str(options.pop("name", "")), options
    if isinstance(written, list | tuple):
        name, *pairs = cast(Sequence[Any], written)
        return str(name), {str(key): value for key, value in pairs}
    raise ValueError(f"{written!r} is neither a name nor a call")


@dataclass(frozen=True)
class Schedule:
    """A schedule with its options; UnknownName for one that does not exist, DataError for options that mean nothing."""

    name: str = "constant"
    warmup: int = 0
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        if self.name not in SCHEDULES:
            raise unknown("schedule", self.name, SCHEDULES)
        for option in self.options:
            if option not in OPTIONS[self.name]:
                raise unknown(f"setting of {self.name}", option, (*OPTIONS[self.name], "warmup"))
        every, factor = self.options.get("every", 30), self.options.get("factor", 0.1)
        with Faults(DataError) as faults:
            if self.warmup < 0:
                faults.add(NOWHERE, f"warmup of {self.name} is at least 0, not {self.warmup}")
            if not every >= 1:
                faults.add(NOWHERE, f"every of {self.name} is at least 1, not {every}")
            if not 0 < factor < inf:
                faults.add(NOWHERE, f"factor of {self.name} is positive, not {factor}")

    @classmethod
    def of(cls, written: object) -> Schedule:
        """The schedule that settings write: a name or a call, see `called`; ``warmup`` is taken out of its options."""
        if written is None:
            return cls()
        name, options = called(written)
        return cls(name, int(options.pop("warmup", 0)), options)

    def rate(self, base: float, moment: Moment) -> float:
        """The learning rate of a step."""
        factor = SCHEDULES[self.name](moment, self.options)
        if moment.step < self.warmup:
            factor *= (moment.step + 1) / self.warmup
        return base * factor
