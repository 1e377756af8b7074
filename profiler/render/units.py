"""Short figures: all numbers of a column in one unit, so that they can be compared by eye."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from profiler.columns import Unit
from profiler.formatting import BINARY_PREFIXES, SI_PREFIXES


@dataclass(frozen=True, slots=True)
class Scale:
    """The unit of a column, as a power of 1000 or 1024, its name, how many decimals are shown, and ``+`` for a sign."""

    factor: int
    name: str
    decimals: int
    plus: str = ""

    def text(self, number: int, *, least: bool = False) -> str:
        """The number in this unit; only 0 is ``0``, and what would be rounded to it is ``<0.01``.

        A number that is only a lower bound is marked ``≥``.
        """
        step = Decimal(1).scaleb(-self.decimals)
        value = (Decimal(number) / self.factor).quantize(step, ROUND_HALF_EVEN)
        if number and not value:
            return "≥0" if least else f"<{self.plus}{step}" if number > 0 else f">-{step}"
        return ("≥" if least else "") + (f"{value:{self.plus},}" if number else "0")


def scale_of(values: Sequence[Any], unit: Unit) -> Scale | None:
    """The unit for the integers among ``values``, or None if they are short as they are.

    It is that of the largest number, or the one below it if a number would otherwise be too small to be shown.
    """
    sizes = [abs(value) for value in values if isinstance(value, int) and value]
    if unit not in ("count", "bytes", "difference") or not sizes:
        return None
    largest = max(sizes)
    base, prefixes = (1024, BINARY_PREFIXES) if unit == "bytes" else (1000, SI_PREFIXES)
    power = 0
    while power + 1 < len(prefixes) and largest * 200 >= base**power * (200 * base - 1):  # 999,995 is 1.00 M
        power += 1
    if not power:
        return None
    is_small = min(sizes) * 200 <= base**power
    power -= is_small
    if not power:
        return None
    name = prefixes[power] + ("B" if unit == "bytes" else "")
    return Scale(base**power, name, 1 if is_small else 2, "+" if unit == "difference" else "")
