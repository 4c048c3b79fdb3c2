"""From a model of snnc to a job for every peer: the same layers, parameters, batches and settings."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from click import ClickException

from snnc.cli._options import read_settings
from snnc.compiler.ir.graph import Node, Setting
from snnc.compiler.pipeline import Compilation, Options
from snnc.models.data import check_shape, load
from snnc.runtime.host import initialise
from snnc.runtime.interpreter import Interpreter
from snnc.runtime.settings import Settings
from snnc.runtime.weights import exported

from .peers.job import Array, Job, Layer
from .peers.plain_numpy import Network

TARGET = "quad"
NEURON: dict[str, Any] = {
    "reset": "hard",
    "v_reset": 0.0,
    "decay_input": False,
    "rest": 0.0,
    "compare": "ge",
    "detach_reset": False,
    "initial": 0.0,
    "surrogate": ("triangle", ("alpha", 1.0)),
}
"""What the peers are written for, beside any decay and threshold."""


@dataclass(frozen=True)
class Wanted:
    """What the user asked for; None leaves batch and steps to the model. *data* as for `snnc train`, or None.

    *train_first*: the parameters have seen so many batches already, since a network as it is drawn hardly fires.
    """

    model: str
    batches: int
    data: str | None = None
    batch: int | None = None
    steps: int | None = None
    seed: int = 0
    train_first: int = 0


def job_of(wanted: Wanted) -> Job:
    """The job; ValueError where the peers cannot do what the model says."""
    compilation = Compilation(wanted.model, Options(target=TARGET, batch=wanted.batch, steps=wanted.steps))
    network = compilation.network
    program = compilation.program
    settings: dict[str, Any] = dict(program.settings)
    optimizer = cast("dict[str, Any]", settings["optimizer"])
    if settings["loss"] not in ("cross_entropy", {"name": "cross_entropy"}) or optimizer["name"] != "adam":
        raise ValueError(f"{network.name}: the peers have cross_entropy and adam, not {settings['loss']}, {optimizer}")
    layers = tuple(_layer(node, compilation) for node in network.nodes if node.op != "parameter")
    for before, after in zip(network.nodes, network.nodes[1:], strict=False):
        if after.op != "parameter" and before.op != "parameter" and before.results[0] not in after.operands:
            raise ValueError(f"{network.name}: {after.results[0]} does not read {before.results[0]}; peers have chains")
    interpreter = Interpreter(program)
    initialise(interpreter, Settings.of(program.settings, seed=wanted.seed))
    (port,) = network.ports
    images, labels = _batches(wanted, port.type.shape, program.batch)
    first = wanted.train_first
    adam: dict[str, float] = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
    adam = {name: float(optimizer.get(name, value)) for name, value in adam.items()}
    job = Job(
        network.name,
        wanted.model,
        TARGET,
        program.steps,
        program.batch,
        adam,
        layers,
        exported(interpreter),
        images[first:],
        labels[first:],
    )
    if not first:
        return job
    plain = Network(job)
    for number in range(first):
        plain.step(images[number], labels[number])
    trained = plain.arrays("parameters").values()
    return replace(job, parameters=dict(zip(job.parameters, trained, strict=True)))


def settings_of(texts: Sequence[str]) -> Mapping[str, Setting]:
    """Settings of a network as `--set` has them, ``width=16``; the exit of the process where they are none."""
    try:
        return read_settings(tuple(texts))
    except ClickException as error:
        sys.exit(error.format_message())


def _layer(node: Node, compilation: Compilation) -> Layer:
    """A node as a peer reads it."""
    given: dict[str, Any] = dict(node.settings)
    name = node.results[0]
    expected: dict[str, Any] = {}
    match node.op:
        case "linear" | "conv2d":
            given["inputs"] = compilation.network.types[f"{name}.w"].shape[1]
            expected = {"bias": True}
            if node.op == "conv2d":
                expected |= {"dilation": (1, 1), "groups": 1}
        case "avg_pool2d":
            expected = {"pad": (0, 0)}
            if tuple(given["stride"]) not in ((0, 0), tuple(given["kernel"])):
                raise ValueError(f"{name}: the peers pool windows that do not overlap")
        case "lif":
            expected = NEURON
        case "flatten":
            pass
        case other:
            raise ValueError(f"{name}: the peers have no {other}")
    wrong = [f"{key} = {given[key]}" for key, value in expected.items() if given[key] != value]
    if wrong:
        raise ValueError(f"{name}: the peers have no {', '.join(wrong)}")
    return Layer(node.op, name, given)


def _batches(wanted: Wanted, shape: tuple[int, ...], size: int) -> tuple[Array, Array]:
    """Batches of real data in the order of the split, or made ones: ten patterns with a fifth of the pixels lit."""
    batches = wanted.train_first + wanted.batches
    count = batches * size
    if wanted.data is not None:
        split = check_shape(load(wanted.data), shape).train
        images, labels = split.batch(np.arange(count) % len(split))
    else:
        random = np.random.default_rng(wanted.seed)
        patterns = random.random((10, *shape)) * (random.random((10, *shape)) < 0.2)
        labels = random.integers(0, 10, count).astype(np.uint16)
        images = patterns[labels] * random.uniform(0.5, 1.0, (count, *shape))
    lead = batches, size
    return images.astype(np.float32).reshape(*lead, *shape), labels.reshape(lead)
