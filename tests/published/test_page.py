"""The page of published figures shows what is tested."""

import pytest

from tests.published.detection import Costs, Survivors, detection_weights
from tests.published.literature import TABLES
from tests.published.page import (
    PAGE,
    cost_row,
    distance,
    one_stage_row,
    opening,
    page,
    parameters_section,
    summary,
    survivors_row,
    table_section,
)

pytestmark = pytest.mark.slow  # the page holds whole networks

STALE = "write the page again: python -m tests.published.page"


def test_the_page_shows_the_literature() -> None:
    """It opens with the literature of the tests, and has the parameters of the detection networks."""
    text = PAGE.read_text(encoding="utf-8")
    assert text.startswith(opening()), STALE
    assert parameters_section() in text, STALE


def test_figures_are_counted() -> None:
    """ResNet has 10 figures, of which four differ; of EfficientNet's 16 five do, one of them with a reason."""
    (resnets,) = (table for table in TABLES if table.title == "ResNet")
    (efficientnets,) = (table for table in TABLES if table.title == "EfficientNet")
    assert "10 figures of the literature, 6 print as published, 4 differ for a reason" in summary([resnets])
    assert "16 figures of the literature, 11 print as published, 1 differ for a reason" in summary([efficientnets])
    assert "and 4 are not explained" in summary([efficientnets])


def test_the_page_shows_a_real_run() -> None:
    """The lines of two detection networks equal a second run."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    weights = {one.network: one for one in detection_weights()}
    network = "fasterrcnn_mobilenet_v3_large_320_fpn"
    assert cost_row(network) in lines, STALE
    assert survivors_row(weights[network]) in lines, STALE
    assert one_stage_row(weights["ssdlite320_mobilenet_v3_large"]) in lines, STALE


@pytest.mark.exhaustive
def test_the_page_is_up_to_date() -> None:
    """Every torchvision network is measured again for it."""
    assert PAGE.read_text(encoding="utf-8") == page(), STALE


def test_a_difference_is_shown_with_its_reason() -> None:
    """ResNet-50 has 289,184,256 MACs more than 3.8 G, because of the place of the strides."""
    (resnets,) = (table_section(table) for table in TABLES if table.title == "ResNet")
    (row,) = (line for line in resnets.splitlines() if line.startswith("| ResNet-50 "))
    assert "| 3.8 G | 4,089,184,256 | +7.61% | 25,557,032 | 25,557,032 |  |" in row
    assert row.endswith("in the 3×3; and cut, not rounded: 3,857,973,248 |")


def test_a_distance_is_shown_as_a_sum() -> None:
    """The example is 375 proposals less and 3 detections more, of 10 and 1,000 each; a distance of 0 is empty."""
    cost = Costs(5, 10, 1000)
    assert distance(Survivors(625, 3), Survivors(1000), cost) == "−750 = −375 × 10 + 3 × 1,000"
    assert distance(Survivors(0, 4), Survivors(0, 1), cost) == "+3,000 = 3 × 1,000"
    assert distance(Survivors(1, 1), Survivors(1, 1), cost) == ""
