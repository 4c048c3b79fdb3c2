"""What is to be mapped: one statement of a node on a machine, and what bears on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from ...isa.target import Target
from ...source import Place
from ..cost.density import Densities
from ..ir.accesses import accesses, extents_of
from ..ir.joined import Beside, Fused, Joined, roots_of
from ..ir.schedule import Drawn
from ..ir.statement import TIME, WINDOW, Moments, Statement
from ..ir.stored import Stored
from ..ir.types import Type
from .likeness import Likeness
from .operands import Operand, exact_moments, operands_beside, operands_of
from .pins import Pin

Whole = tuple[tuple[str, str], ...]
"""Operands, by use, each with a loop of which its buffer holds all tiles side by side."""


@dataclass(frozen=True)
class Request:
    """What is to be mapped: a statement of a node, and what bears on it."""

    name: str
    layer: str
    phase: str
    statement: Statement
    types: dict[str, Type]
    target: Target
    cores: int
    steps: int
    batch: int
    dataflow: str
    pin: Pin
    place: Place
    cycle: int = 0
    """Other than 0: a number of the cycle through time whose steps the statement takes with others."""

    turns: int = 0
    """Other than 0: of how many steps it takes part in, which the host chooses."""

    rooms: Mapping[str, int] = field(default_factory=dict[str, int])
    """For how many steps there is room of values that are gone with their window."""

    drawn: Mapping[str, Drawn] = field(default_factory=dict[str, Drawn])
    """The operands that lie nowhere, by use."""

    beside: tuple[Beside, ...] = ()
    """Sums that are formed beside its own, of the same right operand."""

    epilogue: tuple[Fused, ...] = ()
    """What is computed of its tiles before the next."""

    inside: frozenset[str] = frozenset()
    """Values that it makes and that lie nowhere else."""

    op: str = ""
    """The operator that the statement is of."""

    densities: Densities = field(default_factory=Densities)
    """How sparse values are."""

    stored: Mapping[str, Stored] = field(default_factory=dict[str, Stored])
    """How values lie in DRAM, those that do not lie there as they are."""

    parts: tuple[tuple[int, int], ...] = ()
    """First channel and channels of each core, where they are given."""

    @property
    def joined(self) -> tuple[Joined, ...]:
        """All that has joined it: parts from 1 on."""
        return (*self.beside, *self.epilogue)

    @property
    def statements(self) -> tuple[Statement, ...]:
        """Its own, those beside it, then those of its epilogue."""
        return (self.statement, *(each.statement for each in self.joined))

    @cached_property
    def leading(self) -> tuple[Statement, ...]:
        """Its own and what goes on with it: loops that all of these follow, cores may share.

        A sum beside, and what goes on with that, leave a loop that they do not walk to its first share.
        """
        parts = zip(self.statements, roots_of(self.joined), strict=True)
        return tuple(statement for statement, root in parts if root == 0)

    @cached_property
    def extents(self) -> dict[str, int]:
        """Extent of each loop of any of its statements."""
        return extents_of(self.statements)

    @cached_property
    def final(self) -> tuple[tuple[frozenset[str], frozenset[str]], ...]:
        """Of sums beside with which an epilogue goes on, and which are therefore formed once: the loops of the result,
        and those that they do not walk, which must not turn around these."""
        parts = {root for root in roots_of(self.joined)[1 + len(self.beside) :] if root}
        sums = [self.beside[part - 1].statement for part in sorted(parts)]
        return tuple((each.target.loops, frozenset(self.extents) - frozenset(each.extents)) for each in sums)

    @property
    def later(self) -> tuple[str, ...]:
        """Loops over time of the epilogue alone: what its own statement makes stays while they turn."""
        own = self.statement.extents
        return tuple(name for name in self.extents if name in TIME and name not in own)

    @property
    def spread(self) -> frozenset[str]:
        """All other loops of the epilogue alone: what a tile holds is spread over the whole of them."""
        return frozenset(self.extents) - frozenset(self.statement.extents) - frozenset(self.later)

    @property
    def shared(self) -> tuple[str, ...]:
        """The loops, outermost, that it turns together with others: over windows, and in a cycle over steps."""
        windows = (WINDOW,) if WINDOW in self.statement.extents else ()
        return (*windows, *(("t",) if self.cycle else ()))

    def operands(self, split: str | None, whole: Whole = ()) -> tuple[Operand, ...]:
        """What needs a buffer where cores *split* that loop; nothing outlives a turn of a loop that is shared.

        The buffers of *whole* (use, loop) hold all tiles of a loop side by side.
        """
        key = split if self.adds(split) else None, whole
        if key not in self._operands:
            self._operands[key] = tuple(self._held(key[0], whole) if whole else self._found(split))
        return self._operands[key]

    def _held(self, split: str | None, whole: Whole) -> Iterator[Operand]:
        """Its operands, of which some hold what *whole* says, as others of its choices may, too."""
        for each in self.operands(split):
            key = split, each.use, tuple(loop for use, loop in whole if use == each.use)
            if key[2] and key not in self._holding:
                self._holding[key] = replace(each, whole=tuple((loop, self.extents[loop]) for loop in key[2]))
            yield self._holding[key] if key[2] else each

    @cached_property
    def _holding(self) -> dict[tuple[str | None, str, tuple[str, ...]], Operand]:
        """Operands whose buffers hold all tiles of some loops."""
        return {}

    @cached_property
    def _operands(self) -> dict[tuple[str | None, Whole], tuple[Operand, ...]]:
        """What `operands` has found: many splits, and any number of cores, have the same."""
        return {}

    def adds(self, split: str | None) -> bool:
        """Whether cores that *split* that loop share a sum, and one of them has to add what the others have."""
        return split is not None and split in getattr(self.statement, "summed", ())

    def on(self, cores: int) -> Request:
        """The same on so many cores."""
        other = replace(self, cores=cores)
        kept = ("extents", "_operands", "_holding", "_alike")
        vars(other).update({name: value for name, value in vars(self).items() if name in kept})
        return other

    def _found(self, split: str | None) -> Iterator[Operand]:
        hold = frozenset(self.shared)
        sizes = self.steps, self.batch
        found = [*operands_of(self.statement, self.phase, self.types, self.target, *sizes, hold, split, self.rooms)]
        found = [replace(each, moves=False, drawn=True) if each.use in self.drawn else each for each in found]
        roots = roots_of(self.joined)
        for part, each in enumerate(self.joined, 1):
            own = operands_beside(each, part, self.types, self.target, *sizes, hold, split, self.rooms)
            found += [replace(operand, first=True) for operand in own] if roots[part] else own
        for each in found:
            if each.writes and each.value in self.inside:
                yield replace(each, moves=False, doubled=False)
            elif each.moves and each.value in self.stored:
                yield replace(each, stored=self.stored[each.value])
            else:
                yield each

    @property
    def rounds(self) -> bool:
        """Whether the sums of the statement are rounded, so that their order shows."""
        if isinstance(self.statement, Moments):
            return not exact_moments(self.statement, self.types)
        return self.target.accumulators != "exact"

    @property
    def likeness(self) -> object:
        """All that bears on the mapping: two requests of one likeness are mapped alike."""
        return self.cores, self.parts, self._alike

    @cached_property
    def _alike(self) -> Likeness:
        """All of it but the number of cores."""
        statement, pin = self.statement, self.pin
        own = tuple(
            (use, access.index, self.types[access.value].kind.name, self.rooms.get(access.value))
            for part in self.statements
            for use, access in accesses(part)
        )
        sums = tuple(
            getattr(statement, name, None) for name in ("summed", "blocked", "engine", "taps", "reduced", "kept")
        )
        asked = (pin.dataflow, pin.split, pin.rings, tuple(sorted(pin.tiles.items())), pin.text, self.dataflow)
        machine = (self.target.fingerprint, self.steps, self.batch)
        kind = (type(statement).__name__, getattr(statement, "steps", 0), tuple(self.extents.items()), self.later)
        return Likeness((kind, own, self.operands(None), sums, asked, machine, self.phase, self.shared, self.turns))
