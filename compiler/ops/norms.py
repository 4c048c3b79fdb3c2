"""Normalisation: batch norm over its scopes, and weights that are standardised."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from ..ir.expression import Expression, argument, index, maximum, read, sqrt, state, unary, where
from ..ir.graph import Setting
from ..ir.statement import Contraction, Elementwise, Moments, State, Statement, Write, loop
from ..ir.types import Type
from .op import Adjoint, Op, ShapeFault, Tracking
from .site import WORKING, Site, element_loops


@dataclass(frozen=True, kw_only=True)
class BatchNorm(Op):
    """``y = (x - mean) / sqrt(var + eps) * gamma + beta``, a channel (a feature of a flattened x) at a time.

    *scope* says what the statistics are taken over beside rows and columns: ``step``, the samples of each time step,
    one gamma, beta and running statistics for all steps, which follow every step (SpikingJelly, SLTT); ``window``, all
    steps and samples together (tdBN, TET, TEBN, DSR); ``separate``, each time step with gamma, beta and running
    statistics of its own (BNTT).  Only the `valid` samples of a partial batch count.

    Sums and sums of squares are exact; ``mean = sum / N`` and ``var = (N * squares - sum**2) / N**2`` are each rounded
    once, to f32 (sums of bf16 and f32 values are f64: see `Moments`).  Then every operation rounds to f32:
    ``r = 1 / sqrt(var + eps)``, ``y = ((x - mean) * r) * gamma + beta``.  Running statistics follow by *momentum*, the
    variance unbiased (``var * N / (N - 1)``), as PyTorch's; inference reads them.

    With *frozen*, training normalises with running statistics too, and leaves them as they are: all steps and samples
    are multiplied by the same numbers, and the same are added.  No mean and variance are made beside y then.
    """

    name: ClassVar = "batch_norm"
    operands: ClassVar = ("x",)
    parameters: ClassVar = ("running_mean", "running_var", "gamma", "beta")
    statistics: ClassVar = ("running_mean", "running_var")
    results: ClassVar = ("", "mean", "var")
    inner: ClassVar = ("mean", "var")
    adjoints: ClassVar = (
        Adjoint(
            "adjoint",
            "x",
            ("error", "x", "mean", "var", "gamma"),
            "BP",
            also=("gamma", "beta"),
            inner=("mean", "covariance"),
        ),
        Adjoint("d_x_running", "x", ("error", "running_var", "gamma"), "BP"),
        Adjoint(
            "d_gamma_running",
            "gamma",
            ("error", "x", "running_mean", "running_var"),
            "WG",
            also=("beta",),
            inner=("sum", "product"),
        ),
    )
    keeps: ClassVar = {
        "x": "normalised again, since f16 of the result would lose its mean and variance",
        "mean": "to normalise again",
        "var": "to normalise again",
    }
    tracking: ClassVar = Tracking("track", statistics, ("x", "mean", "var", *statistics))
    inference: ClassVar = "running"

    scope: Literal["step", "window", "separate"] = "step"
    eps: float = 1e-5
    momentum: float = 0.1
    affine: bool = True
    shift: bool = True
    frozen: bool = False

    @classmethod
    def facets(cls) -> tuple[str, ...]:
        """Those of every operator, and ``track_once``."""
        return (*super().facets(), "track_once")

    def __post_init__(self) -> None:
        self.require(self.eps > 0, "eps", "positive")
        self.require(0 <= self.momentum <= 1, "momentum", "between 0 and 1")

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Mean and variance are made where they are taken of a batch."""
        return self.results[:1] if self.frozen else self.results

    def parameter_types(self, *operands: Type) -> dict[str, tuple[Type, Setting]]:
        """Statistics, ``gamma`` where *affine*, ``beta`` where also *shift*: f32, a word a channel."""
        (x,) = operands
        each = self._channels(x, timed=self.scope == "separate" and x.timed)
        found: dict[str, tuple[Type, Setting]] = {"running_mean": (each, "zeros"), "running_var": (each, "ones")}
        if self.affine:
            found["gamma"] = (each, "ones")
            if self.shift:
                found["beta"] = (each, "zeros")
        return found

    def result_types(self, *operands: Type) -> tuple[Type, ...]:
        """f16 as x; mean and variance f32, in every step but where they are taken over all of them."""
        (x,) = operands
        each = self._channels(x, timed=self.scope != "window" and x.timed)
        return (Type(WORKING, x.axes, x.timed, True), each, each)[: len(self.suffixes)]

    def gathers(self) -> tuple[str, str] | None:
        """A window is looked at as a whole."""
        looks = self.scope == "window" and not self.frozen
        return ("takes statistics over all time steps", "scope=step") if looks else None

    def tracks(self) -> Tracking | None:
        """Nothing follows where statistics are frozen."""
        return None if self.frozen else self.tracking

    def gradients(self) -> tuple[Adjoint, ...]:
        """Of statistics that depend on x, or of those that do not."""
        of_batch, *of_running = self.adjoints
        return tuple(of_running) if self.frozen else (of_batch,)

    def inner_types(self, adjoint: Adjoint, types: Mapping[str, Type]) -> tuple[Type, ...]:
        """Of the error: its mean, and its covariance with x; or its sum, and that of its products with x."""
        each = types["running_mean"].with_(timed=types["error"].timed) if self.frozen else types["mean"]
        return each, each

    def _channels(self, x: Type, timed: bool) -> Type:
        """f32, a word for each channel of an image or each feature of a vector."""
        if len(x.axes) not in (1, 2, 3) or (len(x.axes) > 1 and len(x.axes[0]) > 1):
            raise ShapeFault(
                f"{self.name} reads [channels, rows, columns], [channels, length] or [features], not {x}", 0
            )
        return Type("f32", x.axes[:1], timed)

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """Moments, then every element."""
        if self.frozen:
            return self.running(at)
        x, _, _, *affine = at.node.operands
        y, mean, var = at.node.results
        return (*self._moments(at, x, x, mean, var), *self._normalised(at, y, x, mean, var, *affine))

    def running(self, at: Site) -> tuple[Statement, ...]:
        """The same with running statistics."""
        return self._normalised(at, at.result(), *at.node.operands)

    def track(self, at: Site) -> tuple[Statement, ...]:
        """``running = (1 - momentum) * running + momentum * statistic``, in every step where there is one for each.

        A single term has no variance, and leaves that as it was (PyTorch refuses it).  Statistics that are the same in
        all T steps (of a window), of an x that does not change, are followed as often, at once:
        ``running = (1 - momentum)**T * running + (1 - (1 - momentum)**T) * statistic``.  A skipped training step
        leaves them as they are.
        """
        return self._track(at)

    def track_once(self, at: Site) -> tuple[Statement, ...]:
        """The same, once, whatever changes with time: of what stands for all steps."""
        return self._track(at, once=True)

    def _track(self, at: Site, once: bool = False) -> tuple[Statement, ...]:
        x, mean, *_, old = at.plain
        names = dict(zip(("mean", "var", *self.statistics), at.plain[1:], strict=True))
        if at.overflow is not None:
            names["overflow"] = at.overflow
        terms = self._terms(at, at.type(x), at.steps if self.scope == "window" and not once else 1)
        unbiased = read("var") * (terms / maximum(terms - 1.0, 1.0))
        follows = at.type(mean).timed and not at.type(old).timed
        writes: list[tuple[str, Expression, bool]] = []
        states: list[State] = []
        for name, statistic, result in zip(self.statistics, (read("mean"), unbiased), at.node.results, strict=True):
            counts = terms > 1.0 if name == "running_var" else None
            if follows:
                before = where(index("t").equals(0.0), read(name), state(name))
                after = before * (1.0 - self.momentum) + statistic * self.momentum
                after = after if counts is None else where(counts, after, before)
                states.append(State(name, "f32", 0.0, after))
            else:
                again = 1 if once or self.scope != "step" or at.type(mean).timed else at.span
                kept = (1.0 - self.momentum) ** again
                after = read(name) * kept + statistic * (self.momentum if again == 1 else 1.0 - kept)
                after = after if counts is None else where(counts, after, read(name))
            if at.overflow is not None:
                after = where(read("overflow"), read(name), after)
            writes.append((result, after, follows))
        return at.elementwise(names, writes, tuple(states))

    def adjoint(self, at: Site) -> tuple[Statement, ...]:
        """With g the error, N terms, ``xhat = (x - mean) * r`` and ``m = r * cov(g, x)``, which is mean(g * xhat):

        ``d.x = (gamma * r) * ((g - mean(g)) - xhat * m)``, ``d.gamma = sum_t N * m``, ``d.beta = sum_t N * mean(g)``.
        """
        error, x, mean, var, *affine = at.node.operands
        d_x, d_gamma, d_beta, middle, covariance = at.node.results
        names = {"error": error, "x": x, "mean": mean, "var": var, "middle": middle, "covariance": covariance}
        names |= dict(zip(("gamma",), affine, strict=False))
        inverse = self._inverse(read("var"))
        projected = inverse * read("covariance")
        away = (read("error") - read("middle")) - ((at.value("x", 1) - read("mean")) * inverse) * projected
        value = away * (read("gamma") * inverse if affine else inverse)
        valid = index("n") < argument("valid")
        statements = self._moments(at, error, x, middle, covariance)
        statements += at.elementwise(names, [(d_x, where(valid, value, 0.0))])
        terms = self._terms(at, at.type(x), at.steps if self.scope == "window" and at.type(x).timed else 1)
        sums: list[tuple[str, Expression, bool]] = []
        states: list[State] = []
        for name, result, term in (("gamma", d_gamma, projected), ("beta", d_beta, read("middle"))):
            total = term * terms
            summed = bool(result) and at.type(middle).timed and not at.type(result).timed
            if summed:
                total = state(name) + total
                states.append(State(name, "f32", 0.0, total))
            sums.append((result, total, summed))
        per_channel = {name: names[name] for name in ("var", "middle", "covariance")}
        return (*statements, *at.elementwise(per_channel, sums, tuple(states)))

    def d_x_running(self, at: Site) -> tuple[Statement, ...]:
        """``d.x = g * (gamma * r)``, of statistics that do not depend on x."""
        error, var, *gamma = at.node.operands
        inverse = self._inverse(read("var"))
        names = {"error": error, "var": var} | dict(zip(("gamma",), gamma, strict=False))
        return at.elementwise(names, [(at.result(), read("error") * (read("gamma") * inverse if gamma else inverse))])

    def d_gamma_running(self, at: Site) -> tuple[Statement, ...]:
        """``d.gamma = sum_t r * (sum(g * x) - mean * sum(g))``, ``d.beta = sum_t sum(g)``; sums over all else exact."""
        error, x, mean, var = at.node.operands
        d_gamma, d_beta, total, product = at.node.results
        statements = (self._summed(at, total, error), self._summed(at, product, error, x))
        of_gamma = self._inverse(read("var")) * (read("product") - read("mean") * read("total"))
        writes: list[tuple[str, Expression, bool]] = []
        states: list[State] = []
        for name, result, value in (("gamma", d_gamma, of_gamma), ("beta", d_beta, read("total"))):
            over_time = bool(result) and at.type(total).timed and not at.type(result).timed
            if over_time:
                value = state(name) + value
                states.append(State(name, "f32", 0.0, value))
            writes.append((result, value, over_time))
        names = {"mean": mean, "var": var, "total": total, "product": product}
        return (*statements, *at.elementwise(names, writes, tuple(states)))

    def _summed(self, at: Site, target: str, error: str, x: str | None = None) -> Statement:
        """The sum of the error, or of its products with x, over samples, rows and columns."""
        type = at.type(x or error)
        names = element_loops(type)
        loops = (*at.lead_loops(error), *zip(names, type.factors, strict=True))
        elements = [loop(name) for name in names]
        sums = at.access(target, elements[: len(at.type(target).factors)])
        left = None if x is None else at.access(x, elements)
        summed = tuple(name for name, _ in loops if name not in sums.loops)
        scale = 1.0 if x is None else type.scale
        return Contraction("wg", loops, sums, left, at.access(error, elements), summed, None, scale)

    def _normalised(
        self, at: Site, y: str, x: str, mean: str, var: str, gamma: str = "", beta: str = ""
    ) -> tuple[Statement, ...]:
        """y from x and statistics, wherever those come from."""
        names = {"x": x, "mean": mean, "var": var, "gamma": gamma, "beta": beta}
        value = (at.value("x", 0) - read("mean")) * self._inverse(read("var"))
        value = value * read("gamma") if gamma else value
        value = value + read("beta") if beta else value
        return at.elementwise({name: value for name, value in names.items() if value}, [(y, value)])

    def _moments(self, at: Site, left: str, right: str, mean: str, comoment: str) -> tuple[Statement, ...]:
        """Mean of *left* and covariance with *right*, over samples, rows, columns, and time where the scope says so."""
        type, target = at.type(right), at.type(mean)
        names = element_loops(type)
        channels = names[: len(target.factors)]
        loops = (*at.lead_loops(right), *zip(names, type.factors, strict=True))
        kept = (*(("t",) if target.timed else ()), *channels)
        summed = tuple(name for name, _ in loops if name not in kept)
        here, elements = [loop(name) for name in channels], [loop(name) for name in names]
        scale = at.type(left).scale
        return (
            Moments(
                loops,
                summed,
                at.access(mean, here),
                at.access(comoment, here),
                at.access(left, elements),
                at.access(right, elements),
                argument="valid",
                engine="bp" if at.type(left).kind.kind == "float" else "fp",
                scale=scale,
                product_scale=scale * at.type(right).scale,
            ),
        )

    def _terms(self, at: Site, x: Type, steps: int) -> Expression:
        """N: valid samples times rows and columns, times *steps*."""
        return argument("valid") * float(x.elements // math.prod(x.axes[0]) * steps)

    def _inverse(self, variance: Expression) -> Expression:
        return 1.0 / sqrt(variance + self.eps)


@dataclass(frozen=True, kw_only=True)
class Standardise(Op):
    """``y = gain * (w - mean) / sqrt(n * var + eps)`` of each output of a weight, over its fan-in n (scaled weight
    standardisation: Brock et al. 2021; OTTT, SLTT on ImageNet); *var* is the unbiased variance.

    The weight is the working copy; mean and variance come from sums as those of `BatchNorm`, then every
    operation rounds to f32.  The way back is linear in the gradient of y, so it is gone once an update, after that
    gradient has been summed over all steps and samples; its two sums over the fan-in ascend in f32, taps outermost.
    """

    name: ClassVar = "standardise"
    operands: ClassVar = ("w",)
    parameters: ClassVar = ("gain",)
    results: ClassVar = ("", "mean", "var")
    inner: ClassVar = ("mean", "var")
    adjoints: ClassVar = (
        Adjoint("adjoint", "w", ("error", "w", "mean", "var", "gain"), "WG", also=("gain",), inner=("sum", "product")),
    )

    eps: float = 1e-4
    learn_gain: bool = True

    def __post_init__(self) -> None:
        self.require(self.eps > 0, "eps", "positive")

    def parameter_types(self, *operands: Type) -> dict[str, tuple[Type, Setting]]:
        """``gain``, f32, a word an output, where it is learned; else it is 1."""
        (w,) = operands
        if not w.weight or math.prod(w.shape[1:]) < 2:
            raise ShapeFault(f"{self.name} reads a weight with a fan-in of at least 2, not {w}", 0)
        return {"gain": (Type("f32", w.axes[:1]), "ones")} if self.learn_gain else {}

    def infer(self, *operands: Type) -> tuple[Type, ...]:
        """The type of the weight; mean and variance, f32, a word an output."""
        if not operands:
            raise ShapeFault(f"{self.name} takes 1 operand, not 0")
        w = operands[0]
        self.parameter_types(w)
        each = Type("f32", w.axes[:1])
        return w, each, each

    def inner_types(self, adjoint: Adjoint, types: Mapping[str, Type]) -> tuple[Type, ...]:
        """Sums over the fan-in: of the gradient, and of its product with ``w - mean``."""
        return types["mean"], types["mean"]

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """Moments, then every element."""
        w, *gain = at.node.operands
        y, mean, var = at.node.results
        type = at.type(w)
        names = element_loops(type)
        here, elements = [loop(names[0])], [loop(name) for name in names]
        statistics = [at.access(value, here) for value in (mean, var)]
        weight = at.access(w, elements)
        loops = (*at.lead_loops(mean), *zip(names, type.factors, strict=True))
        moments = Moments(loops, names[1:], statistics[0], statistics[1], weight, weight)
        value = (read("w") - read("mean")) * self._inverse(type)
        value = value * read("gain") if gain else value
        reads = {"w": w, "mean": mean, "var": var} | dict(zip(("gain",), gain, strict=False))
        return (moments, *at.elementwise(reads, [(y, value)]))

    def adjoint(self, at: Site) -> tuple[Statement, ...]:
        """With g the gradient of y, ``c = w - mean``, ``r = 1 / sqrt(n * var + eps)`` and sums over the fan-in,

        ``d.w = (gain * r) * ((g - sum g / n) - ((c * r) * r) * (n / (n - 1) * sum(g * c)))``,
        ``d.gain = r * sum(g * c)``.
        """
        error, w, mean, var, *gain = at.node.operands
        d_w, d_gain, total, product = at.node.results
        type = at.type(w)
        names = element_loops(type)
        order = [names[0], *(names[k] for k in range(2, len(names))), names[1]]
        extents = dict(zip(names, type.factors, strict=True))
        here, elements = [loop(names[0])], [loop(name) for name in names]
        centred = read("w") - read("mean")
        sums = Elementwise(
            tuple((name, extents[name]) for name in order),
            dict(at.lead_loops(total)).get("t", 0),
            {
                "error": at.access(error, elements),
                "w": at.access(w, elements),
                "mean": at.access(mean, here),
            },
            writes=(
                Write(at.access(total, here), unary("rsum", read("error"))),
                Write(at.access(product, here), unary("rsum", read("error") * centred)),
            ),
            over=len(names) - 1,
        )
        inverse, terms = self._inverse(type), self._terms(type)
        names_of = {"error": error, "w": w, "mean": mean, "var": var, "total": total, "product": product}
        names_of |= dict(zip(("gain",), gain, strict=False))
        bent = ((centred * inverse) * inverse) * (read("product") * (terms / (terms - 1)))
        value = ((read("error") - read("total") / terms) - bent) * (read("gain") * inverse if gain else inverse)
        scaled = {"var": var, "product": product}
        return (
            sums,
            *at.elementwise(names_of, [(d_w, value)]),
            *at.elementwise(scaled, [(d_gain, read("product") * inverse)]),
        )

    def _terms(self, w: Type) -> float:
        """The fan-in."""
        return float(math.prod(w.shape[1:]))

    def _inverse(self, w: Type) -> Expression:
        """r, from the biased variance."""
        terms = self._terms(w)
        return 1.0 / sqrt(read("var") * (terms * terms / (terms - 1)) + self.eps)
