"""Calls of one operator or kind, or of several layers: a table of the layers, each different operation derived once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from profiler.analysis.explaining.calls import derived, free_and_uncounted, phase_of, times
from profiler.analysis.explaining.derivation import Derivation
from profiler.analysis.explaining.document import Block, Explanation, Heading, Name, Paragraph, Spans, spread
from profiler.analysis.explaining.finding import Found
from profiler.analysis.explaining.layers import count_of
from profiler.analysis.explaining.sums import CALLS, LAYER, SumRow, summed
from profiler.calls import Tally
from profiler.formatting import share_text, thousands
from profiler.profiles import Profile
from profiler.records import ROOT
from profiler.tabulate import gathered

DERIVED = 6
"""The maximum number of different operations that are derived in full; the table has all layers."""

NAMED = 5
"""The maximum number of layers that are named where an operation is derived."""


@dataclass
class _Same:
    """Calls of one signature in one phase, with the layers that make them."""

    tallies: list[Tally] = field(default_factory=list)

    @property
    def times(self) -> int:
        return sum(tally.times for tally in self.tallies)

    @property
    def layers(self) -> list[str]:
        return list(dict.fromkeys(tally.call.module or ROOT for tally in self.tallies))


def explain_selection(profile: Profile, typed: str, found: Found) -> Explanation:
    """The explanation of all calls that ``found`` means; ``typed`` is how the user named them."""
    tallies = [tally for tally in profile.work.tallies if _is_meant(tally, found)]
    return Explanation(f"{profile.name}: {typed}", tuple(_blocks(profile, typed, found, tallies)))


def _is_meant(tally: Tally, found: Found) -> bool:
    call = tally.call
    meant = {"modules": call.module, "module": call.module, "operator": call.op, "kind": call.kind}[found.what]
    return meant in found.names


def _blocks(profile: Profile, typed: str, found: Found, tallies: Sequence[Tally]) -> Iterator[Block]:
    title: Spans = spread([Name(name) for name in found.names]) if found.what == "operator" else (Name(typed),)
    what = {"operator": "", "kind": ", a kind of work", "modules": f", {len(found.names)} modules"}[found.what]
    yield Heading(1, (*title, f"{what} in ", Name(profile.name)))
    calls = sum(tally.times for tally in tallies)
    count = count_of(tallies)
    layers = gathered(tallies, lambda call: call.module)
    shares = [
        f"{thousands(own)} of {thousands(whole)} {heading} ({share_text(own / whole)})"
        for figure, heading in (("macs", "MACs"), ("flops", "FLOPs"))
        if (own := getattr(count, figure)) and (whole := getattr(profile.total, figure))
    ]
    done = f" do {' and '.join(shares)}" if shares else " have no MACs and no FLOPs"
    yield Paragraph((f"{_plural(calls, 'call')} in {_plural(len(layers), 'layer')}{done}.",))
    counted = {name: group for name, group in layers.items() if any(tally.call.terms for tally in group.tallies)}
    if counted:
        rows = [SumRow([name or ROOT, group.times], count_of(group.tallies)) for name, group in counted.items()]
        yield summed("selection", "By layer", (LAYER, CALLS), rows)
    yield from _derivations(tallies)
    yield from free_and_uncounted((tally.call, tally.times) for tally in tallies)


def _derivations(tallies: Sequence[Tally]) -> Iterator[Block]:
    same: dict[object, _Same] = {}
    for tally in tallies:
        if tally.call.terms:
            key = (tally.call.signature, tally.call.phase, phase_of(tally.call))
            same.setdefault(key, _Same()).tallies.append(tally)
    ranked = sorted(same.values(), key=lambda one: one.tallies[0].call.count.flops * one.times, reverse=True)
    if len(ranked) > 1:
        shown = "" if len(ranked) <= DERIVED else f"; the {DERIVED} costliest are derived"
        yield Paragraph((f"They are {len(ranked)} different operations{shown}.",))
    if ranked:
        yield Heading(2, ("Derivation",))
    for one in ranked[:DERIVED]:
        yield from derived(Derivation.of(one.tallies[0].call, one.times), where=_where(one))


def _where(one: _Same) -> Spans:
    names: list[Name | str] = [Name(name) for name in one.layers[:NAMED]]
    if len(one.layers) > NAMED:
        names.append(f"{len(one.layers) - NAMED} more")
    return ("In ", *spread(names), f", called {times(one.times)}, on ")


def _plural(number: int, noun: str) -> str:
    return f"{thousands(number)} {noun}" + ("" if number == 1 else "s")
