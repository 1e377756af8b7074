"""What is profiled: a network with its inputs, to be traced on meta and made real where need be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from profiler.config import Config, InputsFrom
from profiler.models.building import build_model, build_real_model
from profiler.models.constructed_inputs import construct_inputs, find_constructor, is_constructor
from profiler.models.inputs import build_inputs, default_inputs
from profiler.models.real_copies import real_copy, real_inputs
from profiler.rewrites import apply_rewrites
from profiler.tracing import Inputs, call_arguments


@dataclass(frozen=True, slots=True)
class Subject:
    """A network to profile with its inputs: to be traced on meta, and made with real tensors where need be.

    ``real`` is told whether the values of the weights matter.  ``config`` is what it was made from, if it was.
    """

    static: Callable[[], tuple[nn.Module, Inputs]]
    real: Callable[[bool], tuple[nn.Module, Inputs]]
    config: Config | None = None


def given(model: nn.Module, inputs: Any) -> Subject:
    """A network that the caller holds, with its inputs or with a function that makes them."""
    if is_constructor(inputs):
        inputs = construct_inputs(inputs, model)

    def real(values_matter: bool) -> tuple[nn.Module, Inputs]:
        return real_copy(model, random_weights=values_matter), real_inputs(inputs)

    return Subject(lambda: (model, inputs), real)


def configured(config: Config) -> Subject:
    """The network that a config names, with its rewrites done."""
    model = config.model
    specs = config.inputs if config.inputs is not None else default_inputs(model.target, model.kwargs, config.base)

    def inputs(device: str, network: nn.Module) -> Inputs:
        if isinstance(specs, InputsFrom):
            constructor = find_constructor(specs.constructor, config.base)
            made: Inputs = construct_inputs(constructor, network, specs.kwargs, name=specs.constructor)
            return made
        arguments, options = build_inputs(specs, dtype=config.dtype, device=device)
        return options if isinstance(specs, Mapping) else arguments

    def rewritten(network: nn.Module, device: str) -> tuple[nn.Module, Inputs]:
        arguments = inputs(device, network)
        if config.rewrites:
            network = apply_rewrites(network.eval(), config.rewrites, arguments)[-1].model
        return network, arguments

    def static() -> tuple[nn.Module, Inputs]:
        return rewritten(build_model(model.target, model.kwargs, base=config.base, dtype=config.dtype), "meta")

    def real(values_matter: bool) -> tuple[nn.Module, Inputs]:
        network = build_real_model(
            model.target, model.kwargs, base=config.base, dtype=config.dtype, random_weights=values_matter
        )
        return rewritten(network, "cpu")

    return Subject(static, real, config)


def real_network(config: str, base: str) -> tuple[nn.Module, tuple[Any, ...] | dict[str, Any]]:
    """The network and the arguments that a config names, for another process: the config as JSON, and its folder."""
    known = Config.model_validate_json(config)
    known._path = Path(base) / "config.yaml"
    model, inputs = configured(known).real(False)
    arguments, options = call_arguments(inputs)
    return model, options or arguments
