"""Orthogonal polynomials of degree n, by the recurrences that define them.

Each starts from the polynomials of degree 0, which is 1, and 1.  Where torch goes over to a closed form (a cosine, for
a Chebyshev polynomial of high degree within −1 to 1), the count stays that of the recurrence.  Constants such as 2·k
are free; a negative degree gives 0.  Degrees in a tensor are data, known in a real run.
Source: the documentation of ``torch.special``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from profiler.errors import UncountedError
from profiler.opcount import ZERO, OpCount, Term
from profiler.rules.registry import CostRule, rule
from profiler.signatures import TensorSpec

ADD, MULTIPLY, DIVIDE = OpCount(adds=1), OpCount(multiplies=1), OpCount(divides=1)


def chebyshev_of(n: int, first: OpCount = ZERO) -> OpCount:
    """p₁ = ``first`` of 2·x or x, then pₖ₊₁ = 2·x·pₖ − pₖ₋₁, with 2·x computed once."""
    return MULTIPLY + first + (MULTIPLY + ADD) * (n - 1)


def chebyshev_t_of(n: int) -> OpCount:
    """p₁ = x, which is all for n = 1."""
    return chebyshev_of(n) if n > 1 else ZERO


def chebyshev_v_of(n: int) -> OpCount:
    """p₁ = 2·x ∓ 1."""
    return chebyshev_of(n, ADD)


def hermite_h_of(n: int) -> OpCount:
    """p₁ = 2·x, pₖ₊₁ = 2·x·pₖ − 2·k·pₖ₋₁, with 2·x computed once."""
    return chebyshev_of(n) + MULTIPLY * max(n - 2, 0)


def hermite_he_of(n: int) -> OpCount:
    """p₁ = x, pₖ₊₁ = x·pₖ − k·pₖ₋₁."""
    return (MULTIPLY + ADD) * (n - 1) + MULTIPLY * max(n - 2, 0)


def laguerre_of(n: int) -> OpCount:
    """p₁ = 1 − x, pₖ₊₁ = ((2·k + 1 − x)·pₖ − k·pₖ₋₁)/(k + 1)."""
    return ADD + (ADD + MULTIPLY + ADD + DIVIDE) * (n - 1) + MULTIPLY * max(n - 2, 0)


def legendre_of(n: int) -> OpCount:
    """p₁ = x, pₖ₊₁ = ((2·k + 1)·x·pₖ − k·pₖ₋₁)/(k + 1)."""
    return (MULTIPLY * 2 + ADD + DIVIDE) * (n - 1) + MULTIPLY * max(n - 2, 0)


POLYNOMIALS = {
    "chebyshev_polynomial_t": chebyshev_t_of,
    "chebyshev_polynomial_u": chebyshev_of,
    "chebyshev_polynomial_v": chebyshev_v_of,
    "chebyshev_polynomial_w": chebyshev_v_of,
    "hermite_polynomial_h": hermite_h_of,
    "hermite_polynomial_he": hermite_he_of,
    "laguerre_polynomial_l": laguerre_of,
    "legendre_polynomial_p": legendre_of,
}
"""What the polynomial of degree n costs at one point, for n > 0."""


def _of_degree(of: Callable[[int], OpCount], start: OpCount = ZERO) -> CostRule:
    def cost(x: Any, n: Any, *, out: TensorSpec) -> Iterator[Term]:
        """Points and degrees that are broadcast: ``start`` and the recurrence of each degree above 0."""
        for degree, number in sorted(_degrees(n, out).items()):
            one = start + of(degree) if degree > 0 else ZERO
            if one:
                yield Term(f"degree {degree}", (number,), one)

    return cost


def _degrees(n: Any, out: TensorSpec) -> Counter[int]:
    """How many of the results have which degree; a broken one is cut to a whole number."""
    if not isinstance(n, TensorSpec):
        return Counter({_whole(n): out.size})
    degrees = Counter(map(_whole, _flat(n.values)))
    return Counter({degree: number * out.size // n.size for degree, number in degrees.items()})


def _whole(degree: Any) -> int:
    try:
        return int(degree)
    except (TypeError, ValueError, OverflowError) as error:
        raise UncountedError(f"a polynomial of degree {degree} is not counted") from error


def _flat(values: Any) -> Iterator[Any]:
    if isinstance(values, list):
        for item in values:
            yield from _flat(item)
    else:
        yield values


for _name, _polynomial in POLYNOMIALS.items():
    rule(f"aten::special_{_name}", kind="elementwise", reads=("n",))(_of_degree(_polynomial))
    if _name.startswith("chebyshev"):
        # Tₙ*(x) = Tₙ(2·x − 1)
        rule(f"aten::special_shifted_{_name}", kind="elementwise", reads=("n",))(
            _of_degree(_polynomial, MULTIPLY + ADD)
        )
