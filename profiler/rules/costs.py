"""Code that several families share: the sizes along which an operation works, and the costs of small definitions.

Complex numbers are counted by their real operations: a product is 4 multiplies + 2 adds, a
sum is 2 adds; a real factor of a complex number is 2 multiplies, and a real summand 1 add.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

from profiler.errors import UncountedError
from profiler.opcount import ZERO, OpCount
from profiler.signatures import TensorSpec

Sizes = tuple[int, ...]
Dims = int | Sequence[int] | None

SIGMOID = OpCount(adds=1, divides=1, transcendentals=1)
"""1 / (1 + e⁻ˣ)."""

LOG_SIGMOID = OpCount(adds=1, divides=1, transcendentals=2)
"""log(1 / (1 + e⁻ˣ))."""

RELU = OpCount(comparisons=1)
GELU = OpCount(multiplies=3, adds=1, transcendentals=1)

LINEAR_TAPS, CUBIC_TAPS, LANCZOS_TAPS = 2, 4, 6
"""How many neighbors a one-dimensional interpolation weighs."""


def split_sizes(shape: Sequence[int], dims: Dims) -> tuple[Sizes, Sizes]:
    """The sizes of the other dimensions and of ``dims``; None or an empty list means all of them."""
    if isinstance(dims, int):
        dims = (dims,)
    if not shape or not dims:
        return (), tuple(shape)
    along = {dim % len(shape) for dim in dims}
    return (
        tuple(size for dim, size in enumerate(shape) if dim not in along),
        tuple(size for dim, size in enumerate(shape) if dim in along),
    )


def expand(sizes: int | Sequence[int], dims: int) -> Sizes:
    """One size for each of ``dims`` dimensions; a single size is used for all."""
    if isinstance(sizes, int):
        return (sizes,) * dims
    return tuple(sizes) * dims if len(sizes) == 1 else tuple(sizes)


def first(out: Any) -> TensorSpec:
    """The result, or the first of several."""
    return out if isinstance(out, TensorSpec) else out[0]


def is_complex(operand: Any) -> bool:
    """Whether a tensor or a scalar argument is complex."""
    return operand.is_complex if isinstance(operand, TensorSpec) else isinstance(operand, complex)


def require_real(op: str, operands: Iterable[Any]) -> None:
    """Raise UncountedError if an operand is complex and ``op`` has no rule for that."""
    if any(is_complex(operand) for operand in operands):
        raise UncountedError(f"{op} has no rule for complex numbers; register one with profiler.rule")


def addition(a: Any, b: Any) -> OpCount:
    """a ± b."""
    return OpCount(adds=2 if is_complex(a) and is_complex(b) else 1)


def product(a: Any, b: Any) -> OpCount:
    """a·b."""
    if is_complex(a) and is_complex(b):
        return OpCount(multiplies=4, adds=2)
    return OpCount(multiplies=2 if is_complex(a) or is_complex(b) else 1)


def quotient(a: Any, b: Any) -> OpCount:
    """a/b; by a complex number it is a·b̄ / |b|²."""
    if is_complex(b):
        return product(a, b) + OpCount(multiplies=2, adds=1, divides=2)
    return OpCount(divides=2 if is_complex(a) else 1)


def power(base: Any, exponent: int | float) -> OpCount:
    """An integer power p is |p| − 1 multiplies, and a divide where p < 0; any other is one transcendental."""
    if exponent != exponent // 1:
        require_real("aten::pow with a fractional exponent", [base])
        return OpCount(transcendentals=1)
    size = abs(int(exponent))
    count = product(base, base) * max(size - 1, 0)
    return count + quotient(1.0, base) if exponent < 0 else count


def sum_of(k: int, item: Any = None) -> OpCount:
    """The sum of k values of the type of ``item``: k − 1 additions, or none without values."""
    return addition(item, item) * (k - 1) if k > 0 else ZERO


def mean_of(k: int, item: Any = None) -> OpCount:
    """The mean of k values: their sum and a divide."""
    return sum_of(k, item) + quotient(item, 1.0) if k > 0 else ZERO


def variance_of(k: int) -> OpCount:
    """The mean of k values, the k squared distances to it, their sum and a divide."""
    return mean_of(k) + OpCount(multiplies=k, adds=k) + mean_of(k)


def weighted_sum_of(k: int) -> OpCount:
    """Σ wᵢ·xᵢ over k values: k multiplies and k − 1 adds."""
    return OpCount(multiplies=k) + sum_of(k)


def largest_of(k: int) -> OpCount:
    """The largest of k values: k − 1 comparisons."""
    return OpCount(comparisons=k - 1) if k > 0 else ZERO


def size_of(sizes: Sequence[int]) -> int:
    """The product of ``sizes``."""
    return prod(sizes)


def softmax_of(k: int) -> OpCount:
    """A row of k: the largest, k subtractions, k exps, their sum, k divides."""
    return largest_of(k) + OpCount(adds=k, transcendentals=k, divides=k) + sum_of(k)


def log_softmax_of(k: int) -> OpCount:
    """A row of k: x − max − log Σ exp(x − max)."""
    return logsumexp_of(k) - OpCount(adds=1) + OpCount(adds=k) if k > 0 else OpCount()


def logsumexp_of(k: int) -> OpCount:
    """A row of k: max + log Σ exp(x − max)."""
    return largest_of(k) + OpCount(adds=k + 1, transcendentals=k + 1) + sum_of(k) if k > 0 else OpCount()


def norm_of(k: int, p: float, item: TensorSpec) -> OpCount:
    """The p-norm of k values: (Σ |x|ᵖ)^(1/p); p = ±∞ is an extreme, p = 0 counts what differs from zero."""
    modulus = OpCount(multiplies=2, adds=1, transcendentals=1) * k if is_complex(item) else OpCount()
    if p == float("inf") or p == -float("inf"):
        return modulus + largest_of(k)
    if p == 0:
        return OpCount(comparisons=2 * k if is_complex(item) else k) + sum_of(k)
    if p == 2 and is_complex(item):
        return OpCount(multiplies=2, adds=1) * k + sum_of(k) + OpCount(transcendentals=1)
    root = OpCount(transcendentals=int(p != 1))
    return modulus + power(1.0, p) * k + sum_of(k) + root


def broadcast(a: Sequence[int], b: Sequence[int]) -> Sizes:
    """The shape of an element-by-element result of shapes ``a`` and ``b``."""
    longer, shorter = (a, b) if len(a) >= len(b) else (b, a)
    start = len(longer) - len(shorter)
    overlap = tuple(y if x == 1 else x for x, y in zip(longer[start:], shorter, strict=True))
    return (*longer[:start], *overlap)


def interpolation_of(taps: int, dims: int) -> OpCount:
    """One interpolated value: 1 + t + … + t^(dims − 1) one-dimensional interpolations of t taps."""
    nested = 0
    for _ in range(dims):
        nested = nested * taps + 1
    return weighted_sum_of(taps) * nested


def spread_of(taps: int, dims: int) -> OpCount:
    """One gradient weighed along one dimension after the other, and added at all tapsᵈⁱᵐˢ places."""
    places = prod((taps,) * dims)
    return OpCount(multiplies=interpolation_of(taps, dims).multiplies, adds=places)
