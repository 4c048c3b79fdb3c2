"""Good files with random damage are read, or refused in words: no traceback, no hang, and no more memory than stated.

Each format has a process of its own, whose peak is measured when it has gone through all of its tries: what `docs/`
states, `REST` for a small file, holds for every one of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

TRIES = {"onnx": (300, 6000), "nir": (40, 600)}
"""For each format, how many there are in every run and in a full one; a NIR file takes a process each."""

REST = 4 << 30
"""Bytes that reading a small file may take, as the pages of both formats say."""

USUAL = 1 << 30
"""What a damaged file of a few kilobytes takes in fact, unless it asks for more in so many words."""

SECONDS = 60
"""For a single try, on a busy host."""

CHILD = Path(__file__).with_name("mutate.py")


@pytest.mark.parametrize("full", [False, pytest.param(True, marks=pytest.mark.full)], ids=["some", "many"])
@pytest.mark.parametrize("kind", TRIES)
def test_mutated_files_are_read_or_refused_in_words(kind: str, full: bool, tmp_path: Path) -> None:
    tries = TRIES[kind][full]
    command = [sys.executable, "-W", "ignore", str(CHILD), kind, str(tries), str(SECONDS), str(REST), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    assert told["tries"] == tries
    assert told["refused"] > tries // 20 and told["refused"] < tries
    assert told["slowest"] < SECONDS
    assert told["bytes"] < USUAL


GREEDY = """
import json
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from onnx_files import Writer
from test_onnx_damaged import GREEDY
from snnc.compiler.frontends.frontend import read_model
from snnc.source import SourceError
told = {}
for name, (shape, make, message) in GREEDY.items():
    write = Writer()
    path = write.save(Path(sys.argv[2]) / "net.onnx", shape, [make(write)])
    try:
        told[name] = ["read", str(read_model(path).network)]
    except SourceError as error:
        told[name] = [f"{path}{message}", str(error)]
lines = open("/proc/self/status") if sys.platform == "linux" else []
peaks = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
print(json.dumps({"told": told, "bytes": [1024 * int(peak) for peak in peaks]}))
"""


def test_files_that_ask_for_everything_are_refused_before_they_are_given_it(tmp_path: Path) -> None:
    """In words, each with its node, and in no more memory than is stated: all are read once, by one process."""
    command = [sys.executable, "-W", "ignore", "-c", GREEDY, str(CHILD.parent), str(tmp_path)]
    done = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert len(done["told"]) > 20
    assert {name: found for name, (wanted, found) in done["told"].items() if found != wanted} == {}
    if sys.platform == "linux":  # what getrusage tells begins with the peak of this process
        (peak,) = done["bytes"]
        assert USUAL < peak < REST, "the largest ones reach for the bound"
