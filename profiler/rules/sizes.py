"""What rules do with sizes beside + − · and ⌊/⌋, so that a size may be a symbol.

A size that is no number says by its method ``apply`` what a function of it is; with numbers it is evaluated.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

Operands = ParamSpec("Operands")


def of_sizes(function: Callable[Operands, int]) -> Callable[Operands, int]:
    """``function`` of whole numbers as one of sizes."""

    @wraps(function)
    def of(*sizes: Operands.args, **options: Operands.kwargs) -> int:
        symbol: Any = next((size for size in sizes if hasattr(size, "apply")), None)
        if symbol is None:
            return function(*sizes, **options)
        made: int = symbol.apply(function, *sizes, **options)
        return made

    return of


@of_sizes
def minimum(a: int, b: int) -> int:
    """The smaller of two sizes."""
    return min(a, b)


@of_sizes
def maximum(a: int, b: int) -> int:
    """The larger of two sizes."""
    return max(a, b)


@of_sizes
def ceil_log2(k: int) -> int:
    """⌈log₂ k⌉, the depth of a binary tree over k values; 0 for one or none."""
    return max(k - 1, 0).bit_length()


def divides(divisor: int, size: int) -> bool:
    """Whether ``size`` is known to be a multiple of ``divisor``; a size that is no number is known to be one of 1."""
    if hasattr(size, "apply") or hasattr(divisor, "apply"):
        return not hasattr(divisor, "apply") and divisor == 1
    return size % divisor == 0


def is_positive(size: int) -> bool:
    """Whether a size, or a difference of sizes, is more than 0."""
    return size > 0
