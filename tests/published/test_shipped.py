"""The published figures of the package are those of the tests."""

from __future__ import annotations

import pytest

from profiler.pictures.published import DATA
from tests.published import shipped


@pytest.mark.slow
def test_the_shipped_figures_are_up_to_date() -> None:
    """``python -m tests.published.shipped`` would change nothing."""
    assert shipped.text() == DATA.read_text(encoding="utf-8")
