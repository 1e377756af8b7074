"""Where the time of a first profile goes: ``python -m benchmarks.parts [NETWORK]``.

Each part is measured by a clock around its function, as a multiple of one bare forward pass on meta: the smallest of
several repeats.  Parts that contain others are named before them.
"""

from __future__ import annotations

import functools
import gc
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from benchmarks.networks import bare_forward, on_meta
from benchmarks.profiling import forget, make_tables, warm_up

REPEATS = 7

PARTS: tuple[tuple[str, str, str], ...] = (
    ("make of the network", "profiler.tracing.makes", "Makes.of"),
    ("copy on meta", "profiler.tracing.running", "attempt_on_meta"),
    ("run", "profiler.tracing.running", "_run_inference"),
    ("run: blocks, before it", "profiler.tracing.layer_calls", "Blocks.__init__"),
    ("run: keys and answers of calls", "profiler.tracing.layer_calls", "LayerCalls.answer"),
    ("run: what calls are remembered", "profiler.tracing.layer_calls", "LayerCalls.learn"),
    ("records of modules and parameters", "profiler.tracing.running", "_records"),
    ("records of events", "profiler.tracing.running", "recording_of"),
    ("prices", "profiler.traces", "price"),
)
"""What each part is, and the function that does it."""


@contextmanager
def clocks(spent: dict[str, float]) -> Iterator[None]:
    """Within it, the CPU time of each part is added to ``spent``."""
    restored: list[tuple[Any, str, Any]] = []
    for label, module, path in PARTS:
        holder: Any = import_module(module)
        *outer, name = path.split(".")
        for part in outer:
            holder = getattr(holder, part)
        original = getattr(holder, name)
        restored.append((holder, name, original))
        setattr(holder, name, _clocked(original, label, spent))
    try:
        yield
    finally:
        for holder, name, original in restored:
            setattr(holder, name, original)


def _clocked(function: Callable[..., Any], label: str, spent: dict[str, float]) -> Callable[..., Any]:
    @functools.wraps(function)
    def clocked(*args: Any, **kwargs: Any) -> Any:
        start = time.process_time()
        try:
            return function(*args, **kwargs)
        finally:
            spent[label] = spent.get(label, 0.0) + time.process_time() - start

    return clocked


def measure(network: str) -> dict[str, float]:
    """Each part as a multiple of one bare forward pass."""
    import profiler

    warm_up()
    model, x = on_meta(network)
    forward = bare_forward(model, x)
    forward()
    found: dict[str, list[float]] = {}
    for _ in range(REPEATS):
        gc.collect()
        start = time.process_time()
        forward()
        found.setdefault("forward", []).append(time.process_time() - start)
        forget()
        spent: dict[str, float] = {}
        with clocks(spent):
            gc.collect()
            start = time.process_time()
            profile = profiler.profile(model, x)
            spent["profile"] = time.process_time() - start
        start = time.process_time()
        make_tables(profile)
        spent["tables"] = time.process_time() - start
        for label, seconds in spent.items():
            found.setdefault(label, []).append(seconds)
    bare = min(found.pop("forward"))
    return {label: min(values) / bare for label, values in found.items()}


def main() -> None:
    """Print the parts of one network."""
    network = sys.argv[1] if len(sys.argv) > 1 else "resnet50"
    found = measure(network)
    print(f"{network}: a first profile and its tables, as multiples of one bare forward pass on meta")
    for label in ("profile", *(label for label, _, _ in PARTS), "tables"):
        print(f"  {label:34} {found.get(label, 0):.3f}")


if __name__ == "__main__":
    main()
