"""References for plasticity by the times of spikes, in float64.

Run ``python tests/golden/make_stdp_references.py`` (needs torch and spikingjelly) to write
``tests/golden/references/stdp.json``.  What the pair-based rule changes comes from SpikingJelly's STDPLearner, step by
step; all else is written out here, with a loop over samples and places where that says more.  Nothing here comes from
snnc.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

REFERENCES = Path(__file__).parent / "references" / "stdp.json"
STEPS, BATCH, BATCHES = 6, 3, 2
RATES = {"mlp": 0.125, "conv": 0.015625, "competing": 0.5}
"""Learning rates; weights of convolutions learn from every place."""

NETWORKS = {
    "mlp": """network mlp(x: spike[t, 8]) steps 6 {
    s1 = lif(linear(x, w=parameter(init=ones), out=7, bias=false), decay=0.75, threshold=1.5)
    s2 = lif(linear(s1, w=parameter(init=ones), out=5, bias=false), decay=0.5, threshold=1.25, reset=soft)
    return s2
}""",
    "conv": """network conv(x: spike[t, 2, 7, 7]) steps 6 {
    s1 = lif(conv2d(x, out=3, kernel=3, stride=2, pad=1, bias=false), decay=0.75, threshold=1.5)
    s2 = lif(conv2d(avg_pool2d(s1, kernel=2), out=4, kernel=2, bias=false), decay=0.5, threshold=1.0, reset=soft)
    s3 = lif(linear(flatten(s2), out=5, bias=false), decay=0.5, threshold=0.75, reset=soft)
    return s3
}""",
    "competing": """network competing(x: spike[t, 8]) steps 6 {
    s1 = competing_lif(linear(x, out=7, bias=false), decay=0.75, threshold=0.5, inhibition=0.25, jump=0.125,
                       excess_decay=0.75)
    s2 = competing_lif(linear(s1, out=5, bias=false), decay=0.5, threshold=0.25, winner=false, inhibition=0.125,
                       reset=soft, jump=0.25)
    return s2
}""",
}
"""A layer's weight is called after the call that it stands in."""

Neuron = Callable[[Any, dict[str, Any]], Any]
Settings = Mapping[str, Any]

LEAK: dict[str, list[dict[str, Any]]] = {
    "mlp": [{"decay": 0.75, "threshold": 1.5}, {"decay": 0.5, "threshold": 1.25, "reset": "soft"}],
    "conv": [
        {"decay": 0.75, "threshold": 1.5},
        {"decay": 0.5, "threshold": 1.0, "reset": "soft"},
        {"decay": 0.5, "threshold": 0.75, "reset": "soft"},
    ],
    "competing": [
        {"decay": 0.75, "threshold": 0.5, "inhibition": 0.25, "jump": 0.125, "excess_decay": 0.75, "winner": True},
        {"decay": 0.5, "threshold": 0.25, "inhibition": 0.125, "jump": 0.25, "reset": "soft", "winner": False},
    ],
}
SHAPES = {
    "mlp": {"s1.linear.w": (7, 8), "s2.linear.w": (5, 7)},
    "conv": {"s1.conv2d.w": (3, 2, 3, 3), "s2.conv2d.w": (4, 3, 2, 2), "s3.linear.w": (5, 4)},
    "competing": {"s1.linear.w": (7, 8), "s2.linear.w": (5, 7)},
}
INPUT = {"mlp": (8,), "conv": (2, 7, 7), "competing": (8,)}

PAIR: Settings = {"potentiation": 0.25, "depression": 0.125, "tau_pre": 4.0, "tau_post": 2.5}
CASES: dict[str, Settings] = {
    "additive": PAIR,
    "within bounds that attract": {**PAIR, "mu": 0.5, "w_min": -0.5, "w_max": 0.75},
    "nearest spikes": {**PAIR, "trace": "nearest", "w_min": -1.0},
    "every two steps": {**PAIR, "every": 2, "mu": 1.0, "w_min": -1.0},
    "normalised": {**PAIR, "normalise": 1.5},
    "fspinn": {"form": "fspinn", "potentiation": 0.25, "tau_pre": 4.0, "mu": 1.0},
    "fspinn, every three steps": {
        "form": "fspinn", "potentiation": 0.25, "tau_pre": 4.0, "mu": 0.5, "every": 3, "threshold": 2, "normalise": 2.0,
    },
}  # fmt: skip
"""Settings of `stdp`."""


def source(network: str, settings: Settings) -> str:
    """The network with its train section."""
    text = ", ".join(f"{name}={value}" for name, value in settings.items())
    return f"{NETWORKS[network]}\ntrain {{ rule = stdp({text}); batch = {BATCH} }}"


def draw(network: str, seed: int) -> dict[str, Any]:
    """Spikes of each batch, and weights."""
    rng = np.random.default_rng(seed)
    given = {name: rng.uniform(0.0, 3.0 / math.prod(shape[1:]), shape) for name, shape in SHAPES[network].items()}
    return given | {"x": (rng.random((BATCHES, STEPS, BATCH, *INPUT[network])) < 0.5).astype(np.float64)}


