"""From the graph of a NIR file to the order in which its nodes are read: subgraphs inlined, cycles cut, faults told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

from ...catalog import unknown
from ._building import Builder
from ._nir_file import Edge, Written, WrittenGraph

INPUT, OUTPUT, PASS, DELAY = "Input", "Output", "", "Delay"
"""Kinds that say where values come in and go out; an inlined subgraph's ends pass on what they get."""

SPIKING = frozenset({"LIF", "IF", "CubaLIF", "Threshold"})
STATEFUL = SPIKING | {"LI", "I", "CubaLI"}

Remembers = Callable[[Written], bool]


@dataclass(frozen=True)
class Wiring:
    """Nodes in an order in which all they read is made before, but for what lies in the step before.

    *sources* are what each node sums, in the order of the edges; *delayed* are edges that close a cycle, so that their
    end reads the step before, and *late* those that lead into a Delay which closes one itself.
    """

    nodes: Mapping[str, Written]
    sources: Mapping[str, tuple[str, ...]]
    delayed: frozenset[Edge]
    late: frozenset[Edge]


def wired(graph: WrittenGraph, builder: Builder, remembers: Remembers) -> Wiring:
    """Everything of *graph* on which an output depends.  *remembers* tells the Delay nodes of at least one step."""
    inlining = _Inlining(builder)
    inlining.take(graph, "")
    nodes, edges = inlining.nodes, list(inlining.edges)
    _open_ends(nodes, edges, builder)
    edges = _without_outside(nodes, edges, builder)
    needed = _reaching([name for name, node in nodes.items() if node.kind == OUTPUT], edges)
    if inlining.excused:  # what is wrong elsewhere is told, too
        needed = set(nodes)
    targets = {target for _, target in edges}
    for name, node in nodes.items():
        place = builder.place(name)
        if name not in needed and node.kind != PASS:
            builder.note("warning", place, f"no output depends on this {node.kind}; it is left out")
        elif name not in targets and node.kind != INPUT and name not in inlining.excused:
            builder.fault(place, f"nothing leads into this {node.kind or 'end of a subgraph'}")
    nodes = {name: node for name, node in nodes.items() if name in needed}
    edges = [edge for edge in edges if set(edge) <= needed]
    delayed, late = cuts(nodes, edges, remembers)
    sources: dict[str, list[str]] = {name: [] for name in nodes}
    for source, target in edges:
        sources[target].append(source)
    cut = delayed | late
    order = _ordered(nodes, [edge for edge in edges if edge not in cut])
    return Wiring({name: nodes[name] for name in order}, {n: tuple(s) for n, s in sources.items()}, delayed, late)


def cuts(
    nodes: Mapping[str, Written], edges: Sequence[Edge], remembers: Remembers
) -> tuple[frozenset[Edge], frozenset[Edge]]:
    """(edges that must be delayed, edges into Delay nodes that close a cycle).

    A Delay of a step or more closes every cycle that it is in.  Other cycles lead back into the node that the inputs
    reach first, and the delay stands behind the neurons that are met first on the way back from there: what they said
    in the step before is read, through whatever lies between.  A value that others read too is not delayed for them.
    """
    closing = {name for name, node in nodes.items() if node.kind == DELAY and remembers(node)}
    cycle_of = _cycles(nodes, edges)
    late = {edge for edge in edges if edge[1] in closing and cycle_of.get(edge[1]) == cycle_of.get(edge[0], -1)}
    far = _distances(nodes, edges)
    shared = {name for name, count in Counter(source for source, _ in edges).items() if count > 1}
    order = {name: (far[name], node.kind not in SPIKING, k) for k, (name, node) in enumerate(nodes.items())}
    delayed: set[Edge] = set()
    left = [edge for edge in edges if edge not in late]
    while cycle_of := _cycles(nodes, left):
        fed = {target for source, target in left if cycle_of.get(source) != cycle_of.get(target)}
        members: dict[int, list[str]] = {}
        for name, number in cycle_of.items():
            members.setdefault(number, []).append(name)
        within: dict[int, list[Edge]] = {}
        for edge in left:
            if edge[0] in cycle_of and cycle_of[edge[0]] == cycle_of.get(edge[1]):
                within.setdefault(cycle_of[edge[0]], []).append(edge)
        for number, cycle in members.items():
            first = min(fed & set(cycle) or cycle, key=order.__getitem__)
            delayed |= _behind_neurons(first, nodes, shared, within[number])
        left = [edge for edge in left if edge not in delayed]
    return frozenset(delayed), frozenset(late)


def _behind_neurons(first: str, nodes: Mapping[str, Written], shared: Set[str], inside: Sequence[Edge]) -> set[Edge]:
    """Edges of a cycle, *inside*, over which it comes back to *first*, as early as a delay of them may stand.

    *shared* are the nodes that several others read.
    """
    found: set[Edge] = set()
    into: dict[str, list[Edge]] = {}
    for edge in inside:
        into.setdefault(edge[1], []).append(edge)
    waiting = list(into.get(first, ()))
    seen = set(waiting)
    while waiting:
        edge = waiting.pop()
        before = into.get(edge[0], [])
        if nodes[edge[0]].kind in STATEFUL or edge[0] == first or edge[0] in shared or seen & set(before):
            found.add(edge)
        else:
            waiting += before
            seen |= set(before)
    return found


