"""Input coding as a rewrite of the network: Poisson coding puts a `poisson` node behind every port."""

from __future__ import annotations

from dataclasses import replace

from ...source import SourceError
from ..ir.graph import Network, Node
from ..ops.coding import Poisson
from ..ops.op import OPS, ShapeFault
from .reserved import check_coded


def code_inputs(network: Network, coding: str) -> Network:
    """*network* with its images coded: ``direct`` leaves it alone; ``poisson`` draws spikes from static ports."""
    if coding == "direct":
        return network
    coded = {port.name: f"{port.name}.spikes" for port in network.ports if not port.type.timed}
    check_coded(network, coded, coding)
    known = network.types
    nodes: list[Node] = []
    for port in network.ports:
        if port.name in coded:
            spikes = Poisson().infer(port.type)
            nodes.append(Node((coded[port.name],), "poisson", (port.name,), {}, spikes, port.name, place=port.place))
    for node in network.nodes:
        nodes.append(replace(node, operands=tuple(coded.get(name, name) for name in node.operands)))
    for place, node in enumerate(nodes):
        if node.op != "parameter":
            try:
                types = OPS[node.op].make(node.settings).infer(*(known[name] for name in node.operands))
            except ShapeFault as fault:
                raise SourceError.at(node.place, f"with {coding} coding, {fault.message}") from fault
            nodes[place] = node = replace(node, types=types)
        known.update(zip(node.results, node.types, strict=True))
    return replace(network, nodes=tuple(nodes))
