"""Test a trained program on data."""

from __future__ import annotations

from typing import Any

import click

from ._options import answering, json_option, program_argument
from ._output import Output, check_writable


@click.command()
@program_argument
@click.option("--data", required=True, metavar="DATA", help="What to test on (`snnc list data`).")
@answering
@json_option
def command(program: str, data: str, part: str, json_to: str | None, **parameters: Any) -> None:
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
    interpreter, assigned = trained(program, **parameters)
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
