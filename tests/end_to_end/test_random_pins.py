"""Laws 1 and 4 over random networks, machines and pins: whatever may be pinned gives the same bits, as predicted.

What may not be pinned is refused, with the numbers of the demand and of what there is, or with what there is to choose.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from laws import Bench, changed_target, compiled, folder

from snnc.compiler.dataflows.dataflow import DATAFLOWS
from snnc.compiler.pipeline import Compilation, Options
from snnc.source import SourceError, TargetError

TRAINING = "loss = cross_entropy; optimizer = sgd(lr=0.1, momentum=0.9); batch = {batch}"
REFUSED = re.compile(
    r"the smallest tile of .+ needs [\d.]+ (B|KiB); a core of `\w+` has [\d.]+ (B|KiB) for it in `\w+` "
    r"\(short by [\d.]+ (B|KiB)\)"
    r"|no tiling of .+ keeps whole bytes and whole sums together"
    r"|--pin .+"
)


@dataclass(frozen=True)
class Mapped:
    """A network on a machine with pins."""

    text: str
    base: str
    bytes: int
    accumulators: str
    cores: int
    pins: tuple[str, ...]
    fusion: str
    partition: str

    def compilation(self) -> Compilation:
        """Not yet made."""
        path = folder() / f"random-{hashlib.sha256(self.text.encode()).hexdigest()[:12]}.snn"
        path.write_text(self.text)
        name = f"{self.base}_{self.accumulators}_{self.bytes}"
        target = changed_target(self.base, name, self.accumulators, scratch=self.bytes)
        chosen: dict[str, Any] = {"pins": self.pins, "fusion": self.fusion, "partition": self.partition}
        return Compilation(path, Options(target, self.cores, **chosen))


@st.composite
def networks(draw: st.DrawFn) -> tuple[str, dict[str, dict[str, int]]]:
    """The text of a network of one or two hidden layers, and the loops of the layers that sum products."""
    size = side = draw(st.integers(3, 6))
    steps, batch, channels = draw(st.integers(1, 3)), draw(st.integers(1, 5)), draw(st.integers(1, 3))
    lines: list[str] = []
    layers: dict[str, dict[str, int]] = {}
    last, inputs = "image", channels
    for number in range(draw(st.integers(1, 2))):
        name, out = f"c{number}", draw(st.sampled_from([3, 8, 16, 20]))
        kernel, stride, pad = draw(st.sampled_from([1, 3])), draw(st.integers(1, 2)), draw(st.integers(0, 1))
        if kernel == 1 or size + 2 * pad < kernel:
            kernel, pad = 1, 0
        lines.append(f"{name} = conv2d({last}, out={out}, kernel={kernel}, stride={stride}, pad={pad})")
        size = (size + 2 * pad - kernel) // stride + 1
        normed = draw(st.sampled_from([name, f"batch_norm({name})"]))
        reset = draw(st.sampled_from(["hard", "soft"]))
        lines.append(f"s{number} = lif({normed}, threshold=0.25, reset={reset})")
        last = f"s{number}"
        layers[name] = {"n": batch, "o": out, "c": inputs, "p": size, "q": size}
        inputs = out
        if size >= 2 and draw(st.booleans()):
            pool = draw(st.sampled_from(["avg_pool2d", "max_pool2d"]))
            lines.append(f"p{number} = {pool}({last}, kernel=2)")
            last, size = f"p{number}", size // 2
    lines.append(f"y = linear(flatten({last}), out=10)")
    body = "\n    ".join([*lines, "return y"])
    layers["y"] = {"n": batch, "o": 10, "c": inputs * size * size}
    head = f"network random(image: f16[{channels}, {side}, {side}]) steps {steps}"
    train = TRAINING.format(batch=batch)
    return f"{head} {{\n    {body}\n}}\ntrain {{ {train} }}\n", layers


@st.composite
def pins(draw: st.DrawFn, layers: dict[str, dict[str, int]]) -> str:
    """A pin of a layer in one phase."""
    layer = draw(st.sampled_from(sorted(layers)))
    where = f"{layer}.{draw(st.sampled_from(['fp', 'bp', 'wg']))}"
    loops = draw(st.lists(st.sampled_from(sorted(layers[layer])), max_size=2, unique=True))
    choices = [f"tile.{loop}={draw(st.integers(1, min(layers[layer][loop], 20)))}" for loop in loops]
    if draw(st.booleans()):
        choices.append(draw(st.sampled_from(sorted(DATAFLOWS))))
    if draw(st.booleans()):
        choices.append(f"split={draw(st.sampled_from(['batch', 'rows', 'channels']))}")
    if draw(st.booleans()) or not choices:
        choices.append(f"buffers={draw(st.sampled_from(['single', 'double']))}")
    return f"{where}={','.join(choices)}"


@st.composite
def mapped(draw: st.DrawFn) -> Mapped:
    text, layers = draw(networks())
    base = draw(st.sampled_from(["tiny", "quad"]))
    return Mapped(
        text,
        base,
        draw(st.sampled_from([3072, 4096, 8192, 32768, 262144])),
        draw(st.sampled_from(["exact", "f32"])),
        1 if base == "tiny" else draw(st.integers(1, 4)),
        tuple(draw(st.lists(pins(layers), max_size=3))),
        draw(st.sampled_from(["auto", "off"])),
        draw(st.sampled_from(["chosen", "patches", "in_turn", "published"])),
    )


def hold(case: Mapped) -> None:
    """Both laws, or a refusal that says why."""
    try:
        compilation = compiled(cast(Any, case))
        _ = compilation.program
    except (TargetError, SourceError) as refused:
        assert refused.faults
        for fault in refused.faults:
            assert REFUSED.search(fault.message), fault
        return
    bench = Bench(cast(Any, case))
    for entry in ("init", "train_step", "infer"):
        if entry != "init":
            bench.feed()
        bench.machine.counters.take()
        bench.run(entry)
        assert bench.difference() == "", entry
        counted, predicted = bench.machine.counters.take().to_json(), bench.program.predicted[entry]
        assert counted["dram"] == predicted["dram"], entry
        for by in ("by_phase", "by_tensor"):
            found, told = (
                {name: each["dram"] for name, each in traffic[by].items() if any(each["dram"].values())}
                for traffic in (counted, predicted)
            )
            assert found == told, (entry, by)


FEW = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@FEW
@given(mapped())
def test_any_mapping_gives_the_same_bits_and_moves_what_is_predicted(case: Mapped) -> None:
    hold(case)


@pytest.mark.full
@settings(FEW, max_examples=300, derandomize=False)
@given(mapped())
def test_many_mappings_give_the_same_bits_and_move_what_is_predicted(case: Mapped) -> None:
    hold(case)
