"""The laws: cases that several of them look at, each of which runs once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports by path, and these tests share modules

from laws import Case, Outcome, cases, outcome_of

CHOSEN = cases(whole=False)
OTHERS = [case for case in cases(whole=True) if str(case) not in set(map(str, CHOSEN))]
PARAMETERS = [pytest.param(case, id=str(case)) for case in CHOSEN] + [
    pytest.param(case, id=str(case), marks=pytest.mark.full) for case in OTHERS
]


@pytest.fixture(scope="session", params=PARAMETERS)
def outcome(request: pytest.FixtureRequest) -> Outcome:
    """What came of a case: CI runs a pairwise covering selection, `-m full` the rest of the product."""
    case: Case = request.param
    return outcome_of(case)
