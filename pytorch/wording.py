"""What the frontend calls options of the command line, and a file, are keywords here, and a module."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

from ..compiler.frontends.onnx import WANTED
from ..source import SourceError

_WORDS = (
    (r"\(ONNX says none; --surrogate\)", "(the module says none; surrogate=)"),
    (r"\(ONNX does not say; --detach-reset\)", "(the module does not say; detach_reset=)"),
    (r"--spiking 'relu=lif\(decay=0\.5\)'", 'spiking={"relu": "lif(decay=0.5)"}'),
    (r"snnc check compares with the file", "prove() compares with the module"),
    (r"^--surrogate: ", "surrogate: "),
    (r"^--spiking (\w+): ", r"spiking['\1']: "),
    (r": the file has no such activation", ": the module has no such activation"),
    (r"--surrogate", "surrogate="),
    (r"--detach-reset", "detach_reset="),
)
"""What is said there, as a pattern, and what is said here."""

WAYS = (
    "time_axis, which says whether and where example_input has time steps",
    "call, which says whether a call of the module does a single 'step' or 'all' of them",
)
"""What may have been said wrongly of time, where a module does not do what was expected."""


def in_python(message: str) -> str:
    """*message* of the frontend as it speaks to who calls `from_torch`."""
    for said_there, said_here in _WORDS:
        message = re.sub(said_there, said_here, message)
    return message


def named(thing: object) -> str:
    """What *thing* is, with an article: ``a dict``, ``the class Linear``, ``None``."""
    if thing is None:
        return "None"
    if isinstance(thing, type):
        return f"the class {thing.__name__}"
    name = type(thing).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


@contextmanager
def told_in_python() -> Generator[None]:
    """Within, faults of the frontend speak as notes do, and those of time say who told of it."""
    try:
        yield
    except SourceError as error:
        faults = (replace(fault, message=in_python(fault.message)) for fault in error.faults)
        told = (replace(f, hints=(*f.hints, *WAYS)) if WANTED in f.hints else f for f in faults)
        raise SourceError(*told) from error.__cause__
