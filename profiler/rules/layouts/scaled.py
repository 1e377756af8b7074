"""Products of low-precision matrices: scaled ones, grouped ones (mixtures of experts), quantized weights.

What scales cost follows from what they belong to: one for a whole matrix, a row of the first or a column of
the second factors out of the sum and multiplies each result; one for a block along the summed dimension
multiplies each element of its matrix.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from profiler.opcount import OpCount, Term, contraction, each
from profiler.rules.layouts.semi_structured import fused_activation
from profiler.rules.registry import free, rule
from profiler.rules.terms import bias_terms, factors_kind
from profiler.signatures import TensorSpec

free("aten::_convert_weight_to_int4pack", "aten::_convert_weight_to_int4pack_for_cpu")

_FACTORS_OUT = (0, 1)
"""The recipes of torch.nn.functional.ScalingType that do not vary along the summed dimension."""


def _unpacked(matrix: TensorSpec, dim: int) -> tuple[int, ...]:
    """The shape in elements: two 4-bit numbers lie in one byte along ``dim``."""
    sizes = list(matrix.shape)
    if matrix.dtype.startswith("float4"):
        sizes[dim] = sizes[dim] * 2
    return tuple(sizes)


@rule("aten::_scaled_mm", kind=factors_kind)
def scaled_mm(
    self: TensorSpec,
    mat2: TensorSpec,
    scale_a: TensorSpec,
    scale_b: TensorSpec,
    bias: TensorSpec | None = None,
    scale_result: TensorSpec | None = None,
    *_: Any,
    out: TensorSpec,
    **__: Any,
) -> Iterator[Term]:
    """(n, k), (k, m) → (n, m), by (scale_a·self) @ (scale_b·mat2) + bias, · scale_result."""
    a, b = _unpacked(self, -1), _unpacked(mat2, -2)
    yield contraction(out.shape, a[-1:])
    for scale, sizes, along in ((scale_a, a, -1), (scale_b, b, -2)):
        factors_out = scale.size == 1 or (len(scale.shape) == 2 and scale.shape[along] == 1)
        yield each(out.shape if factors_out else sizes, "scale", multiplies=1)
    yield from bias_terms(bias, a[-1:], out)
    if scale_result is not None:
        yield each(out.shape, "scale of the result", multiplies=1)


@rule("aten::_scaled_mm_v2", kind=factors_kind)
def scaled_mm_v2(
    self: TensorSpec,
    mat2: TensorSpec,
    scale_a: Sequence[TensorSpec],
    recipe_a: Sequence[int],
    swizzle_a: Sequence[int],
    scale_b: Sequence[TensorSpec],
    recipe_b: Sequence[int],
    swizzle_b: Sequence[int],
    bias: TensorSpec | None = None,
    *_: Any,
    out: TensorSpec,
    **__: Any,
) -> Iterator[Term]:
    """As :func:`scaled_mm`, with scales in several levels, each by its recipe."""
    a, b = _unpacked(self, -1), _unpacked(mat2, -2)
    yield contraction(out.shape, a[-1:])
    for recipes, sizes in ((recipe_a, a), (recipe_b, b)):
        for recipe in recipes:
            yield each(out.shape if recipe in _FACTORS_OUT else sizes, "scale", multiplies=1)
    yield from bias_terms(bias, a[-1:], out)


@rule("aten::_grouped_mm", kind=factors_kind)
def grouped_mm(
    self: TensorSpec,
    mat2: TensorSpec,
    offs: TensorSpec | None = None,
    bias: TensorSpec | None = None,
    *_: Any,
    out: TensorSpec,
    **__: Any,
) -> Iterator[Term]:
    """One product a group, where ``offs`` says where the groups of a two-dimensional operand end.

    (rows, k), (g, k, m) → (rows, m); (g, n, k), (k, columns) → (n, columns); (g, n, k), (g, k, m) →
    (g, n, m); (n, k), (k, m) → (g, n, m), where the groups share out k.  Dense: the groups use up all rows,
    columns or summands, and none is empty.
    """
    k = self.shape[-1]
    if len(self.shape) == len(mat2.shape) == 2:
        groups, *sizes = out.shape
        yield Term("products", tuple(sizes), OpCount(multiplies=k, adds=k - groups, macs=k), (k,))
    else:
        yield contraction(out.shape, (k,))
    yield from bias_terms(bias, (k,), out)


@rule("aten::_scaled_grouped_mm", kind=factors_kind)
def scaled_grouped_mm(
    self: TensorSpec,
    mat2: TensorSpec,
    scale_a: TensorSpec,
    scale_b: TensorSpec,
    offs: TensorSpec | None = None,
    bias: TensorSpec | None = None,
    scale_result: TensorSpec | None = None,
    *_: Any,
    out: TensorSpec,
    **__: Any,
) -> Iterator[Term]:
    """As :func:`grouped_mm`; scales belong to rows of the first and columns of the second matrices."""
    yield from grouped_mm(self, mat2, offs, bias, out=out)
    yield each(out.shape, "scales", multiplies=2)
    if scale_result is not None:
        yield each(out.shape, "scale of the result", multiplies=1)


@rule("aten::_scaled_grouped_mm_v2", kind=factors_kind)
def scaled_grouped_mm_v2(
    self: TensorSpec,
    mat2: TensorSpec,
    scale_a: Sequence[TensorSpec],
    recipe_a: Sequence[int],
    swizzle_a: Sequence[int],
    scale_b: Sequence[TensorSpec],
    recipe_b: Sequence[int],
    swizzle_b: Sequence[int],
    offs: TensorSpec | None = None,
    bias: TensorSpec | None = None,
    *_: Any,
    out: TensorSpec,
    **__: Any,
) -> Iterator[Term]:
    """As :func:`grouped_mm`, with scales in several levels, each by its recipe as in :func:`scaled_mm_v2`."""
    a, b = (TensorSpec(_unpacked(matrix, dim), matrix.dtype) for matrix, dim in ((self, -1), (mat2, -2)))
    yield from grouped_mm(a, b, offs, bias, out=out)
    for recipes, matrix in ((recipe_a, a), (recipe_b, b)):
        for recipe in recipes:
            yield each(out.shape if recipe in _FACTORS_OUT else matrix.shape, "scale", multiplies=1)


@rule("aten::_weight_int8pack_mm", kind="linear")
def weight_int8pack_mm(self: TensorSpec, mat2: TensorSpec, scales: TensorSpec, *, out: TensorSpec) -> Iterator[Term]:
    """(n, k), (m, k) of integers, (m,) → (n, m): the scale of a row of weights multiplies its results."""
    yield contraction(out.shape, self.shape[-1:])
    yield each(out.shape, "scales", multiplies=1)


@rule(
    "aten::_weight_int4pack_mm",
    "aten::_weight_int4pack_mm_for_cpu",
    "aten::_weight_int4pack_mm_with_scales_and_zeros",
    kind="linear",
)
def weight_int4pack_mm(self: TensorSpec, *_: Any, out: TensorSpec) -> Iterator[Term]:
    """(n, k), packed (m, k) of integers → (n, m): each weight is restored as scale·integer + zero, once."""
    k = self.shape[-1]
    yield each((k, out.shape[-1]), "weights", multiplies=1, adds=1)
    yield contraction(out.shape, (k,))


@rule("aten::_mixed_dtypes_linear", kind="linear")
def mixed_dtypes_linear(
    input: TensorSpec,
    weight: TensorSpec,
    scale: TensorSpec,
    *,
    bias: TensorSpec | None = None,
    activation: str | None = None,
    out: TensorSpec,
) -> Iterator[Term]:
    """(*, in), integers (in, out) or packed, (out,) → (*, out): the scale of a column multiplies its results."""
    yield contraction(out.shape, input.shape[-1:])
    yield each(out.shape, "scales", multiplies=1)
    yield from bias_terms(bias, input.shape[-1:], out)
    yield from fused_activation(activation, out)
