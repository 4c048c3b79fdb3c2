"""References for law 2 over whole models: loss, spikes, gradients and running statistics by PyTorch in float64.

Run ``python tests/golden/make_model_references.py`` where snnc and torch are installed to write
``tests/golden/references/models.json``.  From snnc come the graph (operators, settings) and the numbers to begin with;
what is computed is the work of `benchmarks.peers.torch_network`, with gradients by automatic differentiation.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

REFERENCES = Path(__file__).parent / "references" / "models.json"


def main() -> None:
    """Write the references anew."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "end_to_end"))
    models: Any = import_module("float64")
    lines: list[str] = []
    for name, (steps, seed) in models.stored().items():
        model = models.Narrow(name, steps)
        expected = models.summary(models.of_pytorch(model, model.drawn(seed)))
        record = {"steps": steps, "seed": seed, "expected": expected}
        lines.append(f"{json.dumps(name)}: {json.dumps(record, separators=(',', ':'))}")
    REFERENCES.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{REFERENCES}: {len(lines)} models, {REFERENCES.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
