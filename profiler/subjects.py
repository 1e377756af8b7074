"""What is profiled: a network with its inputs, on meta or, if necessary, with real tensors."""

from __future__ import annotations

import base64
import functools
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from profiler.config import Config, InputsFrom, InputValue
from profiler.errors import NeedsDataError, TraceError
from profiler.formatting import bytes_text
from profiler.models.building import build_model, build_real_model
from profiler.models.constructed_inputs import construct_inputs, find_constructor, is_constructor
from profiler.models.inputs import build_inputs, default_inputs
from profiler.models.methods import calling, submodule
from profiler.models.real_copies import BYTES_LIMIT, real_copy, real_inputs, real_size
from profiler.models.refusals import with_next_step
from profiler.models.sizes import ABSENT, given_inputs
from profiler.models.targets import find_builder
from profiler.models.transformers_caches import continued, of_one_token, prefill_inputs
from profiler.records import Mode
from profiler.tracing import Inputs
from profiler.tracing.callables import CallableNetwork, check_arguments, network_of
from profiler.tracing.objects import tensors_in
from profiler.tracing.private import without_compiler
from profiler.tracing.recorded_calls import RecordedCalls, record_calls


@dataclass(frozen=True, slots=True)
class Subject:
    """A network to profile with its inputs: functions that make both, on meta or with real tensors.

    ``real`` takes whether the values of the weights matter.  ``config`` is the config that it was made from, if any.
    """

    static: Callable[[], tuple[nn.Module, Inputs]]
    real: Callable[[bool], tuple[nn.Module, Inputs]]
    config: Config | None = None
    part_calls: Callable[[], int] = lambda: 0
    """How often the whole network calls the profiled part; 0 if the whole network is profiled."""


def given(model: nn.Module, inputs: Any, method: str = "forward") -> Subject:
    """A network object, with its inputs or with a function that makes them."""
    if is_constructor(inputs):
        inputs = construct_inputs(inputs, model)
    model = calling(without_compiler(model), method)

    def real(values_matter: bool) -> tuple[nn.Module, Inputs]:
        return real_copy(model, random_weights=values_matter), real_inputs(inputs)

    return Subject(lambda: (model, inputs), real)


def network_and_inputs(call: Callable[..., Any], inputs: Any, input_size: object) -> tuple[nn.Module, Any]:
    """The network that calls ``call``, and what it is called with; see :func:`network_of`."""
    network = network_of(call)
    inputs = () if inputs is ABSENT and input_size is None else given_inputs(network, inputs, input_size)
    if is_constructor(inputs):
        inputs = construct_inputs(inputs, network)
    check_arguments(call, inputs)
    return network_of(call, inputs), inputs


def called_code(network: CallableNetwork, inputs: Any) -> Subject:
    """A callable, with its arguments: each run copies it together with them."""

    def real(values_matter: bool) -> tuple[nn.Module, Inputs]:
        if not any(tensor.is_meta for tensor in tensors_in(inputs)):
            return network, inputs
        made = real_inputs(inputs)
        return network_of(network.call, made), made

    return Subject(lambda: (network, inputs), real)


