"""Names of sizes in a config, and expressions of them → plain numbers.

``shape: [B, 3, H, W]`` with ``sizes: {B: 2, H: 227, W: 227}`` is the shape 2 × 3 × 227 × 227.
"""

from __future__ import annotations

import ast
import functools
import keyword
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from profiler.errors import ConfigError, did_you_mean, shown

LONGEST_EXPRESSION = 200
"""The maximum number of characters of an expression."""

SYNTAX = "+ - * / // % and parentheses"
"""What an expression may have besides names and integers."""


class ExpressionError(ValueError):
    """An expression that has no value; the message says why."""


def is_size_name(name: str) -> bool:
    """Whether a size can have this name: a Python identifier that is no keyword."""
    return name.isidentifier() and not keyword.iskeyword(name) and unicodedata.normalize("NFKC", name) == name


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression of sizes, such as ``4*h``, and the names in it."""

    text: str
    names: tuple[str, ...]
    _tree: ast.expr

    def value(self, sizes: Mapping[str, Any]) -> Any:
        """The value for these sizes: integers, or anything else with the arithmetic of integers, such as symbols.

        Raises :class:`ExpressionError`, also for a ``/`` of two integers that is not exact.
        """
        return _value(self._tree, sizes, self.text)


@functools.lru_cache(maxsize=10_000)
def expression(text: str) -> Expression | None:
    """The expression that ``text`` is: arithmetic of at least one name; None for any other text.

    Operations that are not allowed are an error of its value, not of its form.
    """
    if len(text) > LONGEST_EXPRESSION:
        return None
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    nodes = list(ast.walk(tree))
    kinds = (ast.Name, ast.Load, ast.Constant, ast.BinOp, ast.operator, ast.UnaryOp, ast.UAdd, ast.USub)
    if not all(isinstance(node, kinds) for node in nodes):
        return None
    if not all(type(node.value) in (int, float) for node in nodes if isinstance(node, ast.Constant)):
        return None
    names = tuple(dict.fromkeys(node.id for node in nodes if isinstance(node, ast.Name)))
    return Expression(text, names, tree) if names else None


def _value(node: ast.expr, sizes: Mapping[str, Any], text: str) -> Any:
    match node:
        case ast.Name(id=name):
            if name not in sizes:
                known = f" ({', '.join(sizes)})" if sizes else ""
                raise ExpressionError(f"a name with a value in sizes{known}{did_you_mean(name, sizes)}")
            return sizes[name]
        case ast.Constant(value=int() as number):
            return number
        case ast.UnaryOp(op=op, operand=operand):
            value = _value(operand, sizes, text)
            return -value if isinstance(op, ast.USub) else value
        case ast.BinOp(left=left, op=op, right=right):
            return _applied(op, _value(left, sizes, text), _value(right, sizes, text), text)
        case _:
            raise ExpressionError(f"integers and names of sizes with {SYNTAX}")


def _applied(op: ast.operator, left: Any, right: Any, text: str) -> Any:
    if isinstance(op, (ast.Div, ast.FloorDiv, ast.Mod)) and type(right) is int and right == 0:
        raise ExpressionError("a division by another number than 0")
    match op:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.FloorDiv():
            return left // right
        case ast.Mod():
            return left % right
        case ast.Div():
            if type(left) is not int or type(right) is not int:
                return left / right
            if left % right:
                raise ExpressionError(f"a division without remainder, or // to round down; {left} / {right} leaves one")
            return left // right
        case _:
            raise ExpressionError(f"integers and names of sizes with {SYNTAX}")


class WithoutValue(str):
    """The text of an expression that has no value; ``expected`` says what was expected in its place."""

    expected: str

    def __new__(cls, text: str, expected: str) -> WithoutValue:
        made = super().__new__(cls, text)
        made.expected = expected
        return made


@dataclass(frozen=True)
class Written:
    """The parts of a config that may name sizes, as they are written: plain values of YAML."""

    inputs: Any = None
    kwargs: Any = None
    cache: Any = None

    def at(self, sizes: Mapping[str, int]) -> Written:
        """The same with numbers in place of names; an expression without a value becomes :class:`WithoutValue`."""
        return Written(
            _numbers(self.inputs, sizes, tensors=True),
            _numbers(self.kwargs, sizes, tensors=False),
            _numbers(self.cache, sizes, tensors=False),
        )

    def names(self, sizes: Mapping[str, int]) -> tuple[str, ...]:
        """The names of sizes that are used, in the order of ``sizes``."""
        return _names([self.inputs, self.kwargs, self.cache], sizes)

    def kwargs_names(self, sizes: Mapping[str, int]) -> tuple[str, ...]:
        """The names of sizes that the kwargs use: another value of them is another network."""
        return _names(self.kwargs, sizes)


NOTHING_WRITTEN = Written()


def _names(value: Any, sizes: Mapping[str, int]) -> tuple[str, ...]:
    meant = (_meant(text, sizes) for text in _texts(value))
    used = {name for found in meant if found is not None for name in found.names}
    return tuple(name for name in sizes if name in used)


def _meant(text: str, sizes: Mapping[str, Any]) -> Expression | None:
    """The expression that a text is; None if it is text like any other: one of its names is not the name of a size."""
    found = expression(text)
    return found if found is not None and all(name in sizes for name in found.names) else None


def _number(text: str, sizes: Mapping[str, int], found: Expression | None) -> object:
    if found is None:
        return text
    try:
        return found.value(sizes)
    except ExpressionError as error:
        return WithoutValue(text, str(error))


def _numbers(value: Any, sizes: Mapping[str, int], *, tensors: bool) -> Any:
    """``value`` with numbers in place of names, also inside of lists and mappings.

    With ``tensors``, a mapping with a shape is a tensor: each text in its shape is an expression, its dtype is not.
    """
    if isinstance(value, str):
        return _number(value, sizes, _meant(value, sizes))
    if isinstance(value, (list, tuple)):
        return type(value)([_numbers(item, sizes, tensors=tensors) for item in value])
    if not isinstance(value, Mapping):
        return value
    if not (tensors and isinstance(value.get("shape"), (list, tuple))):
        return {key: _numbers(item, sizes, tensors=tensors) for key, item in value.items()}
    shape = [_number(size, sizes, expression(size)) if isinstance(size, str) else size for size in value["shape"]]
    kept = {"shape": shape, "dtype": value.get("dtype")}
    return {key: kept[key] if key in kept else _numbers(item, sizes, tensors=True) for key, item in value.items()}


def _texts(value: Any) -> Iterator[str]:
    """Every text in nested lists and mappings."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)


def first_without_value(value: Any) -> WithoutValue | None:
    """The first expression without a value in nested lists and mappings."""
    return next((text for text in _texts(value) if isinstance(text, WithoutValue)), None)


def sizes_of(texts: Iterable[str]) -> dict[str, int]:
    """``["B=2", "H=224"]`` as names and positive integers.  Raises ConfigError."""
    sizes: dict[str, int] = {}
    for text in texts:
        name, equals, number = text.partition("=")
        if not (equals and is_size_name(name) and re.fullmatch(r"0*[1-9][0-9]{0,17}", number, re.ASCII)):
            raise ConfigError(f"--size {text}: expected a Python identifier and a positive integer, such as B=8")
        if name in sizes:
            raise ConfigError(f"--size {text}: the size {name} is given twice")
        sizes[name] = int(number)
    return sizes


def unknown_size(name: str, known: tuple[str, ...]) -> str:
    """What an error says of a name that no shape, kwarg or cache has."""
    if not known:
        return f"{shown(name)}: no shape and no kwarg names a size, expected a config with names, or --input Bx3xHxW"
    return f"{shown(name)}: not the name of a size here, expected one of {', '.join(known)}{did_you_mean(name, known)}"
