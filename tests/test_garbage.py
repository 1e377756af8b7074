"""Settings of Python that a trace changes are restored."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from profiler.garbage import RARELY, rare_collection


@pytest.fixture(autouse=True)
def thresholds() -> Iterator[None]:
    """Those from before the test are restored."""
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)


def test_garbage_is_searched_for_less_often_within_a_run() -> None:
    """Also in a run within a run; Python's own number is restored when the last one ends."""
    with rare_collection():
        with rare_collection():
            assert gc.get_threshold() == (RARELY, 10, 10)
        assert gc.get_threshold() == (RARELY, 10, 10)
    assert gc.get_threshold() == (700, 10, 10)


@pytest.mark.parametrize("chosen", [0, 2 * RARELY])
def test_a_collector_that_is_off_or_rare_stays_so(chosen: int) -> None:
    """The caller's own choice holds."""
    gc.set_threshold(chosen, 10, 10)
    with rare_collection():
        assert gc.get_threshold()[0] == chosen
    assert gc.get_threshold()[0] == chosen


def test_a_number_that_is_set_within_a_run_stays() -> None:
    """A forward may set it for good."""
    with rare_collection():
        gc.set_threshold(5000, 10, 10)
    assert gc.get_threshold()[0] == 5000
