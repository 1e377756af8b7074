"""The measured speed of a run of training: tokens per second, or seconds per step, on a number of devices."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from profiler.errors import ProfilerError, shown

DAY = 24 * 3600
"""Seconds."""

PREFIXES = {"": 0, "k": 3, "M": 6, "G": 9, "B": 9, "T": 12}

LARGEST = 10**30

KEYS = ("tokens_per_second", "step_time", "devices", "tokens_per_step", "token_budget")

AMOUNT = "a positive number, such as 238.3k or 15.6T"


@dataclass(frozen=True, slots=True)
class Throughput:
    """The speed of a run of training on ``devices`` devices.

    It is given in tokens per second of all devices together, or as the seconds of a step; a step has
    ``tokens_per_step`` tokens, by default those of the profiled step.  ``token_budget`` is the number of tokens of the
    whole run.
    """

    tokens_per_second: Fraction | None = None
    step_time: Fraction | None = None
    devices: int = 1
    tokens_per_step: int | None = None
    token_budget: int | None = None

    @classmethod
    def read(cls, **given: Any) -> Throughput:
        """The throughput with these values; None means that a value is not given.

        A number may also be a text, with a prefix (``"238.3k"``).  Raises
        :class:`~profiler.errors.ProfilerError`, whose message names the key.
        """
        for key in given:
            if key not in KEYS:
                raise ProfilerError(f"throughput.{key}: unknown key, expected some of {', '.join(KEYS)}")
        found = {key: _amount(key, value) for key, value in given.items() if value is not None}
        speeds = [key for key in ("tokens_per_second", "step_time") if key in found]
        if len(speeds) != 1:
            what = "both" if speeds else "neither of them"
            raise ProfilerError(f"throughput: found {what}, expected either tokens_per_second or step_time")
        if "tokens_per_second" in found and "tokens_per_step" in found:
            raise ProfilerError("throughput.tokens_per_step: expected it with step_time only")
        return cls(
            found.get("tokens_per_second"),
            found.get("step_time"),
            _whole("devices", found.get("devices")) or 1,
            _whole("tokens_per_step", found.get("tokens_per_step")),
            _whole("token_budget", found.get("token_budget")),
        )

    def written(self) -> dict[str, int | str]:
        """The values by their keys, as JSON has them: fractions are texts."""
        values = {key: getattr(self, key) for key in KEYS}
        return {key: str(one) if isinstance(one, Fraction) else one for key, one in values.items() if one is not None}

    @classmethod
    def of_written(cls, found: Mapping[str, Any]) -> Throughput:
        """The throughput that :meth:`written` wrote.  Raises ProfilerError."""
        return cls.read(**found)

    def rate(self, tokens: int) -> Fraction:
        """The tokens per second of all devices together; ``tokens`` is the number in the profiled step."""
        if self.tokens_per_second is not None:
            return self.tokens_per_second
        assert self.step_time is not None
        return (self.tokens_per_step or tokens) / self.step_time

    def seconds(self, tokens: int) -> Fraction | None:
        """The seconds that the budget takes; None without a budget."""
        return None if self.token_budget is None else self.token_budget / self.rate(tokens)


def _amount(key: str, value: object) -> Fraction:
    """A positive number, exactly as it is written."""
    number: Fraction | None = None
    if isinstance(value, (int, float, Fraction)) and not isinstance(value, bool):
        number = Fraction(str(value)) if 0 < value <= LARGEST else None
    elif isinstance(value, str) and len(value) <= 80:
        found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?(?:[eE][+]?[0-9]{1,2})?) ?([a-zA-Z]?)", value.strip(), re.ASCII)
        fraction = re.fullmatch(r"([0-9]+)/([0-9]+)", value.strip(), re.ASCII)
        if found is not None and found[2] in PREFIXES:
            number = Fraction(Decimal(found[1])) * 10 ** PREFIXES[found[2]]
        elif fraction is not None and int(fraction[2]):
            number = Fraction(int(fraction[1]), int(fraction[2]))
    if number is None or not 0 < number <= LARGEST:
        raise ProfilerError(f"throughput.{key}: found {shown(value)}, expected {AMOUNT}")
    return number


def _whole(key: str, number: Fraction | None) -> int | None:
    if number is not None and number.denominator != 1:
        raise ProfilerError(f"throughput.{key}: found {float(number):g}, expected an integer")
    return None if number is None else int(number)
