"""What every test may ask for: the shared folder of real data, and comparison with golden text."""

from __future__ import annotations

from collections.abc import Callable
from difflib import unified_diff
from pathlib import Path

import pytest
from hypothesis import settings

from snnc.isa.kernels.compiled import library, why_none

TESTS = Path(__file__).parent


settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("searching", deadline=None)


def pytest_configure(config: pytest.Config) -> None:
    """Hypothesis tries the same examples at every run; with ``-m full`` it looks for new ones."""
    settings.load_profile("steady" if config.option.markexpr == "not full" else "searching")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write tests/golden anew; read the diff afterwards")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What compares compiled kernels with NumPy forms has nothing to compare where there are none."""
    if item.get_closest_marker("compiled") and library() is None:
        pytest.skip(why_none())


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder `shared` beside the checkout, which holds real data and published figures."""
    folder = TESTS.parent.parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs the folder ../shared beside the checkout, which holds real data")
    return folder


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden(NAME, text)`: the text equals `tests/golden/NAME`; `--update-golden` writes that file instead."""

    def check(name: str, text: str) -> None:
        path = TESTS / "golden" / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return
        if not path.is_file():
            pytest.fail(f"tests/golden/{name} does not exist; `pytest --update-golden` writes it", pytrace=False)
        expected = path.read_text(encoding="utf-8")
        if text != expected:
            lines = unified_diff(
                expected.splitlines(), text.splitlines(), f"tests/golden/{name}", "what came out now", lineterm=""
            )
            diff = "\n".join(lines) or "they differ in line ends only"
            pytest.fail(f"{diff}\n\nIf the new text is right: pytest --update-golden", pytrace=False)

    return check
