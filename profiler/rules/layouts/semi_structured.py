"""Products with 2:4 sparse matrices, where two of each four neighbors are zero and only the other two are stored.

A sum over k products has k/2 that are done: k/2 multiplies and k/2 − 1 adds.  (Matrices of float32 keep one of two,
which is as many.)  Packing what stays, by masks that are given, is movement.
Source: the documentation of ``torch.sparse.to_sparse_semi_structured``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from profiler.opcount import OpCount, Term, contraction, each
from profiler.rules.costs import RELU, SIGMOID
from profiler.rules.reductions import truths
from profiler.rules.registry import free, rule
from profiler.rules.terms import (
    Scalar,
    added_product_kind,
    added_product_terms,
    bias_terms,
    factors_kind,
    linear_or_matmul,
)
from profiler.signatures import TensorSpec

ACTIVATIONS = {"relu": RELU, "silu": SIGMOID + OpCount(multiplies=1)}
"""What a fused activation costs, by its name."""

free("aten::_sparse_semi_structured_apply", "aten::_sparse_semi_structured_apply_dense")


def fused_activation(name: str | None, out: TensorSpec) -> Iterator[Term]:
    """``relu`` or ``silu`` of each result; nothing without an activation."""
    if name is not None and name != "none":
        yield Term(name, out.shape, ACTIVATIONS[name])


@rule("aten::_sparse_semi_structured_linear", kind=factors_kind, integers=True)
def linear(
    input: TensorSpec,
    weight: TensorSpec,
    meta: TensorSpec,
    *,
    bias: TensorSpec | None = None,
    activation: str | None = None,
    out: TensorSpec,
    **_: Any,
) -> Iterator[Term]:
    """(*, in), (out, in/2) that are kept → (*, out)."""
    yield contraction(out.shape, weight.shape[-1:])
    yield from bias_terms(bias, weight.shape[-1:], out)
    yield from fused_activation(activation, out)


@rule("aten::_sparse_semi_structured_mm", kind=linear_or_matmul, integers=True)
def mm(mat1: TensorSpec, mat1_meta: TensorSpec, mat2: TensorSpec, *, out: TensorSpec, **_: Any) -> Iterator[Term]:
    """(m, k/2) that are kept, (k, n) → (m, n)."""
    yield contraction(out.shape, mat1.shape[-1:])


@rule("aten::_sparse_semi_structured_addmm", kind=added_product_kind, integers=True)
def addmm(
    input: TensorSpec,
    mat1: TensorSpec,
    mat1_meta: TensorSpec,
    mat2: TensorSpec,
    *,
    alpha: Scalar = 1,
    beta: Scalar = 1,
    out: TensorSpec,
    **_: Any,
) -> Iterator[Term]:
    """beta·(m) + alpha·(m, k/2) · (k, n) → (m, n)."""
    yield from added_product_terms(mat1.shape[-1:], beta, alpha, out)


@rule("aten::_cslt_sparse_mm", kind=factors_kind, integers=True)
def cslt_sparse_mm(
    compressed_A: TensorSpec,
    dense_B: TensorSpec,
    bias: TensorSpec | None = None,
    alpha: TensorSpec | None = None,
    *_: Any,
    out: TensorSpec,
    **__: Any,
) -> Iterator[Term]:
    """Compressed (m, k), (k, n), bias (m), one alpha → (m, n), or its transpose."""
    yield contraction(out.shape, (dense_B.shape[0] // 2,))
    if alpha is not None:
        yield each(out.shape, "alpha", multiplies=1)
    yield from bias_terms(bias, dense_B.shape[:1], out)


@rule("semi_structured::cutlass_mm", kind=factors_kind, integers=True)
def cutlass_mm(
    dense: TensorSpec,
    packed: TensorSpec,
    meta: TensorSpec,
    bias: TensorSpec | None,
    out_features: int,
    min_rows: int,
    min_cols: int,
    should_transpose_dense: bool,
    *,
    out: TensorSpec,
) -> Iterator[Term]:
    """Dense (k, n), or (n, k) to be transposed, with packed (m, k) → (m, n), or (n, m); padding is left out."""
    yield contraction(out.shape, (dense.shape[1 if should_transpose_dense else 0] // 2,))
    yield from bias_terms(bias, dense.shape[1 if should_transpose_dense else 0 :][:1], out)


@rule("semi_structured::cusparselt_mm", kind=factors_kind, integers=True)
def cusparselt_mm(
    dense: TensorSpec,
    packed: TensorSpec,
    bias: TensorSpec | None,
    out_features: int,
    min_rows: int,
    min_cols: int,
    fuse_transpose: bool,
    alg_id: int,
    should_transpose_dense: bool = False,
    *,
    out: TensorSpec,
) -> Iterator[Term]:
    """As :func:`cutlass_mm`."""
    yield contraction(out.shape, (dense.shape[1 if should_transpose_dense else 0] // 2,))
    yield from bias_terms(bias, dense.shape[1 if should_transpose_dense else 0 :][:1], out)


@rule("aten::_to_sparse_semi_structured", "aten::_cslt_compress", kind="reduction")
def compress(dense: TensorSpec, *, out: Any) -> Iterator[Term]:
    """(m, k) with its zeros in place → the kept values; each value is compared with zero."""
    return truths(dense, out=out)
