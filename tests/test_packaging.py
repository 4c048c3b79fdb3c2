"""The repository is the package: what is written down about it equals what is there, and it works when installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ["cli", "compiler", "isa", "models", "numerics", "pytorch", "reports", "runtime"]
MODULES = ["__init__.py", "__main__.py", "catalog.py", "source.py"]
HEAVY = ["h5py", "networkx", "numpy", "onnx", "rich", "sklearn", "torch"]


def test_the_package_list_equals_the_folders() -> None:
    packages = _setuptools()["packages"]
    folders = [file.parent for room in ROOMS for file in (ROOT / room).rglob("__init__.py")]
    assert packages == ["snnc", *sorted(".".join(["snnc", *folder.relative_to(ROOT).parts]) for folder in folders)]


def test_every_folder_of_code_or_data_is_a_package() -> None:
    files = [
        file for room in ROOMS for file in (ROOT / room).rglob("*") if file.suffix in {".py", ".lark", ".toml", ".snn"}
    ]
    assert {str(file.parent) for file in files if not (file.parent / "__init__.py").exists()} == set()


def test_every_python_file_at_the_root_is_meant_to_ship() -> None:
    assert sorted(path.name for path in ROOT.glob("*.py")) == MODULES


def test_type_checkers_see_every_room() -> None:
    typings = ROOT / "typings" / "snnc"
    links = {path.name: path.resolve() for path in typings.iterdir() if path.is_symlink()}
    assert links == {name: ROOT / name for name in [*ROOMS, "catalog.py", "source.py"]}


def test_type_checkers_and_python_agree_on_the_public_names() -> None:
    names = r"from (\.[\w.]+) import (\w+) as \2"
    stub = re.findall(names, (ROOT / "typings" / "snnc" / "__init__.pyi").read_text())
    lazy = _python("import snnc; print(*(f'{module} {name}' for name, module in snnc._PUBLIC.items()), sep='\\n')")
    assert sorted(lazy.splitlines()) == sorted(f"{module} {name}" for module, name in stub)


def test_the_commands_of_the_readme_do_their_own_set_up() -> None:
    install = "python3 -m venv .venv && .venv/bin/pip install -q"
    assert _readme("train") == f"{install} '.[data]' && .venv/bin/snnc train models/digits.snn --data digits"
    assert _readme("test") == f"{install} -e '.[test]' && .venv/bin/pytest -q -n 2"


def test_ci_runs_the_readmes_command_word_for_word() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    extract = re.search(r"^tests=\$\(.*\)$", script, re.MULTILINE)
    assert extract is not None
    assert 'bash -euo pipefail -c "$tests"' in script
    assert _run("bash", "-c", f'{extract[0]}; printf %s "$tests"', cwd=ROOT) == _readme("test")


def test_ci_can_be_executed() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_importing_snnc_imports_nothing_else() -> None:
    before = "import sys; before = set(sys.modules); import snnc; "
    assert _python(before + "print(*sorted(set(sys.modules) - before))") == "snnc"


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    code = "import snnc\ntry: snnc.compiel\nexcept AttributeError as error: print(error)"
    assert _python(code) == "module 'snnc' has no attribute 'compiel'"


def test_the_public_names_are_listed_before_they_are_imported() -> None:
    assert _python("import snnc; print({'compile', 'load', 'Interpreter'} <= set(dir(snnc)))") == "True"


def test_help_imports_no_numerical_library() -> None:
    code = f"""
