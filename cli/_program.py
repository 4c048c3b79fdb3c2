"""Programs as commands meet them: compiled from a model, read from a file, told in a line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..source import NOWHERE, DataError, Place
from ._output import Output

if TYPE_CHECKING:
    from ..compiler.ir.graph import Network, Training
    from ..compiler.pipeline import Compilation
    from ..isa.program import Program
    from ..models.data import Dataset, Port
    from ..reports.json_report import Resolved


def say_program(output: Output, program: Program, path: str | None = None) -> None:
    """One line: what the program is, and how large."""
    from ..reports.json_report import program_facts

    facts = program_facts(program)
    cores = "1 core" if program.cores == 1 else f"{program.cores} cores"
    output.say(
        f"{path or program.network}: {facts['instructions']} instructions, {facts['bytes']} bytes, "
        f"for {cores} of {program.target}, batch {program.batch}, {program.steps} time steps, "
        f"sha256 {facts['sha256'][:12]}"
    )


def resolved(compilation: Compilation) -> tuple[Resolved, ...]:
    """The settings of a compilation with their origins."""
    from ..compiler.pipeline import host_settings
    from ..reports.json_report import Resolved

    values = host_settings(compilation.training_options.settings)
    values |= {**compilation.options.settings, "cores": compilation.cores, "steps": compilation.network.steps}
    return tuple(Resolved(name, values.get(name, value), origin) for name, value, origin in compilation.resolved)


def load_program(path: str) -> Program:
    """The program in a `.snnb` file; a model gets a hint."""
    from ..isa.binary import load

    try:
        return load(path)
    except DataError:
        if Path(path).suffix == ".snn":
            hints = [f"snnc compile {path}"]
            raise DataError.at(Place(path), "a model; a program (.snnb) is needed", hints=hints) from None
        raise


def load_data(spec: str, program: Program) -> Dataset:
    """The data set that *spec* names, its samples in the shape of the program's input; DataError where they differ."""
    from ..models.data import Port

    ports = [
        Port(
            symbol.name,
            symbol.shape,
            program.steps,
            symbol.steps > 0,
            symbol.kind.maximum if symbol.kind.kind in ("bit", "unsigned") else None,
        )
        for symbol in program.symbols
        if symbol.role == "input"
    ]
    logits = program.by_name.get("logits")
    judged = any(symbol.role == "label" for symbol in program.symbols)
    classes = logits.shape[-1] if judged and logits is not None and logits.shape else None
    return _load(spec, program.network, ports, classes)


def load_data_for(spec: str, network: Network, judged: bool = True) -> Dataset:
    """The same for a network that is not compiled yet: what cannot be trained on is told before that.

    *judged* says that its outputs are classes.
    """
    from ..models.data import Port
    from ..numerics.formats import FORMATS

    ports: list[Port] = []
    for port in network.ports:
        held = FORMATS[port.type.format]
        largest = held.maximum if held.kind in ("bit", "unsigned") else None
        ports.append(Port(port.name, port.type.shape, network.steps, port.type.timed, largest, port.sizes))
    shape = network.types[network.results[0]].shape
    return _load(spec, network.name, ports, shape[-1] if shape and judged else None)


def check_weights_for(path: str, training: Training) -> None:
    """DataError where the parameters in *path* are not those of a network that is not compiled yet."""
    from ..runtime.weights import Wanted, check, load

    found = [variable for variable in training.variables if variable.role in ("parameter", "statistic")]
    wanted = {
        each.name: Wanted(each.type.lead(training.steps, training.batch) + each.type.shape, each.role == "statistic")
        for each in found
    }
    check(wanted, load(path), path)


def _load(spec: str, network: str, ports: list[Port], classes: int | None) -> Dataset:
    """The data set *spec* for the one port of *ports*, with no more than so many *classes*."""
    from ..models.data import check_classes, check_shape, load

    if len(ports) != 1:
        names = ", ".join(port.name for port in ports) or "none"
        raise DataError.at(NOWHERE, f"{network} has the inputs {names}; data has one a sample")
    (port,) = ports
    dataset = load(spec, port)
    dataset = check_shape(dataset, port.shape, port.steps if port.timed else None, port.sizes)
    if classes is not None:
        check_classes(dataset, classes)
    return dataset
