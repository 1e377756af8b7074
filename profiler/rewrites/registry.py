"""A network → an equivalent network, with a report of what was changed, what was not and why; the registry."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from profiler.errors import FOREIGN_ERRORS, ProfilerError, did_you_mean
from profiler.tracing import Inputs
from profiler.tracing.private import without_compiler


@dataclass(frozen=True, slots=True)
class Change:
    """One module that a rewrite changed: its fully qualified name, before and after."""

    module: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Left:
    """One module that a rewrite did not change, and the reason."""

    module: str
    type: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The result of a rewrite: the new network and a report of the changes."""

    rewrite: str
    model: nn.Module
    changes: tuple[Change, ...]
    left: tuple[Left, ...]


Rewrite = Callable[..., Rewritten]
"""``rewrite(model, inputs, **options)``: ``inputs`` are the inputs of the network, or None if they are not known."""

REWRITES: dict[str, Rewrite] = {}


def register(name: str) -> Callable[[Rewrite], Rewrite]:
    """Register the decorated function as the rewrite ``name``; a name can be registered once."""

    def add(function: Rewrite) -> Rewrite:
        if name in REWRITES:
            raise ProfilerError(f"rewrite {name} is registered already; a rewrite can be registered once")
        REWRITES[name] = function
        return function

    return add


def rewrite(model: nn.Module, name: str, inputs: Inputs | None = None, **options: Any) -> Rewritten:
    """The network that the rewrite ``name`` makes from ``model``, which is not changed, and the report.

    ``inputs`` are the inputs of the network; tensors on meta are enough.  They are optional: with them, a rewrite
    changes and checks more.  Raises ProfilerError if there is no such rewrite, it refuses its options, or the network
    cannot be rewritten.
    """
    if name not in REWRITES:
        raise ProfilerError(
            f"rewrite {name!r} is not known, expected one of {', '.join(REWRITES)}{did_you_mean(name, REWRITES)}"
        )
    if not isinstance(model, nn.Module):
        raise ProfilerError(f"{name} expects a torch.nn.Module, not {type(model).__name__}")
    made_by = REWRITES[name]
    try:
        inspect.signature(made_by).bind(model, inputs, **options)
    except TypeError as error:
        raise ProfilerError(f"rewrite {name}: {error}") from error
    return made_by(without_compiler(model), inputs, **options)


def apply_rewrites(
    model: nn.Module, steps: Sequence[str | Mapping[str, Mapping[str, Any] | None]], inputs: Inputs | None = None
) -> tuple[Rewritten, ...]:
    """Apply the rewrites ``steps`` one after the other, each to the result of the one before.

    A step is a name or a mapping of one name to its options, as in a config.
    """
    results: list[Rewritten] = []
    for step in steps:
        if not isinstance(step, str) and len(step) != 1:
            raise ProfilerError(
                f"rewrites: found {dict(step)}, expected a name or a mapping of one name to its options"
            )
        name, options = (step, None) if isinstance(step, str) else next(iter(step.items()))
        result = rewrite(model, name, inputs, **(options or {}))
        results.append(result)
        model = result.model
    return tuple(results)


def copied(model: nn.Module, name: str) -> nn.Module:
    """A deep copy of ``model``, for the rewrite ``name`` to change."""
    try:
        return copy.deepcopy(model)
    except FOREIGN_ERRORS as error:
        raise ProfilerError(
            f"{name}: {type(model).__name__} cannot be copied: {type(error).__name__}: {error}"
        ) from error


def replace_module(root: nn.Module, name: str, module: nn.Module) -> None:
    """Replace the module ``name`` of ``root`` by ``module``, with the same training mode."""
    parent, _, last = name.rpartition(".")
    holder = root.get_submodule(parent)
    module.training = holder.get_submodule(last).training
    setattr(holder, last, module)


def described(module: nn.Module) -> str:
    """``Conv2d(3, 64, kernel_size=(3, 3), stride=(1, 1))``: the type and its ``extra_repr``."""
    return f"{type(module).__name__}({module.extra_repr()})"
