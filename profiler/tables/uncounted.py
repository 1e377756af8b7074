"""The operations without a rule."""

from __future__ import annotations

from profiler.columns import FIRST, Column
from profiler.measures import HEADLINE
from profiler.records import ROOT, OpCall
from profiler.schema import Table
from profiler.tabulate import Work, gathered

COLUMNS = (
    Column("op", "name", FIRST),
    Column("calls", "count", 1),
    Column("elements", "count", 2, meaning="elements of the tensors that it touched"),
    Column("bound", "count", 9, meaning="FLOPs of a dense contraction of its tensors"),
    Column("bound_share", "share", 9, of="bound", meaning="share of the bound and everything counted together"),
    Column("modules", "name", 10, width=20, meaning="the modules that ran it"),
    Column("reason", "text", 20, width=20, meaning="why it is not counted"),
)


def table(work: Work) -> Table:
    """The operations without a rule: calls, elements of the tensors they touched, and the modules that ran them.

    ``bound`` is an estimate of their cost: the FLOPs of a dense contraction that multiplies and adds each element of
    the largest operand into each result.  No linear operation costs more; an iterative one could.  ``bound_share`` is
    its share of the sum of the bound and everything counted.  ``reason`` says why they are not counted: there is no
    rule, or the rule cannot give the cost, or it failed.
    """
    uncounted = any(tally.status == "uncounted" for tally in work.anywhere)
    unknown = [tally for tally in work.tallies if tally.status == "uncounted"] if uncounted else []
    counted = work.figure(HEADLINE)
    rows = []
    for op, group in sorted(gathered(unknown, lambda tally: tally.op).items()):
        calls = [tally.call for tally in group.tallies]
        elements = sum(_elements(tally.call) * tally.times for tally in group.tallies)
        bound = sum(_dense_bound(tally.call) * tally.times for tally in group.tallies)
        names = dict.fromkeys(call.module or ROOT for call in calls)
        share = bound / (bound + counted) if bound else 0.0
        reasons = dict.fromkeys(call.reason for call in calls if call.reason)
        rows.append((op, group.times, elements, bound, share, "; ".join(names), "; ".join(reasons)))
    return Table.of("uncounted", "Not counted: operations without a rule", COLUMNS, rows)


def _elements(call: OpCall) -> int:
    return sum(spec.size for spec in (*call.inputs, *call.outputs))


def _dense_bound(call: OpCall) -> int:
    """2 FLOPs for each pair of a result and an element of the largest operand."""
    return 2 * sum(spec.size for spec in call.outputs) * max((spec.size for spec in call.inputs), default=1)
