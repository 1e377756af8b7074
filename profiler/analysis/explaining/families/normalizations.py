"""Batch, layer, group, instance and root-mean-square normalization."""

from __future__ import annotations

from collections.abc import Mapping

from profiler.analysis.explaining.document import Definition
from profiler.analysis.explaining.words import Size, TermWords, Words
from profiler.records import OpCall

STATISTICS = {"multiplies": "m", "adds": "3*m - 2", "divides": "2"}
"""Mean: m − 1 adds, a divide. Variance: m differences, m squares, m − 1 adds, a divide."""

NORMALIZED = Definition(
    "y = (x − mean) / √(variance + ε) · weight + bias",
    r"y = \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} \cdot w + b",
)


def _terms(groups: str, n: str) -> Mapping[str | int, TermWords]:
    return {
        "mean and variance": TermWords(
            groups,
            one=STATISTICS,
            about="Each group: mean (m − 1 adds, 1 divide), variance (m differences, m squares, m − 1 adds, 1 divide)",
        ),
        "running mean": TermWords(groups, about="The running mean is moved towards the new one"),
        "running variance": TermWords(groups, about="The running variance is moved towards the new, unbiased one"),
        "inverse deviation": TermWords(groups, about="1 / √(variance + ε): an add, a square root, a divide"),
        "mean square": TermWords(
            groups,
            one={"multiplies": "m", "adds": "m - 1", "divides": "1"},
            about="Mean of squares of each group: m squares, m − 1 adds, 1 divide",
        ),
        "inverse root": TermWords(groups, about="1 / √(mean square + ε): an add and an inverse root"),
        "normalize": TermWords(n, about="Each element is normalized"),
        "weight": TermWords(n, about="Each element is multiplied by a weight"),
        "bias": TermWords(n, about="A bias is added to each element"),
    }


def _grouped(call: OpCall, title: str, groups: int, definition: Definition = NORMALIZED) -> Words:
    """A normalization whose groups have the same number m of elements each."""
    n = call.inputs[0].size
    sizes = [
        Size("g", groups, "groups"),
        Size("m", n // groups, "elements of a group"),
        Size("n", n, "elements", "g*m"),
    ]
    return Words(title, sizes, _terms("g", "n"), definition)


def batch_norm(call: OpCall) -> Words:
    """Each channel over samples and positions."""
    shape = call.inputs[0].shape
    n, channels = call.inputs[0].size, shape[1]
    sizes = [
        Size("C", channels, "channels"),
        Size("m", n // channels, "elements of a channel"),
        Size("n", n, "elements", "C*m"),
    ]
    return Words("batch norm", sizes, _terms("C", "n"), NORMALIZED)


def layer_norm(call: OpCall) -> Words:
    """Each row over its features."""
    return _grouped(call, "layer norm", _groups(call))


def rms_norm(call: OpCall) -> Words:
    """Each row, by the root of its mean square."""
    definition = Definition(
        "y = x / √(mean(x²) + ε) · weight", r"y = \frac{x}{\sqrt{\overline{x^2} + \varepsilon}} \cdot w"
    )
    return _grouped(call, "root-mean-square norm", _groups(call), definition)


def group_norm(call: OpCall) -> Words:
    """Each group of channels of each sample."""
    return _grouped(call, "group norm", _groups(call))


def instance_norm(call: OpCall) -> Words:
    """Each channel of each sample."""
    return _grouped(call, "instance norm", _groups(call))


def _groups(call: OpCall) -> int:
    """The number of groups: that of the inverse deviations."""
    term = next(term for term in call.terms if term.what in ("inverse deviation", "inverse root"))
    return term.count.transcendentals


FAMILIES = {
    batch_norm: ("aten::batch_norm", "aten::native_batch_norm", "aten::_batch_norm_impl_index"),
    layer_norm: ("aten::layer_norm", "aten::native_layer_norm"),
    rms_norm: ("aten::rms_norm", "aten::_fused_rms_norm"),
    group_norm: ("aten::group_norm", "aten::native_group_norm"),
    instance_norm: ("aten::instance_norm",),
}
