"""Spiking neurons in the canonical form charge, fire, reset: integrate-and-fire, leaky, refractory."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from ..ir.derivative import product
from ..ir.expression import Expression, edge, lift, maximum, read, where
from ..ir.types import Type
from .neuron import Carried, Leak, Learned, Neuron, Step, Values
from .op import Otherwise, SettingFault
from .rated import Rated
from .site import WORKING
from .surrogates import TRIANGLE, SurrogateCall, derivative, two_values
from .tape import USUAL, TapeCall, every_of

_SAME = "gradients have the same bits"


@dataclass(frozen=True, kw_only=True)
class Spiking(Neuron):
    """``h = charge``; ``s = 1`` where ``h >= threshold`` (or ``>``); then the reset.

    ``h`` is rounded once; spike, reset and surrogate come from the rounded h.  A *soft* reset takes the threshold
    away, a *hard* one puts v_reset in place of the potential.  It acts at once, ``v = h - threshold * s``, or
    *delayed*, on what the next step has charged, whose input a hard reset therefore discards (snnTorch).
    *detach_reset* is False by default, the true gradient of what is computed and the default of SpikingJelly, SLTT's
    BPTT baseline and STBP; snnTorch and MS-ResNet detach.

    What is emitted is *amplitude*, which the type of the spikes carries as their scale: they stay bits.

    ``mask`` is the bit that tells a surrogate of two values (``rect``), and the spike again with any other one.
    The way back reads bits where they are enough, else h in f16; *tape* = membrane keeps h in any case.  With *tape* =
    recompute(every=c) only the states before every c steps are kept (``v.kept``, one result a state), and the way back
    computes these steps again from them and from x, with the same bits.
    """

    results: ClassVar = ("", "h", "mask")
    parameters: ClassVar = ("theta",)
    spiking: ClassVar = True
    keeps: ClassVar = {
        "": "the reset follows the spikes",
        "mask": "the surrogate has two values, and the mask of the rounded membrane tells them apart",
        "x": "the gradient of the decay, or of a delayed reset, reads the input",
        "b": "the surrogate is taken at the distance from it",
        "i": "the gradient of a delayed reset reads the current",
        "e": "the gradient of a delayed reset reads the current",
        "ready": "no gradient passes where the neuron waits",
        "window": "an error passes where the mean input lies between 0 and the threshold",
        "above": "an error passes where the mean input is above 0",
        "mean": "the gradient of the threshold reads the mean input, and it tells where errors pass",
    }

    threshold: float = 1.0
    reset: Literal["hard", "soft", "none"] = "hard"
    v_reset: float = 0.0
    reset_time: Literal["immediate", "delayed"] = "immediate"
    compare: Literal["ge", "gt"] = "ge"
    detach_reset: bool = False
    initial: float = 0.0
    amplitude: float = 1.0
    surrogate: SurrogateCall = TRIANGLE
    learn_threshold: Learned = "none"
    tape: TapeCall = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.every > 1 and self._draws:
            raise SettingFault(f"{self.name} cannot compute steps again whose surrogate draws random numbers", "tape")
        self.require(self.amplitude > 0, "amplitude", "positive")

    @classmethod
    def format_of(cls, suffix: str) -> str:
        """Spikes and masks are bits."""
        return "spike" if suffix in ("", "mask") else WORKING

    def result_types(self, *operands: Type) -> tuple[Type, ...]:
        """Spikes are worth the amplitude."""
        spikes, *others = super().result_types(*operands)
        return spikes.with_(scale=self.amplitude), *others

    def error(self) -> Expression:
        """That of a spike, which is worth the amplitude."""
        return product(read("error"), lift(self.amplitude))

    @property
    def membrane_on_tape(self) -> bool:
        """Where it is asked for."""
        return self.tape == "membrane"

    @property
    def _draws(self) -> bool:
        """Whether the surrogate draws random numbers."""
        return any(part.op == "uniform" for part in derivative(self.surrogate, read("x")).walk())

    @property
    def every(self) -> int:
        """As tape says."""
        return every_of(self.tape)

    def keeping(self, role: str) -> str:
        """What the adjoint takes from it."""
        if self.every > 1 and role == "x":
            return f"{self.every} steps at once are computed again from it"
        if role.endswith(".kept"):
            return f"{self.every} steps at once are computed again from the states before them"
        if role != "h":
            return self.keeps.get(role, super().keeping(role))
        return "tape=membrane asks for it" if self.bits_are_enough else self._against_a_mask()

    def otherwise(self, suffix: str, steps: int) -> tuple[Otherwise, ...]:
        """The membrane for its mask, the mask for the membrane, and states from which both are computed again."""
        membrane = Otherwise("the membrane", (WORKING,), f"tape=membrane keeps it; {_SAME}")
        if self.bits_are_enough:
            mask = Otherwise("a mask", ("spike",), f"tape=auto keeps it; {_SAME}")
        else:
            mask = Otherwise("a mask", None, self._against_a_mask())
        match suffix:
            case "mask":
                return (membrane, *self._recomputing(steps))
            case "h":
                return (mask, *self._recomputing(steps))
            case _ if suffix == f"{next(iter(self.carried()))}.kept":  # in the place of all states together
                return (membrane, mask)
            case _:
                return ()

    def _recomputing(self, steps: int) -> tuple[Otherwise, ...]:
        """States before every so many of *steps* steps, if any number divides them."""
        every = max((count for count in range(2, USUAL + 1) if steps % count == 0), default=0)
        if not every or self._draws:
            return ()
        formats = tuple(of.format for of in self.carried().values())
        why = f"tape=recompute(every={every}) keeps them, and reads x again; {_SAME}"
        return (Otherwise(f"states every {every} steps", formats, why, every),)

    def _against_a_mask(self) -> str:
        """Why bits are not enough."""
        if two_values(self.surrogate, read("x")) is None:
            return "the surrogate has more than two values, which follow from the membrane"
        resets = self.reset == "hard" and not self.detach_reset
        return f"the gradient of {'a hard reset' if resets else 'what is learned'} reads the membrane"

    @property
    def remembers_spikes(self) -> bool:
        """Whether the reset waits for the next step."""
        return self.reset_time == "delayed" and self.reset != "none"

    def carried(self) -> dict[str, Carried]:
        """The potential, and the spikes that a delayed reset waits with."""
        spikes = {"r": Carried(0.0, "spike", not self.detach_reset)} if self.remembers_spikes else {}
        return {"v": Carried(self.initial), **spikes}

    def learned(self) -> dict[str, tuple[Learned, float]]:
        """``theta``, the threshold."""
        return {} if self.learn_threshold == "none" else {"theta": (self.learn_threshold, self.threshold)}

    def charge(self, step: Step) -> dict[str, Expression]:
        """`integrated`, after a reset that was delayed."""
        h = self.integrated(step)
        if self.remembers_spikes:
            h = self._after_reset(step, h, step.states["r"])
        return {"h": edge(h, WORKING)}

    @abstractmethod
    def integrated(self, step: Step) -> Expression:
        """The potential with the input of this step."""

    def fire(self, step: Step, charged: Values) -> None:
        """Spikes, and the potential after them."""
        h, theta = charged["h"], self.threshold_of(step, charged)
        distance = h - theta
        s = step.tape["s"] if "s" in step.tape else self.fires(step, charged)
        step.results["mask"] = s
        step.slopes[id(s)] = (distance, self.slope(step, charged, distance))
        step.results[""] = s
        fed_back = self.fed_back(s)
        if self.remembers_spikes:
            step.next["r"] = fed_back
        resets = self.reset != "none" and not self.remembers_spikes
        step.next["v"] = self._after_reset(step, h, fed_back) if resets else h

    def fires(self, step: Step, charged: Values) -> Expression:
        """Where h reaches the threshold."""
        h, theta = charged["h"], self.threshold_of(step, charged)
        return h >= theta if self.compare == "ge" else h > theta

    def slope(self, step: Step, charged: Values, distance: Expression) -> Expression:
        """The surrogate's derivative at this distance from the threshold; the mask that tells it is a result."""
        values = two_values(self.surrogate, distance)
        if values is None:
            return derivative(self.surrogate, distance, step.tensor)
        condition, yes, no = values
        mask = step.results["mask"] = step.tape.get("mask", condition)
        return where(mask, yes, no)

    def fed_back(self, s: Expression) -> Expression:
        """The spikes that the states see, which pass no gradient where they are detached."""
        return replace(s) if self.detach_reset else s

    def threshold_of(self, step: Step, charged: Values) -> Expression:
        """What h is compared with."""
        return self._theta(step)

    def _theta(self, step: Step) -> Expression:
        return step.parameters.get("theta", lift(self.threshold))

    def _after_reset(self, step: Step, potential: Expression, s: Expression) -> Expression:
        if self.reset == "soft":
            return potential - product(s, self._theta(step))
        return where(s, self.v_reset, potential)