def configured(config: Config, build: Callable[..., nn.Module] = build_model) -> Subject:
    """The network that a config names, with its rewrites applied; ``build`` makes the network on meta.

    ``build`` has the arguments of :func:`build_model`.  Profiling does not change the network, so that it may return
    one that it has built before, unless the config has rewrites or a cache.
    """
    model = config.model
    specs = config.inputs if config.inputs is not None else _default_inputs(config)
    if config.cache is not None and config.inputs is None:
        specs = of_one_token(specs)
    generate = config.generate

    def inputs(device: str, network: nn.Module) -> Inputs:
        if generate is not None:
            return prefill_inputs(network, generate.prompt, generate.batch, device)
        called_with = without_cache(device, network)
        return called_with if config.cache is None else continued(network, called_with, config.cache.length)

    def without_cache(device: str, network: nn.Module) -> Inputs:
        if isinstance(specs, InputsFrom):
            constructor = find_constructor(specs.constructor, config.base)
            made: Inputs = construct_inputs(constructor, network, specs.kwargs, name=specs.constructor)
            return made
        return build_inputs(specs, dtype=config.dtype, device=device)

    def rewritten(network: nn.Module, device: str) -> tuple[nn.Module, Inputs]:
        arguments = inputs(device, network)
        network = calling(network, config.method)
        if config.rewrites:
            from profiler.rewrites import apply_rewrites  # few configs have rewrites

            network = apply_rewrites(network.eval(), config.rewrites, arguments)[-1].model
        return network, arguments

    def static() -> tuple[nn.Module, Inputs]:
        return rewritten(build(model.target, model.kwargs, base=config.base, dtype=config.dtype), "meta")

    def real(values_matter: bool) -> tuple[nn.Module, Inputs]:
        network = build_real_model(
            model.target, model.kwargs, base=config.base, dtype=config.dtype, random_weights=values_matter
        )
        return rewritten(network, "cpu")

    whole = Subject(static, real, config)
    return part_of(whole, config.part, config.mode) if config.part else whole


def _default_inputs(config: Config) -> tuple[InputValue, ...] | Mapping[str, InputValue]:
    """The inputs that the target's source knows; none for a generation, which makes its own."""
    if config.generate is not None:
        return ()
    return default_inputs(config.model.target, config.model.kwargs, config.base)


@contextmanager
def advice_of_source(config: Config) -> Iterator[None]:
    """Within it, the error about a network that cannot run has the advice of the target's source."""
    try:
        yield
    except TraceError as error:
        raise with_next_step(error, find_builder(config.model.target, config.base), config.model.kwargs) from error


def part_of(whole: Subject, part: str, mode: Mode) -> Subject:
    """A module of a network, with the inputs of its first call.

    The inputs are recorded in a run of the whole network: on meta, or on real tensors if it cannot run there.
    """

    @functools.cache
    def recorded() -> tuple[nn.Module, RecordedCalls]:
        model, inputs = whole.static()
        module = submodule(model, part, "part")
        try:
            return module, record_calls(model, inputs, part, mode)
        except NeedsDataError as error:
            return module, _recorded_for_real(whole, part, mode, real_size(model), str(error))[1]

    def static() -> tuple[nn.Module, Inputs]:
        module, calls = recorded()
        return module, calls.inputs

    def real(values_matter: bool) -> tuple[nn.Module, Inputs]:
        module, calls = recorded()
        if not values_matter:
            return real_copy(module), real_inputs(calls.inputs)
        size = real_size(whole.static()[0])
        module, calls = _recorded_for_real(whole, part, mode, size, "the part's work depends on its data")
        return module, calls.inputs

    return Subject(static, real, whole.config, lambda: recorded()[1].calls)


def _recorded_for_real(
    whole: Subject, part: str, mode: Mode, size: int, reason: str
) -> tuple[nn.Module, RecordedCalls]:
    if size > BYTES_LIMIT:
        limit = bytes_text(BYTES_LIMIT)
        raise TraceError(f"part {part}: {reason}; a real run would take {bytes_text(size)}, above the limit of {limit}")
    model, inputs = whole.real(True)
    return submodule(model, part, "part"), record_calls(model, inputs, part, mode, real_because=reason)


def packed(config: Config) -> str:
    """A config as text for another process: a pickle, because JSON would convert the keys of kwargs to strings."""
    return base64.b85encode(pickle.dumps(config)).decode("ascii")


def real_network(text: str, base: str) -> tuple[nn.Module, Inputs]:
    """The network and the inputs that a :func:`packed` config names, in another process; ``base`` is its folder."""
    known: Config = pickle.loads(base64.b85decode(text))
    known._path = Path(base) / "config.yaml"
    return configured(known).real(False)
