"""Checks of the sample profiles that the tests share."""

from __future__ import annotations

from typing import Any

from profiler.budgets.baselines import Baseline
from profiler.budgets.checking import check_profile
from profiler.budgets.model import CheckResult, Finding
from profiler.config.budget import Budget, parse_budget
from profiler.limits import parse_tolerance
from profiler.profiles import Profile
from tests import sample_profiles as nets


def budget(**keys: Any) -> Budget:
    """The budget with these keys."""
    return parse_budget(keys, "budget.yaml", ": ")


def checked(profile: Profile, *, accept_partial: Any = False, **keys: Any) -> CheckResult:
    """The result of a check of the profile against a budget with these keys."""
    return check_profile(profile, [budget(**keys)], accept_partial=accept_partial, file="net.yaml", source="net.yaml")


def only(result: CheckResult) -> Finding:
    """The only finding of a result."""
    (finding,) = result.findings
    return finding


def compared(after: Profile, before: Profile, tolerance: str = "0", **keys: Any) -> CheckResult:
    """The result of a comparison of a profile with a baseline, and with a budget if it has keys."""
    baseline = Baseline(before, "base.json", parse_tolerance(tolerance, "--tolerance"))
    return check_profile(after, [budget(**keys)] if keys else [], baseline, file="net.yaml", source="net.yaml")


def verdicts(result: CheckResult) -> dict[str, str]:
    """The verdict of each finding that did not pass, by its key."""
    return {finding.key: finding.verdict for finding in result.failures}


def grown() -> Profile:
    """``nets.small()`` with 2 more channels in its convolution and one more linear layer."""
    net = nets.Network("small", (1, 3, 8, 8)).conv("conv", 6, 3, (6, 6)).linear("fc", 10)
    return net.linear("head", 3).profile()
