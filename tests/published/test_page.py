"""The page of published figures says what is tested."""

import pytest

from tests.published.literature import TABLES
from tests.published.page import INTRODUCTION, PAGE, detection_section, page, table_section

STALE = "write the page anew: python -m tests.published.page"


def test_the_page_shows_the_literature() -> None:
    """Each table of the literature as it stands in the tests."""
    text = PAGE.read_text(encoding="utf-8")
    for section in (INTRODUCTION, *map(table_section, TABLES), detection_section()):
        assert section in text, STALE


@pytest.mark.slow
def test_the_page_is_up_to_date() -> None:
    """The whole page, torchvision's networks measured again."""
    assert PAGE.read_text(encoding="utf-8") == page(), STALE


def test_a_difference_is_shown_with_its_reason() -> None:
    """ResNet-50: 289,184,256 MACs more than 3.8 G, by the place of the strides."""
    (resnets,) = (table_section(table) for table in TABLES if table.title == "ResNet")
    (row,) = (line for line in resnets.splitlines() if line.startswith("| ResNet-50 "))
    assert "| 3.8 G | 4,089,184,256 | +7.61% | 25,557,032 | 25,557,032 |  |" in row
    assert "stride" in row
