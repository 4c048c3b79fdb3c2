"""The oracle: runs a training graph on whole tensors, and says where other values first differ from its own.

It knows operators and statements, but neither instructions nor mappings; what a compiled program computes must equal
what it computes, bit for bit (law 1), and its mathematical mode must equal automatic differentiation (law 2).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..catalog import unknown
from ..source import NOWHERE, Place
from .ir.cycles import waiting
from .ir.graph import Node, Procedure, Region, Training, chosen_words
from .ir.statement import Access, Contraction, Elementwise, Moments, Statement, Window
from .ir.types import Type
from .ops.op import alias_of, lower
from .oracle import contraction, elementwise, moments, window
from .oracle.layout import Array, Loops, from_memory, place, to_memory
from .oracle.numbers import Accumulators, Numerics, same_bits
from .oracle.stepping import in_step, in_turns, turns_of

Values = Mapping[str, Array]
Cluster = list[tuple[Node, tuple[Statement, ...]]]
"""Nodes with their statements: one, or those that take each step of time together."""

Pass = tuple[Region, Cluster]
"""A cluster with the region that it is of."""

__all__ = ["Accumulators", "Difference", "Numerics", "Oracle", "Record", "evaluate_statements", "first_difference"]


@dataclass(frozen=True)
class Record:
    """A value as the last run left it: *elements* have ``[t][n]``, those of both that there are, then logical axes."""

    name: str
    type: Type
    elements: Array
    place: Place = NOWHERE
    last: int = -1
    """The step that was the last to make it, from the end where it is negative."""


@dataclass(frozen=True)
class Difference:
    """The first element in which two runs differ; *step* and *sample* are None where the tensor has none."""

    name: str
    step: int | None
    sample: int | None
    element: tuple[int, ...]
    expected: float
    found: float
    place: Place

    def __str__(self) -> str:
        at = f"[{', '.join(map(str, self.element))}]"
        step = "" if self.step is None else f" at step {self.step}"
        sample = "" if self.sample is None else f" of sample {self.sample}"
        source = "" if self.place == NOWHERE else f" ({self.place})"
        return f"{self.name}{at}{sample}{step}{source}: the oracle has {self.expected!r}, the program {self.found!r}"


@dataclass
class Oracle:
    """A training graph with its variables, which stay from run to run and begin at zero.

    Arrays that go in and out have ``[t][n]``, those of both that the value has, and then the logical axes.
    """

    training: Training
    numerics: Numerics = field(default_factory=Numerics)

    def __post_init__(self) -> None:
        self._types: dict[str, Type] = self.training.types
        self._values: dict[str, Array] = {
            name: self.numerics.empty(self._lead(type) + type.memory, type.format) for name, type in self._types.items()
        }
        self._order: list[tuple[str, Place, int]] = []
        self._lowered: dict[str, list[tuple[int, list[Pass]]]] = {}

    def write(self, name: str, logical: ArrayLike) -> None:
        """Give a variable its value, rounded to its format; ValueError for another shape, UnknownName for no such."""
        if name not in self.training.types:
            raise unknown("variable", name, self.training.types)
        type = self._types[name]
        numbers = np.asarray(logical)
        elements = numbers if type.scale == 1.0 else numbers.astype(np.float64) / type.scale
        self._values[name] = self.numerics.edge(to_memory(elements, type, self._lead(type)), type.format)

    def read(self, name: str) -> NDArray[np.float64]:
        """What a value means: its elements times its scale."""
        return self.value(name).astype(np.float64) * self._types[name].scale

    def value(self, name: str) -> Array:
        """The elements of a variable, or of any value of the last run; UnknownName where there is none."""
        if name not in self._values:
            raise unknown("value", name, self._values)
        type = self._types[name]
        return from_memory(self._values[name], type, self._lead(type))

    def records(self) -> Iterator[Record]:
        """Every value of the last run, in the order in which the graph makes them."""
        return (Record(name, self._types[name], self.value(name), place, last) for name, place, last in self._order)

    def run(self, procedure: str, arguments: Mapping[str, float] | None = None) -> None:
        """Run an entry point with the host's scalars; ValueError for one that is missing, strange or out of range."""
        entry = self.training.procedure(procedure)
        given = self._arguments(arguments or {})
        self._types = self.training.values(entry)
        kept = self.training.types
        self._values = {name: array for name, array in self._values.items() if name in kept}
        self._order = []
        if procedure not in self._lowered:
            self._lowered[procedure] = list(self._statements(entry))
        chosen = chosen_steps(self.training.steps, given)
        for windows, passes in self._lowered[procedure]:
            if windows:
                extents = self.training.steps, self.training.batch
                made = evaluate_windows(passes, windows, self._values, self._types, self.numerics, given, extents)
                self._values.update(made)
            for region, cluster in passes:
                steps = chosen if region.sweep == "chosen" else None
                if not windows:
                    self._values.update(self._made(region, cluster, given, steps))
                last = steps[-1] if steps else -1
                self._order += [(name, node.place, last) for node, _ in cluster for name in node.results if name]

    def _made(
        self, region: Region, cluster: Cluster, given: Mapping[str, float], steps: Sequence[int] | None
    ) -> dict[str, Array]:
        """What a cluster makes that takes all steps of time, or those that are chosen, before the next does."""
        extents = self.training.steps_of(region), self.training.batch
        if len(cluster) > 1:
            return evaluate_windows([(region, cluster)], 1, self._values, self._types, self.numerics, given, extents)
        ((node, statements),) = cluster
        alias = alias_of(node)
        if alias is None:
            return evaluate_statements(statements, self._values, self._types, self.numerics, given, extents, steps)
        result, type = node.results[0], node.types[0]
        return {result: self._values[node.operands[alias]].reshape(self._lead(type) + type.memory)}

    def _lead(self, type: Type) -> tuple[int, ...]:
        """Extents of ``[t][n]``."""
        return type.lead(self.training.steps, self.training.batch)

    def _statements(self, entry: Procedure) -> Iterator[tuple[int, list[Pass]]]:
        """Nodes of an entry with their statements, those of a cycle together; and in how many windows (0: in none)."""
        types = self.training.values(entry)
        batch, working = self.training.batch, self.training.working
        for length, regions in entry.windows:
            passes: list[Pass] = []
            for region in regions:
                steps = self.training.steps_of(region)
                for cluster in waiting(region):
                    made = [(node, lower(node, types, steps, batch, region.sweep, working, length)) for node in cluster]
                    passes.append((region, made))
            yield self.training.steps // length if length else 0, passes

    def _arguments(self, given: Mapping[str, float]) -> dict[str, float]:
        """The host's scalars as the machine has them."""
        kinds = dict(self.training.arguments)
        missing, strange = set(kinds) - set(given), set(given) - set(kinds)
        if missing or strange:
            raise ValueError(f"arguments are {sorted(kinds)}; missing {sorted(missing)}, unknown {sorted(strange)}")
        held: dict[str, float] = {}
        for name, kind in kinds.items():
            number = given[name]
            if kind == "u32" and not (0 <= number < 2**32 and int(number) == number):
                raise ValueError(f"{name} = {number} is not an unsigned 32-bit integer")
            held[name] = int(number) if kind == "u32" else self.numerics.factor(float(number))
        return held


