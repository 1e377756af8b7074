"""What other counters report of a layer or a network, and why: measured if they were run, else by their rules."""

from __future__ import annotations

from collections.abc import Iterator

from profiler.analysis.explaining.document import Block, Heading, Items, Paragraph, Spans
from profiler.crosschecks.predicting import Prediction, predictable, predictions
from profiler.crosschecks.reasons import merged
from profiler.crosschecks.rows import crosscheck_rows
from profiler.formatting import thousands
from profiler.profiles import Profile
from profiler.records import ModuleRecord

REASONS = 4
"""The maximum number of reasons for one counter."""

BY_RULES = "By their rules, applied to the recorded shapes (they were not run), other counters report as MACs:"


def others_on(profile: Profile, record: ModuleRecord) -> Iterator[Block]:
    """What other counters report of one layer's own forward pass."""
    module = record.first_name or record.name
    measured = _measured(profile, module)
    items = list(measured.values())
    predicted = {
        name: predictions(profile.trace, name, module).get(module)
        for name in _to_predict(profile)
        if name not in measured
    }
    by_rules = [_item(found) for found in predicted.values() if found is not None and (found.macs or found.figure)]
    yield from _listed(items, by_rules)


def others_on_network(profile: Profile) -> Iterator[Block]:
    """What other counters report of the whole forward pass."""
    items: dict[str, Spans] = {}
    for counter in profile.counters:
        if counter.status == "ok":
            rows = list(crosscheck_rows(profile.trace, counter))
            parts = merged(part for row in rows for part in row.parts)
            whole = Prediction(counter.counter, sum(row.macs for row in rows), sum(row.figure for row in rows), parts)
            items[counter.counter] = _item(whole, left=whole.figure - whole.macs - sum(part.amount for part in parts))
    by_rules = []
    for name in _to_predict(profile):
        found = predictions(profile.trace, name)
        if name not in items and _covers(profile, found):
            parts = merged(part for one in found.values() for part in one.parts)
            macs, figure = (sum(getattr(one, what) for one in found.values()) for what in ("macs", "figure"))
            by_rules.append(_item(Prediction(name, macs, figure, parts)))
    yield from _listed(list(items.values()), by_rules, complete=profile.complete)


def _listed(measured: list[Spans], by_rules: list[Spans], *, complete: bool = True) -> Iterator[Block]:
    if measured or by_rules:
        yield Heading(2, ("Other counters",))
    if measured:
        yield Paragraph(("Other counters were run on this network and reported as MACs:",))
        yield Items(tuple(measured))
    if by_rules:
        counted = "" if complete else " of the counted operations"
        yield Paragraph((BY_RULES.replace("report", f"report{counted}"),))
        yield Items(tuple(by_rules))


def _measured(profile: Profile, module: str) -> dict[str, Spans]:
    """The reports of counters that were run."""
    found = {}
    for counter in profile.counters:
        for row in crosscheck_rows(profile.trace, counter):
            if row.layer == module:
                found[counter.counter] = _item(
                    Prediction(row.counter, row.macs, row.figure, row.parts), left=row.unexplained
                )
    return found


def _to_predict(profile: Profile) -> tuple[str, ...]:
    """The counters whose reports can be computed; none in training, where other operations run than in eval mode."""
    return predictable() if profile.mode == "inference" else ()


def _covers(profile: Profile, found: dict[str, Prediction]) -> bool:
    """Whether there is a prediction for everything that multiplies and adds in the forward pass."""
    predicted = sum(one.macs for one in found.values())
    return predicted == sum(
        tally.call.count.macs * tally.times for tally in profile.work.tallies if tally.call.phase == "forward"
    )


def _item(found: Prediction, left: int = 0) -> Spans:
    if found.figure == found.macs and not left:
        return (f"{found.counter}: {thousands(found.figure)}, the same.",)
    parts = sorted(found.parts, key=lambda part: abs(part.amount), reverse=True)
    texts = [f"{part.text(found.counter)} ({part.amount:+,})" for part in parts[:REASONS]]
    rest = sum(part.amount for part in parts[REASONS:])
    if rest:
        texts.append(f"other reasons ({rest:+,})")
    if left:
        texts.append(f"unexplained ({left:+,})")
    return (f"{found.counter}: {thousands(found.figure)} ({found.figure - found.macs:+,}). {'; '.join(texts)}.",)
