"""A profile, its budgets and its baseline → a :class:`~profiler.budgets.model.CheckResult`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from profiler.analysis.diffing import Diff, diff
from profiler.budgets.baselines import Baseline, all_growth, check_comparable, grown_layers, growth, remarks_on
from profiler.budgets.model import CheckResult, Finding, Growth, Layer
from profiler.budgets.parts import Part, heading, matching_modules, of_kind, whole
from profiler.config.budget import Budget, FigureLimit
from profiler.formatting import share_text, thousands
from profiler.limits import Certainty, Limit
from profiler.profiles import Profile

LAYERS_NAMED = 5
"""The maximum number of layers that a finding names."""

LAYERS_SHOWN = 20
"""The maximum number of layers that a result names as grown."""

NOTHING = Limit("<= 0", most=Fraction(0))
"""The limit on operations that are not counted."""


def check_profile(
    profile: Profile,
    budgets: Sequence[Budget] = (),
    baseline: Baseline | None = None,
    *,
    source: str = "",
    file: str = "",
    accept_partial: bool = False,
) -> CheckResult:
    """Compare a profile with its budgets and its baseline.

    A count of a partial profile is a lower bound.  One above a limit is over it; one that is not proves nothing, and
    does not pass unless the budget has ``complete: false`` or, where no budget has the key, ``accept_partial`` is set.
    Raises :class:`ConfigError` for a pattern that matches no module, and for a baseline of another kind of run.
    """
    findings: list[Finding] = []
    remarks: list[str] = []
    growths: list[Growth] = []
    for budget in budgets:
        accept = accept_partial if budget.complete is None else not budget.complete
        findings += [_completeness(profile)] if budget.complete else []
        findings += [_accepted(_judge(profile, limit), limit.limit, accept) for limit in budget.limits]
    if baseline is not None:
        check_comparable(profile, baseline)
        remarks += remarks_on(profile, baseline)
        accept = _accepts(budgets, accept_partial)
        grown = [_accepted(finding, finding.limit, accept) for finding in growth(profile, baseline)]
        remarks += _shrinkage(grown)
        above = [finding.figure for finding in grown if finding.verdict == "over"]
        found = diff(baseline.profile, profile) if above else None
        findings += [_with_growth(finding, profile, found) for finding in grown]
        growths = [] if found is None else all_growth(found, above)
    if any(finding.accepted for finding in findings):
        remarks.append("The profile is partial, which the budget accepts: figures marked ≥ are lower bounds.")
    return CheckResult(
        profile.name, source, file, tuple(findings), tuple(remarks), tuple(growths[:LAYERS_SHOWN]), len(growths)
    )


def _accepts(budgets: Sequence[Budget], otherwise: bool) -> bool:
    """Whether lower bounds are accepted in a comparison with the baseline."""
    decided = [budget.complete for budget in budgets if budget.complete is not None]
    return not any(decided) if decided else otherwise


def _judge(profile: Profile, wanted: FigureLimit) -> Finding:
    """The finding for one limit of a budget."""
    if wanted.scope == "share":
        return _judge_share(profile, wanted)
    part = whole(profile) if wanted.scope == "network" else matching_modules(profile, wanted.of, wanted.place)
    actual, certainty = part.figure(wanted.figure), part.certainty(wanted.figure)
    what = heading(profile, wanted.figure) + (f" of {wanted.of}" if wanted.of else "")
    verdict = wanted.limit.judge(actual, certainty)
    finding = Finding(wanted.key, what, wanted.figure, wanted.limit, actual, verdict, "count", certainty, whole=actual)
    return _with_layers(finding, part)


def _judge_share(profile: Profile, wanted: FigureLimit) -> Finding:
    """The finding for a share; in a partial profile the kind of some work is not known, so no share is."""
    part, everything = of_kind(profile, wanted.of), whole(profile).figure(wanted.figure)
    actual = Fraction(part.figure(wanted.figure), everything) if everything else Fraction(0)
    what = f"{wanted.of}, share of {heading(profile, wanted.figure)}"
    certainty: Certainty = "exact" if profile.complete else "unknown"
    verdict = wanted.limit.judge(actual, certainty)
    finding = Finding(
        wanted.key, what, wanted.figure, wanted.limit, actual, verdict, "share", certainty, whole=everything
    )
    return _with_layers(finding, part)


def _accepted(finding: Finding, limit: Limit, accept: bool) -> Finding:
    """The finding, judged by its lower bound if that is accepted."""
    if finding.verdict != "not proven" or not accept:
        return finding
    verdict = limit.judge(finding.actual)
    return replace(finding, verdict=verdict, accepted=True, layers=(), layers_in_all=0)


def _completeness(profile: Profile) -> Finding:
    """The finding for ``complete: true``: nothing may be uncounted."""
    layers = whole(profile).uncounted()
    actual = sum(layer.figure for layer in layers)
    verdict = NOTHING.judge(actual)
    finding = Finding("complete", "operations that are not counted", "complete", NOTHING, actual, verdict)
    return _named(finding, layers)


def _with_layers(finding: Finding, part: Part) -> Finding:
    """The finding with the layers that explain why it did not pass; no layer explains a figure that is too small."""
    if finding.passed or finding.verdict == "below":
        return finding
    return _named(finding, part.uncounted() if finding.verdict == "not proven" else part.layers(finding.figure))


def _with_growth(finding: Finding, profile: Profile, found: Diff | None) -> Finding:
    """The finding with the layers that grew, or with what is not counted."""
    if finding.passed:
        return finding
    if finding.verdict == "not proven" or found is None:
        return _named(finding, whole(profile).uncounted())
    return _named(finding, grown_layers(found, finding.figure))


def _named(finding: Finding, layers: Sequence[Layer]) -> Finding:
    return replace(finding, layers=tuple(layers[:LAYERS_NAMED]), layers_in_all=len(layers))


def _shrinkage(findings: Sequence[Finding]) -> list[str]:
    """One sentence on the figures that are smaller than in the baseline."""
    texts = [
        f"{finding.what} by {thousands(finding.shrunk)} ({share_text(finding.shrunk / finding.before)})"
        for finding in findings
        if finding.shrunk and finding.before
    ]
    return [f"Smaller than the baseline: {', '.join(texts)}."] if texts else []
