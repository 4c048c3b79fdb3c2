"""From a network to its training graph: entries ``init``, ``train_step`` and ``infer`` under a learning rule.

Forward nodes run once where nothing that they read changes with time, else in the sweep upwards; the loss follows.
Downwards, each node's adjoints follow in reverse order, where an error comes from the loss and a parameter lies
behind; the errors of several readers are added in the order of the readers.  Adjoints of nodes that run once, sums
of their errors and updates come last.  (`training.rule` says what a rule may change about this.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ...source import Fault, Place, SourceError
from ..ir.cycles import delays_first
from ..ir.graph import Network, Node, Procedure, Region, Setting, Training, Variable, chosen_words
from ..ir.types import Type
from ..ops.initialisers import INITIALISERS, Initialiser
from ..ops.losses import Loss
from ..ops.op import OPS, SettingFault, ShapeFault, called, named
from ..ops.optimizers import Optimizer
from ..training.rule import RULES, Rule
from .admitted import check_options, check_rule
from .backward import Backward
from .beside import Beside
from .direct import VALUE, Direct, hidden_layers
from .disturbed import disturbed
from .errors import owner_of
from .folded import folded
from .frozen import freeze, frozen_by, learning, left_alone, tracked_by
from .inferring import inferring
from .input_coding import code_inputs
from .matching import Matching
from .plastic import Plastic, check_judged
from .prune import prune
from .reserved import RESULTS, SEED, check_names
from .shadow import shadowed
from .templates import TEMPLATES, Parts
from .timing import changing, check_time
from .training_options import TrainingOptions, names_of
from .update import LAYER, Trained, corrections, several_updates, update_arguments, update_results, updates
from .way_there import WayThere

ARGUMENTS = (
    ("valid", "u32"),
    ("learning_rate", "f32"),
    ("loss_scale", "f32"),
    ("seed", "u32"),
    ("step", "u32"),
    ("correction1", "f32"),
    ("correction2", "f32"),
)
"""The host's scalars: samples that count, the optimizer's rate, the loss scale, the two numbers that key random
numbers (`step` counts optimizer steps), and ``1 - beta**(step + 1)`` of Adam's two moments."""


def build_training(network: Network, options: TrainingOptions, rule: Rule | None = None) -> Training:
    """The training graph of *network*; SourceError where the rule or the loss cannot train it.

    *rule* stands in for the one that the options name: a rule need not have a file to be tried.
    """
    network, frozen = freeze(_living(code_inputs(network, options.coding)), options)
    rule, loss = rule or options.the_rule, options.the_loss
    frozen |= left_alone(network, rule)
    check_judged(network, rule, options)
    check_rule(network, rule, options, frozen)
    if rule.plasticity is None and not rule.matches:
        network = folded(network)
    if rule.update == "step":
        network = changing(network, frozen)
    window = rule.window_of(options.steps)
    asked = options.asked("rule", rule.name) + (f"(window={window})" if window else "")
    check_time(learning(network, frozen), rule, options.steps, asked)
    check_options(network, rule, options, asked)
    return _Builder(network, options, rule, loss, options.the_optimizer, frozen).training()


def _living(network: Network) -> Network:
    """Without the nodes that nothing leads from to the result."""
    if len(network.results) != 1:
        message = f"training needs a network with one result, and {network.name} has {len(network.results)}"
        raise SourceError.at(network.place, message)
    makers = {name: node for node in network.nodes for name in node.results}
    wanted: set[str] = set()
    waiting = list(network.results)
    while waiting:
        name = waiting.pop()
        if name not in wanted and name in makers:
            waiting += makers[name].operands
        wanted.add(name)
    return replace(network, nodes=tuple(node for node in network.nodes if wanted & set(node.results)))


