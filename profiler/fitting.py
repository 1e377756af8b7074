"""Formulas in sizes that cannot be symbols of a run, by exact interpolation between profiles.

For each choice of these sizes, the formula in all other sizes is derived; where that is not possible, it is the profile
itself.  Its coefficients are then interpolated: they are polynomials along equally spaced points.  A fit is accepted
only if it equals profiles at further points that it was not made from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from math import gcd
from typing import Any

import sympy

from profiler.deriving import (
    Counts,
    Derived,
    Family,
    NotSymbolicError,
    Values,
    compare,
    counts_of,
    derived_at,
    formula_of,
    is_alone,
    start_of,
    with_parameters,
)
from profiler.errors import ProfilerError
from profiler.formulas import FIGURES, Formula, FormulaError
from profiler.symbolic.conditions import Domain
from profiler.symbolic.interpolation import Point, degree_of, monomials, polynomial

HIGHEST_DEGREE = 4
MOST_STEPS = 8
"""The number of steps that are tried for one name, besides those at which the network cannot be built."""
MOST_SAMPLES = 400
"""The maximum number of points that a fit is made from."""

Cell = tuple[Any, int, Any]
"""A row, the place of a figure in it, and a monomial of the other sizes."""


@dataclass(eq=False)
class _Samples:
    """The counts at points of the ``names``; other names are symbols unless that is not possible."""

    family: Family
    names: tuple[str, ...]
    symbolic: bool
    found: dict[Point, Derived] = field(default_factory=dict)
    numbers: dict[Point, Counts] = field(default_factory=dict)

    def at(self, point: Point) -> Derived:
        """The counts at a point.  Raises ProfilerError if the network cannot be built or run there."""
        if point not in self.found:
            self.found[point] = self._sampled(point)
        return self.found[point]

    def values(self, point: Point) -> dict[str, int]:
        """All sizes at a point."""
        return {**start_of(self.family.values), **dict(zip(self.names, point, strict=True))}

    def _sampled(self, point: Point) -> Derived:
        values = self.values(point)
        others = [name for name in values if name not in self.names]
        if self.symbolic and others:
            derived = derived_at(self.family, values, others)
            numbers = counts_of(self.family.profile(dict(derived.values)))
            counts = with_parameters(derived.counts, numbers)
            compare(self.family.name, counts, numbers, derived.values)
            return replace(derived, counts=counts)
        numbers = counts_of(self.family.profile(values))
        counts = {key: tuple(map(sympy.Integer, row)) for key, row in numbers.items()}
        domain = Domain({name: values[name] for name in others}, {name: values[name] for name in others}, {})
        return Derived(counts, values, domain, ())


def fit(family: Family, names: Sequence[str], because: str = "") -> Formula:
    """The formula of a family in ``names`` by interpolation; other names are symbols of runs.

    ``because`` says why the names cannot be symbols.  Raises :class:`FormulaError` if no polynomial of low degree fits.
    """
    try:
        return _fit(_Samples(family, tuple(names), symbolic=True))
    except NotSymbolicError:
        return _fit(_Samples(family, tuple(family.values), symbolic=False))


def _fit(samples: _Samples) -> Formula:
    family, names = samples.family, samples.names
    axes: list[tuple[int, ...]] = []
    base = tuple(start_of(family.values)[name] for name in names)
    for place in range(len(names)):
        axis = _axis(samples, base, place)
        axes.append(axis)
        base = (*base[:place], axis[0], *base[place + 1 :])
    grid = list(product(*axes))
    if len(grid) > MOST_SAMPLES:
        raise FormulaError(
            f"{family.name}: a fit in {', '.join(names)} needs {len(grid)} points, above the limit of {MOST_SAMPLES}"
        )
    made = {point: samples.at(point) for point in grid}
    counts = _interpolated(names, axes, {point: derived.counts for point, derived in made.items()})
    domain = _common_domain(samples, axes, made)
    domain, checked = _held_out(samples, axes, counts, domain)
    derived = Derived(counts, samples.values(grid[0]), domain, next(iter(made.values())).fixed)
    points = tuple(samples.values(point) for point in grid)
    return formula_of(family, counts, derived, checked, names, points)


def _axis(samples: _Samples, base: Point, place: int) -> tuple[int, ...]:
    """The points along one name that a polynomial needs, with the others at ``base``.

    Raises :class:`FormulaError` if none of low degree fits for any step.
    """
    name = samples.names[place]
    value = samples.family.values[name]
    reasons: list[str] = []
    without_fit = 0
    for first, step in _ladders(value):
        if without_fit == MOST_STEPS:
            break
        points = [(*base[:place], first + number * step, *base[place + 1 :]) for number in range(HIGHEST_DEGREE + 2)]
        try:
            degree = _degree(samples, points)
        except NotSymbolicError:
            raise
        except ProfilerError as error:
            reasons.append(f"step {step}: {error}")
            continue
        if degree is not None:
            return tuple(point[place] for point in points[: degree + 1])
        without_fit += 1
        reasons.append(f"step {step}: no polynomial of degree {HIGHEST_DEGREE} or less")
    raise FormulaError(f"{samples.family.name}: no formula in {name}: {reasons[-1]}")


def _ladders(value: int) -> Iterator[tuple[int, int]]:
    """Starts and steps of equally spaced points on which ``value`` is, the smallest steps first."""
    for step in range(1, value + 1):
        if value % step == 0:
            yield step, step
    for step in (2, 4, 8):
        if value % step:
            yield value % step + step, step


def _degree(samples: _Samples, points: Sequence[Point]) -> int | None:
    """The degree of all counts along these points; None if it is too high."""
    needed = 3
    while True:
        counts = [samples.at(point).counts for point in points[:needed]]
        degrees = [degree_of([row.get(cell, 0) for row in map(_cells, counts)]) for cell in _all_cells(counts)]
        if None not in degrees:
            return max((degree for degree in degrees if degree is not None), default=0)
        if needed == len(points):
            return None
        needed += 1


def _cells(counts: Counts) -> dict[Cell, int]:
    """Every coefficient of every figure of kinds and the total; layers follow the same sizes."""
    return {
        (key, place, monomial): coefficient
        for key, row in counts.items()
        if key[0] != "layer"
        for place, cell in enumerate(row)
        for monomial, coefficient in monomials(cell).items()
    }


def _all_cells(counts: Sequence[Counts]) -> list[Cell]:
    return list(dict.fromkeys(cell for each in counts for cell in _cells(each)))


def _interpolated(names: Sequence[str], axes: Sequence[Sequence[int]], made: Mapping[Point, Counts]) -> Counts:
    """The counts as polynomials in ``names``; layers that not all points have are left out."""
    keys = [key for key in next(iter(made.values())) if key[0] != "layer" or all(key in each for each in made.values())]
    keys += [key for each in made.values() for key in each if key[0] != "layer" and key not in keys]
    found: Counts = {}
    zero = (sympy.Integer(0),) * len(FIGURES)
    for key in dict.fromkeys(keys):
        row = []
        for place in range(len(FIGURES)):
            cells = {point: monomials(counts.get(key, zero)[place]) for point, counts in made.items()}
            all_monomials = dict.fromkeys(monomial for each in cells.values() for monomial in each)
            row.append(
                sympy.expand(
                    sympy.Add(
                        *(
                            polynomial(names, axes, {point: each.get(monomial, 0) for point, each in cells.items()})
                            * monomial
                            for monomial in all_monomials
                        )
                    )
                )
            )
        found[key] = tuple(row)
    return found


def _common_domain(samples: _Samples, axes: Sequence[Sequence[int]], made: Mapping[Point, Derived]) -> Domain:
    """The domain that all sampled points share, with the steps of the fitted names."""
    domains = [derived.domain for derived in made.values()]
    least = {name: max(domain.least[name] for domain in domains) for name in domains[0].least}
    most: dict[str, int] = {}
    for domain in domains:
        for name, value in domain.most.items():
            most[name] = min(value, most.get(name, value))
    steps = {name: step for domain in domains for name, step in domain.steps.items()}
    conditions = {str(condition.relation): condition for domain in domains for condition in domain.conditions}
    for name, axis in zip(samples.names, axes, strict=True):
        least[name] = axis[0]
        if len(axis) == 1:
            continue
        step = axis[1] - axis[0]
        if step > 1:
            steps[name] = (axis[0] % step, step)
    order = [name for name in samples.family.values if name in least]
    start = samples.values(next(iter(made)))
    return Domain({name: least[name] for name in order}, most, steps, tuple(conditions.values()), start)


def _held_out(
    samples: _Samples, axes: Sequence[Sequence[int]], counts: Counts, domain: Domain
) -> tuple[Domain, tuple[Values, ...]]:
    """Compare the fit with profiles at points that it was not made from, among them the values of the tables."""
    family = samples.family
    checked: list[Values] = []
    steps = [axis[1] - axis[0] if len(axis) > 1 else gcd(*axis, *axis) for axis in axes]
    for place in range(2):
        point = tuple(
            axis[-1] + step * (1 + (number + place) % 2)
            for number, (axis, step) in enumerate(zip(axes, steps, strict=True))
        )
        values = samples.values(point)
        if domain.violated(values):
            continue
        try:
            numbers = counts_of(family.profile(values))
        except ProfilerError:
            continue
        _compare_shared(family, counts, numbers, values)
        checked.append(values)
    domain, more = _from_one(samples, axes, counts, domain)
    checked += more
    if domain.violated(family.values):
        raise FormulaError(
            f"{family.name}: the formula does not hold at the sizes of the tables: it needs "
            f"{domain.violated(family.values)}"
        )
    _compare_shared(family, counts, counts_of(family.profile(family.values)), family.values)
    checked.append(family.values)
    if len(checked) < 2:
        raise FormulaError(f"{family.name}: a fit in {', '.join(samples.names)} cannot be checked at other points")
    return domain, tuple(checked)


def _from_one(
    samples: _Samples, axes: Sequence[Sequence[int]], counts: Counts, domain: Domain
) -> tuple[Domain, list[Values]]:
    """The domain with names that may be 1 too: the formula equals profiles there, at two choices of all others."""
    checked: list[Values] = []
    for name, least in domain.least.items():
        if least != 2 or name in samples.names or name in domain.steps or not is_alone(counts, name):
            continue
        points = [samples.values(tuple(axis[place] for axis in axes)) for place in (0, -1)]
        points = [{**point, name: 1} for point in points]
        try:
            for point in points:
                _compare_shared(samples.family, counts, counts_of(samples.family.profile(point)), point)
        except ProfilerError:
            continue
        domain = domain.where(name, 1)
        checked += points
    return domain, checked


def _compare_shared(family: Family, counts: Counts, numbers: Counts, values: Values) -> None:
    """Compare all rows but those of layers that not every network of the family has."""
    shared = {key: row for key, row in numbers.items() if key[0] != "layer" or key in counts}
    compare(family.name, counts, shared, values)
