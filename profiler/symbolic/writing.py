"""Expressions as text, LaTeX and Python, in the order in which a person would write them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import sympy

from profiler.symbolic.expressions import (
    CommonDivisor,
    Expression,
    denominator_of,
    fraction_in,
    in_floors,
    within_log2,
)

SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")

RELATIONS = {
    "Equality": ("=", "=", "=="),
    "Unequality": ("≠", r"\neq", "!="),
    "GreaterThan": ("≥", r"\geq", ">="),
    "StrictGreaterThan": (">", ">", ">"),
    "LessThan": ("≤", r"\leq", "<="),
    "StrictLessThan": ("<", "<", "<"),
}
"""Each relation as text, LaTeX and Python."""


class Style:
    """How the parts of an expression are put together; a subclass writes one notation."""

    times = "·"
    minus = "−"
    relation = 0

    def __init__(self, names: Sequence[str] = ()) -> None:
        """Names are written in this order, and those that it does not have after them."""
        self._places = {name: place for place, name in enumerate(names)}

    def place(self, base: Expression) -> tuple[int, int, int, str]:
        """The place of a factor in a product: names before floors, and those with small denominators first."""
        first = min((self._places.get(name.name, len(self._places)) for name in base.free_symbols), default=0)
        by = fraction_in(base)[1] if isinstance(base, sympy.floor) else 0
        return (0 if base.is_Symbol else 1, by, first, str(base))

    def name(self, name: str) -> str:
        return name

    def power(self, base: str, exponent: str) -> str:
        return base + exponent.translate(SUPERSCRIPTS)

    def product(self, factors: Sequence[str]) -> str:
        return self.times.join(factors)

    def floor(self, numerator: str, denominator: str) -> str:
        return f"⌊{numerator}/{denominator}⌋"

    def ratio(self, numerator: str, denominator: str) -> str:
        return f"{numerator}/{denominator}"

    def fraction(self, coefficient: Any, factors: Sequence[str]) -> str:
        """A product with a fraction as its coefficient: ``3·s·h²/64``."""
        numerator = [] if coefficient.p == 1 else [str(coefficient.p)]
        return self.ratio(self.product([*numerator, *factors]), str(coefficient.q))

    def group(self, inside: str) -> str:
        return f"({inside})"

    def numerator(self, inside: str, *, simple: bool) -> str:
        return inside if simple else self.group(inside)

    def function(self, name: str, arguments: Sequence[str]) -> str:
        return f"{name}({', '.join(arguments)})"

    def remainder(self, size: str, by: str) -> str:
        return f"{size} mod {by}"

    def ceil_log2(self, inside: str) -> str:
        return f"⌈log₂({inside})⌉"


class Latex(Style):
    """LaTeX's mathematics."""

    times = r" \cdot "
    minus = "-"
    relation = 1

    def name(self, name: str) -> str:
        head, _, tail = name.partition("_")
        letters = head if len(head) == 1 else rf"\mathrm{{{head}}}"
        tail = tail.replace("_", r"\_")
        return rf"{letters}_{{\mathrm{{{tail}}}}}" if tail else letters

    def power(self, base: str, exponent: str) -> str:
        return f"{base}^{{{exponent}}}"

    def floor(self, numerator: str, denominator: str) -> str:
        return rf"\left\lfloor \frac{{{numerator}}}{{{denominator}}} \right\rfloor"

    def ratio(self, numerator: str, denominator: str) -> str:
        return rf"\frac{{{numerator}}}{{{denominator}}}"

    def fraction(self, coefficient: Any, factors: Sequence[str]) -> str:
        return self.product([self.ratio(str(coefficient.p), str(coefficient.q)), *factors])

    def group(self, inside: str) -> str:
        return rf"\left({inside}\right)"

    def numerator(self, inside: str, *, simple: bool) -> str:
        return inside

    def function(self, name: str, arguments: Sequence[str]) -> str:
        return rf"\{name}\left({', '.join(arguments)}\right)"

    def remainder(self, size: str, by: str) -> str:
        return rf"{size} \bmod {by}"

    def ceil_log2(self, inside: str) -> str:
        return rf"\left\lceil \log_2\left({inside}\right) \right\rceil"


class Python(Style):
    """Python's arithmetic with integers."""

    times = " * "
    minus = "-"
    relation = 2

    def power(self, base: str, exponent: str) -> str:
        return f"{base}**{exponent}"

    def floor(self, numerator: str, denominator: str) -> str:
        return f"({numerator} // {denominator})"

    def function(self, name: str, arguments: Sequence[str]) -> str:
        return super().function(f"math.{name}" if name == "gcd" else name, arguments)

    def remainder(self, size: str, by: str) -> str:
        return f"{size} % {by}"

    def ceil_log2(self, inside: str) -> str:
        return f"({inside} - 1).bit_length()"


def text(expression: Expression, names: Sequence[str] = ()) -> str:
    """``23232·B·⌊(H − 3)/4⌋``; ``names`` are in the order in which products have them."""
    return _written(expression, Style(names))


def latex(expression: Expression, names: Sequence[str] = ()) -> str:
    r"""``23232 \cdot B \cdot \left\lfloor \frac{H - 3}{4} \right\rfloor``."""
    return _written(expression, Latex(names))


def python(expression: Expression, names: Sequence[str] = ()) -> str:
    """``23232 * B * ((H - 3) // 4)``, exact for whole numbers where the value is a whole number."""
    by = denominator_of(sympy.expand(expression))
    if by == 1:
        return _written(expression, Python(names))
    return f"({_written(simplified(expression * by), Python(names))}) // {by}"


