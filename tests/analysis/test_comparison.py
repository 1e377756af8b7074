"""Networks side by side: exact counts, shares, and ratios to the first network."""

from __future__ import annotations

from dataclasses import replace

import pytest

from profiler import catalog
from profiler.analysis.comparison import Compared, Selection, compare, comparison_table
from profiler.errors import ProfilerError
from profiler.render import comparison_report, render_files
from tests import sample_profiles

COLUMNS = [
    *("network", "input", "parameters", "multiplies", "adds", "macs", "flops"),
    *("conv_parameters_share", "linear_parameters_share", "attention_parameters_share"),
    *("conv_multiplies_share", "linear_multiplies_share", "attention_multiplies_share"),
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


def test_only_ratios_to_a_network_name_it() -> None:
    """The arithmetic intensity is no ratio of networks: it has no baseline, and no sign of a factor."""
    small = [sample_profiles.small(), sample_profiles.small()]
    for columns, named in ((("intensity",), False), (("intensity", "macs_ratio"), True)):
        text = render_files(comparison_report(small, Selection(columns=columns)), ["summary"])["summary.md"]
        assert isinstance(text, str)
        assert ("Ratios are to" in text) == named
        assert ("×" in text.split("##")[1]) == named


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


def test_any_figure_can_be_a_column() -> None:
    """Figures that the table does not have by default, their ratios, and shares of any kind of work in them."""
    columns = [
        "comparisons",
        "comparisons_ratio",
        "pool_comparisons_share",
        "by_fvcore",
        "trainable",
        "buffers",
        "input",
    ]
    alexnet = sample_profiles.alexnet()
    table = compare([alexnet, sample_profiles.small()], columns=columns)
    assert list(table.columns) == ["network", *columns]
    row = table.to_dict("records")[0]
    pooled = (64 * 27 * 27 + 192 * 13 * 13 + 256 * 6 * 6) * (3 * 3 - 1)
    assert row["pool_comparisons_share"] == pooled / alexnet.total.comparisons
    assert row["by_fvcore"] == alexnet.with_convention("fvcore").headline
    assert (row["comparisons_ratio"], row["trainable"], row["buffers"]) == (1.0, 61_100_840, 0)
    assert table["comparisons_ratio"].tolist() == [1.0, 0.0]


def test_every_measure_can_be_named() -> None:
    """The names are those of the files of measures, so a new one can be named at once."""
    names = [*catalog.measures(), *(f"{name}_ratio" for name in catalog.measures())]
    alexnet = sample_profiles.alexnet()
    table = compare([alexnet], columns=names)
    assert list(table.columns) == ["network", *names]
    for name in catalog.measures():
        if name == "parameter_bytes":
            assert table[name].tolist() == [alexnet.parameter_bytes]
        else:
            assert table[name].tolist() == [alexnet.figure(name) if alexnet.knows(name) else None]


def test_an_unknown_column_offers_the_nearest() -> None:
    """The nearest name, or what a name can be."""
    with pytest.raises(ProfilerError, match="did you mean 'multiplies'"):
        compare([sample_profiles.alexnet()], columns=["multiplys"])
    with pytest.raises(ProfilerError, match="expected a figure"):
        compare([sample_profiles.alexnet()], columns=["no_such"])


def test_rows_are_sorted_and_cut() -> None:
    """Figures from the largest on, texts from the first letter on; what is missing comes last."""
    networks = [sample_profiles.small(), sample_profiles.nothing(), sample_profiles.alexnet()]
    assert compare(networks, sort="macs")["network"].tolist() == ["alexnet", "small", "nothing"]
    assert compare(networks, sort="name")["network"].tolist() == ["alexnet", "nothing", "small"]
    shares = compare(networks, sort="linear_parameters_share")["network"].tolist()
    assert shares == ["alexnet", "small", "nothing"]
    assert compare(networks, top=2)["network"].tolist() == ["alexnet", "small"]
    assert compare(networks, top=1, sort="name", baseline="small")["macs_ratio"].tolist() == [714_188_480 / 5_328]
    with pytest.raises(ProfilerError, match="top: found 0"):
        compare(networks, top=0)


def test_the_baseline_can_be_chosen() -> None:
    """By name or target; ratios are to it, wherever it is."""
    networks = [sample_profiles.small(), sample_profiles.alexnet()]
    for name in ("alexnet", "nets:alexnet"):
        assert compare(networks, baseline=name)["macs_ratio"].tolist() == [5_328 / 714_188_480, 1.0]
    with pytest.raises(ProfilerError, match=r"not among the networks, expected one of small, alexnet"):
        compare(networks, baseline="resnet")


def test_equal_networks_have_numbers() -> None:
    """If neither the name nor the target distinguishes them."""
    one = sample_profiles.small()
    table = compare([one, one, sample_profiles.alexnet()])
    assert list(table.columns)[:2] == ["network", "number"]
    assert table["number"].tolist() == [1, 2, 3]


def test_a_failed_network_has_no_figures() -> None:
    """Its row says why; it cannot be what ratios are to unless it is named, and then there are none."""
    broken = Compared("broken", "nets:broken", reason="it does not run")
    networks = [broken, Compared.of(sample_profiles.small())]
    table = comparison_table(networks)
    row = table.records()[0]
    assert (row["status"], row["reason"], row["macs"], row["mode"]) == ("failed", "it does not run", None, None)
    assert table["macs_ratio"] == [None, 1.0]
    assert comparison_table(networks, Selection(baseline="broken"))["macs_ratio"] == [None, None]
    notes = [note.text for note in comparison_report(networks, Selection(baseline="broken")).notes]
    assert "There are no ratios, because their baseline broken failed." in notes
    named = comparison_table(networks, Selection(columns=("macs",)))
    assert list(named) == ["network", "macs", "status", "reason"]
