"""What a rule that trains on rates can train: neurons whose spikes follow their input, and means that layers keep."""

from __future__ import annotations

from collections.abc import Iterator

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

_BY_STEPS = ("rule = dsr(form=step), whose errors pass these layers step by step",)
_BY_BPTT = ("rule = bptt, whose errors pass these layers step by step",)


def rated(network: Network, collapsed: bool) -> Reasons:
    """Why errors of rates cannot pass a network; *collapsed* asks that means pass its layers too."""
    return (*differentiable(network), *_found(network, collapsed))


def settles(network: Network) -> Reasons:
    """Why errors cannot come to an equilibrium in a network in which rates do: `rated` where delays may feed back."""
    return (*differentiable(network), *_found(network, True, True, _BY_BPTT), *_rings(network))


def _rings(network: Network) -> Iterator[Fault]:
    """What comes back to itself without a neuron on its way, which would bound it."""
    layers = [node for node in network.nodes if node.op != "parameter" and not issubclass(OPS[node.op], Neuron)]
    for cluster in clusters(layers):
        if any(node.op == "delay" and node.results[0] in node.operands for node in cluster) or len(cluster) > 1:
            delay = next(node for node in cluster if node.op == "delay")
            yield Fault(delay.place, f"{delay.results[0]}: comes back to itself, and no neuron on its way bounds it")


def _found(
    network: Network, collapsed: bool, equilibrium: bool = False, by_steps: Hints = _BY_STEPS
) -> Iterator[Fault]:
    """What stands in the way of an error, node by node; what does not change with time is its own mean.

    At an *equilibrium* delays change no mean, and what passes layers step by step is another rule: *by_steps*.
    """
    nodes = [node for node in network.nodes if node.op != "parameter"]
    parameters = [name for node in network.nodes if node.op == "parameter" for name in node.results]
    trained = reached(parameters, nodes)
    for node in nodes:
        op = OPS[node.op].make(node.settings)
        if not node.types[0].timed or trained.isdisjoint(node.operands):
            continue
        if isinstance(op, Neuron):
            why = _neuron(op, collapsed, by_steps) or (_learned(op) if equilibrium else None)
        elif node.op == "delay":
            told = "a rate is that of an input which stays, and delay brings back what was"
            why = None if equilibrium else (told, ("rule = spide, under which rates come to an equilibrium",))
        else:
            why = _layer(op, by_steps) if collapsed else None
        if why is not None:
            message, hints = why
            yield Fault(node.place, f"{node.results[0]}: {message}", hints=hints)


def _neuron(op: Neuron, collapsed: bool, by_steps: Hints) -> tuple[str, Hints] | None:
    if isinstance(op, Rated):
        found = op.unrated()
        return None if found is None else (f"its rate does not follow its input: {found[0]}", (found[1],))
    if isinstance(op, Spiking):
        return f"the rate of {op.name} is not defined, that of lif and if is", ()
    return (f"the mean of {op.name} over time is not {op.name} of the mean", by_steps) if collapsed else None


def _learned(op: Neuron) -> tuple[str, Hints] | None:
    if not op.learned():
        return None
    return "its threshold would learn from the mean of its input, which is not kept", ("learn_threshold=none",)


def _layer(op: Op, by_steps: Hints) -> tuple[str, Hints] | None:
    """Why the mean of the result is not what the layer makes of the means of its operands, as parameters stay."""
    if isinstance(op, BatchNorm) and not op.frozen:
        return "the gradient of batch_norm reads each step, not the mean over time", by_steps
    if isinstance(op, Dropout) and op.mask == "step":
        return "dropout(mask=step) leaves out other elements in each step", ("mask=batch", *by_steps)
    if isinstance(op, Scale) and op.each == "step":
        return "scale(each=step) has another factor in each step", by_steps
    if isinstance(op, BatchNorm) and op.scope == "separate":
        return "batch_norm(scope=separate) has other statistics in each step", by_steps
    if isinstance(op, Contracted | Scale | BatchNorm) or op.name in LINEAR:
        return None
    return f"the mean of {op.name} over time is not {op.name} of the mean", by_steps
