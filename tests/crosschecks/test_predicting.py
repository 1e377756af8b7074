"""What other counters report by their rules, compared with what they reported."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from profiler.crosschecks.predicting import predictable, predictions
from tests import sample_profiles
from tests.crosschecks.page import Measured, read

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")

DEAD = {"dead branch"}
"""Exhibits with results that nothing uses: counters that trace a graph drop them, which the records do not show."""

NETWORKS = ("torchvision:mobilenet_v2", "torchvision:vit_b_16", "transformers:GPT2Model")


def wrong(measured: Iterable[Measured]) -> tuple[int, list[tuple[str, str, str, int, int]]]:
    """The number of predictions, and those that are not what the counter reported."""
    checked, found = 0, []
    for one in measured:
        for counter in predictable():
            if one.records[counter].status != "ok":
                continue
            reported = {row.layer: row.figure for row in one.rows[counter]}
            for module, prediction in predictions(one.profile.trace, counter).items():
                checked += 1
                assert prediction.figure == prediction.macs + sum(part.amount for part in prediction.parts)
                if prediction.figure != reported.get(module, 0):
                    found.append((one.name, counter, module, prediction.figure, reported.get(module, 0)))
    return checked, found


@pytest.mark.slow
def test_predictions_are_what_counters_report_of_small_modules() -> None:
    """On every exhibit of the museum."""
    checked, found = wrong(read("museum"))
    assert [item for item in found if item[0] not in DEAD] == []
    assert checked > 500


@pytest.mark.slow
def test_predictions_are_what_counters_report_of_networks() -> None:
    """On every layer of networks."""
    checked, found = wrong(read("networks", NETWORKS))
    assert found == []
    assert checked > 1000


def test_a_bias_is_predicted() -> None:
    """torchinfo counts the bias of a convolution as a MAC for each result."""
    found = predictions(sample_profiles.alexnet().trace, "torchinfo")["features.conv1"]
    assert found.figure - found.macs == 64 * 55 * 55
    assert [part.reason.code for part in found.parts] == ["bias"]


def test_one_module_is_predicted_alone() -> None:
    """The same as among all."""
    trace = sample_profiles.alexnet().trace
    assert predictions(trace, "fvcore", "avgpool") == {"avgpool": predictions(trace, "fvcore")["avgpool"]}


def test_counters_whose_reports_need_a_run_are_not_predicted() -> None:
    """Those that depend on how code calls a function, or count what the records do not have."""
    assert predictable() == ("fvcore", "torch", "thop", "torchinfo", "calflops")
