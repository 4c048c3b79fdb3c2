"""Surrogate derivatives as SpikingJelly, snnTorch and Norse compute them, on a grid of distances to the threshold.

Run ``python tests/golden/make_surrogates.py`` where all three are installed (with PyTorch) to write
``tests/golden/references/surrogates.json``.  Each module is asked with its own defaults and with other parameters; the
grid meets no kink of any of them.  Nothing here comes from snnc.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

REFERENCES = Path(__file__).parent / "references" / "surrogates.json"
GRID = [k / 8 + 1 / 64 for k in range(-24, 24)]
Parameters = dict[str, float]
Asked = tuple[str, str, Parameters, Callable[[Any], Any]]
"""Our word, what is asked, parameters (ours), and the spike as a function of x."""


def asked() -> Iterator[Asked]:
    """Every module of the frameworks that has a row in the table."""
    yield from _spikingjelly()
    yield from _snntorch()
    yield from _norse()


def _spikingjelly() -> Iterator[Asked]:
    modules: Any = import_module("spikingjelly.activation_based.surrogate")
    rows: list[tuple[str, str, tuple[str, ...], tuple[float, ...]]] = [
        ("rect", "Rect", ("alpha",), (0.7,)),
        ("triangle", "PiecewiseQuadratic", ("alpha",), (0.7,)),
        ("sigmoid", "Sigmoid", ("alpha",), (3.0,)),
        ("atan", "ATan", ("alpha",), (1.5,)),
        ("super_spike", "SuperSpike", ("alpha",), (1.5,)),
        ("soft_sign", "SoftSign", ("alpha",), (3.0,)),
        ("erf", "Erf", ("alpha",), (1.25,)),
        ("piecewise_exp", "PiecewiseExp", ("alpha",), (1.5,)),
        ("nonzero_sign_log_abs", "NonzeroSignLogAbs", ("alpha",), (2.5,)),
        ("piecewise_leaky_relu", "PiecewiseLeakyReLU", ("w", "c"), (0.6, 0.05)),
        ("q_pseudo_spike", "QPseudoSpike", ("alpha",), (2.5,)),
        ("leaky_k_relu", "LeakyKReLU", ("leak", "k"), (0.1, 0.9)),
        ("log_tailed_relu", "LogTailedReLU", ("alpha",), (0.05,)),
        ("fake_numerical_gradient", "FakeNumericalGradient", ("alpha",), (1.2,)),
        ("s2nn", "S2NN", ("alpha", "beta"), (3.0, 0.7)),
        ("squarewave_fourier", "SquarewaveFourierSeries", ("n", "period"), (5, 6.0)),
        ("straight_through", "DeterministicPass", (), ()),
    ]
    for word, name, ours, values in rows:
        kind = getattr(modules, name)
        theirs = {"period": "T_period"}
        if ours:
            yield word, f"SpikingJelly {name}", {}, kind()
        given = {theirs.get(key, key): value for key, value in zip(ours, values, strict=True)}
        yield word, f"SpikingJelly {name}", dict(zip(ours, values, strict=True)), kind(**given)


def _snntorch() -> Iterator[Asked]:
    modules: Any = import_module("snntorch.surrogate")
    yield "atan", "snnTorch atan", {}, modules.atan()
    yield "sigmoid", "snnTorch sigmoid", {"alpha": 25.0}, modules.sigmoid()
    yield "fast_sigmoid", "snnTorch fast_sigmoid", {}, modules.fast_sigmoid()
    yield "fast_sigmoid", "snnTorch fast_sigmoid", {"k": 4.0}, modules.fast_sigmoid(4.0)
    yield "snntorch_triangular", "snnTorch triangular", {}, modules.triangular()
    yield "snntorch_triangular", "snnTorch triangular", {"threshold": 0.5}, modules.triangular(0.5)
    yield "leaky_k_relu", "snnTorch heaviside", {}, modules.heaviside()
    yield "straight_through", "snnTorch straight_through_estimator", {}, modules.straight_through_estimator()
    yield "spike_rate_escape", "snnTorch spike_rate_escape", {}, modules.spike_rate_escape()
    yield "spike_rate_escape", "snnTorch spike_rate_escape", {"beta": 0.5, "k": 3.0}, modules.spike_rate_escape(0.5, 3)
    yield "sparse_fast_sigmoid", "snnTorch SFS", {}, modules.SFS()
    yield "sparse_fast_sigmoid", "snnTorch SFS", {"k": 2.0, "bound": 0.5}, modules.SFS(2.0, 0.5)


def _norse() -> Iterator[Asked]:
    modules: Any = import_module("norse.torch.functional.threshold")
    yield "norse_triangle", "Norse triangle", {}, modules.triangle_fn
    yield "norse_triangle", "Norse triangle", {"alpha": 0.6}, lambda x: modules.threshold(x, "triangle", 0.6)
    yield "super_spike", "Norse super 1.1.0", {}, lambda x: modules.threshold(x, "super", 100.0)
    yield "heavi_erfc", "Norse heavi_erfc", {"k": 0.8}, lambda x: modules.threshold(x, "heavi_erfc", 0.8)
    yield "tanh", "Norse tanh", {"k": 1.5}, lambda x: modules.threshold(x, "tanh", 1.5)
    yield "circ", "Norse circ", {"alpha": 0.6}, lambda x: modules.threshold(x, "circ", 0.6)


def main() -> None:
    """Write the references anew."""
    torch: Any = import_module("torch")
    records: list[dict[str, Any]] = []
    for word, source, parameters, spike in asked():
        x = torch.tensor(GRID, dtype=torch.float64, requires_grad=True)
        spike(x).sum().backward()
        phi = [float(f"{value:.13g}") for value in x.grad.tolist()]
        records.append({"surrogate": word, "source": source, "parameters": parameters, "phi": phi})
    lines = ",\n".join(json.dumps(record, separators=(",", ":")) for record in records)
    REFERENCES.write_text(f'{{"x": {json.dumps(GRID)},\n"phi": [\n{lines}\n]}}\n', encoding="utf-8")
    print(f"{REFERENCES}: {len(records)} rows, {REFERENCES.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
