"""A model of what a training step moves between the DRAM and the cache of a GPU.  Nothing of it is measured.

The training graph becomes the kernels that a framework would run, with the tensors that each reads and writes; a cache
takes them one after the other (`gpu_cache`).  A `Variant` says how neurons run, and how wide activations are.  All
else is a kernel of the framework's libraries: each operand once, each result once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from ...source import NOWHERE, SourceError
from ..ir.accesses import made_by, read_by
from ..ir.graph import Node, Training
from ..ir.statement import Elementwise, Statement
from ..ops.neuron import Neuron
from ..ops.op import OPS
from .gpu_cache import dram_bytes
from .gpu_neurons import eager, fused
from .gpu_values import Kernel, Values, kernel

CACHE_BYTES = 40 * 2**20
"""L2 of an A100 (NVIDIA A100 Tensor Core GPU Architecture, white paper, 2020: 40 MB, in two partitions)."""


@dataclass(frozen=True)
class Variant:
    """A program for the GPU: its *name*, how its neurons run, and the bytes of an activation."""

    name: str
    meaning: str
    neurons: Literal["eager", "fused", "ideal"]
    width: int


VARIANTS = (
    Variant("eager f32", "neurons in Python: a kernel an element-wise operation and time step, in f32", "eager", 4),
    Variant("fused f32", "a kernel a neuron over all time steps, each way, in f32", "fused", 4),
    Variant("fused mixed", "the same with activations of 2 bytes and f32 words of weights", "fused", 2),
    Variant("ideal", "mixed, neurons that read and write nothing but what is needed", "ideal", 2),
)


@dataclass(frozen=True)
class Modelled:
    """DRAM bytes of a training step as the model has them.

    *vanishing*: what is dead leaves the cache for nothing.  *written_back*: it is written when its turn to go comes.
    *uncached*: no cache.  What an allocator makes of places lies between the first two.
    """

    variant: Variant
    kernels: int
    vanishing: int
    written_back: int
    uncached: int


def modelled(training: Training, cache_bytes: int = CACHE_BYTES) -> tuple[Modelled, ...]:
    """Every variant; SourceError for a graph in which time steps do not go through a layer together."""
    return tuple(_modelled(training, variant, cache_bytes) for variant in VARIANTS)


def _modelled(training: Training, variant: Variant, cache_bytes: int) -> Modelled:
    values = Values(training, variant.width)
    kernels = kernels_of(training, variant)
    vanishing, written = (dram_bytes(kernels, values.lasting, cache_bytes, vanish) for vanish in (True, False))
    return Modelled(variant, len(kernels), vanishing, written, sum(each.bytes for each in kernels))


def kernels_of(training: Training, variant: Variant) -> tuple[Kernel, ...]:
    """What a training step runs, in order."""
    regions = training.procedure("train_step").regions
    if any(each.stepwise or each.turns or each.steps or each.window for each in regions):
        message = "the model of a GPU takes all time steps of a layer together, and this training step does not"
        raise SourceError.at(NOWHERE, message, hints=("rule = bptt in the train section, without windows",))
    return tuple(_kernels(Values(training, variant.width), variant))


def _kernels(values: Values, variant: Variant) -> Iterator[Kernel]:
    forward: dict[str, Node] = {}
    for node, statements in values.statements:
        name, _, facet = node.op.partition(".")
        neuron = issubclass(OPS[name], Neuron) and facet in ("", "adjoint", "adjoint_local")
        if neuron and not facet:
            forward[node.layer] = node
        for statement in statements if neuron else ():
            assert isinstance(statement, Elementwise)
            if variant.neurons == "eager":
                yield from eager(node, statement, values, bool(facet))
            elif variant.neurons == "fused":
                yield from fused(node, statement, values, forward[node.layer] if facet else None)
        if not neuron or variant.neurons == "ideal":
            for _, alike in groupby(statements, type):
                yield _plain(node, list(alike), values)


def _plain(node: Node, statements: Sequence[Statement], values: Values) -> Kernel:
    """One kernel of a library, for statements of a kind: it looks at each tensor once."""
    reads = [access for statement in statements for _, access in read_by(statement)]
    writes = [access for statement in statements for _, access in made_by(statement)]
    return kernel(
        node.op, node, values.all_of(reads), values.all_of(each for each in writes if not values.is_cast(each.value))
    )
