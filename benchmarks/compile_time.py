"""How long compiling takes, training graph included, stage by stage, and how that grows with cores, depth and time.

    python -m benchmarks.compile_time --models mlp vgg11 resnet18 --repeat 3 --growth

Every compilation is one of a process that has compiled a small network before, so that nothing is imported in it; the
first, cold one is told too.  Seconds are wall time and processor time of the quickest repetition.  Nothing is judged.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import cast

from snnc.compiler.pipeline import Compilation, Options

STAGES = ("imported", "training", "schedule", "program")
"""Reading, training graph, mapping, and streams with their predicted traffic."""

BATCHES = {"mlp": 64, "csnn": 64, "vgg11": 16, "resnet18": 8, "resnet34": 4}
"""Samples with which a training step of each model fits into 1 GiB of DRAM."""


@dataclass(frozen=True)
class Asked:
    """What is compiled."""

    model: str
    target: str
    cores: int | None = None
    steps: int | None = None
    batch: int | None = None

    def options(self) -> Options:
        """The options of a compilation."""
        return Options(self.target, cores=self.cores, steps=self.steps, batch=self.batch or BATCHES.get(self.model))


@dataclass(frozen=True)
class Measured:
    """Seconds of each stage, of all together, and processor seconds; instructions, and stages of a training step."""

    asked: Asked
    stages: dict[str, float]
    wall: float
    processor: float
    instructions: int
    operators: int


def measure(asked: Asked) -> Measured:
    """One compilation in this process."""
    compilation = Compilation(asked.model, asked.options())
    begun, worked = perf_counter(), process_time()
    stages: dict[str, float] = {}
    for stage in STAGES:
        before = perf_counter()
        getattr(compilation, stage)
        stages[stage] = perf_counter() - before
    wall, processor = perf_counter() - begun, process_time() - worked
    operators = sum(len(stage.nodes) for stage in compilation.schedule.entries["train_step"])
    return Measured(asked, stages, wall, processor, compilation.program.instruction_count, operators)


def least(asked: Asked, repeat: int) -> Measured:
    """The quickest of so many compilations, each in a process of its own that has imported all."""
    found: list[Measured] = []
    for _ in range(repeat):
        command = [sys.executable, "-m", "benchmarks.compile_time", "--one", json.dumps(asdict(asked))]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        facts = json.loads(told)
        found.append(Measured(asked, **{key: value for key, value in facts.items() if key != "asked"}))
    return min(found, key=lambda each: each.wall)


def one(asked: Asked) -> Measured:
    """What the process of a measurement does: `digits` warms it up."""
    _ = Compilation("digits", Options("quad")).program
    return measure(asked)


def growing(target: str) -> Iterator[tuple[str, list[Asked]]]:
    """Rows along which one thing grows."""
    yield "cores", [Asked("resnet18", target, cores=cores) for cores in (1, 5, 20)]
    yield "depth", [Asked(model, target, batch=4) for model in ("resnet18", "resnet34")]
    yield "time steps", [Asked("resnet18", target, steps=steps, batch=1) for steps in (2, 8, 32)]


def table(rows: Sequence[Measured]) -> Iterator[str]:
    """The measurements side by side."""
    head = (*STAGES, "wall s", "cpu s")
    yield f"{'model':10} {'cores':>5} {'steps':>5} {'batch':>5} {'operators':>9} {'words':>8} " + " ".join(
        f"{name:>9}" for name in head
    )
    for row in rows:
        options = row.asked.options()
        seconds = (*(row.stages[name] for name in STAGES), row.wall, row.processor)
        yield (
            f"{row.asked.model:10} {options.cores or 'all':>5} {options.steps or '-':>5} {options.batch or '-':>5} "
            f"{row.operators:9} {row.instructions:8} " + " ".join(f"{second:9.3f}" for second in seconds)
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["mlp", "vgg11", "resnet18"])
    parser.add_argument("--target", default="li2024_exact")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--growth", action="store_true", help="Also with more cores, layers and time steps.")
    parser.add_argument("--json", type=Path, help="Write what was measured.")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(asdict(one(Asked(**json.loads(chosen.one))))))
        return
    begun = perf_counter()
    subprocess.run([sys.executable, "-m", "snnc", "compile", "mlp", "--json", "-"], check=True, capture_output=True)
    print(f"Python {platform.python_version()}; `snnc compile mlp`, cold: {perf_counter() - begun:.2f} s\n")
    rows = [least(Asked(model, chosen.target), chosen.repeat) for model in cast(list[str], chosen.models)]
    print("\n".join(table(rows)))
    if chosen.growth:
        for name, asked in growing(chosen.target):
            grown = [least(each, chosen.repeat) for each in asked]
            print("\n".join((f"\nMore {name}:", *table(grown))))
            rows += grown
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