@dataclass(frozen=True, kw_only=True)
class LIF(Spiking, Leak, Rated):
    """Leaky integrate-and-fire: ``h[t] = decay * v[t-1] + rho * x[t] + (1 - decay) * rest``, fire, reset.

    rho is *gain*, times ``1 - decay`` where *decay_input*; *rest* is what the membrane leaks to (SpikingJelly: to
    v_reset).
    """

    name: ClassVar = "lif"
    closed: ClassVar = False

    @property
    def remains(self) -> float:
        """The decay."""
        return self.decay

    def integrated(self, step: Step) -> Expression:
        """See the class."""
        return self.leaked(step.states["v"], step.x)


@dataclass(frozen=True, kw_only=True)
class IF(Spiking, Rated):
    """Integrate-and-fire: ``h[t] = v[t-1] + x[t]``, fire, reset."""

    name: ClassVar = "if"

    @property
    def remains(self) -> float:
        """All."""
        return 1.0

    @property
    def rho(self) -> float:
        """All."""
        return 1.0

    def integrated(self, step: Step) -> Expression:
        """See the class."""
        return step.states["v"] + step.x


@dataclass(frozen=True, kw_only=True)
class RefractoryLIF(Spiking, Leak):
    """A leaky neuron that neither integrates nor fires in the *period* steps after a spike (Norse's LIFRefrac).

    Its potential stays where the reset left it, and the input of those steps is lost.  The gradient takes the times
    of silence as given.  ``ready`` is 1 in all other steps.
    """

    name: ClassVar = "refractory_lif"
    results: ClassVar = (*Spiking.results, "ready")

    period: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(1 <= self.period <= 2048, "period", "between 1 and 2048")
        self.require(self.reset_time == "immediate", "reset_time", "immediate where there is a refractory period")

    @classmethod
    def format_of(cls, suffix: str) -> str:
        """``ready`` is a bit."""
        return "spike" if suffix == "ready" else super().format_of(suffix)

    def carried(self) -> dict[str, Carried]:
        """The potential, and the steps to wait."""
        return {**super().carried(), "wait": Carried(differentiable=False)}

    def integrated(self, step: Step) -> Expression:
        """As ever in steps that are ready, else the potential as it was."""
        v = step.states["v"]
        return where(self._ready(step), self.leaked(v, step.x), v)

    def charge(self, step: Step) -> dict[str, Expression]:
        """Besides h, whether this step integrates."""
        return {**super().charge(step), "ready": self._ready(step)}

    def fire(self, step: Step, charged: Values) -> None:
        """After a spike the waiting begins."""
        super().fire(step, charged)
        waited = maximum(step.states["wait"] - 1.0, 0.0)
        step.next["wait"] = where(step.results[""], float(self.period), waited)

    def fires(self, step: Step, charged: Values) -> Expression:
        """Only where it is ready."""
        return where(charged["ready"], super().fires(step, charged), 0.0)

    def slope(self, step: Step, charged: Values, distance: Expression) -> Expression:
        """Nothing where it is not ready."""
        return where(charged["ready"], super().slope(step, charged, distance), 0.0)

    def _ready(self, step: Step) -> Expression:
        return step.tape["ready"] if "ready" in step.tape else step.states["wait"] <= 0.0
