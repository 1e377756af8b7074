"""Convolutions, transposed ones, and the gradients of both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from profiler.analysis.explaining.document import Assigned, Definition, Spans
from profiler.analysis.explaining.words import Size, TermWords, Words
from profiler.records import OpCall
from profiler.rules.costs import expand
from profiler.signatures import Shape, TensorSpec

AXES = {1: ("L",), 2: ("H", "W"), 3: ("D", "H", "W")}
NAMES = {"L": "length", "D": "depth", "H": "height", "W": "width"}


def _axes(weight: Shape) -> tuple[str, ...]:
    return AXES[len(weight) - 2]


def _kernel(axes: Sequence[str]) -> list[str]:
    return [f"K_{axis.lower()}" for axis in axes]


def _sizes(input: Shape, weight: Shape, out: Shape, groups: int, call: OpCall, transposed: bool) -> Iterator[Size]:
    axes = _axes(weight)
    channels_in, channels_out = input[-len(axes) - 1], out[-len(axes) - 1]
    if len(input) == len(weight):
        yield Size("N", input[0], "samples")
    yield Size("C_in", channels_in, "input channels")
    yield Size("C_out", channels_out, "output channels")
    if groups != 1:
        yield Size("groups", groups, "groups of channels")
    for axis, name, size in zip(axes, _kernel(axes), weight[2:], strict=True):
        yield Size(name, size, f"kernel {NAMES[axis]}")
    for axis, size in zip(axes, input[-len(axes) :], strict=True):
        yield Size(axis, size, f"input {NAMES[axis]}")
    yield from _positions(axes, input, weight, out, call, transposed)


def _positions(
    axes: Sequence[str], input: Shape, weight: Shape, out: Shape, call: OpCall, transposed: bool
) -> Iterator[Size]:
    """The sizes of the result, each computed from the input where stride, padding and dilation are known."""
    count = len(axes)
    given = [
        call.signature.argument(name, default) for name, default in (("stride", 1), ("padding", 0), ("dilation", 1))
    ]
    known = call.signature.whole and not any(isinstance(value, str) for value in given)
    stride, padding, dilation = (expand(value, count) for value in given) if known else ((), (), ())
    for place, axis in enumerate(axes):
        before, kernel, after = input[-count:][place], weight[2:][place], out[-count:][place]
        formula = ""
        if known and not transposed:
            s, p, d = stride[place], padding[place], dilation[place]
            if (before + 2 * p - d * (kernel - 1) - 1) // s + 1 == after:
                formula = f"floor(({before} + 2*{p} - {d}*({kernel} - 1) - 1)/{s}) + 1"
        yield Size(f"{axis}_out", after, f"output {NAMES[axis]}", formula)


def _results(names: set[str], axes: Sequence[str]) -> str:
    return "*".join([*(["N"] if "N" in names else []), "C_out", *(f"{axis}_out" for axis in axes)])


def _inputs(names: set[str], axes: Sequence[str]) -> str:
    return "*".join([*(["N"] if "N" in names else []), "C_in", *axes])


def _share(channels: str, groups: int) -> str:
    return channels if groups == 1 else f"{channels}/groups"


def _definition(axes: Sequence[str], groups: int, bias: bool) -> Definition:
    """The sum that gives one result."""
    places = ", ".join(axis.lower() for axis in axes)
    taps = ", ".join("ijk"[: len(axes)])
    shifted = ", ".join(f"{axis.lower()}·s+{tap}" for axis, tap in zip(axes, "ijk", strict=False))
    indices = "".join(f",{axis.lower()}" for axis in axes)
    tex_taps = taps.replace(" ", "")
    tex_shifted = ",".join(rf"{axis.lower()} s + {tap}" for axis, tap in zip(axes, "ijk", strict=False))
    plain = f"y[n, o, {places}] = {'b[o] + ' if bias else ''}Σ_(c, {taps}) w[o, c, {taps}] · x[n, c, {shifted}]"
    latex = (
        rf"y_{{n,o{indices}}} = {'b_o + ' if bias else ''}\sum_{{c,{tex_taps}}} "
        rf"w_{{o,c,{tex_taps}}} \, x_{{n,c,{tex_shifted}}}"
    )
    return Definition(plain, latex)


def _operands(call: OpCall) -> tuple[Shape, Shape, Shape, bool]:
    specs = call.inputs
    return specs[0].shape, specs[1].shape, call.outputs[0].shape, len(specs) > 2


def _is_transposed(call: OpCall) -> bool:
    return "transpose" in call.op or call.signature.argument("transposed", False) is True


def convolution(call: OpCall) -> Words:
    """A convolution; a transposed one if it is called so."""
    input, weight, out, bias = _operands(call)
    axes = _axes(weight)
    if _is_transposed(call):
        return _transposed(call)
    groups = input[-len(axes) - 1] // weight[1]
    sizes = list(_sizes(input, weight, out, groups, call, False))
    names = {size.name for size in sizes}
    many = _results(names, axes)
    products = "*".join([_share("C_in", groups), *_kernel(axes)])
    return Words(
        _title(axes, groups, input[-len(axes) - 1], weight),
        sizes,
        {
            "products": TermWords(
                many, products, about="Each result is a sum of products, one for each weight of its channel"
            ),
            "bias": TermWords(many, one={"adds": "1"}, about="The bias is added to each result"),
        },
        _definition(axes, groups, bias),
        tuple(_remarks(groups, input[-len(axes) - 1], weight)),
        many.replace("*C_out", "").replace("C_out*", ""),
        "position and sample",
    )


def _title(axes: Sequence[str], groups: int, channels: int, weight: Shape) -> str:
    kind = f"{len(axes)}-d convolution"
    if groups > 1:
        return f"depthwise {kind}" if groups == channels else f"grouped {kind}"
    return f"pointwise {kind}" if all(size == 1 for size in weight[2:]) else kind


def _remarks(groups: int, channels: int, weight: Shape) -> Iterator[Spans]:
    if groups > 1:
        yield (
            "With ",
            Assigned("groups", groups),
            f", a result reads {weight[1]:,} of the {channels:,} input channels: "
            f"{groups:,} times fewer products than a convolution without groups.",
        )


def _transposed(call: OpCall) -> Words:
    input, weight, out, _ = _operands(call)
    axes = _axes(weight)
    groups = out[-len(axes) - 1] // weight[1]
    sizes = list(_sizes(input, weight, out, groups, call, True))
    names = {size.name for size in sizes}
    return Words(
        f"transposed {len(axes)}-d convolution",
        sizes,
        {
            "products": TermWords(
                _inputs(names, axes),
                "*".join([_share("C_out", groups), *_kernel(axes)]),
                about="Each input element is multiplied by its weights, and each product is added to its result",
            ),
            "first products": TermWords(
                _results(names, axes), about="Without a bias, the first product of a place is assigned and not added"
            ),
        },
    )


def gradients(call: OpCall) -> Words | None:
    """The gradients of a convolution for its input, its weight and its bias."""
    given = [call.signature.argument(name) for name in ("grad_output", "input", "weight")]
    if not all(isinstance(spec, TensorSpec) for spec in given):
        return None
    grad, input, weight = (spec.shape for spec in given)
    transposed = _is_transposed(call)
    axes = _axes(weight)
    groups = (grad[-len(axes) - 1] if transposed else input[-len(axes) - 1]) // weight[1]
    sizes = list(_sizes(input, weight, grad, groups, call, transposed))
    names = {size.name for size in sizes}
    kernel = _kernel(axes)
    results, inputs = _results(names, axes), _inputs(names, axes)
    batch = ["N"] if "N" in names else []
    positions = "*".join([*batch, *(axes if transposed else (f"{axis}_out" for axis in axes))])
    first, second = ("C_in", _share("C_out", groups)) if transposed else ("C_out", _share("C_in", groups))
    return Words(
        f"gradients of a {'transposed ' if transposed else ''}{len(axes)}-d convolution",
        sizes,
        {
            "products": TermWords(
                results,
                "*".join([second, *kernel]),
                about="Input gradient: each element of the result's gradient is multiplied by its weights, "
                "and each product is added to its place (a transposed convolution)",
            ),
            "first products": TermWords(
                inputs, about="Input gradient: the first product of a place is assigned and not added"
            ),
            "input gradient": TermWords(
                inputs, "*".join([second, *kernel]), about="Input gradient: a convolution of the result's gradient"
            ),
            "weight gradient": TermWords(
                "*".join([first, second, *kernel]),
                positions,
                about="Weight gradient: each weight sums over all samples and positions at which it was used",
            ),
            "bias gradient": TermWords(
                "C_out",
                one={"adds": "*".join([*batch, *(f"{axis}_out" for axis in axes)]) + " - 1"},
                about="Bias gradient: each channel sums the result's gradient over all samples and positions",
            ),
        },
    )


FAMILIES = {
    convolution: (
        *(f"aten::conv{n}d" for n in (1, 2, 3)),
        *(f"aten::conv_transpose{n}d" for n in (1, 2, 3)),
        *("aten::_convolution_mode", "aten::convolution", "aten::_convolution", "aten::convolution_overrideable"),
    ),
    gradients: ("aten::convolution_backward", "aten::convolution_backward_overrideable"),
}
