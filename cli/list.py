"""List targets, models, rules, ops, losses, surrogates, data ..."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from typing import TYPE_CHECKING

import click

from ._options import json_option
from ._output import Output

if TYPE_CHECKING:
    from ..compiler.ops.op import SettingField

Rows = Iterator[tuple[str, str]]
"""Names, each with what it is in a line."""


def first_sentence(text: str | None) -> str:
    """The first sentence of *text*, whole over the ends of lines and without markup; a capital begins the next one."""
    paragraph = (text or "").strip().partition("\n\n")[0]
    line = " ".join(paragraph.replace("``", "").replace("`", "").split())
    return re.split(r"(?<=\.) (?=[A-Z*])", line, maxsplit=1)[0]


def _targets() -> Rows:
    from ..isa.target import TARGETS, load_target

    return ((name, load_target(name).description) for name in TARGETS)


def _models() -> Rows:
    from ..models import MODELS

    for name, path in MODELS.items():
        lines = path.read_text("utf-8").splitlines()
        yield name, first_sentence("\n".join(line.lstrip("# ") for line in takewhile(_is_comment, lines)))


def _is_comment(line: str) -> bool:
    return line.startswith("#")


def _rules() -> Rows:
    from ..compiler.training.rule import RULES

    for name, rule in RULES.items():
        told = f"{rule.title}. Needs {rule.needs}; stores {rule.stores}. {rule.source}."
        yield name, told + _settings(rule.settings().values())


def _dataflows() -> Rows:
    from ..compiler.dataflows.dataflow import DATAFLOWS

    return ((name, dataflow.summary) for name, dataflow in DATAFLOWS.items())


def _codecs() -> Rows:
    from ..isa.codecs.codec import CODECS

    return ((name, codec.summary) for name, codec in CODECS.items())


def _ops() -> Rows:
    """What a network may call."""
    return _family("layer")


def _losses() -> Rows:
    return _family("loss")


def _optimizers() -> Rows:
    return _family("optimizer")


def _initialisers() -> Rows:
    return _family("initialiser")


def _family(family: str) -> Rows:
    """The operators of a family; those of the way back are nobody's to name."""
    from ..compiler.ops.op import OPS

    for name, op in OPS.items():
        if op.family == family:
            yield name, first_sentence(op.__doc__) + _settings(op.settings().values())


def _schedules() -> Rows:
    from ..compiler.passes.training_options import SCHEDULES
    from ..runtime import schedules

    for name, fields in SCHEDULES.items():
        yield name, first_sentence(schedules.SCHEDULES[name].__doc__) + _settings(fields)


def _settings(fields: Iterable[SettingField]) -> str:
    """Behind the meaning, in brackets."""
    shown = ", ".join(map(_setting, fields))
    return f"  [{shown}]" if shown else ""


def _setting(field: SettingField) -> str:
    """A setting as one writes it, with its default or what it may be."""
    from ..compiler.ir.values import text_of_setting

    if field.choices:
        return f"{field.name}={'|'.join((str(field.default), *(c for c in field.choices if c != field.default)))}"
    return field.name if field.default is None else f"{field.name}={text_of_setting(field.default)}"


def _surrogates() -> Rows:
    from ..compiler.ops.surrogates import CUSTOM, CUSTOM_MEANING, SURROGATES

    for entry in SURROGATES.values():
        yield str(entry), f"{entry.formula}  [{entry.source}]"
    yield f'{CUSTOM}(phi="...")', CUSTOM_MEANING


def _instructions() -> Rows:
    from ..isa import instructions
    from ..isa.instruction import Instruction

    assert instructions.__all__, "imported, so that every mnemonic is known"
    return ((name, first_sentence(kind.__doc__)) for name, kind in sorted(Instruction.by_mnemonic.items()))


def _data() -> Rows:
    from ..models.data import LOADERS, usage

    return ((usage(name), loader.summary) for name, loader in LOADERS.items())


def _kernels() -> Rows:
    from ..isa.kernels.compiled import listed

    return listed()


def _exports() -> Rows:
    from ..compiler.exports.export import EXPORTS

    return ((name, f"{export.summary} ({export.suffix})") for name, export in EXPORTS.items())


KINDS: dict[str, Callable[[], Rows]] = {
    "targets": _targets,
    "models": _models,
    "rules": _rules,
    "dataflows": _dataflows,
    "codecs": _codecs,
    "ops": _ops,
    "losses": _losses,
    "optimizers": _optimizers,
    "schedules": _schedules,
    "initialisers": _initialisers,
    "surrogates": _surrogates,
    "instructions": _instructions,
    "data": _data,
    "exports": _exports,
    "kernels": _kernels,
}


@click.command()
@click.argument("kind", type=click.Choice(list(KINDS)))
@json_option
def command(kind: str, json_to: str | None) -> None:
    """List what snnc knows of one kind, each with a line of description.

    \b
    Example:
        snnc list targets
        snnc list ops
    """
    output = Output(json_to)
    rows = list(KINDS[kind]())
    width = max((len(name) for name, _ in rows), default=0)
    if not output.aside:
        for name, meaning in rows:
            output.say(f"{name:{width}}  {meaning}".rstrip())
    output.value({"kind": kind, "parts": [{"name": name, "meaning": meaning} for name, meaning in rows]})
