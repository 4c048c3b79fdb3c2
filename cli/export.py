"""Write a model with its parameters in the format of another tool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ._options import compiled, importing, json_option, model_argument, tell, weights_option
from ._output import Output, check_writable


@click.command()
@model_argument
@click.option("--to", "format", required=True, metavar="FORMAT", help="nir or onnx; see `snnc list exports`.")
@click.option("-o", "--output", "to", metavar="FILE", help="Unless given, MODEL with the suffix of the format, here.")
@importing
@weights_option
@click.option(
    "--lossy",
    multiple=True,
    metavar="NAME,...",
    help="Settings and operators that may be lost where the format cannot say them, such as surrogate.",
)
@json_option
def command(
    model: str, format: str, to: str | None, lossy: tuple[str, ...], json_to: str | None, **chosen: Any
) -> None:
    """Write MODEL with its parameters in the format of another tool.

    A setting or an operator that the format cannot say is refused by its name, unless --lossy names it.  The parameters
    are those of --weights, which may be a checkpoint, else those that a file of another tool brings along.

    \b
    Example:
        snnc export net.snn --to onnx --weights trained.npz
        snnc export net.snn --to nir --weights trained.npz -o net.nir --lossy surrogate,compare
    """
    from ..compiler.exports.export import EXPORTS, Options
    from ..isa.files import write_whole

    export = EXPORTS[format]
    path = to if to is not None else f"{Path(model).stem}{export.suffix}"
    check_writable([path, json_to])
    named = frozenset(name.strip() for names in lossy for name in names.split(",") if name.strip())
    dt = chosen.get("dt")
    compilation = compiled(model, {**chosen, "dt": dt if Path(model).suffix != ".snn" else None})
    parameters = compilation.options.weights or compilation.imported.parameters
    if not parameters and any(node.op == "parameter" for node in compilation.network.nodes):
        raise click.UsageError("the model holds no parameters of its own; give --weights")
    tell(compilation.imported.notes)
    written = export.write(compilation.network, parameters, Options(dt, named))
    write_whole(Path(path), written.content)
    output = Output(json_to)
    tell(written.notes)
    output.say(f"{path}: {len(written.content):,} bytes")
    notes = [{"kind": note.kind, "place": str(note.place), "message": note.message} for note in written.notes]
    output.value({"model": model, "format": format, "output": path, "bytes": len(written.content), "notes": notes})
