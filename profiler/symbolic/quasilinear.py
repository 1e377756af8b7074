"""Exact answers about expressions of one name that are sums of multiples of it and of floors of fractions of it.

If M is a common multiple of the denominators, such a d satisfies d(n + M) = d(n) + slope for every n.  So its values
for M neighboring sizes, and the slope, say all about it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import lcm
from typing import Any

import sympy

from profiler.symbolic.expressions import Expression, fraction_in, fraction_of

LONGEST_PERIOD = 4096
LARGEST_SIZE = 2**16
"""Sizes up to which a condition is looked at one by one."""


@dataclass(frozen=True, slots=True)
class QuasiLinear:
    """An expression d of the size ``name`` with d(n + ``period``) = d(n) + ``slope``."""

    expression: Expression
    name: str
    period: int
    slope: int

    @classmethod
    def of(cls, expression: Expression) -> QuasiLinear | None:
        """The expression, or None if it is not of this form, or its period is too long."""
        names = expression.free_symbols
        if len(names) != 1:
            return None
        (name,) = names
        period = 1
        for term in sympy.Add.make_args(expression):
            _, atom = term.as_coeff_Mul()
            if isinstance(atom, sympy.floor):
                numerator, by = fraction_in(atom)
                if not _is_linear(numerator, name):
                    return None
                period = lcm(period, by)
            elif not (atom == name or atom.is_number):
                return None
        if period > LONGEST_PERIOD:
            return None
        start = fraction_of(expression, {name.name: 1})
        slope = fraction_of(expression, {name.name: 1 + period}) - start
        if slope.denominator != 1:
            return None
        return cls(expression, name.name, period, int(slope))

    def at(self, size: int) -> Any:
        """Its value for a size."""
        return fraction_of(self.expression, {self.name: size})

    def is_never_negative(self, least: int) -> bool:
        """Whether it is at least 0 for every size of at least ``least``."""
        return self.slope >= 0 and all(self.at(size) >= 0 for size in range(least, least + self.period))

    def interval(self, holds: Callable[[Any], bool], least: int, inside: int) -> tuple[int, int | None] | None:
        """The sizes around ``inside``, of at least ``least``, for whose values ``holds`` is true throughout.

        None stands for no upper end, or for an answer that is not known.  ``holds`` says whether a value is at least
        0, or whether it is not 0.
        """
        if inside > LARGEST_SIZE:
            return None
        low = inside
        while low > least and holds(self.at(low - 1)):
            low -= 1
        # after `settled`, the value of every residue class keeps its sign
        values = [abs(self.at(inside + place)) for place in range(self.period)]
        settled = inside + self.period * (2 + (int(max(values)) // abs(self.slope) if self.slope else 0))
        if settled > 4 * LARGEST_SIZE:
            return None
        high = inside
        while high < settled and holds(self.at(high + 1)):
            high += 1
        return low, None if high >= settled else high


def _is_linear(numerator: Expression, name: Any) -> bool:
    return bool((numerator - numerator.coeff(name) * name).expand().is_Integer)


def is_never_negative(expression: Expression, least: int = 2) -> bool:
    """Whether an expression is known to be at least 0 for all sizes of at least ``least``."""
    if expression.is_Integer:
        return bool(expression >= 0)
    found = QuasiLinear.of(sympy.expand(expression))
    return found is not None and found.is_never_negative(least)


def smaller(a: Expression, b: Expression) -> Expression:
    """min(a, b), which is one of them if that is known."""
    if is_never_negative(sympy.expand(b - a)):
        return a
    return b if is_never_negative(sympy.expand(a - b)) else sympy.Min(a, b)


def larger(a: Expression, b: Expression) -> Expression:
    """max(a, b), which is one of them if that is known."""
    if is_never_negative(sympy.expand(b - a)):
        return b
    return a if is_never_negative(sympy.expand(a - b)) else sympy.Max(a, b)
