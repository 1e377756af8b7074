"""What a family of operations knows: the names of sizes, and each term of a rule as a formula of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module

from profiler import catalog
from profiler.analysis.explaining.document import Definition, Spans
from profiler.records import OpCall

PACKAGE = "profiler.analysis.explaining.families"


@dataclass(frozen=True, slots=True)
class Size:
    """A named size with its number; ``formula`` says how it is computed from other sizes, if it is."""

    name: str
    number: int
    meaning: str
    formula: str = ""


@dataclass(frozen=True, slots=True)
class TermWords:
    """One term in named sizes: ``many`` results, each the sum of ``contracted`` products or the cost ``one``.

    ``one`` has a formula for each scalar operation; without it, the numbers of the term are shown.  ``about`` says what
    is computed.  ``sizes`` are names that only this term has.
    """

    many: str
    contracted: str = ""
    one: Mapping[str, str] = field(default_factory=dict)
    about: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Words:
    """An operation in words.  ``terms`` are found by their place among the rule's terms, or by what they are."""

    title: str
    sizes: Sequence[Size] = ()
    terms: Mapping[str | int, TermWords] = field(default_factory=dict)
    definition: Definition | None = None
    remarks: Sequence[Spans] = ()
    uses: str = ""
    """How often each weight is used, as a formula; once for each ``place``."""
    place: str = "row"

    @property
    def numbers(self) -> dict[str, int]:
        """The numbers of the named sizes."""
        return {size.name: size.number for size in self.sizes}


Family = Callable[[OpCall], Words | None]
"""The words for a call; None if the family does not know its shapes."""


@cache
def families() -> Mapping[str, Family]:
    """The family of each operator that has one."""
    found: dict[str, Family] = {}
    for name in catalog.names(PACKAGE):
        for family, operators in import_module(f"{PACKAGE}.{name}").FAMILIES.items():
            for op in operators:
                assert op not in found, f"{op} is in two families"
                found[op] = family
    return found


def plain_name(op: str) -> str:
    """``aten::conv2d`` → ``conv2d``."""
    return op.rpartition("::")[2]


def words_for(call: OpCall) -> Words:
    """The words for a call; only its name if no family knows it."""
    family = families().get(call.op) or families().get(call.op.removesuffix("_"))
    found = None
    if family is not None and call.terms:
        try:
            found = family(call)
        except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError):
            found = None  # shapes that the family does not know, such as those of a hand-made profile
    return found or Words(plain_name(call.op))


def tensor_sizes(names: Sequence[str], shape: Sequence[int], meanings: Sequence[str]) -> list[Size]:
    """One size for each dimension."""
    return [Size(*size) for size in zip(names, shape, meanings, strict=True)]
