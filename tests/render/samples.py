"""The reports that the tests of renderers share."""

from __future__ import annotations

from profiler.profiles import Profile
from profiler.render import Report, comparison_report, crosscheck_report, diff_report, profile_report
from tests import sample_profiles as nets


def checked(profile: Profile) -> Profile:
    """The profile with the record of another counter."""
    return profile.with_counters(nets.counter(profile))


def doubtful() -> Profile:
    """A partial profile; another counter reports 7 for its linear layer."""
    profile = nets.partial()
    return profile.with_counters(nets.counter(profile, {"fc": 7}))


def revised() -> Profile:
    """:func:`~tests.sample_profiles.alexnet` revised: fewer channels, a renamed and a new block, odd work."""
    net = nets.Network("revised & [new] net", (1, 3, 227, 227))
    net.conv("features.conv1", 32, 11, (55, 55)).relu("features.relu1").max_pool("features.pool1", 3, (27, 27))
    net.conv("features.conv2", 192, 5, (27, 27)).relu("features.relu2").max_pool("features.pool2", 3, (13, 13))
    net.conv("extra.<script>alert(1)</script>", 256, 3, (13, 13)).relu("extra.=1+1").uncounted(
        "extra.\u202eodd", "my::odd"
    )
    net.max_pool("features.pool5", 3, (6, 6)).dropout("head.drop1").linear("head.fc1", 4096).relu("head.relu6")
    return net.linear("head.fc3", 1000).idle("head.fc2", (7, 7)).profile()


REPORTS: dict[str, Report] = {
    "alexnet": profile_report(checked(nets.alexnet())),
    "alexnet-tree": profile_report(nets.alexnet(), depth=1),
    "alexnet-crosscheck": crosscheck_report(checked(nets.alexnet())),
    "partial": profile_report(doubtful()),
    "nothing": profile_report(nets.nothing()),
    "comparison": comparison_report([nets.alexnet(), nets.small(), nets.partial(), nets.nothing()]),
    "diff": diff_report(nets.alexnet(), revised()),
}
