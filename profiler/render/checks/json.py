"""Results of a check → one JSON document with every limit, figure and verdict."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from profiler.budgets.model import CheckResult, Finding
from profiler.limits import Limit


def render(results: Sequence[CheckResult]) -> dict[str, str]:
    """``check.json``: counts are integers, shares are fractions of one, a missing value is null."""
    document = {"passed": all(result.passed for result in results), "networks": [_network(each) for each in results]}
    return {"check.json": json.dumps(document, ensure_ascii=False, indent=1) + "\n"}


def _network(result: CheckResult) -> dict[str, Any]:
    return {
        "name": result.name,
        "source": result.source,
        "file": result.file,
        "passed": result.passed,
        "remarks": list(result.remarks),
        "findings": [_finding(finding) for finding in result.findings],
        "grown": [
            {"layer": layer.name, "type": layer.type, "change": layer.change, "differences": dict(layer.differences)}
            for layer in result.grown
        ],
        "grown_in_all": result.grown_in_all,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "key": finding.key,
        "what": finding.what,
        "figure": finding.figure,
        "unit": finding.unit,
        "limit": _limit(finding.limit),
        "actual": _number(finding.actual),
        "certainty": finding.certainty,
        "accepted": finding.accepted,
        "verdict": finding.verdict,
        "by": _number(finding.by),
        "by_share": _number(finding.by_share),
        "baseline": finding.before,
        "layers_in_all": finding.layers_in_all,
        "layers": [
            {
                "layer": layer.name,
                "type": layer.type,
                "figure": layer.figure,
                "before": layer.before,
                "change": layer.change or None,
                "reason": layer.reason or None,
            }
            for layer in finding.layers
        ],
    }


def _limit(limit: Limit) -> dict[str, Any]:
    return {
        "text": limit.text,
        "least": _number(limit.least),
        "most": _number(limit.most),
        "least_excluded": limit.above,
        "most_excluded": limit.below,
    }


def _number(number: Fraction | int | None) -> int | float | None:
    if number is None:
        return None
    return int(number) if number == int(number) else float(number)
