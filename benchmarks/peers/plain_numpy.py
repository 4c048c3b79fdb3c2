"""A spiking network and its training in plain NumPy: whole tensors, BPTT by hand.

Activations are ``[time * sample, row, column, channel]`` or ``[time * sample, feature]``; a convolution is one matrix
product over copied windows.  Everything has the type of the parameters.  `check.py` holds it against autograd.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .chain import Layer, chain, once
from .job import Job
from .worker import Refused

Array = NDArray[Any]


class Stage(Protocol):
    """A layer of the chain; `forward` keeps what `backward` needs."""

    def forward(self, x: Array) -> Array:
        """The layer's output."""
        ...

    def backward(self, g: Array) -> Array:
        """dL/dinput from dL/doutput; gradients of parameters are kept in `gradients`."""
        ...


class Weighted:
    """``y = columns(x) @ w.T``, and b where there is one; a linear layer, and what a convolution becomes."""

    def __init__(self, parameters: Sequence[Array], first: bool) -> None:
        self.parameters = [each.copy() for each in parameters]
        self.gradients = [np.zeros_like(each) for each in parameters]
        self._first = first
        self._x: Array = self.parameters[0]

    def forward(self, x: Array) -> Array:
        """x: ``[rows, in]``."""
        self._x = x
        y = x @ self.parameters[0].T
        for b in self.parameters[1:]:
            y += b
        return y

    def backward(self, g: Array) -> Array:
        """Nobody needs the gradient of the image."""
        np.matmul(g.T, self._x, out=self.gradients[0])
        for b in self.gradients[1:]:
            np.sum(g, axis=0, out=b)
        return g if self._first else g @ self.parameters[0]


class Convolution(Weighted):
    """Windows as rows: nine copies for a 3 x 3 kernel, and nine sums back."""

    def __init__(self, parameters: Sequence[Array], first: bool, stride: Sequence[int], pad: Sequence[int]) -> None:
        w, *b = parameters
        self._size = tuple(w.shape[2:])
        self._stride, self._pad = tuple(stride), tuple(pad)
        self._padded: tuple[int, ...] = ()
        super().__init__([np.ascontiguousarray(w.transpose(0, 2, 3, 1)).reshape(len(w), -1), *b], first)

    def as_torch(self, array: Array) -> Array:
        """A parameter or gradient of the kernel as ``[out, in, row, column]``."""
        return array.reshape(len(array), *self._size, -1).transpose(0, 3, 1, 2)

    def _windows(self, rows: int, columns: int) -> list[tuple[int, int, slice, slice]]:
        (p, q), (u, v) = self._stride, self._size
        return [
            (r, s, slice(r, r + p * (rows - 1) + 1, p), slice(s, s + q * (columns - 1) + 1, q))
            for r in range(u)
            for s in range(v)
        ]

    def forward(self, x: Array) -> Array:
        """x: ``[n, row, column, channel]``."""
        (u, v), (i, j) = self._pad, self._size
        x = np.pad(x, ((0, 0), (u, u), (v, v), (0, 0)))
        self._padded = x.shape
        n, height, width, channels = x.shape
        rows, columns = (height - i) // self._stride[0] + 1, (width - j) // self._stride[1] + 1
        windows = np.empty((n, rows, columns, i, j, channels), x.dtype)
        for r, s, down, across in self._windows(rows, columns):
            windows[:, :, :, r, s] = x[:, down, across]
        return super().forward(windows.reshape(n * rows * columns, -1)).reshape(n, rows, columns, -1)

    def backward(self, g: Array) -> Array:
        """The adjoint of copying windows is adding them up."""
        n, rows, columns, channels = g.shape
        windows = super().backward(g.reshape(-1, channels))
        if self._first:
            return g
        windows = windows.reshape(n, rows, columns, *self._size, -1)
        x = np.zeros(self._padded, g.dtype)
        for r, s, down, across in self._windows(rows, columns):
            x[:, down, across] += windows[:, :, :, r, s]
        (u, v), (_, height, width, _) = self._pad, self._padded
        return x[:, u : height - u, v : width - v]


