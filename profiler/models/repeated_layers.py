"""Layers of torch that a builder asks for again and again: built once, and copied afterwards.

A network has many equal layers, and the constructor of each spends most of its time on tensors and on numbers in them,
which do not exist on the meta device.  So a layer that is built with the arguments of an earlier one gets a copy of the
state that this one had when it was built.
"""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

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

State = dict[str, Any]
"""The attributes of a layer by name."""


class RepeatedLayers:
    """The layers that one thread has built, by their classes and arguments.

    A layer is only copied while nothing has changed that a constructor may depend on: the modes
    that see functions and operators, torch's default dtype, and hooks on the registration of tensors.
    """

    def __init__(self) -> None:
        self._built: dict[Any, State | None] = {}
        self._surroundings = _surroundings()

    def build(self, layer: nn.Module, init: Callable[..., None], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """What ``init``, the constructor of its class, does with a new ``layer``."""
        key = None
        if not vars(layer) and _are_values(args) and _are_values(kwargs.values()) and self.is_as_at_first():
            key = (*_code(type(layer)), repr(args), repr(kwargs))
            state = self._built.get(key)
            if state is not None:
                with without_functions():
                    layer.__dict__.update(_copy_of(state))
                return
        if key is None:
            init(layer, *args, **kwargs)
            return
        _construct(layer, init, args, kwargs)
        if key not in self._built and self.is_as_at_first():
            with without_functions():
                self._built[key] = _copy_of(vars(layer)) if _is_new(vars(layer)) else None

    def is_as_at_first(self) -> bool:
        """Whether the surroundings are those in which these layers were built."""
        return _surroundings() == self._surroundings


def _construct(layer: nn.Module, init: Callable[..., None], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Run the constructor of a layer without ``reset_parameters``, which only fills its tensors with numbers.

    It is called afterwards where that is not all: where a parameter is not on meta, or is empty, of which torch warns.
    If somebody has replaced a method that the constructor calls, that is not known, and the constructor calls it.
    """
    kind = type(layer)
    if _code(kind) != CODE[kind]:
        init(layer, *args, **kwargs)
        return
    layer.__dict__["reset_parameters"] = _nothing
    try:
        init(layer, *args, **kwargs)
    finally:
        del layer.__dict__["reset_parameters"]
    with without_functions():
        held = [tensor for tensor in layer._parameters.values() if tensor is not None]
        only_fills = all(tensor.is_meta and tensor.numel() for tensor in held)
    if not only_fills:
        RESETS[kind](layer)


def _nothing() -> None:
    """Takes the place of ``reset_parameters``: a new buffer already has the numbers that it would get."""


def _surroundings() -> tuple[Any, ...]:
    settings = torch.get_default_dtype(), torch.is_inference_mode_enabled()
    return function_modes(), dispatch_modes(), registration_hooks(), settings


def _code(kind: type[nn.Module]) -> tuple[Any, ...]:
    """A class with what its constructor calls of it, which somebody may have replaced."""
    return (kind, nn.Module.__init__, *[getattr(kind, name, None) for name in CALLED])


CALLED = (
    *("__setattr__", "register_parameter", "register_buffer"),
    *("reset_parameters", "reset_running_stats", "_fill_padding_idx_with_zero"),
)
"""The methods that the constructor of any of the layers calls."""

CODE = {kind: _code(kind) for kind in KINDS}
RESETS: dict[type[nn.Module], Any] = {kind: getattr(kind, "reset_parameters", None) for kind in KINDS}
"""What torch itself has in these places."""


def _are_values(arguments: Any) -> bool:
    """Whether the arguments are immutable values, or tuples of them."""
    return all(
        type(value) in VALUES or (type(value) is tuple and VALUES.issuperset(map(type, value))) for value in arguments
    )


def _is_new(state: State) -> bool:
    """Whether everything in the state of a layer can be copied, and its tensors are as torch makes new ones."""
    tensors = [*state["_parameters"].values(), *state["_buffers"].values()]
    held = [tensor for tensor in tensors if tensor is not None]
    others = [value for name, value in state.items() if name not in ("_parameters", "_buffers")]
    return (
        all(map(_is_new_tensor, held))
        and len({id(tensor.untyped_storage()) for tensor in held}) == len(held)
        and all(_is_plain(value) for value in others)
    )


def _is_new_tensor(tensor: torch.Tensor) -> bool:
    if tensor.layout is not torch.strided or vars(tensor) or tensor.grad_fn is not None or not tensor.numel():
        return False
    if type(tensor) is torch.Tensor:
        size_on_cpu = 0 if tensor.is_meta else tensor.untyped_storage().nbytes()
        kind_fits = not tensor.requires_grad and size_on_cpu <= LARGEST
    else:
        kind_fits = type(tensor) is nn.Parameter and tensor.is_meta
    fills_storage = tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
    return kind_fits and fills_storage and tensor.is_contiguous()


LARGEST = 2**20
"""The number of bytes of a buffer that is kept with its numbers."""


def _is_plain(value: Any) -> bool:
    if type(value) is dict or type(value) is OrderedDict:
        return not value
    return _are_values(value if type(value) in (list, set) else (value,))


def _copy_of(state: State) -> State:
    """The same attributes in the same order, with new tensors and new containers."""
    new = dict(state)
    for name, value in state.items():
        kind = type(value)
        if kind is dict:
            new[name] = {key: None if tensor is None else _copied(tensor) for key, tensor in value.items()}
        elif kind in CONTAINERS:
            new[name] = kind(value)
    return new


CONTAINERS = frozenset({OrderedDict, list, set})


def _copied(tensor: torch.Tensor) -> torch.Tensor:
    if not tensor.is_meta:
        return tensor.clone()
    grad = tensor.requires_grad
    new = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=META, requires_grad=grad)
    if type(tensor) is nn.Parameter:
        new.__class__ = nn.Parameter  # nn.Parameter would create a second tensor
    return new


META = torch.device("meta")


class _Active(threading.local):
    """The layers that this thread repeats, if it is building."""

    layers: RepeatedLayers | None = None


_active = _Active()


def builds_as_at_first() -> bool:
    """Whether this thread builds, and everything is as at the start that may change what functions of torch do."""
    layers = _active.layers
    return layers is not None and layers.is_as_at_first()


@contextmanager
def layers_repeated(hooks: int = 0) -> Iterator[None]:
    """Within it, this thread builds equal layers of torch once and copies them; other threads are not affected.

    Entered after the modes in which the builder runs.  ``hooks`` is the number of hooks on the registration of tensors
    that need not be called for a copy; with further ones nothing is copied.
    """
    if len(registration_hooks()) != hooks:
        yield
        return
    before = _active.layers
    with _constructors.replaced():
        _active.layers = RepeatedLayers()
        try:
            yield
        finally:
            _active.layers = before


def _constructor(kind: type[nn.Module], init: Callable[..., None]) -> Callable[..., None]:
    """The constructor of a class, by which a thread that builds may get a copy; subclasses run ``init``."""

    @functools.wraps(init)
    def construct(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        layers = _active.layers
        if layers is None or type(self) is not kind:
            init(self, *args, **kwargs)
        else:
            layers.build(self, init, args, kwargs)

    return construct


_constructors = Replacements(lambda: [(kind, "__init__", _constructor(kind, kind.__init__)) for kind in KINDS])
