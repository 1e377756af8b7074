"""The sizes in ``input_size`` → inputs on meta; and a hint if sizes are given in place of inputs."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import torch
from torch import nn

from profiler.config.inputs import MOST_DIMENSIONS, MOST_ELEMENTS
from profiler.errors import ProfilerError, TraceError, shown

EXAMPLE = "input_size=(1, 3, 224, 224)"
EXPECTED = "a size such as (1, 3, 224, 224), batch included, or a list of sizes for several inputs"

ABSENT: Any = object()
"""Marks inputs that were not given; ``None`` is a valid argument."""


def given_inputs(model: nn.Module, inputs: Any, input_size: object) -> Any:
    """The given inputs, or those that ``input_size`` describes.

    A size is a sequence of positive integers; a list or tuple of sizes makes several inputs.  Each input is a
    floating-point tensor on meta, with the dtype of the network's first floating-point parameter.  Raises ProfilerError
    if neither or both are given, or for an invalid size.
    """
    if input_size is None:
        if inputs is ABSENT:
            raise ProfilerError(f"found no inputs, expected the inputs of the network, or {EXAMPLE}")
        return inputs
    if inputs is not ABSENT:
        raise ProfilerError("input_size: found inputs too, expected one of the two")
    dtype = _floating_dtype(model)
    return tuple(torch.empty(size, dtype=dtype, device="meta") for size in _sizes(input_size))


def _sizes(value: object) -> list[tuple[int, ...]]:
    """One size, or several, as tuples."""
    if not isinstance(value, (tuple, list)) or not value:
        raise ProfilerError(f"input_size: found {shown(value)}, expected {EXPECTED}")
    if all(isinstance(item, (tuple, list)) for item in value):
        return [_size(item, value) for item in value]
    return [_size(value, value)]


def _size(value: tuple[Any, ...] | list[Any], whole: object) -> tuple[int, ...]:
    sizes = [_positive(item) for item in value]
    if None in sizes or not sizes:
        raise ProfilerError(f"input_size: found {shown(whole)}, expected positive integers: {EXPECTED}")
    known = tuple(size for size in sizes if size is not None)
    if len(known) > MOST_DIMENSIONS:
        raise ProfilerError(f"input_size: found {len(known)} sizes, expected at most {MOST_DIMENSIONS}")
    if prod(known) > MOST_ELEMENTS:
        raise ProfilerError(f"input_size: found {shown(known)}, expected a size of at most 2^59 elements")
    return known


def _positive(value: object) -> int | None:
    """A positive integer of any integer type (numpy's too, but not a bool); None for anything else."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        return None
    try:
        number = operator.index(value)
    except (TypeError, ValueError, RuntimeError):  # a tensor or an array that is not a single integer
        return None
    return number if number > 0 else None


def _floating_dtype(model: nn.Module) -> torch.dtype:
    """The dtype of the first floating-point parameter; torch's default if there is none."""
    usual = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    found = (parameter.dtype for parameter in model.parameters() if parameter.dtype in usual)
    return next(found, torch.get_default_dtype())


@contextmanager
def sizes_hinted(model: nn.Module, inputs: Any) -> Iterator[None]:
    """If the network fails because sizes were given in place of tensors, or no inputs at all, the error says so."""
    try:
        yield
    except TraceError as error:
        hint = _hint(model, inputs)
        if not hint:
            raise
        raise type(error)(f"inputs: {hint} ({error})") from error


def _hint(model: nn.Module, inputs: Any) -> str:
    if not isinstance(inputs, (tuple, list)):
        return ""
    if not inputs:
        return f"found none, expected tensors or {EXAMPLE}" if _takes_something(model) else ""
    nested = all(isinstance(item, (tuple, list)) and item for item in inputs)
    if all(type(number) is int for size in (inputs if nested else [inputs]) for number in size):
        size = [tuple(item) for item in inputs] if nested else tuple(inputs)
        return f"found integers, expected tensors; for inputs of these sizes give input_size={shown(size)}"
    return ""


def _takes_something(model: nn.Module) -> bool:
    """Whether the forward cannot be called without arguments."""
    try:
        signature = inspect.signature(model.forward)
    except (TypeError, ValueError):  # a callable without a known signature
        return False
    try:
        signature.bind()
    except TypeError:
        return True
    return False
