"""Asking a rule what a call costs: its arguments and results as specs, nested tensors part by part."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from profiler.errors import FOREIGN_ERRORS, RuleError, UncountedError
from profiler.opcount import Term
from profiler.records import TensorSpec, show_shapes
from profiler.rules.registry import Entry
from profiler.tracing.tensors import RealTensorSpec, collect, component_shapes, map_arguments, shape_of

Call = tuple[Any, dict[str, Any], Any]
"""The positional arguments, the keyword arguments and the result of a call."""


def ask(
    entry: Entry,
    call: Call,
    tensors: tuple[torch.Tensor, ...],
    specs: dict[int, TensorSpec],
    values_of: Callable[[torch.Tensor], torch.Tensor | None],
) -> tuple[str, tuple[Term, ...]]:
    """The kind and the terms of a call, by its rule; ``specs`` are those of all its ``tensors``, by their ids.

    ``values_of`` a meta tensor may be known all the same; of any other it is the tensor itself.  Raises UncountedError
    where the rule does, and RuleError where it fails.
    """

    def describe(leaf: Any) -> Any:
        if not isinstance(leaf, torch.Tensor):
            return leaf
        spec = specs[id(leaf)]
        values = values_of(leaf)
        if values is None:
            return spec
        return RealTensorSpec(spec.shape, spec.dtype, spec.parameter, spec.stored, spec.zeros, tensor=values)

    try:
        components = {id(tensor): component_shapes(tensor) for tensor in tensors if tensor.is_nested}
        if not components:
            return _apply(entry, call, describe)
        return _apply_to_each(entry, call, components, describe)
    except UncountedError:
        raise
    except FOREIGN_ERRORS as error:
        found: list[torch.Tensor] = []
        collect(call[0], found)
        raise RuleError(
            f"the rule of {entry.op} failed on {show_shapes(tuple(map(shape_of, found)))}: "
            f"{type(error).__name__}: {error}"
        ) from error


def _apply(entry: Entry, call: Call, describe: Callable[[Any], Any]) -> tuple[str, tuple[Term, ...]]:
    """What the rule says, ``describe`` turning arguments and results into specs."""
    args, options, out = call
    described = {key: map_arguments(value, describe) for key, value in options.items()}
    return entry.apply(*map_arguments(args, describe), out=map_arguments(out, describe), **described)


def _apply_to_each(
    entry: Entry, call: Call, components: dict[int, list[tuple[int, ...]]], describe: Callable[[Any], Any]
) -> tuple[str, tuple[Term, ...]]:
    """The work on nested tensors: that on each of the tensors which they hold, whose shapes are ``components``.

    Where a result is no nested tensor (the gradient of a weight), on all of them, put one after the other.
    """
    results: list[torch.Tensor] = []
    collect(call[2], results)
    if not all(tensor.is_nested for tensor in results):
        if any(len({shape[2:] for shape in shapes}) > 1 for shapes in components.values()):
            raise UncountedError("there is no rule for what gathers tensors that differ in more than one size")
        return _apply(entry, call, describe)

    def component(index: int, leaf: Any) -> Any:
        spec = describe(leaf)
        if id(leaf) not in components:
            return spec
        return TensorSpec(components[id(leaf)][index], spec.dtype, spec.parameter)

    kind, terms = "movement", list[Term]()
    for index in range(len(next(iter(components.values())))):
        kind, more = _apply(entry, call, partial(component, index))
        terms.extend(more)
    return kind, tuple(terms)
