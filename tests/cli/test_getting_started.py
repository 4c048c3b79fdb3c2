"""The page for newcomers says what works: its quick commands are executed, one after the other, in an empty folder."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "getting-started.md").read_text("utf-8")
QUICK = re.findall(r"<!-- command: quick -->\n```sh\n(.*?)```", PAGE, re.DOTALL)


def test_the_commands_of_the_page_work_and_what_they_write_is_as_described(
    shell: Callable[[list[str], Path], str], tmp_path: Path
) -> None:
    """In the order of the page, each block on what those before it left; then the Python of the page of JSON."""
    pytest.importorskip("sklearn", reason="needs scikit-learn for the scans of digits")
    assert QUICK
    for block in QUICK:
        shell(["sh", "-euc", block], tmp_path)

    page = (ROOT / "docs" / "run-json.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert "bytes of DRAM a step" in shell([sys.executable, "-c", code], tmp_path)
    schema = json.loads((ROOT / "docs" / "run.schema.json").read_text())
    jsonschema.validate(json.loads((tmp_path / "run.json").read_text()), schema)
