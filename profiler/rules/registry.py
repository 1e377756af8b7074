"""The registry of operations: each has a rule, is known to be free, or is not known.

An operation is named as PyTorch's dispatcher names it, namespace and all: ``aten::conv2d``.  An overload
or an in-place variant (``aten::relu_``) is counted by the rule of its base name unless it has its own.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from dataclasses import replace as changed
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar

from profiler.errors import RuleError
from profiler.opcount import Term
from profiler.records import KINDS, Direction
from profiler.signatures import Signature

CostRule = Callable[..., Iterable[Term]]
"""``rule(*args, out, **kwargs) -> terms``: the operation's own arguments, tensors given as TensorSpec."""

AnyCostRule = TypeVar("AnyCostRule", bound=CostRule)

KindRule = Callable[..., str]
"""``kind(*args, out, **kwargs) -> kind``, if the kind depends on the operands."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The entry of one operation.  ``cost`` is ``None`` for an operation that is known to be free.

    ``reads`` names the arguments, or ``out``, whose values the rule reads; by default it may read those of all
    integers.  ``direction`` says whether it is a forward operation or the gradient of another.  ``parameters`` says
    which argument, by its name in the operator's schema, each parameter of the rule is given; where it is missing,
    arguments are given as the operation was called.
    """

    op: str
    kind: str | KindRule | None
    cost: CostRule | None
    integers: bool = False
    reads: tuple[str, ...] | None = ()
    direction: Direction = "forward"
    parameters: Mapping[str, str] | None = field(default=None, hash=False)

    @property
    def is_own(self) -> bool:
        """Whether it is free, or its functions are the profiler's own."""
        functions = (self.cost, self.kind if callable(self.kind) else None)
        return all(function is None or _is_own(function) for function in functions)

    def of(self, signature: Signature) -> tuple[str, tuple[Term, ...]]:
        """The kind and the terms of one call."""
        if self.parameters is None:
            return self.apply(*signature.args, out=signature.result, **signature.kwargs)
        known = self.parameters
        given = {known[name]: value for name, value in signature.arguments if name in known}
        return self.apply(out=signature.result, **given)

    def apply(self, *args: Any, out: Any, **kwargs: Any) -> tuple[str, tuple[Term, ...]]:
        """The kind and the terms of one call; by default, contractions are ``matmul``, others ``elementwise``."""
        if self.cost is None:
            return "movement", ()
        terms = tuple(self.cost(*args, out=out, **kwargs))
        wrong = next((term for term in terms if not isinstance(term, Term)), None)
        if wrong is not None:
            raise TypeError(f"found {wrong!r} among its terms, expected results of each() or contraction()")
        if self.kind is None:
            return "matmul" if any(term.contracted for term in terms) else "elementwise", terms
        return self.kind if isinstance(self.kind, str) else self.kind(*args, out=out, **kwargs), terms


INTEGERS: frozenset[int | str] = frozenset({"integers"})
"""In place of names: a rule may read the values of all integer and boolean arguments."""

_REPLACED: ContextVar[Mapping[str, Entry]] = ContextVar("rules replaced", default=MappingProxyType({}))
"""The entries that :func:`rules_replaced` uses in place of registered ones, in this thread (or task) only."""