class _Inlining:
    """All nodes by their full names, and edges between them; *excused* are those that lost an edge to a fault."""

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self.nodes: dict[str, Written] = {}
        self.edges: dict[Edge, None] = {}
        self.excused: set[str] = set()

    def take(self, graph: WrittenGraph, name: str) -> None:
        """The nodes and edges of *graph*, which is node *name*."""
        for node in graph.nodes.values():
            if node.inside is not None:
                self.take(node.inside, node.name)
            elif name and node.kind in (INPUT, OUTPUT):
                self.nodes[node.name] = replace(node, kind=PASS)
            else:
                self.nodes[node.name] = node
        for edge in graph.edges:
            source, target = self._end(graph, name, edge, 0), self._end(graph, name, edge, 1)
            if source is not None and target is not None:
                self.edges[source, target] = None
            self.excused |= {end for end in (source, target) if end is not None and None in (source, target)}

    def _end(self, graph: WrittenGraph, name: str, edge: Edge, number: int) -> str | None:
        """The node that an end of an edge stands for."""
        place = self.builder.place(name)
        told = f"edge {edge[0]} -> {edge[1]}"
        node = graph.nodes.get(edge[number])
        if edge[number] in graph.lost:
            return None
        if node is None:
            parts = [known for known in graph.nodes if known.startswith(f"{edge[number]}.")]
            missing = str(unknown("node", edge[number], graph.nodes))
            if parts:
                missing = f"no node is called {edge[number]!r}, but parts of it are there: {', '.join(parts)}"
            self.builder.fault(place, f"{told}: {missing}")
            return None
        if node.inside is None:
            return node.name
        kind = INPUT if number else OUTPUT
        ends = [inner.name for inner in node.inside.nodes.values() if inner.kind == kind]
        if len(ends) != 1:
            told = f"{told}: the graph {edge[number]} has {len(ends)} nodes {kind}, and one is meant"
            self.builder.fault(place, told)
            self.excused.update(ends)
            return None
        return ends[0]


def _open_ends(nodes: dict[str, Written], edges: list[Edge], builder: Builder) -> None:
    """An input before what has none, an output behind what leads nowhere, where the file has forgotten them all."""
    for kind, end, told in ((INPUT, 1, "nothing leads into it"), (OUTPUT, 0, "it leads nowhere")):
        if any(node.kind == kind for node in nodes.values()):
            continue
        open_ones = [name for name in nodes if not any(edge[end] == name for edge in edges)]
        if len(open_ones) != 1:
            builder.fault(builder.place(), f"the graph has no {kind}")
            continue
        (other,) = open_ones
        name = kind.lower()
        while name in nodes:
            name += "_"
        nodes[name] = Written(name, kind)
        edges.append((name, other) if kind == INPUT else (other, name))
        builder.note("repair", builder.place(), f"has no {kind}; one is put at {other}, as {told}")


def _without_outside(nodes: Mapping[str, Written], edges: list[Edge], builder: Builder) -> list[Edge]:
    """Edges but for those into an input, which are faults."""
    for source, target in edges:
        if nodes[target].kind == INPUT:
            builder.fault(builder.place(target), f"edge {source} -> {target}: no edge leads into an Input")
    return [edge for edge in edges if nodes[edge[1]].kind != INPUT]


def _reaching(ends: Iterable[str], edges: Sequence[Edge]) -> set[str]:
    """Everything from which a path leads to *ends*."""
    before: dict[str, list[str]] = {}
    for source, target in edges:
        before.setdefault(target, []).append(source)
    found, waiting = set(ends), list(ends)
    while waiting:
        for name in before.get(waiting.pop(), []):
            if name not in found:
                found.add(name)
                waiting.append(name)
    return found


def _distances(nodes: Mapping[str, Written], edges: Sequence[Edge]) -> dict[str, float]:
    """How many edges lie between the inputs and each node."""
    after: dict[str, list[str]] = {}
    for source, target in edges:
        after.setdefault(source, []).append(target)
    far = dict.fromkeys(nodes, float("inf"))
    front = [name for name, node in nodes.items() if node.kind == INPUT]
    far |= dict.fromkeys(front, 0.0)
    while front:
        behind: dict[str, None] = {}
        for name in front:
            for target in after.get(name, []):
                if far[target] == float("inf"):
                    far[target] = far[name] + 1.0
                    behind[target] = None
        front = list(behind)
    return far


def _cycles(nodes: Mapping[str, Written], edges: Iterable[Edge]) -> dict[str, int]:
    """The number of the cycle (strongly connected component) that each node in one is in."""
    import networkx  # takes its time

    nx: Any = networkx
    graph = nx.DiGraph()
    graph.add_nodes_from(nodes)
    graph.add_edges_from(edges)
    found: dict[str, int] = {}
    for number, members in enumerate(nx.strongly_connected_components(graph)):
        (first, *others) = members
        if others or graph.has_edge(first, first):
            found |= dict.fromkeys(members, number)
    return found


def _ordered(nodes: Mapping[str, Written], edges: Iterable[Edge]) -> list[str]:
    """Nodes in the order of data and, where that leaves a choice, of the file."""
    import networkx

    nx: Any = networkx
    place = {name: number for number, name in enumerate(nodes)}
    graph = nx.DiGraph()
    graph.add_nodes_from(nodes)
    graph.add_edges_from(edges)
    return list(nx.lexicographical_topological_sort(graph, key=place.__getitem__))
