"""Indexing that computes: sums, products and extremes gathered by index, and embedding bags.

Values that are placed or looked up by index are only moved (see ``movement``).  If values are combined with existing
ones, each of them costs one operation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from profiler.opcount import OpCount, Term, each
from profiler.rules.costs import Sizes, addition, broadcast, first, norm_of, product, require_real
from profiler.rules.registry import rule
from profiler.rules.sizes import maximum
from profiler.signatures import TensorSpec

COMBINING = {
    "prod": OpCount(multiplies=1),
    "multiply": OpCount(multiplies=1),
    "amax": OpCount(comparisons=1),
    "amin": OpCount(comparisons=1),
    "max": OpCount(comparisons=1),
    "min": OpCount(comparisons=1),
}
"""What combining one value with another costs, by the name of the reduction; sums and means are adds."""


def combined(values: Sequence[int], how: str | None, out: TensorSpec) -> Iterator[Term]:
    """``values`` (a product of sizes) combined into ``out``; no terms if ``how`` is None (they are placed)."""
    if how is None:
        return
    if how in COMBINING:
        require_real(f"{how} by index", [out])
        yield Term(how, tuple(values), COMBINING[how])
        return
    yield Term("sums", tuple(values), addition(out, out))
    if how == "mean":
        yield each(out.shape, "means", divides=1)


def reduction_or_movement(*_: Any, accumulate: bool = False, reduce: str | None = None, **__: Any) -> str:
    """``movement`` if values are placed, ``reduction`` if they are combined."""
    return "reduction" if accumulate or reduce is not None else "movement"


def accumulation_kind(input: Any, index: Any, values: Any, accumulate: bool = False, *_: Any, **__: Any) -> str:
    """As :func:`reduction_or_movement`, by the fourth argument."""
    return reduction_or_movement(accumulate=accumulate)


@rule("aten::scatter", kind=reduction_or_movement)
def scatter(
    input: TensorSpec, dim: int, index: TensorSpec, src: Any, *, reduce: str | None = None, out: TensorSpec
) -> Iterator[Term]:
    """(*), index and values of one shape → (*): placed, or combined by ``reduce``."""
    return combined(index.shape, reduce, out)


@rule("aten::scatter_add", kind="reduction")
def scatter_add(input: TensorSpec, dim: int, index: TensorSpec, src: Any, *, out: TensorSpec) -> Iterator[Term]:
    """(*), index and values of one shape → (*): one add for each value."""
    return combined(index.shape, "sum", out)


@rule("aten::scatter_reduce", kind="reduction")
def scatter_reduce(
    input: TensorSpec, dim: int, index: TensorSpec, src: Any, reduce: str, *, out: TensorSpec, **_: Any
) -> Iterator[Term]:
    """(*), index and values of one shape → (*): each value is combined, a mean divides each result."""
    return combined(index.shape, reduce, out)


@rule("aten::index_add", kind="reduction")
def index_add(
    input: TensorSpec, dim: int, index: TensorSpec, source: TensorSpec, *, alpha: Any = 1, out: TensorSpec
) -> Iterator[Term]:
    """(*, L, *) += alpha·(*, S, *): one add for each value, and a multiply where alpha is not one."""
    yield from combined(source.shape, "sum", out)
    if alpha != 1:
        yield Term("alpha", source.shape, product(alpha, source))


@rule("aten::index_reduce", kind="reduction")
def index_reduce(
    input: TensorSpec, dim: int, index: TensorSpec, source: TensorSpec, reduce: str, *, out: TensorSpec, **_: Any
) -> Iterator[Term]:
    """(*, L, *) combined with (*, S, *): each value is combined, a mean divides each result."""
    return combined(source.shape, reduce, out)


def indexed_sizes(shape: Sequence[int], indices: Sequence[TensorSpec | None]) -> Sizes:
    """The sizes of ``shape[indices]``, up to their order: broadcast indices, then the other dimensions.

    A boolean index covers as many dimensions as it has, and selects at most all elements.
    """
    remaining = list(shape)
    kept: list[int] = []
    picked: Sizes = ()
    for index in indices:
        if index is None:
            kept.append(remaining.pop(0))
        elif index.dtype in ("bool", "uint8"):
            picked = broadcast(picked, (index.size,))
            del remaining[: len(index.shape)]
        else:
            picked = broadcast(picked, index.shape)
            del remaining[0]
    return (*picked, *kept, *remaining)


@rule("aten::index_put", "aten::_unsafe_index_put", "aten::_index_put_impl", kind=accumulation_kind)
def index_put(
    input: TensorSpec,
    indices: Sequence[TensorSpec | None],
    values: TensorSpec,
    accumulate: bool = False,
    *_: Any,
    out: TensorSpec,
) -> Iterator[Term]:
    """(*)[indices] = values, or += them: one add for each place indexed."""
    return combined(indexed_sizes(input.shape, indices), "sum" if accumulate else None, input)


@rule("aten::_unsafe_masked_index_put_accumulate", kind="reduction")
def masked_index_put(
    input: TensorSpec, mask: TensorSpec, indices: Any, values: TensorSpec, *, out: TensorSpec
) -> Iterator[Term]:
    """(*)[indices] += values where the mask holds; dense: every value counts."""
    return combined(indexed_sizes(input.shape, indices), "sum", input)


@rule("aten::put", kind=accumulation_kind)
def put(
    input: TensorSpec, index: TensorSpec, source: TensorSpec, accumulate: bool = False, *, out: TensorSpec
) -> Iterator[Term]:
    """Flat (*)[index] = source, or += it."""
    return combined(index.shape, "sum" if accumulate else None, out)


@rule("aten::col2im", kind="reduction")
def col2im(columns: TensorSpec, *_: Any, out: TensorSpec) -> Iterator[Term]:
    """(N, C·∏ kernel, L) → (N, C, H, W): each column's values are added where they came from."""
    return combined(columns.shape, "sum", out)