class Registry:
    """Operation names to entries; a name can be registered once, unless its entry is replaced explicitly."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._replaced: Mapping[str, Entry] | None = None

    def add(self, entry: Entry, *, replace: bool = False) -> None:
        """Register ``entry``.

        With ``replace`` it may replace another entry, whose kind it keeps if it does not have one.  Raises
        :class:`RuleError`.
        """
        known = self._entries.get(entry.op)
        if known is not None and not (replace or _same_again(known, entry)):
            raise RuleError(
                f"operation {entry.op} is registered already; a rule can be registered once (replace=True replaces it)"
            )
        if isinstance(entry.kind, str) and entry.kind not in KINDS:
            raise RuleError(f"operation {entry.op}: unknown kind {entry.kind!r}, expected one of {', '.join(KINDS)}")
        self._entries[entry.op] = _in_place_of(self.find(entry.op), entry) if replace else entry

    def find(self, op: str) -> Entry | None:
        """The entry of ``op``, or of its base name if ``op`` is an in-place variant, or ``None``."""
        replaced = _REPLACED.get() if self._replaced is None else self._replaced
        entry = replaced.get(op) or self._entries.get(op)
        if entry is None and op.endswith("_") and not op.endswith("__"):
            entry = replaced.get(op[:-1]) or self._entries.get(op[:-1])
        return entry

    def is_known(self, op: str) -> bool:
        """Whether ``op`` has a rule or is known to be free, so that it is recorded as one call."""
        return self.find(op) is not None

    def read_by(self, op: str) -> frozenset[int | str]:
        """The arguments of ``op`` whose values its rule reads: their positions, their names, and ``out``.

        ``out`` means integer and boolean results.  ``INTEGERS`` alone means all integer and boolean arguments.
        """
        entry = self.find(op)
        if entry is None or entry.cost is None or entry.reads == ():
            return frozenset()
        if entry.reads is None:
            return INTEGERS
        if entry.parameters is not None:
            return frozenset(name for name, parameter in entry.parameters.items() if parameter in entry.reads)
        places = {name: place for place, name in enumerate(inspect.signature(entry.cost).parameters)}
        return frozenset((*entry.reads, *(places[name] for name in entry.reads if name != "out")))

    def keeps_zeros(self, op: str, operands: int) -> bool:
        """Whether zeros in one of the ``operands`` tensor arguments of ``op`` may also be in its result.

        This is so if it moves values or has no rule, and if it works on each value of one tensor.
        """
        entry = self.find(op)
        if entry is None or entry.cost is None:
            return True
        return operands == 1 and entry.kind in ("elementwise", "activation")

    def seen_from_here(self) -> Registry:
        """The same registry, with the rules that this thread has replaced also replaced in every other thread."""
        view = Registry()
        view._entries = self._entries
        view._replaced = _REPLACED.get() if self._replaced is None else self._replaced
        return view

    @property
    def entries(self) -> dict[str, Entry]:
        """All entries as they are now, in a new dictionary."""
        return {**self._entries, **(_REPLACED.get() if self._replaced is None else self._replaced)}

    def remove(self, op: str) -> None:
        """Remove the entry of ``op``, which is then uncounted."""
        del self._entries[op]

    def __contains__(self, op: str) -> bool:
        return self.find(op) is not None

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())


REGISTRY = Registry()


def rule(
    *ops: str,
    kind: str | KindRule | None = None,
    integers: bool = False,
    reads: Sequence[str] | None = None,
    direction: Direction = "forward",
    by_name: bool | Mapping[str, str] = False,
    replace: bool = False,
) -> Callable[[AnyCostRule], AnyCostRule]:
    """Register the decorated function as the rule of ``ops``, each named with its namespace (``mylib::gated``).

    The function gets the operation's arguments as the dispatcher passes them, every tensor replaced by its
    :class:`~profiler.records.TensorSpec`, and the result (a spec, or a tuple of them) as ``out``; it returns terms.
    ``kind`` is one of ``KINDS`` or a function of the same arguments; by default, contractions are ``matmul`` and other
    operations ``elementwise``.  Work on integers and booleans is free unless ``integers`` is true.  ``reads`` names the
    parameters of the function whose ``values`` it reads (lengths, boxes), and ``out`` for integer results; by default
    the values of integers and booleans are available.  Values are known in a real run, and on meta if they follow from
    constants.  ``direction`` is ``"backward"`` for an operation that computes the gradients of another.  With
    ``by_name``, parameters are given the arguments of their names in the operator's schema, in whatever order those
    come, and no others; a parameter ``input`` is also given ``self``, and a mapping gives further names of the schema
    and the parameters that they are.

    If an operation already has a rule, :class:`~profiler.errors.RuleError` is raised, unless the old function has the
    same module and name (a notebook cell that is run again).  ``replace=True`` replaces any rule; without ``kind``, the
    kind of the old rule is kept.
    """
    _check_names(ops)

    def register(cost: AnyCostRule) -> AnyCostRule:
        own = _is_own(cost)
        for op in () if own else ops:  # the profiler's own rules are tested, and there are hundreds
            _check_takes_out(op, cost)
            if callable(kind):
                _check_takes_out(op, kind)
        if isinstance(reads, str):
            raise RuleError(f"the rule of {ops[0]}: found reads={reads!r}, expected a list of names: reads=[{reads!r}]")
        names = (() if own else None) if reads is None else tuple(reads)
        _check_reads(ops[0], cost, names or ())
        parameters = _parameters(cost, by_name) if by_name is not False else None
        for op in ops:
            REGISTRY.add(Entry(op, kind, cost, integers, names, direction, parameters), replace=replace)
        return cost

    return register


gradient = partial(rule, direction="backward")
"""Like :func:`rule`, for operations that compute the gradients of others."""


def free(*ops: str, replace: bool = False) -> None:
    """Register ``ops`` as known to be free: data movement, metadata, work on indices.

    With ``replace=True``, existing rules are replaced.
    """
    _check_names(ops)
    for op in ops:
        REGISTRY.add(Entry(op, "movement", None), replace=replace)


@contextmanager
def rules_replaced(rules: Mapping[str, CostRule | None]) -> Iterator[None]:
    """Within it, operations are counted by these rules (``None``: they are free) instead of the registered ones.

    An operation with a registered rule keeps its kind.  This only affects profiles that this thread (or asyncio task)
    makes within it; others may replace other rules at the same time.  Raises :class:`~profiler.errors.RuleError` for
    names and functions that :func:`rule` refuses.
    """
    _check_names(tuple(rules))
    entries: dict[str, Entry] = {}
    for op, cost in rules.items():
        if cost is None:
            entries[op] = Entry(op, "movement", None)
            continue
        _check_takes_out(op, cost)
        entries[op] = _in_place_of(REGISTRY.find(op), Entry(op, None, cost, reads=None))
    before = _REPLACED.set(MappingProxyType({**_REPLACED.get(), **entries}))
    try:
        yield
    finally:
        _REPLACED.reset(before)


def _parameters(cost: CostRule, by_name: bool | Mapping[str, str]) -> Mapping[str, str]:
    """Names of arguments in a schema, and the parameters of the rule that are given them.

    Raises :class:`RuleError` for a name of a parameter that the rule does not have.
    """
    own = [name for name in inspect.signature(cost).parameters if name != "out"]
    others = by_name if isinstance(by_name, Mapping) else {}
    wrong = next((name for name in others.values() if name not in own), None)
    if wrong is not None:
        raise RuleError(f"by_name names the parameter {wrong!r}, expected one of {', '.join(own)}")
    usual = {"self": "input"} if "input" in own and "self" not in own else {}
    return MappingProxyType({**{name: name for name in own}, **usual, **others})


def _in_place_of(known: Entry | None, entry: Entry) -> Entry:
    """``entry`` as a replacement of ``known``, whose kind it keeps if it does not have one."""
    if known is None or known.cost is None or entry.kind is not None:
        return entry
    return changed(entry, kind=known.kind, integers=entry.integers or known.integers, direction=known.direction)


def _same_again(known: Entry, entry: Entry) -> bool:
    """Whether ``entry`` is ``known`` registered again: free as before, or a function of the same name."""
    if known.cost is None or entry.cost is None:
        return known.cost is entry.cost
    names = [
        (getattr(cost, "__module__", None), getattr(cost, "__qualname__", None)) for cost in (known.cost, entry.cost)
    ]
    return names[0] == names[1] and None not in names[0] and not str(names[0][1]).endswith("<lambda>")


def _is_own(function: Any) -> bool:
    """Whether the function is one of the profiler's rules."""
    return str(getattr(function, "__module__", "")).startswith("profiler.rules.")


