"""Gradients of padding, unfolding and embeddings: they are added up where the values came from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from profiler.opcount import OpCount, Term, each
from profiler.rules.costs import weighted_sum_of
from profiler.rules.indexing import MEAN_BAGS, SUM_BAGS
from profiler.rules.registry import gradient
from profiler.rules.terms import sent_back
from profiler.signatures import TensorSpec


@gradient(
    *(f"aten::{padding}_pad{dims}d_backward" for padding in ("reflection", "replication") for dims in (1, 2, 3)),
    "aten::unfold_backward",
    kind="reduction",
)
def copies_backward(grad: TensorSpec, *_: Any, out: TensorSpec) -> Iterator[Term]:
    """Each gradient goes to the value it was copied from."""
    return sent_back(grad)


@gradient("aten::embedding_dense_backward", kind="reduction")
def embedding_dense_backward(
    grad: TensorSpec, indices: TensorSpec, num_weights: int, padding_idx: int, scale_grad_by_freq: bool, *, out: Any
) -> Iterator[Term]:
    """(*, D) → (V, D): each row of the gradient goes to the row looked up, divided by its frequency if requested."""
    yield each(grad.shape, "sums", adds=1, divides=int(scale_grad_by_freq))


@gradient("aten::_embedding_bag_dense_backward", kind="reduction")
def embedding_bag_dense_backward(
    grad: TensorSpec,
    indices: TensorSpec,
    offset2bag: TensorSpec,
    bag_size: TensorSpec,
    maximum_indices: TensorSpec,
    num_weights: int,
    scale_grad_by_freq: bool,
    mode: int,
    per_sample_weights: TensorSpec | None = None,
    *_: Any,
    out: TensorSpec,
) -> Iterator[Term]:
    """(B, D) → (V, D): each bag's gradient goes to all rows of the bag, or to the largest of each column."""
    if mode not in (SUM_BAGS, MEAN_BAGS):
        yield from sent_back(grad)
        return
    if mode == MEAN_BAGS:
        yield each(grad.shape, "means", divides=1)
    weighted = per_sample_weights is not None
    yield each(
        (indices.size, grad.shape[-1]), "sums", adds=1, multiplies=int(weighted), divides=int(scale_grad_by_freq)
    )


@gradient("aten::_embedding_bag_per_sample_weights_backward", kind="reduction")
def embedding_bag_weights_backward(
    grad: TensorSpec, weight: TensorSpec, indices: TensorSpec, *_: Any, out: TensorSpec
) -> Iterator[Term]:
    """(B, D), (V, D) → one number for each index: the product of its row with its bag's gradient."""
    yield Term("products", indices.shape, weighted_sum_of(grad.shape[-1]))


@gradient("aten::_embedding_bag_backward", kind="reduction")
def embedding_bag_backward(
    grad: TensorSpec,
    indices: TensorSpec,
    offsets: TensorSpec,
    offset2bag: TensorSpec,
    bag_size: TensorSpec,
    maximum_indices: TensorSpec,
    num_weights: int,
    scale_grad_by_freq: bool,
    mode: int,
    sparse: bool,
    per_sample_weights: TensorSpec | None = None,
    *_: Any,
    out: TensorSpec,
) -> Iterator[Term]:
    """(B, D) → (V, D), as :func:`embedding_bag_dense_backward`."""
    bags = (grad, indices, offset2bag, bag_size, maximum_indices, num_weights, scale_grad_by_freq, mode)
    return embedding_bag_dense_backward(*bags, per_sample_weights, out=out)


@gradient("sparse::_embedding_bag_backward", kind="reduction")
def sparse_embedding_bag_backward(*args: Any, out: TensorSpec) -> Iterator[Term]:
    """(B, D) → sparse (V, D), which stores a row for each index: weighted or divided as the dense one, not summed."""
    for term in embedding_bag_backward(*args, out=out):
        alone = term.one - OpCount(adds=term.one.adds)
        if alone:
            yield replace(term, one=alone)
