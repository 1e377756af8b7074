"""Rows → pandas tables whose integers are exact.

A column is ``int64`` where every value and their sum fit, and holds exact Python integers otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

INT64_MAX = 2**63 - 1


def make_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> pd.DataFrame:
    """A table with exactly these columns, whose integers are exact."""
    data = list(zip(*rows, strict=True)) or [() for _ in columns]
    return pd.DataFrame({name: column_of(values) for name, values in zip(columns, data, strict=True)})


def joined(key: str, frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The tables below one another, with a first column ``key`` that says which one a row is of.

    A column that a table does not have is missing in its rows.
    """
    columns = list(dict.fromkeys(str(name) for frame in frames.values() for name in frame.columns))
    rows = [
        [label, *(row.get(name) for name in columns)]
        for label, frame in frames.items()
        for row in frame.to_dict("records")
    ]
    return make_table((key, *columns), rows)


def column_of(values: Sequence[Any]) -> pd.Series[Any]:
    """The values as a column of their type, of objects where they have several."""
    if values and all(type(value) is int for value in values):
        fits = sum(abs(value) for value in values) <= INT64_MAX
        return pd.Series(values, dtype="int64" if fits else "object")
    if values and all(type(value) is bool for value in values):
        return pd.Series(values, dtype="bool")
    if values and all(type(value) is float for value in values):
        return pd.Series(values, dtype="float64")
    return pd.Series(list(values), dtype="object")
