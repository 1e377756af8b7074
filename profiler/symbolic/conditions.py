"""The sizes for which a formula holds: a least and a largest value for each name, and conditions between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import sympy

from profiler.symbolic.expressions import fraction_in, fraction_of, remainder_of, scaled, symbol
from profiler.symbolic.quasilinear import QuasiLinear
from profiler.symbolic.writing import text

LIMIT = 2**63
"""Sizes are below this number; a condition that only asks for that is left out."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A relation between sizes that has to hold, and the reason for it."""

    relation: Any
    reason: str = ""

    def holds(self, values: Mapping[str, int]) -> bool:
        """Whether it holds for these sizes."""
        return truth(self.relation, values)

    def __str__(self) -> str:
        return text(self.relation)


@dataclass(frozen=True, slots=True)
class Domain:
    """The points where a formula holds.

    ``start`` is a point within.  ``least`` and ``most`` are bounds of each name, which has no bound above if it is not
    in ``most``.  ``steps`` says that a name is a number plus a multiple of another, and ``conditions`` are all others.
    """

    least: Mapping[str, int]
    most: Mapping[str, int]
    steps: Mapping[str, tuple[int, int]]
    conditions: tuple[Condition, ...] = ()
    start: Mapping[str, int] = field(default_factory=dict)

    def violated(self, values: Mapping[str, int]) -> str:
        """The condition that does not hold for these sizes, in words; empty if all hold."""
        for name, least in self.least.items():
            if values[name] < least:
                return f"{name} ≥ {least}"
        for name, most in self.most.items():
            if values[name] > most:
                return f"{name} ≤ {most}"
        for name, (first, step) in self.steps.items():
            if (values[name] - first) % step:
                return _step_in_words(name, first, step)
        for condition in self.conditions:
            if not condition.holds(values):
                return str(condition)
        return ""

    def words(self) -> list[str]:
        """The conditions in words, one each: ``B ≥ 1``, ``H is a multiple of 32``."""
        written = []
        for name, least in self.least.items():
            most = self.most.get(name)
            if most is None:
                written.append(f"{name} ≥ {least}")
            else:
                written.append(f"{name} = {least}" if least == most else f"{least} ≤ {name} ≤ {most}")
        written += [_step_in_words(name, first, step) for name, (first, step) in self.steps.items()]
        return written + [str(condition) for condition in self.conditions]

    def relations(self) -> list[Any]:
        """The conditions as relations of sympy."""
        found: list[Any] = []
        for name, least in self.least.items():
            found.append(symbol(name) >= least if least > 1 else sympy.Ge(symbol(name), least, evaluate=False))
        found += [symbol(name) <= most for name, most in self.most.items()]
        for name, (first, step) in self.steps.items():
            found.append(sympy.Eq(sympy.Mod(symbol(name), step), first % step))
        return [*found, *(condition.relation for condition in self.conditions)]

    def where(self, name: str, least: int) -> Domain:
        """The same with another least value of a name."""
        return replace(self, least={**self.least, name: least})


def _step_in_words(name: str, first: int, step: int) -> str:
    if first % step == 0:
        return f"{name} is a multiple of {step}"
    return f"{name} is {first % step} more than a multiple of {step}"


def truth(relation: Any, values: Mapping[str, int]) -> bool:
    """Whether a relation holds for these sizes, by whole numbers alone."""
    if isinstance(relation, sympy.And):
        return all(truth(part, values) for part in relation.args)
    if isinstance(relation, sympy.Or):
        return any(truth(part, values) for part in relation.args)
    if isinstance(relation, sympy.Not):
        return not truth(relation.args[0], values)
    if isinstance(relation, (sympy.logic.boolalg.BooleanTrue, sympy.logic.boolalg.BooleanFalse)):
        return bool(relation)
    left, right = (fraction_of(side, values) for side in relation.args)
    kind = type(relation).__name__
    return {
        "Equality": left == right,
        "Unequality": left != right,
        "GreaterThan": left >= right,
        "StrictGreaterThan": left > right,
        "LessThan": left <= right,
        "StrictLessThan": left < right,
    }[kind]


def domain_of(start: Mapping[str, int], conditions: Mapping[Any, str], least: int) -> Domain:
    """The domain of these conditions, each with its reason, for names of at least ``least``; ``start`` is within.

    Of a condition that holds in several ranges of a name, the range of the start is taken.
    """
    domain = Domain(dict.fromkeys(start, least), {}, {}, start=dict(start))
    rest: list[Condition] = []
    parts = [
        Condition(part, reason)
        for relation, reason in conditions.items()
        for part in (relation.args if isinstance(relation, sympy.And) else (relation,))
    ]
    waiting = parts
    while True:  # a bound may decide what another condition says
        rest = []
        before = domain
        for condition in waiting:
            domain, left = _narrowed(domain, condition)
            if left is not None:
                rest.append(left)
        if domain == before:
            break
        waiting = rest
    unique = {str(condition.relation): condition for condition in rest}
    return replace(domain, conditions=tuple(unique.values()))


