"""Exact interpolation: the polynomial through values at equally spaced points of several names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise, product
from typing import Any

import sympy

from profiler.symbolic.expressions import Expression, symbol

Point = tuple[int, ...]


def degree_of(values: Sequence[int]) -> int | None:
    """The degree of the polynomial through values at equally spaced points, −1 if all are 0.

    None if the differences do not vanish before the last: then the points do not show that it is a polynomial.
    """
    differences = list(values)
    for degree in range(-1, len(values) - 1):
        if not any(differences):
            return degree
        differences = [after - before for before, after in pairwise(differences)]
    return None


def polynomial(names: Sequence[str], axes: Sequence[Sequence[int]], values: Mapping[Point, int]) -> Expression:
    """The polynomial in ``names`` of degree less than the number of points on each axis, through ``values``.

    ``values`` has the value at each point of the grid of ``axes``.
    """
    coefficients: dict[Point, Fraction] = {point: Fraction(values[point]) for point in product(*axes)}
    for axis, places in enumerate(axes):
        basis = _lagrange(places)
        made: dict[Point, Fraction] = {}
        for point, value in coefficients.items():
            if value:
                for power, factor in enumerate(basis[places.index(point[axis])]):
                    key = (*point[:axis], power, *point[axis + 1 :])
                    made[key] = made.get(key, Fraction(0)) + value * factor
        coefficients = made
    terms: list[Any] = []
    for powers, factor in coefficients.items():
        if factor:
            term: Any = sympy.Rational(factor.numerator, factor.denominator)
            for name, power in zip(names, powers, strict=True):
                term *= symbol(name) ** power
            terms.append(term)
    return sympy.Add(*terms)


def _lagrange(points: Sequence[int]) -> list[list[Fraction]]:
    """For each point, the coefficients of the polynomial that is 1 there and 0 at the others."""
    found = []
    for here in points:
        made = [Fraction(1)]
        for other in points:
            if other != here:
                scale = Fraction(1, here - other)
                shifted = [Fraction(0), *made]
                made = [scale * (a - other * b) for a, b in zip(shifted, [*made, Fraction(0)], strict=True)]
        found.append(made)
    return found


def monomials(expression: Expression) -> dict[Expression, int]:
    """The coefficients of an expanded expression by what they are multiplied with."""
    found: dict[Expression, int] = {}
    for term in sympy.Add.make_args(expression):
        coefficient, rest = term.as_coeff_Mul()
        if coefficient:
            found[rest] = found.get(rest, 0) + coefficient
    return found
