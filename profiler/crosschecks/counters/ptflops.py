"""ptflops on a real copy of a network → a :class:`~profiler.records.CounterRecord`.

ptflops hooks modules of certain exact types and patches functions of torch, so it has to run in a process of its own.
What its hooks count is divided by the length of the first input; what its patches count is not.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from typing import Any

import torch
from torch import nn

from profiler.crosschecks.calling import all_by_name, installed_version
from profiler.crosschecks.watching import Running, Tally, running_modules
from profiler.errors import ProfilerError
from profiler.records import CounterRecord
from profiler.tracing import Inputs, call_arguments

NAME = "ptflops"


def count_with_ptflops(model: nn.Module, inputs: Inputs) -> CounterRecord:
    """What ptflops says of one call of ``model``.

    A figure goes by the type of the module that it hooked, or by ``F.`` or ``torch.`` and the function that it
    patched; ``seen`` says how often each ran, and by how many samples it divides.  It is skipped where the network is
    called with several positional arguments that have no names: ptflops passes one tensor or keyword arguments.
    """
    given = _one_or_named(model, inputs)
    if given is None:
        reason = "it calls a network with one tensor or with keyword arguments only"
        return CounterRecord(NAME, installed_version(NAME), "skipped", reason)
    engine: Any = import_module("ptflops.pytorch_engine")
    seen, hooked, patched = Tally(), Tally(), Tally()
    names = {id(module): name for name, module in reversed(list(model.named_modules()))}

    def watched(hook: Callable[[Any, Any, Any], None]) -> Callable[[Any, Any, Any], None]:
        def run(module: Any, inputs: Any, output: Any) -> None:
            before = module.__flops__
            hook(module, inputs, output)
            hooked.add(names[id(module)], type(module).__name__, int(module.__flops__) - int(before))
            seen.add(names[id(module)], type(module).__name__)

        return run

    functions = {id(function): name for name, function in vars(nn.functional).items() if callable(function)}
    mapping = engine.MODULES_MAPPING
    mapping.update({kind: watched(hook) for kind, hook in mapping.items()})
    with running_modules(model) as running:
        engine.torch_function_wrapper = _watched_wrapper(
            engine.torch_function_wrapper, functions, running, patched, seen
        )
        total = _run(model, given)
    batch = model.__dict__["__batch_counter__"] or 1
    seen.add("", "samples", batch)
    figures, unsupported = Tally(), Tally()
    for name, module in _counted_paths("", model, mapping):
        if type(module) in mapping:
            figure = hooked.numbers[names[id(module)], type(module).__name__]
            figures.add(name, type(module).__name__, figure // batch)
        else:
            unsupported.add(name, type(module).__name__)
    for (name, function), figure in patched.numbers.items():
        figures.add(name, function, figure)
    figures.add("", "other", total - figures.total)
    return CounterRecord(
        NAME, installed_version(NAME), "ok", "", figures.figures(), unsupported.figures(), seen=seen.figures()
    )


def _run(model: nn.Module, given: Any) -> int:
    """The total, in eval mode; ptflops prints what goes wrong and returns nothing."""
    ptflops: Any = import_module("ptflops")
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        macs, _ = ptflops.get_model_complexity_info(
            model, (1,), as_strings=False, print_per_layer_stat=False, input_constructor=lambda _: given
        )
    if macs is None:
        lines = [line for line in said.getvalue().splitlines() if line.startswith("<class")]
        raise ProfilerError(lines[0] if lines else "it gave no figure")
    return int(macs)


def _one_or_named(model: nn.Module, inputs: Inputs) -> Any:
    """The only argument, or all of them by the names that the forward gives them; None where some have none."""
    arguments, options = call_arguments(inputs)
    if len(arguments) == 1 and not options and isinstance(arguments[0], torch.Tensor):
        return arguments[0]
    return all_by_name(model, inputs)


def _watched_wrapper(wrapper: Any, functions: Mapping[int, str], running: Running, figures: Tally, seen: Tally) -> Any:
    """ptflops' class of patched functions, which notes in which module they are called."""

    class Watched(wrapper):  # type: ignore[misc]
        def __init__(self, op: Any, handler: Any, collector: Any) -> None:
            self.name = f"F.{functions[id(op)]}" if id(op) in functions else f"torch.{op.__name__}"
            super().__init__(op, handler, collector)

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            before = len(self.collector)
            result = super().__call__(*args, **kwargs)
            figures.add(running.module, self.name, int(self.collector[before]))
            seen.add(running.module, self.name)
            return result

    return Watched


def _counted_paths(name: str, module: nn.Module, mapping: Mapping[Any, Any]) -> Iterator[tuple[str, nn.Module]]:
    """Each path to a module that ptflops adds up: not those below a module of a type that it knows."""
    yield name, module
    if type(module) not in mapping:
        for child, below in module.named_children():
            yield from _counted_paths(f"{name}.{child}" if name else child, below, mapping)