def _check_names(ops: tuple[Any, ...]) -> None:
    """Raise :class:`RuleError` for an invalid name of an operation, and for a duplicate."""
    if not ops:
        raise RuleError("a rule without an operation: expected the name of one, such as @rule('mylib::gated')")
    for op in ops:
        if not isinstance(op, str) or not re.fullmatch(r"\w+::\w+", op):
            shown = repr(op) if isinstance(op, str) else getattr(op, "__name__", None) or str(op)
            raise RuleError(
                f"the rule of {shown}: expected the operation's name with its namespace and without an overload, "
                "as a string such as 'mylib::gated'"
            )
    twice = next((op for place, op in enumerate(ops) if op in ops[:place]), None)
    if twice is not None:
        raise RuleError(f"operation {twice} is given twice to one rule")


def _check_takes_out(op: str, function: Any) -> None:
    """Raise :class:`RuleError` unless ``function`` can be called with the result of the operation as ``out``."""
    name = getattr(function, "__qualname__", None) or repr(function)
    if not callable(function):
        raise RuleError(f"the rule of {op}: found {function!r}, expected a function of its arguments and of out")
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:  # some callables written in C have no signature
        return
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    by_name = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if not takes_any and ("out" not in parameters or parameters["out"].kind not in by_name):
        raise RuleError(
            f"the rule of {op}: {name} does not take out, the operation's result; "
            f"expected a signature such as ({', '.join([*list(parameters)[:3], '*', 'out'])})"
        )


def _check_reads(op: str, function: Any, reads: Sequence[str]) -> None:
    """Raise :class:`RuleError` for a name in ``reads`` that is not a parameter of ``function``."""
    known = inspect.signature(function).parameters if reads else {}
    for name in reads:
        if name not in known:
            raise RuleError(f"the rule of {op}: reads names {name!r}, expected one of {', '.join(known)}")