def fire(current: Any, of: Settings, state: dict[str, Any]) -> Any:
    """The spikes of a step; *state* has the potential, the excess, and how often every neuron has fired."""
    torch: Any = import_module("torch")
    h = of["decay"] * state.get("v", torch.zeros_like(current)) + current
    theta = of["threshold"] + state.get("excess", 0.0)
    s = (h >= theta).to(h.dtype)
    if of.get("winner"):
        alone = torch.zeros_like(s)
        for n in range(len(s)):
            best = int((h[n] - theta).argmax())
            alone[n, best] = s[n, best]
        s = alone
    v = h - theta * s if of.get("reset") == "soft" else torch.where(s > 0, 0.0, h)
    state["v"] = v - of.get("inhibition", 0.0) * (s.sum(1, keepdim=True) - s)
    state["count"] = state.get("count", torch.zeros_like(s)) + s
    return s


def outer(shape: tuple[int, ...], x: Any, y: Any, function: Any) -> Any:
    """Sum over samples and places of y times what the weight of *shape* reads of x: the gradient of a linear map."""
    torch: Any = import_module("torch")
    w = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
    return torch.autograd.grad((function(x, w) * y).sum(), w)[0]


def remembered(trace: Any, spikes: Any, tau: float, settings: Settings) -> Any:
    """A trace after the spikes of a step."""
    torch: Any = import_module("torch")
    trace = torch.zeros_like(spikes) if trace is None else trace
    fallen = trace - trace / tau
    return torch.where(spikes > 0, spikes, fallen) if settings.get("trace") == "nearest" else fallen + spikes


class Written:
    """A weight that learns by the equations as they are written in the description of the rule."""

    def __init__(self, settings: Settings, valid: int, function: Any) -> None:
        self.settings, self.valid, self.function = settings, valid, function
        self.before: Any = None
        self.after: Any = None
        self.up: list[Any] = []
        self.down: list[Any] = []
        self.counts: Any = 0.0

    def learn(self, w: Any, x: Any, s: Any, step: int, rate: float) -> Any:
        """The weight after a step."""
        torch: Any = import_module("torch")
        chosen, shape = self.settings, tuple(w.shape)
        low, high, mu = chosen.get("w_min", 0.0), chosen.get("w_max", 1.0), chosen.get("mu", 0.0)
        every = chosen.get("every", 1)
        changes = (step + 1) % every == 0
        self.before = remembered(self.before, x, chosen["tau_pre"], chosen)
        upwards = chosen["potentiation"] * torch.clamp(high - w, min=0.0) ** mu
        if chosen.get("form") == "fspinn":
            self.counts = self.counts + s
            if not changes:
                return w
            factor = torch.zeros_like(s)
            counts = self.counts.reshape(*self.counts.shape[:2], -1)  # a place is a column
            for n in range(len(counts)):
                for place in range(counts.shape[2]):
                    most = counts[n, :, place].max()
                    for channel in range(counts.shape[1]):
                        count = float(counts[n, channel, place])
                        if count > 0 and count == most:
                            k = math.ceil(count / chosen.get("threshold", 1))
                            factor.reshape(counts.shape)[n, channel, place] = k
            self.counts = 0.0
            change = upwards * outer(shape, self.before, factor, self.function)
        else:
            self.after = remembered(self.after, s, chosen["tau_post"], chosen)
            self.up.append(outer(shape, self.before, s, self.function))
            self.down.append(outer(shape, x, self.after, self.function))
            if not changes:
                return w
            downwards = chosen["depression"] * torch.clamp(w - low, min=0.0) ** mu
            change = upwards * sum(self.up) - downwards * sum(self.down)
            self.up, self.down = [], []
        return torch.clamp(w + rate / self.valid * change, low, high)


class OfSpikingJelly:
    """A weight that learns as the STDPLearner says."""

    def __init__(self, settings: Settings, valid: int, layer: Any) -> None:
        torch: Any = import_module("torch")
        learning: Any = import_module("spikingjelly.activation_based.learning")
        low, high, mu = settings.get("w_min", 0.0), settings.get("w_max", 1.0), settings.get("mu", 0.0)
        self.layer, self.neuron, self.valid, self.bounds = layer, torch.nn.Identity(), valid, (low, high)

        def pre(w: Any) -> Any:
            return settings["depression"] * torch.clamp(w - low, min=0.0) ** mu

        def post(w: Any) -> Any:
            return settings["potentiation"] * torch.clamp(high - w, min=0.0) ** mu

        self.learner = learning.STDPLearner(
            step_mode="s", synapse=layer, sn=self.neuron, tau_pre=settings["tau_pre"], tau_post=settings["tau_post"],
            f_pre=pre, f_post=post,
        )  # fmt: skip

    def learn(self, w: Any, x: Any, s: Any, step: int, rate: float) -> Any:
        """The weight after a step."""
        torch: Any = import_module("torch")
        with torch.no_grad():
            self.layer.weight.copy_(w)
            self.layer(x)
            self.neuron(s)
            change = self.learner.step(on_grad=False, scale=rate / self.valid)
        return torch.clamp(w + change, *self.bounds)


