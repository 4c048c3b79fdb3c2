"""From a model of snnc to a job for every peer: the same network, parameters, batches and settings."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from click import ClickException

from snnc.cli._options import read_settings
from snnc.compiler.evaluate import Oracle
from snnc.compiler.ir.graph import Network, Node, Setting
from snnc.compiler.ir.text import print_network
from snnc.compiler.passes.training_options import TrainingOptions
from snnc.compiler.pipeline import Compilation, Options
from snnc.models.data import check_shape, load
from snnc.runtime.facts import facts_of
from snnc.runtime.host import INIT
from snnc.runtime.settings import Settings

from .graphs import graph_of
from .peers.job import Array, Job

HERE = Path(__file__).parent
NEURONS = "lif", "if"
SIZES = {"mlp": (8, 128), "csnn": (4, 64), "vgg11": (4, 16), "resnet18": (4, 8)}
"""Time steps and samples of a batch where nobody asks for others."""

Thresholds = Mapping[str, float]
"""By the value that a node of neurons fires."""


@dataclass(frozen=True)
class Problem:
    """A model with *count* batches of data, ``idx:FOLDER`` as for `snnc train` or, without *data*, made ones."""

    model: str
    count: int
    steps: int | None = None
    batch: int | None = None
    data: str | None = None
    settings: Mapping[str, Setting] = field(default_factory=dict[str, Setting])
    seed: int = 0

    @cached_property
    def compilation(self) -> Compilation:
        """The model as the compiler reads it."""
        steps, batch = SIZES.get(self.model, (None, None))
        options = Options(batch=self.batch or batch, steps=self.steps or steps, settings=self.settings)
        return Compilation(model_file(self.model), options)

    @property
    def network(self) -> Network:
        """Its network."""
        return self.compilation.network

    @cached_property
    def parameters(self) -> dict[str, Array]:
        """Parameters and running statistics as the program of `init` draws them."""
        training = self.compilation.training
        oracle = Oracle(training)
        settings = Settings.of(training.settings, seed=self.seed)
        known = facts_of(settings, 0, 0, 1, settings.scale, training.steps) | {"valid": 0}
        oracle.run(INIT, {name: known[name] for name, _ in training.arguments})
        graph = graph_of(self.network, self.compilation.training_options)
        return {name: oracle.read(name).astype(np.float32) for name in (*graph.learned, *graph.statistics)}

    @cached_property
    def batches(self) -> tuple[Array, Array]:
        """Images ``[batch][sample]`` and their labels."""
        (port,) = self.network.ports
        batch = self.compilation.training_options.batch
        return batches(port.type.shape, self.count, batch, self.data, self.seed)

    def job(
        self,
        parameters: Mapping[str, Array],
        first: int = 0,
        thresholds: Thresholds | None = None,
        surrogate: Setting | None = None,
        rate: float | None = None,
    ) -> Job:
        """What peers are asked to run, from batch *first* on; without a *rate*, at the optimizer's own."""
        network = fitted(self.network, thresholds or {}, surrogate)
        options = TrainingOptions.resolve(network, {"batch": self.compilation.training_options.batch})
        graph = graph_of(network, options)
        images, labels = self.batches
        if rate is None:
            rate = float(graph.optimizer["lr"])
        return Job(
            graph, print_network(network, places=False), options.batch, rate, parameters, images[first:], labels[first:]
        )


def model_file(name: str) -> str:
    """The network of the benchmark that is called so, else what `snnc` takes for it."""
    own = HERE / "networks" / f"{name}.snn"
    return str(own) if own.exists() else name


def fitted(network: Network, thresholds: Thresholds, surrogate: Setting | None) -> Network:
    """The network with other *thresholds* and, where there is one, another *surrogate* in all neurons."""

    def changed(node: Node) -> Node:
        if node.op not in NEURONS:
            return node
        settings = dict(node.settings)
        if node.results[0] in thresholds:
            settings["threshold"] = thresholds[node.results[0]]
        if surrogate is not None:
            settings["surrogate"] = surrogate
        return replace(node, settings=settings)

    return replace(network, nodes=tuple(map(changed, network.nodes)))


def settings_of(texts: Sequence[str]) -> Mapping[str, Setting]:
    """Settings of a network as `--set` has them, ``width=16``; the exit of the process where they are none."""
    try:
        return read_settings(tuple(texts))
    except ClickException as error:
        sys.exit(error.format_message())


def batches(shape: tuple[int, ...], count: int, batch: int, data: str | None, seed: int) -> tuple[Array, Array]:
    """Batches of real data in the order of the split, or made ones: ten patterns with a fifth of the pixels lit."""
    samples = count * batch
    if data is not None:
        split = check_shape(load(data), shape).train
        images, labels = split.batch(np.arange(samples) % len(split))
    else:
        random = np.random.default_rng(seed)
        patterns = random.random((10, *shape)) * (random.random((10, *shape)) < 0.2)
        labels = random.integers(0, 10, samples).astype(np.uint16)
        images: Any = patterns[labels] * random.uniform(0.5, 1.0, (samples, *shape))
    return images.astype(np.float32).reshape(count, batch, *shape), labels.reshape(count, batch)
