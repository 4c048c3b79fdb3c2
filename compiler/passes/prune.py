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
    wanted = set(procedure.results)
    regions: list[Region] = []
    for region in reversed(procedure.regions):
        kept: list[Node] = []
        for node in reversed(region.nodes):
            results = tuple(name if name in wanted or name in variables else "" for name in node.results)
            if any(results):
                inner = inner_results(node)
                results = tuple(
                    made or (name if name in inner else "") for made, name in zip(results, node.results, strict=True)
                )
                wanted.update(node.operands)
                kept.append(replace(node, results=results))
        if kept:
            regions.append(Region(region.sweep, tuple(reversed(kept))))
    return replace(procedure, regions=tuple(reversed(regions)))
