"""Findings → sentences that people read: in a terminal, an annotation, a test's message."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from profiler.budgets.model import CheckResult, Finding, Layer, failed
from profiler.formatting import change_text, share_text, signed, thousands


def number_text(number: Fraction | int) -> str:
    """A count with thousands separators; a part of one, as in a limit of 2.5, has decimals."""
    return thousands(int(number)) if number == int(number) else f"{float(number):,.10g}"


def actual_text(finding: Finding) -> str:
    """The figure of the network: a count or a percentage, marked where it is a lower bound."""
    text = share_text(float(finding.actual)) if finding.unit == "share" else number_text(finding.actual)
    return f"≥{text}" if finding.certainty == "at least" else text


def by_text(finding: Finding) -> str:
    """``14,188,480 (2.03 %)``: how far the figure is from its limit; shares differ by points."""
    if finding.by is None:
        return "an unknown amount"
    if finding.unit == "share":
        return points(finding.by)
    share = finding.by_share
    return number_text(finding.by) + ("" if share is None else f" ({share_text(float(share))})")


def points(share: Fraction | int) -> str:
    """A difference of two percentages: ``1.20 points``, ``<0.01 points``."""
    return share_text(float(share)).replace(" %", " points")


def sentence(finding: Finding) -> str:
    """``MACs: 714,188,480, limit <= 700 M, over by 14,188,480 (2.03 %)``."""
    start = f"{finding.what}: {actual_text(finding)}, limit {finding.limit.text}"
    if finding.verdict == "not proven":
        return f"{start}, not proven: not everything is counted"
    if finding.before is not None:
        share = "" if finding.by_share is None else f" ({change_text(float(finding.by_share))})"
        return f"{start}, change {signed(int(finding.by or 0))}{share}"
    if finding.verdict == "kept":
        return f"{start}, {by_text(finding)} left"
    return f"{start}, {finding.verdict} by {by_text(finding)}"


def title(finding: Finding) -> str:
    """``MACs: over the limit``."""
    return f"{finding.what}: {finding.verdict}{'' if finding.verdict == 'not proven' else ' the limit'}"


def layer_text(layer: Layer) -> str:
    """A layer and its part in a finding: what it costs, how it grew, or why it is not counted."""
    if layer.reason:
        what = " ".join(filter(None, (layer.name, layer.type)))
        times = f" ({layer.figure} calls)" if layer.figure > 1 else ""
        return f"{what}{times}: {layer.reason}"
    if layer.before is None:
        return f"{layer.name} ({thousands(layer.figure)})"
    return f"{layer.name} ({layer.change}, {thousands(layer.before)} → {thousands(layer.figure)})"


def layers_text(finding: Finding) -> str:
    """The layers of a finding in one line, or nothing if it has none."""
    if not finding.layers:
        return ""
    more = finding.layers_in_all - len(finding.layers)
    ending = f", and {more} more" if more else ""
    start = (
        "not counted"
        if finding.layers[0].reason
        else "grown since the baseline"
        if finding.before is not None
        else "the costliest layers"
    )
    return f"{start}: {', '.join(map(layer_text, finding.layers))}{ending}"


def growth_text(result: CheckResult) -> str:
    """The layers that grew since the baseline in one line, or nothing if none did."""
    if not result.grown:
        return ""
    more = result.grown_in_all - len(result.grown)
    layers = (f"{layer.name} ({layer.change})" for layer in result.grown)
    return f"grown since the baseline: {', '.join(layers)}{f', and {more} more' if more else ''}"


def passed_line(result: CheckResult) -> str:
    """What was checked of a network that passed, and how much room is left, in one line."""
    parts = [sentence(finding) for finding in result.findings if finding.before is None and finding.key != "complete"]
    if any(finding.key == "complete" for finding in result.findings):
        parts.append("everything is counted")
    compared = [finding for finding in result.findings if finding.before is not None]
    if compared:
        parts.append(f"none of {len(compared)} figures is above the baseline{_nearest(compared)}")
    return " ".join((f"{result.name}: passed: {'; '.join(parts)}.", *result.remarks))


def _nearest(compared: Sequence[Finding]) -> str:
    """The growth within the tolerance, if there is some: the figure that grew the most."""
    grown = [
        (Fraction(int(finding.actual) - finding.before, finding.before), finding)
        for finding in compared
        if finding.before and finding.actual > finding.before
    ]
    if not grown:
        return ""
    share, finding = max(grown, key=lambda pair: pair[0])
    return f" by more than the tolerance ({finding.what} grew by {share_text(float(share))})"


def verdict_line(results: Sequence[CheckResult]) -> str:
    """``1 of 2 networks is not within its limits``."""
    wrong = failed(results)
    if not wrong:
        return "Every network is within its limits" if len(results) > 1 else f"{results[0].name} is within its limits"
    if len(results) == 1:
        return f"{results[0].name} is not within its limits"
    are = "is not within its limits" if len(wrong) == 1 else "are not within their limits"
    return f"{len(wrong)} of {len(results)} networks {are}"
