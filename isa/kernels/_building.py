"""How setuptools compiles the kernels: as ever, with the digest of their sources as `SNNC_SOURCES`.

It is run before there is a package, so it runs the file beside it by its path.
"""

from __future__ import annotations

from pathlib import Path
from runpy import run_path

from setuptools.command.build_ext import build_ext

HERE = Path(__file__).parent


class BuildKernels(build_ext):
    """`build_ext`, which tells the kernels what they are made of."""

    def build_extensions(self) -> None:
        """Compiles all."""
        digest = run_path(str(HERE / "sources.py"))["digest"](HERE)
        for extension in self.extensions:
            extension.define_macros.append(("SNNC_SOURCES", f"0x{digest:x}ULL"))
        super().build_extensions()
