"""Names that the training graph makes beside those of the network, and which values may therefore not have."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from ...source import Faults, Place, SourceError
from ..ir.graph import Network, Node
from .training_options import TrainingOptions
from .update import update_names

RESULTS = ("loss", "correct", "logits")
"""What a training step answers the host."""

SEED = "loss.seed"
"""The error that is the same in every step of time."""


def trace_of(value: str) -> str:
    """What the trace of *value* is called."""
    return f"{value}.trace"


def rate_of(value: str) -> str:
    """What the mean of *value* over time is called."""
    return f"{value}.rate"


def averaged_of(value: str, facet: str) -> str:
    """What the *facet* is called that tells of the mean input of the neurons that fire *value*."""
    return f"{value}.{facet}"


def check_names(
    network: Network,
    options: TrainingOptions,
    inputs: Iterable[str],
    parameters: Iterable[Node],
    beside: Mapping[str, str] = {},
) -> None:
    """SourceError for every value of *network* that is called as something else that training needs.

    *inputs* are what the host hands in beside the ports, *parameters* the nodes of those that are trained; *beside*
    tells by name what the rule makes beside the way there.
    """
    taken = dict(_taken(network, options, inputs, parameters))
    taken |= {name: f"that is {what}" for name, what in beside.items()}
    values = {name for name, _ in _named(network)}
    with Faults(SourceError) as faults:
        told: set[str] = set()
        for name, place in _named(network):
            first = name.partition(".")[0]
            called, why = name, taken.get(name, "")
            if (of := _gradient_of(name, values)) is not None:
                called, why = first, f"with {of} in the network, {name} belongs to the gradient of {of}"
            elif update_names(options, name):
                called, why = first, "with this loss_scale, or this clip, it belongs to all gradients together"
            if why and called not in told:
                told.add(called)
                faults.add(place, f"a value may not be called {called}: {why}")


def _gradient_of(name: str, values: Collection[str]) -> str | None:
    """The one of *values* whose gradient is called *name*, or makes something on its way that may be."""
    first, *parts = name.split(".")
    begins = (".".join(parts[:count]) for count in range(1, len(parts) + 1))
    return next((begin for begin in begins if begin in values), None) if first == "d" else None


def _named(network: Network) -> Iterator[tuple[str, Place]]:
    """Every value with its place; what a call makes beside what it is called for comes behind that."""
    yield from ((port.name, port.place) for port in network.ports)
    yield from ((name, node.place) for node in network.nodes for name in node.results)


def _taken(
    network: Network, options: TrainingOptions, inputs: Iterable[str], parameters: Iterable[Node]
) -> Iterator[tuple[str, str]]:
    """Every such name with what it is."""
    yield from ((name, f"that is what training answers, the {name}") for name in RESULTS)
    yield from ((name, f"that is what the host hands in beside the samples, the {name}") for name in inputs)
    yield SEED, "that is the error of the loss"
    for name, _ in _named(network):
        yield f"{name}.infer", f"that is {name} when inferring"
    optimizer = options.the_optimizer
    for node in parameters:
        (name,) = node.results
        yield f"{name}.master", f"that is the f32 copy of the parameter {name}"
        for state in optimizer.states:
            yield f"{name}.{state}", f"that is what {optimizer.name} keeps for the parameter {name}"


def check_coded(network: Network, names: Mapping[str, str], coding: str) -> None:
    """SourceError where a value is called as one of *names*, which *coding* gives to ports."""
    with Faults(SourceError) as faults:
        for name, place in _named(network):
            for port, made in names.items():
                if name == made:
                    faults.add(place, f"a value may not be called {name}: that is what {coding} coding makes of {port}")
