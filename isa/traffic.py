"""Traffic: bytes that moved and work that was done, by phase, tensor, layer and codec.

One type for what the interpreter counted, what was modelled from declared dataflows, and what the compiler predicted,
so that they can be laid side by side.  They are never added together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import reduce
from operator import add, attrgetter
from typing import Any, Literal, NamedTuple, cast, get_args

Basis = Literal["counted", "modelled", "predicted"]

_PHASES = ("FP", "BP", "WG", "UP")


class Key(NamedTuple):
    """What moved: *phase* is FP, BP, WG, UP or empty, *tensor* a symbol, *codec* how its bytes were coded."""

    phase: str = ""
    tensor: str = ""
    layer: str = ""
    codec: str = "raw"

    @property
    def rank(self) -> tuple[int, str, str, str, str]:
        """Where the key stands in a table: phases as a training step runs through them, the rest by alphabet."""
        number = _PHASES.index(self.phase) if self.phase in _PHASES else len(_PHASES)
        return number, self.phase, self.layer, self.tensor, self.codec


@dataclass(frozen=True)
class Amounts:
    """Bytes and operations.

    *dram_read* and *dram_write* are bursts times granule, the *useful* ones what was asked for.  *network* counts each
    link once, multicast included.  *host_write* goes from the host to DRAM, *host_read* comes back.  Work is counted
    in operations: *skipped* ones were saved by zeros and are in neither *gated* nor *multiply*.
    """

    dram_read: float = 0
    dram_write: float = 0
    useful_read: float = 0
    useful_write: float = 0
    network: float = 0
    scratchpad_read: float = 0
    scratchpad_write: float = 0
    fetch: float = 0
    host_read: float = 0
    host_write: float = 0
    gated: float = 0
    multiply: float = 0
    element: float = 0
    skipped: float = 0

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(*map(add, _values(self), _values(other)))

    def map(self, change: Callable[[float], float]) -> Amounts:
        """Each amount changed by *change*."""
        return Amounts(*map(change, _values(self)))

    @property
    def dram(self) -> float:
        """The headline: bytes from and to DRAM, in bursts."""
        return self.dram_read + self.dram_write

    def to_json(self) -> dict[str, Any]:
        """The amounts as reports show them."""
        return {
            "dram": {
                "read": self.dram_read,
                "write": self.dram_write,
                "total": self.dram,
                "useful_read": self.useful_read,
                "useful_write": self.useful_write,
            },
            "network": self.network,
            "scratchpad": {
                "read": self.scratchpad_read,
                "write": self.scratchpad_write,
                "total": self.scratchpad_read + self.scratchpad_write,
            },
            "fetch": self.fetch,
            "host": {
                "read": self.host_read,
                "write": self.host_write,
                "total": self.host_read + self.host_write,
            },
            "work": {
                "gated": self.gated,
                "multiply": self.multiply,
                "element": self.element,
                "skipped": self.skipped,
            },
        }


_NAMES = tuple(part.name for part in fields(Amounts))
_values: Callable[[Amounts], tuple[float, ...]] = attrgetter(*_NAMES)
_NOTHING = Amounts()


@dataclass(frozen=True)
class Traffic:
    """Rows of traffic, all on one *basis*.  Rows are in the order of `Key.rank`, and none of them is all zero."""

    basis: Basis
    rows: Mapping[Key, Amounts]

    @classmethod
    def of(cls, basis: Basis, rows: Iterable[tuple[Key, Amounts]] = ()) -> Traffic:
        """Traffic made of *rows* in any order; rows with the same key are added."""
        assert basis in get_args(Basis), f"{basis!r} is no basis"
        found: dict[Key, Amounts] = {}
        for key, amounts in rows:
            found[key] = found[key] + amounts if key in found else amounts
        kept = (key for key in found if found[key] != _NOTHING)
        return cls(basis, {key: found[key] for key in sorted(kept, key=lambda key: key.rank)})

    def __add__(self, other: Traffic) -> Traffic:
        """Both together; ValueError where one was, say, counted and the other predicted."""
        if self.basis != other.basis:
            raise ValueError(f"{self.basis} traffic and {other.basis} traffic cannot be added")
        return Traffic.of(self.basis, [*self.rows.items(), *other.rows.items()])

    def __mul__(self, times: float) -> Traffic:
        """*times* as much."""
        return Traffic.of(self.basis, ((key, row.map(lambda n: n * times)) for key, row in self.rows.items()))

    __rmul__ = __mul__

    def __truediv__(self, parts: int) -> Traffic:
        """One part of *parts* equal ones; amounts stay whole where they divide evenly."""
        return Traffic.of(
            self.basis,
            ((key, row.map(lambda n: n // parts if n % parts == 0 else n / parts)) for key, row in self.rows.items()),
        )

    @property
    def total(self) -> Amounts:
        """All rows together."""
        return reduce(add, self.rows.values(), _NOTHING)

    def by_phase(self) -> dict[str, Amounts]:
        """Totals by phase, in the order of a training step."""
        return self._by(lambda key: key.phase)

    def by_tensor(self) -> dict[str, Amounts]:
        """Totals by tensor, in alphabetical order."""
        return dict(sorted(self._by(lambda key: key.tensor).items()))

    def by_layer(self) -> dict[str, Amounts]:
        """Totals by layer, in alphabetical order."""
        return dict(sorted(self._by(lambda key: key.layer).items()))

    def by_codec(self) -> dict[str, Amounts]:
        """Totals by codec, in alphabetical order."""
        return dict(sorted(self._by(lambda key: key.codec).items()))

    def _by(self, name: Callable[[Key], str]) -> dict[str, Amounts]:
        totals: dict[str, Amounts] = {}
        for key, amounts in self.rows.items():
            totals[name(key)] = totals.get(name(key), _NOTHING) + amounts
        return totals

    def to_json(self) -> dict[str, Any]:
        """Totals, then totals by phase, tensor and codec, each in the same shape (see `Amounts.to_json`)."""
        return {
            **self.total.to_json(),
            "by_phase": {name: amounts.to_json() for name, amounts in self.by_phase().items()},
            "by_tensor": {name: amounts.to_json() for name, amounts in self.by_tensor().items()},
            "by_codec": {name: amounts.to_json() for name, amounts in self.by_codec().items()},
        }

    def to_rows(self) -> dict[str, Any]:
        """All that is in here as plain JSON values, zeros left out; `from_rows` reads it back."""
        rows = [
            [*key, {n: v for n, v in zip(_NAMES, _values(row), strict=True) if v}] for key, row in self.rows.items()
        ]
        return {"basis": self.basis, "rows": rows}

    @classmethod
    def from_rows(cls, written: Mapping[str, Any]) -> Traffic:
        """The traffic that `to_rows` wrote; ValueError for anything else."""
        if written.get("basis") not in get_args(Basis):
            raise ValueError(f"{written.get('basis')!r} is no basis of traffic")
        try:
            return cls.of(
                cast(Basis, written["basis"]), [(Key(*row[:4]), Amounts(**row[4])) for row in written["rows"]]
            )
        except (KeyError, IndexError, TypeError) as error:
            raise ValueError(f"these are no rows of traffic: {error}") from None
