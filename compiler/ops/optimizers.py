"""Optimizers: new master weights (f32) from gradients, and their rounded working copies.

The formulas are those of torch.optim, every operation rounded to f32.  Gradients are first divided by the loss
scale.  The learning rate of the moment, and Adam's bias corrections, are arguments that the host hands in.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ...catalog import ClassCatalog
from ..ir.expression import Expression, argument, read, sqrt
from ..ir.statement import Statement
from .op import Op
from .site import Site


class Optimizer(Op):
    """``w, w.master, w.STATE... = optimizer(w.master, d.w, w.STATE...)``; *lr* is the base of the host's schedule."""

    family: ClassVar = "optimizer"
    operands: ClassVar = ("master", "gradient")

    lr: float

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the f32 words that it keeps for every weight."""
        return ()

    @abstractmethod
    def update(self, w: Expression, g: Expression) -> tuple[Expression, Mapping[str, Expression]]:
        """The new weight and the new states; the old ones are `read` by name."""

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """Every word of the parameter at once."""
        gradient = read("gradient") * (1.0 / argument("loss_scale"))
        weight, states = self.update(read("master"), gradient)
        reads = dict(zip(("master", "gradient", *self.states), at.node.operands, strict=True))
        values = (weight, weight, *(states[name] for name in self.states))
        return at.elementwise(reads, list(zip(at.node.results, values, strict=True)))


OPTIMIZERS: ClassCatalog[Optimizer] = ClassCatalog(__package__ or "", Optimizer, "optimizer")


@dataclass(frozen=True, kw_only=True)
class SGD(Optimizer):
    """``g += weight_decay * w; m = momentum * m + g; w -= lr * m``."""

    name: ClassVar = "sgd"

    lr: float = 0.1
    momentum: float = 0.0
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        self.require(0 <= self.momentum < 1, "momentum", "between 0 and 1")
        self.require(self.weight_decay >= 0, "weight_decay", "at least 0")

    @property
    def states(self) -> tuple[str, ...]:
        """The momentum, if there is any."""
        return ("m",) if self.momentum else ()

    def update(self, w: Expression, g: Expression) -> tuple[Expression, Mapping[str, Expression]]:
        """See the class."""
        if self.weight_decay:
            g = g + w * self.weight_decay
        if self.momentum:
            g = read("m") * self.momentum + g
        return w - g * argument("learning_rate"), {"m": g}


class _Adam(Optimizer):
    """``m += (1 - beta1) * (g - m); v = beta2 * v + (1 - beta2) * g * g``, then
    ``w -= lr / correction1 * m / (sqrt(v) / sqrt(correction2) + eps)``."""

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        for name in ("beta1", "beta2"):
            self.require(0 <= getattr(self, name) < 1, name, "between 0 and 1")
        self.require(self.eps > 0, "eps", "positive")
        self.require(self.weight_decay >= 0, "weight_decay", "at least 0")

    @property
    def states(self) -> tuple[str, ...]:
        """First and second moment."""
        return ("m", "v")

    def moments(self, w: Expression, g: Expression) -> tuple[Expression, Mapping[str, Expression]]:
        """See the class."""
        m = read("m") + (g - read("m")) * (1 - self.beta1)
        v = read("v") * self.beta2 + (g * (1 - self.beta2)) * g
        scale = sqrt(v) / sqrt(argument("correction2")) + self.eps
        return w - ((argument("learning_rate") / argument("correction1")) * m) / scale, {"m": m, "v": v}


@dataclass(frozen=True, kw_only=True)
class Adam(_Adam):
    """Adam with weight decay in the gradient: ``g += weight_decay * w`` (Kingma and Ba 2015)."""

    name: ClassVar = "adam"

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0

    def update(self, w: Expression, g: Expression) -> tuple[Expression, Mapping[str, Expression]]:
        """See the class."""
        return self.moments(w, g + w * self.weight_decay if self.weight_decay else g)


@dataclass(frozen=True, kw_only=True)
class AdamW(_Adam):
    """Adam with decoupled weight decay: ``w *= 1 - lr * weight_decay`` first (Loshchilov and Hutter 2019)."""

    name: ClassVar = "adamw"

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 1e-2

    def update(self, w: Expression, g: Expression) -> tuple[Expression, Mapping[str, Expression]]:
        """See the class."""
        if self.weight_decay:
            w = w * (1.0 - argument("learning_rate") * self.weight_decay)
        return self.moments(w, g)
