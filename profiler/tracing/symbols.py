"""A run in which sizes of inputs are symbols: torch's own shape functions then say what every other size is.

While such a run is active, tracing converts every size that torch gives it to a :class:`~profiler.symbolic.sizes.Size`,
and does nothing that would need a number: it has no memo and follows no values.
"""

from __future__ import annotations

import re
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from profiler.errors import TraceError
from profiler.tracing.private import python_kernels, symbolic_shapes

if TYPE_CHECKING:
    from profiler.symbolic.sizes import Guards

PACKAGE = Path(__file__).parents[1]
TORCH = Path(torch.__file__).parent

Dimension = tuple[int, Mapping[str, int]]
"""A size of an input: a number plus so many times each name."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """A comparison by which a network fixes a size, or limits it: where it is, and the code or operation that asks."""

    module: str
    what: str


@dataclass(eq=False)
class SymbolicRun:
    """A run with symbols for the sizes in ``values``, which have these values in it.

    ``dimensions`` has the shapes of inputs with names in them, by the ids of the inputs.  ``guards`` collects the
    conditions on the sizes, and ``reasons`` says what decides by them.
    """

    values: Mapping[str, int]
    dimensions: Mapping[int, Sequence[Dimension]]
    guards: Guards
    reasons: dict[str, Fixed] = field(default_factory=dict)
    module: Callable[[], str] = lambda: ""
    operation: str = ""

    def __post_init__(self) -> None:
        from profiler.symbolic.expressions import symbol

        self._shapes = symbolic_shapes(self._note)
        self._symbols = {name: self._shapes.size(name, value) for name, value in self.values.items()}
        self._names = {self._shapes.symbol(size): symbol(name) for name, size in self._symbols.items()}

    def size(self, size: Any) -> Any:
        """A size as tracing keeps it: a number, or an expression of names."""
        if type(size) is int:
            return size
        if not isinstance(size, torch.SymInt):
            return int(size)
        from profiler.symbolic.expressions import from_torch
        from profiler.symbolic.sizes import Size

        expression = self._shapes.simplified(size)
        if expression.is_number:
            return int(expression)
        return Size(from_torch(expression, self._names), self._shapes.hint(size), self.guards)

    def input(self, tensor: torch.Tensor) -> torch.Tensor | None:
        """The meta tensor with symbols in its shape for an input of the run; None if no name is in its shape."""
        dimensions = self.dimensions.get(id(tensor))
        if dimensions is None:
            return None
        if not tensor.is_contiguous():
            raise TraceError("an input with named sizes is not contiguous in memory")
        shape: list[Any] = []
        for number, times in dimensions:
            size: Any = number
            for name, factor in times.items():
                size = size + factor * self._symbols[name]
            shape.append(size)
        with python_kernels():
            return torch.empty(shape, dtype=tensor.dtype, device="meta")

    def conditions(self) -> dict[Any, str]:
        """The conditions under which every size is what this run says, each with the reason for it."""
        from profiler.symbolic.expressions import relation_from_torch

        found = dict(self.guards.conditions)
        for guard in self._shapes.guards():
            reason = self.reasons.get(str(guard), Fixed("", ""))
            where = f"module {reason.module}" if reason.module else "the network"
            found.setdefault(relation_from_torch(guard, self._names), f"{where}: {reason.what}")
        return found

    @contextmanager
    def running(self, operation: str) -> Iterator[None]:
        """Within it, this operation runs."""
        before, self.operation = self.operation, operation
        try:
            with python_kernels():
                yield
        finally:
            self.operation = before

    def replacements(self) -> dict[Any, int]:
        """The names that the network has fixed, each with its number."""
        return {
            name: int(number)
            for symbol, name in self._names.items()
            if (number := self._shapes.replaced(symbol)).is_number
        }

    def reason_of(self, name: str) -> str:
        """Who fixed the size of that name, and with which operation or line of code."""
        symbol = next(symbol for symbol, known in self._names.items() if known.name == name)
        for guard, reason in self.reasons.items():
            if re.search(rf"\b{symbol}\b", guard):
                return f"{reason.module or 'the network'}: {reason.what}"
        return ""

    def _note(self, guard: Any) -> None:
        self.reasons.setdefault(str(guard), Fixed(self.module(), self.operation or _code_of_network()))

    @contextmanager
    def active(self) -> Iterator[None]:
        """Within it, tracing in this thread works with symbols; one run at a time in a process."""
        with _ONE_AT_A_TIME, self._shapes.at_least_two(), in_this_thread(self):
            yield


class _Active(threading.local):
    """The run with symbols that traces this thread, if any: a profile in another thread has numbers."""

    run: SymbolicRun | None = None


ACTIVE = _Active()

_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def in_this_thread(run: SymbolicRun | None) -> Iterator[None]:
    """Within it, this thread takes part in ``run``, or in none."""
    before, ACTIVE.run = ACTIVE.run, run
    try:
        yield
    finally:
        ACTIVE.run = before


def has_symbols(value: Any) -> bool:
    """Whether a size in operator arguments, or one of a tensor in them, is a symbol."""
    if isinstance(value, torch.Tensor):
        return any(type(size) is not int for size in value.shape)
    if isinstance(value, (list, tuple)):
        return any(map(has_symbols, value))
    if isinstance(value, dict):
        return any(map(has_symbols, value.values()))
    return isinstance(value, (torch.SymInt, torch.SymFloat, torch.SymBool))


def _code_of_network() -> str:
    """The line of the network's code that is running: the innermost one outside torch and this package."""
    for frame in reversed(traceback.extract_stack()):
        path = Path(frame.filename)
        if not path.is_relative_to(PACKAGE) and not path.is_relative_to(TORCH) and frame.line:
            return frame.line
    return ""
