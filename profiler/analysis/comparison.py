"""Several profiles → one table that compares the networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from profiler.analysis.compared import (
    OF_ANY,
    OF_MACHINE,
    OF_MEMORY,
    Cell,
    Columns,
    Compared,
    default_columns,
    distinguishing,
    find_column,
    headline_column,
    named_columns,
    quotient,
    share_of,
)
from profiler.columns import Column
from profiler.errors import ProfilerError, did_you_mean, shown
from profiler.formatting import is_missing
from profiler.frames import shown_frame
from profiler.measures import find_measure
from profiler.profiles import Profile
from profiler.schema import Table
from profiler.tabulate import with_headline

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Compared", "Selection", "compare", "comparison_table", "kind_share", "quotient"]

NAMES_SHOWN = 8
"""The maximum number of networks that a message lists."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What a comparison shows: the network that ratios are to, the columns, their order, and how many rows.

    By default ratios are to the first network that has a profile, and all rows have their order.  ``sort`` names a
    column: figures are sorted from the largest on, texts from the first letter on, and what is missing comes last.
    ``top`` keeps so many rows, by default those with the largest headline.
    """

    baseline: str | None = None
    columns: tuple[str, ...] | None = None
    sort: str | None = None
    top: int | None = None

    @property
    def needs_memory(self) -> bool:
        """Whether a column shows live memory."""
        return any(name.removesuffix("_ratio") in OF_MEMORY for name in self._named)

    @property
    def _named(self) -> tuple[str, ...]:
        return (*(self.columns or ()), *([self.sort] if self.sort is not None else []))

    def check_machine(self, *, device: bool, energy: bool) -> None:
        """Raise :class:`ProfilerError` for a column that needs a device or a model of energy that there is not."""
        for name in self._named:
            table = OF_MACHINE[of][0] if (of := name.removesuffix("_ratio")) in OF_MACHINE else ""
            if (table == "roofline" and not device) or (table == "energy" and not energy):
                option = "--device h100" if table == "roofline" else "--energy horowitz_45nm"
                raise ProfilerError(f"column {name}: found no {table} of the networks, expected {option} or the like")

    def check(self, networks: Sequence[Compared]) -> None:
        """Raise :class:`ProfilerError` for a column or a baseline that is not known, before anything is profiled."""
        for name in self._named:
            find_column(_column_name(name))
        if self.top is not None and self.top < 1:
            raise ProfilerError(f"top: found {self.top}, expected a positive number")
        if self.baseline is not None:
            _named(networks, self.baseline)


EVERYTHING = Selection()


def compare(
    profiles: Sequence[Profile],
    *,
    baseline: str | None = None,
    columns: Sequence[str] | None = None,
    sort: str | None = None,
    top: int | None = None,
) -> pd.DataFrame:
    """One row for each network: exact counts, shares as fractions of one, ratios to the first network.

    A notebook shows the data frame as a report, with a picture of the networks; see ``docs/compare.md``.

    ``baseline`` names the network that ratios are to in place of the first.  ``columns`` names the columns, each a
    figure (``"macs"``), the ratio of one (``"macs_ratio"``), the share of a kind of work (``"conv_macs_share"``) or
    ``"input"``, ``"target"``, ``"mode"``, ``"status"``, ``"trainable"``, ``"parameter_bytes"``, ``"buffers"``; of
    profiles with their live memory ``"peak_activation_bytes"``, ``"memory_needed"``, …; of those with a device
    ``"time_at_least"``, ``"bound_by"``, ``"utilization"``; of those with a model of energy ``"energy"``, ….
    ``sort`` names the column by which rows are sorted: figures from the largest on, texts from the first letter on.
    ``top`` keeps so many rows, by default those with the largest headline.

    If two networks have the same name, a column ``target`` distinguishes them, or else a column ``number``.  If the
    first profile's convention has a separate figure, that figure and its ratio are the last columns.  A share or ratio
    of nothing is missing; the share of a kind of work that a network does not do is 0.  If the status is ``partial``,
    some work is not counted: the counts are lower bounds, and shares and ratios are those of the counted work.  Raises
    :class:`ProfilerError` if there are no profiles, and for a column or a baseline that is not known.
    """
    selection = Selection(baseline, None if columns is None else tuple(columns), sort, top)
    table = comparison_table(profiles, selection)
    given = tuple(profiles)

    def shown() -> str:
        from profiler.render.notebook import report_html
        from profiler.render.report import comparison_report

        return report_html(comparison_report(given, selection))

    return shown_frame(table.frame, shown)


def comparison_table(networks: Sequence[Profile | Compared], selection: Selection = EVERYTHING) -> Table:
    """The table whose frame :func:`compare` returns; a network without a profile has a row without figures."""
    if not networks:
        raise ProfilerError("nothing to compare: expected at least one profile")
    every = [Compared.of(network) for network in networks]
    selection.check(every)
    ratios_to = baseline_of(every, selection).profile
    convention = next((network.profile.convention for network in every if network.profile is not None), "exact")
    columns = _columns(every, selection, ratios_to, convention)
    kept = _sorted(every, selection, ratios_to, convention)[: selection.top]
    rows = [[value(network) for _, value in columns] for network in kept]
    schema: Sequence[Column] = [column for column, _ in columns]
    if selection.columns is None:
        schema = with_headline(schema, headline_column(convention))
    return Table.of("comparison", "Networks side by side", schema, rows)


def baseline_of(networks: Sequence[Compared], selection: Selection) -> Compared:
    """The network that ratios are to: the named one, or the first that has a profile.  Raises ProfilerError."""
    if selection.baseline is not None:
        return _named(networks, selection.baseline)
    return next((network for network in networks if network.profile is not None), networks[0])


def _named(networks: Sequence[Compared], name: str) -> Compared:
    """The only network of that name, source or target.  Raises ProfilerError."""
    found: list[Compared] = []
    for known in ("name", "source", "target"):
        found = [network for network in networks if getattr(network, known) == name]
        if len(found) == 1:
            return found[0]
        if found:
            break
    if found:
        others = _listed(dict.fromkeys(network.source or network.target for network in found))
        raise ProfilerError(f"baseline {shown(name)}: {len(found)} networks have this name, expected one of {others}")
    names = dict.fromkeys(network.name for network in networks)
    hint = did_you_mean(name, names)
    raise ProfilerError(f"baseline {shown(name)} is not among the networks, expected one of {_listed(names)}{hint}")


def _listed(names: dict[str, None]) -> str:
    left = len(names) - NAMES_SHOWN
    return ", ".join(list(names)[:NAMES_SHOWN]) + (f" and {left} more" if left > 0 else "")


def _columns(
    networks: Sequence[Compared], selection: Selection, baseline: Profile | None, convention: str
) -> list[tuple[Column, Cell]]:
    """The columns in their order, with those that no comparison may do without."""
    found: Columns
    if selection.columns is None:
        found = default_columns(baseline, convention)
    else:
        found = named_columns(map(_column_name, selection.columns), baseline)
        names = {column.name for column, _ in found}
        found = [*([] if "network" in names else [OF_ANY["network"]]), *found]
        if "status" not in names and any(
            network.profile is None or not network.profile.complete for network in networks
        ):
            found.append(OF_ANY["status"])
    for name in dict.fromkeys(column.bound_by for column, _ in found if column.bound_by):
        status = find_column(name)
        if name not in {column.name for column, _ in found} and "partial" in map(status[1], networks):
            found.append(status)
    names = {column.name for column, _ in found}
    if "reason" not in names and any(network.profile is None for network in networks):
        found.append(OF_ANY["reason"])
    found = [
        (replace(column, bound_by=column.bound_by or "status") if column.bound else column, value)
        for column, value in found
    ]
    place = next(place for place, (column, _) in enumerate(found, 1) if column.name == "network")
    found[place:place] = [pair for pair in distinguishing(networks) if pair[0].name not in names]
    return found


def _column_name(name: str) -> str:
    """``name`` is what a column of names is called on a command line."""
    return "network" if name == "name" else name


def _sorted(
    networks: Sequence[Compared], selection: Selection, baseline: Profile | None, convention: str
) -> list[Compared]:
    """The networks in the order of the selection; those with equal values keep theirs."""
    name = selection.sort or (None if selection.top is None else headline_column(convention))
    if name is None:
        return list(networks)
    _, value = find_column(_column_name(name), baseline)
    known: list[tuple[Any, Compared]] = [(value(network), network) for network in networks]
    missing = [network for key, network in known if is_missing(key)]
    known = [(key, network) for key, network in known if not is_missing(key)]
    is_text = any(isinstance(key, str) for key, _ in known)
    known.sort(key=lambda pair: str(pair[0]).lower() if is_text else pair[0], reverse=not is_text)
    return [*(network for _, network in known), *missing]


def kind_share(profile: Profile, kind: str, figure: str) -> float | None:
    """The share of this kind of work in ``figure``, as a fraction of one; missing if the figure is zero or unknown.

    It is 0 if the network does no such work.
    """
    return share_of(profile, kind, find_measure(figure))
