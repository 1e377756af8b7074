"""timm's table: each stored row prints as published or differs for a named reason, and is measured again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.published.timm_page import PAGE, REASONS, page
from tests.published.timm_rows import AS_BUILT, NOT_THERE, REPARAMETERIZED, Row, measured, rows

SAMPLE = {
    "test_efficientnet": AS_BUILT,
    "resnet18": AS_BUILT,
    "convmixer_768_32": AS_BUILT,
    "sequencer2d_s": AS_BUILT,
    "mobileone_s0": REPARAMETERIZED,
    "levit_128s": REPARAMETERIZED,
    "ghostnetv3_050": REPARAMETERIZED,
}
LARGE = ("sequencer2d_s", "ghostnetv3_050")
"""Those that take several seconds."""


def test_every_difference_has_a_reason() -> None:
    """A row that does not print as published names its reason, and no other row has one."""
    differ = {row.network for row in rows() if not row.agrees and row.form != NOT_THERE}
    assert differ == set(REASONS)


def test_a_wrong_figure_is_seen() -> None:
    """One hundredth of a billion more or less prints differently."""
    row = next(row for row in rows() if row.network == "resnet18")
    assert row.agrees
    assert not replace(row, figure=row.figure + 10**7).agrees
    assert not replace(row, parameters=row.parameters - 10**4).agrees


def test_the_page_is_up_to_date() -> None:
    """``python -m tests.published.timm_page`` would change nothing."""
    assert page(rows()) == PAGE.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(
    "network",
    [pytest.param(name, marks=pytest.mark.exhaustive) if name in LARGE else name for name in SAMPLE],
)
def test_a_sample_is_measured_again(network: str) -> None:
    """Networks of each form have their stored figures, at their smallest size."""
    row = next(row for row in rows() if row.network == network)
    assert row.form == SAMPLE[network]
    assert measured(replace(row, form="", figure=0, parameters=0)) == row


@pytest.mark.exhaustive
@pytest.mark.parametrize("row", rows()[::10], ids=lambda row: f"{row.network}-{row.size}")
def test_every_tenth_row_is_measured_again(row: Row) -> None:
    """The figures equal the stored ones."""
    assert measured(replace(row, form="", figure=0, parameters=0)) == row
