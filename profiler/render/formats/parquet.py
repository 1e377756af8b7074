"""Report → Parquet, one file per table: exact integers, shares as fractions, null for an unknown value.

Each column's heading, unit and meaning are in the metadata of its field.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from profiler.columns import Column
from profiler.errors import needed_for
from profiler.formatting import is_missing
from profiler.printable import escaped
from profiler.render.formats.csv import SURROGATE
from profiler.render.report import Report
from profiler.schema import INT64_MAX, Table

with needed_for("format parquet", "parquet"):
    import pyarrow as pa
    from pyarrow import parquet

BINARY = True

DECIMAL_DIGITS = 38
"""The digits of the largest integers that have an exact type."""


def render(report: Report) -> dict[str, bytes]:
    """``{table}.parquet`` with each complete table; equal reports give equal bytes."""
    return {f"{table.name}.parquet": parquet_bytes(table.table, report.title) for table in report.tables}


def parquet_bytes(table: Table, title: str = "") -> bytes:
    """The table as a Parquet file; ``title`` is in its metadata."""
    fields = [_field(column, values) for column, values in zip(table.columns, table.values, strict=True)]
    arrays = [_array(values, field) for values, field in zip(table.values, fields, strict=True)]
    about = {"report": title, "table": table.name, "subject": table.subject}
    schema = pa.schema(fields, metadata={key: escaped(text, SURROGATE) for key, text in about.items()})
    kept = io.BytesIO()
    parquet.write_table(pa.Table.from_arrays(arrays, schema=schema), kept)
    return kept.getvalue()


def _field(column: Column, values: Sequence[Any]) -> Any:
    about = {"heading": column.heading, "unit": column.unit, "meaning": column.meaning, "of": column.of}
    metadata = {key: escaped(text, SURROGATE) for key, text in about.items() if text}
    return pa.field(escaped(column.name, SURROGATE), _type(column, values), metadata=metadata)


def _type(column: Column, values: Sequence[Any]) -> Any:
    """The type of the column: that of its unit; integers take the first type in which all fit."""
    if column.type is not int:
        return {str: pa.string(), float: pa.float64(), bool: pa.bool_()}[column.type]
    largest = max((abs(value) for value in values if not is_missing(value)), default=0)
    if largest <= INT64_MAX:
        return pa.int64()
    return pa.decimal128(DECIMAL_DIGITS, 0) if largest < 10**DECIMAL_DIGITS else pa.string()


def _array(values: Sequence[Any], field: Any) -> Any:
    known = [None if is_missing(value) else value for value in values]
    if pa.types.is_string(field.type):
        known = [None if value is None else escaped(str(value), SURROGATE) for value in known]
    elif pa.types.is_decimal(field.type):
        known = [None if value is None else Decimal(value) for value in known]
    return pa.array(known, field.type)
