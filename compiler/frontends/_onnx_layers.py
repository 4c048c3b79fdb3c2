"""From the terms of one step to the nodes of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..ir.graph import Setting
from ..ir.types import Type
from ..ops.op import OPS, called
from ._building import Builder, Value
from ._onnx_neurons import COMPARISONS, Cluster, Found, Unknown, fired, recognise
from ._onnx_steps import Body
from ._onnx_terms import ELEMENTWISE, Term
from .frontend import Array, Known, Unsaid

_ACTIVATIONS = {"Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh"}
_LINEAR = ("Gemm", "MatMul", "Conv", "ConvTranspose")


class _Wrong(Exception):
    """A term that no layer is."""


class Layers:
    """Terms of a step as values of the network; each is made once, when it is first asked for."""

    def __init__(
        self,
        builder: Builder,
        body: Body,
        clusters: Sequence[Cluster],
        unsaid: Unsaid,
        known: Mapping[str, Known] | None = None,
    ) -> None:
        """A file that holds a single step with states, or no neuron at all, is given an input in every step.

        *known* tells of neurons by a node in them.
        """
        self._builder = builder
        self._body = body
        self._unsaid = unsaid
        self._known = known or {}
        self._made: dict[int, Value | None] = {}
        self._inside = {id(member): cluster for cluster in clusters for member in cluster.members}
        self._neurons: dict[int, Found | None] = {}
        self._ports: dict[int, Value] = {}
        self._later: list[tuple[Value, Term]] = []
        self._bias: dict[int, Array] = {}
        self._order = body.order()
        self._readers: dict[int, int] = {}
        for term in self._order:
            for arg in term.args:
                self._readers[id(arg)] = self._readers.get(id(arg), 0) + 1
        self._with_their_readers = {
            id(part)
            for term in self._order
            for part in (self._biased(term) if term.op == "Add" else None, _voters(term))
            if part is not None
        }
        fires = bool(clusters) or any("::" in term.op for term in self._order)
        activations = {_ACTIVATIONS[term.op] for term in self._order if term.op in _ACTIVATIONS}
        self.spiking = fires or bool(activations & set(unsaid.spiking))
        self.faithful = not (activations & set(unsaid.spiking)) and not any("::" in term.op for term in self._order)
        """Whether the network computes what the file does, and the file can be executed to show it."""

        self._in_steps = body.steps is None and (bool(body.previous) or not self.spiking)
        self._note_neurons(clusters)

    def value(self, result: Term) -> Value | None:
        """The value of the result; everything before it is made first, in the order of data."""
        for term in self._order:
            inner = id(term) in self._inside or self._absorbed(term)
            if term.value is None and term.op != "input" and not inner:
                self._of(term)
        made = self._of(result)
        for later, maker in self._later:
            self._builder.close(later, self._of(maker))
        return made

    # Neurons

    def _note_neurons(self, clusters: Sequence[Cluster]) -> None:
        """Tell what was found, what was not, and what is assumed of all of them."""
        builder = self._builder
        for cluster in clusters:
            place = builder.place(self._known_of(cluster)[0])
            try:
                found = known_as(recognise(cluster, self._body), self._known_of(cluster)[1])
            except Unknown as reason:
                self._neurons[id(cluster)] = self._unknown(cluster, str(reason))
                continue
            said = self._known_of(cluster)[1].settings
            settings = ", ".join(f"{key}={_shown(value)}" for key, value in found.settings.items() if key not in said)
            current = "" if found.current_decay is None else f" behind a current of decay {found.current_decay:g}"
            builder.note("recovered", place, f"{found.op}({settings}){current}")
            self._neurons[id(cluster)] = found
            for name in found.varied.keys() - self._known_of(cluster)[1].parameters.keys():
                told = f"its {_VARIED[name]} differs from channel to channel, and becomes a parameter that is trained"
                builder.note("assumption", place, told)
            if "initial" in found.settings:
                told = "its potential is taken to begin at v_reset; snnc check compares with the file"
                builder.note("assumption", place, told)
            if found.bias is not None:
                self._hand_back(cluster, found.bias)

    def _hand_back(self, cluster: Cluster, bias: Array) -> None:
        """Give a constant inside of a neuron to the sum of products before it; a fault where none can take it."""
        drive = cluster.drives[0]
        sum_of_products = drive.op in _LINEAR or (drive.op == "Add" and self._biased(drive) is not None)
        inside = {id(member) for member in cluster.members}
        elsewhere = any(any(arg is drive for arg in term.args) for term in self._order if id(term) not in inside)
        if sum_of_products and not elsewhere and drive is not self._body.result:
            self._bias[id(drive)] = bias
            return
        told = (
            f"adds a constant to its input in every step, which {drive.op} ({drive.origin}) before it cannot take over"
        )
        self._builder.fault(self._builder.place(cluster.origin), told)

    def _unknown(self, cluster: Cluster, reason: str) -> Found | None:
        place = self._builder.place(cluster.origin)
        if cluster.stateless and not self._body.previous:
            told = "it fires, and nothing is carried to the next step: its state was lost when the file was made"
            self._builder.note("warning", place, f"{told}; taken as if(reset=hard), which is not what was trained")
            self.faithful = False
            _, threshold, strict = fired(next(term for term in cluster.members if term.op in COMPARISONS))
            settings: dict[str, Setting] = {"threshold": float(np.asarray(threshold).flat[0]), "reset": "hard"}
            settings["compare"] = "gt" if strict else "ge"
            return Found("if", settings, None, {id(term): ("", 1.0) for term in cluster.members})
        self._builder.fault(place, f"carries state from step to step, and is no neuron that there is: {reason}")
        return None

    def _neuron(self, cluster: Cluster, term: Term) -> Value | None:
        """A result of a neuron."""
        found = self._neurons[id(cluster)]
        if found is None:
            return None
        first = cluster.members[0]
        made = self._made.get(id(first)) if id(first) in self._made else self._make_neuron(cluster, found)
        self._made[id(first)] = made
        if made is None:
            return None
        if id(term) not in found.roles:
            told = "reads a value inside of a neuron that is neither its spikes nor its membrane"
            self._builder.fault(self._builder.place(term.origin), told)
            return None
        suffix, factor = found.roles[id(term)]
        if suffix:
            return Value(f"{made.name}.{suffix}", made.type.with_(format="f16", scale=1.0))
        if factor != 1.0:
            self._builder.fault(self._builder.place(term.origin), f"spikes are worth {factor:g} here and 1 elsewhere")
            return None
        return made

    def _make_neuron(self, cluster: Cluster, found: Found) -> Value | None:
        origin, _ = self._known_of(cluster)
        place = self._builder.place(origin)
        x, *others = (self._of(drive) for drive in cluster.drives)
        for other in others:
            x = self._builder.add("add", [x, other], {}, f"{origin}.sum", place)
        if found.current_decay is not None:
            current: dict[str, Setting] = {"decay": found.current_decay}
            x = self._builder.add("li", [x], current, f"{origin}.current", place)
        settings = self._completed(found.op, found.settings)
        return self._builder.add(found.op, [x], settings, origin, place, found.varied)

    def _known_of(self, cluster: Cluster) -> tuple[str, Known]:
        """The node that a neuron is called after, and what is known of it."""
        origins = (member.origin for member in cluster.members if member.origin in self._known)
        origin = next(origins, None)
        return (cluster.origin, Known()) if origin is None else (origin, self._known[origin])

    def _completed(self, op: str, settings: Mapping[str, Setting]) -> dict[str, Setting]:
        """*settings* with what the file does not say."""
        known = OPS[op].settings()
        made = dict(settings)
        if "surrogate" not in known:
            return made
        unsaid, place = self._unsaid, self._builder.place()
        if "surrogate" not in made:
            if unsaid.surrogate is not None:
                made["surrogate"] = unsaid.surrogate
            else:
                default = known["surrogate"].default
                name = called(default)[0] if default is not None else ""
                self._builder.note("assumption", place, f"surrogate={name} (ONNX says none; --surrogate)")
        if "detach_reset" not in made:
            if unsaid.detach_reset is not None:
                made["detach_reset"] = unsaid.detach_reset
            else:
                told = "gradients pass through the reset (ONNX does not say; --detach-reset)"
                self._builder.note("assumption", place, told)
        return made

    # Terms

    def _of(self, term: Term) -> Value | None:
        """The value of *term*."""
        maker = self._body.previous.get(id(term))
        if maker is not None:
            return self._before(term, maker)
        cluster = self._inside.get(id(term))
        if cluster is not None:
            return self._neuron(cluster, term)
        if id(term) not in self._made:
            try:
                self._made[id(term)] = self._make(term)
            except _Wrong as wrong:
                self._builder.fault(self._builder.place(term.origin), f"{term.op}: {wrong}")
                self._made[id(term)] = None
        return self._made[id(term)]

    def _before(self, term: Term, maker: Term) -> Value | None:
        """What *maker* was in the step before, read by something that is no part of a neuron."""
        key = id(term)
        if key not in self._made:
            cluster = self._inside.get(id(maker))
            found = self._neurons.get(id(cluster)) if cluster is not None else None
            spikes = found is not None and found.roles.get(id(maker), ("h", 1.0))[0] == "" and found.op not in _READOUTS
            type = Type.of("spike" if spikes else "f16", *term.shape[1:])
            later = self._builder.later(type, f"{maker.origin}.before", self._builder.place(maker.origin))
            self._made[key] = later
            self._later.append((later, maker))
        return self._made[key]

    def _absorbed(self, term: Term) -> bool:
        """Whether *term* is made together with its reader: a sum without its bias, a vector laid out for a vote."""
        return id(term) in self._with_their_readers

    def _biased(self, term: Term) -> Term | None:
        """The sum of products in ``products + bias`` with a constant bias, if *term* is that."""
        left, right = term.args
        for products, bias in ((left, right), (right, left)):
            bare = products.op in _LINEAR and len(products.args) < 3 and id(products) not in self._inside
            if bare and bias.value is not None and self._readers.get(id(products)) == 1:
                return products
        return None

    def _make(self, term: Term) -> Value | None:
        match term.op:
            case "input" | "Row":
                return self._port(term)
            case "Gemm" | "MatMul":
                return self._linear(term, term, self._bias.get(id(term)))
            case "Conv" | "ConvTranspose":
                return self._convolution(term, term, self._bias.get(id(term)))
            case "Add":
                return self._add(term)
            case "Relu" | "Sigmoid" | "Tanh":
                return self._activation(term)
            case "Dropout":
                self.faithful = False
                known = self._known.get(term.origin, Known()).settings
                return self._layer("dropout", term, {"p": _short(term.settings["p"]), "mask": "step", **known})
            case "BatchNormalization":
                return self._batch_norm(term)
            case "MaxPool" | "AveragePool":
                return self._pool(term)
            case "GlobalAveragePool" | "GlobalMaxPool":
                word = "avg" if term.op == "GlobalAveragePool" else "max"
                return self._layer(f"global_{word}_pool2d", term, {})
            case "ReduceMean" if term.settings["axes"] == (2, 3):
                pooled = self._layer("global_avg_pool2d", term, {})
                return pooled if term.settings["keepdims"] else self._flattened(pooled, term)
            case "Reshape":
                return self._reshape(term)
            case "Concat" if term.settings["axis"] == 1:
                joined = self._of(term.args[0])
                for arg in term.args[1:]:
                    joined = self._builder.add("concat", [joined, self._of(arg)], {}, term.origin, self._place(term))
                return joined
            case "Mul" | "Div" if any(arg.value is not None for arg in term.args):
                return self._scaled(term)
            case "Softmax" | "LogSoftmax" if term is self._body.result:
                self.faithful = False
                told = f"{term.op} at the end is left out: losses take logits"
                self._builder.note("assumption", self._place(term), told)
                return self._of(term.args[0])
            case op if "::" in op:
                return self._custom(term)
            case op if op in ELEMENTWISE:
                raise _Wrong("is no part of a neuron that was recognised, and no layer computes it")
            case _:
                raise _Wrong("no layer computes it here")

    def _place(self, term: Term) -> Any:
        return self._builder.place(term.origin)

    def _layer(self, op: str, term: Term, settings: Mapping[str, Setting]) -> Value | None:
        """A layer with the first operand of *term*."""
        return self._builder.add(op, [self._of(term.args[0])], settings, term.origin, self._place(term))

    def _port(self, term: Term) -> Value:
        source = term if term.op == "input" else term.args[0]
        if source.op != "input":
            raise _Wrong("takes a time step out of what is not an input")
        timed = term.op == "Row" or self._in_steps
        if id(source) not in self._ports:
            type = Type.of("f16", *term.shape[1:], timed=timed)
            self._ports[id(source)] = self._builder.port(source.origin, type, self._place(source))
        return self._ports[id(source)]

    def _linear(self, term: Term, products: Term, bias: Array | None) -> Value | None:
        """``x W + b``: *term* is the whole, *products* the product in it."""
        x, weight, *given = products.args
        settings = products.settings
        if weight.value is None or len(weight.shape) != 2 or settings.get("transA"):
            raise _Wrong("multiplies two values that change, or more than a matrix")
        matrix = weight.value * float(settings.get("alpha", 1.0))
        rows = matrix if settings.get("transB") else matrix.T
        if given:
            if given[0].value is None:
                raise _Wrong("its bias changes with the data")
            own = np.broadcast_to(given[0].value, products.shape)[0] * float(settings.get("beta", 1.0))
            bias = own if bias is None else own + bias
        made: dict[str, Array] = {"w": rows}
        if bias is not None:
            made["b"] = np.broadcast_to(bias, products.shape[1:])
        options: dict[str, Setting] = {"out": int(rows.shape[0]), "bias": bias is not None}
        return self._builder.add("linear", [self._of(x)], options, term.origin, self._place(term), made)

    def _convolution(self, term: Term, products: Term, bias: Array | None) -> Value | None:
        x, weight, *given = products.args
        settings = products.settings
        if weight.value is None:
            raise _Wrong("its weights change with the data")
        rank = len(weight.shape) - 2
        if rank not in (1, 2) or (rank == 1 and products.op == "ConvTranspose"):
            raise _Wrong(f"has {rank} axes besides channels; 1 or 2 can be read")
        if settings.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
            raise _Wrong(f"auto_pad={settings['auto_pad']}: only padding in numbers can be read")
        pads = list(settings.get("pads", (0,) * (2 * rank)))
        if pads[:rank] != pads[rank:]:
            raise _Wrong(f"pads {pads} differ between the ends")
        if given:
            if given[0].value is None:
                raise _Wrong("its bias changes with the data")
            bias = given[0].value if bias is None else given[0].value + _per_channel(bias)
        transposed = products.op == "ConvTranspose"
        groups = int(settings.get("group", 1))
        out = int(weight.shape[1] * groups if transposed else weight.shape[0])
        options: dict[str, Setting] = {
            "out": out,
            "kernel": _axes(weight.shape[2:]),
            "stride": _axes(settings.get("strides", (1,) * rank)),
            "pad": _axes(pads[:rank]),
            "dilation": _axes(settings.get("dilations", (1,) * rank)),
            "groups": groups,
            "bias": bias is not None,
        }
        if transposed:
            options["output_pad"] = _axes(settings.get("output_padding", (0,) * rank))
        made: dict[str, Array] = {"w": weight.value}
        if bias is not None:
            made["b"] = _per_channel(bias)
        op = "conv_transpose2d" if transposed else f"conv{rank}d"
        return self._builder.add(op, [self._of(x)], options, term.origin, self._place(term), made)

    def _add(self, term: Term) -> Value | None:
        products = self._biased(term)
        if products is not None:
            bias = next(arg for arg in term.args if arg is not products)
            assert bias.value is not None
            vector = np.broadcast_to(bias.value, products.shape)[0].astype(float)
            if id(term) in self._bias:
                vector = vector + self._bias[id(term)]
            if products.op in ("Gemm", "MatMul"):
                return self._linear(term, products, vector)
            return self._convolution(term, products, _per_channel(vector))
        if any(arg.value is not None for arg in term.args):
            raise _Wrong("adds a constant to what is no sum of products")
        one, other = (self._of(arg) for arg in term.args)
        return self._builder.add("add", [one, other], {}, term.origin, self._place(term))

    def _activation(self, term: Term) -> Value | None:
        word = _ACTIVATIONS[term.op]
        neuron = self._unsaid.spiking.get(word)
        if neuron is None:
            if word == "relu":
                told = "relu stays as it is; --spiking 'relu=lif(decay=0.5)' makes neurons of it"
                self._builder.note("warning", self._builder.place(), told)
            return self._layer(word, term, {})
        op, settings = called(neuron)
        return self._layer(op, term, self._completed(op, settings))

    def _batch_norm(self, term: Term) -> Value | None:
        x, gamma, beta, mean, variance = term.args
        if any(arg.value is None for arg in (gamma, beta, mean, variance)):
            raise _Wrong("its parameters change with the data")
        settings = term.settings
        scope = str(settings.get("scope", "step"))
        options: dict[str, Setting] = {
            "scope": scope,
            "eps": _short(float(settings.get("epsilon", 1e-5))),
            "momentum": _short(1.0 - float(settings.get("momentum", 0.9))),
        }
        self.faithful &= not settings.get("training_mode")
        if not settings.get("training_mode"):
            told = "batch norm stands here in inference form; it is trained again from its running statistics"
            self._builder.note("warning", self._builder.place(), f"{told} (scope={scope})")
        names = ("gamma", "beta", "running_mean", "running_var")
        made = {name: np.asarray(arg.value) for name, arg in zip(names, (gamma, beta, mean, variance), strict=True)}
        return self._builder.add("batch_norm", [self._of(x)], options, term.origin, self._place(term), made)

    def _pool(self, term: Term) -> Value | None:
        settings = term.settings
        kernel = settings["kernel_shape"]
        voters = _voters(term)
        if voters is not None:
            x = self._of(voters.args[0])
            return self._builder.add("vote", [x], {"size": int(kernel[0])}, term.origin, self._place(term))
        rank = len(kernel)
        pads = list(settings.get("pads", (0,) * (2 * rank)))
        if rank not in (1, 2) or settings.get("ceil_mode") or pads[:rank] != pads[rank:]:
            raise _Wrong("pools over other than one or two axes, rounds up, or pads the ends differently")
        if any(extent != 1 for extent in settings.get("dilations", ())):
            raise _Wrong("has dilated windows")
        if settings.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
            raise _Wrong(f"auto_pad={settings['auto_pad']}: only padding in numbers can be read")
        if term.op == "AveragePool" and any(pads) and not settings.get("count_include_pad"):
            raise _Wrong("divides windows at the edge by fewer elements")
        options: dict[str, Setting] = {
            "kernel": _axes(kernel),
            "stride": _axes(settings.get("strides", (1,) * rank)),
            "pad": _axes(pads[:rank]),
        }
        return self._layer(f"{'max' if term.op == 'MaxPool' else 'avg'}_pool{rank}d", term, options)

    def _reshape(self, term: Term) -> Value | None:
        before, after = term.args[0].shape, term.shape
        if before == after or _voters(term.args[0]) is not None:
            return self._of(term.args[0])
        if len(after) == 2 and after[0] == before[0]:
            return self._flattened(self._of(term.args[0]), term)
        raise _Wrong(f"makes {list(after)} of {list(before)}; a layer can only flatten a sample")

    def _flattened(self, x: Value | None, term: Term) -> Value | None:
        return self._builder.add("flatten", [x], {}, term.origin, self._place(term))

    def _scaled(self, term: Term) -> Value | None:
        constant = next(arg for arg in term.args if arg.value is not None)
        other = next(arg for arg in term.args if arg.value is None)
        assert constant.value is not None
        if constant.value.size != 1 or (term.op == "Div" and term.args[0].value is not None):
            raise _Wrong("multiplies by more than one number")
        factor = float(constant.value.flat[0])
        factor = 1.0 / factor if term.op == "Div" else factor
        self._builder.note("assumption", self._place(term), f"the factor {factor:g} can be trained")
        settings: dict[str, Setting] = {"each": "layer", "factor": factor}
        return self._builder.add("scale", [self._of(other)], settings, term.origin, self._place(term))

    def _custom(self, term: Term) -> Value | None:
        """A neuron that the file calls by its name."""
        op, settings = _named(term)
        x = self._of(term.args[0])
        if op == "plif":
            weight = settings.pop("w")
            assert isinstance(weight, float)
            parameters = {"w": np.asarray(weight)}
            return self._builder.add(op, [x], self._completed(op, settings), term.origin, self._place(term), parameters)
        return self._builder.add(op, [x], self._completed(op, settings), term.origin, self._place(term))


def known_as(found: Found, known: Known) -> Found:
    """*found* with the settings and the learned parameters that are *known*; `Unknown` where it has none of these."""
    settings = {
        **found.settings,
        **{key: value for key, value in known.settings.items() if key not in ("form", "each")},
    }
    given = {role: np.asarray(value) for role, value in known.parameters.items()}
    op = found.op
    if "theta" in given:
        settings["learn_threshold"] = _extent(given["theta"])
    if "w" in given:
        if op not in ("if", "lif", "plif") or "gain" in settings:
            raise Unknown("its decay is learned, which only a membrane without a current has, whose input has no gain")
        op = "plif"
        settings = {"decay": 1.0, **settings, "form": known.settings.get("form", "clamp"), "each": _extent(given["w"])}
    return replace(found, op=op, settings=settings, varied={**found.varied, **{k: _flat(v) for k, v in given.items()}})


def _extent(parameter: Array) -> str:
    """Whether there is one number a layer, or one a channel."""
    return "layer" if parameter.size == 1 else "channel"


def _flat(parameter: Array) -> Array:
    return parameter.reshape(()) if parameter.size == 1 else parameter.reshape(-1)


_VARIED = {"w": "decay", "theta": "threshold"}
_READOUTS = ("li", "integrator")
_SPIKINGJELLY = {"lif": ("tau", "decay_input"), "if": (), "plif": ("w", "decay_input")}
_SURROGATES = {0: "sigmoid", 1: "atan"}


def _named(term: Term) -> tuple[str, dict[str, Setting]]:
    """Operator and settings of a custom node; `_Wrong` for one that is not known."""
    domain, _, name = term.op.partition("::")
    if domain.startswith("sj_") and domain[3:] in _SPIKINGJELLY and name == "forward":
        return _spikingjelly(domain[3:], term)
    if (domain, name) == ("snn", "LIF"):
        given = term.settings
        tau = float(given.get("tau", 2.0))
        settings: dict[str, Setting] = {
            "decay": 1.0 - 1.0 / tau,
            "decay_input": True,
            "threshold": float(given.get("threshold", 1.0)),
            "reset": str(given.get("reset", "hard")),
        }
        if "surrogate" in given:
            settings["surrogate"] = (str(given["surrogate"]), ("alpha", float(given.get("alpha", 2.0))))
        return "lif", settings
    raise _Wrong("no neuron that is known has this name")


def _spikingjelly(kind: str, term: Term) -> tuple[str, dict[str, Setting]]:
    """The operands of SpikingJelly's multi-step functions: input, first potential, constants, surrogate."""
    names = ("v_init", *_SPIKINGJELLY[kind], "threshold", "v_reset", "detach_reset", "alpha", "soft", "surrogate")
    values: dict[str, float] = {}
    for name, arg in zip(names, term.args[1:], strict=False):
        if arg.value is None:
            raise _Wrong(f"its {name} changes with the data")
        values[name] = float(np.asarray(arg.value).flat[0]) if arg.value.size else 0.0
    settings: dict[str, Setting] = {
        "threshold": _short(values["threshold"]),
        "reset": "soft" if values.get("soft") else "hard",
        "detach_reset": bool(values["detach_reset"]),
    }
    if values["v_reset"]:
        settings["v_reset"] = _short(values["v_reset"])
    if "tau" in values:
        settings["decay"] = 1.0 - 1.0 / values["tau"]
    if "decay_input" in values:
        settings["decay_input"] = bool(values["decay_input"])
    if "w" in values:
        settings["w"] = values["w"]
    word = _SURROGATES.get(int(values.get("surrogate", -1)))
    if word is not None:
        settings["surrogate"] = (word, ("alpha", _short(values["alpha"])))
    return kind, settings


