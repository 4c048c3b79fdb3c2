"""The kernels for other machines than this one: without a choice among versions (portable), and for AVX2."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from snnc.isa.kernels import compiled

CHOICES = {"portable": "-DSNNC_ONE_VERSION", "AVX2": "-DSNNC_UNIT=3"}


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Where a version lies, compiled when it is first asked for; skips where that cannot be."""

    @cache
    def made(name: str) -> Path:
        folder = tmp_path_factory.mktemp("kernels")
        sources = map(str, Path(compiled.__file__).parent.glob("_*.c"))
        options = ["-O1", "-ffp-contract=off", CHOICES[name], "-shared", "-fPIC"]
        library = folder / f"_compiled{compiled.EXTENSION_SUFFIXES[0]}"
        subprocess.run(["cc", *options, *sources, "-o", str(library)], check=True)
        return folder

    def folder(name: str) -> Path:
        if shutil.which("cc") is None:
            pytest.skip("needs a C compiler")
        if name == "AVX2" and compiled.vectors() not in ("AVX-512", "AVX2"):
            pytest.skip("this machine has no AVX2")
        return made(name)

    return folder


@pytest.fixture(params=list(CHOICES))
def other_version(
    request: pytest.FixtureRequest, folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The name of a version that is in place of the one that was installed."""
    folder = folder_of(request.param)
    monkeypatch.delenv(compiled.CHOICE, raising=False)
    monkeypatch.setattr(compiled, "__file__", str(folder / "compiled.py"))
    compiled.library.cache_clear()
    yield request.param
    compiled.library.cache_clear()


@pytest.fixture
def portable(folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The version for every machine in place of the one that was installed."""
    monkeypatch.delenv(compiled.CHOICE, raising=False)
    monkeypatch.setattr(compiled, "__file__", str(folder_of("portable") / "compiled.py"))
    compiled.library.cache_clear()
    yield
    compiled.library.cache_clear()
