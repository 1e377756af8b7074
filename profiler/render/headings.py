"""Column names → the headings that people read, and the heading of a table from the figures that it shows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

HEADINGS: Mapping[str, str] = {
    "macs": "MACs",
    "flops": "FLOPs",
    "figure": "their figure",
    "macs_on_padding": "MACs on padding",
    "macs_share": "share",
    "flops_share": "share",
    "parameters_share": "share",
    "multiplies_share": "share",
    "adds_share": "share",
    "parameters_total": "parameters, total",
    "parameters_total_share": "share",
    "macs_total_share": "share",
    "flops_total_share": "share",
    "conv_parameters_share": "conv, of parameters",
    "linear_parameters_share": "linear, of parameters",
    "conv_multiplies_share": "conv, of multiplies",
    "linear_multiplies_share": "linear, of multiplies",
    "parameters_ratio": "parameters, ratio",
    "macs_ratio": "MACs, ratio",
    "flops_ratio": "FLOPs, ratio",
    "macs_total": "MACs, total",
    "flops_total": "FLOPs, total",
}


def heading(column: str) -> str:
    """The heading of the column of that name; a share stands next to the figure that it is of."""
    if column in HEADINGS:
        return HEADINGS[column]
    if column.startswith("by_"):
        return "share" if column.endswith("_share") else re.sub("_(total|ratio)$", r", \1", column).replace("_", " ")
    figure, _, ending = column.rpartition("_")
    if ending in BEFORE_AND_AFTER:
        return f"{heading(figure)}, {ending}"
    figure = column.removesuffix("_total")
    words = column.replace("_", " ").replace(" macs", " MACs").replace(" flops", " FLOPs")
    return f"{figure}, total" if figure != column else words


BEFORE_AND_AFTER = ("before", "after", "saved")

FIGURES = ("parameters", "bytes", "multiplies", "adds", "divides", "comparisons", "transcendentals", "macs", "flops")


def title(subject: str, columns: Iterable[str]) -> str:
    """``Layers: parameters, multiplies, adds and FLOPs``: what the table is about and the figures that it shows."""
    shown = {re.sub("_(total|before|after|saved)$", "", column) for column in columns}
    figures = [*FIGURES, *sorted(column for column in shown if re.fullmatch("by_[a-z]+", column))]
    *names, last = [heading(figure) for figure in figures if figure in shown] or [""]
    if not last or ":" in subject:
        return subject
    return f"{subject}: {', '.join(names)} and {last}" if names else f"{subject}: {last}"
