"""A profile and its network → the same profile with the reports of other counters on the network."""

from __future__ import annotations

from collections.abc import Sequence

from profiler.crosschecks.calling import installed_version
from profiler.crosschecks.counter import find_counter
from profiler.crosschecks.process import FromFunction, FromObject, Source, count_in_process
from profiler.crosschecks.running import run_counter
from profiler.errors import no_exit
from profiler.formatting import bytes_text, thousands
from profiler.models.real_copies import BYTES_LIMIT
from profiler.profiles import Profile
from profiler.records import CounterRecord
from profiler.subjects import Subject, packed
from profiler.tabulate import total_count
from profiler.tracing.depth import room_for_deep_networks
from profiler.tracing.state import kept_state

MACS_LIMIT = 500 * 10**9
"""Above this many MACs, counters that run the network on real tensors are skipped."""

LONG_RUN = 20 * 10**9
"""Above this many MACs, a counter runs in a separate process, so that it can be stopped."""


@no_exit("the network, when it was built for a counter,")
@room_for_deep_networks()
def add_counters(profile: Profile, counters: Sequence[str], subject: Subject) -> Profile:
    """``profile`` with the reports of these counters on ``subject``, which replace their earlier reports.

    Raises :class:`~profiler.errors.ProfilerError` for a counter that is not known; a counter that is skipped or
    fails has a record that says so.
    """
    names = tuple(dict.fromkeys(counters))
    for name in names:
        find_counter(name)
    others = (record for record in profile.counters if record.counter not in names)
    return profile.with_counters(*others, *(_record(name, profile, subject) for name in names))


@kept_state()
def _record(name: str, profile: Profile, subject: Subject) -> CounterRecord:
    counter = find_counter(name)
    reason = _reason_to_skip(profile, for_real=not counter.on_meta)
    if reason:
        return CounterRecord(name, installed_version(counter.distribution), "skipped", reason)
    if counter.on_meta:
        return run_counter(name, *subject.static())
    if counter.own_process or total_count(profile.trace.whole).macs > LONG_RUN:
        record = count_in_process(name, _source(subject))
        if counter.own_process or record.status != "skipped":
            return record
    model, inputs = subject.real(False)
    return run_counter(name, model.eval(), inputs)


def _source(subject: Subject) -> Source:
    """How another process gets the network: from the config if there is one, else as a pickle."""
    if subject.config is None:
        model, inputs = subject.real(False)
        return FromObject(model.eval(), inputs)
    config = subject.config
    return FromFunction("profiler.subjects:real_network", (packed(config), str(config.base)))


def _reason_to_skip(profile: Profile, *, for_real: bool) -> str:
    """Why the network should not be run again, or not ``for_real``; None if it may."""
    size = sum(record.bytes for record in profile.trace.whole.parameters)
    macs = total_count(profile.trace.whole).macs
    if profile.trace.real_run:
        return "the network's work depends on its data, so two runs cannot be compared"
    if profile.mode == "training":
        return "the cross-check compares forward passes in inference mode"
    if for_real and size > BYTES_LIMIT:
        return f"a real copy would take {bytes_text(size)}, above the limit of {bytes_text(BYTES_LIMIT)}"
    if for_real and macs > MACS_LIMIT:
        return f"a real run would take {thousands(macs)} MACs, above the limit of {thousands(MACS_LIMIT)}"
    return ""