def expected(network: str, settings: Settings, given: Mapping[str, Any], valid: int, jelly: bool) -> dict[str, Any]:
    """Spikes of the last batch, and weights and excesses after all of them; *jelly*: as SpikingJelly learns."""
    torch: Any = import_module("torch")
    functional = torch.nn.functional

    def same(x: Any) -> Any:
        return x

    def pooled(x: Any) -> Any:
        return functional.avg_pool2d(x, 2)

    def flat(x: Any) -> Any:
        return x.flatten(1)

    def wide(x: Any, w: Any) -> Any:
        return functional.conv2d(x, w, stride=2, padding=1)

    def module(kind: Any, *arguments: Any, **options: Any) -> Any:
        return kind(*arguments, bias=False, dtype=torch.float64, **options)

    if network == "conv":
        modules: list[Any] = [
            module(torch.nn.Conv2d, 2, 3, 3, stride=2, padding=1),
            module(torch.nn.Conv2d, 3, 4, 2),
            module(torch.nn.Linear, 4, 5),
        ]
        functions: list[Any] = [wide, functional.conv2d, functional.linear]
        between: list[Any] = [same, pooled, flat]
    else:
        modules = [module(torch.nn.Linear, 8, 7), module(torch.nn.Linear, 7, 5)]
        functions = [functional.linear] * 2
        between = [same] * 2
    names, rate = list(SHAPES[network]), RATES[network]
    weights: list[Any] = [torch.tensor(given[name]) for name in names]
    excesses: list[Any] = [0.0 for _ in names]
    spikes: dict[str, list[Any]] = {}
    for batch in torch.tensor(given["x"]):
        learners: list[Any] = [
            OfSpikingJelly(settings, valid, layer) if jelly else Written(settings, valid, function)
            for layer, function in zip(modules, functions, strict=True)
        ]
        states: list[dict[str, Any]] = [{"excess": excess} for excess in excesses]
        spikes = {f"s{number + 1}": [] for number in range(len(names))}
        for step in range(STEPS):
            value: Any = batch[step, :valid]
            seen: list[tuple[Any, Any]] = []
            for number, (function, of) in enumerate(zip(functions, LEAK[network], strict=True)):
                x = between[number](value)
                value = fire(function(x, weights[number]), of, states[number])
                seen.append((x, value))
                spikes[f"s{number + 1}"].append(value.int().tolist())
            weights = [
                learner.learn(w, x, s, step, rate) for learner, w, (x, s) in zip(learners, weights, seen, strict=True)
            ]
        if total := settings.get("normalise"):
            weights = [w * (total / w.flatten(1).sum(1)).reshape(-1, *(1 for _ in w.shape[1:])) for w in weights]
        excesses = [
            of.get("excess_decay", 1.0) * excess + of.get("jump", 0.0) * state["count"].mean(0)
            for of, excess, state in zip(LEAK[network], excesses, states, strict=True)
        ]
    found: dict[str, Any] = dict(spikes) | {name: w.tolist() for name, w in zip(names, weights, strict=True)}
    found["logits"] = np.mean(np.asarray(spikes[f"s{len(names)}"]), axis=0).tolist()
    if network == "competing":
        found |= {f"s{number + 1}.excess": excess.tolist() for number, excess in enumerate(excesses)}
    return found


def records() -> dict[str, Any]:
    """Every network under every case; one of the samples is missing where the batch is partial."""
    found: dict[str, Any] = {}
    for seed, (network, case) in enumerate((network, case) for network in NETWORKS for case in CASES):
        settings, valid = CASES[case], (BATCH, BATCH - 1)[seed % 2]
        given = draw(network, seed)
        plain = case in ("additive", "within bounds that attract")
        wanted = expected(network, settings, given, valid, jelly=False)
        if plain:
            theirs = expected(network, settings, given, valid, jelly=True)
            for name in wanted:
                np.testing.assert_allclose(wanted[name], theirs[name], rtol=1e-12, atol=1e-12, err_msg=name)
            wanted = theirs
        rates = [np.asarray(wanted[f"s{number + 1}"], np.float64).mean() for number in range(len(SHAPES[network]))]
        assert all(0.02 < rate < 0.98 for rate in rates), (network, case, rates)
        found[f"{network}: {case}"] = {
            "source": source(network, settings),
            "given": {name: (value.astype(int) if name == "x" else value).tolist() for name, value in given.items()},
            "valid": valid,
            "learning_rate": RATES[network],
            "expected": wanted,
        }
    return found


if __name__ == "__main__":
    REFERENCES.write_text(json.dumps(records()) + "\n", encoding="utf-8")
