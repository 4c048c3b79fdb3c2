"""Tables of pages are those that the benchmarks write: each command finds its own, and what it says is there."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from float64 import ROOT, benchmarks

benchmarks()
pages: Any = import_module("benchmarks.pages")
rule_traffic: Any = import_module("benchmarks.rule_traffic")
sharing: Any = import_module("benchmarks.sharing")
sparsity: Any = import_module("benchmarks.sparsity")

RULES = (ROOT / "docs" / "rules.md").read_text("utf-8")
TABLES = rule_traffic.tables(RULES)
ROWS = [(head, row) for head in TABLES for row in pages.rows_of(RULES, head)]

PAGE = """\
| what | | bytes |
|---|---|---:|
| `a` | | 1 |
| `b` | x | 2 |

| what | | cycles |
|---|---|---:|
"""


def test_a_table_is_written_where_its_head_is() -> None:
    head, rows = ("what", "", "bytes"), [["`c`", "y", "3"]]
    assert pages.rows_of(PAGE, head) == [["`a`", "", "1"], ["`b`", "x", "2"]]
    assert pages.with_rows(PAGE, head, rows) == PAGE.replace("| `a` | | 1 |\n| `b` | x | 2 |\n", "| `c` | y | 3 |\n")
    filled = pages.with_rows(PAGE, ("what", "", "cycles"), rows)
    assert filled == PAGE + "| `c` | y | 3 |\n"
    with pytest.raises(ValueError, match=r"0 tables with the head \| what \| seconds \|"):
        pages.rows_of(PAGE, ("what", "seconds"))


def test_pages_have_a_row_for_all_that_is_measured() -> None:
    cores, sparse = ((ROOT / "docs" / name).read_text("utf-8") for name in ("cores.md", "sparsity.md"))
    shared, overlapping = (pages.rows_of(cores, head) for head in (sharing.SHARED, sharing.OVERLAPPING))
    networks = {f"`{name}`" for name in sharing.NETWORKS}
    assert {row[0] for row in shared} == {row[0] for row in overlapping} == networks
    assert {len(row) for row in shared} == {len(sharing.SHARED)}
    assert {row[0] for row in pages.rows_of(sparse, sparsity.PAGE)} == {f"`{name}`" for name in sparsity.NETWORKS}


@pytest.mark.full
@pytest.mark.parametrize(("head", "row"), ROWS, ids=[f"{head[1]}-{row[0]}" for head, row in ROWS])
def test_programs_take_the_room_and_move_what_the_page_of_rules_says(head: tuple[str, ...], row: list[str]) -> None:
    rule, *told = row
    assert TABLES[head](rule.strip("`")) == told
