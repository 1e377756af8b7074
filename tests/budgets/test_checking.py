"""Profiles and budgets: what is within a limit, and what a partial profile proves."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import profiler
from profiler.budgets.checking import check_profile
from profiler.errors import ConfigError
from profiler.profiles import Profile
from profiler.records import Unseen
from tests import sample_profiles as nets
from tests.budgets.checks import budget, checked, only, verdicts

CONV_MACS, FC_MACS = 4 * 6 * 6 * 3 * 3 * 3, 10 * 4 * 6 * 6
CONV_PARAMETERS, FC_PARAMETERS = 4 * 3 * 3 * 3 + 4, 10 * 144 + 10
MACS, PARAMETERS = CONV_MACS + FC_MACS, CONV_PARAMETERS + FC_PARAMETERS


@pytest.mark.parametrize(
    ("figure", "actual"),
    [
        ("macs", MACS),
        ("multiplies", MACS),
        ("adds", MACS),
        ("flops", 2 * MACS),
        ("parameters", PARAMETERS),
        ("trainable", PARAMETERS),
        ("comparisons", 0),
        ("macs_on_padding", 0),
        ("causal_macs", MACS),
    ],
)
def test_figures_of_the_whole_network(figure: str, actual: int) -> None:
    """A limit of exactly the figure is kept; one less is over by 1."""
    finding = only(checked(nets.small(), **{figure: actual}))
    assert (finding.actual, finding.verdict, finding.by, finding.layers) == (actual, "kept", 0, ())
    if actual:
        finding = only(checked(nets.small(), **{figure: actual - 1}))
        assert (finding.verdict, finding.by, finding.by_share) == ("over", 1, Fraction(1, actual - 1))


def test_the_layers_that_did_it() -> None:
    """They are the costliest in this figure, which is another order for parameters than for MACs."""
    result = checked(nets.small(), macs=1, parameters=1)
    layers = [[(layer.name, layer.type, layer.figure) for layer in finding.layers] for finding in result.findings]
    assert layers == [
        [("conv", "Conv2d", CONV_MACS), ("fc", "Linear", FC_MACS)],
        [("fc", "Linear", FC_PARAMETERS), ("conv", "Conv2d", CONV_PARAMETERS)],
    ]
    (finding,) = checked(nets.many(9), parameters=1).findings
    assert [layer.name for layer in finding.layers] == [f"blocks.{number}.fc" for number in (8, 7, 6, 5, 4)]
    assert finding.layers_in_all == 9


@pytest.mark.parametrize(
    ("limit", "verdict", "by"),
    [
        ("< 5_328", "over", 1),
        ("<= 5_326.5", "over", 2),
        ("< 5_330", "kept", 1),
        ("<= 5_330.5", "kept", 2),
        ("> 5_328", "below", 1),
        (">= 5_329.5", "below", 2),
        ("5_000..5_327", "over", 1),
        ("5_329..6_000", "below", 1),
        ("== 5_328", "kept", 0),
    ],
)
def test_by_how_much(limit: str, verdict: str, by: int) -> None:
    """It is the whole number by which the figure has to change, or may still grow."""
    assert MACS == 5328
    finding = only(checked(nets.small(), macs=limit))
    assert (finding.verdict, finding.by) == (verdict, by)


def nested(name: str = "nested") -> Profile:
    """A backbone of two blocks and a head, with 1 parameter of the root and a tied one of the head."""
    net = nets.Network(name, (1, 4))
    net.linear("backbone.block.fc", 5).relu("backbone.block.relu").linear("backbone.neck", 6).linear("head", 7)
    return net.parameter("scale", (1,), "linear", trainable=False).profile()


@pytest.mark.parametrize(
    ("pattern", "macs", "parameters"),
    [
        ("backbone", 4 * 5 + 5 * 6, 5 * 5 + 6 * 6),
        ("backbone.*", 4 * 5 + 5 * 6, 5 * 5 + 6 * 6),
        ("backbone.block*", 4 * 5, 5 * 5),
        ("*.fc", 4 * 5, 5 * 5),
        ("*", 4 * 5 + 5 * 6 + 6 * 7, 5 * 5 + 6 * 6 + 7 * 7),
        ("[bh]*", 4 * 5 + 5 * 6 + 6 * 7, 5 * 5 + 6 * 6 + 7 * 7),
        ("head", 6 * 7, 7 * 7),
    ],
)
def test_modules_of_a_pattern(pattern: str, macs: int, parameters: int) -> None:
    """Their subtrees together, each operation and parameter once, although the pattern matches parents and children."""
    result = checked(nested(), modules={pattern: {"macs": macs, "parameters": parameters, "trainable": parameters}})
    assert [finding.actual for finding in result.findings] == [macs, parameters, parameters]
    assert result.passed
    result = checked(nested(), modules={pattern: {"macs": macs - 1, "parameters": parameters - 1}})
    assert [finding.by for finding in result.failures] == [1, 1]


def test_the_layers_of_a_pattern_are_its_own() -> None:
    """No other layer is named."""
    finding = only(checked(nested(), modules={"backbone.*": {"macs": 1}}))
    assert [layer.name for layer in finding.layers] == ["backbone.neck", "backbone.block.fc"]
    assert finding.what == "MACs of backbone.*"


def test_frozen_parameters_are_not_trainable() -> None:
    """The root's parameter is frozen."""
    actual = {finding.key: finding.actual for finding in checked(nested(), parameters=1, trainable=1).findings}
    assert actual["parameters"] == actual["trainable"] + 1


