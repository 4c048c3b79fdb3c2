"""The one text for source and dumps: parse -> print -> parse is the identity, places excepted.

A dump says everything: the type of every value, every setting, every parameter.  Where a node was written stands behind
it as a comment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar, cast

from ...source import NOWHERE, Fault, Place, SourceError
from . import syntax, values
from .graph import Network, Node, Port, Procedure, Region, Setting, Settings, Sweep, Training, Variable
from .syntax import Assign, Call, Name, SettingList
from .types import Type

Item = TypeVar("Item")
SWEEPS: dict[str, str] = {"once": "once", "up": "sweep t up", "down": "sweep t down", "chosen": "sweep t chosen"}


def parse(text: str, file: str = "<text>") -> syntax.File:
    """The syntax tree of *text*; raises `SourceError` with line, column and what was expected there."""
    from .grammar import parse

    return parse(text, file)


# Printing


def print_network(network: Network, places: bool = True) -> str:
    """The network as text; *places* adds to each node, as a comment, where the user wrote it."""
    ports = ", ".join(f"{port.name}: {values.text_of_type(port.type)}" for port in network.ports)
    lines = [f"network {network.name}({ports}) steps {network.steps} {{"]
    lines += [_node(node, 1, places) for node in network.nodes]
    if network.results:
        lines.append(f"    return {', '.join(network.results)}")
    lines.append("}")
    if network.train:
        lines += ["", *_settings("train", network.train, 0)]
    return "\n".join(lines) + "\n"


def print_training(training: Training, places: bool = False) -> str:
    """The training graph as text; without *places* it is the same wherever the user's file lies."""
    lines = [f"training {training.name} steps {training.steps} batch {training.batch} {{"]
    for variable in training.variables:
        layer = f" @ ({variable.layer})" if variable.layer else ""
        lines.append(f"    {variable.role} {variable.name} : {values.text_of_type(variable.type)}{layer}")
    lines += [f"    argument {name} : {kind}" for name, kind in training.arguments]
    for procedure in training.procedures:
        lines += ["", f"    entry {procedure.name}({', '.join(procedure.inputs)}) {{"]
        for window, regions in procedure.windows:
            depth = 3 if window else 2
            lines += [f"        window {window} {{"] if window else []
            lines += [line for region in regions for line in _region(region, depth, places)]
            lines += ["        }"] if window else []
        if procedure.results:
            lines.append(f"        return {', '.join(procedure.results)}")
        lines.append("    }")
    if training.settings:
        lines += ["", *_settings("settings", training.settings, 1)]
    lines.append("}")
    return "\n".join(lines) + "\n"


def print_settings(word: str, settings: Settings) -> str:
    """A section of settings, such as ``train``, as text."""
    return "\n".join(_settings(word, settings, 0)) + "\n"


def _region(region: Region, depth: int, places: bool) -> Iterator[str]:
    words = [SWEEPS[region.sweep], *map(str, filter(None, (region.steps,)))]
    words += [str(region.turns)] if region.sweep == "chosen" else ["stepwise"] if region.stepwise else []
    yield f"{'    ' * depth}{' '.join(words)} {{"
    yield from (_node(node, depth + 1, places) for node in region.nodes)
    yield f"{'    ' * depth}}}"


def _node(node: Node, depth: int, places: bool) -> str:
    assert node.results, f"{node.op} makes nothing that could be named"
    arguments = [
        *map(_written, node.operands),
        *(f"{key}={values.text_of_setting(value)}" for key, value in node.settings.items()),
    ]
    line = f"{'    ' * depth}{', '.join(map(_written, node.results))} = {node.op}({', '.join(arguments)})"
    if node.types:
        line += f" : {', '.join(map(values.text_of_type, node.types))}"
    if node.phase or node.layer:
        line += f" @ {node.phase}{f'({node.layer})' if node.layer else ''}"
    if places and node.place != NOWHERE:
        line += f"  # {Place(node.place.file, node.place.line)}"
    return line


def _written(name: str) -> str:
    """The name as it stands in the text: a result that is not wanted has none and is written ``_``."""
    return name or "_"


def _read(name: Name) -> str:
    return "" if name.text == "_" else name.text


def _settings(word: str, settings: Settings, depth: int) -> Iterator[str]:
    indent = "    " * depth
    yield f"{indent}{word} {{"
    for name, value in settings.items():
        yield f"{indent}    {name} = {values.text_of_setting(value)}"
    yield f"{indent}}}"


# Reading dumps


_BEFORE_SETTING = "train { value = "


def parse_setting(text: str, file: str = "<setting>") -> Setting:
    """The value of a setting as the language writes it, ``adam(lr=1e-3)``; raises `SourceError` where it is none."""
    try:
        (item,) = parse(f"{_BEFORE_SETTING}{text} }}", file).items
    except SourceError as error:
        raise SourceError(*(_in_setting(fault, text) for fault in error.faults)) from None
    if not isinstance(item, SettingList) or len(item.settings) != 1:
        raise SourceError.at(Place(file), f"{text!r} is no value of a setting")
    ((_, written),) = item.settings
    try:
        return values.setting_of(written, {})
    except values.Wrong as wrong:
        raise SourceError.at(Place(file), wrong.message) from None


