"""Finding the tensors in nested arguments and results, and describing them as specs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import nn

from profiler.tracing import symbols
from profiler.tracing.private import jagged_values, nested_shapes, stored_values, without_functions

PLAIN = frozenset({torch.Tensor, nn.Parameter})
"""The classes of tensors with the behavior of torch itself."""

EMPTY = frozenset({type(None), bool, int, float, str})
"""Classes of values without tensors that are often among arguments."""

SPARSE = (torch.sparse_coo, torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc)

_DTYPE_NAMES: dict[torch.dtype, str] = {}


def dtype_name(dtype: torch.dtype) -> str:
    """``torch.float32`` → ``"float32"``."""
    name = _DTYPE_NAMES.get(dtype)
    if name is None:
        name = _DTYPE_NAMES[dtype] = str(dtype).removeprefix("torch.")
    return name


def collect(value: Any, found: list[torch.Tensor]) -> None:
    """Append every tensor in operator arguments (nested lists and tuples, one mapping deep) to ``found``."""
    if isinstance(value, torch.Tensor):
        found.append(value)
    elif isinstance(value, (list, tuple)):
        for item in value:
            collect(item, found)
    elif isinstance(value, dict):
        for item in value.values():
            collect(item, found)


def leaves(value: Any) -> Iterator[Any]:
    """Everything in operator arguments that is not a list, tuple or dictionary."""
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, dict):
        yield from leaves(list(value.values()))
    else:
        yield value


def map_arguments(value: Any, change: Callable[[Any], Any]) -> Any:
    """The operator arguments ``value`` with ``change`` applied to every leaf; lists and tuples are kept."""
    if isinstance(value, (list, tuple)):
        return type(value)(map_arguments(item, change) for item in value)
    return change(value)


def shape_of(tensor: torch.Tensor) -> tuple[int, ...]:
    """The shape of a tensor; of a nested one, the shape of its values concatenated along their first dimension."""
    if not tensor.is_nested:
        return tuple(tensor.shape) if symbols.ACTIVE.run is None else tuple(map(symbols.ACTIVE.run.size, tensor.shape))
    if tensor.layout == torch.jagged:
        return tuple(jagged_values(tensor).shape)
    shapes = nested_shapes(tensor) or []
    inner = shapes[0][1:] if shapes else ()
    if all(shape[1:] == inner for shape in shapes):
        return (sum(shape[0] for shape in shapes), *inner)
    return (tensor.numel(),)


def stored_in(tensor: torch.Tensor) -> int | None:
    """The number of stored elements of a sparse tensor, including its dense dimensions; None for a dense one."""
    return stored_values(tensor).numel() if tensor.layout in SPARSE else None


def shapes_in(value: Any) -> tuple[tuple[int, ...], ...]:
    """The shapes of the tensors in a nest of lists, tuples, mappings and dataclasses, in order."""
    return shapes_of(nested_tensors(value))


def shapes_of(tensors: Sequence[torch.Tensor]) -> tuple[tuple[int, ...], ...]:
    """The shapes of ``tensors``; function modes do not see that they are read."""
    if not are_plain(tensors):
        return tuple(map(shape_of, tensors))
    with without_functions():
        if len(tensors) == 1 and not tensors[0].is_nested and symbols.ACTIVE.run is None:
            return (tuple(tensors[0].shape),)
        return tuple([shape_of(tensor) for tensor in tensors])


def are_plain(tensors: Sequence[torch.Tensor]) -> bool:
    """Whether all of them are of torch's own classes."""
    return PLAIN.issuperset(map(type, tensors))


def nested_tensors(value: Any) -> list[torch.Tensor]:
    """The tensors in a nest of lists, tuples, mappings and dataclasses, in order."""
    return [value] if isinstance(value, torch.Tensor) else list(nested_in(value))


def nested_in(value: Any, around: tuple[int, ...] = ()) -> Iterator[torch.Tensor]:
    """The tensors in a nest of lists, tuples, mappings and dataclasses, in order.

    ``around`` are the ids of the containers of ``value``: one that contains itself is not entered again.
    """
    if isinstance(value, torch.Tensor):
        yield value
        return
    if type(value) in EMPTY:
        return
    if isinstance(value, (list, tuple)):
        items: Iterable[Any] = value
    elif isinstance(value, Mapping):
        items = value.values()
    elif is_dataclass(value) and not isinstance(value, type):
        items = [getattr(value, member.name, None) for member in fields(value)]
    else:
        return
    if id(value) not in around:
        for item in items:
            yield from nested_in(item, (*around, id(value)))
