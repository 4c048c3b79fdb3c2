"""What stands in the place of errors that come back through layers: noise, and what the answer to it tells.

A hidden layer is disturbed by noise z of mean 0 and variance 1; how the network's answer o follows, ``mean of z o``,
estimates how o depends on the layer.  z is a function of seed, training step, time step, sample and element, so that
whoever needs it draws it again, and it is never stored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from ..ir.expression import Expression, argument, edge, index, normal, read, unary, uniform, where
from ..ir.statement import Index, Statement
from ..ir.types import Type
from .op import Adjoint, Op
from .site import WORKING, Site

Distribution = Literal["rademacher", "gaussian", "uniform"]
"""Mean 0 and variance 1: a fair sign, a normal number, or one that is spread evenly within the square root of 3."""


class _Noisy(Op):
    """What draws the noise of its node's layer, *alpha* times as large as z.

    *antithetic* draws once a batch and takes z in even time steps, -z in odd ones; else every step has its own.
    """

    family: ClassVar = "adjoint"

    alpha: float
    noise: Distribution
    antithetic: bool

    def drawn(self, at: Site) -> Expression:
        """z, rounded to the working format."""
        tensor = at.node.layer
        match self.noise:
            case "rademacher":
                z = where(self._positive(at), 1.0, -1.0)
            case "gaussian":
                z = edge(normal(tensor), WORKING)
            case "uniform":
                z = edge((uniform(tensor) * 2.0 - 1.0) * math.sqrt(3.0), WORKING)
        return where(_odd(), -z, z) if self.antithetic and self.noise != "rademacher" else z

    def _positive(self, at: Site) -> Expression:
        """Whether the sign is plus."""
        plus = uniform(at.node.layer) >= 0.5
        return where(_odd(), 1.0 - plus, plus) if self.antithetic else plus

    def keys(self, at: Site, value: str) -> dict[str, Index]:
        """The numbers of the elements of *value*, which key z."""
        return {at.node.layer: at.key(at.type(value).with_(timed=not self.antithetic))}


@dataclass(frozen=True, kw_only=True)
class Perturb(_Noisy):
    """``y = x + alpha * z``."""

    name: ClassVar = "perturb"
    operands: ClassVar = ("x",)
    adjoints: ClassVar = (Adjoint("d_x", "x", ("error",), "BP"),)
    aliases: ClassVar = {"d_x": 0}
    timed: ClassVar = True

    alpha: float = 0.2
    noise: Distribution = "rademacher"
    antithetic: bool = False

    def disturbed(self, x: Type) -> Type:
        """The type of the result: words, in every step."""
        return x.with_(format=WORKING, timed=True, scale=1.0)

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """Every element."""
        value = at.value("x", 0) + self.drawn(at) * self.alpha
        return at.elementwise({"x": at.operand(0)}, [(at.result(), value)], random=self.keys(at, at.result()))


@dataclass(frozen=True, kw_only=True)
class Noise(_Noisy):
    """z alone, as what compares it with the answers reads it: of signs a bit, worth 2, less 1."""

    name: ClassVar = "noise"

    alpha: float = 0.2
    noise: Distribution = "rademacher"
    antithetic: bool = False

    def noise_type(self, of: Type) -> Type:
        """The type of the result, for the noise of a value."""
        if self.noise == "rademacher":
            return of.with_(format="spike", timed=True, scale=2.0)
        return of.with_(format=WORKING, timed=True, scale=1.0)

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """Every element; the noise is drawn again."""
        z = self._positive(at) if self.noise == "rademacher" else self.drawn(at)
        return at.elementwise({}, [(at.result(), z)], random=self.keys(at, at.result()))


@dataclass(frozen=True, kw_only=True)
class SinglePoint(_Noisy):
    """``d.x = z * loss / alpha``: from the *loss* of a step, by sample, the error of what was disturbed before it."""

    name: ClassVar = "single_point"
    operands: ClassVar = ("loss",)

    alpha: float = 0.2
    noise: Distribution = "rademacher"
    antithetic: bool = False

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """Every element; the noise is drawn again."""
        value = self.drawn(at) * (read("loss") * (1.0 / self.alpha))
        return at.elementwise({"loss": at.operand(0)}, [(at.result(), value)], random=self.keys(at, at.result()))


@dataclass(frozen=True, kw_only=True)
class Answers(Op):
    """The network's answers, those of samples beyond `valid` as 0: what the noise is compared with."""

    name: ClassVar = "answers"
    family: ClassVar = "adjoint"
    operands: ClassVar = ("y",)

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """Every class."""
        value = where(index("n") < argument("valid"), at.value("y", 0), 0.0)
        return at.elementwise({"y": at.operand(0)}, [(at.result(), value)])


@dataclass(frozen=True, kw_only=True)
class FeedbackUpdate(Op):
    """``m = momentum * m + (1 - momentum) * factor / valid * sum``: a running mean of what the answer says to noise.

    Results are m in the working format and in f32; operands the latter, *sum*, that of answer times noise as it is
    stored, and, where the signs -1 and 1 are stored as 0 and 2, the sum of the answers alone, which is taken away.  An
    overflow may follow (see `Site.overflow`).
    """

    name: ClassVar = "feedback_update"
    family: ClassVar = "adjoint"
    operands: ClassVar = ("m", "sum")
    results: ClassVar = ("", "master")

    momentum: float
    factor: float = 1.0

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """Every word."""
        m, total, *answers = at.plain
        reads = {"m": m, "sum": total}
        summed = read("sum")
        if answers:
            (reads["answers"],) = answers
            summed = summed - read("answers")
        share = (1.0 - self.momentum) * self.factor / argument("valid")
        made = read("m") * self.momentum + summed * share
        if at.overflow is not None:
            reads["overflow"] = at.overflow
            made = where(read("overflow"), read("m"), made)
        return at.elementwise(reads, [(result, made) for result in at.node.results])


def _odd() -> Expression:
    """Whether the time step is 1, 3, 5 ..."""
    half = index("t") * 0.5
    return (half - unary("floor", half)) > 0.0
