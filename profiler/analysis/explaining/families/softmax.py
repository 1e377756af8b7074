"""Softmax and its logarithm, row by row."""

from __future__ import annotations

from profiler.analysis.explaining.document import Definition
from profiler.analysis.explaining.words import Size, TermWords, Words
from profiler.records import OpCall

ROW = {"comparisons": "L - 1", "adds": "2*L - 1", "transcendentals": "L", "divides": "L"}
"""One row: the largest value, L differences to it, L exponentials, their sum, L divides."""

LOG_ROW = {"comparisons": "L - 1", "adds": "3*L - 1", "transcendentals": "L + 1"}
"""One row: the largest value, L exponentials of differences, the logarithm of their sum, L more differences."""

STEPS = "the largest value (L − 1 comparisons), L differences to it, L exponentials, their sum (L − 1 adds)"


def _rows(call: OpCall, title: str, definition: Definition) -> Words:
    term = call.terms[0]
    length = term.one.comparisons + 1
    rows = call.inputs[0].size // length
    what = {"softmax": ("softmax rows", ROW, f"Each row: {STEPS}, L divides")}.get(
        title, ("log-softmax rows", LOG_ROW, f"Each row: {STEPS}, its logarithm, L differences")
    )
    return Words(
        title,
        [Size("n", rows, "rows"), Size("L", length, "values of a row")],
        {what[0]: TermWords("n", one=what[1], about=what[2])},
        definition,
    )


def softmax(call: OpCall) -> Words:
    """exp(x − max) / Σ exp(x − max)."""
    return _rows(
        call,
        "softmax",
        Definition(
            "y_i = exp(x_i − max x) / Σ_j exp(x_j − max x)", r"y_i = \frac{e^{x_i - \max x}}{\sum_j e^{x_j - \max x}}"
        ),
    )


def log_softmax(call: OpCall) -> Words:
    """x − max − log Σ exp(x − max)."""
    return _rows(
        call,
        "log-softmax",
        Definition(
            "y_i = x_i − max x − log Σ_j exp(x_j − max x)", r"y_i = x_i - \max x - \log \sum_j e^{x_j - \max x}"
        ),
    )


FAMILIES = {
    softmax: ("aten::softmax", "aten::_softmax", "aten::_safe_softmax", "aten::special_softmax"),
    log_softmax: ("aten::log_softmax", "aten::_log_softmax", "aten::special_log_softmax"),
}
