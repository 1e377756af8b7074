"""Profiles and their baselines: any growth above the tolerance fails, and its layers are named."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from profiler.budgets.baselines import compared as compared_figures
from profiler.budgets.baselines import load_baseline
from profiler.errors import ConfigError, StoredProfileError
from profiler.profiles import Profile
from profiler.records import Unseen
from tests import sample_profiles as nets
from tests.budgets.checks import compared, grown, verdicts


def test_a_profile_is_not_above_itself() -> None:
    """Every figure of the table of modules is compared."""
    result = compared(nets.alexnet(), nets.alexnet())
    assert result.passed
    assert [finding.figure for finding in result.findings] == [measure.name for measure in compared_figures()]
    assert {"parameters", "multiplies", "adds", "macs", "flops"} <= {finding.figure for finding in result.findings}
    assert (result.remarks, result.grown) == ((), ())


def test_any_growth_fails() -> None:
    """One MAC more is over, and so are the figures that it is made of."""
    result = compared(nets.wide(101), nets.wide(100))
    assert verdicts(result) == {"baseline.multiplies": "over", "baseline.flops": "over"}
    (multiplies, _) = result.failures
    assert (multiplies.before, multiplies.actual, multiplies.by) == (100, 101, 1)
    assert multiplies.by_share == Fraction(1, 100)


@pytest.mark.parametrize(
    ("after", "tolerance", "passed"),
    [(101, "1%", True), (102, "1%", False), (101, "0.9%", False), (200, "100%", True), (201, "100%", False)],
)
def test_a_tolerance_is_exact(after: int, tolerance: str, passed: bool) -> None:
    """Growth of exactly the tolerance is allowed."""
    assert compared(nets.wide(after), nets.wide(100), tolerance).passed is passed


def test_a_tolerance_is_exact_for_large_counts() -> None:
    """No floating-point number could tell these two apart."""
    before, most = 10**18 + 100, 10**18 + 10**16 + 101
    assert most != int(float(most))
    assert compared(nets.wide(most), nets.wide(before), "1%").passed
    assert not compared(nets.wide(most + 1), nets.wide(before), "1%").passed


def test_growth_from_nothing_fails_with_any_tolerance() -> None:
    """A percentage of 0 is 0."""
    before = nets.Network("net", (1, 4)).linear("fc", 3).profile()
    after = nets.Network("net", (1, 4)).linear("fc", 3).relu("relu").profile()
    result = compared(after, before, "50%")
    assert verdicts(result) == {"baseline.comparisons": "over"}
    assert result.failures[0].by_share is None


def test_what_shrinks_is_reported() -> None:
    """It is no failure."""
    result = compared(nets.wide(75), nets.wide(100))
    assert result.passed
    assert result.remarks == ("Smaller than the baseline: multiplies by 25 (25.00 %), FLOPs by 25 (25.00 %).",)


def test_the_layers_that_grew_are_named() -> None:
    """Changed and added ones, with what they had before; those that did not grow are not named."""
    result = compared(grown(), nets.small())
    layers = {finding.key: finding.layers for finding in result.failures}
    macs = [(layer.name, layer.before, layer.figure, layer.change) for layer in layers["baseline.macs"]]
    assert macs == [
        ("conv", 4 * 36 * 27, 6 * 36 * 27, "shapes, parameters, cost"),
        ("fc", 10 * 144, 10 * 216, "shapes, parameters, cost"),
        ("head", 0, 3 * 10, "added"),
    ]
    rows = {layer.name: layer.differences for layer in result.grown}
    assert rows["head"] == {
        "parameters": 3 * 10 + 3,
        "multiplies": 3 * 10,
        "adds": 3 * 10,
        "macs": 3 * 10,
        "flops": 2 * 3 * 10,
    }
    for figure in ("parameters", "macs"):
        growth = sum(row[figure] for row in rows.values())
        assert growth == grown().figure(figure) - nets.small().figure(figure)


def test_a_renamed_layer_did_not_grow() -> None:
    """It is lined up with the layer of the old name."""
    before = nets.Network("net", (1, 4)).linear("a", 5).linear("b", 6).profile()
    after = nets.Network("net", (1, 4)).linear("x", 5).linear("y", 7).profile()
    result = compared(after, before)
    assert [(layer.name, layer.change) for layer in result.grown] == [("y", "shapes, parameters, cost; was b")]


def odd(width: int, op: str = "mylib::odd", calls: int = 1) -> Profile:
    """A linear layer and an operation without a rule."""
    net = nets.Network("net", (1, 4)).linear("fc", width)
    for number in range(calls):
        net.uncounted(f"odd{number}", op)
    return net.profile()


def test_the_same_uncounted_operations_cost_the_same() -> None:
    """So two partial profiles can be compared if the later one has no others; growth of the rest is seen."""
    assert compared(odd(5), odd(5)).passed
    assert compared(odd(5, calls=1), odd(5, calls=2)).passed
    assert verdicts(compared(odd(6), odd(5)))["baseline.macs"] == "over"


@pytest.mark.parametrize("after", [odd(5, "mylib::other"), odd(5, calls=3), odd(4)])
def test_other_uncounted_operations_prove_nothing(after: Profile) -> None:
    """Another operator, one more call, or the same operator on another shape could cost anything."""
    result = compared(after, odd(5, calls=2))
    assert verdicts(result)["baseline.macs"] == "not proven"
    assert "baseline.parameters" not in verdicts(result)


def test_unseen_work_proves_nothing() -> None:
    """It could be more than what was not seen in the baseline."""

    def unseen(module: str) -> Profile:
        profile = nets.small()
        return replace(profile, trace=replace(profile.trace, unseen=(Unseen(module, "it calls NumPy"),)))

    assert "baseline.macs" in verdicts(compared(unseen("fc"), unseen("fc")))
    assert compared(unseen("fc"), unseen("fc"), complete=False).passed
    assert compared(nets.small(), unseen("fc")).passed


def test_a_network_that_becomes_partial_does_not_pass() -> None:
    """Unless its budget accepts that."""
    before = nets.Network("net", (1, 4)).linear("fc", 5).profile()
    assert set(verdicts(compared(odd(5), before)).values()) == {"not proven"}
    assert compared(odd(5), before, complete=False).passed
    assert "baseline.macs" in verdicts(compared(odd(5), before, complete=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": "training"}, "base.json: mode: found training, expected inference as in small"),
        ({"method": "encode"}, "base.json: method: found encode, expected forward"),
        ({"part": "conv"}, "base.json: part: found conv, expected none"),
        ({"cache": 5}, "base.json: cache: found 5, expected none"),
    ],
)
def test_another_kind_of_run_is_refused(change: dict[str, object], message: str) -> None:
    """The figures of the two could not be compared."""
    with pytest.raises(ConfigError) as caught:
        compared(nets.small(), replace(nets.small(), **change))  # type: ignore[arg-type]
    assert str(caught.value).startswith(message)
    assert "--update" in str(caught.value)


def test_other_exclusions_are_refused() -> None:
    """A smaller figure would not be one of a smaller network."""
    with pytest.raises(ConfigError, match=r"^base\.json: exclude: found none, expected fc as in small"):
        compared(nets.small().excluding("fc"), nets.small())


def test_another_input_and_target_are_reported() -> None:
    """They may explain a figure."""
    other = nets.Network("small", (2, 3, 8, 8)).conv("conv", 4, 3, (6, 6)).linear("fc", 10).profile()
    result = compared(nets.small(), replace(other, target="nets:other"))
    assert result.remarks[:2] == (
        "The baseline has the input 2×3×8×8, and this profile 1×3×8×8.",
        "The baseline is of the target nets:other, and this profile of nets:small.",
    )


def test_a_baseline_is_loaded_from_a_file(tmp_path: Path) -> None:
    """The saved profile itself; a missing file is refused in one line."""
    nets.small().save(tmp_path / "small.json")
    baseline = load_baseline(tmp_path / "small.json", Fraction(1, 100))
    assert baseline.profile.figure("macs") == nets.small().figure("macs")
    assert (baseline.tolerance, baseline.remarks) == (Fraction(1, 100), ())
    with pytest.raises(StoredProfileError, match="cannot be read"):
        load_baseline(tmp_path / "none.json")


def test_a_baseline_is_counted_by_the_rules_of_this_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of the rules is not taken for one of the network, and is reported."""
    nets.wide(100).save(tmp_path / "wide.json")
    monkeypatch.setattr(Profile, "priced_again", lambda self: nets.wide(110))
    baseline = load_baseline(tmp_path / "wide.json")
    assert baseline.remarks == (
        "The baseline is counted by the rules of this version: multiplies 100 → 110, FLOPs 100 → 110.",
    )
