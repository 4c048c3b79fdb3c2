"""A target file is read whole or refused with everything that is wrong with it, by file and key."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from snnc.isa import target
from snnc.isa.figure import TAGS
from snnc.isa.target import ROLES, TARGETS, Target, TargetError, canonical, load_target, parse, with_cores, with_mesh

QUAD = canonical(load_target("quad"))
NAMES = list(TARGETS)


def test_the_machines_that_come_with_snnc() -> None:
    assert NAMES == ["edge512", "li2024", "li2024_exact", "quad", "quad_bf16", "tiny"]


@pytest.mark.parametrize("name", NAMES)
def test_a_machine_is_called_as_its_file_and_has_evidence_for_every_figure(name: str) -> None:
    machine = load_target(name)
    assert machine.name == name
    assert all(evidence.tag in TAGS and evidence.source for evidence in machine.evidence.values())
    assert len(machine.evidence) == canonical(machine).count("{ value = ")


@pytest.mark.parametrize("name", NAMES)
def test_every_buffer_has_a_home(name: str) -> None:
    machine = load_target(name)
    for role in ROLES:
        assert machine.memory_for(role), role


@pytest.mark.parametrize("name", NAMES)
def test_parsing_undoes_the_canonical_text(name: str) -> None:
    machine = load_target(name)
    assert parse(canonical(machine)) == machine
    assert canonical(parse(canonical(machine))) == canonical(machine)
    assert parse(canonical(machine, comments=True)) == machine


def test_sizes_that_were_asked_for() -> None:
    tiny, quad = load_target("tiny"), load_target("quad")
    assert (tiny.cores, [memory.bytes for memory in tiny.memories]) == (1, [32 * 1024])
    assert (quad.cores, [memory.bytes for memory in quad.memories]) == (4, [256 * 1024])
    assert tiny.dram.granule_bytes == quad.dram.granule_bytes == 32
    assert {load_target(name).accumulators for name in NAMES if name not in ("li2024", "quad_bf16", "edge512")} == {
        "exact"
    }


def test_the_machine_for_bf16_differs_only_in_its_numbers() -> None:
    quad, other = load_target("quad"), load_target("quad_bf16")
    assert (other.working_format, other.accumulators) == ("bf16", "f32")
    for unit, engine in other.engines.items():
        there = tuple("f16" if name == "bf16" else name for name in engine.left_formats)
        assert replace(engine, left_formats=there) == quad.engines[unit]
    changed = {"name", "description", "evidence", "working_format", "accumulators", "engines"}
    figures = set(target.fields_of(Target)) - changed
    assert all(getattr(other, figure) == getattr(quad, figure) for figure in figures)


def test_the_published_chip_has_the_published_buffers() -> None:
    chip = load_target("li2024")
    bits = {memory.name: memory.bytes * 8 for memory in chip.memories}
    banks = 16
    assert bits["fp_conv_in_s"] == 18_496 * banks
    assert bits["fp_soma_u"] == 1_048_576
    assert bits["wg_conv_out_dw"] == 18_432 * banks
    assert (chip.cores, chip.accumulators, chip.energy.multiply_add) == (20, "f16", 1.36)
    named = ("fp_conv", "fp_soma", "bp_conv", "bp_grad", "wg_conv")
    kib = sum(count for name, count in bits.items() if name.startswith(named)) / 8 / 1024
    assert abs(kib - (368 + 580 + 173)) < 1.5  # the published on-chip buffers: forward, backward, gradient


def test_the_exact_chip_differs_only_where_accumulators_lie() -> None:
    chip, exact = load_target("li2024"), load_target("li2024_exact")
    wider = {m.name: e.bytes // m.bytes for m, e in zip(chip.memories, exact.memories, strict=True) if m != e}
    assert wider == {"fp_conv_out_xi": 4, "bp_conv_out_res": 8, "wg_conv_out_dw": 4}
    assert all(exact.evidence[f"memories.{name}.bytes"].tag == "assumed" for name in wider)
    assert (exact.engines, exact.dram, exact.link, exact.energy) == (chip.engines, chip.dram, chip.link, chip.energy)


def test_roles_find_the_named_buffers_first_choice_first() -> None:
    chip = load_target("li2024")

    def homes(role: str) -> list[str]:
        return [chip.memories[k].name for k in chip.memory_for(role)]

    assert homes("fp.left") == ["fp_conv_in_s", "fp_ann_in"]
    assert homes("fp.acc") == ["fp_conv_out_xi"]
    assert homes("fp.vector.bits") == ["fp_soma_s", "fp_soma_smask", "norm"]
    assert homes("up.vector.words") == ["optimizer"]
    assert load_target("tiny").memory_for("bp.right") == (0,)


def test_the_template_is_a_target_file() -> None:
    machine = parse(target.template())
    assert machine.fingerprint == load_target("quad").fingerprint
    assert target.template().count("\n# ") > 30


def test_the_fingerprint_sees_figures_and_not_words() -> None:
    quad = load_target("quad")
    assert replace(quad, description="another", name="other").fingerprint == quad.fingerprint
    assert parse(QUAD.replace('"as li2024"', '"somewhere"')).fingerprint == quad.fingerprint
    assert replace(quad, semaphores=2).fingerprint != quad.fingerprint
    assert len({load_target(name).fingerprint for name in NAMES}) == len(NAMES)


@pytest.mark.parametrize(
    ("cores", "mesh"), [(1, (1, 1)), (2, (2, 1)), (3, (2, 2)), (4, (2, 2)), (7, (3, 3)), (20, (5, 4))]
)
def test_another_number_of_cores_stands_on_a_square_mesh(cores: int, mesh: tuple[int, int]) -> None:
    machine = with_cores(load_target("li2024"), cores)
    assert (machine.cores, (machine.mesh.columns, machine.mesh.rows)) == (cores, mesh)
    assert parse(canonical(machine)) == machine
    if cores != 20:
        assert machine.evidence["cores"].source == f"overridden: {cores} cores instead of 20"
        assert machine.evidence["mesh.rows"].tag == "assumed"


def test_a_mesh_has_a_core_on_every_place() -> None:
    machine = with_mesh(load_target("quad"), 3, 2)
    assert (machine.cores, machine.mesh.columns, machine.mesh.rows) == (6, 3, 2)
    assert parse(canonical(machine)) == machine
    assert machine.evidence["mesh.columns"].source == "overridden: 6 cores instead of 4"


def test_too_few_cores_are_refused() -> None:
    with pytest.raises(TargetError, match=r"quad: cores: 0 is not a whole number of 1 to 4096"):
        with_cores(load_target("quad"), 0)


OTHERS = ", ".join(role for role in ROLES if not role.startswith("fp"))
WRONG = [
    (
        "granule_bytes =",
        "granul_bytes =",
        ["dram: no field is called 'granul_bytes'; did you mean granule_bytes?", "dram.granule_bytes: is missing"],
    ),
    (
        "granule_bytes = { value = 32,",
        "granule_bytes = { value = 48,",
        ["dram.granule_bytes.value: 48 is not a power of two"],
    ),
    (
        "granule_bytes = { value = 32,",
        "granule_bytes = { value = true,",
        ["dram.granule_bytes.value: expected a whole number, found true"],
    ),
    (
        "latency_cycles = { value = 50,",
        "latency_cycles = { value = -1,",
        ["dram.latency_cycles.value: -1 is not a whole number of at least 0"],
    ),
    (
        "latency_cycles = { value = 50,",
        "latency_cycles = { value = 0.5,",
        ["dram.latency_cycles.value: expected a whole number, found 0.5"],
    ),
    ("latency_cycles = { value = 50, ", "latency_cycles = { ", ["dram.latency_cycles.value: is missing"]),
    (
        'value = 262144, tag = "assumed"',
        'value = -1, tag = "guess"',
        [
            "memories.scratch.bytes.value: -1 is not a whole number of at least 1",
            f"memories.scratch.bytes.tag: no choice is called 'guess'; there are: {', '.join(sorted(TAGS))}",
        ],
    ),
    (
        'holds = ["*"]',
        'holds = ["fp.*", "bq.*"]',
        [f"memories.scratch.holds: 'bq.*' matches none of {', '.join(ROLES)}", f"memories: none holds {OTHERS}"],
    ),
    ('holds = ["*"]', "holds = []", ["memories.scratch.holds: expected a list of texts, found []"]),
    (
        "[engines.wg]",
        "[engines.wq]",
        ["engines: no field is called 'wq'; there are: bp, fp, wg", "engines.wg: is missing"],
    ),
    ('["f16", "ternary"]', '["f17"]', ["engines.bp.left_formats.value: no choice is called 'f17'; did you mean f16?"]),
    ('value = "exact"', 'value = "exakt"', ["accumulators.value: no choice is called 'exakt'; did you mean exact?"]),
    (
        'working_format = { value = "f16"',
        'working_format = { value = "bf16"',
        [
            "accumulators: exact ones are for f16 and integers; what works in bf16 sums in f32",
            "engines.bp.left_formats: without bf16, the working format, errors cannot go back",
        ],
    ),
    ("[mesh]\ncolumns = { value = 2", "[mesh]\ncolumns = { value = 1", ["mesh: 2 places are too few for 4 cores"]),
    ("[link]", "[links]", ["no field is called 'links'; did you mean link?", "link: is missing"]),
    (
        "dram_bit = { value = 20.3",
        "dram_bit = { value = nan",
        ["energy.dram_bit.value: nan is not a number of at least 0"],
    ),
    (
        "\n[mesh]",
        '\n[[memories]]\nname = "a"\n[mesh]',
        ["memories.a.bytes: is missing", "memories.a.port_bits: is missing", "memories.a.holds: is missing"],
    ),
]


@pytest.mark.parametrize(("right", "wrong", "messages"), WRONG, ids=[wrong for _, wrong, _ in WRONG])
def test_a_wrong_file_is_told_by_file_and_key(right: str, wrong: str, messages: list[str], tmp_path: Path) -> None:
    assert QUAD.count(right) >= 1
    path = tmp_path / "chip.toml"
    path.write_text(QUAD.replace(right, wrong, 1))
    with pytest.raises(TargetError) as caught:
        load_target(path)
    assert sorted(str(caught.value).split("\n")) == sorted(f"{path}: {message}" for message in messages)


def test_a_bare_figure_is_refused() -> None:
    text = QUAD[: QUAD.index("cores =")] + "cores = 4\n" + QUAD[QUAD.index("contexts") :]
    with pytest.raises(TargetError, match=r"^x.toml: cores: expected \{ value, tag, source \}, found 4$"):
        parse(text, "x.toml")


def test_all_faults_are_told_together() -> None:
    with pytest.raises(TargetError) as caught:
        parse("", "x.toml")
    fields = set(target.fields_of(Target))
    assert {str(fault).removeprefix("x.toml: ").removesuffix(": is missing") for fault in caught.value.faults} == fields


def test_what_is_no_toml_is_told_by_line_and_column() -> None:
    with pytest.raises(TargetError, match=r"^x.toml:2:\d+: not TOML: "):
        parse('name = "x"\ncores = = 4\n', "x.toml")


def test_a_name_that_no_machine_has() -> None:
    with pytest.raises(TargetError, match=r"no target is called 'quda'; did you mean quad\?\n  try: a path"):
        load_target("quda")
    with pytest.raises(TargetError, match=r"none\.toml: cannot be read: No such file or directory$"):
        load_target("none.toml")
