"""Tables that follow from a trace alone are kept with it, and everything else is made again."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import pytest

from profiler import catalog, kept, measures
from profiler.kept import kept_table
from profiler.profiles import Profile
from profiler.schema import Table
from profiler.tables import layers, shares
from profiler.tabulate import Work
from profiler.throughput import Throughput
from tests import sample_profiles


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the tables that are really made, by the grouping that each is tabulated by."""
    names: list[str] = []
    for module in (layers, shares):

        def tabulate(grouping: Any, *rest: Any, real: Any = module.tabulate) -> Table:
            names.append(grouping.name)
            table: Table = real(grouping, *rest)
            return table

        monkeypatch.setattr(module, "tabulate", tabulate)
    return names


def again(profile: Profile) -> Profile:
    """Another profile with the same trace, as the memo gives it."""
    return replace(profile)


def test_a_table_is_made_once_for_a_trace(made: list[str]) -> None:
    """It has the same values in another table, and cannot be changed for others: neither values nor data frames."""
    first = sample_profiles.small()
    second = again(first)
    one, other = first.tabulated("layers"), second.tabulated("layers")
    assert made == ["layers"]
    assert (list(one.rows()), one.columns, one.footer) == (list(other.rows()), other.columns, other.footer)
    assert all(type(column) is tuple for column in one.values)
    first.layers["macs"] = 0
    assert second.layers["macs"].tolist() == list(other["macs"]) != [0] * len(other)
    assert again(first).layers["macs"].tolist() == list(other["macs"])


def test_a_table_of_more_than_the_trace_is_made_again(made: list[str]) -> None:
    """That is one with a convention's headline, a device, a model of energy, or reports of counters."""
    profile = sample_profiles.small()
    plain = profile.tabulated("layers")
    by_convention = [again(profile.with_convention(name)).tabulated("layers") for name in ("fvcore", "paper", "fvcore")]
    assert made == ["layers"] * 3
    assert [set(table) - set(plain) for table in by_convention] == [{"by_fvcore"}, {"by_paper"}, {"by_fvcore"}]
    assert list(by_convention[0].rows()) == list(by_convention[2].rows())
    for other in (
        profile.with_device("h100"),
        profile.with_energy("horowitz_45nm"),
        profile.with_counters(sample_profiles.counter(profile)),
        replace(profile, throughput=Throughput.read(step_time=1.0)),
    ):
        again(other).tabulated("layers")
        again(other).tabulated("layers")
    assert made == ["layers"] * 11
    assert len(profile.with_device("h100").tabulated("roofline")) > len(profile.tabulated("roofline")) == 0
    assert len(profile.tabulated("roofline")) == 0


def test_tables_of_others_are_made_again() -> None:
    """They may follow from anything."""
    calls = []

    def table(work: Work) -> Table:
        calls.append(work)
        return layers.table(work)

    work = sample_profiles.small().work
    assert [len(kept_table(table, work)) for _ in range(2)] == [2, 2]
    assert len(calls) == 2


def test_another_figure_or_ratio_makes_tables_again(made: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Extensions add them."""
    profile = sample_profiles.small()
    assert "twice" not in again(profile).tabulated("layers")
    twice = replace(measures.find_measure("macs"), name="twice", figure=lambda call: 2 * call.count.macs)
    every = (*measures.measures(), twice)
    for module in (measures, kept, __import__("profiler.tabulate").tabulate):
        monkeypatch.setattr(module, "measures", lambda: every)
    table = again(profile).tabulated("layers")
    assert table["twice"] == [2 * macs for macs in table["macs"]]
    monkeypatch.setattr(measures, "ratios", lambda: ())
    monkeypatch.setattr(kept, "ratios", lambda: ())
    assert "intensity" in table
    assert "intensity" not in again(profile).tabulated("layers")
    assert made == ["layers"] * 3


def test_the_oldest_tables_are_forgotten(made: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """All traces together keep a limited number of values; a table of more than a quarter of it is not kept."""
    monkeypatch.setattr(kept, "_KEEPING", kept._Keeping())
    profiles = [sample_profiles.small() for _ in range(5)]
    values = len(profiles[0].tabulated("shares").columns) * len(profiles[0].tabulated("shares"))
    monkeypatch.setattr(kept, "MOST_VALUES", values * 4)
    for profile in profiles:
        profile.tabulated("shares")
    made.clear()
    for profile in reversed(profiles):
        again(profile).tabulated("shares")
    assert made == ["shares"]
    monkeypatch.setattr(kept, "MOST_VALUES", values * 4 - 1)
    large = sample_profiles.small()
    for _ in range(2):
        again(large).tabulated("shares")
    assert made == ["shares"] * 3


def test_what_is_kept_is_no_part_of_a_trace() -> None:
    """Neither of a copy of it, nor of a saved one; traces are equal without it."""
    profile = sample_profiles.small()
    for name in catalog.tables():
        profile.tabulated(name)
    trace = profile.trace
    assert trace.kept
    assert trace == sample_profiles.small().trace == pickle.loads(pickle.dumps(trace))
    assert not pickle.loads(pickle.dumps(trace)).kept
    assert not replace(trace, unseen=()).kept
    assert "kept" not in repr(trace)
