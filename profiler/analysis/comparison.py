"""Several profiles → one table that sets the networks side by side."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from profiler.conventions import headline_of
from profiler.errors import ProfilerError
from profiler.profiles import Profile
from profiler.records import show_shapes
from profiler.schema import make_table

COMPARED_KINDS = ("conv", "linear")
COMPARED_FIGURES = ("parameters", "multiplies")
"""Of these figures, the table gives the shares of the kinds above."""

RATIO_FIGURES = ("parameters", "macs", "flops")
"""Of these figures, the table gives the ratio to the first network's."""

COMPARISON_COLUMNS = (
    "network",
    "input",
    "parameters",
    "multiplies",
    "adds",
    "macs",
    "flops",
    *(f"{kind}_{figure}_share" for figure in COMPARED_FIGURES for kind in COMPARED_KINDS),
    *(f"{figure}_ratio" for figure in RATIO_FIGURES),
    "status",
    "mode",
)


def compare(profiles: Sequence[Profile]) -> pd.DataFrame:
    """One row for each network: exact counts, shares as fractions of one, ratios to the first network.

    Where two networks have one name, a column ``target`` says what each of them is.
    Where the first profile's convention has a figure of its own, that and its ratio are the last columns.  A share or
    ratio of nothing is missing; the share of a kind of work that a network does not do is 0.  Where
    the status is ``partial``, operations without a rule ran: the counts are lower bounds, and shares and ratios
    are those of what could be counted.  Raises :class:`ProfilerError` where there is no profile.
    """
    if not profiles:
        raise ProfilerError("nothing to compare: expected at least one profile")
    first = _figures(profiles[0])
    headline = headline_of(profiles[0].convention)
    columns = [*COMPARISON_COLUMNS, *((headline.column, f"{headline.column}_ratio") if headline else ())]
    table = make_table(columns, [[*_row(profile, first), *_headline(profile, profiles[0])] for profile in profiles])
    if len({profile.name for profile in profiles}) < len(profiles):
        table.insert(1, "target", [profile.target for profile in profiles])
    return table


def _headline(profile: Profile, first: Profile) -> list[object]:
    """The figure by the first profile's convention, and its ratio; nothing where that has a column anyway."""
    if headline_of(first.convention) is None:
        return []
    figure = profile.with_convention(first.convention).headline
    return [figure, quotient(figure, first.headline)]


def _row(profile: Profile, first: dict[str, int]) -> list[object]:
    figures = _figures(profile)
    return [
        profile.name,
        show_shapes(profile.input_shapes),
        *figures.values(),
        *(kind_share(profile, kind, figure) for figure in COMPARED_FIGURES for kind in COMPARED_KINDS),
        *(quotient(figures[name], first[name]) for name in RATIO_FIGURES),
        profile.status,
        profile.mode,
    ]


def _figures(profile: Profile) -> dict[str, int]:
    count = profile.total
    return {
        "parameters": profile.parameters_total,
        **{name: getattr(count, name) for name in ("multiplies", "adds", "macs", "flops")},
    }


def kind_share(profile: Profile, kind: str, figure: str) -> float | None:
    """The part of ``figure`` that work of this kind has, as a fraction of one; missing where there is no such figure.

    0 where the network does no such work.
    """
    shares = profile.table("shares")
    values = dict(zip(shares["kind"].tolist(), shares[figure].tolist(), strict=True))
    return quotient(values.get(kind, 0), values["total"])


def quotient(part: int, whole: int) -> float | None:
    """``part / whole``, missing where there is no whole."""
    return part / whole if whole else None
