"""The page of published figures says what is tested."""

import pytest

from tests.published.detection import Costs, Survivors, detection_weights
from tests.published.literature import TABLES
from tests.published.page import (
    INTRODUCTION,
    PAGE,
    cost_row,
    distance,
    one_stage_row,
    page,
    parameters_section,
    survivors_row,
    table_section,
)

STALE = "write the page anew: python -m tests.published.page"


def test_the_page_shows_the_literature() -> None:
    """Each table of the literature as it stands in the tests, and the parameters of the detection networks."""
    text = PAGE.read_text(encoding="utf-8")
    for section in (INTRODUCTION, *map(table_section, TABLES), parameters_section()):
        assert section in text, STALE


def test_the_page_shows_a_real_run() -> None:
    """The lines of two detection networks, run again."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    weights = {one.network: one for one in detection_weights()}
    network = "fasterrcnn_mobilenet_v3_large_320_fpn"
    assert cost_row(network) in lines, STALE
    assert survivors_row(weights[network]) in lines, STALE
    assert one_stage_row(weights["ssdlite320_mobilenet_v3_large"]) in lines, STALE


@pytest.mark.exhaustive
def test_the_page_is_up_to_date() -> None:
    """The whole page, torchvision's networks measured again."""
    assert PAGE.read_text(encoding="utf-8") == page(), STALE


def test_a_difference_is_shown_with_its_reason() -> None:
    """ResNet-50: 289,184,256 MACs more than 3.8 G, by the place of the strides."""
    (resnets,) = (table_section(table) for table in TABLES if table.title == "ResNet")
    (row,) = (line for line in resnets.splitlines() if line.startswith("| ResNet-50 "))
    assert "| 3.8 G | 4,089,184,256 | +7.61% | 25,557,032 | 25,557,032 |  |" in row
    assert "stride" in row


def test_a_distance_is_shown_as_its_parts() -> None:
    """375 proposals less and 3 detections more, of 10 and 1,000 each; nothing where there is none."""
    cost = Costs(5, 10, 1000)
    assert distance(Survivors(625, 3), Survivors(1000), cost) == "−750 = −375 × 10 + 3 × 1,000"
    assert distance(Survivors(0, 4), Survivors(0, 1), cost) == "+3,000 = 3 × 1,000"
    assert distance(Survivors(1, 1), Survivors(1, 1), cost) == ""
