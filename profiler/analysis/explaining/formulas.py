"""Formulas of named sizes: written with names or with numbers, in any notation, and computed exactly.

A formula is written like Python, ``N*C_out*H_out*W_out``, ``2*L - 1``, ``floor((H - K_h)/s_h) + 1``.  What is shown and
what is computed are the same expression, so a derivation cannot show one thing and compute another.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from math import ceil, floor, prod
from typing import Protocol

FUNCTIONS: dict[str, Callable[..., Fraction | int]] = {
    "floor": floor,
    "ceil": ceil,
    "log2": lambda size: max(0, (int(size) - 1).bit_length()),
    "sqrt": lambda size: Fraction(size),
}
"""The functions that a formula may call.  ``log2`` is rounded up, as the number of halvings."""


class Notation(Protocol):
    """How the parts of a formula are written."""

    def name(self, name: str) -> str:
        """A named size."""

    def number(self, number: int) -> str:
        """A size."""

    def count(self, number: int) -> str:
        """A count, which may be large."""

    def product(self, factors: Sequence[str]) -> str:
        """A product of factors, which are in parentheses where they need them."""

    def group(self, inner: str) -> str:
        """Parentheses."""

    def quotient(self, above: str, below: str) -> str:
        """A division; both sides are in parentheses where they need them."""

    def power(self, base: str, exponent: str) -> str:
        """A power."""

    def call(self, function: str, inner: str) -> str:
        """One of ``FUNCTIONS``."""

    def minus(self) -> str:
        """The sign of a difference."""


class Plain:
    """The notation of text: ``N·C_out·(K_h·K_w − 1)``."""

    def name(self, name: str) -> str:
        return name

    def number(self, number: int) -> str:
        return str(number)

    def count(self, number: int) -> str:
        return f"{number:,}"

    def product(self, factors: Sequence[str]) -> str:
        return "·".join(factors)

    def group(self, inner: str) -> str:
        return f"({inner})"

    def quotient(self, above: str, below: str) -> str:
        return f"{above}/{below}"

    def power(self, base: str, exponent: str) -> str:
        return f"{base}^{exponent}"

    def call(self, function: str, inner: str) -> str:
        return {"floor": f"⌊{inner}⌋", "ceil": f"⌈{inner}⌉", "log2": f"⌈log2 {inner}⌉"}.get(
            function, f"{function}({inner})"
        )

    def minus(self) -> str:
        return "−"


PLAIN = Plain()

SUM, PRODUCT, ATOM = 1, 2, 3
"""How tightly an expression binds."""


@lru_cache(maxsize=4096)
def parsed(text: str) -> ast.expr:
    """The expression that ``text`` means."""
    return ast.parse(text, mode="eval").body


@dataclass(frozen=True)
class Formula:
    """An expression of named sizes, with the numbers of these names."""

    text: str
    sizes: Mapping[str, int] = field(default_factory=dict, compare=False)

    @property
    def value(self) -> int:
        """The number.  Raises ValueError if it is not an integer, KeyError for a size without a number."""
        found = _value(parsed(self.text), self.sizes)
        if found.denominator != 1:
            raise ValueError(f"{self.text} is {found}, not an integer")
        return int(found)

    @property
    def names(self) -> tuple[str, ...]:
        """The names in it, in order."""
        nodes = [
            node for node in ast.walk(parsed(self.text)) if isinstance(node, ast.Name) and node.id not in FUNCTIONS
        ]
        return tuple(dict.fromkeys(node.id for node in sorted(nodes, key=lambda node: node.col_offset)))

    @property
    def is_number(self) -> bool:
        """Whether there is nothing to compute."""
        return isinstance(parsed(self.text), ast.Constant)

    def written(self, notation: Notation = PLAIN, *, numbers: bool = False) -> str:
        """The formula with names, or with numbers in their places."""
        return _Writer(notation, self.sizes if numbers else {}).write(parsed(self.text))[0]

    def factor(self, notation: Notation = PLAIN, *, numbers: bool = False) -> str:
        """The same as a factor of a product: in parentheses unless it is a single name or number."""
        text, binding = _Writer(notation, self.sizes if numbers else {}).write(parsed(self.text))
        return text if binding == ATOM else notation.group(text)


def product_of(sizes: Sequence[int]) -> Formula:
    """The product of these numbers, without ones."""
    return Formula("*".join(str(size) for size in sizes if size != 1) or "1") if prod(sizes) else Formula("0")


def _value(node: ast.expr, sizes: Mapping[str, int]) -> Fraction:
    match node:
        case ast.Constant(value=int(number)):
            return Fraction(number)
        case ast.Name(id=name):
            return Fraction(sizes[name])
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, sizes)
        case ast.Call(func=ast.Name(id=name), args=[inner]):
            return Fraction(FUNCTIONS[name](_value(inner, sizes)))
        case ast.BinOp(left=left, op=op, right=right):
            a, b = _value(left, sizes), _value(right, sizes)
            return _computed(a, op, b)
    raise ValueError(f"a formula cannot have {ast.dump(node)}")


def _computed(a: Fraction, op: ast.operator, b: Fraction) -> Fraction:
    match op:
        case ast.Add():
            return a + b
        case ast.Sub():
            return a - b
        case ast.Mult():
            return a * b
        case ast.Div():
            return a / b
        case ast.Pow():
            return Fraction(a ** int(b))
    raise ValueError(f"a formula cannot have {type(op).__name__}")


@dataclass(frozen=True)
class _Writer:
    notation: Notation
    numbers: Mapping[str, int]

    def write(self, node: ast.expr) -> tuple[str, int]:
        """The text, and how tightly it binds."""
        match node:
            case ast.Constant(value=int(number)):
                return self.notation.number(number), ATOM
            case ast.Name(id=name):
                if name not in self.numbers:
                    return self.notation.name(name), ATOM
                number = self.numbers[name]
                return self.notation.number(number), ATOM if number >= 0 else SUM
            case ast.UnaryOp(operand=operand):
                return f"{self.notation.minus()}{self._within(operand, PRODUCT)}", SUM
            case ast.Call(func=ast.Name(id=name), args=[inner]):
                return self.notation.call(name, self.write(inner)[0]), ATOM
            case ast.BinOp(left=left, op=op, right=right):
                return self._operation(left, op, right)
        raise ValueError(f"a formula cannot have {ast.dump(node)}")

    def _operation(self, left: ast.expr, op: ast.operator, right: ast.expr) -> tuple[str, int]:
        match op:
            case ast.Add():
                return f"{self.write(left)[0]} + {self.write(right)[0]}", SUM
            case ast.Sub():
                return f"{self.write(left)[0]} {self.notation.minus()} {self._within(right, PRODUCT)}", SUM
            case ast.Div():
                return self.notation.quotient(self._within(left, PRODUCT), self._within(right, ATOM)), PRODUCT
            case ast.Pow():
                return self.notation.power(self._within(left, ATOM), self._within(right, ATOM)), ATOM
        factors: list[str] = []
        if isinstance(left, ast.BinOp) and isinstance(left.op, ast.Mult):
            factors.append(self.write(left)[0])
        else:
            factors.append(self._within(left, PRODUCT))
        return self.notation.product([*factors, self._within(right, PRODUCT)]), PRODUCT

    def _within(self, node: ast.expr, binding: int) -> str:
        """The text, in parentheses if it binds less than ``binding``."""
        text, own = self.write(node)
        return text if own >= binding else self.notation.group(text)
