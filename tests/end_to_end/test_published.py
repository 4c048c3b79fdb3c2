"""The published partition cuts layers into the fragments that its workloads have."""

from __future__ import annotations

from laws import Case, compiled

from snnc.compiler.passes.published import Group, Layer, filled, packed


def test_fragments_are_those_of_the_published_workloads() -> None:
    """The first half of S-ResNet-18 of NeuroMC, work in units of 28.9 M products, fills twelve cores of 3.

    conv2: 48|16 32|32 16|48 48|16 (4 each); conv3: 128 (2), 96|32 (4), short cut 128 (2), 96|32, 64|64 (4 each);
    conv4: 128|128 (2), 128|128 (4).
    """
    unit = 8  # so that fragments of 16 channels have whole numbers
    conv2 = [Layer(4, unit)] * 4
    conv3 = [Layer(8, unit // 4), Layer(8, unit // 2), Layer(8, unit // 4), *[Layer(8, unit // 2)] * 2]
    conv4 = [Layer(16, unit // 8), Layer(16, unit // 4)]
    layers = [*conv2, *conv3, *conv4]
    groups = filled(layers, 3 * unit)
    channels = [tuple(16 * count for count in group.fragments) for group in groups]
    assert channels[:4] == [(48, 16), (32, 32), (16, 48), (48, 16)]
    assert channels[4:9] == [(128,), (96, 32), (128,), (96, 32), (64, 64)]
    assert channels[9:] == [(128, 128), (128, 128)]
    loads = [0] * 13
    for layer, group in zip(layers, groups, strict=True):
        for core, count in enumerate(group.fragments, group.first):
            loads[core] += count * layer.work
    assert loads == [3 * unit] * 12 + [2 * unit]


def test_the_fullest_core_has_the_least_that_consecutive_fragments_allow() -> None:
    """Two layers of 3 fragments of work 2 and 3 on 3 cores: 2+2 | 2+3 | 3+3 at best."""
    assert packed([Layer(3, 2), Layer(3, 3)], 3) == [Group(0, (3,)), Group(1, (2, 1))]
    assert packed([Layer(1, 5)], 4) == [Group(0, (1,))]
    assert packed([], 4) == []


def test_consecutive_layers_are_on_consecutive_cores_and_each_core_makes_whole_fragments() -> None:
    entries = compiled(Case("csnn", "exact7", partition="published")).schedule.entries
    stages = entries["infer"]
    sums = {stage.layer: stage for stage in stages if stage.op in ("conv2d", "linear")}
    assert list(sums) == ["c1", "c2", "cloth"]
    firsts = [stage.active[0] for stage in sums.values()]
    assert firsts == sorted(firsts)
    for stage in sums.values():
        if len(stage.active) > 1:
            assert stage.mapping.split == "o"
            assert all(first % 16 == 0 for first, extent in stage.mapping.shares if extent)
    (update,) = [s for s in entries["train_step"] if s.op == "conv2d.d_w" and s.layer == "c2"]
    assert update.active == sums["c2"].active, "weights stay with the cores that use them"
