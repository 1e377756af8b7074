"""Formulas in sizes that cannot be symbols of a run, by exact interpolation between profiles.

For each choice of these sizes, the formula in all other sizes is derived; where that is not possible, it is the profile
itself.  Its coefficients are then interpolated: they are polynomials along equally spaced points, one polynomial for
each remainder of a size by their distance.  A fit is accepted only if it equals profiles at further points of every
remainder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import product
from math import prod
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
from profiler.symbolic.conditions import Condition, Domain
from profiler.symbolic.expressions import symbol
from profiler.symbolic.interpolation import Axis, Point, degree_of, monomials, quasi_polynomial

HIGHEST_DEGREE = 4
MOST_STEPS = 20
"""The number of steps that are tried for one name, besides those at which the network cannot be built."""
COMMON_STEPS = (1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192)
"""Steps that are tried besides the divisors of a size: total strides of networks."""
MOST_SAMPLES = 1000
"""The maximum number of profiles that a fit is made from and compared with."""


class TooManyProfilesError(FormulaError):
    """A fit that needs more than ``MOST_SAMPLES`` profiles."""


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


def fit(family: Family, names: Sequence[str]) -> Formula:
    """The formula of a family in ``names`` by interpolation; other names are symbols of runs.

    Raises :class:`FormulaError` if no polynomial of low degree fits.
    """
    try:
        return _fit(_Samples(family, tuple(names), symbolic=True))
    except NotSymbolicError:
        return _fit(_Samples(family, tuple(family.values), symbolic=False))


def _fit(samples: _Samples) -> Formula:
    family, names = samples.family, samples.names
    axes: list[Axis] = []
    base = tuple(start_of(family.values)[name] for name in names)
    for place in range(len(names)):
        axis = _axis(samples, base, place)
        axes.append(axis)
        base = (*base[:place], axis.points[0], *base[place + 1 :])
    _check_number(family.name, axes)
    made = {point: samples.at(point) for point in product(*(axis.points for axis in axes))}
    counts = _interpolated(axes, {point: derived.counts for point, derived in made.items()})
    domain = _common_domain(samples, axes, made)
    domain, checked = _held_out(samples, axes, counts, domain)
    first = next(iter(made))
    derived = Derived(counts, samples.values(first), domain, made[first].fixed)
    steps = {axis.name: axis.step for axis in axes if len(axis.lines) > 1}
    points = tuple(samples.values(point) for point in made)
    return replace(formula_of(family, counts, derived, checked, names, points), remainders=steps)


def _check_number(name: str, axes: Sequence[Axis]) -> None:
    """Raise :class:`FormulaError` if a fit on the grid of these axes needs too many profiles."""
    needed = prod(len(axis.points) for axis in axes) + prod(len(axis.lines) for axis in axes)
    if needed > MOST_SAMPLES:
        steps = " and ".join(f"{axis.name} by {axis.step}" for axis in axes if len(axis.lines) > 1)
        why = f", for each remainder of {steps}" if steps else ""
        raise FormulaError(
            f"{name}: a fit in {', '.join(axis.name for axis in axes)} needs {needed} profiles{why}, above the limit "
            f"of {MOST_SAMPLES}; name fewer sizes, or give the same name to sizes that change together"
        )


def _axis(samples: _Samples, base: Point, place: int) -> Axis:
    """The points along one name that a quasi-polynomial needs, with the others at ``base``.

    Raises :class:`FormulaError` if none of low degree fits for any step.
    """
    name = samples.names[place]
    value = samples.family.values[name]
    raised = ""
    tried: list[int] = []
    for step in _steps(value):
        if len(tried) == MOST_STEPS:
            break
        starts = _starts(value, step)
        while starts:
            start = starts.pop(0)
            try:
                degree = _degree(samples, [_moved(base, place, start + number * step) for number in TRIED])
                lines = None if degree is None else _lines(samples, base, place, start, step, degree)
            except NotSymbolicError:
                raise
            except TooManyProfilesError as error:
                raise FormulaError(str(error)) from error
            except ProfilerError as error:
                raised = raised or str(error)
                continue
            if lines is not None and _holds_farther(samples, base, place, Axis(name, step, lines)):
                return Axis(name, step, lines)
            starts = starts[-1:]  # small sizes may be a case of their own
            tried += [] if starts else [step]
    raise FormulaError(f"{samples.family.name}: no formula in {name}: {_why_none(tried, raised)}")


def _why_none(tried: Sequence[int], raised: str) -> str:
    if not tried:
        return f"there are no equally spaced sizes at which it can be profiled; {raised}"
    steps = ", ".join(map(str, tried))
    return f"its cost is no polynomial of degree {HIGHEST_DEGREE} or less for each remainder by {steps}"


TRIED = range(HIGHEST_DEGREE + 2)


FARTHER = (2, 3, 5, 9, 17, 34)
"""So many steps beyond its points, the polynomial along one name is compared with profiles."""
FARTHER_OF_MODELS = 3
"""The number of these for names that change the network, whose profiles take longer."""


def _holds_farther(samples: _Samples, base: Point, place: int, axis: Axis) -> bool:
    """Whether the totals along an axis, with all others at ``base``, are right at sizes beyond its points too.

    Near each other, sizes may have one polynomial although the step of the network is a larger one.
    """
    total = ("total", "")
    made: dict[Point, Counts] = {
        (size,): {total: samples.at(_moved(base, place, size)).counts[total]} for size in axis.points
    }
    counts = _interpolated((axis,), made)
    for ahead in FARTHER[: FARTHER_OF_MODELS if samples.family.structural else None]:
        values = samples.values(_moved(base, place, max(axis.points) + ahead * axis.step))
        try:
            numbers = counts_of(samples.family.profile(values))
        except ProfilerError:
            continue
        try:
            compare(axis.name, counts, {total: numbers[total]}, values)
        except FormulaError:
            return False
    return True


def _moved(base: Point, place: int, value: int) -> Point:
    return (*base[:place], value, *base[place + 1 :])


def _steps(value: int) -> list[int]:
    """The steps that are tried, in ascending order."""
    return sorted({*COMMON_STEPS, *(step for step in range(1, value + 1) if value % step == 0)})


def _starts(value: int, step: int) -> list[int]:
    """Sizes that differ from ``value`` by multiples of the step, each twice as far on as the one before; it is last."""
    first = value % step or step
    found: list[int] = []
    ahead = 0
    while first + ahead < value:
        found.append(first + ahead)
        ahead = 2 * ahead + step
    return [*found, max(value, first)]


def _lines(
    samples: _Samples, base: Point, place: int, start: int, step: int, degree: int
) -> tuple[tuple[int, ...], ...] | None:
    """The points of each remainder from ``start`` on, in the order of the remainders.

    Remainders for which the network cannot be built are left out.  None if another one has no polynomial of this
    degree.
    """
    found: list[tuple[int, ...]] = []
    for first in sorted(range(start, start + step), key=lambda size: size % step):
        line = tuple(first + number * step for number in range(max(degree, 0) + 2))
        if len(found) * len(line) > MOST_SAMPLES:
            raise TooManyProfilesError(
                f"{samples.family.name}: a fit in {samples.names[place]} needs a polynomial for each remainder by "
                f"{step}, for which more than {MOST_SAMPLES} profiles have to be made"
            )
        try:
            here = _degree(samples, [_moved(base, place, size) for size in line])
        except NotSymbolicError:
            raise
        except ProfilerError:
            continue
        if here is None:
            return None
        found.append(line[:-1])
    return tuple(found)


def _degree(samples: _Samples, points: Sequence[Point]) -> int | None:
    """The degree of all counts along these points; None if it is too high."""
    needed = min(3, len(points))
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


def _interpolated(axes: Sequence[Axis], made: Mapping[Point, Counts]) -> Counts:
    """The counts as quasi-polynomials along the axes; layers that not all points have are left out."""

    @cache
    def through(values: tuple[int, ...]) -> Any:
        return quasi_polynomial(axes, dict(zip(made, values, strict=True)))

    keys = [key for key in next(iter(made.values())) if key[0] != "layer" or all(key in each for each in made.values())]
    keys += [key for each in made.values() for key in each if key[0] != "layer" and key not in keys]
    found: Counts = {}
    zero = (sympy.Integer(0),) * len(FIGURES)
    for key in dict.fromkeys(keys):
        row = []
        for place in range(len(FIGURES)):
            cells = {point: monomials(counts.get(key, zero)[place]) for point, counts in made.items()}
            all_monomials = dict.fromkeys(monomial for each in cells.values() for monomial in each)
            terms = [
                through(tuple([each.get(monomial, 0) for each in cells.values()])) * monomial
                for monomial in all_monomials
            ]
            row.append(sympy.expand(sympy.Add(*terms)))
        found[key] = tuple(row)
    return found


def _common_domain(samples: _Samples, axes: Sequence[Axis], made: Mapping[Point, Derived]) -> Domain:
    """The domain that all sampled points share, with the steps of the fitted names."""
    domains = [derived.domain for derived in made.values()]
    least = {name: max(domain.least[name] for domain in domains) for name in domains[0].least}
    most: dict[str, int] = {}
    for domain in domains:
        for name, value in domain.most.items():
            most[name] = min(value, most.get(name, value))
    steps = {name: step for domain in domains for name, step in domain.steps.items()}
    conditions = {str(condition.relation): condition for domain in domains for condition in domain.conditions}
    for axis in axes:
        least[axis.name] = min(axis.points)
        step = _common_step(axis)
        if step is None:
            allowed = _one_of(axis)
            conditions[str(allowed.relation)] = allowed
        elif step[1] > 1:
            steps[axis.name] = step
    order = [name for name in samples.family.values if name in least]
    start = samples.values(next(iter(made)))
    return Domain({name: least[name] for name in order}, most, steps, tuple(conditions.values()), start)


def _common_step(axis: Axis) -> tuple[int, int] | None:
    """The remainder and the step that exactly the sizes of an axis have, (0, 1) if they are all; None without one."""
    remainders = axis.remainders
    for step in sympy.divisors(axis.step):
        first = remainders[0] % step
        if remainders == [other for other in range(axis.step) if other % step == first]:
            return first, step
    return None


def _one_of(axis: Axis) -> Condition:
    """The condition that the remainder of a size is one of those of an axis."""
    left = sympy.Mod(symbol(axis.name), axis.step)
    return Condition(sympy.Or(*(sympy.Eq(left, remainder) for remainder in axis.remainders)))


def _held_out(
    samples: _Samples, axes: Sequence[Axis], counts: Counts, domain: Domain
) -> tuple[Domain, tuple[Values, ...]]:
    """Compare the fit with profiles at points that it was not made from, of every remainder, and at the table's values.

    Raises :class:`FormulaError` if they differ, or if there is no such point.
    """
    family = samples.family
    checked = [
        _checked_beyond(samples, counts, domain, axes, lines) for lines in product(*(axis.lines for axis in axes))
    ]
    if len(checked) == 1:
        checked.append(_checked_beyond(samples, counts, domain, axes, [axis.lines[0] for axis in axes], first=4))
    domain, more = _from_one(samples, axes, counts, domain)
    checked += more
    if domain.violated(family.values):
        raise FormulaError(
            f"{family.name}: the formula does not hold at the sizes of the tables: it needs "
            f"{domain.violated(family.values)}"
        )
    _compare_shared(family, counts, counts_of(family.profile(family.values)), family.values)
    checked.append(family.values)
    return domain, tuple(checked)


def _checked_beyond(
    samples: _Samples,
    counts: Counts,
    domain: Domain,
    axes: Sequence[Axis],
    lines: Sequence[Sequence[int]],
    first: int = 1,
) -> Values:
    """The sizes beyond these lines where the fit was compared with a profile, by ``first`` steps or a few more."""
    family = samples.family
    for ahead in range(first, first + 3):
        point = tuple(
            line[-1] + axis.step * (ahead + place % 2)
            for place, (axis, line) in enumerate(zip(axes, lines, strict=True))
        )
        values = samples.values(point)
        if domain.violated(values):
            continue
        try:
            numbers = counts_of(family.profile(values))
        except ProfilerError:
            continue
        _compare_shared(family, counts, numbers, values)
        return values
    raise FormulaError(
        f"{family.name}: a fit in {', '.join(samples.names)} cannot be compared with a profile beyond "
        + ", ".join(f"{axis.name} = {line[-1]}" for axis, line in zip(axes, lines, strict=True))
    )


def _from_one(samples: _Samples, axes: Sequence[Axis], counts: Counts, domain: Domain) -> tuple[Domain, list[Values]]:
    """The domain with names that may be 1 too: the formula equals profiles there, at two choices of all others."""
    checked: list[Values] = []
    for name, least in domain.least.items():
        if least != 2 or name in samples.names or name in domain.steps or not is_alone(counts, name):
            continue
        points = [samples.values(tuple(axis.points[place] for axis in axes)) for place in (0, -1)]
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
