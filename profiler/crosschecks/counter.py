"""What the profiler knows of another counter; each counter is one file in ``crosschecks/counters``, found by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from profiler import catalog
from profiler.crosschecks import reasons
from profiler.crosschecks.evidence import Convention
from profiler.crosschecks.reasons import Reason
from profiler.errors import ProfilerError
from profiler.records import CounterFigure

if TYPE_CHECKING:
    from torch import nn

PACKAGE = "profiler.crosschecks.counters"


class CannotRun(ProfilerError):
    """Raised by a counter's ``run`` for a network that it cannot take; the record is skipped with this message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What a counter reports of one call of a network; the fields are those of a ``CounterRecord``."""

    figures: tuple[CounterFigure, ...]
    unsupported: tuple[CounterFigure, ...] = ()
    uncalled: tuple[str, ...] = ()
    seen: tuple[CounterFigure, ...] = ()
    factor: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """Another counter: how it is run, and how it counts.

    ``run(model, inputs)`` runs it on one call of a network in eval mode; it imports torch and the counter itself, so
    that a stored record is explained without them.  Whatever it raises becomes a record with the status ``"failed"``.
    ``convention`` restates on the calls of one module what the counter reports of it, and says why that is not our
    MACs; what it does not give is unexplained.
    """

    run: Callable[[nn.Module, Any], Reported]
    convention: Convention
    distribution: str
    """The package to install."""
    own_process: bool = False
    """Whether it patches torch or changes the network, or may: it then runs in a separate process."""
    on_meta: bool = False
    """Whether it gets the network itself, on meta; otherwise it gets a copy with real tensors."""
    reports_calls: bool = True
    """Whether ``seen`` has the number of calls in each figure."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Operations that its record holds under several names for one kind of work."""
    reasons: tuple[Reason, ...] = ()
    """The reasons that only this counter has."""
    hooks: Callable[[str, bool], bool] | None = None
    """Whether it has a hook for modules of a type, with children or without; None if it sees operators."""
    predictable: bool = True
    """Whether its report follows from the records by its convention, and is not that of another counter here."""


def find_counter(name: str) -> Counter:
    """The counter of this name. Raises :class:`~profiler.errors.ProfilerError`."""
    if name not in catalog.counters():
        raise ProfilerError(f"counter {name!r} is not known, expected one of {', '.join(catalog.counters())}")
    counter: Counter = import_module(f"{PACKAGE}.{name.replace('-', '_')}").COUNTER
    return counter


def all_reasons() -> tuple[Reason, ...]:
    """The reasons that counters share, then those of single counters."""
    return (*reasons.SHARED, *(reason for name in catalog.counters() for reason in find_counter(name).reasons))
