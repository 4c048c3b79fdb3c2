"""Cycles of one training step on chips of several sizes, beside the least that each chip allows.

    python -m benchmarks.scaling --model vgg11 --set width=8 --meshes 1x1 2x2 5x4 10x10

A step is counted without data, and replayed.  No schedule of the same bytes and operations takes fewer cycles than the
largest of: what the busiest kind of engine and the vector units need if all cores have as much to do (factors of n bits
take n passes), what the DRAM channel needs for the bytes that were counted, and what the busiest link needs for its
own.  Beside it stands what is left where a core works on one stage at a time: of each stage the unit that has most to
do, one stage after the other.  Nothing is judged.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from snnc.compiler.cost.duration import duration, least_of
from snnc.compiler.ir.schedule import Stage
from snnc.compiler.ir.statement import Contraction
from snnc.compiler.pipeline import Compilation, Options
from snnc.isa.target import Target, canonical, load_target
from snnc.isa.traffic import Traffic
from snnc.runtime.counted import full
from snnc.runtime.counting import counts_of
from snnc.runtime.host import TRAIN
from snnc.runtime.interpreter import Interpreter
from snnc.runtime.settings import Settings

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
    """One training step on one chip: cycles that it took, those of each bound, and what was counted.

    *bounds* hold for every schedule of the same bytes and operations, *in_turn* for those whose cores work on one stage
    at a time.
    """

    mesh: str
    cores: int
    cycles: int
    bounds: dict[str, float]
    in_turn: dict[str, float]
    dram_bytes: float
    network_bytes: float


def largest(bounds: Mapping[str, float]) -> tuple[str, float]:
    """What binds, and its cycles."""
    name = max(bounds, key=lambda name: bounds[name])
    return name, bounds[name]


def measured(wanted: Wanted, mesh: str) -> Point:
    """Compile one training step, and run and replay it without data."""
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
    machine = Interpreter(program, contents=full)
    counts = {count.entry: count for count in counts_of(machine, Settings.of(program.settings))}
    counted, timing = counts[TRAIN].counted, counts[TRAIN].timing
    stages, target = compilation.schedule.entries[TRAIN], machine.target
    moving = moves(counted, max(timing.links.values(), default=0), target)
    abreast = computing(stages, target, program.cores)
    abreast["vector"] = counted.total.element / (target.vector_lanes * program.cores)
    in_turn = one_at_a_time(stages, target, program.cores)
    dram, network = counted.total.dram, counted.total.network
    return Point(mesh, program.cores, timing.cycles, moving | abreast, moving | {"stages": in_turn}, dram, network)


def computing(stages: Sequence[Stage], target: Target, cores: int) -> dict[str, float]:
    """Cycles that each kind of engine needs at least where every place of every array has something to do."""
    found: dict[str, float] = {}
    for stage in (stage.taken for stage in stages):
        if isinstance(stage.statement, Contraction):
            engine = stage.statement.engine
            found[engine] = found.get(engine, 0.0) + least_of(stage, target, cores, dense=True) * turns_of(stage)
    return found


def moves(counted: Traffic, link: int, target: Target) -> dict[str, float]:
    """Cycles that the channel needs at least for what was *counted*, and those for which the busiest *link* is busy."""
    return {"dram": counted.total.dram * 8 / target.dram.bits_per_cycle, "link": link}


def one_at_a_time(stages: Sequence[Stage], target: Target, cores: int) -> float:
    """Cycles of engines and vector units where a core works on one stage at a time, and all have as much to do: of each
    stage those of the unit that has most to do, in the tiles that were chosen (*predicted*)."""
    total = 0.0
    for stage in stages:
        lasts = duration(stage, target)
        works = [cycles for unit, cycles in lasts.all_units.items() if unit in target.engines or unit == "vector"]
        total += max(works, default=0.0) / cores * turns_of(stage.taken)
    return total


def turns_of(stage: Stage) -> int:
    """How often a stage is run: the turns of the loops that it shares with others."""
    return math.prod(stage.extents[name] for name in stage.shared)


def table(points: Sequence[Point]) -> Iterator[str]:
    """The chips side by side."""
    yield (
        f"{'mesh':>6} {'cores':>5} {'cycles':>12} {'faster':>7} {'at least':>12} {'binds':>6} {'share':>6} "
        f"{'in turn':>12} {'binds':>6} {'share':>6} {'DRAM MB':>8} {'mesh MB':>8}"
    )
    for point in points:
        line = f"{point.mesh:>6} {point.cores:5} {point.cycles:12,} {points[0].cycles / point.cycles:6.1f}x"
        for bounds in (point.bounds, point.in_turn):
            name, cycles = largest(bounds)
            line += f" {cycles:12,.0f} {name:>6} {cycles / point.cycles:6.0%}"
        yield f"{line} {point.dram_bytes / 1e6:8.2f} {point.network_bytes / 1e6:8.2f}"


def with_wider_channel(target: str, times: int, folder: str) -> str:
    """*target*, or a file in *folder* of one whose DRAM channel carries *times* as much in a cycle."""
    if times == 1:
        return target
    known = load_target(target)
    wider = replace(known.dram, bits_per_cycle=known.dram.bits_per_cycle * times)
    path = Path(folder) / f"{known.name}.toml"
    path.write_text(canonical(replace(known, dram=wider)))
    return str(path)


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
    parser.add_argument("--channel", type=int, default=1, metavar="N", help="N times the DRAM bandwidth; default: 1")
    parser.add_argument("--json", type=Path, help="write what was measured")
    chosen = parser.parse_args()
    wanted = Wanted(chosen.model, chosen.target, chosen.batch, chosen.steps, tuple(chosen.set), chosen.partition)
    with TemporaryDirectory() as folder:
        machine = replace(wanted, target=with_wider_channel(wanted.target, chosen.channel, folder))
        points = [measured(machine, mesh) for mesh in chosen.meshes]
    print("\n".join(table(points)))
    if chosen.json is not None:
        told = {"wanted": asdict(wanted), "channel": chosen.channel, "points": [asdict(point) for point in points]}
        chosen.json.write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
