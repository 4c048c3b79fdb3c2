"""Law 1 without compiled kernels: the NumPy forms, which serve where no compiler is, give the bits of the oracle."""

from __future__ import annotations

import pytest
from laws import Case, outcome_of

from snnc.isa.kernels import contract, drained, element, pooled


@pytest.mark.parametrize("case", [Case("lenet", "tiny"), Case("joined", "quad3"), Case("recurrent", "bf16x3")], ids=str)
def test_the_oracle_and_the_forms_of_numpy_agree(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (contract, drained, element, pooled):
        monkeypatch.setattr(module, "library", lambda: None)
    outcome = outcome_of(case)
    assert outcome.differences
    assert set(outcome.differences.values()) == {""}
