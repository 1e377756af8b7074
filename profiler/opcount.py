"""Counts of scalar operations, and the terms they are made of.

A :class:`Term` says *how many* results there are and what *one* of them costs.  Counts, MACs and the displayed formula
are computed from the same terms, so they cannot disagree.  Sizes are only used in plain arithmetic, so a symbolic size
works wherever an ``int`` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

SCALAR_OPERATIONS = ("multiplies", "adds", "divides", "comparisons", "transcendentals")
"""The five kinds of scalar operations that are counted separately."""

ONE_OF = dict(
    zip(SCALAR_OPERATIONS, ("multiply", "add", "divide", "comparison", "transcendental"), strict=True),
)

COUNT_COLUMNS = (*SCALAR_OPERATIONS, "macs", "flops")
"""The columns of every table of counts: the five kinds, then the two derived figures."""


@dataclass(frozen=True, slots=True)
class OpCount:
    """The numbers of scalar operations of each kind, as exact integers.

    ``macs`` are the multiply–accumulate pairs of contractions only (convolutions, linear layers, matrix
    products, attention's two products, recurrent gates); their multiplies and adds are in ``multiplies``
    and ``adds`` too.
    """

    multiplies: int = 0
    adds: int = 0
    divides: int = 0
    comparisons: int = 0
    transcendentals: int = 0
    macs: int = 0

    @property
    def flops(self) -> int:
        """Multiplies, adds, divides and transcendentals together; comparisons are not included."""
        return self.multiplies + self.adds + self.divides + self.transcendentals

    def __add__(self, other: OpCount) -> OpCount:
        return OpCount(
            self.multiplies + other.multiplies,
            self.adds + other.adds,
            self.divides + other.divides,
            self.comparisons + other.comparisons,
            self.transcendentals + other.transcendentals,
            self.macs + other.macs,
        )

    def __sub__(self, other: OpCount) -> OpCount:
        return self + other * -1

    def __mul__(self, times: int) -> OpCount:
        return OpCount(
            self.multiplies * times,
            self.adds * times,
            self.divides * times,
            self.comparisons * times,
            self.transcendentals * times,
            self.macs * times,
        )

    __rmul__ = __mul__

    def __bool__(self) -> bool:
        return bool(
            self.multiplies or self.adds or self.divides or self.comparisons or self.transcendentals or self.macs
        )


ZERO = OpCount()


Role = Literal["product", "bias", "input gradient", "weight gradient", "bias gradient", "other"]
"""What a term is for: the products of a contraction, what is added to them, or whose gradient."""


@dataclass(frozen=True, slots=True)
class Term:
    """``how_many`` (a product of sizes) × the cost of ``one``.

    ``contracted`` holds the sizes that a contraction sums over; their product is K, and ``one`` is then
    K multiplies, K − 1 adds and K macs.  It is empty for all other work.  ``what`` describes the results in a word or
    two; ``role`` says what the term is for, if that matters to a table.
    """

    what: str
    how_many: tuple[int, ...]
    one: OpCount
    contracted: tuple[int, ...] = ()
    role: Role = "other"

    @property
    def count(self) -> OpCount:
        """The cost of all of them."""
        return self.one * prod(self.how_many)

    @property
    def formula(self) -> str:
        """The term as a formula.

        A contraction is written ``(3·11·11)·(64·55·55)``, which is its macs; anything else is written
        ``64·55·55 comparisons``, ``64·27·27 × 8 comparisons`` or ``64·55·55 × (2 multiplies + 1 add)``.
        Sizes of one are left out.
        """
        if self.contracted:
            groups = (self.contracted, self.how_many)
            return "·".join(_group(sizes) for sizes in groups if prod(sizes) != 1) or "1"
        return _times(_product(self.how_many), self.one)


def _product(sizes: Sequence[int]) -> str:
    if any(size == 0 for size in sizes):
        return "0"
    return "·".join(str(size) for size in sizes if size != 1) or "1"


def _group(sizes: Sequence[int]) -> str:
    text = _product(sizes)
    return f"({text})" if "·" in text else text


def _times(many: str, one: OpCount) -> str:
    costs = [(getattr(one, kind), kind) for kind in SCALAR_OPERATIONS if getattr(one, kind)]
    if len(costs) == 1:
        number, kind = costs[0]
        if number == 1 or many == "1":
            return f"{many if number == 1 else number} {kind}"
        return f"{many} × {number} {kind}"
    return f"{many} × ({' + '.join(f'{number} {kind if number != 1 else ONE_OF[kind]}' for number, kind in costs)})"


def total(terms: Iterable[Term]) -> OpCount:
    """The cost of all terms together."""
    count = ZERO
    for term in terms:
        count = count + term.count
    return count


def contraction(
    outputs: Sequence[int], contracted: Sequence[int], what: str = "products", role: Role = "product"
) -> Term:
    """``outputs`` results (a product of sizes), each the sum of ∏ ``contracted`` = K products.

    Costs K multiplies and K − 1 adds per result; nothing if K is zero (an empty sum).
    """
    k = prod(contracted)
    one = OpCount(multiplies=k, adds=k - 1, macs=k) if k > 0 else ZERO
    return Term(what, tuple(outputs), one, tuple(contracted) or (1,), role)


def each(how_many: Sequence[int], what: str, **one: int) -> Term:
    """``how_many`` (a product of sizes) × the scalar operations given by name, e.g. ``adds=1``."""
    return Term(what, tuple(how_many), OpCount(**one))
