"""Losses: what the network's result is worth, and the error that training starts from.

A loss reads the result ``y[t, n, classes]`` and the labels.  In the sweep upwards it keeps what it needs of every
step, and writes after the last: ``logits``, ``loss`` (of each sample; the host divides by `valid`) and ``correct``.
A result that does not change with time is its own mean, and is looked at once.
Its facet ``error`` gives dL/dy of a step, a mean over the `valid` samples times `loss_scale`; ``value`` the part of the
loss itself that belongs to a step, scaled alike.  Samples beyond `valid` (the rest of a partial batch) count for
nothing.  Sums over time ascend in f32; softmax subtracts the maximum.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

from ...catalog import ClassCatalog
from ..ir.expression import Expression, argument, exp, index, lift, log, read, rebuilt, state, unary, where
from ..ir.statement import State, Statement
from ..ir.types import Type
from .op import Op, ShapeFault
from .site import WORKING, Site


class Verdict(NamedTuple):
    """What a loss says after the last step; *carried* are further sums over time, *seed* the error of every step."""

    logits: Expression
    loss: Expression
    carried: tuple[State, ...] = ()
    seed: Expression | None = None


class Loss(Op):
    """``logits, loss, correct[, seed] = loss(y, label[, inputs])``, ``error`` and ``value``.

    `online` says that the error of a step is known in that step, and so is its part of the loss.  A loss whose error is
    the same in every step gives it once, as `seed`.  One that does not judge (`judges`) reads no label, and has but
    `logits`: it stands where a loss would, under rules that learn without errors.
    """

    family: ClassVar = "loss"
    operands: ClassVar[tuple[str, ...]] = ("y", "label")
    results: ClassVar[tuple[str, ...]] = ("logits", "loss", "correct")
    reads: ClassVar[tuple[str, ...]] = ("y", "label")
    """What `error` reads: operands, or results."""

    online: ClassVar[bool] = True
    judges: ClassVar[bool] = True

    @property
    def steady(self) -> bool:
        """Whether the error is the same in every step: it is that of the mean over time, through `seed`."""
        return self.reads == ("seed",)

    @classmethod
    def facets(cls) -> tuple[str, ...]:
        """The verdict, the error, and the loss of a step."""
        if not cls.judges:
            return ("",)
        return ("", "error", "value") if cls.online else ("", "error")

    def inputs(self, y: Type) -> dict[str, Type]:
        """What the host hands in beside images, by name."""
        if len(y.factors) != 1 or y.weight:
            raise ShapeFault(f"{self.name} reads one axis of classes, not {y}", 0)
        return {"label": Type("u16", (), batched=True)} if self.judges else {}

    def loss_types(self, y: Type) -> tuple[Type, ...]:
        """Types of the results."""
        vector = Type("f32", y.axes, batched=True)
        kinds = {"logits": vector, "loss": vector.with_(axes=()), "seed": vector.with_(format=WORKING)}
        kinds["correct"] = Type("u8", (), batched=True)
        return tuple(kinds[name] for name in self.results)

    @abstractmethod
    def largest_error(self, steps: int, classes: int) -> float:
        """The largest |dL/dy| of a step, of one sample alone, for answers between 0 and 1: before scale and mean."""

    @abstractmethod
    def verdict(self, steps: int, classes: int, y: Expression, total: Expression) -> Verdict:
        """After the last step; *y* is that step, *total* the sum over time, this step included."""

    @abstractmethod
    def step_error(self, steps: int, classes: int, y: Expression) -> Expression:
        """dL/dy of a step without scale and mean, or ``seed`` with them."""

    def step_loss(self, steps: int, classes: int, y: Expression) -> Expression:
        """What a step adds to the loss of a sample, without scale and mean; only where it is `online`."""
        raise NotImplementedError

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """One pass over the steps."""
        (classes,) = at.type(at.operand(0)).factors
        y, timed = at.value("y", 0), any(at.type(operand).timed for operand in at.node.operands)
        total = state("total") + y if timed else y
        verdict = self.verdict(at.steps if timed else 1, classes, y, total)
        carried = (State("total", "f32", 0.0, total), *verdict.carried)
        if not timed:  # the first step is the last: what is carried is what it begins with
            verdict, carried = _at_once(verdict), ()
        reads = dict(zip(self.operands, at.node.operands, strict=True))
        if not self.judges:
            return at.elementwise(reads, [(at.result(), verdict.logits, timed)], carried)
        best = unary("rmin", where(total >= unary("rmax", total), index("c"), float(classes)))
        found = {
            "logits": verdict.logits,
            "loss": where(_valid(), verdict.loss, 0.0),
            "correct": where(_valid(), best.equals(read("label")), 0.0),
        }
        if verdict.seed is not None:
            found["seed"] = _mean(verdict.seed if timed else verdict.seed / float(at.steps))
        writes = [(name, found[kind], timed) for name, kind in zip(at.node.results, self.results, strict=True)]
        return at.elementwise(reads, writes, carried)

    def error(self, at: Site) -> tuple[Statement, ...]:
        """dL/dy in every step; of a result that does not change with time, dL/dy of all steps together."""
        (classes,) = at.type(at.result()).factors
        reads = dict(zip(self.reads, at.node.operands, strict=True))
        value = self.step_error(at.steps, classes, at.value("y", 0))
        if not at.type(at.result()).timed:
            assert self.steady, f"{self.name} has an error of its own in each step"
            value = value * float(at.steps)
        return at.elementwise(reads, [(at.result(), value if "seed" in self.reads else _mean(value))])

    def value(self, at: Site) -> tuple[Statement, ...]:
        """`step_loss` in every step, scaled as the error is."""
        (classes,) = at.type(at.operand(0)).factors
        reads = dict(zip(self.operands, at.node.operands, strict=True))
        return at.elementwise(reads, [(at.result(), self.scaled(self.step_loss(at.steps, classes, at.value("y", 0))))])

    def scaled(self, error: Expression) -> Expression:
        """Of valid samples, times the loss scale, over their number."""
        return _mean(error)


LOSSES: ClassCatalog[Loss] = ClassCatalog(__package__ or "", Loss, "loss")

OF_EACH_STEP = "cross_entropy_mse(lam=0.0)"
"""The cross entropy of each step: the nearest to one that knows its error after the last step only."""


def _at_once(verdict: Verdict) -> Verdict:
    """The verdict on a result that is the same in every step, of which one is all there is to look at."""
    begun = {each.name: lift(each.initial) for each in verdict.carried}
    logits, loss = rebuilt(
        (verdict.logits, verdict.loss), lambda leaf: begun[leaf.name] if leaf.op == "state" else leaf
    )
    return verdict._replace(logits=logits, loss=loss, carried=())


def _valid() -> Expression:
    """Whether the sample is one."""
    return index("n") < argument("valid")


def _mean(error: Expression) -> Expression:
    """Times the loss scale, over the number of valid samples."""
    return where(_valid(), error * (argument("loss_scale") / argument("valid")), 0.0)


def _target() -> Expression:
    """One-hot label."""
    return index("c").equals(read("label"))


def _softmax(logits: Expression) -> tuple[Expression, Expression]:
    """(probabilities, cross entropy with the label)."""
    shifted = logits - unary("rmax", logits)
    powers = exp(shifted)
    total = unary("rsum", powers)
    return powers / total, log(total) - unary("rsum", where(_target(), shifted, 0.0))


@dataclass(frozen=True, kw_only=True)
class CrossEntropy(Loss):
    """``CE(mean_t y, label)``; dL/dy[t] = (softmax - onehot) / T in every step."""

    name: ClassVar = "cross_entropy"
    results: ClassVar = ("logits", "loss", "correct", "seed")
    reads: ClassVar = ("seed",)
    online: ClassVar = False

    def largest_error(self, steps: int, classes: int) -> float:
        """A class that is all wrong."""
        return 1.0 / steps

    def verdict(self, steps: int, classes: int, y: Expression, total: Expression) -> Verdict:
        """logits = the mean over time."""
        mean = total / float(steps)
        probability, entropy = _softmax(mean)
        return Verdict(mean, entropy, seed=(probability - _target()) / float(steps))

    def step_error(self, steps: int, classes: int, y: Expression) -> Expression:
        """See the class."""
        return read("seed")


@dataclass(frozen=True, kw_only=True)
class CrossEntropyMSE(Loss):
    """``mean_t [(1 - lam) * CE(y[t], label) + lam * mean_classes (y[t] - z)**2]`` (TET; OTTT, SLTT).

    *target* is z: one-hot (OTTT), or the constant *level* in every class (SLTT on CIFAR, TET).
    """

    name: ClassVar = "cross_entropy_mse"

    lam: float = 0.05
    target: Literal["onehot", "constant"] = "onehot"
    level: float = 1.0

    def __post_init__(self) -> None:
        self.require(0 <= self.lam <= 1, "lam", "between 0 and 1")

    def largest_error(self, steps: int, classes: int) -> float:
        """A class that is all wrong."""
        return (1 - self.lam + self.lam * 2 / classes) / steps

    def verdict(self, steps: int, classes: int, y: Expression, total: Expression) -> Verdict:
        """logits = the mean over time."""
        loss = state("loss") + self._penalty(classes, y)
        mean = total / float(steps)
        return Verdict(mean, loss / float(steps), (State("loss", "f32", 0.0, loss),))

    def step_error(self, steps: int, classes: int, y: Expression) -> Expression:
        """``((1 - lam) * (softmax - onehot) + lam * 2 * (y - z) / classes) / T``."""
        probability, _ = _softmax(y)
        away = (y - self._wanted()) * (2 * self.lam / classes)
        return ((probability - _target()) * (1 - self.lam) + away) / float(steps)

    def step_loss(self, steps: int, classes: int, y: Expression) -> Expression:
        """``((1 - lam) * CE + lam * mean_classes (y - z)**2) / T``."""
        return self._penalty(classes, y) / float(steps)

    def _penalty(self, classes: int, y: Expression) -> Expression:
        _, entropy = _softmax(y)
        away = y - self._wanted()
        square = unary("rsum", away * away) / float(classes)
        return entropy * (1 - self.lam) + square * self.lam

    def _wanted(self) -> Expression:
        return _target() if self.target == "onehot" else Expression("constant", value=self.level)


@dataclass(frozen=True, kw_only=True)
class MSERate(Loss):
    """``mean_classes (mean_t y - onehot)**2`` (STBP); dL/dy[t] = 2 * (rate - onehot) / (classes * T)."""

    name: ClassVar = "mse_rate"
    results: ClassVar = ("logits", "loss", "correct", "seed")
    reads: ClassVar = ("seed",)
    online: ClassVar = False

    def largest_error(self, steps: int, classes: int) -> float:
        """A class that is all wrong."""
        return 2.0 / (classes * steps)

    def verdict(self, steps: int, classes: int, y: Expression, total: Expression) -> Verdict:
        """logits = the firing rates."""
        rate = total / float(steps)
        away = rate - _target()
        return Verdict(rate, unary("rsum", away * away) / float(classes), seed=away * (2.0 / (classes * steps)))

    def step_error(self, steps: int, classes: int, y: Expression) -> Expression:
        """See the class."""
        return read("seed")


@dataclass(frozen=True, kw_only=True)
class WeightedSum(Loss):
    """``sum over t, samples, classes of coefficient * y``, for tests: a sum, not divided by `valid`.

    The host hands in ``coefficient``, f32 of the shape of y.
    """

    name: ClassVar = "weighted_sum"
    operands: ClassVar = ("y", "label", "coefficient")
    reads: ClassVar = ("coefficient",)

    def inputs(self, y: Type) -> dict[str, Type]:
        """Labels and coefficients."""
        return super().inputs(y) | {"coefficient": Type("f32", y.axes, True, True)}

    def largest_error(self, steps: int, classes: int) -> float:
        """The host's coefficients, whatever they are."""
        return 0.0

    def verdict(self, steps: int, classes: int, y: Expression, total: Expression) -> Verdict:
        """logits = the sum over time."""
        loss = state("loss") + self.step_loss(steps, classes, y)
        return Verdict(total, loss, (State("loss", "f32", 0.0, loss),))

    def step_error(self, steps: int, classes: int, y: Expression) -> Expression:
        """The coefficient."""
        return read("coefficient")

    def step_loss(self, steps: int, classes: int, y: Expression) -> Expression:
        """``sum over classes of coefficient * y``."""
        return unary("rsum", read("coefficient") * y)

    def error(self, at: Site) -> tuple[Statement, ...]:
        """``coefficient * loss_scale``, not divided."""
        return at.elementwise({"coefficient": at.operand(0)}, [(at.result(), self.scaled(read("coefficient")))])

    def scaled(self, error: Expression) -> Expression:
        """Of valid samples, times the loss scale, not divided."""
        return where(_valid(), error * argument("loss_scale"), 0.0)


@dataclass(frozen=True, kw_only=True)
class Rates(Loss):
    """No loss: logits are the mean over time of what each output fires, and no error comes of them."""

    name: ClassVar = "rates"
    operands: ClassVar = ("y",)
    results: ClassVar = ("logits",)
    reads: ClassVar = ()
    judges: ClassVar = False

    def largest_error(self, steps: int, classes: int) -> float:
        """There is none."""
        return 0.0

    def verdict(self, steps: int, classes: int, y: Expression, total: Expression) -> Verdict:
        """logits = the firing rates."""
        return Verdict(total / float(steps), lift(0.0))

    def step_error(self, steps: int, classes: int, y: Expression) -> Expression:
        """There is none."""
        return lift(0.0)
