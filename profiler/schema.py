"""Rows → tables: columns of plain Python values, and a schema that describes each column.

The pandas frame of a table is made when it is needed, and pandas is imported then.  A column of the frame is
``int64`` if all values and their sum fit, and has exact Python integers otherwise.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress
from typing import TYPE_CHECKING, Any, Self

from profiler.columns import Column

if TYPE_CHECKING:
    import pandas as pd

INT64_MAX = 2**63 - 1


def make_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> pd.DataFrame:
    """A data frame with exactly these columns and exact integers."""
    return make_frame(dict(zip(columns, _turned(rows, len(columns)), strict=True)))


def make_frame(values: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """The columns of these names and values as a data frame with exact integers."""
    import pandas as pd  # takes about as long as a small profile

    return pd.DataFrame({name: pd.Series(list(column), dtype=dtype_of(column)) for name, column in values.items()})


def dtype_of(values: Sequence[Any]) -> str:
    """The dtype of a column with these values: that of their type, or ``object`` if they have several types."""
    types = set(map(type, values))
    if types == {int}:
        return "int64" if sum(map(abs, values)) <= INT64_MAX else "object"
    if types == {bool}:
        return "bool"
    return "float64" if types == {float} else "object"


def _turned(rows: Iterable[Sequence[Any]], width: int) -> list[Sequence[Any]]:
    """The columns of rows with ``width`` values each."""
    return list(zip(*rows, strict=True)) or [()] * width


@dataclass(frozen=True, eq=False)
class Table:
    """Values in columns: ``values`` are those of each of the ``columns``, in order; ``subject`` is the topic.

    The last ``footer`` rows are totals of the others, or about what is not in the others.  They stay last if the table
    is sorted.
    """

    name: str
    subject: str
    columns: tuple[Column, ...]
    values: tuple[Sequence[Any], ...]
    footer: int = 0

    @classmethod
    def of(
        cls, name: str, subject: str, columns: Sequence[Column], rows: Iterable[Sequence[Any]], footer: int = 0
    ) -> Self:
        """The table with these rows, each with a value for every column."""
        return cls(name, subject, tuple(columns), tuple(_turned(rows, len(columns))), footer)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The table as a pandas data frame."""
        return make_frame({column.name: values for column, values in zip(self.columns, self.values, strict=True)})

    def __len__(self) -> int:
        return len(self.values[0]) if self.values else 0

    def __iter__(self) -> Iterator[str]:
        """The names of the columns."""
        return (column.name for column in self.columns)

    def __getitem__(self, name: str) -> list[Any]:
        """The values of the column of that name.  Raises KeyError."""
        return list(self.values[self._place(name)])

    def _place(self, name: str) -> int:
        for place, column in enumerate(self.columns):
            if column.name == name:
                return place
        raise KeyError(name)

    def column(self, name: str) -> Column:
        """The schema of the column of that name."""
        return next(column for column in self.columns if column.name == name)

    def of_unit(self, unit: str) -> Column | None:
        """The first column of that unit, if any."""
        return next((column for column in self.columns if column.unit == unit), None)

    def where(self, kept: Sequence[bool]) -> Table:
        """The table with the rows for which ``kept`` is true."""
        footer = sum(map(bool, kept[len(self) - self.footer :]))
        return replace(self, values=tuple(list(compress(values, kept)) for values in self.values), footer=footer)

    def without(self, names: Container[str]) -> Table:
        """The table without the columns of these names."""
        kept = [column.name not in names for column in self.columns]
        return replace(self, columns=tuple(compress(self.columns, kept)), values=tuple(compress(self.values, kept)))

    def with_values(self, name: str, values: Sequence[Any]) -> Table:
        """The table with other values in one of its columns."""
        changed = list(self.values)
        changed[self._place(name)] = values
        return replace(self, values=tuple(changed))

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """The rows, each with a value for every column."""
        return zip(*self.values, strict=True)

    def records(self) -> list[dict[str, Any]]:
        """The rows, each as a mapping of names to values."""
        names = list(self)
        return [dict(zip(names, row, strict=True)) for row in self.rows()]

    def title(self, names: Container[str]) -> str:
        """``Layers: parameters, multiplies, adds and FLOPs``: the subject, and the figures among the columns shown."""
        shown = dict.fromkeys(column.figure for column in self.columns if column.figure and column.name in names)
        if not shown or ":" in self.subject:
            return self.subject
        *others, last = shown
        return f"{self.subject}: {', '.join(others)} and {last}" if others else f"{self.subject}: {last}"


def joined(key: Column, tables: Mapping[str, Table]) -> Table:
    """The concatenated tables, with a first column ``key`` that names the table of each row.

    If a table does not have a column, its rows have missing values there.
    """
    columns = {column.name: column for table in tables.values() for column in table.columns}
    rows = [[label, *(row.get(name) for name in columns)] for label, table in tables.items() for row in table.records()]
    first = next(iter(tables.values()))
    return Table.of(first.name, first.subject, [key, *columns.values()], rows)