import sys
from snnc.cli import main
main(["--help"], standalone_mode=False)
print("imported:", sorted(set({HEAVY}) & set(sys.modules)))
"""
    assert _python(code).endswith("imported: []")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--version"], 0, ""),
        (["--no-such-option"], 2, "--no-such-option"),
        (["no-such-command"], 2, "no command is called 'no-such-command'"),
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str], status: int, message: str) -> None:
    done = subprocess.run([sys.executable, "-m", "snnc", *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (status, False)
    assert message in done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder into which a wheel of this tree was installed, as a stranger would have it."""
    folder = tmp_path_factory.mktemp("installed")
    tree, wheels, target = folder / "tree", folder / "wheels", folder / "target"
    unwanted = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "typings", "node_modules")
    shutil.copytree(ROOT, tree, symlinks=True, ignore=unwanted)
    project = tree / "pyproject.toml"
    project.write_text(project.read_text().replace('"-O3"', '"-O0"'))  # nothing is computed, and it compiles sooner
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    built = subprocess.run(
        [*pip, "wheel", str(tree), "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels)],
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode and re.search(
        r"No module named pip|BackendUnavailable|Cannot import 'setuptools", built.stderr
    ):
        pytest.skip("needs pip and setuptools 77 or later in this environment to build a wheel")
    assert built.returncode == 0, built.stderr
    (wheel,) = wheels.iterdir()
    _run(*pip, "install", "--no-deps", "--no-index", "--target", str(target), str(wheel), cwd=folder)
    yield target
    shutil.rmtree(folder)


def test_a_wheel_holds_every_module_and_every_data_file(installed: Path) -> None:
    files = [file for room in ROOMS for file in (ROOT / room).rglob("*") if file.is_file()]
    expected = {Path(name) for name in [*MODULES, "py.typed"]}
    expected |= {
        file.relative_to(ROOT) for file in files if file.suffix not in {".md", ".pyc", ".snnb", ".c", ".h", ".so"}
    }
    shipped = (path.relative_to(installed / "snnc") for path in (installed / "snnc").rglob("*") if path.is_file())
    assert {path for path in shipped if path.suffix not in {".pyc", ".so"}} == expected


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_a_wheel_that_a_compiler_made_has_kernels_that_know_their_sources(installed: Path, tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from snnc.isa.kernels import compiled, sources
library = compiled.library()
of_tree = sources.digest(Path({str(ROOT / "isa" / "kernels")!r}))
print(compiled.why_none() if library is None else library.snnc_sources() == of_tree)
"""
    environment = {name: value for name, value in os.environ.items() if name != "SNNC_KERNELS"}
    environment["PYTHONPATH"] = str(installed)
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert shown.stdout.strip() == "True", shown.stderr


def test_an_installed_wheel_puts_nothing_beside_snnc(installed: Path) -> None:
    assert sorted(path.name for path in installed.iterdir() if path.suffix != ".dist-info") == ["bin", "snnc"]


def test_an_installed_wheel_works_from_any_directory(installed: Path, tmp_path: Path) -> None:
    where = "import snnc; print(snnc.__file__)"
    assert _python(where, cwd=tmp_path, path=installed) == str(installed / "snnc" / "__init__.py")
    shown = _run(sys.executable, "-m", "snnc", "--help", cwd=tmp_path, path=installed)
    assert shown.startswith("Usage: ")


@pytest.mark.parametrize(("package", "suffix"), [("models", ".snn"), ("isa.targets", ".toml")])
def test_an_installed_wheel_finds_its_data_by_name(package: str, suffix: str, installed: Path, tmp_path: Path) -> None:
    code = f"from snnc.catalog import FileCatalog; print(*FileCatalog('snnc.{package}', '{suffix}', 'file'))"
    names = sorted(path.stem for path in ROOT.joinpath(*package.split(".")).glob(f"*{suffix}"))
    assert _python(code, cwd=tmp_path, path=installed).split() == names


def _setuptools() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def _readme(name: str) -> str:
    """The one line of shell in the README that follows the mark of that name."""
    block = re.search(rf"^<!-- command: {name} -->\n```sh\n(.+)\n```$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert block is not None
    return block[1]


def _python(code: str, cwd: Path | None = None, path: Path | None = None) -> str:
    """What a fresh interpreter prints."""
    return _run(sys.executable, "-c", code, cwd=cwd, path=path)


def _run(*command: str, cwd: Path | None = None, path: Path | None = None) -> str:
    environment = {**os.environ, "PYTHONPATH": str(path)} if path else None
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
