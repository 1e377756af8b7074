"""Several profiles → one table that compares the networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from profiler.columns import FIRST, Column
from profiler.conventions import find_convention, headline_of
from profiler.errors import ProfilerError
from profiler.measures import Measure, find_measure, measures_in
from profiler.profiles import Profile
from profiler.records import show_shapes
from profiler.schema import Table
from profiler.tabulate import with_headline

if TYPE_CHECKING:
    import pandas as pd

COMPARED = {"conv": (26, 26), "linear": (5, 6)}
"""The kinds whose shares of parameters and of multiplies the table has, each with its priorities."""

COMPARED_FIGURES = ("parameters", "multiplies")

RATIOS = {"parameters": 22, "macs": 4, "flops": 21}
"""The figures whose ratio to the first network the table has, with the priority of the column."""

PRIORITIES = {"macs": 3, "parameters": 2, "multiplies": 23, "adds": 24}
"""The priorities of figures that differ from those in other tables."""


def compare(profiles: Sequence[Profile]) -> pd.DataFrame:
    """One row for each network: exact counts, shares as fractions of one, ratios to the first network.

    If two networks have the same name, a column ``target`` distinguishes them.  If the first profile's convention has a
    separate figure, that figure and its ratio are the last columns.  A share or ratio of nothing is missing; the share
    of a kind of work that a network does not do is 0.  If the status is ``partial``, some work is not counted: the
    counts are lower bounds, and shares and ratios are those of the counted work.  Raises :class:`ProfilerError` if
    there are no profiles.
    """
    return comparison_table(profiles).frame


def comparison_table(profiles: Sequence[Profile]) -> Table:
    """The table whose frame :func:`compare` returns."""
    if not profiles:
        raise ProfilerError("nothing to compare: expected at least one profile")
    columns = _columns(profiles[0])
    if len({profile.name for profile in profiles}) < len(profiles):
        columns.insert(1, (Column("target"), lambda profile: profile.target))
    rows = [[value(profile) for _, value in columns] for profile in profiles]
    schema = with_headline((column for column, _ in columns), find_convention(profiles[0].convention).column)
    return Table.of("comparison", "Networks side by side", schema, rows)


Cell = Callable[[Profile], object]


def _columns(first: Profile) -> list[tuple[Column, Cell]]:
    """The columns, each with its value for a network."""
    columns: list[tuple[Column, Cell]] = [
        (Column("network", "name", FIRST, refers_to="network"), lambda profile: profile.name),
        (Column("input", "shape", 25), lambda profile: show_shapes(profile.input_shapes)),
    ]
    for measure in measures_in("comparison"):
        column = measure.column()
        columns.append((replace(column, priority=PRIORITIES.get(column.name, column.priority)), _figure(measure.name)))
    for place, name in enumerate(COMPARED_FIGURES):
        for kind, priorities in COMPARED.items():
            heading = f"{kind}, of {find_measure(name).heading}"
            columns.append((Column(f"{kind}_{name}_share", "share", priorities[place], heading), _share(kind, name)))
    for name, priority in RATIOS.items():
        columns.append((_ratio_column(find_measure(name), priority), _ratio(_figure(name), first)))
    columns += [
        (Column("status", "status", 20), lambda profile: profile.status),
        (Column("mode", priority=27), lambda profile: profile.mode),
    ]
    headline = headline_of(first.convention)
    if headline is not None:
        columns += [
            (headline.column(), _headline(first.convention)),
            (_ratio_column(headline, 50), _ratio(_headline(first.convention), first)),
        ]
    return columns


def _ratio_column(measure: Measure, priority: int) -> Column:
    return Column(f"{measure.name}_ratio", "ratio", priority, f"{measure.heading}, ratio")


def _figure(name: str) -> Callable[[Profile], int]:
    return lambda profile: profile.figure(name)


def _headline(convention: str) -> Callable[[Profile], int]:
    return lambda profile: profile.with_convention(convention).headline


def _share(kind: str, figure: str) -> Cell:
    return lambda profile: kind_share(profile, kind, figure)


def _ratio(figure: Callable[[Profile], int], first: Profile) -> Cell:
    whole = figure(first)
    return lambda profile: quotient(figure(profile), whole)


def kind_share(profile: Profile, kind: str, figure: str) -> float | None:
    """The share of this kind of work in ``figure``, as a fraction of one; missing if the figure is zero or unknown.

    It is 0 if the network does no such work.
    """
    shares = profile.tabulated("shares")
    values = dict(zip(shares["kind"], shares[figure], strict=True))
    return quotient(values.get(kind, 0), values["total"])


def quotient(part: int, whole: int) -> float | None:
    """``part / whole``, or missing if the whole is 0."""
    return part / whole if whole else None
