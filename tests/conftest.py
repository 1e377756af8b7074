"""Shared by all tests: golden files and how to accept new ones, the amount of hypothesis, bytecode, parallel runs."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.golden_files import assert_golden

# Seeded, and without a deadline: a busy machine is no failure.
settings.register_profile("steady", deadline=None, derandomize=True, max_examples=25)
settings.register_profile("quick", settings.get_profile("steady"), max_examples=10)
settings.register_profile("exhaustive", settings.get_profile("steady"), max_examples=100)
settings.load_profile("steady")

# Without bytecode every worker and every command would compile the tests, the package and libraries again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# before torch is imported: workers with several threads each slow each other down
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"

MOST_WORKERS = 8
"""A worker may need 2 GB, and its imports take seconds: more workers gain little."""

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that accept new golden files and run the exhaustive tests."""
    parser.addoption(
        "--accept-golden",
        action="store_true",
        help="write what the tests produce to tests/golden; look at the difference before you commit it",
    )

    parser.addoption("--exhaustive", action="store_true", help="also run the tests that repeat every measurement")


def pytest_configure(config: pytest.Config) -> None:
    """Let hypothesis draw more examples in an exhaustive run, and fewer in the quick part."""
    if config.getoption("--exhaustive"):
        settings.load_profile("exhaustive")
    elif "not slow" in config.getoption("markexpr", ""):
        settings.load_profile("quick")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect tests without looking for garbage, and never look through what was collected: a third of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the exhaustive tests out unless ``--exhaustive`` is given."""
    if config.getoption("--exhaustive"):
        return
    left_out = [item for item in items if item.get_closest_marker("exhaustive")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not item.get_closest_marker("exhaustive")]


@pytest.fixture
def little_to_search() -> None:
    """What other tests have left is searched for garbage once, before the test, and never again: it takes seconds."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """The number of workers of ``-n auto``: one for each processor that this process may use, up to a limit."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, MOST_WORKERS)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """``golden(name, text)`` compares ``text`` with the file of that name, or writes it with ``--accept-golden``."""
    accept = bool(request.config.getoption("--accept-golden"))
    return lambda name, text: assert_golden(GOLDEN / name, text, accept=accept)
