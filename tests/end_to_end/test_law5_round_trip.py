"""Law 5: what is printed reads back as what it was: training graphs, assembly, binaries."""

from __future__ import annotations

import pytest
from laws import NETWORKS, TRAINING, Case, compiled, source_of

from snnc.compiler.ir import text
from snnc.compiler.pipeline import Compilation, models
from snnc.isa import assembly, binary

MACHINES = ("tiny", "quad3", "exact7", "f32x3")
CASES = [
    Case(name, MACHINES[k % len(MACHINES)], training=TRAINING[k % len(TRAINING)]) for k, name in enumerate(NETWORKS)
]
PARAMETERS = [pytest.param(case, id=str(case)) for case in CASES] + [
    pytest.param(Case(name, machine, training=training), id=f"{name}-{machine}-{k}", marks=pytest.mark.full)
    for name in NETWORKS
    for machine in ("tiny", "quad4", "exact20", "li7")
    for k, training in enumerate(TRAINING)
]


@pytest.mark.parametrize("case", PARAMETERS)
def test_programs_survive_assembly_and_bytes(case: Case) -> None:
    program = compiled(case).program
    data = binary.to_bytes(program)
    assert binary.from_bytes(data) == program
    assert binary.to_bytes(binary.from_bytes(data)) == data
    shown = assembly.to_text(program)
    read = assembly.from_text(shown)
    assert assembly.to_text(read) == shown
    assert binary.to_bytes(read) == data
    assert binary.fingerprint(read) == binary.fingerprint(program)


@pytest.mark.parametrize("name", [*models(), *(f"small {name}" for name in NETWORKS)])
@pytest.mark.parametrize("number", [0, *(pytest.param(k, marks=pytest.mark.full) for k in range(1, len(TRAINING)))])
def test_graphs_survive_their_text(name: str, number: int) -> None:
    """Networks and training graphs; the models come with their own settings, the small networks with all of them."""
    made = Compilation(name if name in models() else source_of(name.removeprefix("small "), training=TRAINING[number]))
    graph, shown = made.training, text.print_training(made.training)
    read = text.parse_training(shown)
    assert read == graph
    assert text.print_training(read) == shown
    assert read.hash == graph.hash
    network = text.print_network(made.network, places=False)
    assert text.parse_network(network) == made.network
    assert text.print_network(text.parse_network(network), places=False) == network


def test_the_hash_of_a_graph_is_of_what_it_computes() -> None:
    hashes = {
        Case("digits", "quad1", reset=reset, training=t).compilation().training.hash
        for reset in ("hard", "soft")
        for t in TRAINING
    }
    assert len(hashes) == 2 * len(TRAINING)
