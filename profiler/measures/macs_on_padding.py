"""MACs on padding: how many multiply–accumulate pairs of a convolution have a padded zero as operand.

The figure only depends on the signature, so it is computed when it is needed.  Zeros are padded by the convolution
itself, or by an earlier operation around its input (``TensorSpec.zeros``), also around channels and the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod

from profiler.formatting import share_text
from profiler.measures import Measure, Whole
from profiler.records import OpCall
from profiler.signatures import Shape, Signature, TensorSpec

Sizes = Sequence[int] | int
"""One size for each spatial dimension, or one for all of them."""

CONVOLUTIONS = frozenset(
    {
        *("aten::conv1d", "aten::conv2d", "aten::conv3d", "aten::_convolution_mode"),
        *("aten::convolution", "aten::_convolution", "aten::convolution_overrideable"),
        *("aten::mkldnn_convolution", "aten::_nnpack_spatial_convolution", "aten::_mps_convolution"),
        *("aten::miopen_convolution", "aten::miopen_depthwise_convolution", "aten::cudnn_convolution"),
        *("aten::thnn_conv2d", "aten::_slow_conv2d_forward", "aten::slow_conv_dilated2d"),
        *("aten::slow_conv3d", "aten::slow_conv3d_forward", "aten::slow_conv_dilated3d"),
        *("aten::_conv_depthwise2d", "aten::conv_depthwise3d"),
        *("aten::cudnn_convolution_relu", "aten::miopen_convolution_relu"),
        *("aten::cudnn_convolution_add_relu", "aten::miopen_convolution_add_relu"),
    }
)
"""Operators that convolve, and with ``transposed`` spread."""

TRANSPOSED = frozenset(
    {
        *("aten::conv_transpose1d", "aten::conv_transpose2d", "aten::conv_transpose3d"),
        *("aten::slow_conv_transpose2d", "aten::slow_conv_transpose3d"),
        *("aten::cudnn_convolution_transpose", "aten::_mps_convolution_transpose"),
        "aten::miopen_convolution_transpose",
    }
)
"""Operators that spread each element of their input over the positions of a kernel."""

BACKWARD = frozenset(
    {
        *("aten::convolution_backward", "aten::convolution_backward_overrideable"),
        *("aten::mps_convolution_backward", "aten::_slow_conv2d_backward"),
    }
)
"""Operators that spread the gradient of a result, of a convolution that is not transposed."""

OVER_TIME = "aten::conv_tbc"
"""The operator whose tensors have their only spatial dimension first."""

WITH_PADDING = CONVOLUTIONS | TRANSPOSED | BACKWARD | {OVER_TIME}


def macs_on_padding(call: OpCall) -> int:
    """The number of MACs of a call that have a padded zero as operand.

    It is 0 if the rule of the operator does not count the MACs of a dense convolution.
    """
    macs = call.count.macs
    if not macs or call.op not in WITH_PADDING:
        return 0
    if not call.signature.whole:
        return dict(call.answer.figures).get("macs_on_padding", 0)
    dense, on_image = _macs(call.signature)
    return dense - on_image if dense == macs else 0


@lru_cache(maxsize=4096)
def _macs(signature: Signature) -> tuple[int, int]:
    """The macs of a dense convolution, and how many of them have no padded zero as operand."""
    op, argument = signature.op, signature.argument
    image, weight, out = argument("input", argument("self")), argument("weight"), signature.result
    if op in BACKWARD:
        mask = argument("output_mask")
        spread = argument("grad_output") if mask[0] and not argument("transposed") else None
        dense, on_image = _spread(spread, weight) if spread is not None else (0, 0)
        of_weight = argument("grad_output").size * prod(weight.shape[1:]) if mask[1] else 0
        dense, on_image = dense + of_weight, on_image + of_weight
    elif op in TRANSPOSED or argument("transposed", False):
        dense, on_image = _spread(image, weight)
    elif op == OVER_TIME:
        before = image.zeros[0][0] if image.zeros else 0
        time, *rest = _without_zeros(image)
        met = _meetings(time, out.shape[0], weight.shape[0], 1, argument("pad", 0) + before, 1)
        dense, on_image = out.size * prod(weight.shape[:2]), met * prod(rest) * weight.shape[2]
    else:
        stride, padding, dilation = argument("stride", 1), argument("padding", 0), argument("dilation", 1)
        dense = out.size * prod(weight.shape[1:])
        on_image = _on_image(image, weight, stride, padding, dilation, out)
    many = prod(signature.samples) * (4 if image.is_complex else 1)
    return dense * many, on_image * many


def _spread(image: TensorSpec, weight: TensorSpec) -> tuple[int, int]:
    """All macs, and those of the image, where each element is multiplied by a kernel and the products are spread."""
    taps = prod(weight.shape[1:])
    return image.size * taps, prod(_without_zeros(image)) * taps


def _on_image(
    image: TensorSpec, weight: TensorSpec, stride: Sizes, padding: Sizes | str, dilation: Sizes, out: TensorSpec
) -> int:
    """How many macs of a convolution have an element of the image as operand, and not a padded zero."""
    kernel = weight.shape[2:]
    dims = len(kernel)
    groups = image.shape[-dims - 1] // weight.shape[1] if weight.shape[1] else 1
    sizes, zeros = _without_zeros(image), image.zeros or ((0, 0),) * len(image.shape)
    macs = prod(sizes[:-dims]) * (out.shape[-dims - 1] // groups)  # a channel of the input meets those of its group
    strides, dilations = _each(stride, dims), _each(dilation, dims)
    if isinstance(padding, str):
        whole = tuple(step * (taps - 1) for step, taps in zip(dilations, kernel, strict=True))
        paddings = tuple(zeros // 2 for zeros in whole) if padding == "same" else (0,) * dims
    else:
        paddings = _each(padding, dims)
    for size, places, taps, jump, front, step, (before, _) in zip(
        sizes[-dims:], out.shape[-dims:], kernel, strides, paddings, dilations, zeros[-dims:], strict=True
    ):
        macs = macs * _meetings(size, places, taps, jump, front + before, step)
    return macs


def _each(sizes: Sizes, dims: int) -> Shape:
    """One size for each of ``dims`` dimensions, where a single one may stand for all."""
    sizes = (sizes,) if isinstance(sizes, int) else tuple(sizes)
    return sizes * dims if len(sizes) == 1 else sizes


def _without_zeros(image: TensorSpec) -> Shape:
    """The shape of the image in a tensor that may have zeros around it."""
    if not image.zeros:
        return image.shape
    return tuple(size - sum(zeros) for size, zeros in zip(image.shape, image.zeros, strict=True))


def _meetings(size: int, results: int, taps: int, jump: int, front: int, step: int) -> int:
    """How often a tap of the kernel meets one of ``size`` elements, along one dimension with ``front`` zeros in front.

    Tap t meets an element for the results o with front ≤ o·jump + t·step < front + size.
    """
    if jump < 1 or step < 1:
        raise ValueError(f"found steps of {jump} and {step}, expected at least 1")

    def pairs(below: int) -> int:
        """How many pairs of a result and a tap have o·jump + t·step < ``below``."""
        far, wide = below - results * jump, below - taps * step
        return (
            _pairs(below, jump, step)
            - _pairs(far, jump, step)
            - _pairs(wide, jump, step)
            + _pairs(far - taps * step, jump, step)
        )

    return pairs(front + size) - pairs(front)


def _pairs(below: int, jump: int, step: int) -> int:
    """How many pairs of numbers o, t ≥ 0 have o·jump + t·step < ``below``."""
    if below <= 0:
        return 0
    last = (below - 1) // step
    return _floor_sum(last + 1, jump, step, below - last * step + jump - 1)


def _floor_sum(n: int, m: int, a: int, b: int) -> int:
    """Σ ⌊(a·i + b) / m⌋ for i = 0 … n − 1, by Euclid's algorithm on a and m."""
    found = 0
    while n > 0:
        found += n * (n - 1) // 2 * (a // m) + n * (b // m)
        a, b = a % m, b % m
        n, b = divmod(a * n + b, m)
        m, a = a, m
    return found


def part_of_macs(whole: Whole) -> str | None:
    """What part of the MACs they are, where there are any."""
    figure = whole.figure("macs_on_padding")
    return f"{share_text(figure / whole.figure('macs'))} of the MACs" if figure else None


MEASURE = Measure(
    "macs_on_padding",
    "MACs on padding",
    "MACs with a padded zero as operand",
    macs_on_padding,
    priority=40,
    tables=("layers",),
    listed=False,
    label="on padding zeros",
    fact=part_of_macs,
)
