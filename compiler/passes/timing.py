"""Nodes in time: whether each finds what it reads when it reads it, and which change with parameters."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from ...source import Faults, SourceError
from ..ir.cycles import clusters
from ..ir.graph import Network, Node
from ..ops.neuron import Neuron
from ..ops.op import OPS, operand_of
from ..ops.tape import MOST
from ..training.rule import Rule, reached


def check_time(network: Network, rule: Rule, steps: int, asked: str) -> None:
    """SourceError for every node that wants several steps at once, where they must be taken one after the other.

    *asked* is what messages call the rule.
    """
    window = rule.window_of(steps)
    renewed = rule.update == "step" or (bool(window) and rule.update == "window")
    passes_back = renewed and rule.plasticity is None
    nodes = [node for node in network.nodes if node.op != "parameter"]
    learned = {node.results[0] for node in network.nodes if node.op == "parameter"}
    some = rule.turns(steps) < steps
    cycles = {node.results[0]: cluster for cluster in clusters(nodes) if len(cluster) > 1 for node in cluster}
    with Faults(SourceError) as faults:
        for node in network.nodes if some else ():
            if node.op == "parameter" and node.types[0].timed:
                told = f"{node.results[0]} has words of its own in each step, and {asked} learns in some of them only"
                faults.add(node.place, told)
        for node in nodes:
            every, together = max(type.every for type in node.types), window or steps
            if together % every:
                divided = f"{steps} steps" if not window else f"a window of {window}"
                told = f"{node.results[0]} keeps states every {every} steps, which do not divide {divided}"
                fits = [str(count) for count in range(2, MOST + 1) if together % count == 0]
                faults.add(
                    node.place, f"{told}: {' or '.join(fits)} would" if fits else f"{told}; tape=auto needs none"
                )
            op = OPS[node.op].make(node.settings)
            again = op.fires_again_with if passes_back and isinstance(op, Neuron) else ()
            if changed := [role for role in again if operand_of(node, role) in learned]:
                told = f"on its way back {node.results[0]} fires the step before again with {', '.join(changed)}"
                hints = ("update = batch",) if window else ()
                faults.add(node.place, f"{told}, which {asked} has changed since", hints=hints)
            gathered = op.gathers() if node.types[0].timed or (renewed and window) else None
            if gathered is None:
                continue
            what, instead = f"{node.results[0]} {gathered[0]}", f"{gathered[1]} does not wait"
            if rule.template == "up":
                faults.add(node.place, f"{what}, and {asked} learns in each step: {instead}")
            if window and every == 1:
                faults.add(node.place, f"{what}, and {asked} sees {window} of them at a time: {instead}")
            if node.results[0] in cycles:
                delay = next(other for other in cycles[node.results[0]] if other.op == "delay")
                told = f"and its own result comes back to it through {delay.results[0]}: {instead}"
                faults.add(node.place, f"{what}, {told}")


def changing(network: Network, frozen: Collection[str] = ()) -> Network:
    """*network* where parameters change in each step of time: so does all that is made of them, but of the *frozen*.

    A node whose result does anyway says itself which of its results follow each step.
    """
    nodes = [node for node in network.nodes if node.op != "parameter"]
    first = {node.results[0] for node in network.nodes if node.op == "parameter"} - set(frozen)
    behind = reached(first, nodes)

    def retimed(node: Node) -> Node:
        if node.op == "parameter" or node.results[0] not in behind or node.types[0].timed:
            return node
        return replace(node, types=tuple(type.with_(timed=True) for type in node.types))

    return replace(network, nodes=tuple(map(retimed, network.nodes)))