def test_a_pattern_that_matches_nothing_is_refused() -> None:
    """The message has the place of the pattern and near names."""
    with pytest.raises(ConfigError, match=r"^budget\.yaml: modules\.'bakbone\*'\.macs: matches no module of nested"):
        checked(nested(), modules={"bakbone*": {"macs": 1}})
    with pytest.raises(ConfigError, match="did you mean 'backbone'"):
        checked(nested(), modules={"bakbone": {"macs": 1}})


@pytest.mark.parametrize(
    ("shares", "actual"),
    [
        ({"conv": "<= 100 %"}, Fraction(CONV_MACS, MACS)),
        ({"linear": "<= 100 %"}, Fraction(FC_MACS, MACS)),
        ({"attention": "<= 0 %"}, Fraction(0)),
        ({"linear": {"parameters": "<= 100 %"}}, Fraction(FC_PARAMETERS, PARAMETERS)),
        ({"conv": {"macs": "<= 100 %"}}, Fraction(CONV_MACS, MACS)),
        ({"conv": {"comparisons": "<= 0 %"}}, Fraction(0)),
    ],
)
def test_shares(shares: dict[str, Any], actual: Fraction) -> None:
    """A share is exact; one of a kind that a network does not have is 0, and so is one of nothing."""
    finding = only(checked(nets.small(), shares=shares))
    assert (finding.actual, finding.verdict, finding.unit) == (actual, "kept", "share")


def test_a_share_is_compared_exactly() -> None:
    """27/37 is more than 72.972 % and less than 72.973 %, which both are shown as 72.97 %."""
    assert Fraction(CONV_MACS, MACS) == Fraction(27, 37)
    assert only(checked(nets.small(), shares={"conv": "<= 72.973 %"})).verdict == "kept"
    finding = only(checked(nets.small(), shares={"conv": "<= 72.972 %"}))
    assert (finding.verdict, finding.by) == ("over", Fraction(27, 37) - Fraction(72972, 100000))
    assert [(layer.name, layer.figure) for layer in finding.layers] == [("conv", 2 * CONV_MACS)]


def test_a_share_of_the_headline_follows_the_convention() -> None:
    """By the convention macs it is one of MACs, of which a bias has none."""
    profile = nets.alexnet()
    flops = only(checked(profile, shares={"conv": "<= 100 %"}))
    macs = only(checked(profile.with_convention("macs"), shares={"conv": "<= 100 %"}))
    assert flops.actual != macs.actual == Fraction(655566528, 714188480)


def test_a_lower_bound_above_the_limit_is_over() -> None:
    """The rest can only add to it."""
    finding = only(checked(nets.partial(), macs=MACS - 1))
    assert (finding.verdict, finding.certainty, finding.by) == ("over", "at least", 1)


def test_a_lower_bound_within_the_limit_proves_nothing() -> None:
    """It does not pass, and the operations that are not counted are named."""
    finding = only(checked(nets.partial(), macs="1G"))
    assert (finding.verdict, finding.passed, finding.by) == ("not proven", False, None)
    assert [(layer.name, layer.type, layer.reason) for layer in finding.layers] == [
        ("odd", "mylib::odd", "it has no rule")
    ]


@pytest.mark.parametrize("accept", [{"complete": False}, {"accept_partial": True}])
def test_a_lower_bound_passes_if_it_is_accepted(accept: dict[str, bool]) -> None:
    """The budget or the caller says so; what is over stays over."""
    result = checked(nets.partial(), macs="1G", flops=1, **accept)
    assert verdicts(result) == {"flops": "over"}
    assert [finding.accepted for finding in result.findings] == [True, False]
    assert any("lower bounds" in remark for remark in result.remarks)


