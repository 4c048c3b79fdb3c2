"""How compiling grows: rows of compilations along which one thing grows, and their picture."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from snnc.compiler.pipeline import Options
from snnc.isa.target import Mesh, canonical, load_target
from snnc.reports.drawing import drawing, picture

HERE = Path(__file__).parent
BATCHES = {"mlp": 64, "csnn": 64, "vgg11": 16, "resnet18": 8, "resnet34": 4}
"""Samples with which a training step of each model fits into 1 GiB of DRAM."""


@dataclass(frozen=True)
class Asked:
    """What is compiled, for all *cores* of a target."""

    model: str
    target: str
    cores: int | None = None
    steps: int | None = None
    batch: int | None = None
    size: int | None = None
    """Rows and columns of an image; None for as many as the network says."""

    def options(self) -> Options:
        """The options of a compilation."""
        settings = {} if self.size is None else {"size": self.size}
        batch = self.batch or BATCHES.get(self.model)
        return Options(self.target, cores=self.cores, steps=self.steps, batch=batch, settings=settings)


@dataclass(frozen=True)
class Grown:
    """Processor *seconds* where there is so *much* of what grows; *slope* is the power with which they grow at last."""

    name: str
    much: tuple[int, ...]
    seconds: tuple[float, ...]
    slope: float

    @property
    def words(self) -> str:
        """How they grow, in a line."""
        return f"From {self.much[-2]} to {self.much[-1]}, as the power {self.slope:.2f} (linear is 1)."


def growing(target: str, folder: Path) -> Iterator[tuple[str, list[Asked]]]:
    """Rows along which one thing grows: cores of a machine like *target*, layers, and steps of time."""
    few = load_target(target).cores
    sizes = [count for count in (20, 100, 400) if count > few]
    wide = [Asked("resnet18", str(with_cores(target, count, folder)), count) for count in sizes]
    yield "cores", [Asked("resnet18", target, 1), Asked("resnet18", target, few), *wide]
    # Images such that the first blocks have maps of 32 x 32 in each: a stem of strides halves those of resnet34 twice.
    deep = {"resnet18": 32, "resnet34": 128, str(HERE / "resnet101.snn"): 32}
    yield "layers", [Asked(model, target, steps=4, batch=2, size=size) for model, size in deep.items()]
    yield "time steps", [Asked("resnet18", target, steps=steps, batch=1) for steps in (4, 16, 64)]


def with_cores(target: str, cores: int, folder: Path) -> Path:
    """A file in *folder* of a machine that is *target* but for so many cores, on a mesh as square as they allow."""
    rows = max(count for count in range(1, math.isqrt(cores) + 1) if cores % count == 0)
    machine = load_target(target)
    wide = replace(machine, name=f"{machine.name}-{cores}", cores=cores, mesh=Mesh(cores // rows, rows))
    path = folder / f"cores{cores}.toml"
    path.write_text(canonical(wide), "utf-8")
    return path


def grown(name: str, rows: Sequence[tuple[Asked, Sequence[dict[str, Any]]]]) -> Grown:
    """What rows of measurements say; of depth, the statements of a training step tell how much of it there is."""
    much = tuple(_much(name, asked, runs[0]) for asked, runs in rows)
    seconds = tuple(median(run["processor"] for run in runs) for _, runs in rows)
    return Grown(name, much, seconds, math.log(seconds[-1] / seconds[-2]) / math.log(much[-1] / much[-2]))


def _much(name: str, asked: Asked, run: dict[str, Any]) -> int:
    """How much there is of what grows."""
    match name:
        case "cores":
            return asked.cores or 1
        case "time steps":
            return asked.steps or 1
        case _:
            return int(run["operators"])


def draw(growth: Sequence[Grown], suffix: str = ".svg") -> bytes:
    """A picture of all rows: processor seconds on scales of powers, with a line of what grows linearly beside them."""
    return picture(lambda: _figure(growth), suffix)


def _figure(growth: Sequence[Grown]) -> Any:
    figure = drawing().Figure(figsize=(4.2 * max(len(growth), 1), 3.4), layout="constrained")
    for axes, each in zip(figure.subplots(1, max(len(growth), 1), squeeze=False).flat, growth, strict=False):
        linear = [each.seconds[0] * much / each.much[0] for much in each.much]
        axes.plot(each.much, each.seconds, marker="o", label="resnet", color="#4c72b0")
        axes.plot(each.much, linear, linestyle=":", label="linear", color="#8c8c8c")
        axes.set(xscale="log", yscale="log", xlabel="statements" if each.name == "layers" else each.name)
        axes.set_xticks(each.much, labels=[str(much) for much in each.much], minor=False)
        axes.minorticks_off()
        axes.set_title(f"compile time, more {each.name}")
        axes.legend(frameon=False)
    figure.axes[0].set_ylabel("processor seconds")
    return figure
