"""Sizes that record how a rule uses them: whether it would work on symbols as well as on numbers.

Arithmetic (+ − · ⌊/⌋ and the helpers of :mod:`profiler.rules.sizes`) returns another recording size and is not noted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from profiler.opcount import OpCount, Term, total
from profiler.rules.registry import Entry
from profiler.signatures import Packed, TensorSpec

VERDICTS = ("clean", "asks > 0", "compares", "needs a number", "fails")
"""How a rule uses sizes, from the best to the worst; ``asks`` is a comparison with 0 or 1."""


class Size:
    """A size that appends each use to ``notes``."""

    def __init__(self, value: int, notes: list[str]) -> None:
        self.value = value
        self.notes = notes

    def __repr__(self) -> str:
        return f"Size({self.value})"

    def _new(self, value: int) -> Size:
        return Size(value, self.notes)

    def __add__(self, other: Any) -> Size:
        return self._new(self.value + plain(other))

    def __sub__(self, other: Any) -> Size:
        return self._new(self.value - plain(other))

    def __rsub__(self, other: Any) -> Size:
        return self._new(plain(other) - self.value)

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, OpCount):
            return NotImplemented
        if isinstance(other, list | tuple):
            self.notes.append("needs a number")
            return other * self.value
        return self._new(self.value * plain(other))

    def __floordiv__(self, other: Any) -> Size:
        return self._new(self.value // plain(other))

    def __rfloordiv__(self, other: Any) -> Size:
        return self._new(plain(other) // self.value)

    def __mod__(self, other: Any) -> Size:
        return self._new(self.value % plain(other))

    def __neg__(self) -> Size:
        return self._new(-self.value)

    __radd__ = __add__
    __rmul__ = __mul__

    def _compared(self, other: Any) -> int:
        self.notes.append("asks > 0" if not isinstance(other, Size) and other in (0, 1) else "compares")
        return self.value - int(plain(other))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Size | int):
            return NotImplemented
        return self._compared(other) == 0

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __lt__(self, other: Any) -> bool:
        return self._compared(other) < 0

    def __le__(self, other: Any) -> bool:
        return self._compared(other) <= 0

    def __gt__(self, other: Any) -> bool:
        return self._compared(other) > 0

    def __ge__(self, other: Any) -> bool:
        return self._compared(other) >= 0

    def __bool__(self) -> bool:
        self.notes.append("asks > 0")
        return self.value != 0

    def __hash__(self) -> int:
        self.notes.append("compares")
        return hash(self.value)

    def __index__(self) -> int:
        self.notes.append("needs a number")
        return self.value

    __int__ = __index__

    def __truediv__(self, other: Any) -> float:
        self.notes.append("needs a number")
        return self.value / float(plain(other))

    def apply(self, function: Callable[..., int], *sizes: Any, **options: Any) -> Size:
        """The result of a helper of :mod:`profiler.rules.sizes` for ``sizes``, which include this one."""
        return self._new(function(*map(plain, sizes), **options))


def plain(value: Any) -> Any:
    """The number of a size; any other value is returned unchanged."""
    return value.value if isinstance(value, Size) else value


def with_sizes(value: Any, notes: list[str]) -> Any:
    """The value, with the shapes of all tensors in it made of sizes that write into ``notes``."""
    if isinstance(value, list | tuple):
        return type(value)(with_sizes(item, notes) for item in value)
    if isinstance(value, TensorSpec):
        sizes: list[Any] = [Size(size, notes) for size in value.shape]
        return replace(value, shape=tuple(sizes))
    if isinstance(value, Packed):
        return replace(value, weight=with_sizes(value.weight, notes), bias=with_sizes(value.bias, notes))
    return value


def numbers(term: Term) -> tuple[Any, ...]:
    """A term with plain numbers."""
    one = tuple(plain(getattr(term.one, kind)) for kind in OpCount.__dataclass_fields__)
    return term.what, tuple(map(plain, term.how_many)), one, tuple(map(plain, term.contracted)), term.role


def verdict(entry: Entry, terms: tuple[Term, ...], args: Any, out: Any, kwargs: Any) -> str:
    """How the rule of ``entry`` uses sizes in a call that had ``terms``.

    Raises AssertionError if its terms differ for recording sizes.
    """
    notes: list[str] = []
    assert entry.cost is not None
    try:
        given = {name: with_sizes(value, notes) for name, value in kwargs.items()}
        again = tuple(entry.cost(*with_sizes(args, notes), out=with_sizes(out, notes), **given))
        found = [numbers(term) for term in again]
    except (TypeError, AttributeError, ValueError):
        return "fails"
    if found != [numbers(term) for term in terms]:  # the same cost may be written in another way
        costs = [
            [plain(getattr(cost, kind)) for kind in OpCount.__dataclass_fields__]
            for cost in (total(again), total(terms))
        ]
        assert costs[0] == costs[1], f"{entry.op} has another cost for sizes that are no numbers"
    return max(notes, key=VERDICTS.index, default="clean")
