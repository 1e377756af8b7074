"""Contractions: convolutions, linear layers and matrix products.

A result that sums K products costs K multiplies and K − 1 adds; a bias adds 1.  Padded zeros count as
operands.  Source of the shapes: the operator documentation of ``torch.nn.functional``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from profiler.opcount import Term, contraction, each
from profiler.records import TensorSpec
from profiler.rules.registry import rule


def linear_or_matmul(*operands: Any, out: TensorSpec, **_: Any) -> str:
    """``linear`` where an operand is a parameter, ``matmul`` where all are activations."""
    weights = any(isinstance(operand, TensorSpec) and operand.parameter for operand in operands)
    return "linear" if weights else "matmul"


def bias_terms(bias: TensorSpec | None, outputs: tuple[int, ...]) -> Iterator[Term]:
    """One add a result where there is a bias."""
    if bias is not None:
        yield each(outputs, "bias", adds=1)


@rule("aten::linear", kind=linear_or_matmul)
def linear(input: TensorSpec, weight: TensorSpec, bias: TensorSpec | None = None, *, out: TensorSpec) -> Iterator[Term]:
    """(*, in), (out, in) → (*, out)."""
    yield contraction(out.shape, weight.shape[-1:])
    yield from bias_terms(bias, out.shape)
