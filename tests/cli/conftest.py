"""What tests of pages share: their blocks run as a reader would run them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Shell = Callable[[list[str], Path], str]


@pytest.fixture(scope="session")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """`shell(words, folder)`: what a command that succeeds prints; `snnc` is the command of this checkout."""
    path = tmp_path_factory.mktemp("bin")
    command = path / "snnc"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m snnc "$@"\n')
    command.chmod(0o755)
    environment = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}"}

    def run(words: list[str], folder: Path) -> str:
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=folder, env=environment)
        assert done.returncode == 0, f"{words[-1]}\n{done.stderr}"
        return done.stdout

    return run
