"""From a network of snnc to the graph that peers read."""

from __future__ import annotations

from typing import Any, cast

from snnc.compiler.ir.graph import Network, Setting
from snnc.compiler.passes.input_coding import code_inputs
from snnc.compiler.passes.training_options import TrainingOptions

from .peers.graph import Graph, Node, Value
from .peers.torch_rules import RULES


def graph_of(network: Network, options: TrainingOptions) -> Graph:
    """*network*, with its input coded as *options* say, and what else of the options changes what is computed.

    ValueError where it has several inputs or results, a rule that no peer knows, or layers that are frozen.
    """
    if options.the_rule.name not in ("bptt", *RULES):
        known = ", ".join(("bptt", *RULES))
        raise ValueError(f"{network.name}: peers train with {known}, not with {options.the_rule.name}")
    if options.freeze:
        raise ValueError(f"{network.name}: peers train every layer, also {options.freeze[0]}")
    if options.the_rule.silent(network):
        raise ValueError(f"{network.name}: peers let every layer of neurons spike")
    if len(network.ports) != 1 or len(network.results) != 1:
        raise ValueError(f"{network.name}: peers have one input and one result")
    coded = code_inputs(network, options.coding)
    values = {
        name: Value(type.shape, type.timed, type.batched, type.weight) for name, type in coded.types.items() if name
    }
    nodes = tuple(
        Node(node.op, node.results, node.operands, {key: _plain(value) for key, value in node.settings.items()})
        for node in coded.nodes
    )
    return Graph(
        network.name,
        coded.steps,
        coded.ports[0].name,
        nodes,
        values,
        coded.results[0],
        call_of(options.loss),
        call_of(options.optimizer),
        call_of(options.clip),
        call_of(options.rule),
    )


def call_of(setting: Setting) -> dict[str, Any]:
    """A call, also one without settings, which is written as its name alone."""
    found = _plain(setting)
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {"name": found}


def _plain(setting: Setting) -> Any:
    """A setting as JSON has it: a call is an object with a name, other tuples are lists."""
    match setting:
        case (str(name), *given):
            return {"name": name, **{key: _plain(value) for key, value in cast("list[tuple[str, Setting]]", given)}}
        case tuple():
            return [_plain(part) for part in setting]
        case _:
            return setting
