"""What a learning rule answers.

All rules share one builder, `passes.differentiate`; a rule is a file that holds its answers: ``rule = Rule(...)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ...catalog import Catalog
from ...source import Fault
from ..ir.graph import Network, Node
from ..ops.op import OPS

Reasons = tuple[Fault, ...]
"""Why a rule cannot train a network, each with the place of the node that stands in the way."""


def reached(sources: Iterable[str], nodes: Sequence[Node]) -> set[str]:
    """*sources* and the first results of all nodes that one of them leads to, cycles through a delay included."""
    readers: dict[str, list[Node]] = {}
    for node in nodes:
        for name in node.operands:
            readers.setdefault(name, []).append(node)
    found, waiting = set(sources), list(sources)
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


def untraced(network: Network) -> Mapping[str, float]:
    """No value has a trace."""
    return {}


@dataclass(frozen=True)
class Rule:
    """A learning rule by its answers.  A rule that needs another answer adds it here and to the builder.

    * *carry*: whether the gradient of a neuron's state travels to the step before (``full``) or is cut (``none``);
    * *error*: where a layer's error comes from: the transposed weights of the layers that read it;
    * *traces*: left operand of the weight gradient: the data that the layer read in that step or, of the values that
      this names with a decay, their trace ``a[t] = decay * a[t-1] + x[t]``;
    * *gate*: what the error of spikes is multiplied by: the surrogate derivative at the membrane;
    * *tape*: what the backward pass finds again: each operator's own choice (`Adjoint.reads`);
    * *template*: steps upwards and then downwards, or a single sweep in which errors follow at once;
    * *update*: when parameters change: once, after the last step of a batch;
    * *state*: what it keeps from entry to entry beside parameters and optimizer;
    * *admits*: why it cannot train a network (nothing: it can).

    Today the builder tells apart the answers to *carry*, *traces* and *template* and asks *admits*; the others have the
    one answer that `bptt` gives, and stand here so that the next rule has a place to differ.
    """

    title: str
    source: str
    carry: Literal["full", "none"] = "full"
    error: Literal["transposed_weights"] = "transposed_weights"
    traces: Callable[[Network], Mapping[str, float]] = untraced
    gate: Literal["surrogate"] = "surrogate"
    tape: Literal["operator"] = "operator"
    template: Literal["up_down", "up"] = "up_down"
    update: Literal["batch"] = "batch"
    state: tuple[str, ...] = ()
    admits: Callable[[Network], Reasons] = differentiable


RULES: Catalog[Rule] = Catalog(__package__ or "", "rule")
"""Every rule by its file name."""