@dataclass
class _Builder:
    """A training graph under construction."""

    network: Network
    options: TrainingOptions
    rule: Rule
    loss: Loss
    optimizer: Optimizer
    frozen: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        (self.result,) = self.network.results
        self.types = self.network.types
        self.inputs = self._inputs()
        self.window = self.rule.window_of(self.options.steps)
        self.several = several_updates(self.rule, self.options.steps)
        made = [node for node in self.network.nodes if node.op == "parameter"]
        tracked = tracked_by(self.network)
        self.masters = [node for node in made if node.results[0] not in tracked]
        self.parameters = [node for node in self.masters if node.results[0] not in self.frozen]
        self.statistics = [node for node in made if node.results[0] in tracked]
        self.corrections = corrections(self.options) if self.several and self.parameters else {}
        self.nodes = [
            replace(node, layer=node.layer or node.results[0], phase="FP")
            for node in self.network.nodes
            if node.op != "parameter"
        ]
        hidden = hidden_layers(self.nodes, self.parameters, self.result) if self.rule.direct is not None else ()
        self.there = WayThere(self.nodes, self.types, self.nodes)
        if self.rule.disturbance is not None:
            self.there = disturbed(self.nodes, self.types, hidden, self.rule.disturbance)
        self.silent = self.rule.silent(self.network)
        if self.rule.carry == "count":
            self.there = shadowed(self.nodes, self.types, self.silent, self.options.steps)
        self.types = dict(self.there.types)
        self.answer = self.there.others.get(self.result, self.result)
        spiking = [node for node in self.nodes if node.results[0] in hidden]
        self.direct = Direct(self.rule, spiking, self.types, self.answer, self.options.steps)
        self.matching = Matching(self.nodes, self.types, self.options.batch) if self.rule.matches else None
        self.beside = Beside(self.network, self.there, self.rule, self.options.steps, self.options.batch)
        self.backward = Backward(
            self.there.met, self.parameters, self.answer, self.types, self.rule, self.beside, hidden, self.window
        )
        self.errors = self.backward.errors
        beside = self.beside.names() | self.direct.names | self.there.names
        beside |= self.matching.names() if self.matching is not None else {}
        beside |= dict.fromkeys(self.corrections, f"what {self.optimizer.name} corrects its updates by")
        self.plastic: Plastic | None = None
        if self.rule.plasticity is not None:
            synapses = self.rule.synapses(replace(self.network, nodes=(*self.parameters, *self.nodes)))
            self.plastic = Plastic(self.rule.plasticity, synapses, self.types)
            beside |= self.plastic.names
        check_names(self.network, self.options, self.inputs, self.masters, beside)

    def training(self) -> Training:
        """All of it."""
        variables = tuple(self._variables())
        names = {variable.name for variable in variables}
        handed = (*(port.name for port in self.network.ports), *self.inputs)
        init = Procedure("init", (), (Region("once", tuple(self._init())),), ())
        regions = self._train_step()
        made = {name for region in regions for node in region.nodes for name in node.results}
        results = (*self._answers, *(name for name in update_results(self.options) if name in made))
        step = Procedure("train_step", handed, regions, results)
        infer = Procedure("infer", handed, self._inferring(), self._answers)
        return Training(
            self.network.name,
            self.options.steps,
            self.options.batch,
            variables,
            (*ARGUMENTS, *self._chosen(), *update_arguments(self.options)),
            tuple(prune(procedure, names) for procedure in (init, step, infer)),
            self.options.settings,
        )

    @property
    def _answers(self) -> tuple[str, ...]:
        """Those of `RESULTS` that there are."""
        return tuple(name for name in RESULTS if name in self.loss.results)

    @property
    def stepwise(self) -> bool:
        """Whether no other sweep reads what a step makes, so that all nodes take each step together."""
        return self.rule.template == "up" or self.rule.collapsed or self.rule.matches

    def _chosen(self) -> tuple[tuple[str, str], ...]:
        """The host's choice among the steps, where the rule does not learn in all of them."""
        steps = self.options.steps
        return tuple((word, "u32") for word in chosen_words(steps)) if self.rule.turns(steps) < steps else ()

    @property
    def place(self) -> Place:
        """Where the network's result is made: what the loss says is said of that line."""
        node = self.network.producer(self.result)
        return self.network.place if node is None else node.place

    def _inputs(self) -> dict[str, Type]:
        """What the host hands in beside the ports, by name."""
        place = self.place
        maker = self.network.producer(self.result)
        if maker is not None and self.result != maker.results[0]:
            message = f"{self.result} cannot be trained: no error passes back into it, only into {maker.results[0]}"
            raise SourceError.at(place, message)
        y = self.types[self.result]
        try:
            inputs = self.loss.inputs(y)
        except ShapeFault as fault:
            raise SourceError.at(place, fault.message) from fault
        if not y.timed:
            message = f"{self.result} does not change with time: a network needs a neuron, or a timed port"
            raise SourceError.at(place, message)
        return inputs

    def _variables(self) -> Iterator[Variable]:
        for port in self.network.ports:
            yield Variable(port.name, port.type, "input")
        for name, type in self.inputs.items():
            yield Variable(name, type, "label" if name == "label" else "input")
        for node in self.masters:
            name, layer, (type,) = node.results[0], owner_of(node), node.types
            yield Variable(name, type, "parameter", layer)
            yield Variable(f"{name}.master", type.with_(format="f32"), "master", layer)
            for state in self._states(node):
                yield Variable(f"{name}.{state}", type.with_(format="f32"), "optimizer", layer)
        for node in self.statistics:
            yield Variable(node.results[0], node.types[0], "statistic", owner_of(node))
        for name in self.corrections:
            yield Variable(name, Type("f32", ()), "optimizer", LAYER)
        yield from self.direct.variables()

    def _states(self, node: Node) -> tuple[str, ...]:
        """What the optimizer keeps of a parameter: nothing where it is frozen."""
        return () if node.results[0] in self.frozen else self.optimizer.states

    def _init(self) -> Iterator[Node]:
        """Masters are drawn and rounded to working copies; optimizer states are zero."""
        for node in self.masters:
            name, layer, (type,) = node.results[0], owner_of(node), node.types
            master = type.with_(format="f32")
            word, settings = _initialiser(node, type)
            pair = (name, f"{name}.master")
            yield Node(pair, word, (), settings, (type, master), layer, "UP", node.place)
            for state in self._states(node):
                yield Node((f"{name}.{state}",), "zeros", (), {}, (master,), layer, "UP", node.place)
        for node in self.statistics:
            word, settings = _initialiser(node, node.types[0])
            yield Node(node.results, word, (), settings, node.types, owner_of(node), "UP", node.place)
        for name in self.corrections:
            yield Node((name,), "zeros", (), {}, (Type("f32", ()),), LAYER, "UP")
        yield from self.direct.init()

    def _forward(self, nodes: Sequence[Node], result: str, type: Type) -> tuple[Region, Region, Region]:
        """What runs once, the sweep upwards, and what runs once behind it; the loss of *result*, of *type*, is last."""
        timed = {name for name, type in self.types.items() if type.timed}
        late: set[str] = set()
        static: list[Node] = []
        moving: list[Node] = []
        behind: list[Node] = []
        for node in nodes:
            if node.types[0].timed or not timed.isdisjoint(node.operands):
                moving.append(node)
                late.update(name for name, of in zip(node.results, node.types, strict=True) if name and not of.timed)
            elif late.isdisjoint(node.operands):
                static.append(node)
            else:
                behind.append(node)
                late.update(node.results)
        results = tuple(SEED if name == "seed" else name for name in self.loss.results)
        types = self.loss.loss_types(type)
        settings = self._settings(self.options.loss)
        loss = Node(results, self.loss.name, (result, *self.inputs), settings, types, "loss", "FP", self.place)
        (moving if type.timed else behind).append(loss)
        nodes = delays_first(moving) if self.stepwise else tuple(moving)
        up = Region("up", nodes, self.stepwise, window=self.window)
        return Region("once", tuple(static)), up, Region("once", tuple(behind))

    def _train_step(self) -> tuple[Region, ...]:
        """The parts of a training step, as the template of the rule puts them in order."""
        template = TEMPLATES[self.rule.sweeps(self.options.steps)]
        return template(self._parts())

    def _parts(self) -> Parts:
        """The way there, and what follows: matching kernels, what weights learn from spikes, or errors."""
        beside = () if self.matching is None else self.matching.beside()
        along = (*self.beside.along(), *beside)
        there = self._forward(along, self.answer, self.types[self.answer])
        parts = Parts(self.rule, self.options.steps, *there)
        if self.matching is not None:
            return replace(parts, once=tuple(self.matching.gradients()), updates=self._updates(()))
        if self.plastic is not None:
            afterwards = (*self._trackings(), *self.plastic.afterwards())
            return replace(parts, each=tuple(self.plastic.steps()), late=afterwards)
        self._seed()
        self.backward.run()
        trackings = (*self._trackings(), *self.direct.updates())
        late = trackings if self.rule.update == "step" else ()
        return replace(
            parts,
            each=tuple(self.errors.steps),
            sums=tuple(self.errors.windows),
            once=tuple(self.errors.once),
            updates=self._updates(() if late else trackings),
            late=late,
            parameters=frozenset(name for node in self.parameters for name in node.results),
            means=self.beside.after,
        )

    def _inferring(self) -> tuple[Region, ...]:
        """The regions of ``infer``; neurons that are silent in training are so there."""
        if not self.silent:
            return self._forward(*inferring(self.nodes, self.types, self.result))
        nodes = [node for node in self.beside.along() if "." not in node.op]
        types = self.types | {name: of for node in nodes for name, of in zip(node.results, node.types, strict=True)}
        return self._forward(*inferring(nodes, types, self.answer, self.options.steps))

    def _trackings(self) -> list[Node]:
        """What keeps running statistics."""
        found: list[Node] = []
        once = "_once" if self.rule.carry == "count" else ""
        for node in self.there.met:
            tracking = OPS[node.op].make(node.settings).tracks()
            if tracking is not None:
                reads, results = named(node, tracking.reads), named(node, tracking.of)
                reads = tuple(self.beside.instead(name, False) for name in reads)
                types, facet = tuple(self.types[name] for name in results), f"{node.op}.{tracking.facet}{once}"
                found.append(replace(node, results=results, op=facet, operands=reads, types=types, phase="UP"))
        return found

    def _seed(self) -> None:
        """The error of the network's result, and those that come straight to hidden layers."""
        operands = self.answer, *self.inputs
        names = dict(zip(self.loss.operands, operands, strict=True)) | {"seed": SEED}
        reads = tuple(names[name] for name in self.loss.reads)
        settings = self._settings(self.options.loss)
        if self.answer not in self.errors.readers:
            return
        error = self.errors.name(self.answer)
        node = Node((), f"{self.loss.name}.error", reads, settings, (), "loss", "BP", self.place)
        self.errors.add([(self.answer, error)], node, sums=False, timed=not self.rule.collapsed)
        if self.rule.direct == "loss":
            each = Type("f32", (), timed=True, batched=True)
            value = f"{self.loss.name}.value"
            self.errors.steps.append(Node((VALUE,), value, operands, settings, (each,), "loss", "BP", self.place))
        self.errors.steps += self.direct.compared()
        for layer, node in self.direct.errors(error):
            self.errors.add([(layer, self.errors.name(layer))], node, sums=False, timed=True)

    def _updates(self, trackings: Sequence[Node]) -> tuple[Node, ...]:
        """What lasts is made anew: running statistics by *trackings*, and parameters from their gradients."""
        trained = [
            Trained(node.results[0], owner_of(node), node.types[0], node.place)
            for node in self.parameters
            if node.results[0] in (self.errors.readers if self.matching is None else self.matching.trained)
        ]
        settings = self._settings(self.options.optimizer)
        return updates(trained, trackings, self.options, settings, self.several)

    def _settings(self, call: Setting) -> dict[str, Setting]:
        """The settings of a call that are not an operator's defaults."""
        name, given = called(call)
        defaults = OPS[name].settings()
        return {key: value for key, value in given.items() if value != defaults[key].default}


