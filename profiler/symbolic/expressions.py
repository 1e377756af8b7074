"""Expressions of whole numbers in one form: equal sizes are equal expressions, and floors are as simple as they get.

An expression has names (symbols), whole numbers, sums, products, powers, floors of fractions, and the larger or smaller
of several.  A remainder is written with a floor, and a ceiling as a floor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache
from math import gcd, lcm
from typing import Any

import sympy

Expression = Any
"""A sympy expression whose value is a whole number for whole numbers."""


@lru_cache(maxsize=4096)
def symbol(name: str) -> sympy.Symbol:
    """The symbol of a size: a positive integer."""
    return sympy.Symbol(name, integer=True, positive=True)


def floor_of(numerator: Expression, denominator: Expression) -> Expression:
    """⌊numerator/denominator⌋ in the one form that equal floors have.

    Whole parts are outside, a floor within is dissolved, and a negative numerator is turned around:
    ⌊(⌊x/2⌋ + 3)/4⌋ = ⌊(x + 6)/8⌋ and ⌊−x/4⌋ = −⌊(x + 3)/4⌋.
    """
    numerator, denominator = sympy.expand(numerator), sympy.sympify(denominator)
    if not denominator.is_Integer:
        return _floor_of_ratio(numerator, denominator)
    by = int(denominator)
    if by < 0:
        return floor_of(-numerator, -by)
    whole: list[Expression] = []
    rest: list[Expression] = []
    for term in sympy.Add.make_args(numerator):
        coefficient, _ = term.as_coeff_Mul()
        constant = term.is_Integer
        (whole if not constant and int(coefficient) % by == 0 else rest).append(term)
    outside = sympy.Add(*whole) / by
    inside = sympy.Add(*rest)
    if inside.is_Integer:
        return outside + int(inside) // by
    common = gcd(by, *(int(term.as_coeff_Mul()[0]) for term in rest if not term.is_Integer))
    if common > 1:  # ⌊(4x + 3)/6⌋ = ⌊(2x + 1)/3⌋
        constant = int(inside.as_coeff_Add()[0])
        inside = (inside - constant) / common + constant // common
        by //= common
        if by == 1:
            return outside + inside
    if _leads_with_minus(inside):
        return outside - floor_of(by - 1 - inside, by)
    inside, by = _without_inner_floor(inside, by)
    return outside + sympy.floor(sympy.expand(inside / by), evaluate=False)


def _floor_of_ratio(numerator: Expression, denominator: Expression) -> Expression:
    """The same for a denominator with names in it: divided exactly where that is possible."""
    ratio = sympy.cancel(numerator / denominator)
    if ratio.is_polynomial(*ratio.free_symbols) and all(part.is_integer for part in sympy.Add.make_args(ratio)):
        return sympy.expand(ratio)
    return sympy.floor(ratio)


def _leads_with_minus(expression: Expression) -> bool:
    first = sorted(
        (term for term in sympy.Add.make_args(expression) if not term.is_Integer), key=sympy.default_sort_key
    )
    return bool(first) and all(term.as_coeff_Mul()[0] < 0 for term in first)


def _without_inner_floor(inside: Expression, by: int) -> tuple[Expression, int]:
    """A numerator and denominator of the same floor, without a floor that is a whole term of the numerator."""
    terms = sympy.Add.make_args(inside)
    floors = [term for term in terms if isinstance(term, sympy.floor)]
    if len(floors) != 1 or any(term.has(sympy.floor) for term in terms if term is not floors[0]):
        return inside, by
    argument = floors[0].args[0]
    scale = denominator_of(argument)
    numerator = sympy.expand(argument * scale)
    others = inside - floors[0]
    return _without_inner_floor(sympy.expand(numerator + others * scale), by * scale)


def denominator_of(expression: Expression) -> int:
    """The least common denominator of the coefficients of an expanded expression."""
    return lcm(*(int(sympy.Rational(term.as_coeff_Mul()[0]).q) for term in sympy.Add.make_args(expression)))


def fraction_in(floor: Expression) -> tuple[Expression, int]:
    """The numerator and the denominator of a floor."""
    argument = floor.args[0]
    scale = denominator_of(sympy.expand(argument))
    return sympy.expand(argument * scale), scale


def scaled(expression: Expression) -> Expression:
    """An expression whose coefficients may be fractions, multiplied by their least common denominator."""
    expanded = sympy.expand(expression)
    return sympy.expand(expanded * denominator_of(expanded))


def remainder_of(a: Expression, b: Expression) -> Expression:
    """The remainder a mod b."""
    return sympy.expand(a - b * floor_of(a, b))


def merged(expression: Expression) -> Expression:
    """⌊x/4⌋ + 1 as one floor, ⌊(x + 4)/4⌋; any other expression unchanged."""
    constant, rest = sympy.expand(expression).as_coeff_Add()
    if not (constant.is_Integer and constant != 0 and isinstance(rest, sympy.floor)):
        return expression
    numerator, by = fraction_in(rest)
    return sympy.floor(sympy.expand((numerator + constant * by) / by), evaluate=False)


def is_multiple(a: Expression, b: int) -> Expression:
    """1 if ``a`` is a multiple of ``b``, else 0."""
    return sympy.expand(floor_of(a, b) - floor_of(a - 1, b))


class CommonDivisor(sympy.Function):  # type: ignore[misc]
    """The greatest common divisor of a size and a number, gcd(⌊H/32⌋, 6)."""

    nargs = 2
    is_integer = True
    is_positive = True

    @classmethod
    def eval(cls, a: Expression, b: Expression) -> Expression | None:
        """The number, if both are numbers, or one of them is 1."""
        if sympy.S.One in (a, b):
            return sympy.S.One
        return sympy.Integer(gcd(int(a), int(b))) if a.is_Integer and b.is_Integer else None


def greatest_common_divisor(a: Expression, b: int) -> Expression:
    """gcd(a, b) of a size and a number."""
    return CommonDivisor(sympy.sympify(a), sympy.Integer(b))


def in_floors(expression: Expression) -> Expression:
    """The same with floors in place of greatest common divisors: Σ φ(d)·[d divides a] over the divisors d of b."""
    return expression.replace(
        CommonDivisor,
        lambda a, b: sympy.Add(*(int(sympy.totient(d)) * is_multiple(a, d) for d in sympy.divisors(int(b)))),
    )


def ceil_log2(k: Expression) -> Expression:
    """⌈log₂ k⌉ for k ≥ 1."""
    return sympy.ceiling(sympy.log(k, 2))


def within_log2(expression: Expression) -> Expression:
    """The k in a ⌈log₂ k⌉."""
    (log,) = expression.atoms(sympy.log) - {sympy.log(2)}
    return log.args[0]


FUNCTIONS: Mapping[str, Callable[..., Expression]] = {
    "FloorDiv": floor_of,
    "CleanDiv": floor_of,
    "Mod": remainder_of,
    "PythonMod": remainder_of,
    "Max": sympy.Max,
    "Min": sympy.Min,
}
"""The functions in torch's expressions of sizes, by the names of their classes."""


