"""The reports that the tests of renderers share."""

from __future__ import annotations

from profiler.profiles import Profile
from profiler.render import Report, comparison_report, crosscheck_report, profile_report
from tests import sample_profiles as nets


def checked(profile: Profile) -> Profile:
    """The profile with the record of another counter."""
    return profile.with_counters(nets.counter(profile))


def doubtful() -> Profile:
    """A partial profile; another counter reports 7 for its linear layer."""
    profile = nets.partial()
    return profile.with_counters(nets.counter(profile, {"fc": 7}))


REPORTS: dict[str, Report] = {
    "alexnet": profile_report(checked(nets.alexnet())),
    "alexnet-tree": profile_report(nets.alexnet(), depth=1),
    "alexnet-crosscheck": crosscheck_report(checked(nets.alexnet())),
    "partial": profile_report(doubtful()),
    "nothing": profile_report(nets.nothing()),
    "comparison": comparison_report([nets.alexnet(), nets.small(), nets.partial(), nets.nothing()]),
}
