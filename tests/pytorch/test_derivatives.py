"""The surrogate of a framework's function is told by its derivative, with the numbers that it holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from networks import framework

from snnc.compiler.ir.values import text_of_setting
from snnc.pytorch.derivatives import surrogate_of
from snnc.pytorch.neurons import neurons

Make = Callable[[Any], Any]

SNNTORCH: dict[str, Make] = {
    "atan(alpha=2.0)": lambda s: s.atan(),
    "atan(alpha=3.5)": lambda s: s.atan(alpha=3.5),
    "fast_sigmoid(k=7.0)": lambda s: s.fast_sigmoid(slope=7),
    "sigmoid(alpha=25.0)": lambda s: s.sigmoid(),
    "straight_through()": lambda s: s.straight_through_estimator(),
    "snntorch_triangular(threshold=1.0)": lambda s: s.triangular(),
    "spike_rate_escape(beta=2.0, k=3.0)": lambda s: s.spike_rate_escape(beta=2, slope=3.0),
    "sparse_fast_sigmoid(k=25.0, bound=0.5)": lambda s: s.SFS(B=0.5),
    "leaky_k_relu(leak=0.0, k=1.0)": lambda s: s.heaviside(),
}
SPIKINGJELLY: dict[str, Make] = {
    "sigmoid(alpha=4.0)": lambda s: s.Sigmoid(),
    "atan(alpha=1.5)": lambda s: s.ATan(alpha=1.5),
    "triangle(alpha=1.0)": lambda s: s.PiecewiseQuadratic(),
    "rect(alpha=0.8)": lambda s: s.Rect(alpha=0.8),
    "erf(alpha=2.0)": lambda s: s.Erf(),
    "piecewise_exp(alpha=1.0)": lambda s: s.PiecewiseExp(),
    "piecewise_leaky_relu(w=0.6, c=0.02)": lambda s: s.PiecewiseLeakyReLU(w=0.6, c=0.02),
    "q_pseudo_spike(alpha=3.0)": lambda s: s.QPseudoSpike(alpha=3.0),
    "leaky_k_relu(leak=0.1, k=0.7)": lambda s: s.LeakyKReLU(leak=0.1, k=0.7),
    "log_tailed_relu(alpha=0.0)": lambda s: s.LogTailedReLU(),
    "fake_numerical_gradient(alpha=0.3)": lambda s: s.FakeNumericalGradient(),
    "nonzero_sign_log_abs(alpha=1.0)": lambda s: s.NonzeroSignLogAbs(),
    "s2nn(alpha=4.0, beta=1.0)": lambda s: s.S2NN(),
    "squarewave_fourier(n=3, period=8.0)": lambda s: s.SquarewaveFourierSeries(n=3),
}


@pytest.mark.parametrize("expected", SNNTORCH)
def test_surrogates_of_snntorch(expected: str) -> None:
    found = surrogate_of(SNNTORCH[expected](framework("snntorch.surrogate")))
    assert found is not None and text_of_setting(found) == expected


@pytest.mark.parametrize("expected", SPIKINGJELLY)
def test_surrogates_of_spikingjelly(expected: str) -> None:
    found = surrogate_of(SPIKINGJELLY[expected](framework("spikingjelly.activation_based.surrogate")))
    assert found is not None and text_of_setting(found) == expected


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("triangle", "norse_triangle(alpha=0.6)"),
        ("tanh", "tanh(k=0.6)"),
        ("circ", "circ(alpha=0.6)"),
        ("heavi_erfc", "heavi_erfc(k=0.6)"),
    ],
)
def test_surrogates_of_norse(method: str, expected: str) -> None:
    torch, norse = framework("torch"), framework("norse.torch")
    parameters = norse.LIFBoxParameters(method=method, alpha=torch.tensor(0.6))
    (found,) = neurons(norse.LIFBoxCell(parameters))
    assert found.surrogate is not None and text_of_setting(found.surrogate) == expected


def test_the_same_slope_under_two_names_is_the_same_surrogate() -> None:
    """SpikingJelly's SoftSign(2) has no number of its own: 1 / (1 + 2 |x|)^2 is fast_sigmoid(2)."""
    surrogate = framework("spikingjelly.activation_based.surrogate")
    assert surrogate_of(surrogate.SoftSign()) == ("fast_sigmoid", ("k", 2.0))


def test_a_derivative_that_is_not_there_or_not_ours_is_none() -> None:
    torch = framework("torch")
    assert surrogate_of(lambda x: (x >= 0).double()) is None
    assert surrogate_of(lambda x: torch.sin(x)) is None
    assert surrogate_of(lambda _: 1 / 0) is None


@pytest.mark.parametrize(
    ("cell", "detached"),
    [
        ("LIFCell", False), ("LIF", False), ("LIFBoxCell", False), ("LSNNCell", False), ("LIFRecurrentCell", True),
        ("LIFRecurrent", True), ("LSNNRecurrentCell", True),
    ],
)  # fmt: skip
def test_cells_of_norse_differ_in_whether_their_reset_is_detached(cell: str, detached: bool) -> None:
    made = getattr(framework("norse.torch"), cell)(*([3, 5] if "Recurrent" in cell else []))
    assert [neuron.detach_reset for neuron in neurons(made)] == [detached]
