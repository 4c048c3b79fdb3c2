"""The page for newcomers says what works: its quick commands are executed, one after the other, in an empty folder."""

from __future__ import annotations

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


@pytest.mark.parametrize("block", QUICK, ids=range(len(QUICK)))
def test_a_block_of_commands_works(block: str, folder: Path) -> None:
    environment = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", "-euc", block], capture_output=True, text=True, check=False, cwd=folder, env=environment
    )
    assert done.returncode == 0, done.stderr


def test_the_block_of_python_on_the_page_of_json_works(folder: Path) -> None:
    import json

    page = (ROOT / "docs" / "run-json.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "bytes of DRAM a step" in done.stdout
    schema = json.loads((ROOT / "docs" / "run.schema.json").read_text())
    jsonschema.validate(json.loads((folder / "run.json").read_text()), schema)
