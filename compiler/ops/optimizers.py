"""Optimizers: new master weights (f32) from gradients, and their rounded working copies.

The formulas are those of torch.optim, every operation rounded to f32.  Gradients are first divided by the loss
scale, and clipped where that is asked for.  The learning rate of the moment and the limit of clipping are arguments
that the host hands in; so are Adam's bias corrections where there is one update a batch.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from ...catalog import ClassCatalog
from ..ir.expression import Expression, argument, maximum, minimum, read, sqrt, where
from ..ir.statement import Statement
from .op import Op
from .site import Site

Decayed = Literal["all", "weights"]
"""Which parameters decay: all, or only weights of layers (not biases, norms and constants of neurons)."""


def unscaled() -> Expression:
    """The operand *gradient* without the loss scale."""
    return read("gradient") * (1.0 / argument("loss_scale"))


class Optimizer(Op):
    """``w, w.master, w.STATE... = optimizer(w.master, d.w, w.STATE...)``; *lr* is the base of the host's schedule.

    Further operands may follow: `corrections` that the graph itself keeps, a factor of the gradient, and last an
    `overflow` (see `Site.overflow`).  The facet ``clipped`` keeps every word of the gradient within the argument
    ``clip``.
    """

    family: ClassVar = "optimizer"
    operands: ClassVar = ("master", "gradient")

    corrected: ClassVar[tuple[str, ...]] = ()
    """Settings beta on whose power by the number of updates an update depends: see `Correction`."""

    lr: float
    weight_decay: float
    decay_on: Decayed

    def __post_init__(self) -> None:
        self.require(self.lr >= 0, "lr", "at least 0")
        self.require(self.weight_decay >= 0, "weight_decay", "at least 0")

    @classmethod
    def facets(cls) -> tuple[str, ...]:
        """With the gradient as it is, or clipped by value."""
        return ("", "clipped")

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the f32 words that it keeps for every weight."""
        return ()

    @property
    def corrections(self) -> dict[str, float]:
        """What an update is corrected by, with the beta of each: ``1 - beta**k`` in update k."""
        return {f"correction{k}": getattr(self, name) for k, name in enumerate(self.corrected, start=1)}

    @abstractmethod
    def update(
        self, w: Expression, g: Expression, corrections: Sequence[Expression]
    ) -> tuple[Expression, Mapping[str, Expression]]:
        """The new weight and the new states; the old ones are `read` by name."""

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """Every word of the parameter at once."""
        return self._updated(at, unscaled())

    def clipped(self, at: Site) -> tuple[Statement, ...]:
        """The same, with ``-clip <= g <= clip`` as torch.nn.utils.clip_grad_value_ has it; NaN stays."""
        return self._updated(at, minimum(maximum(unscaled(), -argument("clip")), argument("clip")))

    def _updated(self, at: Site, gradient: Expression) -> tuple[Statement, ...]:
        kept = ("master", *self.states)
        own = ("master", "gradient", *self.states)
        reads = dict(zip(own, at.node.operands, strict=False))
        further, names = list(at.plain[len(own) :]), tuple(self.corrections)
        corrections = [argument(name) for name in names]
        if names and len(further) >= len(names):
            corrections = [read(name) for name in names]
            reads |= {name: further.pop(0) for name in names}
        if further:
            gradient = gradient * read("factor")
            (reads["factor"],) = further
        weight, states = self.update(read("master"), gradient, corrections)
        made = {"master": weight, **states}
        if at.overflow is not None:
            # A master that stays is rounded to the working copy that is there already.
            made = {name: where(read("overflow"), read(name), made[name]) for name in kept}
            reads["overflow"] = at.overflow
        values = (made["master"], *(made[name] for name in kept))
        return at.elementwise(reads, list(zip(at.node.results, values, strict=True)))


