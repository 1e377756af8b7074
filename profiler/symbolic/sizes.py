"""A size that is an expression of names: what tracing puts into signatures, and rules do arithmetic with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import gcd
from typing import Any

import sympy

from profiler.symbolic.expressions import (
    Expression,
    ceil_log2,
    floor_of,
    greatest_common_divisor,
    remainder_of,
)
from profiler.symbolic.quasilinear import larger, smaller


@dataclass(slots=True, eq=False)
class Guards:
    """The conditions on sizes that decide what a run and the rules do, each with its reason.

    Each of them holds where the run was made.
    """

    conditions: dict[Any, str] = field(default_factory=dict)
    reason: str = "a rule asks"

    def decide(self, relation: Any, holds: bool) -> bool:
        """Whether a relation holds where the run was made; it, or its opposite, becomes a condition."""
        if relation in (True, False) or isinstance(
            relation, (sympy.logic.boolalg.BooleanTrue, sympy.logic.boolalg.BooleanFalse)
        ):
            return bool(relation)
        self.conditions.setdefault(relation if holds else sympy.Not(relation), self.reason)
        return holds


class Size:
    """An expression of names with its value where the run was made; results that are numbers are numbers.

    A comparison that the names do not decide becomes a condition.
    """

    __slots__ = ("expression", "guards", "value")

    def __init__(self, expression: Expression, value: int, guards: Guards) -> None:
        self.expression = expression
        self.value = value
        self.guards = guards

    def __repr__(self) -> str:
        return str(self.expression)

    def _new(self, expression: Expression, value: int) -> Size | int:
        return int(expression) if expression.is_Integer else Size(expression, value, self.guards)

    def _with(self, other: Any, change: Callable[[Any, Any], Any], of: Callable[[Any, Any], Any]) -> Any:
        if isinstance(other, Size):
            return self._new(of(self.expression, other.expression), change(self.value, other.value))
        if isinstance(other, int):
            return self._new(of(self.expression, sympy.Integer(other)), change(self.value, int(other)))
        return NotImplemented

    def __add__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: a + b, lambda a, b: a + b)

    def __sub__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: a - b, lambda a, b: a - b)

    def __rsub__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: b - a, lambda a, b: b - a)

    def __mul__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: a * b, lambda a, b: a * b)

    def __floordiv__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: a // b, floor_of)

    def __rfloordiv__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: b // a, lambda a, b: floor_of(b, a))

    def __mod__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: a % b, remainder_of)

    def __neg__(self) -> Any:
        return self._new(-self.expression, -self.value)

    def __pow__(self, power: int) -> Any:
        return self._new(self.expression**power, self.value**power)

    __radd__ = __add__
    __rmul__ = __mul__

    def _asks(self, other: Any, relation: Callable[[Any, Any], Any], holds: Callable[[int, int], bool]) -> bool:
        its, value = (other.expression, other.value) if isinstance(other, Size) else (other, other)
        return self.guards.decide(relation(self.expression, its), holds(self.value, value))

    def __lt__(self, other: Any) -> bool:
        return self._asks(other, lambda a, b: a < b, lambda a, b: a < b)

    def __le__(self, other: Any) -> bool:
        return self._asks(other, lambda a, b: a <= b, lambda a, b: a <= b)

    def __gt__(self, other: Any) -> bool:
        return self._asks(other, lambda a, b: a > b, lambda a, b: a > b)

    def __ge__(self, other: Any) -> bool:
        return self._asks(other, lambda a, b: a >= b, lambda a, b: a >= b)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Size):
            difference = sympy.expand(self.expression - other.expression)
            if difference == 0:
                return True
            return self.guards.decide(sympy.Eq(self.expression, other.expression), self.value == other.value)
        if isinstance(other, int):
            return self.guards.decide(sympy.Eq(self.expression, other), self.value == other)
        return NotImplemented

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __bool__(self) -> bool:
        return self != 0

    def __hash__(self) -> int:
        return hash(self.expression)

    def __index__(self) -> int:
        """The number, which then becomes a condition: the caller can only work with numbers."""
        self.guards.decide(sympy.Eq(self.expression, self.value), True)
        return self.value

    __int__ = __index__

    def apply(self, function: Callable[..., int], *sizes: Any, **options: Any) -> Any:
        """The result of a helper of :mod:`profiler.rules.sizes` for ``sizes``, which include this one.

        A helper without a formula gets numbers, which become conditions.
        """
        formula = FORMULAS.get(function.__name__)
        made = None if formula is None or options else formula(*sizes)
        if made is None:
            return function(*(int(size) if isinstance(size, Size) else size for size in sizes), **options)
        return made

    def of(self, function: Callable[..., Expression], *sizes: Any, value: int) -> Any:
        """The size that a function of expressions gives for ``sizes``; it has this value where the run was made."""
        return self._new(sympy.expand(function(*map(expression_of, sizes))), value)


def _some(sizes: tuple[Any, ...]) -> Size:
    return next(size for size in sizes if isinstance(size, Size))


def _minimum(*sizes: Any) -> Any:
    return _some(sizes).of(smaller, *sizes, value=min(map(number_of, sizes)))


def _maximum(*sizes: Any) -> Any:
    return _some(sizes).of(larger, *sizes, value=max(map(number_of, sizes)))


def _ceil_log2(k: Size) -> Any:
    return k.of(ceil_log2, k, value=max(k.value - 1, 0).bit_length())


def _window_total(size: Any, windows: Any) -> Any:
    """The number of values in adaptive windows, see ``adaptive_window_total`` of the rules of pooling."""
    if isinstance(windows, Size):
        return None
    shared = size.of(lambda length: greatest_common_divisor(length, windows), size, value=gcd(size.value, windows))
    return size + windows - shared


def _reached_positions(size: Any, kernel: Any, out: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    """The positions that a transposed convolution reaches along an axis, see the rules of convolutions."""
    if any(isinstance(number, Size) for number in (kernel, stride, padding, dilation)) or padding < 0:
        return None
    if dilation == 1 and kernel >= stride:
        return clipped(out, (size - 1) * stride + kernel - padding)
    if dilation == 1:  # each product of an element reaches a position of its own
        total: Any = 0
        for place in range(kernel):
            first = -((place - padding) // stride)
            last = -((place - padding - out) // stride)
            total = total + clipped(last, size) - max(first, 0)
        return total
    if stride == 1 and size >= dilation:  # the kernel's gaps are filled by the elements
        return clipped(out, size + (kernel - 1) * dilation - padding)
    return None


def clipped(a: Any, b: Any) -> Any:
    """The smaller of two sizes or numbers."""
    return _minimum(a, b) if isinstance(a, Size) or isinstance(b, Size) else min(a, b)


FORMULAS: Mapping[str, Callable[..., Any]] = {
    "minimum": _minimum,
    "maximum": _maximum,
    "ceil_log2": _ceil_log2,
    "adaptive_window_total": _window_total,
    "_reached_positions": _reached_positions,
}
"""The helpers of rules as functions of sizes, by their names; one that returns None needs numbers."""


def expression_of(size: Any) -> Expression:
    """A size or a number as an expression."""
    return size.expression if isinstance(size, Size) else sympy.sympify(size)


def number_of(size: Any) -> Any:
    """The number of a size where the run was made."""
    return size.value if isinstance(size, Size) else size