def _narrowed(domain: Domain, condition: Condition) -> tuple[Domain, Condition | None]:
    """The domain within a condition, and what of the condition is left."""
    relation = condition.relation
    if relation in (sympy.true, sympy.false):
        return domain, None if relation == sympy.true else condition
    if not isinstance(relation, sympy.core.relational.Relational):
        return domain, condition
    difference = scaled(relation.lhs - relation.rhs)
    kind = type(relation).__name__
    if kind in ("StrictLessThan", "LessThan"):
        difference, kind = -difference, {"StrictLessThan": "StrictGreaterThan", "LessThan": "GreaterThan"}[kind]
    if kind == "StrictGreaterThan":
        difference, kind = sympy.expand(difference - 1), "GreaterThan"
    known = {"GreaterThan": _at_least, "Equality": _equal, "Unequality": _unequal}[kind]
    narrowed, left = known(domain, difference, condition)
    if left is not None and narrowed == domain:
        return _around_start(domain, kind, difference, condition)
    return narrowed, left


HOLDS: Mapping[str, Callable[[Any], bool]] = {
    "GreaterThan": lambda value: value >= 0,
    "Unequality": lambda value: value != 0,
    "Equality": lambda value: value == 0,
}
"""What a relation says about the difference of its sides."""


def _around_start(domain: Domain, kind: str, difference: Any, condition: Condition) -> tuple[Domain, Condition | None]:
    """The sizes around the start for which a condition on one name holds throughout."""
    shared = [
        factor
        for factor in sympy.Mul.make_args(sympy.factor_terms(difference))
        if (factor.is_Symbol and difference.free_symbols != {factor}) or (factor.is_Integer and factor > 0)
    ]
    found = QuasiLinear.of(sympy.expand(difference / sympy.Mul(*shared)))
    if found is None:
        return domain, condition
    start = domain.start[found.name]
    if kind == "Equality" and all(found.at(size) == 0 for size in range(start, start + found.period)):
        return (domain, None) if found.slope == 0 else (domain, condition)
    interval = found.interval(HOLDS[kind], domain.least[found.name], start)
    if interval is None:
        return domain, condition
    low, high = interval
    if high is None:
        return domain.where(found.name, low), None
    most = min(high, domain.most.get(found.name, high))
    return replace(domain.where(found.name, low), most={**domain.most, found.name: most}), None