def _voters(term: Term) -> Term | None:
    """The vector as a signal of one channel whose neighbours *term* averages, if it does."""
    if term.op != "AveragePool":
        return None
    signal, kernel = term.args[0], term.settings["kernel_shape"]
    plain = not any(term.settings.get("pads", ())) and not term.settings.get("ceil_mode")
    apart = len(kernel) == 1 and tuple(term.settings.get("strides", (1,))) == tuple(kernel)
    if signal.op != "Reshape" or not (plain and apart) or signal.shape[-1] % kernel[0]:
        return None
    vector = len(signal.args[0].shape) == 2 and len(signal.shape) == 3 and signal.shape[1] == 1
    return signal if vector else None


def _axes(extents: Sequence[int]) -> Setting:
    """A number for one axis, a pair for two."""
    numbers = tuple(int(extent) for extent in extents)
    return numbers[0] if len(numbers) == 1 else numbers


def _per_channel(bias: Array) -> Array:
    """One number a channel; `_Wrong` where a channel has several."""
    if bias.ndim <= 1:
        return bias
    flat = bias.reshape(bias.shape[0], -1)
    if np.ptp(flat, axis=1).max() > 1e-6 * max(float(np.abs(flat).max()), 1e-30):
        raise _Wrong("adds a constant that differs within a channel")
    return flat[:, 0]


def _short(value: float) -> float:
    """The short number that was rounded to f32."""
    short = float(f"{value:.6g}")
    return short if abs(short - value) <= 1e-6 * abs(value) else value


def _shown(value: Setting) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)
