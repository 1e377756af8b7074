"""The inputs of a config → the arguments of the network's forward, on meta or with real values.

If a config has no inputs, the source of its target may know them.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from profiler.config import INTEGER_DTYPES, InputsOfCall, InputSpec, InputValue
from profiler.errors import FOREIGN_ERRORS, TargetError
from profiler.models.building import build_model
from profiler.models.methods import calling
from profiler.models.sources import Ask
from profiler.models.targets import find_builder, reason
from profiler.tracing.results import result_on_meta


def default_inputs(
    target: str, kwargs: Mapping[str, Any] | None = None, base: Path | None = None
) -> tuple[InputValue, ...] | Mapping[str, InputValue]:
    """The inputs of the network that ``target`` builds from ``kwargs``, as its source knows them.

    They have the form of a config's ``inputs``.  Raises TargetError if the source does not know them.
    """
    builder = find_builder(target, base)
    unknown = f"target {target}: its inputs are not known, give their shapes: inputs in a config, or --input"
    if builder.inputs is None:
        raise TargetError(unknown)
    try:
        made = builder.inputs(**(kwargs or {}))
        if builder.completed is None:
            return made
        return builder.completed(made, _asking(target, kwargs, base), **(kwargs or {}))
    except TargetError:
        raise
    except FOREIGN_ERRORS as error:
        raise TargetError(f"{unknown} ({reason(error)})") from error


def _asking(target: str, kwargs: Mapping[str, Any] | None, base: Path | None) -> Ask:
    """A function that calls methods of the network that ``target`` builds; it is built at the first call."""
    built = functools.cache(lambda: build_model(target, kwargs, base=base))

    def ask(method: str, inputs: Mapping[str, InputValue]) -> Any:
        return result_on_meta(calling(built(), method), build_inputs(inputs)[1])

    return ask


def build_inputs(
    inputs: tuple[InputValue, ...] | Mapping[str, InputValue] | InputsOfCall,
    *,
    dtype: str = "float32",
    device: str = "meta",
    seed: int = 0,
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """``inputs`` as (positional arguments, keyword arguments): from a tuple, a mapping, or
    ``{args: [...], kwargs: {...}}`` for both.

    A tensor without a dtype has ``dtype``.  On a real device the values are drawn from a generator with
    ``seed``: floating-point ones are normally distributed, integers lie in ``low`` ≤ value < ``high``.  Lists,
    mappings and plain values are passed through, with the tensors in them built.
    """
    generator = torch.Generator().manual_seed(seed)

    def build(value: Any) -> Any:
        if isinstance(value, InputSpec):
            return _tensor(value, dtype, device, generator)
        if isinstance(value, Mapping):
            return {key: build(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [build(item) for item in value]
        return value

    if isinstance(inputs, InputsOfCall):
        return tuple(map(build, inputs.args)), {key: build(value) for key, value in inputs.kwargs.items()}
    if isinstance(inputs, Mapping):
        return (), {key: build(value) for key, value in inputs.items()}
    return tuple(build(value) for value in inputs), {}


def _tensor(spec: InputSpec, default_dtype: str, device: str, generator: torch.Generator) -> torch.Tensor:
    name = spec.dtype or default_dtype
    dtype: torch.dtype = getattr(torch, name)
    if spec.values is not None:  # real even for meta, since branches of a forward may depend on them
        return torch.tensor(spec.values, dtype=dtype).reshape(spec.shape)
    low, high = spec.integer_range
    if device == "meta" and high == low + 1:  # only one value is possible, so it is known
        return torch.full(spec.shape, low, dtype=dtype, device="cpu")
    if device == "meta":
        return torch.empty(spec.shape, dtype=dtype, device="meta")
    if name in INTEGER_DTYPES or name == "bool":
        values = torch.randint(low, high, spec.shape, generator=generator)
    else:
        drawn = dtype if dtype.is_complex or name == "float64" else torch.float32
        values = torch.randn(spec.shape, generator=generator, dtype=drawn)
    return values.to(device=device, dtype=dtype)
