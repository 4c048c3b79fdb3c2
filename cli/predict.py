"""Write what a trained program predicts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ._options import answering, json_option, program_argument
from ._output import Output, check_writable, write_text

SUFFIXES = (".npz", ".csv")


@click.command()
@program_argument
@click.option("--data", required=True, metavar="DATA", help="What to answer for (`snnc list data`).")
@answering
@click.option(
    "-o", "--output", "to", required=True, metavar="FILE", help="Where to: .npz (prediction, label, logits) or .csv."
)
@json_option
def command(program: str, data: str, part: str, to: str, json_to: str | None, **parameters: Any) -> None:
    """Write the class that PROGRAM (.snnb) predicts for every sample, with its label and logits.

    \b
    Example:
        snnc predict digits.snnb --checkpoint digits.ckpt --data digits -o answers.csv
    """
    import numpy as np

    from ..source import DataError, Place
    from ._trained import evaluated, trained

    suffix = Path(to).suffix
    if suffix not in SUFFIXES:
        raise click.BadParameter(f"{to} does not end in {' or '.join(SUFFIXES)}", param_hint="-o")
    check_writable([to, json_to])
    output = Output(json_to)
    interpreter, assigned = trained(program, **parameters)
    split, evaluation, assigned = evaluated(interpreter, assigned, data, part, output, logits=True)
    logits = evaluation.logits
    if logits is None:
        raise DataError.at(Place(program), "answers no logits")
    prediction = logits.argmax(axis=1).astype(np.uint16) if assigned is None else assigned.predicted(logits)
    label = split.labels
    if suffix == ".npz":
        _write_npz(to, {"prediction": prediction, "label": label, "logits": logits})
    else:
        columns = ",".join(f"logit{number}" for number in range(logits.shape[1]))
        rows = zip(prediction.tolist(), label.tolist(), logits.tolist(), strict=True)
        lines = [
            f"{number},{ours},{theirs},{','.join(map(repr, row))}" for number, (ours, theirs, row) in enumerate(rows)
        ]
        write_text(to, "\n".join([f"sample,prediction,label,{columns}", *lines]) + "\n")
    output.say(f"{to}: {len(prediction)} predictions ({part})")
    output.value({"output": to, "samples": len(prediction), "split": part, "accuracy": evaluation.accuracy})


def _write_npz(path: str, arrays: dict[str, object]) -> None:
    """The arrays in an archive whose bytes depend on them alone."""
    import io
    import zipfile

    import numpy as np

    from ..isa.files import write_whole

    archived = io.BytesIO()
    with zipfile.ZipFile(archived, "w") as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue())
    write_whole(Path(path), archived.getvalue())
