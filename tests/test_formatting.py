"""Numbers are formatted for people, and rounding never invents 0 or 100 %."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.columns import Column
from profiler.formatting import (
    bytes_text,
    engineering,
    format_table,
    headline,
    is_numeric_column,
    ratio_text,
    share_text,
    signed,
    thousands,
)
from profiler.schema import Table
from tests import sample_profiles

MULTIPLES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}


@pytest.mark.parametrize(
    ("number", "unit", "text"),
    [
        (0, "", "0"),
        (999, "FLOPs", "999 FLOPs"),
        (1000, "", "1.000 k"),
        (999_949, "", "999.9 k"),
        (999_950, "", "1.000 M"),
        (9_999_500, "", "10.00 M"),
        (655_566_528, "", "655.6 M"),
        (1_428_376_960, "FLOPs", "1.428 GFLOPs"),
        (714_188_480, "MACs", "714.2 MMACs"),
        (61_100_840, "parameters", "61.10 M parameters"),
        (12, "adds", "12 adds"),
        (-1_234_567, "", "-1.235 M"),
        (10**22, "FLOPs", "10000 EFLOPs"),
        (None, "FLOPs", "unknown"),
    ],
)
def test_engineering(number: int | None, unit: str, text: str) -> None:
    """There are four digits and a prefix; it is exact below a thousand, and never 1000 of one prefix."""
    assert engineering(number, unit) == text


@given(st.integers(0, 10**21))
def test_engineering_is_accurate(number: int) -> None:
    """An abbreviated figure, read back, is within half of its fourth digit."""
    figure, _, prefix = engineering(number).partition(" ")
    assert abs(float(figure) * MULTIPLES[prefix] - number) <= 0.0005001 * number
    assert float(figure) < 1000 or prefix == "E"


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"),
        (1, "100 %"),
        (0.0, "0 %"),
        (1.0, "100 %"),
        (0.00003, "<0.01 %"),
        (5e-324, "<0.01 %"),
        (0.99999, ">99.99 %"),
        (math.nextafter(1, 0), ">99.99 %"),
        (58_621_952 / 714_188_480, "8.21 %"),
        (58_631_144 / 61_100_840, "95.96 %"),
        (217.7, "21,770.00 %"),
        (None, "unknown"),
        (math.nan, "unknown"),
    ],
)
def test_share(share: float | None, text: str) -> None:
    """Only an exact 0 is written as 0 %, and only an exact 1 as 100 %."""
    assert share_text(share) == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (1.0, "1×"),
        (1.00001, "1.00×"),
        (2.267, "2.27×"),
        (0, "0×"),
        (1e-9, "<0.01×"),
        (12_345.6, "12,346×"),
        (None, "unknown"),
    ],
)
def test_ratio(ratio: float | None, text: str) -> None:
    """Only an exact 1 is written as 1×."""
    assert ratio_text(ratio) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.000 KiB"), (4 * 61_100_840, "233.1 MiB"), (None, "unknown")],
)
def test_bytes(number: int | None, text: str) -> None:
    """Bytes have binary prefixes: 244,403,360 / 1024² = 233.1."""
    assert bytes_text(number) == text


def test_exact_figures() -> None:
    """Exact figures have thousands separators, differences a sign."""
    assert [thousands(value) for value in (0, 655_566_528, None)] == ["0", "655,566,528", "unknown"]
    assert [signed(value) for value in (0, 9216, -12, None)] == ["0", "+9,216", "-12", "unknown"]


def test_table_columns() -> None:
    """Unit and type of a column decide how its values are written; a missing value is unknown and not 0."""
    columns = (
        Column("layer", "name"),
        Column("multiplies", "count"),
        Column("macs_share", "share"),
        Column("flops_ratio", "ratio"),
        Column("bytes", "bytes"),
        Column("difference", "difference"),
        Column("trainable", "flag"),
    )
    rows = [("a", 2**70, 0.5, 1.0, 2048, 0, True), ("b", None, None, 2.0, 1, 5, False)]
    assert format_table(Table.of("layers", "Layers", columns, rows)) == {
        "layer": ["a", "b"],
        "multiplies": ["1,180,591,620,717,411,303,424", "unknown"],
        "macs_share": ["50.00 %", "unknown"],
        "flops_ratio": ["1×", "2.00×"],
        "bytes": ["2,048", "1"],
        "difference": ["0", "+5"],
        "trainable": ["yes", "no"],
    }


def test_lower_bounds_are_marked() -> None:
    """In a partial row a count is a lower bound; parameters are not."""
    columns = (Column("parameters", "count"), Column("macs", "count", bound=True), Column("status", "status"))
    table = Table.of("layers", "Layers", columns, [(5, 7, "complete"), (5, 7, "partial"), (5, None, "partial")])
    texts = format_table(table)
    assert (texts["parameters"], texts["macs"]) == (["5", "5", "5"], ["7", "≥7", "unknown"])


def test_numeric_columns() -> None:
    """Numbers with missing values are numeric; booleans, texts and empty columns are not."""
    table = Table.of("", "", [Column(name) for name in "abcd"], [(1, "x", True, None), (None, "y", False, None)])
    assert [is_numeric_column(table, name) for name in table] == [True, False, False, False]


def test_headline() -> None:
    """One line has the inputs, the cost with its unit, and the status."""
    assert headline(sample_profiles.alexnet()) == (
        "input 1×3×227×227 · 61.10 M parameters, 714.2 M multiplies, 714.2 M adds, 714.2 MMACs, 1.428 GFLOPs"
        " · complete · inference"
    )


def test_headline_of_a_partial_profile() -> None:
    """The cost is marked as a lower bound."""
    line = headline(sample_profiles.partial())
    assert "at least 5.328 k multiplies" in line
    assert "· partial ·" in line
