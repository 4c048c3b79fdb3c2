"""`--rules`: which comma stands between two rules, and which between the settings of one."""

from __future__ import annotations

import click
import pytest

from snnc.cli._options import read_rule, read_rules
from snnc.compiler.ir.graph import Setting


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("bptt", ("bptt",)),
        ("bptt, sltt", ("bptt", "sltt")),
        ("a:K=2", (("a", ("K", 2)),)),
        ("a:K=2,b", (("a", ("K", 2)), "b")),
        ("a:K=2,p=0.5,b,c:x=y", (("a", ("K", 2), ("p", 0.5)), "b", ("c", ("x", "y")))),
        ("a(K=2,p=0.5),b", (("a", ("K", 2), ("p", 0.5)), "b")),
        ("a:size=[3, 2],b", (("a", ("size", (3, 2))), "b")),
        ('a(text="x,y:z"),b', (("a", ("text", "x,y:z")), "b")),
        ('a:text="(",b', (("a", ("text", "(")), "b")),
        ("a:inner=f(x=1, y=2),K=3,b", (("a", ("inner", ("f", ("x", 1), ("y", 2))), ("K", 3)), "b")),
    ],
)
def test_rules_are_taken_apart(text: str, rules: tuple[Setting, ...]) -> None:
    assert read_rules(text) == rules


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "''"),
        ("bptt,", "''"),
        ("bptt,,sltt", "''"),
        ("a,K=2", "'K=2'"),
        ("a(K=2),p=1", "'p=1'"),
        ("a(K=2,b", "'a(K=2,b'"),
        ("a(2)", "'a(2)'"),
        ("a b", "'a b'"),
        ("3", "'3'"),
    ],
)
def test_what_is_no_rule_is_told_with_its_text(text: str, part: str) -> None:
    with pytest.raises(click.BadParameter) as told:
        read_rules(text)
    assert (told.value.message, told.value.param_hint) == (f"{part} is not NAME or NAME(key=value, ...)", "--rules")


def test_a_colon_within_a_setting_begins_no_settings() -> None:
    assert read_rule('a(text="b:c=1")') == ("a", ("text", "b:c=1"))
