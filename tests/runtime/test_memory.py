"""An interpreter keeps the memory of arrays that come and go."""

from __future__ import annotations

import subprocess
import sys

import pytest

from snnc.runtime.memory import keep_freed

ROUNDS = """
import resource
import numpy as np
from snnc.runtime.memory import keep_freed
keep_freed()
def turn():
    arrays = [np.ones(3 << 20, np.uint8) for _ in range(8)]
for _ in range(3):
    turn()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    turn()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not keep_freed(), reason="the C library knows no such choice")
def test_arrays_of_the_size_of_earlier_ones_take_no_pages_of_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", ROUNDS], capture_output=True, text=True, check=True)
    pages = 8 * (3 << 20) // 4096
    assert int(done.stdout) < pages / 10  # of ten times as many that the rounds touch
