"""Exact interpolation: the quasi-polynomial through values at equally spaced points of several names.

A quasi-polynomial in n with the step m is a polynomial for each remainder of n by m.  The cost of a network with
strides is of this kind: ⌊(n − 3)/4⌋² is one polynomial where n is a multiple of 4, and another one where it is not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise, product
from math import comb
from typing import Any

import sympy

from profiler.symbolic.expressions import Expression, floor_of, fraction_in, symbol

Point = tuple[int, ...]


@dataclass(frozen=True)
class Axis:
    """The points of one name: for each remainder by ``step``, in ascending order, a line of points that far apart.

    All lines have the same number of points, one more than the degree.
    """

    name: str
    step: int
    lines: tuple[tuple[int, ...], ...]

    @property
    def points(self) -> tuple[int, ...]:
        """All points, line by line."""
        return tuple(point for line in self.lines for point in line)

    @property
    def remainders(self) -> list[int]:
        """The remainders by the step for which there is a polynomial."""
        return [line[0] % self.step for line in self.lines]

    @cached_property
    def basis(self) -> list[Expression]:
        """The functions whose sums the quasi-polynomials are.

        Of one line, these are the powers of n.  Of several, they are the powers of ⌊n/m⌋ and of each ⌊(n + m − r)/m⌋,
        which is larger by 1 if the remainder of n is at least r.
        """
        n, degree = symbol(self.name), len(self.lines[0]) - 1
        if len(self.lines) == 1:
            return [n**power for power in range(degree + 1)]
        floors = [floor_of(n, self.step)]
        floors += [floor_of(n + self.step - remainder, self.step) for remainder in self.remainders[1:]]
        return [sympy.Integer(1), *(floor**power for floor in floors for power in range(1, degree + 2))]

    def coefficients(self, values: Mapping[int, Fraction]) -> list[Fraction]:
        """The coefficients of the ``basis`` for the quasi-polynomial through a value at each of the points."""
        if len(self.lines) == 1:
            return _through(self.lines[0], values)
        degree = len(self.lines[0]) - 1
        found = [Fraction(0)] * len(self.basis)
        before: list[Fraction] = []
        for place, line in enumerate(self.lines):
            quotients = {point // self.step: values[point] for point in line}
            polynomial = _through(tuple(quotients), quotients)
            if place == 0:
                found[: degree + 1] = polynomial
            else:
                # it is more than the line before by S(q + 1) − S(q), where q + 1 is the floor of this remainder
                steps = _summed([after - earlier for earlier, after in zip(before, polynomial, strict=True)])
                for power, coefficient in enumerate(steps, 1):
                    found[power] -= coefficient
                    found[place * (degree + 1) + power] += coefficient
            before = polynomial
        return found


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


def quasi_polynomial(axes: Sequence[Axis], values: Mapping[Point, int]) -> Expression:
    """The quasi-polynomial in the names of the axes through ``values``, which has one at each point of their grid."""
    coefficients: dict[Point, Fraction] = {
        point: Fraction(values[point]) for point in product(*(axis.points for axis in axes))
    }
    for place, axis in enumerate(axes):
        lines: dict[tuple[Point, Point], dict[int, Fraction]] = {}
        for point, value in coefficients.items():
            lines.setdefault((point[:place], point[place + 1 :]), {})[point[place]] = value
        coefficients = {}
        for (first, last), line in lines.items():
            filled = {point: line.get(point, Fraction(0)) for point in axis.points}
            for number, coefficient in enumerate(axis.coefficients(filled)):
                if coefficient:
                    coefficients[(*first, number, *last)] = coefficient
    terms: list[Any] = []
    for numbers, coefficient in coefficients.items():
        term: Any = sympy.Rational(coefficient.numerator, coefficient.denominator)
        for axis, number in zip(axes, numbers, strict=True):
            term *= axis.basis[number]
        terms.append(term)
    return with_joined_floors(sympy.expand(sympy.Add(*terms)), axes)


def with_joined_floors(expression: Expression, axes: Sequence[Axis]) -> Expression:
    """The same with floors of smaller steps: ⌊n/4⌋ + ⌊(n + 2)/4⌋ is ⌊n/2⌋, and with two more of them n."""
    for axis in axes:
        if len(axis.lines) > 1:
            expression = _joined(expression, symbol(axis.name), axis.step)
    return expression


def _joined(expression: Expression, n: Expression, step: int) -> Expression:
    """The same for the floors ⌊(n + a)/step⌋, by Σ ⌊(n + a + i·m)/(k·m)⌋ = ⌊(n + a)/m⌋ over i = 0, …, k − 1."""
    others: list[Expression] = []
    rows: dict[Expression, dict[int, Any]] = {}
    for term in sympy.Add.make_args(expression):
        factors = sympy.Mul.make_args(term)
        shifts = [(factor, shift) for factor in factors if (shift := _shift(factor, n, step)) is not None]
        if len(shifts) == 1 and not (term / shifts[0][0]).has(n):
            coefficient, rest = (term / shifts[0][0]).as_coeff_Mul()
            row = rows.setdefault(rest, {})
            row[shifts[0][1]] = row.get(shifts[0][1], 0) + coefficient
        else:
            others.append(term)
    for rest, row in rows.items():
        for smaller in sympy.divisors(step)[:-1]:
            for shift in range(smaller):
                group = range(shift, step, smaller)
                (shared, times) = Counter(row.get(place, 0) for place in group).most_common(1)[0]
                if shared and 2 * times > len(group):
                    row.update({place: row.get(place, 0) - shared for place in group})
                    others.append(shared * rest * floor_of(n + shift, smaller))
        others += [coefficient * rest * floor_of(n + shift, step) for shift, coefficient in row.items()]
    return sympy.expand(sympy.Add(*others))


def _shift(factor: Expression, n: Expression, step: int) -> int | None:
    """The a of a factor ⌊(n + a)/step⌋; None for any other factor."""
    if not isinstance(factor, sympy.floor):
        return None
    numerator, by = fraction_in(factor)
    shift = sympy.expand(numerator - n)
    return int(shift) if by == step and shift.is_Integer else None


def _through(points: Sequence[int], values: Mapping[int, Fraction]) -> list[Fraction]:
    """The coefficients of the polynomial through these values, that of the lowest power first."""
    found = [Fraction(0)] * len(points)
    for point, basis in zip(points, _lagrange(points), strict=True):
        for power, factor in enumerate(basis):
            found[power] += values[point] * factor
    return found


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


def _summed(polynomial: Sequence[Fraction]) -> list[Fraction]:
    """The coefficients, from the first power on, of an S with S(q + 1) − S(q) equal to this polynomial in q."""
    rest = list(polynomial)
    found = [Fraction(0)] * len(rest)
    for power in reversed(range(len(rest))):
        found[power] = rest[power] / (power + 1)  # (q + 1)^(power + 1) − q^(power + 1) begins with (power + 1)·q^power
        for lower in range(power + 1):
            rest[lower] -= found[power] * comb(power + 1, lower)
    return found


def monomials(expression: Expression) -> dict[Expression, int]:
    """The coefficients of an expanded expression by what they are multiplied with."""
    found: dict[Expression, int] = {}
    for term in sympy.Add.make_args(expression):
        coefficient, rest = term.as_coeff_Mul()
        if coefficient:
            found[rest] = found.get(rest, 0) + coefficient
    return found
