"""A call → its derivation: each term of its rule as equations of named sizes, or of plain numbers.

Every number is computed from the terms that the tables are made of.  A formula of a family is only shown if it gives
exactly the number of the term.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

from profiler.analysis.explaining.document import Equation, Multiple, Numbers, Product
from profiler.analysis.explaining.formulas import Formula, product_of
from profiler.analysis.explaining.words import TermWords, Words, words_for
from profiler.opcount import ONE_OF, SCALAR_OPERATIONS, ZERO, OpCount, Term, total
from profiler.records import OpCall

FIGURES = (*SCALAR_OPERATIONS, "macs")
"""The figures that a derivation computes."""

IN_FLOPS = ("multiplies", "adds", "divides", "transcendentals")

HEADINGS = {"macs": "MACs", "flops": "FLOPs"}


@dataclass(frozen=True)
class TermDerivation:
    """One term: how many results, and the cost of one in named sizes if ``words`` has them."""

    term: Term
    words: TermWords | None
    many: Formula
    one: Mapping[str, Formula]

    @property
    def named(self) -> bool:
        """Whether its sizes have names."""
        return self.words is not None

    @property
    def about(self) -> str:
        """What is computed."""
        return (self.words.about if self.words is not None else "") or self.term.what

    @property
    def count(self) -> OpCount:
        """The cost by the formulas."""
        return OpCount(**{figure: self.many.value * formula.value for figure, formula in self.one.items()})

    def equations(self) -> Iterator[Equation]:
        """One equation for each figure that is not zero; equal figures share one."""
        together: dict[tuple[str, int], list[str]] = {}
        for figure, formula in self.one.items():
            together.setdefault((formula.text, formula.value), []).append(figure)
        for figures in together.values():
            one = self.one[figures[0]]
            factors = (self.many,) if one.text == "1" else (self.many, one)
            yield Equation(
                tuple(HEADINGS.get(figure, figure) for figure in figures),
                (
                    *((Product(factors),) if self.named else ()),
                    Product(factors, numbers=True),
                    Numbers((self.many.value * one.value,)),
                ),
            )

    def cost_of_one(self) -> str:
        """``2 multiplies and 1 add``."""
        parts = []
        for kind in SCALAR_OPERATIONS:
            number = getattr(self.term.one, kind)
            if number:
                parts.append(f"{number:,} {ONE_OF[kind] if abs(number) == 1 else kind}")
        return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts) or "nothing"


def derived_term(term: Term, words: TermWords | None, numbers: Mapping[str, int]) -> TermDerivation:
    """The term in the named sizes of ``words`` if they give its numbers, else in plain numbers."""
    if words is not None:
        named = _named(term, words, {**numbers, **words.sizes})
        if named is not None:
            return named
    one = {figure: Formula(str(number)) for figure in FIGURES if (number := getattr(term.one, figure))}
    if term.contracted:
        one |= _sums(term, product_of(term.contracted))
    return TermDerivation(term, None, product_of(term.how_many), one)


def _named(term: Term, words: TermWords, sizes: Mapping[str, int]) -> TermDerivation | None:
    """The term in named sizes; None if their formulas do not give its numbers."""
    many, contracted = Formula(words.many, sizes), Formula(words.contracted or "1", sizes)
    one = {figure: Formula(str(number)) for figure in FIGURES if (number := getattr(term.one, figure))}
    try:
        if words.contracted:
            one |= _sums(term, contracted)
        one |= {figure: Formula(text, sizes) for figure, text in words.one.items() if figure in one}
        right = (
            many.value == prod(term.how_many)
            and (not words.contracted or contracted.value == term.one.macs)
            and all(formula.value == getattr(term.one, figure) for figure, formula in one.items())
        )
    except (ValueError, KeyError, ArithmeticError):
        return None
    return TermDerivation(term, words, many, one) if right else None


def _sums(term: Term, k: Formula) -> dict[str, Formula]:
    """The cost of a sum of K products: K multiplies and MACs, and K − 1 adds, or K if each is added to a place."""
    if not term.one:
        return {}
    adds = {k.value - 1: f"{k.text} - 1", k.value: k.text}.get(term.one.adds)
    found = {"multiplies": k, "macs": k}
    if adds is not None and term.one.adds:
        found["adds"] = Formula(adds, k.sizes)
    return {figure: formula for figure, formula in found.items() if formula.value == getattr(term.one, figure)}


@dataclass(frozen=True)
class Derivation:
    """One call: its words, its terms, and how often it was made."""

    call: OpCall
    words: Words
    terms: tuple[TermDerivation, ...]
    times: int = 1

    @classmethod
    def of(cls, call: OpCall, times: int = 1) -> Derivation:
        """The derivation of a counted call."""
        words = words_for(call)
        numbers = words.numbers
        terms = tuple(
            derived_term(term, words.terms.get(place) or words.terms.get(term.what), numbers)
            for place, term in enumerate(call.terms)
            if term.count
        )
        return cls(call, words, terms, times)

    @cached_property
    def count(self) -> OpCount:
        """The cost of one call by the formulas that are shown."""
        found = ZERO
        for term in self.terms:
            found = found + term.count
        return found

    @property
    def consistent(self) -> bool:
        """Whether the formulas give what the tables show."""
        return self.count == total(self.call.terms)

    def sums(self) -> Iterator[Equation]:
        """The figures of one call that several terms contribute to, the FLOPs, and those of all calls."""
        count = self.count
        for figure in FIGURES:
            parts = [number for term in self.terms if (number := getattr(term.count, figure))]
            if len(parts) > 1:
                heading = HEADINGS.get(figure, figure)
                yield Equation((heading,), (Numbers(tuple(parts)), Numbers((getattr(count, figure),))))
        parts = [number for figure in IN_FLOPS if (number := getattr(count, figure))]
        if len(parts) > 1:
            yield Equation(("FLOPs",), (Numbers(tuple(parts)), Numbers((count.flops,))))

    def all_calls(self) -> Iterator[Equation]:
        """The figures of all calls."""
        for figure in (*FIGURES, "flops"):
            one = getattr(self.count, figure)
            if one and (figure != "flops" or sum(bool(getattr(self.count, part)) for part in IN_FLOPS) > 1):
                left = (HEADINGS.get(figure, figure),)
                yield Equation(left, (Multiple(self.times, one), Numbers((one * self.times,))))