def chosen_steps(steps: int, arguments: Mapping[str, float]) -> tuple[int, ...]:
    """The steps that the host's *arguments* choose; all where they say nothing."""
    words = [arguments[word] for word in chosen_words(steps) if word in arguments]
    return tuple(step for step in range(steps) if not words or int(words[step // 32]) >> step % 32 & 1)


def evaluate_statements(
    statements: Iterable[Statement],
    values: Values,
    types: Mapping[str, Type],
    numerics: Numerics,
    arguments: Mapping[str, float],
    extents: tuple[int, int],
    chosen: Sequence[int] | None = None,
) -> dict[str, Array]:
    """What the statements of one node make, in memory order, *values* being what they may read.

    *extents* are those of ``t`` and ``n``.  What is carried over time passes through the *chosen* steps only, where
    there are such.  ValueError where a target is not written as a whole.
    """
    making = _Making(types, numerics, arguments, extents, dict(values))
    for statement in statements:
        making.allocate(statement)
        making.compute(statement, chosen)
        making.show(statement)
    return making.finished()


def evaluate_windows(
    passes: Sequence[Pass],
    windows: int,
    values: Values,
    types: Mapping[str, Type],
    numerics: Numerics,
    arguments: Mapping[str, float],
    extents: tuple[int, int],
) -> dict[str, Array]:
    """What *passes* make that all take one of so many *windows* of time before any of them takes the next.

    Inside a window, nodes that wait for one another take each step together, all others all of its steps before the
    next node does.  Values are those of all steps: what a window to come has still to make is 0.
    """
    making = _Making(types, numerics, arguments, extents, dict(values))
    states: dict[int, dict[str, Array]] = {}
    aliases: dict[str, Array] = {}
    nodes = [each for _, cluster in passes for each in cluster]
    for statement in (statement for _, statements in nodes for statement in statements):
        making.allocate(statement, as_before=True)
        making.show(statement)
    for node, _ in nodes:
        if (operand := alias_of(node)) is not None:
            shape = node.types[0].lead(*extents) + node.types[0].memory
            aliases[node.results[0]] = making.known[node.operands[operand]].reshape(shape)
            making.known.update(aliases)
    length = extents[0] // windows
    for number in range(windows):
        for region, cluster in passes:
            statements = [statement for _, lowered in cluster for statement in lowered]
            if number == 0 or region.sweep == "down":
                begun = (statement for statement in statements if isinstance(statement, Elementwise))
                states |= {id(statement): elementwise.begin(statement, numerics) for statement in begun}
            place = windows - 1 - number if region.sweep == "down" else number
            if len(cluster) == 1:
                for statement in statements:
                    making.sweep(statement, turns_of(statement, place, windows), states)
                continue
            for step in range(place * length, (place + 1) * length):
                for statement in statements:
                    making.step(statement, step, states, final=step + 1 == (place + 1) * length)
    return making.finished() | aliases


@dataclass
class _Making:
    """Values under construction: *known* is what may be read; what is made must be written as a whole."""

    types: Mapping[str, Type]
    numerics: Numerics
    arguments: Mapping[str, float]
    extents: tuple[int, int]
    known: dict[str, Array]
    made: dict[str, Array] = field(default_factory=dict[str, Array])
    written: dict[str, NDArray[np.bool_]] = field(default_factory=dict[str, NDArray[np.bool_]])

    def allocate(self, statement: Statement, as_before: bool = False) -> None:
        """Room for what the statement makes, and a note of what of it that is.

        A variable that gets new values in each step begins *as_before*.
        """
        for access, loops in _targets(statement):
            if access.value not in self.made:
                type = self.types[access.value]
                shape = type.lead(*self.extents) + type.memory
                before = self.known.get(access.value) if as_before else None
                self.made[access.value] = self.numerics.empty(shape, type.format) if before is None else before.copy()
                self.written[access.value] = np.zeros(shape, np.bool_)
            place(self.written[access.value], access, loops)[...] = True

    def show(self, statement: Statement) -> None:
        """Let others read what the statement makes."""
        self.known.update({access.value: self.made[access.value] for access, _ in _targets(statement)})

    def compute(self, statement: Statement, chosen: Sequence[int] | None = None) -> None:
        """Fill the room."""
        match statement:
            case Contraction():
                for piece in contraction.pieces(statement):
                    result = contraction.contract(piece, self.known, self.types, self.numerics)
                    kept = contraction.kept_loops(piece)
                    place(self.made[piece.target.value], piece.target, kept)[...] = result
            case Elementwise():
                elementwise.run(statement, self.known, self.made, self.types, self.numerics, self.arguments, chosen)
            case Window():
                window.run(statement, self.known, self.made, self.types, self.numerics)
            case Moments():
                valid = int(self.arguments[statement.argument]) if statement.argument else None
                moments.run(statement, self.known, self.made, self.types, self.numerics, valid)

    def sweep(self, statement: Statement, turns: range, states: dict[int, dict[str, Array]]) -> None:
        """Fill the part of some *turns* of the loop over time; see `step`."""
        if not isinstance(statement, Elementwise):
            self.compute(in_turns(statement, turns))
            return
        for turn in turns:
            self.step(statement, turn, states, final=turn == turns[-1])

    def step(self, statement: Statement, step: int, states: dict[int, dict[str, Array]], final: bool) -> None:
        """Fill the part of one step; *states* are those of each statement by its identity, which it takes on."""
        if not isinstance(statement, Elementwise):
            self.compute(in_step(statement, step))
            return
        states[id(statement)] = elementwise.advance(
            statement,
            step,
            states[id(statement)],
            self.known,
            self.made,
            self.types,
            self.numerics,
            self.arguments,
            final,
        )

    def finished(self) -> dict[str, Array]:
        """All that was made; ValueError where something was not written."""
        for name, there in self.written.items():
            if not there.all():
                missing = tuple(np.argwhere(~there)[0].tolist())
                raise ValueError(f"{name}: element {missing} in memory is never written")
        return self.made


def first_difference(expected: Iterable[Record], found: Values) -> Difference | None:
    """The first element, in the order of the graph, in which *found* differs; a value that it lacks is passed over.

    Signs of zeros count, all NaN are one.  A value that is found for some steps only is that of the last that made it.
    ValueError for another shape.
    """
    for record in expected:
        if record.name not in found:
            continue
        ours, theirs = record.elements, found[record.name]
        held = record.type.timed and 0 < len(theirs) < len(ours)
        skipped = record.last % len(ours) + 1 - len(theirs) if held else 0
        ours = ours[skipped : skipped + len(theirs)] if held else ours
        if ours.shape != theirs.shape:
            raise ValueError(f"{record.name} has shape {ours.shape} in the oracle and {theirs.shape} in the program")
        wide = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
        differing = np.argwhere(~same_bits(*wide))
        if len(differing):
            at: tuple[int, ...] = tuple(differing[0].tolist())
            step, rest = ((at[0] + skipped) * record.type.every, at[1:]) if record.type.timed else (None, at)
            sample, element = (rest[0], rest[1:]) if record.type.batched else (None, rest)
            return Difference(record.name, step, sample, element, float(wide[0][at]), float(wide[1][at]), record.place)
    return None


def _targets(statement: Statement) -> list[tuple[Access, Loops]]:
    """What a statement writes, with the loops that walk it."""
    match statement:
        case Contraction():
            return [(statement.target, contraction.kept_loops(statement))]
        case Elementwise():
            timed: Loops = (("t", statement.steps),) if statement.steps else ()
            return [(write.target, timed + statement.loops) for write in statement.writes]
        case Moments():
            return [(access, statement.kept) for access in (statement.mean, statement.comoment) if access.value]
        case Window():
            outer = tuple((name, extent) for name, extent in statement.loops if name not in statement.taps)
            taps = [statement.tap] if statement.kind == "max" and statement.tap is not None else []
            return [(access, outer) for access in (statement.target, *taps)]
