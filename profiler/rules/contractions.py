"""Linear layers and matrix products.

A result that sums K products costs K multiplies and K − 1 adds; a bias adds 1.  Source of the shapes: the
operator documentation of ``torch`` and ``torch.nn.functional``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from profiler.opcount import Term
from profiler.rules.costs import GELU, RELU, addition, product
from profiler.rules.registry import rule
from profiler.rules.sizes import maximum
from profiler.rules.terms import (
    Scalar,
    added_product_kind,
    added_product_terms,
    bias_terms,
    factors_kind,
    linear_or_matmul,
    scale_terms,
    summed_products,
)
from profiler.signatures import TensorSpec


@rule("aten::linear", "aten::mkldnn_linear", kind=factors_kind, integers=True)
def linear(input: TensorSpec, weight: TensorSpec, bias: TensorSpec | None = None, *, out: TensorSpec) -> Iterator[Term]:
    """(*, in), (out, in) or (in,) → (*, out) or (*)."""
    yield summed_products(out.shape, weight.shape[-1:], out)
    yield from bias_terms(bias, weight.shape[-1:], out)


@rule("aten::matmul", "aten::linalg_matmul", "aten::mm", "aten::bmm", "aten::mv", kind=factors_kind, integers=True)
@rule("aten::dot", "aten::vdot", "aten::_int_mm", kind=factors_kind, integers=True)
def matmul(self: TensorSpec, other: TensorSpec, *_: Any, out: TensorSpec) -> Iterator[Term]:
    """(*, n, k) or (k,), (*, k, m) or (k,) → (*, n, m), (*, n), (*, m) or (); a further argument is a dtype."""
    yield summed_products(out.shape, self.shape[-1:], out)


@rule("aten::addmm", "aten::baddbmm", "aten::addmv", kind=added_product_kind, integers=True)
def addmm(
    self: TensorSpec,
    mat1: TensorSpec,
    mat2: TensorSpec,
    *_: Any,
    beta: Scalar = 1,
    alpha: Scalar = 1,
    out: TensorSpec,
) -> Iterator[Term]:
    """input, (*, n, k), (*, k, m) or (k,) → (*, n, m) or (n,), by beta·input + alpha·(mat1 @ mat2)."""
    yield from added_product_terms(mat1.shape[-1:], beta, alpha, out)


@rule("aten::_addmm_activation", kind=added_product_kind)
def addmm_activation(
    self: TensorSpec,
    mat1: TensorSpec,
    mat2: TensorSpec,
    *,
    beta: Scalar = 1,
    alpha: Scalar = 1,
    use_gelu: bool = False,
    out: TensorSpec,
) -> Iterator[Term]:
    """As :func:`addmm`, then relu or gelu (erf) of each result."""
    yield from added_product_terms(mat1.shape[-1:], beta, alpha, out)
    yield Term("gelu" if use_gelu else "relu", out.shape, GELU if use_gelu else RELU)


@rule("aten::addbmm", kind=added_product_kind, integers=True)
def addbmm(
    self: TensorSpec,
    batch1: TensorSpec,
    batch2: TensorSpec,
    *,
    beta: Scalar = 1,
    alpha: Scalar = 1,
    out: TensorSpec,
) -> Iterator[Term]:
    """input, (b, n, k), (b, k, m) → (n, m), by beta·input + alpha·Σ_b batch1 @ batch2."""
    yield from added_product_terms((batch1.shape[0], batch1.shape[2]), beta, alpha, out)


@rule("aten::inner", kind=factors_kind, integers=True)
def inner(self: TensorSpec, other: TensorSpec, *, out: TensorSpec) -> Iterator[Term]:
    """(*, k), (†, k) → (*, †); where one is a scalar it multiplies the other."""
    if self.shape and other.shape:
        yield summed_products(out.shape, self.shape[-1:], out)
    else:
        yield Term("products", out.shape, product(self, other))


@rule("aten::linalg_vecdot", kind=factors_kind, integers=True)
def vecdot(x: TensorSpec, y: TensorSpec, *, dim: int = -1, out: TensorSpec) -> Iterator[Term]:
    """(*, k, †) twice, which may be broadcast, → (*, †): the dot products along ``dim``."""
    rank = max(len(x.shape), len(y.shape))
    a, b = ((*(1,) * (rank - len(each.shape)), *each.shape)[dim] for each in (x, y))
    yield summed_products(out.shape, (b if a == 1 else a,), out)


@rule("aten::outer", "aten::ger", kind="elementwise")
def outer(self: TensorSpec, vec2: TensorSpec, *, out: TensorSpec) -> Iterator[Term]:
    """(n,), (m,) → (n, m): nothing is summed, so these are products and no macs."""
    yield Term("products", out.shape, product(self, vec2))


@rule("aten::addr", kind="elementwise")
def addr(
    self: TensorSpec, vec1: TensorSpec, vec2: TensorSpec, *, beta: Scalar = 1, alpha: Scalar = 1, out: TensorSpec
) -> Iterator[Term]:
    """(n, m), (n,), (m,) → (n, m), by beta·input + alpha·(vec1 ⊗ vec2)."""
    yield Term("products", out.shape, product(vec1, vec2))
    yield from scale_terms(out.shape, alpha, out, "alpha")
    if beta != 0:
        yield from scale_terms(out.shape, beta, out, "beta")
        yield Term("sums", out.shape, addition(out, out))


@rule("aten::bilinear", kind="linear")
def bilinear(
    input1: TensorSpec, input2: TensorSpec, weight: TensorSpec, bias: TensorSpec | None = None, *, out: TensorSpec
) -> Iterator[Term]:
    """(*, a), (*, b), (o, a, b) → (*, o): weight contracted with input1, the (*, o, b) left with input2."""
    _, a, b = weight.shape
    yield summed_products((*out.shape, b), (a,), out, "products with input1")
    yield summed_products(out.shape, (b,), out, "products with input2")
    yield from bias_terms(bias, (a, b), out)


@rule("aten::_trilinear", kind=linear_or_matmul)
def trilinear(
    i1: TensorSpec,
    i2: TensorSpec,
    i3: TensorSpec,
    expand1: Sequence[int],
    expand2: Sequence[int],
    expand3: Sequence[int],
    sumdim: Sequence[int],
    unroll_dim: int = 1,
    *,
    out: TensorSpec,
) -> Iterator[Term]:
    """Σ over ``sumdim`` of i1·i2·i3, each with dimensions of size 1 put in at its ``expand``.

    i1·i2 comes first, already summed over what i3 does not have.
    """
    sizes = [maximum(*pair) for pair in zip(_unsqueezed(i1, expand1), _unsqueezed(i2, expand2), strict=True)]
    first = [d for d in sumdim if d in expand3]
    second = [d for d in sumdim if d not in expand3]
    kept = [size for d, size in enumerate(sizes) if d not in first]
    yield summed_products(kept, [sizes[d] for d in first], out, "products of the first two")
    yield summed_products(out.shape, [sizes[d] for d in second], out, "products with the third")


def _unsqueezed(operand: TensorSpec, dims: Sequence[int]) -> list[int]:
    sizes = list(operand.shape)
    for dim in sorted(dims):
        sizes.insert(dim, 1)
    return sizes
