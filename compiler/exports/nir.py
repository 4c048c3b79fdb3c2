"""NIR files, which `_nir_network.py` writes: what that takes is imported when it is asked to, not for a list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .export import Export, Options, Written

if TYPE_CHECKING:
    from ..frontends.frontend import Array
    from ..ir.graph import Network


def write(network: Network, parameters: Mapping[str, Array], options: Options) -> Written:
    """See `_nir_network.write`."""
    from ._nir_network import write

    return write(network, parameters, options)


export = Export("NIR, the neuromorphic intermediate representation", ".nir", write)
