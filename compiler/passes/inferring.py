"""The way there of entry ``infer``: nodes that behave otherwise outside of training take their facet for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from ..ir.graph import Node
from ..ir.types import Type
from ..ops.op import OPS, alias_of
from ..ops.rate import Rate


def inferring(
    nodes: Sequence[Node], types: Mapping[str, Type], result: str, steps: int = 1
) -> tuple[list[Node], str, Type]:
    """The nodes of ``infer``, and name and type of what *result* is there; means are taken over so many *steps*.

    Where the facet of a node is nothing but another name for an operand, the operand takes the place of the result.
    """
    known, names = dict(types), {name: name for name in types}
    found: list[Node] = []
    for _ in range(2):  # what a delay reads further on has its type and name only after the first time
        found = list(_rewritten(nodes, types, known, names, steps))
    return found, names[result], known[names[result]]


def _rewritten(
    nodes: Sequence[Node], types: Mapping[str, Type], known: dict[str, Type], names: dict[str, str], steps: int
) -> Iterator[Node]:
    """The nodes of ``infer``; *known* types and *names* of values follow.

    What is of another type there, or another view of another value, lies elsewhere in memory: ``NAME.infer``.
    """
    for before in nodes:
        node = before
        op, operands = OPS[node.op].make(node.settings), tuple(names[name] for name in node.operands)
        if op.inference and op.inference in op.aliases:
            names[node.results[0]] = operands[op.aliases[op.inference]]
            continue
        read = [known[name] for name in operands]
        made = (Rate.type_of(read[0], steps),) if isinstance(op, Rate) else op.inferring(*read)
        node = replace(node, operands=operands, types=made)
        if op.inference:
            results = (node.results[0], *("" for _ in node.results[1:]))
            node = replace(node, results=results, op=f"{node.op}.{op.inference}")
        elsewhere = node.types != tuple(types[name] for name in before.results)
        if elsewhere or (alias_of(node) is not None and node.operands != before.operands):
            node = replace(node, results=tuple(name and f"{name}.infer" for name in node.results))
        names.update((old, new) for old, new in zip(before.results, node.results, strict=True) if new)
        known.update(zip(node.results, node.types, strict=True))
        yield node
