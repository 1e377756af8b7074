"""A number that counts the scalar operations done to it, for proofs of the counting rules.

A plain reference loop, written from an operation's definition, is run on :class:`Counting` numbers; what
was really done to them is then compared with what the rule says, kind by kind::

    tally = Tally()
    x, w = tally.array(4), tally.array(4)
    y = total(a * b for a, b in zip(x, w))      # 4 multiplies, 3 adds
    assert_counted(linear(spec(1, 4), spec(1, 4), out=spec(1, 1)), tally)

What counts is what ``COUNTING.md`` says: complex arithmetic in real operations, an integer power p as
p − 1 multiplies, any other power as one transcendental.  Negation, absolute value, conjugation, floor and
ceiling are free.  The *int* 0 plus a number and the *int* 1 times a number are the empty sum and the empty
product, so ``sum``, ``math.prod`` and an accumulator that starts at 0 cost K − 1 operations for K items.
Use ``tally.number(0.0)`` for a zero that is an operand, e.g. one of padding.
"""

from __future__ import annotations

import cmath
import math
import random
from collections.abc import Callable, Iterable
from typing import Any

from profiler.opcount import SCALAR_OPERATIONS, OpCount, Term
from profiler.opcount import total as total_of_terms
from profiler.signatures import TensorSpec

Plain = int | float | complex

FIGURES = (*SCALAR_OPERATIONS, "macs")
"""The figures that are compared."""


class Tally:
    """What was counted so far; every number that a tally makes counts into it."""

    def __init__(self) -> None:
        self.multiplies = 0
        self.adds = 0
        self.divides = 0
        self.comparisons = 0
        self.transcendentals = 0
        self.macs = 0

    @property
    def count(self) -> OpCount:
        """The tally as an :class:`OpCount`; macs are the multiplies of :func:`mac`."""
        return OpCount(**{kind: getattr(self, kind) for kind in FIGURES})

    def number(self, value: Plain) -> Counting:
        return Counting(value, self)

    def array(self, *shape: int, low: float = -1.0, high: float = 1.0, seed: int = 0, dtype: str = "float32") -> Any:
        """Nested lists of numbers drawn from ``low`` to ``high``; a single number for an empty shape."""
        draw = random.Random(f"{seed}{shape}")

        def fill(sizes: tuple[int, ...]) -> Any:
            if sizes:
                return [fill(sizes[1:]) for _ in range(sizes[0])]
            real = draw.uniform(low, high)
            return self.number(complex(real, draw.uniform(low, high)) if dtype.startswith("complex") else real)

        return fill(shape)


class Counting:
    """A real or complex number whose arithmetic is counted.

    It does not convert to a plain number by itself (``float(x)`` and ``math.exp(x)`` fail), so no operation escapes
    the count. ``x.value`` is there to check a result.
    """

    __slots__ = ("tally", "value")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, value: Plain, tally: Tally) -> None:
        self.value = value
        self.tally = tally

    def __repr__(self) -> str:
        return f"Counting({self.value!r})"

    def __bool__(self) -> bool:
        raise TypeError("the truth of a counting number is no scalar operation; compare it instead")

    def __add__(self, other: Operand) -> Counting:
        value = _value(other)
        if _is_exactly(other, 0):
            return self
        self.tally.adds += 2 if isinstance(self.value, complex) and isinstance(value, complex) else 1
        return self._new(self.value + value)

    __radd__ = __add__

    def __sub__(self, other: Operand) -> Counting:
        return self + -other

    def __rsub__(self, other: Plain) -> Counting:
        value = self.value
        self.tally.adds += 2 if isinstance(value, complex) and isinstance(other, complex) else 1
        return self._new(other - value)

    def __mul__(self, other: Operand) -> Counting:
        value = _value(other)
        if _is_exactly(other, 1):
            return self
        both = isinstance(self.value, complex) + isinstance(value, complex)
        self.tally.multiplies += (1, 2, 4)[both]
        self.tally.adds += (0, 0, 2)[both]
        return self._new(self.value * value)

    __rmul__ = __mul__

    def __truediv__(self, other: Operand) -> Counting:
        return self._divide(self.value, _value(other))

    def __rtruediv__(self, other: Plain) -> Counting:
        return self._divide(other, self.value)

    def _divide(self, dividend: Plain, divisor: Plain) -> Counting:
        if isinstance(divisor, complex):  # a/b = a·b̄ / |b|²
            self.tally.multiplies += 2 + (4 if isinstance(dividend, complex) else 2)
            self.tally.adds += 1 + (2 if isinstance(dividend, complex) else 0)
            self.tally.divides += 2
        else:
            self.tally.divides += 2 if isinstance(dividend, complex) else 1
        return self._new(dividend / divisor)

    def __pow__(self, power: Plain) -> Counting:
        if isinstance(power, complex) or power != int(power):
            return transcendental(lambda value: value**power, self)
        if power == 0:
            return self._new(1.0)
        result = self
        for _ in range(abs(int(power)) - 1):
            result = result * self
        return result if power > 0 else 1.0 / result

    def __neg__(self) -> Counting:
        return self._new(-self.value)

    def __pos__(self) -> Counting:
        return self

    def __abs__(self) -> Counting:
        if isinstance(self.value, complex):  # sqrt(re² + im²)
            self.tally.multiplies += 2
            self.tally.adds += 1
            self.tally.transcendentals += 1
        return self._new(abs(self.value))

    def conjugate(self) -> Counting:
        return self._new(self.value.conjugate())

    @property
    def real(self) -> Counting:
        return self._new(self.value.real)

    @property
    def imag(self) -> Counting:
        return self._new(self.value.imag)

    def __floor__(self) -> int:
        return math.floor(_real(self.value))

    def __ceil__(self) -> int:
        return math.ceil(_real(self.value))

    def __lt__(self, other: Operand) -> bool:
        return self._compare(other) < 0

    def __le__(self, other: Operand) -> bool:
        return self._compare(other) <= 0

    def __gt__(self, other: Operand) -> bool:
        return self._compare(other) > 0

    def __ge__(self, other: Operand) -> bool:
        return self._compare(other) >= 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Counting | int | float):
            return NotImplemented
        return self._compare(other) == 0

    def _compare(self, other: Operand) -> int:
        self.tally.comparisons += 1
        left, right = _real(self.value), _real(_value(other))
        return (left > right) - (left < right)

    def _new(self, value: Plain) -> Counting:
        return Counting(value, self.tally)