def function_of(expression: Expression, names: Sequence[str]) -> Callable[..., int]:
    """An expression as a plain function of the sizes ``names``; it checks nothing."""
    scope: dict[str, Any] = {"math": math}
    exec(f"def value({', '.join(names)}):\n    return {python(simplified(expression), names)}\n", scope)
    made: Callable[..., int] = scope["value"]
    return made


def machine(expression: Expression) -> str:
    """Text that ``sympy.sympify`` reads: ``23232*B*floor((H - 3)/4)``."""
    return str(sympy.sstr(sympy.expand(in_floors(expression)) if expression.has(CommonDivisor) else expression))


def simplified(expression: Expression) -> Expression:
    """A sum of products with what its terms share in front of them, if there are more than two.

    What all but one share is written once too: ``B·(… + … + …) + 4800``.
    """
    expanded = sympy.expand(expression)
    terms = sympy.Add.make_args(expanded)
    if len(terms) < 3:
        return expanded
    shared = _shared(terms)
    if shared != 1:
        return sympy.Mul(shared, sympy.expand(expanded / shared), evaluate=False)
    for name in sorted(expanded.free_symbols, key=str):
        inside = [term for term in terms if name in _factors(term)]
        if len(inside) == len(terms) - 1 and len(inside) > 2:
            (left,) = set(terms).difference(inside)
            shared = _shared(inside)
            product = sympy.Mul(shared, sympy.expand(sympy.Add(*inside) / shared), evaluate=False)
            return sympy.Add(product, left, evaluate=False)
    return expanded


def _factors(term: Expression) -> set[Expression]:
    return {factor.as_base_exp()[0] for factor in sympy.Mul.make_args(term)}


def _shared(terms: Sequence[Expression]) -> Expression:
    """The names and floors that are factors of every term, each as often as in the term with the fewest."""
    common: dict[Any, int] | None = None
    for term in terms:
        powers = {}
        for factor in sympy.Mul.make_args(term):
            base, exponent = factor.as_base_exp()
            if not base.is_number and exponent.is_Integer:
                powers[base] = int(exponent)
        if common is None:
            common = powers
        else:
            common = {base: min(power, powers[base]) for base, power in common.items() if base in powers}
    return sympy.Mul(*(base**power for base, power in (common or {}).items()))


def _written(expression: Any, style: Style) -> str:
    if isinstance(expression, sympy.core.relational.Relational):
        sign = RELATIONS[type(expression).__name__][style.relation]
        return f"{_written(expression.lhs, style)} {sign} {_written(expression.rhs, style)}"
    if isinstance(expression, sympy.Or):
        return " or ".join(_written(part, style) for part in expression.args)
    if isinstance(expression, sympy.Not):
        return f"not ({_written(expression.args[0], style)})"
    if expression.is_Add:
        return _sum(expression, style)
    if expression.is_Mul:
        return _product(expression, style)
    if expression.is_Integer:
        return str(expression).replace("-", style.minus)
    if expression.is_Rational:
        return style.ratio(str(expression.p).replace("-", style.minus), str(expression.q))
    if expression.is_Symbol:
        return style.name(expression.name)
    if expression.is_Pow:
        base = _written(expression.base, style)
        simple = expression.base.is_Symbol or isinstance(expression.base, sympy.floor)
        return style.power(base if simple else style.group(base), str(expression.exp))
    if isinstance(expression, sympy.floor):
        numerator, by = fraction_in(expression)
        simple = numerator.is_Symbol
        return style.floor(style.numerator(_written(numerator, style), simple=simple), str(by))
    if isinstance(expression, sympy.Mod):
        return style.remainder(*(_written(part, style) for part in expression.args))
    if isinstance(expression, sympy.ceiling) and expression.has(sympy.log):
        return style.ceil_log2(_written(within_log2(expression), style))
    if isinstance(expression, (sympy.Max, sympy.Min, CommonDivisor)):
        name = "gcd" if isinstance(expression, CommonDivisor) else type(expression).__name__.lower()
        return style.function(name, [_written(part, style) for part in expression.args])
    return str(expression)


def _order(term: Expression, style: Style) -> tuple[Any, ...]:
    """The place of a term in a sum: those with the most factors first, numbers last."""
    factors = [factor.as_base_exp() for factor in sympy.Mul.make_args(term.as_coeff_Mul()[1])]
    degree = sum(int(exponent) for base, exponent in factors if not base.is_number and exponent.is_Integer)
    return (-degree, sorted((style.place(base), -int(exponent)) for base, exponent in factors if exponent.is_Integer))


def _sum(expression: Expression, style: Style) -> str:
    written = ""
    for term in sorted(expression.args, key=lambda part: _order(part, style)):
        negative = term.as_coeff_Mul()[0] < 0
        piece = _written(-term if negative else term, style)
        if not written:
            written = f"{style.minus}{piece}" if negative else piece
        else:
            written += f" {style.minus if negative else '+'} {piece}"
    return written


def _product(expression: Expression, style: Style) -> str:
    coefficient, rest = expression.as_coeff_Mul()
    negative = coefficient < 0
    coefficient = abs(coefficient)
    pieces = [_written(coefficient, style)] if coefficient.is_Integer and coefficient != 1 else []
    for factor in sorted(sympy.Mul.make_args(rest), key=lambda part: (part.is_Add, style.place(part.as_base_exp()[0]))):
        piece = _written(factor, style)
        pieces.append(style.group(piece) if factor.is_Add else piece)
    written = style.product(pieces) if coefficient.is_Integer else style.fraction(coefficient, pieces)
    return (style.minus if negative else "") + written
