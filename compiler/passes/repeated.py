"""An image that stays the same, as frameworks train on it: repeated over all time steps, in front of the first layer.

The compiler makes the current of such an image once; the examples of SpikingJelly and snnTorch make it in every step.
"""

from __future__ import annotations

from dataclasses import replace

from ..ir.graph import Network, Node
from ..ops.op import OPS


def repeated(network: Network) -> Network:
    """*network* with ports, and so all values, that have a content of their own in every step."""
    ports = tuple(replace(port, type=port.type.with_(timed=True)) for port in network.ports)
    known = {port.name: port.type for port in ports}
    nodes: list[Node] = []
    for node in network.nodes:
        if node.op != "parameter":
            types = OPS[node.op].make(node.settings).infer(*(known[name] for name in node.operands))
            node = replace(node, types=types)
        known.update(zip(node.results, node.types, strict=True))
        nodes.append(node)
    return replace(network, ports=ports, nodes=tuple(nodes))
