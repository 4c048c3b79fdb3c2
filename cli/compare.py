"""Train a model under several learning rules, map it in several ways, or lay it beside a GPU."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ._drawing import draw
from ._execution import Execution
from ._gpu import compare_gpu
from ._mappings import compare_mappings
from ._options import COUNT, comparing, compiled, json_option, model_argument, read_choice, read_rules, tell
from ._output import Output, check_writable
from .train import host_settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..compiler.ir.graph import Setting
    from ..compiler.pipeline import Compilation
    from ..models.data import Dataset
    from ..reports.comparison import Comparison, Trial
    from ..reports.json_report import Resolved
    from ..source import Fault

PICTURES = (".png", ".svg")
CACHE_MIB = 40
"""L2 of an A100."""


@click.command()
@model_argument
@comparing
@click.option("--mappings", is_flag=True, help="Lay mappings side by side instead of rules: predicted, or counted.")
@click.option("--gpu", is_flag=True, help="Lay bytes of a training step beside a model of the same step on a GPU.")
@click.option(
    "--gpu-cache",
    type=COUNT,
    metavar="MIB",
    help="L2 of that GPU; 40, as an A100 has, unless given.",
)
@click.option("--plot", metavar="FILE", help="Draw the comparison, too: .png or .svg (needs matplotlib).")
@json_option
def command(
    model: str,
    rules: str | None,
    mappings: bool,
    gpu: bool,
    gpu_cache: int | None,
    plot: str | None,
    json_to: str | None,
    **chosen: Any,
) -> None:
    """Train MODEL, a .snn file or the name of one that comes with snnc, under several learning rules, and compare them.

    Each begins with the same parameters and sees the same samples in the same order. A rule that cannot train the
    network is told with its reason, and the others go on; exit status 1 where none of them can.

    With --mappings one training step is mapped in several ways instead: one sample at a time, in the best tiles, fused,
    on one core, and as chosen, beside the bounds of its traffic. Figures are predicted; --data has a step of each run
    and counted.

    With --gpu the bytes of one training step stand beside those that a model has of the same step on a GPU: neurons in
    Python and f32, as one kernel, in mixed precision, and ideal ones. None of these is measured.

    \b
    Example:
        snnc compare digits --rules bptt,sltt,ottt_a --data digits --loss 'cross_entropy_mse(lam=0.0)'
        snnc compare csnn --mappings --target li2024_exact --batch 4
        snnc compare csnn --gpu --target li2024_exact --batch 16
    """
    from ..reports.tables import settings_text
    from ..source import NOWHERE, DataError, SourceError
    from ._program import load_data_for

    kinds = {"--rules": rules is not None, "--mappings": mappings, "--gpu": gpu}
    asked = [name for name, wanted in kinds.items() if wanted]
    if len(asked) != 1:
        told = f"{' and '.join(asked)} are {len(asked)} comparisons; ask for one at a time"
        raise click.UsageError(told if asked else "Missing option '--rules' (or '--mappings', or '--gpu').")
    if gpu_cache is not None and not gpu:
        raise click.UsageError("--gpu-cache says how large the cache of --gpu is")
    if rules is not None and chosen["data"] is None:
        raise click.UsageError("Missing option '--data'.")
    wanted = () if rules is None else read_rules(rules)
    output = Output(json_to)
    check_writable([json_to, plot])
    _check_picture(plot)
    names = set(Execution.__dataclass_fields__)
    execution = Execution("compare", output, **{name: value for name, value in chosen.items() if name in names})
    of_both = ("lr", "schedule")
    options = {name: value for name, value in chosen.items() if name not in names or name in of_both}
    if rules is None:
        execution.epochs, execution.max_steps = None, 1
        if gpu:
            return compare_gpu(compiled(model, options), execution, output, plot, gpu_cache or CACHE_MIB)
        return compare_mappings(compiled(model, options), execution, output, plot)
    attempts = _attempts(compiled(model, options), wanted)
    judged = [each for each in attempts.values() if each.training_options.the_loss.judges]
    one = next(iter(judged or attempts.values()))
    tell(one.imported.notes)
    if execution.weights is not None:  # what no rule could begin with is told before the work
        _check_weights(execution.weights, attempts.values())
    dataset = load_data_for(execution.data, one.network, judged=bool(judged))
    given = [(name, chosen[name]) for name in ("epochs", "max_steps", "seed") if chosen[name] is not None]
    settings = tuple(row for row in _settings(one, given) if row.name != "rule")
    output.say(settings_text(settings))
    for rule, compilation in attempts.items():
        others = [f"--{name.replace('_', '-')}" for name in one.options.train if name not in compilation.options.train]
        if others:
            output.say(f"{rule} learns without a loss: {', '.join(others)} go to the other rules")
    execution.say(dataset)
    trials: list[Trial] = []
    for rule, compilation in attempts.items():
        execution.resolved = _settings(compilation, given)
        trials.append(_trial(rule, compilation, execution, dataset))
        if trials[-1].outcome == "interrupted":
            break
    _show(output, _comparison(one, execution.data, settings, trials), plot)
    last = trials[-1]
    if last.run is not None and last.outcome == "interrupted":
        raise DataError.at(NOWHERE, f"interrupted after {last.run.steps} training steps of {last.rule}")
    if all(trial.run is None for trial in trials):
        raise SourceError.at(NOWHERE, f"{one.network.name} was trained under none of {', '.join(attempts)}")


def _check_weights(path: str, attempts: Iterable[Compilation]) -> None:
    """DataError for parameters that are not those of the network, which are the same under every rule."""
    from ..source import SourceError, TargetError
    from ._program import check_weights_for

    for compilation in attempts:
        try:
            training = compilation.training
        except (SourceError, TargetError):
            continue  # told as what came of this rule
        return check_weights_for(path, training)


def _check_picture(plot: str | None) -> None:
    """Wrong usage for a file that is no picture, DataError where none can be drawn: before the long work."""
    if plot is None:
        return
    if Path(plot).suffix not in PICTURES:
        raise click.BadParameter(f"{plot} does not end in {' or '.join(PICTURES)}", param_hint="--plot")
    from ..reports.drawing import drawing

    drawing()


def _attempts(shared: Compilation, rules: Iterable[Setting]) -> dict[str, Compilation]:
    """What is to be compiled for each rule, by the rule with its settings but for defaults.

    What follows from a rule is not asked of it otherwise, since the options are those of all rules.  SourceError for
    what is no rule, and for all that is wrong under any of them; wrong usage where one comes twice.
    """
    from ..catalog import UnknownName
    from ..compiler.ops.op import SettingFault, called
    from ..compiler.passes.training_options import show_rule
    from ..compiler.pipeline import Compilation
    from ..compiler.training.rule import RULES
    from ..source import NOWHERE, Faults, SourceError

    with Faults(SourceError) as faults:
        for rule in rules:
            name, settings = called(rule)
            try:
                RULES[name].make(settings)
            except (UnknownName, SettingFault) as error:
                faults.add(NOWHERE, f"--rules: {error}")
    found: dict[str, Compilation] = {}
    for rule in rules:
        given = {**shared.options.train, "rule": rule}
        implied = RULES[called(rule)[0]].implies
        options = replace(shared.options, train={name: value for name, value in given.items() if name not in implied})
        compilation = Compilation(shared.source, options)
        shown = show_rule(compilation.training_options.rule)
        if shown in found:
            raise click.BadParameter(f"{shown} is given twice", param_hint="--rules")
        found[shown] = compilation
    _ = next(iter(found.values())).target
    return found


def _settings(compilation: Compilation, given: list[tuple[str, Any]]) -> tuple[Resolved, ...]:
    """All settings, with where each comes from."""
    from ._program import resolved

    return host_settings(resolved(compilation), given)


def _trial(rule: str, compilation: Compilation, execution: Execution, dataset: Dataset) -> Trial:
    """The model compiled and trained under one rule, or what stands in the way."""
    from ..compiler.cost.carried import carried_of
    from ..compiler.cost.tape import tape_of
    from ..reports.comparison import Memory, Trial
    from ..source import DataError, SourceError, TargetError

    execution.output.say(f"rule {rule}")
    try:
        training = compilation.training
    except SourceError as error:
        return Trial(rule, faults=_with_common_loss(compilation, error.faults))
    tell(compilation.doubts)
    try:
        program = compilation.program
    except (SourceError, TargetError) as error:
        return Trial(rule, faults=error.faults)
    tape, carried = tape_of(training), carried_of(training)
    memory = Memory(sum(kept.bytes for kept in tape), sum(state.bytes for state in carried), program.dram_bytes)
    try:
        _, _, run = execution.perform(program, dataset)
    except DataError as error:
        return Trial(rule, memory, faults=error.faults)
    return Trial(rule, memory, run)


def _with_common_loss(compilation: Compilation, faults: tuple[Fault, ...]) -> tuple[Fault, ...]:
    """*faults*; those that go away with the loss of each step have as their hint the option that gives it to all rules.

    Rules are compared under one loss, so none of them gets another by itself; one that has no loss is helped by none.
    """
    from ..compiler.ops.losses import OF_EACH_STEP
    from ..compiler.pipeline import Compilation
    from ..source import SourceError

    def asked_of(fault: Fault) -> str:
        """What is asked for, without the loss that does not give it."""
        return fault.message.rpartition(", and ")[0] or fault.message

    helped: set[Fault] = set()
    if compilation.training_options.the_loss.judges:
        train = {**compilation.options.train, "loss": read_choice(OF_EACH_STEP, "--loss")}
        left: set[str] = set()
        try:
            _ = Compilation(compilation.source, replace(compilation.options, train=train)).training
        except SourceError as error:
            left = {asked_of(fault) for fault in error.faults}
        helped = {fault for fault in faults if asked_of(fault) not in left}
    hints = (f"--loss '{OF_EACH_STEP}', for all rules alike",)
    told = (replace(fault, hints=hints) if fault in helped else fault for fault in faults)
    # The rule is named by the table; `--rule` is the option of other commands.
    return tuple(replace(fault, message=re.sub("--rule:? ", "", fault.message)) for fault in told)


def _comparison(one: Compilation, data: str, settings: tuple[Resolved, ...], trials: Iterable[Trial]) -> Comparison:
    """All trials, and what they have in common with *one* of them."""
    from ..reports.comparison import Comparison

    sizes = one.training_options.batch, one.training_options.steps
    return Comparison(one.network.name, one.target.name, one.cores, *sizes, data, settings, tuple(trials))


def _show(output: Output, comparison: Comparison, plot: str | None) -> None:
    """As a table, as JSON and as a picture."""
    from ..reports.comparison import comparison_report, comparison_table, reasons_text

    output.show(comparison_table(comparison))
    if reasons := reasons_text(comparison):
        output.say(reasons)
    output.value(comparison_report(comparison))
    if plot is not None:
        from ..reports.comparison_plot import figure

        draw(output, plot, lambda: figure(comparison))
