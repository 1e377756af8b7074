"""Layers of torch that a builder asks for again and again: built once, and copied afterwards.

A network has many equal layers, and the constructor of each spends most of its time on tensors and on numbers in them,
which do not exist on the meta device.  So a layer that is built with the arguments of an earlier one gets a copy of the
state that this one had when it was built.
"""

from __future__ import annotations

import functools
import inspect
import operator
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from profiler.models.layer_states import LayerState, are_values
from profiler.models.quick_modules import STANDS_FOR, quick_modules, set_attribute
from profiler.models.replacing import Replacements
from profiler.tracing.private import dispatch_modes, function_modes, registration_hooks, without_functions

KINDS: tuple[type[nn.Module], ...] = (
    *(nn.Linear, nn.Embedding, nn.LayerNorm, nn.GroupNorm),
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
)
"""Layers with tensors of their own and without modules in them."""

VALUES = frozenset({bool, int, float, str, type(None), torch.dtype, torch.device})
"""Types of immutable values whose texts differ if they do: an argument of one of them is known by its text."""


class RepeatedLayers:
    """The layers that one thread has built, by their classes and arguments.

    A layer is only copied while nothing has changed that a constructor may depend on: the modes
    that see functions and operators, torch's default dtype, and hooks on the registration of tensors.
    ``modes`` are types of function modes that only put a new layer on ``device``; while no other mode is active,
    torch's own constructor runs without them, and puts it there itself.
    """

    def __init__(self, modes: frozenset[type] = frozenset(), device: torch.device | None = None) -> None:
        self._built: dict[Any, LayerState | None] = {}
        self._surroundings = _surroundings()
        self._device = device
        self._is_unseen = modes.issuperset(map(type, function_modes()))
        self._code: dict[type[nn.Module], tuple[Any, ...]] = {}

    def build(self, layer: nn.Module, init: Callable[..., None], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """What ``init``, the constructor of its class, does with a new ``layer``."""
        kind = type(layer)
        are_known = are_values(args) and are_values(kwargs.values())
        if not are_known or vars(layer) or not self._is_of_torch(kind) or not self.is_as_at_first():
            init(layer, *args, **kwargs)
            return
        key = kind, repr(args), repr(kwargs)
        state = self._built.get(key)
        if state is not None:
            with without_functions():
                layer.__dict__.update(state.copy())
            return
        self._construct(layer, init, args, kwargs)
        if self.is_as_at_first():
            with without_functions():
                self._built[key] = _state_of(layer)

    def _is_of_torch(self, kind: type[nn.Module]) -> bool:
        """Whether all that the constructor of the class calls is torch's own code."""
        code = _code(kind)
        if kind not in self._code and tuple([STANDS_FOR.get(function, function) for function in code]) == CODE[kind]:
            self._code[kind] = code
        return code == self._code.get(kind)

    def is_as_at_first(self) -> bool:
        """Whether the surroundings are those in which these layers were built."""
        return _surroundings() == self._surroundings

    def _construct(self, layer: nn.Module, init: Callable[..., None], args: Any, kwargs: dict[str, Any]) -> None:
        """Run the constructor of a layer without ``reset_parameters``, which only fills its tensors with numbers.

        It is called afterwards where that is not all: where a parameter is not on meta, or is empty, of which torch
        warns.
        """
        layer.__dict__["reset_parameters"] = _nothing
        try:
            if self._is_unseen and init is INITS[type(layer)] and len(args) < PLACE_OF_DEVICE[type(layer)]:
                device = kwargs.get("device")
                with without_functions():
                    init(layer, *args, **{**kwargs, "device": self._device if device is None else device})
            else:
                init(layer, *args, **kwargs)
        finally:
            del layer.__dict__["reset_parameters"]
        with without_functions():
            held = [tensor for tensor in layer._parameters.values() if tensor is not None]
            only_fills = all(tensor.is_meta and tensor.numel() for tensor in held)
        if not only_fills:
            RESETS[type(layer)](layer)


def _state_of(layer: nn.Module) -> LayerState | None:
    """What copies of the layer are made from; None if it cannot be copied."""
    try:
        return LayerState(vars(layer))
    except ValueError:
        return None


def _nothing() -> None:
    """Takes the place of ``reset_parameters``: a new buffer already has the numbers that it would get."""


def _surroundings() -> tuple[Any, ...]:
    settings = torch.get_default_dtype(), torch.is_inference_mode_enabled()
    return function_modes(), dispatch_modes(), registration_hooks(), settings


def _code(kind: type[nn.Module]) -> tuple[Any, ...]:
    """What the constructor of a class calls of it and of its bases, which somebody may have replaced."""
    return (*METHODS[kind](kind), *[vars(base).get("__init__") for base in BASES[kind]])


CALLED = (
    *("__setattr__", "register_parameter", "register_buffer"),
    *("reset_parameters", "reset_running_stats", "_fill_padding_idx_with_zero"),
)
"""The methods that the constructor of any of the layers calls."""

METHODS = {kind: operator.attrgetter(*[name for name in CALLED if hasattr(kind, name)]) for kind in KINDS}
BASES = {kind: [base for base in kind.__mro__[1:] if "__init__" in vars(base)] for kind in KINDS}
CODE = {kind: _code(kind) for kind in KINDS}
INITS: dict[type[nn.Module], Any] = {kind: kind.__init__ for kind in KINDS}
RESETS: dict[type[nn.Module], Any] = {kind: kind.reset_parameters for kind in KINDS}  # type: ignore[attr-defined]
"""What torch itself has in these places."""

PLACE_OF_DEVICE = {kind: list(inspect.signature(kind).parameters).index("device") for kind in KINDS}
"""Before how many arguments by position the device comes."""


class _Active(threading.local):
    """The layers that this thread repeats, if it is building."""

    layers: RepeatedLayers | None = None


_active = _Active()


def builds_as_at_first() -> bool:
    """Whether this thread builds, and everything is as at the start that may change what functions of torch do."""
    layers = _active.layers
    return layers is not None and layers.is_as_at_first()


@contextmanager
def layers_repeated(
    hooks: int = 0, modes: frozenset[type] = frozenset(), device: torch.device | None = None
) -> Iterator[None]:
    """Within it, this thread builds equal layers of torch once and copies them; other threads are not affected.

    Entered after the modes in which the builder runs.  ``hooks`` is the number of hooks on the registration of tensors
    that need not be called for a copy; with further ones nothing is copied.  :class:`RepeatedLayers` says what
    ``modes`` and ``device`` are.
    """
    if len(registration_hooks()) != hooks:
        yield
        return
    before = _active.layers
    with _constructors.replaced(), quick_modules():
        _active.layers = RepeatedLayers(modes, device)
        try:
            yield
        finally:
            _active.layers = before


@functools.lru_cache(maxsize=2 * len(KINDS))
def _constructor(kind: Any, init: Callable[..., None]) -> Callable[..., None]:
    """The constructor of a class, by which a thread that builds may get a copy; subclasses run ``init``."""

    @functools.wraps(init)
    def construct(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        layers = _active.layers
        if layers is None or type(self) is not kind:
            init(self, *args, **kwargs)
        else:
            layers.build(self, init, args, kwargs)

    return construct


def _quick_layers() -> list[tuple[Any, str, Any]]:
    kinds: tuple[Any, ...] = KINDS
    constructors = [(kind, "__init__", _constructor(kind, kind.__init__)) for kind in kinds]
    return constructors + [
        (kind, "__setattr__", set_attribute) for kind in KINDS if STANDS_FOR[set_attribute] is kind.__setattr__
    ]


_constructors = Replacements(_quick_layers)
