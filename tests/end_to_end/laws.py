"""What the tests of the laws share: small networks, machines, and a run of three training steps beside the oracle."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pairwise import covering, everything, pairs

from snnc.compiler.cost.density import profile_of
from snnc.compiler.cost.room import aliases_of
from snnc.compiler.evaluate import Accumulators, Numerics, Oracle, first_difference
from snnc.compiler.ir.graph import Setting
from snnc.compiler.ops.surrogates import SURROGATES as TABLE
from snnc.compiler.pipeline import Compilation, Options
from snnc.compiler.profile import Profiler
from snnc.isa.program import Program
from snnc.isa.target import TARGETS
from snnc.isa.traffic import Traffic
from snnc.runtime import tensors
from snnc.runtime.choosing import drawn
from snnc.runtime.interpreter import Interpreter
from snnc.runtime.recording import Record, Recorder
from snnc.runtime.replay import Timing, replay

Array = NDArray[Any]

BATCH = 5
NETWORKS = {
    "digits": """
        network digits(image: f16[1, 8, 8]) steps 3 {
            hidden = linear(flatten(image), out=40)
            spikes = lif(hidden, threshold=0.5, NEURON)
            digit  = linear(spikes, out=10)
            return digit
        }""",
    "lenet": """
        network lenet(image: f16[1, 10, 10]) steps 2 {
            c1 = conv2d(image, out=6, kernel=5, pad=2)
            s1 = lif(c1, threshold=0.25, NEURON)
            p1 = avg_pool2d(s1, kernel=2)
            c2 = conv2d(p1, out=16, kernel=3)
            s2 = lif(c2, threshold=0.25, decay=0.75, detach_reset=true, NEURON)
            p2 = avg_pool2d(s2, kernel=2)
            digit = linear(flatten(p2), out=10)
            return digit
        }""",
    "csnn": """
        network csnn(image: f16[1, 8, 8]) steps 2 {
            c1 = conv2d(image, out=16, kernel=3, pad=1)
            s1 = lif(c1, threshold=0.25, NEURON)
            p1 = avg_pool2d(s1, kernel=2)
            c2 = conv2d(p1, out=24, kernel=3, pad=1, stride=2)
            s2 = lif(c2, threshold=0.25, NEURON)
            cloth = linear(flatten(s2), out=10)
            return cloth
        }""",
    "joined": """
        network joined(image: f16[2, 8, 8]) steps 2 {
            c1 = conv2d(image, out=6, kernel=3, pad=1, stride=2)
            s1 = lif(c1, threshold=0.25, NEURON)
            c2 = conv2d(s1, out=6, kernel=3, pad=1, groups=2)
            s2 = lif(c2, threshold=0.25, decay_input=true, NEURON)
            both = add(s1, s2)
            top = max_pool2d(both, kernel=2)
            l1 = linear(flatten(top), out=18, bias=false)
            s3 = lif(l1, threshold=0.25, compare=gt, NEURON)
            l2 = linear(s3, out=10)
            y  = li(l2, decay=0.75)
            return y
        }""",
    "normed": """
        network normed(image: f16[2, 8, 8]) steps 3 {
            c1 = conv2d(image, out=6, kernel=3, pad=1)
            n1 = batch_norm(c1)
            s1 = lif(n1, threshold=0.25, NEURON)
            r1 = dropout(s1, p=0.25)
            c2 = conv2d(r1, out=18, kernel=3, pad=1, stride=2)
            n2 = batch_norm(c2, scope=window)
            e2 = scale(n2, each=step)
            s2 = lif(e2, threshold=0.25, NEURON)
            raw = parameter(init=kaiming_normal) : weight f16[18, 18, 3, 3]
            w3 = standardise(raw)
            c3 = conv2d(s2, w=w3, out=18, kernel=3, pad=1, bias=false)
            n3 = batch_norm(c3, scope=separate, shift=false)
            s3 = lif(n3, threshold=0.25, NEURON)
            l1 = linear(flatten(dropout(s3, p=0.25)), out=20)
            n4 = batch_norm(l1)
            r4 = dropout(n4, p=0.125, mask=step)
            s4 = lif(r4, threshold=0.25, NEURON)
            g4 = scale(s4, each=element)
            y  = linear(g4, out=10)
            return y
        }""",
    "recurrent": """
        network recurrent(image: f16[1, 6, 6]) steps 4 {
            b1 = delay(s1) : spike[18, 3, 3]
            c1 = conv2d(image, out=18, kernel=3, pad=1, stride=2)
            r1 = conv2d(b1, out=18, kernel=3, pad=1, bias=false)
            a1 = add(c1, batch_norm(r1))
            s1 = lif(a1, threshold=0.25, NEURON)
            b2 = delay(s2) : spike[20]
            l2 = linear(flatten(delay(s1, steps=2)), out=20)
            a2 = add(l2, scale(dropout(b2, p=0.25), each=element))
            s2 = lif(a2, threshold=0.25, NEURON)
            y  = linear(s2, out=10)
            return y
        }""",
    "hourglass": """
        network hourglass(image: f16[2, 6, 6]) steps 2 {
            s1 = lif(relu(conv2d(image, out=8, kernel=3, pad=1)), threshold=0.25, NEURON)
            d1 = conv2d(s1, out=16, kernel=3, stride=2, pad=1, groups=8)
            s2 = lif(adaptive_max_pool2d(d1, out=[2, 3]), threshold=0.25, NEURON)
            up = conv_transpose2d(s2, out=4, kernel=[2, 3], stride=[1, 2], pad=[0, 1], output_pad=[0, 1], groups=2)
            s3 = lif(up, threshold=0.25, NEURON)
            wide = concat(s1, upsample(adaptive_avg_pool2d(s3, out=[2, 6]), factor=[3, 1]))
            c2 = conv2d(wide, out=16, kernel=[3, 4], stride=[3, 1])
            s4 = lif(concat(tanh(c2), conv2d(s2, out=3, kernel=1)), threshold=0.25, NEURON)
            ends = concat(flatten(global_avg_pool2d(sum_pool2d(s1, kernel=2))), flatten(global_max_pool2d(s4)))
            return linear(sigmoid(ends), out=10)
        }""",
    "signals": """
        network signals(image: spike[t, 3, 24]) steps 3 {
            c1 = conv1d(image, out=24, kernel=5, pad=2, groups=3)
            s1 = lif(c1, threshold=0.25, NEURON)
            c2 = conv1d(avg_pool1d(s1, kernel=2), out=24, kernel=3, stride=2, dilation=2, pad=1, groups=24)
            s2 = lif(c2, threshold=0.25, NEURON)
            p2 = concat(max_pool1d(s2, kernel=3, stride=1, pad=1), s2)
            s3 = lif(linear(flatten(p2), out=40), threshold=0.25, NEURON)
            n3 = linear(vote(s3, size=4), out=40)
            return vote(lif(vote(n3, size=2), threshold=0.25, NEURON), size=2)
        }""",
    "cells": """
        network cells(image: f16[2, 6, 6]) steps 3 {
            c1 = conv2d(image, out=6, kernel=3, pad=1)
            s1 = plif(c1, each=channel, decay_input=true, rest=0.125, threshold=0.25, NEURON)
            c2 = conv2d(s1, out=18, kernel=3, stride=2)
            s2 = cuba(c2, learn_threshold=channel, threshold=0.25, NEURON)
            l3 = linear(flatten(s2), out=20)
            s3 = concat(alif(l3, threshold=0.25, NEURON), alpha(l3, learn_threshold=channel, threshold=0.25, NEURON))
            l4 = linear(s3, out=20)
            s4 = if(l4, learn_threshold=layer, threshold=0.25, reset_time=delayed, NEURON)
            l5 = linear(s4, out=20)
            s5 = refractory_lif(l5, threshold=0.25, period=1, reset=hard, detach_reset=true, surrogate=rect)
            l6 = linear(s5, out=20)
            s6 = adaptive_lif(l6, threshold=0.25, coupling=0.25, NEURON)
            before = delay(s7) : spike[20]
            l7 = add(linear(s6, out=20), scale(before, each=element))
            s7 = plif(l7, form=clamp, learn_threshold=layer, threshold=0.25, reset=soft, surrogate=rect)
            l8 = linear(s7, out=10)
            y  = integrator(l8)
            return y
        }""",
    "again": """
        network again(image: f16[2, 6, 6]) steps 4 {
            c1 = conv2d(image, out=6, kernel=3, pad=1)
            s1 = lif(c1, threshold=0.25, reset=soft, surrogate=atan, tape=recompute(every=4))
            s2 = if(avg_pool2d(s1, kernel=2), threshold=0.25, reset_time=delayed, tape=recompute(every=2))
            c3 = conv2d(s2, out=18, kernel=2)
            s3 = plif(c3, each=channel, learn_threshold=layer, decay_input=true, rest=0.125, threshold=0.25,
                      surrogate=sigmoid, tape=recompute(every=2))
            l4 = linear(flatten(s3), out=20)
            s4 = cuba(l4, learn_threshold=channel, threshold=0.25, reset=soft, tape=recompute(every=4))
            l5 = linear(s4, out=20)
            s5 = alif(l5, threshold=0.25, detach_reset=true, tape=recompute(every=2))
            l6 = linear(s5, out=20)
            s6 = refractory_lif(l6, threshold=0.25, period=1, surrogate=rect, tape=recompute(every=4))
            l7 = linear(s6, out=20)
            s7 = adaptive_lif(l7, threshold=0.25, coupling=0.25, tape=recompute(every=2))
            l8 = linear(s7, out=20)
            s8 = alpha(l8, excitatory_decay=0.875, inhibitory_decay=0.25, threshold=0.25, detach_reset=true, reset=soft,
                       surrogate=rect, tape=recompute(every=2))
            l9 = linear(s8, out=20)
            return linear(lif(l9, threshold=0.25, NEURON), out=10)
        }""",
}
"""Small networks that have every operator; NEURON stands for the reset and the surrogate."""

CORNERS = {
    "transposed, more stride than taps": "conv_transpose2d(s, out=4, kernel=[1, 2], stride=[2, 3])",
    "transposed, everything": """
        conv_transpose2d(s, out=10, kernel=[3, 2], stride=[2, 3], pad=[1, 2], output_pad=[1, 2], dilation=[2, 1],
                         groups=5)""",
    "depthwise of counts": "conv2d(avg_pool2d(s, kernel=2, stride=1), out=10, kernel=3, stride=[2, 1], groups=10)",
    "a group an output": "conv2d(s, out=2, kernel=2, dilation=[2, 1], groups=2)",
    "spikes of 10 channels before others": "concat(s, max_pool2d(s, kernel=3, stride=1, pad=1))",
    "spikes beside their counts": "concat(s, avg_pool2d(s, kernel=3, stride=1, pad=1))",
    "what is static beside what moves": "concat(concat(image, s), image)",
    "sums that tile": "sum_pool2d(c, kernel=[2, 5])",
    "sums of spikes": "sum_pool2d(s, kernel=[2, 1], stride=1)",
    "counts that are many": "global_avg_pool2d(upsample(s, factor=3))",
    "windows that differ": "adaptive_avg_pool2d(s, out=[3, 2])",
    "more windows than elements": "adaptive_max_pool2d(c, out=[2, 7])",
    "pools that tile": "avg_pool2d(max_pool2d(c, kernel=[2, 1]), kernel=[1, 5])",
    "pools that pass elements over": "max_pool2d(avg_pool2d(s, kernel=[2, 1], stride=1), kernel=1, stride=2)",
}
"""Calls on an image, a current c and its spikes s, of which each has something that the networks do not show."""


def corner(call: str) -> str:
    """The network around a call of `CORNERS`."""
    return f"""
        network corner(image: f16[2, 6, 5]) steps 2 {{
            c = conv2d(image, out=10, kernel=3, pad=1)
            s = lif(c, threshold=0.25, NEURON)
            e = conv2d({call}, out=9, kernel=1)
            return linear(flatten(lif(e, threshold=0.25, NEURON)), out=10)
        }}"""


MACHINES = {
    "tiny": ("tiny", 1),
    "quad1": ("quad", 1),
    "quad3": ("quad", 3),
    "quad4": ("quad", 4),
    "exact1": ("li2024_exact", 1),
    "exact7": ("li2024_exact", 7),
    "exact20": ("li2024_exact", 20),
    "li7": ("li2024", 7),
    "f32x3": ("quad_f32", 3),
}
"""Targets and cores; `quad_f32` is `quad` with rounding accumulators."""

OTHER_FORMATS = {
    "bf16x1": ("quad_bf16", 1),
    "bf16x3": ("quad_bf16", 3),
    "singlex1": ("quad_f32_in_f32", 1),
    "singlex3": ("quad_f32_in_f32", 3),
}
"""Machines that work in another format than f16; `quad_f32_in_f32` is `quad_f32` working in f32."""

NEEDED = {"heavi_erfc": "heavi_erfc(k=0.8)", "tanh": "tanh(k=1.5)", "circ": "circ(alpha=0.6)"}
SURROGATES = (
    *(NEEDED.get(name, name) for name in TABLE),
    'custom(phi="y = tanh(slope * x); slope * (1 - y^2) + uniform() / 8", slope=1.75)',
)
"""All of them, those without defaults with the parameters that they need."""

TRAINING = (
    "loss = cross_entropy; optimizer = adam(lr=1e-2)",
    "loss = mse_rate; optimizer = sgd(lr=0.1, momentum=0.9, weight_decay=1e-3); coding = poisson",
    "loss = cross_entropy_mse(lam=0.25); optimizer = adamw(lr=1e-2)",
    "loss = cross_entropy; optimizer = sgd(lr=0.1); coding = poisson",
    "loss = mse_rate; optimizer = adam(lr=1e-2, weight_decay=1e-3)",
)


@cache
def folder() -> Path:
    """Where sources and target files of this run of the tests lie."""
    return Path(mkdtemp(prefix="snnc-laws-"))


def source_of(network: str, neuron: str = "reset=hard", training: str = TRAINING[0], batch: int = BATCH) -> str:
    """The path of a network of `NETWORKS`, or around a call of `CORNERS`, with these settings."""
    name, written = (network, NETWORKS[network]) if network in NETWORKS else ("corner", corner(CORNERS[network]))
    text = written.replace("NEURON", neuron) + f"\n        train {{ {training}; batch = {batch} }}\n"
    path = folder() / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.snn"
    path.write_text(text)
    return str(path)


@cache
def target_of(name: str) -> str:
    """What `--target` is given for *name*."""
    if name in TARGETS or name.endswith(".toml"):
        return name
    parts = re.fullmatch(r"(\w+?)_(exact|f16|f32)(?:_in_(\w+))?", name)
    assert parts is not None, name
    return changed_target(parts[1], name, accumulators=parts[2], working=parts[3] or "f16")


def changed_target(base: str, name: str, accumulators: str = "", working: str = "f16", **bytes_of: int) -> str:
    """The path of a target like *base*, which works in f16, with other accumulators or another working format (its
    engines then take that in the place of f16), or other capacities of memories (or of ``dram``)."""
    text = TARGETS[base].read_text()
    text = re.sub(r'^name = "\w+"', f'name = "{name}"', text, count=1, flags=re.M)
    text = text.replace('"f16"', f'"{working}"')
    if accumulators:
        text = text.replace('accumulators = { value = "exact"', f'accumulators = {{ value = "{accumulators}"', 1)
    for memory, size in bytes_of.items():
        head = r"\[dram\]\n" if memory == "dram" else rf'name = "{memory}"\n'
        text, count = re.subn(rf"({head}bytes = {{ value = )\d+", rf"\g<1>{size}", text)
        assert count == 1, f"{base} has no {memory}"
    path = folder() / f"{name}.toml"
    path.write_text(text)
    return str(path)


@dataclass(frozen=True)
class Case:
    """A network, its settings, a machine and a dataflow."""

    network: str
    machine: str
    dataflow: str = "auto"
    reset: str = "hard"
    surrogate: str = "triangle"
    training: str = TRAINING[0]
    batch: int = BATCH
    steps: int | None = None
    pins: tuple[str, ...] = ()
    codecs: tuple[str, ...] = ()
    density: float | str = 1.0
    partition: str = "chosen"
    fusion: str = "auto"
    overlap: str = "auto"
    skipping: str = "auto"

    def __str__(self) -> str:
        return f"{self.network}-{self.machine}-{self.dataflow}-{self.reset}-{self.surrogate.partition('(')[0]}"

    def compilation(self) -> Compilation:
        """Not yet made."""
        target, cores = (MACHINES | OTHER_FORMATS)[self.machine]
        source = source_of(self.network, f"reset={self.reset}, surrogate={self.surrogate}", self.training, self.batch)
        mapping: dict[str, Any] = {"dataflow": self.dataflow, "pins": self.pins, "codecs": self.codecs}
        mapping |= {
            "partition": self.partition,
            "fusion": self.fusion,
            "overlap": self.overlap,
            "skipping": self.skipping,
        }
        given = Options(target_of(target), cores, steps=self.steps, density=self.density, **mapping)
        return Compilation(source, given)


@dataclass(frozen=True)
class Model:
    """A model that comes with snnc, so narrow that a step takes a second; *rule* stands in the place of its own."""

    name: str
    machine: str
    rule: Setting | None = None

    def __str__(self) -> str:
        return f"{self.name}-{self.machine}"

    def compilation(self) -> Compilation:
        """Not yet made."""
        target, cores = (MACHINES | OTHER_FORMATS)[self.machine]
        settings: dict[str, Any] = {"classes": 10, **NARROW[self.name]}
        online: dict[str, Any] = {"loss": ("cross_entropy_mse", ("lam", 0.25)), "optimizer": ("sgd", ("momentum", 0.9))}
        train = {} if self.rule is None else online
        given = Options(target_of(target), cores, 3, 2 if self.rule is None else 4, self.rule, train=train)
        return Compilation(self.name, replace(given, settings=settings))


@dataclass(frozen=True)
class Exported:
    """A network in a file of another tool."""

    path: str
    machine: str
    steps: int | None = None
    batch: int = 3

    def __str__(self) -> str:
        return f"{Path(self.path).stem}-{self.machine}"

    def compilation(self) -> Compilation:
        """Not yet made."""
        target, cores = (MACHINES | OTHER_FORMATS)[self.machine]
        return Compilation(self.path, Options(target_of(target), cores, self.batch, self.steps))


Compiled = Case | Model | Exported

NARROW: dict[str, dict[str, int]] = {
    "scnn_mnist": {"size": 12, "width": 6, "hidden": 20},
    "vgg11": {"size": 16, "width": 4},
    "vgg11_dvs": {"size": 32, "width": 4},
    "resnet18": {"size": 16, "width": 4},
    "resnet34": {"size": 32, "width": 4},
    "ms_resnet18": {"size": 32, "width": 4, "stem": 3},
    "sew_resnet18": {"size": 32, "width": 4},
    "nf_resnet34": {"size": 32, "width": 4},
    "srnn": {"size": 8, "hidden": 24},
}
"""Settings that make the deep models small."""


@lru_cache(maxsize=4)
def compiled(case: Compiled) -> Compilation:
    """The latest few are kept."""
    return case.compilation()


FLOWS = ("auto", "weight_stationary", "output_stationary")


SHARE = {"quad1": "one", "exact1": "one", "tiny": "one", "quad4": "all", "exact20": "all"}
"""How many of its cores a machine uses; of all others some."""


def looked_at(row: tuple[Any, ...]) -> set[Hashable]:
    """What a network on a machine under a dataflow and a reset shows, two things at a time: the machine stands for its
    target and for how many of the cores are used."""
    network, machine, *settings = row
    shown = pairs((network, MACHINES[machine][0], SHARE.get(machine, "some"), *settings))
    return shown | {(machine, setting) for setting in settings}


def cases(whole: bool) -> list[Case]:
    """Networks on machines under dataflows and resets; losses, optimizers and surrogates are spread over them.

    Those that are not the whole show all that it shows, two things at a time.
    """
    axes = {"network": NETWORKS, "machine": MACHINES, "dataflow": FLOWS, "reset": ("hard", "soft")}
    rows = everything({name: tuple(values) for name, values in axes.items()})
    if not whole:
        rows = covering(rows, looked_at)
    found: list[Case] = []
    for k, row in enumerate(rows):
        turn = sum(case.network == row[0] for case in found)
        found.append(Case(*row, surrogate=SURROGATES[k % len(SURROGATES)], training=TRAINING[turn % len(TRAINING)]))
    return found


class Bench:
    """A compiled network beside its oracle, fed with the same data; *machine* are options of the interpreter."""

    def __init__(
        self, case: Compiled, program: Program | None = None, oracle: bool = True, lit: float = 1.0, **machine: Any
    ) -> None:
        """Of the pixels of its images about *lit* are not 0."""
        compilation = compiled(case)
        self.training = compilation.training
        self.schedule = compilation.schedule
        self.entry = ""
        self.program = compilation.program if program is None else program
        self.machine = Interpreter(self.program, **machine)
        numerics = Numerics(cast(Accumulators, self.machine.target.accumulators))
        self.oracle = Oracle(self.training, numerics) if oracle else None
        self.symbols = self.program.by_name
        self._image, self._lit = compilation.network.ports[0].name, lit
        self._random = np.random.default_rng(0)

    def feed(self) -> None:
        """Another batch of images and labels."""
        symbol = self.symbols[self._image]
        images = self._random.random(tensors.lead_of(symbol) + symbol.shape, np.float32)
        images[..., 0] = 0.0
        images = np.maximum(images - np.float32(1.0 - self._lit), 0.0) / np.float32(self._lit)
        if symbol.format == "spike":
            images = (images > 0.75).astype(np.float32)
        labels = self._random.integers(0, 10, self.program.batch)
        for side in (self.machine, self.oracle):
            if side is not None:
                side.write(self._image, images)
                if "label" in self.symbols:
                    side.write("label", labels)

    def run(
        self, entry: str, step: int = 0, valid: int | None = None, scalars: Mapping[str, float] | None = None
    ) -> None:
        """Run an entry on both sides, with the host's scalars of optimizer step *step*, or other *scalars*."""
        given: dict[str, float] = {
            "valid": self.program.batch if valid is None else valid,
            "learning_rate": 1e-2,
            "loss_scale": 1024.0,
            "seed": 3,
            "step": step,
            "correction1": 1 - 0.9 ** (step + 1),
            "correction2": 1 - 0.999 ** (step + 1),
            **(scalars or {}),
        }
        if turns := self.program.settings.get("turns"):
            given |= drawn(turns, self.program.steps, 3, step)
        self.entry = entry
        self.machine.run(entry, {name: given[name] for name in self.program.entry(entry).arguments})
        if self.oracle is not None:
            self.oracle.run(entry, given)

    def stored(self, name: str) -> Array:
        """The stored numbers of a symbol; looking at them is not counted."""
        return tensors.read(self.symbols[name], self.machine.chip.dram)

    def bits(self) -> str:
        """A hash of all that DRAM holds."""
        return hashlib.sha256(self.machine.chip.dram[: self.program.dram_bytes].tobytes()).hexdigest()

    def difference(self) -> str:
        """The first value of the entry that was run, then every variable, in which the two sides differ.

        All NaN are one: a steep surrogate may drive a network of `cases` beyond numbers.
        """
        assert self.oracle is not None
        nowhere = self.schedule.nowhere(self.entry)
        records = [record for record in self.oracle.records() if record.name not in nowhere]
        shapes = {record.name: record.elements.shape for record in records if record.name in self.symbols}
        unseen = {record.name for record in records} - set(shapes) - set(aliases_of(self.training))
        assert not unseen, f"not in DRAM: {sorted(unseen)}"
        found = {name: self.stored(name) for name in shapes}
        held = {name for name, shape in shapes.items() if found[name].size != np.prod(shape)}  # of the last steps alone
        assert all(0 < self.symbols[name].steps < self.training.steps for name in held)
        found |= {name: found[name].reshape(shape) for name, shape in shapes.items() if name not in held}
        first = first_difference(records, found)
        told = [] if first is None else [str(first)]
        kept = [variable.name for variable in self.training.variables if variable.role not in ("input", "label")]
        assert kept
        for name in kept:
            value = self.oracle.value(name)
            if not np.array_equal(value, self.stored(name).reshape(value.shape), equal_nan=True):
                told.append(name)
        return "; ".join(told)


