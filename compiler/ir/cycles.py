"""Cycles through time: nodes of a sweep that must take each step together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .graph import Node, Region


def together(region: Region) -> tuple[tuple[Node, ...], ...]:
    """The nodes of a region in an order of data, as they take time: those of one cluster step after step together.

    In a stepwise region that is all of them.
    """
    return (region.nodes,) if region.stepwise else waiting(region)


def waiting(region: Region) -> tuple[tuple[Node, ...], ...]:
    """The nodes of a region in an order of data, those together that wait for one another in each step of time."""
    return tuple((node,) for node in region.nodes) if region.sweep == "once" else clusters(region.nodes)


def clusters(nodes: Sequence[Node]) -> tuple[tuple[Node, ...], ...]:
    """Nodes of a sweep in an order of data, those of a cycle together.

    A node reads what was made before it in the list, but for a `delay`, which may read what is made further on, and
    for variables that a node further on gives new values in each step.  Nodes that wait for one another in this way are
    one cluster (a strongly connected component), and take step after step together; all others are clusters of their
    own.  A node that reads a result of its own gives a variable new values in each step, and may do no further step
    before all others have read them.
    """
    place = {name: number for number, node in enumerate(nodes) for name in node.results if name}
    ahead = [
        (place[name], number)
        for number, node in enumerate(nodes)
        for name in node.operands
        if place.get(name, -1) > number or (place.get(name) == number and node.op.partition(".")[0] == "delay")
    ]
    changed = {number for number, node in enumerate(nodes) if not set(node.operands).isdisjoint(node.results)}
    ahead += [
        (number, place[name])
        for number, node in enumerate(nodes)
        for name in node.operands
        if place.get(name, number) != number and place[name] in changed
    ]
    if not ahead:
        return tuple((node,) for node in nodes)
    import networkx  # takes its time, and few networks have cycles

    nx: Any = networkx
    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(nodes)))
    graph.add_edges_from(ahead)
    for number, node in enumerate(nodes):
        graph.add_edges_from((place[name], number) for name in node.operands if place.get(name, number) < number)
    joined = nx.condensation(graph)
    members: dict[int, list[int]] = {key: sorted(joined.nodes[key]["members"]) for key in joined}

    def first(key: int) -> int:
        return members[key][0]

    ordered: list[int] = list(nx.lexicographical_topological_sort(joined, key=first))
    return tuple(tuple(nodes[number] for number in members[key]) for key in ordered)


def delays_first(nodes: Sequence[Node]) -> tuple[Node, ...]:
    """*nodes* in an order in which each step reads what the step before has left before it makes it anew.

    A `delay` reads nothing of its own step, so it may come before all others; of two, the one that reads the other.
    """
    delays = {node.results[0]: node for node in nodes if node.op.partition(".")[0] == "delay"}

    def behind(node: Node) -> int:
        count, seen = 0, {node.results[0]}
        while (operand := node.operands[0]) in delays and operand not in seen:
            count, node = count + 1, delays[operand]
            seen.add(operand)
        return count

    early = sorted(delays.values(), key=behind, reverse=True)
    return (*early, *(node for node in nodes if node.results[0] not in delays))
