"""List targets, models, rules, ops, surrogates, data ..."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from ._options import json_option
from ._output import Output

if TYPE_CHECKING:
    from ..compiler.ops.op import SettingField

Rows = Iterator[tuple[str, str]]
"""Names, each with what it is in a line."""


def first_line(docstring: str | None) -> str:
    """The first line of a docstring, without its markup."""
    return (docstring or "").strip().partition("\n")[0].replace("``", "").replace("`", "")


def _targets() -> Rows:
    from ..isa.target import TARGETS, load_target

    return ((name, load_target(name).description) for name in TARGETS)


def _models() -> Rows:
    from ..models import MODELS

    for name, path in MODELS.items():
        yield name, path.read_text("utf-8").partition("\n")[0].lstrip("# ")


def _rules() -> Rows:
    from ..compiler.training.rule import RULES

    return ((name, rule.title) for name, rule in RULES.items())


def _dataflows() -> Rows:
    from ..compiler.dataflows.dataflow import DATAFLOWS

    return ((name, dataflow.summary) for name, dataflow in DATAFLOWS.items())


def _ops() -> Rows:
    from ..compiler.ops.op import OPS

    for name, op in OPS.items():
        settings = [_setting(field) for field in op.settings().values()]
        yield name, first_line(op.__doc__) + (f"  [{', '.join(settings)}]" if settings else "")


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
    return ((name, first_line(kind.__doc__)) for name, kind in sorted(Instruction.by_mnemonic.items()))


def _data() -> Rows:
    from ..models.data import LOADERS, usage

    return ((usage(name), loader.summary) for name, loader in LOADERS.items())


KINDS: dict[str, Callable[[], Rows]] = {
    "targets": _targets,
    "models": _models,
    "rules": _rules,
    "dataflows": _dataflows,
    "ops": _ops,
    "surrogates": _surrogates,
    "instructions": _instructions,
    "data": _data,
}


@click.command()
@click.argument("kind", type=click.Choice(list(KINDS)))
@json_option
def command(kind: str, json_to: str | None) -> None:
    """List what snnc knows of one kind, each with a line of description.

    \b
    Example:
        snnc list targets
    """
    output = Output(json_to)
    rows = list(KINDS[kind]())
    width = max((len(name) for name, _ in rows), default=0)
    if not output.aside:
        for name, meaning in rows:
            output.say(f"{name:{width}}  {meaning}".rstrip())
    output.value({"kind": kind, "parts": [{"name": name, "meaning": meaning} for name, meaning in rows]})
