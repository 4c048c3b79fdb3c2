"""What tests of the compiler share: modules beside them, and NIR files laid out as NIR's own library does."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports by path


h5py: Any = import_module("h5py")


def put(group: Any, fields: Mapping[str, Any]) -> None:
    """Numbers, texts and groups by name; edges are pairs, or chains such as ``a b c, b d``."""
    for name, value in fields.items():
        if isinstance(value, Mapping):
            put(group.create_group(name), cast(Mapping[str, Any], value))
        elif name == "edges":
            chains = [chain.split() for chain in value.split(",")] if isinstance(value, str) else value
            pairs = [(one.encode(), other.encode()) for chain in chains for one, other in pairwise(chain)]
            array = np.array(pairs, dtype=object).reshape(-1, 2)
            group.create_dataset(name, data=array, dtype=h5py.string_dtype())
        elif isinstance(value, str):
            group.create_dataset(name, data=value, dtype=h5py.string_dtype())
        else:
            group.create_dataset(name, data=value)


@pytest.fixture
def write_nir(tmp_path: Path) -> Callable[..., Path]:
    """`write_nir(nodes, edges, ...)`: the path of a file with this graph; see `put`."""

    def write(nodes: Mapping[str, Any], edges: Any, **more: Any) -> Path:
        path = tmp_path / "net.nir"
        with h5py.File(path, "w") as file:
            put(file, {"version": "1.0.8", "node": {"type": "NIRGraph", "nodes": nodes, "edges": edges, **more}})
        return path

    return write
