"""Where a node is lowered: its values and their types, and how time and sample enter every index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..ir.expression import Expression, read
from ..ir.graph import Node, Sweep
from ..ir.statement import Access, Elementwise, Index, State, Write, loop
from ..ir.types import Type
from ..ir.working import WORKING

__all__ = ["WORKING", "Instant", "Site", "element_loops"]


@dataclass(frozen=True)
class Instant:
    """A value in one of the steps that a turn of the loop over time takes."""

    value: str
    step: int = 0


@dataclass(frozen=True)
class Site:
    """A node among the types of everything that it sees.

    *steps* are those of the whole time; *window*, other than 0, are those for which the node runs, once and again.
    """

    node: Node
    types: Mapping[str, Type]
    steps: int
    batch: int
    sweep: Sweep
    window: int = 0

    @property
    def span(self) -> int:
        """Steps that what does not change with time stands for."""
        return self.window or self.steps

    def operand(self, number: int) -> str:
        """Name of an operand."""
        return self.node.operands[number]

    def result(self, number: int = 0) -> str:
        """Name of a result; "" where nobody wants it."""
        return self.node.results[number]

    @property
    def overflow(self) -> str | None:
        """The last operand where it is a flag, a u8 of the whole step: what lasts stays as it is where it is set."""
        last = self.node.operands[-1]
        return last if self.types[last] == Type("u8", ()) else None

    @property
    def plain(self) -> tuple[str, ...]:
        """The operands without `overflow`."""
        return self.node.operands if self.overflow is None else self.node.operands[:-1]

    def type(self, value: str) -> Type:
        """Type of a visible value."""
        return self.types[value]

    def access(self, value: str, index: Sequence[Index], every: int = 1, step: int = 0) -> Access:
        """*value* at one index a factor: time and sample in front (see `lead`), factors in the order of memory."""
        type = self.types[value]
        assert len(index) == len(type.factors), f"{value}: {len(index)} indices for {type}"
        ordered = [index[k] for k in type.order] or [Index()]
        return Access(value, (*self.lead(type, every, step), *ordered))

    def lead(self, type: Type, every: int = 1, step: int = 0) -> tuple[Index, ...]:
        """Indices of time and sample, where values of *type* have them.

        Where a turn of the loop over time takes *every* steps, *step* says which of them.
        """
        stride = every // type.every
        turns = self.steps // every
        time = loop("t", -stride, stride * (turns - 1) + step) if self.sweep == "down" else loop("t", stride, step)
        return (*((time,) if type.timed else ()), *((loop("n"),) if type.batched else ()))

    def lead_loops(self, *values: str, every: int = 1) -> tuple[tuple[str, int], ...]:
        """The loops of time and sample that these values follow; a turn takes *every* steps."""
        types = [self.types[value] for value in values if value]
        time = (("t", self.steps // every),) if any(type.timed for type in types) else ()
        sample = (("n", self.batch),) if any(type.batched for type in types) else ()
        return (*time, *sample)

    def value(self, name: str, operand: int) -> Expression:
        """What the operand called *name* in an expression is worth: its element times its type's scale."""
        scale = self.types[self.operand(operand)].scale
        return read(name) if scale == 1.0 else read(name) * scale

    def elementwise(
        self,
        reads: Mapping[str, str | Instant],
        writes: Sequence[tuple[str | Instant, Expression] | tuple[str | Instant, Expression, bool]],
        states: tuple[State, ...] = (),
        random: Mapping[str, Index] | None = None,
        every: int = 1,
    ) -> tuple[Elementwise, ...]:
        """Expressions at every element of the values.

        Those have equal factors, or none (one word a sample), or one: that of the channels, which every row and
        column of a channel shares.  *reads* maps names in expressions to values; *writes* are (value, expression,
        whether only in the last step), those of unwanted results are left out; *random* gives the number of the
        logical element that keys the random numbers of a name (see `key`).  Where a turn of the loop over time takes
        *every* steps, a value is that of the first of them, or of the one that its `Instant` says.
        """
        wanted = [(_instant(value), *rest) for value, *rest in writes if _instant(value).value]
        if not wanted:
            return ()
        found = {name: _instant(value) for name, value in reads.items()}
        values = [instant.value for instant in (*found.values(), *(instant for instant, *_ in wanted))]
        frame = max((self.types[value] for value in values), key=lambda type: len(type.factors))
        names = element_loops(frame)
        lead = dict(self.lead_loops(*values, every=every))
        samples = (("n", lead["n"]),) if "n" in lead else ()
        loops = (*samples, *((names[k], frame.factors[k]) for k in frame.order)) or (("c", 1),)
        done: list[Write] = []
        for instant, expression, *last in wanted:
            assert isinstance(expression, Expression)
            done.append(Write(self._element(instant, frame, every), expression, bool(last and last[0])))
        return (
            Elementwise(
                loops,
                lead.get("t", 0),
                {name: self._element(instant, frame, every) for name, instant in found.items()},
                states,
                tuple(done),
                dict(random or {}),
            ),
        )

    def _element(self, instant: Instant, frame: Type, every: int) -> Access:
        """A value at the element of the loops that walk *frame*."""
        type = self.types[instant.value]
        assert type.factors in ((), frame.factors[:1], frame.factors), f"{instant.value}: {type} beside {frame}"
        index = [loop(name) for name in element_loops(frame)[: len(type.factors)]]
        return self.access(instant.value, index, every, instant.step)

    def key(self, type: Type) -> Index:
        """The number of an element of a tensor of *type*: row-major over time, sample and the user's axes.

        A type that is not timed has one number for all steps.
        """
        index = list(zip(self.lead(type), type.lead(self.steps, self.batch), strict=True))
        index += [(loop(name), extent) for name, extent in zip(element_loops(type), type.factors, strict=True)]
        terms: dict[str, int] = {}
        offset, weight = 0, 1
        for part, extent in reversed(index):
            offset += part.offset * weight
            terms |= {name: c * weight for name, c in part.terms}
            weight *= extent
        return Index(tuple(terms.items()), offset)


def _instant(value: str | Instant) -> Instant:
    """The first step, where none is said."""
    return value if isinstance(value, Instant) else Instant(value)


def element_loops(type: Type) -> tuple[str, ...]:
    """Names of the loops that walk the elements of *type*, one a factor: ``c`` channels, ``p`` rows, ``q`` columns.

    Of a weight: ``c`` outputs, ``k`` inputs, ``r`` and ``s`` taps.
    """
    names = ("c", "k", "r", "s") if type.weight else ("c", "p", "q")
    return tuple(names[k] if k < len(names) else f"k{k}" for k in range(len(type.factors)))
