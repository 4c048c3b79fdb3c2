"""Test a trained program on data."""

from __future__ import annotations

import click

from ._options import json_option, program_argument, threads_option, weights_option
from ._output import Output, check_writable


@click.command()
@program_argument
@click.option("--data", required=True, metavar="DATA", help="What to test on (`snnc list data`).")
@click.option(
    "--split", "part", type=click.Choice(["test", "train"]), default="test", show_default=True, help="Which samples."
)
@click.option("--checkpoint", metavar="FILE", help="Take the parameters from a checkpoint of this program.")
@weights_option
@threads_option
@json_option
def command(
    program: str,
    data: str,
    part: str,
    checkpoint: str | None,
    weights: str | None,
    threads: int | None,
    json_to: str | None,
) -> None:
    """Test PROGRAM (.snnb) with trained parameters: accuracy, loss, and what an inference moves.

    \b
    Example:
        snnc eval digits.snnb --checkpoint digits.ckpt --data digits
    """
    from ..reports.json_report import program_facts, versions
    from ..reports.tables import bytes_text
    from ._trained import evaluated, trained

    check_writable([json_to])
    output = Output(json_to)
    interpreter, assigned = trained(program, checkpoint, weights, threads)
    _, evaluation, _ = evaluated(interpreter, assigned, data, part, output, logits=False)
    counted = interpreter.counters.take()
    accuracy = "unknown" if evaluation.accuracy is None else f"{100 * evaluation.accuracy:.2f} %"
    loss = "" if evaluation.loss is None else f", loss {evaluation.loss:.4f}"
    output.say(f"accuracy  {accuracy} of {evaluation.samples} samples ({part}){loss}")
    dram = counted.total.dram
    output.say(f"DRAM, counted  {bytes_text(dram)}, {bytes_text(dram / evaluation.samples)} a sample")
    output.value(
        {
            "samples": evaluation.samples,
            "split": part,
            "accuracy": evaluation.accuracy,
            "loss": evaluation.loss,
            "counted": counted.to_json(),
            "program": program_facts(interpreter.program),
            "versions": versions(),
        }
    )
