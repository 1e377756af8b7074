"""Column names → the headings that people read, and the heading of a table from the figures that it shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

HEADINGS: Mapping[str, str] = {
    "macs": "MACs",
    "flops": "FLOPs",
    "figure": "their figure",
    "macs_share": "share",
    "flops_share": "share",
    "parameters_share": "share",
    "multiplies_share": "share",
    "adds_share": "share",
    "parameters_total": "parameters, total",
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
    figure = column.removesuffix("_total")
    return f"{figure}, total" if figure != column else column.replace("_", " ")


FIGURES = ("parameters", "bytes", "multiplies", "adds", "divides", "comparisons", "transcendentals", "macs", "flops")


def title(subject: str, columns: Iterable[str]) -> str:
    """``Layers: parameters, multiplies, adds and FLOPs``: what the table is about and the figures that it shows."""
    shown = {column.removesuffix("_total") for column in columns}
    *names, last = [heading(figure) for figure in FIGURES if figure in shown] or [""]
    if not last or ":" in subject:
        return subject
    return f"{subject}: {', '.join(names)} and {last}" if names else f"{subject}: {last}"
