"""Gradients of softmax and of its logarithm; g is the gradient of the result y."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from profiler.opcount import OpCount, Term
from profiler.rules.costs import split_sizes, sum_of
from profiler.rules.registry import gradient
from profiler.signatures import TensorSpec


@gradient("aten::_softmax_backward_data", kind="softmax")
def softmax_backward(grad: TensorSpec, output: TensorSpec, dim: int, *_: Any, out: TensorSpec) -> Iterator[Term]:
    """Rows of k: y·(g − Σ g·y)."""
    rows, (k,) = split_sizes(output.shape or (1,), dim)
    yield Term("softmax rows", rows, OpCount(multiplies=2 * k, adds=k) + sum_of(k))


@gradient("aten::_masked_softmax_backward", kind="softmax")
def masked_softmax_backward(
    grad: TensorSpec, output: TensorSpec, mask: TensorSpec, dim: int | None = None, *, out: TensorSpec
) -> Iterator[Term]:
    """As softmax; dense."""
    return softmax_backward(grad, output, -1 if dim is None else dim, out=out)


@gradient("aten::_log_softmax_backward_data", kind="softmax")
def log_softmax_backward(grad: TensorSpec, output: TensorSpec, dim: int, *_: Any, out: TensorSpec) -> Iterator[Term]:
    """Rows of k: g − exp(y)·Σ g."""
    rows, (k,) = split_sizes(output.shape or (1,), dim)
    yield Term("log-softmax rows", rows, OpCount(multiplies=k, adds=k, transcendentals=k) + sum_of(k))
