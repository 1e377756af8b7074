"""thop on a real copy of a network → a :class:`~profiler.records.CounterRecord`.

thop hooks modules of certain exact types.  It leaves buffers on the others, so it has to run in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any

from torch import nn

from profiler.crosschecks.calling import installed_version, positional
from profiler.crosschecks.watching import Tally
from profiler.records import CounterRecord

NAME = "thop"


def count_with_thop(model: nn.Module, inputs: Any) -> CounterRecord:
    """What thop says of one call of ``model``; ``seen`` says how often each of its hooks ran."""
    thop: Any = import_module("thop.profile")
    names = {id(module): name for name, module in reversed(list(model.named_modules()))}
    seen = Tally()

    def watched(hook: Callable[[Any, Any, Any], None]) -> Callable[[Any, Any, Any], None]:
        def run(module: nn.Module, inputs: Any, output: Any) -> None:
            hook(module, inputs, output)
            seen.add(names[id(module)], type(module).__name__)

        return run

    known = dict(thop.register_hooks)
    thop.register_hooks.update({kind: watched(hook) for kind, hook in known.items()})
    with positional(model, inputs) as arguments:
        total, _, layers = thop.profile(model, inputs=arguments, verbose=False, ret_layer_info=True)
    figures = Tally()
    unsupported = Tally()
    for name, module, figure in _layers("", model, total, layers):
        figures.add(name, type(module).__name__, figure)
        if type(module) not in known:
            unsupported.add(name, type(module).__name__)
    return CounterRecord(
        NAME, installed_version(NAME), "ok", "", figures.figures(), unsupported.figures(), seen=seen.figures()
    )


def _layers(
    name: str, module: nn.Module, total: float, layers: Mapping[str, Any]
) -> Iterator[tuple[str, nn.Module, int]]:
    """Each path to a module, and what thop says of it without what it says of those below it."""
    below = sum(figure for figure, _, _ in layers.values())
    yield name, module, int(total - below)
    for child, (figure, _, further) in layers.items():
        yield from _layers(f"{name}.{child}" if name else child, module.get_submodule(child), figure, further)
