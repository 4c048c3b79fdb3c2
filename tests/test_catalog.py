"""A folder is a list: adding a file adds a name, and a mistyped name gets the nearest."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module, invalidate_caches
from pathlib import Path

import pytest

from snnc.catalog import Catalog, ClassCatalog, FileCatalog, UnknownName, unknown

FOLDER = {
    "__init__.py": "",
    "rule.py": "rule = 'what a rule is'",
    "_private.py": "rule = 'no part'",
    "bptt.py": "rule = 'through time'",
    "sltt.py": "rule = 'through space'",
    "shapes.py": """
class Shape: ...
class Round(Shape): ...
class Circle(Round): name = "circle"; sides = "none"
class Square(Shape): name = "square"
class Diamond(Square): ...
class Stranger: name = "stranger"
""",
    "solids.py": """
from .shapes import Circle, Shape
class Cube(Shape): name = "cube"
""",
    "tiny.toml": "cores = 1",
    "quad.toml": "cores = 4",
    "notes.txt": "",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package of parts that nobody has imported yet."""
    name = f"parts_of_{tmp_path.name}"
    folder = tmp_path / name
    folder.mkdir()
    for file, text in FOLDER.items():
        (folder / file).write_text(text)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    invalidate_caches()
    yield name
    for module in [module for module in sys.modules if module.partition(".")[0] == name]:
        del sys.modules[module]


@pytest.fixture
def shape(package: str) -> type[object]:
    return import_module(f"{package}.shapes").Shape


def test_every_file_is_a_part_but_the_one_that_says_what_a_part_is(package: str) -> None:
    (rules := FileCatalog(package, ".py", "file"))["bptt"].with_name("shapes.py").unlink()
    rules["solids"].unlink()
    catalog: Catalog[str] = Catalog(package, "rule")
    assert list(catalog) == ["bptt", "sltt"]
    assert len(catalog) == 2
    assert "bptt" in catalog
    assert "rule" not in catalog
    assert "_private" not in catalog
    assert 7 not in catalog
    assert dict(catalog.items()) == {"bptt": "through time", "sltt": "through space"}


def test_a_folder_is_listed_once_for_a_part_that_is_asked_for_often(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for catalog, name in ((Catalog[str](package, "rule"), "bptt"), (FileCatalog(package, ".toml", "target"), "tiny")):
        first = catalog[name]
        with monkeypatch.context() as patched:
            patched.setattr(type(catalog), "_names", lambda self: pytest.fail("listed again"))  # pyright: ignore
            assert catalog[name] is first
        with pytest.raises(UnknownName):
            _ = catalog["another"]


def test_only_the_part_that_is_asked_for_is_imported(package: str) -> None:
    catalog: Catalog[str] = Catalog(package, "rule")
    assert catalog["bptt"] == "through time"
    assert f"{package}.bptt" in sys.modules
    assert f"{package}.sltt" not in sys.modules


def test_a_mistyped_part_gets_the_nearest_name(package: str) -> None:
    with pytest.raises(UnknownName) as caught:
        Catalog[str](package, "rule")["bpt"]
    assert str(caught.value) == "no rule is called 'bpt'; did you mean bptt?"


def test_a_file_without_its_part_is_our_mistake(package: str) -> None:
    with pytest.raises(AssertionError, match=r"shapes\.py defines no `rule`"):
        Catalog[str](package, "rule")["shapes"]


def test_classes_are_found_by_the_name_that_they_give_themselves(package: str, shape: type[object]) -> None:
    catalog = ClassCatalog(package, shape, "shape")
    assert list(catalog) == ["circle", "cube", "square"]
    assert catalog["circle"].__name__ == "Circle"
    assert catalog["cube"].__module__ == f"{package}.solids"


def test_another_class_variable_may_hold_the_name(package: str, shape: type[object]) -> None:
    assert list(ClassCatalog(package, shape, "shape", key="sides")) == ["none"]


def test_two_classes_of_one_name_are_our_mistake(package: str, shape: type[object]) -> None:
    folder = Path(str(import_module(package).__file__)).parent
    (folder / "again.py").write_text("from .shapes import Shape\nclass Ball(Shape): name = 'circle'")
    invalidate_caches()
    with pytest.raises(AssertionError, match="two classes are called 'circle'"):
        list(ClassCatalog(package, shape, "shape"))


def test_a_mistyped_class_gets_the_nearest_name(package: str, shape: type[object]) -> None:
    with pytest.raises(UnknownName, match=r"^no shape is called 'sqare'; did you mean square\?$"):
        ClassCatalog(package, shape, "shape")["sqare"]


def test_data_files_are_found_from_any_directory(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    catalog = FileCatalog(package, ".toml", "target")
    assert list(catalog) == ["quad", "tiny"]
    assert catalog["tiny"] == tmp_path / package / "tiny.toml"
    with pytest.raises(UnknownName, match=r"^no target is called 'quat'; did you mean quad\?$"):
        catalog["quat"]


@pytest.mark.parametrize(
    ("name", "known", "message"),
    [
        ("bpt", ["bptt", "sltt"], "no rule is called 'bpt'; did you mean bptt?"),
        ("BPTT", ["bptt", "sltt"], "no rule is called 'BPTT'; did you mean bptt?"),
        ("weight", ["weight_stationary", "row_stationary"],
         "no rule is called 'weight'; did you mean weight_stationary?"),
        ("Weight-Stationary", ["weight_stationary"],
         "no rule is called 'Weight-Stationary'; did you mean weight_stationary?"),
        ("zzz", ["sltt", "bptt"], "no rule is called 'zzz'; there are: bptt, sltt"),
        ("b", ["bptt", "bptd"], "no rule is called 'b'; there are: bptd, bptt"),
        ("", ["bptt"], "no rule is called ''; there are: bptt"),
        ("bptt", [], "no rule is called 'bptt'; there are none"),
    ],
)  # fmt: skip
def test_the_sentence_for_an_unknown_name(name: str, known: list[str], message: str) -> None:
    assert str(unknown("rule", name, known)) == message


def test_names_of_another_kind_are_suggested_and_not_listed() -> None:
    assert str(unknown("setting", "thta", ["decay"], ["theta"])) == "no setting is called 'thta'; did you mean theta?"
    assert str(unknown("setting", "tau", ["decay"], ["theta"])) == "no setting is called 'tau'; there are: decay"
