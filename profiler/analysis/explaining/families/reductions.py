"""Sums, means and extremes of many values."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from profiler.analysis.explaining.words import Family, Size, TermWords, Words
from profiler.records import OpCall

COSTS: Mapping[str, tuple[dict[str, str], str]] = {
    "sum": ({"adds": "k - 1"}, "The sum of k values: k − 1 adds"),
    "mean": ({"adds": "k - 1", "divides": "1"}, "The mean of k values: k − 1 adds and a divide"),
    "prod": ({"multiplies": "k - 1"}, "The product of k values: k − 1 multiplies"),
    "largest or smallest value": ({"comparisons": "k - 1"}, "The extreme of k values: k − 1 comparisons"),
    "variance": (
        {"multiplies": "k", "adds": "3*k - 2", "divides": "2"},
        "Mean (k − 1 adds, 1 divide) and squared distances to it (k differences, k squares, k − 1 adds, 1 divide)",
    ),
}


def _reduction(title: str) -> Callable[[OpCall], Words | None]:
    one, about = COSTS[title]

    def words(call: OpCall) -> Words | None:
        size = call.inputs[0].size
        results = max(1, call.outputs[0].size)
        sizes = [Size("n", results, "results"), Size("k", size // results, "values for each result")]
        return Words(title, sizes, {0: TermWords("n", one=one, about=about)})

    return words


FAMILIES: Mapping[Family, tuple[str, ...]] = {
    _reduction("sum"): ("aten::sum", "aten::nansum"),
    _reduction("mean"): ("aten::mean",),
    _reduction("prod"): ("aten::prod",),
    _reduction("largest or smallest value"): ("aten::amax", "aten::amin", "aten::argmax", "aten::argmin"),
    _reduction("variance"): ("aten::var", "aten::var_mean"),
}