class Pool:
    """The mean of square windows that do not overlap."""

    def __init__(self, kernel: Sequence[int]) -> None:
        self._kernel = tuple(kernel)
        self._shape: tuple[int, ...] = ()

    def _windows(self) -> list[tuple[slice, slice]]:
        (u, v), (_, height, width, _) = self._kernel, self._shape
        return [(slice(r, height // u * u, u), slice(s, width // v * v, v)) for r in range(u) for s in range(v)]

    def forward(self, x: Array) -> Array:
        """x: ``[n, row, column, channel]``."""
        self._shape = x.shape
        first, *others = self._windows()
        y = x[:, first[0], first[1]].copy()
        for down, across in others:
            y += x[:, down, across]
        y *= 1 / (len(others) + 1)
        return y

    def backward(self, g: Array) -> Array:
        """Every pixel of a window gets its share."""
        x = np.zeros(self._shape, g.dtype)
        windows = self._windows()
        share = g * (1 / len(windows))
        for down, across in windows:
            x[:, down, across] = share
        return x


class Flatten:
    """To features, in the order channel, row, column."""

    def __init__(self) -> None:
        self._shape: tuple[int, ...] = ()

    def forward(self, x: Array) -> Array:
        """x: ``[n, row, column, channel]``."""
        self._shape = x.shape
        return x.transpose(0, 3, 1, 2).reshape(len(x), -1)

    def backward(self, g: Array) -> Array:
        """The way back."""
        n, height, width, channels = self._shape
        return g.reshape(n, channels, height, width).transpose(0, 2, 3, 1)


class Fire:
    """``h[t] = decay * v[t-1] + x[t]``; ``s = h >= threshold``; ``v = 0`` where it fired, else h.

    The surrogate is the triangle of height and half-width 1, the reset is not detached.  *once*: the input is the same
    in all *steps* time steps and comes once.
    """

    def __init__(self, steps: int, decay: float, threshold: float, once: bool) -> None:
        self._steps, self._decay, self._threshold, self._once = steps, decay, threshold, once
        self.spikes: Array = np.zeros(0)
        self._h: Array = self.spikes

    def forward(self, x: Array) -> Array:
        """x: ``[time * n, ...]``, or ``[n, ...]`` for *once*."""
        held = (x.shape[0], *x.shape[1:]) if self._once else (x.shape[0] // self._steps, *x.shape[1:])
        inputs = x if self._once else x.reshape(self._steps, *held)
        h, s = np.empty((2, self._steps, *held), x.dtype)
        v = np.zeros(held, x.dtype)
        for t in range(self._steps):
            np.multiply(v, self._decay, out=v)
            np.add(v, inputs if self._once else inputs[t], out=h[t])
            np.greater_equal(h[t], self._threshold, out=s[t], casting="unsafe")
            np.subtract(1, s[t], out=v)
            v *= h[t]
        self._h, self.spikes = h, s
        return s.reshape(-1, *held[1:])

    def backward(self, g: Array) -> Array:
        """``gh = phi * (gs - h * gv) + (1 - s) * gv``, ``gv[t-1] = decay * gh`` (hard reset to 0)."""
        h, s = self._h, self.spikes
        errors = g.reshape(h.shape)
        delta = np.empty_like(h)
        gv = np.zeros_like(h[0])
        phi = np.empty_like(h[0])
        for t in reversed(range(self._steps)):
            np.subtract(h[t], self._threshold, out=phi)
            np.abs(phi, out=phi)
            np.subtract(1, phi, out=phi)
            np.maximum(phi, 0, out=phi)
            gh = delta[t]
            np.multiply(h[t], gv, out=gh)
            np.subtract(errors[t], gh, out=gh)
            gh *= phi
            np.subtract(1, s[t], out=phi)
            phi *= gv
            gh += phi
            np.multiply(gh, self._decay, out=gv)
        return delta.sum(axis=0) if self._once else delta.reshape(-1, *h.shape[2:])


class Adam:
    """As torch.optim.Adam, in place."""

    def __init__(self, parameters: Sequence[Array], lr: float, beta1: float, beta2: float, eps: float) -> None:
        self._parameters = parameters
        self._settings = lr, beta1, beta2, eps
        self._moments = [(np.zeros_like(w), np.zeros_like(w), np.empty_like(w)) for w in parameters]
        self._t = 0

    def step(self, gradients: Sequence[Array]) -> None:
        """``m += (1 - beta1) (g - m); v = beta2 v + (1 - beta2) g g; w -= lr' m / (sqrt(v) / sqrt(c2) + eps)``."""
        lr, beta1, beta2, eps = self._settings
        self._t += 1
        rate, root = lr / (1 - beta1**self._t), (1 - beta2**self._t) ** 0.5
        for w, g, (m, v, scratch) in zip(self._parameters, gradients, self._moments, strict=True):
            np.subtract(g, m, out=scratch)
            scratch *= 1 - beta1
            m += scratch
            v *= beta2
            np.multiply(g, g, out=scratch)
            scratch *= 1 - beta2
            v += scratch
            np.sqrt(v, out=scratch)
            scratch *= 1 / root
            scratch += eps
            np.divide(m, scratch, out=scratch)
            scratch *= rate
            w -= scratch


class Network:
    """The chain of a job, with its loss and its optimizer."""

    def __init__(self, job: Job, dtype: type[np.floating[Any]] = np.float32) -> None:
        given = job.graph.optimizer
        if job.graph.loss["name"] != "cross_entropy" or given["name"] != "adam" or given["weight_decay"]:
            raise Refused("plain NumPy trains with cross_entropy and adam")
        self._steps, self._dtype = job.graph.steps, dtype
        self._layers = chain(job.graph)
        parameters = {name: array.astype(dtype) for name, array in job.parameters.items()}
        self.stages = [_stage(self._steps, self._layers, place, parameters) for place in range(len(self._layers))]
        self._weighted = [stage for stage in self.stages if isinstance(stage, Weighted)]
        learned = [w for stage in self._weighted for w in stage.parameters]
        self._optimizer = Adam(learned, job.rate, given["beta1"], given["beta2"], given["eps"])
        self._shape = job.graph.values[job.graph.port].shape

    def logits(self, images: Array) -> Array:
        """Forward: the mean over time."""
        x = images.astype(self._dtype, copy=False).reshape(len(images), *self._shape)
        if x.ndim == 4:
            x = x.transpose(0, 2, 3, 1)
        for stage in self.stages:
            x = stage.forward(x)
        return x.reshape(self._steps, len(images), -1).mean(axis=0)

    def gradients(self, images: Array, labels: Array) -> float:
        """Forward and backward; the mean loss."""
        logits = self.logits(images)
        logits -= logits.max(axis=1, keepdims=True)
        powers = np.exp(logits)
        sums = powers.sum(axis=1, keepdims=True)
        rows = np.arange(len(labels))
        loss = float((np.log(sums[:, 0]) - logits[rows, labels]).mean())
        error = powers / sums
        error[rows, labels] -= 1
        error *= 1 / (len(labels) * self._steps)
        g = np.tile(error, (self._steps, 1))
        for stage in reversed(self.stages):
            g = stage.backward(g)
            if isinstance(stage, Weighted) and stage is self._weighted[0]:
                break
        return loss

    def train(self, images: Array, labels: Array) -> float:
        """One training step."""
        loss = self.gradients(images, labels)
        self._optimizer.step([g for stage in self._weighted for g in stage.gradients])
        return loss

    def spike_rates(self) -> dict[str, float]:
        """Fraction of ones by layer, in the last step."""
        pairs = zip(self._layers, self.stages, strict=True)
        return {layer.name: float(stage.spikes.mean()) for layer, stage in pairs if isinstance(stage, Fire)}

    def arrays(self, what: str) -> dict[str, Array]:
        """The *parameters* or *gradients* by name, as PyTorch would shape them."""
        found: dict[str, Array] = {}
        for layer, stage in zip(self._layers, self.stages, strict=True):
            if isinstance(stage, Weighted):
                w, *b = stage.parameters if what == "parameters" else stage.gradients
                found[layer.weights] = stage.as_torch(w) if isinstance(stage, Convolution) else w
                if b:
                    found[layer.bias] = b[0]
        return found


def _stage(steps: int, layers: Sequence[Layer], place: int, parameters: dict[str, Array]) -> Stage:
    layer = layers[place]
    given = layer.settings
    first = not any(each.kind in ("linear", "conv2d") for each in layers[:place])
    held = [parameters[name] for name in (layer.weights, layer.bias) if name]
    match layer.kind:
        case "linear":
            return Weighted(held, first)
        case "conv2d":
            return Convolution(held, first, given["stride"], given["pad"])
        case "avg_pool2d":
            return Pool(given["kernel"])
        case "flatten":
            return Flatten()
        case "lif":
            return Fire(steps, given["decay"], given["threshold"], place == once(tuple(layers)))
        case kind:
            raise ValueError(f"no plain form of {kind}")
