"""What a learning rule answers.

All rules share one builder, `passes.differentiate`; a rule is a file that holds its answers, a subclass of `Rule`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from ...catalog import ClassCatalog
from ...source import Fault
from ..ir.graph import Network, Node, Setting
from ..ir.settings import Configured, SettingFault
from ..ops.feedback import Perturb
from ..ops.op import OPS
from ..ops.settle import Solver

Reasons = tuple[Fault, ...]
"""Why a rule cannot train a network, each with the place of the node that stands in the way."""


def reached(sources: Iterable[str], nodes: Sequence[Node]) -> set[str]:
    """*sources* and the first results of all nodes that one of them leads to, cycles through a delay included."""
    readers: dict[str, list[Node]] = {}
    for node in nodes:
        for name in node.operands:
            readers.setdefault(name, []).append(node)
    found = set(sources)
    waiting = list(found)
    while waiting:
        for node in readers.get(waiting.pop(), ()):
            if node.results[0] not in found:
                found.add(node.results[0])
                waiting.append(node.results[0])
    return found


def differentiable(network: Network) -> Reasons:
    """Why an error cannot reach parameters: operators without an adjoint between them and the result."""
    further = {name: node.results[0] for node in network.nodes for name in node.results[1:]}
    passing = [node for node in network.nodes if node.op != "parameter" and OPS[node.op].adjoints]
    parameters = [name for node in network.nodes if node.op == "parameter" for name in node.results]
    trained = reached(parameters, passing)
    found: list[Fault] = []
    for node in network.nodes:
        if node.op == "parameter":
            continue
        behind = [name for name in node.operands if name in trained or further.get(name) in trained]
        if behind and not OPS[node.op].adjoints:
            told = f"{node.results[0]}: no error passes {node.op}, behind which {behind[0]} is trained"
            found.append(Fault(node.place, told))
        elif hidden := [name for name in behind if name in further]:
            found.append(Fault(node.place, f"{node.results[0]}: no error passes back into {hidden[0]}"))
    return tuple(found)


@dataclass(frozen=True)
class Disturbance:
    """What disturbs every hidden layer while training: its spikes, or (*before*) the current that makes them fire."""

    drawn: Perturb
    before: bool


@dataclass(frozen=True)
class Feedback:
    """A matrix for every hidden layer, which takes the error of the network's result straight to the layer's spikes.

    It begins as the call *init* says.  With a *momentum* it follows what the answers say to the noise, *factor* times,
    in each step before it is read, or once a batch; None leaves it as it is.
    """

    init: Setting
    momentum: float | None = None
    factor: float = 1.0
    update: Literal["step", "batch"] = "step"


@dataclass(frozen=True)
class Settling:
    """A sweep of *steps* steps of its own in which errors come to an equilibrium: see `ops.settle.Settle`.

    With *solver* = spikes, a neuron fires where the errors that it has got add up to the *threshold*, and a spike is
    *worth* so much of them.
    """

    solver: Solver
    steps: int
    threshold: float
    worth: float


@dataclass(frozen=True)
class Synapse:
    """A weight between spikes: *layer* reads the spikes *before* through *weight*, and *neuron* is moved by the sum."""

    layer: Node
    weight: str
    before: str
    neuron: Node


@dataclass(frozen=True)
class Traced:
    """What a spike leaves behind: it falls to *decay* in each step, and adds up or (not *additive*) begins anew."""

    decay: float
    additive: bool = True


@dataclass(frozen=True)
class Plasticity:
    """How weights learn from the spikes on both of their sides.

    In each step *potentiation* times the trace *before* of what the weight reads where its neuron fires, less
    *depression* times the trace *after* of what the neuron has fired where the weight reads a spike; both as
    `ops.plasticity.PlasticUpdate` says, with the bounds, *mu*, and *every* so many steps.  Without *after* nothing is
    taken away, and what fires counts by *threshold*, as `MostFired` says.  Behind a batch the weights that lead to a
    neuron are scaled to the sum *normalise* (0: left alone).
    """

    before: Traced
    after: Traced | None
    potentiation: float
    depression: float
    w_min: float
    w_max: float
    mu: float
    every: int
    threshold: int
    normalise: float


ANSWERS: Mapping[str, tuple[str, ...]] = {
    "template": ("up_down", "up"),
    "carry": ("full", "none", "rate", "count"),
    "update": ("batch", "window", "step"),
}
"""What a rule may answer to the questions that have words for an answer."""


@dataclass(frozen=True, kw_only=True)
class Rule(Configured):
    """A learning rule by its answers; its fields are its settings.

    A rule that needs another answer adds it here and to the builder.
    """

    title: ClassVar[str]
    source: ClassVar[str]
    """Where it was published."""

    needs: ClassVar[str]
    """What it needs of a network and of a loss, in a few words."""

    stores: ClassVar[str]
    """What it keeps beside parameters and optimizer, in a few words."""

    template: ClassVar[Literal["up_down", "up"]] = "up_down"
    """Steps upwards and then downwards, or a single sweep in which errors follow at once."""

    carry: ClassVar[Literal["full", "none", "rate", "count"]] = "full"
    """Whether the gradient of a neuron's state travels to the step before, or is cut; or whether none is asked of it,
    and an error passes by the rate of its spikes, which follows the mean of its input, or by their count, which follows
    that as far as it is above 0.  Where spikes are counted, statistics of batches are those of counts."""

    update: ClassVar[Literal["batch", "window", "step"]] = "batch"
    """When parameters change: once, after the last step of a batch, or behind the errors of each window or step."""

    matches: ClassVar[bool] = False
    """Whether no error passes at all, and kernels follow what their neurons would be without time."""

    implies: ClassVar[Mapping[str, Setting]] = {}
    """Options of training that follow from the rule, where nothing is said of them beside it."""

    unmoved: ClassVar[str] = "no error of the same time step reaches it"
    """Why a parameter learns nothing, where one does not."""

    instead: ClassVar[tuple[str, ...]] = ()
    """What to choose where the way back cannot run once, as hints."""

    def __init_subclass__(cls) -> None:
        """TypeError for a rule that leaves out what every rule says, or answers what is no answer."""
        super().__init_subclass__()
        if "name" not in vars(cls):
            return
        where = f"{cls.__module__}: the rule {cls.name}"
        for word in ("title", "source", "needs", "stores"):
            if not isinstance(getattr(cls, word, None), str):
                raise TypeError(f"{where} does not say its {word}")
        for word, answers in ANSWERS.items():
            if getattr(cls, word) not in answers:
                raise TypeError(f"{where} answers {word} = {getattr(cls, word)!r}; it is one of {', '.join(answers)}")

    def __post_init__(self) -> None:
        """SettingFault for a setting that is given, and means nothing beside the others."""
        known = self.settings()
        for name, beside in self.unused.items():
            if getattr(self, name) != known[name].default:
                raise SettingFault(f"{name} of {self.name} means nothing {beside}", name)

    @property
    def unused(self) -> Mapping[str, str]:
        """Settings that mean nothing beside the others, with those: ``with feedback=dfa``."""
        return {}

    @property
    def collapsed(self) -> bool:
        """Whether the way back runs once for all steps, on means over time, instead of in a sweep of its own."""
        return False

    @property
    def settling(self) -> Settling | None:
        """The sweep in which errors settle, where they come back to where they were; only for a way back that is
        `collapsed`, which then runs beside it, once, for weights."""
        return None

    def sweeps(self, steps: int) -> str:
        """The name of the time template (one of `passes.templates`) by which it goes through *steps* steps."""
        return "single_sweep" if self.template == "up" else "two_sweeps"

    def turns(self, steps: int) -> int:
        """In how many of *steps* steps errors follow and weights learn; the host chooses them, a batch at a time."""
        return steps

    def window_of(self, steps: int) -> int:
        """How many of *steps* steps are gone up, and down again, before the next so many; 0 where it is all of them."""
        return 0

    @property
    def direct(self) -> Feedback | Literal["loss"] | None:
        """Where the error of hidden spikes comes from: a matrix, the noise and the loss of the step, or (None) layers.

        Where it is direct, no error passes back into what weights read, nor into the spikes of a hidden layer.
        """
        return None

    @property
    def disturbance(self) -> Disturbance | None:
        """What is added to hidden layers, if anything is."""
        return None

    def trains(self, network: Network) -> frozenset[str] | None:
        """The parameters of *network* that it changes at all; None where it trains whatever an error reaches."""
        return None

    def silent(self, network: Network) -> frozenset[str]:
        """Neurons, by their spikes, that fire none in training: what they would fire in the mean takes its place."""
        return frozenset()

    @property
    def plasticity(self) -> Plasticity | None:
        """How weights learn without errors, if they do: then nothing passes back at all, and there is no loss."""
        return None

    def synapses(self, network: Network) -> tuple[Synapse, ...]:
        """The weights that learn so."""
        return ()

    def traces(self, network: Network) -> Mapping[str, float]:
        """Values, with a decay, in whose place a weight gradient reads ``a[t] = decay * a[t-1] + x[t]``."""
        return {}

    def admits(self, network: Network) -> Reasons:
        """Why it cannot train a network (nothing: it can)."""
        return differentiable(network)


RULES: ClassCatalog[Rule] = ClassCatalog(__package__ or "", Rule, "rule")
"""Every rule by its name."""
