"""What nobody reads is not computed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from ..ir.graph import Node, Procedure, Region
from ..ops.op import inner_results


def prune(procedure: Procedure, variables: Collection[str]) -> Procedure:
    """*procedure* without nodes whose results nobody reads; single results that nobody reads get the name "".

    Read are the results of the procedure, and what the nodes that stay read, also of their own; a node that writes a
    variable stays.
    """
    wanted = _wanted(procedure, variables)
    regions: list[Region] = []
    for region in procedure.regions:
        kept: list[Node] = []
        for node in region.nodes:
            results = tuple(name if name in wanted or name in variables else "" for name in node.results)
            if any(results):
                inner = inner_results(node)
                both = zip(results, node.results, strict=True)
                kept.append(
                    replace(node, results=tuple(made or (name if name in inner else "") for made, name in both))
                )
        if kept:
            regions.append(replace(region, nodes=tuple(kept)))
    return replace(procedure, regions=tuple(regions))


def _wanted(procedure: Procedure, variables: Collection[str]) -> set[str]:
    """Every name that is read, for the sake of a result or of a variable; a cycle may read what is made after it."""
    makers: dict[str, Node] = {}
    waiting = list(procedure.results)
    for node in procedure.nodes:
        makers.update(dict.fromkeys(node.results, node))
        if any(name in variables for name in node.results):
            waiting += node.operands
    wanted: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting += makers[name].operands if name in makers else ()
    return wanted
