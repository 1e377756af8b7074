"""Pooling by windows of one size, and adaptive pooling whose windows divide the input."""

from __future__ import annotations

from profiler.analysis.explaining.families.convolutions import AXES, NAMES
from profiler.analysis.explaining.words import Size, TermWords, Words
from profiler.records import OpCall
from profiler.rules.costs import expand


def _results(call: OpCall, dims: int) -> tuple[list[Size], str]:
    """The sizes of the result, and their product."""
    out = call.outputs[0].shape
    names = [("N", "samples"), ("C", "channels")][2 - (len(out) - dims) :]
    sizes = [Size(name, size, meaning) for (name, meaning), size in zip(names, out[:-dims], strict=True)]
    sizes += [
        Size(f"{axis}_out", size, f"output {NAMES[axis]}") for axis, size in zip(AXES[dims], out[-dims:], strict=True)
    ]
    return sizes, "*".join(size.name for size in sizes)


def _dims(call: OpCall) -> int:
    return next(dims for dims in AXES if f"{dims}d" in call.op)


def _window(call: OpCall, dims: int) -> list[Size]:
    kernel = call.signature.argument("kernel_size")
    axes = AXES[dims]
    return [
        Size(f"K_{axis.lower()}", size, f"window {NAMES[axis]}")
        for axis, size in zip(axes, expand(kernel, dims), strict=True)
    ]


def max_pool(call: OpCall) -> Words | None:
    """The largest value of each window."""
    return _pool(
        call, "max pooling", {"comparisons": "{k} - 1"}, "The largest of a window's k values: k − 1 comparisons"
    )


def average_pool(call: OpCall) -> Words | None:
    """The mean of each window."""
    return _pool(
        call,
        "average pooling",
        {"adds": "{k} - 1", "divides": "1"},
        "The mean of a window's k values: k − 1 adds and a divide",
    )


def _pool(call: OpCall, title: str, one: dict[str, str], about: str) -> Words | None:
    dims = _dims(call)
    if call.signature.argument("kernel_size") is None:
        return None
    sizes, many = _results(call, dims)
    window = _window(call, dims)
    k = "*".join(size.name for size in window)
    words = TermWords(many, one={kind: text.format(k=k) for kind, text in one.items()}, about=about)
    return Words(title, [*sizes, *window], {0: words})


def adaptive_pool(call: OpCall) -> Words | None:
    """Windows that divide the input evenly."""
    dims = _dims(call)
    maximum = "max" in call.op
    sizes, many = _results(call, dims)
    axes = AXES[dims]
    before = call.inputs[0].shape[-dims:]
    sizes += [Size(axis, size, f"input {NAMES[axis]}") for axis, size in zip(axes, before, strict=True)]
    k = "*".join(f"({axis}/{axis}_out)" for axis in axes)
    one = {"comparisons": f"{k} - 1"} if maximum else {"adds": f"{k} - 1", "divides": "1"}
    about = (
        "The largest value of each window"
        if maximum
        else "The mean of each window of k values: k − 1 adds and a divide"
    )
    return Words(
        f"adaptive {'max' if maximum else 'average'} pooling", sizes, {"windows": TermWords(many, one=one, about=about)}
    )


FAMILIES = {
    max_pool: (
        *(f"aten::max_pool{n}d" for n in (1, 2, 3)),
        *(f"aten::max_pool{n}d_with_indices" for n in (1, 2, 3)),
    ),
    average_pool: tuple(f"aten::avg_pool{n}d" for n in (1, 2, 3)),
    adaptive_pool: tuple(f"aten::adaptive_{kind}_pool{n}d" for kind in ("avg", "max") for n in (1, 2, 3)),
}
