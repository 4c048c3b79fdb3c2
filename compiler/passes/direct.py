"""Errors that come straight to the spikes of hidden layers, without passing the layers between them and the result.

The matrix of a layer stands where the weight of a linear layer from its spikes to the result would: that layer's input
gradient takes an error back through it (multiply-adds of the BP engine), its weight gradient compares the answers with
the noise (sums of outer products, of the WG engine).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ...source import Faults
from ..ir.graph import Network, Node, Phase, Setting, Variable
from ..ir.types import Type
from ..ops.contracted import Contracted, weight_type
from ..ops.feedback import Answers, FeedbackUpdate, Noise, SinglePoint
from ..ops.op import OPS, WORKING, called
from ..ops.spiking import Spiking
from ..training.rule import Feedback, Rule, reached
from .disturbed import settings_of
from .training_options import TrainingOptions

ANSWERS, VALUE = "loss.answers", "loss.value"
"""The answers of valid samples, and the loss of a step."""


def stopped(node: Node, layers: Collection[str]) -> set[str]:
    """Operands of *node* into which no error passes back: what weights read, and the spikes of hidden *layers*."""
    read = set(node.operands[:1]) if issubclass(OPS[node.op], Contracted) else set[str]()
    return read | (set(node.operands) & set(layers))


def hidden_layers(nodes: Sequence[Node], parameters: Sequence[Node], result: str) -> tuple[str, ...]:
    """Spikes that weights read on their way to the *result* of the same time step, and behind which something learns.

    What learns is not behind other such spikes, whose errors are nearer.
    """
    read = set(_read_by_weights(nodes, result))
    passing = [
        Node(node.results, node.op, tuple(name for name in node.operands if name not in stopped(node, read)))
        for node in nodes
        if node.op != "delay"
    ]
    behind = reached({name for node in parameters for name in node.results}, passing)
    return tuple(node.results[0] for node in nodes if node.results[0] in read & behind)


def _read_by_weights(nodes: Sequence[Node], result: str) -> Iterator[str]:
    """Spikes between which and a weight that leads to *result* in the same time step there is no other neuron."""
    makers = {name: node for node in nodes for name in node.results}
    waiting, seen = [(result, False)], set[tuple[str, bool]]()
    while waiting:
        value, weighed = waiting.pop()
        node = makers.get(value)
        if node is None or node.op == "delay" or (value, weighed) in seen:
            continue
        seen.add((value, weighed))
        kind = OPS[node.op]
        if issubclass(kind, Spiking):
            if weighed:
                yield value
            weighed = False
        for number, operand in enumerate(node.operands):
            waiting.append((operand, weighed or (number == 0 and issubclass(kind, Contracted))))


def check_feedback(network: Network, rule: Rule, options: TrainingOptions, faults: Faults) -> None:
    """A fault where matrices follow in each step, and the host may have the whole batch undone."""
    match rule.direct:
        case Feedback(momentum=float(), update="step") if options.dynamic:
            told = f"{rule.name} changes its matrices in each step, and a dynamic loss scale skips whole batches"
            hints = "loss_scale = 1024.0", f"rule = {rule.name}(feedback_update=batch)"
            faults.add(options.place(network, "loss_scale"), told, hints=hints)
        case _:
            pass


@dataclass(frozen=True)
class Direct:
    """Errors that come straight to the spikes of *nodes*, from the error of *result* or from the loss of a step."""

    rule: Rule
    nodes: Sequence[Node]
    types: Mapping[str, Type]
    result: str
    steps: int

    @property
    def feedback(self) -> Feedback | None:
        """What the matrices are, where there are any."""
        return self.rule.direct if isinstance(self.rule.direct, Feedback) else None

    @property
    def learned(self) -> bool:
        """Whether the matrices follow what the noise tells."""
        return bool(self.nodes) and self.feedback is not None and self.feedback.momentum is not None

    @property
    def in_steps(self) -> bool:
        """Whether they do so in each step."""
        return self.feedback is not None and self.feedback.update == "step"

    @property
    def by_signs(self) -> bool:
        """Whether the noise is signs."""
        return self.rule.disturbance is not None and self.rule.disturbance.drawn.noise == "rademacher"

    @property
    def names(self) -> dict[str, str]:
        """Every name that is made for this, with what it is."""
        found: dict[str, str] = {}
        if self.learned:
            found |= dict.fromkeys(_with_sums(ANSWERS), "the answer that noise is compared with")
        if self.rule.direct == "loss":
            found[VALUE] = "the loss of a step"
        for node in self.nodes:
            (layer, *_) = node.results
            name = feedback_of(layer)
            if self.feedback is not None:
                told = f"the matrix through which errors come to {layer}"
                found |= dict.fromkeys((*_with_sums(name), f"{name}.master") if self.learned else (name,), told)
            if self.rule.disturbance is not None:
                found[noise_of(layer)] = f"the noise of {layer}"
                found[f"{layer}.noisy"] = f"{layer} with noise"
        return found

    def variables(self) -> Iterator[Variable]:
        """The matrices, which last: in the working format, and those that learn in f32 too."""
        if self.feedback is not None:
            for node in self.nodes:
                for name, type in self._matrix(node):
                    yield Variable(name, type, "feedback", node.layer)

    def init(self) -> Iterator[Node]:
        """They are drawn as `Feedback.init` says."""
        if self.feedback is not None:
            word, settings = called(self.feedback.init)
            for node in self.nodes:
                names, types = zip(*self._matrix(node), strict=True)
                yield Node(names, word, (), settings, types, node.layer, "UP", node.place)

    def errors(self, error: str) -> Iterator[tuple[str, Node]]:
        """Each layer's spikes with the node that makes their error of that of the result, or of `VALUE`."""
        for node in self.nodes:
            name = node.results[0]
            if self.feedback is not None:
                yield name, self._linear(node, "d_x", (error, feedback_of(name)), "BP")
            else:
                disturbance = self.rule.disturbance
                assert disturbance is not None, f"{self.rule.name} has no noise to tell an error by"
                settings = settings_of(disturbance.drawn)
                yield name, Node((), SinglePoint.name, (VALUE,), settings, (), node.layer, "BP", node.place)

    def compared(self) -> Iterator[Node]:
        """In every step: answers times noise, summed over samples; the matrices follow at once, or sums over time."""
        if not self.learned:
            return
        y = self.types[self.result]
        yield Node((ANSWERS,), Answers.name, (self.result,), {}, (y.with_(format=WORKING, scale=1.0),), "loss", "WG")
        if self.by_signs:
            alone = replace(self._linear(self.nodes[0], "d_b", (ANSWERS,), "WG"), layer="loss")
            yield from self._summed(f"{ANSWERS}.sum", alone, Type("f32", y.axes))
        for node in self.nodes:
            name = feedback_of(node.results[0])
            _, (_, type) = self._matrix(node)
            drawn = self._noise(node)
            yield drawn
            products = self._linear(node, "d_w", (drawn.results[0], ANSWERS), "WG")
            yield from self._summed(f"{name}.sum", products, type)
            if self.in_steps:
                yield self._update(node)

    def updates(self) -> Iterator[Node]:
        """Once, where the matrices follow after a batch."""
        if self.learned and not self.in_steps:
            yield from map(self._update, self.nodes)

    def _update(self, node: Node) -> Node:
        """The matrix follows."""
        assert self.feedback is not None and self.feedback.momentum is not None
        (name, type), (master, of) = self._matrix(node)
        reads = (master, f"{name}.sum", *([f"{ANSWERS}.sum"] if self.by_signs else []))
        factor = self.feedback.factor / (1 if self.in_steps else self.steps)
        settings: dict[str, Setting] = {"momentum": self.feedback.momentum, "factor": factor}
        return Node((name, master), FeedbackUpdate.name, reads, settings, (type, of), node.layer, "UP", node.place)

    def _matrix(self, node: Node) -> list[tuple[str, Type]]:
        """Name and type of a layer's matrix, and of its copy in f32 where it learns."""
        name = feedback_of(node.results[0])
        (classes,) = self.types[self.result].factors
        type = weight_type(WORKING, ((classes,), *((extent,) for extent in node.types[0].factors)))
        both = [(name, type), (f"{name}.master", type.with_(format="f32"))]
        return both if self.learned else both[:1]

    def _noise(self, node: Node) -> Node:
        """The noise of the layer of *node* once more."""
        disturbance = self.rule.disturbance
        assert disturbance is not None, f"{self.rule.name} has no noise to compare the answers with"
        settings = settings_of(disturbance.drawn)
        types = (Noise.make(settings).noise_type(node.types[0]),)
        return Node((noise_of(node.results[0]),), Noise.name, (), settings, types, node.layer, "WG", node.place)

    def _linear(self, node: Node, facet: str, operands: tuple[str, ...], phase: Phase) -> Node:
        """A gradient of the linear layer that would lead from the spikes straight to the result."""
        (classes,) = self.types[self.result].factors
        settings: dict[str, Setting] = {"out": classes, "bias": False}
        return Node((), f"linear.{facet}", operands, settings, (), node.layer, phase, node.place)

    def _summed(self, name: str, node: Node, type: Type) -> Iterator[Node]:
        """The sums that *node* makes in each step; added up in f32 where the matrices wait for the last."""
        each = name if self.in_steps else f"{name}.steps"
        yield replace(node, results=(each,), types=(type.with_(timed=True),))
        if not self.in_steps:
            yield Node((name,), "time_sum", (each,), {}, (type,), node.layer, "WG", node.place)


def _with_sums(name: str) -> tuple[str, ...]:
    """A name with those of the sums that are made beside it."""
    return name, f"{name}.sum", f"{name}.sum.steps"


def noise_of(layer: str) -> str:
    """What the noise of a layer's spikes is called."""
    return f"{layer}.noise"


def feedback_of(layer: str) -> str:
    """What the matrix of a layer's spikes is called."""
    return f"{layer}.feedback"
