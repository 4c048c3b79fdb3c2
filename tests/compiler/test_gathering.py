"""Statistics of a batch norm whose samples are shared by cores: sums meet in the first core, at accumulator width."""

from __future__ import annotations

from pathlib import Path

from snnc.compiler.ir.schedule import Stage
from snnc.compiler.ir.statement import Moments
from snnc.compiler.pipeline import Compilation, Options
from snnc.isa.instructions.route import Receive, Send

SOURCE = """
network normed(image: f16[1, 4, 4]) steps 2 {
    c = conv2d(image, out=16, kernel=3, pad=1)
    s = lif(batch_norm(c))
    return linear(flatten(s), out=2)
}
train { batch = 6 }
"""


def moments(compilation: Compilation) -> list[Stage]:
    stages = compilation.schedule.entries["train_step"]
    return [stage for stage in stages if isinstance(stage.statement, Moments)]


def test_samples_are_shared_and_sums_are_sent(tmp_path: Path) -> None:

    path = tmp_path / "normed.snn"
    path.write_text(SOURCE)
    compilation = Compilation(path, Options("quad", 3))
    forward, backward = moments(compilation)
    assert [stage.mapping.split for stage in (forward, backward)] == ["n", "n"]
    assert forward.gathers and backward.gathers
    by_name = {name: buffer for name, buffer in forward.by_name.items() if name.startswith(("acc", "whole"))}
    assert {name: buffer.format for name, buffer in by_name.items()} == {
        "acc.left": "x64",
        "acc.cross": "x128",
        "whole.left": "x64",
        "whole.cross": "x128",
    }
    entry = compilation.program.entry("train_step")
    sent = dict.fromkeys(range(3), 0)
    taken: list[int] = []
    for stream in entry.streams:
        for instruction, debug in zip(stream.instructions, stream.debug, strict=True):
            if debug.node not in (forward.node, backward.node):
                continue  # what one core loads for all is sent and taken, too
            if isinstance(instruction, Send):
                assert instruction.core == 0
                sent[stream.core] += 1
            elif isinstance(instruction, Receive):
                assert stream.core == 0
                taken.append(instruction.add)
    sums = 2 + 3  # of the variance forward, of the covariance backward
    assert sent == {0: sums, 1: sums, 2: sums}
    assert sorted(taken) == [0] * sums + [1] * (2 * sums)


def test_rounded_sums_stay_with_one_core(tmp_path: Path) -> None:
    """On a machine that works in bf16 moments have an order, which cores that share the samples would not keep."""
    path = tmp_path / "normed.snn"
    path.write_text(SOURCE)
    for stage in moments(Compilation(path, Options("quad_bf16", 3))):
        assert not stage.gathers and stage.mapping.split != "n"
        assert {b.format for name, b in stage.by_name.items() if name.startswith(("acc", "whole"))} == {"f64"}