def _in_setting(fault: Fault, text: str) -> Fault:
    """*fault* as the user sees it, who wrote *text* and nothing around it."""
    line, column = fault.place.line, fault.place.column
    if line == 1:
        column = min(max(column - len(_BEFORE_SETTING), 1), len(text.partition("\n")[0]) + 1)
    place = Place(fault.place.file, line, column)
    return Fault.at(place, fault.message, text, fault.hints)


def parse_network(text: str, file: str = "<dump>") -> Network:
    """Exactly the network that `print_network` wrote; nothing is inferred or checked against operators."""
    return _guard(text, lambda: _network(parse(text, file), file))


def parse_training(text: str, file: str = "<dump>") -> Training:
    """Exactly the training graph that `print_training` wrote."""
    return _guard(text, lambda: _training(parse(text, file), file))


def _guard(text: str, read: Callable[[], Item]) -> Item:
    """What *read* gives; what is `Wrong` becomes the user's error."""
    try:
        return read()
    except values.Wrong as wrong:
        raise SourceError.at(wrong.place, wrong.message, text) from None


def _network(tree: syntax.File, file: str) -> Network:
    written = _only(tree.items, syntax.WrittenNetwork, "network", file)
    trains = [item for item in tree.items if isinstance(item, SettingList)]
    for item in tree.items:
        if isinstance(item, syntax.Block):
            raise values.Wrong(item.name.place, "a dump has no blocks: all of them are inlined")
    if written.formals:
        raise values.Wrong(written.formals[0].name.place, "the network of a dump has no settings")
    *statements, last = written.body or (None,)
    nodes = [*statements, *([] if last is None or isinstance(last, syntax.Return) else [last])]
    steps = 1 if written.steps is None else values.setting_of(written.steps, {})
    if isinstance(steps, bool) or not isinstance(steps, int):
        raise values.Wrong(written.name.place, "steps is a whole number")
    return Network(
        name=written.name.text,
        ports=tuple(Port(port.name.text, _type(port.type), port.name.place) for port in written.ports),
        steps=steps,
        nodes=tuple(_read_node(node, written.name.place) for node in nodes),
        results=tuple(_operand(value) for value in last.values) if isinstance(last, syntax.Return) else (),
        train=_read_settings(trains),
        place=written.name.place,
    )


def _training(tree: syntax.File, file: str) -> Training:
    written = _only(tree.items, syntax.WrittenTraining, "training graph", file)
    return Training(
        name=written.name.text,
        steps=written.steps,
        batch=written.batch,
        variables=tuple(Variable(v.name.text, _type(v.type), v.role, v.layer) for v in written.variables),
        arguments=written.arguments,
        procedures=tuple(
            Procedure(
                entry.name.text,
                entry.inputs,
                tuple(
                    Region(
                        cast(Sweep, region.sweep),
                        tuple(_read_node(node, entry.name.place) for node in region.nodes),
                        region.stepwise,
                        region.turns,
                        region.steps,
                        region.window,
                    )
                    for region in entry.regions
                ),
                entry.results,
            )
            for entry in written.entries
        ),
        settings=_read_settings(written.settings),
    )


def _only(items: Sequence[syntax.Item], kind: type[Item], name: str, file: str) -> Item:
    found = [item for item in items if isinstance(item, kind)]
    if len(found) != 1:
        raise values.Wrong(Place(file), f"a dump holds one {name}; here are {len(found)}")
    return found[0]


def _read_node(statement: syntax.Statement | None, place: Place) -> Node:
    if not isinstance(statement, Assign):
        raise values.Wrong(getattr(statement, "place", place), "a dump repeats nothing, and returns at its end")
    call = statement.value
    if not isinstance(call, Call):
        raise values.Wrong(call.place, "every line of a dump calls one operator")
    return Node(
        results=tuple(map(_read, statement.targets)),
        op=call.name,
        operands=tuple(_operand(argument.value) for argument in call.arguments if argument.name is None),
        settings={item.name: values.setting_of(item.value, {}) for item in call.arguments if item.name is not None},
        types=tuple(map(_type, statement.types)),
        layer=statement.layer,
        phase=statement.phase,
        place=call.place,
    )


def _operand(value: syntax.Value) -> str:
    if not isinstance(value, Name):
        raise values.Wrong(value.place, "a dump names every value")
    return _read(value)


def _type(written: syntax.WrittenType) -> Type:
    return values.type_of(written, {})


def _read_settings(lists: Sequence[SettingList]) -> dict[str, Setting]:
    return {name.text: values.setting_of(value, {}) for section in lists for name, value in section.settings}
