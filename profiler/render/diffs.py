"""Two profiles, or their :class:`~profiler.analysis.diffing.Diff` → a report that reads like a review of code."""

from __future__ import annotations

from collections.abc import Iterable

from profiler.analysis.diff_tables import MARKS, diff_table, shown_table, totals_table
from profiler.analysis.diffing import Diff, diff
from profiler.formatting import engineering, listed, thousands
from profiler.profiles import Profile
from profiler.records import show_shapes
from profiler.render.report import HOW_COUNTED, Note, Report, ReportTable, caution

FIGURES = {"parameters": "parameters", "macs": "MACs", "flops": "FLOPs"}
"""What two networks without a difference have in common."""


def diff_report(before: Profile, after: Profile, *, every: bool = False) -> Report:
    """The report on what changed from one profile to the other; ``every`` also shows modules that are the same."""
    return report_of(diff(before, after), every=every)


def report_of(found: Diff, *, every: bool = False) -> Report:
    """The report of :func:`diff_report`."""
    totals = totals_table(found)
    complete = found.before.complete and found.after.complete
    shown = totals.without(["status_before", "status_after"] if complete else [])
    nothing = found.same and not every  # a sentence says it better than zeros
    return Report(
        title=f"{found.before.name} → {found.after.name}",
        facts=(),
        notes=tuple(_notes(found, nothing)),
        tables=(
            ReportTable(totals, None if nothing else shown),
            ReportTable(diff_table(found), None if nothing else shown_table(found, every=every)),
        ),
    )


def _notes(found: Diff, nothing: bool) -> Iterable[Note]:
    for mark, profile in (("---", found.before), ("+++", found.after)):
        yield Note(f"{mark} {_subject(profile)}", "remark")
    for profile in (found.before, found.after):
        for text in caution(profile):
            yield Note(f"{profile.name}: {text}", "warning")
    if found.before.mode != found.after.mode:
        yield Note(
            f"The modes differ: {found.before.mode} and {found.after.mode}, so the costs of all layers differ.",
            "warning",
        )
    elif found.before.input_shapes != found.after.input_shapes:
        yield Note("The inputs differ, so the costs of all layers may differ.", "warning")
    yield Note(_summary(found), "finding")
    if nothing:
        return
    yield Note(
        f"{MARKS['changed']} changed, {MARKS['removed']} only before, {MARKS['added']} only after, {MARKS['same']} the "
        "same. The figures of a module are without those of other rows, so the rows add up to the totals.",
        "method",
    )
    yield Note(HOW_COUNTED, "method")


def _subject(profile: Profile) -> str:
    """What was profiled, in one line."""
    parts = [
        profile.name,
        profile.target,
        f"part {profile.part}" if profile.part else "",
        f"method {profile.method}" if profile.method != "forward" else "",
        f"{thousands(profile.cache)} tokens in the cache" if profile.cache else "",
        f"input {show_shapes(profile.input_shapes)}",
        profile.mode,
        profile.status,
    ]
    return " · ".join(filter(None, parts))


def _summary(found: Diff) -> str:
    """How many modules have each status."""
    moved = sum(row.renamed for row in found.rows)
    renamed = f"; {thousands(moved)} of them {'has' if moved == 1 else 'have'} another name" if moved else ""
    if found.same:
        count = len(found.rows)
        modules = "the only module is" if count == 1 else f"all {thousands(count)} modules are"
        figures = [engineering(found.total(name)[1], heading) for name, heading in FIGURES.items()]
        return f"No difference: {modules} the same{renamed}. Both have {listed(figures)}."
    numbers = {status: found.number(status) for status in ("changed", "removed", "added", "same")}
    parts = ", ".join(f"{thousands(number)} {name}" for name, number in numbers.items() if number)
    return f"Modules: {parts}{renamed}."