def test_complete_true_is_stronger_than_the_option() -> None:
    """A budget that demands a complete profile gets one."""
    result = checked(nets.partial(), accept_partial=True, complete=True, macs="1G")
    assert verdicts(result) == {"complete": "over", "macs": "not proven"}
    finding = result.findings[0]
    assert (finding.actual, finding.by, [layer.name for layer in finding.layers]) == (1, 1, ["odd"])
    assert checked(nets.small(), complete=True).passed


def test_a_lower_limit_is_proven_by_a_lower_bound() -> None:
    """At least as much as needed was counted."""
    assert checked(nets.partial(), macs=f">= {MACS}").passed
    assert verdicts(checked(nets.partial(), macs=f">= {MACS + 1}")) == {"macs": "not proven"}


def test_parameters_are_always_exact() -> None:
    """They do not depend on rules."""
    every = PARAMETERS + 7 * 7
    assert checked(nets.partial(), parameters=every, trainable=every).passed
    assert verdicts(checked(nets.partial(), parameters=every - 1)) == {"parameters": "over"}


def test_complete_modules_of_a_partial_network_are_exact() -> None:
    """Only the modules with uncounted work are lower bounds."""
    patterns = {"conv": {"macs": CONV_MACS}, "odd": {"macs": "1G"}, "*": {"macs": "1G"}}
    assert verdicts(checked(nets.partial(), modules=patterns)) == {
        "modules.odd.macs": "not proven",
        "modules.'*'.macs": "not proven",
    }


def test_shares_of_a_partial_profile_are_not_proven() -> None:
    """The kind of uncounted work is not known; not even a share that is too large is certain."""
    result = checked(nets.partial(), shares={"conv": "<= 1 %", "linear": {"parameters": ">= 1 %"}})
    assert set(verdicts(result).values()) == {"not proven"}
    result = checked(nets.partial(), complete=False, shares={"conv": "<= 1 %", "linear": {"parameters": ">= 1 %"}})
    assert verdicts(result) == {"shares.conv": "over"}


def unseen() -> Profile:
    """``nets.small()`` whose linear layer does something that is not recorded."""
    net = nets.Network("unseen", (1, 3, 8, 8)).conv("conv", 4, 3, (6, 6)).linear("fc", 10)
    profile = net.profile()
    from dataclasses import replace

    trace = replace(profile.trace, unseen=(Unseen("fc", "it calls NumPy"),))
    return replace(profile, trace=trace)


def test_unseen_work_makes_a_profile_partial() -> None:
    """It is named with its reason, and only its module is a lower bound."""
    result = checked(unseen(), complete=True, macs="1G", modules={"conv": {"macs": "1G"}, "fc": {"macs": "1G"}})
    assert verdicts(result) == {"complete": "over", "macs": "not proven", "modules.fc.macs": "not proven"}
    assert [(layer.name, layer.reason) for layer in result.findings[0].layers] == [("fc", "it calls NumPy")]


def test_every_budget_counts() -> None:
    """A network has to keep to each of its budgets, each with its own demand on completeness."""
    result = check_profile(nets.partial(), [budget(complete=False, macs="1G"), budget(macs="2G")])
    assert [finding.verdict for finding in result.findings] == ["kept", "not proven"]


def test_excluded_modules_are_in_no_figure() -> None:
    """The figures are those of the profile."""
    profile = nets.small().excluding("fc")
    assert only(checked(profile, macs=1)).actual == CONV_MACS
    with pytest.raises(ConfigError, match="matches no module"):
        checked(profile, modules={"fc": {"macs": 1}})


def test_live_memory_of_the_whole_network(tmp_path: Path) -> None:
    """A limit on live memory is exact, names the tensors of the peak, and finds the memory by itself."""
    network = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    found = profiler.profile(network, torch.empty(5, 8, device="meta"))
    peak = 4 * (5 * 8 + 5 * 16 + 5 * 16)
    assert only(checked(found, peak_activation_bytes=peak)).verdict == "kept"
    finding = only(checked(found, peak_activation_bytes=peak - 1))
    assert (finding.actual, finding.verdict, finding.by) == (peak, "over", 1)
    assert {(layer.name, layer.figure) for layer in finding.layers} == {
        ("0", 4 * 5 * 16),
        ("1", 4 * 5 * 16),
        ("(input)", 4 * 5 * 8),
    }
    held = 4 * ((8 + 1) * 16 + (16 + 1) * 4)
    assert only(checked(found, memory_needed=held + peak)).verdict == "kept"
    with pytest.raises(ConfigError, match="modules"):
        budget(modules={"0": {"peak_activation_bytes": 1}})
    found.save(tmp_path / "p.json")
    with pytest.raises(profiler.ProfilerError, match="memory: true"):
        checked(profiler.load_profile(tmp_path / "p.json"), peak_activation_bytes=1)
