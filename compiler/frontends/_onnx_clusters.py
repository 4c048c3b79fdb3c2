"""The insides of neurons: element-wise terms that wait for one another through the step before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import networkx as nx

from ._onnx_elements import COMPARISONS, SCALED, SHIFTED, is_bit
from ._onnx_steps import Body
from ._onnx_terms import ELEMENTWISE, Term


@dataclass(frozen=True)
class Cluster:
    """The inside of a neuron: its *members* in order, the terms that drive it, and the terms of its state."""

    members: tuple[Term, ...]
    drives: tuple[Term, ...]
    states: tuple[Term, ...]
    stateless: bool = False

    @property
    def origin(self) -> str:
        """The node of the file that it is called after: its last."""
        return self.members[-1].origin


def clusters_of(body: Body) -> list[Cluster]:
    """Every neuron that a step spells out."""
    order = [term for term in body.order() if term.value is None]
    elements = {id(term): term for term in order if term.op in ELEMENTWISE and term.op != "Dropout"}
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(elements)
    for term in elements.values():
        for arg in term.args:
            maker = body.maker(arg)
            if id(maker) in elements:
                graph.add_edge(id(maker), id(term))
    cores = [
        set(part)
        for part in nx.strongly_connected_components(graph)
        if len(part) > 1 or any(graph.has_edge(each, each) for each in part)
    ]
    readers: dict[int, list[Term]] = {}
    for term in order:
        for arg in term.args:
            readers.setdefault(id(arg), []).append(term)
    taken: set[int] = set()
    found: list[Cluster] = []
    for core in _joined(cores, elements, body):
        whole = _cluster(_grown(core, elements, body, order, readers, SCALED), order, body)
        if len(whole.drives) > 1:  # each may be scaled by a factor of its own
            whole = _cluster(_grown(core, elements, body, order, readers, ()), order, body)
        taken |= {id(member) for member in whole.members}
        found.append(whole)
    for term in order:
        if term.op in COMPARISONS and id(term) not in taken:
            members = _grown({id(term)}, elements, body, order, readers, (*SCALED, *SHIFTED))
            taken |= members
            found.append(replace(_cluster(members, order, body), stateless=True))
    return found


def _joined(cores: list[set[int]], elements: Mapping[int, Term], body: Body) -> list[set[int]]:
    """Cores one of which drives only the other through elements: a current and its membrane."""
    joined: nx.Graph[int] = nx.Graph()
    joined.add_nodes_from(range(len(cores)))
    inside = {member: number for number, core in enumerate(cores) for member in core}
    for number, core in enumerate(cores):
        joined.add_edges_from((other, number) for other in _leading(core, inside, elements, body))
    for meeting in _compared_together(inside, elements, body):
        joined.add_edges_from(pairwise(meeting))
    parts: list[set[int]] = [set(part) for part in nx.connected_components(joined)]
    return [{member for number in part for member in cores[number]} for part in parts]


def _compared_together(inside: Mapping[int, int], elements: Mapping[int, Term], body: Body) -> list[list[int]]:
    """Cores of which a sum is compared with one threshold: two currents that are a membrane.

    *inside* are the numbers of cores by their members.
    """
    found: list[list[int]] = []
    for term in elements.values():
        if term.op not in COMPARISONS or id(term) in inside:
            continue
        met: set[int] = set()
        seen: set[int] = set()
        stack = list(term.args)
        while stack:
            arg = stack.pop()
            arg = body.previous.get(id(arg), arg)
            if id(arg) in inside:
                met.add(inside[id(arg)])
            elif id(arg) in elements and id(arg) not in seen and not is_bit(arg):
                seen.add(id(arg))
                stack.extend(arg.args)
        found.append(sorted(met))
    return [meeting for meeting in found if len(meeting) > 1]


def _leading(core: set[int], inside: Mapping[int, int], elements: Mapping[int, Term], body: Body) -> Iterator[int]:
    """The numbers of other cores a value of which, that is no spike, *core* reads through nothing but a scale."""
    for member in core:
        for arg in elements[member].args:
            term = body.previous.get(id(arg), arg)
            while term.op in SCALED and id(term) not in inside and id(term) in elements:
                term = next((each for each in term.args if each.value is None), term.args[0])
                term = body.previous.get(id(term), term)
            if id(term) in inside and id(term) not in core and not is_bit(term):
                yield inside[id(term)]


def _grown(
    core: set[int],
    elements: Mapping[int, Term],
    body: Body,
    order: Sequence[Term],
    readers: Mapping[int, list[Term]],
    ahead: Sequence[str],
) -> set[int]:
    """*core* with what follows from it alone, and with operations of the kinds *ahead* that lead only to it."""
    members = set(core)
    for term in order:
        if id(term) in elements and id(term) not in members and term.op != "Relu":
            own = [body.previous.get(id(arg), arg) for arg in term.args if arg.value is None]
            if own and all(id(arg) in members for arg in own):
                members.add(id(term))
    for term in reversed(order):
        if term.op in ahead and id(term) in elements and id(term) not in members:
            alone = sum(arg.value is None for arg in term.args) == 1
            if alone and id(term) in readers and all(id(each) in members for each in readers[id(term)]):
                members.add(id(term))
    return members


def _cluster(members: set[int], order: Sequence[Term], body: Body) -> Cluster:
    inside = tuple(term for term in order if id(term) in members)
    drives: dict[int, Term] = {}
    states: dict[int, Term] = {}
    for term in inside:
        for arg in term.args:
            if id(arg) in body.previous and id(body.maker(arg)) in members:
                states[id(arg)] = arg
                before = body.previous[id(arg)]
                if id(before) in body.previous:  # what was read of the second step before is carried twice
                    states[id(before)] = before
            elif arg.value is None and id(arg) not in members:
                drives[id(arg)] = arg
    return Cluster(inside, tuple(drives.values()), tuple(states.values()))


def read_outside(term: Term, cluster: Cluster, body: Body) -> bool:
    """Whether something beside the neuron reads *term*."""
    inside = {id(member) for member in cluster.members}
    if term is body.result:
        return True
    return any(
        any(body.previous.get(id(arg), arg) is term for arg in other.args)
        for other in body.order()
        if id(other) not in inside
    )