Operand = Counting | Plain


def _value(operand: Operand) -> Plain:
    return operand.value if isinstance(operand, Counting) else operand


def _real(value: Plain) -> float:
    if isinstance(value, complex):
        raise TypeError("complex numbers have no order")
    return value


def _is_exactly(operand: Operand, integer: int) -> bool:
    return type(operand) is int and operand == integer


def transcendental(function: Callable[[Any], Plain], x: Counting) -> Counting:
    """``function(x)``, counted as one transcendental, whatever function it is."""
    x.tally.transcendentals += 1
    return Counting(function(x.value), x.tally)


def exp(x: Counting) -> Counting:
    """eˣ; of a complex number e^re · (cos im + i·sin im)."""
    if isinstance(x.value, complex):
        x.tally.transcendentals += 3
        x.tally.multiplies += 2
        return Counting(cmath.exp(x.value), x.tally)
    return transcendental(math.exp, x)


def log(x: Counting) -> Counting:
    return transcendental(math.log, x)


def sqrt(x: Counting) -> Counting:
    return transcendental(math.sqrt, x)


def rsqrt(x: Counting) -> Counting:
    return transcendental(lambda value: 1 / math.sqrt(value), x)


def tanh(x: Counting) -> Counting:
    return transcendental(math.tanh, x)


def erf(x: Counting) -> Counting:
    return transcendental(math.erf, x)


def sin(x: Counting) -> Counting:
    return transcendental(math.sin, x)


def cos(x: Counting) -> Counting:
    return transcendental(math.cos, x)


def sigmoid(x: Counting) -> Counting:
    """1 / (1 + e⁻ˣ)."""
    return 1.0 / (1.0 + exp(-x))


def total(values: Iterable[Any]) -> Any:
    """The sum of K numbers by K − 1 adds; the int 0 if there are no numbers."""
    return sum(values)


def mac(a: Counting, b: Counting) -> Counting:
    """a · b, one of the products that a contraction sums: its multiplies are macs."""
    before = a.tally.multiplies
    result = a * b
    a.tally.macs += a.tally.multiplies - before
    return result


def product(values: Iterable[Any]) -> Any:
    """The product of K numbers by K − 1 multiplies; the int 1 if there are no numbers."""
    return math.prod(values)


def maximum(first: Counting, *others: Operand) -> Counting:
    """The largest, by one comparison for each value after the first; always a counting number."""
    for other in others:
        if first < other:
            first = other if isinstance(other, Counting) else Counting(other, first.tally)
    return first


def minimum(first: Counting, *others: Operand) -> Counting:
    """The smallest, by one comparison for each value after the first; always a counting number."""
    for other in others:
        if first > other:
            first = other if isinstance(other, Counting) else Counting(other, first.tally)
    return first


def spec(*shape: int, dtype: str = "float32", parameter: bool = False) -> TensorSpec:
    """A TensorSpec as rules get it."""
    return TensorSpec(shape, dtype, parameter)


def assert_counted(terms: Iterable[Term], tally: Tally) -> None:
    """Fail unless the terms cost exactly what was counted, for each kind of operation and the macs."""
    claimed, done = total_of_terms(terms), tally.count
    wrong = [
        f"{kind}: the rule says {getattr(claimed, kind)}, {getattr(done, kind)} were done"
        for kind in FIGURES
        if getattr(claimed, kind) != getattr(done, kind)
    ]
    assert not wrong, "; ".join(wrong)
