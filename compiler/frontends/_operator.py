"""Calls of operators: settings are checked, parameters made, types inferred."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

from ...catalog import ClassCatalog, UnknownName, unknown
from ...source import Place
from ..ir import syntax, values
from ..ir.graph import Setting
from ..ir.syntax import Argument, Assign, Call, Name
from ..ir.types import Type
from ..ir.values import Wrong, text_of_type
from ..ops.initialisers import INITIALISERS
from ..ops.op import Op, SettingFault, ShapeFault, called
from ._scope import Draft, Graph, Scope, Silent


@dataclass(frozen=True)
class Operand:
    """A value as it is handed to an operator: full name, and where it is written."""

    name: str
    place: Place


@dataclass(frozen=True)
class Waiting:
    """A delay in *scope* that reads *name*, which is made further on."""

    draft: Draft
    name: Name
    scope: Scope


@dataclass
class Operators:
    """Makes nodes of calls.

    *value* elaborates an operand, given the name to use where it is a nested call; *tell* notes a fault.
    """

    ops: ClassCatalog[Op]
    graph: Graph
    value: Callable[[syntax.Value, Scope, str], str]
    tell: Callable[[Wrong], None]
    inside: Callable[[], str]
    layers: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.layers = [name for name, kind in self.ops.items() if kind.family == "layer"]

    def call(self, call: Call, scope: Scope, targets: Sequence[str], line: Assign | None) -> tuple[str, ...]:
        """Full names of the results that are called *targets*: all of the operator's, or the first.

        *line* is the statement, if the call is all of it: its types are then compared.
        """
        kind = self.ops[call.name]
        if kind.family != "layer":
            article = "an" if kind.family[0] in "aeiou" else "a"
            raise Wrong(call.place, f"{call.name} is {article} {kind.family}; a network is made of layers")
        operands, parameters, settings = self._arguments(call, kind, scope, targets[0])
        op = self._make(call, kind, settings)
        count = len(op.suffixes)
        if len(targets) not in (1, count):
            raise Wrong(call.place, f"{call.name} makes {count} value{'s' * (count != 1)}, not {len(targets)}")
        types = [self._type(operand) for operand in operands[: len(kind.operands)]]
        try:
            wanted = op.parameter_types(*types)
            names = self._parameters(call, operands, parameters, wanted, targets[0])
            inferred = op.infer(*types, *(cast(Type, self.graph.type(name)) for name in names))
        except ShapeFault as fault:
            raise self._shapes(call, fault, operands[: len(kind.operands)]) from None
        results = tuple(targets)
        if len(results) < len(inferred):
            results += tuple(self.graph.claim(f"{targets[0]}.{suffix}", call.place) for suffix in op.suffixes[1:])
        explicit = {name: cast(Setting, getattr(op, name)) for name in kind.settings()}
        data = tuple(operand.name for operand in operands[: len(kind.operands)])
        self.graph.used.update(data, names)
        draft = Draft(results, call.name, (*data, *names), explicit, inferred, call.place)
        if line is not None:
            draft.phase, draft.layer = line.phase, line.layer
        self.graph.add(draft)
        if line is not None:
            self._compare(line, draft)
        return results[: len(targets)]

    def delay(
        self, call: Call, later: Name, scope: Scope, targets: Sequence[str], line: Assign | None, waiting: list[Waiting]
    ) -> str:
        """A delay of a value that is made further on; its type is the one that is written."""
        if line is None or len(line.types) != 1 or len(targets) != 1:
            wanted = f"for example `back = delay({later.text}) : spike[128]` where it is 128 spikes"
            raise Wrong(
                call.place, f"{later.text} is made further on, and its type is not known here; write it, {wanted}"
            )
        type = values.type_of(line.types[0], scope.settings(call)).with_(timed=True, batched=True)
        kind = self.ops["delay"]
        given: dict[str, tuple[Setting, Argument]] = {}
        for argument in call.arguments:
            if argument.value is not later:
                name, fields = argument.name or "", kind.settings()
                if name not in fields:
                    raise Wrong(argument.place, str(unknown("setting of delay", name, fields)))
                setting = values.setting_of(argument.value, scope.settings(argument.value))
                try:
                    given[name] = fields[name].check(setting, call.name), argument
                except SettingFault as fault:
                    raise Wrong(argument.value.place, fault.message) from None
        op = self._make(call, kind, given)
        explicit = {name: cast(Setting, getattr(op, name)) for name in kind.settings()}
        draft = Draft(tuple(targets), "delay", (), explicit, (type,), call.place, phase=line.phase, layer=line.layer)
        waiting.append(Waiting(self.graph.add(draft), later, scope))
        return targets[0]

    def close(self, waiting: Waiting, value: str) -> None:
        """Let the delay read *value*; `Wrong` where it has another type than was written."""
        (written,), made = waiting.draft.types, self.graph.type(value)
        if value in waiting.draft.results:
            raise Wrong(waiting.draft.place, f"{value} delays nothing but itself, which is 0 for ever")
        if made != written:
            told = f"{waiting.draft.results[0]} is written as {text_of_type(written)}; {self.graph.describe(value)}"
            raise Wrong(waiting.draft.place, told)
        waiting.draft.operands = (value,)
        self.graph.used.add(value)

    def _arguments(
        self, call: Call, kind: type[Op], scope: Scope, target: str
    ) -> tuple[list[Operand], dict[str, Operand], dict[str, tuple[Setting, Argument]]]:
        """Positional values, values by name, and settings; every fault is told before `Silent` ends it."""
        slots, fields = (*kind.operands, *kind.parameters), kind.settings()
        positional: list[Operand] = []
        named: dict[str, Operand] = {}
        settings: dict[str, tuple[Setting, Argument]] = {}
        seen: set[str] = set()
        wrong = mistyped = False
        for argument in call.arguments:
            name, place = argument.name, argument.value.place
            try:
                if name is None:
                    if seen:
                        raise Wrong(place, "operands stand before settings")
                    if len(positional) >= len(slots):
                        raise Wrong(place, f"{call.name} takes {_count(slots)}, not more")
                    positional.append(Operand(self._operand(argument, scope, target), place))
                    continue
                if name in seen:
                    raise Wrong(argument.place, f"{name} is given twice")
                seen.add(name)
                if name in slots:
                    named[name] = Operand(self._operand(argument, scope, target), place)
                elif name in fields:
                    given = values.setting_of(argument.value, scope.settings(argument.value))
                    settings[name] = (fields[name].check(given, call.name), argument)
                else:
                    mistyped = True
                    raise Wrong(argument.place, str(unknown(f"setting of {call.name}", name, fields, slots)))
            except SettingFault as fault:
                wrong = True
                self.tell(Wrong(_part(argument.value, fault), fault.message))
            except Wrong as fault:
                wrong = True
                self.tell(fault)
            except Silent:
                wrong = True
        for name, field_ in fields.items():
            if field_.required and name not in seen and not mistyped:
                wrong = True
                self.tell(Wrong(call.place, f"{call.name} needs the setting {name}"))
        given_by_place = sum(argument.name is None for argument in call.arguments)
        for name in kind.operands[given_by_place:]:
            if name in named:
                positional.append(named.pop(name))
            elif name not in seen:
                wrong = True
                self.tell(Wrong(call.place, f"{call.name} takes {_count(kind.operands)}; {name} is missing"))
        for name in (*kind.operands[:given_by_place],):
            if name in named:
                wrong = True
                self.tell(Wrong(named[name].place, f"{name} is given twice"))
        if wrong:
            raise Silent
        return positional, named, settings

    def _operand(self, argument: Argument, scope: Scope, target: str) -> str:
        nested = argument.value.name if isinstance(argument.value, Call) else ""
        return self.value(argument.value, scope, f"{target}.{argument.name or nested}")

    def _make(self, call: Call, kind: type[Op], settings: dict[str, tuple[Setting, Argument]]) -> Op:
        try:
            return kind.make({name: value for name, (value, _) in settings.items()})
        except SettingFault as fault:
            place = settings[fault.name][1].place if fault.name in settings else call.place
            raise Wrong(place, fault.message) from None

    def _type(self, operand: Operand) -> Type:
        type = self.graph.type(operand.name)
        if type is None:
            raise Wrong(
                operand.place,
                f"the type of {operand.name} is not known here; write it: `: weight f16[8, 2, 3, 3]` behind it",
            )
        return type

    def _shapes(self, call: Call, fault: ShapeFault, operands: Sequence[Operand]) -> Wrong:
        """The fault with the types of all operands and where they are made."""
        known = "; ".join(self.graph.describe(name) for name in dict.fromkeys(operand.name for operand in operands))
        number = fault.operand
        place = operands[number].place if number is not None and number < len(operands) else call.place
        return Wrong(place, f"{fault.message}: {known}{self.inside()}")

    # Parameters

    def _parameters(
        self,
        call: Call,
        operands: Sequence[Operand],
        named: dict[str, Operand],
        wanted: dict[str, tuple[Type, Setting]],
        target: str,
    ) -> tuple[str, ...]:
        """Full names of the parameters: those that are given, and new ones for the others."""
        kind = self.ops[call.name]
        extra = operands[len(kind.operands) :]
        for name in named:
            if name not in wanted:
                raise Wrong(named[name].place, f"with these settings {call.name} has no parameter {name}")
        if len(extra) > len(wanted):
            raise Wrong(
                extra[len(wanted)].place, f"{call.name} takes {_count((*kind.operands, *wanted))} here, not more"
            )
        given = dict(zip(wanted, extra, strict=False))
        for name in given.keys() & named.keys():
            raise Wrong(named[name].place, f"{name} is given twice")
        given.update(named)
        names: list[str] = []
        for name, (type, init) in wanted.items():
            if name in given:
                self._adopt(given[name], name, call.name, type, init)
                names.append(given[name].name)
            else:
                full = self.graph.claim(f"{target}.{name}", call.place)
                self.graph.add(Draft((full,), "parameter", (), {"init": init}, (type,), call.place))
                names.append(full)
        return tuple(names)

    def _adopt(self, given: Operand, name: str, op: str, type: Type, init: Setting) -> None:
        """Let the parameter *given* be the *name* of *op*: what it does not say itself, it takes over."""
        maker = self.graph.makers.get(given.name)
        fits = self.graph.type(given.name) == type
        if maker is not None and maker.op == "parameter" and not maker.types:
            fits = maker.shape in (None, type.shape)
            if fits:
                maker.types = (type,)
                maker.settings.setdefault("init", init)
        if not fits:
            known = self.graph.describe(given.name)
            if maker is not None and not maker.types:
                known = f"{given.name} is {list(maker.shape or ())} ({maker.place})"
            raise Wrong(given.place, f"{name} of {op} is {text_of_type(type)}; {known}{self.inside()}")

    def parameter(self, call: Call, scope: Scope, target: str, line: Assign | None) -> str:
        """``parameter([6, 1, 5, 5], init=normal)``; what is left out comes from the operator that uses it."""
        settings: dict[str, Setting] = {}
        shape: tuple[int, ...] | None = None
        for argument in call.arguments:
            given = values.setting_of(argument.value, scope.settings(argument.value))
            if argument.name == "init" and "init" not in settings:
                _initialiser(given, None, argument.value.place)
                settings["init"] = given
            elif argument.name is None and shape is None:
                shape = _shape(given, argument.value.place)
            elif argument.name in (None, "init"):
                raise Wrong(argument.place, f"{argument.name or 'the shape'} is given twice")
            else:
                raise Wrong(argument.place, str(unknown("setting of parameter", argument.name, ["init"])))
        types = tuple(values.type_of(written, scope.settings(call)) for written in line.types[:1]) if line else ()
        if types and shape not in (None, types[0].shape):
            raise Wrong(call.place, f"{target} is {list(shape or ())} and {text_of_type(types[0])} at the same time")
        draft = Draft((target,), "parameter", (), settings, types, call.place, shape)
        if line is not None:
            draft.phase, draft.layer = line.phase, line.layer
        self.graph.add(draft)
        return target

    def _compare(self, line: Assign, draft: Draft) -> None:
        """Types that are written must be those that are inferred."""
        if line.types and len(line.types) not in (len(line.targets), len(draft.types)):
            self.tell(Wrong(line.types[0].place, f"{len(line.types)} types for {len(line.targets)} values"))
        for name, written, inferred in zip(draft.results, line.types, draft.types, strict=False):
            if (said := values.type_of(written, {})) != inferred:
                told = f"{name} is {text_of_type(inferred)}, not {text_of_type(said)}"
                self.tell(Wrong(written.place, told))

    def finish(self) -> None:
        """Tell of parameters of which too little is known."""
        for draft in self.graph.drafts:
            if draft.op != "parameter":
                continue
            (name,) = draft.results
            if not draft.types:
                self.tell(Wrong(draft.place, f"{name} is the parameter of no operator, and its type is not written"))
            elif "init" not in draft.settings:
                self.tell(Wrong(draft.place, f"the first values of {name} are not said: `init=zeros`"))
            else:
                try:
                    _initialiser(draft.settings["init"], draft.types[0], draft.place)
                except Wrong as fault:
                    self.tell(fault)


def _part(value: syntax.Value, fault: SettingFault) -> Place:
    """The place in *value* that *fault* speaks of: a parameter of the call, a character of a quoted one, or all."""
    arguments = value.arguments if isinstance(value, Call) else ()
    for argument in reversed(arguments):
        if argument.name == fault.part:
            if fault.offset is not None and isinstance(argument.value, syntax.Literal):
                return argument.value.inside(fault.offset)
            return argument.place
    return value.place


def _initialiser(init: Setting, type: Type | None, place: Place) -> None:
    """`Wrong` where *init* is no initialiser, or none for *type*."""
    try:
        name, settings = called(init)
        op = INITIALISERS[name].make(settings)
        if type is not None:
            op.draw(type, "")
    except UnknownName as fault:
        raise Wrong(place, str(fault)) from None
    except SettingFault as fault:
        raise Wrong(place, fault.message) from None


def _shape(given: Setting, place: Place) -> tuple[int, ...]:
    """A shape as it is written, ``[6, 1, 5, 5]``."""
    sizes = (
        [size for size in given if isinstance(size, int) and not isinstance(size, bool) and size > 0]
        if isinstance(given, tuple)
        else []
    )
    if not isinstance(given, tuple) or len(sizes) != len(given):
        raise Wrong(place, "a shape is a list of whole numbers above 0, such as [6, 1, 5, 5]")
    return tuple(sizes)


def _count(names: Sequence[str]) -> str:
    return f"{len(names)} operand{'s' * (len(names) != 1)} ({', '.join(names)})"
