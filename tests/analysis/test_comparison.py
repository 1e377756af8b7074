"""Networks side by side: exact counts, shares, and ratios to the first network."""

from __future__ import annotations

from dataclasses import replace

import pytest

from profiler.analysis.comparison import compare
from profiler.errors import ProfilerError
from profiler.render import comparison_report, render_files
from tests import sample_profiles

COLUMNS = [
    *("network", "input", "parameters", "multiplies", "adds", "macs", "flops"),
    *("conv_parameters_share", "linear_parameters_share", "conv_multiplies_share", "linear_multiplies_share"),
    *("parameters_ratio", "macs_ratio", "flops_ratio", "status", "mode"),
]


def test_a_network_equals_itself() -> None:
    """compare(a, a) gives ratios of exactly 1, also if a part is uncounted."""
    for profile in (sample_profiles.alexnet(), sample_profiles.partial()):
        table = compare([profile, profile])
        ratios = table[[name for name in COLUMNS if name.endswith("_ratio")]].to_numpy().tolist()
        assert ratios == [[1.0, 1.0, 1.0]] * 2


def test_networks_with_one_name_show_their_targets() -> None:
    """The column exists only if two rows have the same name."""
    first, other = sample_profiles.alexnet(), sample_profiles.partial()
    same = replace(other, name=first.name)
    assert list(compare([first, other]).columns) == COLUMNS
    table = compare([first, same, other])
    assert list(table.columns)[:2] == ["network", "target"]
    assert table["target"].tolist() == [first.target, same.target, other.target]
    texts = render_files(comparison_report([first, same]), ("csv", "markdown"))
    assert all("target" in text for text in texts.values())


def test_the_figures_of_the_reference_network() -> None:
    """They are exact, and its shares are computed by hand."""
    row = compare([sample_profiles.alexnet()]).to_dict("records")[0]
    assert row["parameters"] == 61_100_840
    assert row["multiplies"] == row["adds"] == row["macs"] == 655_566_528 + 58_621_952
    assert row["linear_parameters_share"] == 58_631_144 / 61_100_840
    assert row["conv_parameters_share"] == 2_469_696 / 61_100_840
    assert row["linear_multiplies_share"] == 58_621_952 / 714_188_480
    assert row["conv_multiplies_share"] == 655_566_528 / 714_188_480
    assert (row["network"], row["input"]) == ("alexnet", "1×3×227×227")
    assert (row["status"], row["mode"]) == ("complete", "inference")


def test_ratios_are_to_the_first() -> None:
    """The small network has 3,888 + 1,440 MACs and 112 + 1,450 parameters."""
    table = compare([sample_profiles.small(), sample_profiles.alexnet()])
    assert table["macs_ratio"].tolist() == [1.0, 714_188_480 / (3_888 + 1_440)]
    assert table["parameters_ratio"].tolist() == [1.0, 61_100_840 / (112 + 1_450)]


def test_a_ratio_to_zero_is_missing() -> None:
    """A share of zero is missing too, and not 0 or infinite."""
    table = compare([sample_profiles.nothing(), sample_profiles.small()])
    assert table["macs_ratio"].tolist() == [None, None]
    assert table["linear_parameters_share"].tolist() == [None, 1_450 / 1_562]
    assert table["flops"].tolist() == [0, 2 * 5_328]


def test_columns_and_exact_integers() -> None:
    """The columns are the declared ones, and a count beyond 64 bits stays exact."""
    table = compare([sample_profiles.wide(2**65 + 1)])
    assert list(table.columns) == COLUMNS
    assert table["multiplies"].tolist() == [2**65 + 1]


def test_a_partial_profile_is_marked() -> None:
    """It is a network with uncounted work."""
    assert compare([sample_profiles.small(), sample_profiles.partial()])["status"].tolist() == ["complete", "partial"]


def test_a_comparison_of_nothing_is_an_error() -> None:
    """The error is one line."""
    with pytest.raises(ProfilerError, match="at least one profile"):
        compare([])
