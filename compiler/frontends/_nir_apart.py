"""Reading a NIR file in a process of its own, with bounded time and memory, and what it hands back.

``python -P -m snnc.compiler.frontends._nir_apart FILE RESULT`` reads FILE and writes an `.npz` archive: the arrays by
number, and a text with everything else.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from ._nir_file import MOST_BYTES, Array, Report, Written, WrittenGraph, read_file

SECONDS = 20
"""Time of the processor that a file may take, and one more second for every 16 MiB of it."""

MEMORY = 3 * MOST_BYTES
"""Addresses that the process may use: the arrays, their copy in the result, and the libraries."""

ALONE = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Threads of a linear algebra that is not needed would take addresses of their own."""

TEXT = "text"


def read_apart(path: Path) -> tuple[WrittenGraph | None, Report]:
    """The graph in the file *path*, None where there is none, and what there is to be told of it."""
    if not path.is_file():
        return None, Report([("", "cannot be read: there is no such file")])
    seconds = SECONDS + (path.stat().st_size >> 24)
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.npz"
        command = [sys.executable, "-P", "-m", __name__, str(path), str(result), str(seconds)]
        try:
            ended = subprocess.run(command, timeout=10 * seconds, capture_output=True, env={**os.environ, **ALONE})
        except subprocess.TimeoutExpired:
            ended = None
        if ended is None or ended.returncode != 0 or not result.is_file():
            told = f"reading it took more than {seconds} s or {MEMORY >> 20} MiB, or ended in the middle"
            return None, Report([("", f"is damaged: {told}")])
        with np.load(result, allow_pickle=False) as archive:
            told = json.loads(archive[TEXT].tobytes())
            graph = None if told["graph"] is None else _graph_of(told["graph"], archive)
    faults, repairs = ([(node, message) for node, message in told[kind]] for kind in ("faults", "repairs"))
    return graph, Report(faults, repairs)


def _graph_of(told: Mapping[str, Any], archive: Mapping[str, Array]) -> WrittenGraph:
    """The graph that `_told` has told."""
    nodes: dict[str, Written] = {}
    for key, (name, kind, numbers, words, inside) in told["nodes"]:
        arrays = {field: archive[number] for field, number in numbers.items()}
        nodes[key] = Written(name, kind, arrays, words, None if inside is None else _graph_of(inside, archive))
    edges = tuple((str(source), str(target)) for source, target in told["edges"])
    return WrittenGraph(nodes, edges, told["metadata"], frozenset(told["lost"]))


def _told(graph: WrittenGraph, arrays: dict[str, Array], numbers: Iterator[int]) -> dict[str, Any]:
    """*graph* in what JSON knows; its arrays go to *arrays*, each under a number."""
    nodes: list[Any] = []
    for key, node in graph.nodes.items():
        named: dict[str, str] = {}
        for field, array in node.numbers.items():
            named[field] = str(next(numbers))
            arrays[named[field]] = array
        inside = None if node.inside is None else _told(node.inside, arrays, numbers)
        nodes.append((key, (node.name, node.kind, named, node.words, inside)))
    return {"nodes": nodes, "edges": graph.edges, "metadata": graph.metadata, "lost": sorted(graph.lost)}


def _bound(seconds: int) -> None:
    """Let the system end this process when it takes too much."""
    try:
        import resource
    except ImportError:  # where there is no such thing, the time alone is bounded, by the caller
        return
    for limit, value in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, MEMORY)):
        with contextlib.suppress(ValueError, OSError):  # a system that does not know it, or allows less already
            resource.setrlimit(limit, (value, value))


def main(path: str, result: str, seconds: str) -> None:
    """See the module."""
    _bound(int(seconds))
    report = Report()
    graph = read_file(Path(path), report)
    arrays: dict[str, Array] = {}
    told = None if graph is None else _told(graph, arrays, iter(range(sys.maxsize)))
    text = json.dumps({"graph": told, "faults": report.faults, "repairs": report.repairs})
    np.savez(result, **{TEXT: np.frombuffer(text.encode(), np.uint8)}, **cast(dict[str, Any], arrays))


if __name__ == "__main__":
    main(*sys.argv[1:])
