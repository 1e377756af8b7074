"""Whole networks in words: what holds the parameters, what does the work, and why."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from profiler.analysis.explaining import explain
from profiler.formatting import ratio_text, share_text
from profiler.profiles import Profile
from tests import sample_profiles
from tests.analysis.explaining import networks
from tests.config_profiles import of_config

CONV = 64 * 3 * 11 * 11, 192 * 64 * 5 * 5, 384 * 192 * 3 * 3, 256 * 384 * 3 * 3, 256 * 256 * 3 * 3
POSITIONS = 55 * 55, 27 * 27, 13 * 13, 13 * 13, 13 * 13
LINEAR = 256 * 6 * 6 * 4096, 4096 * 4096, 4096 * 1000


def words(profile: Profile, name: str | None = None) -> str:
    """The explanation on one line."""
    return " ".join(explain(profile, name).text.split())


def test_the_lesson_of_alexnet() -> None:
    """Linear layers hold most parameters and do little work, because each weight is used once."""
    text = words(sample_profiles.alexnet())
    conv_parameters, linear_parameters = sum(CONV) + 64 + 192 + 384 + 256 + 256, sum(LINEAR) + 4096 + 4096 + 1000
    conv_macs = sum(weights * positions for weights, positions in zip(CONV, POSITIONS, strict=True))
    linear_macs = sum(LINEAR)
    held = share_text(linear_parameters / (conv_parameters + linear_parameters))
    done = share_text(linear_macs / (conv_macs + linear_macs))
    assert f"Linear layers hold {held} of the parameters and do {done} of the multiplies." in text
    assert (held, done) == ("95.96 %", "8.21 %")
    assert (
        f"Convolutions: {conv_macs:,} MACs / {conv_parameters:,} parameters = {conv_macs / conv_parameters:.0f} uses"
        in text
    )
    assert f"Linear layers: {linear_macs:,} MACs / {linear_parameters:,} parameters = 1.00 uses" in text


def test_what_is_missing_is_named() -> None:
    """A partial profile says what is not counted; its figures are lower bounds."""
    text = words(sample_profiles.partial())
    assert "What is missing" in text
    assert "mylib::odd, called once: not counted" in text
    assert "at least" in text
    assert "No operation reads 49 parameters." in text


def test_a_network_without_work() -> None:
    """Nothing is divided by zero, and nothing is claimed."""
    text = words(sample_profiles.nothing())
    assert "it has 0 parameters" in text
    assert "costliest" not in text


def known_numbers(profile: Profile) -> set[str]:
    """Every number of the tables, as text."""
    found: set[str] = set()
    for name in ("shares", "layers", "modules", "operations", "parameters", "uncounted", "training"):
        table = profile.tabulated(name)
        for column in table.columns:
            for value in table[column.name]:
                if isinstance(value, int) and not isinstance(value, bool):
                    found.add(f"{value:,}")
                elif isinstance(value, float):
                    found |= {share_text(value).removesuffix(" %"), ratio_text(value).removesuffix("×")}
    return found


def unknown_numbers(profile: Profile, text: str) -> set[str]:
    """The numbers in a text that no table has, without those of shapes and of names."""
    text = re.sub(r"\d+(?:×\d+)+|[A-Za-z_.]+\d[\w.]*|\(±?1×1\)", " ", text)
    numbers = set(re.findall(r"\d[\d,]*(?:\.\d+)?", text))
    return {number.rstrip(",") for number in numbers} - known_numbers(profile)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alexnet", "mobilenet_v2", "transformer_training", "llama_decode"])
def test_large_numbers_of_a_network_are_in_its_tables(name: str) -> None:
    """A count that no table has is a sum of counts: of a kind in the forward pass, or of a counter."""
    profile = of_config(name)
    text = explain(profile).text.partition("Other counters")[0]
    forward: dict[str, int] = {}
    for tally in profile.work.tallies:
        if tally.call.phase == "forward":
            forward[tally.call.kind] = forward.get(tally.call.kind, 0) + tally.call.count.macs * tally.times
    comparisons: dict[str, int] = {}
    for tally in profile.work.tallies:
        comparisons[tally.call.kind] = comparisons.get(tally.call.kind, 0) + tally.call.count.comparisons * tally.times
    also = {f"{number:,}" for number in (*forward.values(), sum(forward.values()), *comparisons.values())}
    left = {number for number in unknown_numbers(profile, text) - also if len(number) > 5}
    depthwise = {"20,716,416", "267,939,840"} if name == "mobilenet_v2" else set()
    assert left <= depthwise


def test_an_invented_number_is_seen() -> None:
    """The check above is able to fail."""
    profile = sample_profiles.alexnet()
    assert "123,456,789" in unknown_numbers(profile, "It has 123,456,789 parameters.")
    assert not unknown_numbers(
        profile, f"It has {profile.parameters_total:,} parameters in features.conv1, 1×3×227×227."
    )


@pytest.mark.slow
def test_depthwise_convolutions() -> None:
    """Their MACs, and those of pointwise ones, by hand from MobileNet's blocks."""
    blocks = [(1, 32, 16, 1, 1, 112), (6, 16, 24, 2, 2, 112), (6, 24, 32, 3, 2, 56), (6, 32, 64, 4, 2, 28)]
    blocks += [(6, 64, 96, 3, 1, 14), (6, 96, 160, 3, 2, 14), (6, 160, 320, 1, 1, 7)]
    depthwise = pointwise = 0
    for expansion, channels, out, repeats, stride, size in blocks:
        for repeat in range(repeats):
            inner, before = channels * expansion, size
            size = size // stride if repeat == 0 else size
            pointwise += (before * before * channels * inner if expansion > 1 else 0) + size * size * inner * out
            depthwise += size * size * inner * 9
            channels = out
    pointwise += 7 * 7 * 320 * 1280
    text = words(of_config("mobilenet_v2"))
    assert f"do {depthwise:,} of" in text
    assert f"which mix the channels, do {pointwise:,}" in text


