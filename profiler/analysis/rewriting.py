"""Two profiles of one network, before and after a rewrite → what each kind of work became."""

from __future__ import annotations

from typing import Any

import pandas as pd

from profiler.profiles import Profile
from profiler.records import KINDS
from profiler.schema import make_table
from profiler.tables import SHARED_FIGURES

REWRITING_COLUMNS = (
    "kind",
    *(f"{figure}_{ending}" for figure in SHARED_FIGURES for ending in ("before", "after", "saved")),
)


def rewriting_table(before: Profile, after: Profile) -> pd.DataFrame:
    """One row a kind of work and a last row ``total``: each figure before, after, and the difference that it saves.

    What is uncounted is missing.
    """
    old, new = (_by_kind(profile) for profile in (before, after))
    kinds = [kind for kind in (*KINDS, "total") if kind in old or kind in new]
    return make_table(REWRITING_COLUMNS, [[kind, *_cells(old.get(kind, {}), new.get(kind, {}))] for kind in kinds])


def disappeared(before: Profile, after: Profile) -> tuple[str, ...]:
    """The layers that did arithmetic before and do none after."""
    working = [
        {name for name, flops in zip(profile.layers["layer"], profile.layers["flops"], strict=True) if flops}
        for profile in (before, after)
    ]
    return tuple(name for name in before.layers["layer"] if name in working[0] - working[1])


def _by_kind(profile: Profile) -> dict[str, dict[str, Any]]:
    return {str(row["kind"]): {str(k): v for k, v in row.items()} for row in profile.table("shares").to_dict("records")}


def _cells(old: dict[str, Any], new: dict[str, Any]) -> list[object]:
    cells: list[object] = []
    for figure in SHARED_FIGURES:
        was, now = old.get(figure, 0), new.get(figure, 0)
        cells += [was, now, None if was is None or now is None else was - now]
    return cells