SUM_BAGS, MEAN_BAGS = 0, 1
"""Modes of embedding_bag; 2 is the maximum."""


@rule("aten::embedding_bag", "aten::_embedding_bag", "aten::_embedding_bag_forward_only", kind="reduction")
def embedding_bag(
    weight: TensorSpec,
    indices: TensorSpec,
    offsets: TensorSpec,
    scale_grad_by_freq: bool = False,
    mode: int = SUM_BAGS,
    sparse: bool = False,
    per_sample_weights: TensorSpec | None = None,
    *_: Any,
    out: Any,
) -> Iterator[Term]:
    """(V, D), I indices in B bags → (B, D): I − B adds (or comparisons) for each of the D, none of the bags empty."""
    bags, width = first(out).shape
    combinations = maximum(indices.size - bags, 0)
    if per_sample_weights is not None:
        yield each((indices.size, width), "weights", multiplies=1)
    if mode in (SUM_BAGS, MEAN_BAGS):
        yield each((combinations, width), "sums", adds=1)
    else:
        yield each((combinations, width), "maxima", comparisons=1)
    if mode == MEAN_BAGS:
        yield each((bags, width), "means", divides=1)


@rule("aten::embedding_renorm", kind="norm")
def embedding_renorm(
    weight: TensorSpec, indices: TensorSpec, max_norm: float, norm_type: float, *, out: TensorSpec
) -> Iterator[Term]:
    """(V, D): each row looked up is scaled to norm max_norm if longer; dense: every index another row, all longer."""
    return renormalized(indices.shape, weight.shape[1], norm_type, weight)


@rule("aten::renorm", kind="norm")
def renorm(input: TensorSpec, p: float, dim: int, maxnorm: float, *, out: TensorSpec) -> Iterator[Term]:
    """(*, L, *): each slice along ``dim`` is scaled to norm maxnorm if longer; dense: all are."""
    slices = input.shape[dim]
    return renormalized((slices,), input.size // slices if slices else 0, p, input)


def renormalized(rows: Sequence[int], k: int, p: float, item: TensorSpec) -> Iterator[Term]:
    """Rows of k values: the p-norm, a comparison, maxnorm / (norm + ε), and k multiplies."""
    if k > 0:
        yield Term("norms", tuple(rows), norm_of(k, p, item) + OpCount(comparisons=1, adds=1, divides=1))
        yield Term("scaling", (*rows, k), product(1.0, item))


@rule("aten::bincount", kind="reduction")
def bincount(input: TensorSpec, weights: TensorSpec | None = None, *_: Any, out: TensorSpec) -> Iterator[Term]:
    """(N) of integers, weights (N) → (bins): one add for each weight; without weights only integers are counted up."""
    if weights is not None:
        yield each(weights.shape, "sums", adds=1)
