"""What a budget allows of one figure: ``"<= 4.1G"`` → a :class:`Limit` with exact numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from profiler.errors import ConfigError, did_you_mean, shown

PREFIXES = {"": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15}
"""The decimal prefixes of numbers, each with its power of ten."""

LARGEST = 10**60
"""The largest number in a limit; an exponent could make it so long that nothing can be computed with it."""

FLOAT_DIGITS = 15
"""The number of significant digits with which a floating-point number is certainly what was written."""

COUNT_EXPECTED = 'a number such as 4.1G, "<= 4.1e9", ">= 1M", "< 5G" or 1M..2M'
SHARE_EXPECTED = 'a percentage such as "<= 40 %", ">= 5 %" or 10 %..40 %'

Certainty = Literal["exact", "at least", "unknown"]
"""What is known of a figure: its value, a lower bound, or a value that could be too small or too large."""

Verdict = Literal["kept", "over", "below", "not proven"]

_SIGNS = {"<=": "<=", "≤": "<=", "<": "<", ">=": ">=", "≥": ">=", ">": ">", "==": "=="}
_LIMIT = re.compile(r"\s*(?P<sign><=|>=|==|<|>|≤|≥)?\s*(?P<amount>.*?)\s*", re.DOTALL)
_AMOUNT = re.compile(
    r"(?P<digits>[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+(?:_[0-9]+)*|(?=\.))(?P<fraction>\.[0-9]*)?"
    r"(?:[eE](?P<exponent>[+-]?[0-9]{1,2}))?\s*(?P<unit>[^\s0-9.,_+-]*)"
)


@dataclass(frozen=True, slots=True)
class Limit:
    """The allowed values of a figure: from ``least`` to ``most``; missing for no limit on that side.

    With ``above`` the figure has to be greater than ``least``, with ``below`` less than ``most``.  A limit on a share
    is in fractions of one.  ``text`` is the limit as people write it.
    """

    text: str
    least: Fraction | None = None
    most: Fraction | None = None
    above: bool = False
    below: bool = False

    def judge(self, figure: int | Fraction, certainty: Certainty = "exact") -> Verdict:
        """Whether a figure is within the limit.

        A lower bound that is too large is too large; one that is not may belong to a figure that is, so it proves
        nothing.  If the limit has no upper end, a lower bound within it is enough.
        """
        if certainty == "unknown":
            return "not proven"
        if self.most is not None and (figure > self.most or (self.below and figure == self.most)):
            return "over"
        too_small = self.least is not None and (figure < self.least or (self.above and figure == self.least))
        if certainty == "exact":
            return "below" if too_small else "kept"
        return "not proven" if too_small or self.most is not None else "kept"

    def bound(self, verdict: Verdict) -> Fraction | None:
        """The end of the limit that decides: the lower one for a figure below it, else the upper one if any."""
        if verdict == "below" or self.most is None:
            return self.least
        return self.most


def parse_limit(value: object, place: str, *, share: bool = False) -> Limit:
    """The limit that ``value`` means: a number is the largest allowed value.

    ``place`` says in messages where it was found.  Raises :class:`ConfigError`.
    """
    if isinstance(value, Limit):
        return value
    expected = SHARE_EXPECTED if share else COUNT_EXPECTED
    text = _text(value, place, expected)
    found = _LIMIT.fullmatch(text)
    assert found is not None
    sign, amount = found["sign"], found["amount"]
    first, dots, last = amount.partition("..")
    if not dots:
        number = _amount(amount, place, value, share)
        return _one_sided(_SIGNS[sign or "<="], number, _spelled(amount))
    if sign:
        raise ConfigError(f"{place}: found {shown(value)}, expected either {sign} or a range")
    first = first.strip() if not share or "%" in first else f"{first.strip()} %"
    least, most = (_amount(part.strip(), place, value, share) for part in (first, last))
    if least > most:
        raise ConfigError(f"{place}: found {shown(value)}, expected a range from the smaller to the larger number")
    return Limit(f"{_spelled(first)}..{_spelled(last)}", least, most)


def parse_tolerance(text: str, place: str) -> Fraction:
    """``"1%"`` → 1/100; ``"0"`` is allowed too.  Raises :class:`ConfigError`."""
    bare = text.strip()
    found = _AMOUNT.fullmatch(bare)
    if found is None or found["unit"] not in ("%", "") or (found["unit"] == "" and _exact(found) != 0):
        raise ConfigError(f"{place}: found {shown(text)}, expected a percentage such as 1% or 0.5%")
    return _small(_exact(found), place, text) / 100


def _text(value: object, place: str, expected: str) -> str:
    """The limit as text.  A floating-point number with more digits than it can hold is refused."""
    if isinstance(value, str) and len(value) <= 100:
        return value
    if type(value) is int and 0 <= value <= LARGEST:
        return f"{value:,}"
    if isinstance(value, float) and 0 <= value <= LARGEST:
        if len(Decimal(repr(value)).normalize().as_tuple().digits) > FLOAT_DIGITS:
            raise ConfigError(f"{place}: found {shown(value)}, expected quotes around a number with so many digits")
        return f"{int(value):,}" if value.is_integer() else repr(value)
    raise ConfigError(f"{place}: found {shown(value)}, expected {expected}")


def _one_sided(sign: str, number: Fraction, text: str) -> Limit:
    spelled = f"{sign} {text}"
    if sign == "==":
        return Limit(spelled, number, number)
    if sign in ("<", "<="):
        return Limit(spelled, most=number, below=sign == "<")
    return Limit(spelled, least=number, above=sign == ">")


def _spelled(amount: str) -> str:
    """``4.1G`` and ``40%`` as they are shown: ``4.1 G``, ``40 %``."""
    found = _AMOUNT.fullmatch(amount.strip())
    assert found is not None
    number = amount.strip().removesuffix(found["unit"]).strip()
    return f"{number} {found['unit']}".strip()


def _amount(amount: str, place: str, value: object, share: bool) -> Fraction:
    """The exact number; a percentage as a fraction of one."""
    expected = SHARE_EXPECTED if share else COUNT_EXPECTED
    found = _AMOUNT.fullmatch(amount)
    if found is None or (found["digits"] == "" and found["fraction"] == "."):
        raise ConfigError(f"{place}: found {shown(value)}, expected {expected}")
    number = _small(_exact(found), place, value)
    if share:
        if found["unit"] != "%":
            raise ConfigError(f"{place}: found {shown(value)}, expected {expected}")
        if number > 100:
            raise ConfigError(f"{place}: found {shown(value)}, expected at most 100 %")
        return number / 100
    if found["unit"] not in PREFIXES:
        hint = did_you_mean(found["unit"], PREFIXES)
        prefixes = ", ".join(filter(None, PREFIXES))
        raise ConfigError(f"{place}: found {shown(value)}, expected a number with one of the prefixes {prefixes}{hint}")
    return _small(number * 10 ** PREFIXES[found["unit"]], place, value)


def _exact(found: re.Match[str]) -> Fraction:
    digits = found["digits"].replace(",", "").replace("_", "")
    return Fraction(Decimal(f"{digits}{found['fraction'] or ''}e{found['exponent'] or 0}"))


def _small(number: Fraction, place: str, value: object) -> Fraction:
    if number > LARGEST:
        raise ConfigError(f"{place}: found {shown(value)}, expected at most 10^60")
    return number