def _bounds(expression: Any, domain: Domain) -> tuple[Any, Any]:
    """A least and a largest value of an expression within the domain; None where there is none or it is not known."""
    if expression.is_Integer:
        return int(expression), int(expression)
    if expression.is_Symbol:
        return domain.least.get(expression.name), domain.most.get(expression.name)
    if isinstance(expression, sympy.floor):
        numerator, by = fraction_in(expression)
        low, high = _bounds(numerator, domain)
        return (None if low is None else low // by), (None if high is None else high // by)
    if expression.is_Add:
        sides = [_bounds(term, domain) for term in expression.args]
        lows, highs = [side[0] for side in sides], [side[1] for side in sides]
        return (None if None in lows else sum(lows)), (None if None in highs else sum(highs))
    if expression.is_Mul:
        coefficient, rest = expression.as_coeff_Mul()
        low, high = _product_bounds(rest, domain)
        if not coefficient.is_Integer:
            return None, None
        factor = int(coefficient)
        scaled = (None if low is None else low * factor), (None if high is None else high * factor)
        return scaled if factor >= 0 else (scaled[1], scaled[0])
    if expression.is_Pow and expression.exp.is_Integer and int(expression.exp) > 0:
        low, high = _bounds(expression.base, domain)
        if low is not None and low >= 0:
            power = int(expression.exp)
            return low**power, None if high is None else high**power
    if isinstance(expression, (sympy.Max, sympy.Min)):
        sides = [_bounds(part, domain) for part in expression.args]
        lows = [side[0] for side in sides if side[0] is not None]
        if isinstance(expression, sympy.Max):
            return (max(lows) if lows else None), None
        return (min(lows) if len(lows) == len(sides) else None), None
    return None, None


def _product_bounds(expression: Any, domain: Domain) -> tuple[Any, Any]:
    """The bounds of a product of factors that are not negative."""
    low: int = 1
    high: int | None = 1
    for factor in sympy.Mul.make_args(expression):
        least, most = _bounds(factor, domain)
        if least is None or least < 0:
            return None, None
        low *= least
        high = None if high is None or most is None else high * most
    return low, high


def _at_least(domain: Domain, difference: Any, condition: Condition) -> tuple[Domain, Condition | None]:
    """Within ``difference ≥ 0``."""
    low, _ = _bounds(difference, domain)
    if low is not None and low >= 0:
        return domain, None
    solved = _solved(difference)
    if solved is None:
        return domain, condition
    name, least, most = solved
    if least is not None:
        return domain.where(name, max(least, domain.least[name])), None
    if most is None or most >= LIMIT:
        return domain, None
    return replace(domain, most={**domain.most, name: min(most, domain.most.get(name, most))}), None


def _solved(difference: Any) -> tuple[str, int | None, int | None] | None:
    """``difference ≥ 0`` for one name as a bound on it: (name, least, None) or (name, None, most)."""
    constant, rest = difference.as_coeff_Add()
    factor, atom = rest.as_coeff_Mul()
    if not (factor.is_Integer and constant.is_Integer):
        return None
    factor, constant = int(factor), int(constant)
    if factor > 0:
        at_least = -(constant // factor)  # atom ≥ ⌈−constant/factor⌉
    else:
        at_most = constant // -factor
    if atom.is_Symbol:
        return (atom.name, at_least, None) if factor > 0 else (atom.name, None, at_most)
    if isinstance(atom, sympy.floor):
        numerator, by = fraction_in(atom)
        if factor > 0:  # ⌊x/m⌋ ≥ k where x ≥ k·m
            return _solved(sympy.expand(numerator - at_least * by))
        return _solved(sympy.expand(at_most * by + by - 1 - numerator))
    return None


def _equal(domain: Domain, difference: Any, condition: Condition) -> tuple[Domain, Condition | None]:
    if difference == 0:
        return domain, None
    solved = _solved(difference)
    constant, rest = difference.as_coeff_Add()
    factor, atom = rest.as_coeff_Mul()
    if solved is not None and atom.is_Symbol and int(constant) % int(factor) == 0:
        value = -int(constant) // int(factor)
        return replace(domain, least={**domain.least, atom.name: value}, most={**domain.most, atom.name: value}), None
    if isinstance(atom, sympy.floor) and solved is not None and int(constant) % int(factor) == 0:
        value = -int(constant) // int(factor)
        for side in (rest / factor - value, value - rest / factor):
            domain, _ = _at_least(domain, sympy.expand(side), condition)
        return domain, None
    step = _as_step(difference)
    if step is not None:
        name, first, by = step
        known = domain.steps.get(name)
        if known is None or by % known[1] == 0:
            return replace(domain, steps={**domain.steps, name: (first, by)}), None
        if known[1] % by == 0 and (known[0] - first) % by == 0:
            return domain, None
    return domain, condition


def _as_step(difference: Any) -> tuple[str, int, int] | None:
    """``n − m·⌊n/m⌋ = c`` as the step of a name: (n, c, m); sums of such remainders that are 0 too."""
    names = difference.free_symbols
    if len(names) != 1:
        return None
    (name,) = names
    for floor in difference.atoms(sympy.floor):
        numerator, by = fraction_in(floor)
        shift = sympy.expand(numerator - name)
        if not shift.is_Integer:
            continue
        remainder = remainder_of(numerator, by)
        for sign in (1, -1):
            rest = sympy.expand(difference - sign * remainder)
            if rest.is_Integer:
                return name.name, (-sign * int(rest) - int(shift)) % by, by
    return None


def _unequal(domain: Domain, difference: Any, condition: Condition) -> tuple[Domain, Condition | None]:
    """Within ``difference ≠ 0``."""
    low, high = _bounds(difference, domain)
    if (low is not None and low > 0) or (high is not None and high < 0):
        return domain, None
    factors = [factor for factor in sympy.Mul.make_args(sympy.factor_terms(difference)) if factor.free_symbols]
    if len(factors) > 1:
        left = [_unequal(domain, sympy.expand(factor), condition) for factor in factors]
        for narrowed, rest in left:
            if rest is not None:
                return domain, condition
            domain = _both(domain, narrowed)
        return domain, None
    constant, rest = difference.as_coeff_Add()
    factor, atom = rest.as_coeff_Mul()
    if not (factor.is_Integer and constant.is_Integer):
        return domain, condition
    if int(constant) % int(factor):
        return domain, None
    value = -int(constant) // int(factor)
    atom_low, _ = _bounds(atom, domain)
    if atom_low is not None and atom_low > value:
        return domain, None
    if atom_low == value:
        return _at_least(domain, sympy.expand(atom - value - 1), condition)
    return domain, condition


def _both(one: Domain, other: Domain) -> Domain:
    least = {name: max(value, other.least[name]) for name, value in one.least.items()}
    return replace(one, least=least, most={**one.most, **other.most}, steps={**one.steps, **other.steps})
