"""Which module of a network is running, for counters that do not say where they count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from profiler.records import CounterFigure


@dataclass(slots=True)
class Running:
    """The names of the modules that are running now, the innermost last; a shared one has its first name."""

    stack: list[str] = field(default_factory=list)

    @property
    def module(self) -> str:
        """The innermost running module, or the network itself."""
        return self.stack[-1] if self.stack else ""


@contextmanager
def running_modules(model: nn.Module) -> Iterator[Running]:
    """Keep the yielded object up to date while ``model`` runs.

    The hooks are torch's global ones: modules with their own hooks would not use their fused kernels.
    """
    running = Running()
    names = {id(module): name for name, module in model.named_modules()}

    def enter(module: nn.Module, inputs: Any) -> None:
        running.stack.append(names.get(id(module), running.module))

    def leave(module: nn.Module, inputs: Any, output: Any) -> None:
        running.stack.pop()

    entering = register_module_forward_pre_hook(enter)
    leaving = register_module_forward_hook(leave, always_call=True)
    try:
        yield running
    finally:
        entering.remove()
        leaving.remove()


class Tally:
    """Numbers by module and operation, summed."""

    def __init__(self) -> None:
        self.numbers: Counter[tuple[str, str]] = Counter()

    def add(self, module: str, op: str, number: int = 1) -> None:
        self.numbers[module, op] += number

    @property
    def total(self) -> int:
        return sum(self.numbers.values())

    def figures(self) -> tuple[CounterFigure, ...]:
        """Those that are not zero."""
        return tuple(CounterFigure(module, op, number) for (module, op), number in self.numbers.items() if number)
