"""Short figures of one column have one unit, and bars say what shares say."""

from __future__ import annotations

import pytest

from profiler.columns import Unit
from profiler.render.bars import bar
from profiler.render.units import scale_of


@pytest.mark.parametrize(
    ("values", "unit", "name", "texts"),
    [
        ((655_566_528, 58_621_952, 0), "count", "M", ["655.57", "58.62", "0"]),
        ((61_100_840, 5_001), "count", "M", ["61.10", "0.01"]),
        ((61_100_840, 5_000), "count", "k", ["61,100.8", "5.0"]),
        ((61_100_840, 1), "count", "k", ["61,100.8", "<0.1"]),
        ((999_994,), "count", "k", ["999.99"]),
        ((999_995,), "count", "M", ["1.00"]),
        ((2**70,), "count", "E", ["1,180.59"]),
        ((-450_470_752, 9_216_000), "difference", "M", ["-450.47", "+9.22"]),
        ((-450_470_752, -4_608), "difference", "k", ["-450,470.8", "-4.6"]),
        ((3 * 2**20, 2**19), "bytes", "MiB", ["3.00", "0.50"]),
    ],
)
def test_all_numbers_of_a_column_have_one_unit(
    values: tuple[int, ...], unit: Unit, name: str, texts: list[str]
) -> None:
    """It is that of the largest; only 0 is written 0; if one is too small for two decimals, it is the unit below."""
    scale = scale_of(values, unit)
    assert scale is not None
    assert scale.name == name
    assert [scale.text(value) for value in values] == texts


@pytest.mark.parametrize("values", [(), (0,), (999, 1), (None, ""), (12_345, 1)])
def test_short_columns_have_no_unit(values: tuple[object, ...]) -> None:
    """Their numbers are exact: those below a thousand, and those next to numbers that are far smaller."""
    assert scale_of(values, "count") is None


def test_sizes_are_written_as_they_are() -> None:
    """A batch of 1,024 is not 1.02 k."""
    assert scale_of((128, 8192), "size") is None
    assert scale_of((128, 8192), "count") is not None


def test_lower_bounds_stay_lower_bounds() -> None:
    """A bound that would be rounded to 0 is at least 0, not less than something."""
    scale = scale_of((10**9, 10**7), "count")
    assert scale is not None
    assert [scale.text(value, least=True) for value in (10**9, 1000)] == ["≥1.00", "≥0"]


def test_bars_grow_with_shares() -> None:
    """Nothing and an unknown share have no bar, the smallest share an eighth of a cell, everything ten cells."""
    assert [bar(share) for share in (None, 0.0, 1e-9, 0.5, 0.31, 1.0)] == ["", "", "▏", "█" * 5, "███▏", "█" * 10]
    assert [bar(share, ascii_only=True) for share in (None, 0.0, 1e-9, 0.5, 1.0)] == ["", "", "#", "#" * 5, "#" * 10]
