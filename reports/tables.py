"""A run as people read it: settings, the prediction, a table by layer, and the figures that count.

Every figure says whether it was counted (where bytes moved), modelled (from declared dataflows or by a replay) or
predicted (by the compiler, before anything ran).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..isa.traffic import Amounts, Traffic
from .json_report import Resolved, Run, plain, predicted_traffic

if TYPE_CHECKING:
    from rich.table import Table

    from ..isa.program import Program

PHASES = ("FP", "BP", "WG", "UP")
MEANING = {"FP": "forward", "BP": "backward", "WG": "weight gradients", "UP": "update"}
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
LETTERS = ("", "k", "M", "G", "T")


def bytes_text(amount: float) -> str:
    """`12.3 KiB`: at most four digits and a unit."""
    unit = 0
    while amount >= 1000 and unit + 1 < len(UNITS):
        amount /= 1024
        unit += 1
    return f"{amount:.0f} {UNITS[unit]}" if unit == 0 else f"{amount:.3g} {UNITS[unit]}"


def count_text(amount: float) -> str:
    """`12.3 k`: at most four digits and a letter for thousands."""
    unit = 0
    while amount >= 1000 and unit + 1 < len(LETTERS):
        amount /= 1000
        unit += 1
    return f"{amount:.0f}" if unit == 0 else f"{amount:.3g} {LETTERS[unit]}"


def settings_text(settings: Iterable[Resolved]) -> str:
    """Settings below each other: name, value, origin."""
    rows = [(each.name, value_text(each.value), each.origin) for each in settings]
    names = max((len(name) for name, _, _ in rows), default=0)
    values = max((len(value) for _, value, _ in rows), default=0)
    return "\n".join(f"  {name:{names}}  {value:{values}}  ({origin})" for name, value, origin in rows)


def value_text(value: Any) -> str:
    """A setting as the language writes it."""
    match plain(value):
        case bool(truth):
            return "true" if truth else "false"
        case {"name": str(name), **given}:
            inside = ", ".join(f"{key}={value_text(inner)}" for key, inner in given.items())
            return f"{name}({inside})" if inside else name
        case [*items]:
            return f"[{', '.join(map(value_text, items))}]"
        case other:
            return str(other)


def prediction_text(program: Program) -> str:
    """What the compiler expects of a training step, beside the floors."""
    lines: list[str] = []
    predicted = predicted_traffic(program).get("train_step")
    if predicted is not None:
        dram = predicted["dram"]
        lines.append(
            f"predicted: a training step moves {bytes_text(dram['total'])} of DRAM "
            f"(read {bytes_text(dram['read'])}, write {bytes_text(dram['write'])})"
        )
    lines += [f"bound:     {text}" for text in bound_lines(program)]
    return "\n".join(lines)


def bound_lines(program: Program) -> Iterator[str]:
    """The floors of a training step, in words."""
    floors: Mapping[str, float] = program.bound.get("train_step", {}).get("dram", {})
    words = {
        "floor": "no schedule moves less than {}",
        "layer": "each operator alone, its operands in DRAM, moves at least {}",
    }
    for name, sentence in words.items():
        if name in floors:
            yield sentence.format(bytes_text(floors[name]))


def layer_table(run: Run) -> Table:
    """Spike rate, and DRAM bytes of one training step by phase, a row a layer; then all together."""
    from rich.table import Table

    counted = run.counted_step
    table = Table(title="A training step by layer: DRAM bytes in bursts, counted", title_justify="left")
    table.add_column("layer")
    table.add_column("spike rate", justify="right")
    for phase in PHASES:
        table.add_column(f"{phase} {MEANING[phase]}", justify="right")
    table.add_column("all", justify="right")
    if counted is None:
        return table
    cells, order = _cells(counted)
    for layer in order:
        rate = run.spike_rates.get(layer)
        row = [_amount(cells.get((layer, phase))) for phase in PHASES]
        shown = "" if rate is None else f"{100 * rate:.1f} %"
        table.add_row(layer or "(host, none)", shown, *row, bytes_text(sum(_dram(cells, layer))))
    phases = counted.by_phase()
    totals = [_amount(phases[phase].dram if phase in phases else None) for phase in PHASES]
    table.add_section()
    table.add_row("all", "", *totals, bytes_text(counted.total.dram))
    return table


def _cells(traffic: Traffic) -> tuple[dict[tuple[str, str], float], list[str]]:
    """DRAM bytes by layer and phase, and the layers in the order in which the traffic names them."""
    cells: dict[tuple[str, str], float] = {}
    order: dict[str, None] = {}
    for key, amounts in traffic.rows.items():
        if amounts.dram:
            cells[key.layer, key.phase] = cells.get((key.layer, key.phase), 0) + amounts.dram
            order[key.layer] = None
    return cells, list(order)


def _dram(cells: Mapping[tuple[str, str], float], layer: str) -> Iterator[float]:
    return (amount for (name, _), amount in cells.items() if name == layer)


def _amount(amount: float | None) -> str:
    return "" if not amount else bytes_text(amount)


def headline(run: Run) -> list[tuple[str, str]]:
    """The figures that count, each with its name."""
    rows: list[tuple[str, str]] = []
    if run.loss:
        first, last = run.loss[0], run.loss[-1]
        rows.append(("loss", f"{first:.4g} -> {last:.4g} in {run.steps} steps, {run.seconds:.1f} s"))
    else:
        rows.append(("training", f"{run.steps} steps, {run.seconds:.1f} s"))
    if "overflow" in run.program.entry("train_step").results:
        rows.append(("loss scale", f"{run.loss_scale:g} at the end; {run.skipped_steps} of {run.steps} steps skipped"))
    accuracy = [
        f"{name} {100 * value:.2f} %"
        for name, value in (("train", run.train_accuracy), ("test", run.test_accuracy))
        if value is not None
    ]
    if accuracy:
        rows.append(("accuracy", ", ".join(accuracy)))
    if run.labels:
        rows.append(("labels", labels_text(run.labels, run.labelled)))
    if run.counted_step is not None:
        rows += _traffic_rows(run, run.counted_step.total)
    if run.cycles is not None:
        busy = ", ".join(f"{unit} {100 * share:.0f} %" for unit, share in run.utilisation.items())
        rows.append(("cycles, modelled", f"{run.cycles} a training step; busy: {busy}"))
    if run.interrupted:
        rows.append(("interrupted", "the run was ended before it was done"))
    return rows


def labels_text(labels: Sequence[int], samples: int) -> str:
    """How many outputs stand for classes, and from what that is known."""
    silent = sum(label < 0 for label in labels)
    classes = len(set(labels) - {-1})
    many = "class" if classes == 1 else "classes"
    told = f"{len(labels)} outputs stand for {classes} {many}, assigned on {samples} training samples"
    return f"{told}; {silent} of the outputs never fired" if silent else told


def _traffic_rows(run: Run, step: Amounts) -> Iterator[tuple[str, str]]:
    """DRAM, work and what was expected, of one training step."""
    yield (
        "DRAM, counted",
        f"{bytes_text(step.dram)} a training step: read {bytes_text(step.dram_read)}, "
        f"write {bytes_text(step.dram_write)} in bursts; useful: read {bytes_text(step.useful_read)}, "
        f"write {bytes_text(step.useful_write)}",
    )
    predicted = predicted_traffic(run.program).get("train_step")
    if predicted is not None:
        expected = predicted["dram"]["total"]
        yield "DRAM, predicted", f"{bytes_text(expected)} a training step ({step.dram / expected:.4f} of it counted)"
    yield from (("DRAM, bound", text) for text in bound_lines(run.program))
    yield (
        "other, counted",
        f"{bytes_text(step.fetch)} of instructions fetched (not in DRAM above), "
        f"{bytes_text(step.scratchpad_read + step.scratchpad_write)} through scratchpad ports at loads and stores, "
        f"{bytes_text(step.network)} over links",
    )
    yield (
        "work, counted",
        f"{step.gated:.3g} gated additions, {step.multiply:.3g} multiply-adds, {step.element:.3g} element operations, "
        f"{step.skipped:.3g} skipped",
    )


def headline_text(run: Run) -> str:
    """The figures that count, a line each."""
    rows = headline(run)
    width = max((len(name) for name, _ in rows), default=0)
    return "\n".join(f"{name:{width}}  {text}" for name, text in rows)
