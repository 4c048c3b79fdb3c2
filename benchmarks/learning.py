"""Runs the accuracy claims of snnc through its command, on real data, and prints accuracy and seconds.

    python -m benchmarks.learning --mnist FOLDER --fashion FOLDER --json learning.json

The folders hold the four IDX files of MNIST and Fashion-MNIST.  Nothing is judged: the claim stands beside the figure.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from .machine import machine


@dataclass(frozen=True)
class Claim:
    """*model*, trained for *epochs* on *data*, reaches *accuracy* on the test split; *options* follow the folder.

    *target* is the machine, "" for that of the command.
    """

    model: str
    data: str
    options: str
    epochs: int
    accuracy: float
    target: str = ""


HERE = Path(__file__).resolve().parent
CLAIMS = (
    Claim("mlp", "mnist", "", 2, 0.965),
    Claim("csnn", "fashion", ",train=10000", 1, 0.75),
    Claim(str(HERE / "clusters.snn"), "mnist", ",train=4000,test=10000", 1, 0.75, str(HERE / "wide.toml")),
)


def train(claim: Claim, folder: str, max_steps: int | None) -> dict[str, Any]:
    """The command's own JSON, and the seconds of the whole command."""
    with tempfile.TemporaryDirectory() as made:
        report = Path(made) / "report.json"
        command = [str(Path(sys.executable).with_name("snnc")), "train", claim.model]
        command += ["--data", f"idx:{Path(folder).resolve()}{claim.options}", "--epochs", str(claim.epochs)]
        command += ["--json", str(report), *(["--target", claim.target] if claim.target else [])]
        if max_steps is not None:
            command += ["--max-steps", str(max_steps)]
        began = perf_counter()
        ended = subprocess.run(command, stdout=subprocess.DEVNULL, cwd=made, check=False)
        seconds = perf_counter() - began
        if ended.returncode:
            sys.exit(f"{' '.join(command)}: exit status {ended.returncode}")
        return {"command_seconds": seconds, **json.loads(report.read_text())}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.learning", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--mnist", metavar="FOLDER", help="of MNIST; left out where not given")
    parser.add_argument("--fashion", metavar="FOLDER", help="of Fashion-MNIST; left out where not given")
    parser.add_argument("--max-steps", type=int, help="end early, to try the script")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured")
    chosen = parser.parse_args()
    folders: dict[str, str | None] = {"mnist": chosen.mnist, "fashion": chosen.fashion}
    if not any(folders.values()):
        parser.error("at least one of --mnist and --fashion")
    facts = machine()
    print(f"{facts['processor']}, {facts['processors']} processors, load {facts['load']:.1f}")
    results: list[dict[str, Any]] = []
    for claim in CLAIMS:
        folder = folders[claim.data]
        if folder is None:
            continue
        found = train(claim, folder, chosen.max_steps)
        accuracy, seconds, steps = found["accuracy"], found["seconds"], found["steps"]
        early = "" if chosen.max_steps is None else ", ended early"
        seen = "" if accuracy["train"] is None else f"training {accuracy['train']:.2%}, "
        print(
            f"{Path(claim.model).stem} on {claim.data}{claim.options}, {claim.epochs} epochs: "
            f"test {accuracy['test']:.2%} (claim: {claim.accuracy:.2%}{early}), {seen}{steps} steps, "
            f"{seconds:.1f} s, with start and compilation {found['command_seconds']:.1f} s",
            flush=True,
        )
        kept = ("accuracy", "seconds", "command_seconds", "steps", "spike_rates", "versions")
        results.append({"claim": asdict(claim), "max_steps": chosen.max_steps, **{key: found[key] for key in kept}})
    if chosen.json is not None:
        chosen.json.write_text(json.dumps({"machine": facts, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
