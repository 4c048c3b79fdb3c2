"""References for errors at equilibrium (`spide`), built in PyTorch in float64, in two ways that have nothing in common.

``fixed_point``: the derivative of all rates by all rates is one dense matrix J, by autograd, and ``(1 - J^T) g = e`` is
solved.  ``spikes``: the sweep of Xiao et al. 2023, neuron by neuron, in which a potential of errors fires 1 and -1.
Both see the rates and the neurons that are not saturated of a simulation of the network.  Parameters then get the
gradient of what neurons read, at these rates, along the error that has settled there.

Run ``python tests/golden/make_equilibrium_references.py`` (needs torch) to write
``tests/golden/references/equilibrium.json``.  Nothing here comes from snnc; `SOURCES` only spells the networks in its
language.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

REFERENCES = Path(__file__).parent / "references" / "equilibrium.json"
STEPS, BATCH, CLASSES = 14, 3, 3
SETTLING = {"spikes": 60, "fixed_point": 400}
THRESHOLD, WORTH = 0.25, 1.5
"""Of the neurons that fire errors; a spike is worth 1.5 thresholds."""


class Neuron(NamedTuple):
    """``h = decay * v + rho * x``, spikes worth *amplitude*, soft reset by the threshold."""

    spelled: str
    decay: float
    rho: float
    threshold: float
    amplitude: float = 1.0
    initial: float = 0.0


PLAIN = Neuron("if(X, threshold=0.75, amplitude=0.5, initial=0.25, reset=soft)", 1.0, 1.0, 0.75, 0.5, 0.25)
LEAKY = Neuron("lif(X, decay=0.875, gain=0.5, threshold=0.5, reset=soft)", 0.875, 0.5, 0.5)
CHARGED = Neuron("lif(X, decay=0.75, decay_input=true, threshold=0.125, reset=soft)", 0.75, 0.25, 0.125)
SOURCES = {
    "mlp": f"""network mlp(x: f16[5]) steps {STEPS} {{
    back = delay(s2) : spike[6]
    into = linear(x, out=7)
    again = linear(back, out=7, bias=false)
    s1 = {PLAIN.spelled.replace("X", "add(into, again)")}
    c2 = linear(s1, out=6)
    s2 = {LEAKY.spelled.replace("X", "c2")}
    y = linear(s2, out={CLASSES})
    return y
}}""",
    "convolutional": f"""network convolutional(x: f16[t, 1, 6, 6]) steps {STEPS} {{
    back = delay(s2) : spike[4, 3, 3]
    self = delay(s2, steps=2) : spike[4, 3, 3]
    into = conv2d(x, out=3, kernel=3, pad=1)
    again = conv_transpose2d(back, out=3, kernel=2, stride=2, bias=false)
    s1 = {PLAIN.spelled.replace("X", "add(into, again)")}
    c2 = conv2d(s1, out=4, kernel=3, pad=1, stride=2)
    k2 = conv2d(avg_pool2d(s1, kernel=2), out=4, kernel=1)
    f2 = conv2d(self, out=4, kernel=3, pad=1, bias=false)
    s2 = {CHARGED.spelled.replace("X", "add(add(c2, k2), f2)")}
    late = delay(avg_pool2d(s2, kernel=3))
    y = linear(flatten(s2), out={CLASSES})
    z = linear(flatten(late), out={CLASSES}, bias=false)
    both = add(y, z)
    return both
}}""",
}
NEURONS = {"mlp": {"s1": PLAIN, "s2": LEAKY}, "convolutional": {"s1": PLAIN, "s2": CHARGED}}
SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "mlp": {
        "into.w": (7, 5), "into.b": (7,), "again.w": (7, 6), "c2.w": (6, 7), "c2.b": (6,), "y.w": (3, 6), "y.b": (3,),
    },
    "convolutional": {
        "into.w": (3, 1, 3, 3), "into.b": (3,), "again.w": (4, 3, 2, 2), "c2.w": (4, 3, 3, 3), "c2.b": (4,),
        "k2.w": (4, 3, 1, 1), "k2.b": (4,), "f2.w": (4, 4, 3, 3), "y.w": (3, 36), "y.b": (3,), "z.w": (3, 4),
    },
}  # fmt: skip


def source(network: str, solver: str) -> str:
    """The network with its training."""
    fired = f", threshold={THRESHOLD}, worth={WORTH}" if solver == "spikes" else ""
    rule = f"spide(solver={solver}, steps={SETTLING[solver]}{fired})"
    return f"{SOURCES[network]}\ntrain {{ rule = {rule}; optimizer = sgd; loss_scale = 1; batch = {BATCH} }}"


def draw(network: str, seed: int) -> dict[str, Any]:
    """Input, labels and parameters."""
    rng = np.random.default_rng(seed)
    given: dict[str, Any] = {}
    for name, shape in SHAPES[network].items():
        wide = 0.1 if name in ("again.w", "f2.w") else 0.45
        given[name] = rng.normal(0.05, wide, shape)
    shape = (BATCH, 5) if network == "mlp" else (STEPS, BATCH, 1, 6, 6)
    return {"x": rng.uniform(0, 1.5, shape), "label": rng.integers(0, CLASSES, BATCH), **given}


class Reads:
    """What neurons and the loss of a network read of the input x, the spikes of now and those that delays bring back.

    Of single steps or of rates, that is all the same.
    """

    def __init__(self, network: str, parameters: dict[str, Any]) -> None:
        self.network, self.parameters = network, parameters
        self.functional: Any = import_module("torch").nn.functional

    def weighed(self, name: str, of: Any, **more: Any) -> Any:
        weight, bias = self.parameters[f"{name}.w"], self.parameters.get(f"{name}.b")
        if weight.dim() == 2:
            return self.functional.linear(of.flatten(1), weight, bias)
        if name == "again":
            return self.functional.conv_transpose2d(of, weight, bias, stride=2)
        return self.functional.conv2d(of, weight, bias, **more)

    def current(self, neuron: str, x: Any, now: dict[str, Any], back: dict[str, Any]) -> Any:
        """What *neuron* reads."""
        around = {} if self.network == "mlp" else {"padding": 1}
        if neuron == "s1":
            return self.weighed("into", x, **around) + self.weighed("again", back["s2"])
        if self.network == "mlp":
            return self.weighed("c2", now["s1"])
        pooled = self.functional.avg_pool2d(now["s1"], 2)
        straight = self.weighed("c2", now["s1"], stride=2, **around) + self.weighed("k2", pooled)
        return straight + self.weighed("f2", back["s2 two steps ago"], **around)

    def answer(self, now: dict[str, Any], back: dict[str, Any]) -> Any:
        """What the loss reads."""
        if self.network == "mlp":
            return self.weighed("y", now["s2"])
        return self.weighed("y", now["s2"]) + self.weighed("z", self.functional.avg_pool2d(back["s2"], 3))


def simulated(network: str, given: dict[str, Any], reads: Reads) -> tuple[dict[str, Any], Any]:
    """(spikes of every step by what they are worth, the mean answer)."""
    torch: Any = import_module("torch")
    x = torch.tensor(given["x"])
    shapes = (
        {"s1": (BATCH, 7), "s2": (BATCH, 6)} if network == "mlp" else {"s1": (BATCH, 3, 6, 6), "s2": (BATCH, 4, 3, 3)}
    )
    v = {name: torch.full(shape, NEURONS[network][name].initial, dtype=x.dtype) for name, shape in shapes.items()}
    nothing = torch.zeros(shapes["s2"], dtype=x.dtype)
    s2 = [nothing, nothing]  # the steps before the first
    fired: dict[str, list[Any]] = {name: [] for name in shapes}
    answers: list[Any] = []
    with torch.no_grad():
        for step in range(STEPS):
            back = {"s2": s2[-1], "s2 two steps ago": s2[-2]}
            now: dict[str, Any] = {}
            for name, neuron in NEURONS[network].items():
                current = reads.current(name, x if network == "mlp" else x[step], now, back)
                h = neuron.decay * v[name] + neuron.rho * current
                s = (h >= neuron.threshold).to(x.dtype)
                v[name] = h - neuron.threshold * s
                now[name] = s * neuron.amplitude
                fired[name].append(now[name])
            answers.append(reads.answer(now, back))
            s2.append(now["s2"])
    return {name: torch.stack(spikes) for name, spikes in fired.items()}, torch.stack(answers).mean(0)


def expected(network: str, solver: str, given: dict[str, Any], masked: bool = True) -> dict[str, Any]:
    """Spikes of every step, and the gradient of every parameter; without masks neurons are never saturated."""
    torch: Any = import_module("torch")
    functional = torch.nn.functional
    parameters = {name: torch.tensor(given[name], requires_grad=True) for name in SHAPES[network]}
    reads, neurons = Reads(network, parameters), NEURONS[network]
    spikes, answer = simulated(network, given, reads)
    x = torch.tensor(given["x"])
    x = x if network == "mlp" else x.mean(0)
    rates = {name: of.mean(0).requires_grad_() for name, of in spikes.items()}
    count = {name: (of > 0).sum(0) for name, of in spikes.items()}
    free = {name: (((of > 0) & (of < STEPS)) | (not masked)).to(x.dtype) for name, of in count.items()}
    slopes = {name: neuron.rho / neuron.threshold for name, neuron in neurons.items()}

    answer = answer.requires_grad_()
    (of_answer,) = torch.autograd.grad(functional.cross_entropy(answer, torch.tensor(given["label"])), answer)
    brought = {"s2": rates["s2"], "s2 two steps ago": rates["s2"]}
    made = reads.answer(rates, brought)
    found = torch.autograd.grad(made, list(rates.values()), of_answer, allow_unused=True, retain_graph=True)
    error = {name: torch.zeros_like(rates[name]) if of is None else of for name, of in zip(rates, found, strict=True)}

    if solver == "fixed_point":
        flat: Any = torch.cat([of.detach().flatten() for of in rates.values()])

        def apart(of: Any) -> dict[str, Any]:
            parts = torch.split(of, [each.numel() for each in rates.values()])
            return {name: part.reshape(rates[name].shape) for name, part in zip(rates, parts, strict=True)}

        def follow(of: Any) -> Any:
            now = apart(of)
            back = {"s2": now["s2"], "s2 two steps ago": now["s2"]}
            made = {name: reads.current(name, x, now, back) for name in neurons}
            values = [neurons[name].amplitude * slopes[name] * free[name] * made[name] for name in neurons]
            return torch.cat([value.flatten() for value in values])

        jacobian = torch.autograd.functional.jacobian(follow, flat)
        assert not masked or torch.linalg.eigvals(jacobian).abs().max() < 0.9, "errors that are passed on grow"
        e = torch.cat([of.flatten() for of in error.values()])
        g = apart(torch.linalg.solve(torch.eye(len(flat), dtype=x.dtype) - jacobian.T, e))
        settled = {name: neurons[name].amplitude * slopes[name] * free[name] * g[name] for name in neurons}
    else:
        settled = fired_errors(reads, x, rates, error, free, slopes)

    currents = {name: reads.current(name, x, rates, brought) for name in neurons}
    total = (made * of_answer).sum() + sum((currents[name] * settled[name]).sum() for name in neurons)
    gradients = torch.autograd.grad(total, list(parameters.values()))
    named = {f"d.{name}": gradient.numpy() for name, gradient in zip(parameters, gradients, strict=True)}
    return {name: of.numpy() for name, of in spikes.items()} | named


def fired_errors(
    reads: Reads, x: Any, rates: dict[str, Any], error: dict[str, Any], free: dict[str, Any], slopes: dict[str, float]
) -> dict[str, Any]:
    """What neurons get at their inputs in the mean, where errors are fired: delays bring them to the step after."""
    torch: Any = import_module("torch")
    neurons = NEURONS[reads.network]
    worth = WORTH * THRESHOLD
    now = {name: of.detach().clone().requires_grad_() for name, of in rates.items()}
    back = {name: rates["s2"].detach().clone().requires_grad_() for name in ("s2", "s2 two steps ago")}
    currents = {name: reads.current(name, x, now, back) for name in neurons}
    u = {name: torch.zeros_like(of) for name, of in error.items()}
    sums = {name: torch.zeros_like(of) for name, of in error.items()}
    delayed = torch.zeros_like(rates["s2"])
    nearest = 1.0

    def passed(of: Any, by: str, delta: Any) -> Any:
        (found,) = torch.autograd.grad(currents[by], of, delta, retain_graph=True, allow_unused=True)
        return torch.zeros_like(of) if found is None else found

    for _ in range(SETTLING["spikes"]):
        delta: dict[str, Any] = {}
        for name in reversed(neurons):
            arrived = error[name] + (delayed if name == "s2" else 0)
            for reader in delta:
                arrived = arrived + passed(now[name], reader, delta[reader])
            u[name] = u[name] + neurons[name].amplitude * arrived
            nearest = min(nearest, float((u[name].abs() - THRESHOLD).abs().min()))
            s = (u[name] >= THRESHOLD).to(x.dtype) - (u[name] <= -THRESHOLD).to(x.dtype)
            u[name] = u[name] - worth * s
            delta[name] = worth * slopes[name] * free[name] * s
            sums[name] = sums[name] + delta[name]
        delayed = sum(passed(of, reader, delta[reader]) for of in back.values() for reader in neurons)
    assert nearest > 1e-9, "a potential of errors is so near to the threshold that rounding may decide"
    return {name: of / SETTLING["spikes"] for name, of in sums.items()}


def main() -> None:
    """Write the references anew: the first random numbers that tell (see `_telling`)."""
    records: dict[str, Any] = {}
    for network in SOURCES:
        given = telling(network, 0)
        for solver in SETTLING:
            numbers = {name: value.tolist() for name, value in expected(network, solver, given).items()}
            records[f"{network}, {solver}"] = {
                "source": source(network, solver),
                "given": {name: np.asarray(value).tolist() for name, value in given.items()},
                "expected": numbers,
            }
    lines = [f"{json.dumps(name)}: {json.dumps(record, separators=(',', ':'))}" for name, record in records.items()]
    REFERENCES.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{REFERENCES}: {len(records)} cases, {REFERENCES.stat().st_size / 1024:.0f} KiB")


def telling(network: str, seed: int) -> dict[str, Any]:
    """The first random numbers from *seed* on that tell."""
    return next(given for given in (draw(network, seed + more) for more in range(50)) if _telling(network, given))


def _telling(network: str, given: dict[str, Any]) -> bool:
    """Whether all learn, some neurons are saturated, which matters, and spikes come near the solution."""
    try:
        fired, exact = (expected(network, solver, given) for solver in SETTLING)
    except AssertionError:
        return False
    unmasked = expected(network, "fixed_point", given, masked=False)
    names = [name for name in exact if name.startswith("d.")]
    if not all(np.any(exact[name]) and np.any(fired[name]) for name in names):
        return False
    rates = [exact[name].mean(0) / NEURONS[network][name].amplitude for name in NEURONS[network]]
    saturated = [((rate == 0) | (rate == 1)).mean() for rate in rates]
    if not all(0.1 < share < 0.8 for share in saturated):
        return False

    def away(one: dict[str, Any], other: dict[str, Any]) -> float:
        return max(float(np.abs(one[name] - other[name]).max() / np.abs(other[name]).max()) for name in names)

    return away(unmasked, exact) > 0.1 and away(fired, exact) < 0.5


if __name__ == "__main__":
    main()