@dataclass(frozen=True, kw_only=True)
class Correction(Op):
    """``c = beta * c + (1 - beta)``: from 0 on, that is ``1 - beta**k`` behind update k.

    Unlike a power that is taken from 1, it loses no digits where k is small.  Where parameters change several times a
    batch, the graph keeps it.
    """

    name: ClassVar = "correction"
    family: ClassVar = "adjoint"
    operands: ClassVar = ("c",)

    beta: float

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """One word, in each step of a sweep."""
        made = read("c") * self.beta + (1.0 - self.beta)
        found = at.elementwise({"c": at.operand(0)}, [(at.result(), made)])
        return found if at.sweep == "once" else tuple(replace(each, steps=at.steps) for each in found)


OPTIMIZERS: ClassCatalog[Optimizer] = ClassCatalog(__package__ or "", Optimizer, "optimizer")


@dataclass(frozen=True, kw_only=True)
class SGD(Optimizer):
    """``g += weight_decay * w; m = momentum * m + g; w -= lr * m``."""

    name: ClassVar = "sgd"

    lr: float = 0.1
    momentum: float = 0.0
    weight_decay: float = 0.0
    decay_on: Decayed = "all"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(0 <= self.momentum < 1, "momentum", "between 0 and 1")

    @property
    def states(self) -> tuple[str, ...]:
        """The momentum, if there is any."""
        return ("m",) if self.momentum else ()

    def update(
        self, w: Expression, g: Expression, corrections: Sequence[Expression]
    ) -> tuple[Expression, Mapping[str, Expression]]:
        """See the class."""
        if self.weight_decay:
            g = g + w * self.weight_decay
        if self.momentum:
            g = read("m") * self.momentum + g
        return w - g * argument("learning_rate"), {"m": g}


class _Adam(Optimizer):
    """``m += (1 - beta1) * (g - m); v = beta2 * v + (1 - beta2) * g * g``, then
    ``w -= lr / correction1 * m / (sqrt(v) / sqrt(correction2) + eps)``."""

    corrected: ClassVar = ("beta1", "beta2")

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    decay_on: Decayed = "all"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("beta1", "beta2"):
            self.require(0 <= getattr(self, name) < 1, name, "between 0 and 1")
        self.require(self.eps > 0, "eps", "positive")

    @property
    def states(self) -> tuple[str, ...]:
        """First and second moment."""
        return ("m", "v")

    def moments(
        self, w: Expression, g: Expression, corrections: Sequence[Expression]
    ) -> tuple[Expression, Mapping[str, Expression]]:
        """See the class."""
        first, second = corrections
        m = read("m") + (g - read("m")) * (1 - self.beta1)
        v = read("v") * self.beta2 + (g * (1 - self.beta2)) * g
        scale = sqrt(v) / sqrt(second) + self.eps
        return w - ((argument("learning_rate") / first) * m) / scale, {"m": m, "v": v}


@dataclass(frozen=True, kw_only=True)
class Adam(_Adam):
    """Adam with weight decay in the gradient: ``g += weight_decay * w`` (Kingma and Ba 2015)."""

    name: ClassVar = "adam"

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    decay_on: Decayed = "all"

    def update(
        self, w: Expression, g: Expression, corrections: Sequence[Expression]
    ) -> tuple[Expression, Mapping[str, Expression]]:
        """See the class."""
        return self.moments(w, g + w * self.weight_decay if self.weight_decay else g, corrections)


@dataclass(frozen=True, kw_only=True)
class AdamW(_Adam):
    """Adam with decoupled weight decay: ``w *= 1 - lr * weight_decay`` first (Loshchilov and Hutter 2019)."""

    name: ClassVar = "adamw"

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 1e-2
    decay_on: Decayed = "all"

    def update(
        self, w: Expression, g: Expression, corrections: Sequence[Expression]
    ) -> tuple[Expression, Mapping[str, Expression]]:
        """See the class."""
        if self.weight_decay:
            w = w * (1.0 - argument("learning_rate") * self.weight_decay)
        return self.moments(w, g, corrections)
