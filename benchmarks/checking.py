"""Do the peers compute the same?  Each, in its environment, against autograd in float64, on narrow networks."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from snnc.compiler.ir.graph import Setting

from .contest import Plan, prepare
from .workers import HERE, environment, python_of

NARROW: Mapping[str, Mapping[str, Setting]] = {"vgg11": {"width": 8}, "resnet18": {"width": 8}}
SURROGATES: Sequence[Setting] = (("triangle", ("alpha", 1.0)), ("atan", ("alpha", 2.0)))
RATE, BATCH, STEPS = "0.2", 4, 3


def check(models: Sequence[str], peers: Sequence[str]) -> int:
    """0 where all peers agree with autograd on all networks, as far as they can run them."""
    wrong = 0
    for model in models:
        plan = Plan(
            models=[model],
            rates=[RATE],
            surrogates=SURROGATES,
            entries=["training"],
            precisions=["f32"],
            threads=[1],
            peers=peers,
            repeat=1,
            warm_up=0,
            train_first=0,
            steps=STEPS,
            batch=BATCH,
            settings=NARROW.get(model, {}),
        )
        prepared = prepare(plan, model)
        for surrogate in SURROGATES:
            with tempfile.TemporaryDirectory() as folder:
                prepared.job(RATE, "training", surrogate, 1e-3).save(Path(folder))
                for peer in peers:
                    if peer == "onnxruntime":
                        continue  # it is shown to run what is exported where exports are tested
                    home = "spikingjelly" if peer == "numpy" else peer
                    command = [str(python_of(home)), "-m", "benchmarks.peers.check", folder, peer]
                    ended = subprocess.run(command, cwd=HERE.parent, env=environment(), check=False)
                    wrong += bool(ended.returncode)
    if wrong:
        print(f"{wrong} peers do not compute the same", file=sys.stderr)
    return int(wrong > 0)
