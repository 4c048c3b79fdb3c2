"""`snnc compare --mappings`: one training step of a model under several mappings, side by side."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ._drawing import draw
from ._execution import Execution
from ._output import Output

if TYPE_CHECKING:
    from ..compiler.pipeline import Compilation
    from ..models.data import Dataset
    from ..reports.mapping_comparison import Mapped, Predicted

ONE_BY_ONE = "*.*=tile.n=1"
"""The pin of what takes one sample at a time."""


def compare_mappings(shared: Compilation, execution: Execution, output: Output, plot: str | None) -> None:
    """The table, the JSON and the picture of all mappings; with data, a step of each is run."""
    from ..reports.mapping_comparison import MappingComparison, mapping_report, mapping_table, meanings_text
    from ..source import NOWHERE, TargetError
    from ._program import load_data_for

    dataset = load_data_for(execution.data, shared.network, judged=True) if execution.data else None
    rows = tuple(_mapped(name, meaning, each, execution, dataset) for name, meaning, each in variants(shared))
    sizes = shared.training_options.batch, shared.training_options.steps
    comparison = MappingComparison(shared.network.name, shared.target.name, *sizes, rows)
    output.show(mapping_table(comparison))
    output.say(meanings_text(comparison))
    output.value(mapping_report(comparison))
    if plot is not None:
        from ..reports.mapping_plot import mapping_figure

        draw(output, plot, lambda: mapping_figure(comparison))
    if all(each.predicted is None for each in rows):
        raise TargetError.at(NOWHERE, f"{shared.network.name} can be mapped in none of these ways")


def variants(shared: Compilation) -> list[tuple[str, str, Compilation]]:
    """What is compared: a name, what is different, and how it is compiled; the last as the command line says."""
    from ..compiler.pipeline import Compilation

    options = shared.options
    dense = replace(options, density=1.0, codecs=())
    alone = replace(dense, fusion="off", partition="in_turn")
    untiled = replace(alone, pins=(*options.pins, ONE_BY_ONE))
    found = [
        ("untiled", f"operator by operator, one sample at a time ({ONE_BY_ONE})", untiled),
        ("tiled", "operator by operator, each in the best of all tiles (--fusion off --partition in_turn)", alone),
        ("fused", "with epilogues, stages one after the other (--partition in_turn)", replace(alone, fusion="auto")),
    ]
    sparse = dense != options
    if shared.cores > 1:
        found.append(("1 core", "with epilogues, on one core (--cores 1)", replace(dense, cores=1, fusion="auto")))
        fixed, patches = (replace(dense, partition=name) for name in ("published", "patches"))
        found += [
            ("published", "consecutive layers fill cores, by 16 output channels (--partition published)", fixed),
            ("patches", "side by side, several loops of a stage cut at once (--partition patches)", patches),
        ]
    if shared.target.contexts > 1:
        lanes = replace(dense, partition="lanes")
        found.append(("lanes", "stages in whichever context is free, samples in waves (--partition lanes)", lanes))
    found.append(
        (
            "dense" if sparse else "chosen",
            "as the other options say" if not sparse else "as the other options say, each value dense",
            dense,
        )
    )
    if sparse:
        found.append(("sparse", "as the other options say, with the densities and codecs given", options))
    return [(name, meaning, Compilation(shared.source, each)) for name, meaning, each in found]


def _mapped(name: str, meaning: str, each: Compilation, execution: Execution, dataset: Dataset | None) -> Mapped:
    """One mapping, or why it cannot be."""
    from ..reports.mapping_comparison import Mapped
    from ..source import TargetError

    try:
        predicted = predicted_of(each)
    except TargetError as error:
        return Mapped(name, meaning, each.cores, faults=error.faults)
    if dataset is None:
        return Mapped(name, meaning, each.cores, predicted)
    execution.output.say(f"mapping {name}")
    _, _, run = execution.perform(each.program, dataset)
    return Mapped(name, meaning, each.cores, predicted, run)


def predicted_of(compilation: Compilation) -> Predicted:
    """What the compiler says of a training step."""
    from ..compiler.cost.span import span
    from ..reports.json_report import predicted_traffic
    from ..reports.mapping_comparison import Predicted

    program = compilation.program
    phases = predicted_traffic(program)["train_step"]["by_phase"]
    bound = program.bound["train_step"]["dram"]
    cycles = span(compilation.schedule.entries["train_step"], compilation.target)
    by_phase = {phase: traffic["dram"]["total"] for phase, traffic in phases.items() if traffic["dram"]["total"]}
    return Predicted(by_phase, bound["floor"], bound["layer"], cycles)
