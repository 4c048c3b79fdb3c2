"""``mutate.py FORMAT TRIES SECONDS BYTES FOLDER``: read so many damaged files, and print as JSON what that took.

Tries differ in the seed alone, so a failure is found again.  More than BYTES of addresses beyond those of the start are
refused by the system, more than SECONDS end the process; a traceback ends it anyway.
"""

from __future__ import annotations

import json
import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from onnx_files import Neuron, network

from snnc.compiler.exports.export import Options as ExportOptions
from snnc.compiler.exports.onnx import write as write_onnx
from snnc.compiler.frontends import snn
from snnc.compiler.frontends.frontend import Options, read_model
from snnc.source import SourceError


def onnx_files(folder: Path) -> list[bytes]:
    """Three spellings of a neuron, one of them with a current, and a recurrent network in our own domain."""
    kinds = [Neuron(), Neuron(reset="soft", delayed=True, spelling=1), Neuron(spelling=2, current_decay=0.5)]
    good = [network(folder / "good.onnx", kind, steps=4).read_bytes() for kind in kinds]
    ours = snn.read(
        """network ours(x: f16[t, 3, 2]) steps 3 {
            back = delay(s) : spike[4]
            s = lif(add(linear(flatten(x), out=4), back), decay=0.9)
            return linear(s, out=2)
        }"""
    )
    numbers = {node.results[0]: np.ones(node.types[0].shape) for node in ours.nodes if node.op == "parameter"}
    return [*good, write_onnx(ours, numbers, ExportOptions()).content]


def nir_files(folder: Path) -> list[bytes]:
    """A layer of neurons that hear themselves, and a readout."""
    h5py: Any = import_module("h5py")
    rng, path, many = np.random.default_rng(2), folder / "good.nir", np.ones(4)
    nodes: dict[str, dict[str, Any]] = {
        "input": {"type": "Input", "shape": np.array([4])},
        "a": {"type": "Affine", "weight": rng.normal(size=(4, 4)), "bias": rng.normal(size=4)},
        "n": {"type": "LIF", "tau": many * 4e-3, "r": many * 4, "v_leak": 0 * many, "v_threshold": many / 2},
        "back": {"type": "Linear", "weight": rng.normal(size=(4, 4))},
        "o": {"type": "LI", "tau": many * 4e-3, "r": many, "v_leak": 0 * many},
        "output": {"type": "Output", "shape": np.array([4])},
    }
    with h5py.File(path, "w") as file:
        file["version"], file["node/type"] = "1.0.8", "NIRGraph"
        file["node/edges"] = [*pairwise(["input", "a", "n", "o", "output"]), ("n", "back"), ("back", "n")]
        for name, fields in nodes.items():
            for key, value in fields.items():
                file[f"node/nodes/{name}/{key}"] = value
    return [path.read_bytes()]


GOOD: dict[str, Callable[[Path], list[bytes]]] = {"onnx": onnx_files, "nir": nir_files}


def damaged(good: bytes, rng: random.Random) -> bytes:
    """Bytes changed, removed, put in, copied and filled with ones."""
    raw = bytearray(good)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        at, size = rng.randrange(len(raw)), rng.randrange(1, 9)
        match rng.randrange(6):
            case 0:
                raw[at] = rng.randrange(256)
            case 1:
                raw[at] ^= 1 << rng.randrange(8)
            case 2:
                del raw[at : at + size]
            case 3:
                raw[at:at] = rng.randbytes(size)
            case 4:
                other = rng.randrange(len(raw))
                raw[at : at + size] = raw[other : other + size]
            case _:
                raw[at : at + size] = b"\xff" * size
    return bytes(raw)


def peak() -> int:
    """The most bytes that this process, or one that it started, has held so far."""
    return 1024 * max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def main(kind: str, tries: int, seconds: int, most: int, folder: Path) -> None:
    """See the module."""
    good = GOOD[kind](folder)
    path = folder / f"damaged.{kind}"
    path.write_bytes(good[0])
    read_model(path, Options(steps=4))  # imports of its own are no cost of a file
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + most, used + most))
    before, refused, slowest = peak(), 0, 0.0
    for number in range(tries):
        rng = random.Random(number)
        path.write_bytes(damaged(rng.choice(good), rng))
        signal.alarm(seconds)
        start = time.monotonic()
        try:
            read_model(path, Options(steps=4))
        except SourceError as error:
            refused += 1
            assert "MemoryError" not in str(error) and "Unable to allocate" not in str(error), (number, str(error))
            assert str(error).startswith(str(path)), (number, str(error))
        slowest = max(slowest, time.monotonic() - start)
    found = {"tries": tries, "refused": refused, "slowest": slowest, "bytes": peak() - before}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    _, chosen, tries, seconds, most, place = sys.argv
    main(chosen, int(tries), int(seconds), int(most), Path(place))
