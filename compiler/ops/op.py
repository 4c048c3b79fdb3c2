"""What an operator is: its operands, settings and types, and the statements that each of its meanings becomes.

An operator is one frozen dataclass whose fields are its settings.  It gives ``infer`` (types), and a method for each
*facet*: ``forward`` is the facet "", the others are its adjoints (``conv2d.d_w`` is the facet ``d_w``).  `lower` is
what the oracle and the mapping call; neither knows operators.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, cast

from ...catalog import ClassCatalog, unknown
from ..ir.graph import Node, Setting, Sweep
from ..ir.settings import LARGEST_NUMBER, Configured, Pair, SettingFault, SettingField, called
from ..ir.statement import Statement
from ..ir.types import Type
from ..ir.working import WORKING, statement_in
from .site import Site

Family = Literal["layer", "adjoint", "loss", "optimizer", "initialiser"]

__all__ = [
    "LARGEST_NUMBER",
    "OPS",
    "WORKING",
    "Adjoint",
    "Op",
    "Otherwise",
    "Pair",
    "SettingFault",
    "SettingField",
    "ShapeFault",
    "Site",
    "Tracking",
    "alias_of",
    "called",
    "inner_results",
    "lower",
    "named",
    "operand_of",
    "roles_of",
]


class ShapeFault(ValueError):
    """Types that an operator cannot take; *operand* is the number of the one at fault, None for all together."""

    def __init__(self, message: str, operand: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.operand = operand


@dataclass(frozen=True)
class Adjoint:
    """One facet of the way back: *facet* gives the gradient of operand or parameter *of*, and those of *also*.

    *reads* are what it needs: ``error`` (the gradient of the operator's first result), and names of operands,
    parameters and results.  *sums* says that it sums over time by itself where *of* does not change with time,
    rounding once.  *inner* names what it makes on the way (see `Op.inner_types`), which nobody else reads.  Of the
    parameters in *terms* it gives, instead of the gradient, a term for each sample and element, summed over time;
    a node of its own sums those.
    """

    facet: str
    of: str
    reads: tuple[str, ...]
    phase: Literal["BP", "WG"] = "BP"
    sums: bool = False
    also: tuple[str, ...] = ()
    inner: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()

    @property
    def served(self) -> tuple[str, ...]:
        """Every operand and parameter whose gradient it gives, in the order of the facet's results."""
        return (self.of, *self.also)


@dataclass(frozen=True)
class Otherwise:
    """What could be kept in the place of a result: *formats* of its elements, None where that is not exact; *why*.

    More than one format stand for as many values; *every* is that of their types.
    """

    what: str
    formats: tuple[str, ...] | None
    why: str = ""
    every: int = 1


@dataclass(frozen=True)
class Tracking:
    """What a training step keeps of an operator beside parameters: *facet* makes the statistics *of* anew.

    *reads* are names of results, operands and parameters.
    """

    facet: str
    of: tuple[str, ...]
    reads: tuple[str, ...]


class Op(Configured):
    """``results = op(operands, parameters, settings)``; subclasses are frozen dataclasses and say their *name*."""

    family: ClassVar[Family] = "layer"
    operands: ClassVar[tuple[str, ...]] = ()
    parameters: ClassVar[tuple[str, ...]] = ()
    results: ClassVar[tuple[str, ...]] = ("",)
    """Suffixes of the results: ("", "h") makes ``s1`` and ``s1.h``."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Those of the results that the operator has with these settings, in order: *results*, and maybe more."""
        return self.results

    adjoints: ClassVar[tuple[Adjoint, ...]] = ()
    """Every facet of the way back; `gradients` are those that an operator with its settings takes."""

    keeps: ClassVar[Mapping[str, str]] = {}
    """Why the way back reads what it reads again of the way there, by role."""

    inner: ClassVar[tuple[str, ...]] = ()
    """Suffixes of the results that the operator itself reads again: they are made wherever it is."""

    statistics: ClassVar[tuple[str, ...]] = ()
    """Those of *parameters* that no optimizer trains: they are tracked while training, and read when inferring."""

    tracking: ClassVar[Tracking | None] = None
    inference: ClassVar[str] = ""
    """The facet that stands for the operator in ``infer``; its first result is the operator's, and its only one."""

    aliases: ClassVar[Mapping[str, int]] = {}
    """Facets that compute nothing: their result is operand number N under another type of the same layout."""

    held: ClassVar[tuple[str, ...]] = ()
    """Settings that become values in the working format, or are compared with such: it has to hold them."""

    timed: ClassVar[bool] = False
    """Whether results change with time even where no operand does."""

    spiking: ClassVar[bool] = False
    """Whether it is a neuron whose first result is the spikes that its operand makes."""

    late: ClassVar[bool] = False
    """Whether operands act in later steps alone, so that no error of a step passes to them in that step."""

    def parameter_types(self, *operands: Type) -> dict[str, tuple[Type, Setting]]:
        """Type and initialiser (see `called`) of each parameter that the operator has on these operands, by name."""
        return {}

    def infer(self, *operands: Type) -> tuple[Type, ...]:
        """Types of the results; parameters may follow the operands and are checked.  Raises ShapeFault."""
        if self.family != "layer":
            article = "an" if self.family[0] in "aio" else "a"
            raise ShapeFault(f"{self.name} is {article} {self.family}, not a layer")
        count = len(self.operands)
        if len(operands) < count:
            plural = "" if count == 1 else "s"
            raise ShapeFault(f"{self.name} takes {count} operand{plural}, not {len(operands)}")
        data, given = operands[:count], operands[count:]
        for number, type in enumerate(data):
            if type.weight or not type.batched:
                raise ShapeFault(f"{self.name} reads a value of every sample, not {_typed(type)}", number)
            if type.every > 1:
                raise ShapeFault(f"{self.name} reads what has content in every step, not {_typed(type)}", number)
        wanted = self.parameter_types(*data)
        if given and len(given) != len(wanted):
            names = ", ".join((*self.operands, *wanted))
            raise ShapeFault(f"{self.name} takes {count + len(wanted)} operands ({names}), not {len(operands)}")
        for number, (type, (name, (expected, _))) in enumerate(zip(given, wanted.items(), strict=False), count):
            if (type.axes, type.weight) != (expected.axes, expected.weight):
                raise ShapeFault(f"{name} of {self.name} must be {_typed(expected)}, not {_typed(type)}", number)
        return self.result_types(*data)

    def result_types(self, *operands: Type) -> tuple[Type, ...]:
        """Types of the results from those of the operands alone.  Raises ShapeFault."""
        raise NotImplementedError

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """The operator's own meaning."""
        raise NotImplementedError

    def gathers(self) -> tuple[str, str] | None:
        """(what it does, the setting that does not), where a step has no result before later steps have an operand."""
        return None

    def gradients(self) -> tuple[Adjoint, ...]:
        """The way back with these settings."""
        return self.adjoints

    def tracks(self) -> Tracking | None:
        """What a training step keeps of it with these settings."""
        return self.tracking

    def rate_gradients(self) -> tuple[Adjoint, ...]:
        """The way back of the mean over time, where rules train on that; layers that keep means have no other."""
        return self.gradients()

    def keeping(self, role: str) -> str:
        """Why the way back reads *role* again."""
        return self.keeps.get(role, f"{self.name} reads it on the way back")

    def otherwise(self, suffix: str, steps: int) -> tuple[Otherwise, ...]:
        """What could be kept in the place of the result called *suffix*, which the way back of *steps* steps reads."""
        return ()

    def inner_types(self, adjoint: Adjoint, types: Mapping[str, Type]) -> tuple[Type, ...]:
        """Types of the *inner* results of an adjoint; *types* are those of all that it reads and serves, by role."""
        return ()

    def inferring(self, *operands: Type) -> tuple[Type, ...]:
        """Types of the results in ``infer``; by default those of training."""
        return self.infer(*operands)

    @classmethod
    def facets(cls) -> tuple[str, ...]:
        """Every meaning that a node may name after the dot; "" is `forward`."""
        further = [cls.tracking.facet] if cls.tracking is not None else []
        further += [cls.inference] if cls.inference else []
        return ("", *dict.fromkeys(adjoint.facet for adjoint in cls.adjoints), *further)


OPS: ClassCatalog[Op] = ClassCatalog(__package__ or "", Op, "operator")
"""Every operator; those that a network may name have the family ``layer``."""


def roles_of(node: Node) -> dict[str, str]:
    """What plays each role of a layer's node: results by their suffix, operands and parameters by name."""
    kind, op = OPS[node.op], OPS[node.op].make(node.settings)
    found = {name: value for name, value in zip(op.suffixes, node.results, strict=True) if value}
    return found | dict(zip((*kind.operands, *kind.parameters), node.operands, strict=False))


def named(node: Node, roles: Sequence[str], error: str = "", **beside: str) -> tuple[str, ...]:
    """The values that play *roles*, of which ``error`` is given, and what is made *beside* the node, by its role.

    Roles that the node goes without are left out.
    """
    known = roles_of(node) | {"error": error, **beside}
    return tuple(known[role] for role in roles if role in known)


def operand_of(node: Node, role: str) -> str | None:
    """The value that plays *role* among operands and parameters; None where the node goes without."""
    kind = OPS[node.op]
    roles = (*kind.operands, *kind.parameters)
    return dict(zip(roles, node.operands, strict=False)).get(role)


def alias_of(node: Node) -> int | None:
    """The number of the operand whose memory the node's result is; None for a node that computes something."""
    name, _, facet = node.op.partition(".")
    return OPS[name].aliases.get(facet)


def inner_results(node: Node) -> frozenset[str]:
    """Results of *node* that it reads itself, and so makes whether anybody else wants them or not."""
    name, _, facet = node.op.partition(".")
    kind = OPS[name]
    if not facet:
        return frozenset(made for suffix, made in zip(kind.results, node.results, strict=False) if suffix in kind.inner)
    counts = {adjoint.facet: len(adjoint.inner) for adjoint in kind.adjoints}
    return frozenset(node.results[len(node.results) - counts.get(facet, 0) :])


def lower(
    node: Node,
    types: Mapping[str, Type],
    steps: int,
    batch: int,
    sweep: Sweep = "once",
    working: str = WORKING,
    window: int = 0,
) -> tuple[Statement, ...]:
    """What *node* computes.  *types* are those of all visible values, operands and results, in the format *working*.

    The statements are those of all steps, also where a *window* (not 0) takes so many of them at a time.

    Several statements write disjoint parts of one result.  A result named "" is not wanted and not written; an alias
    (`alias_of`) computes nothing.  In a ``down`` sweep timed values are met from their last step to their first.
    """
    name, _, facet = node.op.partition(".")
    kind = OPS[name]
    if facet in kind.aliases:
        return ()
    if facet not in kind.facets():
        raise unknown(f"facet of {name}", facet, kind.facets()[1:])
    meaning = getattr(kind.make(node.settings), facet or "forward")
    found = cast(Callable[[Site], tuple[Statement, ...]], meaning)(Site(node, types, steps, batch, sweep, window))
    return tuple(statement_in(statement, working) for statement in found)


def _typed(type: Type) -> str:
    """A type as it is written."""
    return f"weight {type}" if type.weight else str(type)
