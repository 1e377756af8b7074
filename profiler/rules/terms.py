"""Terms that several families yield, and the kinds of products.

A result that sums K products costs K multiplies and K − 1 adds; a bias adds 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

from profiler.opcount import Role, Term, contraction, each
from profiler.rules.costs import addition, product
from profiler.signatures import TensorSpec

Scalar = int | float | complex


def linear_or_matmul(*operands: Any, out: TensorSpec, **_: Any) -> str:
    """``linear`` where an operand is a parameter, ``matmul`` where all are activations."""
    weights = any(isinstance(operand, TensorSpec) and operand.parameter for operand in operands)
    return "linear" if weights else "matmul"


def factors_kind(first: TensorSpec, second: TensorSpec, *_: Any, out: TensorSpec, **__: Any) -> str:
    """As :func:`linear_or_matmul` of the first two operands, the factors."""
    return linear_or_matmul(first, second, out=out)


def added_product_kind(input: TensorSpec, *factors: Any, out: TensorSpec, **_: Any) -> str:
    """As :func:`linear_or_matmul`, for products with a summand, which is no factor."""
    return linear_or_matmul(*factors, out=out)


def summed_products(
    outputs: Sequence[int],
    contracted: Sequence[int],
    out: TensorSpec,
    what: str = "products",
    role: Role = "product",
) -> Term:
    """``outputs`` results, each the sum of ∏ ``contracted`` products; complex ones where ``out`` is complex.

    A complex result of K products is two real ones of 2K products each, so that it costs 4K multiplies,
    4K − 2 adds and 4K macs.
    """
    if out.is_complex:
        return contraction((*outputs, 2), (*contracted, 2), what, role)
    return contraction(outputs, contracted, what, role)


def scale_terms(outputs: Sequence[int], factor: Scalar, out: TensorSpec, what: str) -> Iterator[Term]:
    """One multiplication per result by ``factor``; nothing if that is 1."""
    if factor != 1:
        yield Term(what, tuple(outputs), product(factor, out))


def bias_terms(bias: TensorSpec | None, contracted: Sequence[int], out: TensorSpec) -> Iterator[Term]:
    """One addition per result if there is a bias; none if nothing is summed, since the bias is then the result."""
    if bias is not None and prod(contracted) > 0:
        yield Term("bias", out.shape, addition(out, out), role="bias")


def added_product_terms(
    contracted: Sequence[int], beta: Scalar, alpha: Scalar, out: TensorSpec, what: str = "products"
) -> Iterator[Term]:
    """beta·input + alpha·product, where a result of the product sums over ``contracted``.

    Scaling and adding are done once for each result, also where ``input`` is broadcast; a ``beta`` of 0
    leaves ``input`` out.  If the product sums nothing, the result is beta·input.
    """
    yield summed_products(out.shape, contracted, out, what)
    if prod(contracted) > 0:
        yield from scale_terms(out.shape, alpha, out, "alpha")
    if beta != 0:
        yield from scale_terms(out.shape, beta, out, "beta")
        yield from bias_terms(out, contracted, out)


def sent_back(grad: TensorSpec) -> Iterator[Term]:
    """One add for each element of a gradient, which goes to where its value came from, into zeros."""
    yield each(grad.shape, "sums", adds=1)
