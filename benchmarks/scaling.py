"""Cycles of one training step on chips of several sizes, beside the least that each chip allows.

    python -m benchmarks.scaling --model vgg11 --set width=8 --meshes 1x1 2x2 5x4 10x10

A step is counted without data, and replayed.  No schedule of the same bytes and operations takes fewer cycles than the
largest of: what the busiest kind of engine and the vector units need if all cores have as much to do (factors of n bits
take n passes), what the DRAM channel needs for the bytes that were counted, and what the busiest link needs for its
own.  Beside it stands what is left where stages, and those side by side together, come one after the other: the sum of
what each of them takes at least, and how much of that is bound by DRAM.  Nothing is judged.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from snnc.compiler.cost.duration import duration
from snnc.compiler.ir.schedule import Stage
from snnc.compiler.ir.statement import Contraction
from snnc.compiler.pipeline import Compilation, Options
from snnc.isa.target import Target, canonical, load_target
from snnc.isa.traffic import Traffic
from snnc.numerics.formats import FORMATS
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

    *bounds* hold for every schedule of the same bytes and operations; *ordered* are those of one stage after the other,
    by what binds each of them.
    """

    mesh: str
    cores: int
    cycles: int
    bounds: dict[str, float]
    ordered: dict[str, float]
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
    ordered = in_order(stages, target, program.cores)
    dram, network = counted.total.dram, counted.total.network
    return Point(mesh, program.cores, timing.cycles, moving | abreast, ordered, dram, network)


def computing(stages: Sequence[Stage], target: Target, cores: int) -> dict[str, float]:
    """Cycles that each kind of engine needs at least where every place of every array has something to do."""
    found: dict[str, float] = {}
    for stage in (stage.taken for stage in stages):
        statement = stage.statement
        if isinstance(statement, Contraction):
            left, engine = stage.by_name.get("left"), target.engines[statement.engine]
            counted = left is not None and FORMATS[left.format].kind in ("bit", "unsigned")
            passes = FORMATS[left.format].bits if left is not None and counted else 1
            samples = (
                {core: stage.mapping.parts["n"][core] for core in stage.active} if "n" in stage.mapping.parts else {}
            )
            share = sum(extent for _, extent in dict.fromkeys(samples.values())) if samples else 0  # of a wave
            extents = statement.extents | ({"n": share} if share else {})
            turns = passes * math.prod(extents.values()) / (engine.rows * engine.columns * cores)
            found[statement.engine] = found.get(statement.engine, 0.0) + turns
    return found


def moves(counted: Traffic, link: int, target: Target) -> dict[str, float]:
    """Cycles that the channel needs at least for what was *counted*, and those for which the busiest *link* is busy."""
    return {"dram": counted.total.dram * 8 / target.dram.bits_per_cycle, "link": link}


def in_order(stages: Sequence[Stage], target: Target, cores: int) -> dict[str, float]:
    """Cycles of stages one after the other, those side by side together, by what binds each of them: the channel, or
    engines and vector units where all cores have as much to do (*predicted*, in the tiles that were chosen)."""
    groups: list[tuple[int, dict[str, float]]] = []
    for stage in stages:
        lasts, turns = duration(stage, target), turns_of(stage.taken)
        works = [cycles for unit, cycles in lasts.all_units.items() if unit in target.engines or unit == "vector"]
        own = {"dram": lasts.channel * turns, "compute": max(works, default=0.0) / cores * turns}
        if groups and stage.team and groups[-1][0] == stage.team:
            own = {name: cycles + groups[-1][1][name] for name, cycles in own.items()}
            groups[-1] = stage.team, own
        else:
            groups.append((stage.team, own))
    found = {"dram": 0.0, "compute": 0.0}
    for _, own in groups:
        name, cycles = largest(own)
        found[name] += cycles
    return found


def turns_of(stage: Stage) -> int:
    """How often a stage is run: the turns of the loops that it shares with others."""
    return math.prod(stage.extents[name] for name in stage.shared)


def table(points: Sequence[Point]) -> Iterator[str]:
    """The chips side by side."""
    yield (
        f"{'mesh':>6} {'cores':>5} {'cycles':>12} {'faster':>7} {'at least':>12} {'binds':>6} {'share':>6} "
        f"{'in order':>12} {'by DRAM':>7} {'share':>6} {'DRAM MB':>8} {'mesh MB':>8}"
    )
    for point in points:
        name, least = largest(point.bounds)
        ordered = sum(point.ordered.values())
        yield (
            f"{point.mesh:>6} {point.cores:5} {point.cycles:12,} {points[0].cycles / point.cycles:6.1f}x "
            f"{least:12,.0f} {name:>6} {least / point.cycles:6.0%} "
            f"{ordered:12,.0f} {point.ordered['dram'] / ordered:7.0%} {ordered / point.cycles:6.0%} "
            f"{point.dram_bytes / 1e6:8.2f} {point.network_bytes / 1e6:8.2f}"
        )


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
