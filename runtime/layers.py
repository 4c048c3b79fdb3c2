"""Which layer a node of the training graph belongs to."""

from __future__ import annotations

from ..isa.program import Program


class Layers:
    """Layers by node: as the program or the symbol of that name says, else the longest dotted beginning that is one."""

    def __init__(self, program: Program) -> None:
        self._known = {symbol.layer: symbol.layer for symbol in program.symbols}
        self._known |= {symbol.name: symbol.layer for symbol in program.symbols}
        self._known |= program.layers
        self._found: dict[str, str] = {}

    def of(self, node: str) -> str:
        """The layer of *node*; empty where it has none."""
        if node not in self._found:
            self._found[node] = self._search(node)
        return self._found[node]

    def _search(self, node: str) -> str:
        parts = node.partition("#")[0].split(".")  # a node of several stages numbers them
        beginnings = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
        # Nodes of the backward pass carry a prefix (`d.c1`), so the rest is asked for where the whole is unknown.
        endings = [".".join(parts[count:]) for count in range(1, len(parts))]
        return next((self._known[name] for name in (*beginnings, *endings) if name in self._known), "")