def _initialiser(node: Node, type: Type) -> tuple[str, dict[str, Setting]]:
    """Name and settings of a parameter's initialiser; SourceError where it has none such."""
    try:
        word, settings = called(node.settings.get("init", "kaiming_uniform" if type.weight else "zeros"))
        kind = INITIALISERS[word]
        made: Initialiser = kind.make(settings)
        made.draw(type, node.results[0])
    except (LookupError, SettingFault) as error:
        raise SourceError.at(node.place, str(error)) from error
    return word, settings


def untaught(network: Network, training: Training) -> Iterator[Fault]:
    """Parameters that a training step leaves as they are though nobody has frozen them: no error reaches them."""
    step = training.procedure("train_step")
    made = {name for node in step.nodes for name in node.results}
    rule, given = called(training.settings["rule"])
    made |= frozen_by(network, names_of(training.settings.get("freeze", ())))
    made |= left_alone(network, RULES[rule].make(given))
    makers = {name: node for node in network.nodes for name in node.results}
    for variable in training.variables:
        if variable.role == "parameter" and variable.name not in made:
            unmoved = "no error of the same window reaches it" if given.get("window") else RULES[rule].unmoved
            told = f"{variable.name} learns nothing under {rule}: {unmoved}"
            yield Fault(makers[variable.name].place, told)
