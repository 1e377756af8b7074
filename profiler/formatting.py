"""Numbers and tables → text.  An unknown value is written ``unknown``, never 0."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from math import isnan
from typing import TYPE_CHECKING, Any

from profiler.records import show_shapes
from profiler.schema import Table

if TYPE_CHECKING:
    from profiler.profiles import Profile

UNKNOWN = "unknown"

BEFORE_PERCENT = re.compile(r"(?<=\d) (?=%)")
"""The blank before a percent sign, at which no line should end."""

DIGITS = 4
"""The number of significant digits of a short figure."""

SI_PREFIXES = ("", "k", "M", "G", "T", "P", "E")
BINARY_PREFIXES = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
PICO_PREFIXES = ("p", "n", "µ", "m", "", "k", "M")
PREFIXED_UNITS = ("FLOPs", "MACs")
"""The units that are usually joined with their prefix: GFLOPs, MMACs."""


def is_missing(value: Any) -> bool:
    """Whether a table's cell holds no value."""
    return value is None or (isinstance(value, float) and isnan(value))


def listed(names: Sequence[str]) -> str:
    """``a, b and c``; the names must not be empty."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def plural(number: int, noun: str) -> str:
    """``1 call``, ``2,000 calls``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def thousands(number: int | None) -> str:
    """``655,566,528``."""
    return UNKNOWN if is_missing(number) else f"{number:,}"


def engineering(number: int | None, unit: str = "") -> str:
    """Four significant digits and an SI prefix: ``1.428 GFLOPs``, ``61.10 M parameters``, ``655.6 M``.

    Numbers below a thousand are exact.
    """
    if number is None or is_missing(number):
        return UNKNOWN
    figure, prefix = _scale(number, 1000, SI_PREFIXES)
    return " ".join(filter(None, (figure, prefix + unit if unit in PREFIXED_UNITS else f"{prefix} {unit}".strip())))


def bytes_text(number: int | None) -> str:
    """``233.1 MiB``; numbers below 1024 are exact."""
    if number is None or is_missing(number):
        return UNKNOWN
    figure, prefix = _scale(number, 1024, BINARY_PREFIXES)
    return f"{figure} {prefix}B"


def pico_text(number: int | None, unit: str) -> str:
    """A number of picoseconds or picojoules, with the SI prefix that fits: ``76.02 µs``, ``44.50 mJ``."""
    if number is None or is_missing(number):
        return UNKNOWN
    figure, prefix = _scale(number, 1000, PICO_PREFIXES)
    return f"{figure} {prefix}{unit}"


def _scale(number: int, base: int, prefixes: tuple[str, ...]) -> tuple[str, str]:
    """The number in the largest unit that does not exceed it, and the prefix of the unit.

    If rounding reaches the next unit (999,999 is not 1000 k), the next unit is used.
    """
    power = 0
    while power + 1 < len(prefixes) and abs(number) >= base ** (power + 1):
        power += 1
    if power == 0:
        return str(number), prefixes[0]
    figure = _round(Decimal(number) / base**power)
    if abs(figure) >= base and power + 1 < len(prefixes):
        power += 1
        figure = _round(Decimal(number) / base**power)
    return f"{figure:f}", prefixes[power]


def _round(value: Decimal) -> Decimal:
    rounded = Context(prec=DIGITS, rounding=ROUND_HALF_EVEN).plus(value)
    return rounded.quantize(Decimal(1).scaleb(min(0, rounded.adjusted() + 1 - DIGITS)))


def share_text(share: float | None) -> str:
    """A fraction of one as percent, two decimals: ``95.96 %``.

    Only an exact 0 is written ``0 %``, and only an exact 1 ``100 %``; other values that would be rounded to these are
    written ``<0.01 %`` or ``>99.99 %``.
    """
    if share is None or is_missing(share):
        return UNKNOWN
    if share in (0, 1):
        return f"{share * 100:.0f} %"
    text = f"{share * 100:,.2f}"
    if text in ("0.00", "-0.00"):
        return "<0.01 %" if share > 0 else ">-0.01 %"
    if text == "100.00" and share < 1:
        return ">99.99 %"
    return f"{text} %"


