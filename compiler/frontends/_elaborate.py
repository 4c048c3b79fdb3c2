"""From the syntax tree of a network to its graph: blocks inlined, repetitions unrolled, everything explicit.

Full names: what is made in a block called ``s1`` is ``s1.NAME``, the value that the block returns is ``s1``; a nested
call is ``y.OPERATOR``; what is made again in a repetition is ``x.1``, ``x.2`` and so on.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import contextmanager
from typing import TypeVar

from ...catalog import ClassCatalog, unknown
from ...source import NOWHERE, Fault, Faults, Place
from ..ir import syntax, values
from ..ir.graph import Network, Port, Setting
from ..ir.syntax import Assign, Block, Call, Name, Repeat, Return, WrittenNetwork
from ..ir.values import WORDS, Wrong, text_of_type
from ..ops.op import Op
from ._operator import Operators, Waiting
from ._scope import Binding, Given, Graph, Lost, Made, Scope, Silent, Word
from .frontend import Options

ROUNDS = 10_000
Item = TypeVar("Item")


def elaborate(tree: syntax.File, file: str, ops: ClassCatalog[Op], options: Options, faults: Faults) -> Network:
    """The one network of the file; what is wrong goes to *faults*, and raises when *faults* closes."""
    trainings = [item for item in tree.items if isinstance(item, syntax.WrittenTraining)]
    if trainings:
        raise Wrong(trainings[0].name.place, "this is a training graph; a network is expected")
    networks = [item for item in tree.items if isinstance(item, WrittenNetwork)]
    if len(networks) != 1:
        place = networks[1].name.place if networks else Place(file)
        raise Wrong(place, f"a file holds one network, not {len(networks)}")
    blocks = [item for item in tree.items if isinstance(item, Block)]
    return _Elaborator(ops, blocks, options, faults).network(
        networks[0], [item for item in tree.items if isinstance(item, syntax.SettingList)]
    )


class _Elaborator:
    def __init__(self, ops: ClassCatalog[Op], blocks: Iterable[Block], options: Options, faults: Faults) -> None:
        self.options = options
        self.faults = faults
        self.graph = Graph()
        self.operators = Operators(ops, self.graph, self.value, self.tell, self.inside)
        self.blocks: dict[str, Block] = {}
        self.calls: list[Call] = []
        self.waiting: list[Waiting] = []
        for block in blocks:
            name = block.name
            if name.text in self.blocks:
                first = self.blocks[name.text].name.place.line
                self.tell(Wrong(name.place, f"block {name.text} is defined twice; the first is in line {first}"))
            elif name.text in ops or name.text == "parameter":
                self.tell(Wrong(name.place, f"{name.text} is an operator; a block needs another name"))
            self.blocks.setdefault(name.text, block)

    def tell(self, wrong: Wrong) -> None:
        self.faults.add(wrong.place, wrong.message)

    @contextmanager
    def telling(self):
        """Whatever is wrong inside is told, and what follows goes on."""
        try:
            yield
        except Wrong as wrong:
            self.tell(wrong)
        except Silent:
            pass

    def inside(self) -> str:
        """Which call of a block is being followed, for the end of a message."""
        return f" (in {self.calls[-1].name}, called in line {self.calls[-1].place.line})" if self.calls else ""

    # The network

    def network(self, written: WrittenNetwork, trains: list[syntax.SettingList]) -> Network:
        scope = Scope(body=written.body)
        self._settings(written, scope)
        for port in written.ports:
            with self.telling():
                type = values.type_of(port.type, scope.settings(Name(""))).with_(batched=True)
                if type.weight:
                    raise Wrong(port.type.place, "an input is no weight")
                scope.bind(port.name, Made(port.name.text))
                self.graph.claim(port.name.text, port.name.place)
                sizes = tuple(
                    axis[0].text if len(axis) == 1 and isinstance(axis[0], Name) else "" for axis in port.type.axes
                )
                sizes = sizes[len(sizes) - len(type.axes) :]
                self.graph.ports[port.name.text] = Port(port.name.text, type, port.name.place, sizes)
            scope.names.setdefault(port.name.text, Lost())
        steps = 1
        with self.telling():
            steps = self._steps(written, scope)
        results = self.body(written.body, scope, written.name, ())
        train: dict[str, Setting] = {}
        with self.telling():
            train = self._train(trains)
        if not len(self.faults):
            self.operators.finish()
        self.faults.throw()
        names = tuple(binding.name for binding in results if isinstance(binding, Made))
        self._warn(set(names))
        return Network(
            written.name.text, tuple(self.graph.ports.values()), steps, self.graph.nodes(), names, train,
            written.name.place, values.places_of(trains[0]) if trains else {},
        )  # fmt: skip

    def _settings(self, written: WrittenNetwork, scope: Scope) -> None:
        known = [formal.name.text for formal in written.formals]
        for name in self.options.settings:
            if name not in known:
                self.tell(Wrong(NOWHERE, str(unknown(f"setting of {written.name.text}", name, known))))
        for formal in written.formals:
            binding: Binding = Lost()
            with self.telling():
                if formal.name.text in self.options.settings:
                    binding = Given(self.options.settings[formal.name.text])
                elif formal.default is not None:
                    binding = Given(values.setting_of(formal.default, scope.settings(formal.default)))
            with self.telling():
                scope.bind(formal.name, binding)

    def _steps(self, written: WrittenNetwork, scope: Scope) -> int:
        if self.options.steps is not None:
            return self.options.steps
        if written.steps is None:
            raise Wrong(
                written.name.place, f"{written.name.text} does not say its time steps: `steps 4` before the '{{'"
            )
        return self._whole(written.steps, scope, "the number of steps", 1)

    def _whole(self, value: syntax.Value, scope: Scope, what: str, least: int) -> int:
        known = scope.settings(value)
        number = values.setting_of(value, known)
        if isinstance(value, Name) and isinstance(number, str) and value.text not in known:
            raise Wrong(value.place, str(unknown("setting", value.text, known)))
        if isinstance(number, bool) or not isinstance(number, int) or number < least:
            raise Wrong(value.place, f"{what} is a whole number from {least}, not {values.text_of_setting(number)}")
        return number

    def _train(self, sections: list[syntax.SettingList]) -> dict[str, Setting]:
        if len(sections) > 1:
            raise Wrong(sections[1].place, f"a second train section; the first is in line {sections[0].place.line}")
        train: dict[str, Setting] = {}
        for name, value in sections[0].settings if sections else ():
            if name.text in train:
                raise Wrong(name.place, f"{name.text} is given twice")
            train[name.text] = values.setting_of(value, {})
        return train

    def _warn(self, results: set[str]) -> None:
        used = self.graph.used | results
        for draft in self.graph.drafts:
            if used.isdisjoint(draft.results):
                self.options.warn(Fault.at(draft.place, f"{draft.results[0]} is never used", self.faults.text))
        for port in self.graph.ports.values():
            if port.name not in used:
                self.options.warn(Fault.at(port.place, f"input {port.name} is never used", self.faults.text))

    # Statements

    def body(self, body: syntax.Body, scope: Scope, owner: Name, targets: tuple[str, ...]) -> list[Binding]:
        """Follow *body* and give what it returns; returned calls make the values *targets*."""
        for number, statement in enumerate(body):
            if isinstance(statement, Return):
                if number < len(body) - 1:
                    self.tell(Wrong(statement.place, "nothing can stand behind return"))
                self._close(scope)
                return [self._returned(value, scope, targets[k : k + 1]) for k, value in enumerate(statement.values)]
            self.statement(statement, scope)
        self.tell(Wrong(owner.place, f"{owner.text} returns nothing; end it with `return NAME`"))
        return []

    def _returned(self, value: syntax.Value, scope: Scope, target: tuple[str, ...]) -> Binding:
        with self.telling():
            if target or not isinstance(value, Call):
                return Made(self.value(value, scope, target[0] if target else "", claimed=True))
            return Made(self.value(value, scope, value.name))
        return Lost()

    def statement(self, statement: Assign | Repeat | Return, scope: Scope) -> None:
        match statement:
            case Assign():
                bindings: list[Binding] = []
                with self.telling():
                    for target in statement.targets:
                        scope.check(target)
                    bindings = self.assigned(statement, scope)
                for number, target in enumerate(statement.targets):
                    scope.names[target.text] = bindings[number] if number < len(bindings) else Lost()
                    scope.made.setdefault(target.text, target.place)
            case Repeat():
                with self.telling():
                    self.repeat(statement, scope)
            case Return():
                self.tell(Wrong(statement.place, "return stands at the end of a network or a block"))

    def repeat(self, statement: Repeat, scope: Scope) -> None:
        carried = {name.text for name, _ in syntax.targets(statement.body) if name.text in scope.names}
        try:
            rounds = self._whole(statement.times, scope, "the number of repetitions", 0)
            if rounds > ROUNDS:
                raise Wrong(statement.times.place, f"{rounds} repetitions are more than {ROUNDS}")
        except (Wrong, Silent):
            scope.names.update(dict.fromkeys(carried, Lost()))
            raise
        for number in range(rounds):
            told = len(self.faults)
            inner = scope.inside(statement.body)
            if statement.variable is not None:
                if statement.variable.text in scope.names:
                    raise Wrong(statement.variable.place, f"{statement.variable.text} is made already")
                inner.bind(statement.variable, Given(number))
            for line in statement.body:
                self.statement(line, inner)
            self._close(inner)
            scope.names.update({name: inner.names[name] for name in carried})
            if len(self.faults) > told:
                break
        scope.inner |= {name.text for name, _ in syntax.targets(statement.body)} - carried

    def assigned(self, statement: Assign, scope: Scope) -> list[Binding]:
        """What the targets are bound to: a new value, another name of one, or a setting."""
        value, targets = statement.value, statement.targets
        if isinstance(value, Call):
            again = scope.repeated or bool(scope.prefix)
            names = [
                scope.renames.get(target.text)
                or self.graph.claim(scope.prefix + target.text, target.place, again)
                for target in targets
            ]  # fmt: skip
            return list(map(Made, self.call(value, scope, names, statement)))
        if len(targets) > 1:
            raise Wrong(targets[1].place, "several names need a call that makes several values")
        known = self.find(value, scope) if isinstance(value, Name) else None
        if isinstance(value, Name) and value.text not in WORDS and not isinstance(known, Given):
            name = self.value(value, scope, "")
            for written in statement.types:
                type = self.graph.type(name)
                if type is not None and values.type_of(written, {}) != type:
                    raise Wrong(written.place, f"{name} is {text_of_type(type)}")
            return [Made(name)]
        return [Given(values.setting_of(value, scope.settings(value)))]

    # Values

    def find(self, name: Name, scope: Scope) -> Binding | None:
        """What *name* means: ``s1``, or ``s1.h`` where s1 has a second result."""
        if name.text in scope.names:
            return scope.names[name.text]
        base, dot, rest = name.text.rpartition(".")
        while dot:
            match scope.names.get(base):
                case Made(name=full) if f"{full}.{rest}" in self.graph.makers:
                    return Made(f"{full}.{rest}")
                case Lost():
                    return Lost()
                case _:
                    base, dot, more = base.rpartition(".")
                    rest = f"{more}.{rest}"
        return None

    def value(self, value: syntax.Value, scope: Scope, target: str, claimed: bool = False) -> str:
        """Full name of the value that is written; a nested call makes it under the name *target*."""
        if isinstance(value, Call):
            return self.call(value, scope, [target if claimed else self.graph.claim(target, value.place)], None)[0]
        if not isinstance(value, Name):
            scope.settings(value)
            raise Wrong(value.place, "a value is expected here: a name, or a call")
        match self.find(value, scope):
            case Made(name=name):
                return name
            case Given():
                raise Wrong(value.place, f"{value.text} is a setting here, not a value")
            case Word(fault=fault):
                raise fault
            case Lost():
                raise Silent
            case None:
                raise scope.unknown(value)

    def call(self, call: Call, scope: Scope, targets: list[str], line: Assign | None) -> tuple[str, ...]:
        """Full names of what the call makes, which are *targets* where it makes it itself."""
        if call.name == "delay" and (later := self._later(call, scope)) is not None:
            return (self.operators.delay(call, later, scope, targets, line, self.waiting),)
        if call.name == "parameter":
            if len(targets) > 1:
                raise Wrong(call.place, f"parameter makes 1 value, not {len(targets)}")
            return (self.operators.parameter(call, scope, targets[0], line),)
        if call.name in self.blocks:
            return self.block(self.blocks[call.name], call, scope, targets)
        if call.name not in self.operators.ops:
            known = ["parameter", *self.operators.layers, *self.blocks]
            raise Wrong(call.place, str(unknown("operator or block", call.name, known)))
        return self.operators.call(call, scope, targets, line)

    def _later(self, call: Call, scope: Scope) -> Name | None:
        """What a delay reads that this very body makes further on; None where it is made already, or never."""
        named = [argument.value for argument in call.arguments if argument.name in (None, "x")]
        if len(named) != 1 or not isinstance(named[0], Name) or self.find(named[0], scope) is not None:
            return None
        made = {name.text for name, repeated in syntax.targets(scope.body) if not repeated}
        parts = named[0].text.split(".")
        return named[0] if any(".".join(parts[:count]) in made for count in range(1, len(parts) + 1)) else None

    def _close(self, scope: Scope) -> None:
        """Tie the delays of a body to what it has made meanwhile."""
        for waiting in [each for each in self.waiting if each.scope is scope]:
            self.waiting.remove(waiting)
            with self.telling():
                self.operators.close(waiting, self.value(waiting.name, scope, ""))

    # Blocks

    def block(self, block: Block, call: Call, scope: Scope, targets: list[str]) -> tuple[str, ...]:
        """Inline *block*; its values are called after the first target."""
        chain = [outer.name for outer in self.calls]
        if call.name in chain:
            raise Wrong(call.place, f"{call.name} calls itself: {' -> '.join([*chain, call.name])}")
        inner = Scope(f"{targets[0]}.", body=block.body)
        self._arguments(block, call, scope, inner, targets[0])
        last = block.body[-1] if block.body else None
        returned = last.values if isinstance(last, Return) else ()
        if returned and len(returned) != len(targets):
            count = len(returned)
            raise Wrong(call.place, f"{call.name} returns {count} value{'s' * (count != 1)}, not {len(targets)}")
        made = list(syntax.targets(block.body))
        for value, target in zip(returned, targets, strict=False):
            if isinstance(value, Name) and [repeated for name, repeated in made if name.text == value.text] == [False]:
                inner.renames[value.text] = target
        self.calls.append(call)
        try:
            results = self.body(block.body, inner, block.name, tuple(targets))
        finally:
            self.calls.pop()
        names = tuple(binding.name for binding in results if isinstance(binding, Made))
        if len(names) != len(targets):
            raise Silent
        return names

    def _arguments(self, block: Block, call: Call, scope: Scope, inner: Scope, target: str) -> None:
        """Bind the block's parameters in *inner* to the arguments, or to their defaults."""
        told = len(self.faults)
        formals = {formal.name.text: formal for formal in block.formals}
        names = iter(formals)
        given: dict[str, Binding] = {}
        for argument in call.arguments:
            with self.telling():
                name = argument.name if argument.name is not None else next(names, None)
                if name is None:
                    raise Wrong(
                        argument.value.place, f"{call.name} takes {len(formals)} arguments ({', '.join(formals)})"
                    )
                if name not in formals:
                    raise Wrong(argument.place, str(unknown(f"parameter of {call.name}", name, formals)))
                if name in given:
                    raise Wrong(argument.place, f"{name} is given twice")
                given[name] = Lost()
                given[name] = self._handed(argument.value, scope, f"{target}.{name}")
        for name, formal in formals.items():
            if name not in given and formal.default is None:
                self.tell(Wrong(call.place, f"{call.name} needs {name}"))
            elif name not in given and formal.default is not None:
                given[name] = Lost()
                with self.telling():
                    given[name] = Given(values.setting_of(formal.default, inner.settings(formal.default)))
            with self.telling():
                inner.bind(formal.name, given.get(name, Lost()))
        if len(self.faults) > told or any(isinstance(binding, Lost) for binding in given.values()):
            raise Silent

    def _handed(self, value: syntax.Value, scope: Scope, target: str) -> Binding:
        """An argument of a block: a value where it can be one, else a setting."""
        if isinstance(value, Name) and value.text not in WORDS:
            match self.find(value, scope):
                case Made(name=name):
                    return Made(name, handed=True)
                case None:
                    return Word(value.text, scope.unknown(value))
                case binding:
                    return binding
        if isinstance(value, Call) and self._makes_a_value(value):
            return Made(self.value(value, scope, target), handed=True)
        return Given(values.setting_of(value, scope.settings(value)))

    def _makes_a_value(self, call: Call) -> bool:
        """Whether *call* is a block or a layer with operands, and no setting that is called alike: ``tanh(k=2)``."""
        if call.name in self.blocks or call.name not in self.operators.layers:
            return call.name in self.blocks
        operands = self.operators.ops[call.name].operands
        return any(argument.name is None or argument.name in operands for argument in call.arguments)
