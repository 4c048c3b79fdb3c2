"""Counts programs of full size without data, beside what the compiler predicts; prints instructions, seconds, memory.

    python -m benchmarks.count_only --models vgg11 resnet18 --targets edge512 li2024_exact

Every program has a process of its own, so that its peak of memory is its own.  Exit status 1 where bytes differ.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from time import process_time
from typing import Any

from snnc.cli._contents import contents_of
from snnc.compiler.pipeline import Compilation, Options
from snnc.runtime.counting import counts_of
from snnc.runtime.host import TRAIN
from snnc.runtime.interpreter import Interpreter
from snnc.runtime.settings import Settings
from snnc.source import SnncError

from .peak import peak_bytes

HERE = Path(__file__).parent
MIB = 1 << 20


def measure(model: str, target: str, density: float | str = 1.0) -> dict[str, Any]:
    """A model compiled for a target, all entries of the program counted once."""
    path = HERE / "traffic" / f"{model}.snn"
    began = process_time()
    program = Compilation(path if path.exists() else model, Options(target, density=density)).program
    compiled = process_time()
    before = peak_bytes()
    machine = Interpreter(program, contents=contents_of(program, density))
    entries: dict[str, Any] = {}
    for count in counts_of(machine, Settings.of(program.settings)):
        entries[count.entry] = {
            "instructions": count.instructions,
            "counted": count.counted.to_json()["dram"],
            "predicted": count.predicted.to_json()["dram"],
            "compiler": program.predicted[count.entry]["dram"],
            "cycles": count.timing.cycles,
        }
    return {
        "model": model,
        "target": target,
        "cores": program.cores,
        "batch": program.batch,
        "steps": program.steps,
        "density": density,
        "dram_bytes": program.dram_bytes,
        "seconds": {"compile": compiled - began, "count": process_time() - compiled},
        "memory_bytes": {"compile": before, "count": peak_bytes()},
        "entries": entries,
    }


def equal(found: dict[str, Any]) -> bool:
    """Whether every entry counts what the compiler predicts; blocks of codecs are predicted on both sides."""
    entries = found["entries"].values()
    return all(each["counted"] == each["compiler"] for each in entries if not each["predicted"]["total"])


def row(found: dict[str, Any]) -> str:
    """The line of the table in docs/traffic.md."""
    step = found["entries"][TRAIN]
    cells = (
        found["model"],
        found["target"],
        found["cores"],
        f"{step['instructions']:,}".replace(",", " "),
        step["counted"]["total"],
        step["compiler"]["total"],
        f"{found['seconds']['count']:.1f}",
        f"{found['memory_bytes']['count'] / MIB:.0f} MiB",
    )
    return "| " + " | ".join(map(str, cells)) + " |"


def in_a_process(model: str, target: str, density: str) -> dict[str, Any]:
    """`measure` in another process; the exit of this one where it fails."""
    command = [sys.executable, "-m", "benchmarks.count_only", "--one", model, target, density]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=HERE.parent, check=False)
    if ended.returncode:
        sys.exit(f"{model}: exit status {ended.returncode}; what it said is above")
    return json.loads(ended.stdout)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.count_only", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--models", nargs="+", default=["vgg11", "resnet18"], help="default: vgg11 resnet18")
    parser.add_argument("--targets", nargs="+", default=["edge512", "li2024_exact"], help="default: both of the page")
    parser.add_argument("--density", default="1", metavar="FILE|X", help="of spikes, counts and errors; default: 1")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one is not None:
        model, target, density = chosen.one
        try:
            print(json.dumps(measure(model, target, density if Path(density).exists() else float(density))))
        except SnncError as error:
            sys.exit(str(error))
        return
    results: list[dict[str, Any]] = []
    print("| network | target | cores | instructions | DRAM, counted | by the compiler | seconds | memory |")
    for model in chosen.models:
        for target in chosen.targets:
            results.append(in_a_process(model, target, chosen.density))
            print(row(results[-1]), flush=True)
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(results, indent=2) + "\n")
    if not all(map(equal, results)):
        sys.exit("what was counted is not what was predicted")


if __name__ == "__main__":
    main()
