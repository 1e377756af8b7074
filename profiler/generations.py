"""The generation of tokens: what each of its steps costs, as an exact function of the tokens in its cache.

A language model reads the prompt in one run (prefill), which gives the first new token.  Each decode step then reads
the token before and the cache, and writes one more token.  ``docs/serving.md`` defines every figure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import comb
from typing import Literal

FIGURES = ("macs", "flops", "contracted_flops", "bytes_read", "bytes_written", "parameter_bytes")
"""The figures of an operation.  ``contracted_flops`` are the FLOPs of its contractions, which are in ``flops`` too."""


@dataclass(frozen=True, slots=True)
class Series:
    """An exact polynomial of n = 0, 1, 2, …: its value at 0, and its differences there (first, second, …)."""

    differences: tuple[int, ...]

    @classmethod
    def through(cls, values: Sequence[int]) -> Series:
        """The polynomial of the lowest degree with these values at 0, 1, 2, …"""
        found, row = [], list(values)
        while row:
            found.append(row[0])
            row = [after - before for before, after in pairwise(row)]
        while len(found) > 1 and not found[-1]:
            found.pop()
        return cls(tuple(found))

    def at(self, n: int) -> int:
        """The value at ``n``."""
        return sum(difference * comb(n, order) for order, difference in enumerate(self.differences))

    def total(self, count: int) -> int:
        """The sum of the values at 0, 1, …, ``count`` − 1, in closed form."""
        return sum(difference * comb(count, order + 1) for order, difference in enumerate(self.differences))


Known = Literal["counted", "free", "uncounted"]


@dataclass(frozen=True, slots=True)
class StepOperation:
    """The calls of one operator that cost the same in each step of a span: ``times`` of them in every step.

    ``figures`` are those of :data:`FIGURES` for one call.  ``dtype`` is that of the arithmetic.  ``moves`` says whether
    the bytes are known.
    """

    op: str
    kind: str
    dtype: str
    status: Known
    times: int
    figures: tuple[Series, ...]
    moves: bool = True


@dataclass(frozen=True, slots=True)
class Span:
    """Steps with ``first``, ``first`` + 1, …, ``last`` tokens in the cache; n counts from ``first`` in every series.

    ``cache_bytes`` is the size of the cache that a step starts with.
    """

    first: int
    last: int
    operations: tuple[StepOperation, ...]
    cache_bytes: Series

    @property
    def steps(self) -> int:
        """The number of steps."""
        return self.last - self.first + 1

    def continued_by(self, other: Span) -> bool:
        """Whether the formulas of this span also hold for the steps of the ``other``, which follows it.

        The formulas are linear, so two steps of the other one show it.
        """
        if len(self.operations) != len(other.operations):
            return False
        shift = other.first - self.first
        lines = [(self.cache_bytes, other.cache_bytes)]
        for mine, its in zip(self.operations, other.operations, strict=True):
            if replace(mine, figures=()) != replace(its, figures=()):
                return False
            lines += zip(mine.figures, its.figures, strict=True)
        return all(mine.at(shift + n) == its.at(n) for mine, its in lines for n in range(min(other.steps, 2)))


@dataclass(frozen=True, slots=True)
class Piece:
    """Some runs of a span: ``count`` of them from the one with ``start`` more tokens in the cache than the first."""

    span: Span
    start: int
    count: int


@dataclass(frozen=True, slots=True)
class Generation:
    """One generation: ``new_tokens`` tokens after a prompt of ``prompt`` tokens, for ``batch`` texts at once.

    ``prefill`` is the run of the prompt, with an empty cache.  The ``spans`` are the decode steps in order: the first
    has the prompt in its cache, and each later one a token more; there is one step fewer than new tokens, because the
    prefill gives the first.  ``cache_bytes`` is the size of the cache at the end.

    ``active_parameters`` is the number of parameters that one token uses; None if it is not known, for the ``reason``
    that is given.  ``traced`` are the lengths of the cache at which a step was traced, and ``held_out`` those of them
    that were compared with the formulas and not used to make them.  ``unseen`` says that some work is not recorded.
    ``positions`` is the largest number of tokens that the configuration of the class names (0: it names none).
    """

    prompt: int
    new_tokens: int
    batch: int
    prefill: Span
    spans: tuple[Span, ...]
    cache_bytes: int
    active_parameters: int | None
    parameters: int
    reason: str = ""
    traced: tuple[int, ...] = ()
    held_out: tuple[int, ...] = ()
    unseen: bool = False
    positions: int = 0

    @property
    def steps(self) -> int:
        """The number of decode steps."""
        return self.new_tokens - 1

    @property
    def whole_prefill(self) -> tuple[Piece, ...]:
        """The run of the prompt."""
        return (Piece(self.prefill, 0, 1),)

    @property
    def all_steps(self) -> tuple[Piece, ...]:
        """All decode steps."""
        return tuple(Piece(span, 0, span.steps) for span in self.spans)

    def step(self, length: int) -> tuple[Piece, ...]:
        """The decode step with ``length`` tokens in its cache.  Raises ValueError if the generation has no such one."""
        for span in self.spans:
            if span.first <= length <= span.last:
                return (Piece(span, length - span.first, 1),)
        raise ValueError(f"no step has {length} tokens in its cache")

    def cache_before(self, length: int) -> int:
        """The bytes of the cache when it has ``length`` tokens: those of the prompt or more."""
        if length == self.prompt + self.steps:
            return self.cache_bytes
        (piece,) = self.step(length)
        return piece.span.cache_bytes.at(piece.start)


def figure(pieces: Sequence[Piece], name: str) -> int | None:
    """The figure of that name, of all these runs together; None for bytes that are not known."""
    place, total = FIGURES.index(name), 0
    for piece in pieces:
        for operation in piece.span.operations:
            if not operation.moves and place >= FIGURES.index("bytes_read"):
                return None
            series = operation.figures[place]
            total += operation.times * (series.total(piece.start + piece.count) - series.total(piece.start))
    return total


def uncounted(pieces: Sequence[Piece]) -> tuple[str, ...]:
    """The operators in these runs that have no rule."""
    return tuple(dict.fromkeys(operation.op for operation in _operations(pieces) if operation.status == "uncounted"))


def _operations(pieces: Sequence[Piece]) -> Iterator[StepOperation]:
    for piece in pieces:
        yield from piece.span.operations
