"""Softmax and its logarithm, by the definitions shifted by the largest value of each row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from profiler.opcount import Term
from profiler.rules.costs import log_softmax_of, softmax_of, split_sizes
from profiler.rules.registry import rule
from profiler.signatures import TensorSpec


@rule(
    "aten::softmax",
    "aten::_softmax",
    "aten::_safe_softmax",
    "aten::special_softmax",
    kind="softmax",
)
def softmax(input: TensorSpec, dim: int, *_: Any, out: TensorSpec) -> Iterator[Term]:
    """(*, L, *) → the same, every row along ``dim``."""
    rows, (k,) = _rows(input, dim)
    yield Term("softmax rows", rows, softmax_of(k))


@rule("aten::log_softmax", "aten::_log_softmax", "aten::special_log_softmax", kind="softmax")
def log_softmax(input: TensorSpec, dim: int, *_: Any, out: TensorSpec) -> Iterator[Term]:
    """(*, L, *) → the same, every row along ``dim``."""
    rows, (k,) = _rows(input, dim)
    yield Term("log-softmax rows", rows, log_softmax_of(k))


@rule("aten::_masked_softmax", kind="softmax")
def masked_softmax(
    input: TensorSpec, mask: TensorSpec, dim: int | None = None, *_: Any, out: TensorSpec
) -> Iterator[Term]:
    """(*, L) → the same: softmax with masked values taken as −∞; dense."""
    return softmax(input, -1 if dim is None else dim, out=out)


def _rows(input: TensorSpec, dim: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The sizes of the rows' indices and, alone in its tuple, a row's length; a scalar is one row of one."""
    return split_sizes(input.shape or (1,), dim)
