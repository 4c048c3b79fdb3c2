"""The language of this project: `.snn` text, and dumps of networks, which are written in it too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ...catalog import ClassCatalog
from ...source import Fault, Faults, Place, SourceError
from ..ir import text, values
from ..ir.graph import Network
from ..ops.op import OPS, Op
from ._elaborate import elaborate
from .frontend import Frontend, Imported, Note, Options, read_text


def read(source: Path | str, options: Options | None = None, ops: ClassCatalog[Op] = OPS) -> Network:
    """The network in the file, or in the text, *source*; raises `SourceError` with everything that is wrong."""
    written = read_text(source) if isinstance(source, Path) else source
    file = str(source) if isinstance(source, Path) else "<text>"
    try:
        with Faults(SourceError, written) as faults:
            try:
                return elaborate(text.parse(written, file), file, ops, options or Options(), faults)
            except values.Wrong as wrong:
                faults.add(wrong.place, wrong.message)
        raise AssertionError("an error was not told")
    except RecursionError:
        raise SourceError.at(Place(file), "this is nested too deeply to be read") from None


def _imported(source: Path | str, options: Options) -> Imported:
    """The network alone; what is suspicious becomes a warning."""
    warnings: list[Note] = []

    def warn(fault: Fault) -> None:
        options.warn(fault)
        warnings.append(Note("warning", fault.place, fault.message))

    network = read(source, replace(options, warn=warn))
    return Imported(network, {}, tuple(warnings))


frontend = Frontend("snnc's own language", (".snn",), _imported, complete=True)
