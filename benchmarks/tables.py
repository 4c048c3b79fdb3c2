"""Tables in Markdown, as the page of benchmarks has them, of what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from .contest import BASE, Case, Timed, ratio


def table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Columns as wide as they must be; the first *left* are aligned to the left."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        pairs = zip(cells, widths, strict=True)
        padded = (cell.ljust(width) if place < left else cell.rjust(width) for place, (cell, width) in enumerate(pairs))
        return f"| {' | '.join(padded)} |"

    rule = [("-" * width) if place < left else "-" * (width - 1) + ":" for place, width in enumerate(widths)]
    return "\n".join((line(head), line(rule), *map(line, rows)))


def of_contest(found: Sequence[Timed]) -> Iterator[str]:
    """A table for each kind of work: a row is a contestant at one case, with its ratio to SpikingJelly's f32.

    *fired* is the mean spike rate of all layers, *open* the share of surrogate windows that let errors pass.
    """
    for entry, threads in dict.fromkeys((each.case.entry, each.threads) for each in found):
        what = "A training step" if entry == "training" else "Inference of a batch"
        clock = "processor ms" if threads == 1 else "wall ms"
        yield f"\n{what}, {threads} thread{'s' * (threads > 1)}:\n"
        head = ("network", "spikes", "surrogate", "", "numbers", clock, "(least..most)", f"/ {BASE} f32", "of a round")
        members = [each for each in found if (each.case.entry, each.threads) == (entry, threads)]
        yield table((*head, "fired", "open"), [row(each, base_of(each, members)) for each in members], left=5)


def base_of(timed: Timed, among: Sequence[Timed]) -> Timed | None:
    """SpikingJelly in f32 at the same case, on as many threads."""
    same = (each for each in among if (each.case, each.threads) == (timed.case, timed.threads))
    return next((each for each in same if (each.peer, each.precision) == (BASE, "f32")), None)


def row(timed: Timed, base: Timed | None) -> tuple[str, ...]:
    """A contestant at a case."""
    case, seconds = timed.case, [1e3 * each for each in timed.seconds]
    compared = ("", "")
    if base is not None:
        middle, least, most = ratio(timed, base)
        compared = f"{middle:.2f}", f"{least:.2f}..{most:.2f}"
    numbers = timed.precision if not timed.peer.startswith("snnc") else "f16"
    spread = f"{min(seconds):.1f}..{max(seconds):.1f}"
    windows = case.open if case.entry == "training" else None
    shares = ("" if share is None else f"{share:.1%}" for share in (timed.fired, windows))
    return (
        case.model, rate_of(case), case.surrogate if case.entry == "training" else "", timed.peer, numbers,
        f"{median(seconds):.1f}", spread, *compared, *shares,
    )  # fmt: skip


def rate_of(case: Case) -> str:
    """At which spike rate, in words."""
    return case.rate if case.rate == "trained" else f"{float(case.rate):.0%}"
