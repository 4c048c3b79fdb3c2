"""Statements: what a node of the training graph computes, as loops over affine indices.

Four kinds say everything: a `Contraction` (sums of products), an `Elementwise` (an expression at every element, with
carried state over time), a `Window` (maxima and sums over windows) and `Moments` (a mean and a covariance).  The
oracle evaluates them on whole tensors; the compiler tiles them, spreads them over cores and emits them.  Neither looks
at operators.

Loop names: ``t`` is time and ``n`` the sample wherever they occur; others are the operator's own letters.  Where time
is cut into windows, ``w`` walks the windows and ``t`` the steps of one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

from .expression import REDUCTIONS, Expression, lift, rebuilt

Phase = str

WINDOW = "w"
TIME = (WINDOW, "t")
"""Loops over time, outermost first."""


@dataclass(frozen=True)
class Index:
    """An affine index: ``offset + sum of coefficient * loop``."""

    terms: tuple[tuple[str, int], ...] = ()
    offset: int = 0

    def __str__(self) -> str:
        text = ""
        for loop, coefficient in self.terms:
            sign = "-" if coefficient < 0 else "+" if text else ""
            text += f"{sign}{'' if abs(coefficient) == 1 else f'{abs(coefficient)}*'}{loop}"
        if self.offset or not text:
            text += f"{self.offset:+d}" if text else str(self.offset)
        return text

    def coefficient(self, loop: str) -> int:
        """How far the index moves when *loop* advances by one."""
        return sum(c for name, c in self.terms if name == loop)


def loop(name: str, coefficient: int = 1, offset: int = 0) -> Index:
    """The index that follows one loop."""
    return Index(((name, coefficient),), offset)


@dataclass(frozen=True)
class Access:
    """Value *value* at *index*: one entry for each axis in memory, ``[t][n]`` first where the value has them.

    Positions outside of the value (padding) read as zero.
    """

    value: str
    index: tuple[Index, ...]

    def __str__(self) -> str:
        return f"{self.value}[{', '.join(map(str, self.index))}]"

    @cached_property
    def loops(self) -> frozenset[str]:
        """Loops that this access follows."""
        return frozenset(name for index in self.index for name, c in index.terms if c)


@dataclass(frozen=True)
class Contraction:
    """``target = round(scale * sum of left * right + bias)``; *left* None stands for ones.

    *loops* are all loops with their extents.  *summed* are those that the target does not follow, in the canonical
    order of a rounding accumulator, outermost first; *blocked*, where set, is the one of them that is walked in
    blocks of 64: blocks outermost, inside a block innermost.  A summed loop of extent 0 leaves the bias alone.

    A sum may go *onto* what an accumulator in memory holds; one that is *partial* is left in its target as it is, to be
    gone on with.  Only the mapping makes such of a whole one.
    """

    engine: str
    loops: tuple[tuple[str, int], ...]
    target: Access
    left: Access | None
    right: Access
    summed: tuple[str, ...]
    blocked: str | None = None
    scale: float = 1.0
    bias: Access | None = None
    onto: Access | None = None
    partial: bool = False

    @property
    def extents(self) -> dict[str, int]:
        """Extent of each loop."""
        return dict(self.loops)


@dataclass(frozen=True)
class State:
    """Carried state of an `Elementwise`: *initial* before the first step, then *next* after each, in *format*.

    *home* is where it lies between two steps, where other statements take the scratchpads in between (a cycle).  One
    that *stays* is in the scratchpad from step to step of a window, and goes home behind its last.
    """

    name: str
    format: str
    initial: float
    next: Expression
    home: Access | None = None
    stays: bool = False


@dataclass(frozen=True)
class Write:
    """``target = expression`` rounded to the target's format: in every step, or (*last*) once after the sweep.

    A target that does not follow the channel loop takes the value of a reduction.
    """

    target: Access
    expression: Expression
    last: bool = False


@dataclass(frozen=True)
class Elementwise:
    """An expression at every element.

    *loops* are the element's loops without time: samples first, channels last.  *steps* is the extent of ``t`` (0
    where nothing is timed); time runs up, and accesses of a downward sweep have ``T - 1 - t`` in their indices.
    *reads* gives every ``input`` of the expressions by its name.  Reductions run over the last *over* loops.
    """

    loops: tuple[tuple[str, int], ...]
    steps: int
    reads: dict[str, Access] = field(default_factory=dict[str, Access])
    states: tuple[State, ...] = ()
    writes: tuple[Write, ...] = ()
    random: dict[str, Index] = field(default_factory=dict[str, Index])
    """The number of the logical element that keys each random tensor: its row-major position over time, sample and
    the *logical* axes.  A tensor is a name here, which picks a stream of numbers; nothing of it is read."""

    over: int = 1
    begins: tuple[str, ...] = ("t",)
    """Loops in whose first turns the states have their initial values."""

    @property
    def targets(self) -> tuple[Access, ...]:
        """Everything in memory that it writes, states with a home included."""
        homes = (state.home for state in self.states if state.home is not None)
        return (*(write.target for write in self.writes), *homes)

    @cached_property
    def reduced(self) -> tuple[str, ...]:
        """The loops that an expression reduces over, if one does."""
        reduces = any(op in REDUCTIONS for op in self.operators)
        return tuple(name for name, _ in self.loops[len(self.loops) - self.over :]) if reduces else ()

    @cached_property
    def operators(self) -> tuple[str, ...]:
        """The operators of its expressions, one for each node."""
        roots = [write.expression for write in self.writes] + [state.next for state in self.states]
        return tuple({id(node): node.op for root in roots for node in root.walk()}.values())

    @property
    def extents(self) -> dict[str, int]:
        """Extent of each loop, time included."""
        return dict(self.loops) | ({"t": self.steps} if self.steps else {})


@dataclass(frozen=True)
class Window:
    """Over the *taps* (window loops, last one fastest):

    * ``max``: target = the largest source, and *tap* (an access beside target) = the number of its tap, first of ties;
    * ``sum``: target = scale * sum of sources (exact for bits and counts; f32 ascending else);
    * ``unmax``: target = sum of those sources (errors) whose *tap* equals ``first + sum of step * tap loop``.

    Positions of the source outside of it do not take part.
    """

    kind: str
    loops: tuple[tuple[str, int], ...]
    taps: tuple[str, ...]
    target: Access
    source: Access
    tap: Access | None = None
    scale: float = 1.0
    first: int = 0
    step: tuple[int, ...] = ()

    @property
    def extents(self) -> dict[str, int]:
        """Extent of each loop."""
        return dict(self.loops)


@dataclass(frozen=True)
class Moments:
    """Sums over the loops *summed*, each divided, scaled and rounded: with N terms,

    ``mean = round(scale * sum left / N)`` and
    ``comoment = round(product_scale * (N * sum left * right - sum left * sum right) / N**2)``.

    On every machine the sums of f16, bits and counts are exact, and each result is rounded once.  Those of bf16 and f32
    are f64 and ascend in the order of *summed*, outermost first; every operation rounds to f64, and the result to f32.
    The comoment is a covariance; where *right* is *left*, the variance (at least 0).  *argument*, where set, is the
    host's scalar that bounds the summed sample loop: only the first so many samples take part.
    """

    loops: tuple[tuple[str, int], ...]
    summed: tuple[str, ...]
    mean: Access
    comoment: Access
    left: Access
    right: Access
    argument: str = ""
    engine: str = "bp"
    scale: float = 1.0
    product_scale: float = 1.0

    @property
    def extents(self) -> dict[str, int]:
        """Extent of each loop."""
        return dict(self.loops)

    @property
    def kept(self) -> tuple[tuple[str, int], ...]:
        """The loops that the targets follow."""
        return tuple((name, extent) for name, extent in self.loops if name not in self.summed)

    @property
    def count(self) -> int:
        """Terms of a sum, but for the samples that *argument* tells."""
        names = [name for name in self.summed if not (self.argument and name == "n")]
        return math.prod(self.extents[name] for name in names)

    @property
    def variance(self) -> bool:
        """Whether both factors are the same value."""
        return self.left == self.right


Statement = Contraction | Elementwise | Window | Moments


def with_accesses(statement: Statement, change: Callable[[Access], Access]) -> Statement:
    """*statement* with what *change* says in the place of each access, homes of states included."""

    def perhaps(access: Access | None) -> Access | None:
        return None if access is None else change(access)

    match statement:
        case Elementwise():
            return replace(
                statement,
                reads={name: change(access) for name, access in statement.reads.items()},
                states=tuple(replace(state, home=perhaps(state.home)) for state in statement.states),
                writes=tuple(replace(write, target=change(write.target)) for write in statement.writes),
            )
        case Contraction():
            moved = replace(statement, target=change(statement.target), left=perhaps(statement.left))
            return replace(moved, right=change(statement.right), bias=perhaps(statement.bias))
        case Window():
            moved = replace(statement, target=change(statement.target), source=change(statement.source))
            return replace(moved, tap=perhaps(statement.tap))
        case Moments():
            moved = replace(statement, left=change(statement.left), right=change(statement.right))
            return replace(moved, mean=change(statement.mean), comoment=change(statement.comoment))


class Digit(NamedTuple):
    """A part of a loop that is spelled by several: what it counts for a turn of *loop*, which has so many."""

    loop: str
    coefficient: int
    extent: int


def renamed(statement: Elementwise, names: Mapping[str, str]) -> Elementwise:
    """*statement* with its loops called as *names* says; those that it does not name are gone (their extent is 1)."""
    extents = statement.extents
    return respelled(statement, {name: (Digit(other, 1, extents[name]),) for name, other in names.items()})


def respelled(statement: Elementwise, digits: Mapping[str, Sequence[Digit]]) -> Elementwise:
    """*statement* with the loops that *digits* spell in the place of each of its own, the largest digit first.

    Loops that it does not name are gone (their extent is 1).
    """

    def index(place: Index) -> Index:
        spelled = ((each.loop, c * each.coefficient) for name, c in place.terms for each in digits.get(name, ()))
        return replace(place, terms=tuple(spelled))

    def access(place: Access) -> Access:
        return replace(place, index=tuple(map(index, place.index)))

    def leaf(node: Expression) -> Expression:
        if node.op != "index":
            return node
        parts = [
            replace(node, name=each.loop) * each.coefficient if each.coefficient != 1 else replace(node, name=each.loop)
            for each in digits.get(node.name, ())
        ]
        return sum(parts[1:], parts[0]) if parts else lift(0.0)

    roots = [write.expression for write in statement.writes] + [state.next for state in statement.states]
    made = rebuilt(roots, leaf)
    return replace(
        statement,
        loops=tuple((each.loop, each.extent) for name, _ in statement.loops for each in digits.get(name, ())),
        reads={use: access(place) for use, place in statement.reads.items()},
        writes=tuple(
            replace(write, target=access(write.target), expression=expression)
            for write, expression in zip(statement.writes, made, strict=False)
        ),
        states=tuple(
            replace(state, next=expression, home=None if state.home is None else access(state.home))
            for state, expression in zip(statement.states, made[len(statement.writes) :], strict=True)
        ),
        random={key: index(place) for key, place in statement.random.items()},
    )


def over_steps(statement: Statement, steps: int) -> Statement:
    """*statement* over the first *steps* steps of time, where it has time."""
    if isinstance(statement, Elementwise):
        return replace(statement, steps=min(statement.steps, steps))
    return replace(statement, loops=tuple((name, steps if name == "t" else size) for name, size in statement.loops))
