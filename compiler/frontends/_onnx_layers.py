"""From the terms of one step to the nodes of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..ir.graph import Setting
from ..ir.types import Type
from ..ops.op import OPS, SettingFault, called
from ._building import Builder, Value
from ._onnx_clusters import Cluster
from ._onnx_domain import DOMAIN
from ._onnx_firing import Firing
from ._onnx_named import Wrong, named, short
from ._onnx_shapes import axes, per_channel, voters
from ._onnx_steps import Body
from ._onnx_terms import ELEMENTWISE, Term
from .frontend import Array, Known, Unsaid

_ACTIVATIONS = {"Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh"}
_TRAINING = (
    "was exported in training mode, where dropout draws anew in each run and batch norm looks at its batch; "
    "export it after module.eval(), without training=, to have it compared"
)
_LINEAR = ("Gemm", "MatMul", "Conv", "ConvTranspose")


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
        self._firing = Firing(builder, body, clusters, unsaid, self._known, self._on_time)
        self._ports: dict[int, Value] = {}
        self._lateness: dict[int, int] = {}
        self._delayed: dict[int, Value | None] = {}
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
            for part in (self._biased(term) if term.op == "Add" else None, voters(term))
            if part is not None
        }
        fires = bool(clusters) or any("::" in term.op for term in self._order)
        self.activations = activations = {_ACTIVATIONS[term.op] for term in self._order if term.op in _ACTIVATIONS}
        self.spiking = fires or bool(activations & set(unsaid.spiking))
        self.unlike: dict[str, None] = {}
        """What the file does that the network does not, or that nothing executes; empty where both can be compared."""

        if any("::" in term.op for term in self._order):
            self.unlike["calls neurons by name, which nothing here executes"] = None
        if activations & set(unsaid.spiking):
            self.unlike["has activations where neurons are now (--spiking)"] = None
        if self._firing.lost:
            self.unlike["has lost the state of its neurons"] = None
        self._in_steps = body.steps is None and (bool(body.previous) or not self.spiking)
        for cluster, bias in self._firing.biases():
            self._hand_back(cluster, bias)

    def value(self, result: Term) -> Value | None:
        """The value of the result; everything before it is made first, in the order of data."""
        for term in self._order:
            inner = term in self._firing or self._absorbed(term)
            if term.value is None and term.op != "input" and not inner:
                self._of(term)
        made = self._on_time(result)
        for later, maker in self._later:
            self._builder.close(later, self._on_time(maker))
        return made

    def _hand_back(self, cluster: Cluster, bias: Array) -> None:
        """Give a constant inside of a neuron to the sum of products before it; a fault where none can take it."""
        drive = cluster.drives[0]
        sum_of_products = drive.op in _LINEAR or (drive.op == "Add" and self._biased(drive) is not None)
        inside = {id(member) for member in cluster.members}
        elsewhere = any(any(arg is drive for arg in term.args) for term in self._order if id(term) not in inside)
        if sum_of_products and not elsewhere and drive is not self._body.result and not self._late(drive):
            self._bias[id(drive)] = bias
            return
        told = (
            f"adds a constant to its input in every step, which {drive.op} ({drive.origin}) before it cannot take over"
        )
        self._builder.fault(self._builder.place(cluster.origin), told)

    def _of(self, term: Term) -> Value | None:
        """The value of *term*."""
        maker = self._body.previous.get(id(term))
        if maker is not None:
            return self._before(term, maker)
        if term in self._firing:
            return self._firing.value(term)
        if id(term) not in self._made:
            try:
                self._made[id(term)] = self._make(term)
            except Wrong as wrong:
                self._builder.fault(self._builder.place(term.origin), f"{term.op}: {wrong}")
                self._made[id(term)] = None
        return self._made[id(term)]

    def _late(self, term: Term) -> int:
        """How many steps late its value would be needed: 1 where the file makes *term* of the input one step before."""
        known = term.value is not None or term.op == "input" or id(term) in self._body.previous
        if self._body.steps is None or known or term in self._firing:
            return 0
        if id(term) not in self._lateness:
            if term.op == "Row":
                self._lateness[id(term)] = self._body.number - int(term.settings["number"])
            else:
                of_operands = {self._late(arg) for arg in term.args if arg.value is None}
                self._lateness[id(term)] = of_operands.pop() if len(of_operands) == 1 else 0
        return self._lateness[id(term)]

    def _on_time(self, term: Term) -> Value | None:
        """The value of *term* as this step reads it."""
        made, late = self._of(term), self._late(term)
        if late == 0 or made is None:
            return made
        if late < 0:
            self._builder.fault(self._builder.place(term.origin), "is made of what the input becomes in a later step")
            return None
        if id(term) not in self._delayed:
            place = self._builder.place(term.origin)
            self._delayed[id(term)] = self._builder.add("delay", [made], {"steps": late}, f"{term.origin}.late", place)
        return self._delayed[id(term)]

    def _operand(self, arg: Term, reader: Term) -> Value | None:
        """One of several operands, which all have to be of the same step."""
        return self._of(arg) if self._late(arg) == self._late(reader) else self._on_time(arg)

    def _before(self, term: Term, maker: Term) -> Value | None:
        """What *maker* was in the step before, read by something that is no part of a neuron."""
        key = id(term)
        if key not in self._made:
            made = maker
            while id(made) in self._body.previous:
                made = self._body.previous[id(made)]
            type = Type.of("spike" if self._firing.are_spikes(made) else "f16", *term.shape[1:])
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
            bare = products.op in _LINEAR and len(products.args) < 3 and products not in self._firing
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
                self.unlike[_TRAINING] = None
                known = self._known.get(term.origin, Known()).settings
                return self._layer("dropout", term, {"p": short(term.settings["p"]), "mask": "step", **known})
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
                joined = self._operand(term.args[0], term)
                for arg in term.args[1:]:
                    other = self._operand(arg, term)
                    joined = self._builder.add("concat", [joined, other], {}, term.origin, self._place(term))
                return joined
            case "Mul" | "Div" if any(arg.value is not None for arg in term.args):
                return self._scaled(term)
            case "Softmax" | "LogSoftmax" if term is self._body.result:
                self.unlike[f"ends in {term.op}, which is left out here"] = None
                told = f"{term.op} at the end is left out: losses take logits"
                self._builder.note("assumption", self._place(term), told)
                return self._of(term.args[0])
            case op if "::" in op:
                return self._custom(term)
            case op if op in ELEMENTWISE:
                raise Wrong("is no part of a neuron that was recognised, and no layer computes it")
            case _:
                raise Wrong("no layer computes it here")

    def _place(self, term: Term) -> Any:
        return self._builder.place(term.origin)

    def _layer(self, op: str, term: Term, settings: Mapping[str, Setting]) -> Value | None:
        """A layer with the first operand of *term*."""
        return self._builder.add(op, [self._of(term.args[0])], settings, term.origin, self._place(term))

    def _port(self, term: Term) -> Value:
        source = term if term.op == "input" else term.args[0]
        if source.op != "input":
            raise Wrong("takes a time step out of what is not an input")
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
            raise Wrong("multiplies two values that change, or more than a matrix")
        matrix = weight.value * float(settings.get("alpha", 1.0))
        rows = matrix if settings.get("transB") else matrix.T
        if given:
            if given[0].value is None:
                raise Wrong("its bias changes with the data")
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
            raise Wrong("its weights change with the data")
        rank = len(weight.shape) - 2
        if rank not in (1, 2) or (rank == 1 and products.op == "ConvTranspose"):
            raise Wrong(f"has {rank} axes besides channels; 1 or 2 can be read")
        if settings.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
            raise Wrong(f"auto_pad={settings['auto_pad']}: only padding in numbers can be read")
        pads = list(settings.get("pads", (0,) * (2 * rank)))
        if pads[:rank] != pads[rank:]:
            raise Wrong(f"pads {pads} differ between the ends")
        if given:
            if given[0].value is None:
                raise Wrong("its bias changes with the data")
            bias = given[0].value if bias is None else given[0].value + per_channel(bias)
        transposed = products.op == "ConvTranspose"
        groups = int(settings.get("group", 1))
        out = int(weight.shape[1] * groups if transposed else weight.shape[0])
        options: dict[str, Setting] = {
            "out": out,
            "kernel": axes(weight.shape[2:]),
            "stride": axes(settings.get("strides", (1,) * rank)),
            "pad": axes(pads[:rank]),
            "dilation": axes(settings.get("dilations", (1,) * rank)),
            "groups": groups,
            "bias": bias is not None,
        }
        if transposed:
            options["output_pad"] = axes(settings.get("output_padding", (0,) * rank))
        made: dict[str, Array] = {"w": weight.value}
        if bias is not None:
            made["b"] = per_channel(bias)
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
            return self._convolution(term, products, per_channel(vector))
        if any(arg.value is not None for arg in term.args):
            raise Wrong("adds a constant to what is no sum of products")
        one, other = (self._operand(arg, term) for arg in term.args)
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
        return self._layer(op, term, self._firing.completed(op, settings))

    def _batch_norm(self, term: Term) -> Value | None:
        x, gamma, beta, mean, variance = term.args
        if any(arg.value is None for arg in (gamma, beta, mean, variance)):
            raise Wrong("its parameters change with the data")
        settings = term.settings
        scope = str(settings.get("scope", "step"))
        options: dict[str, Setting] = {
            "scope": scope,
            "eps": short(float(settings.get("epsilon", 1e-5))),
            "momentum": short(1.0 - float(settings.get("momentum", 0.9))),
        }
        if settings.get("training_mode"):
            self.unlike[_TRAINING] = None
        else:
            told = "batch norm stands here in inference form; it is trained again from its running statistics"
            self._builder.note("warning", self._builder.place(), f"{told} (scope={scope})")
        names = ("gamma", "beta", "running_mean", "running_var")
        made = {name: np.asarray(arg.value) for name, arg in zip(names, (gamma, beta, mean, variance), strict=True)}
        return self._builder.add("batch_norm", [self._of(x)], options, term.origin, self._place(term), made)

    def _pool(self, term: Term) -> Value | None:
        settings = term.settings
        kernel = settings["kernel_shape"]
        vote = voters(term)
        if vote is not None:
            x = self._of(vote.args[0])
            return self._builder.add("vote", [x], {"size": int(kernel[0])}, term.origin, self._place(term))
        rank = len(kernel)
        pads = list(settings.get("pads", (0,) * (2 * rank)))
        if rank not in (1, 2) or settings.get("ceil_mode") or pads[:rank] != pads[rank:]:
            raise Wrong("pools over other than one or two axes, rounds up, or pads the ends differently")
        if any(extent != 1 for extent in settings.get("dilations", ())):
            raise Wrong("has dilated windows")
        if settings.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
            raise Wrong(f"auto_pad={settings['auto_pad']}: only padding in numbers can be read")
        if term.op == "AveragePool" and any(pads) and not settings.get("count_include_pad"):
            raise Wrong("divides windows at the edge by fewer elements")
        options: dict[str, Setting] = {
            "kernel": axes(kernel),
            "stride": axes(settings.get("strides", (1,) * rank)),
            "pad": axes(pads[:rank]),
        }
        return self._layer(f"{'max' if term.op == 'MaxPool' else 'avg'}_pool{rank}d", term, options)

    def _reshape(self, term: Term) -> Value | None:
        before, after = term.args[0].shape, term.shape
        if before == after or voters(term.args[0]) is not None:
            return self._of(term.args[0])
        if len(after) == 2 and after[0] == before[0]:
            return self._flattened(self._of(term.args[0]), term)
        raise Wrong(f"makes {list(after)} of {list(before)}; a layer can only flatten a sample")

    def _flattened(self, x: Value | None, term: Term) -> Value | None:
        return self._builder.add("flatten", [x], {}, term.origin, self._place(term))

    def _scaled(self, term: Term) -> Value | None:
        constant = next(arg for arg in term.args if arg.value is not None)
        other = next(arg for arg in term.args if arg.value is None)
        assert constant.value is not None
        if constant.value.size != 1 or (term.op == "Div" and term.args[0].value is not None):
            raise Wrong("multiplies by more than one number")
        factor = float(constant.value.flat[0])
        factor = 1.0 / factor if term.op == "Div" else factor
        self._builder.note("assumption", self._place(term), f"the factor {factor:g} can be trained")
        settings: dict[str, Setting] = {"each": "layer", "factor": factor}
        return self._builder.add("scale", [self._of(other)], settings, term.origin, self._place(term))

    def _custom(self, term: Term) -> Value | None:
        """A neuron that the file calls by its name."""
        op, settings = named(term)
        parameters: dict[str, Array] = {}
        if "w" in settings:
            parameters["w"] = np.asarray(settings.pop("w"))
        completed = self._firing.completed(op, settings)
        x = self._of(term.args[0])
        if term.op.startswith(f"{DOMAIN}::") and x is not None:
            try:
                roles = OPS[op].make(completed).parameter_types(x.type)
            except SettingFault as fault:
                raise Wrong(fault.message) from None
            for role, given in zip(roles, term.args[1:], strict=False):
                if given.value is None:
                    raise Wrong(f"its {role} changes with the data")
                parameters[role] = given.value
        return self._builder.add(op, [x], completed, term.origin, self._place(term), parameters)
