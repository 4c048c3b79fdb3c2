"""The page for newcomers says what works: its quick commands are executed, one after the other, in an empty folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "getting-started.md").read_text("utf-8")
QUICK = re.findall(r"<!-- command: quick -->\n```sh\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder, where `snnc` is the command of this checkout."""
    pytest.importorskip("sklearn", reason="needs scikit-learn for the scans of digits")
    path = tmp_path_factory.mktemp("started")
    command = path / "bin" / "snnc"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m snnc "$@"\n')
    command.chmod(0o755)
    return path


def test_the_commands_of_the_page_work_and_what_they_write_is_as_described(folder: Path) -> None:
    """In the order of the page, each block on what those before it left; then the Python of the page of JSON."""
    environment = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    assert QUICK
    for block in QUICK:
        done = subprocess.run(
            ["sh", "-euc", block], capture_output=True, text=True, check=False, cwd=folder, env=environment
        )
        assert done.returncode == 0, f"{block}\n{done.stderr}"

    page = (ROOT / "docs" / "run-json.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "bytes of DRAM a step" in done.stdout
    schema = json.loads((ROOT / "docs" / "run.schema.json").read_text())
    jsonschema.validate(json.loads((folder / "run.json").read_text()), schema)
