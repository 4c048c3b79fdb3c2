"""The oracle where a machine runs: beside one, for `--compare-oracle`, or in the place of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..runtime import tensors
from ..runtime.finite import written
from ..runtime.interpreter import Interpreter
from ..source import NOWHERE, DataError, Place

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ..compiler.ir.graph import Training
    from ..isa.program import Program


class OracleMachine:
    """The training graph, run as a whole, in the place of a program that the host feeds (`runtime.feeding.Machine`).

    *program* is its interface, without instructions.
    """

    def __init__(self, program: Program, training: Training, accumulators: str) -> None:
        from ..compiler.evaluate import Numerics, Oracle

        self.program = program
        self.oracle = Oracle(training, Numerics(accumulators))  # type: ignore[arg-type]

    def run(self, entry_name: str, arguments: Mapping[str, float | int] | None = None) -> None:
        """Run an entry; scalars that it is not given are those that no updates are made with."""
        self.oracle.run(entry_name, _scalars(self.oracle.training) | dict(arguments or {}))

    def initialise(self, facts: Mapping[str, float | int]) -> None:
        """Draw the parameters, but for those that the program brings along."""
        import numpy as np

        self.run("init", facts)
        dram = np.zeros(self.program.dram_bytes, np.uint8)
        for name, content in self.program.data.items():
            symbol = self.program.symbol(name)
            tensors.bytes_of(symbol, dram)[...] = np.frombuffer(content, np.uint8)
            self.write(name, tensors.values(symbol, dram))

    def write(self, name: str, values: ArrayLike) -> None:
        """The host writes a variable."""
        self.oracle.write(name, values)

    def read(self, name: str) -> NDArray[Any]:
        """The host reads stored numbers."""
        return self.oracle.value(name)


def _scalars(training: Training) -> dict[str, float | int]:
    """A value for every scalar of the host."""
    return {name: 0 if kind == "u32" else 1.0 for name, kind in training.arguments}


class ComparedInterpreter(Interpreter):
    """An interpreter that stops with a DataError at the first tensor in which the program and the oracle differ."""

    def __init__(self, program: Program, training: Training, **options: Any) -> None:
        """*training* is the graph that *program* was compiled from."""
        from ..compiler.evaluate import Numerics, Oracle

        super().__init__(program, **options)
        self._oracle = Oracle(training, Numerics(self.target.accumulators))  # type: ignore[arg-type]
        self._compared = 0

    def run(self, entry_name: str, arguments: Mapping[str, float | int] | None = None) -> None:
        """Run the entry here and there, from the same variables, and compare everything that both have."""
        from ..compiler.evaluate import first_difference

        for name in self._oracle.training.types:
            if name in self.program.by_name:
                self._oracle.write(name, self.values(name))
        super().run(entry_name, arguments)
        self._oracle.run(entry_name, _scalars(self._oracle.training) | dict(arguments or {}))
        self._compared += 1
        entry = self.program.entry(entry_name)
        known = {symbol.name: symbol for symbol, _ in written(self.program, entry)}
        records = [record for record in self._oracle.records() if record.name in known]
        found = {record.name: tensors.read(known[record.name], self.chip.dram) for record in records}
        difference = first_difference(records, found)
        if difference is not None:
            message = f"{entry_name}, call {self._compared}: {difference}"
            raise DataError.at(NOWHERE, f"the program differs from the oracle in {message}")


def training_of(program: Program, model: str) -> Training:
    """The training graph of *model* under the settings of *program*; DataError unless it is the program's."""
    from ..compiler.frontends.frontend import Unsaid
    from ..compiler.ir.graph import WORKING_FORMAT
    from ..compiler.ir.working import WORKING
    from ..compiler.passes.training_options import TrainingOptions
    from ..compiler.passes.working_format import in_working_format
    from ..compiler.pipeline import Compilation, Options

    known = TrainingOptions.__dataclass_fields__
    settings = {name: _as_setting(value) for name, value in program.settings.items() if name in known}
    given = program.settings.get("network", {})
    network = {name: _as_setting(value) for name, value in given.items() if name != "name"}
    said = program.settings.get("unsaid", {})
    unsaid = Unsaid.of({name: _as_setting(value) for name, value in said.items() if name != "name"})
    options = Options(batch=program.batch, steps=program.steps, train=settings, settings=network, unsaid=unsaid)
    working = str(program.settings.get(WORKING_FORMAT, WORKING))
    training = in_working_format(Compilation(model, options).training, working)
    if training.hash != program.graph_hash:
        raise DataError.at(
            Place(model),
            f"its training graph ({training.hash[:12]}) is not the program's ({program.graph_hash[:12]})",
            hints=["the model and the options that the program was compiled from"],
        )
    return training


def _as_setting(value: Any) -> Any:
    """A JSON value as the setting that it was: lists are tuples, an object with a name is a call."""
    match value:
        case {"name": str(name), **given}:
            return (name, *((key, _as_setting(part)) for key, part in given.items()))
        case [*items]:
            return tuple(map(_as_setting, items))
        case other:
            return other
