"""Law 6: the same source gives the same bytes of program, and the same program the same run, whatever the host.

Processes differ in the order of their hash tables, in the number of threads, and in what processor NumPy and OpenBLAS
believe to have.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from laws import Case

RUN = """
import hashlib, json, sys
from laws import Bench, Case, compiled
from snnc.isa import binary

found = []
for network, machine in json.loads(sys.argv[1]):
    case = Case(network, machine)
    program = compiled(case).program
    bench = Bench(case, binary.from_bytes(binary.to_bytes(program)), oracle=False)
    bench.run("init")
    for step in range(2):
        bench.feed()
        bench.run("train_step", step, 4)
    counts = hashlib.sha256(repr(bench.machine.counters.take().to_rows()).encode()).hexdigest()
    found.append([binary.fingerprint(program), program.graph_hash, bench.bits(), counts])
print(json.dumps(found))
"""
HOSTS: dict[str, dict[str, str]] = {
    "this one": {"PYTHONHASHSEED": "0"},
    "an old one": {
        "PYTHONHASHSEED": "1",
        "OPENBLAS_CORETYPE": "Prescott",
        "OPENBLAS_NUM_THREADS": "1",
        "NPY_DISABLE_CPU_FEATURES": "DISPATCHED",
    },
    "many threads": {"PYTHONHASHSEED": "4294967295", "OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_NUM_THREADS": "4"},
}


def dispatched() -> str:
    """The processor features that NumPy may be told not to use here."""
    simd: dict[str, Any] = np.show_config(mode="dicts")["SIMD Extensions"]  # type: ignore[index,call-overload]
    return " ".join(simd.get("found", []))


def start(host: str, cases: list[tuple[str, str]]) -> subprocess.Popen[str]:
    folders = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    given = {name: value.replace("DISPATCHED", dispatched()) for name, value in HOSTS[host].items()}
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(folders)} | given
    command = [sys.executable, "-c", RUN, json.dumps(cases)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.parametrize(
    "cases",
    [
        pytest.param([("digits", "quad3")], id="one"),
        pytest.param(
            [(n, m) for n in ("digits", "lenet", "csnn", "joined") for m in ("tiny", "exact20", "li7")],
            id="many",
            marks=pytest.mark.full,
        ),
    ],
)
def test_the_same_bytes_and_the_same_run_in_every_process(cases: list[tuple[str, str]]) -> None:
    started = {host: start(host, cases) for host in HOSTS}
    found: dict[str, Any] = {}
    for host, process in started.items():
        shown, wrong = process.communicate()
        assert process.returncode == 0, f"{host}: {wrong}"
        found[host] = json.loads(shown)
    for host in HOSTS:
        assert found[host] == found["this one"], host
    assert len({row[0] for row in found["this one"]}) == len(cases), "every machine has its own program"
    sums = {(network, machine.startswith("li")) for network, machine in cases}
    assert len({row[2] for row in found["this one"]}) == len(sums), "exact machines agree, others have their own bits"


def test_the_same_process_compiles_the_same_twice() -> None:
    case = Case("digits", "exact7")
    assert case.compilation().program == case.compilation().program
