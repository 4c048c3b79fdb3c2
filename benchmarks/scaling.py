"""Cycles of one training step on chips of several sizes, beside the least that each chip allows.

    python -m benchmarks.scaling --model vgg11 --set width=8 --meshes 1x1 2x2 5x4 10x10

A step is executed by the interpreter and replayed.  No schedule of the same bytes and operations takes fewer cycles
than the largest of: what the busiest kind of engine and the vector units need if all cores have as much to do (factors
of n bits take n passes), what the DRAM channel needs for the bytes that were counted, and what the busiest link needs
for its own.  Nothing is judged.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from snnc.compiler.ir.schedule import Stage
from snnc.compiler.ir.statement import Contraction
from snnc.compiler.pipeline import Compilation, Options
from snnc.isa.target import Target
from snnc.isa.traffic import Traffic
from snnc.models.data import Split
from snnc.numerics.formats import FORMATS
from snnc.runtime.feeding import Call
from snnc.runtime.host import TRAIN, initialise
from snnc.runtime.interpreter import Interpreter
from snnc.runtime.recording import Recorder
from snnc.runtime.replay import replay
from snnc.runtime.settings import Settings

from .full_size import made_samples, scalars_of
from .problem import settings_of


@dataclass(frozen=True)
class Wanted:
    """A model, its sizes, and the rule and mapping that it is trained with."""

    model: str
    target: str
    batch: int
    steps: int
    settings: tuple[str, ...]
    partition: str


@dataclass(frozen=True)
class Point:
    """One training step on one chip: cycles that it took, those of each bound, and what was counted."""

    mesh: str
    cores: int
    cycles: int
    bounds: dict[str, float]
    dram_bytes: float
    network_bytes: float

    @property
    def binds(self) -> str:
        """The largest bound."""
        return max(self.bounds, key=lambda name: self.bounds[name])

    @property
    def share(self) -> float:
        """How much of the cycles the largest bound explains."""
        return self.bounds[self.binds] / self.cycles


def measured(wanted: Wanted, mesh: str) -> Point:
    """Compile, run and replay one training step."""
    columns, rows = map(int, mesh.split("x"))
    options = Options(
        wanted.target,
        batch=wanted.batch,
        steps=wanted.steps,
        mesh=(columns, rows),
        partition=wanted.partition,
        settings=settings_of(wanted.settings),
    )
    compilation = Compilation(wanted.model, options)
    program = compilation.program
    machine = Interpreter(program)
    recorder = Recorder(machine.target)
    settings = Settings.of(program.settings)
    initialise(machine, settings)
    machine.listen(recorder)
    machine.counters.take()
    (port,) = [symbol for symbol in program.symbols if symbol.role == "input"]
    samples: Split = made_samples(program, port, 0)
    Call(machine, TRAIN, samples)(samples, np.arange(program.batch), scalars_of(compilation, settings))
    assert recorder.record is not None
    timing, links = replay(recorder.record, machine.target), machine.counters.by_link()
    counted = machine.counters.take()
    limits = engines(compilation.schedule.entries[TRAIN], machine.target, program.cores)
    limits |= bounds(counted, max(links.values(), default=0), machine.target, program.cores)
    return Point(mesh, program.cores, timing.cycles, limits, counted.total.dram, counted.total.network)


def engines(stages: Sequence[Stage], target: Target, cores: int) -> dict[str, float]:
    """Cycles that each kind of engine needs at least where every place of every array has something to do."""
    found: dict[str, float] = {}
    for stage in (stage.taken for stage in stages):
        statement = stage.statement
        if isinstance(statement, Contraction):
            left = stage.by_name.get("left")
            counted = left is not None and FORMATS[left.format].kind in ("bit", "unsigned")
            passes = FORMATS[left.format].bits if left is not None and counted else 1
            engine = target.engines[statement.engine]
            turns = passes * math.prod(statement.extents.values()) / (engine.rows * engine.columns * cores)
            found[statement.engine] = found.get(statement.engine, 0.0) + turns
    return found


def bounds(counted: Traffic, link: int, target: Target, cores: int) -> dict[str, float]:
    """Cycles that the other parts of the chip need at least for what was *counted*; its busiest *link* carried so many
    bytes."""
    return {
        "vector": counted.total.element / (target.vector_lanes * cores),
        "dram": counted.total.dram * 8 / target.dram.bits_per_cycle,
        "link": link * 8 / target.link.bits_per_cycle,
    }


def table(points: Sequence[Point]) -> Iterator[str]:
    """The chips side by side."""
    yield (
        f"{'mesh':>6} {'cores':>5} {'cycles':>12} {'faster':>7} {'at least':>12} {'binds':>6} {'share':>6} "
        f"{'DRAM MB':>8} {'mesh MB':>8}"
    )
    for point in points:
        faster = points[0].cycles / point.cycles
        yield (
            f"{point.mesh:>6} {point.cores:5} {point.cycles:12,} {faster:6.1f}x {point.bounds[point.binds]:12,.0f} "
            f"{point.binds:>6} {point.share:6.0%} {point.dram_bytes / 1e6:8.2f} {point.network_bytes / 1e6:8.2f}"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="csnn", help="default: csnn")
    parser.add_argument("--target", default="li2024_exact", help="default: li2024_exact")
    parser.add_argument("--meshes", nargs="+", default=["1x1", "2x2", "5x4", "10x10"], metavar="COLUMNSxROWS")
    parser.add_argument("--batch", type=int, default=4, help="default: 4")
    parser.add_argument("--steps", type=int, default=2, help="time steps; default: 2")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE")
    parser.add_argument("--partition", default="chosen", help="default: chosen")
    parser.add_argument("--json", type=Path, help="write what was measured")
    chosen = parser.parse_args()
    wanted = Wanted(chosen.model, chosen.target, chosen.batch, chosen.steps, tuple(chosen.set), chosen.partition)
    points = [measured(wanted, mesh) for mesh in chosen.meshes]
    print("\n".join(table(points)))
    if chosen.json is not None:
        rows = [asdict(point) | {"binds": point.binds, "share": point.share} for point in points]
        chosen.json.write_text(json.dumps({"wanted": asdict(wanted), "points": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
