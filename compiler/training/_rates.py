"""What a rule that trains on rates can train: neurons whose spikes follow their input, and means that layers keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ...source import Fault
from ..ir.cycles import clusters
from ..ir.graph import Network
from ..ops.contracted import Contracted
from ..ops.dropout import Dropout
from ..ops.neuron import Neuron
from ..ops.norms import BatchNorm
from ..ops.op import OPS, Op
from ..ops.rated import Rated
from ..ops.scale import Scale
from ..ops.spiking import Spiking
from ._traces import LINEAR
from .rule import Reasons, differentiable, reached

Hints = tuple[str, ...]
Why = tuple[str, Hints]
"""What stands in the way of an error, with hints."""

_BY_STEPS = ("rule = dsr(form=step), whose errors pass these layers step by step",)
_BY_BPTT = ("rule = bptt, whose errors pass these layers step by step",)
BROUGHT_BACK = "a rate is that of an input which stays, and delay brings back what was"


def rated(network: Network, collapsed: bool) -> Reasons:
    """Why errors of rates cannot pass a network; *collapsed* asks that means pass its layers too."""

    def layer(op: Op) -> Why | None:
        return _further(without_mean(op), _BY_STEPS) if collapsed else None

    delay = BROUGHT_BACK, ("rule = spide, under which rates come to an equilibrium",)
    return (*differentiable(network), *by_means(network, _neuron, layer, delay))


def settles(network: Network) -> Reasons:
    """Why errors cannot come to an equilibrium in a network in which rates do: `rated` where delays may feed back."""

    def neuron(op: Spiking) -> Why | None:
        return _neuron(op) or _learned(op)

    def layer(op: Op) -> Why | None:
        return _further(without_mean(op), _BY_BPTT)

    return (*differentiable(network), *by_means(network, neuron, layer, None), *_rings(network))


def _rings(network: Network) -> Iterator[Fault]:
    """What comes back to itself without a neuron on its way, which would bound it."""
    layers = [node for node in network.nodes if node.op != "parameter" and not issubclass(OPS[node.op], Neuron)]
    for cluster in clusters(layers):
        if any(node.op == "delay" and node.results[0] in node.operands for node in cluster) or len(cluster) > 1:
            delay = next(node for node in cluster if node.op == "delay")
            yield Fault(delay.place, f"{delay.results[0]}: comes back to itself, and no neuron on its way bounds it")


def by_means(
    network: Network,
    neuron: Callable[[Spiking], Why | None],
    layer: Callable[[Op], Why | None],
    delay: Why | None,
) -> Iterator[Fault]:
    """What stands in the way of an error, node by node; what does not change with time is its own mean.

    *neuron* and *layer* tell of what spikes and of all else, *delay* of every delay (None: it changes no mean).
    """
    nodes = [node for node in network.nodes if node.op != "parameter"]
    parameters = [name for node in network.nodes if node.op == "parameter" for name in node.results]
    trained = reached(parameters, nodes)
    for node in nodes:
        op = OPS[node.op].make(node.settings)
        if not node.types[0].timed or trained.isdisjoint(node.operands):
            continue
        why = delay if node.op == "delay" else neuron(op) if isinstance(op, Spiking) else layer(op)
        if why is not None:
            message, hints = why
            yield Fault(node.place, f"{node.results[0]}: {message}", hints=hints)


def _further(why: Why | None, hints: Hints) -> Why | None:
    """*why* with further *hints*."""
    return None if why is None else (why[0], (*why[1], *hints))


def _neuron(op: Spiking) -> Why | None:
    if not isinstance(op, Rated):
        return f"the rate of {op.name} is not defined, that of lif and if is", ()
    found = op.unrated()
    return None if found is None else (f"its rate does not follow its input: {found[0]}", (found[1],))


def _learned(op: Neuron) -> Why | None:
    if not op.learned():
        return None
    return "its threshold would learn from the mean of its input, which is not kept", ("learn_threshold=none",)


def keeps_means(op: Op) -> bool:
    """Whether the mean of what a layer makes is what it makes of means."""
    return without_mean(op) is None


def without_mean(op: Op) -> Why | None:
    """Why the mean of the result is not what the layer makes of the means of its operands, as parameters stay."""
    if isinstance(op, BatchNorm) and not op.frozen:
        return "the gradient of batch_norm reads each step, not the mean over time", ()
    if isinstance(op, Dropout) and op.mask == "step":
        return "dropout(mask=step) leaves out other elements in each step", ("mask=batch",)
    if isinstance(op, Scale) and op.each == "step":
        return "scale(each=step) has another factor in each step", ()
    if isinstance(op, BatchNorm) and op.scope == "separate":
        return "batch_norm(scope=separate) has other statistics in each step", ()
    if isinstance(op, Contracted | Scale | BatchNorm) or (op.name in LINEAR and op.name != "delay"):
        return None
    return f"the mean of {op.name} over time is not {op.name} of the mean", ()
