"""A convolution and its gradients on a machine, beside a plain sum over taps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snnc.compiler.ir.graph import Node, Procedure, Region, Training, Variable
from snnc.compiler.ir.types import Type
from snnc.compiler.passes.build_schedule import MappingOptions
from snnc.compiler.passes.pins import parse_pins
from snnc.compiler.pipeline import assemble
from snnc.isa.program import Program
from snnc.isa.target import TARGETS, load_target, with_cores

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """A convolution of T steps and N samples, and how it is mapped."""

    steps: int
    batch: int
    inputs: int
    outputs: int
    groups: int
    size: int
    kernel: int
    stride: int
    pad: int
    dilation: int
    left: str
    target: str
    cores: int
    dataflow: str
    tile: int
    seed: int
    pins: tuple[str, ...] = ()
    phases: tuple[str, ...] = ("FP", "BP", "WG")

    @property
    def out(self) -> int:
        return (self.size + 2 * self.pad - self.dilation * (self.kernel - 1) - 1) // self.stride + 1

    def training(self) -> Training:
        lead = {"timed": True, "batched": True}
        x = Type.of(self.left, self.inputs, self.size, self.size, **lead)
        w = Type.of("f16", self.outputs, self.inputs // self.groups, self.kernel, self.kernel, weight=True)
        b = Type.of("f16", self.outputs)
        y = Type.of("f16", self.outputs, self.out, self.out, **lead)
        dx = Type.of("f16", self.inputs, self.size, self.size, **lead)
        set_ = {"out": self.outputs, "kernel": self.kernel, "stride": self.stride, "pad": self.pad}
        set_ |= {"dilation": self.dilation, "groups": self.groups}
        forward = Node(("y",), "conv2d", ("x", "w", "b"), set_, (y,), "c", "FP")
        back = (
            Node(("d.x",), "conv2d.d_x", ("d.y", "w"), set_, (dx,), "c", "BP"),
            Node(("d.w",), "conv2d.d_w", ("x", "d.y"), set_, (w.with_(format="f32"),), "c", "WG"),
            Node(("d.b",), "conv2d.d_b", ("d.y",), set_, (b.with_(format="f32"),), "c", "WG"),
        )
        up = tuple(node for node in (forward,) if node.phase in self.phases)
        down = tuple(node for node in back if node.phase in self.phases)
        results = tuple(node.results[0] for node in (*up, *down))
        entry = Procedure("train_step", ("x", "d.y"), (Region("up", up), Region("down", down)), results)
        kinds = (("x", x, "input"), ("w", w, "parameter"), ("b", b, "parameter"), ("d.y", y, "input"))
        variables = tuple(Variable(name, type, role) for name, type, role in kinds)
        return Training("case", self.steps, self.batch, variables, (), (entry,))

    def program(self) -> Program:
        target = load_target(self.target)
        if self.cores > target.cores:
            target = with_cores(target, self.cores)
        sizes = {"n": self.batch, "p": self.out, "o": self.outputs // self.groups}
        sizes |= {"c": self.inputs} if self.groups == 1 else {}  # a channel of a group is not cut
        pins = [f"c.*=tile.{loop}={min(self.tile, size)}" for loop, size in sizes.items() if self.tile]
        known = parse_pins([*pins, *self.pins])
        options = MappingOptions(target, self.cores, self.dataflow, known)
        return assemble(self.training(), options)

    def operands(self) -> dict[str, Array]:
        rng = np.random.default_rng(self.seed)
        shape = (self.steps, self.batch, self.inputs, self.size, self.size)
        if self.left == "spike":
            x = (rng.random(shape) < 0.3).astype(np.float64)
        elif self.left == "u4":
            x = rng.integers(0, 16, shape).astype(np.float64)
        else:
            x = rng.normal(size=shape).astype(np.float16).astype(np.float64)
        w = rng.normal(size=(self.outputs, self.inputs // self.groups, self.kernel, self.kernel))
        dy = rng.normal(size=(self.steps, self.batch, self.outputs, self.out, self.out))
        b = rng.normal(size=self.outputs)
        f16 = {"w": w, "d.y": dy, "b": b}
        return {"x": x} | {name: a.astype(np.float16).astype(np.float64) for name, a in f16.items()}

    def reference(self, given: dict[str, Array]) -> dict[str, Array]:
        x, w, dy, b = given["x"], given["w"], given["d.y"], given["b"]
        padded = np.pad(x, ((0, 0),) * 3 + ((self.pad, self.pad),) * 2)
        y, dx, dw = np.zeros_like(dy), np.zeros_like(padded), np.zeros_like(w)
        ins, outs = self.inputs // self.groups, self.outputs // self.groups
        last = self.stride * (self.out - 1) + 1
        for g in range(self.groups):
            c, o = slice(g * ins, (g + 1) * ins), slice(g * outs, (g + 1) * outs)
            for r in range(self.kernel):
                for s in range(self.kernel):
                    r0, s0 = r * self.dilation, s * self.dilation
                    rows, columns = slice(r0, r0 + last, self.stride), slice(s0, s0 + last, self.stride)
                    seen = padded[:, :, c, rows, columns]
                    y[:, :, o] += np.einsum("tncpq,oc->tnopq", seen, w[o, :, r, s])
                    dx[:, :, c, rows, columns] += np.einsum("tnopq,oc->tncpq", dy[:, :, o], w[o, :, r, s])
                    dw[o, :, r, s] += np.einsum("tncpq,tnopq->oc", seen, dy[:, :, o])
        inside = slice(self.pad, self.pad + self.size)
        y += b[:, None, None]
        return {
            "y": y.astype(np.float16).astype(np.float64),
            "d.x": dx[..., inside, inside].astype(np.float16).astype(np.float64),
            "d.w": dw.astype(np.float32).astype(np.float64),
            "d.b": dy.sum((0, 1, 3, 4)).astype(np.float32).astype(np.float64),
        }


DENSE = Case(
    steps=2,
    batch=2,
    inputs=7,
    outputs=3,
    groups=1,
    size=1,
    kernel=1,
    stride=1,
    pad=0,
    dilation=1,
    left="f16",
    target="",
    cores=1,
    dataflow="auto",
    tile=0,
    seed=5,
)
"""A small linear layer, of which others differ in what they are about; its machine is still to be named."""


def machine(folder: Path, size: int, base: str = "tiny") -> str:
    """The path of a target like *base* with so many bytes of scratchpad."""
    text = re.sub(r'(name = "scratch"\nbytes = { value = )\d+', rf"\g<1>{size}", TARGETS[base].read_text())
    path = folder / f"{base}_{size}.toml"
    path.write_text(text)
    return str(path)
