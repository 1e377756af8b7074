"""The registry: for each operation a rule that counts it, the word that it is free, or nothing.

An operation is named as PyTorch's dispatcher names it, namespace and all: ``aten::conv2d``.  An overload
or an in-place variant (``aten::relu_``) is counted by the rule of its base name unless it has its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from profiler.errors import RuleError
from profiler.opcount import Term
from profiler.records import KINDS

CostRule = Callable[..., Iterable[Term]]
"""``rule(*args, out, **kwargs) -> terms``: the operation's own arguments, tensors given as TensorSpec."""

AnyCostRule = TypeVar("AnyCostRule", bound=CostRule)

KindRule = Callable[..., str]
"""``kind(*args, out, **kwargs) -> kind``, where the kind depends on the operands."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one operation.  ``cost`` is ``None`` for one that is known to be free."""

    op: str
    kind: str | KindRule | None
    cost: CostRule | None
    integers: bool = False

    def apply(self, *args: Any, out: Any, **kwargs: Any) -> tuple[str, tuple[Term, ...]]:
        """The kind and the terms of one call; without a kind, contractions are ``matmul``, any other elementwise."""
        if self.cost is None:
            return "movement", ()
        terms = tuple(self.cost(*args, out=out, **kwargs))
        if self.kind is None:
            return "matmul" if any(term.contracted for term in terms) else "elementwise", terms
        return self.kind if isinstance(self.kind, str) else self.kind(*args, out=out, **kwargs), terms


class Registry:
    """Operation names to entries; a name can be registered once."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def add(self, entry: Entry) -> None:
        if entry.op in self._entries:
            raise RuleError(f"operation {entry.op} is registered already; a rule can be registered once")
        if isinstance(entry.kind, str) and entry.kind not in KINDS:
            raise RuleError(f"operation {entry.op}: unknown kind {entry.kind!r}, expected one of {', '.join(KINDS)}")
        self._entries[entry.op] = entry

    def find(self, op: str) -> Entry | None:
        """The entry of ``op``, or of its base name where ``op`` is an in-place variant, or ``None``."""
        entry = self._entries.get(op)
        if entry is None and op.endswith("_") and not op.endswith("__"):
            entry = self._entries.get(op[:-1])
        return entry

    def remove(self, op: str) -> None:
        """Forget what is known of ``op``; it is uncounted from then on."""
        del self._entries[op]

    def __contains__(self, op: str) -> bool:
        return self.find(op) is not None

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())


REGISTRY = Registry()


def rule(*ops: str, kind: str | KindRule | None = None, integers: bool = False) -> Callable[[AnyCostRule], AnyCostRule]:
    """Register the decorated function as the rule of ``ops``.

    The function gets the operation's arguments as the dispatcher passes them, every tensor replaced by its
    :class:`~profiler.records.TensorSpec`, and the result (a spec, or a tuple of them) as ``out``; it returns
    terms.  ``kind`` is one of ``KINDS`` or a function of the same arguments; without it, work that contracts is
    ``matmul`` and any other ``elementwise``.  Work on integers and booleans is free unless ``integers`` says that
    it counts.
    """

    def register(cost: AnyCostRule) -> AnyCostRule:
        for op in ops:
            REGISTRY.add(Entry(op, kind, cost, integers))
        return cost

    return register


def free(*ops: str) -> None:
    """Register ``ops`` as known to be free: data movement, metadata, work on indices."""
    for op in ops:
        REGISTRY.add(Entry(op, "movement", None))
