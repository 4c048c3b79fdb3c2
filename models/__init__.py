"""Networks to compile, one `.snn` file a network, and the real data to train them on."""

from __future__ import annotations

from ..catalog import FileCatalog

MODELS = FileCatalog(__name__, ".snn", "model")
"""The networks that come with snnc: `list(MODELS)` are their names."""
