"""Rows → tables: a pandas frame with exact integers, and a schema that describes each column.

A column of the frame is ``int64`` if all values and their sum fit, and has exact Python integers otherwise.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import pandas as pd

from profiler.columns import Column

INT64_MAX = 2**63 - 1


def make_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> pd.DataFrame:
    """A table with exactly these columns and exact integers."""
    data = list(zip(*rows, strict=True)) or [() for _ in columns]
    return pd.DataFrame({name: column_of(values) for name, values in zip(columns, data, strict=True)})


def joined(key: str, frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The concatenated tables, with a first column ``key`` that names the table of each row.

    If a table does not have a column, its rows have missing values there.
    """
    columns = list(dict.fromkeys(str(name) for frame in frames.values() for name in frame.columns))
    rows = [
        [label, *(row.get(name) for name in columns)]
        for label, frame in frames.items()
        for row in frame.to_dict("records")
    ]
    return make_table((key, *columns), rows)


def column_of(values: Sequence[Any]) -> pd.Series[Any]:
    """The values as a column of their type, or of objects if they have several types."""
    if values and all(type(value) is int for value in values):
        fits = sum(abs(value) for value in values) <= INT64_MAX
        return pd.Series(values, dtype="int64" if fits else "object")
    if values and all(type(value) is bool for value in values):
        return pd.Series(values, dtype="bool")
    if values and all(type(value) is float for value in values):
        return pd.Series(values, dtype="float64")
    return pd.Series(list(values), dtype="object")


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A frame of values, and its columns in the same order; ``subject`` is its topic."""

    name: str
    subject: str
    columns: tuple[Column, ...]
    frame: pd.DataFrame

    @classmethod
    def of(cls, name: str, subject: str, columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> Self:
        """The table with these rows, each with a value for every column."""
        return cls(name, subject, tuple(columns), make_table([column.name for column in columns], rows))

    def __len__(self) -> int:
        return len(self.frame)

    def __iter__(self) -> Iterator[str]:
        """The names of the columns."""
        return (column.name for column in self.columns)

    def __getitem__(self, name: str) -> pd.Series[Any]:
        return self.frame[name]

    def column(self, name: str) -> Column:
        """The schema of the column of that name."""
        return next(column for column in self.columns if column.name == name)

    def of_unit(self, unit: str) -> Column | None:
        """The first column of that unit, if any."""
        return next((column for column in self.columns if column.unit == unit), None)

    def where(self, kept: Sequence[bool]) -> Table:
        """The table with the rows for which ``kept`` is true."""
        return replace(self, frame=self.frame[list(kept)])

    def without(self, names: Container[str]) -> Table:
        """The table without the columns of these names."""
        columns = tuple(column for column in self.columns if column.name not in names)
        return replace(self, columns=columns, frame=self.frame[[column.name for column in columns]])

    def with_values(self, name: str, values: Sequence[Any]) -> Table:
        """The table with other values in one of its columns."""
        return replace(
            self, frame=self.frame.assign(**{name: pd.Series(values, index=self.frame.index, dtype="object")})
        )

    def records(self) -> list[dict[str, Any]]:
        """The rows, each as a mapping of names to values."""
        return [{str(name): value for name, value in row.items()} for row in self.frame.to_dict("records")]

    def title(self, names: Container[str]) -> str:
        """``Layers: parameters, multiplies, adds and FLOPs``: the subject, and the figures among the columns shown."""
        shown = dict.fromkeys(column.figure for column in self.columns if column.figure and column.name in names)
        if not shown or ":" in self.subject:
            return self.subject
        *others, last = shown
        return f"{self.subject}: {', '.join(others)} and {last}" if others else f"{self.subject}: {last}"
