"""A profile → its tree of modules with the figures of each, for the picture of the tree on a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from profiler.measures import measures_in
from profiler.printable import visible
from profiler.profiles import Profile
from profiler.records import ROOT
from profiler.render.page.cells import exact
from profiler.schema import Table


def module_tree(profile: Profile, table: Table) -> dict[str, Any] | None:
    """The modules of ``table``, which has a column of depths, each with the number of its parent and its figures.

    Types and kinds are numbers of those in ``typeNames`` and ``kindNames``.  Each figure includes everything below the
    module; one that is zero in the whole network is left out.  A figure with the same ``values`` as an earlier one has
    its number, ``like``.  None if there are no two modules or no figures.
    """
    modules = len(table) - table.footer
    names = table[table.columns[0].name][:modules]
    figures: list[dict[str, Any]] = []
    for measure in measures_in(table.name):
        column = measure.column("total")
        if column.name in table and profile.knows(measure.name) and profile.figure(measure.name):
            values = [exact(value) for value in table[column.name][:modules]]
            same = [number for number, figure in enumerate(figures) if figure.get("values") == values]
            shown = {"like": same[0]} if same else {"values": values}
            figures.append({"label": measure.heading, "bound": measure.figure is not None, **shown})
    if modules < 2 or not figures:
        return None
    kinds, kind_names = _numbered(profile.work.kinds.get("" if name == ROOT else name, "") for name in names)
    types = {record.name or ROOT: record.type for record in profile.trace.modules}
    type_numbers, type_names = _numbered(visible(types.get(name, "")) for name in names)
    status = table.of_unit("status")
    return {
        "names": [visible(name) for name in names],
        "types": type_numbers,
        "typeNames": type_names,
        "parents": _parents(names),
        "kinds": kinds,
        "kindNames": kind_names,
        "partial": [] if status is None else [row for row in range(modules) if table[status.name][row] == "partial"],
        "figures": figures,
    }


def _numbered(texts: Iterable[str]) -> tuple[list[int], list[str]]:
    """Each text as its number among the different ones, and these."""
    numbers: dict[str, int] = {}
    return [numbers.setdefault(text, len(numbers)) for text in texts], list(numbers)


def _parents(names: Sequence[str]) -> list[int]:
    """For each name the number of the closest module above it; -1 for the first, which is the network."""
    places = {name: place for place, name in reversed(list(enumerate(names)))}
    parents = []
    for place, name in enumerate(names):
        above = name
        while above == name or (above and above not in places):
            above = above.rpartition(".")[0]
        parents.append(places.get(above, 0) if place else -1)
    return parents
