"""What `snnc run --count-only` does: every entry of a program once, without data."""

from __future__ import annotations

from typing import Any

import click

from ._output import Output, check_writable

KEPT = ("density", "seed", "trace")
"""Options of `snnc run` that mean something without data."""


def count_only(path: str, output: Output, chosen: dict[str, Any]) -> None:
    """Count the program in *path*, and tell; wrong usage where an option wants data."""
    from ..reports.count_report import CountedEntry, CountReport, count_json, count_table, count_text_of
    from ..runtime.counting import counts_of
    from ..runtime.host import TRAIN
    from ..runtime.interpreter import Interpreter
    from ..runtime.settings import Settings
    from ..runtime.trace import write_trace
    from ._contents import contents_of
    from ._program import load_program, say_program

    others = [name for name, value in chosen.items() if value not in (None, (), False) and name not in KEPT]
    if others:
        names = ", ".join(f"--{'dump' if name == 'dumps' else name.replace('_', '-')}" for name in sorted(others))
        raise click.UsageError(f"--count-only runs each entry once, without data, and takes no {names}")
    trace, density = chosen["trace"], chosen["density"]
    check_writable([output.json_to, trace])
    program = load_program(path)
    say_program(output, program, path)
    machine = Interpreter(program, contents=contents_of(program, density))
    entries: list[CountedEntry] = []
    for count in counts_of(machine, Settings.of(program.settings, seed=chosen["seed"])):
        cycles = count.timing.cycles
        entries.append(CountedEntry(count.entry, count.instructions, count.counted, count.predicted, cycles))
        if trace is not None and count.entry == TRAIN:
            write_trace(count.record, count.timing, trace)
    report = CountReport(program, density, entries)
    output.show(count_table(report))
    output.say(count_text_of(report))
    output.value(count_json(report))