@pytest.mark.slow
def test_attention_of_a_decoder() -> None:
    """One query for each head, and grouped keys."""
    text = words(of_config("llama_decode"), "scaled_dot_product_attention")
    assert "B·heads·L_q·L_k·(d_k + d_v) = 1·8·1·2049·(64 + 64) = 2,098,176 MACs" in text
    assert "Groups of 4 heads share their keys and values" in text
    assert "1 query" not in words(of_config("llama_decode"))
    assert "Each head has one query, the next token, and 2,049 keys" in words(of_config("llama_decode"))


@pytest.mark.slow
def test_training_is_compared_with_the_forward_pass() -> None:
    """Input and weight gradient, and a first layer that needs no input gradient."""
    profile = networks.training()
    first, second = words(profile, "0"), words(profile, "3")
    forward = 2 * 4 * 4 * 4 * (4 // 2) * 9
    assert f"Forward {forward:,} MACs, input gradient {forward:,}, weight gradient {forward:,}" in second
    assert "costs 2.00× the forward pass" in second or "costs 2× the forward pass" in second
    assert "No input gradient is computed" in first
    assert "Bias gradient: each channel sums" in first
    linear = words(profile, "5")
    for sentence in (
        "Input gradient: the gradient of the result times the weight.",
        "Weight gradient:",
        "Bias gradient:",
    ):
        assert sentence in linear


@pytest.mark.parametrize("make", [sample_profiles.alexnet, sample_profiles.partial])
def test_an_operator_sums_up_to_its_row(make: Callable[[], Profile]) -> None:
    """The table of an operator's layers ends with the sum, which is that of the table of operations."""
    profile = make()
    rows = [row for row in profile.tabulated("operations").records() if row["op"] == "aten::conv2d"]
    text = words(profile, "conv2d")
    macs = sum(row["macs"] for row in rows)
    assert f"{macs:,} of {profile.total.macs:,} MACs" in text
