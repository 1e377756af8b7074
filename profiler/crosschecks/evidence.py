"""What two records report of one module, and what another counter should have reported of its calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from profiler.crosschecks import reasons
from profiler.crosschecks.reasons import Part
from profiler.records import CounterRecord, ModuleRecord, OpCall, ParameterRecord, Trace

SAMPLES = "samples"
"""The name in ``seen`` of the number that a counter divides by."""

STATES_LIMIT = 20_000
"""The largest number of sums that the search for the calls seen by a counter tries."""


@dataclass(frozen=True, slots=True)
class Item:
    """Work of ours with what a counter reports of it when it sees it.

    ``figure`` is what it says, under ``label``, as that of ``calls`` calls; ``parts`` are the reasons why that is
    not ``ours``.  ``unseen`` is the reason why it may have reported nothing, if there is evidence that it did not see
    it.  ``times`` says how often it adds up what it says under this label.  An empty label is for work that it says
    nothing of.
    """

    label: str
    ours: int
    parts: tuple[Part, ...] = ()
    calls: int = 1
    unseen: Part | None = None
    times: int = 1

    @property
    def figure(self) -> int:
        return self.ours + sum(part.amount for part in self.parts)


@dataclass(frozen=True, slots=True)
class Module:
    """What the two records hold of one module, under all its names.

    ``whole`` is the reason why the counter says nothing of any of its work, if there is evidence; ``paths`` is how
    often the module is met if each parent enumerates its children.
    """

    name: str
    record: ModuleRecord
    calls: tuple[OpCall, ...]
    reported: Counter[str]
    seen: Counter[str] | None
    unsupported: Counter[str]
    whole: Part | None
    paths: int
    context: Context

    def by_call(self) -> list[list[OpCall]]:
        """The operation calls of each call of the module."""
        groups: dict[tuple[str, int], list[OpCall]] = {}
        for call in self.calls:
            groups.setdefault((call.module, call.module_call), []).append(call)
        return list(groups.values())


@dataclass
class Context:
    """What the two records report of the whole network: its modules by their first names, in order."""

    trace: Trace
    counter: CounterRecord
    modules: dict[str, Module] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        """The length of the first input, for a counter that divides by it."""
        return next((figure.figure for figure in self.counter.seen if figure.op == SAMPLES), 1)

    @cached_property
    def parameters(self) -> dict[str, dict[str, ParameterRecord]]:
        """The parameters that each module holds itself, by their names in the module."""
        first_names = {record.name: record.first_name for record in self.trace.modules}
        held: dict[str, dict[str, ParameterRecord]] = {}
        for record in self.trace.parameters:
            for name in record.names:
                module, _, parameter = name.rpartition(".")
                if not record.buffer:
                    held.setdefault(first_names.get(module, module), {})[parameter] = record
        return held


Convention = Callable[[Module], Iterable[Item]]
"""What a counter reports of a module's calls, item by item."""


def chosen(items: Sequence[Item], reported: int, seen: int | None) -> list[bool] | None:
    """The ``items`` that the counter saw, from the sum and the number of calls that it ``reported``.

    Items without a reason for being unseen were seen. ``None`` if no choice gives the report.
    """
    if sum(item.figure for item in items) == reported and seen in (None, sum(item.calls for item in items)):
        return [True] * len(items)
    if reported == 0 and not seen and all(item.unseen is not None for item in items):
        return [False] * len(items)
    states: dict[tuple[int, int], tuple[bool, ...]] = {(0, 0): ()}
    for item in items:
        reached: dict[tuple[int, int], tuple[bool, ...]] = {}
        for (figure, calls), choice in states.items():
            with_it = (figure + item.figure, calls + (item.calls if seen is not None else 0))
            reached.setdefault(with_it, (*choice, True))
            if item.unseen is not None:
                reached.setdefault((figure, calls), (*choice, False))
        states = reached
        if len(states) > STATES_LIMIT:
            return None
    choice_made = states.get((reported, seen or 0))
    return None if choice_made is None else list(choice_made)


def explain(items: Sequence[Item], module: Module) -> tuple[list[Part], int]:
    """The reasons for the difference at one module, and the unexplained rest under each label.

    A figure under one label is explained if the counter's convention gives exactly that figure; otherwise its whole
    difference is unexplained.
    """
    parts = [part for item in items if not item.label for part in item.parts]
    left = 0
    by_label: dict[str, list[Item]] = {}
    for item in items:
        if item.label:
            by_label.setdefault(item.label, []).append(item)
    for label in [*by_label, *(label for label in module.reported if label not in by_label)]:
        group = by_label.get(label, [])
        reported = module.reported[label]
        times = max((item.times for item in group), default=1)
        choice = None
        if reported % times == 0:
            seen = None if module.seen is None else module.seen[label]
            choice = chosen(group, reported // times, seen)
        if choice is None:
            left += abs(reported - sum(item.ours for item in group))
            continue
        for item, was_seen in zip(group, choice, strict=True):
            parts += item.parts if was_seen else _not_seen(item)
        parts.append(Part(reported - reported // times, reasons.PARENTS))
    return parts, left


def _not_seen(item: Item) -> list[Part]:
    assert item.unseen is not None
    return [Part(-item.ours, item.unseen.reason, item.unseen.about)]