def timed(case: Case) -> tuple[Record, Timing]:
    """The first training step, recorded and replayed."""
    bench = Bench(case, oracle=False)
    recorder = Recorder(bench.machine.target)
    bench.machine.listen(recorder)
    bench.run("init")
    bench.feed()
    bench.run("train_step")
    assert recorder.record is not None
    return recorder.record, replay(recorder.record, bench.machine.target)


@cache
def profiled(case: Case, lit: float = 1.0) -> tuple[Case, Bench]:
    """The same case with the densities of its first training step, and what made that step, see `Bench`."""
    bench = Bench(case, lit=lit)
    bench.run("init")
    bench.feed()
    bench.run("train_step")
    assert bench.oracle is not None
    profiler = Profiler(bench.oracle)
    profiler.observe(bench.program.batch)
    path = folder() / f"{case}-{hash((case, lit)) & 0xFFFFFFFF:08x}.profile.json"
    path.write_text(json.dumps(profile_of(profiler.densities, {})))
    return replace(case, density=str(path)), bench


@dataclass(frozen=True)
class Outcome:
    """What came of a case: differences by what was run, and what one run of each entry moved."""

    case: Compiled
    program: Program
    differences: Mapping[str, str]
    counted: Mapping[str, Traffic]
    losses: tuple[float, ...]
    """None where a program has no loss."""

    learned: frozenset[str]
    """Parameters whose masters the training steps have changed."""


