"""What all tests share: the golden files and the way to accept new ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from tests.golden_files import assert_golden

# Seeded, and without a deadline: a busy machine is no failure.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that takes new golden files over."""
    parser.addoption(
        "--accept-golden",
        action="store_true",
        help="write what the tests produce to tests/golden; look at the difference before you commit it",
    )

    parser.addoption("--exhaustive", action="store_true", help="run the tests that measure everything again, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the exhaustive tests out unless they are asked for."""
    if config.getoption("--exhaustive"):
        return
    left_out = [item for item in items if item.get_closest_marker("exhaustive")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not item.get_closest_marker("exhaustive")]


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """``golden(name, text)`` holds ``text`` to the file of that name, or writes it with ``--accept-golden``."""
    accept = bool(request.config.getoption("--accept-golden"))
    return lambda name, text: assert_golden(GOLDEN / name, text, accept=accept)
