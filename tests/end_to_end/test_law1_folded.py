"""Law 1 where learned factors of spikes are those of the weights that read them."""

from __future__ import annotations

from pathlib import Path

import pytest
from laws import Exported, outcome_of

SOURCE = """
network net(image: f16[t, 1, 8, 8]) steps 4 {
    V  = parameter(init=constant(value=0.75)) : f32[]
    s1 = lif(conv2d(image, out=16, kernel=3, pad=1), threshold=0.25, reset=soft)
    y1 = scale(s1, w=V, each=layer, factor=1.5)
    raw = parameter(init=kaiming_normal) : weight f16[24, 16, 3, 3]
    c2 = conv2d(avg_pool2d(y1, kernel=2), w=standardise(raw), out=24, kernel=3, pad=1)
    s2 = lif(c2, threshold=0.25, reset=soft)
    return linear(flatten(scale(s2, w=V, each=layer)), out=10)
}
train { rule = RULE; loss = cross_entropy_mse(lam=0.25); optimizer = adam(lr=1e-2) }
"""


@pytest.mark.parametrize(
    ("rule", "machine"),
    [
        ("bptt(window=2)", "quad3"),
        ("sltt", "f32x3"),
        pytest.param("bptt", "exact7", marks=pytest.mark.full),
        pytest.param("bptt(window=2, update=batch)", "tiny", marks=pytest.mark.full),
    ],
)
def test_the_program_is_the_oracle(rule: str, machine: str, tmp_path: Path) -> None:
    path = tmp_path / "net.snn"
    path.write_text(SOURCE.replace("RULE", rule), encoding="utf-8")
    outcome = outcome_of(Exported(str(path), machine))
    assert not {entry: told for entry, told in outcome.differences.items() if told}
    assert {"V", "raw", "linear.w"} <= set(outcome.learned)
