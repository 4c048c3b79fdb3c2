"""Compiles deep models at full size, runs one training step of each on the interpreter, and prints seconds and memory.

    python -m benchmarks.full_size --models vgg11 resnet18 --batch 16 --steps 4 --oracle

Every model has a process of its own, so that its peak of memory is its own.  Nothing is judged here.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar, cast

import numpy as np

import snnc
from snnc.cli._program import load_data
from snnc.compiler.evaluate import Accumulators, Numerics, Oracle, first_difference
from snnc.compiler.pipeline import Compilation, Options
from snnc.isa.binary import to_bytes
from snnc.isa.program import Program, Symbol
from snnc.models.data import Split
from snnc.runtime import tensors
from snnc.runtime.feeding import Call, Samples
from snnc.runtime.host import INIT, TRAIN, initialise, spike_rates
from snnc.runtime.interpreter import Interpreter
from snnc.runtime.settings import Settings
from snnc.source import SnncError

from .machine import machine
from .peak import peak_bytes
from .problem import settings_of

HERE = Path(__file__).parent
MIB = 1 << 20
Made = TypeVar("Made")


@dataclass(frozen=True)
class Wanted:
    """What to compile and run; None leaves batch, steps and cores to the model and the target, *data* None makes it."""

    model: str
    target: str
    cores: int | None
    batch: int | None
    steps: int | None
    settings: tuple[str, ...]
    data: str | None
    seed: int
    oracle: bool


class Bench:
    """The program of a model and, beside it, its oracle where it is asked for; *seconds* are those of every stage."""

    def __init__(self, wanted: Wanted) -> None:
        self.seconds: dict[str, float] = {}
        settings = settings_of(wanted.settings)
        options = Options(wanted.target, wanted.cores, wanted.batch, wanted.steps, settings=settings)
        self.compilation = Compilation(wanted.model, options)
        self.program: Program = self._timed("compile", lambda: self.compilation.program)
        self.settings = Settings.of(self.program.settings, seed=wanted.seed)
        self.machine = Interpreter(self.program)
        self.oracle: Oracle | None = None
        self._compared = set[str]()
        if wanted.oracle:
            numerics = Numerics(cast(Accumulators, self.machine.target.accumulators))
            self.oracle = Oracle(self.compilation.training, numerics)

    def run(self, samples: Samples) -> dict[str, Any]:
        """`init` and one training step, and what came of them."""
        differences: list[str] = []
        scalars = scalars_of(self.compilation, self.settings)
        self._timed("init", lambda: initialise(self.machine, self.settings))
        if self.oracle is not None:
            oracle = self.oracle
            self._timed("oracle init", lambda: oracle.run(INIT, {**scalars, "valid": 0}))
            differences.append(self._difference(INIT))
        self.machine.counters.take()
        call = Call(self.machine, TRAIN, samples)
        outcome = self._timed("step", lambda: call(samples, np.arange(self.program.batch), scalars))
        counted = self.machine.counters.take()
        found: dict[str, Any] = {
            "loss": outcome.loss,
            "counted": counted.to_json()["dram"],
            "predicted": self.program.predicted[TRAIN]["dram"],
            "spike_rates": spike_rates(self.machine, self.program.batch),
            "peak_memory_bytes": peak_bytes(),
        }
        if self.oracle is not None:
            oracle = self.oracle
            inputs = [self.program.symbol(name) for name in self.program.entry(TRAIN).inputs]
            for symbol in inputs:
                oracle.write(symbol.name, self.machine.values(symbol.name))
            self._timed("oracle step", lambda: oracle.run(TRAIN, {**scalars, "valid": self.program.batch}))
            differences.append(self._timed("comparison", lambda: self._difference(TRAIN)))
            found["difference"] = "; ".join(filter(None, differences))
            found["compared"] = len(self._compared)
            found["peak_memory_with_oracle_bytes"] = peak_bytes()
        return found

    def _timed(self, stage: str, run: Callable[[], Made]) -> Made:
        began = perf_counter()
        made = run()
        self.seconds[stage] = perf_counter() - began
        return made

    def _difference(self, entry: str) -> str:
        """The first value of the entry that ran, then the first variable, that differ; empty where none does."""
        assert self.oracle is not None
        self._compared = set[str]()
        nowhere = self.compilation.schedule.nowhere(entry)
        for record in self.oracle.records():
            if record.name in self.program.by_name and record.name not in nowhere:
                self._compared.add(record.name)
                found = {record.name: self._stored(record.name).reshape(record.elements.shape)}
                if (difference := first_difference([record], found)) is not None:
                    return str(difference)
        for variable in self.compilation.training.variables:
            value = self.oracle.value(variable.name)
            self._compared.add(variable.name)
            if not np.array_equal(value, self._stored(variable.name).reshape(value.shape), equal_nan=True):
                return f"{variable.name} differs after the entry"
        return ""

    def _stored(self, name: str) -> Any:
        """The elements that lie in DRAM."""
        return tensors.read(self.program.by_name[name], self.machine.chip.dram)


def measure(wanted: Wanted) -> dict[str, Any]:
    """All that there is to say about a model; run in a process of its own."""
    bench = Bench(wanted)
    program = bench.program
    (port,) = [symbol for symbol in program.symbols if symbol.role == "input"]
    samples = (
        load_data(wanted.data, program).train if wanted.data is not None else made_samples(program, port, wanted.seed)
    )
    found = bench.run(samples)
    parameters = [symbol for symbol in program.symbols if symbol.role == "parameter"]
    facts = {
        "network": program.network,
        "target": program.target,
        "cores": program.cores,
        "batch": program.batch,
        "steps": program.steps,
        "input": list(port.shape),
        "data": wanted.data or f"made with seed {wanted.seed}",
        "parameters": int(sum(np.prod(symbol.shape, dtype=int) for symbol in parameters)),
        "instructions": program.instruction_count,
        "program_bytes": len(to_bytes(program)),
        "dram_bytes": program.dram_bytes,
    }
    return {**facts, "seconds": bench.seconds, **found}


def scalars_of(compilation: Compilation, settings: Settings) -> dict[str, float]:
    """What the host hands in, in the first step."""
    first, second = settings.corrections(0)
    known: dict[str, float] = {
        "learning_rate": settings.learning_rate,
        "loss_scale": settings.scale.value,
        "seed": settings.seed,
        "step": 0,
        "correction1": first,
        "correction2": second,
        "clip": settings.clip or 0.0,
    }
    return {name: known[name] for name, _ in compilation.training.arguments if name != "valid"}


def made_samples(program: Program, port: Symbol, seed: int) -> Split:
    """A batch of numbers from 0 to 1, or of bits of which a quarter is set, and of labels."""
    random = np.random.default_rng(seed)
    lead = (program.batch, program.steps) if port.steps else (program.batch,)
    images = random.random((*lead, *port.shape), np.float32)
    if port.format == "spike":
        images = (images > 0.75).astype(np.float32)
    classes = program.symbol("logits").shape[-1]
    return Split(images, random.integers(0, classes, program.batch).astype(np.uint16))


def show(found: dict[str, Any]) -> None:
    """One model, as text."""
    seconds, counted, predicted = found["seconds"], found["counted"], found["predicted"]
    shape = "x".join(map(str, found["input"]))
    print(
        f"\n{found['network']}: batch {found['batch']}, {found['steps']} steps, input {shape} ({found['data']}), "
        f"{found['parameters'] / 1e6:.2f} M parameters, {found['cores']} cores of {found['target']}"
    )
    rows = [
        ("compilation", f"{seconds['compile']:.1f} s"),
        ("program", f"{found['instructions']} instructions, {found['program_bytes'] / MIB:.2f} MiB"),
        ("DRAM image", f"{found['dram_bytes'] / MIB:.1f} MiB"),
        ("init", f"{seconds['init']:.1f} s"),
        ("training step", f"{seconds['step']:.1f} s, loss {found['loss']:.4f}"),
        ("peak memory", f"{found['peak_memory_bytes'] / MIB:.0f} MiB"),
        ("DRAM, counted", f"{counted['total'] / MIB:.1f} MiB ({counted['read'] / MIB:.1f} read)"),
        ("DRAM, predicted", f"{predicted['total'] / MIB:.1f} MiB ({predicted['read'] / MIB:.1f} read)"),
        ("spike rates", " ".join(f"{name} {rate:.1%}" for name, rate in found["spike_rates"].items())),
    ]
    if "difference" in found:
        told = found["difference"] or f"{found['compared']} tensors are equal, bit for bit"
        rows += [
            ("oracle", f"{seconds['oracle step']:.1f} s, init {seconds['oracle init']:.1f} s: {told}"),
            ("with oracle", f"{found['peak_memory_with_oracle_bytes'] / MIB:.0f} MiB at most"),
        ]
    for name, value in rows:
        print(f"  {name:<16} {value}")
    sys.stdout.flush()


def in_a_process(wanted: Wanted) -> dict[str, Any]:
    """`measure` in another process; the exit of this one where it fails."""
    command = [sys.executable, "-m", "benchmarks.full_size", "--one", json.dumps(asdict(wanted))]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=HERE.parent, check=False)
    if ended.returncode:
        sys.exit(f"{wanted.model}: exit status {ended.returncode}; what it said is above")
    return json.loads(ended.stdout)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.full_size", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--models", nargs="+", default=["vgg11", "resnet18"], help="default: vgg11 resnet18")
    parser.add_argument("--target", default="li2024_exact", help="default: li2024_exact")
    parser.add_argument("--cores", type=int, help="default: all of the target")
    parser.add_argument("--batch", type=int, default=16, help="default: 16")
    parser.add_argument("--steps", type=int, default=4, help="time steps; default: 4")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings such as width=16")
    parser.add_argument("--data", help="real samples as `snnc train` takes them; default: made ones")
    parser.add_argument("--seed", type=int, default=0, help="of parameters and of made samples; default: 0")
    parser.add_argument("--oracle", action="store_true", help="hold every tensor against the oracle (slow)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one is not None:
        try:
            print(json.dumps(measure(Wanted(**json.loads(chosen.one)))))
        except SnncError as error:
            sys.exit(str(error))
        return
    facts = machine()
    facts["versions"] = {"python": platform.python_version(), "snnc": snnc.__version__, "numpy": np.__version__}
    versions = ", ".join(f"{name} {value}" for name, value in facts["versions"].items())
    print(f"{facts['processor']}, {facts['processors']} processors, load {facts['load']:.1f}; {versions}")
    results: list[dict[str, Any]] = []
    for model in chosen.models:
        given = (chosen.target, chosen.cores, chosen.batch, chosen.steps, tuple(chosen.set), chosen.data, chosen.seed)
        results.append(in_a_process(Wanted(model, *given, chosen.oracle)))
        show(results[-1])
    if chosen.json is not None:
        chosen.json.write_text(json.dumps({"machine": facts, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
