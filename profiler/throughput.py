"""The measured speed of a run of training: tokens per second, or seconds per step, on a number of devices."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

DAY = 24 * 3600
"""Seconds."""


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

    def rate(self, tokens: int) -> Fraction:
        """The tokens per second of all devices together; ``tokens`` is the number in the profiled step."""
        if self.tokens_per_second is not None:
            return self.tokens_per_second
        assert self.step_time is not None
        return (self.tokens_per_step or tokens) / self.step_time

    def seconds(self, tokens: int) -> Fraction | None:
        """The seconds that the budget takes; None without a budget."""
        return None if self.token_budget is None else self.token_budget / self.rate(tokens)