def ratio_text(ratio: float | None) -> str:
    """A ratio as text: ``2.27×``.

    Only an exact 1 is written ``1×``; other values that would be rounded to it are written ``1.00×``.
    """
    if ratio is None or is_missing(ratio):
        return UNKNOWN
    if ratio in (0, 1):
        return f"{ratio:.0f}×"
    if ratio < 0.01:
        return "<0.01×"
    return f"{ratio:,.2f}×" if ratio < 100 else f"{ratio:,.0f}×"


def rate_text(rate: float | None) -> str:
    """A number with four significant digits, or all digits in front of the point: ``0.02345``, ``1,234``.

    Numbers from 10¹⁵ on are written with an exponent.
    """
    if rate is None or is_missing(rate):
        return UNKNOWN
    if abs(rate) >= 1e15:
        return f"{rate:.4g}"
    return f"{rate:,.0f}" if abs(rate) >= 1000 else f"{rate:.4g}"


def signed(number: int | None) -> str:
    """A difference: ``+9,216``, ``-12``, ``0``."""
    if number is None or is_missing(number):
        return UNKNOWN
    return f"{number:+,}" if number else "0"


def change_text(change: float | None) -> str:
    """A difference as a part of the figure before, in percent: ``+12.34 %``, ``-100 %``.

    Only an exact 0 is written ``0 %``, and only an exact -1 ``-100 %``; other values that would be rounded to these are
    written ``<+0.01 %``, ``>-0.01 %`` or ``>-100 %``.
    """
    if change is None or is_missing(change):
        return UNKNOWN
    if change in (0, -1):
        return "-100 %" if change else "0 %"
    text = f"{change * 100:+,.2f}" if change < 100 else f"{change * 100:+,.0f}"
    return {"+0.00": "<+0.01 %", "-0.00": ">-0.01 %", "-100.00": ">-100 %"}.get(text, f"{text} %")


def headline(profile: Profile) -> str:
    """The profile in one line: input, parameters, counts, whether all was counted, mode."""
    count = profile.total
    least = "" if profile.complete else "at least "
    figures = ", ".join(
        (
            engineering(profile.parameters_total, "parameters"),
            least + engineering(count.multiplies, "multiplies"),
            engineering(count.adds, "adds"),
            engineering(count.macs, "MACs"),
            engineering(count.flops, "FLOPs"),
        )
    )
    return f"input {show_shapes(profile.input_shapes)} · {figures} · {profile.status} · {profile.mode}"


FORMATS_BY_UNIT: dict[str, Callable[[Any], str]] = {
    "share": share_text,
    "ratio": ratio_text,
    "rate": rate_text,
    "difference": signed,
    "change": change_text,
}
"""How the values of a column of that unit are written; for other units their type decides."""


def format_table(table: Table, *, missing: str = UNKNOWN) -> dict[str, list[str]]:
    """The table as text: the texts of each column by its name, formatted by its unit and the type of its values.

    A count in a row with the status ``partial`` is a lower bound and is marked ``≥``; its status is that in the column
    ``bound_by``, or in the first column of statuses.
    """
    status = table.of_unit("status")
    columns: dict[str, list[str]] = {}
    for column in table.columns:
        write = FORMATS_BY_UNIT.get(column.unit)
        texts = [_cell(value, write, missing) for value in table[column.name]]
        by = column.bound_by or (status.name if status is not None else "")
        if column.bound and by in table:
            bounds = [text == "partial" for text in table[by]]
            known = [bound and text not in (missing, "") for text, bound in zip(texts, bounds, strict=True)]
            texts = [f"≥{text}" if bound else text for text, bound in zip(texts, known, strict=True)]
        columns[column.name] = texts
    return columns


def _cell(value: Any, write: Callable[[Any], str] | None, missing: str) -> str:
    if is_missing(value):
        return missing
    if isinstance(value, bool):
        return "yes" if value else "no"
    if write is not None:
        return write(value) if isinstance(value, int | float) else str(value)
    if isinstance(value, int):
        return thousands(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def is_numeric_column(table: Table, name: str) -> bool:
    """Whether the column has numbers (and perhaps missing values), so that its text is right-aligned."""
    known = [value for value in table[name] if not is_missing(value)]
    return bool(known) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in known)