def outcome_of(case: Compiled) -> Outcome:
    """`init`, three training steps (the second with a partial batch) and `infer`, on both sides."""
    bench = Bench(case)
    differences: dict[str, str] = {}
    counted: dict[str, Traffic] = {}
    bench.run("init")
    differences["init"] = bench.difference()
    counted["init"] = bench.machine.counters.take()
    losses: list[float] = []
    masters = [variable.name for variable in bench.training.variables if variable.role == "master"]
    before = {name: bench.stored(name) for name in masters}
    batch = bench.program.batch
    for step, valid in enumerate((batch, max(1, batch - 2), batch)):
        bench.feed()
        bench.run("train_step", step, valid)
        differences[f"train_step {step}"] = bench.difference()
        if "loss" in bench.symbols:
            losses.append(float(np.mean(bench.stored("loss"))))
        moved = bench.machine.counters.take()
        counted.setdefault("train_step", moved)  # the first: statistics of a partial batch read fewer samples
    learned = {name.removesuffix(".master") for name in masters if np.any(bench.stored(name) != before[name])}
    bench.feed()
    bench.run("infer", 3)
    differences["infer"] = bench.difference()
    counted["infer"] = bench.machine.counters.take()
    return Outcome(case, bench.program, differences, counted, tuple(losses), frozenset(learned))