def from_torch(expression: Expression, names: Mapping[Any, Expression]) -> Expression:
    """An expression of torch's own functions and symbols, in terms of ``names``.

    Raises ArithmeticError for a function that is not one of whole numbers.
    """
    if expression.is_Symbol:
        return names[expression]
    if expression.is_Number:
        return expression
    parts = [from_torch(part, names) for part in expression.args]
    if expression.is_Add:
        return merged(sympy.Add(*parts))
    if expression.is_Mul or expression.is_Pow:
        return sympy.expand(expression.func(*parts))
    function = FUNCTIONS.get(type(expression).__name__)
    if function is None:
        raise ArithmeticError(f"found {type(expression).__name__} in a size, which is not a function of whole numbers")
    return merged(function(*parts))


RELATIONS: Mapping[str, Callable[[Expression, Expression], Any]] = {
    "Equality": sympy.Eq,
    "Unequality": sympy.Ne,
    "GreaterThan": lambda a, b: a >= b,
    "StrictGreaterThan": lambda a, b: a > b,
    "LessThan": lambda a, b: a <= b,
    "StrictLessThan": lambda a, b: a < b,
}


def relation_from_torch(relation: Any, names: Mapping[Any, Expression]) -> Any:
    """A condition of torch, in terms of ``names``."""
    kind = type(relation).__name__
    if kind in RELATIONS:
        return RELATIONS[kind](*(from_torch(side, names) for side in relation.args))
    if kind in ("And", "Or", "Not"):
        return relation.func(*(relation_from_torch(part, names) for part in relation.args))
    if kind in ("BooleanTrue", "BooleanFalse"):
        return relation
    raise ArithmeticError(f"found {kind} in a condition on sizes")


def value_of(expression: Expression, values: Mapping[str, int]) -> int:
    """The value of an expression for these sizes, by whole numbers alone.

    Raises KeyError for a missing name, and ArithmeticError if the value is not a whole number.
    """
    result = fraction_of(sympy.sympify(expression), values)
    if result.denominator != 1:
        raise ArithmeticError(f"{expression} is not a whole number at {dict(values)}")
    return int(result.numerator)


def fraction_of(expression: Expression, values: Mapping[str, int]) -> Fraction:
    """The value of an expression whose parts may be fractions."""
    if expression.is_Rational:
        return Fraction(int(expression.p), int(expression.q))
    if expression.is_Symbol:
        return Fraction(values[expression.name])
    if isinstance(expression, sympy.ceiling) and expression.has(sympy.log):
        return Fraction((fraction_of(within_log2(expression), values).__ceil__() - 1).bit_length())
    parts = [fraction_of(part, values) for part in expression.args]
    if expression.is_Add:
        return sum(parts, Fraction(0))
    if expression.is_Mul:
        product = Fraction(1)
        for part in parts:
            product *= part
        return product
    if expression.is_Pow:
        return parts[0] ** int(parts[1])
    if isinstance(expression, sympy.floor):
        return Fraction(parts[0].__floor__())
    if isinstance(expression, sympy.Max):
        return max(parts)
    if isinstance(expression, sympy.Min):
        return min(parts)
    if isinstance(expression, sympy.Mod):
        return parts[0] % parts[1]
    if isinstance(expression, CommonDivisor):
        return Fraction(gcd(*map(int, parts)))
    raise ArithmeticError(f"found {expression.func.__name__} in a formula, which is not a function of whole numbers")
