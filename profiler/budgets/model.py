"""What a check found: one :class:`Finding` for each limit, one :class:`CheckResult` for each network.

They hold plain numbers; how they are shown is decided by reports and formats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Literal

from profiler.limits import Certainty, Limit, Verdict

Unit = Literal["count", "share"]


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer and what it has of a limited figure; ``before`` and ``change`` compare it with a baseline.

    For work that is not counted, ``reason`` says why.
    """

    name: str
    type: str
    figure: int
    before: int | None = None
    change: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One limit and the figure of the network: a count, or a share as a fraction of one.

    ``key`` is the place of the limit in its budget, ``what`` says in words which figure it is.  ``before`` is the
    figure of the baseline, and ``tolerance`` its allowed growth as a fraction of one.  If the figure was ``accepted``,
    the budget allows that it is a lower bound.  ``layers`` are the layers that explain the figure, the costliest first,
    of ``layers_in_all``; ``whole`` is the count of which their shares are.
    """

    key: str
    what: str
    figure: str
    limit: Limit
    actual: int | Fraction
    verdict: Verdict
    unit: Unit = "count"
    certainty: Certainty = "exact"
    accepted: bool = False
    before: int | None = None
    tolerance: Fraction = Fraction(0)
    layers: tuple[Layer, ...] = ()
    layers_in_all: int = 0
    whole: int = 0

    @property
    def passed(self) -> bool:
        return self.verdict == "kept"

    @property
    def by(self) -> int | Fraction | None:
        """How much is too much or too little, or how much room is left; missing if that is not known.

        For a count it is the whole number by which the figure has to change, or may still grow.  In a comparison with a
        baseline it is the growth.
        """
        if self.verdict == "not proven":
            return None
        if self.before is not None:
            return self.actual - self.before
        bound = self.limit.bound(self.verdict)
        if bound is None:
            return None
        distance = abs(self.actual - bound)
        if self.unit == "share":
            return distance
        strict = self.limit.below if bound == self.limit.most and self.verdict != "below" else self.limit.above
        if self.passed:
            return ceil(distance) - 1 if strict else floor(distance)
        return floor(distance) + 1 if strict else ceil(distance)

    @property
    def by_share(self) -> Fraction | None:
        """The same as a fraction of the limit, or of the baseline; missing if that is 0."""
        of = self.limit.bound(self.verdict) if self.before is None else self.before
        return None if not of or self.by is None else Fraction(self.by) / of

    @property
    def shrunk(self) -> int:
        """By how much the figure is smaller than in the baseline; 0 if it is not."""
        return 0 if self.before is None else max(0, self.before - int(self.actual))


@dataclass(frozen=True, slots=True)
class Growth:
    """A layer that grew since the baseline: in the network after, by the names of figures, how much more it has.

    ``change`` is ``added`` or what changed in it.
    """

    name: str
    type: str
    change: str
    differences: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What the check of one network found.

    ``file`` is the file to which a reader would go: the config, or what holds the budget.  ``remarks`` are sentences
    that do not decide anything.  ``grown`` are the layers that grew in a figure above the baseline, the costliest
    first, of ``grown_in_all``.
    """

    name: str
    source: str
    file: str
    findings: tuple[Finding, ...]
    remarks: tuple[str, ...] = ()
    grown: tuple[Growth, ...] = ()
    grown_in_all: int = 0

    @property
    def passed(self) -> bool:
        return all(finding.passed for finding in self.findings)

    @property
    def failures(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if not finding.passed)


def failed(results: Sequence[CheckResult]) -> list[CheckResult]:
    """The networks that did not pass."""
    return [result for result in results if not result.passed]
