"""The page of published figures on serving and training is that of the stored figures, and these are ours."""

from __future__ import annotations

import json

import pytest

import profiler
from profiler.throughput import Throughput
from tests.serving.page import PAGE, STORED, derived, terms, text
from tests.serving.published import (
    FEW,
    LLAMA_405B,
    LLAMA_RUNS,
    PALM_BLOCKS,
    PALM_LENGTH,
    PALM_THROUGHPUT,
    llama_with,
    palm_with,
    sequence_of,
    training_of,
)

FOUND = json.loads(STORED.read_text(encoding="utf-8"))


def test_the_page_is_up_to_date() -> None:
    """It is written from the stored figures; ``python -m tests.serving.page`` writes it again."""
    assert text(FOUND) == PAGE.read_text(encoding="utf-8")


def test_terms_have_to_add_up() -> None:
    """A difference without a name is an error."""
    assert "+3" in terms(5, 2, [("a part", "n", 3)])
    with pytest.raises(AssertionError):
        terms(5, 2, [("a part", "n", 2)])


def test_palm_has_its_published_utilization() -> None:
    """46.2 % at 238.3k tokens per second on 6,144 chips of 275 TFLOP/s; the formula of appendix B is ours and norms."""
    found = FOUND["palm"]
    per_token = found["flops"] // PALM_LENGTH
    assert per_token == 6 * (found["parameters"] - found["norms"]) + 12 * PALM_BLOCKS * 48 * 256 * PALM_LENGTH
    rate = Throughput.read(**PALM_THROUGHPUT).rate(PALM_LENGTH)
    assert round(float(per_token * rate / (6144 * 275 * 10**12)), 3) == 0.462


def test_llama_405b_has_its_published_utilizations() -> None:
    """The published TFLOP/s, which are rounded to tens, are the published percent of 989.4."""
    for _, _, tera, percent in LLAMA_RUNS:
        assert (tera - 5) / 989.4 <= (percent + 0.5) / 100
        assert (tera + 5) / 989.4 >= (percent - 0.5) / 100
    found, width = FOUND["llama_405b"]["8192"], LLAMA_405B["hidden_size"]
    matrices = found["parameters"] - found["norms"] - width * LLAMA_405B["vocab_size"]
    assert found["flops"] == 8192 * (6 * matrices + 12 * LLAMA_405B["num_hidden_layers"] * width * 8192)


@pytest.mark.slow
def test_figures_are_lines_in_the_number_of_blocks() -> None:
    """Three blocks have what lies between two and four, of PaLM and of LLaMA."""
    for build in (palm_with, llama_with):
        few, between, more = (training_of(build(number), 32) for number in (FEW[0], 3, FEW[1]))
        assert all(2 * between[key] == few[key] + more[key] for key in few)


@pytest.mark.slow
def test_the_profile_computes_the_utilization() -> None:
    """The table has the MFU of the formula, and the days of the budget."""
    step = profiler.profile(palm_with(1), {"tokens": sequence_of(32)}, mode="training").with_device("tpu_v4")
    run = step.with_throughput(**PALM_THROUGHPUT)  # type: ignore[arg-type]
    row = run.tabulated("utilization").records()[0]
    parameters = step.parameters_total - sum(
        record.size for record in step.trace.parameters if len(record.shape) == 1 and not record.buffer
    )
    per_token = 6 * parameters + 12 * 48 * 256 * 32
    assert row["utilization"] == pytest.approx(per_token * 238_300 / (6144 * 275e12))
    assert run.tabulated("training_run").records()[0]["days"] == pytest.approx(780e9 / 238_300 / 86400)


@pytest.mark.exhaustive
def test_the_stored_figures_are_those_of_the_networks() -> None:
    """Every network is run again on meta."""
    assert derived() == FOUND
