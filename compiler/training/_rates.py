"""What a rule that trains on rates can train: neurons whose spikes follow their input, and means that layers keep."""

from __future__ import annotations

from collections.abc import Iterator

from ...source import Fault
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


def rated(network: Network, collapsed: bool) -> Reasons:
    """Why errors of rates cannot pass a network; *collapsed* asks that means pass its layers too."""
    return (*differentiable(network), *_found(network, collapsed))


def _found(network: Network, collapsed: bool) -> Iterator[Fault]:
    """What stands in the way of an error, node by node; what does not change with time is its own mean."""
    nodes = [node for node in network.nodes if node.op != "parameter"]
    parameters = [name for node in network.nodes if node.op == "parameter" for name in node.results]
    trained = reached(parameters, nodes)
    for node in nodes:
        op = OPS[node.op].make(node.settings)
        if not node.types[0].timed or trained.isdisjoint(node.operands):
            continue
        if isinstance(op, Neuron):
            why = _neuron(op, collapsed)
        elif node.op == "delay":
            why = "a rate is that of an input which stays, and delay brings back what was", ()
        else:
            why = _layer(op) if collapsed else None
        if why is not None:
            message, hints = why
            yield Fault(node.place, f"{node.results[0]}: {message}", hints=hints)


_BY_STEPS = ("rule = dsr(form=step), whose errors pass these layers step by step",)


def _neuron(op: Neuron, collapsed: bool) -> tuple[str, tuple[str, ...]] | None:
    if isinstance(op, Rated):
        found = op.unrated()
        return None if found is None else (f"its rate does not follow its input: {found[0]}", (found[1],))
    if isinstance(op, Spiking):
        return f"the rate of {op.name} is not defined, that of lif and if is", ()
    return (f"the mean of {op.name} over time is not {op.name} of the mean", _BY_STEPS) if collapsed else None


def _layer(op: Op) -> tuple[str, tuple[str, ...]] | None:
    """Why the mean of the result is not what the layer makes of the means of its operands, as parameters stay."""
    if isinstance(op, BatchNorm) and not op.frozen:
        return "the gradient of batch_norm reads each step, not the mean over time", _BY_STEPS
    if isinstance(op, Dropout) and op.mask == "step":
        return "dropout(mask=step) leaves out other elements in each step", ("mask=batch", *_BY_STEPS)
    if isinstance(op, Scale) and op.each == "step":
        return "scale(each=step) has another factor in each step", _BY_STEPS
    if isinstance(op, BatchNorm) and op.scope == "separate":
        return "batch_norm(scope=separate) has other statistics in each step", _BY_STEPS
    if isinstance(op, Contracted | Scale | BatchNorm) or op.name in LINEAR:
        return None
    return f"the mean of {op.name} over time is not {op.name} of the mean", _BY_STEPS
