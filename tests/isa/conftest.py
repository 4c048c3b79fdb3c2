"""The kernels without a choice among versions, compiled for what every machine of this kind has."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from snnc.isa.kernels import compiled


@pytest.fixture(scope="session")
def portable_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where they are; skips where there is no compiler."""
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("kernels")
    sources = map(str, Path(compiled.__file__).parent.glob("*.c"))
    made = folder / f"_compiled{compiled.EXTENSION_SUFFIXES[0]}"
    options = ["-O1", "-ffp-contract=off", "-DSNNC_ONE_VERSION", "-shared", "-fPIC"]
    subprocess.run(["cc", *options, *sources, "-o", str(made)], check=True)
    return folder


@pytest.fixture
def portable(portable_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """These in place of those that were installed."""
    monkeypatch.delenv(compiled.CHOICE, raising=False)
    monkeypatch.setattr(compiled, "__file__", str(portable_folder / "compiled.py"))
    compiled.library.cache_clear()
    yield
    compiled.library.cache_clear()
